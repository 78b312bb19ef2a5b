//! When the system has really run out of descriptors, and when clients leave without a word: REQ-3,
//! design laws 7, 8 and 10.
//!
//! Descriptors belong to the whole process, so each test runs in a process of its own: this
//! program again, with the one test and so few descriptors. The shell sets the limit.
#![cfg(feature = "server")]
#![cfg(target_os = "linux")]

mod support;

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;
use std::{env, fs, iter};

use serve_forever::http::{Http, HttpSettings, Request, Response};
use serve_forever::socketserver::{Evented, EventedSettings, Server, Transport};
use support::client::Client;
use support::driven::Driven;
use support::patience::{PATIENCE, in_time};
use support::protocols::Echo;
use support::script::Script;
use support::server::{listen, run};

/// Set in the process that has the descriptors to itself.
const ALONE: &str = "SERVE_FOREVER_TEST_ALONE";

const EMFILE: i32 = 24;

/// Runs `body` in a process of its own with at most so many descriptors. `test` is the name of the
/// test that says so.
fn alone(test: &str, descriptors: usize, body: fn()) {
    if env::var_os(ALONE).is_some() {
        return in_time(body);
    }
    let script = format!("ulimit -n {descriptors} && exec \"$0\" --exact {test} --nocapture");
    let program = env::current_exe().expect("a path");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).arg(program).env(ALONE, "1");
    let ended = shell.output().expect("a shell"); // it is bounded by its own limit
    let (out, err) = (&ended.stdout, &ended.stderr);
    let said = [String::from_utf8_lossy(out), String::from_utf8_lossy(err)].concat();
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("1 passed"), "no such test: {said}");
}

/// How many descriptors this process has open, with the one that is used to count them.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("listed").count()
}

/// Connects until there is no descriptor left; each client has asked.
fn crowd(address: SocketAddr) -> Vec<Client> {
    let mut clients = Vec::new();
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE)).expect("an option");
                let mut client = Client(stream);
                client.send(format!("{}\n", clients.len()));
                clients.push(client);
            }
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(EMFILE), "{error}");
                return clients;
            }
        }
    }
}

/// REQ-3: out of descriptors, the engine waits; one that is freed elsewhere is found when the
/// pause is over, one of its own at once; and every client is served in the end.
#[test]
fn out_of_descriptors_nobody_is_lost() {
    alone("out_of_descriptors_nobody_is_lost", 64, || {
        let echo = |_: &SocketAddr| Echo;
        let mut driven = Driven::new(EventedSettings::default(), echo);
        let mut clients = crowd(driven.engine.transport().server_address());
        let came = clients.len();
        assert!(came > 20, "{came}");

        let pause = Duration::from_millis(5);
        driven.until(|driven| driven.engine.timeout(driven.now) == Some(pause));
        for _ in 0..10 {
            driven.turn();
        }
        let stats = driven.engine.stats();
        assert_eq!((stats.accepted, stats.shortages), (0, 1), "{stats:?}");

        drop(clients.pop());
        assert_eq!(driven.engine.timeout(driven.now), Some(pause));
        driven.pass(pause);
        // No time passes from here on.
        for (number, mut client) in clients.into_iter().enumerate() {
            driven.expect(&mut client, format!("{number}\n"));
        }
        driven.until(|driven| driven.engine.stats().accepted == came as u64);
        driven.until(|driven| driven.open_connections() == 0);
        let stats = driven.engine.stats();
        assert_eq!((stats.slots, stats.timers, stats.lost), (0, 0, 0));
        // One for each that was closed, at most.
        assert!(stats.shortages <= 1 + came as u64, "{stats:?}");
    });
}

/// REQ-3, better: the loop does not spin meanwhile. It comes round once for each attempt, and
/// attempts are ever farther apart; a shutdown is heeded all the same.
#[test]
fn out_of_descriptors_the_loop_rests() {
    alone("out_of_descriptors_the_loop_rests", 64, || {
        let script = Script::default();
        let dispatch = Evented::new(|_: &SocketAddr| Echo);
        let server = Server::with_hooks(listen(), dispatch, script.clone()).expect("a poll");
        let mut clients = crowd(server.server_address());

        let server = run(server, None);
        script.trace.wait_for("service", 4);
        let handle = server.handle.clone();
        assert_eq!(in_time(move || handle.shutdown()), Ok(()));
        let server = server.returned();
        let stats = server.stats();
        assert!(stats.shortages >= 4 && stats.accepted == 0, "{stats:?}");
        // One for the shutdown, and a few that only found the poll's news about the listener.
        assert!(stats.turns <= stats.shortages + 4, "{stats:?}");

        let server = run(server, None);
        drop(clients.pop());
        for (number, mut client) in clients.into_iter().enumerate() {
            client.expect(format!("{number}\n"));
        }
        server.stop();
    });
}

