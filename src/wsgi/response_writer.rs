//! The response of a [`SimpleHandler`](super::SimpleHandler), each part written as soon as it
//! exists.

use std::io::{self, Write};

use super::start_response::{Head, Start, StartResponse};
use crate::http::h1::{self, Sink};
use crate::http::{ResponseError, format_date_time};
use crate::reactor::Now;
use crate::socketserver::HandlerResult;

/// A response on its way out.
pub(super) struct ResponseWriter<W> {
    /// Where the response goes.
    stdout: W,
    /// How the head is written.
    pub(super) form: Form,
    /// The `Server` field, if there is to be one.
    pub(super) server_software: Option<String>,
    /// The request is a HEAD request: its client takes no body.
    pub(super) head_only: bool,
    /// How far the response has come.
    stage: Stage,
    /// The error of `stdout`, after which nothing more is written.
    pub(super) failure: Option<io::Error>,
}

/// How a head is written, which depends on who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// An HTTP client reads it: a status line, `Date` and `Server`.
    Http,
    /// A client of HTTP/0.9 reads it, which knows no head: none is written ([WSGI-16]).
    ///
    /// [WSGI-16]: crate::spec#wsgi-16
    BodyOnly,
    /// A web server reads it: a `Status` field, as in CGI ([WSGI-29]).
    ///
    /// [WSGI-29]: crate::spec#wsgi-29
    Cgi,
}

/// How far the response has come.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Nothing is written.
    Unsent,
    /// The head is written. This much of the body is left, if its length is known.
    Begun(Option<u64>),
}

/// How much of the announced length is left after a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Some is left, or the length is not known.
    Left,
    /// Nothing is left.
    Filled,
    /// The block was longer than what was left, and is cut.
    Exceeded,
}

impl<W: Write> ResponseWriter<W> {
    pub(super) fn new(stdout: W) -> ResponseWriter<W> {
        ResponseWriter {
            stdout,
            form: Form::Http,
            server_software: None,
            head_only: false,
            stage: Stage::Unsent,
            failure: None,
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        matches!(self.stage, Stage::Begun(_))
    }

    /// Returns whether the body is shorter than announced.
    pub(super) fn is_short(&self) -> bool {
        matches!(self.stage, Stage::Begun(Some(1..)))
    }

    pub(super) fn is_without_content(&self, head: &Head) -> bool {
        self.head_only || !head.has_content()
    }

    /// Writes bytes that the application passed to `write()`. All of them have left when this
    /// returns ([WSGI-10]).
    ///
    /// [WSGI-10]: crate::spec#wsgi-10
    pub(super) fn write_now(&mut self, start: &mut Start, bytes: &[u8]) -> HandlerResult {
        // From here on the application cannot replace the head.
        start.write(b"")?;
        let Some(head) = start.head() else {
            return Ok(());
        };
        match self.write(head, None, bytes) {
            Ok(Room::Exceeded) => Err(ResponseError::TooLong.into()),
            Ok(Room::Left | Room::Filled) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes as much of `block` as there is room for, in as many pieces as it takes ([WSGI-23]).
    /// The first call writes the head before it. The length of the body is the one that the
    /// application announced, or else `whole`.
    ///
    /// [WSGI-23]: crate::spec#wsgi-23
    pub(super) fn write(
        &mut self,
        head: &Head,
        whole: Option<u64>,
        block: &[u8],
    ) -> io::Result<Room> {
        let mut bytes = Vec::new();
        let left = match self.stage {
            Stage::Begun(left) => left,
            Stage::Unsent => {
                let length = head.content_length.or(whole);
                self.put_head(&mut bytes, head, length);
                length
            }
        };
        self.stage = Stage::Begun(left);
        if self.is_without_content(head) {
            self.send(&bytes)?;
            return Ok(Room::Left);
        }
        let room = left.map_or(usize::MAX, |left| {
            usize::try_from(left).unwrap_or(usize::MAX)
        });
        let (block, excess) = block.split_at(block.len().min(room));
        let left = left.map(|left| left - block.len() as u64);
        self.stage = Stage::Begun(left);
        match bytes.is_empty() {
            true => self.send(block)?,
            false => {
                bytes.put(block);
                self.send(&bytes)?;
            }
        }
        Ok(match (excess, left) {
            ([], Some(0)) => Room::Filled,
            ([], _) => Room::Left,
            _ => Room::Exceeded,
        })
    }

    /// Sends all of `bytes`, unless an earlier write has failed.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(error) = &self.failure {
            return Err(error.kind().into());
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let sent = self.stdout.write_all(bytes);
        sent.and_then(|()| self.stdout.flush()).map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            kind.into()
        })
    }

    /// Puts the head into `output`, in Python's order ([WSGI-15]).
    ///
    /// [WSGI-15]: crate::spec#wsgi-15
    fn put_head(&self, output: &mut Vec<u8>, head: &Head, length: Option<u64>) {
        let status = format!("{} {}", head.code, head.reason);
        match self.form {
            Form::BodyOnly => return,
            Form::Cgi => put_line(output, "Status: ", status.as_bytes()),
            Form::Http => {
                put_line(output, "HTTP/1.0 ", status.as_bytes());
                if !head.sets_date {
                    let date = format_date_time(Now::new().wall());
                    put_line(output, "Date: ", date.as_bytes());
                }
                if let (false, Some(software)) = (head.sets_server, &self.server_software) {
                    put_line(output, "Server: ", software.as_bytes());
                }
            }
        }
        output.put(&head.lines);
        match (head.code, length) {
            // Without a length, a client would wait for content of a 205 (RFC 9110 §15.3.6).
            (205, _) => h1::content_length(output, 0),
            (204 | 304, _) | (_, None) => {}
            // An application may know that a HEAD request needs no body. Then the length is not
            // that of the response to a GET (RFC 9110 §8.6).
            (_, Some(0)) if self.head_only && head.content_length.is_none() => {}
            (_, Some(length)) => h1::content_length(output, length),
        }
        h1::end_of_fields(output);
    }
}

/// Puts a line of the head. `start_response` has checked what applications put there.
fn put_line(output: &mut Vec<u8>, begin: &str, rest: &[u8]) {
    output.put(begin.as_bytes());
    output.put(rest);
    output.put(b"\r\n");
}
