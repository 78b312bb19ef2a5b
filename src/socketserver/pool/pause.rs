//! The wait of a job that stays on its thread: the thread takes no other job meanwhile.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::shared::wait_for_loop;

/// Lets a job go on that waits on its thread. Drop it to end the job.
pub(crate) struct Resume {
    /// Sends the message that lets the job go on.
    resumed: Sender<()>,
    /// Whether the wait is over. The job's thread may notice that later.
    is_over: Arc<AtomicBool>,
}

/// The job's end of the wait.
pub(crate) struct Pause {
    /// Gets a message when the job is to go on.
    resumed: Receiver<()>,
    /// Is disconnected when the pool is closed.
    closed: Receiver<Infallible>,
    /// Whether the wait is over, because the other end was used or dropped.
    is_over: Arc<AtomicBool>,
}

/// Returns the two ends of a wait. It ends at the latest when the pool is closed.
pub(super) fn pause(closed: Receiver<Infallible>) -> (Resume, Pause) {
    let (sender, resumed) = bounded(1);
    let is_over = Arc::new(AtomicBool::new(false));
    let resume = Resume {
        resumed: sender,
        is_over: Arc::clone(&is_over),
    };
    let pause = Pause {
        resumed,
        closed,
        is_over,
    };
    (resume, pause)
}

impl Resume {
    /// Lets the job go on.
    pub(super) fn resume(self) {
        // First: if the caller then waits until the pool is idle, it waits for the job.
        self.is_over.store(true, SeqCst);
        // Ignore the error: the job has ended.
        let _ = self.resumed.send(());
    }
}

impl Drop for Resume {
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst); // before the sender is dropped, which ends the wait
    }
}

impl Pause {
    /// Waits until the job is to go on. Returns false if it is to end.
    ///
    /// The loop ends this wait. `is_here` tells whether a thread is the one on which the loop runs.
    pub(crate) fn wait(self, is_here: impl Fn() -> bool + Send + 'static) -> bool {
        wait_for_loop(is_here, self.is_over, || {
            select! {
                recv(self.resumed) -> resumed => resumed.is_ok(),
                recv(self.closed) -> _ => false,
            }
        })
    }
}
