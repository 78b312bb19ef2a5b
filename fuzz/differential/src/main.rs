//! The plain form of the fuzz targets, for a stable compiler: the inputs that are there, and others made
//! from them. See `README.md` beside it for the commands.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use differential::judge::{Tally, Unexplained, judge};
use differential::mutate::Mutator;
use differential::peers::Peer;
use differential::servers::Server;
use differential::table::ROWS;
use differential::verdict::Role;
use differential::{inputs, render};

const USAGE: &str = "\
usage: differential [run] [OPTION]...                  beside the parsers that are linked
       differential servers NAME=ADDRESS... [OPTION]... beside servers
       differential judge FILE...                       these inputs alone
       differential table                               prints the table of differences
options:
       --inputs N   make so many inputs, of requests and of responses each (20000)
       --seconds N  make inputs until so many seconds are over
       --seed N     make other inputs (1)";

/// How many differences are printed, each of another kind.
const SHOWN: usize = 200;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(options) = Options::of(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let mut report = Report::default();
    let words: Vec<&str> = options.words.iter().map(String::as_str).collect();
    match words[..] {
        ["table"] => {
            print!("{}", render::table());
            return ExitCode::SUCCESS;
        }
        ["judge", ref files @ ..] => judge_files(files, &mut report),
        ["servers", ref servers @ ..] => ask_servers(servers, &options, &mut report),
        _ => run(&options, &mut report),
    }
    report.print()
}

struct Options {
    words: Vec<String>,
    inputs: u64,
    end: Option<Instant>,
    seed: u64,
}

impl Options {
    fn of(arguments: &[String]) -> Option<Options> {
        let mut options = Options {
            words: Vec::new(),
            inputs: 20_000,
            end: None,
            seed: 1,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next()?.parse().ok();
            match argument.as_str() {
                "--inputs" => options.inputs = number()?,
                "--seed" => options.seed = number()?,
                "--seconds" => {
                    options.end = Some(Instant::now() + Duration::from_secs(number()?));
                    options.inputs = u64::MAX;
                }
                word if word.starts_with('-') => return None,
                word => options.words.push(word.into()),
            }
        }
        let known = ["run", "table", "judge", "servers"];
        let first = options.words.first();
        first
            .is_none_or(|word| known.contains(&word.as_str()))
            .then_some(options)
    }

    /// The numbers of the inputs to make, until the time is over.
    fn numbers(&self) -> impl Iterator<Item = u64> {
        let is_over = |end: Instant| Instant::now() >= end;
        (0..self.inputs).take_while(move |_| !self.end.is_some_and(is_over))
    }
}

/// What was found.
#[derive(Default)]
struct Report {
    tally: Tally,
    kinds: BTreeSet<String>,
}

impl Report {
    fn note(&mut self, result: Result<(), Box<Unexplained>>) {
        let Err(found) = result else { return };
        if self.kinds.insert(found.what.clone()) && self.kinds.len() <= SHOWN {
            eprintln!("NO ROW EXPLAINS THIS: {found}\n");
        }
    }

    /// No example shows this row.
    fn note_not_shown(&mut self, place: usize, peer: Peer) {
        let what = format!("{}: no example shows \"{}\"", peer.name(), ROWS[place].name);
        let other = self.tally.shortest.get(&(place, peer));
        let other = other.map(|(_, input)| input.escape_ascii().to_string());
        eprintln!("{what}, but this did: {}", other.unwrap_or_default());
        self.kinds.insert(what);
    }

    fn print(&self) -> ExitCode {
        for ((row, peer), count) in &self.tally.rows {
            println!("{count:>10}  {:<14}  {}", peer.name(), ROWS[*row].name);
        }
        println!(
            "{} inputs, {} streams",
            self.tally.inputs, self.tally.streams
        );
        if self.kinds.is_empty() {
            return ExitCode::SUCCESS;
        }
        eprintln!(
            "FAILED: {} kinds of difference that no row explains",
            self.kinds.len()
        );
        ExitCode::FAILURE
    }
}

fn run(options: &Options, report: &mut Report) {
    for input in inputs::requests() {
        let result = judge(Role::Server, &input, &mut report.tally);
        report.note(result);
    }
    for input in inputs::responses() {
        for role in Role::CLIENTS {
            let result = judge(role, &input, &mut report.tally);
            report.note(result);
        }
    }
    let mutator = Mutator::new(options.seed);
    for number in options.numbers() {
        let result = judge(Role::Server, &mutator.request(number), &mut report.tally);
        report.note(result);
        let role = Role::CLIENTS[number as usize % Role::CLIENTS.len()];
        let result = judge(role, &mutator.response(number), &mut report.tally);
        report.note(result);
    }
}

fn judge_files(files: &[&str], report: &mut Report) {
    for file in files {
        let input = std::fs::read(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        for role in Role::CLIENTS.into_iter().chain([Role::Server]) {
            let result = judge(role, &input, &mut report.tally);
            report.note(result);
        }
    }
}

fn ask_servers(servers: &[&str], options: &Options, report: &mut Report) {
    let server = |text: &&str| server(text).unwrap_or_else(|| panic!("no server: {text}"));
    let servers: Vec<Server> = servers.iter().map(server).collect();
    let mutator = Mutator::new(options.seed);
    let made = options.numbers().map(|number| mutator.request(number));
    for input in inputs::requests().into_iter().chain(made) {
        for server in &servers {
            let result = server.judge(&input, &mut report.tally);
            report.note(result);
        }
    }
    for (place, row) in ROWS.iter().enumerate() {
        let differ = servers
            .iter()
            .filter(|server| row.peers.contains(&server.peer));
        for server in differ.filter(|server| !server.shows(row)) {
            report.note_not_shown(place, server.peer);
        }
    }
}

/// Reads `NAME=ADDRESS`.
fn server(text: &str) -> Option<Server> {
    let (name, address) = text.split_once('=')?;
    let peer = *Peer::SERVERS.iter().find(|peer| peer.name() == name)?;
    let address = address.parse().ok()?;
    Some(Server { peer, address })
}
