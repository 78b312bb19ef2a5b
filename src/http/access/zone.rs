//! How far the time of a log is ahead of UTC.

#[cfg(feature = "local-time")]
use std::io;
#[cfg(feature = "local-time")]
use std::sync::Arc;
#[cfg(feature = "local-time")]
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(feature = "local-time")]
use jiff::{Timestamp, tz::TimeZone};

/// The zone of the times in a log.
#[derive(Debug, Clone)]
pub(super) enum Zone {
    /// Always so many minutes ahead of UTC.
    Fixed(i16),
    /// The zone of the system, with its summer time.
    #[cfg(feature = "local-time")]
    Local(Arc<Local>),
}

/// The largest offset, in minutes: just below a day.
const MOST: i16 = 24 * 60 - 1;

impl Zone {
    /// No offset.
    pub(super) const UTC: Zone = Zone::Fixed(0);

    /// Returns a zone with always the same offset, which stays below a day.
    pub(super) fn fixed(minutes: i16) -> Zone {
        Zone::Fixed(minutes.clamp(-MOST, MOST))
    }

    /// Returns the zone of the system.
    #[cfg(feature = "local-time")]
    pub(super) fn local() -> io::Result<Zone> {
        let zone = TimeZone::try_system().map_err(io::Error::other)?;
        Ok(Zone::Local(Arc::new(Local::new(zone))))
    }

    /// Returns how many minutes the zone is ahead of UTC, so many seconds after the epoch.
    pub(super) fn minutes_at(&self, second: u64) -> i16 {
        match self {
            Zone::Fixed(minutes) => {
                let _ = second;
                *minutes
            }
            #[cfg(feature = "local-time")]
            Zone::Local(local) => local.minutes_at(second),
        }
    }
}

/// A zone with summer time, and its last offset.
#[cfg(feature = "local-time")]
#[derive(Debug)]
pub(super) struct Local {
    /// The zone.
    zone: TimeZone,
    /// The last second that was asked for, and its offset. Many requests fall into one second, so the
    /// zone is asked once a second. One number, so that all threads can share it without a lock.
    last: AtomicU64,
}

#[cfg(feature = "local-time")]
impl Local {
    /// The bits of an offset in [`last`](Self::last).
    const OFFSET_BITS: u32 = 12;

    fn new(zone: TimeZone) -> Local {
        Local {
            zone,
            last: AtomicU64::new(u64::MAX),
        }
    }

    fn minutes_at(&self, second: u64) -> i16 {
        let last = self.last.load(Ordering::Relaxed);
        if last >> Local::OFFSET_BITS == second {
            let shifted = last & ((1 << Local::OFFSET_BITS) - 1);
            return i16::try_from(shifted).unwrap_or(MOST) - MOST;
        }
        let timestamp = i64::try_from(second).map(Timestamp::from_second);
        // A time that the zone does not know has no offset.
        let offset = match timestamp {
            Ok(Ok(timestamp)) => self.zone.to_offset(timestamp).seconds() / 60,
            _ => 0,
        };
        let minutes = i16::try_from(offset).unwrap_or(0).clamp(-MOST, MOST);
        let shifted = u64::from((minutes + MOST).unsigned_abs());
        self.last
            .store(second << Local::OFFSET_BITS | shifted, Ordering::Relaxed);
        minutes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_offset_stays_below_a_day() {
        for (asked, kept) in [(0, 0), (-90, -90), (i16::MAX, 1439), (i16::MIN, -1439)] {
            assert_eq!(Zone::fixed(asked).minutes_at(7), kept);
        }
    }

    /// LOG-1: the offset is that of each moment, and is the same when it is asked for again.
    #[cfg(feature = "local-time")]
    #[test]
    fn summer_time_begins_and_ends() {
        let zone = |text| Local::new(TimeZone::posix(text).expect("a zone"));
        let berlin = zone("CET-1CEST,M3.5.0,M10.5.0/3");
        for (second, minutes) in [
            (1_774_745_999, 60),  // 2026-03-29 00:59:59 UTC
            (1_774_746_000, 120), // an hour is left out
            (1_792_889_999, 120), // 2026-10-25 00:59:59 UTC
            (1_792_890_000, 60),  // an hour comes twice
            (0, 60),
        ] {
            for _ in 0..2 {
                assert_eq!(berlin.minutes_at(second), minutes, "{second}");
            }
        }
        for (text, minutes) in [
            ("<+14>-14", 840),
            ("<-12>12", -720),
            ("<+0530>-5:30", 330),
            ("<-0330>3:30", -210),
            ("UTC0", 0),
        ] {
            let zone = zone(text);
            assert_eq!(
                [1, 1, 2].map(|second| zone.minutes_at(second)),
                [minutes; 3],
                "{text}"
            );
        }
        // It ends somewhere, and does not fail there.
        assert_eq!(berlin.minutes_at(u64::MAX), 0);
        assert_eq!(berlin.minutes_at(253_402_100_000), 60);
    }
}
