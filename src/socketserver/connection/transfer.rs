//! Reads and writes a stream, as far as its readiness hints allow, and updates the hints.

use std::io::{self, ErrorKind};

use crate::reactor::Readiness;
use crate::socketserver::buffer::Buffer;
use crate::socketserver::transport::Duplex;

/// The most bytes that one read returns: enough for most uploads, and for a pipelined batch.
pub(super) const READ: usize = 64 * 1024;

/// Whether a short read also means that the next read would return `WouldBlock`. It does with epoll
/// and kqueue, which report any bytes that arrive later. Windows reports nothing until a read has
/// found the socket empty.
const SHORT_READ_IS_LAST: bool = cfg!(unix);

/// The result of one read.
pub(super) enum Received {
    /// Bytes have arrived.
    Bytes,
    /// The client will send no more.
    End,
    /// Nothing has arrived.
    Nothing,
    /// A signal has interrupted the read. Another read may return something (PEP 475).
    Interrupted,
}

/// Reads once, and returns what came of it.
///
/// `WouldBlock` clears the hint. On Unix, a short read also clears it, because a second read would
/// only confirm that nothing is left ([design law 5], [RT-1]). If the client has closed its writing
/// half, the hint stays, because the second read then returns the end.
///
/// # Errors
///
/// Returns the operating system's error if the read fails: the connection is lost.
///
/// [RT-1]: crate::spec#rt-1
/// [design law 5]: crate::spec#law-5
pub(super) fn receive(
    stream: &mut impl Duplex,
    into: &mut Buffer,
    readiness: &mut Readiness,
) -> io::Result<Received> {
    if !readiness.readable {
        return Ok(Received::Nothing);
    }
    if into.capacity() < READ {
        *into = Buffer::with_capacity(READ); // the protocol has kept the buffer
    }
    match into.read_from(stream) {
        Ok(0) => Ok(Received::End),
        Ok(count) => {
            readiness.readable = count >= READ || readiness.read_closed || !SHORT_READ_IS_LAST;
            Ok(Received::Bytes)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            readiness.readable = false;
            Ok(Received::Nothing)
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Received::Interrupted),
        Err(error) => Err(error),
    }
}

/// Writes until everything is sent or the stream takes no more. Returns how many bytes it took.
///
/// # Errors
///
/// Returns the operating system's error if a write fails: the connection is lost.
pub(super) fn send(
    stream: &mut impl Duplex,
    output: &mut Buffer,
    readiness: &mut Readiness,
) -> io::Result<usize> {
    let mut sent = 0;
    while !output.is_empty() && readiness.writable {
        match output.write_to(stream) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => readiness.writable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
