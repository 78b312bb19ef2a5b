//! HTTP over the loop: first by hand, bytes and times in and bytes out, then over sockets.
#![cfg(feature = "server")]

mod support;

use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serve_forever::http::{
    Block, BodyPolicy, BodySource, ErrorFormat, Http, HttpConnection, HttpRequestHandler,
    HttpResult, HttpSettings, Message, Request, Response,
};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{
    Buffer, Driver, Evented, EventedSettings, Failure, Files, Mailbox, Next, Protocol, SendError,
};
use support::client::{Client, read_through, text};
use support::driven::Driven;
use support::driving::Driving;
use support::server::{Serving, serve};
use support::wire::{DATE, GET, SERVER, Wire, answer, peer, status};

/// What `input` is answered with, fed at once, and the verdict after it.
fn exchange(
    handler: impl HttpRequestHandler + 'static,
    input: impl AsRef<[u8]>,
) -> (String, &'static str) {
    let mut wire = Wire::new(handler);
    wire.receive(input);
    (wire.sent(), wire.verdict)
}

fn hello(_: &Request<'_>, response: Response<'_>) -> HttpResult {
    response
        .send_response(200)
        .send_header("Content-Type", "text/plain")
        .body("hello")
}

fn hello_answer(connection: &str) -> String {
    let fields = format!("Content-Type: text/plain\r\nContent-Length: 5\r\n{connection}\r\nhello");
    answer("200 OK", &fields)
}

/// Tells what it was asked, so that two transcripts differ if they were understood differently.
fn tell(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let mut told = format!("{} {}", request.method(), request.target());
    for (name, value) in request.headers().iter().chain(request.trailers().iter()) {
        told.push_str(&format!("|{name}={}", value.escape_ascii()));
    }
    told.push_str(&format!("|{}\n", request.body().escape_ascii()));
    match request.path() {
        "/stream" => {
            let blocks: Vec<Vec<u8>> = told.bytes().map(|byte| vec![byte; 3]).collect();
            response.send_response(200).stream(blocks.into_iter())
        }
        "/missing" => response.send_error(404),
        "/fail" => Err(io::Error::other("scripted").into()),
        "/empty" => response.send_response(204).body(""),
        _ => response.send_response(200).body(told),
    }
}

// The sans-IO half.

/// HTTP-29, HTTP-30, HTTP-32, HTTP-33.
#[test]
fn the_bytes_of_an_answer() {
    assert_eq!(exchange(hello, GET), (hello_answer(""), "Read"));
    let plain = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("");
    let empty = answer("200 OK", "Content-Length: 0\r\n\r\n");
    assert_eq!(exchange(plain, GET), (empty, "Read"));
    let odd = |_: &Request<'_>, response: Response<'_>| response.send_response(999).body("");
    // HTTP-30: the space stays.
    let unknown = answer("999 ", "Content-Length: 0\r\n\r\n");
    assert_eq!(exchange(odd, GET), (unknown, "Read"));
    let bare = |_: &Request<'_>, response: Response<'_>| {
        response
            .send_response_only(200, "Fine")
            .send_header("A", "1")
            .send_header("a", "2")
            .body("x")
    };
    let fields = "HTTP/1.1 200 Fine\r\nA: 1\r\na: 2\r\nContent-Length: 1\r\n\r\nx".to_owned();
    assert_eq!(exchange(bare, GET), (fields, "Read"));
}

#[test]
fn the_server_field_can_be_changed_and_left_out() {
    for (value, field) in [(None, ""), (Some("mine/1"), "Server: mine/1\r\n")] {
        let mut settings = HttpSettings::default();
        settings.server(value).expect("a good value");
        let mut wire = Wire::with(settings, hello);
        wire.receive(GET);
        assert!(
            wire.sent()
                .starts_with(&format!("HTTP/1.1 200 OK\r\n{field}{DATE}"))
        );
    }
    assert!(HttpSettings::default().server(Some("a\r\nb")).is_err());
}

/// HTTP-33: the server's own refusals have them, too, and they stay where `Server` changes.
#[test]
fn fields_of_every_response() {
    let bad = "GET / HTTP/1.1\r\n\r\n"; // no Host
    let gone = "GET /missing HTTP/1.1\r\nHost: h\r\n\r\n";
    for server in [None, Some("a-longer-name/1.2.3"), Some("m")] {
        let mut settings = HttpSettings::default();
        settings.header("X-A", "1").expect("a good field");
        settings.server(server).expect("a good value");
        settings.header("X-B", "2").expect("a good field");
        let server = server.map_or(String::new(), |server| format!("Server: {server}\r\n"));
        for (request, status) in [
            (GET, "200 OK"),
            (gone, "404 Not Found"),
            (bad, "400 Bad Request"),
        ] {
            let mut wire = Wire::with(settings.clone(), tell);
            wire.receive(request);
            let begin = format!("HTTP/1.1 {status}\r\n{server}X-A: 1\r\nX-B: 2\r\n{DATE}");
            let sent = wire.sent();
            assert!(sent.starts_with(&begin), "{sent}");
        }
        // What a handler writes for itself replaces the server's own fields only.
        let own = |_: &Request<'_>, response: Response<'_>| {
            let head = response.send_response(200).send_header("Server", "own");
            head.send_server().body("")
        };
        let mut wire = Wire::with(settings, own);
        wire.receive(GET);
        let sent = wire.sent();
        let begin = format!("HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B: 2\r\n{DATE}{server}Content-");
        assert!(sent.starts_with(&begin), "{sent}");
    }
    let mut settings = HttpSettings::default();
    for (name, value) in [
        ("X A", "1"),
        ("", "1"),
        ("X-A", "1\r\nX-B: 2"),
        ("content-length", "1"),
        ("Connection", "close"),
        ("Server", "mine"),
    ] {
        assert!(settings.header(name, value).is_err(), "{name}: {value}");
    }
}

