//! Tests across the files: whole equals split, fast equals slow, the scanner equals its reference.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::head::{parse_fast, parse_slowly};
use super::request_line::RequestLine;
use super::*;

type Verdict = Result<Option<(Range<usize>, String)>, Error>;

/// The verdict on `input` if it arrives in growing prefixes that end at `stops` and at its end.
fn verdict(input: &[u8], stops: &[usize], limits: &HeadLimits) -> Verdict {
    let combined = combined_verdict(input, stops, limits);
    let separate = separate_verdict(input, stops, limits);
    assert_eq!(combined, separate, "{}", input.escape_ascii());
    separate
}

fn combined_verdict(input: &[u8], stops: &[usize], limits: &HeadLimits) -> Verdict {
    let mut scanner = Scanner::default();
    for &stop in stops.iter().chain([&input.len()]) {
        let mut storage = FieldStorage::new();
        if let Some((range, head)) = scanner.head(&input[..stop], &mut storage, limits)? {
            return Ok(Some((range, format!("{head:?}"))));
        }
    }
    Ok(None)
}

fn separate_verdict(input: &[u8], stops: &[usize], limits: &HeadLimits) -> Verdict {
    let mut scanner = Scanner::default();
    for &stop in stops.iter().chain([&input.len()]) {
        if let Some(range) = scanner.scan(&input[..stop], limits)? {
            let mut storage = FieldStorage::new();
            let head = Head::parse(&input[range.clone()], &mut storage, limits)?;
            return Ok(Some((range, format!("{head:?}"))));
        }
    }
    Ok(None)
}

fn check_splits(input: &[u8], limits: &HeadLimits) -> Verdict {
    let whole = verdict(input, &[], limits);
    for split in 0..input.len() {
        let parts = verdict(input, &[split], limits);
        assert_eq!(whole, parts, "split at {split}: {}", input.escape_ascii());
    }
    let bytes: Vec<usize> = (0..input.len()).collect();
    assert_eq!(
        whole,
        verdict(input, &bytes, limits),
        "bytewise: {}",
        input.escape_ascii()
    );
    whole
}

/// Marsaglia's xorshift: random enough for a test, and the same every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn pick<'a>(&mut self, choices: &[&'a [u8]]) -> &'a [u8] {
        choices[self.below(choices.len())]
    }
}

const PIECES: &[&[u8]] = &[
    b"GET",
    b"POST",
    b"CONNECT",
    b"OPTIONS",
    b" ",
    b"/",
    b"/a?b",
    b"*",
    b"http://h/",
    b"h:80",
    b"#",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/1.2",
    b"HTTP/2.0",
    b"\r\n",
    b"\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\t",
    b":",
    b"Host: h\r\n",
    b"Host: b@d\r\n",
    b"A: b\r\n",
    b"A : b\r\n",
    b" fold\r\n",
    b"X: \xff\t\r\n",
    b"Y:\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 5,5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close, x\r\n",
    b"Expect: 100-continue\r\n",
    b"\0",
    b"\x7f",
    b"\x80",
    b"\xc3\xa9",
    b"z",
    b"9",
    b"GET / HTTP/1.1\r\nHost: h\r\n",
];

/// Good heads, almost good heads, and pieces put together at random.
fn generated(chance: &mut Chance) -> Vec<u8> {
    let mut input = Vec::new();
    let good = chance.below(4) > 0;
    if good {
        input.extend_from_slice(chance.pick(&[b"", b"", b"", b"\r\n"]));
        input.extend_from_slice(
            chance.pick(&[b"GET / HTTP/1.1\r\nHost: h\r\n", b"GET / HTTP/1.0\r\n"]),
        );
    }
    for _ in 0..chance.below(7) {
        input.extend_from_slice(chance.pick(PIECES));
    }
    if good {
        input.extend_from_slice(b"\r\n\r\n"[chance.below(3)..].as_ref());
    }
    for _ in 0..chance.below(3) {
        let piece = chance.pick(PIECES);
        let at = chance.below(input.len() + 1);
        let end = (at + chance.below(2)).min(input.len());
        input.splice(at..end, piece.iter().copied());
    }
    input
}

