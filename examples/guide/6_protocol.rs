//! Step 6 of the guide: a conversation as a state machine. The page `guide::step_6_protocol`
//! explains it.
//!
//!     cargo run --example guide_6_protocol

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Evented, Next, Protocol, Server, Tcp};

/// How long a client may take for a line that it has begun.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Echo {
    /// When the present line began. `None` between two lines.
    began: Option<Instant>,
}

impl Protocol for Echo {
    type Message = Infallible; // other threads have nothing to tell it

    /// Bytes have arrived. What stays in `input` comes again, with more.
    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next {
        if let Some(end) = input.iter().rposition(|&byte| byte == b'\n') {
            output.extend_from_slice(&input[..=end]);
            input.consume(end + 1);
            self.began = None;
        }
        if !input.is_empty() {
            self.began.get_or_insert(now.instant());
        }
        Next::Read
    }

    fn deadline(&self) -> Option<Instant> {
        self.began.map(|began| began + PATIENCE)
    }

    fn timed_out(&mut self, output: &mut Buffer, _now: &Now) -> Next {
        output.extend_from_slice(b"Too slow\n");
        Next::Linger
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let make_protocol = |_client_address: &SocketAddr| Echo::default();
    let tcp = Tcp::new(address)?.allow_reuse_address(true);
    let mut server = Server::new(tcp.bind_and_activate()?, Evented::new(make_protocol))?;
    server.shutdown_on_signals()?;
    println!("Serving on {}", server.server_address());
    Ok(server.serve_forever()?)
}
