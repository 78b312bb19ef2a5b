//! `http::testing`: any handler without a socket, and on a port. And handlers and streams that a
//! program keeps or brings.
#![cfg(feature = "server")]

mod support;

use std::cell::Cell;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use serve_forever::http::testing::{Client, TestServer};
use serve_forever::http::{
    AnyHandler, BodyPolicy, HttpRequestHandler, HttpResult, HttpSettings, OwnedRequest, Pooled,
    Request, Response, Shared,
};
use serve_forever::socketserver::{HandlerResult, Pool, Rfile, Until};
use serve_forever::{HttpServer, wsgi};
use support::patience::{PATIENCE, in_time, spawn};

fn hello(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    response
        .send_response(200)
        .body(format!("hello {}", request.path()))
}

fn blocks(_: &Request<'_>, response: Response<'_>) -> HttpResult {
    response
        .send_response(200)
        .stream(["a", "b", "c"].into_iter())
}

/// The test that somebody writes first. No part of it is about the server.
#[test]
fn a_handler() {
    let client = Client::new(hello);
    let response = client.get("/world");
    assert_eq!(response.status(), "200 OK");
    assert_eq!(response.header("content-length"), Some("12"));
    assert_eq!(response.text(), "hello /world");
    let head = client.head("/world");
    assert_eq!((head.text().len(), head.is_complete()), (0, true));
}

/// Whatever way a handler responds, the response is whole.
#[test]
fn every_way_to_respond() {
    let deferred = |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        thread::spawn(move || deferred.respond(|r| r.send_response(201).body("later")));
        Ok(reply)
    };
    let pushed = |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        thread::spawn(move || {
            let stream = deferred.stream(|response| response.send_response(200));
            let mut stream = stream.expect("the client waits");
            stream.write_all(b"one ").expect("the client waits");
            stream.write_all(b"two").expect("the client waits");
            stream.finish().expect("the client waits");
        });
        Ok(reply)
    };
    let pool = Pool::new().threads(2);
    let workers = pool.clone();
    let offloaded = move |_: &Request<'_>, response: Response<'_>| {
        response.offload(&workers, |response| {
            response.send_response(200).body("away")
        })
    };
    let early = |_: &Request<'_>, response: Response<'_>| {
        let response = response.send_interim(103, &[("Link", "</a.css>")])?;
        response.send_response(200).body("after")
    };
    let texts = [
        Client::new(blocks).get("/"),
        Client::new(deferred).get("/"),
        Client::new(pushed).get("/"),
        Client::new(offloaded).get("/"),
        Client::new(Pooled::new(hello, pool.clone())).get("/pool"),
        Client::new(Pooled::new(blocks, pool)).get("/"),
        Client::new(early).get("/"),
    ];
    let texts = texts.map(|response| {
        assert!(response.is_complete(), "{response:?}");
        assert!(response.failure().is_none(), "{response:?}");
        (response.code(), response.text().into_owned())
    });
    let expected = [
        (200, "abc"),
        (201, "later"),
        (200, "one two"),
        (200, "away"),
        (200, "hello /pool"),
        (200, "abc"),
        (200, "after"),
    ];
    assert_eq!(texts, expected.map(|(code, text)| (code, text.to_owned())));
}

/// A thread that never responds is not waited for without end.
#[test]
fn nobody_responds() {
    let (keep, _kept) = mpsc::channel();
    let silent = move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        keep.send(deferred)?;
        Ok(reply)
    };
    let mut settings = HttpSettings::default();
    settings.deadlines.response = Some(Duration::from_millis(20));
    let response = in_time(move || Client::with_settings(silent, settings).get("/"));
    assert_eq!(response.code(), 503);
}

#[test]
fn failures_are_seen_from_both_sides() {
    let fails = |_: &Request<'_>, _: Response<'_>| Err("no".into());
    let panics = |_: &Request<'_>, _: Response<'_>| -> HttpResult { panic!("oops") };
    for (response, failure) in [
        (Client::new(fails).get("/"), "no"),
        (Client::new(panics).get("/"), "panicked: oops"),
    ] {
        assert_eq!(response.code(), 500);
        let found = response.failure().expect(failure);
        assert_eq!(found.to_string(), failure);
        assert!(!response.text().contains(failure));
    }
    let broken = |_: &Request<'_>, response: Response<'_>| {
        response.send_response(200).stream((0..2).map(|block| {
            assert_eq!(block, 0, "too late");
            "begun"
        }))
    };
    let response = Client::new(broken).get("/");
    assert_eq!(
        (&*response.text(), response.is_complete()),
        ("begun", false)
    );
    assert_eq!(Client::new(hello).send(b"GET /\r\n\r\n").code(), 400);
    assert_eq!(Client::new(hello).send(b"GET / HT").code(), 0);
}

#[derive(Clone)]
struct Uploads;

impl HttpRequestHandler for Uploads {
    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        match request.path() {
            "/refused" => BodyPolicy::refused(413),
            _ => BodyPolicy::streamed(),
        }
    }

    fn do_put(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let head = request.body().len();
        response.receive_into(Vec::new(), move |bytes, response| {
            response
                .send_response(200)
                .body(format!("{head} {}", bytes.len()))
        })
    }
}

