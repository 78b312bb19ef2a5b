//! A server that stops by itself: `handle_request` with connections that stay open, and
//! `serve_until`. REQ-12 to REQ-16.
#![cfg(feature = "server")]

mod support;

use std::cell::{Cell, OnceCell};
use std::error::Error;
use std::io::Read;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::Duration;

use mio::net::TcpStream;
use serve_forever::http::{
    Deferred, Http, HttpRequestHandler, HttpResult, HttpSettings, Message, Request, Response,
};
use serve_forever::reactor::{Now, Reactor};
use serve_forever::socketserver::{
    Buffer, Evented, Failure, HandlerResult, Hooks, Next, Protocol, ServeError, Server, Tcp, Until,
};
use support::client::{Client, take, text};
use support::patience::{LONG, in_time, spawn, wait_until};
use support::server::listen;

/// Counts what the server calls.
#[derive(Default)]
struct Counts {
    timeouts: Cell<u32>,
    services: Cell<u32>,
    failures: Cell<u32>,
    refuses: Cell<bool>,
}

struct Counting(Rc<Counts>);

impl Hooks<Tcp> for Counting {
    fn verify_request(&mut self, _: &TcpStream, _: &SocketAddr) -> Result<bool, Failure> {
        Ok(!self.0.refuses.get())
    }

    fn service_actions(&mut self, _: &mut Reactor, _: &Now) -> HandlerResult {
        self.0.services.set(self.0.services.get() + 1);
        Ok(())
    }

    fn handle_timeout(&mut self) -> HandlerResult {
        self.0.timeouts.set(self.0.timeouts.get() + 1);
        Ok(())
    }

    fn handle_error(
        &mut self,
        _: &(dyn Error + Send + Sync + 'static),
        _: &SocketAddr,
    ) -> HandlerResult {
        self.0.failures.set(self.0.failures.get() + 1);
        Ok(())
    }
}

type HttpServer<H> = Server<Tcp, Evented<Tcp, Http<H>>, Counting>;

fn serve<H: HttpRequestHandler + Clone>(handler: H) -> (HttpServer<H>, Rc<Counts>) {
    let counts = Rc::new(Counts::default());
    let dispatch = Evented::new(Http::new(handler, HttpSettings::default()));
    let server = Server::with_hooks(listen(), dispatch, Counting(Rc::clone(&counts)));
    (server.expect("a poll"), counts)
}

fn ok(_: &Request<'_>, response: Response<'_>) -> HttpResult {
    response.send_response(200).body("ok")
}

const GET: &str = "GET / HTTP/1.1\r\nHost: h.test\r\n\r\n";

/// Reads one response, which has a `Content-Length`. Returns its body.
fn body(client: &mut Client) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(char::from(byte(client)));
    }
    let (_, length) = head.split_once("Content-Length: ").expect("a length");
    let length = length.lines().next().expect("a line");
    let length: usize = length.parse().expect("a number");
    let mut body = vec![0; length];
    client.0.read_exact(&mut body).expect("a body");
    String::from_utf8(body).expect("text")
}

fn byte(client: &mut Client) -> u8 {
    let mut byte = [0];
    client.0.read_exact(&mut byte).expect("more");
    byte[0]
}

/// Looks until it is so. Each look is in vain.
fn look_in_vain<H: HttpRequestHandler + Clone>(
    server: &mut HttpServer<H>,
    counts: &Counts,
    what: &str,
    mut is_so: impl FnMut(&HttpServer<H>) -> bool,
) {
    wait_until(what, || {
        let before = counts.timeouts.get();
        server.handle_request(Duration::ZERO).expect("no failure");
        assert_eq!(counts.timeouts.get(), before + 1, "before {what}");
        is_so(server)
    });
}

/// The callback of OAuth, as everybody writes it first. The browser keeps its connection, and has
/// opened another one on which it sends nothing.
#[test]
fn a_loop_of_handle_request_ends_with_its_request() {
    in_time(|| {
        let code = Rc::new(OnceCell::new());
        let seen = Rc::clone(&code);
        let (mut server, counts) = serve(move |request: &Request<'_>, response: Response<'_>| {
            let code = request.query_pairs().find(|(key, _)| key == "code");
            match code {
                Some((_, code)) => {
                    seen.set(code.into_owned()).expect("once");
                    response.send_response(200).body("signed in")
                }
                None => response.send_error(404),
            }
        });
        let silent = Client::connect(server.server_address());
        let mut browser = Client::connect(server.server_address());
        browser.send("GET /callback?code=abc HTTP/1.1\r\nHost: h.test\r\n\r\n");
        let mut calls = 0;
        while code.get().is_none() {
            server.handle_request(LONG).expect("no failure");
            calls += 1;
        }
        assert_eq!((calls, counts.timeouts.get()), (1, 0));
        assert_eq!(code.get().map(String::as_str), Some("abc"));
        assert_eq!(body(&mut browser), "signed in");
        // A further request on the same connection is the next one.
        browser.send("GET /favicon.ico HTTP/1.1\r\nHost: h.test\r\n\r\n");
        server.handle_request(LONG).expect("no failure");
        assert!(body(&mut browser).contains("404"));
        assert_eq!(server.stats().open, 2);
        drop(silent);
        assert_eq!((counts.timeouts.get(), counts.services.get()), (0, 0));
    });
}

