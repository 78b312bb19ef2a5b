//! Guards in front of a handler, as a client sees them: GUARD-1 to GUARD-3.
#![cfg(feature = "server")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serve_forever::http::testing::{Client, TestResponse};
use serve_forever::http::{
    AccessLog, AllowedHosts, HttpConnection, HttpRequestHandler, HttpSettings, LogFormat, Pooled,
};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Next, Pool, Protocol};
use serve_forever::wsgi::{AppResult, Environ, StartResponse, WsgiHandler};
use serve_forever::{HttpResult, Request, Response};

/// Counts the requests that reach it.
#[derive(Clone, Default)]
struct Counted(Arc<AtomicUsize>);

impl HttpRequestHandler for Counted {
    fn handle(&mut self, _: &Request<'_>, response: Response<'_>) -> HttpResult {
        self.0.fetch_add(1, Ordering::Relaxed);
        response.send_response(200).body("served")
    }
}

#[track_caller]
fn assert_refused(response: &TestResponse, status: &str, why: &str) {
    assert_eq!(response.status(), status);
    assert_eq!(response.header("Connection"), Some("close"));
    assert!(response.text().contains(why), "{}", response.text());
}

#[track_caller]
fn assert_misdirected(response: &TestResponse) {
    let why = "This server does not serve the host of the request.";
    assert_refused(response, "421 Misdirected Request", why);
}

/// GUARD-1: a page of another name gets nothing, whatever it asks.
#[test]
fn a_request_for_another_host_does_not_reach_the_handler() {
    let counted = Counted::default();
    let client = Client::new(AllowedHosts::loopback(counted.clone()));
    for (method, target) in [
        ("GET", "/"),
        ("POST", "/x"),
        ("OPTIONS", "*"),
        ("PURGE", "/"),
    ] {
        let request = client
            .request(method, target)
            .header("Host", "evil.example:8000");
        assert_misdirected(&request.body("x").send());
    }
    let head = client.request("HEAD", "/").header("Host", "evil.example");
    assert_eq!(
        (head.send().code(), counted.0.load(Ordering::Relaxed)),
        (421, 0)
    );
    assert_eq!(client.get("/").text(), "served");
    assert_eq!(counted.0.load(Ordering::Relaxed), 1);
}

/// GUARD-1: the target and `Host` may name different hosts, and HTTP/1.0 none.
#[test]
fn every_host_that_a_request_names_must_be_allowed() {
    let client = Client::new(AllowedHosts::new([".good.example"], Counted::default()));
    let code = |head: &str| client.send(format!("{head}\r\n\r\n").as_bytes()).code();
    for (head, expected) in [
        ("GET / HTTP/1.1\r\nHost: good.example", 200),
        ("GET / HTTP/1.1\r\nHost:", 421),
        (
            "GET http://www.good.example/ HTTP/1.1\r\nHost: good.example:80",
            200,
        ),
        (
            "GET http://good.example/ HTTP/1.1\r\nHost: evil.example",
            421,
        ),
        (
            "GET http://evil.example/ HTTP/1.1\r\nHost: good.example",
            421,
        ),
        ("GET / HTTP/1.0", 200), // no browser sends this
        ("GET / HTTP/1.0\r\nHost:", 421),
        ("GET / HTTP/1.0\r\nHost: good.example", 200),
        ("GET http://good.example/ HTTP/1.0", 200),
        (
            "CONNECT evil.example:443 HTTP/1.1\r\nHost: good.example",
            421,
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: evil.example", 421),
    ] {
        assert_eq!(code(head), expected, "{head}");
    }
}

/// Gives `input` to a connection, and returns what it sends and what it waits for.
fn exchange(handler: impl HttpRequestHandler, input: &str) -> (String, bool) {
    let settings = Arc::new(HttpSettings::default());
    let mut connection = HttpConnection::new(handler, None, settings);
    let (mut arrived, mut sent) = (Buffer::new(), Buffer::new());
    arrived.extend_from_slice(input.as_bytes());
    let next = connection.receive(&mut arrived, &mut sent, &Now::new());
    let ends = matches!(next, Next::Close | Next::Linger);
    (String::from_utf8_lossy(&sent).into_owned(), ends)
}

/// GUARD-1: the body is neither awaited nor asked for, and no length makes it another error.
#[test]
fn the_body_of_a_refused_request_is_not_read() {
    let fields = "Host: evil.example\r\nExpect: 100-continue\r\n";
    for framing in [
        "Content-Length: 99999999999999",
        "Transfer-Encoding: chunked",
    ] {
        let input = format!("POST / HTTP/1.1\r\n{fields}{framing}\r\n\r\n");
        let (sent, ends) = exchange(AllowedHosts::loopback(Counted::default()), &input);
        assert!(sent.starts_with("HTTP/1.1 421 "), "{sent}");
        assert!(ends, "{framing}");
        let wsgi = WsgiHandler::new(application, None).allowed_hosts(AllowedHosts::loopback(()));
        let (sent, ends) = exchange(wsgi, &input);
        assert!(sent.starts_with("HTTP/1.1 421 "), "{sent}");
        assert!(ends, "{framing}");
    }
}

/// GUARD-1: a refused request is logged like any other, whichever of the two is outside.
#[test]
fn a_refused_request_is_logged() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let (sink, counted) = (Arc::clone(&lines), Counted::default());
    let inside = AccessLog::new(counted.clone(), LogFormat::Python, Arc::clone(&sink));
    let outside = AllowedHosts::loopback(counted);
    ask_in_vain(AllowedHosts::loopback(inside));
    ask_in_vain(AccessLog::new(outside, LogFormat::Python, sink));
    let logged = lines.lock().expect("the lines");
    let logged = String::from_utf8_lossy(&logged);
    for part in [
        "code 421, message Misdirected Request",
        "\"GET / HTTP/1.1\" 421 ",
    ] {
        assert_eq!(logged.matches(part).count(), 2, "{logged}");
    }
}

