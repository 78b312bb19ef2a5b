//! Stopping: a channel that carries the request, and an event, `is_shut_down`, that tells of the
//! end.
//!
//! Python keeps a flag and a `threading.Event`. Here the flag is a channel with one place. A
//! request lies in it until the run that it ends takes it out. A request made before the loop
//! starts is therefore latched and ends the next run immediately ([SHUT-5], [SHUT-6]), and a second
//! request changes nothing ([SHUT-7]). A second channel of this kind carries requests for a drain,
//! which ends in a request to stop.
//!
//! The event is a condition variable with a state behind a mutex. A run that ends does three
//! things under the mutex: it takes the request out, notes that it is over, and counts itself. A
//! request is made under the same mutex. Each request therefore belongs either to the run that is
//! ending or to the next one, never to both or to none. A waiter waits until *its* run is counted.
//! If it waited for a flag instead, a restart could clear the flag before the waiter wakes
//! ([SHUT-7]). In `tests.rs`, loom tries every interleaving of this.
//!
//! [SHUT-5]: crate::spec#shut-5
//! [SHUT-6]: crate::spec#shut-6
//! [SHUT-7]: crate::spec#shut-7

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::sync::thread::{self, ThreadId};
use super::sync::{Condvar, Mutex, MutexGuard, Receiver, Sender, bounded};

/// Stops a server: from any thread, from a handler, or before the server starts.
///
/// There are two ways to stop, and they differ in what happens to open connections:
///
/// - [`request`](Self::request) and [`shutdown`](Self::shutdown) stop the loop. Open connections
///   stay as they are, even in the middle of a response. You can call `serve_forever` again, which
///   continues with these connections.
/// - [`request_drain`](Self::request_drain) and [`drain`](Self::drain) let clients finish first:
///   no response is cut off, unless it takes longer than your patience.
///
/// A plain stop loses output if you drop the server after it: what is not sent yet is never sent.
///
/// | A connection | `request`, `shutdown` | `request_drain`, `drain` | drop, `server_close` |
/// | --- | --- | --- | --- |
/// | in the listener's queue | stays there | is accepted, and goes on in the next rows | is reset |
/// | that is idle | stays open | is closed | is closed |
/// | with a request that has arrived | waits for the next run | gets its response, is closed | is closed without a response |
/// | with half a request | waits for the next run | may send the rest, gets its response, is closed | is closed without a response |
/// | with half a response | waits for the next run | gets the rest, is closed | loses the rest |
/// | of an HTTP handler on a worker | its response waits for the next run | gets its response, is closed | loses its response, unless [`block_on_close`](crate::http::ThreadedHttp::block_on_close) is set |
/// | of an [`Inline`](super::Inline) handler | is served to the end, but no wait for its client | is served to the end | is closed already |
/// | of a [`Threading`](super::Threading) thread | is served meanwhile | is served to the end | is served to the end, but no wait for its client; the drop waits for it, unless [`block_on_close(false)`](super::Threading::block_on_close) is set |
/// | that was upgraded | waits for the next run | is [told](super::Protocol::drain), and ends the conversation itself | is closed |
///
/// A drain looks once more before it decides that a connection is idle, and closes the listener when
/// its queue is empty. So no request is lost that was sent before the drain began. A client that the
/// drain accepts has a moment to send its request. A client that connects or sends later may come too
/// late: it is refused, closed without a response, or reset ([SHUT-14]).
///
/// A drain takes until the last connection is closed, so a client that does not close its end delays it
/// by up to [`EventedSettings::linger`](super::EventedSettings::linger), which is 2 s. It has its whole
/// response by then. But it may have sent a further request before it saw `Connection: close`. If the
/// server closed over such a request, the system would reset the connection, and the client could lose
/// the end of the response ([TCP-8]). A client that reads the response closes its end at once.
///
/// When the patience of a drain is over, the connections that are still open are reset, and so are
/// those that are still queued. A blocking handler that waits for its client gets an error. Otherwise
/// a thread of `Threading` goes on, but nothing waits for it.
///
/// A loop cannot stop while one of its handlers computes or sleeps. With [`Inline`](super::Inline),
/// `shutdown` and `drain` therefore wait until the current handler has returned. They end its waits for
/// the client, so a silent client delays nothing ([SHUT-4]).
///
/// A handle is a reference: clones stop the same server, and it stays valid when the server is
/// gone. It keeps none of the server's descriptors open.
///
/// [SHUT-4]: crate::spec#shut-4
/// [SHUT-14]: crate::spec#shut-14
/// [TCP-8]: crate::spec#tcp-8
#[derive(Clone)]
pub struct ShutdownHandle {
    /// Shared with the loop and all other handles.
    shared: Arc<Shared>,
}

