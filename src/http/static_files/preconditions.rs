//! Conditional requests (RFC 9110 §13): is the client's copy of a file still current?

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::http::date::LAST_SECOND;
use crate::http::h1::Fields;

/// The version of a file: a client compares it to find out whether the file has changed.
#[derive(Debug)]
pub(super) struct Validators {
    /// The entity tag, strong, with its quotes.
    pub(super) etag: String,
    /// The time of modification in whole seconds, if an HTTP date can express it.
    modified: Option<SystemTime>,
    /// The time of the request.
    now: SystemTime,
}

impl Validators {
    /// Cuts the time of modification to whole seconds.
    pub(super) fn new(etag: String, modified: Option<SystemTime>, now: SystemTime) -> Validators {
        let since = modified.and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
        let seconds = since.map(|since| since.as_secs());
        let seconds = seconds.filter(|&seconds| seconds <= LAST_SECOND);
        Validators {
            etag,
            modified: seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)),
            now,
        }
    }

    /// Returns the value of the `Last-Modified` field. It is never later than `Date` (RFC 9110
    /// §8.8.2.1).
    pub(super) fn last_modified(&self) -> Option<String> {
        let modified = self.modified?.min(self.now.max(UNIX_EPOCH));
        Some(httpdate::fmt_http_date(modified))
    }

    /// Returns whether the file has the same bytes as the one that had this date (RFC 9110
    /// §8.8.2.2). The date must be a second old: within the second of a change the file may change
    /// again.
    fn is_exactly(&self, date: SystemTime) -> bool {
        let age = self.now.duration_since(date).unwrap_or_default();
        self.modified == Some(date) && age >= Duration::from_secs(1)
    }

    fn is_newer_than(&self, date: SystemTime) -> Option<bool> {
        Some(self.modified? > date)
    }

    /// Returns whether our entity tag is in a list (RFC 9110 §8.8.3.2).
    fn is_among(&self, fields: Fields<'_>, name: &str, comparison: Comparison) -> bool {
        let mut values = fields.get_all(name);
        values.any(|value| value == b"*" || tags(value).any(|tag| self.matches(tag, comparison)))
    }

    fn matches(&self, tag: Tag<'_>, comparison: Comparison) -> bool {
        let comparable = !tag.weak || comparison == Comparison::Weak;
        comparable && tag.quoted == self.etag.as_bytes()
    }
}

/// How entity tags are compared (RFC 9110 §8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// A weak tag never matches.
    Strong,
    /// Whether the client's tag is weak makes no difference.
    Weak,
}

/// The result of the preconditions of a GET or HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send the file.
    Perform,
    /// Send status 304: the client's copy is current.
    NotModified,
    /// Send status 412.
    Failed,
}

/// Evaluates the preconditions for a file that exists, in the order of RFC 9110 §13.2.2. The last of
/// them is [`if_range`].
pub(super) fn evaluate(fields: Fields<'_>, validators: &Validators) -> Verdict {
    let newer_than = |name| {
        let date = date(fields, name)?;
        validators.is_newer_than(date)
    };
    if has(fields, "if-match") {
        if !validators.is_among(fields, "if-match", Comparison::Strong) {
            return Verdict::Failed;
        }
    } else if newer_than("if-unmodified-since") == Some(true) {
        return Verdict::Failed;
    }
    if has(fields, "if-none-match") {
        if validators.is_among(fields, "if-none-match", Comparison::Weak) {
            return Verdict::NotModified;
        }
    } else if newer_than("if-modified-since") == Some(false) {
        return Verdict::NotModified;
    }
    Verdict::Perform
}

/// Returns whether a range may be sent: the client's part is of this exact file, or there is no
/// `If-Range` (RFC 9110 §13.1.5).
pub(super) fn if_range(fields: Fields<'_>, validators: &Validators) -> bool {
    let mut values = fields.get_all("if-range");
    match (values.next(), values.next()) {
        (None, _) => true,
        (Some(value), None) if value.contains(&b'"') => {
            let mut tags = tags(value);
            let tag = tags.next().filter(|_| tags.next().is_none());
            tag.is_some_and(|tag| validators.matches(tag, Comparison::Strong))
        }
        (Some(value), None) => parse_date(value).is_some_and(|date| validators.is_exactly(date)),
        (Some(_), Some(_)) => false,
    }
}

fn has(fields: Fields<'_>, name: &str) -> bool {
    fields.get(name).is_some()
}

/// Returns the date in a field. A malformed date, or a second field of the same name, does not
/// count (RFC 9110 §13.1.3).
fn date(fields: Fields<'_>, name: &str) -> Option<SystemTime> {
    let mut values = fields.get_all(name);
    match (values.next(), values.next()) {
        (Some(value), None) => parse_date(value),
        _ => None,
    }
}

