//! A conversation without a loop: in memory, on a blocking socket, over standard input and output.
//!
//! The driver is to its one connection what the poll and the loop are to theirs. It waits, says
//! what may be possible now, and gives the connection a turn.

use std::fmt;
use std::io::{self, BufReader, ErrorKind, Read, StdinLock, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::budget::complain;
use super::connection::{Awaits, Connection, End, Fate, Loan, Occasion, Outcome, Scratch};
use super::failure::{Failure, HandlerResult};
use super::handler::{RequestHandler, Rfile};
use super::mailbox::Post;
use super::protocol::Protocol;
use super::settings::EventedSettings;
use super::transport::Duplex;
use crate::reactor::{Now, Readiness, Slot};

/// Drives one [`Protocol`] to the end of its conversation, in the thread that asks for it.
///
/// Use it where there is no loop: in a test, with a request that is in memory; in a program that
/// inetd has started, over standard input and output; or in a server that serves one client at a
/// time. For everything else there is [`Evented`](super::Evented), which runs the same protocols.
///
/// ```
/// use std::convert::Infallible;
/// use serve_forever::reactor::Now;
/// use serve_forever::socketserver::{Buffer, Driver, Next, Protocol};
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     type Message = Infallible;
///
///     fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next {
///         output.extend_from_slice(&std::mem::take(input));
///         Next::Read
///     }
/// }
///
/// let mut output = Vec::new();
/// Driver::new(Echo).drive(&mut &b"hello"[..], &mut output)?;
/// assert_eq!(output, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A driver is also a [`RequestHandler`], so a blocking server can be made of a protocol:
///
/// ```
/// # use std::convert::Infallible;
/// # use std::net::SocketAddr;
/// # use serve_forever::reactor::Now;
/// # use serve_forever::socketserver::{Buffer, Driver, Next, Protocol, TcpServer};
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     type Message = Infallible;
/// #     fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _: &Now) -> Next {
/// #         output.extend_from_slice(&std::mem::take(input));
/// #         Next::Read
/// #     }
/// # }
/// let server = TcpServer::bind("127.0.0.1:0", |_: &SocketAddr| Driver::new(Echo))?;
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # What it waits for
///
/// The protocol's deadlines hold if the stream can [limit a read](Rfile::set_timeout). Only the
/// time that the client is waited for counts: bytes that have arrived are in time, even if a
/// handler took long before it came to them.
///
/// A blocked thread can wait for one thing at a time. While the protocol [reads](super::Next::Read),
/// a message from another thread is delivered after the read has ended. While it
/// [waits](super::Next::Wait), a message is delivered immediately, and nobody notices that the
/// client disconnects. A [drain](Protocol::drain) does not reach the protocol.
#[derive(Clone)]
pub struct Driver<P> {
    /// `None` once the conversation has begun.
    protocol: Option<P>,
    settings: EventedSettings,
}

impl<P: Protocol> Driver<P> {
    /// A conversation within the limits that [`Evented`](super::Evented) has by default.
    pub fn new(protocol: P) -> Driver<P> {
        Driver::with_settings(protocol, EventedSettings::default())
    }

    /// Like [`new`](Self::new), but within your own limits.
    pub fn with_settings(protocol: P, settings: EventedSettings) -> Driver<P> {
        Driver {
            protocol: Some(protocol),
            settings,
        }
    }

    /// Reads from `rfile` and writes to `wfile` until the conversation has ended.
    ///
    /// Input in memory is a `&mut &[u8]`, a socket a [`BufReader`] over a `&TcpStream`, and standard
    /// input is [locked](std::io::Stdin::lock); other streams have to implement [`Rfile`].
    ///
    /// # Errors
    ///
    /// Returns what the conversation first wanted [reported](Protocol::take_failure), or its panic.
    /// Later failures are logged. [`Failure::Stop`] ends the conversation. A client that disconnects
    /// is no failure.
    pub fn drive(mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
        self.handle(rfile, wfile)
    }
}

impl<P: Protocol> RequestHandler for Driver<P> {
    /// Like [`drive`](Driver::drive). A second call fails: the conversation is over.
    fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
        let Some(protocol) = self.protocol.take() else {
            return Err(io::Error::other("the conversation is over").into());
        };
        let files = Files {
            rfile,
            wfile,
            arrived: Arrived::Nothing,
            may_write: false,
            write_stall: self.settings.write_stall,
        };
        let post = Post::new(1, None);
        post.open(Slot::default());
        let line = Line {
            connection: Connection::new(files, protocol),
            settings: &self.settings,
            scratch: Scratch::default(),
            post,
            now: Now::new(),
            failure: None,
        };
        line.converse()
    }
}

