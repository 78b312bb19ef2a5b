//! Servers in other people's loops, and other people's sources in ours: RT-1, RT-4, RT-5, RT-6,
//! RT-7, SRV-5, REQ-12, REQ-17.
//!
//! The ways are those of the examples `embed_in_your_poll`, `embed_as_one_fd`, `game_tick`,
//! `two_servers_one_loop` and `hooks`. Nothing here waits but in a poll, and no wait is longer
//! than the limit.
#![cfg(feature = "server")]

mod support;

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::iter;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use serve_forever::http::{
    self, Deferred, Http, HttpRequestHandler, HttpResult, HttpSettings, Request, Response,
};
use serve_forever::reactor::{self, EventLoop, Now, Reactor, Slot};
use serve_forever::socketserver::{
    Buffer, Defaults, Engine, Evented, HandlerResult, Hooks, Next, Overload, Pool, Protocol,
    Server, ServerHandle, Tcp, Transport, Turn,
};
use support::client::{connect, read_through};
use support::patience::{LONG, PATIENCE, spawn, wait_until};
use support::server::run;
use support::trace::Trace;
use support::transport::Intercepted;

fn page(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    response.send_response(200).body(request.path())
}

type Page = fn(&Request<'_>, Response<'_>) -> HttpResult;
type Pages = Evented<Tcp, Http<Page>>;

fn pages() -> Pages {
    Evented::new(Http::new(page, HttpSettings::default()))
}

fn listen() -> Tcp {
    http::listen("127.0.0.1:0").expect("a free port")
}

/// One request and its answer, on a connection that stays open.
fn get(client: &mut TcpStream, path: &str) {
    write!(client, "GET {path} HTTP/1.1\r\nHost: h.test\r\n\r\n").expect("sent");
    let answer = read_through(client, format!("\r\n\r\n{path}"));
    assert!(answer.starts_with("HTTP/1.1 200 "));
}

/// Answers each line.
struct Echo;

impl Protocol for Echo {
    type Message = std::convert::Infallible;

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next {
        output.extend_from_slice(input);
        input.clear();
        Next::Read
    }
}

fn echo(client: &mut TcpStream, text: &str) {
    client.write_all(text.as_bytes()).expect("sent");
    let mut echo = vec![0; text.len()];
    client.read_exact(&mut echo).expect("an answer");
    assert_eq!(echo, text.as_bytes());
}

fn socket() -> UdpSocket {
    UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port")
}

fn send(text: &str, address: SocketAddr) {
    let sender = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    sender.send_to(text.as_bytes(), address).expect("sent");
}

// A guest.

const WAKER: Token = Token(0);
const DATAGRAMS: Token = Token(1);
const GUEST: usize = 100;

/// A program that has a poll, with a source of its own in it, and a web server as its guest.
struct Host {
    poll: Poll,
    events: Events,
    datagrams: UdpSocket,
    /// What it got.
    received: Vec<String>,
    engine: Engine<Tcp, Pages, Defaults>,
}

impl Host {
    fn new() -> Host {
        let poll = Poll::new().expect("a poll");
        let registry = poll.registry();
        let waker = Arc::new(Waker::new(registry, WAKER).expect("a waker"));
        let mut datagrams = socket();
        registry
            .register(&mut datagrams, DATAGRAMS, Interest::READABLE)
            .expect("registered");
        let (tcp, hooks, tokens) = (listen(), Defaults::default(), GUEST..GUEST + 20);
        let engine = Engine::attach(tcp, pages(), hooks, registry, waker, tokens);
        let mut engine = engine.expect("attached");
        engine.set_poll_interval(None);
        Host {
            poll,
            events: Events::with_capacity(16),
            datagrams,
            received: Vec::new(),
            engine,
        }
    }

    fn address(&self) -> SocketAddr {
        self.engine.transport().server_address()
    }