/// Whoever leaves without a request has been handled. Whoever was served before has not.
#[test]
fn a_connection_counts_at_its_end_if_it_had_no_exchange() {
    in_time(|| {
        let (mut server, counts) = serve(ok);
        drop(Client::connect(server.server_address()));
        server.handle_request(LONG).expect("no failure");
        assert_eq!((server.stats().accepted, server.stats().open), (1, 0));

        let mut client = Client::connect(server.server_address());
        client.send(GET);
        server.handle_request(LONG).expect("no failure");
        assert_eq!(body(&mut client), "ok");
        drop(client);
        assert_eq!(counts.timeouts.get(), 0);
        look_in_vain(&mut server, &counts, "closed", |server| {
            server.stats().open == 0
        });
    });
}

/// Requests that are pipelined are served together.
#[test]
fn two_exchanges_in_one_turn_are_one_call() {
    in_time(|| {
        let (mut server, _) = serve(ok);
        let mut client = Client::connect(server.server_address());
        client.send(format!("{GET}{GET}"));
        server.handle_request(LONG).expect("no failure");
        assert_eq!([body(&mut client), body(&mut client)], ["ok", "ok"]);
    });
}

const LARGE: usize = 16 << 20;

fn large(response: Response<'_>) -> HttpResult {
    response.send_response(200).body("x".repeat(LARGE))
}

/// Reads a large response, without waiting for the end of the connection.
fn read_large(mut client: Client) -> impl FnOnce() -> Client {
    let reading = spawn(move || {
        assert_eq!(body(&mut client).len(), LARGE);
        client
    });
    || reading.join()
}

/// A response counts when its last byte is with the operating system.
#[test]
fn a_response_counts_when_it_is_sent() {
    in_time(|| {
        let handled = Rc::new(Cell::new(false));
        let seen = Rc::clone(&handled);
        let (mut server, counts) = serve(move |_: &Request<'_>, response: Response<'_>| {
            seen.set(true);
            large(response)
        });
        let mut client = Client::connect(server.server_address());
        client.send(GET);
        look_in_vain(&mut server, &counts, "handled", |_| handled.get());
        look_in_vain(&mut server, &counts, "looked once more", |_| true);
        let before = counts.timeouts.get();
        let read = read_large(client);
        server.handle_request(LONG).expect("no failure");
        drop(server);
        read();
        assert_eq!(counts.timeouts.get(), before);
    });
}

/// A response that another thread makes counts when it is there.
#[test]
fn a_deferred_response_counts_at_its_end() {
    in_time(|| {
        let (sender, deferred) = channel::<Deferred>();
        let (mut server, counts) = serve(move |_: &Request<'_>, response: Response<'_>| {
            let (deferred, reply) = response.defer();
            sender.send(deferred).expect("the test waits");
            Ok(reply)
        });
        let mut client = Client::connect(server.server_address());
        client.send(GET);
        let got = OnceCell::new();
        look_in_vain(&mut server, &counts, "deferred", |_| {
            deferred
                .try_recv()
                .map(|deferred| got.set(deferred))
                .is_ok()
        });
        let before = counts.timeouts.get();
        let deferred = got.into_inner().expect("it is there");
        let responding = spawn(move || {
            let _ = deferred.respond(|response| response.send_response(200).body("late"));
        });
        server.handle_request(LONG).expect("no failure");
        responding.join();
        assert_eq!(body(&mut client), "late");
        assert_eq!(counts.timeouts.get(), before);
    });
}

/// Sends back what it gets.
struct Echo;

impl Protocol for Echo {
    type Message = Message;

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _: &Now) -> Next<Message> {
        output.extend_from_slice(&std::mem::take(input));
        Next::Read
    }
}

