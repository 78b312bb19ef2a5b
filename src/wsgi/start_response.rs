//! `start_response`: takes the status and the header fields of a response, and checks them.
//!
//! Nothing is sent from here ([WSGI-6]). The head is kept until the first block comes, so that it
//! can still be replaced if the application fails before that.
//!
//! [WSGI-6]: crate::spec#wsgi-6

use std::error::Error;
use std::fmt;

use super::latin1::field_value;
use crate::http::h1::{self, EncodeError, Sink};
use crate::socketserver::{Failure, HandlerResult};

/// Begins the response. The second argument of an application.
///
/// Text is Latin-1: each character stands for one byte (PEP 3333, "bytes as text").
///
/// It is `Send`, so a host may call [`write`](Self::write) from where other threads can go on.
pub trait StartResponse: Send {
    /// Takes the status and the header fields:
    /// `call("200 OK", &[("Content-Type", "text/plain")])`.
    ///
    /// # Errors
    ///
    /// Returns an [`AppError`] if it was called before, even if that call failed ([WSGI-7]), and if
    /// the status or a field cannot be sent ([WSGI-9]).
    ///
    /// [WSGI-7]: crate::spec#wsgi-7
    /// [WSGI-9]: crate::spec#wsgi-9
    fn call(&mut self, status: &str, headers: &[(&str, &str)]) -> HandlerResult;

    /// Like [`call`](Self::call), but for an error handler: replaces the head if that has not been
    /// sent ([WSGI-8]).
    ///
    /// # Errors
    ///
    /// Returns `exc_info` if the head has been sent already. The application should end with it.
    /// Returns an [`AppError`] if the status or a field cannot be sent.
    ///
    /// [WSGI-8]: crate::spec#wsgi-8
    fn call_with_exc_info(
        &mut self,
        status: &str,
        headers: &[(&str, &str)],
        exc_info: Failure,
    ) -> HandlerResult;

    /// Adds `bytes` to the body, before the blocks that the application returns. Python's
    /// `start_response` returns this function; it is for code that was written to print.
    ///
    /// After this call the head counts as sent, even if `bytes` is empty. When the bytes leave
    /// depends on the handler:
    ///
    /// - A [`SimpleHandler`] has sent head and bytes when this returns.
    /// - On [workers](super::WsgiHandler::workers) they are on their way. This waits if the client
    ///   is too far behind.
    /// - On the loop's thread, waiting would stop every client. The bytes are kept in memory until
    ///   the application returns, so return a long body as a [`Body`](super::Body) instead.
    ///
    /// # Errors
    ///
    /// Returns an [`AppError`] if [`call`](Self::call) was not called before ([WSGI-10]). A
    /// [`SimpleHandler`] returns an error if its output fails, or if the body becomes longer than
    /// the `Content-Length`. On workers this fails if the client has disconnected, or has already
    /// got as much as was announced.
    ///
    /// [`SimpleHandler`]: super::SimpleHandler
    /// [WSGI-10]: crate::spec#wsgi-10
    fn write(&mut self, bytes: &[u8]) -> HandlerResult;
}

/// A mistake of an application that PEP 3333 forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppError {
    /// `start_response` was called before ([WSGI-7]).
    ///
    /// [WSGI-7]: crate::spec#wsgi-7
    HeadersAlreadySet,
    /// `write` was called before `start_response` ([WSGI-10]).
    ///
    /// [WSGI-10]: crate::spec#wsgi-10
    WriteBeforeStart,
    /// A block, or the end of the body, came before `start_response` ([WSGI-11]).
    ///
    /// [WSGI-11]: crate::spec#wsgi-11
    BlockBeforeStart,
    /// A block, or the end of the body, came after a `start_response` that failed, so there is no
    /// head to send.
    HeadRefused,
    /// The status is not a number from 200 to 999, a space, and a reason in ASCII.
    Status(String),
    /// The field name is not a token.
    HeaderName(String),
    /// The value of this field has a control character, or one that is not in Latin-1.
    HeaderValue(String),
    /// This field is about the connection, so only the server may set it.
    HopByHop(String),
    /// The `Content-Length` is not a number, or is set twice.
    ContentLength(String),
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppError::HeadersAlreadySet => f.write_str("headers already set"),
            AppError::WriteBeforeStart => f.write_str("write() before start_response()"),
            AppError::BlockBeforeStart => f.write_str("the body came before start_response()"),
            AppError::HeadRefused => f.write_str("the body came after a failed start_response()"),
            AppError::Status(status) => {
                write!(f, "status {status:?} is not like \"200 OK\"")
            }
            AppError::HeaderName(name) => write!(f, "header name {name:?} is not a token"),
            AppError::HeaderValue(name) => {
                write!(f, "the value of {name:?} cannot be sent in a header")
            }
            AppError::HopByHop(name) => {
                write!(
                    f,
                    "an application must not set the hop-by-hop header {name:?}"
                )
            }
            AppError::ContentLength(value) => {
                write!(f, "Content-Length {value:?} is not a single number")
            }
        }
    }
}

