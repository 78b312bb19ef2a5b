//! Threads for handlers that block.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::socketserver::{QueueFull, complain};

/// How many requests wait for a worker unless told otherwise. More wait longer than a client does:
/// with a handler of 100 ms and four threads this is a second and a half.
const QUEUE_LENGTH: usize = 64;

/// Threads for handlers that block; see [`Response::offload`] and [`Pooled`].
///
/// A handle: its clones share the threads, which end when the last one is gone and the queue
/// empty. Nobody waits for them, so a handler that never returns keeps no server from stopping.
///
/// # The queue
///
/// As many requests wait for a thread as [`queue_length`](Self::queue_length) says; for others
/// [`Response::offload`] answers 503 at once (RFC 9110 §15.6.4), which serves the clients better
/// than an answer after they have left. The time in the queue counts as the answer's
/// ([`Deadlines::answer`](super::Deadlines::answer)).
///
/// Content that is [streamed](super::ResponseHead::stream) has no place in this queue: its next
/// blocks are pulled when a thread is free, and never refused.
#[derive(Clone)]
pub struct Workers {
    pool: Arc<Pool>,
    queue_length: usize,
}

struct Pool {
    jobs: Sender<Job>,
    /// Requests that have a thread, or wait for one.
    open: Arc<AtomicUsize>,
    threads: usize,
}

/// A request's place among those.
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) type Job = Box<dyn FnOnce() + Send>;

impl Workers {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    ///
    /// If the system has no more threads.
    pub fn new(threads: usize) -> io::Result<Workers> {
        let (jobs, queue) = unbounded();
        let threads = threads.max(1);
        for number in 0..threads {
            let queue: Receiver<Job> = queue.clone();
            thread::Builder::new()
                .name(format!("http-worker-{number}"))
                .spawn(move || work(&queue))?;
        }
        let pool = Arc::new(Pool {
            jobs,
            open: Arc::default(),
            threads,
        });
        Ok(Workers {
            pool,
            queue_length: QUEUE_LENGTH,
        })
    }

    /// Sets how many requests may wait for a thread, through this handle and its clones: 64 by
    /// default. `usize::MAX` refuses none: there are never more than connections.
    #[must_use]
    pub fn queue_length(mut self, queue_length: usize) -> Workers {
        self.queue_length = queue_length;
        self
    }

    /// How many requests wait for a thread, now.
    pub fn waiting(&self) -> usize {
        let open = self.pool.open.load(Ordering::SeqCst);
        open.saturating_sub(self.pool.threads)
    }

    /// Queues a request, unless too many wait. The job gives up its place when it has the answer,
    /// which may bring the client's next request.
    pub(super) fn submit(&self, job: impl FnOnce(Place) + Send + 'static) -> Result<(), QueueFull> {
        let room = self.pool.threads.saturating_add(self.queue_length);
        let place = Place(Arc::clone(&self.pool.open));
        if self.pool.open.fetch_add(1, Ordering::SeqCst) >= room {
            return Err(QueueFull);
        }
        self.push(Box::new(move || job(place)));
        Ok(())
    }

    /// Waits until everything is done that has been queued before, but not longer than `deadline`.
    pub(super) fn join(&self, deadline: Option<Instant>) {
        let (arrived, arrivals) = unbounded::<()>();
        let (gate, gates) = unbounded::<()>();
        for _ in 0..self.pool.threads {
            let (arrived, gates) = (arrived.clone(), gates.clone());
            self.push(Box::new(move || {
                // Err: nobody waits any more.
                let _ = arrived.send(());
                let _ = gates.recv();
            }));
        }
        for _ in 0..self.pool.threads {
            let waited = match deadline {
                Some(deadline) => arrivals.recv_deadline(deadline).is_ok(),
                None => arrivals.recv().is_ok(),
            };
            if !waited {
                break;
            }
        }
        drop(gate);
    }

    pub(super) fn push(&self, job: Job) {
        // Err: the threads are gone, which they are not while there is a handle.
        let _ = self.pool.jobs.send(job);
    }
}

/// Does what is queued until nobody can queue any more.
fn work(queue: &Receiver<Job>) {
    for job in queue {
        // Jobs contain the panics of handlers; what is left is a panic in a drop.
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            complain("a job of an HTTP worker panicked", &"in a drop");
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("threads", &self.pool.threads)
            .field("queue_length", &self.queue_length)
            .finish_non_exhaustive()
    }
}
