//! Answers that come later, from any thread: whole, or pushed piece by piece.
//!
//! What other threads have to say comes home to the loop as a message, with the serial number of
//! the request it is for; the loop alone touches the connection.

use std::any::Any;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use super::ResponseError;
use super::body::{Ending, Framer, Streaming};
use super::gauge::{Gauge, HIGH_WATER};
use super::response::{self, Answered, Response, ResponseHead};
use super::status::phrase;
use crate::socketserver::{Buffer, Failure, Mailbox, SendError};

/// What other threads send to an HTTP connection.
#[non_exhaustive]
pub enum Message {
    /// Something for a request that is not answered yet, or not to the end.
    Late(Box<Late>),
    /// Something for the protocol that the connection was upgraded to.
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

/// Something on its way home, and which request it is for.
#[derive(Debug)]
pub struct Late {
    pub(super) serial: u32,
    pub(super) news: News,
}

/// What there is to be said of a request.
#[derive(Debug)]
pub(super) enum News {
    /// The answer; `None`: nobody will give one.
    Answer(Option<Answer>),
    /// An interim response.
    Interim(Vec<u8>),
    /// The head of an answer whose content is pushed.
    Begin(Answer, Arc<Gauge>, Sender<()>),
    /// A block of it.
    Block(Vec<u8>),
    /// The end of it, with its trailers.
    End(Vec<(String, Vec<u8>)>),
    /// There will be no end, and why.
    Broken(Failure),
    /// The reader of the content has caught up.
    GoOn,
    /// A worker has run the handler, and this is what it wrote.
    Worked(Buffer, Result<Box<Answered>, Failure>),
    /// A worker has pulled a block, and this is what it looks like.
    Pulled(Buffer, Result<Pulled, Failure>),
}

/// What came of pulling on a worker.
#[derive(Debug)]
pub(super) enum Pulled {
    /// The worker goes on; so much content it has pulled by now.
    Part(u64),
    /// It is for the client to go on.
    More(Box<Streaming>),
    End(Ending),
}

/// The way home to one request on one connection.
#[derive(Clone)]
pub(super) struct Home {
    mailbox: Mailbox<Message>,
    serial: u32,
}

impl Home {
    pub(super) fn new(mailbox: Mailbox<Message>, serial: u32) -> Home {
        Home { mailbox, serial }
    }

    pub(super) fn parts(&self) -> (&Mailbox<Message>, u32) {
        (&self.mailbox, self.serial)
    }

    /// Sends news, of which the sender keeps the number within bounds.
    pub(super) fn tell(&self, news: News) -> Result<(), News> {
        let message = self.message(news);
        self.mailbox.notify(message).map_err(|unsent| match unsent {
            SendError::Gone(Message::Late(late)) | SendError::Full(Message::Late(late)) => {
                late.news
            }
            SendError::Gone(Message::Custom(_)) | SendError::Full(Message::Custom(_)) => News::GoOn,
        })
    }

    /// Sends an interim response, if there is room for it.
    pub(super) fn suggest(&self, interim: Vec<u8>) {
        // Err: nobody waits for it.
        let _ = self.mailbox.send(self.message(News::Interim(interim)));
    }

    fn message(&self, news: News) -> Message {
        let serial = self.serial;
        Message::Late(Box::new(Late { serial, news }))
    }

    fn is_gone(&self) -> bool {
        self.mailbox.is_gone()
    }

    /// Whether who waits here for the loop waits for itself.
    pub(super) fn is_here(&self) -> bool {
        self.mailbox.is_emptied_here()
    }

    /// The reader of the content has caught up.
    pub(super) fn go_on(&self) {
        // Err: the connection is gone, as the next read will find out.
        let _ = self.tell(News::GoOn);
    }
}

/// Why there is no waiting on the loop's own thread.
pub(super) fn on_the_loop(why: &str) -> io::Error {
    let why = format!("{why}, and waiting for the loop on its own thread would never end");
    io::Error::new(ErrorKind::WouldBlock, why)
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Home")
    }
}

