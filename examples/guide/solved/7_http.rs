//! The exercises of step 7 of the guide, solved. `tests/exercises.rs` tests this program.
//!
//!     diff -u examples/guide/7_http.rs examples/guide/solved/7_http.rs

use std::convert::Infallible;
use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serve_forever::http::h1::{
    self, ChunkLimits, ChunkedDecoder, Expect, FieldStorage, Framing, HeadLimits, Scanner,
};
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
    /// The head has been read. The body follows.
    request: Option<Request>,
}

/// A request whose head has been read.
struct Request {
    /// The beginning of the response: method and target.
    text: String,
    /// Whether it is a HEAD request, whose response has no body.
    head_only: bool,
    keep_alive: bool,
    body: Body,
    /// How many bytes of the body have been read.
    length: u64,
}

/// What is left of a body.
enum Body {
    Length(u64),
    Chunks(ChunkedDecoder),
}

impl Http {
    /// Takes a head from the input, if it is there as a whole.
    fn head(
        &mut self,
        input: &mut Buffer,
        output: &mut Buffer,
    ) -> Result<Option<Request>, h1::Error> {
        let (limits, mut storage) = (HeadLimits::default(), FieldStorage::new());
        let Some((range, head)) = self.scanner.head(input, &mut storage, &limits)? else {
            return Ok(None);
        };
        let body = match head.framing {
            Framing::Empty => Body::Length(0),
            Framing::Length(length @ 0..=LONGEST) => Body::Length(length),
            Framing::Length(_) => return Err(h1::Error::BodyTooLarge),
            Framing::Chunked => Body::Chunks(ChunkedDecoder::default()),
        };
        // Not if the client has not waited.
        if head.expect == Expect::Continue && input.len() == range.end {
            output.extend_from_slice(h1::CONTINUE);
        }
        let request = Request {
            text: format!("{} {}", head.method, head.target),
            head_only: head.method == "HEAD",
            keep_alive: head.keep_alive,
            body,
            length: 0,
        };
        input.consume(range.end);
        Ok(Some(request))
    }

    /// Takes a request from the input, if it is there as a whole.
    fn request(
        &mut self,
        input: &mut Buffer,
        output: &mut Buffer,
    ) -> Result<Option<Request>, h1::Error> {
        let request = match self.request.take() {
            Some(request) => Some(request),
            None => self.head(input, output)?,
        };
        let Some(mut request) = request else {
            return Ok(None);
        };
        let complete = match &mut request.body {
            Body::Length(left) => {
                let arrived = input.len().min(*left as usize);
                input.consume(arrived);
                *left -= arrived as u64;
                request.length += arrived as u64;
                *left == 0
            }
            Body::Chunks(decoder) => {
                let mut limits = ChunkLimits::default();
                limits.content = LONGEST;
                let progress = decoder.decode(input, &limits)?;
                input.consume(progress.consumed);
                request.length += progress.content as u64;
                progress.complete
            }
        };
        if !complete {
            self.request = Some(request);
            return Ok(None);
        }
        self.began = None;
        Ok(Some(request))
    }
}

/// Writes a response: status line, fields, empty line, body.
fn respond(
    output: &mut Buffer,
    status: &str,
    text: &str,
    head_only: bool,
    keep_alive: bool,
) -> Next {
    let length = text.len();
    let connection = if keep_alive { "keep-alive" } else { "close" };
    // Ignore the result: writing to a buffer cannot fail.
    _ = write!(output, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n");
    _ = write!(output, "Connection: {connection}\r\n\r\n");
    if !head_only {
        output.extend_from_slice(text.as_bytes());
    }
    if keep_alive { Next::Read } else { Next::Linger }
}

impl Protocol for Http {
    type Message = Infallible; // other threads have nothing to tell it

    /// Bytes have arrived. What stays in `input` comes again, with more.
    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next {
        loop {
            let next = match self.request(input, output) {
                Ok(None) => break,
                Ok(Some(request)) => {
                    let text = format!("{}, {} bytes\n", request.text, request.length);
                    respond(
                        output,
                        "200 OK",
                        &text,
                        request.head_only,
                        request.keep_alive,
                    )
                }
                Err(error) => {
                    let status = format!("{} Refused", error.status());
                    respond(output, &status, &format!("{error}\n"), false, false)
                }
            };
            if let Next::Linger = next {
                return next;
            }
        }
        if self.request.is_some() || !input.is_empty() {
            self.began.get_or_insert(now.instant());
        }
        Next::Read
    }

    fn deadline(&self) -> Option<Instant> {
        self.began.map(|began| began + PATIENCE)
    }

    fn timed_out(&mut self, output: &mut Buffer, _now: &Now) -> Next {
        respond(output, "408 Request Timeout", "Too slow\n", false, false)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let make_protocol = |_client_address: &SocketAddr| Http::default();
    let tcp = Tcp::new(address)?.allow_reuse_address(true);
    let mut server = Server::new(tcp.bind_and_activate()?, Evented::new(make_protocol))?;
    server.shutdown_on_signals()?;
    println!("Serving on {}", server.server_address());
    Ok(server.serve_forever()?)
}
