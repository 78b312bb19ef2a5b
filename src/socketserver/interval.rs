//! How often `service_actions` runs when nothing else happens.

use std::time::{Duration, Instant};

/// Python's default for `serve_forever`: half a second ([LOOP-1]).
///
/// [LOOP-1]: crate::spec#loop-1
pub const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Python's `poll_interval`, and when it is over.
#[derive(Debug)]
pub(crate) struct Interval {
    /// How long it lasts; `None`: forever.
    length: Option<Duration>,
    /// When it is over.
    due: Option<Instant>,
}

impl Interval {
    /// Begins an interval at `now`.
    pub(crate) fn new(length: Option<Duration>, now: Instant) -> Interval {
        let mut interval = Interval { length, due: None };
        interval.restart(now);
        interval
    }

    /// Begins the next interval at `now`. If the clock cannot express its end, it lasts forever.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.due = self.length.and_then(|length| now.checked_add(length));
    }

    /// Returns whether the interval is over.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Returns how long it still lasts; `None`: forever.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(now))
    }
}
