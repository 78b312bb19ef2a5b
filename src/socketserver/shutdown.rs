//! Stopping: a channel that carries the request, and the `is_shut_down` event that answers it.
//!
//! Python keeps a flag and a `threading.Event`. Here the flag is a channel of one place: a
//! request lies in it until the run that it ends takes it out. So a request made before the loop
//! starts is latched and ends the next run at once (SHUT-5, SHUT-6), and a second one changes
//! nothing (SHUT-7). A second such channel asks for a drain, which ends in a request.
//!
//! The event is a state behind a mutex, and a condition variable. A run that ends takes the
//! request out, says that it is over and counts itself, all under the mutex; a request is made
//! under the same mutex. So each request belongs either to the run that is ending or to the next
//! one, never to both or neither; and a waiter waits for *its* run to be counted, not for a flag
//! that a restart could clear again before it wakes (SHUT-7). `tests.rs` has loom try every
//! interleaving of this.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::sync::thread::{self, ThreadId};
use super::sync::{Condvar, Mutex, MutexGuard, Receiver, Sender, bounded};

/// Stops a server, from any thread, a handler, or before it starts. Cloned freely.
#[derive(Clone)]
pub struct ShutdownHandle {
    shared: Arc<Shared>,
}

/// Why the loop is not known to have ended. The request was made in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotStopped {
    /// No loop was running: the request is latched and ends the next run at once (SHUT-5).
    NotRunning,
    /// The caller is the loop's own thread, which cannot wait for itself (SHUT-8).
    OnLoopThread,
    /// The loop was still running when the time was up.
    TimedOut,
    /// The loop has ended, but before the drain was over: somebody asked it to stop at once, or
    /// it failed.
    NotDrained,
}

impl fmt::Display for NotStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotStopped::NotRunning => "no loop is running; the next run will end at once",
            NotStopped::OnLoopThread => "the loop ends when the caller returns to it",
            NotStopped::TimedOut => "the loop is still running",
            NotStopped::NotDrained => "the loop ended before it had drained",
        })
    }
}

impl Error for NotStopped {}

/// What became of the connections that were open when a server began to drain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Closed by themselves in time: idle at once, the others when their answers were sent.
    pub finished: usize,
    /// Still open when the patience was over, and reset.
    pub aborted: usize,
    /// Of all of them, those that had been upgraded to another protocol.
    pub upgraded: usize,
}

/// A request for the loop to stop.
#[derive(Debug)]
struct Stop;

struct Shared {
    stops: Sender<Stop>,
    /// Each asks for a drain that ends at the given time.
    drains: Sender<Instant>,
    /// Ends the loop's wait, and is remembered if it does not wait.
    wake: Box<dyn Fn() -> io::Result<()> + Send + Sync>,
    state: Mutex<State>,
    is_shut_down: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The thread of the loop that is running.
    running: Option<ThreadId>,
    /// How many runs have ended.
    ended: u64,
    /// What the last drain came to, and how many runs had ended before the one that it ended.
    drained: Option<(u64, Drained)>,
}

impl ShutdownHandle {
    /// Asks the loop to stop and returns at once.
    ///
    /// The loop ends at its next test, without accepting anything more (SHUT-3).
    pub fn request(&self) {
        self.ask(Ask::Stop);
    }

    /// Asks the loop to drain and returns at once; see [`drain`](Self::drain).
    pub fn request_drain(&self, patience: Duration) {
        self.ask(Ask::Drain(patience));
    }

    /// Asks the loop to stop and waits until it has.
    ///
    /// Does not close the listener: clients queue until it is closed or served again (SHUT-9).
    ///
    /// # Errors
    ///
    /// If there was nothing to wait for, or nobody who could: see [`NotStopped`].
    pub fn shutdown(&self) -> Result<(), NotStopped> {
        self.ask_and_wait(Ask::Stop, None).map(drop)
    }

