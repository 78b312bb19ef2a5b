//! What a connection has received.

use super::super::fields::Fields;
use super::super::head::Head;
use super::super::response_head::ResponseHead;

/// What a [`Connection`](super::Connection) has received. It borrows from your bytes; nothing is copied.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The head of a request. Its content follows as [`Data`](Event::Data), and ends with
    /// [`EndOfMessage`](Event::EndOfMessage), also if there is none.
    Request(Head<'a>),
    /// The head of an interim response: 1xx. More responses follow, unless it is a 101.
    InformationalResponse(ResponseHead<'a>),
    /// The head of a response.
    Response(ResponseHead<'a>),
    /// The next bytes of the content. They are a piece of any size: neither the chunks of the sender nor
    /// your reads mean anything.
    Data(&'a [u8]),
    /// The content is complete. These are the fields of the trailer section, if it had any. Never merge
    /// them into the head (RFC 9110 section 6.5.1).
    EndOfMessage(Fields<'a>),
    /// The peer has closed, and nothing is missing.
    ConnectionClosed,
    /// The bytes are not enough: read more, and call again. h11's `NEED_DATA`.
    NeedData,
    /// The bytes belong to the next exchange, or to another protocol. So they are not looked at now. h11's
    /// `PAUSED`.
    Paused,
}
