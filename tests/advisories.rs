//! What was found in our neighbours and published, each as a test by its id.
//!
//! The requests that are refused are followed by one that was smuggled: a server with the defect
//! would answer it. Each is tried by hand, split at every byte, and over a socket; and of each
//! kind there is a good one beside the bad, which must pass.
#![cfg(feature = "files")]

mod support;

use std::env;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use serve_forever::http::{
    BodyPolicy, Http, HttpConnection, HttpRequestHandler, HttpResult, HttpSettings, Request,
    Response, translate_path,
};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Evented, Mailbox, Next, Protocol, Server};
use support::client::{Client, text};
use support::driving::Driving;
use support::server::{Serving, listen, serve};

/// Writes down what it is asked, and says nothing more than that it was.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no panic under the lock"))
    }
}

impl HttpRequestHandler for Seen {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let (method, target, body) = (request.method(), request.target(), request.body());
        let line = format!("{method} {target} {}", body.escape_ascii());
        self.0.lock().expect("no panic under the lock").push(line);
        response.send_response_only(200, "OK").body("")
    }
}

/// A connection by hand: what is answered to these pieces, and whether it ends there.
fn converse(handler: impl HttpRequestHandler, pieces: [&[u8]; 2]) -> (String, bool) {
    let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
    let mut connection = HttpConnection::new(handler, peer, Arc::new(HttpSettings::default()));
    let (mut input, mut output, now) = (Buffer::new(), Buffer::new(), Now::new());
    let mut next = connection.connection_made(Mailbox::dangling(), &mut output, &now);
    for piece in pieces {
        if matches!(next, Next::Read) {
            input.extend_from_slice(piece);
            next = connection.receive(&mut input, &mut output, &now);
        }
    }
    let ended = match next {
        Next::Read => false,
        Next::Close | Next::Linger => true,
        next => panic!("{next:?} after {}", text(&pieces.concat())),
    };
    (text(&output), ended)
}

/// The status codes of the answers.
fn statuses(answers: &str) -> Vec<&str> {
    let answers = answers.split("HTTP/1.1 ").skip(1);
    answers.map(|answer| &answer[..3]).collect()
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

/// Each of these requests is refused with its status, and is the last thing the server reads.
#[track_caller]
fn assert_refused(id: &str, cases: &[(&str, u16)]) {
    let seen = Seen::default();
    let server = serve_seen(&seen);
    for (request, status) in cases {
        let input = format!("{request}{SMUGGLED}");
        let status = status.to_string();
        for cut in 0..=input.len() {
            let (first, second) = input.as_bytes().split_at(cut);
            let (answers, ended) = converse(seen.clone(), [first, second]);
            let found = (statuses(&answers), ended, seen.take());
            let expected = (vec![&*status], true, vec![]);
            assert_eq!(found, expected, "{id}: {input:?}, cut at {cut}");
        }
        let mut client = server.connect();
        client.send(&input);
        let answers = text(&client.rest());
        let found = (statuses(&answers), seen.take());
        assert_eq!(found, (vec![&*status], vec![]), "{id}: {input:?}");
    }
}

/// What is sent here is these requests and no others, whatever the split.
#[track_caller]
fn assert_served(id: &str, input: &str, requests: &[&str]) {
    let seen = Seen::default();
    for cut in 0..=input.len() {
        let (first, second) = input.as_bytes().split_at(cut);
        let (answers, ended) = converse(seen.clone(), [first, second]);
        let found = (statuses(&answers), ended, seen.take());
        let requests: Vec<String> = requests.iter().map(|&line| line.into()).collect();
        let expected = (vec!["200"; requests.len()], false, requests);
        assert_eq!(found, expected, "{id}: {input:?}, cut at {cut}");
    }
}

fn serve_seen(seen: &Seen) -> Serving {
    let seen = seen.clone();
    serve(|| Evented::new(Http::new(seen, HttpSettings::default())))
}

/// A POST with these field lines and this body.
fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}")
}

/// The same for each of them.
fn posts(fields: &[&str], body: &str) -> Vec<String> {
    fields.iter().map(|fields| post(fields, body)).collect()
}

