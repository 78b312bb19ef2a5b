//! Draining: what was begun is finished, what is left when the patience is over is reset, and the
//! report says which. Design laws 8 and 11, SHUT-5 to SHUT-8 for a drain, SHUT-14.
//!
//! Patience is either endless or none, so that no test depends on how long something takes.
#![cfg(feature = "server")]

mod support;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use mio::net::TcpStream;
use serve_forever::http::{
    Deferred, Http, HttpResult, HttpServer, HttpSettings, Message, Request, Response, ThreadedHttp,
    ThreadingHttpServer,
};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{
    Buffer, Drained, Evented, EventedSettings, Mailbox, Next, NotStopped, Overload, Pool, Protocol,
    Rfile, Server, ShutdownHandle, Tcp, Transport, UdpServer,
};
use support::client::{Client, ask, connect, queue, read_through, take, text};
use support::driven::Driven;
use support::patience::{LONG, PATIENCE, spawn, wait_until};
use support::script::{Script, served};
use support::server::{Running, listen, run};
use support::trace::Trace;
use support::transport::Intercepted;

const ENDLESS: Duration = Duration::MAX;

/// More than any pair of socket buffers holds.
const BIG: usize = 32 * 1024 * 1024;

fn drained(finished: usize, aborted: usize, upgraded: usize) -> Drained {
    let mut drained = Drained::default();
    drained.finished = finished;
    drained.aborted = aborted;
    drained.upgraded = upgraded;
    drained
}

/// An HTTP server whose answers the test has in hand, and its clients, each in its own phase.
struct World {
    server: Running<HttpServer<Handler>>,
    trace: Trace,
    deferreds: Receiver<Deferred>,
}

impl World {
    fn new() -> World {
        let (deferreds, received) = channel();
        let handler = Handler {
            trace: Trace::default(),
            deferreds: Arc::new(Mutex::new(deferreds)),
            stopper: Arc::default(),
        };
        let (trace, stopper) = (handler.trace.clone(), Arc::clone(&handler.stopper));
        let server = HttpServer::bind("127.0.0.1:0", handler).expect("a free port");
        assert!(stopper.set(server.shutdown_handle()).is_ok());
        World {
            server: run(server, None),
            trace,
            deferreds: received,
        }
    }

    fn connect(&self) -> Client {
        Client::connect(self.server.address)
    }

    /// A client in each phase; the server has got that far with every one of them.
    fn phases(&self) -> Phases {
        let silent = self.connect();
        let mut phases = Phases {
            silent,
            idle: self.connect(),
            mid_head: self.connect(),
            mid_body: self.connect(),
            slow_reader: self.connect(),
            streaming: self.connect(),
            deferred: self.connect(),
            half_closed: self.connect(),
            upgraded: self.connect(),
        };
        phases.idle.send(get("/"));
        assert_eq!(read_head(&mut phases.idle), (200, false));
        phases.idle.expect("hello");
        phases.mid_head.send("GET / HTTP/1.1\r\nHo");
        phases.mid_body.send(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
        );
        assert_eq!(read_head(&mut phases.mid_body), (100, false));
        phases.slow_reader.send(get("/big"));
        assert_eq!(read_head(&mut phases.slow_reader), (200, false));
        phases.streaming.send(get("/stream"));
        assert_eq!(read_head(&mut phases.streaming), (200, false));
        phases.deferred.send(get("/defer"));
        phases.half_closed.send(get("/defer"));
        phases.half_closed.shutdown_write();
        phases.upgraded.send(get("/upgrade"));
        assert_eq!(read_head(&mut phases.upgraded), (101, false));
        phases.upgraded.expect("READY");
        // What was sent before is in the same batch of events as this, or in an earlier one.
        phases.idle.send(get("/"));
        assert_eq!(read_head(&mut phases.idle), (200, false));
        phases.idle.expect("hello");
        phases.idle.send(get("/"));
        assert_eq!(read_head(&mut phases.idle), (200, false));
        phases.idle.expect("hello");
        phases
    }

    fn deferred(&self) -> Deferred {
        self.deferreds.recv_timeout(PATIENCE).expect("a request")
    }
}

struct Phases {
    /// Has said nothing yet.
    silent: Client,
    idle: Client,
    mid_head: Client,
    mid_body: Client,
    slow_reader: Client,
    streaming: Client,
    deferred: Client,
    half_closed: Client,
    upgraded: Client,
}

