//! Requests on the workers of a pool: THREAD-1 to THREAD-10, SHUT-10, and what a drain does there.
#![cfg(feature = "server")]

mod support;

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic::panic_any;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use serve_forever::reactor::EventLoop;
use serve_forever::socketserver::{
    Drained, Engine, Failure, HandlerResult, Hooks, NotStopped, Overload, Overloaded,
    RequestHandler, Rfile, Server, ShutdownHandle, Tcp, Threading, ThreadingTcpServer, Transport,
    Turn,
};
use support::client::{answer, ask, connect, own_host, queue};
use support::patience::{LONG, PATIENCE, in_time, spawn, wait_until};
use support::script::{Act, Recorded, Script};
use support::server::run;
use support::trace::Trace;

type Factory = Box<dyn Fn(&SocketAddr) -> Script + Send + Sync>;
type Pool = Threading<Recorded, Factory>;
type Pooled = Server<Recorded, Pool, Script>;

/// A pool whose handlers follow the script.
fn pool(script: &Script) -> Pool {
    let script = script.clone();
    Threading::new(Box::new(move |_client_address| {
        script.trace.note("make");
        script.clone()
    }))
}

/// A server that follows the script, on such a pool.
fn server(script: &Script, pool: Pool) -> Pooled {
    Server::with_hooks(script.transport(), pool, script.clone()).expect("a poll")
}

/// A listener on a free port.
fn tcp() -> Tcp {
    Tcp::new("127.0.0.1:0")
        .and_then(|tcp| tcp.request_queue_size(64).bind_and_activate())
        .expect("a free port")
}

/// A script whose handlers go on when the test notes `go`.
fn held() -> Script {
    Script::of(&[("handle", Act::Hold)])
}

/// What the workers did, and what was reported: the loop's own words come in between anywhere.
fn without_the_loop(trace: &Trace) -> String {
    let text = trace.take();
    let words = text.split(' ');
    let words: Vec<_> = words
        .filter(|word| !["get", "verify", "service"].contains(word))
        .collect();
    words.join(" ")
}

/// A worker's thread, below `/proc` where there is one.
fn own_thread() -> PathBuf {
    match fs::read_link("/proc/thread-self") {
        Ok(link) => PathBuf::from("/proc").join(link),
        Err(_) => PathBuf::new(),
    }
}

// One request.

/// THREAD-1, THREAD-2: Python's defaults; `verify_request` runs on the loop, the handler is made
/// and run on a worker, and the loop goes on meanwhile.
#[test]
fn the_loop_hands_over_and_goes_on() {
    #[derive(Clone, Default)]
    struct Where(Trace);

    impl Where {
        fn note(&self, what: &str) {
            let thread = thread::current();
            let works = thread
                .name()
                .is_some_and(|name| name.starts_with("worker-"));
            self.0
                .note(format!("{what}@{}", if works { "worker" } else { "loop" }));
        }
    }

    impl Hooks<Tcp> for Where {
        fn verify_request(
            &mut self,
            _: &mio::net::TcpStream,
            _: &SocketAddr,
        ) -> Result<bool, Failure> {
            self.note("verify");
            Ok(true)
        }

        fn handle_error(&mut self, _: &(dyn Error + Send + Sync), _: &SocketAddr) -> HandlerResult {
            self.note("error");
            Ok(())
        }
    }

    let (hooks, words) = (Where::default(), Where::default());
    let trace = words.0.clone();
    let pool = Threading::new(move |_: &SocketAddr| {
        words.note("make");
        let words = words.clone();
        move |rfile: &mut dyn Rfile, _wfile: &mut dyn Write| -> HandlerResult {
            rfile.read_line(&mut String::new())?;
            words.note("handle");
            words.0.wait_for("go", 1);
            Err(std::io::Error::other("as told").into())
        }
    });
    let defaults = format!("{pool:?}");
    for default in ["at_close: Join", "live_threads: 0"] {
        assert!(defaults.contains(default), "{defaults}");
    }
    let server = Server::with_hooks(tcp(), pool, hooks.clone());
    let server = run(server.expect("a poll"), LONG);
    let clients = ["one", "two"].map(|line| queue(server.address, line));
    trace.wait_for("handle@worker", 2);
    trace.note("go");
    assert_eq!(clients.map(answer), ["", ""]);
    hooks.0.wait_for("error@loop", 2);
    server.stop();
    assert_eq!(hooks.0.count("verify@loop"), 2);
    assert_eq!(trace.count("make@worker"), 2);
}

