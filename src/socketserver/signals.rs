//! SIGINT and SIGTERM become a shutdown request: a pipe of the loop, no thread, no global flag.

use std::io::{self, Read};

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};

/// A pipe into which each signal writes a byte; the signals have no other effect meanwhile.
#[derive(Debug)]
pub(crate) struct Signals {
    reader: UnixStream,
    registered: Vec<SigId>,
}

impl Signals {
    /// Catches the two signals until this is dropped.
    pub(crate) fn register(registry: &Registry, token: Token) -> io::Result<Signals> {
        let (mut reader, writer) = UnixStream::pair()?;
        registry.register(&mut reader, token, Interest::READABLE)?;
        let mut signals = Signals {
            reader,
            registered: Vec::new(),
        };
        let writer = std::os::unix::net::UnixStream::from(std::os::fd::OwnedFd::from(writer));
        for signal in [SIGINT, SIGTERM] {
            let id = pipe::register(signal, writer.try_clone()?)?;
            signals.registered.push(id);
        }
        Ok(signals)
    }

    /// Empties the pipe; whether there was a signal.
    pub(crate) fn take(&mut self) -> bool {
        let mut caught = false;
        let mut bytes = [0; 64];
        loop {
            match self.reader.read(&mut bytes) {
                Ok(0) => return caught,
                Ok(_) => caught = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return caught,
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
