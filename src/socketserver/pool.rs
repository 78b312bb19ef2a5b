//! A bounded pool of threads. It knows neither sockets nor protocols.
//!
//! Two parts of the crate use a pool: [`Threading`](super::Threading) for whole requests, and HTTP
//! for handlers that block ([`Response::offload`](crate::http::Response::offload)).
//!
//! ```text
//! submit: takes a place, queues the job ──▶ a thread runs it ──▶ the place is free again
//! push:   queues the job, without a place ─▶ a thread runs it
//! ```
//!
//! A *place* is the right of a job to run or to wait. There is a place for each thread, and a place
//! for each job that may wait. So the places bound the queue, and the channel in which jobs wait
//! needs no bound.
//!
//! Besides the channel, a submitter and the threads share three numbers: how many places are taken,
//! how many jobs have not ended, and how many threads there are. A submitter starts a thread if
//! there are fewer threads than jobs. Only then does it take a lock ([design law 4]).
//!
//! [design law 4]: crate::spec#law-4

use std::error::Error;
use std::fmt;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::budget::complain;
use super::failure::Panic;
use crate::reactor::Alarm;

/// The most threads of a pool by default: 32, the most that Python's `ThreadPoolExecutor` starts by
/// default. Jobs that block mostly wait, so this is more than there are processors (waitress 4,
/// Tomcat 200). The stacks of idle threads cost address space only.
const THREADS: usize = 32;

/// How many jobs may wait for a thread by default. With jobs of 100 ms and four threads, the last
/// of them waits 1.6 s. Few clients wait longer than that.
const QUEUE_LENGTH: usize = 64;

/// The bit that is set in the number of jobs when the pool is closed. Both share a word, so each
/// submitter is either refused, or counted before the threads are told to end.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// The work that a thread runs.
type Job = Box<dyn FnOnce() + Send>;

/// A bounded pool of threads, for work that blocks.
///
/// Pass a pool to [`Response::offload`](crate::http::Response::offload) or
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
/// has no threads, and [`new`](Self::new) cannot fail. A thread stays until the pool is closed. If
/// a job panics, the panic is logged and the thread goes on.
///
/// # Handles
///
/// A `Pool` is a handle, and its clones share the threads. Each handle has its own settings, so
/// change the settings before you clone it. When the last handle is dropped, the pool is closed:
/// its threads end when every job has ended. Call [`join`](Self::join) if you want to wait for
/// them.
#[derive(Clone, Default)]
pub struct Pool {
    /// The settings of this handle.
    settings: Arc<Settings>,
    /// The queue and the threads, which all clones share.
    handle: Arc<Handle>,
}

/// The settings of a handle.
#[derive(Debug, Clone)]
struct Settings {
    /// The most threads that this handle starts. At least one.
    threads: usize,
    /// How many jobs may wait, besides the jobs that have a thread.
    queue_length: usize,
    /// The stack of each thread in bytes. `None` means the standard library's 2 MiB.
    stack_size: Option<usize>,
    /// The name of each thread, before its number.
    thread_name: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            threads: THREADS,
            queue_length: QUEUE_LENGTH,
            stack_size: None,
            thread_name: "worker".to_owned(),
        }
    }
}

impl Pool {
    /// Returns a pool of at most 32 threads, with a queue of 64 jobs.
    #[must_use]
    pub fn new() -> Pool {
        Pool::default()
    }

    /// Sets the most threads that the pool starts: 32 by default, and at least one.
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