    /// Once round the host's loop, in which the guest is told that it is `now`.
    fn round(&mut self, now: Instant) -> Turn {
        let timeout = self.engine.timeout(now).unwrap_or(PATIENCE);
        self.poll
            .poll(&mut self.events, Some(timeout.min(PATIENCE)))
            .expect("a wait");
        for event in &self.events {
            let guests = self.engine.feed(event);
            assert_eq!(guests, event.token().0 >= GUEST, "RT-4");
            if event.token() == DATAGRAMS {
                let mut bytes = [0; 64];
                while let Ok(count) = self.datagrams.recv(&mut bytes) {
                    let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                    self.received.push(text);
                }
            }
        }
        self.engine.turn(now).expect("no failure")
    }
}

/// RT-4, RT-5, REQ-17: the host's source and the guest's connections in one poll.
#[test]
fn a_guest_beside_a_source_of_the_hosts() {
    let mut host = Host::new();
    let address = host.address();
    let datagrams = host.datagrams.local_addr().expect("bound");
    let stop = host.engine.shutdown_handle();
    let clients = spawn(move || {
        let mut clients = [connect(address), connect(address)];
        for path in ["/one", "/two"] {
            clients.iter_mut().for_each(|client| get(client, path));
            send(path, datagrams);
        }
        stop.request();
    });
    wait_until("stopped", || host.round(Instant::now()) == Turn::Shutdown);
    clients.join();
    // The guest has nothing to do any more, so each round waits for the host's own source.
    wait_until("received", || {
        host.received.len() == 2 || {
            host.round(Instant::now());
            false
        }
    });
    assert_eq!(host.received, ["/one", "/two"]);
}

/// RT-7, STREAM-9: a guest's deadlines do not show in the poll; `timeout` tells them, and they
/// hold, whatever a slow client sends.
#[test]
fn a_guest_tells_its_deadlines() {
    let mut host = Host::new();
    assert_eq!(host.engine.timeout(Instant::now()), Some(Duration::ZERO));
    let mut now = Instant::now();
    while host.round(now) != Turn::Idle {}
    assert_eq!(host.engine.timeout(now), None);

    let mut silent = connect(host.address());
    wait_until("accepted", || host.round(now) == Turn::Iteration);
    while host.engine.timeout(now) == Some(Duration::ZERO) {
        host.round(now);
    }
    // A byte now and then is no progress.
    let head = HttpSettings::default().deadlines.head;
    let (began, mut slept) = (now, Duration::ZERO);
    for byte in [b"G", b"E"] {
        let timeout = host.engine.timeout(now).expect("a deadline");
        slept += timeout / 2;
        assert!(slept <= head, "{slept:?}");
        now = began + slept;
        silent.write_all(byte).expect("sent");
        wait_until("read", || host.round(now) == Turn::Iteration);
    }
    now = began + head;
    wait_until("given up", || {
        host.engine.turn(now).expect("no failure");
        host.engine.dispatch().open_connections() == 0 || {
            now += host.engine.timeout(now).unwrap_or_default();
            false
        }
    });
    let mut rest = String::new();
    silent.read_to_string(&mut rest).expect("the end");
    assert!(
        rest.is_empty() || rest.starts_with("HTTP/1.1 408 "),
        "{rest}"
    );
}

/// RT-14: a guest that was stopped lets its host sleep, although a client waits and the interval is
/// over; and it goes on where it was when the request is taken back.
#[test]
fn a_stopped_guest_lets_its_host_sleep() {
    let mut host = Host::new();
    let now = Instant::now();
    while host.round(now) != Turn::Idle {}
    host.engine
        .set_poll_interval(Some(Duration::from_millis(1)));
    let mut client = connect(host.address());
    host.engine.shutdown_handle().request();
    assert_eq!(host.engine.timeout(now), None);
    assert_eq!(
        host.round(now),
        Turn::Shutdown,
        "the request wakes the poll"
    );
    let later = now + Duration::from_secs(60);
    assert_eq!(host.engine.turn(later).expect("no failure"), Turn::Shutdown);
    assert_eq!(host.engine.timeout(later), None);

    host.engine.clear_shutdown_request();
    assert_eq!(host.engine.timeout(later), Some(Duration::ZERO));
    let stop = host.engine.shutdown_handle();
    let job = spawn(move || {
        get(&mut client, "/one");
        stop.request();
    });
    wait_until("stopped", || host.round(Instant::now()) == Turn::Shutdown);
    job.join();
}