impl Phases {
    /// Lets all of them go on, after the server has begun to drain.
    fn finish(self, world: &World) {
        let Phases {
            mut silent,
            mut idle,
            mut mid_head,
            mut mid_body,
            mut slow_reader,
            mut streaming,
            deferred,
            half_closed,
            mut upgraded,
        } = self;
        // At once: who has nothing to wait for.
        silent.expect_end();
        idle.expect_end();

        mid_head.send("st: h\r\n\r\n");
        expect_last(&mut mid_head, "hello");
        mid_body.send("body");
        expect_last(&mut mid_body, "hello");
        for _ in 0..2 {
            let late = world
                .deferred()
                .respond(|response| response.send_response(200).body("late"));
            late.expect("it is there");
        }
        for client in &mut [deferred, half_closed] {
            expect_last(client, "late");
        }
        // Their heads were sent before anybody knew.
        assert_eq!(slow_reader.rest().len(), BIG);
        let streamed = streaming.rest();
        assert!(streamed.len() > BIG && streamed.ends_with(b"\r\n0\r\n\r\n"));
        upgraded.expect("LAST WORDS?");
        upgraded.send("none");
        assert_eq!(text(&upgraded.rest()), "NONE");
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// Reads the head of an answer: its status, and whether it says `Connection: close`.
fn read_head(client: &mut Client) -> (u16, bool) {
    let head = read_through(&mut client.0, "\r\n\r\n");
    let code = head.get(9..12).and_then(|code| code.parse().ok());
    (
        code.expect("a status"),
        head.contains("\r\nConnection: close\r\n"),
    )
}

/// A whole answer that says goodbye, and then the end.
fn expect_last(client: &mut Client, content: &str) {
    assert_eq!(read_head(client), (200, true));
    assert_eq!(text(&client.rest()), content);
}

/// Whether the connection was reset, whatever could be read before.
fn is_reset(client: &mut Client) -> bool {
    match client.0.read_to_end(&mut Vec::new()) {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
        Err(error) => panic!("still there: {error}"),
    }
}

#[derive(Clone)]
struct Handler {
    trace: Trace,
    deferreds: Arc<Mutex<Sender<Deferred>>>,
    stopper: Arc<OnceLock<ShutdownHandle>>,
}

impl serve_forever::http::HttpRequestHandler for Handler {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        match request.path() {
            "/big" => return response.send_response(200).body(vec![b'x'; BIG]),
            "/stream" => {
                let blocks = std::iter::repeat_n(vec![b'x'; 1024], BIG / 1024);
                return response.send_response(200).stream(blocks);
            }
            "/defer" => {
                let (deferred, reply) = response.defer();
                self.deferreds.lock().expect("no panic").send(deferred)?;
                return Ok(reply);
            }
            "/upgrade" => {
                let head = response.send_response_only(101, "Switching Protocols");
                return head
                    .send_header("Upgrade", "shout")
                    .send_header("Connection", "Upgrade")
                    .upgrade(Shout { draining: false });
            }
            "/hold" => {
                self.trace.note("held");
                self.trace.wait_for("go", 1);
            }
            "/drain" => {
                let answer = self.stopper.get().expect("a server").drain(ENDLESS);
                return response.send_response(200).body(format!("{answer:?}"));
            }
            _ => {}
        }
        response.send_response(200).body("hello")
    }
}

/// Shouts back; when the server stops it waits for a last word.
struct Shout {
    draining: bool,
}

impl Protocol for Shout {
    type Message = Message;

    fn connection_made(
        &mut self,
        _: Mailbox<Message>,
        output: &mut Buffer,
        _: &Now,
    ) -> Next<Message> {
        output.extend_from_slice(b"READY");
        Next::Read
    }

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _: &Now) -> Next<Message> {
        output.extend_from_slice(&input.to_ascii_uppercase());
        input.clear();
        match self.draining {
            true => Next::Close,
            false => Next::Read,
        }
    }

    fn drain(&mut self, _: &mut Buffer, output: &mut Buffer, _: &Now) -> Next<Message> {
        output.extend_from_slice(b"LAST WORDS?");
        self.draining = true;
        Next::Read
    }
}

/// With endless patience everybody is served to the end.
#[test]
fn what_was_begun_is_finished() {
    let world = World::new();
    let phases = world.phases();
    let handle = world.server.handle.clone();
    let drain = spawn(move || handle.drain(ENDLESS));
    phases.finish(&world);
    assert_eq!(drain.join(), Ok(drained(9, 0, 1)));
    let mut server = world.server.returned();
    let again = server.serve_forever().expect_err("LOOP-15");
    assert_eq!(again.to_string(), "the server is closed");
}