#[test]
fn whole_equals_split() {
    let mut chance = Chance(0x5eed);
    let small = HeadLimits {
        request_line: 16,
        head: 48,
        fields: 2,
    };
    let odd = HeadLimits {
        request_line: 40,
        head: 24,
        fields: 0,
    };
    let mut accepted = 0;
    for _ in 0..8_000 {
        let input = generated(&mut chance);
        let whole = check_splits(&input, &HeadLimits::default());
        accepted += usize::from(matches!(whole, Ok(Some(_))));
        let _ = check_splits(&input, &small);
        let _ = check_splits(&input, &odd);
    }
    assert!(
        accepted > 600,
        "the generator makes too few good heads: {accepted}"
    );
}

#[test]
fn fast_equals_slow_and_httparse_agrees() {
    let mut chance = Chance(0xfa57);
    for _ in 0..100_000 {
        let input = generated(&mut chance);
        let mut storage = FieldStorage::new();
        let fast = parse_fast(&input, &mut storage, MAX_FIELDS)
            .filter(|&(_, end)| end == input.len())
            .map(|(found, _)| format!("{found:?}"));
        let slow = parse_slowly(&input, MAX_FIELDS).map(|found| format!("{found:?}"));
        let input_text = input.escape_ascii();
        match (&fast, &slow) {
            (Some(fast), slow) => assert_eq!(Ok(fast), slow.as_ref(), "{input_text}"),
            (None, Ok(_)) => assert!(
                format!("{input_text}").contains(" HTTP/1.2\\r"),
                "{input_text}"
            ),
            (None, Err(_)) => {}
        }
        if fast.is_some() || (slow.is_ok() && !format!("{input_text}").contains("HTTP/1.2")) {
            let mut headers = [httparse::EMPTY_HEADER; MAX_FIELDS];
            let parsed = httparse::Request::new(&mut headers).parse(&input);
            assert_eq!(
                parsed,
                Ok(httparse::Status::Complete(input.len())),
                "{input_text}"
            );
        }
    }
}

/// The same search as [`Scanner`]'s, over a whole input, written as simply as possible.
fn reference(input: &[u8], limits: &HeadLimits) -> Option<Option<Range<usize>>> {
    let mut start = 0;
    while input[start..].starts_with(b"\r\n") && start < 8 {
        start += 2;
    }
    let head = &input[start..];
    if start == 8 && matches!(head.first(), Some(b'\r' | b'\n')) || matches!(head, [b'\r', _, ..]) {
        return None;
    }
    let mut lines = Vec::new();
    let mut rest = head;
    while let Some(lf) = rest.iter().position(|&byte| byte == b'\n') {
        let line = rest[..lf].strip_suffix(b"\r")?;
        (!line.ends_with(b"\r")).then_some(())?;
        lines.push(line);
        rest = &rest[lf + 1..];
        let end = head.len() - rest.len();
        if end > limits.head || lines[0].len() > limits.request_line {
            return None;
        }
        if lines.last() == Some(&&b""[..]) {
            return Some(Some(start..start + end));
        }
    }
    match lines.first() {
        Some(line) => drop(RequestLine::parse(line).ok()?),
        None => {
            let line = head.strip_suffix(b"\r").unwrap_or(head);
            let fits = head.len() <= limits.request_line + 1;
            let bytes_fit = line.iter().all(|&byte| (32..127).contains(&byte));
            let starts_well = line.first().is_none_or(|&byte| grammar::is_tchar(byte));
            (fits && bytes_fit && starts_well).then_some(())?;
        }
    }
    (head.len() < limits.head).then_some(None)
}

