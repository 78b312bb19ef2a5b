//! Content that is read on another thread, while the loop keeps the socket.
//!
//! ```text
//! loop ── blocks, then the end ──▶ BodyReader
//! loop ◀── "go on" ─────────────── BodyReader, when it has caught up
//! ```
//!
//! The loop stops reading the socket while more than the high-water mark is under way, so the
//! client is held back by TCP, and the reader by nothing but the client.

use std::io::{self, BufRead, ErrorKind, Read};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use super::deferred::{Home, on_the_loop};
use super::gauge::Gauge;
use super::h1::{Fields, parse_fields};
use crate::socketserver::Buffer;

/// What travels to a [`BodyReader`].
#[derive(Debug)]
enum Piece {
    Block(Vec<u8>),
    /// The content has ended; the trailer section.
    End(Vec<u8>),
}

/// The loop's end of a [`BodyReader`].
#[derive(Debug)]
pub(super) struct Inflow {
    pieces: Sender<Piece>,
    gauge: Arc<Gauge>,
}

/// What became of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inflowing {
    More,
    /// The reader is behind.
    Full,
    /// There is no reader any more.
    Unread,
}

impl Inflow {
    /// Hands on a block. That it is the `last` is known before it can be read.
    pub(super) fn block(&mut self, block: &[u8], last: bool) -> Inflowing {
        if last {
            self.gauge.end();
        }
        if block.is_empty() {
            return Inflowing::More;
        }
        let full = self.gauge.rise(block.len());
        match self.pieces.send(Piece::Block(block.to_vec())) {
            Err(_) => Inflowing::Unread,
            Ok(()) if full => Inflowing::Full,
            Ok(()) => Inflowing::More,
        }
    }

    /// The content has ended.
    pub(super) fn end(self, trailers: Vec<u8>) {
        // Err: nobody reads it.
        let _ = self.pieces.send(Piece::End(trailers));
    }

    pub(super) fn is_full(&self) -> bool {
        self.gauge.is_high()
    }

    pub(super) fn gauge(&self) -> &Arc<Gauge> {
        &self.gauge
    }
}

/// The content of a request as something to [`Read`], on any thread but the loop's.
///
/// From [`Response::body_reader`](super::Response::body_reader). Reads wait for the client, within
/// its deadlines, which the loop sees to: they wait as long as nobody turns it. The end is that of
/// the content. If the client leaves before, is too slow, or sends what is no content, or if the
/// server is closed, reads fail with [`UnexpectedEof`](ErrorKind::UnexpectedEof). A client that
/// waits for `100 Continue` gets it when the reader is first read (RFC 9110 §10.1.1). Dropped
/// before the end, the rest is not read, and the connection closes after the answer.
///
/// On the loop's own thread, the last that turned it, a read would wait for itself: there, in the
/// handler say, it fails with [`WouldBlock`](ErrorKind::WouldBlock) if nothing has arrived.
#[derive(Debug)]
pub struct BodyReader {
    pieces: Option<Receiver<Piece>>,
    gauge: Arc<Gauge>,
    home: Option<Home>,
    /// The client waits to be asked for the content.
    ask: bool,
    block: Buffer,
    /// The length of the block when it arrived.
    length: usize,
    trailers: Vec<u8>,
}

impl BodyReader {
    /// A reader, and where its content is to be put in.
    pub(super) fn new(home: Home, ask: bool) -> (BodyReader, Inflow) {
        let (sender, pieces) = unbounded();
        let gauge = Arc::new(Gauge::default());
        let inflow = Inflow {
            pieces: sender,
            gauge: Arc::clone(&gauge),
        };
        let reader = BodyReader {
            pieces: Some(pieces),
            gauge,
            home: Some(home),
            ask,
            block: Buffer::new(),
            length: 0,
            trailers: Vec::new(),
        };
        (reader, inflow)
    }

    /// A reader of content that has arrived.
    pub(super) fn whole(content: &[u8], trailers: Vec<u8>) -> BodyReader {
        let mut block = Buffer::new();
        block.extend_from_slice(content);
        BodyReader {
            pieces: None,
            gauge: Arc::default(),
            home: None,
            ask: false,
            block,
            length: 0,
            trailers,
        }
    }

    /// A reader of what somebody else reads, or nobody can.
    pub(super) fn gone() -> BodyReader {
        let (_, pieces) = unbounded();
        BodyReader {
            pieces: Some(pieces),
            ..BodyReader::whole(b"", Vec::new())
        }
    }

    /// The trailer fields; none before the content was read to its end.
    pub fn trailers(&self) -> Fields<'_> {
        // The decoder has checked them.
        parse_fields(&self.trailers, usize::MAX).unwrap_or_default()
    }

    /// Waits for the next block, having used up the one before.
    fn next_block(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.ask) {
            self.go_on();
        }
        let Some(pieces) = &self.pieces else {
            return Ok(()); // it has ended
        };
        let piece = match self.home.as_ref().is_some_and(Home::is_here) {
            true => pieces.try_recv(),
            false => pieces.recv().map_err(|_| TryRecvError::Disconnected),
        };
        match piece {
            Ok(Piece::Block(block)) => {
                self.length = block.len();
                self.block.extend_from_slice(&block);
            }
            Ok(Piece::End(trailers)) => {
                self.trailers = trailers;
                self.pieces = None;
            }
            Err(TryRecvError::Empty) => {
                return Err(on_the_loop("no content has arrived"));
            }
            Err(TryRecvError::Disconnected) => return Err(ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    /// Tells the loop that it may read the socket.
    fn go_on(&self) {
        if let Some(home) = &self.home {
            home.go_on();
        }
    }
}

impl BufRead for BodyReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.block.is_empty() {
            self.next_block()?;
        }
        Ok(&self.block)
    }

    fn consume(&mut self, count: usize) {
        self.block.consume(count);
        if self.block.is_empty() && self.length > 0 {
            let length = std::mem::take(&mut self.length);
            self.block = Buffer::new();
            if self.gauge.fall(length) {
                self.go_on();
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socketserver::Mailbox;

    /// Who has read as much as was announced may answer before it is told of the end, and must not
    /// find that there is more.
    #[test]
    fn the_last_block_is_known_to_be_the_last() {
        let home = Home::new(Mailbox::dangling(), 1);
        let (mut reader, mut inflow) = BodyReader::new(home, false);
        assert_eq!(inflow.block(b"a", false), Inflowing::More);
        assert!(!inflow.gauge().has_ended());
        assert_eq!(inflow.block(b"b", true), Inflowing::More);
        let mut content = [0; 2];
        reader.read_exact(&mut content).expect("both are there");
        assert!(inflow.gauge().has_ended());
        assert_eq!(&content, b"ab");
    }
}