/// Why a call returned without knowing that the loop had ended as asked.
///
/// If the call makes a request, the request was made in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotStopped {
    /// No loop was running. The request is kept, and ends the next run immediately ([SHUT-5]).
    ///
    /// This also happens if you start a thread yourself, and call `shutdown` before the thread has
    /// entered the loop. With [`Server::spawn`](super::Server::spawn) it does not happen. A program
    /// that calls `turn` holds a [`Run`], so that its loop counts as running.
    ///
    /// [SHUT-5]: crate::spec#shut-5
    NotRunning,
    /// The caller is the loop's own thread, which cannot wait for itself. The loop ends when the
    /// handler or hook returns ([SHUT-8]).
    ///
    /// [SHUT-8]: crate::spec#shut-8
    OnLoopThread,
    /// The loop was still running when the timeout was over.
    TimedOut,
    /// The loop has ended, but before the drain was over: another caller asked it to stop
    /// immediately, or it failed.
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

/// The result of a drain: what happened to the connections that were open when it began, or that it
/// has taken from the listener's queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// How many were closed in time: the idle ones immediately, the others after their responses. One
    /// that was taken from the queue and refused, by a hook or for want of room, is among them.
    pub finished: usize,
    /// How many ended early: the client disconnected before it had everything, or did not read, or the
    /// protocol [reset](super::Next::Abort) the connection or panicked. A request of a
    /// [`Threading`](super::Threading) thread is never one of them, because only its handler knows.
    pub broken_off: usize,
    /// How many were still open when the patience was over, and were reset.
    pub aborted: usize,
    /// How many of all these had been upgraded to another protocol when the drain began.
    pub upgraded: usize,
}

/// A request for the loop to stop.
#[derive(Debug)]
struct Stop;

/// The part that the loop and all handles share.
struct Shared {
    /// Holds the request to stop, if there is one.
    stops: Sender<Stop>,
    /// Each request for a drain carries the time at which its patience is over.
    drains: Sender<Instant>,
    /// Ends the loop's wait. If the loop does not wait, this ends its next wait.
    wake: Box<dyn Fn() -> io::Result<()> + Send + Sync>,
    /// The runs of the loop.
    runs: Mutex<Runs>,
    /// Notified when a run ends.
    is_shut_down: Condvar,
}

/// The runs of the loop: the present one, and those that have ended.
#[derive(Debug, Default)]
struct Runs {
    /// Whether a loop runs, and on which thread.
    running: Loop,
    /// How many runs have ended.
    ended: u64,
    /// When everything has to be over, because of the requests of this run.
    asked: Option<Instant>,
    /// The result of the last drain, and how many runs had ended before the run that it ended.
    drained: Option<(u64, Drained)>,
}

/// Whether a loop runs, and on which thread.
#[derive(Debug, Default, Clone, Copy)]
enum Loop {
    /// None runs.
    #[default]
    Stopped,
    /// A run has begun, and its thread is being started.
    Starting,
    /// This thread has begun it, or had its last turn.
    On(ThreadId),
}

impl ShutdownHandle {
    /// Asks the loop to stop, and returns immediately.
    ///
    /// The loop ends at its next test and accepts no further client ([SHUT-3]). Output that is not
    /// sent by then stays in memory, and is lost if you drop the server. A handler that wants its
    /// own response to be sent calls [`request_drain`](Self::request_drain) instead.
    ///
    /// [SHUT-3]: crate::spec#shut-3
    pub fn request(&self) {
        self.ask(Ask::Stop);
    }

