//! Jobs that wait for something else than a thread: how they begin to wait, and what lets them go on.

use std::fmt;
use std::sync::Arc;

use super::Pool;
use super::pause::{Pause, Resume, pause};
use super::seat::{Errand, Home, Seat};
use super::shared::CLOSED;
use crate::socketserver::budget::complain;

impl Pool {
    /// Parks `job` on the thread of `seat`, until it is [resumed](Halted::resume) or dropped. Both
    /// happen on that thread. Until then the job is not counted as one of the pool's.
    ///
    /// If the pool is closed and every counted job has ended, the thread ends, and drops `job`.
    pub(crate) fn park(
        &self,
        seat: &mut Seat,
        job: impl FnOnce(&mut Seat) + Send + 'static,
    ) -> Halted {
        Halted::Parked(Parked {
            pool: self.clone(),
            number: seat.park(Box::new(job)),
            home: Some(Arc::clone(&seat.home)),
        })
    }

    /// Returns the ends of a wait of the calling job, which stays on its thread. It ends when the first
    /// one is [resumed](Halted::resume) or dropped, and when the pool is closed.
    pub(crate) fn pause(&self) -> (Halted, Pause) {
        let (resume, pause) = pause(self.handle.0.closed());
        (Halted::Paused(resume), pause)
    }
}

/// A job that is parked or paused. Drop it to drop the job, on its thread.
pub(crate) enum Halted {
    /// Its thread keeps it, and runs other jobs.
    Parked(Parked),
    /// Its thread waits with it.
    Paused(Resume),
}

impl Halted {
    /// Lets the job go on, on its thread. If that thread has ended, the job was dropped there.
    pub(crate) fn resume(self) {
        match self {
            Halted::Parked(mut parked) => parked.send(Errand::Resume),
            Halted::Paused(resume) => resume.resume(),
        }
    }
}

impl fmt::Debug for Halted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Halted::Parked(_) => "Parked",
            Halted::Paused(_) => "Paused",
        })
    }
}

/// A job that a thread keeps.
pub(crate) struct Parked {
    /// The pool, which stays open as long as this exists.
    pool: Pool,
    /// The thread. `None` once the job is resumed.
    home: Option<Arc<Home>>,
    /// The number of the job there.
    number: u64,
}

impl Parked {
    /// Sends the thread a message, which counts as a job.
    fn send(&mut self, errand: impl FnOnce(u64) -> Errand) {
        let shared = &self.pool.handle.0;
        let Some(home) = self.home.take() else {
            return;
        };
        // What if the pool is closed and no job is left? Then the threads end by themselves.
        if !shared.count_job(|jobs| jobs != CLOSED) {
            return;
        }
        shared.job_came(&home);
        if home.errands.send(errand(self.number)).is_err() {
            return shared.job_went(&home);
        }
        shared.queue.wake(&home);
        // A job that waits for any thread may now have to wait for this one.
        if let Err(error) = self.pool.start_thread_if_needed() {
            complain("no further thread, so jobs wait for the others", error);
        }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.send(Errand::Discard);
    }
}
