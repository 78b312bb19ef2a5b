//! The wait of a job that stays on its thread: the thread takes no other job meanwhile.

use crossbeam_channel::{Receiver, Select, Sender, bounded};

use super::shared::{Closed, wait_for_loop};

/// Lets a job go on that waits on its thread. Drop it to end the job.
pub(crate) struct Resume(Sender<()>);

/// The job's end of the wait.
pub(crate) struct Pause {
    /// Gets a message when the job is to go on.
    resumed: Receiver<()>,
    /// Tells when the pool is closed.
    closed: Closed,
}

/// Returns the two ends of a wait. It ends at the latest when the pool is closed.
pub(super) fn pause(closed: Closed) -> (Resume, Pause) {
    let (sender, resumed) = bounded(1);
    (Resume(sender), Pause { resumed, closed })
}

impl Resume {
    /// Lets the job go on.
    pub(super) fn resume(self) {
        // Ignore the error: the job has ended.
        let _ = self.0.send(());
    }
}

impl Pause {
    /// Waits until the job is to go on. Returns false if it is to end.
    ///
    /// The loop ends this wait. `is_loop` tells whether a thread is the one on which the loop runs.
    pub(crate) fn wait(self, is_loop: impl Fn() -> bool + Send + 'static) -> bool {
        wait_for_loop(is_loop, || {
            let mut either = Select::new();
            let resumed = either.recv(&self.resumed);
            either.recv(&self.closed.0);
            let first = either.select();
            match first.index() == resumed {
                true => first.recv(&self.resumed).is_ok(),
                false => first.recv(&self.closed.0).is_ok(), // never: nothing is sent there
            }
        })
    }
}
