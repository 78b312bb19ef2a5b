//! Black-box HTTP/1.x conformance.
//!
//! Every line of `conformance/cases.jsonl` is one case: bytes that a client
//! sends, with waits between them, and what the server has to do about it. The
//! case format is described at the top of `conformance/case.rs`, which parses
//! it; `client.rs` plays a case on a connection, `response.rs` reads what comes
//! back (strictly), `judge.rs` holds it against what the case expects, and
//! `run.rs` does all that for many cases at once.
//!
//! The server under test is an echo application: for each request that the
//! library accepts it answers 200 with one JSON object which tells what it saw
//! (`method`, `target`, `version`, `headers`, `body`, `trailers`; every byte one
//! latin-1 character), after it has read the whole request content. Requests
//! that are refused while parsing never reach it.
//!
//! `examples/checks/conformance.rs` plays the same cases against any other server.
//!
//! There is one test per group of cases. To look at one case (or a few), name a
//! part of its id; `SCALE` stretches all time limits for a slow machine:
//!
//! ```text
//! CASE=ch-size-plus cargo test --test conformance
//! SCALE=2 cargo test --test conformance
//! ```
#![cfg(feature = "server")]

#[path = "conformance/case.rs"]
mod case;
#[path = "conformance/client.rs"]
mod client;
#[path = "conformance/escape.rs"]
mod escape;
#[path = "conformance/judge.rs"]
mod judge;
#[path = "conformance/response.rs"]
mod response;
#[path = "conformance/run.rs"]
mod run;

#[path = "../examples/checks/http_echo.rs"]
#[allow(dead_code)]
mod http_echo;

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};

use serve_forever::http::HttpServer;
use serve_forever::socketserver::ShutdownHandle;

use case::Case;

/// The server under test: the example's application, on a thread of its own.
struct Running {
    address: SocketAddr,
    shutdown: ShutdownHandle,
    thread: Option<JoinHandle<()>>,
}

fn start() -> Running {
    let settings = http_echo::settings();
    let mut server = HttpServer::with_settings("127.0.0.1:0", http_echo::echo, settings)
        .expect("a port to listen on");
    Running {
        address: server.server_address(),
        shutdown: server.shutdown_handle(),
        thread: Some(thread::spawn(move || {
            server.serve_forever().expect("a clean end");
        })),
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.request();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the server panicked");
        }
    }
}

/// All cases of the file, or everything that is wrong with the file.
fn cases() -> Result<&'static [Case], String> {
    static CASES: OnceLock<Result<Vec<Case>, Vec<String>>> = OnceLock::new();
    match CASES.get_or_init(|| case::parse_all(include_str!("conformance/cases.jsonl"))) {
        Ok(cases) => Ok(cases),
        Err(errors) => Err(errors.join("\n")),
    }
}

/// The part of a case id that `CASE` asks for.
fn filter() -> Option<String> {
    std::env::var("CASE")
        .ok()
        .filter(|wanted| !wanted.is_empty())
}

/// The factor for all time limits, from the environment.
fn scale() -> f64 {
    match std::env::var("SCALE") {
        Ok(text) => text.parse().expect("SCALE is a number"),
        Err(_) => 1.0,
    }
}

/// Runs the cases of one group against a server of their own.
fn check(group: &str) {
    let cases = cases().unwrap_or_else(|errors| panic!("the case file is not valid:\n{errors}"));
    let filter = filter();
    let selected: Vec<Case> = cases
        .iter()
        .filter(|case| case.group == group)
        .filter(|case| {
            filter
                .as_ref()
                .is_none_or(|wanted| case.id.contains(wanted))
        })
        .cloned()
        .collect();
    if selected.is_empty() {
        assert!(filter.is_some(), "no case in group {group}");
        return;
    }
    let server = start();
    let report = run::run(server.address, &selected, scale());
    println!("{report}");
    assert!(
        report.failures.is_empty(),
        "{group}: {} of {} cases failed",
        report.failures.len(),
        selected.len()
    );
}

/// One test per group, and the list of the groups that have one.
macro_rules! groups {
    ($($test:ident => $group:literal,)+) => {
        const GROUPS: &[&str] = &[$($group),+];
        $(
            #[test]
            fn $test() {
                check($group);
            }
        )+
    };
}

groups! {
    chunked => "chunked",
    content_length => "content-length",
    expect_continue => "expect-continue",
    headers => "headers",
    host => "host",
    http09 => "http09",
    http10 => "http10",
    keep_alive => "keep-alive",
    limits => "limits",
    methods => "methods",
    pipelining => "pipelining",
    request_line => "request-line",
    response_framing => "response-framing",
    smuggling => "smuggling",
    target_forms => "target-forms",
    trailers => "trailers",
}

#[test]
fn every_line_of_the_case_file_is_understood() {
    if let Err(errors) = cases() {
        panic!("{errors}");
    }
}

#[test]
fn every_case_is_run_by_one_of_the_group_tests() {
    let cases = cases().expect("the case file is valid");
    let lost: Vec<_> = cases
        .iter()
        .filter(|case| !GROUPS.contains(&case.group.as_str()))
        .map(|case| (&case.id, &case.group))
        .collect();
    assert!(lost.is_empty(), "cases of no tested group: {lost:?}");
}

#[test]
fn the_filter_selects_a_case() {
    let Some(wanted) = filter() else { return };
    let cases = cases().expect("the case file is valid");
    assert!(
        cases.iter().any(|case| case.id.contains(&wanted)),
        "no case id contains {wanted:?}"
    );
}
