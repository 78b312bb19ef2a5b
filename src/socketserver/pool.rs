//! A bounded pool of threads. It knows neither sockets nor protocols.
//!
//! Two places use it: [`Threading`](super::Threading) runs whole requests on one, and HTTP runs
//! handlers that block on one ([`Response::offload`](crate::http::Response::offload)).
//!
//! ```text
//! submit: takes a place, queues the job ──▶ a thread runs it ──▶ the place is free again
//! push:   queues the job, without a place ─▶ a thread runs it
//! ```
//!
//! A *place* is the right to be open. There is one for each thread and one for each job that may
//! wait. So the queue is bounded by the places, and needs no bound of its own.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::Waker;

use super::budget::complain;
use super::failure::Panic;

/// How many threads a pool has at most unless told otherwise: 32, the most that Python's
/// `ThreadPoolExecutor` starts by default. Jobs that block mostly wait, so this is more than there
/// are processors (waitress 4, Tomcat 200). The stacks of idle threads cost address space only.
const THREADS: usize = 32;

/// How many jobs wait for a thread unless told otherwise. With jobs of 100 ms and four threads, the
/// last of them waits a second and a half. Longer than that, few clients wait.
const QUEUE_LENGTH: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// A bounded pool of threads, for work that blocks.
///
/// Hand one to [`Response::offload`](crate::http::Response::offload) or
/// [`Pooled`](crate::http::Pooled) to run HTTP handlers on it. Your own
/// [`Protocol`](super::Protocol) must not block; it can submit a job and receive the result through
/// its [`Mailbox`](super::Mailbox).
///
/// ```
/// use std::sync::mpsc;
/// use serve_forever::socketserver::Pool;
///
/// let pool = Pool::new().threads(4).queue_length(100);
/// let (sender, receiver) = mpsc::channel();
/// pool.submit(move || sender.send(6 * 7).unwrap())?;
/// assert_eq!(receiver.recv(), Ok(42));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Threads
///
/// A thread starts when a job comes and every other thread is busy. So a pool that is never used
/// has no threads, and making one cannot fail. A thread stays until the pool is closed, and
/// survives whatever a job does: if a job panics, the panic is logged.
///
/// # Handles
///
/// A `Pool` is a handle. Its clones share the threads; the settings belong to each handle, so set
/// them before you clone it. When the last handle is dropped, the pool is closed: its threads end
/// when the queue is empty. Nothing waits for them, unless you call [`join`](Self::join).
#[derive(Clone)]
pub struct Pool {
    settings: Arc<Settings>,
    handle: Arc<Handle>,
}

#[derive(Debug, Clone)]
struct Settings {
    /// The most threads that this handle starts; at least one.
    threads: usize,
    /// How many jobs may wait beyond those that have a thread.
    queue_length: usize,
    /// The stack of each thread in bytes; `None`: the standard library's 2 MiB.
    stack_size: Option<usize>,
    /// The name of each thread, before its number.
    thread_name: String,
}

impl Pool {
    /// Makes a pool of at most 32 threads, with a queue of 64 jobs.
    #[must_use]
    pub fn new() -> Pool {
        Pool {
            settings: Arc::new(Settings {
                threads: THREADS,
                queue_length: QUEUE_LENGTH,
                stack_size: None,
                thread_name: "worker".to_owned(),
            }),
            handle: Arc::default(),
        }
    }