/// THREAD-3, REQ-7, REQ-10, HND-1: on the worker the steps in Python's order, and the close in any
/// case; the failure comes home afterwards, once.
#[test]
fn the_order_of_a_request_on_a_worker() {
    use Act::{Fail, Panic, Succeed};
    for (step, act, expected) in [
        ("handle", Succeed, "handle(one) finish shutdown close"),
        ("setup", Fail, "shutdown close error(setup failed)"),
        (
            "handle",
            Fail,
            "handle(one) finish shutdown close error(handle failed)",
        ),
        (
            "handle",
            Panic,
            "handle(one) finish shutdown close error(panicked: handle panicked)",
        ),
        (
            "finish",
            Panic,
            "handle(one) finish shutdown close error(panicked: finish panicked)",
        ),
    ] {
        let script = Script::of(&[(step, act)]);
        let server = run(server(&script, pool(&script)), LONG);
        answer(queue(server.address, "one"));
        script.trace.wait_for("close", 1);
        drop(server.stop());
        let trace = without_the_loop(&script.trace);
        assert_eq!(trace, format!("make setup {expected}"), "{step} {act:?}");
    }
}

/// THREAD-4, REQ-7: a thread that cannot be started is the failure of its request.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn a_thread_that_cannot_be_started_fails_its_request() {
    let script = Script::default();
    let no_room = pool(&script).stack_size(1 << 48);
    let server = run(server(&script, no_room), LONG);
    for round in 1..=2 {
        let mut client = connect(server.address);
        assert_eq!(client.read(&mut [0]).expect("closed"), 0);
        script.trace.wait_for("close", round);
    }
    let server = server.stop();
    assert_eq!(server.engine().dispatch().open_requests(), 0);
    let trace = without_the_loop(&script.trace);
    let errors = trace.matches("error(").count();
    assert_eq!((errors, trace.matches("close").count()), (2, 2), "{trace}");
    assert!(trace.starts_with("error("), "{trace}");
    assert!(!trace.contains("make"), "{trace}");
}

/// THREAD-9, design law 10: a thread survives a panic, also one whose payload panics when it is
/// dropped, and an error that does so.
#[test]
fn a_thread_survives_what_a_panic_leaves_behind() {
    #[derive(Debug)]
    struct Grenade;
    impl Drop for Grenade {
        fn drop(&mut self) {
            panic_any(Grenade);
        }
    }
    impl fmt::Display for Grenade {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an error")
        }
    }
    impl Error for Grenade {}

    let script = Script::default();
    let pool = Threading::new(|_: &SocketAddr| {
        |rfile: &mut dyn Rfile, wfile: &mut dyn Write| -> HandlerResult {
            let mut line = String::new();
            rfile.read_line(&mut line)?;
            match line.trim_end() {
                "panic" => panic_any(Grenade),
                "fail" => return Err(Grenade.into()),
                line => wfile.write_all(line.as_bytes())?,
            }
            Ok(())
        }
    });
    let server = Server::with_hooks(tcp(), pool.threads(2), script.clone());
    let server = run(server.expect("a poll"), LONG);
    for word in ["panic", "fail"] {
        for _ in 0..4 {
            assert_eq!(ask(server.address, word), "");
        }
        assert_eq!(ask(server.address, "echo"), "echo");
    }
    script.trace.wait_for("error(an error)", 4);
    let server = server.stop();
    assert!(server.engine().dispatch().live_threads() <= 2);
    assert_eq!(server.stats().failed, 8);
}

