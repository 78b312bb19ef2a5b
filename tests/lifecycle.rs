//! How a loop begins, goes round and ends: LOOP-1 to LOOP-16 and SHUT-1 to SHUT-13.
#![cfg(feature = "server")]

mod support;

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use serve_forever::http::{HttpServer, Pooled, Request, Response};
use serve_forever::socketserver::{
    Engine, Failure, HandlerResult, Inline, NotStopped, POLL_INTERVAL, Pool, Rfile, ServeError,
    ShutdownHandle, TcpServer, Transport, Turn, Waiter,
};
use support::client::{answer, ask, connect, queue};
use support::patience::{LONG, PATIENCE, in_time, spawn, wait_until};
use support::script::{Act, Script, Scripted, served};
#[cfg(target_os = "linux")]
use support::server::Ended;
use support::server::{run, run_as};

/// Lets the hook `ready` run in the server's next turn.
fn make_a_source_ready(server: &mut Scripted) {
    let reactor = server.engine_mut().reactor_mut();
    let slot = reactor.open().expect("a slot");
    reactor.enqueue(slot);
}

// How it ends.

/// LOOP-1, LOOP-2, SHUT-1, SHUT-2: at once, however long the wait; no accept and no
/// `service_actions` afterwards.
#[test]
fn shutdown_from_another_thread_ends_a_wait_at_once() {
    assert_eq!(POLL_INTERVAL, Duration::from_millis(500));
    for poll_interval in [Some(LONG), Some(Duration::MAX), None] {
        let script = Script::default();
        let server = run(script.server(), poll_interval);
        assert_eq!(ask(server.address, "hello"), "hello");
        script.trace.wait_for("service", 1);
        let handle = server.handle.clone();
        assert_eq!(in_time(move || handle.shutdown()), Ok(()));
        server.returned();
        assert_eq!(script.trace.take(), served("hello"));
    }
}

/// LOOP-3, SHUT-5, SHUT-6: the request is latched, and cancels the next run and no other.
#[test]
fn shutdown_before_the_start_cancels_the_next_run() {
    let script = Script::default();
    let server = script.server();
    let client = queue(server.server_address(), "early");
    let handle = server.shutdown_handle();
    assert_eq!(
        in_time(move || handle.shutdown()),
        Err(NotStopped::NotRunning)
    );
    assert!(server.engine().shutdown_requested());

    let server = run(server, LONG).returned();
    assert_eq!(script.trace.take(), "");
    assert!(!server.engine().shutdown_requested());

    let server = run(server, LONG);
    assert_eq!(answer(client), "early");
    server.stop();
}

/// SHUT-6: as before the first run; and the latch can be cleared.
#[test]
fn shutdown_after_a_finished_loop_cancels_the_next_run_unless_cleared() {
    let script = Script::default();
    let server = run(script.server(), LONG);
    let handle = server.handle.clone();
    let server = server.stop();
    assert_eq!(
        handle.shutdown_timeout(PATIENCE),
        Err(NotStopped::NotRunning)
    );
    let again = handle.clone();
    assert_eq!(
        in_time(move || again.shutdown()),
        Err(NotStopped::NotRunning)
    );
    let mut server = run(server, LONG).returned();

    handle.request();
    server.engine_mut().clear_shutdown_request();
    let server = run(server, LONG);
    assert_eq!(ask(server.address, "again"), "again");
    server.stop();
    assert_eq!(script.trace.take(), served("again"));
}

/// SHUT-7: several requests end one run, not two.
#[test]
fn shutdown_twice_ends_one_run() {
    let script = Script::of(&[("handle", Act::Hold)]);
    let server = run(script.server(), LONG);
    let client = queue(server.address, "held");
    script.trace.wait_for("handle(held)", 1);
    server.handle.request();
    server.handle.request();
    script.trace.note("go");
    let server = run(server.returned(), LONG);
    assert_eq!(answer(client), "held");
    assert_eq!(ask(server.address, "second"), "second");
    server.stop();
}