impl Error for AppError {}

/// The head of a response, checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The status code.
    pub(super) code: u16,
    /// The reason: ASCII, perhaps empty.
    pub(super) reason: String,
    /// The lines of the fields in the application's order, without that of `Content-Length`.
    pub(super) lines: Vec<u8>,
    /// The length that the application announced.
    pub(super) content_length: Option<u64>,
    /// Whether there is a `Date` among the fields ([WSGI-15]).
    ///
    /// [WSGI-15]: crate::spec#wsgi-15
    pub(super) sets_date: bool,
    /// Whether there is a `Server` among the fields.
    pub(super) sets_server: bool,
}

/// How far the head has come.
#[derive(Debug)]
enum Stage {
    /// `start_response` has not been called.
    Unset,
    /// The last call failed.
    Refused,
    /// The head can still be replaced.
    Set(Head),
    /// `write` was called, so the head cannot be replaced any more. It has not been handed out.
    Committed(Head),
    /// The head was handed out to be sent.
    Sent,
}

/// The server's own `start_response`.
#[derive(Debug)]
pub(super) struct Start {
    /// How far the head has come.
    stage: Stage,
    /// The bytes that the application wrote, until they are taken.
    written: Vec<u8>,
}

impl Start {
    pub(super) fn new() -> Start {
        Start {
            stage: Stage::Unset,
            written: Vec::new(),
        }
    }

    /// Returns an error if no block may be sent yet.
    pub(super) fn check(&self) -> Result<(), AppError> {
        match self.stage {
            Stage::Unset => Err(AppError::BlockBeforeStart),
            Stage::Refused => Err(AppError::HeadRefused),
            Stage::Set(_) | Stage::Committed(_) | Stage::Sent => Ok(()),
        }
    }

    /// Hands out the head. After that it counts as sent.
    pub(super) fn send(&mut self) -> Result<Head, AppError> {
        self.check()?;
        match std::mem::replace(&mut self.stage, Stage::Sent) {
            Stage::Set(head) | Stage::Committed(head) => Ok(head),
            Stage::Unset | Stage::Refused | Stage::Sent => Err(AppError::HeadersAlreadySet),
        }
    }

    /// Returns the head, until it is handed out.
    pub(super) fn head(&self) -> Option<&Head> {
        match &self.stage {
            Stage::Set(head) | Stage::Committed(head) => Some(head),
            Stage::Unset | Stage::Refused | Stage::Sent => None,
        }
    }

    /// Returns whether `write` was called and the head is not handed out yet ([WSGI-13]).
    ///
    /// [WSGI-13]: crate::spec#wsgi-13
    pub(super) fn is_committed(&self) -> bool {
        matches!(self.stage, Stage::Committed(_))
    }

    /// Takes out the bytes that the application has written.
    pub(super) fn take_written(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.written)
    }

    fn set(&mut self, status: &str, headers: &[(&str, &str)]) -> HandlerResult {
        // It counts as called even if the checks fail (WSGI-7).
        self.stage = Stage::Refused;
        self.stage = Stage::Set(Head::check(status, headers)?);
        Ok(())
    }
}

impl StartResponse for Start {
    fn call(&mut self, status: &str, headers: &[(&str, &str)]) -> HandlerResult {
        match self.stage {
            Stage::Unset => self.set(status, headers),
            _ => Err(AppError::HeadersAlreadySet.into()),
        }
    }