#[test]
fn scanner_equals_reference() {
    let mut chance = Chance(0x5ca7);
    for limits in [
        HeadLimits::default(),
        HeadLimits {
            request_line: 16,
            head: 48,
            fields: 2,
        },
    ] {
        for _ in 0..50_000 {
            let input = generated(&mut chance);
            let found = Scanner::default().scan(&input, &limits).ok();
            assert_eq!(
                found,
                reference(&input, &limits),
                "{}",
                input.escape_ascii()
            );
        }
    }
}

const SLASH: (&str, &str) = ("GET", "/");

type Summary = (
    (&'static str, &'static str),
    TargetForm,
    Version,
    Framing,
    bool,
    Expect,
);

fn plain(version: Version, framing: Framing, keep_alive: bool, expect: Expect) -> Option<Summary> {
    Some((
        SLASH,
        TargetForm::Origin,
        version,
        framing,
        keep_alive,
        expect,
    ))
}

#[test]
fn good_heads() {
    use Version::{Http10, Http11};
    let get = plain(Http11, Framing::Empty, true, Expect::None);
    let closing = plain(Http11, Framing::Empty, false, Expect::None);
    let get10 = plain(Http10, Framing::Empty, false, Expect::None);
    let cases: Vec<(&str, Option<Summary>)> = vec![
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", get),
        ("\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", get),
        ("GET / HTTP/1.7\r\nHost: h\r\n\r\n", get),
        ("GET / HTTP/1.1\r\nhOST:\t h:80 \t\r\n\r\nrest", get),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", get),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: \u{e9} \r\nB:\r\n\r\n", get),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: closed, xclose\r\n\r\n",
            get,
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: close me\r\nKeep-Alive: close\r\n\r\n",
            get,
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: ,, CLOSE ,\r\n\r\n",
            closing,
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nConnection: x,close\r\n\r\n",
            closing,
        ),
        ("GET / HTTP/1.0\r\n\r\n", get10),
        (
            "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
            get10,
        ),
        (
            "GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\nExpect: x\r\n\r\n",
            get10,
        ),
        (
            "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            plain(Http10, Framing::Empty, true, Expect::None),
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent_Length: 9\r\nExpect: 100-Continue\r\n\r\n",
            plain(Http11, Framing::Length(5), true, Expect::Continue),
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:Chunked\r\nTE: x\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n\r\n",
            plain(Http11, Framing::Chunked, true, Expect::Continue),
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
            plain(Http11, Framing::Length(0), true, Expect::None),
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: x, 100-continue\r\n\r\n",
            plain(Http11, Framing::Length(1), true, Expect::Unknown),
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\n\r\n",
            plain(Http11, Framing::Empty, true, Expect::Unknown),
        ),
        (
            "GET / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
            plain(Http10, Framing::Length(5), false, Expect::None),
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
            Some((
                ("OPTIONS", "*"),
                TargetForm::Asterisk,
                Http11,
                Framing::Empty,
                true,
                Expect::None,
            )),
        ),
        (
            "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n",
            Some((
                ("CONNECT", "h:443"),
                TargetForm::Authority,
                Http11,
                Framing::Empty,
                true,
                Expect::None,
            )),
        ),
        (
            "M-SEARCH HTTP://H:8?q HTTP/1.1\r\nHost: other\r\n\r\n",
            Some((
                ("M-SEARCH", "HTTP://H:8?q"),
                TargetForm::Absolute,
                Http11,
                Framing::Empty,
                true,
                Expect::None,
            )),
        ),
        ("", None),
        ("\r\n\r", None),
        ("GET / HTTP/1.1\r", None),
        ("GET / HTTP/1.1\r\n", None),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r", None),
    ];
    for (input, expected) in cases {
        let limits = HeadLimits::default();
        let found = check_splits(input.as_bytes(), &limits);
        let Ok(found) = found else {
            panic!("{input:?}: {found:?}")
        };
        assert_eq!(found.is_some(), expected.is_some(), "{input:?}");
        let Some(((range, _), expected)) = found.zip(expected) else {
            continue;
        };
        let mut storage = FieldStorage::new();
        match Head::parse(&input.as_bytes()[range], &mut storage, &limits) {
            Ok(h) => {
                let words = (h.method, h.target);
                let summary = (
                    words,
                    h.target_form,
                    h.version,
                    h.framing,
                    h.keep_alive,
                    h.expect,
                );
                assert_eq!(summary, expected, "{input:?}");
            }
            Err(error) => panic!("{input:?}: {error}"),
        }
    }
}

