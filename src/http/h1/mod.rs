//! HTTP/1 requests as bytes: a codec without sockets, clocks, threads or allocation.
//!
//! Everything here is a function from bytes to a verdict. The caller owns the buffer and decides when
//! to read; the codec says "more", "this is the request" or "refuse with this status". One request
//! passes through it from top to bottom:
//!
//! 1. [`Scanner`] looks for the end of the head and remembers how far it looked, so a client that sends
//!    a byte at a time costs no more than one that sends the head at once (RFC 9112 section 2.2).
//! 2. [`Head::parse`] turns those bytes into method, target, version and [`Fields`], all borrowed.
//!    [`Scanner::head`] does both steps, and faster.
//! 3. [`framing`](fn@framing) decides how the content ends, or refuses (RFC 9112 section 6.3).
//! 4. [`ChunkedDecoder`] removes the chunked coding in place (RFC 9112 section 7.1).
//! 5. [`status_line`], [`field`], [`chunk`] and [`last_chunk`] write the answer into any [`Sink`].
//!
//! ```
//! use serve_forever::http::h1::{FieldStorage, Framing, Head, HeadLimits, Scanner};
//!
//! let input = b"POST /form HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\nhello";
//! let (mut scanner, limits) = (Scanner::default(), HeadLimits::default());
//! let range = scanner.scan(input, &limits)?.expect("the head is complete");
//! let mut storage = FieldStorage::new();
//! let head = Head::parse(&input[range.clone()], &mut storage, &limits)?;
//! assert_eq!((head.method, head.target), ("POST", "/form"));
//! assert_eq!(head.fields.get("host"), Some(&b"example.org"[..]));
//! assert_eq!(head.framing, Framing::Length(5));
//! assert_eq!(&input[range.end..], b"hello");
//! # Ok::<(), serve_forever::http::h1::Error>(())
//! ```
//!
//! # On its own
//!
//! Nothing else of this crate is needed to use it: in a proxy, a test tool, a server with a loop of
//! its own, or for bytes that somebody has captured, as the example [`parse_capture`] does. It keeps
//! these promises:
//!
//! * **No I/O.** It imports `core`, `alloc`, `httparse` and `memchr`; a test keeps it so. The same
//!   bytes always get the same verdict, however they were split.
//! * **No allocation.** A head is a view of the caller's bytes, its fields lie in a [`FieldStorage`] on
//!   the stack, chunks are decoded where they lie, and what is encoded goes into the caller's [`Sink`].
//! * **Bounded memory.** What the caller has to keep is a head that is not complete, at most
//!   [`HeadLimits::head`] bytes, and trailers that are not, at most [`ChunkLimits::trailers`]. No length
//!   that a client announces is a reason to keep more. Content can be let go as it comes.
//! * **Bounded work.** Each byte is looked at a constant number of times. There is no recursion, and
//!   no input makes it panic.
//!
//! A client's bytes go the same way over and over:
//!
//! 1. Append what arrived to the buffer, which begins where the request begins, and ask
//!    [`Scanner::head`]. `None`: come again with more in the same buffer.
//! 2. Keep what you need of the [`Head`], remove its bytes, and go by [`Head::framing`]:
//!    [`Empty`](Framing::Empty) has no content, of [`Length`](Framing::Length) so many bytes follow, and
//!    [`Chunked`](Framing::Chunked) bytes go to [`ChunkedDecoder::decode`] until it is
//!    [`complete`](Progress::complete).
//! 3. Begin again with a new [`Scanner`], if [`Head::keep_alive`] says that there may be another request.
//!
//! # What is refused
//!
//! What two parsers could read in two ways (RFC 9112 section 11.2): every line ends in CRLF, there is one
//! length or one final `chunked`, and a field line starts with its name. After an [`Error`] nothing that
//! follows means anything: answer with its [`status`](Error::status), and close.
//!
//! | status | what for |
//! | --- | --- |
//! | 400 | whatever the grammar does not have; bad or missing Host; framing in doubt, see [`framing`](fn@framing) |
//! | 413 | a Content-Length beyond 64 bits; chunked content beyond [`ChunkLimits::content`] |
//! | 414 | a request line beyond [`HeadLimits::request_line`] |
//! | 431 | a head or trailers beyond their limit, in bytes or in fields |
//! | 501 | a transfer coding other than `chunked`; a method that fills the limit of its line |
//! | 505 | HTTP/2 and above, HTTP/0.x with a version |
//!
//! The fast path is `httparse`, whose leniencies are closed here; what it refuses goes to a plain parser
//! of our own, which names the defect and has the last word.
//!
//! [`parse_capture`]: https://docs.rs/crate/serve_forever/latest/source/examples/parse_capture.rs

mod chunked;
mod encode;
mod error;
mod fields;
mod framing;
mod grammar;
mod head;
mod request_line;
mod scan;
#[cfg(test)]
mod tests;

pub use chunked::{ChunkLimits, ChunkedDecoder, Progress};
pub use encode::{
    CONTINUE, EncodeError, Sink, chunk, content_length, decimal, end_of_fields, field, last_chunk,
    status_line,
};
pub use error::Error;
pub use fields::{FieldIter, Fields, parse_fields, tokens};
pub use framing::{Framing, framing};
pub use head::{Expect, FieldStorage, Head, HeadLimits, MAX_FIELDS};
pub use request_line::{TargetForm, Version};
pub use scan::Scanner;
