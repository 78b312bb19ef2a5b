//! Tests across the files of the codec, and what they share: a verdict must not depend on how the input is
//! split.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::head::{parse_fast, parse_slowly};
use super::request_line::RequestLine;
use super::*;

mod cases;
mod generated;

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

fn check_splits(input: &[u8], limits: &HeadLimits) -> Verdict {
    let whole = verdict(input, &[], limits);
    for split in 0..input.len() {
        let parts = verdict(input, &[split], limits);
        assert_eq!(whole, parts, "split at {split}: {}", input.escape_ascii());
    }
    let bytes: Vec<usize> = (0..input.len()).collect();
    assert_eq!(
        whole,
        verdict(input, &bytes, limits),
        "bytewise: {}",
        input.escape_ascii()
    );
    whole
}
