//! Signals, which belong to the whole process: LOOP-8, REQ-14, STREAM-3, `shutdown_on_signals`,
//! `drain_on_signals`, and others as a program's own source.
//!
//! One test at a time: each holds [`alone`]. A test whose process is to be ended by a signal runs in a
//! process of its own ([`end_of`]).
#![cfg(feature = "server")]
#![cfg(unix)]

mod support;

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Token, Waker};
use serve_forever::http::{HttpServer, Request, Response};
use serve_forever::reactor::{Now, Reactor, Slot};
use serve_forever::socketserver::{
    Engine, HandlerResult, Hooks, Inline, Server, Transport, Turn, keep_signals,
};
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::{raise, unregister};
use support::client::{answer, ask, connect, queue};
use support::patience::{LONG, PATIENCE, spawn, wait_until};
use support::script::{Act, Factory, Recorded, Script, served};
use support::server::run;

/// Keeps the other tests of this program from seeing this one's signals.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Set in the process that a signal is to end.
const CHILD: &str = "SERVE_FOREVER_TEST_CHILD";

/// How the process of `body` ends: it runs in this program again, with the one test. `test` is the name
/// of the test that says so. If the body returns, the process ends with status 0.
fn end_of(test: &str, body: impl FnOnce()) -> ExitStatus {
    if env::var_os(CHILD).is_some() {
        body();
        process::exit(0);
    }
    let mut child = Command::new(env::current_exe().expect("a path"));
    let child = child.args(["--exact", test, "--nocapture"]).env(CHILD, "1");
    let ended = child.output().expect("started");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(said.contains("running 1 test"), "no such test: {said}");
    ended.status
}

/// A signal's handler that notes that it ran.
struct Caught {
    flag: Arc<AtomicBool>,
    id: SigId,
}

impl Caught {
    fn register(signal: i32) -> Caught {
        let flag = Arc::new(AtomicBool::new(false));
        let id = signal_hook::flag::register(signal, Arc::clone(&flag)).expect("registered");
        Caught { flag, id }
    }

    fn take(&self) -> bool {
        self.flag.swap(false, Ordering::SeqCst)
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        unregister(self.id);
    }
}

/// LOOP-1, SHUT-13: SIGINT and SIGTERM end the loop without a failure, out of a long wait.
#[test]
fn signals_shut_the_server_down() {
    let _alone = alone();
    let script = Script::default();
    let mut server = script.server();
    server.shutdown_on_signals().expect("registered");
    for signal in [SIGINT, SIGTERM, SIGINT] {
        let running = run(server, LONG);
        assert_eq!(ask(running.address, "hello"), "hello");
        raise(signal).expect("raised");
        server = running.returned();
        assert_eq!(script.trace.count("service"), 1);
        script.trace.take();
    }
}

/// SHUT-3, SHUT-5, SHUT-6: a signal before the run cancels it, whoever is queued; two of them
/// cancel one run.
#[test]
fn signals_before_the_run_are_latched() {
    let _alone = alone();
    let script = Script::default();
    let mut server = script.server();
    server.shutdown_on_signals().expect("registered");
    let client = queue(server.server_address(), "early");
    raise(SIGTERM).expect("raised");
    raise(SIGINT).expect("raised");
    let server = run(server, LONG).returned();
    assert_eq!(script.trace.take(), "");

    let server = run(server, LONG);
    assert_eq!(answer(client), "early");
    raise(SIGTERM).expect("raised");
    let mut server = server.returned();

    // A program with a loop of its own is told, too.
    assert_eq!(server.turn().expect("no failure"), Turn::Idle);
    raise(SIGTERM).expect("raised");
    assert_eq!(server.turn().expect("no failure"), Turn::Shutdown);
    server.engine_mut().clear_shutdown_request();
    assert_eq!(server.turn().expect("no failure"), Turn::Idle);
}

/// Every server that asked for it is stopped, also one that asked twice; one that is gone, or
/// never asked, is not. The program's own handlers run before, during and after.
#[test]
fn signals_reach_the_servers_that_asked_for_them() {
    let _alone = alone();
    keep_signals();
    let caught = Caught::register(SIGTERM);
    let mut asked = Script::default().server();
    asked.drain_on_signals(Duration::MAX).expect("registered");
    asked.shutdown_on_signals().expect("registered again");
    let (asked, other) = (run(asked, LONG), run(Script::default().server(), LONG));
    raise(SIGTERM).expect("raised");
    let asked = asked.returned();
    assert_eq!(
        asked.shutdown_handle().drained(),
        None,
        "the last call counts"
    );
    assert!(caught.take());
    assert_eq!(ask(other.address, "hello"), "hello");
    drop(asked);

    raise(SIGTERM).expect("raised");
    assert!(caught.take());
    assert_eq!(ask(other.address, "again"), "again");
    other.stop();
}