    /// Asks the loop to drain, and returns immediately; see [`drain`](Self::drain).
    pub fn request_drain(&self, patience: Duration) {
        self.ask(Ask::Drain(patience));
    }

    /// Asks the loop to stop, and waits until it has stopped.
    ///
    /// The listener stays open: new clients wait in its queue until the server runs again or is
    /// dropped ([SHUT-9]). Output that is not sent yet is lost if you drop the server:
    /// [`drain`](Self::drain) sends it. Handlers on other threads are not waited for ([SHUT-10]).
    ///
    /// # Errors
    ///
    /// Returns [`NotStopped::NotRunning`] if no loop is running, and
    /// [`NotStopped::OnLoopThread`] if the caller is the loop's own thread.
    ///
    /// [SHUT-9]: crate::spec#shut-9
    /// [SHUT-10]: crate::spec#shut-10
    pub fn shutdown(&self) -> Result<(), NotStopped> {
        let asked = self.ask(Ask::Stop);
        self.wait_for(asked, None).map(drop)
    }

    /// Like [`shutdown`](Self::shutdown), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`shutdown`](Self::shutdown), and [`NotStopped::TimedOut`] if the
    /// loop is still running when the timeout is over.
    pub fn shutdown_timeout(&self, timeout: Duration) -> Result<(), NotStopped> {
        let asked = self.ask(Ask::Stop);
        self.wait_for(asked, Some(timeout)).map(drop)
    }

    /// Waits until the loop has ended, and requests nothing. Python's `is_shut_down.wait()`.
    ///
    /// Returns immediately if no loop is running.
    ///
    /// # Errors
    ///
    /// Returns [`NotStopped::OnLoopThread`] if the caller is the loop's own thread.
    pub fn wait(&self) -> Result<(), NotStopped> {
        ended(self.wait_for(self.look(), None))
    }

    /// Like [`wait`](Self::wait), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`wait`](Self::wait), and [`NotStopped::TimedOut`] if the loop is still
    /// running when the timeout is over.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), NotStopped> {
        ended(self.wait_for(self.look(), Some(timeout)))
    }

    /// Asks the loop to finish the requests that clients have sent or begun, and waits until it has
    /// stopped.
    ///
    /// The loop closes the idle connections, accepts the clients that are queued in the listener, and
    /// closes it. A request that has begun gets its response, with `Connection: close`. Connections
    /// that are still open after `patience` are reset. The server cannot be started again
    /// afterwards.
    ///
    /// A client that has its response, and does not close its end of the connection, delays this by up
    /// to [`EventedSettings::linger`](super::EventedSettings::linger), which is 2 s; see
    /// [`ShutdownHandle`]. With a shorter `patience` its connection is reset at that time, and counts as
    /// [aborted](Drained::aborted).
    ///
    /// With [`Inline`](super::Inline), a queued client that says nothing delays the drain, as it
    /// delays everybody else ([LOOP-17]).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`shutdown`](Self::shutdown), and [`NotStopped::NotDrained`] if the
    /// loop ended before the drain was over.
    ///
    /// [LOOP-17]: crate::spec#loop-17
    pub fn drain(&self, patience: Duration) -> Result<Drained, NotStopped> {
        let asked = self.ask(Ask::Drain(patience));
        self.wait_for(asked, None)?.ok_or(NotStopped::NotDrained)
    }

    /// Returns the result of the last drain, also if another caller or a signal asked for it.
    /// `None` if no drain has come to its end.
    pub fn drained(&self) -> Option<Drained> {
        self.shared.lock().drained.map(|(_, drained)| drained)
    }

    /// Returns when everything has to be over, because of the requests that were made: immediately,
    /// or when the patience of a drain is over. `None` if there was no request.
    pub(crate) fn asked(&self) -> Option<Instant> {
        self.shared.lock().asked
    }

    /// Returns whether a loop runs, and how many runs have ended.
    fn look(&self) -> (Loop, u64) {
        let runs = self.shared.lock();
        (runs.running, runs.ended)
    }

    /// Makes the request. Returns whether a loop was running, and how many runs had ended.
    fn ask(&self, ask: Ask) -> (Loop, u64) {
        let asked = {
            let mut runs = self.shared.lock();
            let (until, stops) = match ask {
                Ask::Stop => (Instant::now(), true),
                Ask::Drain(patience) => (after(patience), false),
            };
            if stops || runs.asked.is_none() {
                runs.asked = Some(until);
            }
            // Ignore the error: a full channel holds such a request already, and the first counts.
            let _ = match stops {
                true => self.shared.stops.try_send(Stop).is_ok(),
                false => self.shared.drains.try_send(until).is_ok(),
            };
            (runs.running, runs.ended)
        };
        if let Err(error) = (self.shared.wake)() {
            log::error!("cannot wake the loop for a shutdown: {error}");
        }
        asked
    }

    /// Waits until a run has ended that was running when `ended` runs had. Returns the result of its
    /// drain.
    fn wait_for(
        &self,
        (running, ended): (Loop, u64),
        timeout: Option<Duration>,
    ) -> Result<Option<Drained>, NotStopped> {
        let deadline = timeout.map(after);
        match running {
            Loop::Stopped => return Err(NotStopped::NotRunning),
            Loop::On(thread) if thread == thread::current().id() => {
                return Err(NotStopped::OnLoopThread);
            }
            Loop::On(_) | Loop::Starting => {}
        }
        let mut runs = self.shared.lock();
        while runs.ended == ended {
            runs = match deadline {
                None => wait(&self.shared.is_shut_down, runs),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(NotStopped::TimedOut);
                    }
                    wait_timeout(&self.shared.is_shut_down, runs, left)
                }
            };
        }
        let drained = runs.drained.filter(|(run, _)| *run == ended);
        Ok(drained.map(|(_, drained)| drained))
    }
}