    /// Sets the most threads that the pool has: 32 by default, and at least one.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Pool {
        self.settings_mut().threads = threads.max(1);
        self
    }

    /// Sets how many jobs may wait for a thread: 64 by default. With `usize::MAX`, no job is ever
    /// refused.
    #[must_use]
    pub fn queue_length(mut self, queue_length: usize) -> Pool {
        self.settings_mut().queue_length = queue_length;
        self
    }

    /// Sets how many bytes of stack each new thread has, like Python's `threading.stack_size`. By
    /// default it is what the standard library gives a thread, 2 MiB.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Pool {
        self.settings_mut().stack_size = Some(bytes);
        self
    }

    /// Sets the name of each new thread, to which its number is added: `worker-1` by default.
    #[must_use]
    pub fn thread_name(mut self, name: impl Into<String>) -> Pool {
        self.settings_mut().thread_name = name.into();
        self
    }

    /// Runs `job` on one of the threads. The job holds a place until it returns.
    ///
    /// # Errors
    ///
    /// Returns why the job was not taken: see [`Overloaded`].
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Overloaded> {
        let job = move |(), _place| job();
        self.submit_with((), job)
            .map_err(|((), overloaded)| overloaded)
    }

    /// Runs `job` on one of the threads, with `input`, which comes back if the job is not taken.
    ///
    /// The job gets its [`Place`], too, and decides when the place is free: a job that reports to a
    /// client drops it *before* it does, because the client may send its next request at once.
    ///
    /// # Errors
    ///
    /// Returns `input`, and why the job was not taken: see [`Overloaded`].
    pub fn submit_with<I: Send + 'static>(
        &self,
        input: I,
        job: impl FnOnce(I, Place) + Send + 'static,
    ) -> Result<(), (I, Overloaded)> {
        let Some(place) = Place::take(&self.handle.0, self.room()) else {
            return Err((input, Overloaded::Full));
        };
        // The place is given back after the lock, for that may wake a loop.
        let mut state = self.handle.0.lock();
        if state.closed {
            drop(state);
            return Err((input, Overloaded::Closed));
        }
        if let Err(error) = self.start_thread_for_one_more(&mut state) {
            drop(state);
            return Err((input, Overloaded::NoThread(error)));
        }
        state.queue.push_back(Box::new(move || job(input, place)));
        drop(state);
        self.handle.0.job_came.notify_one();
        Ok(())
    }

    /// Queues the next step of work that was submitted before. It needs no place, so it is never
    /// refused.
    ///
    /// Use this for work that goes on in steps and waits for a client in between, where the number
    /// of such works is bounded by something else. If the pool is closed and its threads have
    /// ended, the job is dropped.
    pub fn push(&self, job: impl FnOnce() + Send + 'static) {
        let job: Job = Box::new(job);
        let mut state = self.handle.0.lock();
        if state.closed && state.live == 0 {
            drop(state);
            return discard(job);
        }
        if !state.closed {
            if let Err(error) = self.start_thread_for_one_more(&mut state) {
                log::error!("no thread, so a job waits until there is one: {error}");
            }
        }
        state.queue.push_back(job);
        drop(state);
        self.handle.0.job_came.notify_one();
    }

    /// Returns whether every place is taken, so that [`submit`](Self::submit) refuses.
    pub fn is_full(&self) -> bool {
        self.open() >= self.room()
    }

    /// Returns how many jobs hold a place: those that run, and those that wait.
    pub fn open(&self) -> usize {
        self.handle.0.taken.load(Ordering::Acquire)
    }

    /// Returns how many jobs wait for a thread.
    pub fn waiting(&self) -> usize {
        self.handle.0.lock().queue.len()
    }

    /// Returns how many threads there are.
    pub fn live_threads(&self) -> usize {
        self.handle.0.lock().live
    }

    /// Closes the pool, for all its handles: no job is taken any more, and the threads end when the
    /// queue is empty.
    pub fn close(&self) {
        self.handle.0.close();
    }

    /// Drops the jobs that wait for a thread, unrun. Those that run go on.
    pub fn discard_waiting(&self) {
        let waiting = mem::take(&mut self.handle.0.lock().queue);
        waiting.into_iter().for_each(discard);
    }

    /// Closes the pool and waits until its threads have ended, but not longer than `patience`.
    /// Returns whether they have.
    ///
    /// Called by a job, this waits for the other threads and not for its own (THREAD-10).
    pub fn join(&self, patience: Option<Duration>) -> bool {
        let shared = &self.handle.0;
        shared.close();
        let ended = shared.wait(patience, |state, excused| state.live <= excused);
        let mut state = shared.lock();
        if state.live == 0 {
            let threads = mem::take(&mut state.threads);
            drop(state);
            for thread in threads {
                // Ignore the error: a thread does nothing after it has said that it ends.
                let _ = thread.join();
            }
        }
        ended
    }

    /// Waits until no job runs or waits, but not longer than `patience`. Returns whether that is
    /// so.
    ///
    /// The pool stays open. Called by a job, this waits for the other jobs and not for itself.
    pub fn wait_until_idle(&self, patience: Option<Duration>) -> bool {
        self.handle.0.wait(patience, |state, excused| {
            state.queue.is_empty() && state.live - state.idle <= excused
        })
    }

    /// Wakes a loop whenever a place becomes free. The first loop stays the one.
    pub(crate) fn wake_when_free(&self, waker: Arc<Waker>) {
        self.handle.0.waker.get_or_init(|| waker);
    }

    fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }

    fn room(&self) -> usize {
        let settings = &self.settings;
        settings.threads.saturating_add(settings.queue_length)
    }

    /// Starts a thread if the next job would find all of them busy, and there may be one more.
    fn start_thread_for_one_more(&self, state: &mut State) -> io::Result<()> {
        if state.idle > state.queue.len() || state.live >= self.settings.threads {
            return Ok(());
        }
        let name = format!("{}-{}", self.settings.thread_name, state.live + 1);
        let mut thread = thread::Builder::new().name(name);
        if let Some(bytes) = self.settings.stack_size {
            thread = thread.stack_size(bytes);
        }
        let shared = Arc::clone(&self.handle.0);
        state.started(thread.spawn(move || shared.work()))
    }
}

impl Default for Pool {
    fn default() -> Pool {
        Pool::new()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("threads", &self.settings.threads)
            .field("queue_length", &self.settings.queue_length)
            .field("live_threads", &self.live_threads())
            .field("open", &self.open())
            .finish_non_exhaustive()
    }
}

/// Why a [`Pool`] does not take a job.
#[derive(Debug)]
#[non_exhaustive]
pub enum Overloaded {
    /// Every thread is busy, and the queue is full.
    Full,
    /// There is no thread, and the system refuses to start one (THREAD-4). As long as one runs, a
    /// shortage of others is no error.
    NoThread(io::Error),
    /// The pool is closed.
    Closed,
}