impl<P> fmt::Debug for Driver<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A conversation that is being driven.
struct Line<'a, P: Protocol> {
    connection: Connection<Files<'a>, P>,
    settings: &'a EventedSettings,
    scratch: Scratch,
    /// Where the protocol's messages come from.
    post: Post<P::Message>,
    /// The time that the protocol was last told.
    now: Now,
    /// What was first reported.
    failure: Option<Failure>,
}

/// Nothing has arrived, but there may be something to send.
const WRITABLE: Readiness = Readiness {
    readable: false,
    writable: true,
    read_closed: false,
    hung_up: false,
    timeout: false,
};

impl<P: Protocol> Line<'_, P> {
    fn converse(mut self) -> HandlerResult {
        // Nothing is read before the protocol has said until when it wants to read.
        let mut outcome = self.turn(Occasion::Made, WRITABLE);
        let fate = loop {
            self.keep(outcome.failure);
            let readiness = match outcome.fate {
                _ if matches!(self.failure, Some(Failure::Stop)) => break outcome.fate,
                Fate::Again => WRITABLE,
                Fate::Sleeps => self.wait(outcome.deadline),
                Fate::Gone | Fate::Stalled | Fate::Panicked => break outcome.fate,
            };
            self.now.advance(Instant::now());
            outcome = self.turn(Occasion::Ready, readiness);
        };
        self.post.close(Slot::default());
        let end = match fate {
            Fate::Panicked => End::Panicked,
            _ => End::Told(&self.now),
        };
        let ended = self.connection.end(end);
        let mut failure = self.failure;
        keep(&mut failure, ended.err());
        failure.map_or(Ok(()), Err)
    }

    fn turn(&mut self, occasion: Occasion, mut readiness: Readiness) -> Outcome {
        self.connection.stream.may_write = true;
        let mut loan = Loan {
            slot: Slot::default(),
            readiness: &mut readiness,
            scratch: &mut self.scratch,
            settings: self.settings,
            post: &self.post,
            now: &self.now,
            draining: false,
            failure: None,
        };
        self.connection.turn(occasion, &mut loan)
    }

    /// Waits until the connection can go on, or its deadline has passed.
    fn wait(&mut self, deadline: Option<Instant>) -> Readiness {
        // From now on, for a protocol that believes in the time it was told: the time that it took
        // itself is not its client's.
        let left = deadline.map(|deadline| deadline.saturating_duration_since(self.now.instant()));
        let timeout = match self.connection.awaits() {
            // The turn waits, in its write, and looks before whether the client is too slow.
            Awaits::Room => true,
            _ if self.post.waiting() > 0 => !self.take_message(Some(Instant::now())),
            Awaits::Message => {
                let until = left.and_then(|left| Instant::now().checked_add(left));
                !self.take_message(until)
            }
            Awaits::Bytes => {
                let files = &mut self.connection.stream;
                files.arrived = files.wait(left);
                let readable = !matches!(files.arrived, Arrived::Nothing);
                return Readiness {
                    readable,
                    timeout: !readable,
                    ..WRITABLE
                };
            }
        };
        Readiness {
            timeout,
            ..WRITABLE
        }
    }

    /// Waits for a message until `deadline`. Returns `false` if none came.
    fn take_message(&mut self, deadline: Option<Instant>) -> bool {
        let message = self.post.wait(deadline);
        let taken = message.is_some();
        if let Some((_, message)) = message {
            self.connection.post(message);
        }
        taken
    }

    fn keep(&mut self, failure: Option<Failure>) {
        keep(&mut self.failure, failure);
    }
}

