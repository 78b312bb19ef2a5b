//! A request's body that another thread reads, while the loop keeps the socket.
//!
//! ```text
//! loop ── blocks, then the end ──▶ BodyReader
//! loop ◀── "read on" ───────────── BodyReader, when it has caught up
//! ```
//!
//! The loop stops reading the socket while more than the high-water mark is on its way. So TCP
//! holds the client back, and only the client holds the reader back.

use std::io::{self, BufRead, ErrorKind, Read};
use std::mem;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use super::body_budget::BodyShare;
use super::h1::{Fields, parse_fields};
use super::message::{ReplyTo, on_the_loop};
use super::owned::OwnedRequest;
use super::window::Window;

/// A piece of a body on its way to a [`BodyReader`].
#[derive(Debug)]
enum Piece {
    /// The next bytes.
    Block(Vec<u8>),
    /// The body has ended, with this trailer section.
    End(Vec<u8>),
}

/// The loop's end of a [`BodyReader`].
#[derive(Debug)]
pub(super) struct BodySender {
    /// Carries the body to the reader.
    pieces: Sender<Piece>,
    /// How much the reader has not read yet.
    window: Arc<Window>,
}

/// The result of sending a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The reader takes more.
    More,
    /// The reader is behind: send no more for now.
    Full,
    /// The reader was dropped.
    Unread,
}

impl BodySender {
    /// Sends a block to the reader.
    pub(super) fn block(&mut self, block: &[u8]) -> Sent {
        if block.is_empty() {
            return Sent::More;
        }
        let full = self.window.rise(block.len());
        match self.pieces.send(Piece::Block(block.to_vec())) {
            Err(_) => Sent::Unread,
            Ok(()) if full => Sent::Full,
            Ok(()) => Sent::More,
        }
    }

    /// Tells the reader that the body has ended.
    pub(super) fn end(self, trailers: Vec<u8>) {
        // Ignore the error: the reader was dropped, and nobody needs the end.
        let _ = self.pieces.send(Piece::End(trailers));
    }

    pub(super) fn is_full(&self) -> bool {
        self.window.is_high()
    }
}

/// The body of a request as something to [`Read`], on any thread but the loop's.
///
/// [`Response::body_reader`](super::Response::body_reader) returns one. A read waits for the
/// client. The loop enforces the client's deadlines. So a read waits without limit while the loop
/// does not run. The reader ends where the body ends. Reads fail with
/// [`UnexpectedEof`](ErrorKind::UnexpectedEof) if the client disconnects before the end, is too
/// slow, or sends a malformed body, or if the server is closed. A client that waits for `100
/// Continue` gets it at the first read (RFC 9110 §10.1.1). If you drop the reader before the end,
/// the rest is not read, and the connection closes after the response.
///
/// On the loop's own thread, for example in a handler, a read would wait for itself. There it fails
/// with [`WouldBlock`](ErrorKind::WouldBlock) if nothing has arrived.
#[derive(Debug)]
pub struct BodyReader {
    /// Where the next block comes from.
    source: Source,
    /// The block that is being read.
    block: Block,
    /// How much of the block was read.
    read: usize,
    /// The trailer section. It is empty until the body was read to its end.
    trailers: Vec<u8>,
    /// The part of the budget that the body uses, or as much of it as waits for this reader.
    _share: Option<BodyShare>,
}

/// Where further blocks come from.
#[derive(Debug)]
enum Source {
    /// There are none: the body has ended.
    Ended,
    /// Another reader has the body, or the client cannot be reached.
    Gone,
    /// The loop sends them.
    Loop {
        /// Carries the body from the loop.
        pieces: Receiver<Piece>,
        /// How much is not read yet.
        window: Arc<Window>,
        /// How to tell the loop to read on.
        reply_to: ReplyTo,
        /// The client waits to be asked for the body.
        ask: bool,
    },
}

/// The bytes that are being read.
#[derive(Debug)]
enum Block {
    /// A block from the loop.
    Arrived(Vec<u8>),
    /// The whole body, where the request owns it.
    Shared(OwnedRequest),
}

