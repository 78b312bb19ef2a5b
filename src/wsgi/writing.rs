//! `write()` of an application that a worker runs: what it is given leaves at once (WSGI-10).
//!
//! On the loop's thread nothing can leave before the application returns; there it is kept until
//! then, by [`Start`].

use std::io::{self, ErrorKind, Write};
use std::mem;

use super::start_response::{Head, Start, StartResponse};
use crate::http::{BodySource, Reply, Response, ResponseHead, ResponseStream};
use crate::socketserver::{Failure, HandlerResult};

/// The answer that an application may begin by writing.
pub(super) enum Output<'a> {
    /// Nothing is written.
    Unsent(Response<'a>),
    Written(Written),
    /// The client was gone when the answer was to begin.
    Gone,
}

/// An answer that has begun with what was written.
pub(super) struct Written {
    stream: ResponseStream,
    reply: Reply,
}

impl Output<'_> {
    fn write(&mut self, head: &Head, bytes: &[u8]) -> HandlerResult {
        *self = match mem::replace(self, Output::Gone) {
            Output::Unsent(response) => {
                let (deferred, reply) = response.defer();
                let stream = deferred.stream(|response| send_headers(head, response))?;
                Output::Written(Written { stream, reply })
            }
            output => output,
        };
        match self {
            Output::Written(written) => Ok(written.stream.write_all(bytes)?),
            _ => Err(io::Error::from(ErrorKind::BrokenPipe).into()),
        }
    }
}

/// Writes the head in Python's order: Date and Server unless set, then the application's fields
/// (WSGI-15).
pub(super) fn send_headers<'a>(head: &Head, response: Response<'a>) -> ResponseHead<'a> {
    let mut sent = response.send_response_only(head.code, &head.reason);
    if !head.sets("Date") {
        sent = sent.send_date();
    }
    if !head.sets("Server") {
        sent = sent.send_server();
    }
    for (name, value) in &head.headers {
        sent = sent.send_header(name, value);
    }
    sent
}

impl Written {
    /// Sends the rest of the answer.
    pub(super) fn finish(mut self, mut rest: impl BodySource) -> Reply {
        loop {
            match rest.next_block() {
                // Err: the client is gone, or has got all that was announced.
                Ok(Some(block)) if self.stream.write_all(&block).is_err() => break,
                Ok(Some(_)) => {}
                Ok(None) => {
                    // Err: so it is when it comes to the end.
                    let _ = self.stream.finish();
                    break;
                }
                Err(failure) => return self.fail(failure),
            }
        }
        self.reply
    }

    /// Breaks the answer off (WSGI-19).
    pub(super) fn fail(self, failure: Failure) -> Reply {
        self.stream.fail(failure);
        self.reply
    }
}

/// The application's `start_response`.
pub(super) struct Writing<'a, 'r> {
    pub(super) start: &'a mut Start,
    pub(super) output: &'a mut Output<'r>,
    /// What is written can leave before the application returns, and the client wants it.
    pub(super) leaves: bool,
}

impl StartResponse for Writing<'_, '_> {
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
        if !self.leaves {
            return self.start.write(bytes);
        }
        // The head counts as sent, and is.
        self.start.write(b"")?;
        match self.start.head() {
            Some(head) if head.has_content() => self.output.write(head, bytes),
            _ => Ok(()),
        }
    }
}