/// A loop that does not run has ended: for a caller that only waits, this is no error.
fn ended(waited: Result<Option<Drained>, NotStopped>) -> Result<(), NotStopped> {
    match waited {
        Ok(_) | Err(NotStopped::NotRunning) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A request to the loop.
enum Ask {
    /// Stop now.
    Stop,
    /// Drain, with this patience.
    Drain(Duration),
}

/// Returns the end of a wait that begins now. If the clock cannot express it, a century is enough.
fn after(patience: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    let now = Instant::now();
    now.checked_add(patience).unwrap_or_else(|| now + CENTURY)
}

impl fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.shared.lock();
        f.debug_struct("ShutdownHandle")
            .field("running", &runs.running)
            .field("ended", &runs.ended)
            .finish()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Runs> {
        // A poisoned lock is fine: nothing panics between two changes that belong together.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait<'a>(event: &Condvar, runs: MutexGuard<'a, Runs>) -> MutexGuard<'a, Runs> {
    event.wait(runs).unwrap_or_else(PoisonError::into_inner)
}

fn wait_timeout<'a>(
    event: &Condvar,
    runs: MutexGuard<'a, Runs>,
    timeout: Duration,
) -> MutexGuard<'a, Runs> {
    let waited = event.wait_timeout(runs, timeout);
    waited.unwrap_or_else(PoisonError::into_inner).0
}

/// The loop's end of the channels and the event.
#[derive(Debug)]
pub(crate) struct Control {
    /// The requests that have arrived.
    asked: Asked,
    /// The other end, for this loop's own use.
    handle: ShutdownHandle,
    /// A run that has begun before its thread.
    announced: Option<Run>,
    /// The thread of the last turn. It saves a lock in each turn.
    thread: Option<ThreadId>,
}

/// The requests that lie in the channels.
#[derive(Debug, Clone)]
struct Asked {
    /// A request to stop.
    stops: Receiver<Stop>,
    /// A request to drain, with the time at which its patience is over.
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
    /// `wake` ends the wait of the loop, or its next wait.
    pub(crate) fn new(wake: Box<dyn Fn() -> io::Result<()> + Send + Sync>) -> Control {
        let (stop_sender, stops) = bounded(1);
        let (drain_sender, drains) = bounded(1);
        let shared = Shared {
            stops: stop_sender,
            drains: drain_sender,
            wake,
            runs: Mutex::default(),
            is_shut_down: Condvar::new(),
        };
        let handle = ShutdownHandle {
            shared: Arc::new(shared),
        };
        Control {
            asked: Asked { stops, drains },
            handle,
            announced: None,
            thread: None,
        }
    }

