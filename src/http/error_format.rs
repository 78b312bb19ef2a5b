//! The format of an error page, chosen by the client's `Accept` (RFC 9110 section 12.5.1).

use super::h1::{Fields, tokens};

/// The format of an error page; see [`Response::send_error`](super::Response::send_error).
///
/// The client chooses it with `Accept`. [`HttpSettings::error_format`](super::HttpSettings::error_format)
/// is the format for a client that has no preference, or for everybody
/// ([`HttpSettings::negotiate_errors`](super::HttpSettings::negotiate_errors)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ErrorFormat {
    /// `text/html`: Python's page, the default.
    #[default]
    Html,
    /// `application/problem+json`: an object with `title`, `status` and `detail` (RFC 9457).
    Problem,
    /// `application/json`: the same object, for a client that asks only for this type.
    Json,
    /// `text/plain`: two lines.
    Text,
}

impl ErrorFormat {
    /// In the order in which they are preferred, other things being equal.
    const ALL: [ErrorFormat; 4] = [
        ErrorFormat::Html,
        ErrorFormat::Problem,
        ErrorFormat::Json,
        ErrorFormat::Text,
    ];

    /// Returns the value of `Content-Type`.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            ErrorFormat::Html => "text/html;charset=utf-8",
            ErrorFormat::Problem => "application/problem+json",
            ErrorFormat::Json => "application/json",
            ErrorFormat::Text => "text/plain;charset=utf-8",
        }
    }

    /// Returns type and subtype.
    fn media_type(self) -> (&'static str, &'static str) {
        match self {
            ErrorFormat::Html => ("text", "html"),
            ErrorFormat::Problem => ("application", "problem+json"),
            ErrorFormat::Json => ("application", "json"),
            ErrorFormat::Text => ("text", "plain"),
        }
    }

    /// Returns the format that the client prefers ([HTTP-36]).
    ///
    /// That is the one of the highest quality. Among equals it is one that the client names, rather
    /// than one that a `*` includes: `application/json, */*` asks for JSON. Then it is `default`. It
    /// is `default` as well if the client accepts none of them, or has sent no `Accept`.
    ///
    /// [HTTP-36]: crate::spec#http-36
    pub(super) fn preferred(fields: Fields<'_>, default: ErrorFormat) -> ErrorFormat {
        let mut best = [None; ErrorFormat::ALL.len()];
        let ranges = fields.get_all("Accept").flat_map(tokens);
        for range in ranges.filter_map(Range::parse) {
            for (format, best) in ErrorFormat::ALL.into_iter().zip(&mut best) {
                // The most specific range counts, even if another has a higher quality.
                let found = range.precision(format).map(|exact| (exact, range.quality));
                *best = (*best).max(found);
            }
        }
        let accepted = ErrorFormat::ALL.into_iter().zip(best);
        let accepted = accepted.filter_map(|(format, best)| {
            let (exact, quality) = best.filter(|&(_, quality)| quality > 0)?;
            Some((quality, exact, format == default, format))
        });
        // Of equals, the first: `max_by_key` returns the last.
        let best = accepted
            .rev()
            .max_by_key(|&(quality, exact, ours, _)| (quality, exact, ours));
        best.map_or(default, |(.., format)| format)
    }
}