fn with_status(requests: &[String], status: u16) -> Vec<(&str, u16)> {
    requests
        .iter()
        .map(|request| (&**request, status))
        .collect()
}

/// Found beside other parsers (`guide::other_parsers`). Each row: who reads it in another way, what is sent, the
/// requests that are in it, and whether the connection ends with them.
#[test]
fn what_other_parsers_read_in_another_way() {
    const UPGRADE: &[u8] =
        b"GET /1 HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    let get = |field: &[u8]| [b"GET /1 HTTP/1.1\r\nHost: h\r\n", field, b"\r\n\r\n"].concat();
    let old = |field: &str| format!("GET /1 HTTP/1.0\r\n{field}\r\n\r\n").into_bytes();
    let chunked = |rest: &str| post("Transfer-Encoding: chunked\r\n", rest).into_bytes();
    let cases: [(&str, Vec<u8>, &str, bool); 15] = [
        ("hyper", get(b"Connection: \xff, close"), "GET /1 ", true),
        ("llhttp, Node", get(b"Connection: close\t"), "GET /1 ", true),
        (
            "nginx",
            get(b"Connection: close\r\nConnection: keep-alive"),
            "GET /1 ",
            true,
        ),
        (
            "llhttp, Go, Node",
            old("Connection: close, keep-alive"),
            "GET /1 ",
            true,
        ),
        (
            "llhttp, Node",
            old("Proxy-Connection: keep-alive"),
            "GET /1 ",
            true,
        ),
        (
            "llhttp, Node",
            get(b"Proxy-Connection: close"),
            "GET /1 ",
            false,
        ),
        ("nginx", get(b"Connection: closed"), "GET /1 ", false),
        ("Go, nginx", get(b"Connection: close me"), "GET /1 ", false),
        ("Node", UPGRADE.to_vec(), "GET /1 ", false),
        (
            "llhttp, nginx",
            post("Content-Length:\t1\t\r\n", "x").into(),
            "POST / x",
            false,
        ),
        (
            "nginx",
            post("Transfer-Encoding:\tchunked\t\r\n", "0\r\n\r\n").into(),
            "POST / ",
            false,
        ),
        (
            "h11",
            post("Content-Length: 000000000000000000001\r\n", "x").into(),
            "POST / x",
            false,
        ),
        (
            "llhttp",
            chunked("1\r\nx\r\n0\r\nConnection: close\r\n\r\n"),
            "POST / x",
            false,
        ),
        (
            "llhttp, Node",
            chunked("1\r\nx\r\n0\r\nContent-Length: 9\r\n\r\n"),
            "POST / x",
            false,
        ),
        (
            "llhttp, h11, Go",
            chunked("1\t; a = b\r\nx\r\n0 ;a\r\n\r\n"),
            "POST / x",
            false,
        ),
    ];
    let seen = Seen::default();
    for (who, request, line, ends) in cases {
        let input = [&request, SMUGGLED.as_bytes()].concat();
        let next = (!ends).then_some("GET /smuggled ");
        let lines: Vec<&str> = [line].into_iter().chain(next).collect();
        for cut in 0..=input.len() {
            let (first, second) = input.split_at(cut);
            let (answers, ended) = converse(seen.clone(), [first, second]);
            let found = (statuses(&answers), ended, seen.take());
            let requests: Vec<String> = lines.iter().map(|&line| line.into()).collect();
            let expected = (vec!["200"; lines.len()], ends, requests);
            assert_eq!(found, expected, "{who}: {}, cut at {cut}", text(&input));
        }
    }
}

/// Go 1.19 read an empty line in place of a chunk size as the last chunk.
#[test]
fn an_empty_line_for_a_chunk_size() {
    let fields = "Transfer-Encoding: chunked\r\n";
    let requests = ["\r\n\r\n", "1\r\nx\r\n\r\n\r\n", ";a\r\n\r\n"];
    let requests = requests.map(|chunks| post(fields, chunks));
    assert_refused("Go 1.19", &with_status(&requests, 400));
}

