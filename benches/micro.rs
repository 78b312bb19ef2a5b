//! Measures the parts of a request without sockets: reading the head, the framing, chunks, encoding, the
//! environ, and all of them together. Each stands beside its floor: the least work that has the same
//! effect.
//!
//!     cargo bench --bench micro
//!
//! The bench ends by itself, after about ten seconds. `benches/README.md` says how to read the table, and
//! `benches/h1` compares the codec with other parsers.

#[path = "../examples/checks/plaintext.rs"]
#[allow(dead_code)]
mod plaintext;
mod support;

use std::collections::HashMap;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use plaintext::Plaintext;
use serve_forever::http::h1::{
    self, ChunkLimits, ChunkedDecoder, FieldStorage, HeadLimits, Scanner, Version,
};
use serve_forever::http::testing::Client;
use serve_forever::http::{HttpConnection, HttpRequestHandler, HttpSettings};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Protocol};
use serve_forever::wsgi::{AppResult, Environ, StartResponse, WsgiHandler};
use support::requests::{BROWSER, SMALL, post};
use support::rounds::{Samples, Work, rounds};
use support::table;

const ROUNDS: usize = 501;

/// Two pieces of work, ours and the floor.
struct Case<'a> {
    name: &'static str,
    /// What the floor does.
    floor: &'static str,
    works: [Work<'a>; 2],
}

impl<'a> Case<'a> {
    fn new<A, B>(
        name: &'static str,
        ours: impl FnMut() -> A + 'a,
        floor: &'static str,
        least: impl FnMut() -> B + 'a,
    ) -> Case<'a> {
        Case {
            name,
            floor,
            works: [Work::new(ours), Work::new(least)],
        }
    }

    fn measure(mut self) -> Row {
        Row {
            name: self.name,
            floor: self.floor,
            samples: rounds(&mut self.works, ROUNDS),
        }
    }
}

/// What the two pieces of work of a case took.
struct Row {
    name: &'static str,
    floor: &'static str,
    samples: Vec<Samples>,
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let [ours, floor] = [&self.samples[0], &self.samples[1]];
        let time = |samples: &Samples| format!("{:.0} ({:.0})", samples.median(), samples.least());
        let ratio = format!("{:.2}", ours.median() / floor.median());
        vec![time(ours), time(floor), ratio, self.floor.to_owned()]
    }
}

