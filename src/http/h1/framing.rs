//! How the content of a request ends: one function, one table.

use super::error::Error;
use super::grammar::{is_token, trim_ows};
use super::start_line::Version;

/// How the content of a request ends (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
// Exhaustive: the RFC has no further case, and whoever forgets one has a hole.
pub enum Framing {
    /// Neither Content-Length nor Transfer-Encoding: there is no content.
    Empty,
    /// Content-Length: exactly this many bytes.
    Length(u64),
    /// The chunked transfer coding: the last chunk marks the end.
    Chunked,
}

impl Framing {
    /// Returns whether no byte of content will follow the head.
    #[must_use]
    pub fn is_empty(self) -> bool {
        matches!(self, Framing::Empty | Framing::Length(0))
    }
}

/// Decides how the content ends, from all values of Content-Length and Transfer-Encoding (RFC 9112
/// section 6.3).
///
/// Anything that another recipient might read differently is refused, even where the RFC allows a
/// repair. If two recipients disagree here, a request can be smuggled (RFC 9112 section 11.2). The
/// first row that fits decides:
///
/// | version | Content-Length | Transfer-Encoding | verdict |
/// | --- | --- | --- | --- |
/// | any | – | – | [`Framing::Empty`] |
/// | any | one or more | one or more | 400 [`Error::LengthWithCoding`] |
/// | 1.0 | – | one or more | 400 [`Error::CodingInHttp10`] |
/// | any | two or more, equal or not | – | 400 [`Error::RepeatedContentLength`] |
/// | any | `5`, `0`, `010` (which is ten) | – | [`Framing::Length`] |
/// | any | digits beyond 64 bits | – | 413 [`Error::ContentLengthOverflow`] |
/// | any | ``, `+5`, `0x5`, `5 5`, `5,5` | – | 400 [`Error::ContentLength`] |
/// | 1.1 | – | `chunked` in any case | [`Framing::Chunked`] |
/// | 1.1 | – | ``, `,chunked`, `chunked;x=y`, `"chunked"` | 400 [`Error::TransferEncoding`] |
/// | 1.1 | – | `chunked` twice or not last, over all fields | 400 [`Error::TransferEncoding`] |
/// | 1.1 | – | any other coding: `gzip`, `identity`, `gzip, chunked` | 501 [`Error::UnknownCoding`] |
///
/// # Errors
///
/// Returns the error that the table names.
pub fn framing<'v>(
    version: Version,
    content_length: impl IntoIterator<Item = &'v [u8]>,
    transfer_encoding: impl IntoIterator<Item = &'v [u8]>,
) -> Result<Framing, Error> {
    let mut lengths = content_length.into_iter();
    let mut codings = transfer_encoding.into_iter().peekable();
    match (lengths.next(), codings.peek().is_some()) {
        (None, false) => Ok(Framing::Empty),
        (Some(_), true) => Err(Error::LengthWithCoding),
        (None, true) if version < Version::Http11 => Err(Error::CodingInHttp10),
        (None, true) => chunked(codings),
        (Some(_), false) if lengths.next().is_some() => Err(Error::RepeatedContentLength),
        (Some(value), false) => length(value).map(Framing::Length),
    }
}

/// `Content-Length = 1*DIGIT` (RFC 9110 section 8.6).
fn length(value: &[u8]) -> Result<u64, Error> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Error::ContentLength);
    }
    value
        .iter()
        .try_fold(0u64, |sum, digit| {
            sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })
        .ok_or(Error::ContentLengthOverflow)
}

