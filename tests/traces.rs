//! The order of all hooks, against CPython's own.
//!
//! `traces/record.py` runs CPython's `socketserver` through some scenarios and writes down which
//! hooks ran. Here the same scenarios are played to a server of ours. Where the two differ on
//! purpose, [`DIFFERENCES`] says so.
#![cfg(feature = "server")]

mod support;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use serde_json::Value;
use serve_forever::reactor::{Now, Reactor};
use serve_forever::socketserver::{Dispatch, Engine, Inline, Refused, Transport, Turn};
use support::client::queue;
use support::missing::not_tested;
use support::patience::{LONG, PATIENCE, wait_until};
use support::script::{Act, Factory, Recorded, RecordedRequest, Script};
use support::server::run;
use support::trace::Trace;

/// What CPython does.
const CPYTHON: &str = include_str!("traces/cpython.jsonl");

/// A scenario in which we differ: what our hooks are after those that CPython calls, too.
struct Difference {
    scenario: &'static str,
    clause: &'static str,
    /// What ours calls after all that CPython calls.
    then: &'static [&'static str],
    reason: &'static str,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        scenario: "failure in verify_request",
        clause: "REQ-6",
        then: &[
            "handle_error",
            "shutdown_request",
            "close_request",
            "service_actions",
        ],
        reason: "Better: a failure of one request, not of the loop; CPython also leaks the socket",
    },
    Difference {
        scenario: "exit in verify_request",
        clause: "REQ-6",
        then: &["shutdown_request", "close_request"],
        reason: "Better: the loop ends as in CPython, and the request is closed first (REQ-8)",
    },
    Difference {
        scenario: "failure in handle_error",
        clause: "REQ-9",
        then: &["shutdown_request", "close_request", "service_actions"],
        reason: "Better: a report that fails is no way out of the loop, and leaks no connection",
    },
];

/// REQ-1, REQ-2, REQ-5 to REQ-9, REQ-12, REQ-14, REQ-16, LOOP-2, LOOP-3, LOOP-10, LOOP-12, SHUT-3 to SHUT-5,
/// HND-1: in every scenario the same hooks in the same order, but for the differences.
#[test]
fn hooks_run_in_cpythons_order() {
    let mut differing = Vec::new();
    for line in CPYTHON.lines() {
        let scenario: Value = serde_json::from_str(line).expect("JSON");
        let name = scenario["name"].as_str().expect("a name");
        let hooks = scenario["hooks"].as_array().expect("a list");
        let theirs: Vec<&str> = hooks.iter().filter_map(Value::as_str).collect();
        let ours = play(name);
        let difference = DIFFERENCES.iter().find(|listed| listed.scenario == name);
        let then = difference.map_or(&[][..], |listed| listed.then);
        let why = difference.map_or(("no difference", "is listed"), |it| (it.clause, it.reason));
        assert_eq!(ours, [&theirs, then].concat(), "{name}: {why:?}");
        if ours != theirs {
            differing.push(name.to_owned());
        }
    }
    let listed: Vec<&str> = DIFFERENCES.iter().map(|listed| listed.scenario).collect();
    assert_eq!(
        listed, differing,
        "the list is in order, and nothing is unused"
    );
}

/// Plays one scenario; answers the hooks by Python's names.
fn play(name: &str) -> Vec<&'static str> {
    use Act::{Fail, Refuse, Shutdown, Stop};
    match name {
        "success" => serve(&[], 1, 1),
        "refusal" => serve(&[("verify", Refuse)], 1, 1),
        "failure in setup" => serve(&[("setup", Fail)], 1, 1),
        "failure in handle" => serve(&[("handle", Fail)], 1, 1),
        "failure in finish" => serve(&[("finish", Fail)], 1, 1),
        "failure in handle and finish" => serve(&[("handle", Fail), ("finish", Fail)], 1, 1),
        "failure in verify_request" => serve(&[("verify", Fail)], 1, 1),
        "failure in handle_error" => serve(&[("handle", Fail), ("error", Fail)], 1, 1),
        "three queued connections" => serve(&[], 3, 3),
        "exit in setup" => serve_to_the_end(&[("setup", Stop)], "stop"),
        "exit in handle" => serve_to_the_end(&[("handle", Stop)], "stop"),
        "exit in finish" => serve_to_the_end(&[("finish", Stop)], "stop"),
        "exit in verify_request" => serve_to_the_end(&[("verify", Stop)], "stop"),
        "failure in service_actions" => {
            serve_to_the_end(&[("service", Fail)], "failed: service failed")
        }
        "shutdown from a handler" => serve_to_the_end(&[("handle", Shutdown)], "ok"),
        "accept failure" => {
            let script = lossy();
            let server = run(script.server(), LONG);
            script.trace.wait_for("service", 1);
            server.stop();
            hooks(&script.trace)
        }
        "handle_request, served" => handle_request(&Script::default(), 1),
        "handle_request, accept failure" => handle_request(&lossy(), 0),
        "handle_request, refusal" => handle_request(&Script::of(&[("verify", Refuse)]), 1),
        "handle_request, failure in handle" => handle_request(&Script::of(&[("handle", Fail)]), 1),
        "handle_request, timeout" => handle_request(&Script::default(), 0),
        "shutdown before the start" => {
            let script = Script::default();
            let server = script.server();
            let _queued = queue(server.server_address(), "hello");
            server.shutdown_handle().request();
            run(server, LONG).returned();
            hooks(&script.trace)
        }
        "shutdown during the wait" => shut_down_during_the_wait(),
        _ => panic!("{name}: CPython was asked, and we are not"),
    }
}

