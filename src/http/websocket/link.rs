//! What a conversation, its handler and its senders share.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::close::WebSocketClose;
use super::frame::{Opcode, SentHead};
use crate::http::message::Message;
use crate::http::window::Window;
use crate::socketserver::{Buffer, Mailbox};

/// How far a conversation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Messages go in both directions.
    Open,
    /// This side has sent its Close frame, and waits for the client's.
    Closing,
    /// Nothing more is sent.
    Closed,
}

/// The server's end of a conversation.
#[derive(Debug)]
pub(super) struct Link {
    /// How far it has come.
    pub(super) phase: Phase,
    /// The subprotocol.
    pub(super) protocol: Option<Box<str>>,
    /// Reaches the connection, once there is one.
    pub(super) mailbox: Option<Mailbox<Message>>,
    /// What the senders need to know.
    pub(super) shared: Arc<Shared>,
    /// Why this side has sent a Close frame, until the handler knows it.
    pub(super) close: Option<WebSocketClose>,
}

/// What the senders on other threads need to know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// How much is on its way to the loop.
    pub(super) window: Window,
    /// Nothing more is sent.
    pub(super) is_closed: AtomicBool,
}

/// A frame on its way from another thread.
pub(super) struct Outgoing {
    /// The frame.
    pub(super) bytes: Buffer,
    /// Why the conversation ends, if it is a Close frame.
    pub(super) close: Option<WebSocketClose>,
}

impl Outgoing {
    /// Returns the frame that a mailbox has brought; `None` if it is something else.
    pub(super) fn of(message: Box<dyn Any + Send>) -> Option<Outgoing> {
        message.downcast().ok().map(|outgoing| *outgoing)
    }
}

impl Link {
    pub(super) fn new(protocol: Option<&str>) -> Link {
        Link {
            phase: Phase::Open,
            protocol: protocol.map(Box::from),
            mailbox: None,
            shared: Arc::default(),
            close: None,
        }
    }

    /// Writes a frame, unless the conversation is being closed.
    pub(super) fn send(&mut self, opcode: Opcode, content: &[u8], output: &mut Buffer) {
        if self.phase == Phase::Open {
            write(opcode, content, output);
        }
    }

    /// Writes a Close frame, unless there was one.
    pub(super) fn close(&mut self, close: WebSocketClose, output: &mut Buffer) {
        if self.phase == Phase::Open {
            write(Opcode::Close, &close.content(), output);
            self.begin_to_close(close);
        }
    }

    /// Writes a frame of another thread, unless the conversation is being closed.
    pub(super) fn forward(&mut self, outgoing: Outgoing, output: &mut Buffer) {
        let Outgoing { bytes, close } = outgoing;
        self.shared.window.fall(bytes.len());
        if self.phase == Phase::Open {
            output.append_buffer(bytes);
            if let Some(close) = close {
                self.begin_to_close(close);
            }
        }
    }

    /// Ends the conversation: nothing more is sent, and nothing more is heard.
    pub(super) fn end(&mut self) {
        self.phase = Phase::Closed;
        self.shared.is_closed.store(true, Ordering::Release);
    }

    fn begin_to_close(&mut self, close: WebSocketClose) {
        self.phase = Phase::Closing;
        self.close = Some(close);
        self.shared.is_closed.store(true, Ordering::Release);
    }
}

/// Writes a frame.
pub(super) fn write(opcode: Opcode, content: &[u8], output: &mut Buffer) {
    let head = SentHead::new(opcode, content.len());
    output.extend_from_slices(&[head.as_bytes(), content]);
}
