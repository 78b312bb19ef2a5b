//! A plain function as the handler. It responds with the request as the server understood it, as JSON.
//!
//! The conformance cases are run against it: they compare, field by field, what the client sent with
//! what the server understood.
//!
//!     cargo run --release --example http_echo -- 127.0.0.1:8000
//!
//! From another terminal:
//!
//!     curl -d 'some text' http://127.0.0.1:8000/path?query
//!
//! Ctrl-C stops it.

use std::error::Error;
use std::fmt::Write;

use serve_forever::http::h1::Fields;
use serve_forever::http::{HttpResult, HttpServer, HttpSettings, Request, Response};

/// A plain function is a handler for all methods.
pub fn echo(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let mut json = String::from("{\"method\":");
    push_string(&mut json, request.method().as_bytes());
    json.push_str(",\"target\":");
    push_string(&mut json, request.target().as_bytes());
    json.push_str(",\"version\":");
    push_string(&mut json, request.version().to_string().as_bytes());
    json.push_str(",\"headers\":");
    push_fields(&mut json, request.headers());
    json.push_str(",\"body\":");
    push_string(&mut json, request.body());
    json.push_str(",\"trailers\":");
    push_fields(&mut json, request.trailers());
    json.push('}');
    response
        .send_response(200)
        .send_header("Content-Type", "application/json")
        .body(json)
}

/// The settings, with a larger limit on bodies than by default.
pub fn settings() -> HttpSettings {
    let mut settings = HttpSettings::default();
    settings.limits.body = 4 * 1024 * 1024;
    settings
}

fn push_fields(json: &mut String, fields: Fields<'_>) {
    json.push('[');
    for (count, (name, value)) in fields.iter().enumerate() {
        json.push_str(if count == 0 { "[" } else { ",[" });
        push_string(json, name.as_bytes());
        json.push(',');
        push_string(json, value);
        json.push(']');
    }
    json.push(']');
}

/// Appends bytes as a JSON string of Latin-1 text: each byte is the character with its number.
fn push_string(json: &mut String, bytes: &[u8]) {
    json.push('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => json.extend(['\\', char::from(byte)]),
            b' '..=b'~' => json.push(char::from(byte)),
            // Ignore the result: writing to a String cannot fail.
            _ => drop(write!(json, "\\u{byte:04x}")),
        }
    }
    json.push('"');
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let mut server = HttpServer::with_settings(address, echo, settings())?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}
