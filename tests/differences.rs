//! What `http::differences` says, where no other test shows it: a request for each clause.
#![cfg(feature = "server")]

mod support;

use std::io::Read;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;

use serve_forever::http::{
    HttpResult, HttpServer, HttpSettings, Request, Response, ThreadingHttpServer, explanation,
    phrase,
};
use serve_forever::socketserver::ShutdownHandle;
use support::client::Client;
use support::patience::PATIENCE;
use support::wire::{GET, Wire, answer, peer, status};

/// A row for each clause, in order, and each says whether it differs.
#[test]
fn the_table_is_whole() {
    let text = include_str!("../src/http/differences.rs");
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("//! | ")?.split(" | ").collect();
        let clause = cells.first()?.contains('-').then_some(*cells.first()?);
        let clause = clause.filter(|clause| !clause.starts_with("---"))?;
        assert_eq!(cells.len(), 4, "{line}");
        assert!(matches!(cells[1], "same" | "differs"), "{line}");
        Some(clause.to_owned())
    });
    let http = (1..=39).map(|number| format!("HTTP-{number}"));
    let log = (1..=6).map(|number| format!("LOG-{number}"));
    let files = (1..=14).map(|number| format!("STATIC-{number}"));
    let program = (1..=3).map(|number| format!("CLI-{number}"));
    let clauses = http.chain(log).chain(files).chain(program);
    assert_eq!(rows.collect::<Vec<_>>(), clauses.collect::<Vec<_>>());
}

/// HTTP-5: tells all that there is to be known of a request.
fn tell(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let fields = request.headers().iter();
    let fields: Vec<_> = fields
        .map(|(name, value)| format!("{name}={}", value.escape_ascii()))
        .collect();
    let told = format!(
        "{} {} {} {:?} {} [{}] [{}] {:?}",
        request.method(),
        request.target(),
        request.path(),
        request.query(),
        request.version(),
        fields.join("|"),
        request.body().escape_ascii(),
        request.client_address(),
    );
    response.send_response(200).body(told)
}

/// The status of the answer to `input`, or 0, and whether the connection goes on.
fn outcome(input: &[u8]) -> (u16, bool) {
    let mut wire = Wire::new(tell);
    wire.receive(input);
    let goes_on = wire.reads();
    match wire.sent() {
        sent if sent.is_empty() => (0, goes_on),
        sent => (status(&sent), goes_on),
    }
}