/// HTTP-21, HTTP-23 and RFC 9112 section 9.3.
#[test]
fn who_keeps_the_connection_open() {
    let cases = [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: CLOSE\r\n", false),
        ("1.1", "Connection: close, x\r\n", false),
        ("1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("1.1", "Connection: keep-alive, close\r\n", false),
        ("1.1", "Connection: upgrade\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: close\r\n", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: Keep-Alive, Upgrade\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ];
    for (version, field, keeps) in cases {
        let request = format!("GET / HTTP/{version}\r\nHost: h\r\n{field}\r\n");
        let connection = match (keeps, version) {
            (false, _) => "Connection: close\r\n",
            (true, "1.0") => "Connection: keep-alive\r\n",
            (true, _) => "",
        };
        let verdict = if keeps { "Read" } else { "Close" };
        let expected = (hello_answer(connection), verdict);
        assert_eq!(exchange(hello, &request), expected, "{request}");
    }
}

/// HTTP-22: the handler may close, too; it cannot keep open what the client closes.
#[test]
fn the_handler_may_close() {
    let close = |_: &Request<'_>, response: Response<'_>| {
        response
            .send_response(200)
            .send_header("connection", "Close")
            .body("")
    };
    let expected = answer("200 OK", "Content-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(exchange(close, GET), (expected.clone(), "Linger"));
    let keep = |_: &Request<'_>, response: Response<'_>| {
        response
            .send_response(200)
            .send_header("Connection", "keep-alive")
            .body("")
    };
    let request = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(keep, request), (expected, "Close"));
    // Options of another kind reach the client.
    let upgrade = |_: &Request<'_>, response: Response<'_>| {
        response
            .send_response(200)
            .send_header("Connection", "keep-alive, Upgrade")
            .body("")
    };
    let fields = "Connection: keep-alive, Upgrade\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(exchange(upgrade, GET), (answer("200 OK", fields), "Read"));
}

/// HTTP-26, RFC 9110 section 10.1.1.
#[test]
fn expectations() {
    let head = |expect: &str| {
        format!("POST / HTTP/1.1\r\nHost: h\r\nExpect: {expect}\r\nContent-Length: 4\r\n\r\n")
    };
    for expect in ["100-continue", "100-Continue"] {
        let mut wire = Wire::new(tell);
        wire.receive(head(expect));
        assert_eq!(wire.sent(), "HTTP/1.1 100 Continue\r\n\r\n");
        wire.receive("bo");
        assert_eq!(wire.sent(), "", "once");
        wire.receive("dy");
        assert!(wire.sent().ends_with("|body\n"));
    }
    // Who sends without waiting does not wait.
    for arrived in ["b", "body"] {
        let mut wire = Wire::new(tell);
        wire.receive(head("100-continue") + arrived);
        wire.receive(&"body"[arrived.len()..]);
        assert_eq!(status(&wire.sent()), 200);
    }
    let mut wire = Wire::new(tell);
    let chunked = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\
                   Transfer-Encoding: chunked\r\n\r\n";
    wire.receive(chunked);
    assert_eq!(wire.sent(), "HTTP/1.1 100 Continue\r\n\r\n");
    wire.receive("1\r\nx\r\n0\r\n\r\n");
    assert!(wire.sent().ends_with("|x\n"));
    // Nothing to wait for, or nobody who would understand.
    let without = "GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(status(&exchange(tell, without).0), 200);
    let old = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody";
    assert_eq!(status(&exchange(tell, old).0), 200);
    let (answer, verdict) = exchange(tell, head("200-ok"));
    assert_eq!((status(&answer), verdict), (417, "Linger"));
    // What is refused is refused before it is asked for.
    let refused = [
        (
            "POST / HTTP/1.1\r\nHost: h",
            "Content-Length: 99999999",
            413,
        ),
        (
            "POST / HTTP/1.1\r\nHost: h",
            "Content-Length: 99999999999999999999",
            413,
        ),
        ("POST / HTTP/1.1\r\nHost: h", "Content-Length: x", 400),
        ("POST / HTTP/1.1\r\nHost: h", "Transfer-Encoding: gzip", 501),
        ("POST / HTTP/1.1\r\nHost: h h", "Content-Length: 4", 400),
        ("POST / HTTP/1.1", "Content-Length: 4", 400),
        ("POST / HTTP/2.0\r\nHost: h", "Content-Length: 4", 505),
        ("POST / HTTP/1.0", "Transfer-Encoding: chunked", 400),
    ];
    for (head, body, code) in refused {
        let head = format!("{head}\r\nExpect: 100-continue\r\n{body}\r\n\r\n");
        assert_eq!(status(&exchange(tell, &head).0), code, "{head}");
    }
}

/// Design law 7: each limit, the last size that is taken and the first that is not.
#[test]
fn limits_and_their_statuses() {
    let mut settings = HttpSettings::default();
    settings.limits.head.request_line = 100;
    settings.limits.head.head = 500;
    settings.limits.head.fields = 5;
    settings.limits.body = 1000;
    let line = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(length));
    let head = |length: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
            "x".repeat(length)
        )
    };
    let fields = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
            "X: y\r\n".repeat(count)
        )
    };
    let post = |length: u64, sent: usize| {
        let content = "b".repeat(sent);
        format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{content}")
    };
    let chunked = |size: usize, sent: usize| {
        let content = "b".repeat(sent);
        format!(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n{content}"
        )
    };
    let method = |length: usize| "M".repeat(length);
    let cases: Vec<(String, u16)> = vec![
        (line(100 - 14), 200),
        (line(100 - 13), 414),
        (head(500 - 32), 200),
        (head(500 - 31), 431),
        (fields(4), 200),
        (fields(5), 431),
        (post(1000, 1000), 200),
        (post(1001, 0), 413),
        (post(u64::MAX, 0), 413),
        (post(1, 1).replace(": 1", ": 99999999999999999999"), 413),
        (chunked(1000, 1000) + "\r\n0\r\n\r\n", 200),
        (chunked(1001, 1), 413),
        (chunked(1000, 1000) + "\r\n1\r\nb\r\n0\r\n\r\n", 413),
        (method(200), 501),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n".into(),
            501,
        ),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n".into(), 505),
        ("GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("GET /\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n".into(), 400),
    ];
    for (request, expected) in cases {
        let mut wire = Wire::with(settings.clone(), tell);
        wire.receive(&request);
        let sent = wire.sent();
        assert_eq!(status(&sent), expected, "{request}");
        let verdict = if expected == 200 { "Read" } else { "Linger" };
        assert_eq!(wire.verdict, verdict, "{request}");
        assert_eq!(sent.contains("\r\nConnection: close\r\n"), expected != 200);
    }
}

/// HTTP-28, HTTP-39.
#[test]
fn methods_that_nobody_serves() {
    struct OnlyGet;
    impl HttpRequestHandler for OnlyGet {
        fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
            hello(request, response)
        }
    }
    assert_eq!(exchange(OnlyGet, GET).0, hello_answer(""));
    for method in ["POST", "get", "GETs", "FOO"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n");
        let (sent, verdict) = exchange(OnlyGet, request);
        let line = format!("HTTP/1.1 501 Unsupported method ('{method}')\r\n");
        assert!(sent.starts_with(&line), "{sent}");
        assert_eq!(verdict, "Read");
    }
}

/// HTTP-35: the fields of the answer to a GET, and no content.
#[test]
fn an_answer_to_head_has_no_content() {
    let head = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
    let expected = hello_answer("");
    let expected = expected.trim_end_matches("hello");
    let (sent, verdict) = exchange(hello, head.repeat(2));
    assert_eq!((sent, verdict), (expected.repeat(2), "Read"));
    let stream = |_: &Request<'_>, response: Response<'_>| {
        response.send_response(200).stream(["never"].into_iter())
    };
    let expected = answer("200 OK", "Transfer-Encoding: chunked\r\n\r\n");
    assert_eq!(exchange(stream, head), (expected, "Read"));
    // RFC 9110 §8.6: a handler that leaves the body out for HEAD says no wrong length.
    let nothing = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("");
    let empty = |_: &Request<'_>, response: Response<'_>| {
        let head = response.send_response(200);
        head.send_header("Content-Length", "0").body("")
    };
    let expected = answer("200 OK", "\r\n");
    assert_eq!(exchange(nothing, head), (expected, "Read"));
    let expected = answer("200 OK", "Content-Length: 0\r\n\r\n");
    assert_eq!(exchange(empty, head), (expected, "Read"));
    let missing = head.replace(" / ", " /missing ");
    let (sent, verdict) = exchange(tell, missing);
    assert!(sent.contains("\r\nContent-Type: text/html;charset=utf-8\r\n"));
    assert!(sent.contains("\r\nContent-Length: "));
    assert!(sent.ends_with("\r\n\r\n"), "{sent}");
    assert_eq!(verdict, "Read");
}

/// HTTP-35, WSGI-14.
#[test]
fn statuses_without_content() {
    for (code, length) in [(204, ""), (304, ""), (205, "Content-Length: 0\r\n")] {
        let handler = move |_: &Request<'_>, response: Response<'_>| {
            response.send_response(code).body("never sent")
        };
        let (sent, verdict) = exchange(handler, GET.repeat(2));
        let one = &sent[..sent.len() / 2];
        assert_eq!(status(one), code);
        assert!(one.ends_with(&format!("{DATE}{length}\r\n")), "{one}");
        assert_eq!((sent.clone(), verdict), (one.repeat(2), "Read"));
        let stream = move |_: &Request<'_>, response: Response<'_>| {
            response.send_response(code).stream(["never"].into_iter())
        };
        assert_eq!(exchange(stream, GET.repeat(2)), (sent.clone(), "Read"));
        let error = move |_: &Request<'_>, response: Response<'_>| response.send_error(code);
        assert_eq!(exchange(error, GET.repeat(2)), (sent, "Read"));
    }
}