    /// Sets how many bytes of stack each new thread has, like Python's `threading.stack_size`. The
    /// default is that of the standard library, 2 MiB.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Pool {
        self.settings_mut().stack_size = Some(bytes);
        self
    }

    /// Sets the name of each new thread. The pool adds the thread's number: `worker-1` by default.
    #[must_use]
    pub fn thread_name(mut self, name: impl Into<String>) -> Pool {
        self.settings_mut().thread_name = name.into();
        self
    }

    /// Runs `job` on one of the threads. The job holds a place until it returns.
    ///
    /// # Errors
    ///
    /// Returns [`Overloaded`] if no place is free, if no thread can be started, or if the pool is
    /// closed.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Overloaded> {
        let job = move |(), _place| job();
        self.submit_with((), job)
            .map_err(|((), overloaded)| overloaded)
    }

    /// Like [`submit`](Self::submit), but passes `input` to the job, and returns it if the job is
    /// refused.
    ///
    /// The job also gets its [`Place`], and decides when the place is free. A job that sends a
    /// response drops its place *before* that, because the client may send its next request
    /// immediately.
    ///
    /// # Errors
    ///
    /// Returns `input` and [`Overloaded`] if no place is free, if no thread can be started, or if
    /// the pool is closed.
    pub fn submit_with<I: Send + 'static>(
        &self,
        input: I,
        job: impl FnOnce(I, Place) + Send + 'static,
    ) -> Result<(), (I, Overloaded)> {
        let shared = &self.handle.0;
        if !count(&shared.taken, |taken| taken < self.room()) {
            return Err((input, Overloaded::Full));
        }
        let place = Place(Arc::clone(shared));
        if !count(&shared.jobs, |jobs| jobs < CLOSED) {
            return Err((input, Overloaded::Closed));
        }
        if let Err(error) = self.start_thread_if_needed() {
            shared.job_ended();
            return Err((input, Overloaded::NoThread(error)));
        }
        shared.queue.send(Some(Box::new(move || job(input, place))));
        Ok(())
    }

    /// Queues the next step of work that was submitted before. It needs no place, so it is never
    /// refused.
    ///
    /// Use this for work that goes on in steps and waits for a client between two steps. Something
    /// else has to limit how much of such work there is. If the pool is closed and every job has
    /// ended, the job is dropped.
    pub fn push(&self, job: impl FnOnce() + Send + 'static) {
        let shared = &self.handle.0;
        if !count(&shared.jobs, |jobs| jobs != CLOSED) {
            return discard(Box::new(job));
        }
        if let Err(error) = self.start_thread_if_needed() {
            complain("no thread, so a job waits until there is one", &error);
        }
        shared.queue.send(Some(Box::new(job)));
    }

    /// Returns whether every place is taken, so that [`submit`](Self::submit) refuses.
    pub fn is_full(&self) -> bool {
        self.open() >= self.room()
    }

    /// Returns how many jobs hold a place: the jobs that run, and the jobs that wait.
    pub fn open(&self) -> usize {
        self.handle.0.taken.load(SeqCst)
    }

    /// Returns how many jobs wait for a thread.
    pub fn waiting(&self) -> usize {
        let shared = &self.handle.0;
        // A message that ends a thread is not a job.
        shared.queue.receiver.len().min(shared.unfinished())
    }

    /// Returns how many threads there are.
    pub fn live_threads(&self) -> usize {
        self.handle.0.live.load(SeqCst)
    }

    /// Closes the pool for all its handles. It refuses further jobs, and its threads end when every
    /// job has ended.
    pub fn close(&self) {
        self.handle.0.close();
    }

    /// Drops the jobs that wait for a thread. The jobs that run go on.
    pub fn discard_waiting(&self) {
        let shared = &self.handle.0;
        let receiver = &shared.queue.receiver;
        for message in receiver.try_iter().take(receiver.len()) {
            let Some(job) = message else {
                return shared.queue.send(None); // this message ends a thread, so it goes back
            };
            shared.job_ended(); // first: dropping the job may wait until the others have ended
            discard(job);
        }
    }

    /// Closes the pool and waits until its threads have ended, but not longer than `patience`.
    /// Returns whether they have.
    ///
    /// If a job calls this, it waits for the other jobs, but not for its own thread ([THREAD-10]).
    ///
    /// [THREAD-10]: crate::spec#thread-10
    pub fn join(&self, patience: Option<Duration>) -> bool {
        self.close();
        let idle = self.wait_until_idle(patience);
        let shared = &self.handle.0;
        if shared.jobs.load(SeqCst) == CLOSED {
            let threads = mem::take(&mut shared.lock().handles);
            for thread in threads {
                // Ignore the error: a thread survives the panics of its jobs.
                let _ = thread.join();
            }
        }
        idle
    }

    /// Waits until no job runs or waits, but not longer than `patience`. Returns whether every job
    /// has ended.
    ///
    /// The pool stays open. If a job calls this, it waits for the other jobs, but not for itself.
    /// Two jobs that call this do not wait for each other ([THREAD-10]).
    ///
    /// [THREAD-10]: crate::spec#thread-10
    pub fn wait_until_idle(&self, patience: Option<Duration>) -> bool {
        let shared = &self.handle.0;
        let mut threads = shared.lock();
        let own = thread::current().id();
        let by_job = threads.handles.iter().any(|it| it.thread().id() == own);
        threads.waiting_jobs += usize::from(by_job);
        shared.waiters.fetch_add(1, SeqCst);
        shared.changed.notify_all(); // jobs that already wait here need not wait for this job
        let is_busy = |threads: &mut Threads| {
            let excused = if by_job { threads.waiting_jobs } else { 0 };
            shared.unfinished() > excused
        };
        let patience = patience.unwrap_or(Duration::MAX);
        let waited = shared
            .changed
            .wait_timeout_while(threads, patience, is_busy);
        let (mut threads, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        threads.waiting_jobs -= usize::from(by_job);
        shared.waiters.fetch_sub(1, SeqCst);
        !waited.timed_out()
    }

    /// Makes the pool wake a loop whenever a place becomes free. Only the first call counts.
    pub(crate) fn wake_when_free(&self, alarm: Alarm) {
        self.handle.0.waker.get_or_init(|| alarm);
    }

    fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }

    /// Returns how many places there are.
    fn room(&self) -> usize {
        let settings = &self.settings;
        settings.threads.saturating_add(settings.queue_length)
    }

    /// Starts a thread if there are fewer threads than jobs, and the limit permits another.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if there is no thread and it cannot start any.
    fn start_thread_if_needed(&self) -> io::Result<()> {
        let shared = &self.handle.0;
        let is_needed = || {
            let live = shared.live.load(SeqCst);
            live < self.settings.threads && live < shared.unfinished()
        };
        if !is_needed() {
            return Ok(()); // the steady state: no lock is taken
        }
        let mut threads = shared.lock();
        if !is_needed() {
            return Ok(()); // another submitter has just started a thread
        }
        let name = format!(
            "{}-{}",
            self.settings.thread_name,
            threads.handles.len() + 1
        );
        let mut thread = thread::Builder::new().name(name);
        if let Some(bytes) = self.settings.stack_size {
            thread = thread.stack_size(bytes);
        }
        let own = Arc::clone(shared);
        shared.started(&mut threads, thread.spawn(move || own.work()))
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

/// The reason why a [`Pool`] refuses a job.
#[derive(Debug)]
#[non_exhaustive]
pub enum Overloaded {
    /// Every thread is busy, and the queue is full.
    Full,
    /// There is no thread, and the system cannot start any ([THREAD-4]). If at least one thread
    /// runs, the job waits for it instead.
    ///
    /// [THREAD-4]: crate::spec#thread-4
    NoThread(io::Error),
    /// The pool is closed and takes no more jobs.
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

/// The right of a job to run or to wait. Drop it to make room for another job.
pub struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, SeqCst);
        // The loop may be waiting for a place, or for room below its server's own limit. It may
        // also be waiting for a free descriptor, or for the last job of a drain.
        if let Some(Err(error)) = self.0.waker.get().map(|waker| waker.wake()) {
            log::error!("cannot wake the loop for a free place: {error}");
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

/// The part that the clones of a pool share. It closes the pool when the last clone is dropped.
/// [`Shared`] cannot do this, because the threads also keep it alive.
#[derive(Default)]
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The part that handles and threads share.
#[derive(Default)]
struct Shared {
    /// The jobs that wait for a thread.
    queue: Queue,
    /// How many places are taken.
    taken: AtomicUsize,
    /// How many jobs wait or run, plus [`CLOSED`] if the pool is closed. If it equals [`CLOSED`],
    /// no job is left and no job can come.
    jobs: AtomicUsize,
    /// How many threads were started and have not ended.
    live: AtomicUsize,
    /// How many calls wait until the pool is idle.
    waiters: AtomicUsize,
    /// The threads. Locked to start a thread, and to wait until the pool is idle.
    threads: Mutex<Threads>,
    /// Notified when a job has ended, or begins to wait for the others. Then the waiting calls look
    /// again.
    changed: Condvar,
    /// Wakes the loop when a place becomes free.
    waker: OnceLock<Alarm>,
}

/// The threads of a pool, and the jobs on them that wait for the others.
#[derive(Default)]
struct Threads {
    /// The threads that were started and not joined.
    handles: Vec<JoinHandle<()>>,
    /// How many jobs wait until the pool is idle.
    waiting_jobs: usize,
}

/// The jobs that wait for a thread. A `None` ends the thread that receives it.
struct Queue {
    /// The submitters' end.
    sender: Sender<Option<Job>>,
    /// The threads' end.
    receiver: Receiver<Option<Job>>,
}

impl Default for Queue {
    fn default() -> Queue {
        let (sender, receiver) = unbounded();
        Queue { sender, receiver }
    }
}

impl Queue {
    /// Queues a job, or the end of a thread.
    fn send(&self, message: Option<Job>) {
        // Ignore the error: sending fails only without a receiver, and the queue owns one.
        let _ = self.sender.send(message);
    }
}

impl Shared {
    /// Locks the threads. No code panics while it holds the lock, so the state is whole even if the
    /// lock is poisoned.
    fn lock(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many jobs wait or run.
    fn unfinished(&self) -> usize {
        self.jobs.load(SeqCst) & !CLOSED
    }

    /// Records a new thread.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if it could not start the thread and there is no other
    /// thread ([THREAD-4]).
    ///
    /// [THREAD-4]: crate::spec#thread-4
    fn started(&self, threads: &mut Threads, thread: io::Result<JoinHandle<()>>) -> io::Result<()> {
        match thread {
            Ok(thread) => {
                threads.handles.push(thread);
                self.live.fetch_add(1, SeqCst);
            }
            Err(error) if self.live.load(SeqCst) == 0 => return Err(error),
            Err(error) => complain("no further thread, so jobs wait for the others", &error),
        }
        Ok(())
    }

    /// Runs one job after the other, until the thread is told to end.
    fn work(&self) {
        while let Ok(Some(job)) = self.queue.receiver.recv() {
            // A job that reports its panics catches them itself. All other panics are only logged.
            survive("a job of a pool", job);
            self.job_ended();
        }
        self.live.fetch_sub(1, SeqCst);
    }

    /// Refuses further jobs, and ends the threads if no job is left.
    fn close(&self) {
        if self.jobs.fetch_or(CLOSED, SeqCst) == 0 {
            self.end_threads();
        }
    }

    /// Records that a job has run, or will never run.
    fn job_ended(&self) {
        if self.jobs.fetch_sub(1, SeqCst) == CLOSED + 1 {
            self.end_threads();
        }
        if self.waiters.load(SeqCst) > 0 {
            drop(self.lock()); // so that no waiter has looked at the jobs but does not sleep yet
            self.changed.notify_all();
        }
    }

    /// Tells every thread to end. This happens once, when the pool is closed and no job is left. No
    /// thread is being started then: a submitter counts its job before it starts a thread.
    fn end_threads(&self) {
        for _ in 0..self.live.load(SeqCst) {
            self.queue.send(None);
        }
    }
}

/// Adds one to `counter` if its value `permits` it. Returns whether it does.
fn count(counter: &AtomicUsize, permits: impl Fn(usize) -> bool) -> bool {
    let one_more = |count| permits(count).then_some(count + 1);
    counter.fetch_update(SeqCst, SeqCst, one_more).is_ok()
}

/// Drops a job that has not run. Dropping what it owns may panic ([design law 10]).
///
/// [design law 10]: crate::spec#law-10
fn discard(job: Job) {
    survive("a job that was dropped", move || drop(job));
}

/// Runs `step`, and logs its panic if there is one.
fn survive(what: &str, step: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(step)) {
        complain(what, &Panic::caught(payload));
    }
}

#[cfg(test)]
mod tests;
