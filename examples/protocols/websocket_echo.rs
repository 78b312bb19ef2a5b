//! A WebSocket that sends every message back, for test suites such as Autobahn's.
//!
//!     cargo run --release --features websocket --example websocket_echo -- 127.0.0.1:8000
//!
//! Ctrl-C says good-bye to the clients. In the console of a browser, on a page of this server:
//!
//! ```js
//! socket = new WebSocket("ws://127.0.0.1:8000/")
//! socket.onmessage = event => console.log(event.data)
//! socket.send("hello")
//! ```

use std::error::Error;
use std::time::Duration;

use serve_forever::http::websocket::{WebSocket, WebSocketMessage, WebSocketSettings};
use serve_forever::{HttpResult, HttpServer, Request, Response};

/// Autobahn's longest message.
const LONGEST: usize = 16 * 1024 * 1024;

fn echo(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let mut settings = WebSocketSettings::default();
    settings.message = LONGEST;
    let echo = |socket: &mut WebSocket<'_>, message: WebSocketMessage<'_>| {
        socket.send(message);
        Ok(())
    };
    settings.accept(request, response, echo)
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let mut server = HttpServer::bind(address, echo)?;
    server.drain_on_signals(Duration::from_secs(1))?;
    println!("Echoing on ws://{}/", server.server_address());
    Ok(server.serve_forever()?)
}