/// HTTP-34, HTTP-36, HTTP-37.
#[test]
fn the_error_page() {
    let page = |code: u16, reason: &str, explanation: &str| {
        let page = format!(
            "<!DOCTYPE HTML>\n<html lang=\"en\">\n    <head>\n        <meta charset=\"utf-8\">\n\
             \x20       <title>Error response</title>\n    </head>\n    <body>\n\
             \x20       <h1>Error response</h1>\n        <p>Error code: {code}</p>\n\
             \x20       <p>Message: {reason}.</p>\n\
             \x20       <p>Error code explanation: {code} - {explanation}.</p>\n\
             \x20   </body>\n</html>\n"
        );
        format!(
            "Content-Type: text/html;charset=utf-8\r\nVary: Accept\r\n\
             Content-Length: {}\r\n\r\n{page}",
            page.len()
        )
    };
    let missing = GET.replace(" / ", " /missing ");
    let expected = answer(
        "404 Not Found",
        &page(404, "Not Found", "Nothing matches the given URI"),
    );
    assert_eq!(exchange(tell, missing), (expected, "Read"));
    let unknown = |_: &Request<'_>, response: Response<'_>| response.send_error(999);
    let expected = answer("999 ???", &page(999, "???", "???"));
    assert_eq!(exchange(unknown, GET), (expected, "Read"));
    let script = |_: &Request<'_>, response: Response<'_>| {
        response.send_error_with(400, "<b> & \"q\"", "<script>&amp;</script>é")
    };
    let escaped = "&lt;script&gt;&amp;amp;&lt;/script&gt;é";
    let expected = answer(
        "400 <b> & \"q\"",
        &page(400, "&lt;b&gt; &amp; \"q\"", escaped),
    );
    assert_eq!(exchange(script, GET), (expected, "Read"));
}

/// The last response in `sent`, its fields that are not always there, and its body.
fn fields_and_body(sent: &str) -> (Vec<&str>, &str) {
    let (_, last) = sent.rsplit_once("HTTP/1.1 ").expect("a response");
    let (head, body) = last.split_once("\r\n\r\n").expect("a head");
    let fields = head.split("\r\n").skip(1);
    let fields = fields.filter(|field| !SERVER.starts_with(field) && !DATE.starts_with(field));
    (fields.collect(), body)
}

/// HTTP-36: the client chooses the format of an error page, and each escapes what it has to.
#[test]
fn an_error_page_for_each_client() {
    let handler = |_: &Request<'_>, response: Response<'_>| {
        response.send_error_with(404, "No \"such\" <note>", "a\\b\té")
    };
    let problem = "{\"title\":\"No \\\"such\\\" <note>\",\"status\":404,\
                   \"detail\":\"a\\\\b\\u0009\\u00e9\"}\n";
    let cases = [
        (
            "application/problem+json",
            "application/problem+json",
            problem,
        ),
        (
            "application/json, text/plain, */*",
            "application/json",
            problem,
        ),
        (
            "text/plain",
            "text/plain;charset=utf-8",
            "404 No \"such\" <note>\na\\b\té\n",
        ),
    ];
    for (accept, expected, page) in cases {
        let get = format!("GET / HTTP/1.1\r\nHost: h\r\nAccept: {accept}\r\n\r\n");
        let (sent, verdict) = exchange(handler, get.repeat(2));
        let length = format!("Content-Length: {}", page.len());
        let content_type = format!("Content-Type: {expected}");
        let fields = [&*content_type, "Vary: Accept", &*length];
        assert_eq!(fields_and_body(&sent), (fields.to_vec(), page), "{accept}");
        assert_eq!(
            (sent.matches("HTTP/1.1 404 ").count(), verdict),
            (2, "Read")
        );
        let value: serde_json::Result<serde_json::Value> = serde_json::from_str(page);
        assert_eq!(value.is_ok(), expected.contains("json"), "{page}");
        let (sent, _) = exchange(handler, get.replace("GET", "HEAD"));
        assert_eq!(fields_and_body(&sent), (fields.to_vec(), ""), "{accept}");
    }
}

/// HTTP-36: the same for pages of the server itself, and for those that are made later or elsewhere.
#[test]
fn every_error_page_follows_the_client() {
    struct Failing;
    impl HttpRequestHandler for Failing {
        fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
            match request.path() {
                "/refused" => BodyPolicy::refused(415),
                "/small" => BodyPolicy::whole().limit(2),
                "/sink" | "/early" => BodyPolicy::streamed(),
                _ => BodyPolicy::whole(),
            }
        }

        fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
            match request.path() {
                "/fails" => Err("on purpose".into()),
                "/sink" => {
                    response.receive_into(io::sink(), |_, response| response.send_error(409))
                }
                "/later" => {
                    let (deferred, reply) = response.defer();
                    let sent = deferred.respond(|response| response.send_error(410));
                    assert_eq!(sent, Ok(()));
                    Ok(reply)
                }
                "/forgotten" => Ok(response.defer().1),
                "/chunks" => unreachable!("they are malformed"),
                _ => response.send_error(403),
            }
        }
    }
    let cases = [
        ("/", "Content-Length: 3\r\n", "abc", 403, false),
        ("/refused", "Content-Length: 3\r\n", "", 415, true),
        ("/small", "Content-Length: 3\r\n", "", 413, true),
        ("/early", "Content-Length: 3\r\n", "", 403, true),
        ("/fails", "", "", 500, true),
        ("/sink", "Content-Length: 3\r\n", "", 409, false),
        ("/later", "", "", 410, false),
        ("/forgotten", "", "", 500, true),
        ("/chunks", "Transfer-Encoding: chunked\r\n", "x", 400, true),
        ("/", "Expect: nothing\r\n", "", 417, true),
    ];
    for (path, fields, body, code, closes) in cases {
        let mut wire = Wire::new(Failing);
        wire.receive(format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n{fields}\r\n{body}"
        ));
        if path == "/sink" {
            wire.receive("abc");
        }
        wire.deliver();
        let sent = wire.sent();
        let closed = if closes { "Linger" } else { "Read" };
        assert_eq!((status(&sent), wire.verdict), (code, closed), "{sent}");
        let (fields, page) = fields_and_body(&sent);
        assert_eq!(fields[0], "Content-Type: application/json", "{path}");
        assert_eq!(fields.contains(&"Connection: close"), closes, "{path}");
        assert!(page.contains(&format!("\"status\":{code},")), "{page}");
    }
    // The head is malformed, so nobody knows what the client accepts.
    let (sent, _) = exchange(
        Failing,
        "GET / HTTP/1.1\r\nAccept: application/json\r\nX\r\n\r\n",
    );
    assert!(sent.contains("<!DOCTYPE HTML>"), "{sent}");
}

/// HTTP-34, HTTP-36: an error page on a head with fields, and the format of a server for an API.
#[test]
fn an_error_page_with_fields() {
    let not_allowed = |_: &Request<'_>, response: Response<'_>| {
        let head = response.send_response(405).send_header("Allow", "GET");
        head.error_page("Only <GET>")
    };
    let mut settings = HttpSettings::default();
    settings.error_format = ErrorFormat::Problem;
    let mut wire = Wire::with(settings, not_allowed);
    wire.receive(GET);
    let page = "{\"title\":\"Method Not Allowed\",\"status\":405,\"detail\":\"Only <GET>\"}\n";
    let expected = format!(
        "Allow: GET\r\nContent-Type: application/problem+json\r\nVary: Accept\r\n\
         Content-Length: {}\r\n\r\n{page}",
        page.len()
    );
    assert_eq!(wire.sent(), answer("405 Method Not Allowed", &expected));
    wire.receive("BAD\r\n");
    let (fields, page) = (wire.sent(), "\"status\":400,");
    assert!(
        fields.contains("application/problem+json") && fields.contains(page),
        "{fields}"
    );
}

/// HTTP-36: if the client does not choose the format, everybody gets that of the settings: from a
/// handler on the loop or another thread, and from the server itself.
#[test]
fn an_error_page_without_a_choice() {
    let mut settings = HttpSettings::default();
    settings.error_format = ErrorFormat::Problem;
    settings.negotiate_errors = false;
    let handler = |request: &Request<'_>, response: Response<'_>| {
        if request.path() == "/" {
            return response.send_error(404);
        }
        let (deferred, reply) = response.defer();
        let late = deferred.respond(|response| response.send_error(404));
        late.map_err(|_| "nobody is there")?;
        Ok(reply)
    };
    let browser = "Host: h\r\nAccept: text/html\r\n";
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\n{browser}\r\n"), 404),
        (format!("GET /late HTTP/1.1\r\n{browser}\r\n"), 404),
        (
            format!("GET / HTTP/1.1\r\n{browser}Expect: it\r\n\r\n"),
            417,
        ),
    ] {
        let mut wire = Wire::with(settings.clone(), handler);
        wire.receive(&request);
        wire.deliver();
        let answer = wire.sent();
        assert!(
            answer.contains("\r\nContent-Type: application/problem+json\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains(&format!("\"status\":{status},")),
            "{answer}"
        );
        assert!(!answer.contains("Vary"), "{answer}");
    }
}

