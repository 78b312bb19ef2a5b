//! One request at a time, on demand: `handle_request`, REQ-12 to REQ-17, SHUT-11 and LOOP-6.
//!
//! Its behaviour under signals is in `signals.rs`.
#![cfg(feature = "server")]

mod support;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serve_forever::socketserver::{Dispatch, Evented, Inline, Server, Tcp, Transport};
use support::client::{answer, ask, connect, queue};
use support::patience::{LONG, spawn, wait_until};
use support::protocols::Echo;
use support::script::{Act, Recorded, Script, Scripted};
use support::server::{Running, run, run_as};
use support::transport::Intercepted;

/// What one request leaves in the trace: no `service`, unlike [`support::script::served`].
fn handled(line: &str) -> String {
    format!("get verify make setup handle({line}) finish shutdown close")
}

/// A server whose thread calls `handle_request` once.
fn handle(server: Scripted, timeout: impl Into<Option<Duration>>) -> Running<Scripted> {
    let timeout = timeout.into();
    run_as(server, move |server| server.handle_request(timeout))
}

/// REQ-12, LOOP-13: one request, and no `service_actions`; the next stays queued.
#[test]
fn it_serves_one_request_and_returns() {
    for timeout in [None, Some(LONG), Some(Duration::MAX)] {
        let script = Script::default();
        let server = handle(script.server(), timeout);
        let clients = ["one", "two"].map(|line| queue(server.address, line));
        let server = server.returned();
        assert_eq!(script.trace.take(), handled("one"));
        handle(server, timeout).returned();
        assert_eq!(script.trace.take(), handled("two"));
        assert_eq!(clients.map(answer), ["one", "two"]);
    }
}

/// REQ-13, REQ-14: `handle_timeout` once, and nothing else.
#[test]
fn it_gives_up_when_the_time_is_over() {
    let script = Script::default();
    let mut server = script.server();
    for timeout in [0, 1, 5_000, 20_000].map(Duration::from_micros) {
        server = handle(server, timeout).returned();
        assert_eq!(script.trace.take(), "timeout");
    }
}

/// RT-12: before it gives up it looks once more, whatever the last wait has reported: a wait reports
/// a limited number of events.
#[test]
fn it_looks_before_it_gives_up() {
    let mut looks = 0;
    let script = Script::default();
    let factory = script.factory();
    let transport = Intercepted::new(script.transport(), move |tcp: &mut Recorded| {
        looks += 1;
        match looks {
            1 => Err(ErrorKind::WouldBlock.into()), // and so the hint is gone
            _ => tcp.get_request(),
        }
    });
    let server = Server::with_hooks(transport, Inline::new(factory), script.clone());
    let server = server.expect("a poll");
    let client = queue(server.server_address(), "in time");
    run_as(server, |server| {
        server.handle_request(Duration::from_millis(1))
    })
    .returned();
    assert_eq!(script.trace.take(), handled("in time"));
    assert_eq!(answer(client), "in time");
}

/// REQ-15: no time at all is one look: it serves who is there already, and never waits.
#[test]
fn no_time_at_all_is_one_look() {
    let script = Script::default();
    let mut server = script.server();
    server.handle_request(Duration::ZERO).expect("no failure");
    assert_eq!(script.trace.take(), "timeout");
    let client = queue(server.server_address(), "here");
    wait_until("served", || {
        script.trace.take();
        server.handle_request(Duration::ZERO).expect("no failure");
        script.trace.count("timeout") == 0
    });
    assert_eq!(script.trace.take(), handled("here"));
    assert_eq!(answer(client), "here");
}

/// Makes shutdown requests, each of which wakes the loop, until it is dropped.
struct Wakes {
    over: Arc<AtomicBool>,
    waker: Option<thread::JoinHandle<()>>,
}

impl Wakes {
    fn of<S>(server: &Running<S>) -> Wakes {
        let over = Arc::new(AtomicBool::new(false));
        let (handle, ended) = (server.handle.clone(), Arc::clone(&over));
        let waker = thread::spawn(move || {
            while !ended.load(Ordering::SeqCst) {
                handle.request();
                thread::yield_now();
            }
        });
        Wakes {
            over,
            waker: Some(waker),
        }
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = self.waker.take().map(thread::JoinHandle::join);
    }
}

