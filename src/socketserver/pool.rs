//! A bounded pool of threads. It knows neither sockets nor protocols.
//!
//! Two parts of the crate use a pool: [`Threading`](super::Threading) for whole requests, and HTTP
//! for handlers that block ([`Response::offload`](crate::http::Response::offload)).
//!
//! ```text
//! submit: takes a place, queues the job ──▶ a thread runs it ──▶ the place is free again
//! push:   queues the job, without a place ─▶ a thread runs it
//! park:   its thread keeps the rest, and runs others ─▶ resume ─▶ that thread runs it
//! pause:  the job waits on its thread, and runs still ─▶ resume ─▶ it goes on
//! ```
//!
//! A *place* is the right of a job to run or to wait. There is a place for each thread, and a place
//! for each job that may wait. So the places bound the queue, and the channel in which jobs wait
//! needs no bound.
//!
//! A job may wait for something else than a thread, for example for a client. There are two ways:
//!
//! - A *parked* job is kept by its thread, which runs other jobs meanwhile. It never leaves that
//!   thread: there it goes on, and there it is dropped. Each thread has a queue of its own for this,
//!   and looks at both queues while a job is parked. A parked job is not one of the jobs that run.
//! - A *paused* job waits on its thread, which runs no other job meanwhile. It is one of the jobs that
//!   run ([`pause`](pause::pause)). This is how a pool works that does not
//!   [share its threads](Pool::share_threads).
//!
//! Besides the queues, a submitter and the threads share some counts: how many places are taken,
//! how many jobs have not ended, how many of these no further thread could run, how many threads
//! there are, and how many of them sleep. A submitter starts a thread if there are fewer threads than
//! jobs, and wakes one if any sleeps. Only then does it take a lock ([design law 4]). In a turn of a
//! loop it wakes a thread only once, at the end ([THREAD-13]).
//!
//! [THREAD-13]: crate::spec#thread-13
//! [design law 4]: crate::spec#law-4

use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use self::overloaded::Overloaded;
use self::place::Place;
use self::seat::{Home, Job, Seat, discard};
use self::settings::{Settings, ThreadBody};
use self::shared::{CLOSED, Shared, count, running};
use self::worker::Worker;
use super::budget::complain;
use crate::reactor::Alarm;

mod closing;
pub(super) mod halted;
pub(super) mod held;
pub(super) mod overloaded;
mod pause;
pub(super) mod place;
mod queue;
pub(super) mod seat;
mod settings;
pub(super) mod shared;
mod waits;
pub(super) mod worker;

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
/// A response stays on the thread that began it ([THREAD-11]): its handler is called there, each
/// block of its body is made there, and the body is dropped there. So a body may use what belongs
/// to one thread, such as a thread-local variable or a database connection. While that thread has
/// another job, the response waits, even if other threads are free.
///
/// A thread may have several responses that have begun, because it runs other jobs while a client
/// reads. [`share_threads`](Self::share_threads) changes that.
///
/// [`thread_body`](Self::thread_body) prepares the threads. [`worker`](Self::worker) lends a thread
/// of your own to the pool.
///
/// # Handles
///
/// A `Pool` is a handle, and its clones share the threads. Each handle has its own settings, so
/// change the settings before you clone it. When the last handle is dropped, the pool is closed:
/// its threads end when every job has ended. Call [`join`](Self::join) if you want to wait for
/// them.
///
/// [THREAD-11]: crate::spec#thread-11
#[derive(Clone, Default)]
pub struct Pool {
    /// The settings of this handle.
    settings: Arc<Settings>,
    /// The queue and the threads, which all clones share.
    handle: Arc<Handle>,
}

impl Pool {
    /// Returns a pool of at most 32 threads, with a queue of 64 jobs.
    #[must_use]
    pub fn new() -> Pool {
        Pool::default()
    }