/// HTTP-33: `Date` and `Server` of a handler are sent once, in the place of the server's, also if an
/// earlier response waits in front of them.
#[test]
fn date_and_server_of_a_handler() {
    let mut wire = Wire::new(|request: &Request<'_>, response: Response<'_>| {
        let head = response.send_response(if request.path() == "/" { 200 } else { 404 });
        let head = head.send_header("X-Date", "1").send_header("dATE", "then");
        match request.query() {
            Some(_) => head
                .send_header("SERVER", "mine")
                .send_header("Date", "now"),
            None => head,
        }
        .body("")
    });
    let again = |_: &Request<'_>, response: Response<'_>| {
        let head = response.send_response(200).send_header("Server", "mine");
        head.send_date().send_server().send_date().body("")
    };
    let expected = format!("HTTP/1.1 200 OK\r\n{SERVER}{DATE}Content-Length: 0\r\n\r\n");
    assert_eq!(exchange(again, GET).0, expected);
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    wire.receive(get("/") + &get("/?all") + &get("/none?all"));
    let one = "X-Date: 1\r\ndATE: then\r\nContent-Length: 0\r\n\r\n";
    let both = "X-Date: 1\r\nSERVER: mine\r\nDate: now\r\nContent-Length: 0\r\n\r\n";
    let expected = format!(
        "HTTP/1.1 200 OK\r\n{SERVER}{one}HTTP/1.1 200 OK\r\n{both}HTTP/1.1 404 Not Found\r\n{both}"
    );
    assert_eq!(wire.sent(), expected);
    assert_eq!(wire.failure(), None);
}

/// HTTP-31: nothing of an answer that a handler (or who it quotes) would split is sent.
#[test]
fn header_injection_is_refused() {
    type Handler = fn(&Request<'_>, Response<'_>) -> HttpResult;
    let handlers: [Handler; 9] = [
        |_, response| {
            response
                .send_response(200)
                .send_header("X", "a\r\nSet-Cookie: evil")
                .body("")
        },
        |_, response| {
            response
                .send_response(200)
                .send_header("X", "a\revil")
                .body("")
        },
        |_, response| {
            response
                .send_response(200)
                .send_header("X", "a\nevil")
                .body("")
        },
        |_, response| {
            response
                .send_response(200)
                .send_header("X", "a\0evil")
                .body("")
        },
        |_, response| {
            response
                .send_response(200)
                .send_header("X\r\nevil", "a")
                .body("")
        },
        |_, response| {
            response
                .send_response(200)
                .send_header("evil header", "a")
                .body("")
        },
        |_, response| {
            response
                .send_response_with_reason(200, "OK\r\nevil: 1")
                .body("")
        },
        |_, response| response.send_error_with(404, "evil\n", ""),
        |_, response| {
            response
                .send_response(200)
                .send_header("X", "\nevil")
                .stream(["evil"].into_iter())
        },
    ];
    for (number, handler) in handlers.into_iter().enumerate() {
        let mut wire = Wire::new(handler);
        wire.receive(GET);
        let sent = wire.sent();
        assert_eq!((status(&sent), wire.verdict), (500, "Linger"), "{number}");
        assert!(!sent.contains("evil"), "{sent}");
        assert_eq!(sent.matches("HTTP/1.1").count(), 1, "{sent}");
        assert!(wire.failure().is_some(), "{number}: it is reported");
    }
    let refused: [Handler; 4] = [
        |_, response| {
            response
                .send_response(200)
                .send_header("Transfer-Encoding", "x")
                .body("")
        },
        |_, response| {
            response
                .send_response(200)
                .send_header("Content-Length", "+1")
                .body("a")
        },
        |_, response| {
            response
                .send_response(200)
                .send_header("Content-Length", "1")
                .send_header("Content-Length", "1")
                .body("a")
        },
        |_, response| response.send_response(99).body(""),
    ];
    for handler in refused {
        let mut wire = Wire::new(handler);
        wire.receive(GET);
        assert_eq!((status(&wire.sent()), wire.verdict), (500, "Linger"));
        assert!(wire.failure().is_some());
    }
}

/// HTTP-35, *Better*: not even where the head is refused, and however it was split.
#[test]
fn a_refused_head_request_gets_no_content() {
    let refused = [
        ("HEAD / HTTP/1.1\r\nHost\r\n\r\n", 400),
        ("HEAD / HTTP/1.1\r\n\r\n", 400),
        ("\r\nHEAD / HTTP/3.0\r\n\r\n", 505),
        ("HEAD / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", 417),
        (
            "HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\n",
            413,
        ),
    ];
    for (request, code) in refused {
        for split in 1..request.len() {
            let mut wire = Wire::new(hello);
            wire.receive(&request[..split]);
            if wire.reads() {
                wire.receive(&request[split..]);
            }
            let sent = wire.sent();
            assert_eq!(status(&sent), code, "{request:?} at {split}");
            assert!(sent.ends_with("\r\n\r\n"), "{request:?} at {split}: {sent}");
        }
    }
}

/// HTTP-35, *Better*: the method is known before its line has come to an end.
#[test]
fn a_head_request_without_an_end_gets_no_content() {
    let endless = format!("\r\nHEAD /{}", "x".repeat(9000));
    for split in [1, 2, 6, 7, 100, 8000, endless.len() - 1] {
        let mut wire = Wire::new(hello);
        wire.receive(&endless[..split]);
        if wire.reads() {
            wire.receive(&endless[split..]);
        }
        let sent = wire.sent();
        assert_eq!(status(&sent), 414, "{split}");
        assert!(sent.ends_with("\r\n\r\n"), "{split}: {sent}");
    }
    for (begun, content) in [
        ("HEAD ", false),
        ("\r\nHEAD / HTTP/1.1\r\nHo", false),
        ("HEAD", true),
        ("HEADS ", true),
    ] {
        for split in 1..begun.len() {
            let mut wire = Wire::new(hello);
            wire.receive(&begun[..split]);
            wire.receive(&begun[split..]);
            wire.at(10 * SECOND);
            wire.timed_out();
            let sent = wire.sent();
            assert_eq!(status(&sent), 408, "{begun:?} at {split}");
            let found = !sent.ends_with("\r\n\r\n");
            assert_eq!(found, content, "{begun:?} at {split}: {sent}");
        }
    }
}

/// WSGI-17: an announced length is kept to, or the connection says that it is not.
#[test]
fn a_declared_length_is_kept_to() {
    let handler = |length: &'static str, streamed: bool| {
        move |_: &Request<'_>, response: Response<'_>| {
            let head = response
                .send_response(200)
                .send_header("Content-Length", length);
            match streamed {
                true => head.stream(["con", "", "tent", "more"].into_iter().take(3)),
                false => head.body("content"),
            }
        }
    };
    for streamed in [false, true] {
        let exact = answer("200 OK", "Content-Length: 7\r\n\r\ncontent");
        let found = exchange(handler("7", streamed), GET.repeat(2));
        assert_eq!(found, (exact.repeat(2), "Read"), "{streamed}");
        let short = answer("200 OK", "Content-Length: 4\r\n\r\ncont");
        let found = exchange(handler("4", streamed), GET.repeat(2));
        assert_eq!(found, (short.repeat(2), "Read"), "never more: {streamed}");
        let (sent, verdict) = exchange(handler("8", streamed), GET.repeat(2));
        // A body that is whole is known to be too short before the head is sent (HTTP-4).
        let close = if streamed {
            ""
        } else {
            "Connection: close\r\n"
        };
        let long = format!("Content-Length: 8\r\n{close}\r\ncontent");
        let long = answer("200 OK", &long);
        assert_eq!(sent, long, "if less, nothing follows: {streamed}");
        assert!(verdict == "Close" || verdict == "Linger", "{verdict}");
    }
}