/// Parses a date in one of the three forms of RFC 9110 §5.6.7. `GMT` may also be `UTC`, `+0000` or
/// `-0000`, or be missing ([STATIC-10]).
///
/// [STATIC-10]: crate::spec#static-10
fn parse_date(value: &[u8]) -> Option<SystemTime> {
    const ZONES: [&str; 4] = [" GMT", " UTC", " +0000", " -0000"];
    let text = std::str::from_utf8(value).ok()?.trim();
    let bare = ZONES.iter().find_map(|zone| text.strip_suffix(zone));
    let bare = bare.unwrap_or(text);
    // Only the form of asctime has no comma; it also has no zone.
    let zone = if bare.contains(',') { " GMT" } else { "" };
    httpdate::parse_http_date(&format!("{bare}{zone}")).ok()
}

/// An entity tag that a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tag<'a> {
    /// Whether it begins with `W/`.
    weak: bool,
    /// The tag with its quotes.
    quoted: &'a [u8],
}

// entity-tag = [ weak ] opaque-tag
// weak       = %s"W/"
// opaque-tag = DQUOTE *etagc DQUOTE
// etagc      = %x21 / %x23-7E / obs-text
//            ; VCHAR except double quotes, plus obs-text
/// Returns the entity tags in a list, up to the first member that is malformed (RFC 9110 §8.8.3). A
/// comma may be part of a tag.
fn tags(list: &[u8]) -> impl Iterator<Item = Tag<'_>> {
    let mut rest = list;
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let (weak, quoted) = match rest.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let inside = quoted.strip_prefix(b"\"")?;
        let length = inside.iter().position(|&byte| byte == b'"')?;
        let (quoted, after) = quoted.split_at_checked(length + 2)?;
        if !quoted.iter().all(|&byte| byte > b' ' && byte != 0x7f) {
            return None;
        }
        rest = after;
        matches!(rest, [] | [b' ' | b'\t' | b',', ..]).then_some(Tag { weak, quoted })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::parse_fields;

    /// Sun, 06 Nov 1994 08:49:37 GMT
    const MODIFIED: u64 = 784_111_777;
    const ETAG: &str = "\"a,b\"";

    fn validators(age: u64) -> Validators {
        let modified = UNIX_EPOCH + Duration::from_nanos(MODIFIED * 1_000_000_000 + 999);
        let now = UNIX_EPOCH + Duration::from_secs(MODIFIED + age);
        Validators::new(ETAG.to_owned(), Some(modified), now)
    }

    fn fields(lines: &str) -> Vec<u8> {
        lines.replace('|', "\r\n").into_bytes()
    }

    /// RFC 9110 §13.2.2. In this table `|` ends a line.
    #[test]
    fn preconditions_in_their_order() {
        use Verdict::{Failed, NotModified, Perform};
        const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
        const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
        let cases = [
            (String::new(), Perform),
            // If-None-Match: weak comparison, lists, several fields.
            ("If-None-Match: \"a,b\"|".into(), NotModified),
            ("If-None-Match: W/\"a,b\"|".into(), NotModified),
            ("If-None-Match: \"x\", \"a,b\"|".into(), NotModified),
            (
                "If-None-Match: \"x\",W/\"a,b\" , \"y\"|".into(),
                NotModified,
            ),
            ("If-None-Match: ,, \"a,b\",|".into(), NotModified),
            (
                "If-None-Match: \"x\"|If-None-Match: \"a,b\"|".into(),
                NotModified,
            ),
            ("If-None-Match: *|".into(), NotModified),
            ("If-None-Match: \"a\", \"b\"|".into(), Perform),
            ("If-None-Match: a,b|".into(), Perform),
            ("If-None-Match: |".into(), Perform),
            ("If-None-Match: w/\"a,b\"|".into(), Perform),
            ("If-None-Match: x, \"a,b\"|".into(), Perform),
            ("If-None-Match: \"x\"\"a,b\"|".into(), Perform),
            ("If-None-Match: \"x y\", \"a,b\"|".into(), Perform),
            // If-Modified-Since counts only without If-None-Match.
            (format!("If-Modified-Since: {SAME}|"), NotModified),
            (format!("If-Modified-Since: {AFTER}|"), NotModified),
            (format!("If-Modified-Since: {BEFORE}|"), Perform),
            (
                format!("If-None-Match: \"x\"|If-Modified-Since: {AFTER}|"),
                Perform,
            ),
            (
                format!("If-None-Match: \"a,b\"|If-Modified-Since: {BEFORE}|"),
                NotModified,
            ),
            (
                format!("If-Modified-Since: {AFTER}|If-Modified-Since: {AFTER}|"),
                Perform,
            ),
            ("If-Modified-Since: yesterday|".into(), Perform),
            // If-Match: strong comparison.
            ("If-Match: \"a,b\"|".into(), Perform),
            ("If-Match: *|".into(), Perform),
            ("If-Match: \"x\", \"a,b\"|".into(), Perform),
            ("If-Match: W/\"a,b\"|".into(), Failed),
            ("If-Match: \"x\"|".into(), Failed),
            ("If-Match: |".into(), Failed),
            // If-Unmodified-Since counts only without If-Match.
            (format!("If-Unmodified-Since: {SAME}|"), Perform),
            (format!("If-Unmodified-Since: {BEFORE}|"), Failed),
            (
                format!("If-Match: \"a,b\"|If-Unmodified-Since: {BEFORE}|"),
                Perform,
            ),
            (
                format!("If-Match: \"x\"|If-Unmodified-Since: {AFTER}|"),
                Failed,
            ),
            ("If-Unmodified-Since: yesterday|".into(), Perform),
            // A 412 comes before a 304.
            ("If-Match: \"x\"|If-None-Match: \"a,b\"|".into(), Failed),
            (
                "If-Match: \"a,b\"|If-None-Match: \"a,b\"|".into(),
                NotModified,
            ),
            (
                format!("If-Unmodified-Since: {BEFORE}|If-None-Match: *|"),
                Failed,
            ),
        ];
        for (lines, expected) in cases {
            let bytes = fields(&lines);
            let fields = parse_fields(&bytes, 10).expect(&lines);
            assert_eq!(evaluate(fields, &validators(100)), expected, "{lines:?}");
        }
    }

    /// RFC 9110 §13.1.5: an exact match of a strong validator.
    #[test]
    fn a_part_is_continued_only_of_the_same_file() {
        let cases = [
            ("", 100, true),
            ("If-Range: \"a,b\"|", 100, true),
            ("If-Range: W/\"a,b\"|", 100, false),
            ("If-Range: \"x\"|", 100, false),
            ("If-Range: \"a,b\", \"x\"|", 100, false),
            ("If-Range: *|", 100, false),
            ("If-Range: |", 100, false),
            ("If-Range: \"a,b\"|If-Range: \"a,b\"|", 100, false),
            ("If-Range: Sun, 06 Nov 1994 08:49:37 GMT|", 100, true),
            ("If-Range: Sunday, 06-Nov-94 08:49:37 GMT|", 100, true),
            ("If-Range: Sun, 06 Nov 1994 08:49:37 GMT|", 1, true),
            ("If-Range: Sun, 06 Nov 1994 08:49:37 GMT|", 0, false),
            ("If-Range: Sun, 06 Nov 1994 08:49:36 GMT|", 100, false),
            ("If-Range: Sun, 06 Nov 1994 08:49:38 GMT|", 100, false),
            ("If-Range: tomorrow|", 100, false),
        ];
        for (lines, age, expected) in cases {
            let bytes = fields(lines);
            let fields = parse_fields(&bytes, 10).expect(lines);
            let continued = if_range(fields, &validators(age));
            assert_eq!(continued, expected, "{lines:?} after {age} s");
        }
    }

    /// STATIC-10: all names of UTC are understood. Another zone, or no date, is ignored.
    #[test]
    fn dates_of_clients() {
        let same = [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37 -0000",
            "Sun, 06 Nov 1994 08:49:37",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37",
            "Sun Nov  6 08:49:37 1994",
            "Sun Nov  6 08:49:37 1994 +0000",
        ];
        let expected = UNIX_EPOCH + Duration::from_secs(MODIFIED);
        for text in same {
            assert_eq!(parse_date(text.as_bytes()), Some(expected), "{text}");
        }
        let none: [&[u8]; 12] = [
            b"",
            b" GMT",
            b"Sun, 06 Nov 1994 08:49:37 +0100",
            b"Sun, 06 Nov 1994 08:49:37 EST",
            b"Sun, 06 Nov 1994 08:49:37 GMT GMT",
            b"Sun, 06 Nov 1994 25:49:37 GMT",
            b"Sun, 31 Feb 1994 08:49:37 GMT",
            b"Sun, 06 Nov 1994 08:49:37 \xff",
            b"Thu, 01 Jan 0000 00:00:00 GMT",
            b"Thu, 01 Jan 99999 00:00:00 GMT",
            b"784111777",
            b"\"a,b\"",
        ];
        for text in none {
            assert_eq!(parse_date(text), None, "{}", text.escape_ascii());
        }
    }

    /// RFC 9110 §8.8.2.1, and files whose time an HTTP date cannot express.
    #[test]
    fn the_date_that_is_sent() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let now = at(MODIFIED);
        let cases = [
            (Some(at(0)), Some("Thu, 01 Jan 1970 00:00:00 GMT")),
            (Some(at(MODIFIED)), Some("Sun, 06 Nov 1994 08:49:37 GMT")),
            (
                Some(at(MODIFIED + 1)),
                Some("Sun, 06 Nov 1994 08:49:37 GMT"),
            ),
            (Some(UNIX_EPOCH - Duration::from_secs(1)), None),
            (Some(at(LAST_SECOND)), Some("Sun, 06 Nov 1994 08:49:37 GMT")),
            (Some(at(LAST_SECOND + 1)), None),
            (None, None),
        ];
        for (modified, expected) in cases {
            let validators = Validators::new(String::new(), modified, now);
            let sent = validators.last_modified();
            assert_eq!(sent.as_deref(), expected, "{modified:?}");
        }
        let before = UNIX_EPOCH - Duration::from_secs(9);
        let validators = Validators::new(String::new(), Some(now), before);
        let sent = validators.last_modified();
        assert_eq!(sent.as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    }
}