/// SHUT-7, SHUT-13: every waiter is released, although the server starts again at once.
#[test]
fn shutdown_from_many_threads_releases_all() {
    fn assert_shared(_: &(impl Clone + Send + Sync + 'static)) {}
    let script = Script::default();
    let mut server = script.server();
    assert_shared(&server.shutdown_handle());
    for round in 0..20 {
        server.engine_mut().clear_shutdown_request();
        let running = run(server, LONG);
        assert_eq!(ask(running.address, "up"), "up", "round {round}");
        let waiters: Vec<_> = (0..8)
            .map(|_| {
                let handle = running.handle.clone();
                spawn(move || handle.shutdown())
            })
            .collect();
        // A waiter that comes late ends this run; none waits for the end of it.
        let again = run(running.returned(), LONG);
        let answers: Vec<_> = waiters.into_iter().map(|waiter| waiter.join()).collect();
        server = again.stop();
        assert!(answers.contains(&Ok(())), "{answers:?}");
    }
}

/// SHUT-8, SHUT-4: on the loop's own thread there is nobody to wait for: the answer says so, the
/// request in hand completes, those queued are not served, and the loop ends.
#[test]
fn shutdown_on_the_loops_own_thread_does_not_wait() {
    for step in [
        "verify", "setup", "handle", "finish", "error", "service", "ready",
    ] {
        // A handler has to fail for handle_error to run.
        let acts = [(step, Act::Shutdown), ("handle", Act::Fail)];
        let fails = step == "error";
        let script = Script::of(&acts[..1 + usize::from(fails)]);
        let mut server = script.server();
        let address = server.server_address();
        let clients = [queue(address, "one"), queue(address, "two")];
        let mut served = 0;
        for (client, line) in clients.into_iter().zip(["one", "two"]) {
            make_a_source_ready(&mut server);
            server = run(server, LONG).returned();
            served += 1;
            assert_eq!(answer(client), if fails { "" } else { line }, "{step}");
            assert_eq!(script.trace.count("get"), served, "{step}");
            assert_eq!(script.trace.count("close"), served, "{step}");
            assert_eq!(script.trace.count("Err(OnLoopThread)"), served, "{step}");
        }
    }
}

/// SHUT-4: `shutdown()` returns after the request in hand is closed; `wait_timeout` may earlier.
#[test]
fn shutdown_waits_for_the_request_in_hand_and_no_other() {
    let script = Script::of(&[("handle", Act::Hold)]);
    let server = run(script.server(), LONG);
    let in_hand = queue(server.address, "in-hand");
    let _queued = queue(server.address, "queued");
    script.trace.wait_for("handle(in-hand)", 1);
    assert_eq!(
        server.handle.shutdown_timeout(Duration::ZERO),
        Err(NotStopped::TimedOut)
    );

    let (handle, trace) = (server.handle.clone(), script.trace.clone());
    let waiter = spawn(move || {
        trace.note("asked");
        let _ = handle.shutdown();
        trace.note("released");
    });
    script.trace.wait_for("asked", 1);
    script.trace.note("go");
    let _server = server.returned();
    waiter.join();
    assert_eq!(answer(in_hand), "in-hand");
    let trace = script.trace.take();
    assert_eq!(
        trace,
        "get verify make setup handle(in-hand) asked go finish shutdown close service released"
    );
}

/// What one client leaves in the trace that sends no line until the server stops.
const CUT: &str = "get verify make setup finish shutdown close service";

/// SHUT-4: a stop ends the wait of a handler for a client that sends nothing. The request is closed,
/// and is no failure. What the client has sent before is not waited for, so it is served.
#[test]
fn shutdown_ends_the_wait_for_a_silent_client() {
    let script = Script::default();
    let mut server = script.server();
    for _ in 0..2 {
        let running = run(server, LONG);
        let mut silent = connect(running.address);
        script.trace.wait_for("setup", 1);
        let handle = running.handle.clone();
        assert_eq!(in_time(move || handle.shutdown()), Ok(()));
        server = running.returned();
        assert_eq!(script.trace.take(), CUT);
        assert_eq!(silent.read(&mut [0]).expect("it is closed"), 0);
    }
}

/// SHUT-4: the same for a client that reads nothing.
#[test]
fn shutdown_ends_the_wait_for_a_client_that_does_not_read() {
    let (begun, begins) = channel();
    let endless = move |_: &mut dyn Rfile, wfile: &mut dyn Write| loop {
        wfile.write_all(&[b'x'; 65536])?;
        begun.send(())?;
    };
    let server = TcpServer::bind("127.0.0.1:0", move |_: &SocketAddr| endless.clone());
    let running = run(server.expect("a free port"), LONG);
    let _client = connect(running.address);
    begins.recv_timeout(PATIENCE).expect("it writes");
    running.stop();
}

/// SHUT-4: the same for a client that sends without a pause, so that the handler never waits.
#[test]
fn shutdown_ends_the_request_of_a_client_that_always_sends() {
    let (begun, begins) = channel();
    let swallow = move |rfile: &mut dyn Rfile, _: &mut dyn Write| {
        begun.send(())?;
        io::copy(rfile, &mut io::sink())?;
        Ok(())
    };
    let server = TcpServer::bind("127.0.0.1:0", move |_: &SocketAddr| swallow.clone());
    let running = run(server.expect("a free port"), LONG);
    let mut client = connect(running.address);
    let sends = spawn(move || while client.write(&[b'x'; 65536]).is_ok() {});
    begins.recv_timeout(PATIENCE).expect("it reads");
    running.stop();
    sends.join();
}

/// SHUT-4: a waiter of another transport is told of a stop: at once if it waits, and after a while if its
/// socket is always ready.
#[test]
fn a_waiter_ends_with_its_server() {
    let mut server = Script::default().server();
    let waiter = Waiter::on_loop(&server.handle());
    assert_eq!(server.turn().expect("no failure"), Turn::Idle);
    let (mut socket, other) = (udp(), udp());
    waiter.watch(&mut socket).expect("watched");
    other
        .send_to(b"x", socket.local_addr().expect("bound"))
        .expect("sent");
    let deadline = Instant::now() + PATIENCE;
    while socket.recv(&mut [0]).is_err() {
        waiter.wait(Some(deadline)).expect("it becomes ready");
    }
    let timed_out = waiter.wait(Some(Instant::now()));
    assert!(timed_out.is_err_and(|error| error.kind() == ErrorKind::TimedOut));
    server.shutdown_handle().request();
    assert!(waiter.check().is_ok(), "what has arrived may be served");
    let ended = loop {
        // An event may still tell of the datagram.
        if let Err(error) = waiter.wait(Some(deadline)) {
            break error.kind();
        }
    };
    assert_eq!(ended, ErrorKind::ConnectionAborted);
    wait_until("told", || waiter.check().is_err());
    // The next run has nothing to do with that.
    drop(server.begin_run().expect("it can run"));
    waiter.watch(&mut udp()).expect("watched");
    let timed_out = waiter.wait(Some(Instant::now()));
    assert_eq!(
        timed_out.map_err(|error| error.kind()),
        Err(ErrorKind::TimedOut)
    );
}

/// A datagram socket on a free port.
fn udp() -> mio::net::UdpSocket {
    mio::net::UdpSocket::bind(([127, 0, 0, 1], 0).into()).expect("a free port")
}

/// SHUT-4: a drain lets the handler wait for its client, as long as its patience lasts.
#[test]
fn a_drain_ends_the_wait_for_a_client_with_its_patience() {
    let script = Script::default();
    let running = run(script.server(), LONG);
    let mut client = connect(running.address);
    script.trace.wait_for("setup", 1);
    running.handle.request_drain(Duration::MAX);
    client.write_all(b"rest\n").expect("the server reads");
    assert_eq!(answer(client), "rest");
    running.returned();

    let script = Script::default();
    let running = run(script.server(), LONG);
    let _silent = connect(running.address);
    script.trace.wait_for("setup", 1);
    running.handle.request_drain(Duration::from_millis(1));
    running.returned();
    assert_eq!(script.trace.count("error"), 0);
}

/// SHUT-6, SHUT-11: a request that was made before belongs to the next run. `handle_request` waits for
/// its client all the same.
#[test]
fn a_latched_request_does_not_end_the_wait_for_a_client() {
    let script = Script::default();
    let server = script.server();
    server.shutdown_handle().request();
    let mut client = connect(server.server_address());
    let running = run_as(server, |server| server.handle_request(PATIENCE));
    script.trace.wait_for("setup", 1);
    running.handle.request();
    client.write_all(b"late\n").expect("the server reads");
    assert_eq!(answer(client), "late");
    running.returned();
}

/// SHUT-3 (bpo-35017): a request made during the wait wins over what the same wait reports.
#[test]
fn shutdown_wins_over_readiness_of_the_same_wait() {
    const LISTENER: Token = Token(0);
    let script = Script::default();
    let mut poll = Poll::new().expect("a poll");
    let waker = Arc::new(Waker::new(poll.registry(), Token(99)).expect("a waker"));
    let (transport, dispatch) = (script.transport(), Inline::new(script.factory()));
    let registry = poll.registry();
    let engine = Engine::attach(transport, dispatch, script.clone(), registry, waker, 0..8);
    let mut engine = engine.expect("attached");
    let now = Instant::now();
    assert_eq!(engine.turn(now).expect("no failure"), Turn::Idle);

    let address = engine.transport().server_address();
    let client = queue(address, "hello");
    let mut events = Events::with_capacity(8);
    wait_until("ready", || {
        poll.poll(&mut events, Some(PATIENCE)).expect("a wait");
        events.iter().any(|event| event.token() == LISTENER)
    });
    engine.shutdown_handle().request();
    for event in &events {
        engine.feed(event);
    }
    assert_eq!(engine.turn(now).expect("no failure"), Turn::Shutdown);
    assert_eq!(script.trace.take(), "");

    engine.clear_shutdown_request();
    assert_eq!(engine.turn(now).expect("no failure"), Turn::Iteration);
    assert_eq!(answer(client), "hello");
    assert_eq!(script.trace.take(), served("hello"));
}

/// LOOP-4, LOOP-12, SHUT-12: a failure leaves the loop; `is_shut_down` is set, the request is
/// reset, and a later run can begin.
#[test]
fn every_failure_that_leaves_the_loop_sets_is_shut_down() {
    let (fail, panic, stop) = (Act::Fail, Act::Panic, Act::Stop);
    for (acts, outcome) in [
        (&[("verify", stop)][..], "stop"),
        (&[("setup", stop)], "stop"),
        (&[("handle", stop)], "stop"),
        (&[("finish", stop)], "stop"),
        (&[("handle", fail), ("error", stop)], "stop"),
        (&[("service", stop)], "stop"),
        (&[("service", fail)], "failed: service failed"),
        (&[("service", panic)], "panicked: service panicked"),
        (&[("ready", stop)], "stop"),
        (&[("ready", fail)], "failed: ready failed"),
        (&[("ready", panic)], "panicked: ready panicked"),
    ] {
        let script = Script::of(acts);
        let mut server = script.server();
        let client = queue(server.server_address(), "hello");
        make_a_source_ready(&mut server);

        let server = run(server, LONG);
        let handle = server.handle.clone();
        let ended = server.ended();
        let trace = script.trace.take();
        assert_eq!(ended.outcome, outcome, "{trace}");
        assert!(trace.contains(" shutdown close"), "REQ-8, REQ-9: {trace}");
        answer(client);
        assert!(!ended.server.engine().shutdown_requested());
        assert_eq!(
            in_time(move || handle.shutdown()),
            Err(NotStopped::NotRunning)
        );
        run(ended.server, LONG).returned();
    }
}

/// LOOP-4, SHUT-12: who waits for a loop that dies is released too, and not told why.
#[test]
fn a_waiter_outlives_a_loop_that_panics() {
    let script = Script::of(&[("handle", Act::Hold), ("service", Act::Panic)]);
    let server = run(script.server(), LONG);
    let client = queue(server.address, "held");
    script.trace.wait_for("handle(held)", 1);
    let (handle, trace) = (server.handle.clone(), script.trace.clone());
    let waiter = spawn(move || {
        trace.note("asked");
        handle.shutdown()
    });
    script.trace.wait_for("asked", 1);
    script.trace.note("go");
    assert_eq!(server.ended().outcome, "panicked: service panicked");
    // Late by a hair, it may find no loop any more.
    assert!(matches!(
        waiter.join(),
        Ok(()) | Err(NotStopped::NotRunning)
    ));
    assert_eq!(answer(client), "held");
}

/// LOOP-9: a signal is seen within the poll interval also where it cannot end the wait, as on
/// Windows. What else signals do is in `signals.rs`, and on Unix.
#[test]
fn a_signal_is_seen_within_the_poll_interval() {
    let mut server = Script::default().server();
    server.shutdown_on_signals().expect("registered");
    let server = run(server, POLL_INTERVAL);
    assert_eq!(ask(server.address, "hello"), "hello");
    signal_hook::low_level::raise(signal_hook::consts::SIGINT).expect("raised");
    server.returned();
}

/// LOOP-14: a listener that can accept no more ends the loop, which neither spins nor hangs.
#[cfg(unix)]
#[test]
fn a_listener_made_invalid_ends_the_loop() {
    use std::os::fd::AsFd;

    let script = Script::default();
    let server = script.server();
    let listener = server.engine().transport().inner.as_fd();
    let listener = listener.try_clone_to_owned().expect("a descriptor");
    let server = run(server, LONG);
    assert_eq!(ask(server.address, "hello"), "hello");
    socket2::SockRef::from(&listener)
        .shutdown(std::net::Shutdown::Both)
        .expect("shut down");
    let handle = server.handle.clone();
    let outcome = server.ended().outcome;
    assert!(outcome.starts_with("failed: "), "{outcome}");
    assert_eq!(
        handle.shutdown_timeout(PATIENCE),
        Err(NotStopped::NotRunning)
    );
    assert_eq!(script.trace.take(), served("hello"));
}

/// LOOP-14: so does one whose descriptor is gone, or has become something else. It is an error of the
/// system, and no shortage: nothing is waited for, and nothing is counted.
#[cfg(target_os = "linux")]
#[test]
fn a_listener_that_is_gone_ends_the_loop() {
    const EBADF: i32 = 9;
    const ENOTSOCK: i32 = 88;
    for code in [EBADF, ENOTSOCK] {
        let script = Script::default();
        let fault = io::Error::from_raw_os_error(code);
        script.faults.lock().expect("no panic").push_back(fault);
        let Ended { server, outcome } = run(script.server(), LONG).ended();
        let error = io::Error::from_raw_os_error(code);
        assert_eq!(outcome, format!("failed: {error}"));
        assert_eq!(server.stats().shortages, 0);
    }
}

/// LOOP-15: a closed server fails at once, and nobody waits for it.
#[test]
fn a_closed_server_does_not_run() {
    let mut server = Script::default().server();
    server.server_close();
    let server = run(server, LONG);
    let handle = server.handle.clone();
    let ended = server.ended();
    assert_eq!(ended.outcome, "failed: the server is closed");
    assert_eq!(
        in_time(move || handle.shutdown()),
        Err(NotStopped::NotRunning)
    );
    let again = run(ended.server, LONG).ended();
    assert_eq!(again.outcome, "failed: the server is closed");
}

/// SHUT-5 (Issue 2302): however the start and the shutdown race, the loop ends.
#[test]
fn shutdown_right_after_the_start_always_ends_the_loop() {
    let servers: Vec<_> = (0..20)
        .map(|_| {
            let server = run(Script::default().server(), LONG);
            let handle = server.handle.clone();
            (server, spawn(move || handle.shutdown()))
        })
        .collect();
    for (server, waiter) in servers {
        waiter.join().ok();
        server.returned();
    }
}

/// SRV-1: a new server has its address and its factory, asks for nothing and runs nothing.
#[test]
fn a_new_server_has_not_run() {
    let script = Script::default();
    let server = script.server();
    assert_ne!(server.server_address().port(), 0);
    assert!(!server.engine().shutdown_requested());
    assert_eq!(server.shutdown_handle().drained(), None);
    assert_eq!(script.trace.take(), "");
    let handle = server.shutdown_handle();
    assert_eq!(
        in_time(move || handle.shutdown()),
        Err(NotStopped::NotRunning)
    );
}

/// SHUT-13: the handle outlives its server.
#[test]
fn a_handle_without_a_server_answers() {
    let server = Script::default().server();
    let handle: ShutdownHandle = server.shutdown_handle();
    drop(server);
    assert_eq!(
        in_time(move || handle.shutdown()),
        Err(NotStopped::NotRunning)
    );
}

/// SHUT-13: what reaches a server from elsewhere does not keep its waker, and so a descriptor, open.
#[test]
fn what_is_kept_of_a_server_keeps_no_descriptor() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let page = move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        keep.lock().expect("no panic").push(deferred);
        Ok(reply)
    };
    let pool = Pool::new();
    let pooled = Pooled::new(page, pool.clone());
    let mut server = HttpServer::bind("127.0.0.1:0", pooled).expect("a free port");
    let (handle, stop) = (server.handle(), server.shutdown_handle());
    let reactor = server.engine_mut().reactor_mut();
    let waker = Arc::downgrade(&reactor.waker());
    let slot = reactor.open().expect("a slot");
    let doorbell = reactor.doorbell(slot);
    let mut client = connect(server.server_address());
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    client.write_all(request).expect("sent");
    let running = run(server, LONG);
    wait_until("deferred", || kept.lock().expect("no panic").len() == 1);
    assert!(waker.upgrade().is_some());
    drop(running.stop());
    assert!(waker.upgrade().is_none());

    // All of them may still be used.
    doorbell.ring();
    stop.request();
    assert_eq!(handle.stats().open, 0);
    let deferred = kept.lock().expect("no panic").pop().expect("one");
    let late = deferred.respond(|response| response.send_response(200).body(""));
    assert!(late.is_err(), "the client is gone");
    drop(pool);
}

