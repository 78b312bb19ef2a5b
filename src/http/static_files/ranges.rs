//! Which bytes of a file a client asks for (RFC 9110 §14).

use crate::http::h1::tokens;

/// A range of bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteRange {
    /// The offset of the first byte.
    pub(super) first: u64,
    /// The number of bytes.
    pub(super) length: u64,
}

impl ByteRange {
    /// Returns the value of a `Content-Range` field. The range must not be empty.
    pub(super) fn content_range(&self, complete_length: u64) -> String {
        let last = self.first.saturating_add(self.length).saturating_sub(1);
        format!("bytes {}-{last}/{complete_length}", self.first)
    }

    /// Returns the range that is left after `count` bytes.
    pub(super) fn without_first(self, count: u64) -> ByteRange {
        ByteRange {
            first: self.first.saturating_add(count),
            length: self.length.saturating_sub(count),
        }
    }
}

/// The part of a file that a `Range` field selects.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// The whole file: the field is ignored.
    Whole,
    /// One range.
    Single(ByteRange),
    /// Two or more ranges, in the order in which the client asked for them.
    Several(Vec<ByteRange>),
    /// None of the ranges overlaps the file.
    Unsatisfiable,
}

/// Returns the part of a file with `length` bytes that a `Range` field selects.
///
/// The field is ignored if it is malformed or has another unit. It is also ignored if it asks for
/// too many ranges, or if the ranges together are longer than the file. Such a request is an
/// attack, or is better served with the whole file (RFC 9110 §14.2).
pub(super) fn select(field: &[u8], length: u64, max_ranges: usize) -> Selection {
    let mut ranges = Vec::new();
    let mut asked = 0;
    for spec in specs(field) {
        let Some(spec) = spec.and_then(Spec::parse) else {
            return Selection::Whole;
        };
        asked += 1;
        if asked > max_ranges {
            return Selection::Whole;
        }
        match spec.within(length) {
            // The last bytes of an empty file are a valid request, but Content-Range cannot express
            // an empty range (RFC 9110 §14.1.2).
            Some(range) if range.length == 0 => return Selection::Whole,
            range => ranges.extend(range),
        }
    }
    let total = ranges
        .iter()
        .fold(0_u64, |total, range| total.saturating_add(range.length));
    match ranges[..] {
        _ if asked == 0 || total > length => Selection::Whole,
        [] => Selection::Unsatisfiable,
        [range] => Selection::Single(range),
        _ => Selection::Several(ranges),
    }
}

// ranges-specifier = range-unit "=" range-set
// range-set        = 1#range-spec
/// Returns the members of a range set (RFC 9110 §14.1.1). A single `None` if the unit is not
/// `bytes`.
fn specs(field: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let unit = field.split_at_checked(6);
    let set = unit.and_then(|(unit, set)| unit.eq_ignore_ascii_case(b"bytes=").then_some(set));
    let failed = set.is_none().then_some(None);
    failed
        .into_iter()
        .chain(tokens(set.unwrap_or_default()).map(Some))
}

// int-range    = first-pos "-" [ last-pos ]
// suffix-range = "-" suffix-length
/// One member of a range set (RFC 9110 §14.1.1).
#[derive(Debug, Clone, Copy)]
enum Spec {
    /// `first-last`, or `first-` up to the end.
    From(u64, Option<u64>),
    /// `-suffix`: that many bytes at the end.
    Last(u64),
}

impl Spec {
    fn parse(spec: &[u8]) -> Option<Spec> {
        let dash = spec.iter().position(|&byte| byte == b'-')?;
        let (first, rest) = spec.split_at_checked(dash)?;
        let last = rest.get(1..)?;
        match (first, last) {
            (b"", last) => Some(Spec::Last(number(last)?)),
            (first, b"") => Some(Spec::From(number(first)?, None)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Spec::From(first, Some(last)))
            }
        }
    }

    /// Returns the range of a file with `length` bytes. `None` if the two do not overlap.
    fn within(self, length: u64) -> Option<ByteRange> {
        match self {
            Spec::From(first, _) if first >= length => None,
            Spec::From(first, last) => {
                let end = last.map_or(length, |last| last.saturating_add(1).min(length));
                Some(ByteRange {
                    first,
                    length: end - first,
                })
            }
            Spec::Last(0) => None,
            Spec::Last(count) => {
                let count = count.min(length);
                Some(ByteRange {
                    first: length - count,
                    length: count,
                })
            }
        }
    }
}