/// A loop that is stopped after so many iterations.
fn serve(acts: &[(&'static str, Act)], clients: usize, iterations: usize) -> Vec<&'static str> {
    let script = Script::of(acts);
    let server = script.server_with(process_request(&script));
    let address = server.server_address();
    let _queued: Vec<_> = (0..clients).map(|_| queue(address, "hello")).collect();
    let server = run(server, LONG);
    script.trace.wait_for("service", iterations);
    server.stop();
    hooks(&script.trace)
}

/// A loop with two clients that ends by itself.
fn serve_to_the_end(acts: &[(&'static str, Act)], outcome: &str) -> Vec<&'static str> {
    let script = Script::of(acts);
    let server = script.server_with(process_request(&script));
    let address = server.server_address();
    let _queued = [queue(address, "one"), queue(address, "two")];
    assert_eq!(run(server, LONG).ended().outcome, outcome);
    hooks(&script.trace)
}

fn handle_request(script: &Script, clients: usize) -> Vec<&'static str> {
    let mut server = script.server_with(process_request(script));
    let address = server.server_address();
    let _queued: Vec<_> = (0..clients).map(|_| queue(address, "hello")).collect();
    // Of the clients each is there already; where there is none, the end is waited for.
    let timeout = match clients {
        0 => Duration::from_millis(10),
        _ => PATIENCE,
    };
    server.handle_request(timeout).expect("no failure");
    hooks(&script.trace)
}

/// SHUT-3 (bpo-35017). Between a wait and the turn that follows it only a host can step in.
fn shut_down_during_the_wait() -> Vec<&'static str> {
    let script = Script::default();
    let mut poll = Poll::new().expect("a poll");
    let waker = Arc::new(Waker::new(poll.registry(), Token(99)).expect("a waker"));
    let (transport, dispatch) = (script.transport(), process_request(&script));
    let registry = poll.registry();
    let engine = Engine::attach(transport, dispatch, script.clone(), registry, waker, 0..8);
    let mut engine = engine.expect("attached");
    let _queued = queue(engine.transport().server_address(), "hello");
    let mut events = Events::with_capacity(8);
    wait_until("ready", || {
        poll.poll(&mut events, Some(PATIENCE)).expect("a wait");
        !events.is_empty()
    });
    engine.shutdown_handle().request();
    for event in &events {
        engine.feed(event);
    }
    let turn = engine.turn(Instant::now()).expect("no failure");
    assert_eq!(turn, Turn::Shutdown);
    hooks(&script.trace)
}

/// A script whose first client is gone before it is accepted.
fn lossy() -> Script {
    let script = Script::default();
    let lost = ErrorKind::ConnectionAborted.into();
    script.faults.lock().expect("no panic").push_back(lost);
    script
}

/// [`Inline`], noting `process`.
struct Noted {
    inline: Inline<Factory>,
    trace: Trace,
}

fn process_request(script: &Script) -> Noted {
    Noted {
        inline: Inline::new(script.factory()),
        trace: script.trace.clone(),
    }
}

impl Dispatch<Recorded> for Noted {
    fn process_request(
        &mut self,
        request: RecordedRequest,
        client_address: SocketAddr,
        reactor: &mut Reactor,
        now: &Now,
    ) -> Result<(), Refused<RecordedRequest>> {
        self.trace.note("process");
        let inline: &mut dyn Dispatch<Recorded> = &mut self.inline;
        inline.process_request(request, client_address, reactor, now)
    }
}

/// What was noted, by Python's names.
fn hooks(trace: &Trace) -> Vec<&'static str> {
    let trace = trace.take();
    let named = words(&trace).filter_map(|word| {
        Some(match word.split('(').next().unwrap_or_default() {
            "get" | "lost" => "get_request",
            "verify" => "verify_request",
            "process" => "process_request",
            "make" => "finish_request",
            "setup" => "setup",
            "handle" => "handle",
            "finish" => "finish",
            "shutdown" => "shutdown_request",
            "close" => "close_request",
            "error" => "handle_error",
            "timeout" => "handle_timeout",
            "service" => "service_actions",
            "Err" => return None, // what shutdown() answered
            _ => panic!("{word:?} is no hook"),
        })
    });
    named.collect()
}

/// Words at the spaces outside parentheses.
fn words(trace: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    trace
        .split(move |character| {
            depth += i32::from(character == '(') - i32::from(character == ')');
            character == ' ' && depth == 0
        })
        .filter(|word| !word.is_empty())
}

/// The committed file is what this machine's Python says, if it is new enough.
#[cfg(unix)]
#[test]
fn cpython_still_says_so() {
    let recorder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces/record.py");
    let python = |arguments: &[&str]| {
        std::process::Command::new("python3")
            .args(arguments)
            .output()
    };
    let new_enough = "import sys; sys.exit(sys.version_info < (3, 11))";
    if !python(&["-c", new_enough]).is_ok_and(|output| output.status.success()) {
        return not_tested("cpython_still_says_so", "Python 3.11 or newer");
    }
    let output = python(&[recorder, "/dev/stdout"]).expect("it ran a moment ago");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), CPYTHON);
}
