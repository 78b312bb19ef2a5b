//! The jobs of a pool that wait for others. Whoever they wait for must not wait for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::ThreadId;

use super::seat::Home;

/// The jobs that wait for others.
#[derive(Default)]
pub(super) struct Waits(Vec<Waiting>);

/// A job that waits for others. The jobs that wait for its thread wait with it.
pub(super) struct Waiting {
    /// What it waits for.
    whom: Whom,
    /// Its own thread.
    home: Arc<Home>,
}

/// What a job waits for.
pub(super) enum Whom {
    /// Until the pool is idle.
    Pool,
    /// The end of a thread.
    Thread(ThreadId),
    /// A loop.
    Loop {
        /// Tells whether the loop runs on the thread that asks.
        is_here: Box<dyn Fn() -> bool + Send>,
        /// Whether the loop has ended the wait. The job's thread may notice that later.
        is_over: Arc<AtomicBool>,
    },
}

/// What a call does not wait for.
pub(super) struct Excused {
    /// How many threads have a job that waits for this call.
    pub(super) threads: usize,
    /// How many jobs these threads have.
    pub(super) jobs: usize,
}

impl Waits {
    /// Adds the job on the thread `home`, which waits for `whom`.
    pub(super) fn add(&mut self, whom: Whom, home: Arc<Home>) {
        self.0.push(Waiting { whom, home });
    }

    /// Removes the last wait of the thread `home`: if it waits within a wait, the inner one ends first.
    pub(super) fn remove(&mut self, home: &Arc<Home>) -> Option<Waiting> {
        let is_this = |job: &Waiting| Arc::ptr_eq(&job.home, home);
        let index = self.0.iter().rposition(is_this)?;
        Some(self.0.remove(index))
    }

    /// Returns what a call on the thread `own` does not wait for, because that would wait for this call.
    /// A call `by_job` waits for no job that waits. If the pool `is_closed`, no job waits for a loop.
    pub(super) fn excused(&self, own: ThreadId, by_job: bool, is_closed: bool) -> Excused {
        let waits = |job: &&Waiting| !job.whom.is_over(is_closed);
        let jobs = || self.0.iter().filter(waits);
        let is_awaited = jobs().any(|job| job.whom.is_caller(own));
        // What if a job waits for this thread, and another for another loop? That loop may wait as well.
        // If each waited for the other's job, neither wait would end.
        let for_this =
            |job: &&Waiting| by_job || job.whom.is_caller(own) || is_awaited && job.whom.is_loop();
        let mut excused = Excused {
            threads: 0,
            jobs: 0,
        };
        for job in jobs().filter(for_this) {
            excused.threads += 1;
            excused.jobs += job.home.load.load(SeqCst);
        }
        excused
    }

    /// Returns whether no job waits for others.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Whom {
    /// Returns whether it is the calling thread, whose id is `own`.
    fn is_caller(&self, own: ThreadId) -> bool {
        match self {
            Whom::Pool => false,
            Whom::Thread(thread) => *thread == own,
            Whom::Loop { is_here, .. } => is_here(),
        }
    }

    /// Returns whether it is a loop.
    fn is_loop(&self) -> bool {
        matches!(self, Whom::Loop { .. })
    }

    /// Returns whether the wait has ended, or is about to. What if the pool `is_closed`? Then a job
    /// does not wait for a loop any more.
    fn is_over(&self, is_closed: bool) -> bool {
        match self {
            Whom::Pool | Whom::Thread(_) => false,
            Whom::Loop { is_over, .. } => is_closed || is_over.load(SeqCst),
        }
    }
}