/// An upgraded connection counts when it closes, whatever it served before.
#[test]
fn an_upgraded_connection_counts_at_its_end() {
    in_time(|| {
        let (mut server, counts) =
            serve(
                |request: &Request<'_>, response: Response<'_>| match request.upgrade() {
                    Some(_) => response.send_response(101).upgrade(Echo),
                    None => ok(request, response),
                },
            );
        let mut client = Client::connect(server.server_address());
        client.send(GET);
        server.handle_request(LONG).expect("no failure");
        assert_eq!(body(&mut client), "ok");
        client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhi");
        let mut received = Vec::new();
        look_in_vain(&mut server, &counts, "upgraded", |_| {
            take(&mut client, 4096, &mut received);
            received.ends_with(b"hi")
        });
        assert!(
            received.starts_with(b"HTTP/1.1 101 "),
            "{}",
            text(&received)
        );
        drop(client);
        let before = counts.timeouts.get();
        server.handle_request(LONG).expect("no failure");
        assert_eq!((server.stats().open, counts.timeouts.get()), (0, before));
    });
}

/// REQ-5, REQ-7, REQ-16: a request that was refused has been handled, and so has one that failed.
#[test]
fn a_request_that_is_refused_or_fails_counts() {
    in_time(|| {
        let (mut server, counts) = serve(|_: &Request<'_>, _: Response<'_>| -> HttpResult {
            panic!("a test");
        });
        counts.refuses.set(true);
        let mut refused = Client::connect(server.server_address());
        server.handle_request(LONG).expect("no failure");
        refused.expect_end();

        counts.refuses.set(false);
        let mut failed = Client::connect(server.server_address());
        failed.send(GET);
        server.handle_request(LONG).expect("no failure");
        assert!(body(&mut failed).contains("500"));
        assert_eq!((counts.failures.get(), counts.timeouts.get()), (1, 0));
    });
}

/// REQ-8: a handler that stops the server is heard by the call that has served it.
#[test]
fn a_handler_that_stops_the_server_ends_the_call() {
    in_time(|| {
        let (mut server, _) = serve(|_: &Request<'_>, response: Response<'_>| {
            let response = response.send_response(200);
            response
                .with_failure(Failure::stop_because("that was all"))
                .body("bye")
        });
        let mut client = Client::connect(server.server_address());
        client.send(GET);
        match server.handle_request(LONG) {
            Err(ServeError::Stopped(Some(reason))) => {
                assert_eq!(reason.to_string(), "that was all");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(body(&mut client), "bye");
    });
}

/// The page is with the browser although the server is dropped at once.
#[test]
fn serve_until_ends_when_the_condition_holds() {
    in_time(|| {
        let handled = Rc::new(Cell::new(false));
        let seen = Rc::clone(&handled);
        let (mut server, counts) = serve(move |_: &Request<'_>, response: Response<'_>| {
            seen.set(true);
            large(response)
        });
        let _silent = Client::connect(server.server_address());
        let mut client = Client::connect(server.server_address());
        client.send(GET);
        let read = read_large(client);
        let held = server.serve_until(LONG, || handled.get());
        drop(server);
        assert_eq!(held.expect("no failure"), Until::Holds);
        read().expect_end();
        assert!(counts.services.get() > 0 && counts.timeouts.get() == 0);
    });
}

/// No time is one look; a condition that holds already is none.
#[test]
fn serve_until_ends_when_the_time_is_over() {
    in_time(|| {
        let (mut server, counts) = serve(ok);
        for timeout in [0, 1, 5_000].map(Duration::from_micros) {
            let held = server.serve_until(timeout, || false);
            assert_eq!(held.expect("no failure"), Until::TimedOut);
        }
        let turns = server.stats().turns;
        assert!(turns >= 3);
        let held = server.serve_until(None, || true);
        assert_eq!(held.expect("no failure"), Until::Holds);
        assert_eq!(server.stats().turns, turns);
        assert_eq!(counts.timeouts.get(), 0);
    });
}

/// SHUT-5, LOOP-4: it is a run, so a shutdown request ends it and is used up.
#[test]
fn a_shutdown_request_ends_serve_until() {
    in_time(|| {
        let (mut server, _) = serve(ok);
        let _client = Client::connect(server.server_address());
        let handle = server.shutdown_handle();
        let mut asked = 0;
        let held = server.serve_until(None, || {
            asked += 1;
            if asked == 2 {
                handle.request();
            }
            false
        });
        assert_eq!(held.expect("no failure"), Until::Shutdown);
        assert!(!server.engine().shutdown_requested());
        handle.request();
        let held = server.serve_until(Duration::ZERO, || true);
        assert_eq!(held.expect("no failure"), Until::Holds);
    });
}
