//! The request line, parsed plainly and exactly; `httparse` does the same, but faster.

use super::error::Error;
use super::grammar::{host_and_port, is_target_byte, is_tchar};
use super::start_line::{StartLine, Version, is_version_prefix};

// request-target = origin-form / absolute-form / authority-form / asterisk-form
// origin-form    = absolute-path [ "?" query ]
// absolute-form  = absolute-URI
// authority-form = uri-host ":" port
// asterisk-form  = "*"
/// The four forms of a request target (RFC 9112 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
// Exhaustive: the RFC has no further case, and whoever forgets one has a hole.
pub enum TargetForm {
    /// `/path?query`, with any method except CONNECT.
    Origin,
    /// `http://host/path?query`, as sent to proxies. The scheme may be any that has an authority.
    Absolute,
    /// `host:port`, with CONNECT only.
    Authority,
    /// `*`, with OPTIONS only.
    Asterisk,
}

impl TargetForm {
    /// Returns the form of a target whose bytes are already known to be allowed.
    ///
    /// CONNECT needs a usable port (RFC 9110 section 9.3.6). An `http` URI needs a host and must
    /// not have userinfo (sections 4.2.1 and 4.2.4). We ask the same of every scheme, because
    /// `h.test:80` and `mailto:x` are also URIs.
    #[inline]
    pub(super) fn of(method: &str, target: &str) -> Result<TargetForm, Error> {
        let target = target.as_bytes();
        match target.first() {
            Some(b'/') if method != "CONNECT" => Ok(TargetForm::Origin),
            _ => TargetForm::of_rare(method, target).ok_or(Error::TargetForm),
        }
    }

    #[cold]
    fn of_rare(method: &str, target: &[u8]) -> Option<TargetForm> {
        match method {
            "CONNECT" => {
                let (_, port) = host_and_port(target)?;
                let usable = port?.iter().any(|&digit| digit != b'0');
                usable.then_some(TargetForm::Authority)
            }
            "OPTIONS" if target == b"*" => Some(TargetForm::Asterisk),
            _ => absolute_authority(target).map(|_| TargetForm::Absolute),
        }
    }
}

// absolute-URI = scheme ":" hier-part [ "?" query ]
// hier-part    = "//" authority path-abempty / path-absolute / path-rootless / path-empty
// scheme       = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
/// Returns the authority of an absolute-form: a host, perhaps with a port (RFC 9112 section 3.2.2,
/// RFC 3986 section 4.3).
pub(super) fn absolute_authority(target: &[u8]) -> Option<&[u8]> {
    let colon = target.iter().position(|&byte| byte == b':')?;
    let (scheme, rest) = target.split_at_checked(colon)?;
    let [first, others @ ..] = scheme else {
        return None;
    };
    let is_scheme_byte = |b: &u8| b.is_ascii_alphanumeric() || b"+-.".contains(b);
    if !first.is_ascii_alphabetic() || !others.iter().all(is_scheme_byte) {
        return None;
    }
    let rest = rest.strip_prefix(b"://")?;
    let end = rest
        .iter()
        .position(|&b| b == b'/' || b == b'?')
        .unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    host_and_port(authority)
        .filter(|(host, _)| !host.is_empty())
        .map(|_| authority)
}

// request-line = method SP request-target SP HTTP-version
/// The parts of a request line (RFC 9112 section 3).
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestLine<'a> {
    /// The method, any token.
    pub(super) method: &'a str,
    /// The request target as it was sent.
    pub(super) target: &'a str,
    /// The form of the target, which fits the method.
    pub(super) target_form: TargetForm,
    /// The version, with 1.2 to 1.9 read as 1.1.
    pub(super) version: Version,
}

impl<'a> RequestLine<'a> {
    /// Parses a complete line, without its line end. Returns the first defect from left to right.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Error> {
        let words = Words::read(line)?;
        let target = words.target.ok_or(Error::RequestLine)?;
        let version = words.version.ok_or(Error::SimpleRequest)?;
        let version = Version::parse(version)?;
        let method = core::str::from_utf8(words.method).map_err(|_| Error::Method)?;
        let target = core::str::from_utf8(target).map_err(|_| Error::Target)?;
        let target_form = TargetForm::of(method, target)?;
        Ok(RequestLine {
            method,
            target,
            target_form,
            version,
        })
    }
}

