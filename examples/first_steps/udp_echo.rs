//! A datagram echo: each datagram is a request, and the handler's output is sent back as one datagram.
//!
//!     cargo run --release --example udp_echo -- 127.0.0.1:9999
//!
//! From another terminal, and then type:
//!
//!     nc -u 127.0.0.1 9999
//!
//! Ctrl-C stops it.

use std::error::Error;
use std::io::Write;

use serve_forever::socketserver::{HandlerResult, RequestHandler, Rfile, UdpServer};

/// A handler with a file to read and a file to write, as in the TCP example; Python's
/// `DatagramRequestHandler`.
struct MyUdpHandler;

impl RequestHandler for MyUdpHandler {
    fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
        // Reading never waits. It ends at the end of the datagram.
        std::io::copy(rfile, wfile)?;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let mut server = UdpServer::bind(address, |_client_address: &_| MyUdpHandler)?;
    server.shutdown_on_signals()?;
    println!("Serving on {}", server.server_address());
    Ok(server.serve_forever()?)
}
