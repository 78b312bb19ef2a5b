//! Messages from other threads to the loop, each about one request.
//!
//! The loop alone touches a connection. Another thread may be a worker that runs a handler, or the
//! holder of a [`Deferred`](super::Deferred). It writes its part of a response into memory and
//! sends [`News`]: the bytes, and the next step. The head in those bytes is still open: the loop
//! adds the `Connection` field and the empty line when it takes the message. Only then is it known
//! whether the connection goes on ([SHUT-14]).
//!
//! [SHUT-14]: crate::spec#shut-14

use std::any::Any;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::response_body::{Ending, Streaming};
use super::settings::HttpSettings;
use super::terms::Terms;
use super::window::Window;
use crate::socketserver::{Buffer, Failure, Halted, Mailbox, Protocol, SendError};

/// A message from another thread to an HTTP connection.
#[non_exhaustive]
pub enum Message {
    /// Something about a request whose response is not complete. Only this crate makes one.
    Late(Box<Late>),
    /// Something for the protocol that took over after an upgrade.
    Custom(Box<dyn Any + Send>),
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Message::Late(_) => "Late",
            Message::Custom(_) => "Custom",
        })
    }
}

/// News about one request; see [`Message::Late`].
#[derive(Debug)]
pub struct Late {
    /// The number of the request that it is about: the connection counts its requests.
    pub(super) serial: u32,
    /// The news.
    pub(super) news: News,
}

/// Bytes for the client, and what follows.
#[derive(Debug)]
pub(super) struct News {
    /// The bytes for the client, framing included.
    pub(super) bytes: Buffer,
    /// The head of the response, if it is in `bytes`.
    pub(super) head: Option<OpenHead>,
    /// Further notes for the log and the server.
    pub(super) notes: Option<Box<Notes>>,
    /// The next step after the bytes.
    pub(super) then: Then,
}

impl News {
    /// Creates news without bytes.
    pub(super) fn of(then: Then) -> News {
        News {
            bytes: Buffer::new(),
            head: None,
            notes: None,
            then,
        }
    }

    /// Returns the same news with `bytes` for the client before it.
    pub(super) fn with_bytes(mut self, bytes: Buffer) -> News {
        self.bytes = bytes;
        self
    }
}

/// A head without its `Connection` field and its empty line.
#[derive(Debug)]
pub(super) struct OpenHead {
    /// Where in the bytes these two belong.
    pub(super) end: usize,
    /// The status.
    pub(super) code: u16,
    /// The writer wants the connection to end with this response.
    pub(super) close: bool,
    /// The body ends with the connection, so that only a reset can say that it is not whole.
    pub(super) close_delimited: bool,
    /// The loop's end of the window between it and the thread that pushes the body.
    pub(super) pushed: Option<Pushed>,
}

/// The next step after the bytes.
#[derive(Debug)]
pub(super) enum Then {
    /// The response is still to come. The bytes are an interim response, if there are any.
    Await,
    /// More will come. `sent` bytes of the body have been written so far.
    GoOn { sent: u64 },
    /// The reader of the request's body has caught up.
    Read,
    /// The loop pulls the rest of the body.
    Pull(Box<Streaming>),
    /// A worker has pulled as much as may be unsent. `sent` bytes of the body have been written so
    /// far. The worker goes on when the loop resumes it.
    Halt { halted: Halted, sent: u64 },
    /// The response is complete.
    End(Ending),
    /// There will be no response, or not the rest of one.
    Fail(Failure),
    /// Another protocol takes over.
    Upgrade(Upgrade),
}

/// Notes that few responses have.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// A failure to report although there is a response.
    pub(super) failure: Option<Failure>,
    /// The reason phrase, if the response is an error page.
    pub(super) reason: Option<Box<str>>,
    /// How long the response may take, if it has its own limit.
    pub(super) patience: Option<Duration>,
    /// The end of the client's input ends the exchange.
    pub(super) ends_with_input: bool,
    /// How long a stream of events may be silent.
    pub(super) heartbeat: Option<Duration>,
}

/// The protocol that takes over after an upgrade.
pub(super) struct Upgrade(pub(super) Box<dyn Protocol<Message = Message> + Send>);

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgrade")
    }
}

/// The loop's end of a body that another thread pushes.
#[derive(Debug)]
pub(super) struct Pushed {
    /// How much is on its way to the loop.
    window: Arc<Window>,
    /// Tells the pushing thread that there is room; dropped when the response has ended.
    room: Sender<()>,
}

impl Pushed {
    pub(super) fn new(window: Arc<Window>, room: Sender<()>) -> Pushed {
        Pushed { window, room }
    }

    /// Notes that the loop has taken `bytes` bytes, so that there may be room for more.
    pub(super) fn taken(&self, bytes: usize) {
        if bytes > 0 && self.window.fall(bytes) {
            // Ignore the error: a notice is there already, or nobody waits for one.
            let _ = self.room.try_send(());
        }
    }
}

/// The address of one request, and the context for a response to it.
#[derive(Clone)]
pub(super) struct ReplyTo {
    /// Reaches the connection.
    mailbox: Mailbox<Message>,
    /// The number of the request on its connection.
    serial: u32,
    /// The settings of the connection.
    pub(super) settings: Arc<HttpSettings>,
    /// The terms that follow from the head of the request.
    pub(super) terms: Terms,
}

impl ReplyTo {
    pub(super) fn new(
        (mailbox, serial): (&Mailbox<Message>, u32),
        settings: &Arc<HttpSettings>,
        terms: Terms,
    ) -> ReplyTo {
        ReplyTo {
            mailbox: mailbox.clone(),
            serial,
            settings: Arc::clone(settings),
            terms,
        }
    }

    /// Returns the mailbox of the connection, and the number of the request there.
    pub(super) fn address(&self) -> (&Mailbox<Message>, u32) {
        (&self.mailbox, self.serial)
    }

    /// Sends news. The mailbox sets no limit here, so callers limit how many they send.
    ///
    /// # Errors
    ///
    /// Returns an error if the client has disconnected; the news is dropped.
    pub(super) fn tell(&self, news: News) -> Result<(), SendError<()>> {
        let told = self.mailbox.notify(self.message(news));
        told.map_err(|_| SendError::Gone(()))
    }

    /// Sends an interim response, if the client knows such responses and not too many wait.
    pub(super) fn suggest(&self, interim: Buffer) {
        if self.terms.knows_interim_responses() {
            let news = News::of(Then::Await).with_bytes(interim);
            // Ignore the error: an interim response is a hint, and nobody waits for it.
            let _ = self.mailbox.send(self.message(news));
        }
    }

    /// Tells the loop that the reader of the request's body has caught up.
    pub(super) fn read_on(&self) {
        // Ignore the error: the client has disconnected, as the next read will find out.
        let _ = self.tell(News::of(Then::Read));
    }

    fn message(&self, news: News) -> Message {
        let serial = self.serial;
        Message::Late(Box::new(Late { serial, news }))
    }

    /// Returns whether the client is known to have disconnected.
    pub(super) fn is_gone(&self) -> bool {
        self.mailbox.is_gone()
    }

    /// Returns whether this is the loop's own thread, where waiting for the loop would never end.
    pub(super) fn is_here(&self) -> bool {
        self.mailbox.is_emptied_here()
    }
}

impl fmt::Debug for ReplyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyTo")
    }
}

/// Returns the error of a wait that would deadlock on the loop's own thread.
pub(super) fn on_the_loop(why: &str) -> io::Error {
    let why = format!("{why}, and waiting for the loop on its own thread would never end");
    io::Error::new(ErrorKind::WouldBlock, why)
}
