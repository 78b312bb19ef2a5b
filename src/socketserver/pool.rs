//! A bounded pool of threads. It knows neither sockets nor protocols.
//!
//! Two parts of the crate use it: [`Threading`](super::Threading) runs whole requests on one, and
//! HTTP runs handlers that block on one ([`Response::offload`](crate::http::Response::offload)).
//!
//! ```text
//! submit: takes a place, queues the job ──▶ a thread runs it ──▶ the place is free again
//! push:   queues the job, without a place ─▶ a thread runs it
//! ```
//!
//! A *place* is the right to be open. There is one for each thread and one for each job that may
//! wait. So the places bound the queue, and the channel in which jobs wait needs no bound.
//!
//! Besides the channel, a submitter and the threads share three numbers: how many places are taken,
//! how many jobs have not ended, and how many threads there are. A submitter starts a thread if
//! there are fewer threads than jobs, and only then it takes a lock (design law 4).

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

/// Added to the number of jobs when the pool is closed. Both are one word, so that each submitter
/// either is refused or is counted before the threads are told to end.
const CLOSED: usize = 1 << (usize::BITS - 1);

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
/// when every job has ended. Nothing waits for them, unless you call [`join`](Self::join).
#[derive(Clone, Default)]
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
    /// Makes a pool of at most 32 threads, with a queue of 64 jobs.
    #[must_use]
    pub fn new() -> Pool {
        Pool::default()
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
    /// Use this for work that goes on in steps and waits for a client in between, where the number
    /// of such works is bounded by something else. If the pool is closed and every job has ended,
    /// the job is dropped.
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

    /// Returns how many jobs hold a place: those that run, and those that wait.
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

    /// Closes the pool, for all its handles: no job is taken any more, and the threads end when
    /// every job has ended.
    pub fn close(&self) {
        self.handle.0.close();
    }

    /// Drops the jobs that wait for a thread, unrun. Those that run go on.
    pub fn discard_waiting(&self) {
        let shared = &self.handle.0;
        let receiver = &shared.queue.receiver;
        for message in receiver.try_iter().take(receiver.len()) {
            let Some(job) = message else {
                return shared.queue.send(None); // this is for a thread
            };
            shared.job_ended(); // first, for what is in the job may wait for the others
            discard(job);
        }
    }

    /// Closes the pool and waits until its threads have ended, but not longer than `patience`.
    /// Returns whether they have.
    ///
    /// Called by a job, this waits for the other jobs, and not for its own thread (THREAD-10).
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

    /// Waits until no job runs or waits, but not longer than `patience`. Returns whether that is
    /// so.
    ///
    /// The pool stays open. Called by a job, this waits for the other jobs and not for itself. Two
    /// jobs that wait do not wait for each other (THREAD-10).
    pub fn wait_until_idle(&self, patience: Option<Duration>) -> bool {
        let shared = &self.handle.0;
        let mut threads = shared.lock();
        let own = thread::current().id();
        let by_job = threads.handles.iter().any(|it| it.thread().id() == own);
        threads.waiting_jobs += usize::from(by_job);
        shared.waiters.fetch_add(1, SeqCst);
        shared.changed.notify_all(); // jobs that wait already need not wait for this one
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

    /// Starts a thread if there are fewer than jobs, and there may be one more.
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
            return Ok(()); // another submitter has started one meanwhile
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
pub struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, SeqCst);
        // A loop may be waiting for room here or below its server's own limit, for a free
        // descriptor, or for the last job of a drain.
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
    /// What the threads receive.
    queue: Queue,
    /// How many places are taken.
    taken: AtomicUsize,
    /// How many jobs wait or run; plus [`CLOSED`] if the pool is closed. When it is exactly that, no
    /// job is left, and none can come.
    jobs: AtomicUsize,
    /// How many threads were started and have not ended.
    live: AtomicUsize,
    /// How many calls wait until the pool is idle.
    waiters: AtomicUsize,
    /// Locked to start a thread, and to wait.
    threads: Mutex<Threads>,
    /// Notified when what those calls wait for may have come.
    changed: Condvar,
    /// The loop that is told when a place becomes free.
    waker: OnceLock<Arc<Waker>>,
}

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
    fn send(&self, message: Option<Job>) {
        // Ignore the error: the receiver is here.
        let _ = self.sender.send(message);
    }
}

impl Shared {
    /// No panic happens under the lock, so it is never poisoned with a state that is half changed.
    fn lock(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many jobs wait or run.
    fn unfinished(&self) -> usize {
        self.jobs.load(SeqCst) & !CLOSED
    }

    /// Notes a new thread. One that could not be started is an error only if there is no other
    /// (THREAD-4).
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

    /// The life of a thread: runs one job after the other until it is told to end.
    fn work(&self) {
        while let Ok(Some(job)) = self.queue.receiver.recv() {
            // A job contains the panics that somebody hears of; the others are only logged.
            survive("a job of a pool", job);
            self.job_ended();
        }
        self.live.fetch_sub(1, SeqCst);
    }

    fn close(&self) {
        if self.jobs.fetch_or(CLOSED, SeqCst) == 0 {
            self.end_threads();
        }
    }

    /// A job has run, or will never run.
    fn job_ended(&self) {
        if self.jobs.fetch_sub(1, SeqCst) == CLOSED + 1 {
            self.end_threads();
        }
        if self.waiters.load(SeqCst) > 0 {
            drop(self.lock()); // so that no waiter is between its look at the jobs and its sleep
            self.changed.notify_all();
        }
    }

    /// Tells every thread to end. This happens once, when the pool is closed and no job is left. So
    /// no thread is being started: only a submitter does that, whose job is counted already.
    fn end_threads(&self) {
        for _ in 0..self.live.load(SeqCst) {
            self.queue.send(None);
        }
    }
}

/// Counts one more if the count so far permits it. Returns whether it does.
fn count(counter: &AtomicUsize, permits: impl Fn(usize) -> bool) -> bool {
    let one_more = |count| permits(count).then_some(count + 1);
    counter.fetch_update(SeqCst, SeqCst, one_more).is_ok()
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