// Clients that leave.

const PHASES: [&str; 7] = [
    "in the backlog",
    "before a byte",
    "mid head",
    "mid body",
    "while an answer streams",
    "while deferred",
    "after an answer",
];

/// Design laws 7 and 8: whenever a client leaves, and however, nothing of it stays.
#[test]
fn five_thousand_clients_that_leave_take_everything_with_them() {
    const NAME: &str = "five_thousand_clients_that_leave_take_everything_with_them";
    alone(NAME, 1024, || {
        const BATCH: usize = 120;
        const ROUNDS: usize = 3;
        let (sender, deferreds) = channel();
        let handler = move |request: &Request<'_>, response: Response<'_>| match request.path() {
            "/stream" => {
                let blocks = iter::repeat([b'x'; 1024]);
                response.send_response(200).stream(blocks)
            }
            "/defer" => {
                let (deferred, reply) = response.defer();
                sender.send(deferred)?;
                Ok(reply)
            }
            _ => response.send_response(200).body("hello"),
        };
        let http = Http::new(handler, HttpSettings::default());
        let mut driven = Driven::new(EventedSettings::default(), http);
        let address = driven.engine.transport().server_address();
        driven.settle();
        let before = descriptors();
        let mut came = 0;
        for round in 0..ROUNDS * 2 * PHASES.len() {
            let (phase, reset) = (PHASES[round % PHASES.len()], round / PHASES.len() % 2 == 0);
            let mut clients: Vec<Client> = match phase {
                "in the backlog" => (0..BATCH).map(|_| Client::connect(address)).collect(),
                _ => (0..BATCH).map(|_| driven.connect()).collect(),
            };
            came += clients.len() as u64;
            for client in &mut clients {
                match phase {
                    "in the backlog" | "before a byte" => {}
                    "mid head" => client.send("GET / HTTP/1.1\r\nHo"),
                    "mid body" => {
                        client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\nbody");
                    }
                    "while an answer streams" => {
                        client.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
                        driven.expect(client, "HTTP/1.1 200 OK\r\n");
                    }
                    "while deferred" => client.send("GET /defer HTTP/1.1\r\nHost: h\r\n\r\n"),
                    _ => {
                        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
                        driven.expect(client, "HTTP/1.1 200 OK\r\n");
                    }
                }
            }
            let mut waiting = Vec::new();
            if phase == "while deferred" {
                driven.until(|_| {
                    waiting.extend(deferreds.try_iter());
                    waiting.len() == BATCH
                });
            }
            if phase.starts_with("mid") {
                driven.settle();
            }
            for client in clients {
                match reset {
                    true => client.reset(),
                    false => drop(client),
                }
            }
            if phase == "while deferred" && !reset {
                // They may have shut down one half only, so their answers are sent.
                driven.settle();
                assert_eq!(driven.open_connections(), BATCH);
                for deferred in waiting.drain(..) {
                    let late =
                        deferred.respond(|response| response.send_response(200).body("late"));
                    late.expect("it is there");
                }
            }
            driven.until(|driven| {
                let stats = driven.engine.stats();
                stats.accepted + stats.lost == came && stats.open == 0
            });
            let stats = driven.engine.stats();
            assert_eq!((stats.slots, stats.timers), (0, 0), "{phase} {stats:?}");
            for deferred in waiting {
                let late = deferred.respond(|response| response.send_response(200).body(""));
                assert!(late.is_err(), "nobody is there");
            }
        }
        driven.settle();
        let stats = driven.engine.stats();
        assert!(came >= 5_000 && stats.shortages == 0, "{came} {stats:?}");
        assert_eq!(
            driven.engine.timeout(driven.now),
            None,
            "nothing is waited for"
        );
        assert_eq!(descriptors(), before);
    });
}
