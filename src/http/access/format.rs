//! The format of a log line, and how it escapes what clients sent.

use std::fmt::{Display, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::entry::LogEntry;
use super::zone::Zone;
use crate::http::date::{DateLine, format_date};
use crate::http::json::push_json;

/// The format of the lines of an [`AccessLog`](super::AccessLog).
///
/// | format | an example |
/// | --- | --- |
/// | `Python` | `192.0.2.1 - - [06/Nov/1994 08:49:37] "GET / HTTP/1.1" 200 5` |
/// | `Common` | `192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] "GET / HTTP/1.1" 200 5` |
/// | `Combined` | like `Common`, then ` "http://h/from" "curl/8.0"` |
/// | `Json` | `{"time":"1994-11-06T08:49:37.000000Z","client":"192.0.2.1","request":"GET / HTTP/1.1","status":200,"size":5,"complete":true,"duration_us":12,"referer":null,"user_agent":"curl/8.0"}` |
///
/// The host is the client's address; names are never looked up ([LOG-6]). On a Unix-domain socket a
/// client has no address, and the host is `-` (in JSON `null`). The size counts the body, without
/// head and framing. If the client disconnected before there was a response, the status is `-` or
/// `null`.
///
/// Only JSON marks a response that was broken off, with `"complete":false`. The other formats just
/// show how much was written until then.
///
/// [LOG-6]: crate::spec#log-6
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// The format of Python's `http.server` and `wsgiref` ([LOG-1], [LOG-2]).
    ///
    /// The time is when the line was written. It names no zone: it is UTC, unless
    /// [`utc_offset`](super::AccessLog::utc_offset) is set. In Python it is local time, as with the
    /// feature `local-time` and `AccessLog::local_time`.
    /// `http.server` writes `-` for the size; here it is known, and `-` means that there was no
    /// response.
    ///
    /// Bytes are read as Latin-1, as in Python, and a line is UTF-8 text. Control characters, also
    /// those above 0x7f, are written like `\x1b`, and a backslash as two ([LOG-3]). A quotation
    /// mark is not escaped, as in Python. If you parse such lines, look for the last quotation
    /// mark.
    ///
    /// [LOG-1]: crate::spec#log-1
    /// [LOG-2]: crate::spec#log-2
    /// [LOG-3]: crate::spec#log-3
    Python,
    /// NCSA's common log format, as Apache writes it.
    ///
    /// The time is when the request began to arrive. The size is `-` if no body was sent. A byte
    /// that is not printable ASCII is written like `\xe9`. A quotation mark or a backslash gets a
    /// backslash before it.
    Common,
    /// Like `Common`, with the `Referer` and the `User-Agent` of the request, or `"-"`.
    Combined,
    /// One JSON object in each line, with the members of the example.
    ///
    /// `time` is when the request began to arrive. `duration_us` is the number of microseconds from
    /// then to the end of the response, see [`LogEntry::duration`]. The line of an error page has
    /// the members `time` (when it was written), `client`, `request` and `error`.
    ///
    /// A line is ASCII. Bytes from a client may not be valid text in any encoding, so each byte
    /// becomes the character with its number (Latin-1). Nothing is lost: `text.encode("latin-1")`
    /// in Python, or the same in another language, gives the bytes back.
    Json,
}

/// The settings of one log.
#[derive(Debug, Clone)]
pub(super) struct Style {
    /// The format of the lines.
    format: LogFormat,
    /// How far the time is ahead of UTC.
    pub(super) zone: Zone,
    /// Whether error pages get a second line.
    pub(super) errors: bool,
}

impl Style {
    /// Returns the default settings of a format.
    pub(super) fn new(format: LogFormat) -> Style {
        Style {
            format,
            zone: Zone::UTC,
            errors: matches!(format, LogFormat::Python | LogFormat::Json),
        }
    }

    /// Appends the line of a request, without a line end.
    pub(super) fn request(&self, line: &mut String, entry: &LogEntry<'_>) {
        match self.format {
            LogFormat::Python => {
                self.prefix(line, entry, entry.ended());
                line.push('"');
                push_escaped(line, latin_1(entry.request_line()));
                line.push_str("\" ");
                push_or_dash(line, entry.code());
                line.push(' ');
                push_or_dash(line, entry.code().map(|_| entry.sent()));
            }
            LogFormat::Common => self.common(line, entry),
            LogFormat::Combined => {
                self.common(line, entry);
                for value in [entry.referer(), entry.user_agent()] {
                    line.push(' ');
                    push_quoted(line, value.unwrap_or(b"-"));
                }
            }
            LogFormat::Json => {
                self.members(line, entry, entry.began());
                line.push_str(",\"status\":");
                push_or(line, entry.code(), "null");
                push(line, format_args!(",\"size\":{}", entry.sent()));
                push(line, format_args!(",\"complete\":{}", entry.is_complete()));
                let duration = entry.duration().as_micros();
                push(line, format_args!(",\"duration_us\":{duration}"));
                let fields = [
                    ("referer", entry.referer()),
                    ("user_agent", entry.user_agent()),
                ];
                for (name, value) in fields {
                    push(line, format_args!(",\"{name}\":"));
                    match value {
                        Some(value) => push_json(line, latin_1(value)),
                        None => line.push_str("null"),
                    }
                }
                line.push('}');
            }
        }
    }

    /// Appends the line of an error page, without a line end.
    pub(super) fn error(&self, line: &mut String, entry: &LogEntry<'_>, message: &str) {
        match self.format {
            LogFormat::Python => {
                self.prefix(line, entry, entry.ended());
                push_escaped(line, message.chars());
            }
            LogFormat::Common | LogFormat::Combined => {
                self.prefix(line, entry, entry.ended());
                push_ascii(line, message.as_bytes());
            }
            LogFormat::Json => {
                self.members(line, entry, entry.ended());
                line.push_str(",\"error\":");
                push_json(line, message.chars());
                line.push('}');
            }
        }
    }

