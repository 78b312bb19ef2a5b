//! A request whose body is kept until it has arrived whole.

use std::ops::Range;
use std::time::Instant;

use crate::http::access::{Origin, Record, Subject};
use crate::http::body_budget::BodyShare;
use crate::http::h1::{self, HeadLayout};
use crate::http::request_body::RequestBody;
use crate::reactor::Now;
use crate::socketserver::Buffer;

/// A request whose body is still to come. The input holds, in this order: the head, the body so
/// far, the trailer section so far, and bytes that are not decoded yet.
#[derive(Debug)]
pub(super) struct WholeBody {
    /// Where the head is in the input.
    head: Range<usize>,
    /// Where its parts are.
    layout: HeadLayout,
    /// The length of the body so far.
    body: usize,
    /// The length of the trailer section so far.
    trailers: usize,
    /// Decodes the body.
    request_body: RequestBody,
    /// Its part of the budget.
    share: BodyShare,
    /// When the request began to arrive.
    began: Instant,
    /// The request for the log, if the body never becomes whole.
    record: Record,
}

/// Where the parts of a whole request are in the input.
pub(super) struct Parts {
    /// Request line, fields and empty line.
    pub(super) head: Range<usize>,
    /// The body, without its coding.
    pub(super) body: Range<usize>,
    /// The trailer fields; empty unless the body was chunked.
    pub(super) trailers: Range<usize>,
}

/// Why the body is not kept.
pub(super) enum Unkept {
    /// It is malformed, or exceeds a limit of its own.
    Malformed(h1::Error),
    /// There is no room for it beside the bodies of other clients.
    NoRoom,
}

impl WholeBody {
    /// Creates a request before any of its body is looked at.
    pub(super) fn new(
        head: Range<usize>,
        layout: HeadLayout,
        request_body: RequestBody,
        share: BodyShare,
        began: Instant,
        record: Record,
    ) -> WholeBody {
        WholeBody {
            head,
            layout,
            body: 0,
            trailers: 0,
            request_body,
            share,
            began,
            record,
        }
    }

    /// Does not count the time by which the loop was late, if it was; the last byte came at `since`.
    pub(super) fn forgive_lateness(&mut self, since: Option<Instant>, now: &Now) {
        self.request_body.forgive_lateness(since, now);
    }

    /// Takes in what has arrived since the last call. Returns whether the request is whole.
    pub(super) fn take_in(&mut self, input: &mut Buffer) -> Result<bool, Unkept> {
        // What if trailers are here already? They come last, so no more of the body can follow
        // them.
        let known = self.head.end + self.body + self.trailers;
        let decoded = self.request_body.decode(&mut input[known..]);
        let progress = decoded.map_err(Unkept::Malformed)?;
        if !self.share.grow(progress.content + progress.trailers) {
            return Err(Unkept::NoRoom);
        }
        self.body += progress.content;
        self.trailers += progress.trailers;
        let end = self.head.end + self.body + self.trailers;
        // The decoder has put the decoded bytes first. Remove the coding behind them, so that the
        // next bytes join them.
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

    /// Returns the layout of the head, and the body's part of the budget. The caller drops that
    /// together with the body.
    pub(super) fn into_layout_and_share(self) -> (HeadLayout, BodyShare) {
        (self.layout, self.share)
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

    /// Returns until when more must have arrived, if the last came at `since`.
    pub(super) fn deadline(&self, since: Instant) -> Option<Instant> {
        self.request_body.deadline(since)
    }
}
