//! Generated heads: whole equals split, fast equals slow, the scanner equals its reference.

use super::*;

/// Marsaglia's xorshift: random enough for a test, and the same every time.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, bound: usize) -> usize {
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

/// A head that is kept says the same as when it was parsed, also when its bytes have moved.
#[test]
fn a_kept_head_equals_the_parsed_one() {
    let (mut chance, mut heads) = (Chance(0x1a70), 0);
    for _ in 0..60_000 {
        let input = generated(&mut chance);
        let mut storage = FieldStorage::new();
        let Ok(head) = Head::parse(&input, &mut storage, &HeadLimits::default()) else {
            continue;
        };
        heads += 1;
        let (layout, copy) = (HeadLayout::new(&head, &input), input.clone());
        let kept = layout.view(&copy);
        assert_eq!(
            format!("{kept:?}"),
            format!("{head:?}"),
            "{}",
            input.escape_ascii()
        );
        assert_eq!(kept.fields.len(), head.fields.iter().len());
        assert_eq!(layout.view(b"").fields.get("Host").unwrap_or_default(), b"");
    }
    assert!(
        heads > 600,
        "the generator makes too few good heads: {heads}"
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

const RESPONSE_PIECES: &[&[u8]] = &[
    b"HTTP/1.1 ",
    b"HTTP/1.0 200 ",
    b"HTTP/1.4 ",
    b"HTTP/2.0 ",
    b"200",
    b"200 OK",
    b"204 No Content",
    b"101 \r\n",
    b"099 ",
    b"1234",
    b" ",
    b"\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\t",
    b":",
    b"A: b\r\n",
    b"A : b\r\n",
    b" fold\r\n",
    b"X: \xff\t\r\n",
    b"Y:\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close, x\r\n",
    b"\0",
    b"\x7f",
    b"\x80",
    b"z",
    b"9",
    b"HTTP/1.1 200 OK\r\n",
];

/// Like [`generated`], but responses.
fn generated_response(chance: &mut Chance) -> Vec<u8> {
    let mut input = Vec::new();
    let good = chance.below(4) > 0;
    if good {
        input.extend_from_slice(chance.pick(&[
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.0 404 \xe9\r\n",
            b"HTTP/1.1 204\r\n",
        ]));
    }
    for _ in 0..chance.below(6) {
        input.extend_from_slice(chance.pick(RESPONSE_PIECES));
    }
    if good {
        input.extend_from_slice(b"\r\n\r\n"[chance.below(3)..].as_ref());
    }
    for _ in 0..chance.below(3) {
        let piece = chance.pick(RESPONSE_PIECES);
        let at = chance.below(input.len() + 1);
        let end = (at + chance.below(2)).min(input.len());
        input.splice(at..end, piece.iter().copied());
    }
    input
}

const METHODS: &[&[u8]] = &[b"GET", b"HEAD", b"CONNECT"];

fn method(chance: &mut Chance) -> &'static str {
    core::str::from_utf8(METHODS[chance.below(METHODS.len())]).expect("ASCII")
}

#[test]
fn whole_response_equals_split() {
    let mut chance = Chance(0x5eed2);
    let small = HeadLimits {
        request_line: 16,
        head: 40,
        fields: 2,
    };
    let odd = HeadLimits {
        request_line: 40,
        head: 20,
        fields: 0,
    };
    let mut accepted = 0;
    for _ in 0..3_000 {
        let input = generated_response(&mut chance);
        let method = method(&mut chance);
        let whole = check_response_splits(&input, &HeadLimits::default(), method);
        accepted += usize::from(matches!(whole, Ok(Some(_))));
        let _ = check_response_splits(&input, &small, method);
        let _ = check_response_splits(&input, &odd, method);
    }
    assert!(
        accepted > 200,
        "the generator makes too few good heads: {accepted}"
    );
}

#[test]
fn fast_response_equals_slow_and_httparse_agrees() {
    let mut chance = Chance(0xfa572);
    for _ in 0..100_000 {
        let input = generated_response(&mut chance);
        let mut storage = FieldStorage::new();
        let fast = response_head::parse_fast(&input, &mut storage, MAX_FIELDS)
            .filter(|&(_, end)| end == input.len())
            .map(|(found, _)| format!("{found:?}"));
        let slow = response_head::parse_slowly(&input, MAX_FIELDS);
        let slow = slow.map(|found| format!("{found:?}"));
        let text = format!("{}", input.escape_ascii());
        let is_known = text.starts_with("HTTP/1.0") || text.starts_with("HTTP/1.1");
        match (&fast, &slow) {
            (Some(fast), slow) => assert_eq!(Ok(fast), slow.as_ref(), "{text}"),
            // The fast path does not know HTTP/1.2 to 1.9, and wants the space after the status.
            (None, Ok(_)) => assert!(!is_known || text.get(12..14) == Some("\\r"), "{text}"),
            (None, Err(_)) => {}
        }
        if slow.is_ok() && is_known {
            let mut headers = [httparse::EMPTY_HEADER; MAX_FIELDS];
            let parsed = httparse::Response::new(&mut headers).parse(&input);
            let whole = Ok(httparse::Status::Complete(input.len()));
            assert_eq!(parsed, whole, "{text}");
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
