//! One request after the other over TCP, and the engine as a guest: REQ-1 to REQ-11, HND-1 and
//! HND-2, STREAM-3 to STREAM-8, TCP-1 to TCP-12, SRV-1 to SRV-6.
#![cfg(feature = "server")]

mod support;

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mio::net::TcpListener as Source;
use mio::{Events, Interest, Poll, Token, Waker};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{
    Accepted, Buffer, Dispatch, Engine, Evented, HandlerResult, Hooks, Inline, Next, NotStopped,
    Overload, Protocol, Rfile, Server, Tcp, Transport, Turn,
};
use support::client::{answer, ask, connect, queue};
use support::missing::has_ipv6;
use support::patience::{LONG, PATIENCE, spawn, wait_until};
use support::script::{Act, Script, served};
use support::server::{Running, accept, run};
use support::trace::Trace;

// One request: REQ-1 to REQ-11, HND-1, HND-2.

/// REQ-1, REQ-5 to REQ-9, HND-1, HND-2, SRV-2, LOOP-12: the order of all hooks and steps, whatever
/// one of them does. The request is closed in any case, and the loop goes on.
#[test]
fn the_order_of_one_request() {
    use Act::{Fail, Panic, Refuse};
    for (acts, between, expected) in [
        (&[][..], "make setup handle(one) finish", "one"),
        (&[("verify", Refuse)], "", ""),
        (&[("verify", Fail)], "error(verify failed)", ""),
        (&[("verify", Panic)], "error(panicked: verify panicked)", ""),
        // Neither handle nor finish after a failed setup; finish after a failed handle (HND-1).
        (&[("setup", Fail)], "make setup error(setup failed)", ""),
        (
            &[("setup", Panic)],
            "make setup error(panicked: setup panicked)",
            "",
        ),
        (
            &[("handle", Fail)],
            "make setup handle(one) finish error(handle failed)",
            "",
        ),
        (
            &[("handle", Panic)],
            "make setup handle(one) finish error(panicked: handle panicked)",
            "",
        ),
        (
            &[("finish", Fail)],
            "make setup handle(one) finish error(finish failed)",
            "one",
        ),
        (
            &[("finish", Panic)],
            "make setup handle(one) finish error(panicked: finish panicked)",
            "one",
        ),
        // The first of two failures is the one that is reported (HND-2).
        (
            &[("handle", Fail), ("finish", Fail)],
            "make setup handle(one) finish error(handle failed)",
            "",
        ),
        (
            &[("handle", Fail), ("finish", Panic)],
            "make setup handle(one) finish error(handle failed)",
            "",
        ),
        // A failing report is no way out (REQ-9).
        (
            &[("handle", Fail), ("error", Fail)],
            "make setup handle(one) finish error(handle failed)",
            "",
        ),
        (
            &[("handle", Fail), ("error", Panic)],
            "make setup handle(one) finish error(handle failed)",
            "",
        ),
    ] {
        let script = Script::of(acts);
        let server = run(script.server(), LONG);
        let answers = ["one", "one"].map(|line| ask(server.address, line));
        server.stop();
        assert_eq!(answers, [expected; 2], "{acts:?}");
        let trace = format!("get verify {between} shutdown close service").replace("  ", " ");
        assert_eq!(
            script.trace.take(),
            [trace.clone(), trace].join(" "),
            "{acts:?}"
        );
    }
}

/// REQ-8: what stops the server is not reported; the request is closed first, and nothing follows.
#[test]
fn the_order_of_a_request_that_stops_the_server() {
    use Act::{Fail, Stop};
    for (acts, expected) in [
        (&[("verify", Stop)][..], "get verify"),
        (&[("setup", Stop)], "get verify make setup"),
        (
            &[("handle", Stop)],
            "get verify make setup handle(one) finish",
        ),
        (
            &[("finish", Stop)],
            "get verify make setup handle(one) finish",
        ),
        (
            &[("handle", Fail), ("finish", Stop)],
            "get verify make setup handle(one) finish",
        ),
        (
            &[("handle", Fail), ("error", Stop)],
            "get verify make setup handle(one) finish error(handle failed)",
        ),
    ] {
        let script = Script::of(acts);
        let server = run(script.server(), LONG);
        let client = queue(server.address, "one");
        assert_eq!(server.ended().outcome, "stop", "{acts:?}");
        answer(client);
        assert_eq!(
            script.trace.take(),
            format!("{expected} shutdown close"),
            "{acts:?}"
        );
    }
}