// One descriptor.

/// SRV-5, RT-5: clients, messages and a shutdown all show in the one descriptor.
#[cfg(target_os = "linux")]
#[test]
fn a_server_is_one_descriptor() {
    use std::os::fd::{AsFd, AsRawFd};

    let mut server = Server::new(listen(), pages()).expect("a poll");
    server.engine_mut().set_poll_interval(None);
    let descriptor = server.as_fd().as_raw_fd();
    let mut foreign = Poll::new().expect("a poll");
    let mut events = Events::with_capacity(4);
    let mut source = mio::unix::SourceFd(&descriptor);
    foreign
        .registry()
        .register(&mut source, Token(7), Interest::READABLE)
        .expect("registered");

    let (address, stop) = (server.server_address(), server.shutdown_handle());
    let clients = spawn(move || {
        let mut clients = [connect(address), connect(address)];
        for path in ["/one", "/two", "/three"] {
            clients.iter_mut().for_each(|client| get(client, path));
        }
        stop.request();
    });
    // What is asked for within a turn comes in the next without any event.
    let mut turn = Turn::Idle;
    wait_until("stopped", || {
        let timeout = server.timeout();
        foreign
            .poll(&mut events, Some(timeout.unwrap_or(PATIENCE).min(PATIENCE)))
            .expect("a wait");
        if timeout.is_none_or(|timeout| timeout > PATIENCE) {
            assert!(!events.is_empty(), "waited in vain after {turn:?}");
        }
        turn = server.turn().expect("no failure");
        turn == Turn::Shutdown
    });
    clients.join();
}

/// Whether a level-triggered poller would report the server.
#[cfg(target_os = "linux")]
fn is_reported(server: &impl std::os::fd::AsRawFd) -> bool {
    let mut foreign = Poll::new().expect("a poll"); // a new registration reports the level
    let descriptor = server.as_raw_fd();
    let mut source = mio::unix::SourceFd(&descriptor);
    let registered = foreign
        .registry()
        .register(&mut source, Token(7), Interest::READABLE);
    registered.expect("registered");
    let mut events = Events::with_capacity(1);
    let looked = foreign.poll(&mut events, Some(Duration::ZERO));
    looked.expect("a look");
    !events.is_empty()
}

/// RT-14, SRV-5: whatever state it is in, a server in a foreign poller comes to rest: it neither asks for
/// a turn nor is reported, although clients wait that it cannot take.
#[cfg(target_os = "linux")]
#[test]
fn a_server_in_a_foreign_poller_comes_to_rest() {
    let (whims, gate) = Whims::new();
    let dispatch = Evented::new(Http::new(whims.clone(), HttpSettings::default()));
    let mut server = Server::new(listen(), dispatch).expect("a poll");
    let (address, handle) = (server.server_address(), server.shutdown_handle());
    let rest = |server: &mut Server<_, _>, what: &str| {
        for _ in 0..10_000 {
            let turn = server.turn().expect("no failure");
            let asks = server.timeout() == Some(Duration::ZERO);
            if turn != Turn::Iteration && !asks && !is_reported(server) {
                return turn;
            }
        }
        panic!("{what}: it never rests");
    };
    let come = |bytes: &str| {
        let mut client = connect(address);
        client.write_all(bytes.as_bytes()).expect("sent");
        client
    };
    const WORK: &str = "GET /work HTTP/1.1\r\nHost: h\r\n\r\n";

    let mut clients = vec![come("G"), come(WORK), come("")];
    wait_until("at work", || {
        rest(&mut server, "serving");
        whims.workers.live_threads() == 1
    });
    server.set_max_connections(0, Overload::Wait);
    clients.push(come("G"));
    assert_eq!(rest(&mut server, "full"), Turn::Idle);
    handle.request();
    assert_eq!(rest(&mut server, "stopped"), Turn::Shutdown);
    clients.push(come("G"));
    clients[0].write_all(b"ET").expect("sent");
    clients.remove(2);
    assert_eq!(
        rest(&mut server, "stopped, and clients go on"),
        Turn::Shutdown
    );
    server.engine_mut().clear_shutdown_request();
    assert_eq!(rest(&mut server, "serving again"), Turn::Idle);
    handle.request_drain(LONG);
    assert_eq!(rest(&mut server, "draining, no room"), Turn::Idle);
    assert_eq!(handle.drained(), None, "a worker is busy");
    server.engine_mut().server_close();
    assert_eq!(rest(&mut server, "closed"), Turn::Shutdown);
    drop((gate, clients));
    assert_eq!(
        rest(&mut server, "closed, and the clients leave"),
        Turn::Shutdown
    );
}

