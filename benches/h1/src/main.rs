//! How long the codec and other parsers take for the same bytes. `README.md` says how to run it.
//!
//!     h1                          # times: the median and the least of many rounds
//!     h1 names                    # the parsers, one a line, and the cases behind a tab
//!     h1 repeat PARSER CASE N     # only that, N times, for a profiler
//!     h1 print CASE               # the bytes of a case

mod corpus;
#[cfg(feature = "llhttp")]
mod llhttp;
mod measure;
mod parsers;
mod pico;
#[allow(dead_code)] // the bench only counts the fields
mod picohttpparser;

use std::env;
use std::io::{self, Write};

use corpus::Case;
use parsers::{Httparse, Ours, Parser};
use pico::Pico;

fn parsers() -> Vec<Box<dyn Parser>> {
    vec![
        Box::new(Ours::default()),
        Box::new(Httparse),
        Box::new(Pico),
        #[cfg(feature = "llhttp")]
        Box::new(llhttp::Llhttp::new()),
        #[cfg(feature = "llhttp")]
        Box::new(llhttp::Llhttp::silent()),
    ]
}

/// Panics if a parser does not find in each case what is in it.
fn check(parsers: &mut [Box<dyn Parser>], cases: &[Case]) {
    for case in cases {
        for parser in &mut *parsers {
            let seen = parser.read(case.kind, &mut case.bytes.clone());
            let silent = parser.name().ends_with("silent");
            assert!(
                silent || seen == case.seen,
                "{}, {}: {seen:?}",
                parser.name(),
                case.name
            );
        }
    }
}

fn main() {
    let (mut parsers, cases) = (parsers(), corpus::cases());
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let case = |name: &str| cases.iter().find(|case| case.name == name);
    match arguments[..] {
        [] => {
            check(&mut parsers, &cases);
            measure::table(&mut parsers, &cases);
        }
        ["names"] => {
            for parser in &parsers {
                println!("{}", parser.name());
            }
            for case in &cases {
                println!("\t{}", case.name);
            }
        }
        ["print", name] => {
            let case = case(name).expect("a case");
            io::stdout().write_all(&case.bytes).expect("an output");
        }
        ["repeat", parser, name, times] => {
            let case = case(name).expect("a case");
            let mut parsers = parsers.into_iter();
            let mut parser = parsers.find(|it| it.name() == parser).expect("a parser");
            let mut scratch = case.bytes.clone();
            let times = times.parse().expect("a number");
            parser.repeat(case.kind, &case.bytes, &mut scratch, times);
        }
        _ => panic!("see the top of src/main.rs"),
    }
}
