//! Axis 2, the blocking way: a handler serves one request, like Python's `StreamRequestHandler`.

use std::io::{self, BufRead, BufReader, StdinLock, Write};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::budget::complain;
use super::failure::{Failure, HandlerResult, contain};

/// The reading end of a request: a [`BufRead`] whose patience can be set.
pub trait Rfile: BufRead {
    /// Limits each later read and write of this request; `None` waits without limit ([STREAM-8]).
    ///
    /// A read or write that takes longer fails with `TimedOut`, or on a blocking socket of the standard
    /// library with `WouldBlock`. A request that is already whole in memory ignores this.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the timeout cannot be set.
    ///
    /// [STREAM-8]: crate::spec#stream-8
    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;
}

/// A request that is whole in memory, such as a datagram, or the input of a test. Nothing waits.
///
/// ```
/// use std::io::{BufRead, Write};
/// use serve_forever::socketserver::{HandlerResult, Rfile};
///
/// fn upper(rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
///     let mut line = String::new();
///     rfile.read_line(&mut line)?;
///     Ok(wfile.write_all(line.to_uppercase().as_bytes())?)
/// }
///
/// let mut output = Vec::new();
/// assert!(upper(&mut b"hello\n".as_slice(), &mut output).is_ok());
/// assert_eq!(output, b"HELLO\n");
/// ```
impl Rfile for &[u8] {
    fn set_timeout(&mut self, _timeout: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

/// A connection that somebody else has accepted: for a program that inetd starts with one client as its
/// standard input, and in tests. The timeout is that of reads and of writes.
///
/// ```
/// use std::io::{BufRead, BufReader, Write};
/// use std::net::{TcpListener, TcpStream};
/// use std::time::Duration;
/// use serve_forever::socketserver::Rfile;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = TcpStream::connect(listener.local_addr()?)?;
/// client.write_all(b"hello\n")?;
///
/// let mut rfile = BufReader::new(listener.accept()?.0);
/// rfile.set_timeout(Some(Duration::from_secs(10)))?;
/// let mut line = String::new();
/// rfile.read_line(&mut line)?;
/// assert_eq!(line, "hello\n");
/// # Ok::<(), std::io::Error>(())
/// ```
impl Rfile for BufReader<TcpStream> {
    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.get_ref().set_read_timeout(timeout)?;
        self.get_ref().set_write_timeout(timeout)
    }
}

/// Like a [`TcpStream`], but on a Unix-domain socket.
#[cfg(unix)]
impl Rfile for BufReader<UnixStream> {
    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.get_ref().set_read_timeout(timeout)?;
        self.get_ref().set_write_timeout(timeout)
    }
}