/// A plain stop leaves everybody where they are, and the next run goes on with them.
#[test]
fn a_stop_leaves_everybody_where_they_are() {
    let world = World::new();
    let mut phases = world.phases();
    let World {
        server,
        trace,
        deferreds,
    } = world;
    let address = server.address;
    let server = server.stop();
    let mut queued = Client::connect(address);
    queued.send(get("/"));
    phases.silent.send(get("/"));
    phases.idle.send(get("/"));
    phases.mid_head.send("st: h\r\n\r\n");
    phases.mid_body.send("body");
    phases.upgraded.send("still there?");
    for _ in 0..2 {
        // Another thread responds while nothing runs.
        let deferred = deferreds.recv_timeout(PATIENCE).expect("a request");
        let late = deferred.respond(|response| response.send_response(200).body("late"));
        late.expect("the client is there");
    }

    let world = World {
        server: run(server, None),
        trace,
        deferreds,
    };
    for (client, content) in [
        (&mut queued, "hello"),
        (&mut phases.silent, "hello"),
        (&mut phases.idle, "hello"),
        (&mut phases.mid_head, "hello"),
        (&mut phases.mid_body, "hello"),
        (&mut phases.deferred, "late"),
        (&mut phases.half_closed, "late"),
    ] {
        assert_eq!(read_head(client), (200, false));
        client.expect(content);
    }
    phases.upgraded.expect("STILL THERE?");
    let handle = world.server.handle.clone();
    let drain = spawn(move || handle.drain(ENDLESS));
    assert_eq!(phases.slow_reader.rest().len(), BIG);
    assert!(phases.streaming.rest().ends_with(b"\r\n0\r\n\r\n"));
    phases.upgraded.expect("LAST WORDS?");
    phases.upgraded.send("none");
    assert_eq!(text(&phases.upgraded.rest()), "NONE");
    assert!(drain.join().is_ok());
    world.server.returned();
}

/// A server that is dropped after a plain stop closes everybody, and what was not sent is lost.
#[test]
fn a_drop_loses_what_was_not_sent() {
    let world = World::new();
    let mut phases = world.phases();
    let (late, address) = (world.deferred(), world.server.address);
    let mut arrived = Client::connect(address);
    arrived.send(get("/"));
    assert_eq!(read_head(&mut arrived), (200, false));
    arrived.expect("hello");
    let server = world.server.stop();
    let mut queued = Client::connect(address);
    for client in [&mut queued, &mut arrived] {
        client.send(get("/"));
    }
    drop(server);
    assert!(is_reset(&mut queued) && is_reset(&mut arrived));
    phases.silent.expect_end();
    phases.idle.expect_end();
    phases.mid_head.expect_end();
    phases.mid_body.expect_end();
    phases.deferred.expect_end();
    phases.half_closed.expect_end();
    phases.upgraded.expect_end();
    for client in [&mut phases.slow_reader, &mut phases.streaming] {
        let mut got = Vec::new();
        // Ignore the error: the connection may end in a reset.
        let _ = client.0.read_to_end(&mut got);
        assert!(got.len() < BIG, "{} bytes", got.len());
    }
    assert!(late.is_gone());
}

/// Without patience, whoever is not idle is reset, so that no client takes what it got for the
/// whole.
#[test]
fn what_is_left_at_the_deadline_is_reset() {
    let world = World::new();
    let mut phases = world.phases();
    assert_eq!(
        world.server.handle.drain(Duration::ZERO),
        Ok(drained(2, 7, 1))
    );
    phases.silent.expect_end();
    phases.idle.expect_end();
    for (name, client) in [
        ("mid_head", &mut phases.mid_head),
        ("mid_body", &mut phases.mid_body),
        ("slow_reader", &mut phases.slow_reader),
        ("streaming", &mut phases.streaming),
        ("deferred", &mut phases.deferred),
        ("half_closed", &mut phases.half_closed),
        ("upgraded", &mut phases.upgraded),
    ] {
        assert!(is_reset(client), "{name}");
    }
    let late = world.deferred();
    world.server.returned();
    let unsent = late.respond(|response| response.send_response(200).body(""));
    assert!(unsent.is_err(), "nobody is there to be answered");
}

/// SHUT-14: who was not accepted yet, and has sent a request, gets a response. Without patience there
/// is no time for it, and who was not accepted is turned away.
#[test]
fn the_backlog_is_served() {
    for patience in [ENDLESS, Duration::ZERO] {
        let world = World::new();
        let mut held = world.connect();
        held.send(get("/hold"));
        world.trace.wait_for("held", 1);
        let mut backlog = [(); 3].map(|()| world.connect());
        backlog[1].send(get("/"));
        backlog[2].send(get("/"));
        backlog[2].shutdown_write();
        world.server.handle.request_drain(patience);
        world.trace.note("go");
        let [silent, requests @ ..] = &mut backlog;
        if patience.is_zero() {
            assert!(is_reset(silent));
            requests
                .iter_mut()
                .for_each(|client| assert!(is_reset(client)));
        } else {
            silent.expect_end();
            requests
                .iter_mut()
                .for_each(|client| expect_last(client, "hello"));
        }
        // Answered before the drain began, and idle then.
        assert_eq!(read_head(&mut held), (200, false));
        assert_eq!(text(&held.rest()), "hello");
        world.server.returned();
    }
}

/// Design law 11, SHUT-8: from a handler it cannot be waited for, but it is done.
#[test]
fn a_handler_may_ask_for_it() {
    let world = World::new();
    let mut waiting = world.connect();
    waiting.send(get("/defer"));
    let deferred = world.deferred();
    let mut client = world.connect();
    client.send(get("/drain"));
    assert_eq!(read_head(&mut client), (200, false));
    assert_eq!(text(&client.rest()), "Err(OnLoopThread)");
    deferred
        .respond(|response| response.send_response(200).body("late"))
        .expect("it is there");
    expect_last(&mut waiting, "late");
    world.server.returned();
}