/// REQ-8, THREAD-3: where Python's worker cannot stop the server, this one can, and while others
/// go on. That is not reported; the failure before it is, at once.
#[test]
fn a_worker_can_stop_the_server() {
    let script = Script::default();
    let trace = script.trace.clone();
    let pool = Threading::new(move |_: &SocketAddr| {
        let trace = trace.clone();
        move |rfile: &mut dyn Rfile, wfile: &mut dyn Write| -> HandlerResult {
            let mut line = String::new();
            rfile.read_line(&mut line)?;
            trace.note(format!("handle({})", line.trim_end()));
            match line.trim_end() {
                "fail" => return Err(std::io::Error::other("as told").into()),
                "stop" => return Err(Failure::stop()),
                _ => trace.wait_for("go", 1),
            }
            wfile.write_all(line.as_bytes())?;
            Ok(())
        }
    });
    let server = Server::with_hooks(tcp(), pool, script.clone());
    let server = run(server.expect("a poll"), LONG);
    let held = queue(server.address, "held");
    script.trace.wait_for("handle(held)", 1);
    assert_eq!(ask(server.address, "fail"), "");
    script.trace.wait_for("error(as told)", 1);
    let client = queue(server.address, "stop");
    let ended = server.ended();
    assert_eq!(ended.outcome, "stop");
    assert_eq!(answer(client), "");
    script.trace.note("go");
    assert_eq!(answer(held), "held");
    drop(ended.server);
    let trace = without_the_loop(&script.trace);
    assert_eq!(trace.matches("error").count(), 1, "{trace}");
}