/// REQ-2: an accept that fails is an iteration in which no other hook runs.
#[test]
fn a_client_that_is_lost_before_it_is_accepted_is_skipped() {
    let script = Script::default();
    let lost = [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset];
    script
        .faults
        .lock()
        .expect("no panic")
        .extend(lost.map(io::Error::from));
    let server = run(script.server(), LONG);
    assert_eq!(ask(server.address, "one"), "one");
    server.stop();
    assert_eq!(
        script.trace.take(),
        format!("lost service lost service {}", served("one"))
    );
}

/// REQ-3: after a shortage nothing is accepted for 5 ms, then twice as long up to a second; and
/// once an accept finds that it has passed, the pause is over, also if no client is left.
#[cfg(unix)]
#[test]
fn a_shortage_pauses_accepting() {
    const EMFILE: i32 = 24;
    let script = Script::default();
    let shortage = || io::Error::from_raw_os_error(EMFILE);
    script
        .faults
        .lock()
        .expect("no panic")
        .extend((0..10).map(|_| shortage()));
    let mut host = Host::new();
    let mut engine = host.attach(
        script.transport(),
        Inline::new(script.factory()),
        script.clone(),
        8,
    );
    engine.set_poll_interval(None);

    let mut now = Instant::now();
    for pause in [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000].map(Duration::from_millis) {
        assert_eq!(engine.timeout(now), Some(Duration::ZERO));
        assert_eq!(engine.turn(now).expect("no failure"), Turn::Iteration);
        assert_eq!(
            engine.turn(now).expect("no failure"),
            Turn::Idle,
            "LOOP-2: it goes round"
        );
        assert_eq!(engine.timeout(now), Some(pause));
        now += pause;
    }
    assert_eq!(engine.turn(now).expect("no failure"), Turn::Idle);
    assert_eq!(
        engine.timeout(now),
        None,
        "nothing is waited for but an event"
    );

    let client = queue(engine.transport().server_address(), "one");
    host.turn_until(&mut engine, Turn::Iteration);
    assert_eq!(answer(client), "one");
    let lost = "lost service ".repeat(10);
    assert_eq!(script.trace.take(), lost + &served("one"));
}

/// REQ-7: handle_error runs before the client is told that it is over.
#[test]
fn a_failure_is_reported_before_the_client_sees_the_close() {
    #[derive(Clone, Default)]
    struct Watch {
        client: Arc<Mutex<Option<TcpStream>>>,
        trace: Trace,
    }

    impl<T: Transport> Hooks<T> for Watch {
        fn handle_error(&mut self, _: &(dyn Error + Send + Sync), _: &T::Address) -> HandlerResult {
            let client = self
                .client
                .lock()
                .expect("no panic")
                .take()
                .expect("a client");
            client.set_nonblocking(true)?;
            let peeked = client.peek(&mut [0]).map_err(|error| error.kind());
            client.set_nonblocking(false)?;
            self.trace.note(format!("{peeked:?}"));
            Ok(())
        }
    }

    let watch = Watch::default();
    let script = Script::of(&[("handle", Act::Fail)]);
    let server = Server::with_hooks(
        script.transport(),
        Inline::new(script.factory()),
        watch.clone(),
    );
    let server = run(server.expect("a poll"), LONG);
    let mut client = connect(server.address);
    *watch.client.lock().expect("no panic") = client.try_clone().ok();
    client.write_all(b"one\n").expect("sent");
    assert_eq!(answer(client), "");
    assert_eq!(watch.trace.take(), "Err(WouldBlock)");
    server.stop();
}

// The files of a request: STREAM-1 to STREAM-8.

/// A server whose handler is a function of the two files.
fn serve<F>(script: &Script, handle: F) -> Running<Server<Tcp, impl Dispatch<Tcp> + use<F>, Script>>
where
    F: FnMut(&mut dyn Rfile, &mut dyn Write) -> HandlerResult + Clone + Send + 'static,
{
    let tcp = Tcp::new("127.0.0.1:0")
        .and_then(Tcp::bind_and_activate)
        .expect("a free port");
    let dispatch = Inline::new(move |_client_address: &SocketAddr| handle.clone());
    run(
        Server::with_hooks(tcp, dispatch, script.clone()).expect("a poll"),
        LONG,
    )
}