#[test]
fn requests_that_http_server_takes_otherwise() {
    let line = |length: usize| {
        let target = "x".repeat(length - "GET / HTTP/1.1".len());
        format!("GET /{target} HTTP/1.1\r\nHost: h\r\n\r\n")
    };
    let fields = |count: usize| {
        let fields = "X: y\r\n".repeat(count - 1);
        format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
    };
    let with = |text: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{text}\r\n\r\n");
    let head = |line: &str| format!("{line}\r\nHost: h\r\n\r\n");
    let cases: Vec<(&str, String, (u16, bool))> = vec![
        ("HTTP-6", line(8192), (200, true)),
        ("HTTP-6", line(8193), (414, false)),
        ("HTTP-7", "\r\n".into(), (0, true)),
        ("HTTP-7", format!("\r\n{GET}"), (200, true)),
        ("HTTP-7", "\r\n".repeat(9), (400, false)),
        ("HTTP-7", "  \r\n".into(), (400, false)),
        ("HTTP-8", GET.replace("\r\n", "\n"), (400, false)),
        ("HTTP-8", head("GET  / HTTP/1.1"), (400, false)),
        ("HTTP-8", head("GET\t/ HTTP/1.1"), (400, false)),
        ("HTTP-8", head(" GET / HTTP/1.1"), (400, false)),
        ("HTTP-8", head("GET / HTTP/1.1 "), (400, false)),
        ("HTTP-8", head("GET /é HTTP/1.1"), (400, false)),
        ("HTTP-9", head("hello"), (400, false)),
        ("HTTP-9", head("GET /"), (400, false)),
        ("HTTP-9", head("POST /"), (400, false)),
        ("HTTP-9", head("GET / HTTP/1.1 HTTP/1.1"), (400, false)),
        ("HTTP-10", head("GET / HTTP/1.10"), (400, false)),
        ("HTTP-10", head("GET / HTTP/01.1"), (400, false)),
        ("HTTP-10", head("GET / http/1.1"), (400, false)),
        ("HTTP-10", head("GET / HTTP/1"), (400, false)),
        ("HTTP-11", head("GET / HTTP/2.0"), (505, false)),
        ("HTTP-11", head("GET / HTTP/0.8"), (505, false)),
        ("HTTP-11", head("GET / HTTP/1.7"), (200, true)),
        ("HTTP-13", head("GET / HTTP/0.9"), (505, false)),
        ("HTTP-14", "GET /\r\n".into(), (400, false)),
        ("HTTP-16", fields(100), (200, true)),
        ("HTTP-16", fields(101), (431, false)),
        (
            "HTTP-16",
            with(&format!("X: {}", "y".repeat(32 * 1024))),
            (431, false),
        ),
        ("HTTP-19", with("no colon"), (400, false)),
        ("HTTP-19", with("X : y"), (400, false)),
        ("HTTP-19", with("X\x01: y"), (400, false)),
        ("HTTP-19", with(": y"), (400, false)),
        ("HTTP-19", with("X: y\r\n folded"), (400, false)),
        ("HTTP-19", with("X: y\rZ: z"), (400, false)),
        ("HTTP-20", "GET / HTTP/1.1\r\n\r\n".into(), (400, false)),
        ("HTTP-20", with("Host: h"), (400, false)),
        (
            "HTTP-20",
            with("Content-Length: 0\r\nContent-Length: 1"),
            (400, false),
        ),
        ("HTTP-20", with("Content-Length: +0"), (400, false)),
        (
            "HTTP-20",
            with("Content-Length: 0\r\nTransfer-Encoding: chunked"),
            (400, false),
        ),
    ];
    for (clause, input, expected) in cases {
        let found = outcome(input.as_bytes());
        assert_eq!(found, expected, "{clause}: {}", input.escape_debug());
    }
}

/// HTTP-5, HTTP-15, HTTP-17.
#[test]
fn what_is_known_of_a_request() {
    let input = b"POST //a/../b//c?d//e HTTP/1.0\r\nHost:  h\t\r\nx-y: 1 \xe9 \r\nX-Y: 2\r\n\
                  Content-Length: 3\r\n\r\nabc";
    let mut wire = Wire::new(tell);
    wire.receive(input);
    let expected = format!(
        "POST //a/../b//c?d//e /a/../b//c Some(\"d//e\") HTTP/1.0 \
         [Host=h|x-y=1 \\xe9|X-Y=2|Content-Length=3] [abc] {:?}",
        Some(peer())
    );
    assert!(wire.sent().ends_with(&format!("\r\n\r\n{expected}")));
    let mut wire = Wire::new(|request: &Request<'_>, response: Response<'_>| {
        let first = request.header("X-y").unwrap_or(b"none").to_vec();
        let absent = request.header("absent").is_none();
        response
            .send_response(200)
            .body([&first[..], &[absent.into()]].concat())
    });
    wire.receive("GET http://h//x HTTP/1.1\r\nHost: h\r\nx-Y: 1\r\nX-Y: 2\r\n\r\n");
    assert!(wire.sent().ends_with("\r\n\r\n1\u{1}"), "the first");
    let mut wire = Wire::new(tell);
    wire.receive("GET http://h//x HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(wire.sent().contains("\r\n\r\nGET http://h//x /x None "));
}

/// HTTP-3, HTTP-12, HTTP-30: every answer has a status line, and it is the server's version.
#[test]
fn every_answer_is_of_http_1_1() {
    let page = "Content-Type: text/html;charset=utf-8\r\n";
    for line in ["GET / HTTP/1.0", "GET /", "GET / HTTP/9.9", "hello"] {
        let mut wire =
            Wire::new(|_: &Request<'_>, response: Response<'_>| response.send_error(400));
        wire.receive(format!("{line}\r\nHost: h\r\n\r\n"));
        let sent = wire.sent();
        let (first, _) = sent.split_once("\r\n").expect("a status line");
        let begin = answer(first.trim_start_matches("HTTP/1.1 "), page);
        assert!(sent.starts_with(&begin), "{line}: {sent}");
    }
}

/// HTTP-25: content that nobody asked for is never the next request.
#[test]
fn content_is_not_the_next_request() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let chunked = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    for (field, content) in [
        (
            format!("Content-Length: {}", smuggled.len()),
            smuggled.to_owned(),
        ),
        ("Transfer-Encoding: chunked".to_owned(), chunked),
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n");
        let mut wire = Wire::new(|_: &Request<'_>, response: Response<'_>| {
            response.send_response(200).body("")
        });
        wire.receive(format!("{head}{content}{GET}"));
        assert!(wire.reads());
        assert_eq!(
            wire.sent().matches("HTTP/1.1 200 OK\r\n").count(),
            2,
            "{field}"
        );
    }
}