/// REQ-7: every failure is reported once, with the address of its client.
#[test]
fn failures_come_home_with_their_address() {
    #[derive(Clone, Default)]
    struct Reports(Arc<Mutex<Vec<(String, String)>>>);

    impl Hooks<Tcp> for Reports {
        fn handle_error(
            &mut self,
            error: &(dyn Error + Send + Sync + 'static),
            client_address: &SocketAddr,
        ) -> HandlerResult {
            let report = (error.to_string(), client_address.to_string());
            self.0.lock().expect("no panic").push(report);
            Ok(())
        }
    }

    let reports = Reports::default();
    let pool = Threading::new(|client_address: &SocketAddr| {
        let client_address = *client_address;
        move |_rfile: &mut dyn Rfile, _wfile: &mut dyn Write| -> HandlerResult {
            match client_address.port() % 2 {
                0 => Err(std::io::Error::other(client_address.to_string()).into()),
                _ => panic!("{client_address}"),
            }
        }
    });
    let server = Server::with_hooks(tcp(), pool.threads(4), reports.clone());
    let server = run(server.expect("a poll"), LONG);
    let mut expected = Vec::new();
    for _ in 0..20 {
        let client = connect(server.address);
        let address = client.local_addr().expect("connected").to_string();
        let panics = address.ends_with(['1', '3', '5', '7', '9']);
        let message = if panics { "panicked: " } else { "" };
        expected.push((format!("{message}{address}"), address));
        answer(client);
    }
    wait_until("reported", || {
        reports.0.lock().expect("no panic").len() == expected.len()
    });
    drop(server.stop());
    let mut reported = reports.0.lock().expect("no panic").clone();
    reported.sort();
    expected.sort();
    assert_eq!(reported, expected);
}

/// REQ-7, REQ-12: what fails when no loop runs any more is reported by the close; and
/// `handle_request` hands over and returns.
#[test]
fn a_failure_after_the_last_turn_is_reported_by_the_close() {
    let script = Script::of(&[("handle", Act::Fail)]);
    let mut server = server(&script, pool(&script));
    let client = queue(server.server_address(), "one");
    let mut server = in_time(move || {
        server.handle_request(PATIENCE).expect("no failure");
        server
    });
    answer(client);
    assert_eq!(script.trace.count("error(handle failed)"), 0);
    server.server_close();
    // The trace joins words by spaces: the message has one.
    assert!(without_the_loop(&script.trace).ends_with("close error(handle failed)"));
}

// How many at once.

/// THREAD-9: as many slow requests overlap as there are threads. Each waits until all have begun.
#[test]
fn slow_requests_overlap_up_to_the_size_of_the_pool() {
    const THREADS: usize = 8;
    let trace = Trace::default();
    let words = trace.clone();
    let pool = Threading::new(move |_: &SocketAddr| {
        let words = words.clone();
        move |rfile: &mut dyn Rfile, wfile: &mut dyn Write| {
            let mut line = String::new();
            rfile.read_line(&mut line)?;
            words.note("in");
            words.wait_for("in", THREADS);
            wfile.write_all(line.as_bytes())?;
            Ok(())
        }
    });
    let server = Server::new(tcp(), pool.threads(THREADS as u16).queue_length(0));
    let server = run(server.expect("a poll"), LONG);
    let lines: Vec<_> = (0..THREADS).map(|number| number.to_string()).collect();
    let clients: Vec<_> = lines
        .iter()
        .map(|line| queue(server.address, line))
        .collect();
    let answers: Vec<_> = clients.into_iter().map(answer).collect();
    assert_eq!(answers, lines);
    assert_eq!(
        server.stop().engine().dispatch().live_threads(),
        THREADS,
        "one each"
    );
}

/// THREAD-9: a full pool leaves clients in the kernel, and the loop may sleep; one worker that
/// becomes free, while the others go on, wakes it.
#[test]
fn a_full_pool_stops_accepting_until_there_is_room() {
    third_of_three_waits_for_a_worker(2, usize::MAX);
}

/// Design law 7: so it does if it is the server's own limit that is reached, and not the pool's.
#[test]
fn a_full_server_stops_accepting_until_a_worker_is_free() {
    third_of_three_waits_for_a_worker(8, 2);
}

fn third_of_three_waits_for_a_worker(threads: u16, limit: usize) {
    let trace = Trace::default();
    let words = trace.clone();
    let pool = Threading::new(move |_: &SocketAddr| {
        let words = words.clone();
        move |rfile: &mut dyn Rfile, wfile: &mut dyn Write| {
            let mut line = String::new();
            rfile.read_line(&mut line)?;
            words.note(format!("in({})", line.trim_end()));
            words.wait_for(line.trim_end(), 1);
            wfile.write_all(line.as_bytes())?;
            Ok(())
        }
    });
    let pool = pool.threads(threads).queue_length(0);
    let mut server = Server::new(tcp(), pool).expect("a poll");
    server.set_max_connections(limit, Overload::Wait);
    server.engine_mut().set_poll_interval(None);
    let lines = ["one", "two", "three"];
    let clients = lines.map(|line| queue(server.server_address(), line));
    wait_until("full", || {
        server.turn().expect("no failure");
        server.engine().dispatch().open_requests() == 2
    });
    wait_until("idle", || server.turn().expect("no failure") == Turn::Idle);
    assert_eq!(server.timeout(), None, "nothing to do until a worker wakes");

    // Which looks for requests once, and then sleeps.
    let server = run(server, LONG);
    trace.wait_for("in(two)", 1);
    assert_eq!(trace.count("in(three)"), 0);
    trace.note("two");
    trace.wait_for("in(three)", 1);
    trace.note("one");
    trace.note("three");
    assert_eq!(clients.map(answer), lines);
    server.stop();
}

/// THREAD-9, SHUT-1: neither `service_actions` nor the shutdown test waits for a full pool.
#[test]
fn a_full_pool_blocks_neither_service_actions_nor_shutdown() {
    let script = held();
    let pool = pool(&script).threads(1).queue_length(0);
    let server = run(server(&script, pool), Duration::from_millis(1));
    let client = queue(server.address, "runs");
    let waits = queue(server.address, "waits");
    script.trace.wait_for("handle(runs)", 1);
    let services = script.trace.count("service");
    script.trace.wait_for("service", services + 3);
    let handle = server.handle.clone();
    assert_eq!(in_time(move || handle.shutdown()), Ok(()));
    let server = server.returned();
    assert_eq!(script.trace.count("get"), 1);
    script.trace.note("go");
    assert_eq!(answer(client), "runs");

    // SHUT-9: who waited in the kernel is served by a later run.
    let server = run(server, LONG);
    assert_eq!(answer(waits), "waits");
    server.stop();
}

/// THREAD-4, THREAD-9: or it sheds, which is counted, and reported as a failure.
#[test]
fn a_full_pool_sheds_if_it_is_told_to() {
    let script = held();
    let pool = pool(&script).threads(1).queue_length(1);
    let server = run(server(&script, pool.overload(Overload::Shed)), LONG);
    let lines = ["runs", "queued"];
    let clients = lines.map(|line| queue(server.address, line));
    script.trace.wait_for("get", 2);
    let mut refused = connect(server.address);
    assert_eq!(refused.read(&mut [0]).expect("closed"), 0);
    script
        .trace
        .wait_for(&format!("error({})", Overloaded::Full), 1);
    script.trace.note("go");
    assert_eq!(clients.map(answer), lines);
    script.trace.wait_for("close", 3);
    assert_eq!(ask(server.address, "later"), "later");
    let stats = server.stop().engine().stats();
    assert_eq!((stats.shed, stats.failed), (1, 1));
}

/// THREAD-9, design law 10: a worker survives what its handlers do. There is only one.
#[test]
fn a_worker_survives_a_panic() {
    let threads = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&threads);
    let make = move |_: &SocketAddr| {
        seen.lock()
            .expect("no panic in here")
            .insert(format!("{:?}", thread::current().id()));
        |rfile: &mut dyn Rfile, wfile: &mut dyn Write| {
            let mut line = String::new();
            rfile.read_line(&mut line)?;
            assert_ne!(line, "panic\n");
            wfile.write_all(line.as_bytes())?;
            Ok(())
        }
    };
    let pool = Threading::new(make).threads(1);
    let hooks = Script::default();
    let server = Server::with_hooks(tcp(), pool, hooks).expect("a poll");
    let server = run(server, LONG);
    for (line, expected) in [("one", "one"), ("panic", ""), ("panic", ""), ("two", "two")] {
        assert_eq!(ask(server.address, line), expected);
    }
    server.stop();
    assert_eq!(threads.lock().expect("no panic").len(), 1);
}