// How it goes round.

/// LOOP-5, SHUT-9: the listener outlives the loop; who connects in between is served by the next.
#[test]
fn a_second_run_serves_those_who_connected_in_between() {
    let script = Script::default();
    let mut server = script.server();
    for round in ["one", "two", "three"] {
        let running = run(server, LONG);
        assert_eq!(ask(running.address, round), round);
        server = running.stop();
        let clients = ["a", "b"].map(|name| (name, queue(server.server_address(), name)));
        assert_eq!(script.trace.take(), served(round));
        let running = run(server, LONG);
        for (name, client) in clients {
            assert_eq!(answer(client), name);
        }
        server = running.stop();
        assert_eq!(script.trace.take(), [served("a"), served("b")].join(" "));
    }
}

/// SHUT-9: those who are still queued when the listener closes are turned away.
#[test]
fn closing_the_server_turns_away_those_who_queue() {
    let server = Script::default().server();
    let mut client = connect(server.server_address());
    drop(server);
    match client.read(&mut [0]) {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert_ne!(error.kind(), ErrorKind::WouldBlock, "waited in vain"),
    }
}

/// LOOP-10, LOOP-11, LOOP-13: several connections in one readiness are several iterations, in
/// order of arrival, each with its `service_actions`.
#[test]
fn one_request_an_iteration() {
    let script = Script::default();
    let server = script.server();
    let names = ["one", "two", "three", "four"];
    let clients = names.map(|name| queue(server.server_address(), name));
    let server = run(server, LONG);
    for (name, client) in names.iter().zip(clients) {
        assert_eq!(answer(client), *name);
    }
    server.stop();
    assert_eq!(script.trace.take(), names.map(served).join(" "));
}

