//! The right of a job to run or to wait.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::shared::Shared;
use crate::reactor::Alarm;

/// The right of a job to run or to wait. Drop it to make room for another job.
pub struct Place(Arc<Shared>);

impl Place {
    /// Returns a place that the caller has counted as taken.
    pub(super) fn taken(shared: Arc<Shared>) -> Place {
        Place(shared)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, SeqCst);
        // The loop may be waiting for a place, or for room below its server's own limit. It may
        // also be waiting for a free descriptor, or for the last job of a drain.
        if let Some(Err(error)) = self.0.alarm.get().map(Alarm::wake) {
            log::error!("cannot wake the loop for a free place: {error}");
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}
