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
//! What two parsers could read in two ways is refused (RFC 9112 section 11.2): every line ends in CRLF,
//! there is one length or one final `chunked`, and a field line starts with its name. An [`Error`] knows
//! the status that answers it. The fast path is `httparse`, whose leniencies are closed here; what it
//! refuses goes to a plain parser of our own, which names the defect and has the last word.
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
