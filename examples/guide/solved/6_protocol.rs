//! The exercises of step 6 of the guide, solved. `tests/exercises.rs` tests this program.
//!
//!     diff -u examples/guide/6_protocol.rs examples/guide/solved/6_protocol.rs

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Evented, Next, Protocol, Server, Tcp};

/// How long a client may take for a line that it has begun.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the echo of the line `later` takes.
const LATER: Duration = Duration::from_secs(1);

/// The longest line, in bytes without its line feed.
const LONGEST: usize = 1024;

#[derive(Default)]
struct Echo {
    /// When the present line began. `None` between two lines.
    began: Option<Instant>,
    /// When the line `later` is due. Until then nothing else is read.
    later: Option<Instant>,
}

impl Protocol for Echo {
    type Message = Infallible; // other threads have nothing to tell it

    /// Bytes have arrived. What stays in `input` comes again, with more.
    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next {
        while let Some(end) = input.iter().position(|&byte| byte == b'\n') {
            if end > LONGEST {
                return too_long(output);
            }
            self.began = None;
            if &input[..=end] == b"later\n" {
                input.consume(end + 1);
                self.later = Some(now.instant() + LATER);
                return Next::Wait;
            }
            output.extend_from_slice(&input[..=end]);
            input.consume(end + 1);
        }
        if input.len() > LONGEST {
            return too_long(output);
        }
        if !input.is_empty() {
            self.began.get_or_insert(now.instant());
        }
        Next::Read
    }

    fn deadline(&self) -> Option<Instant> {
        self.later.or(self.began.map(|began| began + PATIENCE))
    }

    fn timed_out(&mut self, output: &mut Buffer, _now: &Now) -> Next {
        if self.later.take().is_some() {
            output.extend_from_slice(b"later\n");
            return Next::Read;
        }
        output.extend_from_slice(b"Too slow\n");
        Next::Linger
    }
}

fn too_long(output: &mut Buffer) -> Next {
    output.extend_from_slice(b"Too long\n");
    Next::Linger
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