    fn call_with_exc_info(
        &mut self,
        status: &str,
        headers: &[(&str, &str)],
        exc_info: Failure,
    ) -> HandlerResult {
        match self.stage {
            Stage::Unset | Stage::Refused | Stage::Set(_) => self.set(status, headers),
            Stage::Committed(_) | Stage::Sent => Err(exc_info),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> HandlerResult {
        match std::mem::replace(&mut self.stage, Stage::Refused) {
            Stage::Unset => {
                self.stage = Stage::Unset;
                return Err(AppError::WriteBeforeStart.into());
            }
            Stage::Refused => return Err(AppError::HeadRefused.into()),
            Stage::Set(head) | Stage::Committed(head) => self.stage = Stage::Committed(head),
            Stage::Sent => self.stage = Stage::Sent,
        }
        self.written.extend_from_slice(bytes);
        Ok(())
    }
}

/// A sink that drops everything, for a check that writes nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn put(&mut self, _: &[u8]) {}
}

impl Head {
    /// Checks the whole head now, so that no field can fail when a part of it is sent ([WSGI-9],
    /// [WSGI-22]).
    ///
    /// [WSGI-9]: crate::spec#wsgi-9
    /// [WSGI-22]: crate::spec#wsgi-22
    fn check(status: &str, headers: &[(&str, &str)]) -> Result<Head, AppError> {
        let (code, reason) = split_status(status)
            .filter(|(code, reason)| h1::status_line(&mut Nowhere, *code, reason).is_ok())
            .ok_or_else(|| AppError::Status(status.to_owned()))?;
        let lengths = headers.iter().map(|(name, value)| name.len() + value.len());
        let mut head = Head {
            code,
            reason: reason.to_owned(),
            lines: Vec::with_capacity(lengths.sum::<usize>() + headers.len() * ": \r\n".len()),
            content_length: None,
            sets_date: false,
            sets_server: false,
        };
        for &(name, value) in headers {
            head.add(name, value)?;
        }
        Ok(head)
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), AppError> {
        if is_hop_by_hop(name) {
            return Err(AppError::HopByHop(name.to_owned()));
        }
        if name.eq_ignore_ascii_case("Content-Length") {
            // If the client read another length from this, it would lose the end of the body.
            let length = length_of(value).filter(|_| self.content_length.is_none());
            let length = length.ok_or_else(|| AppError::ContentLength(value.to_owned()))?;
            self.content_length = Some(length);
            return Ok(());
        }
        self.sets_date |= name.eq_ignore_ascii_case("Date");
        self.sets_server |= name.eq_ignore_ascii_case("Server");
        h1::field(&mut self.lines, name, &field_value(value)).map_err(|error| match error {
            EncodeError::InvalidName => AppError::HeaderName(name.to_owned()),
            _ => AppError::HeaderValue(name.to_owned()),
        })
    }

    /// Returns whether a response with this status may have content ([WSGI-14]; 205: RFC 9110
    /// §15.3.6).
    ///
    /// [WSGI-14]: crate::spec#wsgi-14
    pub(super) fn has_content(&self) -> bool {
        !matches!(self.code, 204 | 205 | 304)
    }
}

/// Returns whether a field is about the connection and not about the response ([UTIL-8]).
///
/// An application must not set such a field. As in Python, `Trailers` is one of them, and the real
/// field `Trailer` is not.
///
/// ```
/// use serve_forever::wsgi::is_hop_by_hop;
///
/// assert!(is_hop_by_hop("Transfer-Encoding"));
/// assert!(!is_hop_by_hop("Content-Length"));
/// ```
///
/// [UTIL-8]: crate::spec#util-8
pub fn is_hop_by_hop(name: &str) -> bool {
    const HOP_BY_HOP: [&str; 8] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
    ];
    HOP_BY_HOP
        .iter()
        .any(|hop_by_hop| name.eq_ignore_ascii_case(hop_by_hop))
}

/// Splits `"200 OK"` into code and reason. `"200 "` has an empty reason; `"200"` is not a status
/// ([WSGI-9]).
///
/// [WSGI-9]: crate::spec#wsgi-9
fn split_status(status: &str) -> Option<(u16, &str)> {
    let (code, reason) = status.split_at_checked(3)?;
    let reason = reason.strip_prefix(' ')?;
    let digits = code.bytes().all(|byte| byte.is_ascii_digit());
    let code: u16 = code.parse().ok().filter(|_| digits)?;
    // After a 1xx the client would wait for the final response.
    (code >= 200 && reason.is_ascii()).then_some((code, reason))
}

