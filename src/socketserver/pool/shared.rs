//! The part of a pool that its handles and its threads share: the queue, the counts, and the waits.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::closing::Closing;
use super::queue::Queue;
use super::seat::{Home, Job, discard};
use super::waits::{Waits, Whom};
use crate::reactor::Alarm;
use crate::socketserver::budget::complain;

/// The bit that is set in the number of jobs when the pool is closed. Both share a word, so each
/// submitter is either refused, or counted before the threads are told to end.
pub(super) const CLOSED: usize = 1 << (usize::BITS - 1);

/// The part that handles and threads share.
#[derive(Default)]
pub(super) struct Shared {
    /// The jobs that wait for any thread.
    pub(super) queue: Queue,
    /// How many places are taken.
    pub(super) taken: AtomicUsize,
    /// How many jobs wait or run, plus [`CLOSED`] if the pool is closed. If it equals [`CLOSED`],
    /// no job is left and no job can come.
    pub(super) jobs: AtomicUsize,
    /// How many of these jobs wait for a thread of their own that has another job. No further
    /// thread could run them, so none is started for them.
    pub(super) behind: AtomicUsize,
    /// How many threads there are: started and lent ones that have not ended.
    pub(super) live: AtomicUsize,
    /// How many of these threads were lent to the pool.
    pub(super) lent: AtomicUsize,
    /// How many calls wait until the pool is idle, or until its threads have ended.
    waiters: AtomicUsize,
    /// The threads. Locked to start a thread, to end one, and to wait until the pool is idle.
    threads: Mutex<Threads>,
    /// Notified when a job or a thread has ended, when a job begins to wait, and when a job comes to
    /// a thread that has another. Then the waiting calls look again.
    changed: Condvar,
    /// Wakes the loop when a place becomes free.
    pub(super) alarm: OnceLock<Alarm>,
    /// Tells jobs that wait when the pool is closed.
    closing: Closing,
}

/// The threads of a pool, and the jobs on them that wait for others.
#[derive(Default)]
pub(super) struct Threads {
    /// The threads that the pool has started and not joined.
    pub(super) handles: Vec<JoinHandle<()>>,
    /// The jobs that wait for others.
    pub(super) waits: Waits,
}

impl Shared {
    /// Locks the threads. No code panics while it holds the lock, so the state is whole even if the
    /// lock is poisoned.
    pub(super) fn lock(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many jobs wait or run.
    pub(super) fn unfinished(&self) -> usize {
        self.jobs.load(SeqCst) & !CLOSED
    }

    /// Returns whether the pool is closed and no job is left.
    pub(super) fn is_over(&self) -> bool {
        self.jobs.load(SeqCst) == CLOSED
    }

    /// Returns whether the pool is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.jobs.load(SeqCst) >= CLOSED
    }

    /// Returns whether there are fewer threads than jobs that a thread could run now.
    pub(super) fn lacks_threads(&self) -> bool {
        let behind = self.behind.load(SeqCst);
        self.live.load(SeqCst) < self.unfinished().saturating_sub(behind)
    }

    /// Returns what tells when the pool is closed.
    pub(super) fn closed(&self) -> Receiver<Infallible> {
        self.closing.closed()
    }

    /// Counts a job. Returns whether the pool takes it: it does if its count `permits` it.
    pub(super) fn count_job(&self, permits: impl Fn(usize) -> bool) -> bool {
        count(&self.jobs, permits)
    }

    /// Records that a counted job belongs to this thread from now on: the thread runs it, or the
    /// job waits for it alone.
    pub(super) fn job_came(&self, home: &Home) {
        if home.load.fetch_add(1, SeqCst) > 0 {
            self.behind.fetch_add(1, SeqCst);
            self.tell_waiters(); // nobody can wait for it if that thread's job waits
        }
    }

    /// Records that this thread has run a job.
    pub(super) fn job_went(&self, home: &Home) {
        if home.load.fetch_sub(1, SeqCst) > 1 {
            self.behind.fetch_sub(1, SeqCst);
        }
        self.job_ended();
    }

    /// Refuses further jobs, and ends the threads if no job is left.
    pub(super) fn close(&self) {
        if self.jobs.fetch_or(CLOSED, SeqCst) == 0 {
            self.end_threads();
        }
        self.closing.close();
        self.discard_if_deserted(); // no thread will come
    }