/// LOOP-2, LOOP-10, LOOP-11, RT-3: one shutdown test between any two requests; what a run leaves over
/// is ready again in the next.
#[test]
fn one_shutdown_test_between_two_requests() {
    let script = Script::of(&[("service", Act::Shutdown)]);
    let mut server = script.server();
    let names = ["one", "two", "three"];
    let clients = names.map(|name| queue(server.server_address(), name));
    for (name, client) in names.iter().zip(clients) {
        server = run(server, LONG).returned();
        assert_eq!(answer(client), *name);
        assert_eq!(script.trace.take(), served(name) + " Err(OnLoopThread)");
    }
}

/// LOOP-7, LOOP-13: when idle, once an interval; an interval of nothing spins.
#[test]
fn service_actions_run_at_each_interval_when_idle() {
    for micros in [0, 1, 2_000] {
        let script = Script::default();
        let server = run(script.server(), Duration::from_micros(micros));
        script.trace.wait_for("service", 7);
        assert_eq!(ask(server.address, "hello"), "hello");
        server.stop();
        let trace = script.trace.take();
        assert!(trace.contains(&served("hello")), "{trace}");
    }
}

/// LOOP-7, LOOP-13, RT-2, RT-4: without an interval they run once a request; neither an early
/// wake-up nor a probe that finds nothing is an iteration.
#[test]
fn an_early_wake_up_is_no_iteration() {
    for poll_interval in [None, Some(LONG)] {
        let script = Script::default();
        let mut server = script.server();
        let waker = server.engine_mut().reactor_mut().waker();
        let server = run(server, poll_interval);
        let names = ["one", "two", "three"];
        for name in names {
            waker.wake().expect("a wake");
            assert_eq!(ask(server.address, name), name);
            waker.wake().expect("a wake");
        }
        server.stop();
        assert_eq!(script.trace.take(), names.map(served).join(" "));
    }
}