/// Returns the number of a `Content-Length`.
fn length_of(value: &str) -> Option<u64> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(result: HandlerResult) -> String {
        result.map_or_else(|failure| failure.to_string(), |()| "ok".to_owned())
    }

    /// WSGI-9, with the *Better* notes: ASCII digits only, no control characters.
    #[test]
    fn statuses() {
        for good in ["200 OK", "200 ", "404 Not Found", "999 A  b"] {
            assert!(Head::check(good, &[]).is_ok(), "{good:?}");
        }
        let bad = [
            "",
            "200",
            "20 OK",
            "2000 OK",
            "2x0 OK",
            "200\tOK",
            " 200 OK",
            "200 O\r\nX: y",
            "٢٠٠ OK",
            "100 Continue",
            "099 No",
            "0200 OK",
            "+20 OK",
            "200 \u{e9}",
        ];
        for status in bad {
            let expected = Err(AppError::Status(status.to_owned()));
            assert_eq!(Head::check(status, &[]).map(|_| ()), expected, "{status:?}");
        }
    }

    /// WSGI-9, UTIL-8: `Trailer` is no hop-by-hop name, `Trailers` is.
    #[test]
    fn header_fields() {
        let cases: [(&str, &str, Option<AppError>); 11] = [
            ("X-A", "b c", None),
            ("X-A", "caf\u{e9}", None),
            ("Trailer", "X", None),
            ("X-A", "\u{20ac}", Some(AppError::HeaderValue("X-A".into()))),
            (
                "X-A",
                "b\r\nC: d",
                Some(AppError::HeaderValue("X-A".into())),
            ),
            ("X-A", "\0", Some(AppError::HeaderValue("X-A".into()))),
            ("X A", "b", Some(AppError::HeaderName("X A".into()))),
            ("", "b", Some(AppError::HeaderName(String::new()))),
            ("tRailers", "X", Some(AppError::HopByHop("tRailers".into()))),
            (
                "Content-Length",
                "+5",
                Some(AppError::ContentLength("+5".into())),
            ),
            (
                "Content-Length",
                "",
                Some(AppError::ContentLength(String::new())),
            ),
        ];
        for (name, value, expected) in cases {
            let found = Head::check("200 OK", &[(name, value)]).err();
            assert_eq!(found, expected, "{name:?}: {value:?}");
        }
        let twice = [("Content-Length", "5"), ("content-length", "5")];
        let found = Head::check("200 OK", &twice).err();
        assert_eq!(found, Some(AppError::ContentLength("5".into())));
    }

    /// WSGI-10: a write that came too early was not a call.
    #[test]
    fn a_write_before_the_call() {
        let mut start = Start::new();
        assert!(start.write(b"x").is_err());
        assert_eq!(text(start.call("200 OK", &[])), "ok");
        assert_eq!(start.take_written(), b"");
        assert!(!start.is_committed());
    }

    /// WSGI-7: state is stored before it is checked; WSGI-8: exc_info replaces what is unsent.
    #[test]
    fn a_second_call_needs_exc_info() {
        let mut start = Start::new();
        assert_eq!(text(start.write(b"x")), "write() before start_response()");
        assert!(start.call("nonsense", &[]).is_err());
        assert_eq!(text(start.call("200 OK", &[])), "headers already set");
        assert_eq!(start.check(), Err(AppError::HeadRefused));
        let refused = AppError::HeadRefused.to_string();
        assert_eq!(text(start.write(b"x")), refused);
        let lost = || Failure::from(AppError::ContentLength("lost".into()));
        assert_eq!(text(start.call_with_exc_info("500 No", &[], lost())), "ok");
        assert_eq!(text(start.call_with_exc_info("503 No", &[], lost())), "ok");
        assert_eq!(text(start.write(b"x")), "ok");
        let again = start.call_with_exc_info("500 No", &[], lost());
        assert_eq!(text(again), lost().to_string());
        assert_eq!(start.send().map(|head| head.code), Ok(503));
        assert_eq!(start.take_written(), b"x");
        assert_eq!(text(start.write(b"y")), "ok");
        assert_eq!(text(start.call("200 OK", &[])), "headers already set");
    }
}