/// THREAD-6 (bpo-37193): a thousand short requests leave nothing behind, and dropping the server
/// leaves no thread behind either.
#[test]
fn nothing_accumulates() {
    let threads = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&threads);
    let make = move |_: &SocketAddr| {
        seen.lock().expect("no panic").insert(own_thread());
        |rfile: &mut dyn Rfile, wfile: &mut dyn Write| {
            let mut line = String::new();
            rfile.read_line(&mut line)?;
            wfile.write_all(line.as_bytes())?;
            Ok(())
        }
    };
    let pool = Threading::new(make).threads(4);
    let server = run(Server::new(tcp(), pool).expect("a poll"), LONG);
    for batch in 0..100 {
        let clients = [(); 10].map(|()| queue(server.address, "hello"));
        assert_eq!(clients.map(answer), ["hello"; 10], "{batch}");
    }
    let server = server.stop();
    let pool = server.engine().dispatch();
    assert!(pool.live_threads() <= 4);
    wait_until("all closed", || pool.open_requests() == 0);
    drop(server);
    let threads = threads.lock().expect("no panic").clone();
    if cfg!(target_os = "linux") {
        assert!((1..=4).contains(&threads.len()), "{threads:?}");
    }
    for thread in threads {
        // The kernel takes a joined thread out of /proc a moment later.
        wait_until("gone", || !thread.exists());
    }
}