impl fmt::Display for Overloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Overloaded::Full => f.write_str("every thread is busy and the queue is full"),
            Overloaded::NoThread(error) => write!(f, "no thread can be started: {error}"),
            Overloaded::Closed => f.write_str("the pool is closed"),
        }
    }
}

impl Error for Overloaded {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Overloaded::NoThread(error) => Some(error),
            Overloaded::Full | Overloaded::Closed => None,
        }
    }
}

/// A job's right to be open. Dropping it makes room for another job.
pub struct Place {
    shared: Arc<Shared>,
}

impl Place {
    fn take(shared: &Arc<Shared>, room: usize) -> Option<Place> {
        let more = |taken| (taken < room).then_some(taken + 1);
        let taken = &shared.taken;
        taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .ok()?;
        let shared = Arc::clone(shared);
        Some(Place { shared })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.taken.fetch_sub(1, Ordering::AcqRel);
        // A loop may be waiting for room here or below its server's own limit, for a free
        // descriptor, or for the last job of a drain.
        if let Some(Err(error)) = self.shared.waker.get().map(|waker| waker.wake()) {
            log::error!("cannot wake the loop for a free place: {error}");
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

/// What the clones of a pool have in common. Closes the pool when the last of them is dropped: the
/// threads have [`Shared`] themselves, so that cannot be the one to notice.
#[derive(Default)]
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What handles and threads have in common.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when the queue has a job more, and when the pool is closed.
    job_came: Condvar,
    /// Notified when what [`Shared::wait`] waits for may have come.
    thread_left: Condvar,
    /// How many places are taken.
    taken: AtomicUsize,
    /// The loop that is told when a place becomes free.
    waker: OnceLock<Arc<Waker>>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// The threads that were started and not joined.
    threads: Vec<JoinHandle<()>>,
    /// How many of them have not ended.
    live: usize,
    /// How many of those have no job, or are about to take one from the queue.
    idle: usize,
    /// How many calls wait in [`Shared::wait`].
    waiting: usize,
    /// How many of these are jobs' own.
    waiting_jobs: usize,
    /// Whether no job is taken any more.
    closed: bool,
    /// Whether the system refused the last thread that was asked for.
    short_of_threads: bool,
}

impl State {
    /// Notes a new thread. One that could not be started is an error only if there is no other
    /// (THREAD-4).
    fn started(&mut self, thread: io::Result<JoinHandle<()>>) -> io::Result<()> {
        let was_short = mem::replace(&mut self.short_of_threads, thread.is_err());
        match thread {
            Ok(thread) => {
                self.threads.push(thread);
                self.live += 1;
                self.idle += 1;
            }
            Err(error) if self.live == 0 => return Err(error),
            Err(error) if !was_short => {
                let count = self.live;
                log::error!("no thread beyond {count}: jobs wait for these: {error}");
            }
            Err(_) => {}
        }
        Ok(())
    }
}

impl Shared {
    /// No panic happens under the lock, so it is never poisoned with a state that is half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.job_came.notify_all();
    }

    /// The life of a thread: runs what is queued until the pool is closed and the queue is empty.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                state.idle -= 1;
                drop(state);
                // A job contains the panics that somebody hears of; the others are only logged.
                survive("a job of a pool", job);
                state = self.lock();
                state.idle += 1;
                if state.waiting > 0 {
                    self.thread_left.notify_all();
                }
            } else if state.closed {
                break;
            } else {
                state = self
                    .job_came
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
        state.idle -= 1;
        state.live -= 1;
        drop(state);
        self.thread_left.notify_all();
    }

    /// Waits until `done` returns true, but not longer than `patience`. Returns whether it did.
    ///
    /// It is told how many threads are excused: if a job waits, its own, and those of other jobs
    /// that wait, because two of them must not wait for each other (THREAD-10).
    fn wait(&self, patience: Option<Duration>, done: impl Fn(&State, usize) -> bool) -> bool {
        let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
        let mut state = self.lock();
        let own = thread::current().id();
        let by_job = state
            .threads
            .iter()
            .any(|thread| thread.thread().id() == own);
        state.waiting += 1;
        state.waiting_jobs += usize::from(by_job);
        self.thread_left.notify_all();
        let finished = loop {
            let excused = if by_job { state.waiting_jobs } else { 0 };
            if done(&state, excused) {
                break true;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => break false,
                Some(left) => {
                    let woken = self.thread_left.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let woken = self.thread_left.wait(state);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
            };
        };
        state.waiting -= 1;
        state.waiting_jobs -= usize::from(by_job);
        finished
    }
}

/// Drops a job unrun. What is in it may panic as it goes (design law 10).
fn discard(job: Job) {
    survive("a job that was dropped", move || drop(job));
}

/// Runs `step`, and logs its panic.
fn survive(what: &str, step: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(step)) {
        complain(what, &Panic::caught(payload));
    }
}

#[cfg(test)]
mod tests;
