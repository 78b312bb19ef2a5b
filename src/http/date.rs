//! The `Date` field ([HTTP-33], RFC 9110 §6.6.1).
//!
//! [HTTP-33]: crate::spec#http-33

use std::cell::Cell;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

use crate::reactor::Now;

/// The length of an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
const DATE_LENGTH: usize = 29;

/// An IMF-fixdate and the end of its line, as a field line ends.
pub(crate) type DateLine = [u8; DATE_LENGTH + 2];

/// 9999-12-31T23:59:59Z, the last second that a year of four digits can express.
pub(super) const LAST_SECOND: u64 = 253_402_300_799;

/// The name of the field.
pub(super) const DATE: &[u8] = b"Date:";

/// What follows the name [`DATE`], a space first. These 32 bytes are copied as two vectors. Vectors that
/// overlap, as for 31 bytes, stall the processor (measured: 6 % of a pipelined request without sockets).
type DateValue = [u8; 1 + DATE_LENGTH + 2];

/// The last date that a thread has formatted.
#[derive(Clone, Copy)]
struct Last {
    /// The time that was asked for last: pipelined requests of one turn ask for the same.
    wall: Option<SystemTime>,
    second: u64,
    value: DateValue,
}

/// Returns what follows the name [`DATE`] in a response at `now`: the space, the date, the end of the line.
///
/// Every response of the same second has the same date. So each thread formats it once a second
/// and keeps it; neither allocates ([design law 6]).
///
/// [design law 6]: crate::spec#law-6
pub(crate) fn date_value(now: &Now) -> DateValue {
    thread_local! {
        static LAST: Cell<Last> = const {
            Cell::new(Last { wall: None, second: u64::MAX, value: [b' '; 1 + DATE_LENGTH + 2] })
        };
    }
    let (mut last, wall) = (LAST.get(), now.wall());
    if last.wall == Some(wall) {
        return last.value;
    }
    let second = second_of(wall);
    if second != last.second {
        last.value[1..].copy_from_slice(&format_date(second));
    }
    let (wall, value) = (Some(wall), last.value);
    LAST.set(Last {
        wall,
        second,
        value,
    });
    value
}

/// Returns the IMF-fixdate of `time`, cut to the second. A time before 1970 counts as 1970.
pub(crate) fn format_date_time(time: SystemTime) -> String {
    let line = format_date(second_of(time));
    line[..DATE_LENGTH]
        .iter()
        .copied()
        .map(char::from)
        .collect()
}

/// Returns the IMF-fixdate of this many seconds after the epoch, with the end of the line.
pub(crate) fn format_date(second: u64) -> DateLine {
    let time = UNIX_EPOCH + Duration::from_secs(second.min(LAST_SECOND));
    let mut date = [b' '; DATE_LENGTH + 2];
    // Ignore the error: the text fits. A String would be an allocation each second.
    let _ = write!(&mut date[..], "{}\r\n", HttpDate::from(time));
    date
}

/// Returns the whole seconds between the epoch and `time`.
fn second_of(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// HTTP-33: RFC 1123 form, GMT, English names, zero-padded day, floor of the second.
    #[test]
    fn date_is_an_imf_fixdate() {
        let at = |millis| Now::at(Instant::now(), UNIX_EPOCH + Duration::from_millis(millis));
        // Twice each: the second time the date is the one that was kept.
        for millis in [
            784_111_777_999,
            784_111_777_000,
            784_111_778_000,
            784_111_778_001,
        ] {
            let expected = match millis {
                ..784_111_778_000 => b" Sun, 06 Nov 1994 08:49:37 GMT\r\n",
                _ => b" Sun, 06 Nov 1994 08:49:38 GMT\r\n",
            };
            assert_eq!(date_value(&at(millis)), *expected);
        }
        assert_eq!(format_date(0), *b"Thu, 01 Jan 1970 00:00:00 GMT\r\n");
        assert_eq!(format_date(u64::MAX), *b"Fri, 31 Dec 9999 23:59:59 GMT\r\n");
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(format_date_time(before), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