/// A media range with its quality.
struct Range<'a> {
    /// The type, or `*`.
    kind: &'a [u8],
    /// The subtype, or `*`.
    subtype: &'a [u8],
    /// The quality, in thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    /// Reads a member of `Accept`. Its parameters, except the quality, are not looked at, because our
    /// formats have no variants.
    fn parse(member: &'a [u8]) -> Option<Range<'a>> {
        let mut parts = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let media_range = parts.next()?;
        let slash = media_range.iter().position(|&byte| byte == b'/')?;
        let quality = parts.find_map(|part| match part {
            [b'q' | b'Q', b'=', quality @ ..] => Some(thousandths(quality)),
            _ => None,
        });
        Some(Range {
            kind: &media_range[..slash],
            subtype: &media_range[slash + 1..],
            // What if the quality is malformed? Then the range does not count.
            quality: quality.unwrap_or(Some(1000))?,
        })
    }

    /// Returns how precisely this range names a format, from 1 to 3; `None` if it does not include it.
    fn precision(&self, format: ErrorFormat) -> Option<u8> {
        let (kind, subtype) = format.media_type();
        match (self.kind, self.subtype) {
            (b"*", b"*") => Some(1),
            (found, _) if !found.eq_ignore_ascii_case(kind.as_bytes()) => None,
            (_, b"*") => Some(2),
            (_, found) => found.eq_ignore_ascii_case(subtype.as_bytes()).then_some(3),
        }
    }
}

/// Reads a quality: 0 or 1, with up to three digits after the point (RFC 9110 section 12.4.2).
fn thousandths(quality: &[u8]) -> Option<u16> {
    let (whole, digits) = match quality {
        [whole @ (b'0' | b'1')] => (whole, &b""[..]),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let mut value = u16::from(whole - b'0');
    for place in 0..3 {
        let digit = digits.get(place).copied().unwrap_or(b'0');
        value = value * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::super::h1::parse_fields;
    use super::ErrorFormat::{self, Html, Json, Problem, Text};

    fn preferred(accept: &str, default: ErrorFormat) -> ErrorFormat {
        let lines: String = accept
            .split('|')
            .map(|value| format!("Accept: {value}\r\n"))
            .collect();
        let fields = parse_fields(lines.as_bytes(), 9).expect("valid fields");
        ErrorFormat::preferred(fields, default)
    }

    /// HTTP-36: what real clients send, and each rule of RFC 9110 §12.5.1.
    #[test]
    fn the_client_chooses() {
        let cases = [
            // curl, Python's requests, node's fetch
            ("*/*", Html),
            // Chromium, Firefox
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
                Html,
            ),
            // axios; Angular
            ("application/json, text/plain, */*", Json),
            // Java's HttpURLConnection
            ("text/html, image/gif, image/jpeg, */*; q=0.2", Html),
            ("", Html),
            ("application/json", Json),
            ("application/problem+json", Problem),
            ("application/problem+json, application/json", Problem),
            ("application/*", Problem),
            ("text/plain", Text),
            ("text/*", Html),
            ("Text/PLAIN", Text),
            ("image/png", Html),
            ("text/html;q=0.5, text/plain", Text),
            ("text/plain;q=0.5, text/html;q=0.4", Text),
            ("text/plain;q=0.001, text/html;q=0.000", Text),
            ("*/*, text/html;q=0", Problem),
            ("text/*;q=0.9, text/plain;q=0.1, */*;q=0.2", Html),
            ("text/plain ; format=flowed ; Q=0.7 , */* ; q=0.1", Text),
            ("text/html;q=0", Html),
            ("text/plain;q=0", Html),
            ("text/plain;q=0, application/json;q=0.0, */*", Html),
            // Fields are joined.
            ("text/html;q=0.2|application/json;q=0.3", Json),
            // Malformed ranges do not count.
            (
                "text, text/plain;q=2, text/plain;q=0.0001, text/plain;q=, application/json;q=.9",
                Html,
            ),
            ("text/plain;q=1.001, text/plain;q=0.x, /, ;,,", Html),
        ];
        for (accept, expected) in cases {
            assert_eq!(preferred(accept, Html), expected, "{accept}");
        }
        assert_eq!(ErrorFormat::preferred(Default::default(), Text), Text);
        for (accept, expected) in [
            ("*/*", Problem),
            ("text/html, */*;q=0.8", Html),
            ("text/html, application/json", Html),
            ("application/json", Json),
            ("image/png", Problem),
        ] {
            assert_eq!(preferred(accept, Problem), expected, "{accept}");
        }
    }
}
