//! Tests across the files of the codec, and what they share: a verdict must not depend on how the input is
//! split.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::head::{parse_fast, parse_slowly};
use super::request_line::RequestLine;
use super::response_head;
use super::*;

mod cases;
mod connection;
mod exhaustive;
mod generated;
mod response_cases;
mod walk;

type Verdict = Result<Option<(Range<usize>, String)>, Error>;

/// The verdict on `input` if it arrives in growing prefixes that end at `stops` and at its end.
fn verdict(input: &[u8], stops: &[usize], limits: &HeadLimits) -> Verdict {
    let combined = combined_verdict(input, stops, limits);
    let separate = separate_verdict(input, stops, limits);
    assert_eq!(combined, separate, "{}", input.escape_ascii());
    separate
}

fn combined_verdict(input: &[u8], stops: &[usize], limits: &HeadLimits) -> Verdict {
    let mut scanner = Scanner::default();
    for &stop in stops.iter().chain([&input.len()]) {
        let mut storage = FieldStorage::new();
        if let Some((range, head)) = scanner.head(&input[..stop], &mut storage, limits)? {
            return Ok(Some((range, format!("{head:?}"))));
        }
    }
    Ok(None)
}

fn separate_verdict(input: &[u8], stops: &[usize], limits: &HeadLimits) -> Verdict {
    let mut scanner = Scanner::default();
    for &stop in stops.iter().chain([&input.len()]) {
        if let Some(range) = scanner.scan(&input[..stop], limits)? {
            let mut storage = FieldStorage::new();
            let head = Head::parse(&input[range.clone()], &mut storage, limits)?;
            return Ok(Some((range, format!("{head:?}"))));
        }
    }
    Ok(None)
}

/// Where to cut an input of this length: everywhere. Miri is a thousand times slower, and gets some places.
fn places(length: usize) -> impl Iterator<Item = usize> {
    let step = if cfg!(miri) { length / 16 + 1 } else { 1 };
    (0..length).step_by(step)
}

fn check_splits(input: &[u8], limits: &HeadLimits) -> Verdict {
    let whole = verdict(input, &[], limits);
    for split in places(input.len()) {
        let parts = verdict(input, &[split], limits);
        assert_eq!(whole, parts, "split at {split}: {}", input.escape_ascii());
    }
    let bytes: Vec<usize> = places(input.len()).collect();
    assert_eq!(
        whole,
        verdict(input, &bytes, limits),
        "bytewise: {}",
        input.escape_ascii()
    );
    whole
}

/// The verdict on a response that arrives in growing prefixes which end at `stops` and at its end.
fn response_verdict(input: &[u8], stops: &[usize], limits: &HeadLimits, method: &str) -> Verdict {
    let (mut one, mut two) = (Scanner::default(), Scanner::default());
    let mut verdict = Ok(None);
    for &stop in stops.iter().chain([&input.len()]) {
        let input = &input[..stop];
        let mut storage = FieldStorage::new();
        let combined = one.response_head(input, &mut storage, limits, method);
        let combined =
            combined.map(|found| found.map(|(range, head)| (range, format!("{head:?}"))));
        let mut storage = FieldStorage::new();
        let range = two.scan_response(input, limits);
        let separate = range.and_then(|range| {
            let Some(range) = range else { return Ok(None) };
            let bytes = &input[range.clone()];
            let head = ResponseHead::parse(bytes, &mut storage, limits, method)?;
            Ok(Some((range, format!("{head:?}"))))
        });
        assert_eq!(combined, separate, "{}", input.escape_ascii());
        verdict = combined;
        if !matches!(verdict, Ok(None)) {
            break;
        }
    }
    verdict
}

fn check_response_splits(input: &[u8], limits: &HeadLimits, method: &str) -> Verdict {
    let whole = response_verdict(input, &[], limits, method);
    let text = input.escape_ascii();
    for split in places(input.len()) {
        let parts = response_verdict(input, &[split], limits, method);
        assert_eq!(whole, parts, "split at {split}: {text}");
    }
    let bytes: Vec<usize> = places(input.len()).collect();
    let parts = response_verdict(input, &bytes, limits, method);
    assert_eq!(whole, parts, "bytewise: {text}");
    whole
}
