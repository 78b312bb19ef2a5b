//! How slow a client may be for which output waits.

use std::time::{Duration, Instant};

use crate::socketserver::settings::EventedSettings;

/// How fast a client reads for which output waits.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// When it began to lag behind.
    began: Instant,
    /// When the stream last took some.
    since: Instant,
    /// How much it has taken since it began.
    sent: u64,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Pace {
        Pace {
            began: now,
            since: now,
            sent: 0,
        }
    }

    pub(super) fn advance(&mut self, sent: usize, now: Instant) {
        if sent > 0 {
            self.since = now;
            self.sent = self.sent.saturating_add(sent as u64);
        }
    }

    /// Until when more must have been taken: a while after the last of it, but all in all not
    /// slower than the minimum rate (design law 8).
    pub(super) fn deadline(&self, settings: &EventedSettings) -> Option<Instant> {
        let earned = Duration::from_secs(self.sent / u64::from(settings.write_rate.max(1)));
        let ends = [
            self.since.checked_add(settings.write_stall),
            self.began
                .checked_add(settings.write_stall.saturating_add(earned)),
        ];
        ends.into_iter().flatten().min()
    }
}
