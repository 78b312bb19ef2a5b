//! What ends the waits of blocking handlers when their server stops.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use mio::Waker;

use crate::reactor::Alarm;

/// Shared by a server and the [waiters](super::Waiter) of its handlers.
#[derive(Debug, Default)]
pub(crate) struct Interrupts {
    /// Whether requests to stop are for the handler on the loop. They are not during
    /// `handle_request`, which leaves them to the next run ([SHUT-11]).
    ///
    /// [SHUT-11]: crate::spec#shut-11
    heeded: AtomicBool,
    /// Whether the server is closed, so that no thread may wait for a client any more.
    closed: AtomicBool,
    /// What else there is.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Each ends the wait of one waiter.
    alarms: Vec<Alarm>,
    /// Where the signals arrive that the server catches. The server owns it.
    arrivals: Weak<Arrivals>,
    /// How long the first signal lets the server drain; `None`: the first signal stops it.
    patience: Option<Duration>,
}

/// The end of a pipe that has a byte for each signal that the loop has not taken yet.
#[cfg(unix)]
pub(crate) type Arrivals = std::os::unix::net::UnixStream;

/// The flag that a signal sets, until the loop takes it.
#[cfg(not(unix))]
pub(crate) type Arrivals = AtomicBool;

impl Interrupts {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock is fine: nothing panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, this waker is woken when something may have changed.
    pub(crate) fn subscribe(&self, waker: &Arc<Waker>) {
        let mut state = self.lock();
        state.alarms.retain(|alarm| !alarm.is_gone());
        state.alarms.push(Alarm::new(waker));
    }

    /// Has every waiter look again. If one cannot be woken, the others are woken nevertheless.
    pub(crate) fn wake(&self) -> io::Result<()> {
        let state = self.lock();
        let woken = state.alarms.iter().map(Alarm::wake);
        woken.fold(Ok(()), io::Result::and)
    }

    /// Sets whether requests to stop are for the handler on the loop.
    pub(crate) fn set_heeded(&self, heeded: bool) {
        self.heeded.store(heeded, Ordering::Relaxed); // read on the same thread
    }

    pub(crate) fn are_heeded(&self) -> bool {
        self.heeded.load(Ordering::Relaxed)
    }

    /// Ends every wait on a thread, now and from now on.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Err(error) = self.wake() {
            log::error!("cannot wake the threads of a server that is closed: {error}");
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// From now on, the server catches the signals that arrive there.
    pub(crate) fn set_signals(&self, arrivals: &Arc<Arrivals>, patience: Option<Duration>) {
        let mut state = self.lock();
        state.arrivals = Arc::downgrade(arrivals);
        state.patience = patience;
    }

    /// Returns where the signals arrive, if the server catches them, and its patience.
    pub(crate) fn signals(&self) -> Option<(Arc<Arrivals>, Option<Duration>)> {
        let state = self.lock();
        Some((state.arrivals.upgrade()?, state.patience))
    }
}
