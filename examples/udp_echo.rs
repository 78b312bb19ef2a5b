//! A datagram echo: each datagram is a request, and what the handler wrote is one datagram back.
//!
//!     cargo run --release --example udp_echo -- 127.0.0.1:9999
//!     nc -u 127.0.0.1 9999

use std::error::Error;
use std::io::Write;

use serve_forever::socketserver::{HandlerResult, POLL_INTERVAL, RequestHandler, Rfile, UdpServer};

/// "This class works similar to the TCP handler class, except that self.request consists of a pair
/// of data and client socket, and since there is no connection the client address must be given
/// explicitly when sending data back": here, as with Python's `DatagramRequestHandler`, it is a
/// file to read and a file to write all the same.
struct MyUdpHandler;

impl RequestHandler for MyUdpHandler {
    fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
        // Reading never waits, and ends with the datagram.
        std::io::copy(rfile, wfile)?;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let mut server = UdpServer::bind(address, |_client_address: &_| MyUdpHandler)?;
    server.shutdown_on_signals()?;
    println!("Serving on {}", server.server_address());
    Ok(server.serve_forever(POLL_INTERVAL)?)
}
