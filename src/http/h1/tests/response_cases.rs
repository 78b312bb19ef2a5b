//! Single heads of responses, and what is expected of each.

use super::*;

type Summary = (Version, u16, &'static [u8], ResponseFraming, bool);

#[test]
fn good_response_heads() {
    use ResponseFraming::{Chunked, Empty, Length, Tunnel, UntilClose};
    use Version::{Http10, Http11};
    let ok = |framing, keep_alive| (Http11, 200, &b"OK"[..], framing, keep_alive);
    let cases: Vec<(&str, &[u8], Summary)> = vec![
        ("GET", b"HTTP/1.1 200 OK\r\n\r\n", ok(UntilClose, false)),
        (
            "GET",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            ok(Length(5), true),
        ),
        (
            "GET",
            b"HTTP/1.1 200 OK\r\ntransfer-ENCODING: Chunked\r\n\r\n",
            ok(Chunked, true),
        ),
        (
            "GET",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, CLOSE\r\n\r\n",
            ok(Length(0), false),
        ),
        (
            "HEAD",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            ok(Empty, true),
        ),
        (
            "CONNECT",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            ok(Tunnel, false),
        ),
        (
            "GET",
            b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
            (Http10, 200, b"OK", Length(5), false),
        ),
        (
            "GET",
            b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n",
            (Http10, 200, b"OK", Length(5), true),
        ),
        (
            "GET",
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
            (Http10, 200, b"OK", UntilClose, false),
        ),
        (
            "GET",
            b"HTTP/1.9 404 Not \xe9 \t Found \r\nA:\r\nContent-Length:5\r\n\r\n",
            (Http11, 404, b"Not \xe9 \t Found ", Length(5), true),
        ),
        (
            "GET",
            b"HTTP/1.1 999\r\nContent-Length: 5\r\n\r\n",
            (Http11, 999, b"", Length(5), true),
        ),
        (
            "GET",
            b"HTTP/1.1 999 \r\nContent-Length: 5\r\n\r\n",
            (Http11, 999, b"", Length(5), true),
        ),
        (
            "POST",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            (Http11, 100, b"Continue", Empty, true),
        ),
        (
            "GET",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            (Http11, 101, b"Switching Protocols", Tunnel, false),
        ),
        (
            "GET",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            (Http11, 304, b"Not Modified", Empty, true),
        ),
    ];
    for (method, input, expected) in cases {
        let mut storage = FieldStorage::new();
        let limits = HeadLimits::default();
        let found = Scanner::default().response_head(input, &mut storage, &limits, method);
        let (range, head) = found.expect("valid").expect("complete");
        let end = 4 + input
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .expect("end");
        assert_eq!(range, 0..end);
        let summary = (
            head.version,
            head.status,
            head.reason,
            head.framing,
            head.keep_alive,
        );
        assert_eq!(summary, expected, "{}", input.escape_ascii());
        let found = check_response_splits(input, &limits, method);
        assert!(matches!(found, Ok(Some(_))));
    }
}

#[test]
fn bad_response_heads() {
    let cases: &[(&[u8], Error)] = &[
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", Error::StatusLine),
        (b"\nHTTP/1.1 200 OK\r\n\r\n", Error::StatusLine),
        (b"\n\n\n\nHTTP/1.1 200 OK\r\n\r\n", Error::StatusLine),
        (b"HTTP/1.1 200 OK\n\r\n", Error::BareLf),
        (b"HTTP/1.1 200 OK\r\r\n\r\n", Error::Reason),
        (b"HTTP/1.1 200 OK\r\nA: b\r\r\n\r\n", Error::FieldValue),
        (b"HTTP/1.1 200 OK\r\nA: b\n\r\n", Error::BareLf),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\n", Error::BareLf),
        (b"HTTP/1.1 200 OK\nA: b\r\n\r\n", Error::BareLf),
        (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", Error::FieldName),
        (b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n", Error::FieldFold),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", Error::FieldFold),
        (b"HTTP/1.1 200 OK\r\nA\r\n\r\n", Error::FieldColon),
        (b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", Error::FieldValue),
        (b"HTTP/1.1 2000\r\n\r\n", Error::Status),
        (b"HTTP/1.1 20\r\n\r\n", Error::StatusLine),
        (b"HTTP/1.1 099 X\r\n\r\n", Error::Status),
        (b"HTTP/2.0 200 OK\r\n\r\n", Error::VersionNotSupported),
        (b"GET / HTTP/1.1\r\n\r\n", Error::Version),
        // Nothing can mend these, so nobody waits for their end.
        (b"SSH-2.0-OpenSSH", Error::Version),
        (b"\x15\x03\x01\x00\x02", Error::Version),
        (b"HTTP/1.1 2OO", Error::Status),
        (b"HTTP/1.1 200 O\x07", Error::Reason),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            Error::RepeatedContentLength,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            Error::LengthWithCoding,
        ),
        (
            b"HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n",
            Error::UnexpectedContent,
        ),
        (
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            Error::CodingInHttp10,
        ),
    ];
    for &(input, expected) in cases {
        let found = check_response_splits(input, &HeadLimits::default(), "GET");
        assert_eq!(found, Err(expected), "{}", input.escape_ascii());
    }
}

#[test]
fn limits_of_response_heads() {
    let limits = HeadLimits {
        request_line: 20,
        head: 48,
        fields: 2,
    };
    let cases: &[(&[u8], Result<bool, Error>)] = &[
        (b"HTTP/1.1 200 1234567\r\n\r\n", Ok(true)),
        (b"HTTP/1.1 200 1234567\r", Ok(false)),
        (
            b"HTTP/1.1 200 12345678\r\n\r\n",
            Err(Error::StatusLineTooLong),
        ),
        // The byte after the longest line is looked at when the next one is there: it may be a CR.
        (b"HTTP/1.1 200 12345678", Ok(false)),
        (b"HTTP/1.1 200 123456789", Err(Error::StatusLineTooLong)),
        (b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n", Ok(true)),
        (
            b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\nE: f\r\n\r\n",
            Err(Error::TooManyFields),
        ),
        (
            b"HTTP/1.1 200 OK\r\nA: 456789012345678901234567\r\n\r\n",
            Ok(true),
        ),
        (
            b"HTTP/1.1 200 OK\r\nA: 4567890123456789012345678\r\n\r\n",
            Err(Error::HeadTooLarge),
        ),
        (
            b"HTTP/1.1 200 OK\r\nA: 4567890123456789012345678901234567",
            Err(Error::HeadTooLarge),
        ),
    ];
    for &(input, expected) in cases {
        let found = check_response_splits(input, &limits, "GET").map(|found| found.is_some());
        assert_eq!(found, expected, "{}", input.escape_ascii());
    }
}

#[test]
fn the_shortest_status_line_and_its_limit() {
    for (request_line, error) in [(13, None), (12, Some(Error::StatusLineTooLong))] {
        let limits = HeadLimits {
            request_line,
            ..HeadLimits::default()
        };
        let found = check_response_splits(b"HTTP/1.1 200 \r\n\r\n", &limits, "GET");
        assert_eq!(found.err(), error, "{request_line}");
    }
}

#[test]
fn parse_takes_one_head_and_no_more() {
    let parse = |bytes: &[u8]| {
        let mut storage = FieldStorage::new();
        let head = ResponseHead::parse(bytes, &mut storage, &HeadLimits::default(), "GET");
        head.map(|head| head.status)
    };
    assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\n"), Ok(200));
    let more = parse(b"HTTP/1.1 200 OK\r\n\r\nA: b\r\n\r\n");
    assert_eq!(more, Err(Error::FieldColon));
    let less = parse(b"HTTP/1.1 200 OK\r\n");
    assert_eq!(less, Err(Error::Unterminated));
}

/// Every defect that only a response can have is a proxy's 502.
#[test]
fn statuses_of_defects_of_responses() {
    for error in [
        Error::StatusLine,
        Error::Status,
        Error::Reason,
        Error::StatusLineTooLong,
        Error::UnexpectedContent,
    ] {
        assert_eq!(error.status(), 502);
    }
}
