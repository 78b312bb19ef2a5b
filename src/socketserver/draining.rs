//! A drain in progress: the server is stopping, and what clients have sent or begun is finished.

use std::time::{Duration, Instant};

use super::shutdown::Drained;

/// A drain, from the request until the listener is closed and nothing is open, or until the
/// patience is over.
#[derive(Debug)]
pub(crate) struct Draining {
    /// When the patience is over.
    until: Instant,
    /// How many more requests may be taken from the listener's queue; `None` once it is closed.
    queued: Option<usize>,
    /// How many requests it has to finish: those that were open when it began, and those that it has
    /// taken since.
    requests: usize,
    /// How many of these had been upgraded to another protocol when it began.
    upgraded: usize,
    /// How many requests of the dispatch had broken off when it began.
    broken_off: u64,
}

impl Draining {
    /// Begins a drain that lasts until `until` at most. `requests` are open, and `broken_off` had
    /// broken off before. The listener's queue holds `queued` requests at most.
    pub(crate) fn new(until: Instant, queued: usize, requests: usize, broken_off: u64) -> Draining {
        Draining {
            until,
            queued: Some(queued),
            requests,
            upgraded: 0,
            broken_off,
        }
    }

    /// Notes how many of the requests had been upgraded.
    pub(crate) fn with_upgraded(mut self, upgraded: usize) -> Draining {
        self.upgraded = upgraded;
        self
    }

    /// Returns how long the patience lasts.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }

    /// Returns whether requests may be taken from the listener's queue.
    ///
    /// What if the patience is zero? Then nobody is taken: there would be no time to serve them.
    pub(crate) fn takes_queued(&self, now: Instant) -> bool {
        self.queued.is_some_and(|queued| queued > 0) && now < self.until
    }

    /// Notes that the listener is closed.
    pub(crate) fn note_closed(&mut self) {
        self.queued = None;
    }

    /// Notes that a request was taken from the listener's queue.
    pub(crate) fn note_taken(&mut self) {
        self.queued = self.queued.map(|queued| queued.saturating_sub(1));
    }

    /// Notes that the dispatch has taken a request over, which the drain has to finish.
    pub(crate) fn note_begun(&mut self) {
        self.requests += 1;
    }

    /// Returns the result of the drain, now that `open` requests are open, and `broken_off` have
    /// broken off; `None` if it goes on.
    pub(crate) fn end(&self, open: usize, broken_off: u64, now: Instant) -> Option<Drained> {
        let is_finished = open == 0 && self.queued.is_none();
        if !is_finished && now < self.until {
            return None;
        }
        let ended = self.requests.saturating_sub(open);
        let broken_off = usize::try_from(broken_off - self.broken_off).unwrap_or(ended);
        Some(Drained {
            finished: ended.saturating_sub(broken_off),
            broken_off,
            aborted: open,
            upgraded: self.upgraded,
        })
    }
}
