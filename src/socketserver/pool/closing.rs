//! How jobs that wait learn that their pool is closed.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

/// Tells when a pool is closed.
pub(super) struct Closing {
    /// Dropped when the pool is closed.
    open: Mutex<Option<Sender<Infallible>>>,
    /// The other end.
    closed: Receiver<Infallible>,
}

impl Default for Closing {
    fn default() -> Closing {
        let (open, closed) = bounded(0);
        Closing {
            open: Mutex::new(Some(open)),
            closed,
        }
    }
}

impl Closing {
    /// Tells everybody who waits.
    pub(super) fn close(&self) {
        drop(
            self.open
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    /// Returns a channel on which nothing is sent. It is disconnected when the pool is closed.
    pub(super) fn closed(&self) -> Receiver<Infallible> {
        self.closed.clone()
    }
}