fn blocks(_: &Request<'_>, response: Response<'_>) -> HttpResult {
    let blocks = ["first", "", "second block"];
    response.send_response(200).stream(blocks.into_iter())
}

#[test]
fn streamed_content_is_chunked_or_ends_with_the_connection() {
    let chunked = answer(
        "200 OK",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\nc\r\nsecond block\r\n0\r\n\r\n",
    );
    let found = exchange(blocks, GET.repeat(3));
    assert_eq!(found, (chunked.repeat(3), "Read"));
    let old = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let closed = answer("200 OK", "Connection: close\r\n\r\nfirstsecond block");
    assert_eq!(exchange(blocks, old), (closed, "Linger"));
}

/// WSGI-19: an answer that cannot be completed is broken off, not ended.
#[test]
fn a_source_that_fails_breaks_the_answer_off() {
    struct Fails(u8);
    impl BodySource for Fails {
        fn next_block(&mut self) -> Result<Option<Block>, Failure> {
            self.0 -= 1;
            match self.0 {
                0 => Err(io::Error::other("the source failed").into()),
                _ => Ok(Some(b"block".into())),
            }
        }
    }
    /// Panics after so many blocks.
    struct Panics(u8);
    impl BodySource for Panics {
        fn next_block(&mut self) -> Result<Option<Block>, Failure> {
            self.0 = self.0.checked_sub(1).expect("the source panicked");
            Ok(Some(b"block".into()))
        }
    }
    let mut wire = Wire::new(|_: &Request<'_>, response: Response<'_>| {
        response.send_response(200).stream(Fails(3))
    });
    wire.receive(GET);
    let sent = wire.sent();
    assert!(
        sent.ends_with("\r\n\r\n5\r\nblock\r\n5\r\nblock\r\n"),
        "{sent}"
    );
    assert_eq!(wire.verdict, "Close");
    assert_eq!(wire.failure().as_deref(), Some("the source failed"));
    let mut wire = Wire::new(|_: &Request<'_>, response: Response<'_>| {
        response.send_response(200).stream(Panics(1))
    });
    wire.receive(GET);
    assert!(wire.sent().ends_with("chunked\r\n\r\n5\r\nblock\r\n"));
    assert_eq!(wire.verdict, "Close");
    let panicked = wire.failure().expect("reported");
    assert!(panicked.contains("the source panicked"));
    // The first block leaves with the head, so one that fails leaves room for a better answer.
    let mut wire = Wire::new(|_: &Request<'_>, response: Response<'_>| {
        response.send_response(200).stream(Panics(0))
    });
    wire.receive(GET);
    assert!(wire.sent().starts_with("HTTP/1.1 500 "));
    assert_eq!(wire.verdict, "Linger");
    assert!(wire.failure().is_some());
}

/// Design law 10; Python closes without a word.
#[test]
fn a_handler_that_fails_answers_500_and_closes() {
    type Handler = fn(&Request<'_>, Response<'_>) -> HttpResult;
    let handlers: [(Handler, &str); 4] = [
        (|_, _| Err(io::Error::other("scripted").into()), "scripted"),
        (|_, _| panic!("scripted panic"), "scripted panic"),
        (
            |_, response| {
                let _begun = response.send_response(200).send_header("A", "b");
                Err(io::Error::other("half way").into())
            },
            "half way",
        ),
        (
            |_, response| {
                let _answered = response.send_response(200).body("all of it");
                panic!("after the answer")
            },
            "after the answer",
        ),
    ];
    for (handler, why) in handlers {
        let mut wire = Wire::new(handler);
        wire.receive(GET);
        let sent = wire.sent();
        assert_eq!((status(&sent), wire.verdict), (500, "Linger"));
        assert!(sent.contains("\r\nConnection: close\r\n"));
        assert_eq!(sent.matches("HTTP/1.1").count(), 1);
        assert!(
            !sent.contains(why),
            "failures are nobody's business: {sent}"
        );
        assert!(wire.failure().expect("it is reported").contains(why));
        assert!(wire.failure().is_none(), "once");
    }
    // Answers before it stay, requests after it are not served, and the client can read it.
    let mut wire = Wire::new(tell);
    wire.receive(format!("{GET}{}{GET}", GET.replace(" / ", " /fail ")));
    let sent = wire.sent();
    assert_eq!(sent.matches("HTTP/1.1 ").count(), 2);
    assert!(sent.contains("HTTP/1.1 500 Internal Server Error\r\n"));
    assert_eq!(wire.verdict, "Linger");
}

const SECOND: Duration = Duration::from_secs(1);

/// Design law 8, HTTP-27: by the clock that is passed in.
#[test]
fn a_connection_that_says_nothing_is_closed_silently() {
    let mut wire = Wire::new(hello);
    assert_eq!(wire.deadline(), Some(10 * SECOND));
    wire.at(10 * SECOND);
    wire.timed_out();
    assert_eq!((wire.sent().as_str(), wire.verdict), ("", "Close"));
}

#[test]
fn a_head_that_is_not_completed_is_answered_408() {
    let mut wire = Wire::new(hello);
    wire.at(SECOND);
    wire.receive("GET / HT");
    let deadline = wire.deadline().expect("there is one");
    // A trickle does not move it.
    for (second, byte) in (2..10).zip("TP/1.1\r\n".split("")) {
        wire.at(second * SECOND);
        wire.receive(byte);
        assert_eq!(wire.deadline(), Some(deadline));
    }
    wire.at(deadline);
    wire.timed_out();
    let sent = wire.sent();
    assert!(
        sent.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
        "{sent}"
    );
    assert!(sent.contains("\r\nConnection: close\r\n"));
    assert_eq!(wire.verdict, "Linger");
}

