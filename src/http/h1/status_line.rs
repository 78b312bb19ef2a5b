//! The status line of a response, parsed plainly and exactly; `httparse` does the same, but faster.

use super::error::Error;
use super::grammar::is_value_byte;
use super::start_line::{StartLine, Version, is_version_prefix};

/// Where the reason phrase begins: after `HTTP/1.1`, the status, and the two spaces.
pub(super) const REASON: usize = "HTTP/1.1 200 ".len();

// status-line = HTTP-version SP status-code SP [ reason-phrase ]
/// The parts of a status line (RFC 9112 section 4).
#[derive(Debug, Clone, Copy)]
pub(super) struct StatusLine<'a> {
    /// The version, with 1.2 to 1.9 read as 1.1.
    pub(super) version: Version,
    /// The status, from 100 to 999.
    pub(super) status: u16,
    /// The reason phrase, perhaps empty.
    pub(super) reason: &'a [u8],
}

impl<'a> StatusLine<'a> {
    /// Parses a complete line, without its line end. Returns the first defect from left to right.
    ///
    /// The second space may be missing if there is no reason. A server must send it, but some do not,
    /// and there is only one way to read such a line.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Error> {
        check_beginning(line)?;
        let (version, code) = match (line.get(..8), line.get(9..12)) {
            (Some(version), Some(code)) => (Version::parse(version)?, code),
            _ => return Err(Error::StatusLine),
        };
        let add = |sum: u16, digit: &u8| 10 * sum + u16::from(digit - b'0');
        Ok(StatusLine {
            version,
            status: code.iter().fold(0, add),
            reason: line.get(REASON..).unwrap_or_default(),
        })
    }
}

// status-code   = 3DIGIT
// reason-phrase = 1*( HTAB / SP / VCHAR / obs-text )
/// Checks a line that may still be incomplete. Returns the first defect from left to right.
///
/// The first digit of the status is not 0, because there is no such class (RFC 9110 section 15).
fn check_beginning(line: &[u8]) -> Result<(), Error> {
    let version = line.get(..8).unwrap_or(line);
    if !is_version_prefix(version) {
        return Err(Error::Version);
    }
    match line.get(8) {
        None | Some(b' ') => {}
        Some(_) => return Err(Error::Version),
    }
    let code = line.get(9..).unwrap_or_default();
    let code = code.get(..3).unwrap_or(code);
    let separated = matches!(line.get(12), None | Some(b' '));
    if !code.iter().all(u8::is_ascii_digit) || code.first() == Some(&b'0') || !separated {
        return Err(Error::Status);
    }
    let reason = line.get(REASON..).unwrap_or_default();
    match reason.iter().all(|&byte| is_value_byte(byte)) {
        true => Ok(()),
        false => Err(Error::Reason),
    }
}

impl StartLine for StatusLine<'_> {
    /// Only servers are asked to skip empty lines. Before a response they mean that client and server
    /// do not agree where the response before it has ended.
    const AFTER_EMPTY_LINES: bool = false;

    fn check(line: &[u8]) -> Result<(), Error> {
        StatusLine::parse(line).map(|_| ())
    }

    fn beyond_repair(line: &[u8]) -> Option<Error> {
        check_beginning(line).err()
    }

    fn may_become(line: &[u8], new: &[u8]) -> bool {
        let beginning = line.get(..REASON).unwrap_or(line);
        check_beginning(beginning).is_ok() && new.iter().all(|&byte| is_value_byte(byte))
    }

    fn too_long(_line: &[u8]) -> Error {
        Error::StatusLineTooLong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        type Expected = Result<(Version, u16, &'static [u8]), Error>;
        let cases: &[(&[u8], Expected)] = &[
            (b"HTTP/1.1 200 OK", Ok((Version::Http11, 200, b"OK"))),
            (
                b"HTTP/1.0 404 Not Found",
                Ok((Version::Http10, 404, b"Not Found")),
            ),
            (b"HTTP/1.7 100 ", Ok((Version::Http11, 100, b""))),
            (b"HTTP/1.1 204", Ok((Version::Http11, 204, b""))),
            (
                b"HTTP/1.1 999  a\t\xff ",
                Ok((Version::Http11, 999, b" a\t\xff ")),
            ),
            (b"", Err(Error::StatusLine)),
            (b"HTTP/1.1", Err(Error::StatusLine)),
            (b"HTTP/1.1 ", Err(Error::StatusLine)),
            (b"HTTP/1.1 20", Err(Error::StatusLine)),
            (b" HTTP/1.1 200 OK", Err(Error::Version)),
            (b"http/1.1 200 OK", Err(Error::Version)),
            (b"HTTP/1.10 200 OK", Err(Error::Version)),
            (b"HTTP/1.1\t200 OK", Err(Error::Version)),
            (b"HTTPS/1.1 200 OK", Err(Error::Version)),
            (b"ICY 200 OK", Err(Error::Version)),
            (b"GET / HTTP/1.1", Err(Error::Version)),
            (b"HTTP/2.0 200 OK", Err(Error::VersionNotSupported)),
            (b"HTTP/0.9 200 OK", Err(Error::VersionNotSupported)),
            (b"HTTP/1.1  200 OK", Err(Error::Status)),
            (b"HTTP/1.1 2000 OK", Err(Error::Status)),
            (b"HTTP/1.1 2x0 OK", Err(Error::Status)),
            (b"HTTP/1.1 +20 OK", Err(Error::Status)),
            (b"HTTP/1.1 099 OK", Err(Error::Status)),
            (b"HTTP/1.1 200\tOK", Err(Error::Status)),
            (b"HTTP/1.1 200OK", Err(Error::Status)),
            (b"HTTP/1.1 200 O\0K", Err(Error::Reason)),
            (b"HTTP/1.1 200 OK\r", Err(Error::Reason)),
            (b"HTTP/1.1 200 \x7f", Err(Error::Reason)),
        ];
        for (line, expected) in cases {
            let found = StatusLine::parse(line);
            let found = found.map(|line| (line.version, line.status, line.reason));
            assert_eq!(&found, expected, "{}", line.escape_ascii());
        }
    }

    /// A defect that was seen in a part of a line is the defect of the whole line.
    #[test]
    fn what_is_beyond_repair_stays_so() {
        for line in [
            &b"HTTP/1.1 200 O\x01K"[..],
            b"HTTP/1.1 20x",
            b"HTTP/1x1 200 \0",
            b"HTTP/1.1 2000",
        ] {
            let whole = StatusLine::check(line).err();
            let mut seen = None;
            for end in 0..=line.len() {
                let defect = StatusLine::beyond_repair(&line[..end]);
                assert!(seen.is_none() || defect == seen, "{end}");
                seen = defect;
            }
            assert_eq!((seen.is_some(), seen), (true, whole));
        }
    }
}