fn ask_in_vain(handler: impl HttpRequestHandler + Clone) {
    let client = Client::new(handler);
    assert_misdirected(
        &client
            .request("GET", "/")
            .header("Host", "evil.example")
            .send(),
    );
}

fn application(_: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
    start_response.call("200 OK", &[])?;
    Ok("served".into())
}

/// GUARD-1, GUARD-2: the same for an application.
#[test]
fn an_application_has_the_same_guard() {
    let hosts = AllowedHosts::new(["app.example"], ()).same_origin(true);
    let client = Client::new(WsgiHandler::new(application, None).allowed_hosts(hosts));
    let request = |host| client.request("POST", "/").header("Host", host);
    assert_eq!(request("app.example").send().text(), "served");
    assert_misdirected(&request("evil.example").send());
    let crossing = request("app.example").header("Origin", "https://evil.example");
    assert_eq!(crossing.send().code(), 403);
}

/// GUARD-2: what a page of another origin may not send.
#[test]
fn a_request_that_changes_something_comes_from_the_same_origin() {
    let guarded = AllowedHosts::loopback(Counted::default()).same_origin(true);
    let (client, open) = (Client::new(guarded), Client::new(Counted::default()));
    let (own, other) = ("http://localhost:8000", "http://localhost:9000");
    for (method, fields, expected) in [
        ("POST", &[][..], 200), // not from a browser
        ("POST", &[("Origin", own)], 200),
        ("POST", &[("Origin", other)], 403),
        ("POST", &[("Origin", "null")], 403),
        ("POST", &[("Origin", own), ("Origin", other)], 403),
        (
            "POST",
            &[("Sec-Fetch-Site", "same-origin"), ("Origin", own)],
            200,
        ),
        ("POST", &[("Sec-Fetch-Site", "none")], 200),
        (
            "POST",
            &[("Sec-Fetch-Site", "same-site"), ("Origin", own)],
            403,
        ),
        ("POST", &[("Sec-Fetch-Site", "cross-site")], 403),
        ("DELETE", &[("Origin", other)], 403),
        ("PURGE", &[("Origin", other)], 403),
        ("GET", &[("Origin", other)], 200),
        ("HEAD", &[("Origin", other)], 200),
        ("OPTIONS", &[("Origin", other)], 200), // the question of CORS
        ("GET", &[("Upgrade", "websocket"), ("Origin", other)], 403),
        ("GET", &[("Upgrade", "websocket"), ("Origin", own)], 200),
    ] {
        let mut request = client.request(method, "/").header("Host", "localhost:8000");
        let mut unguarded = open.request(method, "/").header("Host", "localhost:8000");
        for (name, value) in fields {
            request = request.header(name, value);
            unguarded = unguarded.header(name, value);
        }
        let response = request.send();
        assert_eq!(response.code(), expected, "{method} {fields:?}");
        assert_eq!(unguarded.send().code(), 200);
        if expected == 403 && method != "HEAD" {
            let why = "The request comes from a page of another origin.";
            assert_refused(&response, "403 Forbidden", why);
        }
    }
}

/// GUARD-2: off unless asked for.
#[test]
fn other_origins_are_refused_only_on_demand() {
    let client = Client::new(AllowedHosts::loopback(Counted::default()));
    let request = client
        .request("POST", "/")
        .header("Origin", "https://evil.example");
    assert_eq!(request.send().text(), "served");
}

/// GUARD-3: the time is that of the settings, in whole seconds.
#[test]
fn a_client_is_told_when_to_try_again() {
    for (milliseconds, told) in [
        (None, "1"),
        (Some(0), "0"),
        (Some(89_001), "90"),
        (Some(90_000), "90"),
    ] {
        let mut settings = HttpSettings::default();
        settings.deadlines.response = Some(Duration::ZERO);
        if let Some(milliseconds) = milliseconds {
            settings.retry_after = Duration::from_millis(milliseconds);
        }
        let nobody = Pool::new().threads(0); // refuses every job
        let refused =
            Client::with_settings(Pooled::new(Counted::default(), nobody), settings.clone());
        let (keep, _kept) = mpsc::channel();
        let never = move |_: &Request<'_>, response: Response<'_>| {
            let (deferred, reply) = response.defer();
            keep.send(deferred)?;
            Ok(reply)
        };
        let late = Client::with_settings(never, settings);
        for response in [refused.get("/"), late.get("/")] {
            assert_eq!(response.status(), "503 Service Unavailable");
            assert_eq!(response.header("Retry-After"), Some(told));
        }
    }
}
