//! Waits that end. Nothing in the tests sleeps to synchronise, and nothing measures time: a wait
//! ends when what it waits for has happened, or its test fails when [`PATIENCE`] is over.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before its test fails. No test measures how long something takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A poll interval that no test outlives. A test whose point is promptness lets the loop sleep for
/// so long: a loop that noticed only at its next poll would exceed [`PATIENCE`].
pub const LONG: Duration = Duration::from_secs(60);

/// A job in a thread of its own. Waiting for its end is bounded.
pub struct Job<R>(pub(super) Receiver<thread::Result<R>>);

pub fn spawn<R: Send + 'static>(job: impl FnOnce() -> R + Send + 'static) -> Job<R> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        // Nobody receives if the test has failed already.
        let _ = sender.send(catch_unwind(AssertUnwindSafe(job)));
    });
    Job(receiver)
}

impl<R> Job<R> {
    /// Waits for the job's result; its panic becomes the test's.
    pub fn join(self) -> R {
        let ended = self.0.recv_timeout(PATIENCE).expect("the job hangs");
        ended.unwrap_or_else(|payload| resume_unwind(payload))
    }

    /// Waits for the job, for use in a `drop`: does not panic in a test that already fails.
    pub fn wait(self) {
        let ended = self.0.recv_timeout(PATIENCE);
        assert!(
            matches!(ended, Ok(Ok(_))) || thread::panicking(),
            "the job ends well"
        );
    }
}

/// Runs a job that could hang, and returns its result.
pub fn in_time<R: Send + 'static>(job: impl FnOnce() -> R + Send + 'static) -> R {
    spawn(job).join()
}

/// Calls `is_so` again and again until it returns true.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "never {what}");
        thread::yield_now();
    }
}