/// RT-14: a host that counts in milliseconds does not wake before a deadline.
#[test]
fn a_timeout_is_a_whole_number_of_milliseconds() {
    let mut server = Server::new(listen(), pages()).expect("a poll");
    let address = server.server_address();
    assert_eq!(server.timeout(), Some(Duration::ZERO), "somebody may wait");
    let client = connect(address); // it has a deadline for its request
    wait_until("accepted", || {
        server.turn().expect("no failure");
        server.engine().dispatch().open_connections() == 1
    });
    wait_until("idle", || server.turn().expect("no failure") == Turn::Idle);
    // Each look is at another time, so by chance one of them may be whole already, but not all.
    for _ in 0..20 {
        let timeout = server.timeout().expect("a deadline");
        assert!(!timeout.is_zero());
        assert_eq!(timeout.subsec_nanos() % 1_000_000, 0, "{timeout:?}");
    }
    drop(client);
}

/// RT-5: a frame sleeps until somebody wants something. It serves everybody, and ends with its time or
/// with the server.
#[test]
fn a_frame_is_served_to_its_end() {
    let mut server = Server::new(listen(), pages()).expect("a poll");
    server.set_poll_interval(None);
    let (address, stop) = (server.server_address(), server.shutdown_handle());
    for frame in 0..3 {
        let end = Instant::now() + Duration::from_millis(frame); // the first is over already
        assert_ne!(server.serve_frame(end).expect("no failure"), Turn::Shutdown);
        assert!(Instant::now() >= end);
    }
    assert!(server.stats().turns >= 3, "each frame has a turn");
    let client = spawn(move || {
        let mut clients: Vec<_> = (0..3).map(|_| connect(address)).collect();
        for path in ["/one", "/two", "/three"] {
            clients.iter_mut().for_each(|client| get(client, path));
        }
        stop.request();
    });
    // The frame is so long that it ends with the server.
    let turn = server.serve_frame(Instant::now() + PATIENCE);
    assert_eq!(turn.expect("no failure"), Turn::Shutdown);
    client.join();
}

// A turn a frame.

/// RT-6, LOOP-10: each frame lets one client in, and serves all who are connected.
#[test]
fn a_frame_admits_one_and_serves_all() {
    let mut server = Server::new(listen(), pages()).expect("a poll");
    server.engine_mut().set_poll_interval(None);
    let mut clients: Vec<_> = (0..5).map(|_| connect(server.server_address())).collect();
    for admitted in 1..=clients.len() {
        assert_eq!(server.turn().expect("no failure"), Turn::Iteration);
        let open = server.engine().dispatch().open_connections();
        assert_eq!(open, admitted);
    }
    for client in &mut clients {
        client
            .write_all(b"GET /frame HTTP/1.1\r\nHost: h.test\r\n\r\n")
            .expect("sent");
    }
    // On loopback a segment may take its time to arrive, but no frame takes one of the game's.
    let answers = spawn(move || {
        for mut client in clients {
            let mut answer = [0; 12];
            client.read_exact(&mut answer).expect("an answer");
            assert_eq!(&answer, b"HTTP/1.1 200");
        }
    });
    let mut frames = 0;
    wait_until("idle", || {
        frames += 1;
        server.turn().expect("no failure");
        server.engine().dispatch().open_connections() == 0
    });
    answers.join();
    assert!(frames > 1, "they left after they were served");
}

// Two servers on one loop.

