//! Makes a blocking stream look like a stream that never blocks.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;

use crate::socketserver::transport::Duplex;

/// A blocking stream that reads only between two turns, and writes at most once a turn.
///
/// If a turn could read again, a protocol that closes would first wait for its client. If a turn
/// could write again, nobody would notice a client that takes one byte at a time.
pub(super) struct Patient<S> {
    /// The stream that blocks.
    stream: S,
    /// Holds the bytes that the last wait has read.
    block: Box<[u8]>,
    /// The result of the last wait: the number of bytes, or its error. `WouldBlock` after a turn
    /// has taken it.
    arrived: io::Result<usize>,
    /// Whether the turn may still write.
    may_write: bool,
}

impl<S: Duplex> Patient<S> {
    /// Returns a stream on which nothing has arrived yet.
    pub(super) fn new(stream: S) -> Patient<S> {
        Patient {
            stream,
            block: vec![0; 16 * 1024].into(),
            arrived: Err(ErrorKind::WouldBlock.into()),
            may_write: false,
        }
    }

    /// Begins a turn: the connection may write once.
    pub(super) fn may_write(&mut self) {
        self.may_write = true;
    }

    /// Waits for input. Returns `false` if the stream's timeout has passed, or a signal has
    /// interrupted the read.
    pub(super) fn wait(&mut self) -> bool {
        use ErrorKind::{Interrupted, TimedOut, WouldBlock};
        self.arrived = self.stream.read(&mut self.block);
        let kind = self.arrived.as_ref().map_err(io::Error::kind);
        let has_arrived = !matches!(kind, Err(WouldBlock | TimedOut | Interrupted));
        if !has_arrived {
            // A turn at a deadline reads whatever the hints say.
            self.arrived = Err(WouldBlock.into());
        }
        has_arrived
    }

    /// Writes, unless the turn has written already.
    fn once(&mut self, write: impl FnOnce(&mut S) -> io::Result<usize>) -> io::Result<usize> {
        match mem::take(&mut self.may_write).then(|| write(&mut self.stream)) {
            None => Err(ErrorKind::WouldBlock.into()),
            // Windows returns this error when a write exceeds the timeout of the stream.
            Some(Err(error)) if error.kind() == ErrorKind::TimedOut => {
                Err(ErrorKind::WouldBlock.into())
            }
            Some(written) => written,
        }
    }
}

impl<S: Duplex> Read for Patient<S> {
    /// Returns the whole block in one read. A connection always has room for it.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = mem::replace(&mut self.arrived, Err(ErrorKind::WouldBlock.into()))?;
        (&self.block[..count]).read(bytes)
    }
}

impl<S: Duplex> Write for Patient<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.once(|stream| stream.write(bytes))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.once(|stream| stream.write_vectored(pieces))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<S: Duplex> Duplex for Patient<S> {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream.shutdown_write()
    }

    fn reset_on_close(&mut self) {
        self.stream.reset_on_close();
    }
}
