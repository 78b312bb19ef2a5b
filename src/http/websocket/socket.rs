//! The socket, as its handler sees it.

use super::close::WebSocketClose;
use super::frame::Opcode;
use super::link::Link;
use super::message::WebSocketMessage;
use super::sender::WebSocketSender;
use crate::socketserver::Buffer;

/// The client's socket, lent to a [`WebSocketHandler`](super::WebSocketHandler) for one call.
///
/// What you send is written into the output of the connection, in order. It leaves when the handler
/// returns. After a Close frame nothing more is sent, and these methods do nothing.
#[derive(Debug)]
pub struct WebSocket<'a> {
    /// The server's end of the conversation.
    pub(super) link: &'a mut Link,
    /// Where the frames are written.
    pub(super) output: &'a mut Buffer,
}

impl WebSocket<'_> {
    /// Sends a message.
    pub fn send(&mut self, message: WebSocketMessage<'_>) {
        match message {
            WebSocketMessage::Text(text) => self.text(text),
            WebSocketMessage::Binary(bytes) => self.binary(bytes),
        }
    }

    /// Sends a text.
    pub fn text(&mut self, text: &str) {
        self.link.send(Opcode::Text, text.as_bytes(), self.output);
    }

    /// Sends bytes.
    pub fn binary(&mut self, bytes: &[u8]) {
        self.link.send(Opcode::Binary, bytes, self.output);
    }

    /// Sends a ping, which every client answers by itself. You need it only to hear sooner than by
    /// the [heartbeat](super::WebSocketSettings::heartbeat) whether the client is there.
    pub fn ping(&mut self) {
        self.link.send(Opcode::Ping, b"", self.output);
    }

    /// Sends a Close frame, and closes the connection when the client has answered it.
    ///
    /// `code` is [`WebSocketClose::NORMAL`] or another code, 3000 to 4999 for programs. A code that
    /// no endpoint may send is left out together with the reason (RFC 6455 section 7.4). Of `reason`,
    /// 123 bytes are sent.
    pub fn close(&mut self, code: u16, reason: &str) {
        let close = WebSocketClose::new(code, reason);
        self.link.close(close, self.output);
    }

    /// Returns a sender for other threads, and for the handlers of other clients.
    pub fn sender(&self) -> WebSocketSender {
        WebSocketSender::new(self.link)
    }

    /// Returns the subprotocol that both sides speak ([`protocols`]); `None` if there is none.
    ///
    /// [`protocols`]: super::WebSocketSettings::protocols
    pub fn protocol(&self) -> Option<&str> {
        self.link.protocol.as_deref()
    }
}
