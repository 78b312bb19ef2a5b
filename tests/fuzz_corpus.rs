//! Every input in `fuzz/corpus` and `fuzz/findings`, judged as the fuzzer judges it, by the oracle of
//! its target. What a fuzzer found once is thus tried at every test, without a fuzzer.
#![cfg(feature = "files")]

#[path = "../fuzz/oracles/lib.rs"]
mod oracles;

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

#[test]
fn head() {
    replay("head", oracles::head);
}

#[test]
fn response_head() {
    replay("response_head", oracles::response_head);
}

#[test]
fn framing() {
    replay("framing", oracles::framing);
}

#[test]
fn chunked() {
    replay("chunked", oracles::chunked);
}

#[test]
fn encode_then_parse() {
    replay("encode_then_parse", oracles::encode_then_parse);
}

#[test]
fn forwarded() {
    replay("forwarded", oracles::forwarded);
}

#[test]
fn proxy_protocol() {
    replay("proxy_protocol", oracles::proxy_protocol);
}

#[test]
fn exchange() {
    replay("exchange", oracles::exchange);
}

#[test]
fn connection() {
    replay("connection", oracles::connection);
}

/// FORM-3, FORM-4, FORM-5.
#[test]
fn multipart() {
    replay("multipart", oracles::multipart);
}

#[test]
fn target_to_path() {
    replay("target_to_path", oracles::target_to_path);
}

#[cfg(feature = "websocket")]
#[test]
fn websocket() {
    replay("websocket", oracles::websocket);
}

fn replay(target: &str, oracle: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let corpus = inputs(&fuzz.join("corpus").join(target));
    assert!(!corpus.is_empty(), "there is no corpus for {target}");
    for path in [corpus, inputs(&fuzz.join("findings").join(target))].concat() {
        let input = fs::read(&path).expect("an input can be read");
        let judged = panic::catch_unwind(|| oracle(&input));
        assert!(judged.is_ok(), "the verdict on {}", path.display());
    }
}

/// The files in a folder, which there need not be.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
