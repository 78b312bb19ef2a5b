//! The codec on its own, as the example `parse_capture` uses it.

#[path = "../examples/protocols/parse_capture.rs"]
#[allow(dead_code)]
mod parse_capture;

use parse_capture::{Parser, SAMPLE};

/// What the example reports of `bytes`, fed in pieces of `size`.
fn report(bytes: &[u8], size: usize) -> String {
    let mut report = Vec::new();
    let mut parser = Parser::new(&mut report);
    let mut good = bytes
        .chunks(size)
        .map(|piece| parser.feed(piece).expect("memory"));
    if good.all(|good| good) {
        drop(good);
        parser.finish().expect("memory");
    }
    String::from_utf8(report).expect("escaped")
}

const EXPECTED: &str = r#"request that begins at byte 0
  line: GET /search?q=rust HTTP/1.1
  field: Host = example.org
  field: Accept = text/html
  field: accept = */*;q=0.1
  framing: no content
request that begins at byte 88
  line: POST /form HTTP/1.1
  field: Host = example.org
  field: Content-Type = application/x-www-form-urlencoded
  field: Content-Length = 10
  framing: 10 bytes
request that begins at byte 209
  line: PUT /upload HTTP/1.1
  field: Host = example.org
  field: Transfer-Encoding = chunked
  framing: chunked
  decoded: 12 bytes
  trailer: Content-Digest = sha-256=:none:
request that begins at byte 359
  refused with 400: Content-Length with Transfer-Encoding
"#;

#[test]
fn pieces_of_any_size_give_the_same_report() {
    for size in 1..=SAMPLE.len() {
        assert_eq!(report(SAMPLE, size), EXPECTED, "in pieces of {size}");
    }
}

#[test]
fn a_stream_may_end_anywhere() {
    for end in 0..359 {
        let report = report(&SAMPLE[..end], 5);
        let (requests, place) = match end {
            0 | 88 | 209 => (report.matches("line: ").count(), "between two requests"),
            1..88 => (0, "in the middle of a head"),
            89..199 => (1, "in the middle of a head"),
            199..209 => (2, "in the middle of a body"),
            210..280 => (2, "in the middle of a head"),
            _ => (3, "in the middle of a body"),
        };
        let last = format!("{requests} requests; ends at byte {end}, {place}\n");
        assert!(report.ends_with(&last), "{report}\nand not {last}");
    }
}

/// However much it is: nothing of it is kept.
#[test]
fn content_has_no_limit() {
    let content = vec![b'x'; 2 * 1024 * 1024];
    let head = "PUT / HTTP/1.1\r\nHost: h\r\n";
    let sized = format!("{head}Content-Length: {}\r\n\r\n", content.len());
    let sized = [sized.as_bytes(), &content].concat();
    let chunked = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n",
        content.len()
    );
    let chunked = [chunked.as_bytes(), &content, b"\r\n0\r\n\r\n"].concat();
    for stream in [sized, chunked] {
        let report = report(&stream, 10_000);
        let last = format!(
            "1 requests; ends at byte {}, between two requests\n",
            stream.len()
        );
        assert!(report.ends_with(&last), "{report}");
    }
}
