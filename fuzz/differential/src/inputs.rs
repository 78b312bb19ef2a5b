//! The inputs that are there: the corpora of the fuzz targets, the conformance cases, and the examples of the
//! table.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::table::ROWS;

/// All requests that are there.
pub fn requests() -> Vec<Vec<u8>> {
    let mut inputs = folder("head");
    inputs.extend(
        folder("framing")
            .iter()
            .map(|input| framing(input, "GET / HTTP/1.", "Host: h\r\n")),
    );
    inputs.extend(folder("chunked").iter().map(|input| {
        let head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        [head, &input[..]].concat()
    }));
    inputs.extend(
        folder("exchange")
            .into_iter()
            .filter(|input| !begins_with_method(input)),
    );
    inputs.extend(conformance());
    inputs.extend(examples(false));
    tidy(inputs)
}

/// All responses that are there.
pub fn responses() -> Vec<Vec<u8>> {
    let mut inputs = folder("response_head");
    inputs.extend(
        folder("exchange")
            .into_iter()
            .filter_map(|input| begins_with_method(&input).then(|| input[1..].to_vec())),
    );
    inputs.extend(
        folder("framing")
            .iter()
            .map(|input| framing(input, "HTTP/1.", "")),
    );
    inputs.extend(folder("chunked").iter().map(|input| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        [head, &input[..]].concat()
    }));
    inputs.extend(examples(true));
    tidy(inputs)
}

/// The examples of the table: what is near a known difference may be another one.
fn examples(responses: bool) -> impl Iterator<Item = Vec<u8>> {
    let examples = ROWS.iter().flat_map(|row| row.examples);
    let wanted =
        move |example: &&&[u8]| example.trim_ascii_start().starts_with(b"HTTP/") == responses;
    examples.filter(wanted).map(|example| example.to_vec())
}

/// The target `exchange` has the requests of a client without a digit before them.
fn begins_with_method(input: &[u8]) -> bool {
    matches!(input, [b'0'..=b'3', ..])
}

/// The target `framing` has a minor version and field lines, which end in LF or CRLF.
fn framing(input: &[u8], before: &str, fields: &str) -> Vec<u8> {
    let (minor, section) = match input {
        [digit @ b'0'..=b'9', rest @ ..] => (char::from(*digit), rest),
        rest => ('1', rest),
    };
    let after = if before.starts_with("HTTP") {
        " 200 OK"
    } else {
        ""
    };
    let mut whole = format!("{before}{minor}{after}\r\n{fields}").into_bytes();
    for line in section.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        whole.extend_from_slice(line);
        whole.extend_from_slice(b"\r\n");
    }
    whole.extend_from_slice(b"\r\n");
    whole
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The corpus of a fuzz target, and what it has found.
fn folder(target: &str) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    for place in ["fuzz/corpus", "fuzz/findings"] {
        let entries = fs::read_dir(root().join(place).join(target));
        paths.extend(
            entries
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path()),
        );
    }
    paths.sort();
    let read = |path: &PathBuf| fs::read(path).expect("an input can be read");
    paths.iter().map(read).collect()
}

/// What the conformance cases send, where it is a request of moderate length.
fn conformance() -> Vec<Vec<u8>> {
    let path = root().join("tests/conformance/cases.jsonl");
    let text = fs::read_to_string(path).expect("the cases can be read");
    let cases = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    cases.map(|case| sent(&case["send"])).collect()
}

/// The bytes of a step, or of a list of steps. What only waits has none.
fn sent(step: &Value) -> Vec<u8> {
    match step {
        Value::String(text) => text.chars().map(|letter| letter as u8).collect(),
        Value::Array(steps) => steps.iter().flat_map(sent).collect(),
        Value::Object(members) => match (
            members.get("cat"),
            members.get("bytewise"),
            members.get("rep"),
        ) {
            (Some(steps), _, _) | (_, Some(steps), _) => sent(steps),
            (_, _, Some(text)) => {
                let count = members["n"].as_u64().unwrap_or(0).min(200) as usize;
                sent(text).repeat(count)
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn tidy(mut inputs: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    inputs.retain(|input| (1..=4096).contains(&input.len()));
    inputs.sort();
    inputs.dedup();
    inputs
}
