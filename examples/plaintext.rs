//! The least a web server can say: the subject of load tests.
//!
//!     cargo run --release --example plaintext -- 127.0.0.1:8000
//!     wrk -c64 http://127.0.0.1:8000/plaintext

use std::error::Error;

use serve_forever::http::{HttpRequestHandler, HttpResult, HttpServer, Request, Response};
use serve_forever::socketserver::POLL_INTERVAL;

/// Python would subclass `BaseHTTPRequestHandler`; here the methods are a trait's.
#[derive(Debug, Clone)]
pub struct Plaintext;

impl HttpRequestHandler for Plaintext {
    fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        match request.path() {
            "/" | "/plaintext" => hello(response),
            _ => response.send_error(404),
        }
    }

    /// The body has been read before the handler is called, so there is nothing to do about it.
    fn do_post(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        self.do_get(request, response)
    }
}

/// `Server`, `Date` and `Content-Length` are added on the way.
fn hello(response: Response<'_>) -> HttpResult {
    response
        .send_response(200)
        .send_header("Content-Type", "text/plain")
        .body("Hello, World!")
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let mut server = HttpServer::bind(address, Plaintext)?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever(POLL_INTERVAL)?)
}
