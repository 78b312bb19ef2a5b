//! WebSocket on the loop: HTTP up to the handshake, then a protocol of one's own on the same
//! connection, with the frames in the hands of the `tungstenite` crate.
//!
//!     cargo run --release --example websocket_echo -- 127.0.0.1:8000
//!
//! In a browser's console:
//!
//! ```js
//! socket = new WebSocket("ws://127.0.0.1:8000/")
//! socket.onmessage = event => console.log(event.data)
//! socket.send("hello")
//! ```

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::time::{Duration, Instant};

use serve_forever::http::{self, HttpResult, HttpServer, Request, Response};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Mailbox, Next, POLL_INTERVAL, Protocol};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

/// The longest message that is echoed; a longer one ends the conversation with 1009.
pub const LONGEST_MESSAGE: usize = 64 * 1024;

/// How long a client may send nothing; then the conversation ends with 1001.
pub const IDLE: Duration = Duration::from_secs(60);

/// Answers a handshake (RFC 6455 section 4.2), and what is none with an error.
///
/// A page of any origin may open a WebSocket to any server. One that acts for its users, known by
/// their cookies, has to look at `Origin` here, too (section 10.2).
pub fn echo(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let mut protocols = request.upgrade().into_iter().flatten();
    let asked = protocols.any(|protocol| protocol.eq_ignore_ascii_case("websocket"));
    let of_this_version = request.header("Sec-WebSocket-Version") == Some(b"13");
    if request.method() != "GET" {
        return response
            .send_response(405)
            .send_header("Allow", "GET")
            .body("A WebSocket is opened with GET.\n");
    }
    if !asked || !of_this_version {
        return response
            .send_response(426)
            .send_header("Connection", "upgrade")
            .send_header("Upgrade", "websocket")
            .send_header("Sec-WebSocket-Version", "13")
            .body("Here is a WebSocket, version 13, and nothing else.\n");
    }
    let mut keys = request.headers().get_all("Sec-WebSocket-Key");
    match (keys.next(), keys.next()) {
        (Some(key), None) if is_key(key) => response
            .send_response(101)
            .send_header("Connection", "upgrade")
            .send_header("Upgrade", "websocket")
            .send_header("Sec-WebSocket-Accept", derive_accept_key(key))
            .upgrade(Echo::new()),
        _ => response.send_error(400),
    }
}

/// Whether this is the base64 of sixteen bytes.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    match key {
        [digits @ .., b'=', b'='] => digits.len() == 22 && digits.iter().all(is_digit),
        _ => false,
    }
}

/// Sends every message back.
struct Echo {
    socket: WebSocket<Wire>,
    /// When the client last sent anything.
    heard: Option<Instant>,
}

/// What `tungstenite` takes for the socket: what arrived, and what is to be sent.
#[derive(Default)]
struct Wire {
    input: Buffer,
    output: Buffer,
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = (&*self.input).read(bytes)?;
        self.input.consume(count);
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Echo {
    fn new() -> Echo {
        // Small buffers: there may be many of these, and most of them wait.
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_message_size(Some(LONGEST_MESSAGE))
            .max_frame_size(Some(LONGEST_MESSAGE));
        Echo {
            socket: WebSocket::from_raw_socket(Wire::default(), Role::Server, Some(config)),
            heard: None,
        }
    }

    /// Lends the two buffers to the wire while `converse` uses it; they are swapped, not copied.
    fn lend(
        &mut self,
        input: &mut Buffer,
        output: &mut Buffer,
        converse: impl FnOnce(&mut WebSocket<Wire>) -> Next<http::Message>,
    ) -> Next<http::Message> {
        let swap = |wire: &mut Wire, input: &mut Buffer, output: &mut Buffer| {
            mem::swap(&mut wire.input, input);
            mem::swap(&mut wire.output, output);
        };
        swap(self.socket.get_mut(), input, output);
        let next = converse(&mut self.socket);
        swap(self.socket.get_mut(), input, output);
        next
    }

    /// The server is the one that goes.
    fn leave(&mut self, output: &mut Buffer) -> Next<http::Message> {
        self.lend(&mut Buffer::new(), output, |socket| {
            close(socket, CloseCode::Away)
        })
    }
}

/// Answers what has arrived: messages here, pings and the closing handshake in `tungstenite`.
fn answer(socket: &mut WebSocket<Wire>) -> Next<http::Message> {
    loop {
        let read = socket.read();
        let answered = match read {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message),
            Ok(_) => Ok(()), // reading on sends the answer
            Err(error) => Err(error),
        };
        match answered {
            Ok(()) => {}
            Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                return Next::Read;
            }
            Err(tungstenite::Error::ConnectionClosed) => return Next::Linger,
            Err(tungstenite::Error::Capacity(_)) => return close(socket, CloseCode::Size),
            Err(tungstenite::Error::Utf8(_)) => return close(socket, CloseCode::Invalid),
            Err(_) => return close(socket, CloseCode::Protocol),
        }
    }
}

/// Says why, and closes without waiting for more than the client's own close.
fn close(socket: &mut WebSocket<Wire>, code: CloseCode) -> Next<http::Message> {
    let reason = "".into();
    // It fails if both sides have closed already.
    let _ = socket.close(Some(CloseFrame { code, reason }));
    Next::Linger
}

impl Protocol for Echo {
    type Message = http::Message;

    fn connection_made(
        &mut self,
        _mailbox: Mailbox<http::Message>,
        _output: &mut Buffer,
        now: &Now,
    ) -> Next<http::Message> {
        self.heard = Some(now.instant());
        Next::Read
    }

    fn receive(
        &mut self,
        input: &mut Buffer,
        output: &mut Buffer,
        now: &Now,
    ) -> Next<http::Message> {
        self.heard = Some(now.instant());
        self.lend(input, output, answer)
    }

    fn timed_out(&mut self, output: &mut Buffer, _now: &Now) -> Next<http::Message> {
        self.leave(output)
    }

    fn drain(&mut self, output: &mut Buffer, _now: &Now) -> Next<http::Message> {
        self.leave(output)
    }

    fn deadline(&self) -> Option<Instant> {
        self.heard.map(|heard| heard + IDLE)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let mut server = HttpServer::bind(address, echo)?;
    server.shutdown_on_signals()?;
    println!("Echoing on ws://{}/", server.server_address());
    Ok(server.serve_forever(POLL_INTERVAL)?)
}