/// SHUT-5, SHUT-6: asked for while nothing runs, it is what the next run does; or it is taken
/// back.
#[test]
fn before_the_start_it_is_latched() {
    for taken_back in [false, true] {
        let script = Script::default();
        let mut server = script.server();
        let client = queue(server.server_address(), "early");
        let handle = server.shutdown_handle();
        assert_eq!(handle.drain(ENDLESS), Err(NotStopped::NotRunning));
        if taken_back {
            server.engine_mut().clear_shutdown_request();
            let server = run(server, LONG);
            assert_eq!(support::client::answer(client), "early");
            assert_eq!(ask(server.address, "next"), "next");
            server.stop();
        } else {
            run(server, LONG).returned();
            assert_eq!(support::client::answer(client), "early");
            assert_eq!(script.trace.take(), served("early"));
            let report = drained(1, 0, 0);
            assert_eq!(handle.drained(), Some(report));
        }
    }
}

/// SHUT-7: the first request counts; another one changes neither the patience nor the report.
#[test]
fn twice_is_once() {
    let world = World::new();
    let mut client = world.connect();
    client.send(get("/defer"));
    let deferred = world.deferred();
    let mut idle = world.connect();
    idle.send(get("/"));
    assert_eq!(read_head(&mut idle), (200, false));
    let handles = [(); 4].map(|()| world.server.handle.clone());
    let drains = handles.map(|handle| spawn(move || handle.drain(ENDLESS)));
    idle.expect("hello");
    idle.expect_end();
    world.server.handle.request_drain(Duration::ZERO);
    deferred
        .respond(|response| response.send_response(200).body("late"))
        .expect("it is there");
    expect_last(&mut client, "late");
    let answers = drains.map(|drain| drain.join());
    let report = Ok(drained(2, 0, 0));
    assert!(answers.contains(&report), "{answers:?}");
    for answer in answers {
        // One that came late asked a server that had stopped already.
        assert!(answer == report || answer == Err(NotStopped::NotRunning));
    }
    world.server.returned();
}

/// Design law 11: a stop during a drain stops, and those who waited for the drain learn that.
#[test]
fn a_stop_wins() {
    let world = World::new();
    let mut client = world.connect();
    client.send(get("/defer"));
    let _deferred = world.deferred();
    let mut idle = world.connect();
    idle.send(get("/"));
    assert_eq!(read_head(&mut idle), (200, false));
    let handle = world.server.handle.clone();
    let drain = spawn(move || handle.drain(ENDLESS));
    idle.expect("hello");
    idle.expect_end();
    let handle = world.server.handle.clone();
    let stop = spawn(move || handle.shutdown());
    assert_eq!(drain.join(), Err(NotStopped::NotDrained));
    assert_eq!(stop.join(), Ok(()));
    drop(world.server.returned());
    client.expect_gone();
}

/// A server that has nothing open drains at once; so does one that serves one after the other.
#[test]
fn with_nothing_open_it_is_over_at_once() {
    let world = World::new();
    let handle = world.server.handle.clone();
    let drain = spawn(move || handle.drain(ENDLESS));
    // Too early is also an answer: the request is latched then.
    assert!(matches!(
        drain.join(),
        Err(NotStopped::NotRunning) | Ok(Drained { .. })
    ));
    world.server.returned();

    let script = Script::default();
    let server = run(script.server(), LONG);
    assert_eq!(ask(server.address, "hello"), "hello");
    let handle = server.handle.clone();
    let drain = spawn(move || handle.drain(ENDLESS));
    assert_eq!(drain.join(), Ok(drained(0, 0, 0)));
    server.returned();
}

/// A few clients that never rest, while the server drains and others are in every phase: each
/// answer is whole, one that says goodbye is the last, and all connections end by themselves.
#[test]
fn under_load() {
    for round in 0..10 {
        let world = World::new();
        let phases = (round % 4 == 0).then(|| world.phases());
        let address = world.server.address;
        let (busy, answered) = channel();
        let clients = [(); 6].map(|()| {
            let busy = busy.clone();
            let mut client = Client(connect(address));
            spawn(move || {
                let mut answers = 0_usize;
                loop {
                    let mut received = Vec::new();
                    // Err: it was idle when the server closed it.
                    let _ = client.0.write_all(get("/").as_bytes());
                    let goodbye = loop {
                        let mut bytes = [0; 1024];
                        match client.0.read(&mut bytes) {
                            Ok(0) => break true,
                            Ok(count) => received.extend_from_slice(&bytes[..count]),
                            Err(error) if error.kind() == ErrorKind::ConnectionReset => break true,
                            Err(error) if error.kind() == ErrorKind::BrokenPipe => break true,
                            Err(error) => panic!("{error}"),
                        }
                        if received.ends_with(b"hello") {
                            break false;
                        }
                    };
                    assert!(received.is_empty() || received.ends_with(b"hello"));
                    let says_so = received
                        .windows(19)
                        .any(|bytes| bytes == b"Connection: close\r\n");
                    answers += usize::from(!received.is_empty());
                    // Err: the test has seen enough.
                    let _ = busy.send(());
                    if goodbye {
                        return answers;
                    }
                    if says_so {
                        client.expect_end();
                        return answers;
                    }
                }
            })
        });
        for _ in 0..600 {
            answered.recv_timeout(PATIENCE).expect("an answer");
        }
        let slow = usize::from(phases.is_some());
        let handle = world.server.handle.clone();
        let drain = spawn(move || handle.drain(ENDLESS));
        if let Some(phases) = phases {
            phases.finish(&world);
        }
        let drain = drain.join().expect("it drains");
        assert_eq!((drain.aborted, drain.upgraded), (0, slow));
        assert!(drain.finished >= 9 * slow, "{drain:?}");
        world.server.returned();
        let answers: usize = clients.map(|client| client.join()).iter().sum();
        assert!(answers >= 600 - 6, "{answers}");
    }
}