#[test]
fn bodies_that_are_streamed_or_refused() {
    let client = Client::new(Uploads);
    let put = |path| client.request("PUT", path).body(vec![b'x'; 100_000]).send();
    assert_eq!(put("/").text(), "0 100000");
    assert_eq!(put("/refused").code(), 413);
}

/// A server for tests gives its address, and its port is free again afterwards.
#[test]
fn a_test_server() {
    let server = TestServer::new(hello).expect("a server");
    assert_eq!(get(server.address(), "/x"), "hello /x");
    assert!(server.url().starts_with("http://127.0.0.1:"));
    assert!(server.stop().is_ok());
    let server = wsgi::make_server("127.0.0.1:0", wsgi::demo_app).expect("a port");
    let server = TestServer::serve(server.threads(2)).expect("a thread");
    assert!(get(server.address(), "/").starts_with("Hello world!"));
}

/// The body of the response to a GET request.
fn get(address: SocketAddr, path: &str) -> String {
    let mut client = TcpStream::connect(address).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("an option");
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).expect("sent");
    let mut response = String::new();
    client.read_to_string(&mut response).expect("a response");
    let body = response.split_once("\r\n\r\n").map(|(_, body)| body);
    body.expect("a body").to_owned()
}

/// A request that is kept reaches the server as well. Without a server there is none.
#[test]
fn a_request_that_is_kept_reaches_its_server() {
    let keeps = |request: &Request<'_>, response: Response<'_>| {
        let kept = OwnedRequest::from(request);
        let there = kept.with(|request| request.server().is_some());
        response.send_response(200).body(there.to_string())
    };
    let server = TestServer::new(keeps).expect("a server");
    assert_eq!(get(server.address(), "/"), "true");
    assert_eq!(Client::new(keeps).get("/").text(), "false");
}

/// A handler of any type can be kept in a struct, and each connection has its own clone.
#[test]
fn a_handler_that_is_stored() {
    struct Program {
        server: HttpServer<AnyHandler>,
    }
    let mut count = 0;
    let counts = move |_: &Request<'_>, response: Response<'_>| {
        count += 1;
        response.send_response(200).body(count.to_string())
    };
    let bind = |handler| HttpServer::bind("127.0.0.1:0", handler).expect("a port");
    let mut program = Program {
        server: bind(AnyHandler::new(counts)),
    };
    program.server = bind(AnyHandler::new(counts));
    let server = program.server.spawn().expect("a thread");
    let answers = (0..2).map(|_| get(*server.server_address(), "/"));
    assert_eq!(answers.collect::<Vec<_>>(), ["1", "1"]);
    let client = Client::new(AnyHandler::new(Uploads));
    let refused = client.request("PUT", "/refused").body("x").send();
    assert_eq!(refused.code(), 413, "the policy is the handler's");
}

/// A function behind a pointer is one handler for all connections. With an `Rc`, a program on one
/// thread keeps the server beside what its pages show.
#[test]
fn a_handler_that_is_shared() {
    type Page = Rc<dyn Fn(&Request<'_>, Response<'_>) -> HttpResult>;
    struct Program {
        count: Rc<Cell<u32>>,
        server: HttpServer<Shared<Page>>,
    }
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    let page: Page = Rc::new(move |_, response| {
        counted.set(counted.get() + 1);
        response.send_response(200).body(counted.get().to_string())
    });
    let server = HttpServer::bind("127.0.0.1:0", Shared(page)).expect("a port");
    let mut program = Program { count, server };
    let address = program.server.server_address();
    let answers = spawn(move || [get(address, "/"), get(address, "/")]);
    let count = Rc::clone(&program.count);
    let served = program.server.serve_until(PATIENCE, || count.get() == 2);
    assert_eq!(served.expect("no failure"), Until::Holds);
    drop(program);
    assert_eq!(answers.join(), ["1", "2"]);

    let page: Shared = Shared(Arc::new(|_, response| {
        response.send_response(200).body("all threads")
    }));
    let server: HttpServer<Shared> = HttpServer::bind("127.0.0.1:0", page).expect("a port");
    let server = server.spawn().expect("a thread");
    assert_eq!(get(*server.server_address(), "/"), "all threads");
}

/// STREAM-8: a stream of the standard library that is given to a handler can be made impatient.
#[test]
fn a_stream_of_the_standard_library_has_a_timeout() {
    fn echo(rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
        rfile.set_timeout(Some(Duration::from_millis(1)))?;
        let mut line = String::new();
        rfile.read_line(&mut line)?;
        Ok(wfile.write_all(line.as_bytes())?)
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("sent");
    let (stream, _) = listener.accept().expect("the client");
    let mut wfile = stream.try_clone().expect("a duplicate");
    let mut rfile = BufReader::new(stream);
    let error = echo(&mut rfile, &mut wfile).expect_err("nothing was sent");
    let kind = std::io::Error::from(error).kind();
    assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut));
    client.write_all(b"late\n").expect("it is sent");
    rfile.set_timeout(Some(PATIENCE)).expect("an option");
    let mut line = String::new();
    rfile.read_line(&mut line).expect("a line");
    assert_eq!(line, "late\n");
}