#[test]
fn bad_heads() {
    let with = |fields: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n").into_bytes();
    let many = |count: usize| with(&vec!["A: b"; count].join("\r\n"));
    let cases: Vec<(Vec<u8>, Error)> = vec![
        (b"\r\n\r\n\r\n\r\n\r\n".to_vec(), Error::EmptyLines),
        (b"\nGET / HTTP/1.1\r\n".to_vec(), Error::BareLf),
        (b"\rGET / HTTP/1.1\r\n".to_vec(), Error::Method),
        (b"\x16\x03\x01".to_vec(), Error::Method),
        (b" ".to_vec(), Error::Method),
        (b"hello\r\n".to_vec(), Error::RequestLine),
        (b"GET /nine\r\n".to_vec(), Error::SimpleRequest),
        (b"GET /nine\n".to_vec(), Error::SimpleRequest),
        (b"+OK ready\r\n".to_vec(), Error::SimpleRequest),
        (b"GET /a\rb".to_vec(), Error::Target),
        (b"GET / HTTP/1.1\rHost: h".to_vec(), Error::Version),
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            Error::VersionNotSupported,
        ),
        (b"GET / HTTP/1.1\nHost: h\n\n".to_vec(), Error::BareLf),
        (b"GET / HTTP/1.1\r\nHost: h\n".to_vec(), Error::BareLf),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\n\r\r\n".to_vec(),
            Error::FieldValue,
        ),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\r\n".to_vec(),
            Error::FieldValue,
        ),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), Error::MissingHost),
        (
            b"GET http://h/ HTTP/1.1\r\n\r\n".to_vec(),
            Error::MissingHost,
        ),
        (b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n".to_vec(), Error::Host),
        (
            b"GET / HTTP/1.1\r\n Host: h\r\n\r\n".to_vec(),
            Error::FieldFold,
        ),
        (with("Host: h"), Error::RepeatedHost),
        (with("hOsT:"), Error::RepeatedHost),
        (with("A: b\r\n c"), Error::FieldFold),
        (with(" "), Error::FieldFold),
        (with("A"), Error::FieldColon),
        (with("A : b"), Error::FieldName),
        (with(": b"), Error::FieldName),
        (with("A\u{e9}: b"), Error::FieldName),
        (with("A: \0"), Error::FieldValue),
        (with("A: \x7f"), Error::FieldValue),
        (with("A: b\rc"), Error::FieldValue),
        (with("A: b\r"), Error::FieldValue),
        (with("\rA: b"), Error::FieldName),
        (
            with("Content-Length: 5\r\ncontent-length: 5"),
            Error::RepeatedContentLength,
        ),
        (with("Content-Length: 5,5"), Error::ContentLength),
        (with("Content-Length:"), Error::ContentLength),
        (
            with("Content-Length: 5\r\nTransfer-Encoding: chunked"),
            Error::LengthWithCoding,
        ),
        (
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            Error::TransferEncoding,
        ),
        (
            with("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"),
            Error::UnknownCoding,
        ),
        (many(100), Error::TooManyFields),
        (many(300), Error::TooManyFields),
    ];
    for (input, error) in cases {
        let found = check_splits(&input, &HeadLimits::default());
        assert_eq!(found, Err(error), "{}", input.escape_ascii());
    }
    assert!(matches!(
        check_splits(&many(99), &HeadLimits::default()),
        Ok(Some(_))
    ));
}

