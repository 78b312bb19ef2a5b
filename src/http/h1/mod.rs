//! HTTP/1 messages as bytes: a codec without sockets, clocks or threads.
//!
//! Everything here is a function from bytes to a verdict. The caller owns the buffer and decides when
//! to read. The codec says "more", "this is the request" or "refuse it with this status". One request
//! passes through it from top to bottom:
//!
//! 1. [`Scanner`] looks for the end of the head and remembers how far it looked. So a client that sends
//!    one byte at a time costs no more than one that sends a whole head (RFC 9112 section 2.2).
//! 2. [`Head::parse`] turns those bytes into method, target, version and [`Fields`], all borrowed.
//!    [`Scanner::head`] does steps 1 and 2 together, and faster.
//! 3. [`framing`](fn@framing) decides how the content ends, or refuses (RFC 9112 section 6.3).
//! 4. [`ChunkedDecoder`] removes the chunked coding in place (RFC 9112 section 7.1).
//! 5. [`status_line`], [`field`], [`chunk`] and [`last_chunk`] write the response into any [`Sink`].
//!
//! [`Connection`] puts these steps together, for a server and for a client. It is h11's `Connection`.
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
//! # The other direction
//!
//! A client writes its request with [`request_line`] and [`field`], and reads the response with the same
//! steps: [`Scanner::response_head`] finds and parses a [`ResponseHead`], and [`response_framing`] has
//! decided how its content ends. Both need the method of the request, because the response to a HEAD
//! request has no content, and the one to CONNECT may begin a tunnel.
//!
//! # On its own
//!
//! The codec needs nothing else of this crate. Use it in a proxy, in a test tool, in a server with its
//! own loop, or on captured bytes, as the example [`parse_capture`] does. It keeps these promises:
//!
//! * **No I/O.** It imports `core`, `alloc`, `httparse` and `memchr`; a test enforces this. The same
//!   bytes always get the same verdict, however they were split.
//! * **No allocation on the way.** A head is a view of the caller's bytes. Its fields lie in a
//!   [`FieldStorage`] on the stack. Chunks are decoded in place, and encoded bytes go into the caller's
//!   [`Sink`]. One type allocates, once: a [`HeadLayout`], which keeps a head for later.
//! * **Bounded memory.** The caller keeps only what is incomplete: a head of at most
//!   [`HeadLimits::head`] bytes, or trailers of at most [`ChunkLimits::trailers`]. A length that a client
//!   announces never makes the caller keep more. Content can be passed on as it arrives.
//! * **Bounded work.** Each byte is looked at a constant number of times. There is no recursion, and
//!   no input makes the codec panic.
//! * **A small program.** It needs no operating system and compiles three crates. On a Cortex-M4, reading
//!   heads adds 15 kB to a program, and a [`Connection`] 31 kB: see [`guide::proof`].
//!
//! Repeat these steps for each request of a client:
//!
//! 1. Append the bytes that arrived to a buffer that begins where the request begins, and call
//!    [`Scanner::head`]. If it returns `None`, call it again when the same buffer has more.
//! 2. Keep what you need of the [`Head`], remove its bytes, and look at [`Head::framing`].
//!    Pass what follows to [`ContentDecoder::decode`] until it is [`complete`](Progress::complete).
//! 3. Begin again with a new [`Scanner`] if [`Head::keep_alive`] says that there may be another request.
//!
//! # What is refused
//!
//! The codec refuses anything that two parsers could read in two ways (RFC 9112 section 11.2). Every line
//! must end in CRLF, there is one length or one final `chunked`, and a field line starts with its name.
//! The bytes after an [`Error`] mean nothing: respond with its [`status`](Error::status), and close.
//!
//! | status | sent for |
//! | --- | --- |
//! | 400 | anything outside the grammar; a bad or missing Host; ambiguous framing, see [`framing`](fn@framing) |
//! | 413 | a Content-Length beyond 64 bits; chunked content beyond [`ChunkLimits::content`] |
//! | 414 | a request line beyond [`HeadLimits::request_line`] |
//! | 431 | a head or trailers beyond their limit, in bytes or in fields |
//! | 501 | a transfer coding other than `chunked`; a method as long as the limit of the request line |
//! | 505 | HTTP/2 and above, HTTP/0.x with a version |
//! | 502 | what only a response can have; see [`Error::status`] |
//!
//! The fast path is `httparse`, plus checks for input that it accepts and we do not. Input that the
//! fast path does not accept goes to our own plain parser, which names the defect and decides.
//!
#![doc = include_str!("uses.md")]
//!
//! [`guide::proof`]: https://docs.rs/serve_forever/latest/serve_forever/guide/proof/index.html
//! [`parse_capture`]: https://docs.rs/crate/serve_forever/latest/source/examples/protocols/parse_capture.rs

#[macro_use]
mod texts;

mod chunked;
mod connection;
mod content;
mod encode;
mod error;
mod fields;
mod framing;
mod grammar;
mod head;
mod layout;
mod request_line;
mod response_framing;
mod response_head;
mod scan;
mod start_line;
mod status_line;
mod survey;
#[cfg(test)]
mod tests;

pub use chunked::{ChunkLimits, ChunkedDecoder, Progress};
pub use connection::{Connection, ConnectionLimits, Event, Role, State};
pub use content::ContentDecoder;
pub use encode::{
    CONTINUE, EncodeError, Sink, chunk, chunk_size, content_length, decimal, end_of_fields, field,
    last_chunk, request_line, status_line,
};
pub use error::Error;
pub use fields::{FieldIter, Fields, parse_fields, tokens};
pub use framing::{Framing, framing};
#[cfg(feature = "server")]
pub(super) use grammar::host_and_port;
pub use head::{FieldStorage, Head, HeadLimits, MAX_FIELDS};
pub use layout::HeadLayout;
pub use request_line::TargetForm;
pub use response_framing::{ResponseFraming, response_framing};
pub use response_head::ResponseHead;
pub use scan::Scanner;
pub use start_line::Version;
pub use survey::Expect;
