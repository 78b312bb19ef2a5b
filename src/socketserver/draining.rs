//! A drain in progress: the server is stopping, and what clients have sent or begun is finished.

use std::time::{Duration, Instant};

use super::shutdown::Drained;
use crate::reactor::Now;

/// How long a client that a drain has accepted may take to send its first request.
///
/// A client sends it as soon as it is connected, so the request arrives directly after the connection.
/// This is long for that, and short for a drain with a client that says nothing.
const FIRST_REQUEST: Duration = Duration::from_millis(50);

/// A drain, from the request until the listener is closed and nothing is open, or until the
/// patience is over.
#[derive(Debug)]
pub(crate) struct Draining {
    /// When the patience is over.
    until: Instant,
    /// How many more requests may be taken from the listener's queue; `None` once it is closed.
    queued: Option<usize>,
    /// When those that were taken from there have had their time; `None` if there are none.
    settles: Option<Instant>,
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
            settles: None,
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

    /// Returns how long nothing has to be done: until clients have had their time, or the patience is
    /// over.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let next = self.settles.map_or(self.until, |at| at.min(self.until));
        next.saturating_duration_since(now)
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
    pub(crate) fn note_taken(&mut self, now: &Now) {
        self.queued = self.queued.map(|queued| queued.saturating_sub(1));
        self.settles = Some(now + FIRST_REQUEST);
        self.requests += 1;
    }

    /// Returns whether those that were taken from the queue have had their time now. Returns it once;
    /// those that are taken later have theirs.
    pub(crate) fn settle(&mut self, now: Instant) -> bool {
        self.settles.take_if(|at| *at <= now).is_some()
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