#[test]
fn head_limits() {
    let limits = HeadLimits {
        request_line: 20,
        head: 60,
        fields: 9,
    };
    let line = |target: usize| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(target));
    let field = |value: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n",
            "a".repeat(value)
        )
    };
    let cases = [
        (line(6), None),
        (line(7), Some(Error::RequestLineTooLong)),
        (field(28), None),
        (field(29), Some(Error::HeadTooLarge)),
        ("G".repeat(30), Some(Error::MethodTooLong)),
        (
            format!("GET /{}", "a".repeat(30)),
            Some(Error::RequestLineTooLong),
        ),
        (
            format!("GET / HTTP/1.{}", "1".repeat(30)),
            Some(Error::Version),
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}", "a".repeat(50)),
            Some(Error::HeadTooLarge),
        ),
    ];
    for (input, error) in cases {
        let found = check_splits(input.as_bytes(), &limits);
        assert_eq!(found.as_ref().err(), error.as_ref(), "{input:?}");
        assert!(found.is_err() || matches!(found, Ok(Some(_))), "{input:?}");
    }
    for (error, status) in [
        (Error::ContentLengthOverflow, 413),
        (Error::RequestLineTooLong, 414),
        (Error::HeadTooLarge, 431),
        (Error::UnknownCoding, 501),
        (Error::VersionNotSupported, 505),
        (Error::Host, 400),
    ] {
        assert_eq!(error.status(), status);
    }
}

#[test]
fn parse_trusts_nobody() {
    let cases: [(&[u8], Error); 8] = [
        (b"", Error::Unterminated),
        (b"GET / HTTP/1.1\r\nHost: h\r\n", Error::Unterminated),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\n", Error::Unterminated),
        (b"GET / HTTP/1.1\nHost: h\r\n\r\n", Error::BareLf),
        (b"GET / HTTP/1.1\r\nHost: h\n\r\n", Error::BareLf),
        (b"GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", Error::BareLf),
        (b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", Error::RequestLine),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\n\r\nA: b\r\n\r\n",
            Error::FieldColon,
        ),
    ];
    for (bytes, expected) in cases {
        let mut storage = FieldStorage::new();
        let found = Head::parse(bytes, &mut storage, &HeadLimits::default());
        assert_eq!(found.err(), Some(expected), "{}", bytes.escape_ascii());
    }
}

#[test]
fn authority_of_each_form() {
    let cases = [
        ("GET / HTTP/1.1\r\nHost: h:1\r\n\r\n", Some("h:1")),
        ("GET http://a:2?x HTTP/1.1\r\nHost: h\r\n\r\n", Some("a:2")),
        ("CONNECT c:3 HTTP/1.1\r\nHost: h\r\n\r\n", Some("c:3")),
        ("GET / HTTP/1.0\r\n\r\n", None),
    ];
    for (input, expected) in cases {
        let mut storage = FieldStorage::new();
        let head = Head::parse(input.as_bytes(), &mut storage, &HeadLimits::default());
        assert_eq!(head.map(|head| head.authority()), Ok(expected), "{input:?}");
    }
}

#[test]
fn scanner_is_small_and_starts_over() {
    assert!(size_of::<Scanner>() <= 16);
    let limits = HeadLimits::default();
    let mut scanner = Scanner::default();
    assert_eq!(scanner.scan(b"\r\n", &limits), Ok(None));
    assert!(!scanner.has_begun());
    assert_eq!(scanner.scan(b"\r\nG", &limits), Ok(None));
    assert!(scanner.has_begun());
    assert_eq!(
        scanner.scan(b"\r\nG / HTTP/1.1\r\n\r\nG", &limits),
        Ok(Some(2..18))
    );
    assert!(!scanner.has_begun());
    assert_eq!(
        scanner.scan(b"G / HTTP/1.1\r\n\r\n", &limits),
        Ok(Some(0..16))
    );
}