/// Design law 11: the first signal lets what was begun be finished, another one does not.
#[test]
fn the_first_signal_drains_and_the_second_stops() {
    let _alone = alone();
    for again in [false, true] {
        let (sender, deferreds) = channel();
        let defer = move |_: &Request<'_>, response: Response<'_>| {
            let (deferred, reply) = response.defer();
            sender.send(deferred)?;
            Ok(reply)
        };
        let mut server = HttpServer::bind("127.0.0.1:0", defer).expect("a free port");
        server.drain_on_signals(Duration::MAX).expect("registered");
        let server = run(server, None);
        let mut idle = connect(server.address);
        let client = queue(server.address, "GET / HTTP/1.1\r\nHost: h\r\n\r");
        let deferred = deferreds.recv_timeout(PATIENCE).expect("a request");

        raise(SIGTERM).expect("raised");
        assert_eq!(idle.read(&mut [0]).expect("it is closed"), 0);
        if again {
            raise(SIGINT).expect("raised");
            let _server = server.returned();
            assert!(
                deferred
                    .respond(|response| response.send_response(200).body(""))
                    .is_ok(),
                "it is still there"
            );
        } else {
            deferred
                .respond(|response| response.send_response(200).body("late"))
                .expect("it is there");
            assert!(answer(client).ends_with("\r\nConnection: close\r\n\r\nlate"));
            server.returned();
        }
    }
}

/// SHUT-4: a signal ends the wait of a handler for a silent client, on the loop's own thread.
#[test]
fn a_signal_ends_the_wait_for_a_silent_client() {
    let _alone = alone();
    let script = Script::default();
    let mut server = script.server();
    server.shutdown_on_signals().expect("caught");
    for signal in [SIGINT, SIGTERM] {
        let running = run(server, LONG);
        let mut silent = connect(running.address);
        script.trace.wait_for("setup", 1);
        raise(signal).expect("raised");
        server = running.returned();
        assert_eq!(silent.read(&mut [0]).expect("it is closed"), 0);
        let trace = script.trace.take();
        assert!(trace.starts_with("get verify make setup finish"), "{trace}");
    }
}

/// SHUT-4: if the first signal asks for a drain, the handler waits for its client as long as the
/// patience lasts, or until the second.
#[test]
fn a_second_signal_ends_the_wait_for_a_silent_client() {
    let _alone = alone();
    for again in [false, true] {
        let script = Script::default();
        let mut server = script.server();
        server.drain_on_signals(Duration::MAX).expect("caught");
        let running = run(server, LONG);
        let mut client = connect(running.address);
        script.trace.wait_for("setup", 1);
        raise(SIGTERM).expect("raised");
        if again {
            raise(SIGTERM).expect("raised");
        } else {
            client.write_all(b"late\n").expect("the server reads");
        }
        running.returned();
        let expected = if again { "" } else { "late" };
        assert_eq!(answer(client), expected);
    }
}

/// SHUT-4: the patience begins with the signal, and a client that sends little by little does not prolong
/// it.
#[test]
fn a_slow_client_does_not_prolong_the_patience() {
    let _alone = alone();
    let script = Script::default();
    let mut server = script.server();
    let patience = Duration::from_millis(300);
    server.drain_on_signals(patience).expect("caught");
    let running = run(server, LONG);
    let mut client = connect(running.address);
    script.trace.wait_for("setup", 1);
    let sends = spawn(move || {
        while client.write(b"x").is_ok() {
            thread::yield_now();
        }
    });
    raise(SIGTERM).expect("raised");
    running.returned();
    sends.join();
}

/// SHUT-6: two signals before the run, and the run that they cancel does not even drain.
#[test]
fn two_signals_before_the_run_stop_it() {
    let _alone = alone();
    let script = Script::default();
    let mut server = script.server();
    server.drain_on_signals(Duration::MAX).expect("registered");
    let client = queue(server.server_address(), "early");
    raise(SIGTERM).expect("raised");
    raise(SIGTERM).expect("raised");
    let server = run(run(server, LONG).returned(), LONG);
    assert_eq!(answer(client), "early");
    server.stop();
}