/// Law 8: the patience is a deadline of the loop's own; nothing has to happen for it to pass.
#[test]
fn the_deadline_needs_no_event() {
    let world = World::new();
    let mut client = world.connect();
    client.send(get("/defer"));
    let _deferred = world.deferred();
    let handle = world.server.handle.clone();
    let drain = spawn(move || handle.drain(Duration::from_millis(20)));
    assert_eq!(drain.join(), Ok(drained(0, 1, 0)));
    assert!(is_reset(&mut client));
    world.server.returned();
}

/// SHUT-10 is for shutdown: a drain reaches workers, too. One that is blocked in a read between
/// two requests closes, and what has begun is answered.
#[test]
fn workers_finish_what_they_have_begun() {
    let mut settings = HttpSettings::default();
    settings.deadlines.keep_alive = LONG * 60; // so that only the drain can end an idle one
    let body = |request: &Request<'_>, response: Response<'_>| -> HttpResult {
        response.send_response(200).body(request.body())
    };
    let server = ThreadingHttpServer::with_settings("127.0.0.1:0", body, settings);
    let server = run(server.expect("a free port"), None);
    let address = server.address;
    let mut idle = Client(connect(address));
    idle.send(get("/"));
    assert_eq!(read_head(&mut idle), (200, false));
    let mut begun = Client(connect(address));
    begun.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(read_head(&mut begun), (100, false));
    let handle = server.handle.clone();
    let draining = spawn(move || handle.drain(ENDLESS));
    assert_eq!(text(&idle.rest()), "");
    begun.send("done");
    expect_last(&mut begun, "done");
    assert_eq!(draining.join(), Ok(drained(2, 0, 0)));
    server.returned();
}

/// A handler's pages, and an engine in the test's hands that serves them.
type Pages = Driven<Http<Handler>, Faulty>;

/// A transport whose next accepts can be made to fail.
type Faulty = Intercepted<TcpStream>;

type Faults = Arc<Mutex<VecDeque<io::Error>>>;

fn serving(tcp: Tcp) -> (Pages, Receiver<Deferred>, Faults) {
    let (deferreds, received) = channel();
    let handler = Handler {
        trace: Trace::default(),
        deferreds: Arc::new(Mutex::new(deferreds)),
        stopper: Arc::default(),
    };
    let faults = Faults::default();
    let next = Arc::clone(&faults);
    let faulty = Intercepted::new(tcp, move |tcp: &mut Tcp| {
        let fault = next.lock().expect("no panic").pop_front();
        fault.map_or_else(|| tcp.get_request(), Err)
    });
    let factory = Http::new(handler, HttpSettings::default());
    let pages = Driven::on(faulty, EventedSettings::default(), factory);
    (pages, received, faults)
}

/// The whole of a response that says goodbye.
fn expect_goodbye(pages: &mut Pages, client: &mut Client, content: &str) {
    let response = text(&pages.rest(client));
    assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    assert!(response.contains("Connection: close"), "{response}");
    assert!(response.ends_with(content), "{response}");
}

/// The next request whose response the test has in hand.
fn receive(pages: &mut Pages, deferreds: &Receiver<Deferred>) -> Deferred {
    let mut deferred = None;
    pages.until(|_| {
        deferred = deferreds.try_recv().ok();
        deferred.is_some()
    });
    deferred.expect("it was received")
}

fn respond(deferred: Deferred) {
    let late = deferred.respond(|response| response.send_response(200).body("late"));
    late.expect("the client is there");
}

/// Asks for a drain that time does not end, and gives the turn in which it begins.
fn begin_drain(pages: &mut Pages) -> ShutdownHandle {
    let handle = pages.engine.shutdown_handle();
    handle.request_drain(Duration::from_secs(1_000_000));
    pages.blind_turn();
    handle
}