// The end.

/// SHUT-10: a shutdown waits for no worker.
#[test]
fn shutdown_does_not_wait_for_workers() {
    let script = held();
    let server = run(server(&script, pool(&script)), LONG);
    let client = queue(server.address, "held");
    script.trace.wait_for("handle(held)", 1);
    let handle = server.handle.clone();
    assert_eq!(in_time(move || handle.shutdown()), Ok(()));
    let server = server.returned();
    assert_eq!(server.engine().dispatch().open_requests(), 1);
    script.trace.note("go");
    assert_eq!(answer(client), "held");
}

/// THREAD-5, THREAD-8, SRV-4: `server_close` closes the listener, then waits for what runs and
/// what is queued; so does dropping the server. Again is no error.
#[test]
fn closing_waits_for_the_workers() {
    for drops in [false, true] {
        let script = held();
        let transport = Tcp::new(own_host(21 + u8::from(drops)))
            .and_then(|tcp| tcp.request_queue_size(1024).bind_and_activate());
        let handler = script.clone();
        let pool = Threading::new(move |_: &SocketAddr| handler.clone()).threads(1);
        let transport = transport.expect("a free port");
        let server = Server::with_hooks(transport, pool, script.clone()).expect("a poll");
        let server = run(server, LONG);
        let address = server.address;
        let clients = ["runs", "queued"].map(|line| queue(address, line));
        script.trace.wait_for("verify", 2);
        script.trace.wait_for("handle(runs)", 1);
        let mut server = server.stop();
        let trace = script.trace.clone();
        let closing = spawn(move || {
            if !drops {
                server.server_close();
                server.server_close();
            }
            drop(server);
            trace.note("closed");
        });
        wait_until("refused", || {
            let refused = TcpStream::connect_timeout(&address, PATIENCE);
            refused.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        });
        assert_eq!(script.trace.count("closed"), 0);
        script.trace.note("go");
        assert_eq!(clients.map(answer), ["runs", "queued"]);
        closing.join();
        let trace = without_the_loop(&script.trace);
        assert!(trace.ends_with("finish closed"), "{trace}");
    }
}

/// THREAD-8: an engine in somebody else's loop waits, too, when it is dropped.
#[test]
fn dropping_a_guest_waits_for_the_workers() {
    let script = held();
    let mut event_loop = EventLoop::new().expect("a poll");
    let (registry, waker) = (event_loop.registry(), event_loop.waker());
    let (transport, pool) = (script.transport(), pool(&script));
    let engine = Engine::attach(transport, pool, script.clone(), registry, waker, 0..8);
    let mut engine = engine.expect("attached");
    let client = queue(engine.transport().server_address(), "held");
    wait_until("handed over", || {
        let waited = event_loop.wait(engine.timeout(Instant::now()), |event| {
            engine.feed(event);
        });
        waited.expect("a wait");
        engine.turn(Instant::now()).expect("no failure");
        engine.dispatch().open_requests() == 1
    });
    let trace = script.trace.clone();
    let dropping = spawn(move || {
        trace.note("dropping");
        drop(engine);
        trace.note("dropped");
    });
    script.trace.wait_for("dropping", 1);
    script.trace.wait_for("handle(held)", 1);
    script.trace.note("go");
    assert_eq!(answer(client), "held");
    dropping.join();
    let trace = without_the_loop(&script.trace);
    assert!(trace.ends_with("finish shutdown close dropped"), "{trace}");
}