    pub(crate) fn handle(&self) -> ShutdownHandle {
        self.handle.clone()
    }

    /// Python's `__shutdown_request`: whether a request lies in the channel.
    pub(crate) fn shutdown_requested(&self) -> bool {
        !self.asked.stops.is_empty()
    }

    /// Returns whether a request for a drain lies in the channel.
    pub(crate) fn drain_requested(&self) -> bool {
        !self.asked.drains.is_empty()
    }

    /// Takes a request for a drain out. Returns when its patience is over.
    pub(crate) fn take_drain(&self) -> Option<Instant> {
        self.asked.drains.try_recv().ok()
    }

    /// A drain is over. The callers that asked for it get this result when the run has ended.
    pub(crate) fn drained(&self, drained: Drained) {
        let mut runs = self.handle.shared.lock();
        runs.drained = Some((runs.ended, drained));
    }

    /// Takes back the requests that no run has taken out yet ([SHUT-6]).
    ///
    /// [SHUT-6]: crate::spec#shut-6
    pub(crate) fn clear(&self) {
        let mut runs = self.handle.shared.lock();
        self.asked.clear();
        runs.asked = None;
    }

    /// A run begins. This clears `is_shut_down`, but not the request ([LOOP-3]).
    ///
    /// # Errors
    ///
    /// Returns `ResourceBusy` if a loop is running already ([LOOP-16]).
    ///
    /// [LOOP-3]: crate::spec#loop-3
    /// [LOOP-16]: crate::spec#loop-16
    pub(crate) fn begin_run(&mut self) -> io::Result<Run> {
        let here = Loop::On(thread::current().id());
        self.thread = None;
        match self.announced.take() {
            Some(run) => {
                run.handle.shared.lock().running = here;
                Ok(run)
            }
            None => self.begin(here),
        }
    }

    /// A run begins, which another thread will take over. Whoever asks for a stop from now on waits
    /// for it.
    ///
    /// # Errors
    ///
    /// Like [`begin_run`](Self::begin_run).
    pub(crate) fn announce_run(&mut self) -> io::Result<()> {
        self.announced = Some(self.begin(Loop::Starting)?);
        Ok(())
    }

    /// A turn begins on this thread, which may not wait for the end of the run from now on. The
    /// run may have begun on another. Returns whether this is news: the last turn was on another
    /// thread, or a run has begun since.
    pub(crate) fn attend(&mut self) -> bool {
        let here = thread::current().id();
        if self.thread == Some(here) {
            return false;
        }
        self.thread = Some(here);
        let mut runs = self.handle.shared.lock();
        if let Loop::On(_) = runs.running {
            runs.running = Loop::On(here);
        }
        true
    }

    fn begin(&self, running: Loop) -> io::Result<Run> {
        let mut runs = self.handle.shared.lock();
        if !matches!(runs.running, Loop::Stopped) {
            let error = "a loop is running on this server already";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, error));
        }
        runs.running = running;
        drop(runs);
        Ok(Run {
            asked: self.asked.clone(),
            handle: self.handle(),
        })
    }
}

/// A run of a loop. Made by [`Engine::begin_run`](super::Engine::begin_run).
///
/// While it exists, the server counts as running. Dropping it takes the requests out and then sets
/// `is_shut_down`, whether the loop ends by a return, by a failure or by a panic ([LOOP-4]).
///
/// [LOOP-4]: crate::spec#loop-4
#[derive(Debug)]
#[must_use = "the run ends when this is dropped"]
pub struct Run {
    /// The requests, to be taken out.
    asked: Asked,
    /// Holds the event to be set.
    handle: ShutdownHandle,
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut runs = self.handle.shared.lock();
        self.asked.clear();
        runs.asked = None;
        runs.running = Loop::Stopped;
        runs.ended += 1;
        self.handle.shared.is_shut_down.notify_all();
    }
}

#[cfg(test)]
mod tests;
