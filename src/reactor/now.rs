//! The time of one turn.

use std::fmt;
use std::io::Write;
use std::ops::Add;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// The length of an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
const DATE_LENGTH: usize = 29;

/// The date as it stands at the end of a field line.
pub(crate) type DateLine = [u8; DATE_LENGTH + 2];

/// The time, read once a turn and handed to everything that happens in it.
///
/// Protocols never ask a clock: they are given this one, so a test can say what time it is. It
/// carries both clocks of a computer. Deadlines use the monotonic one (`now + limit` is an
/// [`Instant`]); what is written for people uses the wall clock, whose [text](Now::date) is
/// formatted at most once a second.
#[derive(Clone)]
pub struct Now {
    instant: Instant,
    wall: SystemTime,
    second: u64,
    date: DateLine,
}

impl Now {
    /// Reads both clocks.
    pub fn new() -> Now {
        Now::at(Instant::now(), SystemTime::now())
    }

    /// The time that the caller says it is.
    pub fn at(instant: Instant, wall: SystemTime) -> Now {
        let mut now = Now {
            instant,
            wall,
            second: u64::MAX,
            date: [b' '; DATE_LENGTH + 2],
        };
        now.set(instant, wall);
        now
    }

    /// Moves on to `instant`, reading the wall clock.
    pub fn advance(&mut self, instant: Instant) {
        self.set(instant, SystemTime::now());
    }

    fn set(&mut self, instant: Instant, wall: SystemTime) {
        self.instant = instant;
        self.wall = wall;
        let second = wall.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        if second != self.second {
            self.second = second;
            self.date = format_date(second);
        }
    }

    /// The monotonic clock, which deadlines are compared with.
    pub fn instant(&self) -> Instant {
        self.instant
    }

    /// The wall clock.
    pub fn wall(&self) -> SystemTime {
        self.wall
    }

    /// The wall clock as the value of a `Date` field (HTTP-33, RFC 9110 §6.6.1).
    pub fn date(&self) -> &[u8] {
        &self.date[..DATE_LENGTH]
    }

    /// As [`date`](Self::date), with the end of the line.
    pub(crate) fn date_line(&self) -> &DateLine {
        &self.date
    }
}

impl Default for Now {
    fn default() -> Now {
        Now::new()
    }
}

impl Add<Duration> for &Now {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        self.instant + duration
    }
}

impl fmt::Debug for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Now")
            .field("instant", &self.instant)
            .field("date", &String::from_utf8_lossy(self.date()))
            .finish()
    }
}

/// The IMF-fixdate of so many seconds after the epoch, with the end of the line.
pub(crate) fn format_date(second: u64) -> DateLine {
    /// 9999-12-31T23:59:59Z, the last second that four digits of year can say.
    const LAST: u64 = 253_402_300_799;
    let time = UNIX_EPOCH + Duration::from_secs(second.min(LAST));
    let mut date = [b' '; DATE_LENGTH + 2];
    // It fits, so writing cannot fail; a String would be an allocation each second (design law 6).
    let _ = write!(&mut date[..], "{}\r\n", HttpDate::from(time));
    date
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HTTP-33: RFC 1123 form, GMT, English names, zero-padded day, floor of the second.
    #[test]
    fn date_is_an_imf_fixdate() {
        let wall = UNIX_EPOCH + Duration::from_millis(784_111_777_999);
        let now = Now::at(Instant::now(), wall);
        assert_eq!(now.date(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(format_date(0), *b"Thu, 01 Jan 1970 00:00:00 GMT\r\n");
        assert_eq!(format_date(u64::MAX), *b"Fri, 31 Dec 9999 23:59:59 GMT\r\n");
    }
}