/// THREAD-5: closing waits for handlers, but not for clients: a handler that waits for one is told to
/// stop. A request that has arrived whole is served, also from the queue.
#[test]
fn closing_does_not_wait_for_silent_clients() {
    let script = Script::default();
    let server = run(server(&script, pool(&script).threads(1)), LONG);
    let _silent = connect(server.address);
    script.trace.wait_for("setup", 1);
    let queued = queue(server.address, "queued");
    script.trace.wait_for("get", 2);
    let server = server.stop();
    script.trace.take();
    in_time(move || drop(server));
    assert_eq!(answer(queued), "queued");
    assert_eq!(
        without_the_loop(&script.trace),
        "finish shutdown close make setup handle(queued) finish shutdown close"
    );
}

/// THREAD-5: the same at the end of a drain's patience, although nothing waits for the thread then.
#[test]
fn the_end_of_a_drain_ends_the_wait_for_a_silent_client() {
    let script = Script::default();
    let server = run(server(&script, pool(&script)), LONG);
    let mut silent = connect(server.address);
    script.trace.wait_for("setup", 1);
    let handle = server.handle.clone();
    let drained = in_time(move || handle.drain(Duration::from_millis(1)));
    assert_eq!(drained.expect("drained").aborted, 1);
    assert_eq!(silent.read(&mut [0]).expect("it is closed"), 0);
    let _server = server.returned();
    script.trace.wait_for("close", 1);
    assert_eq!(script.trace.count("error"), 0);
}

/// THREAD-5: without `block_on_close`, and with `daemon_threads`, closing returns at once, and
/// the threads finish by themselves what was accepted.
#[test]
fn closing_does_not_wait_if_it_is_told_not_to() {
    for daemon in [false, true] {
        let script = held();
        let pool = pool(&script).threads(1);
        let pool = match daemon {
            true => pool.daemon_threads(true),
            false => pool.block_on_close(false),
        };
        let server = run(server(&script, pool), LONG);
        let clients = ["runs", "queued"].map(|line| queue(server.address, line));
        script.trace.wait_for("get", 2);
        script.trace.wait_for("handle(runs)", 1);
        let server = server.stop();
        in_time(move || drop(server));
        assert_eq!(script.trace.count("close"), 0);
        script.trace.note("go");
        assert_eq!(clients.map(answer), ["runs", "queued"]);
        script.trace.wait_for("close", 2);
    }
}

/// THREAD-7: a server that never had a request has nothing to join.
#[test]
fn closing_without_a_request_has_nothing_to_join() {
    let script = Script::default();
    let mut server = server(&script, pool(&script));
    assert_eq!(server.engine().dispatch().live_threads(), 0);
    server.server_close();
    server.server_close();
    drop(server);
    drop(pool(&script));
    let never_run = ThreadingTcpServer::bind("127.0.0.1:0", |_: &SocketAddr| Script::default());
    drop(never_run.expect("a free port"));
}

/// A handler whose answer is decided when the server is there already.
struct Late(Arc<OnceLock<Decision>>);

type Decision = Box<dyn Fn() -> String + Send + Sync>;

impl RequestHandler for Late {
    fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
        rfile.read_line(&mut String::new())?;
        let decision = self.0.get().expect("decided");
        wfile.write_all(decision().as_bytes())?;
        Ok(())
    }
}

/// THREAD-10, SHUT-8: a worker is not the loop, so its `shutdown()` waits for it.
#[test]
fn a_worker_may_shut_the_server_down() {
    let decided = Arc::new(OnceLock::new());
    let act = Arc::clone(&decided);
    let server =
        ThreadingTcpServer::bind("127.0.0.1:0", move |_: &SocketAddr| Late(Arc::clone(&act)));
    let server = server.expect("a free port");
    let handle: ShutdownHandle = server.shutdown_handle();
    let shutdown = move || format!("{:?}", handle.shutdown());
    assert!(decided.set(Box::new(shutdown)).is_ok());
    let server = run(server, LONG);
    let client = queue(server.address, "shut down");
    let server = server.returned();
    assert_eq!(answer(client), "Ok(())");
    in_time(move || drop(server));
}

