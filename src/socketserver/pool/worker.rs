//! A thread that runs the jobs of a pool.

use std::fmt;
use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::seat::{Errand, Job, Seat, survive};
use super::shared::{Running, Shared, set_running};

/// The duty of one thread: to run the jobs of a [`Pool`](super::Pool).
///
/// Get one from [`Pool::worker`] to lend a thread of your own to a pool. A pool also makes one for
/// each thread that it starts, and passes it to the [`thread_body`](super::Pool::thread_body).
///
/// A worker counts as a thread of the pool until [`run`](Self::run) returns, or until it is
/// dropped. If the last worker of a pool is dropped before the pool is closed, the jobs that wait
/// are dropped.
///
/// [`Pool::worker`]: super::Pool::worker
#[must_use = "jobs wait for a worker that does not run"]
pub struct Worker {
    /// The pool.
    shared: Arc<Shared>,
    /// The thread was lent to the pool, and not started by it.
    lent: bool,
}

/// The next thing that a thread has to do.
enum Message {
    /// A job that any thread may run.
    Job(Job),
    /// Something about a job that is parked on this thread.
    Errand(Errand),
    /// The end of this thread.
    End,
}

impl Worker {
    /// Creates the worker of a thread that is already counted.
    pub(super) fn new(shared: Arc<Shared>, lent: bool) -> Worker {
        Worker { shared, lent }
    }

    /// Runs jobs on this thread until the pool is closed and every job has ended.
    ///
    /// A panic of a job is logged, and the thread goes on. Responses that are still to be pulled
    /// are dropped at the end, on this thread.
    pub fn run(self) {
        let (mut seat, errands) = Seat::new();
        let before = set_running(Some(Running {
            shared: Arc::clone(&self.shared),
            home: Arc::clone(&seat.home),
        }));
        self.work(&mut seat, &errands);
        seat.close();
        set_running(before);
    }

    /// Runs one job after the other, until the thread is told to end.
    fn work(&self, seat: &mut Seat, errands: &Receiver<Errand>) {
        let queue = &self.shared.queue;
        let mut errand_first = false;
        // What if a thread is lent after the others were told to end? Then nothing tells it.
        while !self.shared.is_over() {
            // By turns, so that neither has to wait for the other long.
            errand_first = !errand_first;
            let Some(message) = self.next(errands, errand_first) else {
                let has_work =
                    || self.shared.is_over() || !(queue.receiver.is_empty() && errands.is_empty());
                queue.sleep(&seat.home, has_work);
                continue;
            };
            // This thread may be busy for long, so another takes the next job.
            if !queue.receiver.is_empty() {
                queue.wake_one();
            }
            match message {
                // A job that reports its panics catches them itself. All other panics are only
                // logged.
                Message::Job(job) => {
                    self.shared.job_came(&seat.home);
                    survive("a job of a pool", || job(seat));
                }
                Message::Errand(errand) => seat.run(errand),
                Message::End => return,
            }
            self.shared.job_went(&seat.home);
        }
    }

    /// Returns the next thing to do; `None` if there is nothing now.
    fn next(&self, errands: &Receiver<Errand>, errand_first: bool) -> Option<Message> {
        let errand = || errands.try_recv().ok().map(Message::Errand);
        let job = || self.shared.queue.take();
        let job = || Some(job()?.map_or(Message::End, Message::Job));
        match errand_first {
            true => errand().or_else(job),
            false => job().or_else(errand),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.thread_ended(self.lent);
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("lent", &self.lent)
            .finish_non_exhaustive()
    }
}
