//! Signals become requests of the loop: a pipe that it watches, no thread, no global flag.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::raw::c_int;

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::SigId;
use signal_hook::low_level::{pipe, unregister};

/// A pipe into which each of some signals writes a byte; they have no other effect meanwhile.
#[derive(Debug)]
pub(crate) struct Signals {
    reader: UnixStream,
    registered: Vec<SigId>,
}

impl Signals {
    /// Catches the signals until this is dropped.
    pub(crate) fn register(
        registry: &Registry,
        token: Token,
        signals: &[c_int],
    ) -> io::Result<Signals> {
        let (mut reader, writer) = UnixStream::pair()?;
        registry.register(&mut reader, token, Interest::READABLE)?;
        let mut caught = Signals {
            reader,
            registered: Vec::new(),
        };
        let writer = std::os::unix::net::UnixStream::from(OwnedFd::from(writer));
        for &signal in signals {
            let id = pipe::register(signal, writer.try_clone()?)?;
            caught.registered.push(id);
        }
        Ok(caught)
    }

    /// Empties the pipe; how many signals there were.
    pub(crate) fn take(&mut self) -> usize {
        let mut count = 0;
        let mut bytes = [0; 64];
        loop {
            match self.reader.read(&mut bytes) {
                Ok(0) => return count,
                Ok(read) => count += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return count,
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            unregister(id);
        }
    }
}
