//! What request line and status line have in common: the version, and how a scanner looks at a line
//! that is not complete.

use core::fmt;

use super::error::Error;

/// The HTTP version of a message as far as it matters here (RFC 9112 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, or 1.2 to 1.9, which are treated like 1.1 (RFC 9110 section 6.2).
    Http11,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Version {
    /// Returns `HTTP/1.0` or `HTTP/1.1`.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }

    /// Parses a version, which has to be `HTTP/1.x` (RFC 9112 section 2.3).
    pub(super) fn parse(text: &[u8]) -> Result<Version, Error> {
        match text {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'] => Ok(Version::Http10),
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _] => Ok(Version::Http11),
            [b'H', b'T', b'T', b'P', b'/', _, b'.', _] => Err(Error::VersionNotSupported),
            _ => Err(Error::Version),
        }
    }
}

// HTTP-version = HTTP-name "/" DIGIT "." DIGIT
// HTTP-name    = %s"HTTP"
/// Returns whether `text` is the beginning of an HTTP version (RFC 9112 section 2.3).
pub(super) fn is_version_prefix(text: &[u8]) -> bool {
    const PATTERN: &[u8; 8] = b"HTTP/d.d";
    text.len() <= PATTERN.len()
        && text
            .iter()
            .zip(PATTERN)
            .all(|(&byte, &pattern)| match pattern {
                b'd' => byte.is_ascii_digit(),
                _ => byte == pattern,
            })
}

// start-line = request-line / status-line
/// The first line of a message, as a [`Scanner`](super::Scanner) looks at it (RFC 9112 section 2.1).
///
/// No line has its CRLF. A line gets the same verdict whether it arrives whole or in pieces: a defect of
/// an incomplete line counts only if no further bytes could repair it.
pub(super) trait StartLine {
    /// Whether empty lines may precede the line (RFC 9112 section 2.2).
    const AFTER_EMPTY_LINES: bool;

    /// Checks a complete line.
    fn check(line: &[u8]) -> Result<(), Error>;

    /// Returns the defect of an incomplete line, if no further bytes can repair it.
    fn beyond_repair(line: &[u8]) -> Option<Error>;

    /// Returns whether `line` may be the beginning of a good line, as far as one can tell without
    /// looking at each byte again. `new` is the part of it that was not looked at yet.
    fn may_become(line: &[u8], new: &[u8]) -> bool;

    /// Returns the error for a line that exceeds its limit, and begins with `line`.
    fn too_long(line: &[u8]) -> Error;
}
