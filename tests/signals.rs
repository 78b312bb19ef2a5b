//! Signals, which belong to the whole process: LOOP-8, STREAM-3 and `shutdown_on_signals`.
//!
//! One test at a time: each holds [`alone`].

#![cfg(unix)]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serve_forever::socketserver::Turn;
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::{raise, unregister};
use support::{LONG, Script, answer, ask, queue, run, wait_until};

/// Keeps the other tests of this program from seeing this one's signals.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
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
    let caught = Caught::register(SIGTERM);
    let mut asked = Script::default().server();
    asked.shutdown_on_signals().expect("registered");
    asked.shutdown_on_signals().expect("registered again");
    let (asked, other) = (run(asked, LONG), run(Script::default().server(), LONG));
    raise(SIGTERM).expect("raised");
    let asked = asked.returned();
    assert!(caught.take());
    assert_eq!(ask(other.address, "hello"), "hello");
    drop(asked);

    raise(SIGTERM).expect("raised");
    assert!(caught.take());
    assert_eq!(ask(other.address, "again"), "again");
    other.stop();
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
    use std::io::{Read, Write};
    use std::path::PathBuf;
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use serve_forever::socketserver::{Rfile, TcpServer};
    use signal_hook::consts::SIGUSR1;

    use super::*;
    use crate::support::{Running, connect, served};

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
                wait_until("interrupted", || self.caught.take());
                wait_until("asleep again", || self.sleeps() > before);
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
