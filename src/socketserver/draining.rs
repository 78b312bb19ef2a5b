//! A drain in progress: the server is stopping, and what clients have begun is finished.

use std::time::{Duration, Instant};

use super::shutdown::Drained;

/// A drain, from the moment the listener is closed until nothing is open or the patience is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draining {
    /// When the patience is over.
    until: Instant,
    /// How many requests were open when it began.
    open: usize,
    /// How many of these had been upgraded to another protocol.
    upgraded: usize,
}

impl Draining {
    /// Begins a drain of `open` requests that lasts until `until` at most.
    pub(crate) fn new(until: Instant, open: usize, upgraded: usize) -> Draining {
        Draining {
            until,
            open,
            upgraded,
        }
    }

    /// Returns how long the patience lasts.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }

    /// Returns the result of the drain, now that `open` requests are open; `None` if it goes on.
    pub(crate) fn end(&self, open: usize, now: Instant) -> Option<Drained> {
        let over = open == 0 || self.until <= now;
        over.then(|| Drained {
            finished: self.open.saturating_sub(open),
            aborted: open,
            upgraded: self.upgraded,
        })
    }
}
