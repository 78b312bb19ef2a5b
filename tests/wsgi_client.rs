//! Testing applications: the client without a socket, and the server in a thread.
#![cfg(feature = "server")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serve_forever::http;
use serve_forever::http::testing::{TestResponse, TestServer};
use serve_forever::socketserver::{Failure, HandlerResult, ServeError};
use serve_forever::wsgi::testing::Client;
use serve_forever::wsgi::{
    AppResult, Application, Body, Environ, Iterable, Slow, SlowStep, StartResponse, demo_app,
    make_server,
};

/// Longer than anything here takes, and an end for what hangs.
const PATIENCE: Duration = Duration::from_secs(10);

type Starter<'a> = &'a mut dyn StartResponse;

const PLAIN: &[(&str, &str)] = &[("Content-Type", "text/plain")];

/// The values of all fields with this name.
fn all<'a>(response: &'a TestResponse, name: &str) -> Vec<&'a str> {
    let headers = response.headers().iter();
    let found = headers.filter(|(own, _)| own.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str()).collect()
}

/// Answers with what it was asked.
fn mirror(environ: &mut Environ<'_>, start_response: Starter<'_>) -> AppResult {
    let mut body = String::new();
    environ.input().read_to_string(&mut body)?;
    let variable = |key| environ.get(key).unwrap_or("-".into()).into_owned();
    let keys = [
        "REQUEST_METHOD",
        "PATH_INFO",
        "QUERY_STRING",
        "CONTENT_LENGTH",
        "HTTP_HOST",
        "HTTP_X_A",
        "REMOTE_ADDR",
        "REMOTE_USER",
    ];
    start_response.call("200 OK", PLAIN)?;
    Ok(format!("{} {body}", keys.map(variable).join(" ")).into())
}

/// What arrives is what was sent, in the environ and in the input.
#[test]
fn requests() {
    let client = Client::new(mirror);
    let cases = [
        (
            client.request("GET", "/"),
            "GET /   localhost - 127.0.0.1 - ",
        ),
        (
            client.request("GET", "/a%20b?c=d"),
            "GET /a b c=d  localhost - 127.0.0.1 - ",
        ),
        (
            client.request("POST", "/").body("abc"),
            "POST /  3 localhost - 127.0.0.1 - abc",
        ),
        (
            client
                .request("BREW", "/")
                .header("host", "h.test")
                .header("X-A", "1")
                .header("x-a", "2"),
            "BREW /   h.test 1,2 127.0.0.1 - ",
        ),
        (
            client
                .request("PUT", "/")
                .header("Transfer-Encoding", "chunked")
                .body("2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
            "PUT /  3 localhost - 127.0.0.1 - abc",
        ),
        (
            client
                .environ("REMOTE_USER", "guido")
                .environ("PATH_INFO", "/elsewhere")
                .request("GET", "/"),
            "GET /elsewhere   localhost - 127.0.0.1 guido ",
        ),
    ];
    for (request, expected) in cases {
        let request = request.send();
        assert_eq!(request.text(), expected);
        assert_eq!(
            (request.status(), request.code()),
            ("200 OK", 200),
            "{expected}"
        );
        assert!(
            request.failure().is_none() && request.is_complete(),
            "{expected}"
        );
    }
    assert_eq!(client.get("/x").text(), "GET /x   localhost - 127.0.0.1 - ");
    let posted = client.post("/x", "y");
    assert_eq!(posted.text(), "POST /x  1 localhost - 127.0.0.1 - y");
    let head = client.head("/");
    assert_eq!(head.header("Content-Length"), Some("33"));
    assert_eq!(head.text(), "");
    assert!(head.is_complete());
}

/// What the application says arrives as a client of the server would get it: framed, without its
/// framing, and with what the server adds (WSGI-13, WSGI-14, WSGI-15, WSGI-17).
#[test]
fn responses() {
    type Parts = (
        &'static str,
        &'static [(&'static str, &'static str)],
        fn() -> Body,
    );
    let many = || Body::blocks(vec!["x"; 100_000]);
    let cases: [(Parts, &str, usize, bool); 7] = [
        (("200 OK", PLAIN, || "abc".into()), "abc", 1, true),
        (("299 ", PLAIN, || "".into()), "", 1, true),
        (
            ("200 OK", PLAIN, || Body::blocks(["ab", "c"])),
            "abc",
            0,
            true,
        ),
        (("200 OK", PLAIN, many), &"x".repeat(100_000), 0, true),
        (("204 No Content", &[], || "abc".into()), "", 0, true),
        (
            ("200 OK", &[("Content-Length", "2")], || "abc".into()),
            "ab",
            1,
            true,
        ),
        (
            ("200 OK", &[("Content-Length", "4")], || "abc".into()),
            "abc",
            1,
            false,
        ),
    ];
    for ((status, fields, body), text, lengths, complete) in cases {
        let app = move |_: &mut Environ<'_>, start_response: Starter<'_>| {
            start_response.call(status, fields)?;
            Ok(body())
        };
        let response = Client::new(app).get("/");
        assert_eq!(response.status(), status, "{text}");
        assert_eq!(response.text(), text);
        assert_eq!(response.body(), text.as_bytes());
        let found = all(&response, "content-length").len();
        assert_eq!(found, lengths, "{status} {text}");
        assert!(response.header("Date").is_some(), "{status} {text}");
        assert_eq!(response.is_complete(), complete, "{status} {text}");
    }
}

/// A body may be larger than what a server takes in, whatever its framing.
#[test]
fn a_large_body() {
    const BLOCK: usize = 64 * 1024;
    const BLOCKS: usize = 50;
    let whole = || vec![b'x'; BLOCKS * BLOCK].into();
    let blocks = || Body::blocks((0..BLOCKS).map(|_| vec![b'x'; BLOCK]));
    let cases: [(fn() -> Body, bool); 2] = [(whole, false), (blocks, true)];
    for (body, chunked) in cases {
        let app = move |_: &mut Environ<'_>, start_response: Starter<'_>| {
            start_response.call("200 OK", PLAIN)?;
            Ok(body())
        };
        let response = Client::new(app).get("/");
        let framing = response.header("Transfer-Encoding").is_some();
        assert_eq!(framing, chunked);
        assert_eq!(response.body().len(), BLOCKS * BLOCK, "chunked: {chunked}");
        assert!(response.is_complete(), "chunked: {chunked}");
    }
}

/// A value in Latin-1 is text, each character a byte; of a repeated field there are all.
#[test]
fn header_fields() {
    let app = |_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", &[("X-A", "caf\u{e9}: 1"), ("X-A", "2")])?;
        Ok("".into())
    };
    let response = Client::new(app).get("/");
    assert_eq!(response.header("x-a"), Some("caf\u{e9}: 1"));
    assert_eq!(all(&response, "X-A"), ["caf\u{e9}: 1", "2"]);
}