/// SHUT-3 (bpo-35017), RT-6: a signal wins over a client whom the same wait reports, although the
/// listener's event comes first.
#[test]
fn a_signal_wins_over_a_ready_listener() {
    const GUEST: usize = 5;
    let _alone = alone();
    let script = Script::default();
    let mut poll = Poll::new().expect("a poll");
    let waker = Arc::new(Waker::new(poll.registry(), Token(0)).expect("a waker"));
    let (transport, dispatch) = (script.transport(), Inline::new(script.factory()));
    let (hooks, registry, tokens) = (script.clone(), poll.registry(), GUEST..GUEST + 2);
    let engine = Engine::attach(transport, dispatch, hooks, registry, waker, tokens);
    let mut engine = engine.expect("attached");
    engine.set_poll_interval(None);
    engine.shutdown_on_signals().expect("caught");
    let now = Instant::now();
    assert_eq!(engine.turn(now).expect("no failure"), Turn::Idle);
    assert_eq!(engine.timeout(now), None);

    let client = queue(engine.transport().server_address(), "hello");
    raise(SIGTERM).expect("raised");
    let (mut events, mut reported) = (Events::with_capacity(8), BTreeSet::new());
    wait_until("reported", || {
        poll.poll(&mut events, Some(PATIENCE)).expect("a wait");
        for event in &events {
            if engine.feed(event) {
                reported.insert(event.token().0);
            }
        }
        reported.len() == 2
    });
    assert_eq!(reported, [GUEST, GUEST + 1].into());
    assert!(!engine.shutdown_requested(), "feeding only records");
    assert_eq!(engine.timeout(now), Some(Duration::ZERO));
    assert_eq!(engine.turn(now).expect("no failure"), Turn::Shutdown);
    assert_eq!(script.trace.take(), "");

    engine.clear_shutdown_request();
    assert_eq!(engine.turn(now).expect("no failure"), Turn::Iteration);
    assert_eq!(answer(client), "hello");
    assert_eq!(engine.turn(now).expect("no failure"), Turn::Idle);
    assert_eq!(engine.timeout(now), None);
    assert_eq!(script.trace.take(), served("hello"), "signals have no turn");
    assert_eq!(engine.stats().slots, 0);
}

/// REQ-12, SHUT-11: `handle_request` serves its client all the same, and the signal that it has
/// found cancels the next run.
#[test]
fn a_signal_does_not_end_handle_request() {
    let _alone = alone();
    let script = Script::default();
    let mut server = script.server();
    server.shutdown_on_signals().expect("caught");
    let client = queue(server.server_address(), "one");
    raise(SIGTERM).expect("raised");
    server.handle_request(PATIENCE).expect("no failure");
    assert_eq!(answer(client), "one");
    assert!(server.engine().shutdown_requested());
    let server = run(server, LONG).returned();
    assert_eq!(script.trace.count("service"), 0);
    let server = run(server, LONG);
    assert_eq!(ask(server.address, "two"), "two");
    server.stop();
}

/// Hooks whose own source is a pipe into which SIGHUP writes.
struct Hangups {
    pipe: Option<(UnixStream, SigId)>,
    script: Script,
}

impl Hooks<Recorded> for Hangups {
    fn ready(&mut self, slot: Slot, reactor: &mut Reactor, now: &Now) -> HandlerResult {
        let (pipe, _) = self.pipe.as_mut().expect("it is there");
        let mut bytes = [0; 64];
        while pipe.read(&mut bytes).is_ok_and(|count| count > 0) {}
        Hooks::<Recorded>::ready(&mut self.script, slot, reactor, now)
    }

    fn service_actions(&mut self, reactor: &mut Reactor, now: &Now) -> HandlerResult {
        Hooks::<Recorded>::service_actions(&mut self.script, reactor, now)
    }