/// STREAM-3: a write sends everything, and at once: the client need not wait for a flush.
#[test]
fn writes_are_whole_and_not_held_back() {
    const LENGTH: usize = 16 * 1024 * 1024;
    let server = serve(&Script::default(), |rfile, wfile| {
        let mut line = String::new();
        wfile.write_all(b"your name? ")?;
        rfile.read_line(&mut line)?;
        assert_eq!(wfile.write(&vec![b'x'; LENGTH])?, LENGTH);
        Ok(())
    });
    let mut client = connect(server.address);
    client.read_exact(&mut [0; 11]).expect("a question");
    client.write_all(b"Guido\n").expect("sent");
    assert_eq!(answer(client).len(), LENGTH);
    server.stop();
}

/// STREAM-4, RT-10: bytes after a line stay for the next read; a client that has shut down its
/// writing half gets its answer.
#[test]
fn bytes_after_a_line_stay() {
    let server = serve(&Script::default(), |rfile, wfile| {
        let (mut first, mut second, mut rest) = (String::new(), [0; 4], Vec::new());
        rfile.read_line(&mut first)?;
        rfile.read_exact(&mut second)?;
        rfile.read_to_end(&mut rest)?;
        write!(wfile, "{first:?} {second:?} {}", rest.len())?;
        Ok(())
    });
    let mut client = connect(server.address);
    client.write_all(b"one\ntwo\n").expect("sent");
    client.write_all(&[b'.'; 20_000]).expect("sent");
    client.shutdown(Shutdown::Write).expect("half-closed");
    assert_eq!(answer(client), r#""one\n" [116, 119, 111, 10] 20000"#);
    server.stop();
}

/// STREAM-8, TCP-6: a handler blocks until its client sends, unless it has limited its patience;
/// zero is the least patience, not none, and the next request has the default again.
#[test]
fn a_handler_may_limit_its_patience() {
    let script = Script::default();
    let trace = script.trace.clone();
    let server = serve(&script, move |rfile, wfile| {
        let mut line = String::new();
        for patience in [
            Duration::ZERO,
            Duration::from_micros(1),
            Duration::from_millis(1),
        ] {
            rfile.set_timeout(Some(patience))?;
            let kind = rfile.read_line(&mut line).map_err(|error| error.kind());
            assert!(
                matches!(kind, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
                "{kind:?}"
            );
        }
        rfile.set_timeout(None)?;
        trace.note("patient");
        rfile.read_line(&mut line)?;
        wfile.write_all(line.as_bytes())?;
        Ok(())
    });
    for round in 1..=2 {
        let mut client = connect(server.address);
        script.trace.wait_for("patient", round);
        client.write_all(b"at last\n").expect("sent");
        assert_eq!(answer(client), "at last");
    }
    server.stop();
    let one = "verify patient service";
    assert_eq!(script.trace.take(), [one, one].join(" "));
}

/// STREAM-8, REQ-7: a read that takes too long is a failure like any other.
#[test]
fn a_read_that_takes_too_long_fails_the_request() {
    let script = Script::default();
    let server = serve(&script, |rfile, _wfile| {
        rfile.set_timeout(Some(Duration::from_millis(1)))?;
        rfile.read_line(&mut String::new())?;
        Ok(())
    });
    assert_eq!(answer(connect(server.address)), "");
    server.stop();
    let trace = script.trace.take();
    assert!(trace.starts_with("verify error("), "{trace}");
    assert!(trace.ends_with(") service"), "{trace}");
}

/// TCP-11: writing to a client that is gone is a failure of the request, and kills nobody.
#[test]
fn writing_to_a_vanished_client_is_an_error() {
    let script = Script::default();
    let trace = script.trace.clone();
    let server = serve(&script, move |rfile, wfile| {
        let mut line = String::new();
        rfile.read_line(&mut line)?;
        trace.note("handle");
        trace.wait_for("go", 1);
        if line == "bye\n" {
            // The first write finds out what the next one reports.
            loop {
                wfile.write_all(&[b'x'; 4096])?;
            }
        }
        wfile.write_all(line.as_bytes())?;
        Ok(())
    });
    let gone = queue(server.address, "bye");
    script.trace.wait_for("handle", 1);
    drop(gone);
    script.trace.note("go");
    assert_eq!(ask(server.address, "hello"), "hello");
    server.stop();
    let trace = script.trace.take();
    assert!(trace.starts_with("verify handle go error("), "{trace}");
    assert!(
        trace.ends_with(") service verify handle service"),
        "{trace}"
    );
}

/// TCP-7, REQ-10: shutting a request down is harmless after its client is gone, and twice.
#[test]
fn shutdown_request_tolerates_repetition() {
    let mut tcp = Tcp::new("127.0.0.1:0")
        .and_then(Tcp::bind_and_activate)
        .expect("a free port");
    for vanishes in [true, false] {
        let client = connect(tcp.server_address());
        let (mut request, _) = accept(&mut tcp);
        let client = (!vanishes).then_some(client);
        request.shutdown_request();
        request.shutdown_request();
        drop(request);
        assert!(client.is_none_or(|client| answer(client).is_empty()));
    }
}

/// TCP-8: a client that has sent more than was read gets its answer, and an end that is no reset.
#[test]
fn unread_input_does_not_destroy_the_answer() {
    let script = Script::default();
    let server = script.server();
    let mut client = queue(server.server_address(), "one");
    client.write_all(&[b'.'; 32 * 1024]).expect("sent");
    let server = run(server, LONG);
    script.trace.wait_for("service", 1);
    server.stop(); // the request is closed: if that resets the connection, it has done so
    let socket = client.try_clone().expect("a descriptor");
    assert_eq!(answer(client), "one");
    assert!(socket.take_error().expect("asked").is_none());
}

// The listener: TCP-1 to TCP-12, SRV-1 to SRV-6.

/// TCP-1, TCP-5, RT-11: five clients queue (Linux: one more) unless more are asked for.
#[cfg(target_os = "linux")]
#[test]
fn the_kernel_queues_as_many_as_it_was_asked_to() {
    let tcp = || Tcp::new("127.0.0.1:0").expect("a socket");
    for (tcp, room) in [
        (tcp(), 6),
        (tcp().request_queue_size(0), 1),
        (tcp().request_queue_size(50), 51),
    ] {
        let tcp = tcp.bind_and_activate().expect("a free port");
        let address = tcp.server_address();
        let _queued: Vec<_> = (0..room).map(|_| connect(address)).collect();
        let one_more = mio::net::TcpStream::connect(address).expect("begun");
        assert!(one_more.peer_addr().is_err(), "connected, beyond {room}");
    }
}

/// TCP-2 (Issue 22435), TCP-10: a construction that fails leaves nothing behind, and reuse does
/// not mean two listeners.
#[cfg(target_os = "linux")]
#[test]
fn failing_constructions_leave_no_descriptor() {
    let descriptors = || std::fs::read_dir("/proc/self/fd").expect("listed").count();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    let before = descriptors();
    for number in 0..1024 {
        let tcp = Tcp::new(address).map(|tcp| tcp.allow_reuse_address(number % 2 == 0));
        let error = tcp.and_then(Tcp::bind_and_activate).expect_err("taken");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let inactive = Tcp::new("127.0.0.1:0").expect("a socket");
        let server = Server::new(inactive, Inline::new(Script::default().factory()));
        let kind = server.map_err(|error| error.kind()).err();
        assert_eq!(kind, Some(ErrorKind::InvalidInput));
    }
    // Other tests open and close some meanwhile.
    assert!(descriptors() < before + 512);
}

/// TCP-3, SRV-6: options can be set between the steps; the address is the requested one before
/// and the actual one after the socket is bound.
#[cfg(unix)]
#[test]
fn binding_and_activating_are_two_steps() {
    let mut tcp = Tcp::new("127.0.0.1:0").expect("a socket");
    assert_eq!(
        tcp.server_address(),
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
    );
    socket2::SockRef::from(&tcp)
        .set_ttl_v4(77)
        .expect("an option");
    tcp.server_bind().expect("a free port");
    assert_ne!(tcp.server_address().port(), 0);
    let kind = tcp.get_request().map_err(|error| error.kind()).map(|_| ());
    assert_eq!(kind, Err(ErrorKind::InvalidInput));
    tcp.server_activate().expect("listening");
    assert_eq!(socket2::SockRef::from(&tcp).ttl_v4().ok(), Some(77));
    let kind = tcp.server_activate().map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::InvalidInput));

    let server = Server::new(tcp, Inline::new(Script::default().factory())).expect("a poll");
    let server = run(server, LONG);
    assert_eq!(ask(server.address, "hello"), "hello");
    server.stop();
}

