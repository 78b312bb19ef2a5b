//! The smallest web server with a handler type; the target of our load tests.
//!
//!     cargo run --release --example plaintext -- 127.0.0.1:8000
//!
//! From another terminal, one request, or a load test:
//!
//!     curl http://127.0.0.1:8000/plaintext
//!     wrk -c64 http://127.0.0.1:8000/plaintext
//!
//! With a number after the address, the handler runs on so many workers, as one that blocks would:
//!
//!     cargo run --release --example plaintext -- 127.0.0.1:8000 2
//!
//! Ctrl-C stops it.

use std::error::Error;

use serve_forever::http::{HttpRequestHandler, HttpResult, HttpServer, Pooled, Request, Response};
use serve_forever::socketserver::Pool;

/// The handler. In Python it would be a subclass of `BaseHTTPRequestHandler`; here it is a trait.
#[derive(Debug, Clone)]
pub struct Plaintext;

impl HttpRequestHandler for Plaintext {
    fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        match request.path() {
            "/" | "/plaintext" => hello(response),
            _ => response.send_error(404),
        }
    }

    /// The body has already been read when the handler is called, so there is nothing more to do.
    fn do_post(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        self.do_get(request, response)
    }
}

/// The server adds `Server`, `Date` and `Content-Length`.
fn hello(response: Response<'_>) -> HttpResult {
    response
        .send_response(200)
        .send_header("Content-Type", "text/plain")
        .body("Hello, World!")
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or("127.0.0.1:8000".into());
    match args.next() {
        Some(workers) => {
            let workers = Pool::new().threads(workers.parse()?);
            let workers = workers.queue_length(usize::MAX); // as in `ThreadingHttpServer`: none is refused
            serve(address, Pooled::new(Plaintext, workers))
        }
        None => serve(address, Plaintext),
    }
}

fn serve<H>(address: String, handler: H) -> Result<(), Box<dyn Error>>
where
    H: HttpRequestHandler + Clone + Send + 'static,
{
    let mut server = HttpServer::bind(address, handler)?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}