/// LOOP-13, LOOP-17: while a request is served inline, `service_actions` waits.
#[test]
fn a_handler_delays_service_actions() {
    let script = Script::of(&[("handle", Act::Hold)]);
    let server = script.server();
    let client = queue(server.server_address(), "slow");
    let server = run(server, Duration::ZERO);
    script.trace.wait_for("handle(slow)", 1);
    let before = script.trace.count("service");
    script.trace.note("before-go");
    script.trace.note("go");
    assert_eq!(answer(client), "slow");
    server.stop();
    assert_eq!(before, 0, "the first turn accepts what is queued");
    let trace = script.trace.take();
    assert!(
        trace.contains("handle(slow) before-go go finish"),
        "{trace}"
    );
}

// What `serve_forever` returns.

/// REQ-8: a stop leaves `serve_forever` together with its reason, as `SystemExit(3)` would.
#[test]
fn a_reason_to_stop_reaches_the_caller() {
    let stop = |_: &mut dyn Rfile, _: &mut dyn Write| -> HandlerResult {
        Err(Failure::stop_because("status 3"))
    };
    let factory = move |_: &SocketAddr| stop;
    let mut server = TcpServer::bind("127.0.0.1:0", factory).expect("a port");
    let _client = connect(server.server_address());
    match in_time(move || server.serve_forever()) {
        Err(ServeError::Stopped(Some(reason))) => assert_eq!(reason.to_string(), "status 3"),
        other => panic!("{other:?}"),
    }
}

