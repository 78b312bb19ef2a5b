//! `write()`: the body of a response, begun by the application itself ([WSGI-10]).
//!
//! On a worker, bytes that an application writes leave immediately. On the loop's thread nothing
//! can leave before the application returns, so [`Start`] keeps the bytes until then.
//!
//! [WSGI-10]: crate::spec#wsgi-10

use std::io::{self, ErrorKind, Write};
use std::mem;

use super::start_response::{Head, Start, StartResponse};
use crate::http::{BodySource, Reply, Response, ResponseHead, ResponseStream};
use crate::socketserver::{Failure, HandlerResult};

/// The `start_response` that an application gets: `start`, with a `write()` of the handler's.
pub(super) struct Writing<'a, W> {
    /// Takes the head.
    pub(super) start: &'a mut Start,
    /// Takes the bytes of `write()`.
    pub(super) write: W,
}

impl<W> StartResponse for Writing<'_, W>
where
    W: FnMut(&mut Start, &[u8]) -> HandlerResult + Send,
{
    fn call(&mut self, status: &str, headers: &[(&str, &str)]) -> HandlerResult {
        self.start.call(status, headers)
    }

    fn call_with_exc_info(
        &mut self,
        status: &str,
        headers: &[(&str, &str)],
        exc_info: Failure,
    ) -> HandlerResult {
        self.start.call_with_exc_info(status, headers, exc_info)
    }

    fn write(&mut self, bytes: &[u8]) -> HandlerResult {
        (self.write)(self.start, bytes)
    }
}

/// The response of a worker's application, which may begin it by `write()`.
pub(super) enum Outgoing<'a> {
    /// Nothing has been written.
    Unsent(Response<'a>),
    /// The head is sent, with the bytes that were written.
    Begun(Begun),
    /// The client had disconnected when the response was to begin.
    Gone,
}

/// A response that has begun with bytes that the application wrote.
pub(super) struct Begun {
    /// Takes the rest of the body.
    stream: ResponseStream,
    /// The handler's result.
    reply: Reply,
}

impl Outgoing<'_> {
    /// Sends the head, if this is the first call, and `bytes`.
    pub(super) fn write(&mut self, start: &mut Start, bytes: &[u8]) -> HandlerResult {
        // From here on the application cannot replace the head.
        start.write(b"")?;
        match start.head() {
            Some(head) if head.has_content() => self.send(head, bytes),
            _ => Ok(()),
        }
    }

    fn send(&mut self, head: &Head, bytes: &[u8]) -> HandlerResult {
        *self = match mem::replace(self, Outgoing::Gone) {
            Outgoing::Unsent(response) => {
                let (deferred, reply) = response.defer();
                let stream = deferred.stream(|response| send_headers(head, response))?;
                Outgoing::Begun(Begun { stream, reply })
            }
            begun => begun,
        };
        match self {
            Outgoing::Begun(begun) => Ok(begun.stream.write_all(bytes)?),
            _ => Err(io::Error::from(ErrorKind::BrokenPipe).into()),
        }
    }
}

impl Begun {
    /// Sends the rest of the response. If the application failed, breaks it off ([WSGI-19]).
    ///
    /// [WSGI-19]: crate::spec#wsgi-19
    pub(super) fn finish(mut self, rest: Result<impl BodySource, Failure>) -> Reply {
        match rest.and_then(|rest| self.send_rest(rest)) {
            // Ignore the error: the connection itself notices a body that is too short.
            Ok(Sent::All) => drop(self.stream.finish()),
            Ok(Sent::Enough) => {}
            Err(failure) => self.stream.fail(failure),
        }
        self.reply
    }

    fn send_rest(&mut self, mut rest: impl BodySource) -> Result<Sent, Failure> {
        while let Some(block) = rest.next_block()? {
            if self.stream.write_block(block).is_err() {
                return Ok(Sent::Enough);
            }
        }
        Ok(Sent::All)
    }
}

/// How much of the rest was sent.
enum Sent {
    /// All of it.
    All,
    /// The client has disconnected, or has got all that was announced.
    Enough,
}

/// Sends the head in Python's order: `Date` and `Server` unless the application has set them, then
/// its fields ([WSGI-15]).
///
/// [WSGI-15]: crate::spec#wsgi-15
pub(super) fn send_headers<'a>(head: &Head, response: Response<'a>) -> ResponseHead<'a> {
    let mut sent = response.send_response_only(head.code, &head.reason);
    if !head.sets_date {
        sent = sent.first_date();
    }
    if !head.sets_server {
        sent = sent.first_server();
    }
    sent.checked_fields(&head.lines, head.content_length)
}
