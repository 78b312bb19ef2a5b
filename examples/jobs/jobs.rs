//! Requests in a channel, for threads of your own: as with `tiny_http`'s `recv`.
//!
//! The loop keeps every socket. A handler puts the request into a channel, and one of four threads
//! responds when it likes.
//!
//!     cargo run --release --example jobs -- 127.0.0.1:8000
//!
//! From another terminal:
//!
//!     curl http://127.0.0.1:8000/
//!     curl -d hello http://127.0.0.1:8000/shout
//!
//! Ctrl-C stops it.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serve_forever::http::{Deferred, OwnedRequest};
use serve_forever::{HttpResult, HttpServer, Request, Response};

type Job = (OwnedRequest, Deferred);

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

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((request, deferred)) = job else { return };
        // Ignore the error: the client has disconnected.
        let _ = deferred.respond(|response| request.with(|request| respond(request, response)));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let (sender, jobs) = channel::<Job>();
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..4 {
        let jobs = Arc::clone(&jobs);
        thread::spawn(move || work(&jobs));
    }
    let handler = move |request: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        sender.send((request.into(), deferred))?;
        Ok(reply)
    };
    let mut server = HttpServer::bind(address, handler)?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}