/// SHUT-14: a connection that seems idle is read once more. No event has told the engine of the
/// request that lies in the kernel.
#[test]
fn a_request_that_nobody_has_looked_for_is_answered() {
    let (mut pages, ..) = serving(listen());
    let mut silent = pages.connect();
    let mut kept = pages.connect();
    let mut half = pages.connect();
    let mut fresh = pages.connect();
    kept.send(get("/"));
    let mut response = Vec::new();
    pages.until(|_| {
        let has_ended = take(&mut kept, usize::MAX, &mut response);
        has_ended || response.ends_with(b"hello")
    });
    for (client, bytes) in [
        (&mut kept, get("/")),
        (&mut fresh, get("/")),
        (&mut half, "GET / HT".to_owned()),
    ] {
        client.send(bytes);
        pages.overlook();
    }
    let handle = begin_drain(&mut pages);
    expect_goodbye(&mut pages, &mut kept, "hello");
    expect_goodbye(&mut pages, &mut fresh, "hello");
    assert_eq!(text(&pages.rest(&mut silent)), "");
    half.send("TP/1.1\r\nHost: h\r\n\r\n");
    expect_goodbye(&mut pages, &mut half, "hello");
    drop((kept, fresh, half));
    pages.until(|_| handle.drained().is_some());
    assert_eq!(handle.drained(), Some(drained(4, 0, 0)));
}

/// SHUT-14, TCP-8: a client that has its response, and does not close its end, delays a drain by the
/// time to linger, and no longer.
#[test]
fn who_does_not_close_its_end_delays_it_by_the_linger() {
    let (mut pages, deferreds, _) = serving(listen());
    let mut client = pages.connect();
    client.send(get("/defer"));
    let deferred = receive(&mut pages, &deferreds);
    let handle = begin_drain(&mut pages);
    respond(deferred);
    expect_goodbye(&mut pages, &mut client, "late");
    let linger = EventedSettings::default().linger;
    pages.pass(linger - Duration::from_millis(1));
    assert_eq!((pages.open_connections(), handle.drained()), (1, None));
    pages.pass(Duration::from_millis(1));
    pages.until(|_| handle.drained().is_some());
    assert_eq!(handle.drained(), Some(drained(1, 0, 0)));
}

/// SHUT-14: a response that another thread had written before the drain began has an open head, and
/// the loop ends it when it takes it.
#[test]
fn a_head_that_lies_in_the_mailbox_says_goodbye() {
    let (mut pages, deferreds, _) = serving(listen());
    let mut client = pages.connect();
    client.send(get("/defer"));
    let deferred = receive(&mut pages, &deferreds);
    respond(deferred);
    begin_drain(&mut pages);
    expect_goodbye(&mut pages, &mut client, "late");
}

/// SHUT-14: a client that the drain has accepted has a moment to send its request, and no longer.
#[test]
fn who_is_accepted_by_the_drain_has_a_moment() {
    let (mut pages, ..) = serving(listen());
    pages.engine.set_max_connections(1, Overload::Wait);
    let address = pages.engine.transport().server_address();
    let mut clients = [(); 3].map(|()| Client::connect(address));
    pages.overlook();
    let handle = begin_drain(&mut pages);
    // The first says nothing, and the others wait for its place.
    assert_eq!(pages.open_connections(), 1);
    pages.pass(Duration::from_millis(49));
    assert_eq!(pages.open_connections(), 1);
    pages.pass(Duration::from_millis(1));
    let [silent, late, slow] = &mut clients;
    assert_eq!(text(&pages.rest(silent)), "");

    pages.until(|pages| pages.engine.stats().accepted == 2);
    pages.pass(Duration::from_millis(49));
    late.send(get("/"));
    expect_goodbye(&mut pages, late, "hello");
    late.shutdown_write();
    pages.until(|pages| pages.engine.stats().accepted == 3);
    slow.send("GET / HT");
    pages.overlook();
    pages.pass(Duration::from_millis(50));
    slow.send("TP/1.1\r\nHost: h\r\n\r\n");
    expect_goodbye(&mut pages, slow, "hello");
    slow.shutdown_write();
    pages.until(|_| handle.drained().is_some());
    assert_eq!(handle.drained(), Some(drained(3, 0, 0)));
}

/// SHUT-14: the queue is emptied as places become free, and the listener is closed after it. Who comes
/// then is refused.
#[test]
fn the_backlog_waits_for_places() {
    let (mut pages, deferreds, _) = serving(listen());
    pages.engine.set_max_connections(1, Overload::Wait);
    let address = pages.engine.transport().server_address();
    let mut first = pages.connect();
    first.send(get("/defer"));
    let deferred = receive(&mut pages, &deferreds);
    let mut queued = [(); 3].map(|()| Client::connect(address));
    for client in &mut queued {
        client.send(get("/"));
        client.shutdown_write();
    }
    let handle = begin_drain(&mut pages);
    pages.settle();
    assert_eq!((pages.open_connections(), handle.drained()), (1, None));
    respond(deferred);
    expect_goodbye(&mut pages, &mut first, "late");
    drop(first);
    for client in &mut queued {
        expect_goodbye(&mut pages, client, "hello");
    }
    pages.until(|_| handle.drained().is_some());
    assert_eq!(handle.drained(), Some(drained(4, 0, 0)));
    assert!(std::net::TcpStream::connect(address).is_err());
}

