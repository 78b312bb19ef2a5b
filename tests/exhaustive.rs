//! Every input there is, up to a length, over the bytes that matter at one place of the grammar. The
//! oracles of the fuzz targets judge them: RFC 9112 read literally, and no dependence on the cuts.
#![cfg(feature = "files")]

#[path = "../fuzz/oracles/lib.rs"]
#[allow(dead_code, unused_imports)]
mod oracles;

/// Calls `judge` with `before`, each text over `alphabet` of at most `longest` bytes, and `after`.
fn all(before: &[u8], alphabet: &[u8], longest: u32, after: &[u8], judge: fn(&[u8])) {
    for length in 0..=longest {
        for number in 0..alphabet.len().pow(length) {
            let digit = |place: u32| number / alphabet.len().pow(place) % alphabet.len();
            let mut input = before.to_vec();
            input.extend((0..length).map(|place| alphabet[digit(place)]));
            input.extend_from_slice(after);
            judge(&input);
        }
    }
}

#[test]
fn chunk_sizes_and_extensions() {
    all(b"", b"01fF+x;\r\n ", 4, b"", oracles::chunked);
    all(b"", b"0a;\r\n", 5, b"\r\n0\r\n\r\n", oracles::chunked);
    all(
        b"1",
        b";= \t\"\\a\r\n",
        4,
        b"\r\nx\r\n0\r\n\r\n",
        oracles::chunked,
    );
    // Fourteen digits before those that vary: the limit of 64 bits.
    all(b"0fffffffffffff", b"0f\r\n", 4, b"", oracles::chunked);
}

#[test]
fn any_two_bytes_of_a_chunked_body() {
    let any: Vec<u8> = (0..=u8::MAX).collect();
    for (before, after) in [
        (&b""[..], &b"\r\n0\r\n\r\n"[..]), // where the size stands
        (b"1", b"\r\nx\r\n0\r\n\r\n"),     // behind the size
        (b"1\r\nx", b"0\r\n\r\n"),         // behind the data
        (b"0\r\n", b"\r\n\r\n"),           // where the trailers begin
    ] {
        all(before, &any, 2, after, oracles::chunked);
    }
}

#[test]
fn ends_of_chunks_and_trailers() {
    all(b"2\r\n", b"x0\r\n", 6, b"", oracles::chunked);
    all(b"0\r\n", b"A: \t\r\n\0", 5, b"", oracles::chunked);
    all(b"0\r\nA: b\r\n", b"A:\r\n", 6, b"", oracles::chunked);
}

#[test]
fn heads_of_requests() {
    all(b"", b"G /\r\n\0", 5, b"", oracles::head);
    all(b"GET / HTTP/1.", b"019 \r\n", 5, b"", oracles::head);
    all(
        b"GET / HTTP/1.1\r\nHost: h",
        b"A: \t\r\n",
        5,
        b"",
        oracles::head,
    );
    all(
        b"\r\n\r\n\r\n",
        b"\r\nG",
        6,
        b"ET / HTTP/1.0\r\n\r\n",
        oracles::head,
    );
}

/// Calls `judge` with each text that is one byte away from `text`: one byte replaced, put in or left out.
fn all_changes(text: &[u8], judge: fn(&[u8])) {
    for place in 0..text.len() {
        let (before, after) = (&text[..place], &text[place + 1..]);
        judge(&[before, after].concat());
        for byte in 0..=u8::MAX {
            judge(&[before, &[byte], after].concat());
            judge(&[before, &[byte], &text[place..]].concat());
        }
    }
}

#[test]
fn heads_with_any_one_byte_changed() {
    let request = b"PUT /a HTTP/1.1\r\nHost: h\r\nA: \tb \r\n\r\n";
    all_changes(request, oracles::head);
    let response = b"0HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    all_changes(response, oracles::response_head);
}

#[test]
fn heads_of_responses() {
    all(b"0", b"HT\r\n ", 4, b"", oracles::response_head);
    all(b"0HTTP/1.1", b"02 \r\n\xff", 5, b"", oracles::response_head);
    all(
        b"0HTTP/1.1 20",
        b"0 K\r\n\0",
        5,
        b"",
        oracles::response_head,
    );
    all(
        b"0HTTP/1.1 200 OK\r\nA",
        b"A: \t\r\n",
        5,
        b"",
        oracles::response_head,
    );
}

/// Fields that decide about the content, and one that does not.
const FIELDS: [&str; 13] = [
    "A: b\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 05\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: +5\r\n",
    "Content-Length:\r\n",
    "Content-Length: 18446744073709551616\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Transfer-Encoding: chunked, gzip\r\n",
    "Transfer-Encoding:\r\n",
    "Connection: close\r\n",
];

/// All lists of at most `longest` of these parts.
fn lists(parts: &[&str], longest: u32) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut from = 0;
    for _ in 0..longest {
        let to = found.len();
        for index in from..to {
            for part in parts {
                found.push(format!("{}{part}", found[index]));
            }
        }
        from = to;
    }
    found
}

#[test]
fn framing_of_requests() {
    for fields in lists(&FIELDS, 3) {
        for minor in [0, 1, 2] {
            oracles::framing(format!("{minor}{fields}").as_bytes());
        }
    }
}

#[test]
fn values_of_the_fields_that_frame() {
    let lengths = lists(&["0", "5", "+", "-", ",", " ", "\t"], 5);
    let codings = lists(&["chunked", "Chunked", "gzip", ",", " ", ";q=1", "\""], 5);
    for (name, values) in [("Content-Length", lengths), ("Transfer-Encoding", codings)] {
        for value in values {
            for minor in [0, 1] {
                let fields = format!("{minor}{name}:{value}\r\n");
                oracles::framing(fields.as_bytes());
            }
        }
    }
}

#[test]
fn framing_of_responses() {
    let judge = |method: u8, minor: u8, status: u16, fields: &str| {
        let head = format!("{method}HTTP/1.{minor} {status} \r\n{fields}\r\n");
        oracles::response_head(head.as_bytes());
    };
    // Every status, with fields of every kind.
    for status in 100..=999 {
        for method in 0..=2 {
            for field in [FIELDS[0], FIELDS[1], FIELDS[2], FIELDS[8]] {
                judge(method, 1, status, field);
            }
        }
    }
    // The statuses that make a difference, and one that does not, with all fields.
    for fields in lists(&FIELDS, 2) {
        for status in [100, 101, 200, 204, 304, 404] {
            for method in 0..=2 {
                for minor in [0, 1] {
                    judge(method, minor, status, &fields);
                }
            }
        }
    }
}
