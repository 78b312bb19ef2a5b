//! A line echo, after the example in Python's `socketserver`. It serves one client at a time.
//!
//!     cargo run --release --example echo -- 127.0.0.1:9999
//!
//! From another terminal, and then type:
//!
//!     nc 127.0.0.1 9999
//!
//! Ctrl-C stops the server. The handler runs on the loop's own thread, so a second client waits until
//! the first has disconnected. The example `threaded_echo` does not have this limit.

use std::error::Error;
use std::io::Write;

use serve_forever::socketserver::{HandlerResult, RequestHandler, Rfile, TcpServer};

/// "The request handler class for our server. It is instantiated once per connection to the
/// server, and must override the handle() method to implement communication to the client."
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
    let mut server = TcpServer::bind(address, |_client_address: &_| MyTcpHandler)?;
    server.shutdown_on_signals()?;
    println!("Serving on {}", server.server_address());
    // A signal also ends the wait of the handler for its client: its read fails.
    Ok(server.serve_forever()?)
}
