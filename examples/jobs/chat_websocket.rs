//! A chat room in the browser: everybody receives what one of them says.
//!
//!     cargo run --release --features websocket --example chat_websocket -- 127.0.0.1:8000
//!
//! Open http://127.0.0.1:8000/ in several browsers.
//!
//! Why this is safe: it listens on loopback, refuses requests for other hosts (`AllowedHosts`), and
//! accepts a WebSocket only from its own page. What somebody says is shown as text. A message has at most 1000 bytes, and a guest who does not read
//! has to leave.
//!
//! Ctrl-C says good-bye to everybody. The example `chat` is the same with a protocol of its own.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serve_forever::http::AllowedHosts;
use serve_forever::http::websocket::{
    WebSocket, WebSocketClose, WebSocketHandler, WebSocketMessage, WebSocketSender,
    WebSocketSettings,
};
use serve_forever::socketserver::{HandlerResult, SendError};
use serve_forever::{HttpServer, Request, Response};

const PAGE: &str = r#"<!DOCTYPE html>
<meta charset="utf-8">
<title>Chat</title>
<form><input autofocus placeholder="Say something"></form>
<ul></ul>
<script>
const socket = new WebSocket(location.href.replace("http", "ws") + "chat");
const show = text => {
    const line = document.createElement("li");
    line.textContent = text;
    document.querySelector("ul").prepend(line);
};
socket.onmessage = event => show(event.data);
socket.onclose = event => show("The connection has ended: " + (event.reason || event.code));
document.querySelector("form").onsubmit = submit => {
    submit.preventDefault();
    socket.send(document.querySelector("input").value);
    document.querySelector("input").value = "";
};
</script>
"#;

/// Everybody in the room. The lock is held only for a moment, because sending never waits.
#[derive(Clone, Default)]
struct Room(Arc<Mutex<BTreeMap<u64, WebSocketSender>>>);

impl Room {
    fn guests(&self) -> MutexGuard<'_, BTreeMap<u64, WebSocketSender>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, line: &str) {
        for guest in self.guests().values() {
            if let Err(SendError::Full(())) = guest.text(line) {
                // Ignore the error: the guest has left.
                let _ = guest.close(WebSocketClose::TRY_AGAIN_LATER, "you do not read");
            }
        }
    }
}

/// Somebody in the room.
struct Guest {
    room: Room,
    number: u64,
}

impl WebSocketHandler for Guest {
    fn open(&mut self, socket: &mut WebSocket<'_>) -> HandlerResult {
        let last = self.room.guests().keys().next_back().copied();
        self.number = last.unwrap_or(0) + 1;
        self.room.guests().insert(self.number, socket.sender());
        self.room.tell(&format!("Number {} is here.", self.number));
        Ok(())
    }

    fn message(&mut self, _: &mut WebSocket<'_>, message: WebSocketMessage<'_>) -> HandlerResult {
        if let WebSocketMessage::Text(text) = message {
            self.room.tell(&format!("{}: {text}", self.number));
        }
        Ok(())
    }

    fn closed(&mut self, _: &WebSocketClose) {
        self.room.guests().remove(&self.number);
        self.room.tell(&format!("Number {} has left.", self.number));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let room = Room::default();
    let mut settings = WebSocketSettings::default();
    settings.message = 1000;
    let chat = move |request: &Request<'_>, response: Response<'_>| match request.path() {
        "/" => response
            .send_response(200)
            .send_header("Content-Type", "text/html;charset=utf-8")
            .body(PAGE),
        "/chat" => {
            let (room, number) = (room.clone(), 0);
            settings.accept(request, response, Guest { room, number })
        }
        _ => response.send_error(404),
    };
    let mut server = HttpServer::bind(address, AllowedHosts::loopback(chat))?;
    server.drain_on_signals(Duration::from_secs(1))?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}
