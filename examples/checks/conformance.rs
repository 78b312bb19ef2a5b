//! Plays the HTTP/1.1 conformance cases of this crate against any server: yours, for example.
//!
//! Start your server, and pass its address:
//!
//!     cargo run --release --example conformance -- 127.0.0.1:8080
//!
//! Or let this program start it on a free port, and stop it afterwards:
//!
//!     cargo run --release --example conformance -- --start './mine 127.0.0.1:{port}'
//!
//! Without a server it tests the one of this crate (`examples/checks/http_echo.rs`). `--group NAME` plays
//! only the cases of that group, and `--case TEXT` only those with this text in their name.
//! `--scale 2` doubles all time limits, for a slow server. The exit status is 0 if every case passes.
//!
//! # What your server has to do
//!
//! It is an echo. To each request that it accepts it responds with status 200, `Content-Type:
//! application/json`, and one JSON object:
//!
//! - `method` and `version`; `target` as it was sent.
//! - `headers`: a list of `[name, value]` in the order of their arrival, without blanks around the
//!   values. Names may be in lower case.
//! - `body`: the decoded content. `trailers`: like `headers`, for a chunked request.
//!
//! Each byte is one character of Latin-1, so a byte beyond ASCII is `\u0080` to `\u00ff`. The response
//! comes after the whole content was read. The response to HEAD is that to GET, without the content.
//! Any method is accepted; CONNECT and TRACE may be refused.
//!
//! It accepts at least 8000 bytes of request line, 12 KB of header fields, 90 fields, and 2 MB of
//! content. It refuses a head of 2 MB. It has no timeout below 5 seconds. To a request
//! that it cannot parse it responds with an error, and it closes the connection so that the client can
//! still read the response.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::process::{Child, Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use serve_forever::HttpServer;

#[path = "../../tests/conformance/case.rs"]
mod case;
#[path = "../../tests/conformance/client.rs"]
mod client;
#[path = "../../tests/conformance/escape.rs"]
mod escape;
#[path = "http_echo.rs"]
#[allow(dead_code)] // its `main`
mod http_echo;
#[path = "../../tests/conformance/judge.rs"]
mod judge;
#[path = "../../tests/conformance/response.rs"]
mod response;
#[path = "../../tests/conformance/run.rs"]
mod run;

use case::Case;

const USAGE: &str =
    "usage: conformance [ADDRESS | --start COMMAND] [--group NAME] [--case TEXT] [--scale NUMBER]";

/// How long a server that was started may take until it accepts a connection.
const START: Duration = Duration::from_secs(30);

/// What the command line asks for.
#[derive(Default)]
struct Options {
    address: Option<String>,
    start: Option<String>,
    group: Option<String>,
    case: Option<String>,
    scale: Option<f64>,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
    let mut options = Options::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value\n{USAGE}"));
        match word.as_str() {
            "--start" => options.start = Some(value()?),
            "--group" => options.group = Some(value()?),
            "--case" => options.case = Some(value()?),
            "--scale" => options.scale = Some(value()?.parse()?),
            _ if word.starts_with('-') => return Err(USAGE.into()),
            _ => options.address = Some(word),
        }
    }
    Ok(options)
}

impl Options {
    /// The cases that are asked for.
    fn select(&self, cases: Vec<Case>) -> Vec<Case> {
        let is_group = |case: &Case| self.group.as_ref().is_none_or(|name| *name == case.group);
        let is_named = |case: &Case| self.case.as_ref().is_none_or(|text| case.id.contains(text));
        let mut cases = cases;
        cases.retain(|case| is_group(case) && is_named(case));
        cases
    }
}

/// A server that this program has started. It ends with this value.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // Ignore the errors: the server may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server on a free port and waits until it accepts connections.
fn start(command: &str) -> Result<(Started, SocketAddr), Box<dyn Error>> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let command = command.replace("{port}", &address.port().to_string());
    let mut words = command.split_whitespace();
    let program = words.next().ok_or(USAGE)?;
    let child = Command::new(program).args(words).spawn();
    let mut server = Started(child.map_err(|error| format!("cannot start {program}: {error}"))?);
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        if let Some(status) = server.0.try_wait()? {
            return Err(format!("{command}: ended with {status}").into());
        }
        if began.elapsed() > START {
            return Err(format!("{command}: nobody listens on {address}").into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok((server, address))
}

/// Like `println!`, which panics if nobody reads the output any more, as after `| head`.
fn say(line: fmt::Arguments<'_>) {
    // Ignore the error: there is nobody to tell.
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints each failed case, and a table by group. Returns whether all cases have passed.
fn report(cases: &[Case], report: &run::Report) -> bool {
    say(format_args!("{report}\n"));
    let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for case in cases {
        groups.entry(&case.group).or_default().0 += 1;
    }
    for failure in &report.failures {
        groups.entry(&failure.case.group).or_default().1 += 1;
    }
    say(format_args!(
        "{:<20} {:>6} {:>6}",
        "group", "passed", "failed"
    ));
    for (group, (all, failed)) in groups {
        say(format_args!("{group:<20} {:>6} {failed:>6}", all - failed));
    }
    let failed = report.failures.len();
    say(format_args!(
        "{:<20} {:>6} {failed:>6}",
        "all",
        cases.len() - failed
    ));
    failed == 0
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = options(std::env::args().skip(1))?;
    let cases = case::parse_all(include_str!("../../tests/conformance/cases.jsonl"))
        .map_err(|faults| faults.join("\n"))?;
    let cases = options.select(cases);
    let play = |address| {
        let outcome = run::run(address, &cases, options.scale.unwrap_or(1.0));
        report(&cases, &outcome)
    };
    let passed = match (&options.start, &options.address) {
        (Some(command), _) => {
            let (_server, address) = start(command)?;
            play(address)
        }
        (None, Some(address)) => play(address.to_socket_addrs()?.next().ok_or(USAGE)?),
        (None, None) => {
            let settings = http_echo::settings();
            let server = HttpServer::with_settings("127.0.0.1:0", http_echo::echo, settings)?;
            let server = server.spawn()?;
            play(*server.server_address())
        }
    };
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