/// Parses a number of any length. A number beyond 64 bits becomes the largest one, because no file
/// is longer.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0_u64, |number, digit| {
        let digit = u64::from(digit - b'0');
        number.saturating_mul(10).saturating_add(digit)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, length: u64) -> ByteRange {
        ByteRange { first, length }
    }

    /// RFC 9110 §14.1.2, §14.2.
    #[test]
    fn what_a_field_selects_of_ten_bytes() {
        use Selection::{Several, Single, Unsatisfiable, Whole};
        let huge = "9".repeat(40);
        let cases = [
            ("bytes=0-0", Single(range(0, 1))),
            ("bytes=0-9", Single(range(0, 10))),
            ("bytes=0-", Single(range(0, 10))),
            ("bytes=9-", Single(range(9, 1))),
            ("bytes=5-99", Single(range(5, 5))),
            ("bytes=-3", Single(range(7, 3))),
            ("bytes=-99", Single(range(0, 10))),
            ("BYTES=1-2", Single(range(1, 2))),
            ("bytes= 1-2 ", Single(range(1, 2))),
            ("bytes=,1-2,,", Single(range(1, 2))),
            ("bytes=001-002", Single(range(1, 2))),
            ("bytes=0-1,8-9", Several(vec![range(0, 2), range(8, 2)])),
            ("bytes=8-9 ,\t0-1", Several(vec![range(8, 2), range(0, 2)])),
            ("bytes=0-2,1-3", Several(vec![range(0, 3), range(1, 3)])),
            // Only one of several ranges overlaps the file.
            ("bytes=2-3,20-30", Single(range(2, 2))),
            ("bytes=-0,2-3", Single(range(2, 2))),
            // No range overlaps the file.
            ("bytes=10-", Unsatisfiable),
            ("bytes=10-20", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=20-30,-0", Unsatisfiable),
            // Together longer than the file.
            ("bytes=0-9,0-0", Whole),
            ("bytes=0-,0-,0-", Whole),
            ("bytes=-9,-9", Whole),
            // Not a range set.
            ("", Whole),
            ("bytes", Whole),
            ("bytes=", Whole),
            ("bytes=,", Whole),
            ("bytes =0-1", Whole),
            ("bytes=-", Whole),
            ("bytes=2-1", Whole),
            ("bytes=0-1,2-1", Whole),
            ("bytes=a-b", Whole),
            ("bytes=0x1-2", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1 - 2", Whole),
            ("bytes=1", Whole),
            ("bytes=--1", Whole),
            ("bytes=1-2-3", Whole),
            ("bytes=1-2;3-4", Whole),
            ("lines=1-2", Whole),
        ];
        for (field, expected) in cases {
            assert_eq!(select(field.as_bytes(), 10, 16), expected, "{field:?}");
        }
        let beyond = [
            (format!("bytes=3-{huge}"), Single(range(3, 7))),
            (format!("bytes={huge}-"), Unsatisfiable),
            (format!("bytes=-{huge}"), Single(range(0, 10))),
        ];
        for (field, expected) in beyond {
            assert_eq!(select(field.as_bytes(), 10, 16), expected, "{field:?}");
        }
    }

    #[test]
    fn the_ends_of_what_can_be_counted() {
        let cases = [
            ("bytes=0-", 0, Selection::Unsatisfiable),
            ("bytes=-1", 0, Selection::Whole),
            ("bytes=-0", 0, Selection::Unsatisfiable),
            ("bytes=0-0", u64::MAX, Selection::Single(range(0, 1))),
            (
                "bytes=-1",
                u64::MAX,
                Selection::Single(range(u64::MAX - 1, 1)),
            ),
            (
                "bytes=1-18446744073709551615",
                u64::MAX,
                Selection::Single(range(1, u64::MAX - 1)),
            ),
        ];
        for (field, length, expected) in cases {
            assert_eq!(select(field.as_bytes(), length, 16), expected, "{field:?}");
        }
        assert_eq!(
            range(u64::MAX - 1, 1).content_range(u64::MAX),
            "bytes 18446744073709551614-18446744073709551614/18446744073709551615"
        );
    }

    /// CVE-2011-3192: many or overlapping ranges never cost more than the whole file.
    #[test]
    fn more_ranges_than_allowed_are_all_ignored() {
        let set = |count: u64| {
            let specs: Vec<String> = (0..count).map(|n| format!("{n}-{n}")).collect();
            format!("bytes={}", specs.join(","))
        };
        for (count, allowed) in [(2, 2), (16, 16), (3, 2), (17, 16), (1, 0), (4000, 16)] {
            let selection = select(set(count).as_bytes(), 1 << 20, allowed);
            let whole = selection == Selection::Whole;
            assert_eq!(whole, count > allowed as u64, "{count} of {allowed}");
        }
    }
}