/// HTTP-36 to HTTP-38: a phrase and an explanation of each kind, as CPython 3.13 has them.
#[test]
fn phrases_and_explanations() {
    let cases = [
        (200, "OK", "Request fulfilled, document follows"),
        (404, "Not Found", "Nothing matches the given URI"),
        (413, "Content Too Large", "Content is too large"),
        (414, "URI Too Long", "URI is too long"),
        (416, "Range Not Satisfiable", "Cannot satisfy request range"),
        (422, "Unprocessable Content", "Unprocessable Content"),
        (299, "", "???"),
    ];
    for (code, reason, words) in cases {
        assert_eq!((phrase(code), explanation(code)), (reason, words), "{code}");
    }
}

/// Runs a server in a thread; tells when it is closed, too.
fn run(server: impl FnOnce() -> Option<()> + Send + 'static) -> Receiver<Option<()>> {
    let (sender, closed) = mpsc::channel();
    thread::spawn(move || {
        // Err: the test has failed and is gone.
        let _ = sender.send(server());
    });
    closed
}

fn stop(handle: &ShutdownHandle, closed: &Receiver<Option<()>>) {
    handle.request();
    let ended = closed.recv_timeout(PATIENCE).expect("the server closes");
    assert_eq!(ended, Some(()), "in good order");
}

/// HTTP-1: although a connection that the server closed first lingers on in the kernel.
#[test]
fn an_address_can_be_bound_again_at_once() {
    let mut address = "127.0.0.1:0".parse().expect("an address");
    for _ in 0..2 {
        let mut server = HttpServer::bind(address, tell).expect("the address is free");
        address = server.server_address();
        let handle = server.shutdown_handle();
        let closed = run(move || server.serve_forever().ok());
        let mut client = Client::connect(address);
        client.send(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
        let answer = client.rest();
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        stop(&handle, &closed);
    }
}

/// HTTP-2: a handler that never returns keeps no server from closing.
#[test]
fn closing_waits_for_no_thread() {
    let (entered, entering) = mpsc::channel();
    let (release, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let handler = move |_: &Request<'_>, response: Response<'_>| {
        entered.send(()).expect("the test waits");
        // Err: the test has ended.
        let _ = gate.lock().expect("no panic").recv();
        response.send_response(200).body("")
    };
    let settings = HttpSettings::default();
    let server = ThreadingHttpServer::with_settings("127.0.0.1:0", handler, settings);
    let mut server = server.expect("a free port");
    let (address, handle) = (server.server_address(), server.shutdown_handle());
    let closed = run(move || {
        let served = server.serve_forever().ok();
        drop(server);
        served
    });
    let mut client = Client::connect(address);
    client.send(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    entering.recv_timeout(PATIENCE).expect("it is handled");
    stop(&handle, &closed);
    let mut answer = Vec::new();
    client.0.read_to_end(&mut answer).expect("an end");
    assert!(answer.is_empty(), "what was in flight is cut");
    drop(release);
}