/// TCP-4, TCP-10, RT-11: an address where connections linger in TIME_WAIT is taken, unless reuse is
/// allowed.
#[cfg(target_os = "linux")]
#[test]
fn reuse_is_for_addresses_where_connections_linger() {
    for (reuse, number) in [(false, 1), (true, 2)] {
        let listen = |address| {
            Tcp::new(address)?
                .allow_reuse_address(reuse)
                .bind_and_activate()
        };
        let mut tcp = listen(support::client::own_host(number)).expect("a free port");
        let address = tcp.server_address();
        let client = connect(address);
        let (mut request, _) = accept(&mut tcp);
        request.shutdown_request(); // the server closes first: TIME_WAIT is on its side
        drop(request);
        assert_eq!(answer(client), "");
        tcp.server_close();
        let again = listen(address).map_err(|error| error.kind());
        assert_eq!(again.err(), (!reuse).then_some(ErrorKind::AddrInUse));
    }
}

/// TCP-4: several listeners share a port if all of them allow it.
#[cfg(target_os = "linux")]
#[test]
fn a_port_may_be_shared_on_purpose() {
    let listen = |address| {
        Tcp::new(address)?
            .allow_reuse_port(true)
            .bind_and_activate()
    };
    let first = listen(support::client::own_host(3)).expect("a free port");
    let second = listen(first.server_address()).expect("shared");
    assert_eq!(first.server_address(), second.server_address());
    let selfish = Tcp::new(first.server_address()).and_then(Tcp::bind_and_activate);
    assert_eq!(selfish.expect_err("taken").kind(), ErrorKind::AddrInUse);
}

