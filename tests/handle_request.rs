//! Waiting for one request, without a loop: REQ-12 to REQ-16, LOOP-6, SHUT-11.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serve_forever::reactor::Doorbell;
use support::{LIMIT, LONG, Script, Scripted, answer, ask, queue, run, served, spawn};

/// What one request leaves in the trace when there is no loop.
fn served_alone(line: &str) -> String {
    served(line).replace(" service", "")
}

/// REQ-12, SHUT-11: one request each, in order of arrival, and nothing besides; a shutdown that is
/// asked for meanwhile is the next loop's.
#[test]
fn one_request_and_no_service_actions() {
    let script = Script::default();
    let mut server = script.server();
    let names = ["one", "two", "three"];
    let clients = names.map(|name| queue(server.server_address(), name));
    server.shutdown_handle().request();
    for (name, client) in names.iter().zip(clients) {
        server.handle_request(LIMIT).expect("no failure");
        assert_eq!(answer(client), *name);
        assert_eq!(script.trace.take(), served_alone(name));
    }
    assert!(server.engine().shutdown_requested());
    let client = queue(server.server_address(), "later");
    let server = run(server, LONG).returned();
    assert_eq!(script.trace.take(), "");
    let server = run(server, LONG);
    assert_eq!(answer(client), "later");
    server.stop();
}

/// REQ-15: a limit of nothing is one look; who is there is served, else the time is up.
#[test]
fn a_limit_of_nothing_is_one_look() {
    let script = Script::default();
    let mut server = script.server();
    server.handle_request(Duration::ZERO).expect("no failure");
    assert_eq!(script.trace.take(), "timeout");
    let client = queue(server.server_address(), "hello");
    server.handle_request(Duration::ZERO).expect("no failure");
    assert_eq!(answer(client), "hello");
    assert_eq!(script.trace.take(), served_alone("hello"));
}

/// A slot whose turn another thread can ask for: an early wake-up that can be seen.
fn doorbell(server: &mut Scripted) -> Doorbell {
    let reactor = server.engine_mut().reactor_mut();
    let slot = reactor.open().expect("a slot");
    reactor.doorbell(slot)
}

/// REQ-14: early wake-ups neither end the wait nor begin it anew: were the limit counted from the
/// last of them, this would not end.
#[test]
fn early_wake_ups_do_not_move_the_deadline() {
    let script = Script::default();
    let mut server = script.server();
    let bell = doorbell(&mut server);
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let ringing = spawn(move || {
        while !seen.load(Ordering::Acquire) {
            bell.ring();
        }
    });
    let limit = Duration::from_millis(50);
    let waited = spawn(move || server.handle_request(limit).is_ok());
    assert!(waited.join());
    over.store(true, Ordering::Release);
    ringing.join();
    assert_eq!(script.trace.count("timeout"), 1);
    assert!(script.trace.count("ready") > 0, "it was woken early");
}

/// REQ-15: without a limit the time is never up, however often the wait is ended early.
#[test]
fn without_a_limit_the_time_is_never_up() {
    let script = Script::default();
    let mut server = script.server();
    let bell = doorbell(&mut server);
    let address = server.server_address();
    let waiting = spawn(move || server.handle_request(None).is_ok());
    for times in 1..=20 {
        bell.ring();
        script.trace.wait_for("ready", times);
    }
    assert_eq!(ask(address, "at last"), "at last");
    assert!(waiting.join());
    assert_eq!(script.trace.count("timeout"), 0);
}

/// LOOP-6: the loop has no time limit, however little happens.
#[test]
fn the_loop_never_times_out() {
    let script = Script::default();
    let server = run(script.server(), Duration::from_millis(1));
    script.trace.wait_for("service", 5);
    server.stop();
    assert_eq!(script.trace.count("timeout"), 0);
}