/// The words of a request line that may still be incomplete.
///
/// A defect is an error here only if no further bytes could repair it. So a line gets the same verdict
/// whether it arrives whole or in pieces.
struct Words<'a> {
    /// The first word, perhaps only its beginning.
    method: &'a [u8],
    /// The second word, if the line goes that far.
    target: Option<&'a [u8]>,
    /// The third word, if the line goes that far.
    version: Option<&'a [u8]>,
}

impl<'a> Words<'a> {
    fn read(line: &'a [u8]) -> Result<Self, Error> {
        let (method, rest) = word(line, is_tchar, Error::Method)?;
        let mut words = Words {
            method,
            target: None,
            version: None,
        };
        let Some(rest) = rest else { return Ok(words) };
        let (target, rest) = word(rest, is_target_byte, Error::Target)?;
        words.target = Some(target);
        let Some(version) = rest else {
            return Ok(words);
        };
        if !is_version_prefix(version) {
            return Err(Error::Version);
        }
        words.version = Some(version);
        Ok(words)
    }
}

/// Splits off a word of allowed bytes and the single SP after it. Returns the word and the rest, or
/// `None` if the line ends before.
fn word(
    line: &[u8],
    allowed: fn(u8) -> bool,
    defect: Error,
) -> Result<(&[u8], Option<&[u8]>), Error> {
    let length = line.iter().take_while(|&&byte| allowed(byte)).count();
    match line.split_at_checked(length) {
        Some((word, [])) => Ok((word, None)),
        Some((word @ [_, ..], [b' ', rest @ ..])) => Ok((word, Some(rest))),
        _ => Err(defect),
    }
}