/// REQ-14, RT-4: wake-ups without a request do not move the deadline: were it begun anew after
/// each, it would never come. `handle_timeout` runs once all the same.
#[test]
fn early_wake_ups_do_not_move_the_deadline() {
    let script = Script::default();
    let server = handle(script.server(), Duration::from_millis(200));
    let wakes = Wakes::of(&server);
    server.returned();
    drop(wakes);
    assert_eq!(script.trace.take(), "timeout");
}

/// REQ-15: without a limit `handle_timeout` never runs, however often the wait is disturbed.
#[test]
fn without_a_limit_it_waits_through_every_wake_up() {
    let script = Script::default();
    let server = handle(script.server(), None);
    let wakes = Wakes::of(&server);
    let ticks = Script::default();
    let clock = run(ticks.server(), Duration::from_millis(1));
    ticks.trace.wait_for("service", 20);
    assert_eq!(script.trace.take(), "");
    assert_eq!(ask(server.address, "at last"), "at last");
    server.returned();
    drop(wakes);
    clock.stop();
    assert_eq!(script.trace.take(), handled("at last"));
}

/// SHUT-11: a shutdown request is neither seen nor used up; it ends the next `serve_forever`.
#[test]
fn a_shutdown_request_is_left_for_serve_forever() {
    let script = Script::default();
    let mut server = script.server();
    server.shutdown_handle().request();
    let clients = ["one", "two", "three"].map(|line| queue(server.server_address(), line));
    for line in ["one", "two"] {
        server = handle(server, LONG).returned();
        assert_eq!(script.trace.take(), handled(line));
        assert!(server.engine().shutdown_requested());
    }
    // So is one for a drain, which would turn the third client away.
    server.shutdown_handle().request_drain(LONG);
    let server = handle(server, LONG).returned();
    assert_eq!(script.trace.take(), handled("three"));
    assert_eq!(clients.map(answer), ["one", "two", "three"]);

    let server = run(server, LONG).returned();
    assert_eq!(script.trace.take(), "");
    assert!(!server.engine().shutdown_requested());
}

/// REQ-16, REQ-2: a request that was there and vanished is a request: no more waiting, and no
/// `handle_timeout`.
#[test]
fn a_failed_accept_counts_as_handled() {
    const EMFILE: i32 = 24;
    for fault in [
        io::Error::from(ErrorKind::ConnectionAborted),
        io::Error::from(ErrorKind::ConnectionReset),
        io::Error::from_raw_os_error(EMFILE),
    ] {
        let script = Script::default();
        script.faults.lock().expect("no panic").push_back(fault);
        let server = handle(script.server(), LONG).returned();
        assert_eq!(script.trace.take(), "lost");
        // After a shortage there is a pause; then it goes on.
        let server = handle(server, LONG);
        assert_eq!(ask(server.address, "next"), "next");
        server.returned();
        assert_eq!(script.trace.take(), handled("next"));
    }
}

/// REQ-7, REQ-8, SRV-2: a request that fails has been handled; one that stops the server says so,
/// and so does a failing `handle_timeout`.
#[test]
fn what_leaves_it() {
    use Act::{Fail, Panic, Refuse, Stop};
    for (acts, timeout, expected) in [
        (&[("handle", Fail)][..], LONG, "ok"),
        (&[("handle", Panic)], LONG, "ok"),
        (&[("verify", Refuse)], LONG, "ok"),
        (&[("handle", Stop)], LONG, "stop"),
        (
            &[("timeout", Fail)],
            Duration::ZERO,
            "failed: timeout failed",
        ),
        (&[("timeout", Stop)], Duration::ZERO, "stop"),
    ] {
        let script = Script::of(acts);
        let server = handle(script.server(), timeout);
        let client = (timeout == LONG).then(|| queue(server.address, "one"));
        let ended = server.ended();
        assert_eq!(ended.outcome, expected, "{acts:?}");
        assert_eq!(client.map(answer).unwrap_or_default(), "", "{acts:?}");
        assert_eq!(script.trace.count("service"), 0, "{acts:?}");
    }
}

