//! A blocking stream for a connection that never waits.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;

use crate::socketserver::transport::Duplex;

/// A blocking stream that waits for input between two turns only, and writes once a turn.
///
/// What if a turn could read on? Then a protocol that closes would wait for its client first.
/// What if it could write on? Then nobody would notice that a client takes a byte at a time.
pub(super) struct Patient<S> {
    stream: S,
    /// Where the last wait has put what it read.
    block: Box<[u8]>,
    /// How much that is, until a turn has taken it.
    arrived: io::Result<usize>,
    /// The turn has not written yet.
    may_write: bool,
}

impl<S: Duplex> Patient<S> {
    pub(super) fn new(stream: S) -> Patient<S> {
        Patient {
            stream,
            block: vec![0; 16 * 1024].into(),
            arrived: Err(ErrorKind::WouldBlock.into()),
            may_write: false,
        }
    }

    /// A turn begins, in which it may write once.
    pub(super) fn may_write(&mut self) {
        self.may_write = true;
    }

    /// Waits for input. Returns `false` if the stream's timeout has passed, or a signal came.
    pub(super) fn wait(&mut self) -> bool {
        use ErrorKind::{Interrupted, TimedOut, WouldBlock};
        self.arrived = self.stream.read(&mut self.block);
        let kind = self.arrived.as_ref().map_err(io::Error::kind);
        !matches!(kind, Err(WouldBlock | TimedOut | Interrupted))
    }
}

impl<S: Duplex> Read for Patient<S> {
    /// Takes the whole block, for which a connection always has room.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = mem::replace(&mut self.arrived, Err(ErrorKind::WouldBlock.into()))?;
        (&self.block[..count]).read(bytes)
    }
}

impl<S: Duplex> Write for Patient<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match mem::take(&mut self.may_write).then(|| self.stream.write(bytes)) {
            None => Err(ErrorKind::WouldBlock.into()),
            // On Windows, this is how the timeout of the stream ends a write.
            Some(Err(error)) if error.kind() == ErrorKind::TimedOut => {
                Err(ErrorKind::WouldBlock.into())
            }
            Some(written) => written,
        }
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