/// "From the connection, or the first byte of a later request, to the end of the head: 10 s."
#[test]
fn the_first_head_has_its_time_from_the_connection_on() {
    let mut wire = Wire::new(hello);
    wire.at(9 * SECOND);
    wire.receive("GET / HT");
    assert_eq!(wire.deadline(), Some(10 * SECOND));
    wire.receive("TP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(wire.sent(), hello_answer(""));
    // Idle, silently, for the keep-alive time.
    assert_eq!(wire.deadline(), Some(24 * SECOND));
    wire.at(23 * SECOND);
    wire.receive("G");
    assert_eq!(wire.deadline(), Some(33 * SECOND), "a later head");
    wire.at(33 * SECOND);
    wire.timed_out();
    assert_eq!(status(&wire.sent()), 408);
}

#[test]
fn an_idle_connection_is_closed_silently() {
    let mut wire = Wire::new(hello);
    wire.receive(GET);
    wire.sent();
    assert_eq!(wire.deadline(), Some(15 * SECOND));
    wire.at(15 * SECOND);
    wire.timed_out();
    assert_eq!((wire.sent().as_str(), wire.verdict), ("", "Close"));
}

/// RFC 9112 section 2.2: an empty line after a body is no beginning of a request.
#[test]
fn a_connection_with_an_empty_line_is_still_idle() {
    let mut wire = Wire::new(hello);
    wire.receive("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab\r\n");
    assert_eq!(wire.sent(), hello_answer(""));
    assert_eq!(wire.deadline(), Some(15 * SECOND));
    wire.at(14 * SECOND);
    wire.receive("\r\n");
    assert_eq!(wire.deadline(), Some(15 * SECOND));
    let mut other = Wire::new(hello);
    other.receive("\r\n");
    for mut wire in [wire, other] {
        wire.at(15 * SECOND);
        wire.timed_out();
        assert_eq!((wire.sent().as_str(), wire.verdict), ("", "Close"));
    }
    let mut drained = Wire::new(hello);
    drained.receive(format!("{GET}\r\n"));
    drained.sent();
    drained.drain();
    assert_eq!((drained.sent().as_str(), drained.verdict), ("", "Close"));
}

#[test]
fn a_body_that_stops_is_answered_408() {
    for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let mut wire = Wire::new(hello);
        wire.receive(format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n"));
        assert_eq!(wire.deadline(), Some(10 * SECOND));
        wire.at(9 * SECOND);
        wire.receive("5\r\nbo");
        assert_eq!(wire.deadline(), Some(19 * SECOND), "{framing}");
        wire.at(19 * SECOND);
        wire.timed_out();
        assert_eq!((status(&wire.sent()), wire.verdict), (408, "Linger"));
    }
}

/// A body that trickles is slower than the minimum rate: 30 s, and a second for each 500 bytes.
#[test]
fn a_body_that_is_too_slow_is_answered_408() {
    let mut wire = Wire::new(hello);
    wire.receive("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
    for second in 1..30 {
        wire.at(second * SECOND);
        wire.receive("x");
    }
    assert_eq!(wire.deadline(), Some(30 * SECOND));
    wire.receive("x".repeat(1000));
    assert_eq!(wire.deadline(), Some(32 * SECOND));
    wire.at(31 * SECOND);
    wire.receive("x".repeat(20_000));
    assert_eq!(
        wire.deadline(),
        Some(41 * SECOND),
        "fast again: idle counts"
    );
    wire.at(41 * SECOND);
    wire.timed_out();
    assert_eq!(status(&wire.sent()), 408);
}

/// HTTP-24, RFC 9112 section 9.3.2.
#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut wire = Wire::new(tell);
    let request = |number: usize| match number % 3 {
        0 => format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n"),
        1 => format!("POST /{number} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"),
        _ => format!("GET /stream?{number} HTTP/1.1\r\nHost: h\r\n\r\n"),
    };
    let batch: String = (0..50).map(request).collect();
    wire.receive(batch);
    let together = wire.sent();
    let mut wire = Wire::new(tell);
    let single = (0..50).map(|number| {
        wire.receive(request(number));
        wire.sent()
    });
    assert_eq!(together, single.collect::<String>());
    assert_eq!(wire.verdict, "Read");
}

/// RT-9: requests wait until their answers have room.
#[test]
fn pipelined_requests_wait_above_the_high_water_mark() {
    let large = |_: &Request<'_>, response: Response<'_>| {
        response.send_response(200).body("x".repeat(10_000))
    };
    let mut wire = Wire::new(large);
    wire.open = false;
    wire.receive(GET.repeat(20));
    assert_eq!(wire.verdict, "Produce");
    assert!((65_536..80_000).contains(&wire.output.len()));
    let left = wire.input.len();
    assert!(left > 0 && left % GET.len() == 0);
    wire.open = true;
    wire.follow(Next::Produce);
    assert_eq!(wire.verdict, "Read");
    assert!(wire.input.is_empty());
    assert_eq!(wire.sent().matches("HTTP/1.1 200 OK\r\n").count(), 20);
}

/// Design laws 8 and 11: what is idle closes, what was begun is finished and says goodbye.
#[test]
fn draining_in_every_phase() {
    let closing = hello_answer("Connection: close\r\n");
    let mut idle = Wire::new(hello);
    idle.drain();
    assert_eq!((idle.sent().as_str(), idle.verdict), ("", "Close"));

    let mut kept = Wire::new(hello);
    kept.receive(GET);
    kept.sent();
    kept.drain();
    assert_eq!((kept.sent().as_str(), kept.verdict), ("", "Close"));

    // SHUT-14: what has arrived is answered, and one that closes is the last.
    let mut arrived = Wire::new(hello);
    arrived.drain_with(format!("{GET}{GET}"));
    assert_eq!(
        (arrived.sent(), arrived.verdict),
        (closing.clone(), "Linger")
    );

    let mut begun = Wire::new(hello);
    begun.drain_with(&GET[..10]);
    assert_eq!(begun.verdict, "Read");
    begun.receive(&GET[10..]);
    assert_eq!((begun.sent(), begun.verdict), (closing.clone(), "Linger"));

    let mut head = Wire::new(hello);
    head.receive(&GET[..10]);
    head.drain();
    assert_eq!(head.verdict, "Read");
    head.receive(&GET[10..]);
    assert_eq!((head.sent(), head.verdict), (closing.clone(), "Linger"));

    let mut body = Wire::new(hello);
    body.receive("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo");
    body.drain();
    assert_eq!(body.verdict, "Read");
    body.receive("dy");
    assert_eq!((body.sent(), body.verdict), (closing, "Linger"));

    let mut streaming = Wire::new(blocks);
    streaming.open = false;
    streaming.receive(GET);
    streaming.drain();
    assert_eq!(streaming.verdict, "Produce");
    streaming.open = true;
    streaming.follow(Next::Produce);
    assert!(streaming.sent().ends_with("\r\n0\r\n\r\n"), "all of it");
    assert_eq!(streaming.verdict, "Linger");

    let mut deferred = Wire::new(|_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        std::mem::forget(deferred);
        Ok(reply)
    });
    deferred.receive(GET);
    deferred.drain();
    assert_eq!(deferred.verdict, "Wait", "the answer is still to come");
}

/// HTTP-18, RT-9, RT-10: what arrived whole has been answered, the rest never can be.
#[test]
fn the_end_of_input_in_every_phase() {
    let starts = [
        "",
        "GET / HT",
        "GET / HTTP/1.1\r\nHost: h\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ];
    for start in starts {
        let mut wire = Wire::new(|_: &Request<'_>, _: Response<'_>| -> HttpResult {
            unreachable!("it is not dispatched")
        });
        wire.receive(start);
        wire.input_closed();
        assert_eq!(
            (wire.sent().as_str(), wire.verdict),
            ("", "Close"),
            "{start}"
        );
        let mut wire = Wire::new(hello);
        wire.receive(format!("{GET}{start}"));
        wire.input_closed();
        assert_eq!((wire.sent(), wire.verdict), (hello_answer(""), "Close"));
    }
}

/// A whole conversation in memory, with mailboxes that deliver.
fn in_memory(
    handler: impl HttpRequestHandler,
    input: impl AsRef<[u8]>,
) -> (String, Result<(), String>) {
    let connection = HttpConnection::new(handler, peer(), Arc::new(HttpSettings::default()));
    let mut output = Vec::new();
    let result = Driver::new(connection).drive(Files {
        rfile: input.as_ref(),
        wfile: &mut output,
    });
    let output = String::from_utf8(output).expect("the tests send UTF-8");
    (output, result.map_err(|failure| failure.to_string()))
}

/// The answer without its date, which is today's.
fn undated(answers: &str) -> String {
    let lines = answers.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("Date: ")).collect()
}

#[test]
fn a_deferred_request_is_answered_by_a_message() {
    let handler = |request: &Request<'_>, response: Response<'_>| {
        let target = request.target().to_owned();
        let (deferred, reply) = response.defer();
        let worker = move || {
            let sent = deferred.respond(|response| {
                let head = response.send_response(200);
                head.send_header("X-For", &target).body(&target)
            });
            sent.expect("the client is there");
        };
        thread::spawn(worker);
        Ok(reply)
    };
    let request = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    let (sent, result) = in_memory(handler, request("/a") + &request("/b"));
    let expected = |target: &str| {
        format!("HTTP/1.1 200 OK\r\n{SERVER}X-For: {target}\r\nContent-Length: 2\r\n\r\n{target}")
    };
    assert_eq!(result, Ok(()));
    assert_eq!(undated(&sent), expected("/a") + &expected("/b"));
}

#[test]
fn a_deferred_answer_keeps_to_the_terms_of_its_request() {
    let handler = |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        deferred
            .respond(|response| response.send_response(200).body("late"))
            .expect("it is there");
        Ok(reply)
    };
    let (sent, _) = in_memory(handler, "HEAD / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    let expected =
        format!("HTTP/1.1 200 OK\r\n{SERVER}Content-Length: 4\r\nConnection: close\r\n\r\n");
    assert_eq!(undated(&sent), expected);
}