/// LOOP-15: nobody can be waited for on a closed listener.
#[test]
fn a_closed_server_handles_nothing() {
    let mut server = Script::default().server();
    server.server_close();
    let outcome = handle(server, None).ended().outcome;
    assert_eq!(outcome, "failed: the server is closed");
}

/// LOOP-6: `handle_timeout` belongs to `handle_request` alone.
#[test]
fn serve_forever_never_calls_handle_timeout() {
    let script = Script::default();
    let server = run(script.server(), Duration::from_millis(1));
    script.trace.wait_for("service", 5);
    let server = server.stop();
    assert_eq!(script.trace.count("timeout"), 0);
    // Nor does what a run has left behind end a wait of handle_request.
    script.trace.take();
    let server = handle(server, LONG);
    assert_eq!(ask(server.address, "one"), "one");
    server.returned();
    assert_eq!(script.trace.take(), handled("one"));
}

/// REQ-17, SRV-5: driven by a poller of the program's own, on the listener's descriptor.
#[cfg(target_os = "linux")]
#[test]
fn it_is_driven_by_another_poller() {
    use mio::{Events, Interest, Poll, Token};
    use std::os::fd::AsFd;

    let script = Script::default();
    let mut server = script.server();
    let descriptor = server
        .engine()
        .transport()
        .inner
        .as_fd()
        .try_clone_to_owned();
    let mut listener = mio::net::TcpListener::from_std(descriptor.expect("a descriptor").into());
    let mut poll = Poll::new().expect("a poll");
    let mut events = Events::with_capacity(4);
    poll.registry()
        .register(&mut listener, Token(0), Interest::READABLE)
        .expect("registered");
    for line in ["one", "two", "three"] {
        let client = queue(server.server_address(), line);
        poll.poll(&mut events, Some(support::patience::PATIENCE))
            .expect("a wait");
        assert!(!events.is_empty());
        server = handle(server, None).returned();
        assert_eq!(answer(client), line);
        assert_eq!(script.trace.take(), handled(line));
    }
}

// With connections that stay open.

fn evented() -> Server<Tcp, impl Dispatch<Tcp> + Send + 'static> {
    let tcp = Tcp::new("127.0.0.1:0").and_then(Tcp::bind_and_activate);
    let dispatch = Evented::new(|_: &SocketAddr| Echo);
    Server::new(tcp.expect("a free port"), dispatch).expect("a poll")
}

fn exchange(client: &mut TcpStream, line: &str) {
    client.write_all(line.as_bytes()).expect("sent");
    let mut echo = vec![0; line.len()];
    client.read_exact(&mut echo).expect("an echo");
    assert_eq!(echo, line.as_bytes());
}

/// RT-8, REQ-12: all connections are served while it waits. A protocol without exchanges has served
/// a request when its connection ends.
#[test]
fn open_connections_go_on_while_it_waits() {
    let mut server = evented();
    let mut clients = Vec::from([(); 2].map(|()| connect(server.server_address())));
    while let Some(mut client) = clients.pop() {
        let waiting = run_as(server, |server| server.handle_request(None));
        for line in ["one\n", "two\n", "three\n"] {
            for client in clients.iter_mut().chain([&mut client]) {
                exchange(client, line);
            }
        }
        drop(client);
        server = waiting.returned();
        assert_eq!(server.stats().open, clients.len());
    }
}

/// REQ-15, RT-8: a program that only ever looks serves its connections, too.
#[test]
fn open_connections_go_on_when_it_only_looks() {
    let mut server = evented();
    let mut client = connect(server.server_address());
    let over = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&over);
    let looking = spawn(move || -> Result<(), String> {
        while !until.load(Ordering::SeqCst) {
            let looked = server.handle_request(Duration::ZERO);
            looked.map_err(|failure| failure.to_string())?;
        }
        Ok(())
    });
    for line in ["one\n", "two\n"] {
        exchange(&mut client, line);
    }
    over.store(true, Ordering::SeqCst);
    assert_eq!(looking.join(), Ok(()));
}