/// tiny_http took `Transfer-Encoding : chunked` and other malformed fields for good ones, beside
/// a Content-Length by which a proxy in front of it goes (CL.TE, TE.TE).
#[test]
fn rustsec_2020_0031_malformed_transfer_encoding() {
    let requests = posts(
        &[
            "Content-Length: 5\r\nTransfer-Encoding : chunked\r\n",
            "Content-Length: 5\r\nTransfer-Encoding\t: chunked\r\n",
            "Content-Length: 5\r\n Transfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nX: y\r\n\tTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nX: y\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nX: y\rTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nTransfer-Encoding:\x0bchunked\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: \0chunked\r\n",
            "Content-Length: 5\r\nTransfer-Encoding:\r\n chunked\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\ntRANSFER-ENCODING:chunked\r\n",
            "Transfer-Encoding : chunked\r\n",
        ],
        "0\r\n\r\n",
    );
    assert_refused("RUSTSEC-2020-0031", &with_status(&requests, 400));
    let good = post("tRANSFER-ENCODING:\t chunked \r\n", "0\r\n\r\n");
    assert_served("RUSTSEC-2020-0031", &good, &["POST / "]);
}

/// tiny_http never read the value: with any Transfer-Encoding it ignored the Content-Length and
/// removed a chunked coding, where a proxy that knows no such coding goes by the length.
#[test]
fn cve_2026_66752_a_transfer_encoding_that_is_not_read() {
    let unknown = posts(
        &[
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunkedx\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: cow\r\n",
            "Transfer-Encoding: deflate, chunked\r\n",
        ],
        "0\r\n\r\n",
    );
    let malformed = posts(
        &[
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding: chunked;q=1\r\n",
            "Transfer-Encoding: chunked chunked\r\n",
            "Transfer-Encoding: ,chunked\r\n",
            "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: cow\r\n",
        ],
        "0\r\n\r\n",
    );
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let id = "CVE-2026-66752";
    assert_refused(id, &with_status(&unknown, 501));
    assert_refused(id, &with_status(&malformed, 400));
    assert_refused(id, &[(old, 400)]);
    let good = post("Content-Length: 5\r\nTE: trailers\r\n", "0\r\n\r\n");
    assert_served(id, &good, &[r"POST / 0\r\n\r\n"]);
}

/// hyper took requests with several Transfer-Encoding fields for chunked that are illegal.
#[test]
fn rustsec_2021_0020_several_transfer_encodings() {
    let twice = |first, second| {
        let fields = format!("Transfer-Encoding: {first}\r\nTransfer-Encoding: {second}\r\n");
        post(&fields, "0\r\n\r\n")
    };
    let id = "RUSTSEC-2021-0020";
    let illegal = [
        twice("chunked", "identity"),
        twice("chunked", "gzip"),
        twice("chunked", "chunked"),
        twice("chunked", ""),
        twice("", "chunked"),
        twice("gzip, chunked", "chunked"),
        post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
    ];
    assert_refused(id, &with_status(&illegal, 400));
    let unknown = [twice("identity", "chunked"), twice("gzip", "chunked")];
    assert_refused(id, &with_status(&unknown, 501));
    let good = post("Transfer-Encoding: Chunked\r\n", "1\r\nx\r\n0\r\n\r\n");
    assert_served(id, &good, &["POST / x"]);
}

/// hyper parsed a Content-Length as integers are parsed in Rust, with a sign.
#[test]
fn rustsec_2021_0078_a_content_length_with_a_sign() {
    let lengths = [
        "+5", "-5", "+0", "-0", "", " ", "0x5", "5.0", "5e0", "5_0", "5 5", "5,5", "5, 5", "5;",
        "\"5\"", "\u{665}", "five",
    ];
    let requests = lengths.map(|length| post(&format!("Content-Length: {length}\r\n"), "hello"));
    let id = "RUSTSEC-2021-0078";
    assert_refused(id, &with_status(&requests, 400));
    let good = post("Content-Length: \t005 \r\n", "hello");
    assert_served(id, &good, &["POST / hello"]);
}