/// TCP-6, STREAM-1: who is accepted, and that no child process inherits it.
#[test]
fn accepted_streams_are_as_asked_for() {
    for nodelay in [false, true] {
        let tcp = Tcp::new("127.0.0.1:0").map(|tcp| tcp.disable_nagle_algorithm(nodelay));
        let mut tcp = tcp.and_then(Tcp::bind_and_activate).expect("a free port");
        let none = tcp.get_request().expect_err("nobody there");
        assert_eq!(none.kind(), ErrorKind::WouldBlock, "REQ-4");
        let client = connect(tcp.server_address());
        let (stream, client_address) = accept(&mut tcp);
        assert_eq!(client.local_addr().ok(), Some(client_address));
        assert_eq!(stream.nodelay().ok(), Some(nodelay));
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::{AsFd, AsRawFd};
            assert_close_on_exec(stream.as_raw_fd());
            assert_close_on_exec(tcp.as_fd().as_raw_fd());
        }
    }
}

#[cfg(target_os = "linux")]
fn assert_close_on_exec(descriptor: i32) {
    const O_CLOEXEC: u32 = 0o2_000_000;
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).expect("open");
    let flags = info
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .expect("flags");
    let flags = u32::from_str_radix(flags.trim(), 8).expect("octal");
    assert_eq!(flags & O_CLOEXEC, O_CLOEXEC);
}

/// TCP-9: an empty host is all IPv4 interfaces; the family follows the address.
#[test]
fn the_address_chooses_the_interface_and_the_family() {
    let bind = |address: &dyn Fn() -> io::Result<Tcp>| address().and_then(Tcp::bind_and_activate);
    for tcp in [bind(&|| Tcp::new(":0")), bind(&|| Tcp::new(("", 0)))] {
        let server = Server::new(
            tcp.expect("a free port"),
            Inline::new(Script::default().factory()),
        );
        let server = run(server.expect("a poll"), LONG);
        assert_eq!(server.address.ip(), Ipv4Addr::UNSPECIFIED);
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, server.address.port()));
        assert_eq!(ask(loopback, "hello"), "hello");
        server.stop();
    }
    if !has_ipv6("the_address_chooses_the_interface_and_the_family") {
        return;
    }
    let tcp = bind(&|| Tcp::new("[::1]:0")).expect("a free port");
    let server = Server::new(tcp, Inline::new(Script::default().factory())).expect("a poll");
    let server = run(server, LONG);
    assert_eq!(server.address.ip(), Ipv6Addr::LOCALHOST);
    assert_eq!(ask(server.address, "hello"), "hello");
    server.stop();
}

/// TCP-12: what is no address, or not one of this machine's, is an error of the construction.
#[test]
fn an_unusable_address_is_an_error() {
    for address in [
        "127.0.0.1",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:http",
        ":",
        "",
    ] {
        assert!(Tcp::new(address).is_err(), "{address:?}");
    }
    // TEST-NET-1 (RFC 5737) is nobody's.
    let elsewhere = Tcp::new("192.0.2.1:0").and_then(Tcp::bind_and_activate);
    assert_eq!(
        elsewhere.expect_err("not ours").kind(),
        ErrorKind::AddrNotAvailable
    );
}