    /// Records that a job has run, or will never run.
    pub(super) fn job_ended(&self) {
        if self.jobs.fetch_sub(1, SeqCst) == CLOSED + 1 {
            self.end_threads();
        }
        self.tell_waiters();
    }

    /// Has the waiting calls look again.
    fn tell_waiters(&self) {
        if self.waiters.load(SeqCst) > 0 {
            drop(self.lock()); // so that no waiter has looked at the jobs but does not sleep yet
            self.changed.notify_all();
        }
    }

    /// Tells every thread to end. This happens once, when the pool is closed and no job is left.
    ///
    /// A thread that is lent later looks whether the pool is over. What if one is being started, for
    /// jobs that others have done meanwhile? Whoever starts it counts it under the lock.
    fn end_threads(&self) {
        let threads = self.lock();
        let live = self.live.load(SeqCst);
        drop(threads);
        for _ in 0..live {
            self.queue.send(None);
        }
    }

    /// Records a thread that the pool has started, and unlocks the threads.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if it could not start the thread and there is no other
    /// thread ([THREAD-4]).
    ///
    /// [THREAD-4]: crate::spec#thread-4
    pub(super) fn started(
        &self,
        mut threads: MutexGuard<'_, Threads>,
        thread: io::Result<JoinHandle<()>>,
    ) -> io::Result<()> {
        let error = match thread {
            Ok(thread) => {
                threads.handles.push(thread);
                self.live.fetch_add(1, SeqCst);
                return Ok(());
            }
            Err(error) => error,
        };
        if self.live.load(SeqCst) == 0 {
            return Err(error);
        }
        drop(threads); // the logger is the program's, and may use the pool
        complain("no further thread, so jobs wait for the others", error);
        Ok(())
    }

    /// Records that a thread has ended.
    pub(super) fn thread_ended(&self, lent: bool) {
        let threads = self.lock(); // whoever started the thread has counted it by then
        self.lent.fetch_sub(usize::from(lent), SeqCst);
        self.live.fetch_sub(1, SeqCst);
        self.changed.notify_all();
        drop(threads);
        self.discard_if_deserted();
    }

    /// Drops the jobs that wait if there is no thread.
    pub(super) fn discard_if_deserted(&self) {
        if self.live.load(SeqCst) > 0 {
            return;
        }
        // What if a thread is started just now? Its job stays: it was queued after the thread was
        // counted, under the lock.
        let threads = self.lock();
        let jobs: Vec<_> = match self.live.load(SeqCst) {
            0 => self.queue.receiver.try_iter().flatten().collect(),
            _ => return,
        };
        drop(threads);
        self.discard_all(jobs);
    }

    /// Drops the jobs that wait for any thread.
    pub(super) fn discard_waiting(&self) {
        let receiver = &self.queue.receiver;
        let messages = receiver.try_iter().take(receiver.len());
        let (jobs, ends): (Vec<_>, Vec<_>) = messages.partition(Option::is_some);
        for end in ends {
            self.queue.send(end); // it ends a thread, so it goes back
        }
        self.discard_all(jobs.into_iter().flatten());
    }

    fn discard_all(&self, jobs: impl IntoIterator<Item = Job>) {
        for job in jobs {
            self.job_ended(); // first: dropping the job may wait until the others have ended
            discard(job);
        }
    }

    /// Waits until no job runs or waits, but not longer than `patience`. Returns whether that is
    /// so.
    ///
    /// Some jobs are not waited for, because they would wait for this call. `own`: the calling
    /// thread. `by_job`: it runs a job of this pool, and this is its place there.
    pub(super) fn wait_until_idle(
        &self,
        own: ThreadId,
        by_job: Option<&Arc<Home>>,
        patience: Option<Duration>,
    ) -> bool {
        let is_busy = |threads: &mut Threads| {
            // Before the jobs are counted: none of the excused can end while the lock is held, and one
            // that comes now must not stand for another that runs.
            let waits = &threads.waits;
            let excused = waits.excused(own, by_job.is_some(), self.is_closed());
            // What if every thread has such a job? Then nothing that is queued can run meanwhile.
            let is_stuck = excused.threads > 0 && excused.threads >= self.live.load(SeqCst);
            self.unfinished() > excused.jobs && !is_stuck
        };
        let wait = || self.wait_while(patience, is_busy);
        match by_job {
            Some(home) => self.while_waiting(Whom::Pool, home, wait),
            None => wait(),
        }
    }

