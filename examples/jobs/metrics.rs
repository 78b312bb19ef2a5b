//! Metrics in the background: a program that works, and a page with its numbers for Prometheus.
//!
//!     cargo run --release --example metrics -- 127.0.0.1:8000
//!
//! From another terminal, while it works:
//!
//!     curl http://127.0.0.1:8000/metrics
//!
//! Ctrl-C ends the server, and the program ends its work when it sees that.
//!
//! It is safe: it listens on this machine only, and answers requests for this machine only, so that
//! no web page can read the numbers through a browser. If another machine should read them, list the
//! names by which it asks: `AllowedHosts::new`.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serve_forever::http::AllowedHosts;
use serve_forever::{HttpResult, HttpServer, Request, Response};

static JOBS: AtomicU64 = AtomicU64::new(0);

fn page(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    if request.path() != "/metrics" {
        return response.send_error(404);
    }
    let jobs = JOBS.load(Ordering::Relaxed);
    let open = request.server().map_or(0, |server| server.stats().open);
    response
        .send_response(200)
        .send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        .body(format!(
            "# HELP jobs_total Jobs that are done.\n# TYPE jobs_total counter\njobs_total {jobs}\n\
             # HELP connections Clients that are connected to this page.\n# TYPE connections gauge\n\
             connections {open}\n"
        ))
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let mut server = HttpServer::bind(address, AllowedHosts::loopback(page))?;
    server.shutdown_on_signals()?; // before `spawn`, which takes the server to its thread
    let server = server.spawn()?;
    println!("Serving on http://{}/metrics", server.server_address());
    while !server.is_finished() {
        JOBS.fetch_add(1, Ordering::Relaxed); // the program's own work
        thread::sleep(Duration::from_millis(10));
    }
    Ok(server.shutdown()?) // also returns why a server has ended that failed
}