/// SHUT-14, law 11: what never becomes free is not waited for: not without an open connection, and not
/// longer than the patience.
#[test]
fn the_backlog_does_not_hold_the_drain_up() {
    let (mut full, ..) = serving(listen());
    full.engine.set_max_connections(0, Overload::Wait);
    let mut queued = Client::connect(full.engine.transport().server_address());
    full.overlook();
    let handle = begin_drain(&mut full);
    assert_eq!(handle.drained(), Some(drained(0, 0, 0)));
    assert!(is_reset(&mut queued));

    let (mut busy, deferreds, _) = serving(listen());
    busy.engine.set_max_connections(1, Overload::Wait);
    let mut first = busy.connect();
    first.send(get("/defer"));
    let _deferred = receive(&mut busy, &deferreds);
    let mut queued = Client::connect(busy.engine.transport().server_address());
    queued.send(get("/"));
    busy.settle();
    let handle = busy.engine.shutdown_handle();
    handle.request_drain(Duration::from_secs(5)); // less than a response may take
    busy.pass(Duration::from_secs(1));
    assert_eq!(handle.drained(), None);
    busy.pass(Duration::from_secs(5));
    assert_eq!(handle.drained(), Some(drained(0, 1, 0)));
    assert!(is_reset(&mut first) && is_reset(&mut queued));
}

/// SHUT-14: new clients cannot hold the drain up. It takes as many as the queue can have held.
#[test]
fn as_many_are_taken_as_the_queue_can_hold() {
    let tcp = Tcp::new("127.0.0.1:0").and_then(|tcp| tcp.request_queue_size(2).bind_and_activate());
    let (mut pages, ..) = serving(tcp.expect("a free port"));
    let address = pages.engine.transport().server_address();
    let mut clients = vec![Client::connect(address)];
    clients[0].send(get("/"));
    pages.overlook();
    begin_drain(&mut pages);
    while let Ok(client) = std::net::TcpStream::connect(address) {
        clients.push(Client(client));
        let last = clients.last_mut().expect("one");
        last.send(get("/"));
        pages.turn();
        assert!(clients.len() < 9, "it goes on and on");
    }
    let accepted = pages.engine.stats().accepted as usize;
    assert!((1..=3).contains(&accepted), "{accepted}");
    let answered = clients.iter_mut().take(accepted);
    answered.for_each(|client| expect_goodbye(&mut pages, client, "hello"));
}

/// REQ-3, LOOP-14: neither a shortage nor the end of the listener breaks the drain off.
#[test]
fn a_listener_that_fails_does_not_end_the_drain() {
    const EMFILE: i32 = 24;
    let (mut pages, deferreds, faults) = serving(listen());
    let address = pages.engine.transport().server_address();
    let mut open = pages.connect();
    open.send(get("/defer"));
    let deferred = receive(&mut pages, &deferreds);
    let mut queued = Client::connect(address);
    queued.send(get("/"));
    pages.overlook();
    let fail = |error| faults.lock().expect("no panic").push_back(error);
    fail(io::Error::from_raw_os_error(EMFILE));
    let handle = begin_drain(&mut pages);
    assert_eq!(pages.engine.stats().shortages, 1);
    pages.pass(Duration::from_millis(5));
    expect_goodbye(&mut pages, &mut queued, "hello");
    drop(queued);

    let (mut gone, deferreds_2, faults) = serving(listen());
    let mut waiting = gone.connect();
    waiting.send(get("/defer"));
    let deferred_2 = receive(&mut gone, &deferreds_2);
    faults
        .lock()
        .expect("no panic")
        .push_back(ErrorKind::InvalidInput.into());
    let ended = begin_drain(&mut gone);
    for (pages, deferred, client, handle) in [
        (&mut pages, deferred, &mut open, handle),
        (&mut gone, deferred_2, &mut waiting, ended),
    ] {
        respond(deferred);
        expect_goodbye(pages, client, "late");
        client.shutdown_write();
        pages.until(|_| handle.drained().is_some());
        assert_eq!(handle.drained().expect("it is").aborted, 0);
    }
}