/// RT-4: two engines share a poll and its waker; each takes its own events, and a shutdown of one
/// is not the other's.
#[test]
fn two_engines_share_a_poll() {
    let mut event_loop = EventLoop::new().expect("a poll");
    let (registry, waker) = (event_loop.registry(), event_loop.waker());
    let hooks = Defaults::default;
    let admin = Engine::attach(listen(), pages(), hooks(), registry, waker, 0..10);
    let mut admin = admin.expect("attached");
    let waker = event_loop.waker();
    let echoes = Evented::new(|_: &SocketAddr| Echo);
    let echoing = Engine::attach(listen(), echoes, hooks(), registry, waker, 10..20);
    let mut echoing = echoing.expect("attached");

    let admin_address = admin.transport().server_address();
    let echo_address = echoing.transport().server_address();
    let (stop_admin, stop_echoing) = (admin.shutdown_handle(), echoing.shutdown_handle());
    let trace = Trace::default();
    let turns = trace.clone();
    let clients = spawn(move || {
        let (mut web, mut line) = (connect(admin_address), connect(echo_address));
        for text in ["/one", "/two"] {
            get(&mut web, text);
            echo(&mut line, text);
        }
        stop_admin.request();
        turns.wait_for("admin ended", 1);
        echo(&mut line, "three");
        stop_echoing.request();
    });
    let mut admin_ended = false;
    wait_until("ended", || {
        let now = Instant::now();
        // A guest that was stopped wants no turns: it would say so again and again.
        let admins = admin.timeout(now).filter(|_| !admin_ended);
        let timeouts = [admins, echoing.timeout(now), Some(PATIENCE)];
        event_loop
            .wait(timeouts.into_iter().flatten().min(), |event| {
                let taken = [admin.feed(event), echoing.feed(event)];
                assert_ne!(taken, [true, true]);
            })
            .expect("a wait");
        let now = Instant::now();
        if !admin_ended && admin.turn(now).expect("no failure") == Turn::Shutdown {
            admin_ended = true;
            trace.note("admin ended");
        }
        echoing.turn(now).expect("no failure") == Turn::Shutdown
    });
    clients.join();
    assert!(admin_ended);
}

// The program's own sources on the server's loop.