    fn handle_error(
        &mut self,
        error: &(dyn Error + Send + Sync + 'static),
        client_address: &SocketAddr,
    ) -> HandlerResult {
        Hooks::<Recorded>::handle_error(&mut self.script, error, client_address)
    }
}

impl Drop for Hangups {
    fn drop(&mut self) {
        if let Some((_, id)) = self.pipe.take() {
            unregister(id);
        }
    }
}

fn with_hangups(script: &Script) -> Server<Recorded, Inline<Factory>, Hangups> {
    let hooks = Hangups {
        pipe: None,
        script: script.clone(),
    };
    let dispatch = Inline::new(script.factory());
    let server = Server::with_hooks(script.transport(), dispatch, hooks);
    let mut server = server.expect("a poll");
    let (mut pipe, writer) = UnixStream::pair().expect("a pipe");
    let writer = std::os::unix::net::UnixStream::from(OwnedFd::from(writer));
    let id = signal_hook::low_level::pipe::register(SIGHUP, writer).expect("caught");
    let reactor = server.engine_mut().reactor_mut();
    let slot = reactor.open().expect("a slot");
    let registered = reactor.register(slot, &mut pipe, Interest::READABLE);
    registered.expect("registered");
    server.engine_mut().hooks_mut().pipe = Some((pipe, id));
    server
}

/// A program hears SIGHUP, or any other signal, through a source of its own: on the loop's thread,
/// once for all that came while the loop was busy.
#[test]
fn a_hangup_is_a_source_of_the_programs() {
    let _alone = alone();
    let script = Script::of(&[("handle", Act::Hold)]);
    let server = run(with_hangups(&script), LONG);
    for round in 1..=3 {
        raise(SIGHUP).expect("raised");
        script.trace.wait_for("ready", round);
    }
    let held = queue(server.address, "held");
    script.trace.wait_for("handle(held)", 1);
    for _ in 0..5 {
        raise(SIGHUP).expect("raised");
    }
    script.trace.note("go");
    script.trace.wait_for("ready", 4);
    assert_eq!(answer(held), "held");
    assert_eq!(ask(server.address, "next"), "next");
    server.stop();
    let trace = script.trace.take();
    let before = "ready service ready service ready service get ";
    assert!(trace.starts_with(before), "{trace}");
    assert_eq!(trace.matches("ready").count(), 4, "{trace}");
}

/// SHUT-16: while one server catches the signals, they are requests. When the last one is dropped, on
/// whatever thread, they end the process. The next server catches them again.
#[test]
fn a_signal_after_the_last_server_ends_the_process() {
    let ended = end_of("a_signal_after_the_last_server_ends_the_process", || {
        for _ in 0..2 {
            let mut first = Script::default().server();
            let mut second = Script::default().server();
            first.shutdown_on_signals().expect("caught");
            second.drain_on_signals(Duration::MAX).expect("caught");
            second.shutdown_on_signals().expect("caught again");
            drop(first);
            raise(SIGTERM).expect("raised");
            let running = run(second, LONG);
            drop(running.returned());
        }
        let mut third = Script::default().server();
        third.shutdown_on_signals().expect("caught");
        thread::spawn(|| drop(third)).join().expect("dropped");
        raise(SIGINT).expect("raised");
    });
    assert_eq!(ended.signal(), Some(SIGINT), "{ended}");
}

/// SHUT-16: before the first server, a signal has its default action, and with a server that never
/// asked for it.
#[test]
fn a_signal_that_no_server_caught_ends_the_process() {
    let ended = end_of("a_signal_that_no_server_caught_ends_the_process", || {
        let _server = Script::default().server();
        raise(SIGTERM).expect("raised");
    });
    assert_eq!(ended.signal(), Some(SIGTERM), "{ended}");
}

/// SHUT-16: a program that keeps the signals has its own handlers, and goes on. It may say so at any
/// time.
#[test]
fn a_program_may_keep_the_signals() {
    let ended = end_of("a_program_may_keep_the_signals", || {
        let caught = Caught::register(SIGTERM);
        let mut server = Script::default().server();
        server.shutdown_on_signals().expect("caught");
        drop(server);
        keep_signals();
        raise(SIGTERM).expect("raised");
        assert!(caught.take());
    });
    assert!(ended.success(), "{ended}");
}

/// What catches the signals is closed with the server.
#[cfg(target_os = "linux")]
#[test]
fn catching_signals_leaks_no_descriptor() {
    let _alone = alone();
    let descriptors = || std::fs::read_dir("/proc/self/fd").expect("listed").count();
    let round = || {
        let mut server = Script::default().server();
        server.shutdown_on_signals().expect("registered");
    };
    round();
    let before = descriptors();
    (0..50).for_each(|_| round());
    // The other tests wait for their turn; only the harness may still open something.
    assert!(descriptors() < before + 50);
}

#[cfg(target_os = "linux")]
mod storm {
    use std::fs;
    use std::io::Write;
    use std::path::PathBuf;
    use std::process::{Child, Command, Stdio};

    use serve_forever::socketserver::{Rfile, TcpServer};
    use signal_hook::consts::SIGUSR1;

    use super::*;
    use crate::support::script::served;
    use crate::support::server::{Running, run_as};

    /// A child process that sends one signal after the other to the thread of a loop.
    struct Storm {
        child: Child,
        caught: Caught,
        /// The thread's place below `/proc`.
        thread: PathBuf,
    }