impl Block {
    fn bytes(&self) -> &[u8] {
        match self {
            Block::Arrived(bytes) => bytes,
            Block::Shared(request) => request.body(),
        }
    }
}

impl BodyReader {
    /// Creates a reader, and the loop's end of it.
    pub(super) fn new(
        reply_to: ReplyTo,
        ask: bool,
        share: Option<BodyShare>,
    ) -> (BodyReader, BodySender) {
        let (sender, pieces) = unbounded();
        let window = Arc::new(Window::default());
        let body_sender = BodySender {
            pieces: sender,
            window: Arc::clone(&window),
        };
        let source = Source::Loop {
            pieces,
            window,
            reply_to,
            ask,
        };
        let reader = BodyReader {
            _share: share,
            ..BodyReader::over(source)
        };
        (reader, body_sender)
    }

    /// Creates a reader of a body that has arrived.
    pub(super) fn whole(body: &[u8], trailers: Vec<u8>, share: Option<BodyShare>) -> BodyReader {
        BodyReader {
            block: Block::Arrived(body.to_vec()),
            trailers,
            _share: share,
            ..BodyReader::over(Source::Ended)
        }
    }

    /// Creates a reader of the body that a request owns. Copies nothing.
    pub(super) fn shared(request: &OwnedRequest, trailers: Vec<u8>) -> BodyReader {
        BodyReader {
            block: Block::Shared(request.clone()),
            trailers,
            ..BodyReader::over(Source::Ended)
        }
    }

    /// Creates a reader that fails: another reader has the body, or nobody can have it.
    pub(super) fn gone() -> BodyReader {
        BodyReader::over(Source::Gone)
    }

    fn over(source: Source) -> BodyReader {
        BodyReader {
            source,
            block: Block::Arrived(Vec::new()),
            read: 0,
            trailers: Vec::new(),
            _share: None,
        }
    }

    /// Returns the trailer fields. There are none until the body was read to its end.
    pub fn trailers(&self) -> Fields<'_> {
        // The decoder has checked these fields, so they can be parsed.
        parse_fields(&self.trailers, usize::MAX).unwrap_or_default()
    }

    fn unread(&self) -> &[u8] {
        &self.block.bytes()[self.read..]
    }

    /// Waits for the next block. The current one has been read to its end.
    fn next_block(&mut self) -> io::Result<()> {
        let (pieces, reply_to, ask) = match &mut self.source {
            Source::Ended => return Ok(()),
            Source::Gone => return Err(ErrorKind::UnexpectedEof.into()),
            Source::Loop {
                pieces,
                reply_to,
                ask,
                ..
            } => (pieces, reply_to, ask),
        };
        if mem::take(ask) {
            reply_to.read_on();
        }
        let piece = match reply_to.is_here() {
            true => pieces.try_recv(),
            false => pieces.recv().map_err(|_| TryRecvError::Disconnected),
        };
        match piece {
            Ok(Piece::Block(block)) => {
                self.block = Block::Arrived(block);
                self.read = 0;
            }
            Ok(Piece::End(trailers)) => {
                self.trailers = trailers;
                self.source = Source::Ended;
            }
            Err(TryRecvError::Empty) => return Err(on_the_loop("none of the body has arrived")),
            Err(TryRecvError::Disconnected) => return Err(ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    /// Drops the block that was read. If that makes room, asks the loop for more.
    fn give_back(&mut self) {
        let length = self.block.bytes().len();
        self.block = Block::Arrived(Vec::new());
        self.read = 0;
        match &self.source {
            Source::Loop {
                window, reply_to, ..
            } if window.fall(length) => reply_to.read_on(),
            _ => {}
        }
    }
}

impl BufRead for BodyReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.unread().is_empty() {
            self.next_block()?;
        }
        Ok(self.unread())
    }

    fn consume(&mut self, count: usize) {
        let unread = self.unread().len();
        self.read += count.min(unread);
        if unread > 0 && self.unread().is_empty() {
            self.give_back();
        }
    }
}

impl Read for BodyReader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let count = self.fill_buf()?.read(bytes)?;
        self.consume(count);
        Ok(count)
    }
}