enum Feed {
    Datagrams(UdpSocket),
    Ticker,
    Messages(Receiver<&'static str>),
}

/// Hooks with sources of their own, which note what comes.
struct Feeds {
    feeds: HashMap<Slot, Feed>,
    trace: Trace,
}

impl Hooks<Tcp> for Feeds {
    fn ready(&mut self, slot: Slot, reactor: &mut Reactor, now: &Now) -> HandlerResult {
        match self.feeds.get(&slot).expect("one of ours") {
            Feed::Datagrams(socket) => {
                let mut bytes = [0; 64];
                match socket.recv(&mut bytes) {
                    Ok(count) => {
                        let text = String::from_utf8_lossy(&bytes[..count]);
                        self.trace.note(format!("datagram {text}"));
                        reactor.enqueue(slot);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Feed::Ticker => {
                let readiness = reactor.readiness(slot).expect("open");
                assert!(std::mem::take(&mut readiness.timeout));
                self.trace.note("tick");
                reactor.arm(slot, now + Duration::from_millis(1));
            }
            Feed::Messages(messages) => {
                for message in messages.try_iter() {
                    self.trace.note(format!("message {message}"));
                }
            }
        }
        Ok(())
    }

    fn service_actions(&mut self, _reactor: &mut Reactor, _now: &Now) -> HandlerResult {
        self.trace.note("service");
        Ok(())
    }

    fn handle_error(&mut self, _: &(dyn Error + Send + Sync), _: &SocketAddr) -> HandlerResult {
        self.trace.note("error");
        Ok(())
    }
}

fn with_feeds(trace: &Trace) -> Server<Tcp, Pages, Feeds> {
    let (feeds, trace) = (HashMap::new(), trace.clone());
    Server::with_hooks(listen(), pages(), Feeds { feeds, trace }).expect("a poll")
}

/// RT-1, RT-5, RT-7, LOOP-13: a socket, a timer and another thread each give the program its turn
/// between the clients, and each such turn is an iteration.
#[test]
fn a_programs_own_sources_are_served_through_the_hooks() {
    let trace = Trace::default();
    let mut server = with_feeds(&trace);
    let reactor = server.engine_mut().reactor_mut();
    let mut datagrams = socket();
    let address = datagrams.local_addr().expect("bound");
    // Some are there before anybody looks, and all arrive, although there is one a turn.
    for text in ["one", "two", "three"] {
        send(text, address);
    }
    let socket_slot = reactor.open().expect("a slot");
    reactor
        .register(socket_slot, &mut datagrams, Interest::READABLE)
        .expect("registered");
    let ticker_slot = reactor.open().expect("a slot");
    reactor.arm(ticker_slot, Instant::now());
    let messages_slot = reactor.open().expect("a slot");
    let doorbell = reactor.doorbell(messages_slot);
    let (sender, messages) = channel();
    server.engine_mut().hooks_mut().feeds = HashMap::from([
        (socket_slot, Feed::Datagrams(datagrams)),
        (ticker_slot, Feed::Ticker),
        (messages_slot, Feed::Messages(messages)),
    ]);
    sender.send("early").expect("received later");
    doorbell.ring();

    let server = run(server, LONG);
    for datagram in ["one", "two", "three"] {
        trace.wait_for(&format!("datagram {datagram}"), 1);
    }
    trace.wait_for("message early", 1);
    let mut client = connect(server.address);
    for text in ["four", "five"] {
        get(&mut client, "/between");
        send(text, address);
        trace.wait_for(&format!("datagram {text}"), 1);
        spawn({
            let (sender, doorbell) = (sender.clone(), doorbell.clone());
            move || {
                sender.send(text).expect("received");
                doorbell.ring();
            }
        });
        trace.wait_for(&format!("message {text}"), 1);
    }
    trace.wait_for("tick", 5);
    server.stop();
    assert!(trace.count("service") >= 5);
    assert_eq!(trace.count("error"), 0);
}

/// RT-5, SRV-2: hooks open their sources when the server is put together. A handler on the same loop
/// sends them messages, and they need no other method.
#[test]
fn a_handler_reaches_the_hooks_on_its_loop() {
    struct Desk {
        questions: reactor::Receiver<Deferred>,
        may_open: bool,
    }

    impl Hooks<Tcp> for Desk {
        fn attach(&mut self, _: &ServerHandle, reactor: &mut Reactor) -> io::Result<()> {
            if !self.may_open {
                return Err(ErrorKind::PermissionDenied.into());
            }
            self.questions.open(reactor).map(drop)
        }

        fn ready(&mut self, slot: Slot, _: &mut Reactor, _: &Now) -> HandlerResult {
            assert!(self.questions.is_at(slot));
            while let Some(client) = self.questions.receive() {
                client.respond(|response| response.send_response(200).body("answered"))?;
            }
            Ok(())
        }
    }

    let attach = |may_open| {
        let (ask, questions) = reactor::channel(4);
        let page = move |_: &Request<'_>, response: Response<'_>| {
            let (client, reply) = response.defer();
            assert!(ask.send(client).is_ok());
            Ok(reply)
        };
        let dispatch = Evented::new(Http::new(page, HttpSettings::default()));
        let desk = Desk {
            questions,
            may_open,
        };
        Server::with_hooks(listen(), dispatch, desk)
    };
    let refused = attach(false).map(drop).map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::PermissionDenied));
    let server = run(attach(true).expect("a server"), LONG);
    let mut client = connect(server.address);
    for _ in 0..2 {
        write!(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").expect("sent");
        let answer = read_through(&mut client, "\r\n\r\nanswered");
        assert!(answer.starts_with("HTTP/1.1 200 "));
    }
}

/// REQ-12, REQ-14: they are served while `handle_request` waits, too, and end no wait.
#[test]
fn own_sources_go_on_while_a_request_is_waited_for() {
    let trace = Trace::default();
    let mut server = with_feeds(&trace);
    let reactor = server.engine_mut().reactor_mut();
    let slot = reactor.open().expect("a slot");
    let doorbell = reactor.doorbell(slot);
    let (sender, messages) = channel();
    let feeds = HashMap::from([(slot, Feed::Messages(messages))]);
    server.engine_mut().hooks_mut().feeds = feeds;
    let (address, noted) = (server.server_address(), trace.clone());
    let client = spawn(move || {
        for message in ["one", "two"] {
            sender.send(message).expect("received");
            doorbell.ring();
            noted.wait_for(&format!("message {message}"), 1);
        }
        let mut client = connect(address);
        get(&mut client, "/last");
        client
    });
    server.handle_request(PATIENCE).expect("no failure");
    assert_eq!(server.engine().dispatch().open_connections(), 1);
    client.join();
    assert_eq!(trace.take(), "message one message two");
}

/// Numbers that look random and are the same in each run.
struct Numbers(u32);

impl Numbers {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) % end
    }
}

/// A host with a guest that has four places, and clients that do what they like.
struct Household {
    event_loop: EventLoop,
    engine: Engine<Faulty, Evented<Faulty, Http<Whims>>, Defaults>,
    whims: Whims,
    faults: Faults,
    /// Lets a job of a worker end.
    gate: Sender<()>,
    clients: Vec<TcpStream>,
    own: Vec<Slot>,
    now: Instant,
}

/// A transport whose next accepts can be made to fail.
type Faulty = Intercepted<mio::net::TcpStream>;

type Faults = Arc<Mutex<VecDeque<io::Error>>>;

/// Serves what it is asked for: at once, much, later, on a worker, or for ever.
#[derive(Clone)]
struct Whims {
    deferreds: Arc<Mutex<Vec<Deferred>>>,
    workers: Pool,
    gate: Arc<Mutex<Receiver<()>>>,
}

impl Whims {
    /// One worker, and room for one job more.
    fn new() -> (Whims, Sender<()>) {
        let (open, gate) = channel();
        let whims = Whims {
            deferreds: Arc::default(),
            workers: Pool::new().threads(1).queue_length(1),
            gate: Arc::new(Mutex::new(gate)),
        };
        (whims, open)
    }
}

impl HttpRequestHandler for Whims {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        match request.path() {
            "/large" => response.send_response(200).body(vec![7; 300_000]),
            "/stream" => response
                .send_response(200)
                .stream(iter::repeat([7; 99_999])),
            "/later" => {
                let (deferred, reply) = response.defer();
                self.deferreds.lock().expect("no panic").push(deferred);
                Ok(reply)
            }
            "/work" => {
                let gate = Arc::clone(&self.gate);
                response.offload(&self.workers, move |response| {
                    // Err: the test is over.
                    let _ = gate.lock().expect("no panic").recv();
                    response.send_response(200).body("done")
                })
            }
            path => response.send_response(200).body(path),
        }
    }
}