    impl Storm {
        /// The kernel gives a signal that is sent to a thread's number to that thread if it can,
        /// although it is meant for the process.
        fn on<S>(server: &Running<S>) -> Storm {
            let caught = Caught::register(SIGUSR1);
            let thread = PathBuf::from("/proc").join(&server.thread);
            let number = thread.file_name().and_then(|name| name.to_str());
            let number = number.expect("a number");
            let script = format!("while kill -0 $PPID && kill -USR1 {number}; do :; done");
            let mut shell = Command::new("sh");
            let child = shell.args(["-c", &script]).stderr(Stdio::null()).spawn();
            Storm {
                child: child.expect("a shell"),
                caught,
                thread,
            }
        }

        /// Waits until the handler has run and the thread has fallen asleep again, ever so often.
        fn wait_for_interruptions(&self, times: usize) {
            for _ in 0..times {
                let before = self.sleeps();
                self.caught.take();
                support::patience::wait_until("interrupted", || self.caught.take());
                support::patience::wait_until("asleep again", || self.sleeps() > before);
            }
        }

        /// How often the thread has fallen asleep.
        fn sleeps(&self) -> u64 {
            let status = fs::read_to_string(self.thread.join("status")).expect("a living thread");
            let count = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            let count = count.expect("a count").trim().parse();
            count.expect("a number")
        }
    }

    impl Drop for Storm {
        fn drop(&mut self) {
            // Either fails only if the shell is gone; afterwards no signal comes any more.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// LOOP-8, REQ-1: interrupted waits end nothing, run no hook and are no readiness: each
    /// client has one answer, and there is no `service_actions` but theirs.
    #[test]
    fn interruptions_neither_end_nor_repeat_anything() {
        let _alone = alone();
        let script = Script::default();
        let server = run(script.server(), LONG);
        let storm = Storm::on(&server);
        let names: Vec<String> = (0..40).map(|number| format!("client-{number}")).collect();
        for name in &names {
            storm.wait_for_interruptions(2);
            assert_eq!(ask(server.address, name), *name);
        }
        storm.wait_for_interruptions(10);
        server.stop();
        drop(storm);
        let expected: Vec<String> = names.iter().map(|name| served(name)).collect();
        assert_eq!(script.trace.take(), expected.join(" "));
    }

    /// LOOP-8, LOOP-13: what is waited for after an interruption is the time left. Were it the
    /// whole interval, `service_actions` would never run in this weather.
    #[test]
    fn interruptions_do_not_prolong_the_interval() {
        let _alone = alone();
        let script = Script::default();
        let server = run(script.server(), Duration::from_millis(200));
        let storm = Storm::on(&server);
        storm.wait_for_interruptions(1);
        script.trace.take();
        script.trace.wait_for("service", 3);
        storm.wait_for_interruptions(1);
        server.stop();
        drop(storm);
    }

    /// REQ-14: nor the time that `handle_request` has; and `handle_timeout` runs once, if at all.
    #[test]
    fn interruptions_do_not_move_the_deadline_of_a_request() {
        let _alone = alone();
        let script = Script::default();
        let timeout = Duration::from_millis(300);
        let waiting = run_as(script.server(), move |server| {
            server.handle_request(timeout)
        });
        let storm = Storm::on(&waiting);
        let server = waiting.returned();
        drop(storm);
        assert_eq!(script.trace.take(), "timeout");

        let waiting = run_as(server, |server| server.handle_request(None));
        let storm = Storm::on(&waiting);
        storm.wait_for_interruptions(10);
        assert_eq!(ask(waiting.address, "hello"), "hello");
        waiting.returned();
        drop(storm);
        assert_eq!(script.trace.count("timeout"), 0);
        assert_eq!(script.trace.count("close"), 1);
    }

    /// STREAM-3 (Issue 26721): one write of a handler is sent whole, however often it is
    /// interrupted while the client does not read.
    #[test]
    fn interruptions_do_not_cut_a_write_short() {
        const LENGTH: usize = 16 * 1024 * 1024 + 1;
        let _alone = alone();
        let handle = |_: &mut dyn Rfile, wfile: &mut dyn Write| {
            assert_eq!(wfile.write(&vec![b'x'; LENGTH])?, LENGTH);
            Ok(())
        };
        let server = TcpServer::bind("127.0.0.1:0", move |_: &_| handle).expect("a free port");
        let server = run(server, LONG);
        let mut client = connect(server.address);
        let storm = Storm::on(&server);
        storm.wait_for_interruptions(20);
        let mut received = Vec::new();
        client.read_to_end(&mut received).expect("an answer");
        assert_eq!(received.len(), LENGTH);
        assert!(received.iter().all(|&byte| byte == b'x'));
        server.stop();
        drop(storm);
    }
}