/// THREAD-10: a worker that closes the server does not wait for itself, but for the others.
#[test]
fn a_worker_may_close_the_server() {
    let decided = Arc::new(OnceLock::new());
    let act = Arc::clone(&decided);
    let server =
        ThreadingTcpServer::bind("127.0.0.1:0", move |_: &SocketAddr| Late(Arc::clone(&act)));
    let server = run(server.expect("a free port"), LONG);
    // The first handler waits for the server, takes it and drops it; the second finds none.
    let trace = Trace::default();
    let stopped = Arc::new(Mutex::new(None));
    let (noted, place) = (trace.clone(), Arc::clone(&stopped));
    let take = move || {
        noted.note("in");
        noted.wait_for("stopped", 1);
        let server = place.lock().expect("no panic").take();
        let was_there = server.is_some();
        drop(server);
        format!("{was_there}")
    };
    assert!(decided.set(Box::new(take)).is_ok());
    let clients = ["one", "two"].map(|line| queue(server.address, line));
    trace.wait_for("in", 2);
    let server = server.stop();
    let address = server.server_address();
    *stopped.lock().expect("no panic") = Some(server);
    trace.note("stopped");
    let mut answers = clients.map(answer);
    answers.sort();
    assert_eq!(answers, ["false", "true"]);
    assert_ne!(address.port(), 0);
}

/// THREAD-9, SHUT-13: a drain serves what runs and what is queued, and ends when that has.
#[test]
fn a_drain_serves_what_is_queued() {
    let script = held();
    let server = run(server(&script, pool(&script).threads(1)), LONG);
    let clients = ["runs", "queued"].map(|line| queue(server.address, line));
    script.trace.wait_for("get", 2);
    let handle = server.handle.clone();
    let trace = script.trace.clone();
    let drained = spawn(move || {
        trace.note("asked");
        handle.drain(PATIENCE)
    });
    script.trace.wait_for("asked", 1);
    script.trace.note("go");
    assert_eq!(clients.map(answer), ["runs", "queued"]);
    // Late by a hair, it finds less to finish.
    let Drained {
        finished, aborted, ..
    } = drained.join().expect("drained");
    assert!(finished <= 2 && aborted == 0, "{finished} {aborted}");
    drop(server.returned());
}

/// Design law 11: when the patience is over, what is queued is dropped, and nothing waits for what
/// no one can stop.
#[test]
fn a_drain_without_patience_waits_for_nobody() {
    let script = held();
    let server = run(server(&script, pool(&script).threads(1)), LONG);
    let runs = queue(server.address, "runs");
    let mut queued = queue(server.address, "queued");
    script.trace.wait_for("get", 2);
    script.trace.wait_for("handle(runs)", 1);
    let handle = server.handle.clone();
    let drained = in_time(move || handle.drain(Duration::ZERO)).expect("drained");
    assert_eq!((drained.finished, drained.aborted), (0, 2));
    let server = server.returned();
    in_time(move || drop(server));
    // Reset or ended, but not served.
    let read = queued.read(&mut [0]).map_err(|error| error.kind());
    assert!(
        matches!(read, Ok(0) | Err(ErrorKind::ConnectionReset)),
        "{read:?}"
    );
    script.trace.note("go");
    assert_eq!(answer(runs), "runs");
    assert_eq!(script.trace.count("handle(queued)"), 0);
}

/// SHUT-5, SRV-4: a closed pool stays closed.
#[test]
fn a_closed_server_does_not_run() {
    let script = Script::default();
    let mut server = server(&script, pool(&script));
    server.server_close();
    let server = run(server, LONG);
    let handle = server.handle.clone();
    assert_eq!(server.ended().outcome, "failed: the server is closed");
    assert_eq!(
        handle.shutdown_timeout(PATIENCE),
        Err(NotStopped::NotRunning)
    );
}
