//! WebSocket on the loop: HTTP up to the handshake, and then your own protocol on the same connection.
//! The `tungstenite` crate reads and writes the frames.
//!
//!     cargo run --release --example websocket_echo -- 127.0.0.1:8000
//!
//! Ctrl-C stops it. In the console of a browser:
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
use serve_forever::socketserver::{Buffer, Mailbox, Next, Protocol};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

/// The longest message that is echoed. A longer one closes the connection with code 1009.
pub const LONGEST_MESSAGE: usize = 64 * 1024;

/// How long a client may send nothing. Then the connection is closed with code 1001.
pub const IDLE: Duration = Duration::from_secs(60);

/// Accepts a handshake (RFC 6455 section 4.2), and refuses any other request.
///
/// A web page of any origin may open a WebSocket to any server. If your server identifies its users
/// by cookies, it must also check `Origin` here (section 10.2).
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

/// Whether `key` is the base64 form of sixteen bytes.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    match key {
        [digits @ .., b'=', b'='] => digits.len() == 22 && digits.iter().all(is_digit),
        _ => false,
    }
}

/// The protocol after the handshake: sends every message back.
struct Echo {
    /// The WebSocket of `tungstenite`.
    socket: WebSocket<Wire>,
    /// When the client last sent anything.
    heard: Option<Instant>,
}

/// The socket, as `tungstenite` sees it.
#[derive(Default)]
struct Wire {
    /// Bytes that have arrived.
    input: Buffer,
    /// Bytes that are to be sent.
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
        // The buffers are small, because there may be many connections, and most of them are idle.
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

    /// Lends the two buffers to the socket while `converse` runs. They are swapped, not copied.
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

    /// Closes the connection for the server's own reasons.
    fn leave(&mut self, output: &mut Buffer) -> Next<http::Message> {
        self.lend(&mut Buffer::new(), output, |socket| {
            close(socket, CloseCode::Away)
        })
    }
}

/// Handles what has arrived. It sends messages back; `tungstenite` handles pings and the closing
/// handshake.
fn answer(socket: &mut WebSocket<Wire>) -> Next<http::Message> {
    loop {
        let read = socket.read();
        let answered = match read {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message),
            Ok(_) => Ok(()), // the next `read` sends the reply
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

/// Sends the reason, and closes. It waits only for the client's own close.
fn close(socket: &mut WebSocket<Wire>, code: CloseCode) -> Next<http::Message> {
    let reason = "".into();
    // Ignore the error: it means that both sides have closed already.
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

    fn drain(
        &mut self,
        input: &mut Buffer,
        output: &mut Buffer,
        _now: &Now,
    ) -> Next<http::Message> {
        match self.lend(input, output, answer) {
            Next::Read => self.leave(output),
            next => next, // the client has closed, or has broken the rules
        }
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
    Ok(server.serve_forever()?)
}
