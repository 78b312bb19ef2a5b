//! Threads of your own that take requests and respond: `recv` and `respond`, as with `tiny_http`.
//!
//! The loop keeps every socket. Four threads take the requests, and may block.
//!
//!     cargo run --release --example incoming -- 127.0.0.1:8000
//!
//! From another terminal:
//!
//!     curl http://127.0.0.1:8000/
//!     curl -d hello http://127.0.0.1:8000/shout
//!
//! Ctrl-C stops it. It is safe: bodies have at most 1 MiB, at most 64 requests wait, and a client
//! that is slow holds no thread.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serve_forever::http::{BodyPolicy, Incoming};
use serve_forever::{HttpResult, HttpServer, Request, Response};

static HITS: AtomicUsize = AtomicUsize::new(0);

fn respond(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let hit = HITS.fetch_add(1, Ordering::SeqCst);
    match (request.method(), request.path()) {
        ("GET", "/") => response.send_response(200).body(format!("hit {hit}\n")),
        // This may block: ask a database, read a file, compute.
        ("POST", "/shout") => response
            .send_response(200)
            .body(request.body().to_ascii_uppercase()),
        _ => response.send_response(404).body("no\n"),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let (handler, incoming) = Incoming::channel(64, BodyPolicy::whole());
    let work = |incoming: Incoming| {
        for request in incoming {
            // Ignore the error: the client has disconnected.
            let _ = request.respond(respond);
        }
    };
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let incoming = incoming.clone();
            thread::spawn(move || work(incoming))
        })
        .collect();
    let mut server = HttpServer::bind(address, handler)?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    let served = server.serve_forever();
    // Ends the loops over `incoming`. From here on, a second Ctrl-C ends the process.
    drop(server);
    for worker in workers {
        worker.join().map_err(|_| "a worker has panicked")?;
    }
    Ok(served?)
}
