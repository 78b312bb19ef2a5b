//! Measures the processor time that servers use for a request over loopback, beside a server that reads
//! nothing of what it gets. Linux only.
//!
//!     cargo bench --bench macro
//!     cargo bench --bench macro -- --rounds 21 keep-alive pipeline
//!     cargo bench --bench macro -- --server 'other=./other 127.0.0.1:{port}'
//!
//! Words after `--` choose scenarios by a part of their names. `--own` chooses our servers, by their names
//! with commas between them. `--server` adds a server of another program. The bench ends by itself, after
//! about half a minute. `benches/README.md` says how to read the tables.

#[path = "../examples/checks/plaintext.rs"]
#[allow(dead_code)]
mod plaintext;
mod support;

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use plaintext::Plaintext;
use serve_forever::http::{HttpServer, HttpSettings, ThreadedHttp, listen};
use serve_forever::socketserver::{self, Evented, Pool};
use serve_forever::wsgi::{AppResult, Environ, StartResponse, make_server};
use support::floor::{self, Script};
use support::load::{Client, Load, Misconduct, Run};
use support::process::{Processors, Server};
use support::requests::{BROWSER, LAST, SMALL, post};
use support::rounds::Samples;
use support::table;

/// Ours. The first is what the others are compared with.
const OWN: [&str; 6] = [
    "floor",
    "threads",
    "handler",
    "workers",
    "application",
    "application on workers",
];

/// How many threads "workers" have.
const WORKERS: usize = 2;

fn scenarios() -> Vec<Load> {
    let load = |name, request: &[u8], connections, depth| Load {
        name,
        request: request.to_vec(),
        connections,
        depth,
        closes: false,
    };
    vec![
        load("keep-alive, 1 connection", SMALL, 1, 1),
        load("keep-alive, 64 connections", SMALL, 64, 1),
        load("keep-alive, 512 connections", SMALL, 512, 1),
        load("pipeline of 16, 64 connections", SMALL, 64, 16),
        load("browser's head, 64 connections", BROWSER, 64, 1),
        load("POST of 10 KiB, 32 connections", &post(), 32, 1),
        Load {
            closes: true,
            ..load("a connection for each request, 32 at once", LAST, 32, 1)
        },
    ]
}

fn app(environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
    let found = environ.get("PATH_INFO").as_deref() == Some("/plaintext");
    let status = if found { "200 OK" } else { "404 Not Found" };
    start_response.call(status, &[("Content-Type", "text/plain")])?;
    Ok("Hello, World!".into())
}

/// Serves until the process is killed: `serve NAME REQUEST_LENGTH CLOSES ADDRESS`.
fn serve(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [name, length, closes, address] = arguments else {
        return Err("serve NAME REQUEST_LENGTH CLOSES ADDRESS".into());
    };
    let address: SocketAddr = address.parse()?;
    let script = Script::hello(length.parse()?, closes.parse()?);
    let workers = Pool::new().threads(WORKERS).queue_length(usize::MAX);
    match name.as_str() {
        "floor" => Ok(floor::event_loop(address, &script)?),
        "threads" => Ok(floor::threads(address, &script)?),
        "handler" => Ok(HttpServer::bind(address, Plaintext)?.serve_forever()?),
        "workers" => {
            let http = ThreadedHttp::new(Plaintext, HttpSettings::default(), workers);
            let listener = listen(address)?;
            let mut server = socketserver::Server::new(listener, Evented::new(http))?;
            Ok(server.serve_forever()?)
        }
        "application" => Ok(make_server(address, app)?.serve_forever()?),
        "application on workers" => {
            let server = make_server(address, app)?;
            let mut server = server.configure(|handler| handler.workers(workers));
            Ok(server.serve_forever()?)
        }
        _ => Err("no server has this name".into()),
    }
}

/// What is measured.
struct Plan {
    rounds: usize,
    /// How long the client sends in one round.
    time: Duration,
    own: Vec<&'static str>,
    /// Names and commands.
    others: Vec<(String, Vec<String>)>,
    scenarios: Vec<Load>,
}

impl Plan {
    fn read(mut arguments: impl Iterator<Item = String>) -> Plan {
        let mut plan = Plan {
            rounds: 3,
            time: Duration::from_millis(100),
            own: OWN.to_vec(),
            others: Vec::new(),
            scenarios: scenarios(),
        };
        let mut chosen = Vec::new();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().expect("a value after the option");
            match argument.as_str() {
                "--bench" => {}
                "--rounds" => plan.rounds = value().parse().expect("a number"),
                "--milliseconds" => {
                    plan.time = Duration::from_millis(value().parse().expect("a number"));
                }
                "--own" => {
                    let names = value();
                    let is_named = |own: &&str| names.split(',').any(|name| name == *own);
                    plan.own = OWN.into_iter().filter(is_named).collect();
                }
                "--server" => {
                    let server = value();
                    let (name, command) = server.split_once('=').expect("NAME=COMMAND");
                    let words = command.split_whitespace().map(str::to_owned).collect();
                    plan.others.push((name.to_owned(), words));
                }
                _ => chosen.push(argument),
            }
        }
        let is_chosen = |load: &Load| chosen.iter().any(|part| load.name.contains(&**part));
        plan.scenarios
            .retain(|load| chosen.is_empty() || is_chosen(load));
        plan
    }

    fn names(&self) -> Vec<&str> {
        let others = self.others.iter().map(|(name, _)| name.as_str());
        self.own.iter().copied().chain(others).collect()
    }

    /// Starts all servers for one scenario, in the order of their names.
    fn start(&self, load: &Load, processors: Option<&Processors>) -> Vec<Server> {
        let (length, closes) = (load.request.len().to_string(), load.closes.to_string());
        let own = |name: &&str| Server::again(&[*name, &length, &closes], processors);
        let own = self.own.iter().map(own);
        let other = |(_, words): &(String, Vec<String>)| Server::start(words, processors);
        own.chain(self.others.iter().map(other)).collect()
    }
}