/// A whole answer that owns its parts, so that it can be made anywhere.
///
/// A status or a field that cannot be sent is found when it comes to be written: the client gets a
/// 500, and the failure is reported.
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
    reason: Option<String>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// An answer without fields and content.
    pub fn new(code: u16) -> Answer {
        Answer {
            code,
            reason: None,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Sets the reason phrase, if not the usual one of the status.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Answer {
        self.reason = Some(reason.into());
        self
    }

    /// Adds a field. `Server` and `Date` are the server's, unless they are given here.
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

    /// Writes the head, but for its end.
    pub(super) fn begin<'a>(&self, response: Response<'a>) -> ResponseHead<'a> {
        let reason = self.reason.as_deref().unwrap_or(phrase(self.code));
        let mut head = response.send_response_only(self.code, reason);
        if !self.has("Server") {
            head = head.send_server();
        }
        if !self.has("Date") {
            head = head.send_date();
        }
        let fields = self.headers.iter();
        fields.fold(head, |head, (name, value)| head.send_header(name, value))
    }

    fn has(&self, name: &str) -> bool {
        let mut names = self.headers.iter().map(|(name, _)| name);
        names.any(|given| given.eq_ignore_ascii_case(name))
    }
}

/// The right, and the duty, to answer one request from anywhere.
///
/// Dropped unanswered, it answers 500. An answer that takes longer than
/// [`Deadlines::answer`](super::Deadlines::answer), or what
/// [`Response::answer_within`] says instead, comes too late: the client has got a 503.
///
/// A long poll, whose clients wait for what another thread has to say:
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use serve_forever::http::{Answer, Deferred, HttpResult, Request, Response};
///
/// #[derive(Clone, Default)]
/// struct Waiting(Arc<Mutex<Vec<Deferred>>>);
///
/// impl Waiting {
///     /// The handler.
///     fn poll(&self, _: &Request<'_>, response: Response<'_>) -> HttpResult {
///         let (deferred, reply) = response.answer_within(Duration::from_secs(300)).defer();
///         let mut waiting = self.0.lock().expect("nobody panics");
///         waiting.retain(|deferred| !deferred.is_gone());
///         waiting.push(deferred);
///         Ok(reply)
///     }
///
///     /// Called on any thread.
///     fn tell(&self, news: &str) {
///         for deferred in self.0.lock().expect("nobody panics").drain(..) {
///             // Err: the client has left.
///             let _ = deferred.send(Answer::new(200).body(news));
///         }
///     }
/// }
/// # let _ = (Waiting::poll, Waiting::tell);
/// ```
#[derive(Debug)]
pub struct Deferred(Option<Home>);

impl Deferred {
    /// `None`: for a connection that nobody can reach; what is sent is gone.
    pub(super) fn new(home: Option<Home>) -> Deferred {
        Deferred(home)
    }

    /// Sends the answer and wakes the loop.
    ///
    /// # Errors
    ///
    /// Gives the answer back if the client is gone.
    pub fn send(mut self, answer: Answer) -> Result<(), SendError<Answer>> {
        let Some(home) = self.0.take() else {
            return Err(SendError::Gone(answer));
        };
        home.tell(News::Answer(Some(answer)))
            .map_err(|unsent| SendError::Gone(given_back(unsent)))
    }

    /// Whether the client is known to be gone, so that nobody waits for the answer any more. One
    /// that has only stopped sending may still be there.
    pub fn is_gone(&self) -> bool {
        self.0.as_ref().is_none_or(Home::is_gone)
    }

    /// Sends an interim response, `103 Early Hints` say, ahead of the answer (RFC 9110 §15.2). A
    /// client of HTTP/1.0 does not get it, nor does one that has not taken the last
    /// [`MAILBOX_CAPACITY`](crate::socketserver::MAILBOX_CAPACITY) of them.
    ///
    /// # Errors
    ///
    /// If `code` is 101, or not from 100 to 199, or if a field cannot be sent or announces content.
    /// A client that is gone is no error.
    pub fn send_interim(&self, code: u16, headers: &[(&str, &str)]) -> Result<(), ResponseError> {
        let bytes = response::interim(code, headers)?;
        if let Some(home) = &self.0 {
            home.suggest(bytes);
        }
        Ok(())
    }

