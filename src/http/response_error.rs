//! The mistakes that a response can have.

use std::error::Error;
use std::fmt;

use super::h1::EncodeError;

/// Why a response was not sent, or not as the handler wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseError {
    /// A status, reason or field cannot be sent: no line break reaches the wire ([HTTP-31]).
    ///
    /// [HTTP-31]: crate::spec#http-31
    Head(EncodeError),
    /// A `Content-Length` is not a number, or there is a second one.
    ContentLength,
    /// The body is longer than its `Content-Length`: the rest was cut off.
    TooLong,
    /// The body is shorter than its `Content-Length`: the connection was closed.
    TooShort,
    /// The handler set a `Transfer-Encoding`, which only the server may set.
    TransferEncoding,
    /// The handler returned the [`Reply`](super::Reply) of another request.
    Unanswered,
    /// The [`Deferred`](super::Deferred) was dropped without a response.
    Forgotten,
    /// The response took longer than [`Deadlines::response`](super::Deadlines::response).
    Overdue,
    /// The [`ResponseStream`](super::ResponseStream) was dropped before its end.
    Unfinished,
    /// An interim response announced a body, which it cannot have (RFC 9110 §8.6, RFC 9112 §6.1).
    Interim,
    /// The client speaks HTTP/1.0, which has no upgrade (RFC 9110 §7.8).
    Upgrade,
    /// The upgrade came before the end of the request's body (RFC 9110 §7.8).
    Unread,
    /// The status is below 200, or a success for CONNECT. Without an upgrade the client would take
    /// the next response for this one, or for none at all (RFC 9110 §9.3.6, §15.2).
    NotFinal,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResponseError::Head(error) => error.fmt(f),
            ResponseError::ContentLength => f.write_str("Content-Length is not a single number"),
            ResponseError::TooLong => f.write_str("the body is longer than its Content-Length"),
            ResponseError::TooShort => f.write_str("the body is shorter than its Content-Length"),
            ResponseError::TransferEncoding => {
                f.write_str("only the server may set Transfer-Encoding")
            }
            ResponseError::Unanswered => f.write_str("the handler sent no response"),
            ResponseError::Forgotten => f.write_str("a deferred request never got a response"),
            ResponseError::Overdue => f.write_str("the response took too long"),
            ResponseError::Unfinished => f.write_str("a pushed response was not finished"),
            ResponseError::Interim => f.write_str("an interim response cannot have a body"),
            ResponseError::Upgrade => f.write_str("HTTP/1.0 has no upgrade"),
            ResponseError::Unread => {
                f.write_str("the request cannot be upgraded before its whole body has arrived")
            }
            ResponseError::NotFinal => f.write_str("the status does not end the request"),
        }
    }
}

impl Error for ResponseError {}