    /// Sets the most threads that the pool starts: 32 by default.
    ///
    /// With 0 the pool starts none. Its only threads are those that you lend to it
    /// ([`worker`](Self::worker)).
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Pool {
        self.settings_mut().threads = threads;
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

    /// Sets what each thread does that the pool starts. `body` is called on the new thread, and has
    /// to call [`Worker::run`], which runs the jobs.
    ///
    /// Use it to prepare a thread before its first job and to clean up after its last one. For
    /// example, attach the thread to an interpreter, or open a database connection.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use std::sync::mpsc;
    /// use serve_forever::socketserver::Pool;
    ///
    /// thread_local!(static PREPARED: Cell<bool> = const { Cell::new(false) });
    ///
    /// let pool = Pool::new().thread_body(|worker| {
    ///     PREPARED.set(true); // before the first job
    ///     worker.run();
    ///     PREPARED.set(false); // after the last job
    /// });
    /// let (sender, receiver) = mpsc::channel();
    /// pool.submit(move || sender.send(PREPARED.get()).unwrap())?;
    /// assert_eq!(receiver.recv(), Ok(true));
    /// pool.join(None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// If `body` returns or panics without having run the worker, the thread ends. A panic is
    /// logged. Another thread starts when a job comes.
    #[must_use]
    pub fn thread_body(mut self, body: impl Fn(Worker) + Send + Sync + 'static) -> Pool {
        self.settings_mut().thread_body = Some(ThreadBody(Arc::new(body)));
        self
    }

    /// Sets whether a thread runs other jobs while a response that it has begun waits for its client:
    /// `true` by default ([THREAD-11]).
    ///
    /// With `true`, a client that reads slowly holds no thread. But the responses that a thread has
    /// begun share what belongs to the thread. For example, the end of one response may close a
    /// database connection from which another still reads.
    ///
    /// With `false`, a thread finishes a response before it takes another job, as a thread of Python's
    /// `ThreadingMixIn` does. Then a client that reads slowly holds a thread, until the server gives it
    /// up ([`write_stall`](super::EventedSettings::write_stall)). This concerns bodies that are made
    /// block by block, and have about 64 KiB or 64 blocks, or more. All other bodies leave the thread at
    /// once.
    ///
    /// ```
    /// use serve_forever::socketserver::Pool;
    /// use serve_forever::wsgi::{demo_app, make_server};
    ///
    /// let workers = Pool::new().threads(4).share_threads(false);
    /// let server = make_server("127.0.0.1:0", demo_app)?;
    /// let server = server.configure(|handler| handler.workers(workers));
    /// # let _ = server;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// A response that waits for its client is then a job that runs, and holds its place.
    ///
    /// [THREAD-11]: crate::spec#thread-11
    #[must_use]
    pub fn share_threads(mut self, share_threads: bool) -> Pool {
        self.settings_mut().share_threads = share_threads;
        self
    }

    /// Returns whether a thread runs other jobs while a response waits for its client.
    pub(crate) fn shares_threads(&self) -> bool {
        self.settings.share_threads
    }

    /// Lends a thread of yours to the pool: call [`Worker::run`] on it.
    ///
    /// From now on the worker counts as a thread of the pool, besides those that the pool starts.
    /// [`join`](Self::join) waits for it too. So a program that embeds an interpreter can run the
    /// jobs on the interpreter's own threads, and wait for them before the interpreter ends.
    ///
    /// ```
    /// use std::thread;
    /// use serve_forever::socketserver::Pool;
    /// use serve_forever::wsgi::{demo_app, make_server};
    ///
    /// let pool = Pool::new().threads(0);
    /// let threads: Vec<_> = (0..4)
    ///     .map(|_| {
    ///         let worker = pool.worker();
    ///         thread::spawn(|| worker.run())
    ///     })
    ///     .collect();
    /// let server = make_server("127.0.0.1:0", demo_app)?;
    /// let mut server = server.configure(|handler| handler.workers(pool.clone()));
    /// # server.shutdown_handle().request();
    /// server.serve_forever()?;
    /// drop(server);
    /// pool.join(None); // each `run` returns
    /// for thread in threads {
    ///     thread.join().unwrap();
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// If the pool is closed already, `run` returns when every job has ended.
    pub fn worker(&self) -> Worker {
        let shared = &self.handle.0;
        let _threads = shared.lock();
        shared.lent.fetch_add(1, SeqCst);
        shared.live.fetch_add(1, SeqCst);
        Worker::new(Arc::clone(shared), true)
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
        self.queue(input, |input, place, _seat| job(input, place))?;
        self.handle.0.queue.wake_one();
        Ok(())
    }

    /// Like [`submit_with`](Self::submit_with), but passes the seat as well, where the job can
    /// [park](Self::park) its rest. If a loop's turn runs on this thread and no thread of the pool is
    /// awake, the job begins when the turn ends.
    pub(crate) fn submit_seated<I: Send + 'static>(
        &self,
        input: I,
        job: impl FnOnce(I, Place, &mut Seat) + Send + 'static,
    ) -> Result<(), (I, Overloaded)> {
        self.queue(input, job)?;
        held::wake_one(&self.handle.0);
        Ok(())
    }