/// SRV-3, SRV-4, SRV-5: dropping a server closes its listener, and closing it twice is no error.
#[cfg(unix)]
#[test]
fn dropping_a_server_closes_the_listener() {
    let refused = |address| {
        let connected = TcpStream::connect_timeout(&address, PATIENCE);
        assert_eq!(
            connected.expect_err("closed").kind(),
            ErrorKind::ConnectionRefused
        );
    };
    let bind = |number| {
        serve_forever::socketserver::TcpServer::bind(
            support::client::own_host(number),
            Script::default().factory(),
        )
    };
    let mut server = bind(4).expect("a free port");
    let address = server.server_address();
    let listener = std::os::fd::AsFd::as_fd(server.engine().transport());
    let listener = TcpListener::from(listener.try_clone_to_owned().expect("a descriptor"));
    assert_eq!(listener.local_addr().ok(), Some(address));
    drop(listener);
    connect(address);
    server.server_close();
    refused(address);
    server.server_close();
    drop(server);

    let server = bind(5).expect("a free port");
    let address = server.server_address();
    connect(address);
    drop(server);
    refused(address);
}

// In somebody else's loop.

/// A program with a poll of its own, in which it has a source and a waker.
struct Host {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    /// Whose events were not the engine's.
    foreign: Vec<Token>,
}

const HOSTS_WAKER: Token = Token(3);
const HOSTS_SOURCE: Token = Token(200);
const GUEST: usize = 100;

/// What a guest takes for its listener and for signals, as `Engine::attach` says.
const OWN_TOKENS: usize = 2;

impl Host {
    fn new() -> Host {
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), HOSTS_WAKER).expect("a waker");
        Host {
            poll,
            events: Events::with_capacity(16),
            waker: Arc::new(waker),
            foreign: Vec::new(),
        }
    }

    /// A guest with so many tokens.
    fn attach<T: Transport, D: Dispatch<T>, H: Hooks<T>>(
        &self,
        transport: T,
        dispatch: D,
        hooks: H,
        tokens: usize,
    ) -> Engine<T, D, H> {
        let (registry, waker) = (self.poll.registry(), Arc::clone(&self.waker));
        let tokens = GUEST..GUEST + tokens;
        Engine::attach(transport, dispatch, hooks, registry, waker, tokens).expect("attached")
    }

    /// Goes round until a turn comes to that.
    fn turn_until<T: Transport, D: Dispatch<T>, H: Hooks<T>>(
        &mut self,
        engine: &mut Engine<T, D, H>,
        expected: Turn,
    ) {
        wait_until("as expected", || {
            let timeout = engine.timeout(Instant::now()).unwrap_or(PATIENCE);
            self.poll
                .poll(&mut self.events, Some(timeout))
                .expect("a wait");
            for event in &self.events {
                if !engine.feed(event) {
                    self.foreign.push(event.token());
                }
            }
            engine.turn(Instant::now()).expect("no failure") == expected
        });
    }
}

/// Answers each line.
struct Echo;

impl Protocol for Echo {
    type Message = std::convert::Infallible;

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next {
        if let Some(end) = input.iter().rposition(|&byte| byte == b'\n') {
            output.extend_from_slice(&input[..=end]);
            input.consume(end + 1);
        }
        Next::Read
    }
}

type Echoes = Evented<Tcp, fn(&SocketAddr) -> Echo>;

fn evented() -> (Tcp, Echoes) {
    let tcp = Tcp::new("127.0.0.1:0")
        .and_then(Tcp::bind_and_activate)
        .expect("a free port");
    (tcp, Evented::new(|_client_address| Echo))
}

/// One line and its answer, on a connection that stays open.
fn exchange(client: &mut TcpStream, line: &str) {
    client.write_all(line.as_bytes()).expect("sent");
    let mut echo = vec![0; line.len()];
    client.read_exact(&mut echo).expect("an answer");
    assert_eq!(echo, line.as_bytes());
}

