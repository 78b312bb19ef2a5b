//! The common part of the streams of all families. It listens for them, serves one with two
//! blocking files, and closes it without losing output.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use socket2::{SockRef, Socket};

use crate::socketserver::failure::HandlerResult;
use crate::socketserver::handler::Rfile;

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
/// [STREAM-1]: crate::spec#stream-1
/// [STREAM-5]: crate::spec#stream-5
pub(super) fn serve<'a, S>(
    stream: &'a S,
    handle: impl FnOnce(&mut dyn Rfile, &mut dyn Write) -> HandlerResult,
) -> HandlerResult
where
    S: Connected,
    &'a S: Read + Write,
{
    stream.socket().set_nonblocking(false)?;
    handle(
        &mut Reader {
            stream,
            buffered: BufReader::new(stream),
        },
        &mut Writer(stream),
    )
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
    // If the first fails, the client has disconnected. If the second fails, a read could block.
    let shut = shutdown_write(stream).is_ok();
    if !shut || stream.socket().set_nonblocking(true).is_err() {
        return;
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

/// A buffered reader that can set the timeouts of its socket.
struct Reader<'a, S> {
    /// The socket itself, for its timeouts.
    stream: &'a S,
    /// Reads from the socket.
    buffered: BufReader<&'a S>,
}

impl<'a, S> Read for Reader<'a, S>
where
    &'a S: Read,
{
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.buffered.read(bytes)
    }
}

impl<'a, S> BufRead for Reader<'a, S>
where
    &'a S: Read,
{
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.buffered.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.buffered.consume(count);
    }
}

impl<'a, S> Rfile for Reader<'a, S>
where
    S: Connected,
    &'a S: Read,
{
    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let socket = self.stream.socket();
        // To the system, zero means "no limit".
        let timeout = timeout.map(|timeout| timeout.max(Duration::from_millis(1)));
        socket.set_read_timeout(timeout)?;
        socket.set_write_timeout(timeout)
    }
}

/// An unbuffered writer whose `write` sends everything ([STREAM-3]).
///
/// [STREAM-3]: crate::spec#stream-3
struct Writer<'a, S>(&'a S);

impl<'a, S> Write for Writer<'a, S>
where
    &'a S: Write,
{
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