    /// Appends a request in the common log format.
    fn common(&self, line: &mut String, entry: &LogEntry<'_>) {
        self.prefix(line, entry, entry.began());
        push_quoted(line, entry.request_line());
        line.push(' ');
        push_or_dash(line, entry.code());
        line.push(' ');
        push_or_dash(line, Some(entry.sent()).filter(|&sent| sent > 0));
    }

    /// Appends client and time, for all formats except JSON. The first dash stands for the user
    /// name that identd reports, the second for the HTTP user; we know neither ([LOG-1]).
    ///
    /// [LOG-1]: crate::spec#log-1
    fn prefix(&self, line: &mut String, entry: &LogEntry<'_>, time: SystemTime) {
        push_or_dash(line, entry.client_address().map(|address| address.ip()));
        let time = Stamp::new(time, &self.zone);
        let (day, month, year, clock) = (time.day(), time.month(), time.year(), time.clock());
        match self.format {
            LogFormat::Python => {
                push(line, format_args!(" - - [{day}/{month}/{year} {clock}] "));
            }
            _ => {
                let (sign, hours, minutes) = time.offset();
                push(
                    line,
                    format_args!(
                        " - - [{day}/{month}/{year}:{clock} {sign}{hours:02}{minutes:02}] "
                    ),
                );
            }
        }
    }

    /// Appends time, client and request as the first members of a JSON object.
    fn members(&self, line: &mut String, entry: &LogEntry<'_>, time: SystemTime) {
        let time = Stamp::new(time, &self.zone);
        let (year, month, day) = (time.year(), time.month_number(), time.day());
        let (clock, fraction) = (time.clock(), time.microseconds);
        push(
            line,
            format_args!("{{\"time\":\"{year}-{month:02}-{day}T{clock}.{fraction:06}"),
        );
        match time.offset() {
            (_, 0, 0) => line.push('Z'),
            (sign, hours, minutes) => push(line, format_args!("{sign}{hours:02}:{minutes:02}")),
        }
        line.push_str("\",\"client\":");
        match entry.client_address() {
            Some(address) => push(line, format_args!("\"{}\"", address.ip())),
            None => line.push_str("null"),
        }
        line.push_str(",\"request\":");
        push_json(line, latin_1(entry.request_line()));
    }
}

/// A time in parts, cut out of the text of a `Date` field.
struct Stamp {
    /// The date and the time in the form of a `Date` field.
    date: DateLine,
    /// Microseconds beyond the second.
    microseconds: u32,
    /// How many minutes it is ahead of UTC.
    utc_offset: i16,
}

impl Stamp {
    fn new(time: SystemTime, zone: &Zone) -> Stamp {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let utc_offset = zone.minutes_at(since.as_secs());
        let second = since
            .as_secs()
            .saturating_add_signed(i64::from(utc_offset) * 60);
        Stamp {
            date: format_date(second),
            microseconds: since.subsec_micros(),
            utc_offset,
        }
    }

    /// Returns the offset from UTC as sign, hours and minutes.
    fn offset(&self) -> (char, u16, u16) {
        let sign = if self.utc_offset < 0 { '-' } else { '+' };
        let minutes = self.utc_offset.unsigned_abs();
        (sign, minutes / 60, minutes % 60)
    }

    /// Returns some bytes of `Sun, 06 Nov 1994 08:49:37 GMT`.
    fn part(&self, range: std::ops::Range<usize>) -> &str {
        let bytes = self.date.get(range).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    fn day(&self) -> &str {
        self.part(5..7)
    }

    fn month(&self) -> &str {
        self.part(8..11)
    }

    fn month_number(&self) -> usize {
        const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
        MONTHS.find(self.month()).unwrap_or_default() / 3 + 1
    }

    fn year(&self) -> &str {
        self.part(12..16)
    }

    fn clock(&self) -> &str {
        self.part(17..25)
    }
}

/// Appends `text`. The result is ignored, because writing to a String cannot fail.
fn push(line: &mut String, text: impl Display) {
    let _ = write!(line, "{text}");
}

fn push_or_dash(line: &mut String, value: Option<impl Display>) {
    push_or(line, value, "-");
}

fn push_or(line: &mut String, value: Option<impl Display>, otherwise: &str) {
    match value {
        Some(value) => push(line, value),
        None => line.push_str(otherwise),
    }
}

/// Reads each byte as the character with its number.
fn latin_1(bytes: &[u8]) -> impl Iterator<Item = char> {
    bytes.iter().map(|&byte| char::from(byte))
}

/// Escapes like Python's `log_message` ([LOG-3]).
///
/// [LOG-3]: crate::spec#log-3
fn push_escaped(line: &mut String, text: impl Iterator<Item = char>) {
    for character in text {
        match character {
            '\\' => line.push_str("\\\\"),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' => {
                push(line, format_args!("\\x{:02x}", u32::from(character)));
            }
            _ => line.push(character),
        }
    }
}

fn push_quoted(line: &mut String, bytes: &[u8]) {
    line.push('"');
    push_ascii(line, bytes);
    line.push('"');
}

/// Escapes like Apache, except that a line feed is `\x0a` here, like all other control bytes.
fn push_ascii(line: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => line.extend(['\\', char::from(byte)]),
            b' '..=b'~' => line.push(char::from(byte)),
            _ => push(line, format_args!("\\x{byte:02x}")),
        }
    }
}
