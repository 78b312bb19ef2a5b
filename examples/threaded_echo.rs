//! The line echo of `examples/echo.rs` with Python's `ThreadingMixIn`: a thread for each client.
//!
//!     cargo run --release --example threaded_echo -- 127.0.0.1:9999
//!     nc 127.0.0.1 9999        # in two terminals: neither waits for the other
//!
//! The handler is word for word the same: it blocks, and knows nothing of threads. What changes is
//! who runs it. `Inline` runs it on the loop's thread, so there is one client at a time; with
//! `Threading` the loop hands each client to a worker and goes on.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;

use serve_forever::socketserver::{
    HandlerResult, POLL_INTERVAL, RequestHandler, Rfile, Server, Tcp, Threading,
};

struct MyTcpHandler;

impl RequestHandler for MyTcpHandler {
    fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
        let mut line = Vec::new();
        while rfile.read_until(b'\n', &mut line)? > 0 {
            wfile.write_all(&line)?;
            line.clear();
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    // Python starts a thread for each client, however many there are. Here it is a pool: when all
    // its threads and its queue are taken, the next clients wait in the kernel.
    let dispatch = Threading::new(|_client_address: &SocketAddr| MyTcpHandler)
        .threads(100)
        // A client may stay for hours. Without this, the end of `main` would wait for it to go.
        .daemon_threads(true);
    let mut server = Server::new(Tcp::new(address)?.bind_and_activate()?, dispatch)?;
    server.shutdown_on_signals()?;
    println!("Serving on {}", server.server_address());
    // The loop only accepts, so it always has ears.
    Ok(server.serve_forever(POLL_INTERVAL)?)
}
