//! The exercises of step 5 of the guide, solved. `tests/exercises.rs` tests this program.
//!
//!     diff -u examples/guide/5_handlers.rs examples/guide/solved/5_handlers.rs

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serve_forever::socketserver::{
    Dispatch, HandlerResult, Inline, RequestHandler, Rfile, Server, Tcp, Threading,
};

/// How long a client may be silent.
const SILENCE: Duration = Duration::from_secs(1);

/// How long a line may take.
const PATIENCE: Duration = Duration::from_secs(2);

struct Echo;

impl RequestHandler for Echo {
    /// Talks with one client, from its first byte to its last.
    fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
        let mut line = Vec::new();
        while read_line(rfile, &mut line)? {
            wfile.write_all(&line)?;
            line.clear();
        }
        Ok(())
    }
}

/// Reads a line. Returns `false` if the client is done, or too slow.
fn read_line(rfile: &mut dyn Rfile, line: &mut Vec<u8>) -> io::Result<bool> {
    let end = Instant::now() + PATIENCE;
    while !line.ends_with(b"\n") {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        rfile.set_timeout(Some(left.min(SILENCE)))?;
        let arrived = match rfile.fill_buf() {
            Ok([]) => return Ok(false),
            Ok(arrived) => arrived,
            Err(error) if is_timeout(&error) => return Ok(false),
            Err(error) => return Err(error),
        };
        let found = arrived.iter().position(|&byte| byte == b'\n');
        let count = found.map_or(arrived.len(), |end| end + 1);
        line.extend_from_slice(&arrived[..count]);
        rfile.consume(count);
    }
    Ok(true)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
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
