//! How the content of a response ends: one function, one table.

use super::error::Error;
use super::framing::{Framing, framing};
use super::start_line::Version;

/// How the content of a response ends (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
// Exhaustive: the RFC has no further case, and whoever forgets one has a hole.
pub enum ResponseFraming {
    /// There is no content: a response to HEAD, an interim response, a 204 or a 304.
    Empty,
    /// Content-Length: exactly this many bytes.
    Length(u64),
    /// The chunked transfer coding: the last chunk marks the end.
    Chunked,
    /// Neither field: the content ends when the server closes. Nobody can tell whether it is whole.
    UntilClose,
    /// The connection is a tunnel, or speaks another protocol: what follows is not HTTP. This is a 2xx
    /// response to CONNECT, or a 101.
    Tunnel,
}

impl ResponseFraming {
    /// Returns whether no byte of content will follow the head.
    #[must_use]
    pub fn is_empty(self) -> bool {
        use ResponseFraming::{Empty, Length, Tunnel};
        matches!(self, Empty | Length(0) | Tunnel)
    }
}

/// Decides how the content of a response ends, from the method of its request, its status, and all values
/// of Content-Length and Transfer-Encoding (RFC 9112 section 6.3).
///
/// Like [`framing`](fn@super::framing), it refuses anything that another recipient might read differently.
/// If two recipients disagree here, the response to one request can be taken for that to another. The
/// first row that fits decides:
///
/// | method | status | Content-Length, Transfer-Encoding | verdict |
/// | --- | --- | --- | --- |
/// | CONNECT | 2xx | any, they are ignored | [`ResponseFraming::Tunnel`] |
/// | any | any | refused by the table of [`framing`](fn@super::framing) | the same error |
/// | any | 1xx, 204 | `chunked`, or a length other than 0 | [`Error::UnexpectedContent`] |
/// | any | 101 | none, or the length 0 | [`ResponseFraming::Tunnel`] |
/// | any | other 1xx, 204 | none, or the length 0 | [`ResponseFraming::Empty`] |
/// | any | 304 | any | [`ResponseFraming::Empty`] |
/// | HEAD | any | any | [`ResponseFraming::Empty`] |
/// | any | any | a length | [`ResponseFraming::Length`] |
/// | any | any | `chunked` | [`ResponseFraming::Chunked`] |
/// | any | any | neither | [`ResponseFraming::UntilClose`] |
///
/// A server must not send a length with a 204, but some send the length 0. It changes nothing, so it is
/// accepted.
///
/// # Errors
///
/// Returns the error that the table names.
pub fn response_framing<'v>(
    method: &str,
    status: u16,
    version: Version,
    content_length: impl IntoIterator<Item = &'v [u8]>,
    transfer_encoding: impl IntoIterator<Item = &'v [u8]>,
) -> Result<ResponseFraming, Error> {
    if method == "CONNECT" && matches!(status, 200..=299) {
        return Ok(ResponseFraming::Tunnel);
    }
    let announced = framing(version, content_length, transfer_encoding)?;
    match (status, announced) {
        (100..=199 | 204, _) if !announced.is_empty() => Err(Error::UnexpectedContent),
        (101, _) => Ok(ResponseFraming::Tunnel),
        (100..=199 | 204 | 304, _) => Ok(ResponseFraming::Empty),
        _ if method == "HEAD" => Ok(ResponseFraming::Empty),
        (_, Framing::Length(length)) => Ok(ResponseFraming::Length(length)),
        (_, Framing::Chunked) => Ok(ResponseFraming::Chunked),
        (_, Framing::Empty) => Ok(ResponseFraming::UntilClose),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ResponseFraming::{Chunked, Empty, Length, Tunnel, UntilClose};
    use Version::{Http10, Http11};

    /// Method, status, Content-Length, Transfer-Encoding.
    type Case = (
        &'static str,
        u16,
        &'static [&'static str],
        &'static [&'static str],
        Result<ResponseFraming, Error>,
    );

    const CASES: &[Case] = &[
        ("GET", 200, &[], &[], Ok(UntilClose)),
        ("GET", 200, &["5"], &[], Ok(Length(5))),
        ("GET", 200, &["0"], &[], Ok(Length(0))),
        ("GET", 200, &[], &["chunked"], Ok(Chunked)),
        (
            "GET",
            200,
            &["5"],
            &["chunked"],
            Err(Error::LengthWithCoding),
        ),
        (
            "GET",
            200,
            &["5", "5"],
            &[],
            Err(Error::RepeatedContentLength),
        ),
        ("GET", 200, &["5, 5"], &[], Err(Error::ContentLength)),
        ("GET", 200, &[], &["gzip"], Err(Error::UnknownCoding)),
        (
            "GET",
            200,
            &[],
            &["gzip, chunked"],
            Err(Error::UnknownCoding),
        ),
        (
            "GET",
            200,
            &[],
            &["chunked, gzip"],
            Err(Error::TransferEncoding),
        ),
        ("GET", 205, &["0"], &[], Ok(Length(0))),
        ("GET", 500, &[], &[], Ok(UntilClose)),
        ("GET", 100, &[], &[], Ok(Empty)),
        ("GET", 103, &["0"], &[], Ok(Empty)),
        ("GET", 100, &["5"], &[], Err(Error::UnexpectedContent)),
        ("GET", 100, &[], &["chunked"], Err(Error::UnexpectedContent)),
        ("GET", 101, &[], &[], Ok(Tunnel)),
        ("GET", 101, &["5"], &[], Err(Error::UnexpectedContent)),
        ("GET", 204, &[], &[], Ok(Empty)),
        ("GET", 204, &["0"], &[], Ok(Empty)),
        ("GET", 204, &["5"], &[], Err(Error::UnexpectedContent)),
        ("GET", 204, &[], &["chunked"], Err(Error::UnexpectedContent)),
        ("HEAD", 204, &["5"], &[], Err(Error::UnexpectedContent)),
        ("GET", 304, &[], &[], Ok(Empty)),
        ("GET", 304, &["5"], &[], Ok(Empty)),
        ("GET", 304, &[], &["chunked"], Ok(Empty)),
        ("GET", 304, &["x"], &[], Err(Error::ContentLength)),
        ("HEAD", 200, &[], &[], Ok(Empty)),
        ("HEAD", 200, &["5"], &[], Ok(Empty)),
        ("HEAD", 404, &[], &["chunked"], Ok(Empty)),
        (
            "HEAD",
            200,
            &["5"],
            &["chunked"],
            Err(Error::LengthWithCoding),
        ),
        ("head", 200, &["5"], &[], Ok(Length(5))),
        ("CONNECT", 200, &[], &[], Ok(Tunnel)),
        ("CONNECT", 299, &["5"], &["gzip"], Ok(Tunnel)),
        ("CONNECT", 300, &["5"], &[], Ok(Length(5))),
        ("CONNECT", 407, &[], &[], Ok(UntilClose)),
        ("CONNECT", 199, &[], &[], Ok(Empty)),
        ("connect", 200, &["5"], &[], Ok(Length(5))),
    ];

    fn decide(case: &Case, version: Version) -> Result<ResponseFraming, Error> {
        let &(method, status, lengths, codings, _) = case;
        let lengths = lengths.iter().map(|v| v.as_bytes());
        let codings = codings.iter().map(|v| v.as_bytes());
        response_framing(method, status, version, lengths, codings)
    }

    #[test]
    fn table() {
        for case in CASES {
            assert_eq!(decide(case, Http11), case.4, "{case:?}");
        }
    }

    #[test]
    fn what_has_no_content() {
        for (framing, expected) in [
            (Empty, true),
            (Length(0), true),
            (Tunnel, true),
            (Length(1), false),
            (Chunked, false),
            (UntilClose, false),
        ] {
            assert_eq!(framing.is_empty(), expected, "{framing:?}");
        }
    }

    /// HTTP/1.0 has no transfer codings; everything else is the same.
    #[test]
    fn table_of_http_1_0() {
        for case in CASES {
            let &(_, _, lengths, codings, in_http11) = case;
            let expected = match codings {
                [_, ..] if lengths.is_empty() && in_http11 != Ok(Tunnel) => {
                    Err(Error::CodingInHttp10)
                }
                _ => in_http11,
            };
            assert_eq!(decide(case, Http10), expected, "{case:?}");
        }
    }
}