impl StartLine for RequestLine<'_> {
    const AFTER_EMPTY_LINES: bool = true;

    fn check(line: &[u8]) -> Result<(), Error> {
        RequestLine::parse(line).map(|_| ())
    }

    fn beyond_repair(line: &[u8]) -> Option<Error> {
        Words::read(line).err()
    }

    /// Only printable bytes, and a token at the beginning. The words are looked at when the line ends.
    fn may_become(line: &[u8], new: &[u8]) -> bool {
        line.first().is_none_or(|&byte| is_tchar(byte))
            && new.iter().all(|byte| (b' '..=b'~').contains(byte))
    }

    /// RFC 9112 section 3: 501 for a method that is too long, 414 for a target that is too long.
    fn too_long(line: &[u8]) -> Error {
        match line.contains(&b' ') {
            true => Error::RequestLineTooLong,
            false => Error::MethodTooLong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        type Expected = Result<(&'static str, &'static str, Version), Error>;
        let cases: &[(&[u8], Expected)] = &[
            (b"GET / HTTP/1.1", Ok(("GET", "/", Version::Http11))),
            (b"GET / HTTP/1.0", Ok(("GET", "/", Version::Http10))),
            (b"GET / HTTP/1.9", Ok(("GET", "/", Version::Http11))),
            (
                b"!#$%&'*+-.^_`|~09aZ / HTTP/1.1",
                Ok(("!#$%&'*+-.^_`|~09aZ", "/", Version::Http11)),
            ),
            (
                b"GET /[|]{}\\^`\"<>%zz HTTP/1.1",
                Ok(("GET", "/[|]{}\\^`\"<>%zz", Version::Http11)),
            ),
            (b"OPTIONS * HTTP/1.1", Ok(("OPTIONS", "*", Version::Http11))),
            (
                b"CONNECT h:1 HTTP/1.1",
                Ok(("CONNECT", "h:1", Version::Http11)),
            ),
            (
                b"GET http://h HTTP/1.1",
                Ok(("GET", "http://h", Version::Http11)),
            ),
            (
                b"GET HTTP://h:8?q HTTP/1.1",
                Ok(("GET", "HTTP://h:8?q", Version::Http11)),
            ),
            (
                b"GET ftp://[::1]/x HTTP/1.1",
                Ok(("GET", "ftp://[::1]/x", Version::Http11)),
            ),
            (b"", Err(Error::RequestLine)),
            (b"hello", Err(Error::RequestLine)),
            (b"GET /", Err(Error::SimpleRequest)),
            (b"GET HTTP/1.1", Err(Error::SimpleRequest)),
            (b" GET / HTTP/1.1", Err(Error::Method)),
            (b"G\"T / HTTP/1.1", Err(Error::Method)),
            (b"GET\t/ HTTP/1.1", Err(Error::Method)),
            (b"GET  / HTTP/1.1", Err(Error::Target)),
            (b"GET /#f HTTP/1.1", Err(Error::Target)),
            (b"GET /\x7f HTTP/1.1", Err(Error::Target)),
            (b"GET /\xc3\xa9 HTTP/1.1", Err(Error::Target)),
            (b"GET /\r HTTP/1.1", Err(Error::Target)),
            (b"GET /a b HTTP/1.1", Err(Error::Version)),
            (b"GET /  HTTP/1.1", Err(Error::Version)),
            (b"GET / HTTP/1.1 ", Err(Error::Version)),
            (b"GET / HTTP/1.1\r", Err(Error::Version)),
            (b"GET / http/1.1", Err(Error::Version)),
            (b"GET / HTTP/1.", Err(Error::Version)),
            (b"GET / HTTP/1.10", Err(Error::Version)),
            (b"GET / HTTP/257.1", Err(Error::Version)),
            (b"GET / ", Err(Error::Version)),
            (b"GET / HTTP/2.0", Err(Error::VersionNotSupported)),
            (b"GET / HTTP/0.9", Err(Error::VersionNotSupported)),
            (b"PRI * HTTP/2.0", Err(Error::VersionNotSupported)),
            (b"POST * HTTP/1.1", Err(Error::TargetForm)),
            (b"OPTIONS *x HTTP/1.1", Err(Error::TargetForm)),
            (b"options * HTTP/1.1", Err(Error::TargetForm)),
            (b"CONNECT /x HTTP/1.1", Err(Error::TargetForm)),
            (b"CONNECT h HTTP/1.1", Err(Error::TargetForm)),
            (b"CONNECT h: HTTP/1.1", Err(Error::TargetForm)),
            (b"CONNECT h:0 HTTP/1.1", Err(Error::TargetForm)),
            (b"CONNECT h:65536 HTTP/1.1", Err(Error::TargetForm)),
            (b"CONNECT :443 HTTP/1.1", Err(Error::TargetForm)),
            (b"CONNECT u@h:443 HTTP/1.1", Err(Error::TargetForm)),
            (b"CONNECT http://h:1/ HTTP/1.1", Err(Error::TargetForm)),
            (b"GET h.test:80 HTTP/1.1", Err(Error::TargetForm)),
            (b"GET ../x HTTP/1.1", Err(Error::TargetForm)),
            (b"GET http:///x HTTP/1.1", Err(Error::TargetForm)),
            (b"GET http://u:p@h/ HTTP/1.1", Err(Error::TargetForm)),
            (b"GET http:/h/ HTTP/1.1", Err(Error::TargetForm)),
            (b"GET 1http://h/ HTTP/1.1", Err(Error::TargetForm)),
            (b"GET s://]ufd/: HTTP/1.1", Err(Error::TargetForm)),
            (b"GET mailto:x HTTP/1.1", Err(Error::TargetForm)),
        ];
        for (line, expected) in cases {
            let found = RequestLine::parse(line);
            let found = found.map(|line| (line.method, line.target, line.version));
            assert_eq!(&found, expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn what_is_beyond_repair_stays_so() {
        let line = b"GET /a b HTTP/1.1\x01";
        for end in 0..=line.len() {
            let defect = RequestLine::beyond_repair(&line[..end]);
            assert_eq!(defect, (end > 7).then_some(Error::Version), "{end}");
        }
    }
}
