//! Ctrl-C lets everybody finish what was begun; a second one does not.
//!
//! The listener is closed at once, so new clients are turned away (or a load balancer sends them
//! elsewhere). Connections with nothing under way are closed. An answer that is being made is
//! sent, and its connection is closed then. What is still open after ten seconds is reset.
//!
//!     cargo run --release --example graceful_shutdown -- 127.0.0.1:8000
//!     curl http://127.0.0.1:8000/slow     # and meanwhile Ctrl-C over there

use std::error::Error;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use serve_forever::http::{
    Deferred, HttpRequestHandler, HttpResult, HttpServer, Request, Response,
};
use serve_forever::socketserver::POLL_INTERVAL;

/// How long clients may take to finish.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a slow answer takes.
const WORK: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Handler {
    worker: SyncSender<Deferred>,
}

impl HttpRequestHandler for Handler {
    fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        if request.path() != "/slow" {
            return response.send_response(200).body("Try /slow.\n");
        }
        println!("Somebody waits for a slow answer");
        // The loop must not work for a second. It leaves the answer to the worker; if the queue
        // is full the right to answer is dropped, and that is a 500.
        let (deferred, reply) = response.defer();
        let _ = self.worker.try_send(deferred);
        Ok(reply)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let (worker, jobs) = sync_channel::<Deferred>(100);
    thread::spawn(move || {
        for deferred in jobs {
            thread::sleep(WORK);
            // The client may have gone.
            let _ = deferred
                .respond(|response| response.send_response(200).body("Worth waiting for.\n"));
        }
    });

    let mut server = HttpServer::bind(address, Handler { worker })?;
    server.drain_on_signals(PATIENCE)?;
    println!("Serving on http://{}/", server.server_address());
    server.serve_forever(POLL_INTERVAL)?;

    // serve_forever returns when the last connection is closed, or the patience is over.
    match server.shutdown_handle().drained() {
        Some(drained) => println!(
            "Connections: {} finished, {} reset",
            drained.finished, drained.aborted
        ),
        None => println!("Stopped at once"),
    }
    Ok(())
}
