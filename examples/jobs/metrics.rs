//! A server beside other work: a program that counts its jobs, and a page that shows the count.
//!
//!     cargo run --release --example metrics -- 127.0.0.1:8000
//!
//! From another terminal, while it works for a minute:
//!
//!     curl http://127.0.0.1:8000/metrics
//!
//! The server ends with the program, or when the program calls `shutdown`. It answers requests for this
//! machine only, so that no web page can read the numbers through a browser. If another machine should
//! read them, list the names by which it asks: `AllowedHosts::new`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serve_forever::http::AllowedHosts;
use serve_forever::{HttpServer, Request, Response};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let jobs = Arc::new(AtomicU64::new(0));
    let shown = Arc::clone(&jobs);
    let page = move |request: &Request<'_>, response: Response<'_>| match request.path() {
        "/metrics" => response
            .send_response(200)
            .send_header("Content-Type", "text/plain; version=0.0.4")
            .body(format!("jobs_total {}\n", shown.load(Ordering::Relaxed))),
        _ => response.send_error(404),
    };
    let server = HttpServer::bind(address, AllowedHosts::loopback(page))?.spawn()?;
    println!("Serving on http://{}/metrics", server.server_address());
    for _ in 0..6000 {
        jobs.fetch_add(1, Ordering::Relaxed); // the program's own work
        thread::sleep(Duration::from_millis(10));
    }
    Ok(server.shutdown()?)
}
