//! The types of the crate `http`, in and out.
#![cfg(feature = "http-types")]

use std::error::Error;
use std::sync::mpsc::channel;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use serve_forever::http::testing::{Client, TestResponse};
use serve_forever::http::{Block, OwnedRequest, Pooled};
use serve_forever::socketserver::Pool;
use serve_forever::wsgi::Headers;
use serve_forever::{HttpResult, Request, Response};

/// What `convert` makes of the request with these bytes.
fn converted<T: Send + 'static>(
    bytes: impl AsRef<[u8]>,
    convert: impl Fn(&Request<'_>) -> T + Clone + Send + 'static,
) -> T {
    let (sender, receiver) = channel();
    let handler = move |request: &Request<'_>, response: Response<'_>| {
        sender.send(convert(request)).map_err(|_| "nobody asks")?;
        response.send_response(404).body("")
    };
    let response = Client::new(handler).send(bytes.as_ref());
    assert_eq!(response.code(), 404, "{}", response.text());
    receiver.try_recv().expect("it was handled")
}

type Typed = Result<http::Request<Vec<u8>>, http::Error>;

fn typed(bytes: impl AsRef<[u8]>) -> Typed {
    let bytes = bytes.as_ref();
    let owned = converted(bytes, |request| {
        Typed::from((&OwnedRequest::new(request)).try_into())
    });
    let lent = converted(bytes, |request| Typed::from(request.try_into()));
    let text = |typed: &Typed| format!("{typed:?}");
    assert_eq!(text(&lent), text(&owned));
    lent
}

#[test]
fn a_request_has_its_head_and_its_body() {
    let request = typed(
        b"PURGE /a//b?x=%20&y HTTP/1.1\r\nHost: example.com:80\r\nX-Twice: 1\r\nx-twice: 2\r\n\
          X-Latin: \xe9\r\nContent-Length: 4\r\n\r\n\0\xff\r\n",
    );
    let request = request.expect("a request");
    assert_eq!(request.method().as_str(), "PURGE");
    assert_eq!(request.uri().path(), "/a//b");
    assert_eq!(request.uri().query(), Some("x=%20&y"));
    assert_eq!(request.version(), http::Version::HTTP_11);
    let twice: Vec<_> = request.headers().get_all("X-Twice").iter().collect();
    assert_eq!(twice, ["1", "2"]);
    assert_eq!(request.headers()["x-latin"].as_bytes(), b"\xe9");
    assert_eq!(request.headers()["host"], "example.com:80");
    assert_eq!(request.headers().len(), 5);
    assert_eq!(request.body(), b"\0\xff\r\n");
}

#[test]
fn every_form_of_a_target_is_a_uri() {
    let uri = |target: &str| {
        let method = if target == "*" { "OPTIONS" } else { "GET" };
        let request = typed(format!("{method} {target} HTTP/1.0\r\n\r\n")).expect("a request");
        assert_eq!(request.version(), http::Version::HTTP_10);
        request.uri().clone()
    };
    assert_eq!(
        uri("/").path_and_query().map(|path| path.as_str()),
        Some("/")
    );
    assert_eq!(uri("*").path(), "*");
    let absolute = uri("http://example.com:8000/a?b");
    assert_eq!(absolute.scheme_str(), Some("http"));
    assert_eq!(
        absolute.authority().map(|host| host.as_str()),
        Some("example.com:8000")
    );
    assert_eq!((absolute.path(), absolute.query()), ("/a", Some("b")));
    // This is a path, and not a host.
    let slashes = uri("//evil.example/a");
    assert_eq!((slashes.host(), slashes.path()), (None, "//evil.example/a"));
    let connect = typed("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let connect = connect.expect("a request");
    assert_eq!(
        connect.uri().authority().map(|host| host.as_str()),
        Some("example.com:443")
    );
}

/// The server is more tolerant than a `Uri`, and the error says what is wrong.
#[test]
fn what_is_no_uri_has_a_cause() {
    for (target, why) in [
        ("/a<b>", "invalid uri character"),
        ("/?\"", "invalid uri character"),
        ("http://%41/", "invalid authority"),
    ] {
        let error = typed(format!("GET {target} HTTP/1.0\r\n\r\n")).expect_err("no Uri");
        assert!(error.is::<http::uri::InvalidUri>(), "{target}");
        assert_eq!(error.to_string(), why);
        let _: &dyn Error = &error;
    }
}

#[test]
fn trailers_are_a_map() {
    let bytes = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                  2\r\nhi\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n";
    let trailers = converted(bytes, |request| HeaderMap::try_from(request.trailers()));
    let trailers = trailers.expect("a map");
    let sums: Vec<_> = trailers.get_all("x-sum").iter().collect();
    assert_eq!(sums, ["1", "2"]);
    assert_eq!(typed(bytes).expect("a request").body(), b"hi");
}

fn sent<B: Into<Block> + 'static>(make: fn() -> http::Response<B>) -> TestResponse {
    let handler = move |_: &Request<'_>, response: Response<'_>| response.send(make());
    let pooled = Pooled::new(handler, Pool::new().threads(1));
    let (here, there) = (Client::new(handler).get("/"), Client::new(pooled).get("/"));
    assert_eq!((here.status(), here.body()), (there.status(), there.body()));
    here
}