/// A request that everybody forgot, and an answer that cannot be sent: 500.
#[test]
fn a_deferred_request_is_never_left_open() {
    let forgetful = |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        thread::spawn(move || drop(deferred));
        Ok(reply)
    };
    let (sent, _) = in_memory(forgetful, GET.repeat(2));
    assert_eq!(status(&sent), 500);
    assert_eq!(sent.matches("HTTP/1.1 ").count(), 1, "and closed");
    let injecting = |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        let injected = deferred.respond(|response| {
            let head = response.send_response(200);
            head.send_header("X", "a\r\nevil: b").body("")
        });
        injected.expect("the client is there");
        Ok(reply)
    };
    let (sent, _) = in_memory(injecting, GET.repeat(2));
    assert_eq!(status(&sent), 500);
    assert!(!sent.contains("evil"));
    // Dropped before the handler fails: one answer, not two.
    let failing = |_: &Request<'_>, response: Response<'_>| {
        drop(response.defer());
        Err(io::Error::other("scripted").into())
    };
    let (sent, _) = in_memory(failing, GET.repeat(2));
    assert_eq!((status(&sent), sent.matches("HTTP/1.1 ").count()), (500, 1));
}

/// RT-8: what is there already is in time, though the thread may have come to it late.
#[test]
fn bytes_that_are_there_are_read_whatever_the_clock_says() {
    struct Pieces(Vec<&'static [u8]>);
    impl Read for Pieces {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.0.pop().unwrap_or_default().read(bytes)
        }
    }
    let mut settings = HttpSettings::default();
    settings.deadlines.keep_alive = Duration::from_nanos(1);
    let connection = HttpConnection::new(hello, peer(), Arc::new(settings));
    let mut output = Vec::new();
    let result = Driver::new(connection).drive(Files {
        rfile: Pieces(vec![GET.as_bytes(); 3]),
        wfile: &mut output,
    });
    assert!(result.is_ok());
    let output = String::from_utf8(output).expect("the tests send UTF-8");
    assert_eq!(output.matches("200 OK").count(), 3);
}

#[test]
fn a_deferred_request_on_a_connection_that_nobody_can_reach() {
    let (sender, deferreds) = std::sync::mpsc::channel();
    let mut wire = Wire::unreachable(move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        sender.send(deferred)?;
        Ok(reply)
    });
    wire.receive(GET);
    assert_eq!((wire.sent().as_str(), wire.verdict), ("", "Wait"));
    assert_eq!(wire.deadline(), Some(Duration::from_secs(60)));
    let deferred = deferreds.try_recv().expect("it was sent");
    assert!(deferred.is_gone());
    let sent = deferred.respond(|_| panic!("it was called"));
    assert_eq!(sent, Err(SendError::Gone(())));
}

/// RFC 9110 section 7.8: the new protocol gets the bytes that follow the request.
#[test]
fn an_upgrade_takes_the_rest_along() {
    struct Shout;
    impl Protocol for Shout {
        type Message = Message;

        fn connection_made(
            &mut self,
            _: Mailbox<Message>,
            output: &mut Buffer,
            _: &Now,
        ) -> Next<Message> {
            output.extend_from_slice(b"READY ");
            Next::Read
        }

        fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _: &Now) -> Next<Message> {
            output.extend_from_slice(&input.to_ascii_uppercase());
            input.clear();
            Next::Read
        }
    }
    let handler = |_: &Request<'_>, response: Response<'_>| {
        response
            .send_response_only(101, "Switching Protocols")
            .send_header("Upgrade", "shout")
            .send_header("Connection", "Upgrade")
            .upgrade(Shout)
    };
    let request =
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nleft over";
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: shout\r\n\
                    Connection: Upgrade\r\n\r\nREADY LEFT OVER";
    let mut wire = Wire::new(handler);
    wire.receive(request);
    assert_eq!((wire.sent().as_str(), wire.verdict), (expected, "Read"));
    wire.receive(", more");
    assert_eq!(wire.sent(), ", MORE");
    let (sent, result) = in_memory(handler, request);
    assert_eq!((sent.as_str(), result), (expected, Ok(())), "RT-8");
}

/// Requests that are good, bad and mixed.
fn transcripts() -> Vec<String> {
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    let post = |body: &str| {
        let length = body.len();
        format!("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let chunked = |body: &str| {
        format!("PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
    };
    let extended = "5;a;b=c;d=\"e;\\\"\"\r\nhello\r\n1 ; x\r\n!\r\n000\r\n\
                    Sum: 1\r\nOther:\t two \r\n\r\n";
    vec![
        get("/"),
        get("/a") + &get("/b?c") + &get("//d"),
        "\r\n\r\n".to_owned() + &get("/after-empty-lines"),
        "GET / HTTP/1.0\r\n\r\n".to_owned() + &get("/never"),
        "GET /k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned() + &get("/then"),
        post(""),
        post("hello\r\n\r\nGET / HTTP/1.1\r\n"),
        post("one") + &post("two") + "\r\n" + &get("/three"),
        chunked("0\r\n\r\n"),
        chunked("5\r\nhello\r\n0\r\n\r\n") + &get("/next"),
        chunked(extended) + &get("/next"),
        get("/stream") + &chunked(extended) + &post("body") + &get("/stream?again"),
        get("/a") + &get("/missing") + &get("/never"),
        get("/a") + &get("/fail") + &get("/never"),
        get("/empty") + &get("/then"),
        "HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n".to_owned() + &get("/then"),
        get("/a") + "GET / HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n" + &get("/never"),
        get("/a") + "BAD\x01\r\n\r\n" + &get("/never"),
        get("/a") + "GET /\r\n" + &get("/never"),
        get("/a") + "GET / HTTP/3.0\r\n\r\n" + &get("/never"),
        get("/a") + "GET / HTTP/1.1\nHost: h\n\n" + &get("/never"),
        get("/a") + "GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n",
        get("/a") + "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\n"
            .to_owned(),
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc".to_owned(),
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: br\r\n\r\n".to_owned(),
        post("before") + &chunked("5\r\nhelloX\r\n0\r\n\r\n") + &get("/never"),
        chunked("g\r\n") + &get("/never"),
        chunked("1\nx\r\n"),
        chunked("1\r\nx\r\n0\r\nbad trailer\r\n\r\n") + &get("/never"),
        chunked("ffffffffffffffff\r\nx"),
        "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n".to_owned() + &get("/then"),
        "OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_owned() + &get("/never"),
        get(&format!("/{}", "long/".repeat(40))) + &get("/unfinished")[..20],
    ]
}

/// What is answered to pieces that end at `stops`, and whether the connection is over.
fn answers(input: &[u8], stops: impl IntoIterator<Item = usize>) -> (String, bool) {
    let mut wire = Wire::new(tell);
    let mut start = 0;
    for stop in stops {
        if !wire.reads() {
            break;
        }
        wire.receive(&input[start..stop]);
        start = stop;
    }
    (wire.sent(), !wire.reads())
}

/// A stream has no pieces: however it is split, the answers are the same, byte for byte.
#[test]
fn the_answers_do_not_depend_on_how_the_requests_were_split() {
    for transcript in transcripts() {
        let input = transcript.as_bytes();
        let whole = answers(input, [input.len()]);
        assert!(whole.0.starts_with("HTTP/1.1 "), "{transcript}");
        for split in 1..input.len() {
            let found = answers(input, [split, input.len()]);
            assert_eq!(found, whole, "at {split}: {}", transcript.escape_debug());
        }
        let found = answers(input, 1..=input.len());
        assert_eq!(found, whole, "by bytes: {}", transcript.escape_debug());
        // RT-8: nor on how the connection is owned. There, the end of input follows.
        let (sent, _) = in_memory(tell, input);
        assert_eq!(
            undated(&sent),
            undated(&whole.0),
            "{}",
            transcript.escape_debug()
        );
    }
}

// Over sockets.

fn start<H: HttpRequestHandler + Clone + Send + 'static>(handler: H) -> Serving {
    serve(move || Evented::new(Http::new(handler, HttpSettings::default())))
}

/// HTTP-4.
#[test]
fn two_requests_on_a_connection() {
    let server = start(hello);
    let mut client = server.connect();
    for _ in 0..2 {
        client.send(GET);
        assert_eq!(
            undated(&read_through(&mut client.0, "hello")),
            undated(&hello_answer(""))
        );
    }
    let request = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    client.send(request);
    let rest = String::from_utf8(client.rest()).expect("UTF-8");
    assert_eq!(
        undated(&rest),
        undated(&hello_answer("Connection: close\r\n"))
    );
}

/// RT-10: `printf ... | nc`.
#[test]
fn a_client_that_stops_sending_is_answered() {
    let server = start(tell);
    let mut client = server.connect();
    client.send(GET.repeat(3) + &GET.replace(" / ", " /stream ") + "GET / HT");
    client.shutdown_write();
    let rest = String::from_utf8(client.rest()).expect("UTF-8");
    assert_eq!(rest.matches("HTTP/1.1 200 OK\r\n").count(), 4);
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
}

/// TCP-8: the refusal of an upload arrives, although the client has not stopped sending.
#[test]
fn a_refused_upload_reads_its_413() {
    let factory = |address: &SocketAddr| HttpConnection::new(hello, *address, Arc::default());
    for server in [start(hello), serve(move || Driving::new(factory))] {
        for _ in 0..5 {
            let mut client = server.connect();
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2097152\r\n\r\n");
            client.send(vec![b'u'; 2 * 1024 * 1024]);
            client.shutdown_write();
            let rest = client.rest();
            let answer = String::from_utf8_lossy(&rest);
            assert_eq!(status(&answer), 413);
            assert!(answer.ends_with("</html>\n"), "{}", text(&rest));
        }
    }
}

/// TCP-8, RFC 9112 §9.6: a client that has asked for the end, and says something all the same,
/// does not lose what is still on its way to it.
#[test]
fn a_long_last_answer_survives_what_comes_late() {
    const LENGTH: usize = 300_000;
    let handler = |request: &Request<'_>, response: Response<'_>| {
        let head = response.send_response(200);
        match request.path() {
            "/whole" => head.body(vec![b'b'; LENGTH]),
            "/blocks" => head.stream((0..LENGTH / 1000).map(|_| vec![b'b'; 1000])),
            path => head.body(path),
        }
    };
    for requests in [
        "GET /whole HTTP/1.0\r\n\r\n",
        "GET /blocks HTTP/1.0\r\n\r\n",
        "GET /whole HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        "GET /whole HTTP/1.1\r\nHost: h\r\n\r\nGET /short HTTP/1.0\r\n\r\n",
    ] {
        let http = Http::new(handler, HttpSettings::default());
        let mut driven = Driven::new(EventedSettings::default(), http);
        let mut client = driven.connect();
        client.send(requests);
        driven.settle(); // all is written, and the client has read nothing
        client.send("\r\n");
        driven.settle();
        let rest = driven.rest(&mut client);
        let found = rest.iter().filter(|&&byte| byte == b'b').count();
        assert!(found >= LENGTH, "{found} after {requests:?}");
        client.shutdown_write();
        driven.until(|driven| driven.open_connections() == 0);
    }
    let mut short = Wire::new(handler);
    short.receive("GET /short HTTP/1.0\r\n\r\n");
    assert_eq!(short.verdict, "Close", "it has left at once");
}

/// LOOP-17, better: a slow client delays nobody.
#[test]
fn a_slow_client_delays_nobody() {
    let server = start(tell);
    let mut slow = server.connect();
    let request = "POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    for byte in request.bytes() {
        slow.send([byte]);
        let mut quick = server.connect();
        quick.send(GET);
        read_through(&mut quick.0, "GET /|Host=h|\n");
    }
    assert_eq!(status(&read_through(&mut slow.0, "|abc\n")), 200);
}