/// SHUT-14: the terms of a request that a worker has had since before the drain are those of that
/// moment. Its response says goodbye all the same, and so do those that are queued.
#[test]
fn a_worker_that_was_busy_says_goodbye() {
    let (deferreds, _received) = channel();
    let trace = Trace::default();
    let handler = Handler {
        trace: trace.clone(),
        deferreds: Arc::new(Mutex::new(deferreds)),
        stopper: Arc::default(),
    };
    let http = ThreadedHttp::new(handler, HttpSettings::default(), Pool::new().threads(1));
    let server = Server::new(listen(), Evented::new(http)).expect("a poll");
    let server = run(server, None);
    let mut clients = [(); 3].map(|()| Client::connect(server.address));
    clients[0].send(get("/hold"));
    trace.wait_for("held", 1);
    clients[1].send(get("/"));
    clients[2].send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let handle = server.handle.clone();
    let drain = spawn(move || handle.drain(ENDLESS));
    let mut late = None;
    wait_until("closed", || {
        late = std::net::TcpStream::connect(server.address).ok();
        late.is_none()
    });
    trace.note("go");
    for client in &mut clients {
        expect_last(client, "hello");
    }
    drop(clients);
    let drained = drain.join().expect("it drains");
    assert_eq!((drained.broken_off, drained.aborted), (0, 0));
    server.returned();
}

/// SHUT-14: datagrams that lie in the socket get their replies.
#[test]
fn datagrams_that_have_arrived_are_answered() {
    let shout = |_: &std::net::SocketAddr| {
        |rfile: &mut dyn Rfile, wfile: &mut dyn Write| {
            let mut text = String::new();
            rfile.read_to_string(&mut text)?;
            wfile.write_all(text.to_uppercase().as_bytes())?;
            Ok(())
        }
    };
    let server = UdpServer::bind("127.0.0.1:0", shout).expect("a free port");
    let clients = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a free port"));
    for client in &clients {
        client.set_read_timeout(Some(PATIENCE)).expect("a limit");
        client
            .send_to(b"hello", server.server_address())
            .expect("sent");
    }
    server.shutdown_handle().request_drain(ENDLESS);
    run(server, LONG).returned();
    for client in &clients {
        let mut bytes = [0; 16];
        let count = client.recv(&mut bytes).expect("a reply");
        assert_eq!(text(&bytes[..count]), "HELLO");
    }
}

/// Clients that break off are not counted among those that were served.
#[test]
fn who_breaks_off_is_counted_apart() {
    let (mut pages, deferreds, _) = serving(listen());
    let mut mid_head = pages.connect();
    mid_head.send("GET / HT");
    let mut mid_body = pages.connect();
    mid_body.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo");
    let mut resets = pages.connect();
    resets.send(get("/defer"));
    let mut served = pages.connect();
    served.send(get("/defer"));
    let _idle = pages.connect();
    pages.settle();
    let waiting = [(); 2].map(|()| receive(&mut pages, &deferreds));
    let handle = begin_drain(&mut pages);
    mid_head.shutdown_write();
    drop(mid_body);
    resets.reset();
    for deferred in waiting {
        pages.until(|pages| pages.open_connections() <= 1);
        // Err: the one that was reset.
        let _ = deferred.respond(|response| response.send_response(200).body("late"));
    }
    expect_goodbye(&mut pages, &mut served, "late");
    drop(served);
    pages.until(|_| handle.drained().is_some());
    let mut report = drained(2, 0, 0);
    report.broken_off = 3;
    assert_eq!(handle.drained(), Some(report));
}

/// SHUT-14: a blocking server serves its queue as well, on any kind of stream.
#[cfg(unix)]
#[test]
fn the_queue_of_a_unix_socket_is_served() {
    use serve_forever::socketserver::{UnixAddress, UnixStreamServer};
    use std::os::unix::net::UnixStream;

    let path = std::env::temp_dir().join(format!("serve_forever-drain-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let echo = |_: &UnixAddress| {
        |rfile: &mut dyn Rfile, wfile: &mut dyn Write| {
            let mut line = String::new();
            rfile.read_line(&mut line)?;
            wfile.write_all(line.as_bytes())?;
            Ok(())
        }
    };
    let server = UnixStreamServer::bind(&path, echo).expect("a free path");
    let clients = ["one\n", "two\n", "three\n"].map(|line| {
        let mut client = UnixStream::connect(&path).expect("a listener");
        client.set_read_timeout(Some(PATIENCE)).expect("a limit");
        client.write_all(line.as_bytes()).expect("sent");
        (client, line)
    });
    std::fs::remove_file(&path).expect("it is there");
    let handle = server.shutdown_handle();
    handle.request_drain(ENDLESS);
    run(server, LONG).returned();
    for (mut client, line) in clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer, line);
    }
    assert_eq!(handle.drained(), Some(drained(3, 0, 0)));
}

/// SHUT-14: an inherited listener keeps its queue. Others may go on with it.
#[test]
fn an_inherited_listener_stays_as_it_is() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let ours = listener.try_clone().expect("a descriptor");
    let (mut pages, ..) = serving(Tcp::from_listener(ours).expect("a listener"));
    let address = pages.engine.transport().server_address();
    let handle = begin_drain(&mut pages);
    assert_eq!(handle.drained(), Some(drained(0, 0, 0)));
    let clients = [(); 9].map(|()| connect(address)); // none of them has to wait
    listener.set_nonblocking(false).expect("an option");
    for client in &clients {
        let (_, accepted) = listener.accept().expect("a client");
        assert_eq!(accepted, client.local_addr().expect("connected"));
    }
}