impl Household {
    fn new() -> Household {
        let (whims, gate) = Whims::new();
        let faults = Faults::default();
        let next = Arc::clone(&faults);
        let transport = Intercepted::new(listen(), move |tcp: &mut Tcp| {
            let fault = next.lock().expect("no panic").pop_front();
            fault.map_or_else(|| tcp.get_request(), Err)
        });
        let event_loop = EventLoop::new().expect("a poll");
        let dispatch = Evented::new(Http::new(whims.clone(), HttpSettings::default()));
        let (registry, waker) = (event_loop.registry(), event_loop.waker());
        let engine = Engine::attach(
            transport,
            dispatch,
            Defaults::default(),
            registry,
            waker,
            7..13,
        );
        Household {
            event_loop,
            engine: engine.expect("attached"),
            whims,
            faults,
            gate,
            clients: Vec::new(),
            own: Vec::new(),
            now: Instant::now(),
        }
    }

    /// Something happens.
    fn happen(&mut self, numbers: &mut Numbers) {
        const EMFILE: i32 = 24;
        const BYTES: [&str; 7] = [
            "GET /work HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /large HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /later HTTP/1.1\r\nHost: h\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",
            "G",
        ];
        let Household { engine, .. } = self;
        let which = numbers.below(self.clients.len().max(1) as u32) as usize;
        match numbers.below(16) {
            0 | 1 if self.clients.len() < 8 => {
                // While it drains, nobody gets in.
                let client = TcpStream::connect(engine.transport().server_address());
                self.clients.extend(client);
            }
            2 | 3 if !self.clients.is_empty() => {
                let bytes = BYTES[numbers.below(7) as usize];
                // Ignore the error: the server may have closed the connection.
                let _ = self.clients[which].write_all(bytes.as_bytes());
            }
            4 if !self.clients.is_empty() => drop(self.clients.swap_remove(which)),
            5 if !self.clients.is_empty() => {
                // Ignore the error: the server may have reset the connection.
                let _ = self.clients[which].shutdown(Shutdown::Write);
            }
            6 => {
                let overloads = [Overload::Wait, Overload::Shed];
                let overload = overloads[numbers.below(2) as usize];
                engine.set_max_connections(numbers.below(6) as usize, overload);
                let limits = [1, 2, 4, usize::MAX];
                engine.set_max_connections_per_address(limits[numbers.below(4) as usize]);
            }
            7 => engine.set_poll_interval((numbers.below(2) == 0).then_some(LONG)),
            8 => {
                let reactor = engine.reactor_mut();
                if let Ok(slot) = reactor.open() {
                    reactor.doorbell(slot).ring();
                    reactor.arm(slot, self.now + PATIENCE);
                    self.own.push(slot);
                }
            }
            9 if !self.own.is_empty() => engine.reactor_mut().release(self.own.remove(0)),
            10 => self.now += Duration::from_secs(u64::from(numbers.below(40))),
            11 => {
                let deferred = self.whims.deferreds.lock().expect("no panic").pop();
                if let Some(deferred) = deferred {
                    // Ignore the error: the client may have disconnected.
                    let _ = deferred.respond(|response| response.send_response(200).body("now"));
                }
            }
            12 => {
                let shortages =
                    (0..=numbers.below(2)).map(|_| io::Error::from_raw_os_error(EMFILE));
                self.faults.lock().expect("no panic").extend(shortages);
            }
            13 => self.gate.send(()).expect("the workers have the other end"),
            14 => engine.shutdown_handle().request(),
            15 if numbers.below(2) == 0 => engine.clear_shutdown_request(),
            15 => drop(engine.begin_run()), // Err: the server is closed
            _ => {}
        }
    }