/// hyper's chunk size overflowed: what is beyond 64 bits came round to a small number.
#[test]
fn rustsec_2021_0079_a_chunk_size_beyond_64_bits() {
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    let id = "RUSTSEC-2021-0079";
    let around = [
        chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"),
        chunked("ffffffffffffffff5\r\nhello\r\n0\r\n\r\n"),
        chunked("100000000000000000000000000000005\r\nhello\r\n0\r\n\r\n"),
        chunked("10000000000000000\r\n\r\n"),
        chunked("5\r\nhello\r\n10000000000000000\r\n\r\n"),
    ];
    assert_refused(id, &with_status(&around, 400));
    // That fits, and nobody has so much to say; nor has the sum of two come round.
    let huge = [
        chunked("ffffffffffffffff\r\nhello"),
        chunked("5\r\nhello\r\nfffffffffffffffb\r\n"),
        post("Content-Length: 18446744073709551621\r\n", "hello"),
        post("Content-Length: 18446744073709551615\r\n", "hello"),
    ];
    assert_refused(id, &with_status(&huge, 413));
    let good = chunked("0000000000000005\r\nhello\r\n0\r\n\r\n");
    assert_served(id, &good, &["POST / hello"]);
}

/// Kestrel looked for the CR LF after a chunk extension in other ways than the proxy in front of
/// it did, so a lone CR or LF in there began another chunk for one of them.
#[test]
fn cve_2025_55315_line_ends_in_chunk_extensions() {
    let bodies = [
        "5;\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5;a=b\nhello\r\n0\r\n\r\n",
        "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
        "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
        "5;a=\"\\\n\"\r\nhello\r\n0\r\n\r\n",
        "5;a=\"\r\"\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;\r\r\nhello\r\n0\r\n\r\n",
        "5;\rhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\n\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\r\n0;\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\nX: y\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5;a\0\r\nhello\r\n0\r\n\r\n",
        "5;;\r\nhello\r\n0\r\n\r\n",
        "5 a\r\nhello\r\n0\r\n\r\n",
    ];
    let requests = bodies.map(|body| post("Transfer-Encoding: chunked\r\n", body));
    let id = "CVE-2025-55315";
    assert_refused(id, &with_status(&requests, 400));
    let body = "4;ext=foo\r\nABCD\r\n1 ; q = \"a;\\\"b\" ;x\r\nE\r\n0;last\r\nX: y\r\n\r\n";
    let good = post("Transfer-Encoding: chunked\r\n", body) + SMUGGLED;
    assert_served(id, &good, &["POST / ABCDE", "GET /smuggled "]);
}

/// http.server took the first of two lengths, ignored Transfer-Encoding, and read a body that its
/// handler had left alone as the next request of the connection.
#[test]
fn gh_150499_what_is_left_of_a_request_becomes_the_next() {
    let id = "gh-150499";
    let requests = posts(
        &[
            "Content-Length: 4\r\nContent-Length: 0\r\n",
            "Content-Length: 0\r\nContent-Length: 4\r\n",
            "Content-Length: 4\r\nX: y\r\ncontent-length: 4\r\n",
            "Content-Length: 4, 0\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        ],
        "ABCD",
    );
    assert_refused(id, &with_status(&requests, 400));
    // The handler looks at none of the bodies, whatever they look like.
    let escaped = SMUGGLED.escape_default().to_string();
    let unread = format!("POST / {escaped}");
    let next = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
    let sized = post(&format!("Content-Length: {}\r\n", SMUGGLED.len()), SMUGGLED) + next;
    assert_served(id, &sized, &[&unread, "GET /next "]);
    let chunks = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let chunked = post("Transfer-Encoding: chunked\r\n", &chunks) + next;
    assert_served(id, &chunked, &[&unread, "GET /next "]);
}

/// Of gh-150499 the third part, for a handler that could take the content as it arrives: it answers
/// without, and what is left of it ends the connection.
#[test]
fn gh_150499_content_that_a_handler_leaves_alone() {
    #[derive(Clone, Default)]
    struct Careless(Seen);

    impl HttpRequestHandler for Careless {
        fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
            match request.target() {
                "/refused" => BodyPolicy::refused(413),
                _ => BodyPolicy::streamed(),
            }
        }

        fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
            let line = format!("{} {}", request.method(), request.target());
            self.0.0.lock().expect("no panic under the lock").push(line);
            response.send_response_only(200, "OK").body("")
        }
    }

    let length = SMUGGLED.len();
    let fields = [
        (format!("Content-Length: {length}\r\n"), SMUGGLED.to_owned()),
        (
            "Transfer-Encoding: chunked\r\n".to_owned(),
            format!("{length:x}\r\n{SMUGGLED}\r\n0\r\n\r\n"),
        ),
    ];
    let next = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
    let handler = Careless::default();
    let seen = handler.0.clone();
    for (fields, body) in &fields {
        for (target, first) in [("/taken", Some("POST /taken")), ("/refused", None)] {
            let input = format!("POST {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}{next}");
            for cut in 0..=input.len() {
                let (one, other) = input.as_bytes().split_at(cut);
                let (answers, ended) = converse(handler.clone(), [one, other]);
                let (found, case) = (seen.take(), format!("{input:?}, cut at {cut}: {answers}"));
                // Content that was there already may have been passed over; then all goes on.
                let expected = first.into_iter().chain((!ended).then_some("GET /next"));
                assert_eq!(found, expected.collect::<Vec<_>>(), "{case}");
                assert!(ended || first.is_some(), "{case}");
            }
        }
    }
}

