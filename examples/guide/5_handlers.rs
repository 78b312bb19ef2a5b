//! Step 5 of the guide: handlers, one at a time and on threads. The page `guide::step_5_handlers`
//! explains it.
//!
//!     cargo run --example guide_5_handlers
//!     cargo run --example guide_5_handlers 127.0.0.1:8000 threads

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;

use serve_forever::socketserver::{
    Dispatch, HandlerResult, Inline, RequestHandler, Rfile, Server, Tcp, Threading,
};

struct Echo;

impl RequestHandler for Echo {
    /// Talks with one client, from its first byte to its last.
    fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
        let mut line = Vec::new();
        while rfile.read_until(b'\n', &mut line)? > 0 {
            wfile.write_all(&line)?;
            line.clear();
        }
        Ok(())
    }
}

fn serve(address: String, dispatch: impl Dispatch<Tcp>) -> Result<(), Box<dyn Error>> {
    let tcp = Tcp::new(address)?.allow_reuse_address(true);
    let mut server = Server::new(tcp.bind_and_activate()?, dispatch)?;
    server.shutdown_on_signals()?;
    println!("Serving on {}", server.server_address());
    Ok(server.serve_forever()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:8000".into());
    let make_handler = |_client_address: &SocketAddr| Echo;
    match arguments.next().as_deref() {
        Some("threads") => serve(address, Threading::new(make_handler).threads(2)),
        _ => serve(address, Inline::new(make_handler)),
    }
}