    /// Queues a job. The caller wakes a thread for it.
    fn queue<I: Send + 'static>(
        &self,
        input: I,
        job: impl FnOnce(I, Place, &mut Seat) + Send + 'static,
    ) -> Result<(), (I, Overloaded)> {
        let shared = &self.handle.0;
        if !count(&shared.taken, |taken| taken < self.room()) {
            return Err((input, Overloaded::Full));
        }
        let place = Place::taken(Arc::clone(shared));
        if !shared.count_job(|jobs| jobs < CLOSED) {
            return Err((input, Overloaded::Closed));
        }
        if let Err(error) = self.start_thread_if_needed() {
            shared.job_ended();
            return Err((input, Overloaded::NoThread(error)));
        }
        let job: Job = Box::new(move |seat| job(input, place, seat));
        shared.queue.put(Some(job));
        shared.discard_if_deserted(); // what if the last thread has ended early, just now?
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
        let job: Job = Box::new(move |_seat| job());
        if !shared.count_job(|jobs| jobs != CLOSED) {
            return discard(job);
        }
        if let Err(error) = self.start_thread_if_needed() {
            complain("no thread, so a job waits until there is one", error);
        }
        shared.queue.send(Some(job));
        if shared.is_closed() {
            shared.discard_if_deserted(); // what if it was closed just now? Then no thread will come
        }
    }

    /// Returns whether every place is taken, so that [`submit`](Self::submit) refuses.
    pub fn is_full(&self) -> bool {
        self.open() >= self.room()
    }

    /// Returns how many jobs hold a place: the jobs that run, and the jobs that wait.
    pub fn open(&self) -> usize {
        self.handle.0.taken.load(SeqCst)
    }

    /// Returns how many jobs wait for any thread. Responses that wait for the thread that began them
    /// are not counted.
    pub fn waiting(&self) -> usize {
        let shared = &self.handle.0;
        // A message that ends a thread is not a job.
        shared.queue.receiver.len().min(shared.unfinished())
    }

    /// Returns how many threads there are, lent ones included.
    pub fn live_threads(&self) -> usize {
        self.handle.0.live.load(SeqCst)
    }

    /// Closes the pool for all its handles. It refuses further jobs, and its threads end when every
    /// job has ended. With [`share_threads(false)`](Self::share_threads), responses that wait for their
    /// clients break off.
    pub fn close(&self) {
        self.handle.0.close();
    }

    /// Drops the jobs that wait for any thread. The jobs that run go on, and so do responses that
    /// have begun.
    pub fn discard_waiting(&self) {
        self.handle.0.discard_waiting();
    }

    /// Closes the pool and waits until its threads have ended, but not longer than `patience`.
    /// Returns whether they have.
    ///
    /// It waits for lent threads as well: until [`Worker::run`] returns, or the worker is dropped.
    /// Responses whose clients have not taken all of them break off, and their bodies are dropped on
    /// their threads. So stop the server first, and drop it.
    ///
    /// If a job calls this, it waits for the other jobs, but not for the threads ([THREAD-10]).
    ///
    /// [THREAD-10]: crate::spec#thread-10
    pub fn join(&self, patience: Option<Duration>) -> bool {
        let until = patience.and_then(|patience| Instant::now().checked_add(patience));
        self.close();
        if !self.wait_until_idle(patience) {
            return false;
        }
        let shared = &self.handle.0;
        if self.job_of_this().is_some() || !shared.is_over() {
            return true; // a job waits for this call, so its thread cannot be waited for
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if !shared.wait_for_threads(left) {
            return false;
        }
        let own = thread::current().id();
        let threads = mem::take(&mut shared.lock().handles);
        for thread in threads.into_iter().filter(|it| it.thread().id() != own) {
            // Ignore the error: a thread survives the panics of its jobs and of its body.
            let _ = thread.join();
        }
        true
    }

    /// Waits until no job runs or waits, but not longer than `patience`. Returns whether every job
    /// has ended.
    ///
    /// The pool stays open. If a job calls this, it waits for the other jobs, but not for itself, and
    /// not for responses that wait for its own thread. Two jobs that call this do not wait for each
    /// other. If every thread has such a job, they do not wait for the queue either ([THREAD-10]).
    ///
    /// With [`share_threads(false)`](Self::share_threads), a response that waits for its client is a
    /// job that runs. On the thread of a loop, this call does not wait for responses that wait for that
    /// loop. If there are any, it does not wait for those of other loops either. A job waits for no
    /// such response ([THREAD-11]).
    ///
    /// [THREAD-10]: crate::spec#thread-10
    /// [THREAD-11]: crate::spec#thread-11
    pub fn wait_until_idle(&self, patience: Option<Duration>) -> bool {
        held::let_go(); // the jobs of this turn are among those that are waited for
        let own = thread::current().id();
        let by_job = self.job_of_this();
        self.handle
            .0
            .wait_until_idle(own, by_job.as_ref(), patience)
    }

    /// Returns the thread of the caller if that is a job of this pool.
    fn job_of_this(&self) -> Option<Arc<Home>> {
        let running = running().filter(|it| Arc::ptr_eq(&it.shared, &self.handle.0));
        running.map(|running| running.home)
    }

    /// Makes the pool wake a loop whenever a place becomes free. Only the first call counts.
    pub(crate) fn wake_when_free(&self, alarm: Alarm) {
        self.handle.0.alarm.get_or_init(|| alarm);
    }

    fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }

    /// Returns how many places there are.
    fn room(&self) -> usize {
        let settings = &self.settings;
        let threads = settings
            .threads
            .saturating_add(self.handle.0.lent.load(SeqCst));
        threads.saturating_add(settings.queue_length)
    }

    /// Starts a thread if there are fewer threads than jobs, and the limit permits another.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no thread, and the operating system cannot start any, or the
    /// pool may not.
    fn start_thread_if_needed(&self) -> io::Result<()> {
        let shared = &self.handle.0;
        if !shared.lacks_threads() {
            return Ok(()); // the steady state: no lock is taken
        }
        let may_start = || {
            let live = shared.live.load(SeqCst);
            live.saturating_sub(shared.lent.load(SeqCst)) < self.settings.threads
        };
        if !may_start() {
            return match shared.live.load(SeqCst) {
                0 => Err(io::Error::other("no thread was lent to the pool")),
                _ => Ok(()),
            };
        }
        let threads = shared.lock();
        if !may_start() || !shared.lacks_threads() {
            return Ok(()); // another submitter has just started a thread
        }
        let number = threads.handles.len() + 1;
        let thread = self.settings.start(number, Arc::clone(shared));
        shared.started(threads, thread)
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

/// The part that the clones of a pool share. It closes the pool when the last clone is dropped.
/// [`Shared`] cannot do this, because the threads also keep it alive.
#[derive(Default)]
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests;
