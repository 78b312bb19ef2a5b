//! A response whose body is pushed block by block, from any thread.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, TryRecvError, bounded};

use super::message::{News, Pushed, ReplyTo, Then, on_the_loop};
use super::off_loop;
use super::response::{Response, ResponseHead};
use super::response_body::{BodyFraming, Ending, Framer};
use super::response_error::ResponseError;
use super::window::{HIGH_WATER, Window};
use super::written::{Content, Thread};
use crate::socketserver::{Block, Buffer, Failure, SendError};

/// A response whose body is pushed from any thread as it is produced: a log file that grows, the
/// output of a process. For server-sent events there is an [`EventSender`](super::EventSender).
///
/// ```
/// use std::{thread, time::Duration};
/// use serve_forever::http::{HttpResult, Request, Response};
///
/// fn ticks(_: &Request<'_>, response: Response<'_>) -> HttpResult {
///     let (deferred, reply) = response.without_half_close().defer();
///     let stream = deferred.stream(|response| {
///         response.send_response(200).send_header("Content-Type", "text/plain")
///     })?;
///     thread::spawn(move || {
///         // Until the client disconnects, or is too far behind.
///         while stream.send("tick\n").is_ok() {
///             thread::sleep(Duration::from_secs(1));
///         }
///     });
///     Ok(reply)
/// }
/// # let _ = ticks;
/// ```
///
/// [`Deferred::stream`](super::Deferred::stream) returns one. Between your thread and a slow client is a queue of 64 KiB.
/// When it is full, [`send`](Self::send) refuses a block, and [`Write`] waits until the loop has
/// made room. A write therefore waits without limit while the loop does not run. On the loop's own
/// thread, for example in a handler, it would wait for itself: there it fails with
/// [`WouldBlock`](ErrorKind::WouldBlock). Once the server is closed, both fail.
///
/// You may push as slowly as you like. But the server gives up a client that does not read
/// ([`EventedSettings::write_stall`](crate::socketserver::EventedSettings::write_stall)).
///
/// What if the client leaves while you push nothing? The stream [is gone](Self::is_gone) immediately
/// if the client resets the connection. If the client closes it or vanishes, the operating system
/// finds out within about two minutes
/// ([`SO_KEEPALIVE`](crate::socketserver::Tcp#how-clients-are-noticed)). To notice a close
/// immediately, begin with
/// [`Response::without_half_close`](super::Response::without_half_close), as an
/// [`EventSender`](super::EventSender) does.
///
/// If it is dropped without [`finish`](Self::finish), the response is broken off, as by
/// [`fail`](Self::fail).
#[derive(Debug)]
pub struct ResponseStream {
    /// `None` once the response has ended. It is locked because several threads may push.
    open: Mutex<Option<Open>>,
    /// How much is on its way to the loop.
    window: Arc<Window>,
    /// Gets a notice when the queue has room again. Disconnected when the loop has ended the
    /// response.
    room: Receiver<()>,
}

/// The request and its framing, which each push needs.
#[derive(Debug)]
struct Open {
    /// The request.
    reply_to: ReplyTo,
    /// Writes the blocks in their framing.
    framer: Framer,
}

