//! `http::testing`: any handler without a socket, and on a port. And how a handler, a hook or another
//! thread reaches a server that runs.
#![cfg(feature = "server")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serve_forever::http::testing::{Client, TestServer};
use serve_forever::http::{
    BodyPolicy, HttpRequestHandler, HttpResult, HttpSettings, OwnedRequest, Pooled, Request,
    Response,
};
use serve_forever::socketserver::{
    Ends, Factory, Failure, HandlerResult, NotStopped, Pool, RequestHandler, Rfile, ServeError,
    Server, ServerHandle, TcpServer,
};
use serve_forever::{HttpServer, wsgi};
use support::patience::{PATIENCE, in_time, wait_until};

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

// A server beside other work.

/// A request to stop that comes directly after the start is heard, and waits for the end.
#[test]
fn a_server_can_be_stopped_at_any_moment() {
    for _ in 0..200 {
        let server = HttpServer::bind("127.0.0.1:0", hello).expect("a port");
        let server = server.spawn().expect("a thread");
        let handle = server.shutdown_handle().clone();
        assert_eq!(in_time(move || handle.shutdown()), Ok(()));
        assert!(server.join().is_ok());
    }
}

#[test]
fn a_running_server_stops_when_it_is_dropped() {
    let server = HttpServer::bind("127.0.0.1:0", hello).expect("a port");
    let server = server.spawn().expect("a thread");
    let address = *server.server_address();
    assert_eq!(get(address, "/"), "hello /");
    in_time(move || drop(server));
    TcpListener::bind(address).expect("the port is free");
}

/// What `serve_forever` returned comes out, whatever way the server is waited for.
#[test]
fn a_running_server_that_stopped_itself() {
    let stops = |_: &Request<'_>, response: Response<'_>| {
        let head = response.send_response(200);
        head.with_failure(serve_forever::socketserver::Failure::stop_because("enough"))
            .body("bye")
    };
    let start = move || {
        let server = HttpServer::bind("127.0.0.1:0", stops).expect("a port");
        let server = server.spawn().expect("a thread");
        get(*server.server_address(), "/");
        server
    };
    let patience = Duration::from_secs(5);
    let ends = [
        in_time(move || start().join()),
        in_time(move || start().shutdown()),
        in_time(move || start().drain(patience).map(drop)),
    ];
    for end in ends {
        assert!(matches!(end, Err(ServeError::Stopped(Some(_)))), "{end:?}");
    }
}

/// A drain from outside: the response that has begun is whole.
#[test]
fn a_running_server_is_drained() {
    let (entered, enters) = mpsc::channel();
    let slow = move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        entered.send(deferred)?;
        Ok(reply)
    };
    let server = HttpServer::bind("127.0.0.1:0", slow).expect("a port");
    let server = server.spawn().expect("a thread");
    let address = *server.server_address();
    let client = thread::spawn(move || get(address, "/"));
    let deferred = enters.recv_timeout(PATIENCE).expect("a request");
    server.shutdown_handle().request_drain(PATIENCE);
    wait_until("draining", || TcpStream::connect(address).is_err());
    deferred
        .respond(|response| response.send_response(200).body("whole"))
        .expect("the client waits");
    assert_eq!(client.join().expect("no panic"), "whole");
    let drained = in_time(move || server.drain(PATIENCE)).expect("a clean end");
    assert_eq!((drained.finished, drained.aborted), (1, 0));
}

// From inside.

/// A handler shows the numbers of its server. They are those of the last turn.
#[test]
fn a_handler_reads_the_statistics() {
    let metrics = |request: &Request<'_>, response: Response<'_>| {
        let stats = request.server().expect("a server").stats();
        response
            .send_response(200)
            .body(format!("{} {}", stats.accepted, stats.open))
    };
    let server = HttpServer::bind("127.0.0.1:0", metrics).expect("a port");
    let server = server.spawn().expect("a thread");
    let address = *server.server_address();
    get(address, "/");
    let [accepted, _open] = get(address, "/")
        .split(' ')
        .map(|number| number.parse::<u64>().expect("a number"))
        .collect::<Vec<_>>()[..]
    else {
        panic!("two numbers");
    };
    assert!((1..=2).contains(&accepted), "{accepted}");
    let handle = server.handle().clone();
    assert!(server.shutdown().is_ok());
    assert_eq!(handle.stats().accepted, 2);
}

/// A handler asks for a drain, and its own response arrives whole.
#[test]
fn a_handler_stops_its_server() {
    let stops = |request: &Request<'_>, response: Response<'_>| {
        let server = request.server().expect("a server");
        server.shutdown_handle().request_drain(PATIENCE);
        response.send_response(200).body(vec![b'x'; 5_000_000])
    };
    let server = HttpServer::bind("127.0.0.1:0", stops).expect("a port");
    let server = server.spawn().expect("a thread");
    assert_eq!(get(*server.server_address(), "/").len(), 5_000_000);
    assert!(in_time(move || server.join()).is_ok());
}

/// On another thread a handler may wait for the end of the loop; on the loop's own it may not.
#[test]
fn a_handler_on_another_thread_waits_for_the_end() {
    let (told, tells) = mpsc::channel();
    let stops = move |request: &Request<'_>, response: Response<'_>| {
        let server = request.server().expect("a server");
        let stopped = server.shutdown_handle().shutdown();
        told.send(stopped)?;
        response.send_response(200).body("bye")
    };
    let on_loop = stops.clone();
    for (server, expected) in [
        (
            HttpServer::bind("127.0.0.1:0", Pooled::new(stops, Pool::new()))
                .and_then(Server::spawn)
                .expect("a server"),
            Ok(()),
        ),
        (
            HttpServer::bind("127.0.0.1:0", on_loop)
                .and_then(Server::spawn)
                .expect("a server"),
            Err(NotStopped::OnLoopThread),
        ),
    ] {
        let mut client = TcpStream::connect(server.server_address()).expect("it listens");
        client
            .write_all(b"GET / HTTP/1.0\r\n\r\n")
            .expect("it is sent");
        assert_eq!(tells.recv_timeout(PATIENCE).expect("it ran"), expected);
        assert!(in_time(move || server.join()).is_ok());
    }
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

/// The factory of a blocking handler is told of the server.
struct Stops;

impl Factory<SocketAddr> for Stops {
    type Made = Stopping;

    fn make(&self, ends: &Ends<'_, SocketAddr>) -> Result<Stopping, Failure> {
        Ok(Stopping(ends.server().cloned()))
    }
}

struct Stopping(Option<ServerHandle>);

impl RequestHandler for Stopping {
    fn handle(&mut self, _: &mut dyn Rfile, _: &mut dyn Write) -> HandlerResult {
        let server = self.0.as_ref().expect("a server");
        server.shutdown_handle().request();
        Ok(())
    }
}

#[test]
fn a_blocking_handler_stops_its_server() {
    use serve_forever::socketserver::ThreadingTcpServer;
    let inline = TcpServer::bind("127.0.0.1:0", Stops).expect("a port");
    let threading = ThreadingTcpServer::bind("127.0.0.1:0", Stops).expect("a port");
    let (inline, threading) = (inline.spawn(), threading.spawn());
    for server in [inline, threading] {
        let server = server.expect("a thread");
        let _client = TcpStream::connect(server.server_address()).expect("it listens");
        assert!(in_time(move || server.join()).is_ok());
    }
}
