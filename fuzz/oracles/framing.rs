//! Checks, for any fields: how content ends, whether the connection persists, and what is expected.

use serve_forever::http::h1::{FieldStorage, HeadLimits, Scanner, Version};

use super::head::{expectation, length_of};
use super::literal::{self, Field, Length, Request};

/// The input is a digit, which is the minor version, and then field lines that end in LF or CRLF. Lines
/// that are not field lines are skipped, so that most inputs test the meaning of fields.
pub fn framing(data: &[u8]) {
    let (minor, section) = match data {
        [digit @ b'0'..=b'9', rest @ ..] => (digit - b'0', rest),
        rest => (1, rest),
    };
    let lines = section.split(|&byte| byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let fields: Vec<Field<'_>> = lines.filter_map(literal::field).take(60).collect();
    let version = match minor {
        0 => Version::Http10,
        _ => Version::Http11,
    };
    function(version, minor, &fields);
    head(minor, &fields);
}

/// Tests the function alone, with values of any bytes.
fn function(version: Version, minor: u8, fields: &[Field<'_>]) {
    let lengths = literal::all(fields, "Content-Length");
    let codings = literal::all(fields, "Transfer-Encoding");
    let found =
        serve_forever::http::h1::framing(version, lengths.iter().copied(), codings.iter().copied());
    let found = found.map_or_else(|error| Length::Refused(error.status()), length_of);
    assert_eq!(found, literal::length(minor, &lengths, &codings));
}

/// Tests a head with these fields.
fn head(minor: u8, fields: &[Field<'_>]) {
    let mut bytes = format!("POST /path HTTP/1.{minor}\r\nHost: h\r\n").into_bytes();
    let not_host = |field: &&Field<'_>| !field.0.eq_ignore_ascii_case(b"host");
    let fields: Vec<Field<'_>> = fields.iter().filter(not_host).copied().collect();
    for (name, value) in &fields {
        bytes.extend_from_slice(&[name, &b": "[..], value, b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    let limits = HeadLimits::default();
    let mut storage = FieldStorage::new();
    let found = Scanner::default().head(&bytes, &mut storage, &limits);
    let end = bytes.len();
    let request = Request {
        start: 0,
        end,
        method: b"POST",
        target: b"/path",
        minor,
        fields,
    };
    let length = super::head::length(&request);
    match found {
        Ok(Some((range, head))) => {
            assert_eq!(range, 0..end);
            assert_eq!(length_of(head.framing), length);
            let connection = literal::all(&request.fields, "Connection");
            assert_eq!(head.keep_alive, literal::persists(minor, &connection));
            assert_eq!(head.expect, expectation(&request));
        }
        Err(error) if end <= limits.head => {
            assert_eq!(Length::Refused(error.status()), length, "{error:?}");
        }
        Err(error) => assert_eq!(error.status(), 431),
        Ok(None) => panic!("more is awaited"),
    }
}