    /// Asks the loop to stop and waits until it has, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`shutdown`](Self::shutdown), and [`NotStopped::TimedOut`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), NotStopped> {
        self.ask_and_wait(Ask::Stop, Some(timeout)).map(drop)
    }

    /// Asks the loop to finish what clients have begun, and waits until it has and has stopped.
    ///
    /// The listener is closed, and so are idle connections; a request that has begun is answered,
    /// with `Connection: close`. What is still open after `patience` is reset. The server cannot
    /// be started again afterwards.
    ///
    /// # Errors
    ///
    /// As [`shutdown`](Self::shutdown), and [`NotStopped::NotDrained`].
    pub fn drain(&self, patience: Duration) -> Result<Drained, NotStopped> {
        let drained = self.ask_and_wait(Ask::Drain(patience), None)?;
        drained.ok_or(NotStopped::NotDrained)
    }

    /// What became of the connections when the server was drained, whoever asked for it; `None`
    /// if it was not, or not to the end.
    pub fn drained(&self) -> Option<Drained> {
        self.shared.lock().drained.map(|(_, drained)| drained)
    }

    /// Makes the request; answers the state it was made in.
    fn ask(&self, ask: Ask) -> (Option<ThreadId>, u64) {
        let asked = {
            let state = self.shared.lock();
            // A full channel holds such a request already, and the first one counts.
            let _ = match ask {
                Ask::Stop => self.shared.stops.try_send(Stop).is_ok(),
                Ask::Drain(patience) => self.shared.drains.try_send(after(patience)).is_ok(),
            };
            (state.running, state.ended)
        };
        if let Err(error) = (self.shared.wake)() {
            log::error!("cannot wake the loop for a shutdown: {error}");
        }
        asked
    }

    /// Makes the request and waits until the run has ended; what its drain came to.
    fn ask_and_wait(
        &self,
        ask: Ask,
        timeout: Option<Duration>,
    ) -> Result<Option<Drained>, NotStopped> {
        let deadline = timeout.map(after);
        let (running, ended) = self.ask(ask);
        match running {
            None => return Err(NotStopped::NotRunning),
            Some(thread) if thread == thread::current().id() => {
                return Err(NotStopped::OnLoopThread);
            }
            Some(_) => {}
        }
        let mut state = self.shared.lock();
        while state.ended == ended {
            state = match deadline {
                None => wait(&self.shared.is_shut_down, state),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(NotStopped::TimedOut);
                    }
                    wait_timeout(&self.shared.is_shut_down, state, left)
                }
            };
        }
        let drained = state.drained.filter(|(run, _)| *run == ended);
        Ok(drained.map(|(_, drained)| drained))
    }
}

/// What can be asked of a loop.
enum Ask {
    Stop,
    Drain(Duration),
}

/// When a wait that begins now is over; one without a sensible end lasts for a century.
fn after(patience: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    let now = Instant::now();
    now.checked_add(patience).unwrap_or_else(|| now + CENTURY)
}

impl fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("ShutdownHandle")
            .field("running", &state.running)
            .field("ended", &state.ended)
            .finish()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole at every moment, so a panic elsewhere cannot have broken it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait<'a>(event: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    event.wait(state).unwrap_or_else(PoisonError::into_inner)
}

fn wait_timeout<'a>(
    event: &Condvar,
    state: MutexGuard<'a, State>,
    timeout: Duration,
) -> MutexGuard<'a, State> {
    let waited = event.wait_timeout(state, timeout);
    waited.unwrap_or_else(PoisonError::into_inner).0
}

/// The loop's end of the channels and the event.
#[derive(Debug)]
pub(crate) struct Control {
    asked: Asked,
    handle: ShutdownHandle,
}

/// What lies in the channels.
#[derive(Debug, Clone)]
struct Asked {
    stops: Receiver<Stop>,
    drains: Receiver<Instant>,
}

impl Asked {
    /// Takes everything out.
    fn clear(&self) {
        let _ = self.stops.try_recv();
        let _ = self.drains.try_recv();
    }
}

impl Control {
    /// `wake` ends the wait of the loop.
    pub(crate) fn new(wake: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> Control {
        let (stop_sender, stops) = bounded(1);
        let (drain_sender, drains) = bounded(1);
        let shared = Shared {
            stops: stop_sender,
            drains: drain_sender,
            wake: Box::new(wake),
            state: Mutex::default(),
            is_shut_down: Condvar::new(),
        };
        let handle = ShutdownHandle {
            shared: Arc::new(shared),
        };
        Control {
            asked: Asked { stops, drains },
            handle,
        }
    }

    pub(crate) fn handle(&self) -> ShutdownHandle {
        self.handle.clone()
    }

    /// Python's `__shutdown_request`: whether a request lies in the channel.
    pub(crate) fn shutdown_requested(&self) -> bool {
        !self.asked.stops.is_empty()
    }

    /// Whether a request for a drain lies in the channel.
    pub(crate) fn drain_requested(&self) -> bool {
        !self.asked.drains.is_empty()
    }

    /// Takes a request for a drain out: until when it may last.
    pub(crate) fn take_drain(&self) -> Option<Instant> {
        self.asked.drains.try_recv().ok()
    }

    /// A drain is over: whoever asked for it reads this when the run has ended.
    pub(crate) fn drained(&self, drained: Drained) {
        let mut state = self.handle.shared.lock();
        state.drained = Some((state.ended, drained));
    }

    /// Takes back a request that no run has answered yet (SHUT-6).
    pub(crate) fn clear(&self) {
        let _state = self.handle.shared.lock();
        self.asked.clear();
    }

    /// A run begins: clears `is_shut_down`, and does not clear the request (LOOP-3).
    pub(crate) fn run(&self) -> Running {
        let mut state = self.handle.shared.lock();
        state.running = Some(thread::current().id());
        drop(state);
        Running {
            asked: self.asked.clone(),
            handle: self.handle(),
        }
    }
}

/// A run of the loop. However it ends, by a return, a failure or a panic, dropping this takes the
/// request out and then sets `is_shut_down` (LOOP-4).
#[derive(Debug)]
pub(crate) struct Running {
    asked: Asked,
    handle: ShutdownHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.handle.shared.lock();
        self.asked.clear();
        state.running = None;
        state.ended += 1;
        self.handle.shared.is_shut_down.notify_all();
    }
}

#[cfg(test)]
mod tests;
