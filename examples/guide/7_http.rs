//! Step 7 of the guide: HTTP by hand. The page `guide::step_7_http` explains it.
//!
//!     cargo run --example guide_7_http
//!     cargo run --example guide_7_http 127.0.0.1:8000 naive

use std::convert::Infallible;
use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serve_forever::http::h1::{self, FieldStorage, Framing, HeadLimits, Scanner};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Evented, Next, Protocol, Server, Tcp};

/// How long a client may take for a request that it has begun.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest body, in bytes.
const LONGEST: u64 = 65_536;

#[derive(Default)]
struct Http {
    /// Looks for the end of the head, and remembers how far it has looked.
    scanner: Scanner,
    /// When the present request began. `None` between two requests.
    began: Option<Instant>,
    /// Forget that a request can have a body.
    naive: bool,
}

impl Http {
    /// Takes a request from the input, if it is there as a whole. Returns the body of the response,
    /// and whether another request may follow.
    fn request(&mut self, input: &mut Buffer) -> Result<Option<(String, bool)>, h1::Error> {
        let (limits, mut storage) = (HeadLimits::default(), FieldStorage::new());
        let Some((range, head)) = self.scanner.head(input, &mut storage, &limits)? else {
            return Ok(None);
        };
        let length = match head.framing {
            _ if self.naive => 0,
            Framing::Empty => 0,
            Framing::Length(length @ 0..=LONGEST) => length as usize,
            Framing::Length(_) => return Err(h1::Error::BodyTooLarge),
            Framing::Chunked => return Err(h1::Error::UnknownCoding),
        };
        let end = range.end + length;
        if input.len() < end {
            return Ok(None);
        }
        let text = format!("{} {}, {length} bytes\n", head.method, head.target);
        let keep_alive = head.keep_alive;
        input.consume(end);
        self.began = None;
        Ok(Some((text, keep_alive)))
    }
}

/// Writes a response: status line, fields, empty line, body.
fn respond(output: &mut Buffer, status: &str, text: &str, keep_alive: bool) -> Next {
    let (length, connection) = (text.len(), if keep_alive { "keep-alive" } else { "close" });
    // Ignore the result: writing to a buffer cannot fail.
    _ = write!(output, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n");
    _ = write!(output, "Connection: {connection}\r\n\r\n{text}");
    if keep_alive { Next::Read } else { Next::Linger }
}

impl Protocol for Http {
    type Message = Infallible; // other threads have nothing to tell it

    /// Bytes have arrived. What stays in `input` comes again, with more.
    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next {
        loop {
            let next = match self.request(input) {
                Ok(None) => break,
                Ok(Some((text, keep_alive))) => respond(output, "200 OK", &text, keep_alive),
                Err(error) => {
                    let status = format!("{} Refused", error.status());
                    respond(output, &status, &format!("{error}\n"), false)
                }
            };
            if let Next::Linger = next {
                return next;
            }
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
        respond(output, "408 Request Timeout", "Too slow\n", false)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:8000".into());
    let naive = arguments.next().is_some_and(|argument| argument == "naive");
    let make_protocol = move |_client_address: &SocketAddr| Http {
        naive,
        ..Http::default()
    };
    let tcp = Tcp::new(address)?.allow_reuse_address(true);
    let mut server = Server::new(tcp.bind_and_activate()?, Evented::new(make_protocol))?;
    server.shutdown_on_signals()?;
    println!("Serving on {}", server.server_address());
    Ok(server.serve_forever()?)
}