/// RT-4, RT-5, RT-8, SHUT-13: a guest takes its own tokens and no others, serves its clients at
/// once, and is shut down through the host's waker.
#[test]
fn an_engine_is_a_guest_in_the_hosts_poll() {
    let mut host = Host::new();
    let mut source = Source::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
    let registry = host.poll.registry();
    registry
        .register(&mut source, HOSTS_SOURCE, Interest::READABLE)
        .expect("registered");
    let (tcp, dispatch) = evented();
    let mut engine = host.attach(tcp, dispatch, Script::default(), 10);
    engine.set_poll_interval(None);

    let address = engine.transport().server_address();
    let hosts_address = source.local_addr().expect("bound");
    let stop = engine.shutdown_handle();
    let clients = spawn(move || {
        let _silent = connect(address);
        let _hosts = connect(hosts_address);
        let mut client = connect(address);
        exchange(&mut client, "one\n");
        exchange(&mut client, "two\n");
        // Nobody has told the engine that it runs: the host's loop is the host's.
        assert_eq!(stop.shutdown(), Err(NotStopped::NotRunning));
        client
    });
    host.turn_until(&mut engine, Turn::Shutdown);
    let mut client = clients.join();
    assert!(host.foreign.contains(&HOSTS_SOURCE), "{:?}", host.foreign);
    assert!(host.foreign.contains(&HOSTS_WAKER), "{:?}", host.foreign);
    let known = [HOSTS_SOURCE, HOSTS_WAKER];
    assert!(host.foreign.iter().all(|token| known.contains(token)));

    // SHUT-6, SHUT-11: the request stays until it is taken back.
    let now = Instant::now();
    assert_eq!(engine.turn(now).expect("no failure"), Turn::Shutdown);
    engine.clear_shutdown_request();
    let stop = engine.shutdown_handle();
    let more = spawn(move || {
        exchange(&mut client, "three\n");
        stop.request();
    });
    host.turn_until(&mut engine, Turn::Shutdown);
    more.join();
    drop(engine);
    host.waker.wake().expect("the host's poll lives on");
    host.poll
        .poll(&mut host.events, Some(PATIENCE))
        .expect("a wait");
    assert!(host.events.iter().any(|event| event.token() == HOSTS_WAKER));
}

/// A guest needs a token for its listener and one for signals, or it would use the host's. Without
/// one more it has no room for anybody.
#[test]
fn a_guest_needs_tokens_of_its_own() {
    for tokens in 0..=OWN_TOKENS {
        let host = Host::new();
        let (tcp, dispatch) = evented();
        let (registry, waker) = (host.poll.registry(), Arc::clone(&host.waker));
        let tokens = GUEST..GUEST + tokens;
        let enough = tokens.len() == OWN_TOKENS;
        let hooks = Script::default();
        match Engine::attach(tcp, dispatch, hooks, registry, waker, tokens) {
            Ok(mut engine) => {
                assert!(enough);
                assert!(engine.reactor_mut().is_full());
                engine.set_poll_interval(None);
                assert_eq!(engine.timeout(Instant::now()), None, "it waits for nobody");
            }
            Err(error) => {
                assert!(!enough);
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
            }
        }
    }
}

/// Every token but two is a connection's or a source's of the program. The listener and the signals
/// are not counted, and have no turn among the sources (RT-6).
#[test]
fn a_guest_has_room_for_as_many_as_it_has_tokens() {
    const ROOM: usize = 3;
    let mut host = Host::new();
    let (tcp, dispatch) = evented();
    let script = Script::default();
    let mut engine = host.attach(tcp, dispatch, script.clone(), OWN_TOKENS + ROOM);
    engine.set_poll_interval(None);
    engine.shutdown_on_signals().expect("caught");
    let address = engine.transport().server_address();
    let source = engine.reactor_mut().open().expect("a slot");
    assert_eq!(engine.stats().slots, 1);
    engine.reactor_mut().release(source);

    let _clients = [(); ROOM + 1].map(|()| connect(address));
    for open in 1..=ROOM {
        assert!(!engine.reactor_mut().is_full());
        host.turn_until(&mut engine, Turn::Iteration);
        let stats = engine.stats();
        assert_eq!(
            (stats.accepted, stats.open, stats.slots),
            (open as u64, open, open)
        );
    }
    assert!(engine.reactor_mut().is_full());
    let none = engine.reactor_mut().open();
    none.expect_err("every slot is taken");
    assert_eq!(engine.turn(Instant::now()).expect("no failure"), Turn::Idle);
    assert_eq!(
        engine.timeout(Instant::now()),
        None,
        "the last one waits in the kernel"
    );
    engine.server_close();
    assert_eq!(engine.stats().slots, 0);
    assert_eq!(script.trace.count("ready"), 0);
}

