//! Signals become requests of the loop: a pipe that it watches, no thread, no global flag.
//!
//! Where signals cannot write into a pipe, on Windows, they set a flag, and the loop looks at it
//! once a turn: when it is next awake, as in Python, whose `select` no Ctrl-C ends there either.

#[cfg(not(unix))]
pub(crate) use flag::Signals;
#[cfg(unix)]
pub(crate) use pipe::Signals;

#[cfg(unix)]
mod pipe {
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
}

#[cfg(not(unix))]
mod flag {
    use std::io;
    use std::os::raw::c_int;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use mio::{Registry, Token};
    use signal_hook::SigId;
    use signal_hook::flag::register;
    use signal_hook::low_level::unregister;

    /// A flag that each of some signals sets; they have no other effect meanwhile.
    #[derive(Debug)]
    pub(crate) struct Signals {
        raised: Arc<AtomicBool>,
        registered: Vec<SigId>,
    }

    impl Signals {
        /// Catches the signals until this is dropped.
        pub(crate) fn register(
            _registry: &Registry,
            _token: Token,
            signals: &[c_int],
        ) -> io::Result<Signals> {
            let mut caught = Signals {
                raised: Arc::default(),
                registered: Vec::new(),
            };
            for &signal in signals {
                let id = register(signal, Arc::clone(&caught.raised))?;
                caught.registered.push(id);
            }
            Ok(caught)
        }

        /// Lowers the flag; how many signals there were, as far as it knows.
        pub(crate) fn take(&mut self) -> usize {
            usize::from(self.raised.swap(false, Ordering::SeqCst))
        }
    }

    impl Drop for Signals {
        fn drop(&mut self) {
            for id in self.registered.drain(..) {
                unregister(id);
            }
        }
    }
}