#[test]
fn a_deferred_request_is_answered_from_another_thread() {
    let server = start(|request: &Request<'_>, response: Response<'_>| {
        let target = request.target().to_owned();
        let (deferred, reply) = response.defer();
        thread::spawn(move || match target.as_str() {
            "/forgotten" => drop(deferred),
            // The client may be gone; then nobody is left to be told.
            _ => drop(deferred.respond(|response| response.send_response(200).body(target + "\n"))),
        });
        Ok(reply)
    });
    let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    for round in 0..5 {
        for (number, client) in clients.iter_mut().enumerate() {
            // Two at once: the second waits for the answer to the first.
            let get =
                |part: &str| format!("GET /{round}.{number}.{part} HTTP/1.1\r\nHost: h\r\n\r\n");
            client.send(get("a") + &get("b"));
        }
        for (number, client) in clients.iter_mut().enumerate() {
            for part in ["a", "b"] {
                let end = format!("/{round}.{number}.{part}\n");
                assert_eq!(status(&read_through(&mut client.0, &end)), 200);
            }
        }
    }
    let mut client = server.connect();
    client.send("GET /forgotten HTTP/1.1\r\nHost: h\r\n\r\n");
    let rest = String::from_utf8(client.rest()).expect("UTF-8");
    assert_eq!(status(&rest), 500);
    let (error, address) = server.report();
    assert!(error.contains("never got a response"), "{error}");
    assert_eq!(address, client.address());
}

/// RFC 9112 section 9.6: an answer after which the connection closes says so.
#[test]
fn a_deferred_answer_after_a_drain_says_goodbye() {
    let (sender, deferreds) = std::sync::mpsc::channel();
    let handler = move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        sender.send(deferred)?;
        Ok(reply)
    };
    let http = Http::new(handler, HttpSettings::default());
    let mut driven = Driven::new(EventedSettings::default(), http);
    let mut client = driven.connect();
    client.send(GET);
    let mut deferred = None;
    driven.until(|_| {
        deferred = deferreds.try_recv().ok();
        deferred.is_some()
    });
    let handle = driven.engine.shutdown_handle();
    handle.request_drain(Duration::from_secs(1_000_000));
    driven.settle();
    assert_eq!(driven.open_connections(), 1);
    let deferred = deferred.expect("it was sent");
    deferred
        .respond(|response| response.send_response(200).body("late"))
        .expect("it is there");
    let rest = String::from_utf8(driven.rest(&mut client)).expect("UTF-8");
    let expected =
        format!("HTTP/1.1 200 OK\r\n{SERVER}Content-Length: 4\r\nConnection: close\r\n\r\nlate");
    assert_eq!(undated(&rest), expected);
}

/// Design law 10: reported with the client, and the server goes on.
#[test]
fn a_handler_that_panics_is_answered_and_reported() {
    let server = start(|request: &Request<'_>, response: Response<'_>| {
        assert!(request.path() != "/panic", "scripted panic");
        hello(request, response)
    });
    let mut client = server.connect();
    client.send(GET.to_owned() + &GET.replace(" / ", " /panic "));
    let rest = String::from_utf8(client.rest()).expect("UTF-8");
    assert_eq!(rest.matches("HTTP/1.1 ").count(), 2);
    assert!(rest.contains("HTTP/1.1 500 Internal Server Error\r\n"));
    let (error, address) = server.report();
    assert!(error.contains("scripted panic"), "{error}");
    assert_eq!(address, client.address());
    let mut next = server.connect();
    next.send(GET);
    read_through(&mut next.0, "hello");
}

/// Law 8: a limit that no clock will ever reach is none, in whatever phase.
#[test]
fn the_longest_patience_is_no_deadline() {
    let mut settings = HttpSettings::default();
    let deadlines = &mut settings.deadlines;
    deadlines.head = Duration::MAX;
    deadlines.body.idle = Duration::MAX;
    deadlines.body.grace = Duration::MAX;
    deadlines.body.total = Duration::MAX;
    deadlines.keep_alive = Duration::MAX;
    let mut wire = Wire::with(settings, |_: &Request<'_>, response: Response<'_>| {
        response.send_response(200).body("")
    });
    let steps = [
        "POST / HTTP/1.1\r\n",
        "Host: h\r\nContent-Length: 2\r\n\r\n",
        "a",
        "b",
    ];
    for bytes in steps {
        assert_eq!(wire.protocol.deadline(), None, "before {bytes:?}");
        wire.receive(bytes);
    }
    assert_eq!(wire.protocol.deadline(), None, "between requests");
}