/// WSGI-19: a failure is seen from both sides: the client's 500, and what the server was told.
#[test]
fn failures() {
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        environ.errors().write_all(b"on my way\n")?;
        let path = environ.get("PATH_INFO").unwrap_or_default().into_owned();
        start_response.call("200 OK", PLAIN)?;
        match &*path {
            "/panic" => panic!("oops"),
            "/stop" => Err(Failure::stop()),
            "/late" => Ok(Body::blocks((0..2).map(|block| {
                assert_eq!(block, 0, "too late");
                "begun"
            }))),
            _ => Err(std::io::Error::other("oops").into()),
        }
    };
    let client = Client::new(app);
    for (path, failure) in [
        ("/error", "oops"),
        ("/panic", "panicked: oops"),
        ("/stop", "the server was told to stop"),
    ] {
        let response = client.get(path);
        assert_eq!(response.status(), "500 Internal Server Error", "{path}");
        let found = response.failure().expect(path);
        assert_eq!(found.to_string(), failure, "{path}");
        assert_eq!(client.take_errors(), "on my way\n", "{path}");
        assert!(!response.text().contains("oops"), "{path}");
    }
    let late = client.get("/late");
    assert_eq!((late.code(), &*late.text()), (200, "begun"));
    assert!(!late.is_complete());
    let failure = late.failure().expect("a failure").to_string();
    assert!(failure.contains("too late"), "{failure}");
}

/// Requests that never reach an application are answered by the server that is not there.
#[test]
fn requests_that_are_refused() {
    let app = |_: &mut Environ<'_>, _: Starter<'_>| -> AppResult { panic!("never called") };
    let client = Client::new(app);
    let cases = [
        (client.request("GET", "/a b"), 400),
        (
            client
                .request("GET", "/")
                .header("Host", "a")
                .header("Host", "b"),
            400,
        ),
        (
            client.request("GET", "/").header("X", vec![b'x'; 40_000]),
            431,
        ),
        (client.request("POST", "/").body(vec![b'x'; 2_000_000]), 413),
        // The rest never comes, and the server closes.
        (
            client
                .request("POST", "/")
                .header("Content-Length", "9")
                .body("abc"),
            0,
        ),
    ];
    for (request, code) in cases {
        assert_eq!(request.send().code(), code);
    }
}