    /// Gives the guest its turns until it does nothing, or has stopped.
    fn settle(&mut self, what: &str) -> Turn {
        for _ in 0..10_000 {
            let engine = &mut self.engine;
            let waited = self.event_loop.wait(Some(Duration::ZERO), |event| {
                engine.feed(event);
            });
            waited.expect("a poll");
            let turn = engine.turn(self.now).expect("no failure stops it");
            if turn != Turn::Iteration {
                let timeout = engine.timeout(self.now);
                assert_ne!(
                    timeout,
                    Some(Duration::ZERO),
                    "{what}: {turn:?}, {:?}",
                    engine.stats()
                );
                return turn;
            }
        }
        panic!("{what}: it never rests: {:?}", self.engine.stats());
    }
}

/// RT-14, LOOP-7: after a turn that did nothing there is nothing to do, whatever has happened
/// before. A guest whose `timeout` said zero then would keep its host awake.
#[test]
fn after_a_turn_that_did_nothing_the_host_may_sleep() {
    for seed in 0..20 {
        let (mut household, mut numbers) = (Household::new(), Numbers(seed));
        for step in 0..200 {
            household.happen(&mut numbers);
            household.settle(&format!("seed {seed}, step {step}"));
        }
        household.engine.clear_shutdown_request();
        let handle = household.engine.shutdown_handle();
        handle.request_drain(PATIENCE);
        let what = format!("seed {seed}, draining");
        while handle.drained().is_none() {
            if household.settle(&what) == Turn::Shutdown {
                household.engine.clear_shutdown_request(); // a stop came between
            }
            household.happen(&mut numbers);
            household.now += Duration::from_millis(100);
        }
        assert_eq!(household.engine.stats().open, 0, "{what}");
        household.engine.server_close();
        for step in 0..50 {
            household.happen(&mut numbers);
            household.settle(&format!("seed {seed}, closed, step {step}"));
        }
    }
}