impl ResponseStream {
    /// Sends the head that `begin` returns.
    pub(super) fn begin(
        reply_to: &ReplyTo,
        begin: impl FnOnce(Response<'_>) -> ResponseHead<'_>,
    ) -> Result<ResponseStream, SendError<()>> {
        let mut framer = None;
        let push = |response: Response<'_>| begin(response).push(&mut framer);
        let mut news = off_loop::write(reply_to, Content::Elsewhere, None, Thread::Other, push);
        let window = Arc::new(Window::default());
        let (sender, room) = bounded(1);
        if let Some(head) = &mut news.head {
            // Dropped when the loop has ended the response.
            head.pushed = Some(Pushed::new(Arc::clone(&window), sender));
            match &framer {
                Some(framer) => {
                    head.close_delimited = framer.is_close_delimited();
                    news.then = Then::GoOn { sent: 0 };
                }
                None => framer = Some(Framer::new(BodyFraming::Silent)),
            }
        }
        reply_to.tell(news)?;
        let reply_to = reply_to.clone();
        Ok(ResponseStream {
            open: Mutex::new(framer.map(|framer| Open { reply_to, framer })),
            window,
            room,
        })
    }

    /// Pushes a block of any length and wakes the loop. It never waits. Several threads may push.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Full`] if too much is on its way already, and [`SendError::Gone`] if
    /// the client has disconnected or the `Content-Length` is reached. Both give the block back.
    pub fn send<B: AsRef<[u8]>>(&self, block: B) -> Result<(), SendError<B>> {
        if self.is_gone() {
            return Err(SendError::Gone(block));
        }
        if self.window.is_high() {
            return Err(SendError::Full(block));
        }
        match self.push_copy(block.as_ref()) {
            Ok(()) => Ok(()),
            Err(_) => Err(SendError::Gone(block)),
        }
    }

    /// Like [`send`](Self::send), but a large block is not copied: it is sent from where the [`Block`]
    /// has its bytes.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send). If the client disconnects during the call, the block is dropped,
    /// and the next call returns [`SendError::Gone`].
    pub fn send_block(&self, block: impl Into<Block>) -> Result<(), SendError<Block>> {
        let block = block.into();
        if self.is_gone() {
            return Err(SendError::Gone(block));
        }
        if self.window.is_high() {
            return Err(SendError::Full(block));
        }
        // Ignore the error: it is as if the client had disconnected a moment later.
        let _ = self.push_block(block);
        Ok(())
    }

    /// Like [`send_block`](Self::send_block), but waits until there is room, as [`Write`] does.
    ///
    /// # Errors
    ///
    /// Returns [`BrokenPipe`](ErrorKind::BrokenPipe) if the client has disconnected or the
    /// `Content-Length` is reached, and [`WouldBlock`](ErrorKind::WouldBlock) if it would have to wait
    /// on the loop's own thread.
    pub fn write_block(&mut self, block: impl Into<Block>) -> io::Result<()> {
        self.wait_for_room()?;
        let pushed = self.push_block(block.into());
        pushed.map_err(|_| ErrorKind::BrokenPipe.into())
    }

    /// Ends the response.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Gone`] if the client has disconnected.
    pub fn finish(self) -> Result<(), SendError<()>> {
        self.finish_with_trailers(&[])
    }

    /// Ends the response with trailer fields. The client gets them if the response is chunked
    /// (RFC 9112 §7.1.2). Fields that cannot be trailers break the response off.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Gone`] if the client has disconnected.
    pub fn finish_with_trailers(self, trailers: &[(String, Vec<u8>)]) -> Result<(), SendError<()>> {
        let gone = self.is_gone();
        let open = self.lock().take().filter(|_| !gone);
        let Open { reply_to, framer } = open.ok_or(SendError::Gone(()))?;
        if framer.is_silent() {
            return Ok(()); // the response ended with its head
        }
        let mut bytes = Buffer::new();
        reply_to.tell(match framer.end(trailers, &mut bytes) {
            Ok(ending) => News::of(Then::End(ending)).with_bytes(bytes),
            Err(failure) => News::of(Then::Fail(failure)), // without `bytes`, which are incomplete
        })
    }

    /// Breaks the response off, and has the server report `failure`. The client sees that the
    /// response is not whole.
    pub fn fail(self, failure: Failure) {
        self.break_off(failure);
    }

    fn break_off(&self, failure: Failure) {
        let open = self.lock().take();
        if let Some(Open { reply_to, .. }) = open {
            // Ignore the error: the response has ended anyway.
            let _ = reply_to.tell(News::of(Then::Fail(failure)));
        }
    }

    /// Returns whether the client has disconnected, or the response has ended.
    pub fn is_gone(&self) -> bool {
        loop {
            match self.room.try_recv() {
                // Drop the notice. It is for a writer that waits, and a writer looks at the window
                // before it waits.
                Ok(()) => {}
                Err(TryRecvError::Empty) => return self.lock().is_none(),
                Err(TryRecvError::Disconnected) => return true,
            }
        }
    }

    /// Sends a copy of a block to the loop.
    fn push_copy(&self, block: &[u8]) -> Result<(), SendError<()>> {
        self.push(block.len(), |framer, bytes| framer.copy(block, bytes))
    }

    /// Sends a block to the loop. If it is large, it is not copied.
    fn push_block(&self, block: Block) -> Result<(), SendError<()>> {
        self.push(block.count(), |framer, bytes| {
            bytes.keep_blocks(true);
            framer.block(block, bytes)
        })
    }

    /// Lets `write` frame a block of `length` bytes, and sends it to the loop. The lock keeps the blocks
    /// of several threads in order.
    fn push(
        &self,
        length: usize,
        write: impl FnOnce(&mut Framer, &mut Buffer) -> Option<Ending>,
    ) -> Result<(), SendError<()>> {
        let mut open = self.lock();
        let Some(Open { reply_to, framer }) = &mut *open else {
            return Err(SendError::Gone(()));
        };
        if length == 0 || framer.is_silent() {
            return Ok(());
        }
        let mut bytes = Buffer::new();
        let then = match write(framer, &mut bytes) {
            Some(ending) => Then::End(ending),
            None => Then::GoOn {
                sent: framer.sent(),
            },
        };
        let ended = matches!(then, Then::End(_));
        self.window.rise(bytes.len());
        let told = reply_to.tell(News::of(then).with_bytes(bytes));
        if ended {
            *open = None;
        }
        told
    }

    /// Waits until a block may be pushed.
    fn wait_for_room(&self) -> io::Result<()> {
        while self.window.is_high() {
            match &*self.lock() {
                Some(open) if open.reply_to.is_here() => {
                    return Err(on_the_loop("the queue is full"));
                }
                Some(_) => {}
                None => return Err(ErrorKind::BrokenPipe.into()), // no room is needed any more
            }
            if self.room.recv().is_err() {
                return Err(ErrorKind::BrokenPipe.into());
            }
        }
        match self.is_gone() {
            true => Err(ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        // A panic while it is locked leaves it whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for ResponseStream {
    /// Waits until there is room, and then pushes `bytes`, or as many as may be on their way, as
    /// one block.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = bytes.get(..HIGH_WATER).unwrap_or(bytes);
        self.wait_for_room()?;
        match self.push_copy(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ResponseStream {
    fn drop(&mut self) {
        self.break_off(ResponseError::Unfinished.into());
    }
}