/// One client serves many threads, and each request stands alone.
#[test]
fn clients_are_shared() {
    let client = Arc::new(Client::new(mirror));
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let client = Arc::clone(&client);
            thread::spawn(move || {
                let path = format!("/{number}");
                let user = path.clone();
                let response = client.environ("REMOTE_USER", &user).get(&path);
                assert!(response.text().ends_with(&format!("{user} ")), "{path}");
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert!(client.get("/").text().ends_with("- "), "no user is left");
}

/// Serves an application on a free port.
fn serve(app: impl Application + 'static) -> TestServer {
    let server = make_server("127.0.0.1:0", app).expect("a port");
    TestServer::serve(server).expect("a thread")
}

fn exchange(server: &TestServer) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    let request = b"GET /x HTTP/1.0\r\nX-A: b\r\n\r\n";
    stream.write_all(request).expect("sent");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an end");
    bytes
}

/// WSGI-1: it listens on return, on a port of its own; it stops when it is dropped.
#[test]
fn a_test_server() {
    let (one, other) = (serve(mirror), serve(demo_app));
    assert_ne!(one.address(), other.address());
    assert_eq!(
        one.url(),
        format!("http://127.0.0.1:{}", one.address().port())
    );
    let answer = exchange(&one);
    assert!(
        answer.ends_with(b"GET /x   - b 127.0.0.1 - "),
        "{}",
        answer.escape_ascii()
    );
    let address = one.address();
    drop(one);
    let refused = TcpStream::connect(address).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(ErrorKind::ConnectionRefused));
    assert!(other.stop().is_ok());
}

/// A connection that is open does not keep it from ending, and the application goes with it.
#[test]
fn a_test_server_with_a_client() {
    let app = Arc::new(mirror);
    let kept = Arc::downgrade(&app);
    let server = serve(app);
    let _idle = TcpStream::connect(server.address()).expect("it listens");
    exchange(&server);
    assert!(kept.upgrade().is_some());
    drop(server);
    assert!(kept.upgrade().is_none());
}

/// A server that an application has stopped says so.
#[test]
fn a_test_server_that_was_stopped() {
    let app = |_: &mut Environ<'_>, _: Starter<'_>| -> AppResult { Err(Failure::stop()) };
    let server = serve(app);
    let answer = exchange(&server);
    assert!(
        answer.starts_with(b"HTTP/1.1 500 "),
        "{}",
        answer.escape_ascii()
    );
    assert!(matches!(server.stop(), Err(ServeError::Stopped(None))));
}

/// Middleware that measures an application changes nothing: the length, what is written, the one
/// call of `close()`, a failure and a panic. Each step is reported.
#[test]
fn a_measured_application() {
    use SlowStep::{Block, Call};
    struct Once(Option<&'static str>);
    impl Iterable for Once {
        fn next_block(&mut self, _: Starter<'_>) -> Result<Option<http::Block>, Failure> {
            Ok(self.0.take().map(Into::into))
        }
        fn block_count(&self) -> Option<usize> {
            Some(1)
        }
        fn close(&mut self) -> HandlerResult {
            Err(std::io::Error::other("closed").into())
        }
    }
    fn app(environ: &mut Environ<'_>, start_response: Starter<'_>) -> AppResult {
        start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
        match environ.get("PATH_INFO").as_deref() {
            Some("/text") => Ok("text".into()),
            Some("/closed") => Ok(Body::from_iterable(Once(Some("block")))),
            Some("/written") => {
                start_response.write(b"written ")?;
                Ok("text".into())
            }
            Some("/fails") => Err(std::io::Error::other("scripted").into()),
            _ => panic!("scripted"),
        }
    }
    let steps = Arc::new(Mutex::new(Vec::new()));
    let reported = Arc::clone(&steps);
    let client = Client::new(Slow::new(app, Duration::ZERO, move |slow| {
        assert!(slow.is_on_loop());
        let report = (slow.request_line().to_owned(), slow.step());
        reported.lock().expect("no panic").push(report);
    }));
    let plain = Client::new(app);
    let cases: [(&str, &[SlowStep]); 5] = [
        ("/text?a=%20", &[Call, Block]),
        ("/closed", &[Call, Block]),
        ("/written", &[Call, Block, Block]),
        ("/fails", &[Call]),
        ("/panics", &[Call]),
    ];
    for (target, expected) in cases {
        let (response, other) = (client.get(target), plain.get(target));
        let fields = |response: &TestResponse| {
            let mut fields = response.headers().to_vec();
            fields.retain(|(name, _)| name != "Date");
            fields
        };
        assert_eq!(response.status(), other.status(), "{target}");
        assert_eq!(fields(&response), fields(&other), "{target}");
        assert_eq!(response.text(), other.text(), "{target}");
        let failure = |response: &TestResponse| response.failure().map(ToString::to_string);
        assert_eq!(failure(&response), failure(&other), "{target}");
        let reports = std::mem::take(&mut *steps.lock().expect("no panic"));
        let line = format!("GET {target} HTTP/1.1");
        let expected: Vec<_> = expected.iter().map(|step| (line.clone(), *step)).collect();
        assert_eq!(reports, expected, "{target}");
    }
}
