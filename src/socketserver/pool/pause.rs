//! The wait of a job that stays on its thread: the thread takes no other job meanwhile.

use crossbeam_channel::{Receiver, Sender, bounded};

use super::shared::wait_for_loop;

/// Lets a job go on that waits on its thread. Drop it to end the job.
pub(crate) struct Resume(Sender<()>);

/// The job's end of the wait.
pub(crate) struct Pause(Receiver<()>);

/// Returns the two ends of a wait.
pub(crate) fn pause() -> (Resume, Pause) {
    let (sender, receiver) = bounded(1);
    (Resume(sender), Pause(receiver))
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
        wait_for_loop(is_loop, || self.0.recv().is_ok())
    }
}
