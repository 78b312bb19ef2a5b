//! Messages from other threads.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::close::WebSocketClose;
use super::frame::Opcode;
use super::link::{Link, Outgoing, Shared, write};
use super::message::WebSocketMessage;
use crate::http::message::Message;
use crate::socketserver::{Buffer, Mailbox, SendError};

/// Sends to one client, from any thread ([WS-7]). [`WebSocket::sender`](super::WebSocket::sender)
/// returns it.
///
/// Clones send to the same client. The messages of one thread arrive in order. Nothing waits here:
/// between your thread and a slow client is a queue of 64 KiB, and when it is full, a message is
/// refused.
///
/// ```
/// use serve_forever::http::websocket::WebSocketSender;
///
/// /// Sends to all clients, and forgets those that have left or do not read.
/// fn broadcast(clients: &mut Vec<WebSocketSender>, text: &str) {
///     clients.retain(|client| match client.text(text) {
///         Ok(()) => true,
///         Err(_) => {
///             let _ = client.close(1013, "you are too slow");
///             false
///         }
///     });
/// }
/// # let _ = broadcast;
/// ```
///
/// [WS-7]: crate::spec#ws-7
#[derive(Debug, Clone)]
pub struct WebSocketSender {
    /// Reaches the connection. `None` in a test without one.
    mailbox: Option<Mailbox<Message>>,
    /// How much is on its way, and whether there is anybody to send to.
    shared: Arc<Shared>,
}

impl WebSocketSender {
    pub(super) fn new(link: &Link) -> WebSocketSender {
        WebSocketSender {
            mailbox: link.mailbox.clone(),
            shared: Arc::clone(&link.shared),
        }
    }

    /// Sends a message and wakes the loop. It never waits.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Gone`] if the conversation has ended or is being closed, and
    /// [`SendError::Full`] if 64 KiB are on their way to the client already.
    pub fn send(&self, message: WebSocketMessage<'_>) -> Result<(), SendError<()>> {
        match message {
            WebSocketMessage::Text(text) => self.text(text),
            WebSocketMessage::Binary(bytes) => self.binary(bytes),
        }
    }

    /// Sends a text; see [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// The same as for [`send`](Self::send).
    pub fn text(&self, text: impl AsRef<str>) -> Result<(), SendError<()>> {
        self.frame(Opcode::Text, text.as_ref().as_bytes())
    }

    /// Sends bytes; see [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// The same as for [`send`](Self::send).
    pub fn binary(&self, bytes: impl AsRef<[u8]>) -> Result<(), SendError<()>> {
        self.frame(Opcode::Binary, bytes.as_ref())
    }

    /// Sends a ping; see [`WebSocket::ping`](super::WebSocket::ping).
    ///
    /// # Errors
    ///
    /// The same as for [`send`](Self::send).
    pub fn ping(&self) -> Result<(), SendError<()>> {
        self.frame(Opcode::Ping, b"")
    }

    /// Closes the conversation, after the messages that were sent before; see
    /// [`WebSocket::close`](super::WebSocket::close).
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Gone`] if the conversation has ended or is being closed.
    pub fn close(&self, code: u16, reason: &str) -> Result<(), SendError<()>> {
        if self.is_gone() {
            return Err(SendError::Gone(()));
        }
        let close = WebSocketClose::new(code, reason);
        let content = close.content();
        self.tell(Opcode::Close, &content, Some(close))?;
        self.shared.is_closed.store(true, Ordering::Release);
        Ok(())
    }

    /// Returns whether the conversation has ended or is being closed, so that nothing more is sent.
    pub fn is_gone(&self) -> bool {
        let is_closed = self.shared.is_closed.load(Ordering::Acquire);
        is_closed || self.mailbox.as_ref().is_none_or(Mailbox::is_gone)
    }

    fn frame(&self, opcode: Opcode, content: &[u8]) -> Result<(), SendError<()>> {
        if self.is_gone() {
            return Err(SendError::Gone(()));
        }
        if self.shared.window.is_high() {
            return Err(SendError::Full(()));
        }
        self.tell(opcode, content, None)
    }

    /// Sends a frame to the loop, whether or not there is room.
    fn tell(
        &self,
        opcode: Opcode,
        content: &[u8],
        close: Option<WebSocketClose>,
    ) -> Result<(), SendError<()>> {
        let mut bytes = Buffer::new();
        write(opcode, content, &mut bytes);
        self.shared.window.rise(bytes.len());
        let message = Message::Custom(Box::new(Outgoing { bytes, close }));
        let mailbox = self.mailbox.as_ref().ok_or(SendError::Gone(()))?;
        mailbox.notify(message).map_err(|_| SendError::Gone(()))
    }
}
