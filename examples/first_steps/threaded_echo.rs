//! The line echo of `examples/first_steps/echo.rs` with a thread for each client; Python's `ThreadingMixIn`.
//!
//! The handler is the same: it blocks, and does not know about threads. In `echo` the loop's own thread
//! runs it, so there is one client at a time. Here the loop passes each client to a worker thread.
//!
//!     cargo run --release --example threaded_echo -- 127.0.0.1:9999
//!
//! From two other terminals, and then type; neither client waits for the other:
//!
//!     nc 127.0.0.1 9999
//!
//! Ctrl-C stops it.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;

use serve_forever::socketserver::{HandlerResult, RequestHandler, Rfile, Server, Tcp, Threading};

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
    // Python starts a thread for each client, without limit. Here a pool has a fixed number of
    // threads and a queue. When both are full, further clients wait in the kernel's backlog.
    let dispatch = Threading::new(|_client_address: &SocketAddr| MyTcpHandler).threads(100);
    let mut server = Server::new(Tcp::new(address)?.bind_and_activate()?, dispatch)?;
    server.shutdown_on_signals()?;
    println!("Serving on {}", server.server_address());
    // The loop only accepts clients, so it notices a signal immediately. Then `server` is dropped, which
    // ends the waits of the handlers for their clients, and waits for the handlers.
    Ok(server.serve_forever()?)
}