    /// Sends the head of `answer`, and its content so far; more is pushed through what this
    /// returns.
    ///
    /// Without a `Content-Length` it is chunked, or for HTTP/1.0 ends with the connection.
    ///
    /// # Errors
    ///
    /// Gives the answer back if the client is gone.
    pub fn stream(mut self, mut answer: Answer) -> Result<AnswerStream, SendError<Answer>> {
        let Some(home) = self.0.take() else {
            return Err(SendError::Gone(answer));
        };
        let first = std::mem::take(&mut answer.body);
        let (sender, room) = bounded(1);
        let gauge = Arc::new(Gauge::default());
        let begin = News::Begin(answer, Arc::clone(&gauge), sender);
        if let Err(unsent) = home.tell(begin) {
            return Err(SendError::Gone(given_back(unsent).body(first)));
        }
        let stream = AnswerStream {
            home: Some(home),
            gauge,
            room,
        };
        // Err: the client has gone since, as the next push will find out.
        let _ = stream.push(first);
        Ok(stream)
    }
}

/// The answer that could not be sent.
fn given_back(news: News) -> Answer {
    match news {
        News::Answer(Some(answer)) | News::Begin(answer, ..) => answer,
        _ => Answer::new(500),
    }
}

impl Drop for Deferred {
    /// A request that everybody forgot is answered all the same: 500.
    fn drop(&mut self) {
        if let Some(home) = self.0.take() {
            // Err: the client is gone, and so is the duty.
            let _ = home.tell(News::Answer(None));
        }
    }
}

/// An answer whose content is pushed, from any thread, as it comes into being: server-sent events,
/// a log that is followed, the output of a process.
///
/// ```
/// use std::{thread, time::Duration};
/// use serve_forever::http::{Answer, HttpResult, Request, Response};
///
/// fn events(_: &Request<'_>, response: Response<'_>) -> HttpResult {
///     let (deferred, reply) = response.defer();
///     let head = Answer::new(200).header("Content-Type", "text/event-stream");
///     let stream = deferred.stream(head)?;
///     thread::spawn(move || {
///         // Until the client is gone, or is too far behind.
///         while stream.send("data: tick\n\n").is_ok() {
///             thread::sleep(Duration::from_secs(1));
///         }
///     });
///     Ok(reply)
/// }
/// # let _ = events;
/// ```
///
/// From [`Deferred::stream`]. Between a slow client and who pushes stands a queue of 64 KiB:
/// [`send`](Self::send) refuses a block when so much is under way, and [`Write`] waits until it is
/// less. The loop makes the room, so a write waits as long as nobody turns it. On the loop's own
/// thread, in a handler say, it would wait for itself: there it fails with
/// [`WouldBlock`](ErrorKind::WouldBlock) instead. Once the server is closed, both fail.
///
/// No deadline says how soon something must be pushed, but a client that does not read is given up
/// ([`EventedSettings::write_stall`](crate::socketserver::EventedSettings::write_stall)).
///
/// Dropped without [`finish`](Self::finish), the answer is broken off, as by [`fail`](Self::fail).
#[derive(Debug)]
pub struct AnswerStream {
    home: Option<Home>,
    gauge: Arc<Gauge>,
    /// Filled when the queue has room again; disconnected when the answer has ended.
    room: Receiver<()>,
}

impl AnswerStream {
    /// Pushes a block, of any length, and wakes the loop. Never waits.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if too much is under way, [`SendError::Gone`] if the client is gone or
    /// the answer has come to the end of its `Content-Length`; both give the block back.
    pub fn send(&self, block: impl Into<Vec<u8>>) -> Result<(), SendError<Vec<u8>>> {
        let block = block.into();
        match self.gauge.is_high() {
            true if self.is_gone() => Err(SendError::Gone(block)),
            true => Err(SendError::Full(block)),
            false => self.push(block).map_err(SendError::Gone),
        }
    }

