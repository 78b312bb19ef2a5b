//! One read, and the writes of a turn: what the stream does with the hints.

use std::io::{self, ErrorKind};

use crate::reactor::Readiness;
use crate::socketserver::buffer::Buffer;
use crate::socketserver::transport::Duplex;

/// How much one read can return: large enough for most uploads, and for a pipelined batch.
pub(super) const READ: usize = 64 * 1024;

/// Whether a read that returns less than was asked for is as good as `WouldBlock`. It is with
/// epoll and kqueue, which report what comes after it. Windows reports nothing until a read has
/// found the socket empty.
const SHORT_READ_IS_LAST: bool = cfg!(unix);

/// What one read brought.
pub(super) enum Received {
    Bytes,
    /// The client sends no more.
    End,
    /// Nothing has arrived.
    Nothing,
    /// A signal came instead; another read may bring something (PEP 475).
    Interrupted,
}

/// Reads once. `WouldBlock` clears the hint. So does a short read, unless an end follows it: a
/// second read would only confirm that there is nothing (design law 5, RT-1).
pub(super) fn receive(
    stream: &mut impl Duplex,
    into: &mut Buffer,
    readiness: &mut Readiness,
) -> io::Result<Received> {
    if !readiness.readable {
        return Ok(Received::Nothing);
    }
    if into.capacity() < READ {
        *into = Buffer::with_capacity(READ); // the protocol has kept the one it was lent
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

/// Writes until everything is sent or the stream takes no more. Returns how much that was.
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
