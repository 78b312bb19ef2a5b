//! Rounds in which each parser has its turn, and the table of what they took.

use std::time::{Duration, Instant};

use crate::corpus::Case;
use crate::parsers::Parser;

const ROUNDS: usize = 1001;

/// How long a parser works on a case in one round: less than the time after which the operating system
/// may run another program, so that this happens in few rounds.
const TURN: Duration = Duration::from_micros(200);

/// What a parser took for a case in each round, in nanoseconds.
type Times = Vec<f64>;

/// Measures and prints. The first parser is the one that the others are compared with.
pub fn table(parsers: &mut [Box<dyn Parser>], cases: &[Case]) {
    let times: Vec<Vec<Times>> = cases.iter().map(|case| rounds(parsers, case)).collect();
    println!("Nanoseconds, the median of {ROUNDS} rounds (the least):\n");
    print(parsers, cases, |case, parser| {
        let (median, least) = (median(&times[case][parser]), times[case][parser][0]);
        format!("{median:.0} ({least:.0})")
    });
    println!("\nThe median beside ours:\n");
    print(parsers, cases, |case, parser| {
        let ratio = median(&times[case][parser]) / median(&times[case][0]);
        format!("{ratio:.2}")
    });
}

/// Runs all rounds of one case. In each round another parser begins, so that nobody has a better place.
fn rounds(parsers: &mut [Box<dyn Parser>], case: &Case) -> Vec<Times> {
    let mut scratch = case.bytes.clone();
    let mut turn = |parser: &mut Box<dyn Parser>, times| {
        let begin = Instant::now();
        parser.repeat(case.kind, &case.bytes, &mut scratch, times);
        begin.elapsed()
    };
    let mut repeats = Vec::new();
    for parser in &mut *parsers {
        let mut times = 1;
        while turn(parser, times) < TURN {
            times *= 2;
        }
        repeats.push(times);
    }
    let mut taken = vec![Times::new(); parsers.len()];
    for round in 0..ROUNDS {
        for place in 0..parsers.len() {
            let which = (place + round) % parsers.len();
            let elapsed = turn(&mut parsers[which], repeats[which]);
            taken[which].push(elapsed.as_nanos() as f64 / repeats[which] as f64);
        }
    }
    for times in &mut taken {
        times.sort_by(f64::total_cmp);
    }
    taken
}

/// Of times in order.
fn median(times: &Times) -> f64 {
    times[times.len() / 2]
}

/// Prints a table with a row for each case, and a column for each parser.
fn print(parsers: &[Box<dyn Parser>], cases: &[Case], cell: impl Fn(usize, usize) -> String) {
    let names: Vec<&str> = parsers.iter().map(|parser| parser.name()).collect();
    println!("| | {} |", names.join(" | "));
    println!("| --- |{}", " --- |".repeat(names.len()));
    for (index, case) in cases.iter().enumerate() {
        let cells: Vec<String> = (0..names.len()).map(|parser| cell(index, parser)).collect();
        println!("| {} | {} |", case.name, cells.join(" | "));
    }
}