/// LOOP-12: an error of the operating system can be recognised, whatever `main` returns.
#[test]
fn an_error_of_the_system_comes_out_as_it_went_in() {
    let error = || ServeError::from(io::Error::from_raw_os_error(24));
    assert_eq!(io::Error::from(error()).raw_os_error(), Some(24));
    let boxed: Box<dyn Error + Send + Sync> = error().into();
    assert_eq!(
        boxed.to_string(),
        io::Error::from_raw_os_error(24).to_string()
    );
    let failure = io::Error::from(Failure::from("nobody"));
    assert_eq!(failure.to_string(), "nobody");
    let stopped = ServeError::from(Failure::stop_because("enough"));
    assert_eq!(stopped.to_string(), "the server was told to stop: enough");
}

/// LOOP-7, LOOP-13: an idle server wakes for `service_actions`, and not if it has none.
#[test]
fn without_service_actions_an_idle_server_does_not_wake() {
    let asleep = |server: &mut dyn FnMut() -> Option<Duration>| {
        // The first turns find that nothing is there.
        (0..3).map(|_| server()).last().flatten()
    };
    let script = Script::default();
    let mut server = script.server();
    let interval = asleep(&mut || {
        server.turn().expect("a turn");
        server.timeout()
    });
    assert!(interval.is_some_and(|interval| interval <= POLL_INTERVAL));
    server.set_poll_interval(None);
    assert_eq!(server.timeout(), None);

    let factory = |_: &SocketAddr| |_: &mut dyn Rfile, _: &mut dyn Write| Ok(());
    let mut server = TcpServer::bind("127.0.0.1:0", factory).expect("a port");
    let interval = asleep(&mut || {
        server.turn().expect("a turn");
        server.timeout()
    });
    assert_eq!(interval, None);
}
