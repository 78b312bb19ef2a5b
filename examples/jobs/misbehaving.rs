//! A server that breaks HTTP on purpose, for the test of a client: which one, the command line says.
//!
//!     cargo run --release --example misbehaving -- 127.0.0.1:8000 reset=10 delay=500 ok
//!
//! Each word is the answer to one request, and the last one is repeated. From another terminal:
//!
//!     curl --retry 2 --retry-all-errors http://127.0.0.1:8000/
//!
//! Ctrl-C ends it. In a test of a Rust program, use `Misbehaving` itself: it also says what the client
//! has sent.
//!
//! It is safe: it listens on this machine only, and sends nothing but what the command line says.

use std::error::Error;
use std::thread;
use std::time::Duration;

use serve_forever::http::testing::{Answer, Misbehaving};

fn answer(word: &str) -> Option<Answer> {
    let (name, number) = word.split_once('=').unwrap_or((word, "0"));
    let number: usize = number.parse().ok()?;
    let time = Duration::from_millis(number as u64);
    let hello = Answer::new(200, "hello\n");
    let body = hello.head_len();
    Some(match name {
        "ok" => hello,
        "status" => Answer::new(u16::try_from(number).ok()?, "hello\n"),
        "delay" => hello.delay(time),
        "slow-head" => hello.trickle(1, time),
        "slow-body" => hello.pause_after(body + 1, time),
        "silent" => Answer::raw("").stall_after(0),
        "reset" => hello.reset_after(number),
        "truncate" => hello.close_after(body + number),
        "close" => Answer::raw("").close_after(0),
        "early-close" => Answer::raw("").close_after(0).unasked(),
        "too-long" => hello.content_length(2),
        "too-short" => hello.content_length(100).close_after(usize::MAX),
        "two-framings" => hello.chunked().content_length(6),
        "bad-chunk" => hello.bad_chunk(),
        "no-last-chunk" => hello.no_last_chunk().close_after(usize::MAX),
        "interim" => hello.interim(102, number),
        "garbage" => Answer::raw("HTTP/1.1 what?\r\n\r\n").close_after(usize::MAX),
        "bad-field" => hello.header("Content-Length", "six"),
        "endless-head" => Answer::raw("HTTP/1.1 200 OK\r\n").endless("X-Filler: filler\r\n"),
        "endless-body" => hello.no_last_chunk().endless("6\r\nhello\n\r\n"),
        _ => return None,
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let address = words.next().unwrap_or("127.0.0.1:8000".into());
    let script: Option<Vec<Answer>> = words.map(|word| answer(&word)).collect();
    let server = Misbehaving::bind(address, script.ok_or("an answer has no such name")?)?;
    println!("Misbehaving on {}/", server.url());
    loop {
        thread::park(); // the server has a thread of its own
    }
}