/// Standard input, which has no timeout: setting one fails with
/// [`Unsupported`](io::ErrorKind::Unsupported).
impl Rfile for StdinLock<'_> {
    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match timeout {
            None => Ok(()),
            Some(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// Serves one request, in three steps: [`setup`](Self::setup), [`handle`](Self::handle),
/// [`finish`](Self::finish).
///
/// A fresh handler serves each request ([HND-1]). `finish` runs also when `handle` fails or panics;
/// neither runs when `setup` fails. Any closure over the two files is a handler:
///
/// ```
/// use std::io::{BufRead, Write};
/// use serve_forever::socketserver::{RequestHandler, Rfile};
///
/// fn assert_handler(_: impl RequestHandler) {}
/// assert_handler(|rfile: &mut dyn Rfile, wfile: &mut dyn Write| {
///     let mut line = String::new();
///     rfile.read_line(&mut line)?;
///     wfile.write_all(line.to_uppercase().as_bytes())?;
///     Ok(())
/// });
/// ```
///
/// # When the server stops
///
/// A handler that waits for its client does not keep the server from stopping ([SHUT-4],
/// [THREAD-5]). The read or write then fails with `ConnectionAborted`. Return this error: the request
/// is closed, and it is not reported as a failure.
///
/// # What Python's `StreamRequestHandler` has attributes for
///
/// | Python | here |
/// | --- | --- |
/// | `timeout` (STREAM-1, STREAM-8) | [`setup`](Self::setup) calls [`Rfile::set_timeout`]; none by default |
/// | `disable_nagle_algorithm` (STREAM-1) | [`Tcp::disable_nagle_algorithm`](super::Tcp::disable_nagle_algorithm); off by default |
/// | `rbufsize` (STREAM-2) | `rfile` is buffered, 8 KiB; [`BufReader`](std::io::BufReader) makes it more |
/// | `wbufsize` (STREAM-2) | `wfile` is not buffered; [`BufWriter`](std::io::BufWriter) makes it so |
///
/// A `BufWriter` sends the rest when it is dropped, and hides a failure of that ([STREAM-6]). Call
/// [`flush`](Write::flush) at the end of `handle`, and the failure is the request's.
///
/// ```
/// use std::io::{BufRead, BufWriter, Write};
/// use std::time::Duration;
/// use serve_forever::socketserver::{HandlerResult, RequestHandler, Rfile};
///
/// struct Shout;
///
/// impl RequestHandler for Shout {
///     fn setup(&mut self, rfile: &mut dyn Rfile) -> HandlerResult {
///         Ok(rfile.set_timeout(Some(Duration::from_secs(10)))?)
///     }
///
///     fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
///         let mut wfile = BufWriter::with_capacity(4096, wfile);
///         let mut line = String::new();
///         while rfile.read_line(&mut line)? > 0 {
///             wfile.write_all(line.to_uppercase().as_bytes())?;
///             line.clear();
///         }
///         Ok(wfile.flush()?)
///     }
/// }
/// ```
///
/// With a datagram there is nothing to wait for, and everything is in memory already.
///
/// [HND-1]: crate::spec#hnd-1
/// [SHUT-4]: crate::spec#shut-4
/// [STREAM-6]: crate::spec#stream-6
/// [THREAD-5]: crate::spec#thread-5
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle requests",
    label = "this is not a blocking handler",
    note = "a closure is a handler if both of its arguments have their types: \
            `|rfile: &mut dyn Rfile, wfile: &mut dyn Write| Ok(())`",
    note = "a server for a `Protocol` or for HTTP has the dispatch `Evented`"
)]
pub trait RequestHandler {
    /// Prepares for the request. By default this does nothing.
    ///
    /// # Errors
    ///
    /// Return a failure to end the request before it is handled.
    fn setup(&mut self, rfile: &mut dyn Rfile) -> HandlerResult {
        let _ = rfile;
        Ok(())
    }

    /// Serves the request: reads it from `rfile` and writes the reply to `wfile`.
    ///
    /// Writes are not buffered: the bytes are on their way when `write` returns ([STREAM-3]).
    ///
    /// # Errors
    ///
    /// A failure that you return is reported to
    /// [`Hooks::handle_error`](super::Hooks::handle_error).
    ///
    /// [STREAM-3]: crate::spec#stream-3
    fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult;

    /// Cleans up after the request, whether it succeeded or not. By default this does nothing.
    ///
    /// # Errors
    ///
    /// A failure that you return is reported, unless `handle` failed: then that failure is
    /// reported ([HND-2]).
    ///
    /// [HND-2]: crate::spec#hnd-2
    fn finish(&mut self) -> HandlerResult {
        Ok(())
    }
}

impl<F> RequestHandler for F
where
    F: FnMut(&mut dyn Rfile, &mut dyn Write) -> HandlerResult,
{
    fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
        self(rfile, wfile)
    }
}

/// Runs a handler's three steps in Python's order ([HND-1], [HND-2]). A panic is a failure like any
/// other, so `finish` also runs after a panic.
///
/// [HND-1]: crate::spec#hnd-1
/// [HND-2]: crate::spec#hnd-2
pub(crate) fn run(
    handler: &mut impl RequestHandler,
    rfile: &mut dyn Rfile,
    wfile: &mut dyn Write,
) -> HandlerResult {
    handler.setup(rfile)?;
    let handled = contain(|| handler.handle(rfile, wfile));
    let finished = contain(|| handler.finish());
    // Ignore the error (STREAM-5). The file of a datagram learns here that its handler has run.
    let _ = wfile.flush();
    match (handled, finished) {
        (Ok(()), finished) => finished,
        (Err(failure), Ok(())) => Err(failure),
        (Err(Failure::Request(first)), Err(stop @ Failure::Stop(_))) => {
            complain("a handler failed, and its finish stops the server", first);
            Err(stop)
        }
        (Err(first), Err(second)) => {
            complain("finish failed after a failed handle", second);
            Err(first)
        }
    }
}