#[test]
fn a_response_is_sent_as_it_is() {
    let response = sent(|| {
        let response = http::Response::builder().status(StatusCode::CREATED);
        let response = response
            .header("Set-Cookie", "a=1")
            .header("set-cookie", "b=2");
        let response = response.header(
            "X-Latin",
            HeaderValue::from_bytes(b"\xe9").expect("a value"),
        );
        response
            .header("Server", "mine")
            .body("hello")
            .expect("a response")
    });
    assert_eq!(
        (response.status(), &*response.text()),
        ("201 Created", "hello")
    );
    let mut headers = response.headers().to_vec();
    headers.retain(|(name, _)| name != "Date");
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [
        field("set-cookie", "a=1"),
        field("set-cookie", "b=2"),
        field("x-latin", "\u{e9}"),
        field("server", "mine"),
        field("Content-Length", "5"),
    ];
    assert_eq!(headers, expected);
    let back = http::Response::try_from(response).expect("a response");
    assert_eq!(back.status(), StatusCode::CREATED);
    assert_eq!(back.headers()["x-latin"].as_bytes(), b"\xe9");
    assert_eq!(back.headers().get_all("set-cookie").iter().count(), 2);
    assert_eq!(back.body(), b"hello");
}

/// Any body that is a block: a large one is not copied.
#[test]
fn a_body_is_a_block() {
    assert_eq!(
        sent(|| http::Response::new(vec![7; 100_000])).body().len(),
        100_000
    );
    assert_eq!(
        sent(|| http::Response::new(String::from("text"))).text(),
        "text"
    );
    assert_eq!(
        sent(|| http::Response::new(Block::lend(b"lent"))).text(),
        "lent"
    );
    let streamed = |_: &Request<'_>, response: Response<'_>| -> HttpResult {
        let (parts, ()) = http::Response::new(()).into_parts();
        response.send_parts(&parts).stream(["a", "b"].into_iter())
    };
    assert_eq!(Client::new(streamed).get("/").text(), "ab");
}

/// A response that came from another server: its framing is not ours.
#[test]
fn the_framing_is_the_servers() {
    let relayed = sent(|| {
        let response = http::Response::builder().header("Transfer-Encoding", "chunked");
        response
            .header("Connection", "close")
            .body("hello")
            .expect("a response")
    });
    assert_eq!(relayed.header("Transfer-Encoding"), None);
    assert_eq!(relayed.header("Content-Length"), Some("5"));
    assert_eq!(relayed.header("Connection"), Some("close"));
    let wrong = sent(|| {
        let response = http::Response::builder().header("Content-Length", "x");
        response.body("hello").expect("a response")
    });
    assert_eq!(wrong.code(), 500);
    let interim = sent(|| {
        let response = http::Response::builder().status(StatusCode::EARLY_HINTS);
        response.body("").expect("a response")
    });
    assert_eq!(interim.code(), 500);
}

/// If there was no response, there is none in these types either.
#[test]
fn no_response_is_an_error() {
    let nothing = Client::new(|_: &Request<'_>, response: Response<'_>| response.send_error(404));
    let nothing = nothing.send(b"GET / HT");
    let error = http::Response::try_from(nothing).expect_err("no response");
    assert!(error.is::<http::status::InvalidStatusCode>());
}

/// The lists of WSGI, which are text, in which a character is a byte.
#[test]
fn the_headers_of_wsgi_convert_both_ways() {
    let mut map = HeaderMap::new();
    for (name, value) in [("x-a", &b"1"[..]), ("x-b", b"\xe9"), ("x-a", b"2")] {
        let name = HeaderName::from_static(name);
        map.append(name, HeaderValue::from_bytes(value).expect("a value"));
    }
    let headers = Headers::from(&map);
    assert_eq!(headers.get_all("X-A"), ["1", "2"]);
    assert_eq!(headers.get("x-b"), Some("\u{e9}"));
    assert_eq!(HeaderMap::try_from(&headers).ok(), Some(map));

    let mut headers = Headers::new();
    headers.set("X-Euro", "\u{20ac}").expect("text");
    let error = HeaderMap::try_from(&headers).expect_err("not in Latin-1");
    assert!(error.is::<http::header::InvalidHeaderValue>());
    let mut headers = Headers::new();
    headers.set("not a token", "x").expect("text");
    let error = HeaderMap::try_from(&headers).expect_err("no name");
    assert!(error.is::<http::header::InvalidHeaderName>());
}
