//! Answers that come later, from any thread.

use std::any::Any;
use std::fmt;

use crate::socketserver::{Mailbox, SendError};

/// What other threads send to an HTTP connection.
#[non_exhaustive]
pub enum Message {
    /// The answer to a deferred request.
    Answer(Box<Late>),
    /// Something for the protocol that the connection was upgraded to.
    Custom(Box<dyn Any + Send>),
}

/// An answer on its way home, and which request it is for.
#[derive(Debug)]
pub struct Late {
    pub(super) serial: u32,
    pub(super) answer: Option<Answer>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Message::Answer(_) => "Answer",
            Message::Custom(_) => "Custom",
        })
    }
}

/// A whole answer that owns its parts, so that it can be made anywhere.
///
/// ```
/// use serve_forever::http::Answer;
///
/// let answer = Answer::new(200).header("Content-Type", "text/plain").body("done");
/// # let _ = answer;
/// ```
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) code: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// An answer without fields and content.
    pub fn new(code: u16) -> Answer {
        Answer {
            code,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Answer {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the content.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Answer {
        self.body = body.into();
        self
    }
}

/// The right, and the duty, to answer one request from anywhere.
#[derive(Debug)]
pub struct Deferred {
    mailbox: Option<Mailbox<Message>>,
    serial: u32,
}

impl Deferred {
    pub(super) fn new(mailbox: Mailbox<Message>, serial: u32) -> Deferred {
        Deferred {
            mailbox: Some(mailbox),
            serial,
        }
    }

    /// For a connection that nobody can reach: what is sent is gone.
    pub(super) fn unreachable() -> Deferred {
        Deferred {
            mailbox: None,
            serial: 0,
        }
    }

    /// Sends the answer and wakes the loop.
    ///
    /// # Errors
    ///
    /// Gives the answer back if the client is gone.
    pub fn send(mut self, answer: Answer) -> Result<(), SendError<Answer>> {
        self.post(Some(answer)).map_err(|unsent| {
            let (gone, message) = match unsent {
                SendError::Gone(message) => (true, message),
                SendError::Full(message) => (false, message),
            };
            let answer = match message {
                Message::Answer(late) => late.answer.unwrap_or_else(|| Answer::new(500)),
                Message::Custom(_) => Answer::new(500),
            };
            if gone {
                SendError::Gone(answer)
            } else {
                SendError::Full(answer)
            }
        })
    }

    fn post(&mut self, answer: Option<Answer>) -> Result<(), SendError<Message>> {
        let serial = self.serial;
        let message = Message::Answer(Box::new(Late { serial, answer }));
        match self.mailbox.take() {
            Some(mailbox) => mailbox.send(message),
            None => Err(SendError::Gone(message)),
        }
    }
}

impl Drop for Deferred {
    /// A request that everybody forgot is answered all the same: 500.
    fn drop(&mut self) {
        if self.mailbox.is_some() {
            // Err: the client is gone, and so is the duty.
            let _ = self.post(None);
        }
    }
}
