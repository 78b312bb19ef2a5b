//! An access log: one line on standard error for each request. The log wraps the handler, and the
//! handler does not know about it.
//!
//!     cargo run --release --example access_log -- 127.0.0.1:8000 --format=json
//!
//! The format is `python`, `common`, `combined` (the default) or `json`. From another terminal:
//!
//!     curl http://127.0.0.1:8000/ http://127.0.0.1:8000/blocks http://127.0.0.1:8000/missing
//!
//! Ctrl-C stops it. It is safe: whatever a client sends is escaped, so it cannot forge a line.

use std::error::Error;
use std::io;

use serve_forever::http::{AccessLog, HttpResult, HttpServer, LogFormat, Request, Response};

fn handler(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    match request.path() {
        "/" => response.send_response(200).body("Look at my log.\n"),
        // The log line has the size of all blocks, because it is written after the last one.
        "/blocks" => response
            .send_response(200)
            .stream((1..=10).map(|number| format!("block {number}\n"))),
        _ => response.send_error(404),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (options, addresses): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let address = addresses.first().map_or("127.0.0.1:8000", String::as_str);
    let format = match options.first().map(String::as_str) {
        None | Some("--format=combined") => LogFormat::Combined,
        Some("--format=common") => LogFormat::Common,
        Some("--format=json") => LogFormat::Json,
        Some("--format=python") => LogFormat::Python,
        Some(option) => return Err(format!("unknown option {option}").into()),
    };
    let mut server = HttpServer::bind(address, AccessLog::new(handler, format, io::stderr()))?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}