/// Accepts exactly one coding, and that is `chunked` (RFC 9112 sections 6.1 and 7).
fn chunked<'v>(values: impl Iterator<Item = &'v [u8]>) -> Result<Framing, Error> {
    let (mut chunked, mut unknown) = (false, false);
    for coding in values.flat_map(|value| value.split(|&byte| byte == b',')) {
        let coding = trim_ows(coding);
        if chunked || !is_token(coding) {
            return Err(Error::TransferEncoding);
        }
        chunked = coding.eq_ignore_ascii_case(b"chunked");
        unknown |= !chunked;
    }
    if unknown {
        return Err(Error::UnknownCoding);
    }
    Ok(Framing::Chunked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Error::{
        CodingInHttp10, ContentLength, ContentLengthOverflow, LengthWithCoding,
        RepeatedContentLength, TransferEncoding, UnknownCoding,
    };
    use Version::{Http10, Http11};

    type Case = (
        Version,
        &'static [&'static str],
        &'static [&'static str],
        Result<Framing, Error>,
    );

    const CASES: &[Case] = &[
        (Http11, &[], &[], Ok(Framing::Empty)),
        (Http10, &[], &[], Ok(Framing::Empty)),
        (Http11, &["5"], &["chunked"], Err(LengthWithCoding)),
        (Http11, &["x"], &["gzip"], Err(LengthWithCoding)),
        (Http10, &["5"], &["chunked"], Err(LengthWithCoding)),
        (Http10, &[], &["chunked"], Err(CodingInHttp10)),
        (Http10, &[], &["gzip"], Err(CodingInHttp10)),
        (Http11, &["5", "5"], &[], Err(RepeatedContentLength)),
        (Http11, &["5", "6"], &[], Err(RepeatedContentLength)),
        (Http11, &["", "5"], &[], Err(RepeatedContentLength)),
        (Http11, &["5"], &[], Ok(Framing::Length(5))),
        (Http10, &["5"], &[], Ok(Framing::Length(5))),
        (Http11, &["0"], &[], Ok(Framing::Length(0))),
        (Http11, &["010"], &[], Ok(Framing::Length(10))),
        (
            Http11,
            &["00000000000000000000000005"],
            &[],
            Ok(Framing::Length(5)),
        ),
        (
            Http11,
            &["18446744073709551615"],
            &[],
            Ok(Framing::Length(u64::MAX)),
        ),
        (
            Http11,
            &["18446744073709551616"],
            &[],
            Err(ContentLengthOverflow),
        ),
        (
            Http11,
            &["18446744073709551621"],
            &[],
            Err(ContentLengthOverflow),
        ),
        (
            Http11,
            &["99999999999999999999999999999x"],
            &[],
            Err(ContentLength),
        ),
        (Http11, &[""], &[], Err(ContentLength)),
        (Http11, &["+5"], &[], Err(ContentLength)),
        (Http11, &["-5"], &[], Err(ContentLength)),
        (Http11, &["0x5"], &[], Err(ContentLength)),
        (Http11, &["5 5"], &[], Err(ContentLength)),
        (Http11, &["5,5"], &[], Err(ContentLength)),
        (Http11, &["5,"], &[], Err(ContentLength)),
        (Http11, &["5_0"], &[], Err(ContentLength)),
        (Http11, &["\u{665}"], &[], Err(ContentLength)),
        (Http11, &[], &["chunked"], Ok(Framing::Chunked)),
        (Http11, &[], &["ChUnKeD"], Ok(Framing::Chunked)),
        (Http11, &[], &[""], Err(TransferEncoding)),
        (Http11, &[], &["", "chunked"], Err(TransferEncoding)),
        (Http11, &[], &["chunked", ""], Err(TransferEncoding)),
        (Http11, &[], &[",chunked"], Err(TransferEncoding)),
        (Http11, &[], &["chunked,"], Err(TransferEncoding)),
        (Http11, &[], &["chunked;x=y"], Err(TransferEncoding)),
        (Http11, &[], &["\"chunked\""], Err(TransferEncoding)),
        (Http11, &[], &["identity chunked"], Err(TransferEncoding)),
        (Http11, &[], &["chun\u{212a}ed"], Err(TransferEncoding)),
        (Http11, &[], &["chunked, chunked"], Err(TransferEncoding)),
        (Http11, &[], &["chunked", "chunked"], Err(TransferEncoding)),
        (Http11, &[], &["chunked, gzip"], Err(TransferEncoding)),
        (Http11, &[], &["chunked", "identity"], Err(TransferEncoding)),
        (Http11, &[], &["gzip"], Err(UnknownCoding)),
        (Http11, &[], &["identity"], Err(UnknownCoding)),
        (Http11, &[], &["xchunked"], Err(UnknownCoding)),
        (Http11, &[], &["gzip, chunked"], Err(UnknownCoding)),
        (Http11, &[], &["gzip", "chunked"], Err(UnknownCoding)),
    ];

    #[test]
    fn table() {
        for &(version, lengths, codings, expected) in CASES {
            let (lengths_bytes, codings_bytes) = (
                lengths.iter().map(|v| v.as_bytes()),
                codings.iter().map(|v| v.as_bytes()),
            );
            let found = framing(version, lengths_bytes, codings_bytes);
            assert_eq!(found, expected, "{version:?} {lengths:?} {codings:?}");
        }
    }
}