/// What one server used and did in one round.
struct Round {
    /// Processor time for each request, in microseconds.
    microseconds: f64,
    run: Run,
}

/// Runs all rounds of a scenario. In each round another server begins. The result has the rounds of each
/// server: none of them, if it failed in one.
fn measure(plan: &Plan, load: &Load, processors: Option<&Processors>) -> Vec<Vec<Round>> {
    let servers = plan.start(load, processors);
    let mut rounds: Vec<Vec<Round>> = servers.iter().map(|_| Vec::new()).collect();
    let mut failed = vec![false; servers.len()];
    // The round before the first is not counted.
    for number in 0..=plan.rounds {
        for place in 0..servers.len() {
            let which = (place + number) % servers.len();
            if failed[which] {
                continue;
            }
            match round(&servers[which], load, plan.time) {
                Ok(round) if number > 0 => rounds[which].push(round),
                Ok(_) => {}
                Err(misconduct) => {
                    let name = plan.names()[which];
                    println!("FAILED {name}, {}: {misconduct}", load.name);
                    failed[which] = true;
                    rounds[which].clear();
                }
            }
        }
    }
    rounds
}

/// Measures one server once. A client at a time has connections, so that a process may have as few as 1024
/// descriptors.
fn round(server: &Server, load: &Load, time: Duration) -> Result<Round, Misconduct> {
    let mut client = Client::connect(server.address, load)?;
    let before = server.processor_time();
    let run = client.run(time)?;
    let used = server.processor_time() - before;
    let microseconds = used.as_secs_f64() * 1e6 / run.requests as f64;
    Ok(Round { microseconds, run })
}

/// The median over the rounds.
fn median(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> f64 {
    Samples::new(rounds.iter().map(figure).collect()).median()
}

/// The median of what a round took, divided by what the same round of the first server took.
fn ratio(rounds: &[Round], first: &[Round]) -> f64 {
    let pairs = rounds.iter().zip(first);
    let ratios = pairs.map(|(round, first)| round.microseconds / first.microseconds);
    Samples::new(ratios.collect()).median()
}

/// Prints a table with a row for each scenario, and a column for each server.
fn print(
    title: &str,
    plan: &Plan,
    rows: &[Vec<Vec<Round>>],
    cell: impl Fn(&[Round], &[Round]) -> String,
) {
    println!("\n{title}\n");
    let cells = |row: &Vec<Vec<Round>>| {
        let each = row.iter().map(|rounds| match rounds.is_empty() {
            true => "–".to_owned(),
            false => cell(rounds, &row[0]),
        });
        each.collect()
    };
    let names = plan.scenarios.iter().map(|load| load.name.to_owned());
    table::print(&plan.names(), names.zip(rows.iter().map(cells)));
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let Some(("serve", arguments)) = arguments.split_first().map(|(it, rest)| (&**it, rest)) {
        return serve(arguments);
    }
    if !cfg!(target_os = "linux") {
        println!("SKIPPED: only Linux says how much processor time another process has used");
        return Ok(());
    }
    let plan = Plan::read(arguments.into_iter());
    let processors = Processors::divide();
    let pinned = Processors::describe(processors.as_ref());
    let (rounds, time) = (plan.rounds, plan.time);
    println!("{rounds} rounds of {time:?} for each server and scenario; {pinned}");
    let measured = plan
        .scenarios
        .iter()
        .map(|load| measure(&plan, load, processors.as_ref()));
    let rows: Vec<Vec<Vec<Round>>> = measured.collect();
    let microseconds = |rounds: &[Round], _: &[Round]| {
        format!("{:.2}", median(rounds, |round| round.microseconds))
    };
    print(
        "Processor time of the server for a request, in µs (the median):",
        &plan,
        &rows,
        microseconds,
    );
    let beside = |rounds: &[Round], first: &[Round]| format!("{:.2}", ratio(rounds, first));
    print(
        "Beside the first server in the same round (the median):",
        &plan,
        &rows,
        beside,
    );
    let slowest = |rounds: &[Round], _: &[Round]| {
        let latency = |round: &Round| round.run.latency(990).as_secs_f64() * 1e6;
        format!("{:.0}", median(rounds, latency))
    };
    print(
        "The 99th percentile of the time until an answer, in µs (the median):",
        &plan,
        &rows,
        slowest,
    );
    Ok(())
}