/// Keeps the first failure, and logs a later one, but for one that stops the server.
fn keep(first: &mut Option<Failure>, failure: Option<Failure>) {
    match failure {
        None => {}
        Some(Failure::Request(later)) if first.is_some() => complain("a request failed", &later),
        Some(failure) => *first = Some(failure),
    }
}

/// Two blocking files as a stream that never waits: what arrives is waited for between two turns,
/// and each turn writes once.
struct Files<'a> {
    rfile: &'a mut dyn Rfile,
    wfile: &'a mut dyn Write,
    /// What the next read returns.
    arrived: Arrived,
    /// The turn has not written yet. Between two writes, a client that is too slow is given up.
    may_write: bool,
    /// How long a write may wait.
    write_stall: Duration,
}

/// What was waited for.
#[derive(Default)]
enum Arrived {
    /// It has not come, or has been read.
    #[default]
    Nothing,
    /// The buffer of the file holds some.
    Bytes,
    /// The client sends no more. It is not asked again: a terminal might begin anew.
    End,
    /// The connection is broken.
    Broken(io::Error),
}

impl Files<'_> {
    /// Waits for bytes for as long as `left`.
    fn wait(&mut self, left: Option<Duration>) -> Arrived {
        // Output that is buffered would wait as long; if it cannot be sent, the next write says so.
        let _ = self.wfile.flush();
        if left == Some(Duration::ZERO) {
            return Arrived::Nothing;
        }
        if let Err(error) = self.rfile.set_timeout(left) {
            return Arrived::Broken(error);
        }
        loop {
            return match self.rfile.fill_buf() {
                Ok([]) => Arrived::End,
                Ok(_) => Arrived::Bytes,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => continue, // PEP 475
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => Arrived::Nothing,
                    _ => Arrived::Broken(error),
                },
            };
        }
    }
}

impl Read for Files<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match mem::take(&mut self.arrived) {
            Arrived::Nothing => Err(ErrorKind::WouldBlock.into()),
            Arrived::Bytes => {
                // They are in the buffer of the file, so this does not wait.
                let count = self.rfile.fill_buf()?.read(bytes)?;
                self.rfile.consume(count);
                Ok(count)
            }
            Arrived::End => Ok(0),
            Arrived::Broken(error) => Err(error),
        }
    }
}

impl Write for Files<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !mem::take(&mut self.may_write) {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.rfile.set_timeout(Some(self.write_stall))?;
        match self.wfile.write(bytes) {
            // It was waited long enough, and nobody knows how much the client got.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::TimedOut.into()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wfile.flush()
    }
}

impl Duplex for Files<'_> {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.wfile.flush()?;
        self.rfile.shutdown_write()
    }

    fn reset_on_close(&mut self) {
        self.rfile.reset_on_close();
    }
}

/// Standard input, for a program that inetd has started.
impl Rfile for StdinLock<'_> {
    /// Does nothing: a pipe or terminal is waited for without limit.
    fn set_timeout(&mut self, _timeout: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

/// A blocking socket.
impl Rfile for BufReader<&TcpStream> {
    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        // The system reads zero as "no limit".
        let timeout = timeout.map(|timeout| timeout.max(Duration::from_millis(1)));
        self.get_ref().set_read_timeout(timeout)?;
        self.get_ref().set_write_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.get_ref().shutdown(Shutdown::Write)
    }

    fn reset_on_close(&mut self) {
        // Ignore the error: without the option, the socket is closed as usual.
        let _ = SockRef::from(*self.get_ref()).set_linger(Some(Duration::ZERO));
    }
}
