//! What two public probes of HTTP servers need from a server, so that they can include this one.
//!
//! The [HTTP Garden](https://github.com/narfindustries/http-garden) sends the same bytes to many servers
//! and compares what they understood. For this it wants each request back as JSON, in base64.
//! [Http11Probe](https://github.com/MDA2AV/Http11Probe) judges the responses of one server, and wants
//! three paths: `/`, `/echo` and `/cookie`. The image for each of them is in a folder beside this file.
//!
//!     cargo run --release --example public_probes -- 127.0.0.1:8000 http-garden
//!     cargo run --release --example public_probes -- 127.0.0.1:8080 http11probe
//!
//! From another terminal:
//!
//!     curl -d 'some text' http://127.0.0.1:8000/path?query
//!     curl -H 'Cookie: a=1; b=2' http://127.0.0.1:8080/cookie
//!
//! Ctrl-C stops it.

use std::error::Error;

use serve_forever::http::HttpSettings;
use serve_forever::{HttpRequestHandler, HttpResult, HttpServer, Request, Response};

/// The echo for the HTTP Garden: a handler for all methods.
pub fn garden(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let mut json = String::from("{\"headers\":[");
    for (count, (name, value)) in request.headers().iter().enumerate() {
        json.push_str(if count == 0 { "[\"" } else { ",[\"" });
        push_base64(&mut json, name.as_bytes());
        json.push_str("\",\"");
        push_base64(&mut json, value);
        json.push_str("\"]");
    }
    let version = request.version().to_string();
    let members = [
        ("],\"body\":\"", request.body()),
        ("\",\"version\":\"", version.as_bytes()),
        ("\",\"uri\":\"", request.target().as_bytes()),
        ("\",\"method\":\"", request.method().as_bytes()),
    ];
    for (opening, bytes) in members {
        json.push_str(opening);
        push_base64(&mut json, bytes);
    }
    json.push_str("\"}");
    response
        .send_response(200)
        .send_header("Content-Type", "application/json")
        .body(json)
}

/// Appends the base64 of `bytes`, with padding.
fn push_base64(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            text.push(if digit > group.len() {
                '='
            } else {
                char::from(DIGITS[value as usize])
            });
        }
    }
}

/// The paths for Http11Probe. A method that is not here gets 501, as with any handler.
#[derive(Clone, Copy, Debug)]
pub struct Http11Probe;

impl HttpRequestHandler for Http11Probe {
    fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let body = match request.path() {
            "/echo" => fields(request),
            "/cookie" => cookies(request),
            _ => b"OK".to_vec(),
        };
        plain(response, &body)
    }

    fn do_post(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        match request.path() {
            "/echo" | "/cookie" => self.do_get(request, response),
            _ => plain(response, request.body()),
        }
    }

    fn do_options(&mut self, _: &Request<'_>, response: Response<'_>) -> HttpResult {
        response
            .send_response(200)
            .send_header("Allow", "GET, HEAD, POST, OPTIONS")
            .body("")
    }
}

fn plain(response: Response<'_>, body: &[u8]) -> HttpResult {
    response
        .send_response(200)
        .send_header("Content-Type", "text/plain")
        .body(body)
}

/// Each field on a line.
fn fields(request: &Request<'_>) -> Vec<u8> {
    let lines = request
        .headers()
        .iter()
        .map(|(name, value)| [name.as_bytes(), b": ", value, b"\n"].concat());
    lines.flatten().collect()
}

/// Each cookie on a line. What has no `=` is not a cookie.
fn cookies(request: &Request<'_>) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in request.headers().iter() {
        if !name.eq_ignore_ascii_case("cookie") {
            continue;
        }
        for pair in value.split(|&byte| byte == b';') {
            let pair = pair.trim_ascii_start();
            if pair.contains(&b'=') {
                lines.extend([pair, b"\n"].concat());
            }
        }
    }
    lines
}

/// Serves with the library's own limits and deadlines: they are a part of what is probed.
fn serve<H>(address: &str, handler: H) -> Result<(), Box<dyn Error>>
where
    H: HttpRequestHandler + Clone + 'static,
{
    let mut server = HttpServer::with_settings(address, handler, HttpSettings::default())?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [address, "http-garden"] => serve(address, garden),
        [address, "http11probe"] => serve(address, Http11Probe),
        _ => Err("usage: public_probes ADDRESS:PORT http-garden|http11probe".into()),
    }
}
