//! Single heads, and what is expected of each.

use super::*;

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
        (b"GET /# HTTP/1.1\r\n".to_vec(), Error::Target),
        (b"GET /## HTTP/1.1\r\n".to_vec(), Error::Target),
        (b"GET /\xe9 HTTP/1.1\r\n".to_vec(), Error::Target),
        (b"GET /\xe9\xe9 HTTP/1.1\r\n".to_vec(), Error::Target),
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
        (
            b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\r\n".to_vec(),
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
    // Empty lines in front do not count.
    for before in ["", "\r\n", "\r\n\r\n\r\n"] {
        for (input, error) in &cases {
            let input = format!("{before}{input}");
            let found = check_splits(input.as_bytes(), &limits);
            assert_eq!(found.as_ref().err(), error.as_ref(), "{input:?}");
            assert!(found.is_err() || matches!(found, Ok(Some(_))), "{input:?}");
        }
    }
    let shortest = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for (request_line, error) in [(14, None), (13, Some(Error::RequestLineTooLong))] {
        let limits = HeadLimits {
            request_line,
            ..HeadLimits::default()
        };
        assert_eq!(check_splits(shortest, &limits).err(), error);
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

/// The codec reads five fields. Others whose names are as long mean nothing to it, even if the first letter is
/// the same.
#[test]
fn fields_with_names_of_the_same_length() {
    let others = [
        "Date: a b",
        "Hash: a b",
        "Cookie: 100-continue",
        "Extend: 100-continue",
        "User-Agent: close",
        "Compliance: close",
        "Accept-Charset: 7",
        "Content-Digest: 7",
        "If-Modified-Since: chunked",
        "Transfer-Decoding: chunked",
    ];
    for length in [0, 5] {
        for other in others {
            let content = format!("Content-Length: {length}\r\n");
            let content = if length > 0 { &*content } else { "" };
            let input = format!("POST / HTTP/1.1\r\nHost: h\r\n{content}{other}\r\n\r\n");
            let mut storage = FieldStorage::new();
            let limits = HeadLimits::default();
            let found = Scanner::default().head(input.as_bytes(), &mut storage, &limits);
            let (_, head) = found.expect("a good head").expect("a whole head");
            assert_eq!(head.framing.is_empty(), length == 0, "{other}");
            assert_eq!((head.keep_alive, head.expect), (true, Expect::None));
            assert_eq!(head.authority(), Some("h"));
        }
    }
}

/// An empty line in front is no part of the head, also of one without fields.
#[test]
fn a_head_begins_behind_empty_lines() {
    for input in [
        &b"\r\n\r\nGET / HTTP/1.0\r\n\r\n"[..],
        b"\r\n\r\nGET / HTTP/1.0\r\nA: b\r\n\r\n",
    ] {
        let found = check_splits(input, &HeadLimits::default());
        let range = found.map(|found| found.map(|(range, _)| range));
        assert_eq!(range, Ok(Some(4..input.len())));
    }
}

/// What almost everybody sends takes the fast path. What it does not take, the slow path decides.
#[test]
fn usual_heads_take_the_fast_path() {
    let requests: [(&[u8], bool); 14] = [
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true),
        (b"POST /a?b HTTP/1.0\r\nA: b\r\nC:d\r\n\r\nmore", true),
        (b"GET / HTTP/1.1\r\nHost: h\r\n", false),
        (b"GET / HTTP/1.1\r\nHost: h\n\r\n", false),
        (b"GET /# HTTP/1.1\r\nHost: h\r\n\r\n", false),
        (b"GET /## HTTP/1.1\r\nHost: h\r\n\r\n", false),
        (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", false),
        (b"GET /123456#1234567# HTTP/1.1\r\nHost: h\r\n\r\n", false),
        (
            b"GET /12345\xc3\xa9123456\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n",
            false,
        ),
        (b"GET /12345#7890 HTTP/1.1\r\nHost: h\r\n\r\n", false),
        (b"GET /1234567890# HTTP/1.1\r\nHost: h\r\n\r\n", false),
        (b"GET /12345\xc3\xa9890 HTTP/1.1\r\nHost: h\r\n\r\n", false),
        (
            b"GET /1234567890\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n",
            false,
        ),
        (
            b"GET /!\"$%&'()*+,-./0123456789:;<=>?@AZ[\\]^_`az{|}~ HTTP/1.1\r\nHost: h\r\n\r\n",
            true,
        ),
    ];
    for (input, expected) in requests {
        let mut storage = FieldStorage::new();
        let found = parse_fast(input, &mut storage, MAX_FIELDS).is_some();
        assert_eq!(found, expected, "{}", input.escape_ascii());
    }
    let responses: [(&[u8], bool); 5] = [
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", true),
        (b"HTTP/1.0 404 \r\n\r\nmore", true),
        (b"HTTP/1.1 200 OK\r\nA: b\n\r\n", false),
        (b"HTTP/1.1 099 OK\r\n\r\n", false),
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", false),
    ];
    for (input, expected) in responses {
        let mut storage = FieldStorage::new();
        let found = response_head::parse_fast(input, &mut storage, MAX_FIELDS).is_some();
        assert_eq!(found, expected, "{}", input.escape_ascii());
    }
}

#[test]
fn versions_are_printed_as_they_are_sent() {
    let versions = [Version::Http10, Version::Http11].map(|version| format!("{version}"));
    assert_eq!(versions, ["HTTP/1.0", "HTTP/1.1"]);
}

#[test]
fn the_room_for_fields_can_be_printed() {
    let room = format!("{:?}", FieldStorage::default());
    assert_eq!(room, "FieldStorage { .. }");
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

/// A head that came in two pieces leaves nothing behind for the next one.
#[test]
fn the_scanner_starts_over_after_a_head_in_pieces() {
    let limits = HeadLimits::default();
    let mut scanner = Scanner::default();
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for _ in 0..2 {
        let mut storage = FieldStorage::new();
        let begun = scanner.head(&request[..20], &mut storage, &limits);
        assert!(matches!(begun, Ok(None)) && scanner.has_begun());
        let mut storage = FieldStorage::new();
        let found = scanner.head(request, &mut storage, &limits);
        assert!(matches!(found, Ok(Some((range, _))) if range == (0..request.len())));
        assert!(!scanner.has_begun());
    }
    let response = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    for _ in 0..2 {
        let mut storage = FieldStorage::new();
        let begun = scanner.response_head(&response[..20], &mut storage, &limits, "GET");
        assert!(matches!(begun, Ok(None)) && scanner.has_begun());
        let mut storage = FieldStorage::new();
        let found = scanner.response_head(response, &mut storage, &limits, "GET");
        assert!(matches!(found, Ok(Some((range, _))) if range == (0..response.len())));
        assert!(!scanner.has_begun());
    }
}

/// The range of a head never begins with a CR, so whoever only scans sees no other request than who parses.
#[test]
fn the_scanner_refuses_a_lone_cr_in_front() {
    for input in [
        &b"\rGET / HTTP/1.1\r\nHost: h\r\n\r\n"[..],
        b"\r\n\rGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let found = Scanner::default().scan(input, &HeadLimits::default());
        assert_eq!(found, Err(Error::Method));
    }
}

/// What is kept of a head says the same as the head, with a copy of its bytes.
#[test]
fn a_head_that_is_kept_says_the_same() {
    for input in [
        &b"GET / HTTP/1.1\r\nHost: h\r\nA:\r\nB: \tc d \r\n\r\n"[..],
        b"POST http://h/a HTTP/1.5\r\nHost: h\r\nContent-Length: 5\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ] {
        let mut storage = FieldStorage::new();
        let head = Head::parse(input, &mut storage, &HeadLimits::default());
        let head = head.expect("a good head");
        let layout = HeadLayout::new(&head, input);
        let copy = input.to_vec();
        let kept = layout.view(&copy);
        assert_eq!(format!("{kept:?}"), format!("{head:?}"));
        assert_eq!(kept.fields.len(), head.fields.len());
    }
}
