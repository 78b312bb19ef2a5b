//! A request whose body is kept until it has arrived whole.

use std::ops::Range;
use std::time::Instant;

use crate::http::access::{Origin, Record, Subject};
use crate::http::h1;
use crate::http::incoming::Incoming;
use crate::socketserver::Buffer;

/// A request whose body is still to come. In the input stand, in this order: the head, the body
/// so far, the trailer section so far, bytes that are not decoded yet.
#[derive(Debug)]
pub(super) struct Pending {
    head: Range<usize>,
    /// The length of the body so far.
    body: usize,
    /// The length of the trailer section so far.
    trailers: usize,
    incoming: Incoming,
    /// When the request began to arrive.
    began: Instant,
    /// For the log, if the body never becomes whole.
    record: Record,
}

/// Where the parts of a whole request stand in the input.
pub(super) struct Parts {
    pub(super) head: Range<usize>,
    pub(super) body: Range<usize>,
    pub(super) trailers: Range<usize>,
}

impl Pending {
    /// None of the body has been looked at.
    pub(super) fn new(
        head: Range<usize>,
        incoming: Incoming,
        began: Instant,
        record: Record,
    ) -> Pending {
        Pending {
            head,
            body: 0,
            trailers: 0,
            incoming,
            began,
            record,
        }
    }

    /// Takes in what has arrived since the last call. Returns whether the request is whole.
    pub(super) fn take_in(&mut self, input: &mut Buffer) -> Result<bool, h1::Error> {
        let known = self.head.end + self.body + self.trailers;
        let progress = self.incoming.decode(&mut input[known..])?;
        self.body += progress.content;
        self.trailers += progress.trailers;
        let end = self.head.end + self.body + self.trailers;
        input.remove(end..known + progress.consumed);
        Ok(progress.complete)
    }

    pub(super) fn parts(&self) -> Parts {
        let body = self.head.end..self.head.end + self.body;
        let trailers = body.end..body.end + self.trailers;
        Parts {
            head: self.head.clone(),
            body,
            trailers,
        }
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            origin: Origin::Record(&self.record),
            began: self.began,
        }
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Until when more must have arrived, if the last came at `since`.
    pub(super) fn deadline(&self, since: Instant) -> Option<Instant> {
        self.incoming.deadline(since)
    }
}
