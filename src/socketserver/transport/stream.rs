//! The common part of the streams of all families. It listens for them, serves one with two
//! blocking files, and closes it without losing output.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::event::Source;
use socket2::{SockRef, Socket};

use crate::socketserver::failure::HandlerResult;
use crate::socketserver::handler::Rfile;
use crate::socketserver::waiter::Waiter;

/// Python's default backlog ([TCP-5]).
///
/// [TCP-5]: crate::spec#tcp-5
pub(super) const REQUEST_QUEUE_SIZE: u32 = 5;

/// How much input a blocking request discards before it closes: about what a socket buffer holds.
/// If unread input were left, closing would reset the connection, and the client could lose
/// output that is still on its way ([TCP-8]).
///
/// [TCP-8]: crate::spec#tcp-8
const DISCARD: usize = 256 * 1024;

/// A stream whose socket options can be set.
pub(super) trait Connected {
    fn socket(&self) -> SockRef<'_>;
}

impl<S> Connected for S
where
    for<'a> SockRef<'a>: From<&'a S>,
{
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }
}

pub(super) fn listen(socket: &Socket, request_queue_size: u32) -> io::Result<()> {
    socket.listen(i32::try_from(request_queue_size).unwrap_or(i32::MAX))
}

/// Keeps new clients out while the queue is emptied. Returns how many may be in it.
///
/// The socket listens again, with the shortest queue. Those that wait stay. What happens to a new
/// client while the queue is full? It is not connected yet: it tries again after a while, and is
/// refused. If it got into the queue, it could send its request, and lose it when the socket is
/// closed.
pub(super) fn drain(socket: &impl Connected, request_queue_size: u32) -> usize {
    // Ignore the error: new clients are queued then, as before.
    let _ = socket.socket().listen(1);
    (request_queue_size as usize).saturating_add(1) // Linux lets one more wait
}

/// Serves a request by blocking reads and writes ([STREAM-1] to [STREAM-5]).
///
/// The socket itself does not block. The thread waits in `waiter`, whose waits end when the server
/// stops.
///
/// [STREAM-1]: crate::spec#stream-1
/// [STREAM-5]: crate::spec#stream-5
pub(super) fn serve<S>(
    stream: &mut S,
    waiter: &Waiter,
    handle: impl FnOnce(&mut dyn Rfile, &mut dyn Write) -> HandlerResult,
) -> HandlerResult
where
    S: Source,
    for<'a> &'a S: Read + Write,
{
    waiter.watch(stream)?;
    let timeout = Cell::new(None);
    let mut blocking = Blocking {
        stream: &*stream,
        waiter,
        timeout: &timeout,
    };
    let mut reader = Reader {
        timeout: &timeout,
        buffered: BufReader::new(blocking),
    };
    handle(&mut reader, &mut blocking)
}

/// Shuts down the writing half, so that the client sees where the output ends.
pub(super) fn shutdown_write(stream: &impl Connected) -> io::Result<()> {
    stream.socket().shutdown(Shutdown::Write)
}

/// Makes the next close a reset.
pub(super) fn reset_on_close(stream: &impl Connected) {
    // Ignore the error: the connection is then closed as usual.
    let _ = stream.socket().set_linger(Some(Duration::ZERO));
}

/// Ends a request: shuts down the writing half, and discards at most [`DISCARD`] bytes of the
/// input that has arrived ([TCP-7], [TCP-8]).
///
/// [TCP-7]: crate::spec#tcp-7
/// [TCP-8]: crate::spec#tcp-8
pub(super) fn shutdown_request<S>(stream: &mut S)
where
    S: Connected + Read,
{
    if let Ok(Some(Duration::ZERO)) = stream.socket().linger() {
        return; // The close is to be a reset, so the client must not see a regular end first.
    }
    if shutdown_write(stream).is_err() {
        return; // the client has disconnected
    }
    let mut scratch = [0; 4096];
    let mut left = DISCARD;
    while left > 0 {
        match stream.read(&mut scratch) {
            Ok(0) | Err(_) => return,
            Ok(count) => left = left.saturating_sub(count),
        }
    }
}

/// A stream that does not block, as one that does.
struct Blocking<'a, S> {
    /// The stream itself.
    stream: &'a S,
    /// Where the thread waits for it.
    waiter: &'a Waiter,
    /// How long one read or write may take. The reader sets it for both ([STREAM-8]).
    ///
    /// [STREAM-8]: crate::spec#stream-8
    timeout: &'a Cell<Option<Duration>>,
}

impl<S> Clone for Blocking<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Blocking<'_, S> {}

impl<'a, S> Blocking<'a, S> {
    /// Repeats `operate` until it need not wait. The deadline is that of the whole read or write, and
    /// is set when it first has to wait.
    fn until_ready<R>(
        &self,
        deadline: &mut Option<Instant>,
        mut operate: impl FnMut(&'a S) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            self.waiter.check()?;
            match operate(self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if let (None, Some(timeout)) = (*deadline, self.timeout.get()) {
                        *deadline = Instant::now().checked_add(timeout);
                    }
                    self.waiter.wait(*deadline)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl<S> Read for Blocking<'_, S>
where
    for<'a> &'a S: Read,
{
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.until_ready(&mut None, |mut stream| stream.read(bytes))
    }
}

impl<S> Write for Blocking<'_, S>
where
    for<'a> &'a S: Write,
{
    /// Sends everything ([STREAM-3]).
    ///
    /// [STREAM-3]: crate::spec#stream-3
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (mut left, mut deadline) = (bytes, None);
        while !left.is_empty() {
            match self.until_ready(&mut deadline, |mut stream| stream.write(left))? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => left = &left[count..],
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // nothing is buffered
    }
}

/// A buffered reader that limits how long reads and writes take.
struct Reader<'a, S> {
    /// How long one read or write may take.
    timeout: &'a Cell<Option<Duration>>,
    /// Reads from the socket.
    buffered: BufReader<Blocking<'a, S>>,
}

impl<S> Read for Reader<'_, S>
where
    for<'a> &'a S: Read,
{
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.buffered.read(bytes)
    }
}

impl<S> BufRead for Reader<'_, S>
where
    for<'a> &'a S: Read,
{
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.buffered.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.buffered.consume(count);
    }
}

impl<S> Rfile for Reader<'_, S>
where
    for<'a> &'a S: Read,
{
    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.timeout.set(timeout);
        Ok(())
    }
}
