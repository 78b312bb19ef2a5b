//! A graceful shutdown: the first Ctrl-C lets requests finish, a second one does not.
//!
//! Idle connections are closed. Clients that are queued in the listener are accepted, and then it is
//! closed: new clients are refused, or a load balancer sends them to another server. A request that
//! was sent or begun before gets its response, and then its connection is closed. Connections that are
//! still open after ten seconds are reset.
//!
//!     cargo run --release --example graceful_shutdown -- 127.0.0.1:8000
//!
//! From another terminal; press Ctrl-C in the first one while this waits:
//!
//!     curl http://127.0.0.1:8000/slow

use std::error::Error;
use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use serve_forever::http::{
    Deferred, HttpRequestHandler, HttpResult, HttpServer, Request, Response,
};
use serve_forever::socketserver::limit_panic_reports;

/// How long clients may take to finish.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a slow response takes.
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
        // Not `println!`, which panics if nobody reads the output any more.
        let _ = writeln!(io::stdout(), "A client waits for a slow response");
        // The loop must not block for a second, so it leaves the response to the worker. If the
        // queue is full, `deferred` is dropped, and the client gets status 500.
        let (deferred, reply) = response.defer();
        let _ = self.worker.try_send(deferred);
        Ok(reply)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    limit_panic_reports();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let (worker, jobs) = sync_channel::<Deferred>(100);
    thread::spawn(move || {
        for deferred in jobs {
            thread::sleep(WORK);
            // Ignore the error: it means that the client has disconnected.
            let _ = deferred
                .respond(|response| response.send_response(200).body("Worth waiting for.\n"));
        }
    });

    let mut server = HttpServer::bind(address, Handler { worker })?;
    server.drain_on_signals(PATIENCE)?;
    println!("Serving on http://{}/", server.server_address());
    server.serve_forever()?;

    // serve_forever returns when the last connection is closed, or when PATIENCE is over.
    match server.shutdown_handle().drained() {
        Some(drained) => println!(
            "Connections: {} finished, {} broken off, {} reset",
            drained.finished, drained.broken_off, drained.aborted
        ),
        None => println!("Stopped immediately"),
    }
    Ok(())
}