    /// Ends the answer.
    ///
    /// # Errors
    ///
    /// [`SendError::Gone`] if the client is gone.
    pub fn finish(self) -> Result<(), SendError<()>> {
        self.finish_with_trailers(Vec::new())
    }

    /// Ends the answer with trailer fields, which a client gets if the answer is chunked
    /// (RFC 9112 §7.1.2). Fields that cannot be trailers break the answer off.
    ///
    /// # Errors
    ///
    /// [`SendError::Gone`] if the client is gone.
    pub fn finish_with_trailers(
        mut self,
        trailers: Vec<(String, Vec<u8>)>,
    ) -> Result<(), SendError<()>> {
        let gone = self.is_gone();
        let home = self.home.take().filter(|_| !gone);
        let told = home.map(|home| home.tell(News::End(trailers)));
        match told {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(SendError::Gone(())),
        }
    }

    /// Breaks the answer off, and has `failure` reported: the client sees that it is not whole.
    pub fn fail(mut self, failure: Failure) {
        self.break_off(failure);
    }

    fn break_off(&mut self, failure: Failure) {
        if let Some(home) = self.home.take() {
            // Err: it has ended anyway.
            let _ = home.tell(News::Broken(failure));
        }
    }

    /// Whether the client is gone, or the answer has ended.
    pub fn is_gone(&self) -> bool {
        loop {
            match self.room.try_recv() {
                // A note for who waits, which nobody does: it would look at the gauge first.
                Ok(()) => {}
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
        }
    }

    fn push(&self, block: Vec<u8>) -> Result<(), Vec<u8>> {
        let home = self.home.as_ref().filter(|_| !self.is_gone());
        let Some(home) = home else {
            return Err(block);
        };
        if block.is_empty() {
            return Ok(());
        }
        self.gauge.rise(block.len());
        home.tell(News::Block(block)).map_err(|news| match news {
            News::Block(block) => block,
            _ => Vec::new(),
        })
    }
}

impl Write for AnswerStream {
    /// Pushes `bytes`, or as many as there may be under way, as a block, after waiting until there
    /// is room.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = bytes.get(..HIGH_WATER).unwrap_or(bytes);
        while self.gauge.is_high() {
            if self.home.as_ref().is_some_and(Home::is_here) {
                return Err(on_the_loop("the queue is full"));
            }
            if self.room.recv().is_err() {
                return Err(ErrorKind::BrokenPipe.into());
            }
        }
        match self.push(bytes.to_vec()) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        self.break_off(ResponseError::Unfinished.into());
    }
}

/// The loop's end of an [`AnswerStream`].
#[derive(Debug)]
pub(super) struct Pushing {
    pub(super) framer: Framer,
    pub(super) gauge: Arc<Gauge>,
    pub(super) room: Sender<()>,
}

impl Pushing {
    /// Writes a block that has arrived; how the answer ended, if that was the last announced.
    pub(super) fn block(&mut self, block: &[u8], output: &mut Buffer) -> Option<Ending> {
        if self.gauge.fall(block.len()) {
            // Err: a note is there already, or nobody waits for one.
            let _ = self.room.try_send(());
        }
        self.framer.block(block, output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who cannot send an answer gets back all of it.
    #[test]
    fn what_cannot_be_sent_comes_back_whole() {
        let answer = || Answer::new(200).header("A", "b").body("content");
        let gone = || Deferred::new(Some(Home::new(Mailbox::dangling(), 1)));
        let nowhere = || Deferred::new(None);
        let unsent = [
            ("send", gone().send(answer()).err()),
            ("send nowhere", nowhere().send(answer()).err()),
            ("stream", gone().stream(answer()).err()),
            ("stream nowhere", nowhere().stream(answer()).err()),
        ];
        for (case, error) in unsent {
            match error {
                Some(SendError::Gone(Answer {
                    code,
                    headers,
                    body,
                    ..
                })) => {
                    assert_eq!((code, headers.len()), (200, 1), "{case}");
                    assert_eq!(body, b"content", "{case}");
                }
                other => panic!("{case}: {other:?}"),
            }
        }
    }
}