    /// Waits until every thread has ended, but not longer than `patience`. Returns whether they
    /// have.
    pub(super) fn wait_for_threads(&self, patience: Option<Duration>) -> bool {
        self.wait_while(patience, |_| self.live.load(SeqCst) > 0)
    }

    fn wait_while(
        &self,
        patience: Option<Duration>,
        condition: impl FnMut(&mut Threads) -> bool,
    ) -> bool {
        let threads = self.lock();
        self.waiters.fetch_add(1, SeqCst);
        let patience = patience.unwrap_or(Duration::MAX);
        let waited = self
            .changed
            .wait_timeout_while(threads, patience, condition);
        let (_threads, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        self.waiters.fetch_sub(1, SeqCst);
        !waited.timed_out()
    }

    /// Runs `wait`, which the job on the thread `home` spends waiting for `whom`. The others then know
    /// that they cannot wait for this job.
    fn while_waiting<R>(&self, whom: Whom, home: &Arc<Home>, wait: impl FnOnce() -> R) -> R {
        self.lock().waits.add(whom, Arc::clone(home));
        self.changed.notify_all();
        let result = wait();
        let mut threads = self.lock();
        let ended = threads.waits.remove(home);
        drop(threads);
        drop(ended); // without the lock: what it knows of a loop may use the pool when it is dropped
        result
    }
}

/// The pool whose jobs run on a thread, and the thread's place there.
#[derive(Clone)]
pub(super) struct Running {
    /// The pool.
    pub(super) shared: Arc<Shared>,
    /// The thread.
    pub(super) home: Arc<Home>,
}

thread_local! {
    /// The pool whose jobs run on this thread.
    static RUNNING: Cell<Option<Running>> = const { Cell::new(None) };
}

/// Makes `running` the pool of this thread. Returns the pool that was it before.
pub(super) fn set_running(running: Option<Running>) -> Option<Running> {
    RUNNING.with(|cell| cell.replace(running))
}

/// Returns the pool whose jobs run on this thread.
pub(super) fn running() -> Option<Running> {
    let copy = |cell: &Cell<Option<Running>>| {
        let running = cell.take();
        cell.set(running.clone());
        running
    };
    // At the end of a thread there may be nothing to look at any more.
    RUNNING.try_with(copy).ok().flatten()
}

/// Runs `wait`, which waits for the end of the thread `whom`. What if this is a job of a pool, and
/// that thread waits until the pool is idle? Then it does not wait for this job ([THREAD-10]).
///
/// [THREAD-10]: crate::spec#thread-10
pub(crate) fn wait_for_thread<R>(whom: ThreadId, wait: impl FnOnce() -> R) -> R {
    wait_for(Whom::Thread(whom), wait)
}

/// Runs `wait`, which waits for a loop. What if this is a job of a pool, and the loop waits until the
/// pool is idle? Then it does not wait for this job until `is_over`. `is_here` tells whether the loop
/// runs on the thread that asks.
pub(super) fn wait_for_loop<R>(
    is_here: impl Fn() -> bool + Send + 'static,
    is_over: Arc<AtomicBool>,
    wait: impl FnOnce() -> R,
) -> R {
    let is_here = Box::new(is_here);
    wait_for(Whom::Loop { is_here, is_over }, wait)
}

fn wait_for<R>(whom: Whom, wait: impl FnOnce() -> R) -> R {
    match running() {
        Some(Running { shared, home }) => shared.while_waiting(whom, &home, wait),
        None => wait(),
    }
}

/// Adds one to `counter` if its value `permits` it. Returns whether it does.
pub(super) fn count(counter: &AtomicUsize, permits: impl Fn(usize) -> bool) -> bool {
    let one_more = |count| permits(count).then_some(count + 1);
    counter.fetch_update(SeqCst, SeqCst, one_more).is_ok()
}