/// tiny_http wrote CR and LF in field values to the wire, and took them from it.
///
/// Whatever part of an answer a handler fills with what a client sent: all of the answer is
/// replaced by a 500, and nothing of it is sent.
#[test]
fn cve_2026_66753_line_breaks_in_an_answer() {
    fn reflect(request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let decoded = request.decoded_path();
        let path = std::str::from_utf8(&decoded)?;
        let (place, evil) = path[1..].split_once('/').ok_or_else(not_found)?;
        match place {
            "value" => response.send_response(200).send_header("X-Reflected", evil),
            "name" => response.send_response(200).send_header(evil, "x"),
            "location" => response.send_response(302).send_header("Location", evil),
            "connection" => response.send_response(200).send_header("Connection", evil),
            "length" => response
                .send_response(200)
                .send_header("Content-Length", evil),
            "reason" => response.send_response_with_reason(200, evil),
            "only" => response.send_response_only(200, evil),
            "error" => return response.send_error_with(404, evil, "?"),
            "answer-value" => return defer(response, "X", evil),
            "answer-name" => return defer(response, evil, "x"),
            "pushed-value" => return push(response, "X", evil),
            "pushed-name" => return push(response, evil, "x"),
            "interim" => {
                return response
                    .send_interim(103, &[("Link", evil)])?
                    .send_error(404);
            }
            "trailer" => {
                let (deferred, reply) = response.defer();
                let trailers = vec![("X".to_owned(), evil.into())];
                let stream = deferred.stream(|response| response.send_response(200))?;
                stream.send("body")?;
                stream.finish_with_trailers(&trailers)?;
                return Ok(reply);
            }
            _ => {
                let head = response.send_response(200).send_header("X", evil);
                return head.stream(["body"].into_iter());
            }
        }
        .body("body")
    }

    fn not_found() -> io::Error {
        io::ErrorKind::NotFound.into()
    }

    fn defer(response: Response<'_>, name: &str, value: &str) -> HttpResult {
        let (deferred, reply) = response.defer();
        deferred.respond(|response| {
            let head = response.send_response(200);
            head.send_header(name, value).body("body")
        })?;
        Ok(reply)
    }

    fn push(response: Response<'_>, name: &str, value: &str) -> HttpResult {
        let (deferred, reply) = response.defer();
        // A head that cannot be sent leaves nothing to push to.
        drop(deferred.stream(|response| response.send_response(200).send_header(name, value))?);
        Ok(reply)
    }

    const PLACES: [&str; 13] = [
        "value",
        "name",
        "location",
        "connection",
        "length",
        "reason",
        "only",
        "error",
        "answer-value",
        "answer-name",
        "pushed-value",
        "pushed-name",
        "stream",
    ];
    const EVIL: [&str; 6] = [
        "a%0d%0aSet-Cookie:%20session=evil",
        "a%0aSet-Cookie:%20session=evil",
        "a%0dSet-Cookie:%20session=evil",
        "%0d%0a%0d%0aHTTP/1.1%20200%20OK%0d%0aSet-Cookie:%20session=evil",
        "a%0d%0a%20Set-Cookie:%20session=evil",
        "a%00Set-Cookie:%20session=evil",
    ];
    let handler: fn(&Request<'_>, Response<'_>) -> HttpResult = reflect;
    let server = serve(move || Evented::new(Http::new(handler, HttpSettings::default())));
    let ask = |path: &str| {
        let mut client = server.connect();
        client.send(format!(
            "GET /{path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        ));
        text(&client.rest())
    };
    for place in PLACES {
        for evil in EVIL {
            let answer = ask(&format!("{place}/{evil}"));
            assert_eq!(statuses(&answer), ["500"], "{place} {evil}: {answer}");
            assert!(!answer.contains("Set-Cookie"), "{place} {evil}: {answer}");
        }
        let good = if place == "length" { "4" } else { "good" };
        let answer = ask(&format!("{place}/{good}"));
        let (status, closes) = (statuses(&answer), answer.contains("500"));
        assert!(status.len() == 1 && !closes, "{place}: {answer}");
    }
    for evil in EVIL {
        // The head of the answer is on its way already: it is broken off.
        let mut client = server.connect();
        client.send(format!("GET /trailer/{evil} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let mut answer = Vec::new();
        // Err: a reset, which says so.
        let _ = client.0.read_to_end(&mut answer);
        let answer = text(&answer);
        assert!(!answer.contains("Set-Cookie"), "trailer {evil}: {answer}");
        let ended = answer.contains(r"\r\n0\r\n");
        assert!(!ended, "trailer {evil}: {answer}");
        let answer = ask(&format!("interim/{evil}"));
        assert_eq!(statuses(&answer), ["500"], "interim {evil}: {answer}");
    }
    assert_eq!(statuses(&ask("interim/good")), ["103", "404"]);
    assert_eq!(statuses(&ask("trailer/good")), ["200"]);
    let mut settings = HttpSettings::default();
    for evil in ["a\r\nX: y", "a\nb", "a\rb", "a\0b"] {
        assert!(settings.server(Some(evil)).is_err(), "{evil:?}");
    }
    // The other direction: a value never holds one.
    let fields = [
        "X: a\rb\r\n",
        "X: a\nb\r\n",
        "X: a\0b\r\n",
        "X\r: a\r\n",
        "X: a\n\r\n",
    ];
    let requests = posts(&fields, "");
    assert_refused("CVE-2026-66753", &with_status(&requests, 400));
}

/// http.server redirected `//evil.test/..` to itself with a slash behind it, which to a browser is
/// another host.
#[test]
fn cve_2021_28861_paths_that_pass_for_a_host() {
    /// The redirect of http.server to a directory (STATIC-6).
    fn redirect(request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let location = format!("{}/", request.path());
        response
            .send_response_only(301, "Moved")
            .send_header("Location", location)
            .body("")
    }
    let cases = [
        ("/dir", "/dir/", "dir"),
        ("//evil.test", "/evil.test/", "evil.test"),
        ("//evil.test/%2e%2e", "/evil.test/%2e%2e/", ""),
        ("///evil.test/..%2f..", "/evil.test/..%2f../", ""),
        ("http://h//evil.test/x", "/evil.test/x/", "evil.test/x"),
        ("http://h//evil.test/..", "/evil.test/../", ""),
        ("/%2fevil.test", "/%2fevil.test/", "evil.test"),
        ("/dir//evil.test", "/dir//evil.test/", "dir/evil.test"),
    ];
    for (target, location, path) in cases {
        let input = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let (answer, _) = converse(redirect, [input.as_bytes(), b""]);
        let line = format!(r"\r\nLocation: {location}\r\n");
        assert!(answer.contains(&line), "{target}: {answer}");
        let found = translate_path(target.trim_start_matches("http://h")).expect("no NUL");
        assert_eq!(found.path.to_str(), Some(path), "{target}");
        assert!(found.path.is_relative(), "{target}");
    }
}

/// http.server printed what came as a request line to the terminal, control codes and all.
///
/// Here such a line is refused, and the answer quotes none of it.
#[test]
fn gh_100001_control_codes_in_a_request_line() {
    for byte in (0..=0x20).chain(0x7f..=0xff) {
        let lines: [&[u8]; 4] = [
            &[b"GET /", &[byte][..], b"[31m HTTP/1.1"].concat(),
            &[b"G", &[byte][..], b"T / HTTP/1.1"].concat(),
            &[b"GET / HTTP/1.", &[byte][..]].concat(),
            &[b"GET / HTTP/1.1\r\nHost: h\r\nX", &[byte][..], b": y"].concat(),
        ];
        for line in lines {
            let input = [line, b"\r\nHost: h\r\n\r\n"].concat();
            let (answer, ended) = converse(Seen::default(), [&input, b""]);
            assert!(ended, "{}: {answer}", line.escape_ascii());
            assert_eq!(statuses(&answer), ["400"], "{}", line.escape_ascii());
            // Escaped, what is no printable ASCII shows as `\x1b`; the line breaks are ours.
            assert!(!answer.contains(r"\x"), "{}: {answer}", line.escape_ascii());
            assert!(
                !answer.contains("[31m"),
                "{}: {answer}",
                line.escape_ascii()
            );
        }
    }
}

/// What the server says of failures goes to a terminal, too, and failures quote what clients sent:
/// the report of `handle_error`, and what is logged.
#[test]
fn gh_100001_control_codes_in_reports_and_logs() {
    let this = env::current_exe().expect("a path");
    let child = Command::new(this)
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("a_server_that_has_something_to_complain_about")
        .output()
        .expect("the test runs itself");
    let said = String::from_utf8(child.stderr).expect("UTF-8");
    assert!(child.status.success(), "{said}");
    let control = |character: &char| character.is_control() && *character != '\n';
    let raw: Vec<char> = said.chars().filter(control).collect();
    assert!(raw.is_empty(), "{raw:?} in {said}");
    for (whose, quoted) in [("the report", "first"), ("the log", "second")] {
        let line = format!(r"cannot serve /{quoted}\u{{1b}}[31m\nforged\r\u{{7f}}\u{{9b}}");
        let lines = said.lines().filter(|said| said.contains(&line));
        assert_eq!(lines.count(), 1, "{whose}: {line} in {said}");
    }
}

/// The server of the test above, in a process of its own: for what it says to standard error.
#[test]
#[ignore = "run by gh_100001_control_codes_in_reports_and_logs"]
fn a_server_that_has_something_to_complain_about() {
    struct Terminal;

    impl log::Log for Terminal {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            // The test fails for what is missing.
            let _ = writeln!(io::stderr(), "{}", record.args());
        }

        fn flush(&self) {}
    }

    fn fail(request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let path = String::from_utf8_lossy(&request.decoded_path()).into_owned();
        let failure = io::Error::other(format!("cannot serve {path}"));
        response
            .send_response_only(200, "OK")
            .with_failure(failure.into())
            .body("")
    }

    log::set_logger(&Terminal).expect("the first");
    log::set_max_level(log::LevelFilter::Error);
    let handler: fn(&Request<'_>, Response<'_>) -> HttpResult = fail;
    let factory =
        move |address: &SocketAddr| HttpConnection::new(handler, *address, Arc::default());
    let mut server = Server::new(listen(), Driving::new(factory)).expect("a poll");
    let (address, handle) = (server.server_address(), server.shutdown_handle());
    let serving = thread::spawn(move || {
        let result = server.serve_forever().map_err(|error| error.to_string());
        (server, result)
    });
    let mut client = Client::connect(address);
    // Of one conversation that is driven the first failure is its own, and a second is logged.
    for name in ["first", "second"] {
        client.send(format!(
            "GET /{name}%1b[31m%0aforged%0d%7f%c2%9b HTTP/1.1\r\nHost: h\r\n\r\n"
        ));
        client.expect("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    client.shutdown_write();
    client.expect_end();
    handle.request();
    let (server, result) = serving.join().expect("no panic");
    assert_eq!(result, Ok(()));
    drop(server);
}
