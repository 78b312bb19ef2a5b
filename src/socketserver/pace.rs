//! How slow a client may be while the server waits for it to read a response, or to send a body.

use std::mem;
use std::time::{Duration, Instant};

use super::settings::EventedSettings;

/// How little progress a client may make before it is given up ([design law 8]).
///
/// [design law 8]: crate::spec#law-8
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// How long it may make none.
    pub(crate) idle: Duration,
    /// How much time it has before the rate counts.
    pub(crate) grace: Duration,
    /// Bytes a second that it must average after that, at least one.
    pub(crate) rate: u32,
}

impl Patience {
    /// Returns until when there must be more progress: soon after the last, which was at `since`,
    /// and on average not slower than the rate. `moved` is the number of bytes since it `began`.
    pub(crate) fn deadline(&self, began: Instant, since: Instant, moved: u64) -> Option<Instant> {
        let earned = Duration::from_secs(moved / u64::from(self.rate.max(1)));
        let ends = [
            since.checked_add(self.idle),
            began.checked_add(self.grace.saturating_add(earned)),
        ];
        ends.into_iter().flatten().min()
    }
}

/// How much the client's system has taken.
///
/// The client reads it from a buffer of that system, which asks for more only when a part of the
/// buffer is free again ([RT-13]). The buffer holds at most what the system has taken.
///
/// [RT-13]: crate::spec#rt-13
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    /// The bytes that were sent, in units of [`Taken::UNIT`] bytes.
    units: u16,
    /// Whether the output was large once.
    had_large_output: bool,
}

const MIB: usize = 1024 * 1024;

/// Output of more bytes than this is large.
const LARGE_OUTPUT: usize = 128 * 1024;

impl Taken {
    const UNIT: usize = 256;

    const UNITS_OF_2_MIB: u16 = (2 * MIB / Taken::UNIT) as u16;

    /// Notes that there are `length` bytes of output to be sent. Returns how many bytes the server's
    /// system may hold unsent from now on, if that changes.
    ///
    /// Large output is in the server's memory anyway. If the system takes all of it in one go, this
    /// takes fewer system calls, and the memory is free ([RT-13]).
    ///
    /// [RT-13]: crate::spec#rt-13
    #[inline]
    pub(crate) fn prepare(&mut self, length: usize) -> Option<u32> {
        if length <= LARGE_OUTPUT || self.had_large_output {
            return None;
        }
        let before = self.unsent();
        self.had_large_output = true;
        (self.unsent() > before).then_some(self.unsent())
    }

    /// Adds what was sent in one go. Rounds down, because a small amount fills no buffer. Returns how
    /// many bytes the server's system may hold unsent from now on, if that changes.
    pub(crate) fn add(&mut self, sent: usize) -> Option<u32> {
        let units = u16::try_from(sent / Taken::UNIT).unwrap_or(u16::MAX);
        let before = *self;
        self.units = self.units.saturating_add(units);
        // A small response changes none of the upper bits.
        if (before.units ^ self.units) >> Taken::UNITS_OF_2_MIB.ilog2() == 0 {
            return None;
        }
        (self.unsent() > before.unsent()).then_some(self.unsent())
    }

    /// Returns how many bytes may be unsent: half of 2, 4 or 8 MiB, once so many were taken, and 1 MiB
    /// for large output. The respite has grown so far that a client of 16 KiB/s takes a half of that in
    /// time ([RT-13]): the system takes more when a half is sent. What is unsent counts as taken.
    ///
    /// [RT-13]: crate::spec#rt-13
    fn unsent(self) -> u32 {
        match self.units / Taken::UNITS_OF_2_MIB {
            0 if self.had_large_output => 1024 * 1024,
            0 => 0,
            1 => 1024 * 1024,
            2..=3 => 2 * 1024 * 1024,
            4.. => 4 * 1024 * 1024,
        }
    }

    /// Returns how much longer than usual the client may take nothing: 16 s for each MiB, up to 8 MiB.
    fn respite(self) -> Duration {
        let mebibytes = u64::from(self.units) / (MIB / Taken::UNIT) as u64;
        Duration::from_secs(16 * mebibytes.min(8))
    }
}

/// How fast a client reads while output waits for it.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// When it began to lag behind.
    began: Instant,
    /// When the client last took some of it.
    since: Instant,
    /// How much it has taken since it began.
    sent: u64,
    /// Whether output waits for it since an earlier turn.
    lags: bool,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Pace {
        Pace {
            began: now,
            since: now,
            sent: 0,
            lags: false,
        }
    }

    /// Notes that output waits for the client.
    pub(crate) fn lag(&mut self) {
        self.lags = true;
    }

    /// Returns whether output has waited for the client, and not all of it is sent.
    pub(crate) fn lags(&self) -> bool {
        self.lags
    }

    /// Notes that all output is sent. Returns whether output has waited for the client.
    pub(crate) fn catch_up(&mut self) -> bool {
        mem::take(&mut self.lags)
    }

    /// Does not count the time by which the loop was late against the rate ([RT-12]).
    ///
    /// [RT-12]: crate::spec#rt-12
    pub(crate) fn forgive(&mut self, lateness: Duration) {
        self.began = self.began.checked_add(lateness).unwrap_or(self.began);
    }

    pub(crate) fn advance(&mut self, sent: usize, now: Instant) {
        if sent > 0 {
            self.since = now;
            self.sent = self.sent.saturating_add(sent as u64);
        }
    }

    /// Returns until when the client must have taken more. So far it has `taken` this much.
    pub(crate) fn deadline(&self, settings: &EventedSettings, taken: Taken) -> Option<Instant> {
        let stall = settings.write_stall.saturating_add(taken.respite());
        let patience = Patience {
            idle: stall,
            grace: stall,
            rate: settings.write_rate,
        };
        patience.deadline(self.began, self.since, self.sent)
    }
}
