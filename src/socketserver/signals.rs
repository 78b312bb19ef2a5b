//! SIGINT and SIGTERM become requests to stop: through a pipe that the loop watches, without a thread.
//!
//! On Windows a signal cannot write into a pipe that the loop watches. It sets a flag, and the loop
//! looks at the flag in each turn. So the signal is noticed when the loop is next awake. Python is
//! the same there: no Ctrl-C ends its `select`.

mod default_action;

pub use default_action::keep_signals;

use std::io;
use std::time::Duration;

use self::default_action::Suspended;
#[cfg(not(unix))]
use self::flag::Signals;
#[cfg(unix)]
use self::pipe::Signals;
use super::interrupts::Interrupts;
use crate::reactor::{Reactor, Slot};

/// The signals that stop the server, once it is asked to catch them.
#[derive(Debug)]
pub(crate) struct StopSignals {
    /// The pipe's slot. It never stands in the run queue: the pipe is read first in every turn.
    slot: Slot,
    /// `None` until the server is asked to catch them.
    caught: Option<Caught>,
    /// How long the first signal lets the server drain; `None`: the first signal stops it.
    patience: Option<Duration>,
}

/// The signals that one server catches.
#[derive(Debug)]
struct Caught {
    /// Keeps the default action away. It comes before `signals`, because it has to be dropped first:
    /// a signal in between then has its default action, and is not lost.
    _suspended: Suspended,
    /// Where they arrive.
    signals: Signals,
}

impl StopSignals {
    /// Catches nothing yet; `slot` is for the pipe.
    pub(crate) fn new(slot: Slot) -> StopSignals {
        StopSignals {
            slot,
            caught: None,
            patience: None,
        }
    }

    /// Catches the signals from now on. If it did so before, only `patience` changes.
    pub(crate) fn catch(
        &mut self,
        patience: Option<Duration>,
        reactor: &mut Reactor,
        interrupts: &Interrupts,
    ) -> io::Result<()> {
        if self.caught.is_none() {
            let (mut signals, suspended) = Suspended::while_caught(Signals::catch)?;
            signals.watch(self.slot, reactor)?;
            self.caught = Some(Caught {
                _suspended: suspended,
                signals,
            });
        }
        self.patience = patience;
        if let Some(caught) = &self.caught {
            interrupts.set_signals(caught.signals.arrivals(), patience);
        }
        Ok(())
    }

    /// Returns whether a signal may be waiting to be taken, as far as events tell.
    pub(crate) fn may_have_come(&self, reactor: &Reactor) -> bool {
        self.caught.is_some() && reactor.is_readable(self.slot)
    }

    /// Returns whether signals are noticed only when the loop looks for them.
    pub(crate) fn need_polling(&self) -> bool {
        cfg!(not(unix)) && self.caught.is_some()
    }

    /// Takes the signals that have come, and returns how many.
    pub(crate) fn take(&mut self, reactor: &mut Reactor) -> usize {
        match (&mut self.caught, reactor.readiness(self.slot)) {
            (Some(caught), Some(readiness)) => caught.signals.take(readiness),
            _ => 0,
        }
    }

    /// Returns how long the first signal lets the server drain; `None`: it stops immediately.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.patience
    }
}

#[cfg(unix)]
mod pipe {
    use std::io::{self, Read};
    use std::os::fd::OwnedFd;
    use std::sync::Arc;

    use mio::Interest;
    use mio::net::UnixStream;
    use signal_hook::SigId;
    use signal_hook::low_level::{pipe, unregister};

    use super::default_action::SIGNALS;
    use crate::reactor::{Reactor, Readiness, Slot};
    use crate::socketserver::interrupts::Arrivals;

    /// How often the pipe may fail in one turn.
    const FAILURES: u32 = 3;

    /// A pipe into which each signal writes a byte. Meanwhile the signals do nothing else.
    #[derive(Debug)]
    pub(super) struct Signals {
        /// Our end of the pipe.
        reader: UnixStream,
        /// The same, for a handler that wants to know whether a signal has come.
        arrivals: Arc<Arrivals>,
        /// The registrations of the signals, undone on drop.
        registered: Vec<SigId>,
    }

    impl Signals {
        /// Catches the signals until this is dropped.
        pub(super) fn catch() -> io::Result<Signals> {
            let (reader, writer) = UnixStream::pair()?;
            let reader = std::os::unix::net::UnixStream::from(OwnedFd::from(reader));
            let mut caught = Signals {
                arrivals: Arc::new(reader.try_clone()?),
                reader: UnixStream::from_std(reader),
                registered: Vec::new(),
            };
            let writer = std::os::unix::net::UnixStream::from(OwnedFd::from(writer));
            for signal in SIGNALS {
                let id = pipe::register(signal, writer.try_clone()?)?;
                caught.registered.push(id);
            }
            Ok(caught)
        }

        /// Returns where to look for signals without taking them.
        pub(super) fn arrivals(&self) -> &Arc<Arrivals> {
            &self.arrivals
        }

        /// Has the poll report signals as events.
        pub(super) fn watch(&mut self, slot: Slot, reactor: &mut Reactor) -> io::Result<()> {
            reactor.register(slot, &mut self.reader, Interest::READABLE)
        }

        /// Empties the pipe if something may be in it, and returns how many signals there were.
        pub(super) fn take(&mut self, readiness: &mut Readiness) -> usize {
            let (mut count, mut failures) = (0, 0);
            let mut bytes = [0; 64];
            while readiness.readable {
                match self.reader.read(&mut bytes).map_err(|error| error.kind()) {
                    Ok(read) if read > 0 => count += read,
                    Err(io::ErrorKind::WouldBlock) => readiness.readable = false, // it is empty
                    Err(io::ErrorKind::Interrupted) => {}
                    // What if the system is short of memory? No further event tells of a signal
                    // that is not taken, so look again; but not for ever.
                    Err(_) if failures < FAILURES => failures += 1,
                    _ => readiness.readable = false,
                }
            }
            count
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
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use signal_hook::SigId;
    use signal_hook::flag::register;
    use signal_hook::low_level::unregister;

    use super::default_action::SIGNALS;
    use crate::reactor::{Reactor, Readiness, Slot};
    use crate::socketserver::interrupts::Arrivals;

    /// A flag that each signal sets. Meanwhile the signals do nothing else.
    #[derive(Debug)]
    pub(super) struct Signals {
        /// Whether a signal has come that nobody has taken.
        raised: Arc<Arrivals>,
        /// The registrations of the signals, undone on drop.
        registered: Vec<SigId>,
    }

    impl Signals {
        /// Catches the signals until this is dropped.
        pub(super) fn catch() -> io::Result<Signals> {
            let mut caught = Signals {
                raised: Arc::default(),
                registered: Vec::new(),
            };
            for signal in SIGNALS {
                let id = register(signal, Arc::clone(&caught.raised))?;
                caught.registered.push(id);
            }
            Ok(caught)
        }

        /// Returns where to look for signals without taking them.
        pub(super) fn arrivals(&self) -> &Arc<Arrivals> {
            &self.raised
        }

        /// Does nothing: no event tells of a flag.
        pub(super) fn watch(&mut self, _slot: Slot, _reactor: &mut Reactor) -> io::Result<()> {
            Ok(())
        }

        /// Lowers the flag, and returns how many signals there were, as far as it knows.
        ///
        /// It looks whatever the hint says, because no event sets the hint. It clears the hint, or
        /// the loop would never sleep.
        pub(super) fn take(&mut self, readiness: &mut Readiness) -> usize {
            readiness.readable = false;
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