/// How many fields httparse finds in a head. It does not check the framing.
fn httparse(bytes: &[u8]) -> usize {
    let mut fields = [const { MaybeUninit::uninit() }; h1::MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(bytes, &mut fields);
    assert!(parsed.expect("no defect").is_complete());
    black_box(&request).headers.len()
}

/// Reading a head.
fn head(name: &'static str, bytes: &'static [u8]) -> Row {
    let limits = HeadLimits::default();
    let ours = move || {
        let (mut scanner, mut storage) = (Scanner::default(), FieldStorage::new());
        let found = scanner.head(black_box(bytes), &mut storage, &limits);
        found.expect("no defect").expect("complete").1.fields.len()
    };
    let least = move || httparse(black_box(bytes));
    Case::new(name, ours, "`httparse`", least).measure()
}

/// The decision how the content ends, beside reading the number alone.
fn framing() -> Row {
    let length: &[u8] = b"10240";
    let ours = move || h1::framing(Version::Http11, black_box([length]), []);
    let least = move || std::str::from_utf8(black_box(length)).map(str::parse::<u64>);
    let what = "`str::parse` of the length";
    Case::new("framing, a Content-Length", ours, what, least).measure()
}

/// Decoding in place. Decoding changes the bytes, so both copy them first.
fn chunked(name: &'static str, chunks: usize, length: usize) -> Row {
    let chunk = format!("{length:x}\r\n{}\r\n", "x".repeat(length));
    let coded = format!("{}0\r\n\r\n", chunk.repeat(chunks)).into_bytes();
    let (mut one, mut other) = (coded.clone(), coded.clone());
    let (coded, limits) = (&coded, ChunkLimits::default());
    let ours = move || {
        one.copy_from_slice(black_box(coded));
        let mut decoder = ChunkedDecoder::default();
        let progress = decoder.decode(&mut one, &limits).expect("no defect");
        assert!(progress.complete);
        progress.content
    };
    let least = move || {
        other.copy_from_slice(black_box(coded));
        let (mut from, mut to) = (0, 0);
        loop {
            let parsed = httparse::parse_chunk_size(&other[from..]);
            let Ok(httparse::Status::Complete((line, size))) = parsed else {
                panic!("{parsed:?}")
            };
            let (begin, size) = (from + line, size as usize);
            other.copy_within(begin..begin + size, to);
            (from, to) = (begin + size + 2, to + size);
            if size == 0 {
                return to;
            }
        }
    };
    let what = "`httparse::parse_chunk_size`, and moving the content";
    Case::new(name, ours, what, least).measure()
}

/// The fields of a response.
const FIELDS: [(&str, &str); 4] = [
    ("Server", "serve_forever"),
    ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
];

/// Writing a response's head. It refuses what a recipient could read differently; the floor does not.
fn encode() -> Row {
    fn write(output: &mut Vec<u8>) -> Result<usize, h1::EncodeError> {
        h1::status_line(output, 200, "OK")?;
        for (name, value) in black_box(FIELDS) {
            h1::field(output, name, value.as_bytes())?;
        }
        h1::content_length(output, black_box(13));
        h1::end_of_fields(output);
        Ok(output.len())
    }
    let (mut one, mut other) = (Vec::new(), Vec::new());
    let ours = move || {
        one.clear();
        write(&mut one)
    };
    let least = move || {
        other.clear();
        other.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        for (name, value) in black_box(FIELDS) {
            for part in [name, ": ", value, "\r\n"] {
                other.extend_from_slice(part.as_bytes());
            }
        }
        other.extend_from_slice(b"Content-Length: 13\r\n\r\n");
        other.len()
    };
    let name = "encoding a response's head of 5 fields";
    Case::new(name, ours, "copies of its parts", least).measure()
}

/// Writing content as chunks.
fn encode_chunks() -> Row {
    let (mut one, mut other, content) = (Vec::new(), Vec::new(), [b'x'; 1024]);
    let ours = move || {
        one.clear();
        for _ in 0..16 {
            h1::chunk(&mut one, black_box(&content));
        }
        h1::last_chunk(&mut one, [])?;
        Ok::<_, h1::EncodeError>(one.len())
    };
    let least = move || {
        other.clear();
        for _ in 0..16 {
            other.extend_from_slice(black_box(&content));
        }
        other.len()
    };
    let name = "encoding 16 chunks of 1 KiB";
    Case::new(name, ours, "a copy of the content", least).measure()
}

/// The variables that most frameworks look up for each request.
const KEYS: [&str; 8] = [
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "CONTENT_TYPE",
    "CONTENT_LENGTH",
    "HTTP_HOST",
    "HTTP_COOKIE",
];

/// Reading the environ of a browser's request. The floor has a map with all its variables; a server that
/// uses a map has to fill it for each request.
fn environ() -> Vec<Row> {
    let measured: Arc<Mutex<Vec<Row>>> = Arc::default();
    let rows = Arc::clone(&measured);
    // An environ lives as long as the call of its application.
    let app = move |environ: &mut Environ<'_>, start: &mut dyn StartResponse| -> AppResult {
        let map: HashMap<String, String> = environ.iter().collect();
        let (environ, map) = (&*environ, &map);
        let ours = || KEYS.map(|key| environ.get(black_box(key)).map_or(0, |value| value.len()));
        let least = || KEYS.map(|key| map.get(black_box(key)).map_or(0, |value| value.len()));
        let name = "environ, looking up 8 variables";
        let lookups = Case::new(name, ours, "a `HashMap` that is filled", least).measure();
        let ours = || {
            let mut length = 0;
            environ.for_each(|key, value| length += key.len() + value.len());
            length
        };
        let least = || map.clone();
        let name = "environ, visiting all variables";
        let visits = Case::new(name, ours, "a copy of the `HashMap`", least).measure();
        rows.lock().expect("no panic").extend([lookups, visits]);
        start.call("204 No Content", &[])?;
        Ok("".into())
    };
    Client::new(WsgiHandler::new(app, None)).send(BROWSER);
    let mut rows = measured.lock().expect("no panic");
    rows.drain(..).collect()
}

/// A whole request through the protocol, without a socket.
fn whole<H: HttpRequestHandler>(name: &'static str, handler: H, request: &[u8]) -> Row {
    let settings = Arc::new(HttpSettings::default());
    let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
    let mut connection = HttpConnection::new(handler, peer, settings);
    let (mut input, mut output, now) = (Buffer::new(), Buffer::new(), Now::default());
    let mut ours = move || {
        output.clear();
        input.extend_from_slice(black_box(request));
        connection.receive(&mut input, &mut output, &now);
        assert!(input.is_empty() && output.starts_with(b"HTTP/1.1 200"));
        output.len()
    };
    let ready = vec![b'x'; ours()];
    let (mut received, mut sent) = (Buffer::new(), Buffer::new());
    let least = move || {
        received.extend_from_slice(black_box(request));
        httparse(&received);
        received.consume(request.len());
        sent.clear();
        sent.extend_from_slice(black_box(&ready));
        sent.len()
    };
    Case::new(
        name,
        ours,
        "`httparse`, and copies of request and response",
        least,
    )
    .measure()
}

fn app(_environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
    start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    Ok("Hello, World!".into())
}

fn main() {
    let mut rows = vec![
        head("head, small", SMALL),
        head("head, a browser's", BROWSER),
        framing(),
        chunked("128 chunks of 32 bytes", 128, 32),
        chunked("one chunk of 64 KiB", 1, 64 * 1024),
        encode(),
        encode_chunks(),
    ];
    rows.extend(environ());
    rows.extend([
        whole("a whole small request, handler", Plaintext, SMALL),
        whole("a whole browser's request, handler", Plaintext, BROWSER),
        whole("a whole POST of 10 KiB, handler", Plaintext, &post()),
        whole(
            "a whole small request, application",
            WsgiHandler::new(app, None),
            SMALL,
        ),
        whole(
            "a whole browser's request, application",
            WsgiHandler::new(app, None),
            BROWSER,
        ),
    ]);
    println!("Nanoseconds, the median of {ROUNDS} rounds (the least):\n");
    let columns = ["ours", "floor", "ratio", "what the floor does"];
    table::print(
        &columns,
        rows.iter().map(|row| (row.name.to_owned(), row.cells())),
    );
}