/// RT-1, LOOP-11: a client for whom there is no room waits in the kernel, and is served as soon
/// as another leaves; meanwhile the host may sleep.
#[test]
fn a_guest_without_room_leaves_clients_in_the_kernel() {
    let mut host = Host::new();
    let (tcp, dispatch) = evented();
    let mut engine = host.attach(tcp, dispatch, Script::default(), OWN_TOKENS + 1);
    engine.set_poll_interval(None);
    let address = engine.transport().server_address();
    let (first, mut second) = (connect(address), connect(address));
    second.write_all(b"patient\n").expect("sent");
    host.turn_until(&mut engine, Turn::Iteration);
    assert_eq!(engine.dispatch().open_connections(), 1);
    assert_eq!(engine.timeout(Instant::now()), None);
    drop(first);
    let stop = engine.shutdown_handle();
    let echo = spawn(move || {
        let mut echo = [0; 8];
        second.read_exact(&mut echo).expect("an answer");
        stop.request();
        echo
    });
    host.turn_until(&mut engine, Turn::Shutdown);
    assert_eq!(&echo.join(), b"patient\n");
}

/// Design law 7: or is turned away, if the program says so.
#[test]
fn a_guest_without_room_may_shed_clients() {
    let mut host = Host::new();
    let (tcp, dispatch) = evented();
    let mut engine = host.attach(tcp, dispatch, Script::default(), OWN_TOKENS + 1);
    engine.set_poll_interval(None);
    engine.set_max_connections(usize::MAX, Overload::Shed);
    let address = engine.transport().server_address();
    let _first = connect(address);
    host.turn_until(&mut engine, Turn::Iteration);
    let second = connect(address);
    host.turn_until(&mut engine, Turn::Iteration);
    assert_eq!(answer(second), "");
    let stats = engine.stats();
    assert_eq!((stats.open, stats.shed, stats.failed), (1, 1, 0));
}

/// LOOP-10, LOOP-13, REQ-17: a program that looks in once a frame: one request a turn, and
/// `service_actions` only for an iteration.
#[test]
fn a_server_is_turned_once_a_frame() {
    let script = Script::default();
    let mut server = script.server();
    server.engine_mut().set_poll_interval(None);
    assert_eq!(
        server.timeout(),
        Some(Duration::ZERO),
        "RT-2: somebody may have come before"
    );
    assert_eq!(server.turn().expect("no failure"), Turn::Idle);
    assert_eq!(server.timeout(), None);
    let names = ["one", "two"];
    let clients = names.map(|name| queue(server.server_address(), name));
    wait_until("turned", || {
        server.turn().expect("no failure") == Turn::Iteration
    });
    assert_eq!(
        server.timeout(),
        Some(Duration::ZERO),
        "RT-1: another may be queued"
    );
    assert_eq!(server.turn().expect("no failure"), Turn::Iteration);
    assert_eq!(server.turn().expect("no failure"), Turn::Idle);
    assert_eq!(clients.map(answer), names);
    assert_eq!(script.trace.take(), names.map(served).join(" "));

    server.shutdown_handle().request();
    assert_eq!(server.turn().expect("no failure"), Turn::Shutdown);
    server.engine_mut().clear_shutdown_request();
    assert_eq!(server.turn().expect("no failure"), Turn::Idle);
}

/// SRV-5: a whole server is one descriptor, which is readable when there is something to do.
#[cfg(target_os = "linux")]
#[test]
fn a_server_is_one_descriptor_in_another_poll() {
    let mut host = Host::new();
    let mut server = Script::default().server();
    server.engine_mut().set_poll_interval(None);
    assert_eq!(server.turn().expect("no failure"), Turn::Idle);
    // mio takes any descriptor for the socket that its owner says it is.
    let descriptor = std::os::fd::AsFd::as_fd(&server).try_clone_to_owned();
    let mut source = Source::from_std(descriptor.expect("a descriptor").into());
    let registry = host.poll.registry();
    registry
        .register(&mut source, HOSTS_SOURCE, Interest::READABLE)
        .expect("registered");

    let client = queue(server.server_address(), "hello");
    host.poll
        .poll(&mut host.events, Some(PATIENCE))
        .expect("a wait");
    assert!(
        host.events
            .iter()
            .any(|event| event.token() == HOSTS_SOURCE)
    );
    assert_eq!(server.turn().expect("no failure"), Turn::Iteration);
    assert_eq!(answer(client), "hello");
    assert_eq!(server.turn().expect("no failure"), Turn::Idle);

    server.shutdown_handle().request();
    host.poll
        .poll(&mut host.events, Some(PATIENCE))
        .expect("a wait");
    assert!(
        host.events
            .iter()
            .any(|event| event.token() == HOSTS_SOURCE)
    );
    assert_eq!(server.turn().expect("no failure"), Turn::Shutdown);
}
