//! The body of a request on its way to the program: to a sink on the loop, or to a reader on
//! another thread.

use std::mem;
use std::time::Instant;

use super::io::Io;
use crate::http::body_policy::Want;
use crate::http::body_reader::{BodySender, Sent};
use crate::http::h1;
use crate::http::request_body::RequestBody;
use crate::http::written::ContentSink;
use crate::reactor::Now;
use crate::socketserver::{Buffer, Failure, contain};

/// A body that is taken as it arrives.
#[derive(Debug)]
pub(super) struct StreamedBody {
    /// Decodes the body.
    request_body: RequestBody,
    /// Where the body goes.
    inlet: Inlet,
    /// The trailer section, as far as it has arrived.
    trailers: Vec<u8>,
    /// The client waits for `100 Continue` before it sends the body.
    ask: bool,
    /// Since when nothing is read: the reader is behind, or has not begun.
    paused: Option<Instant>,
}

/// Where the body goes.
#[derive(Debug)]
pub(super) enum Inlet {
    /// To a sink, on the loop.
    Sink(Box<dyn ContentSink>),
    /// To a reader, on another thread.
    Reader(BodySender),
}

/// How far the body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrived {
    /// There is more to come.
    Part,
    /// That was all.
    Whole,
    /// No more is wanted.
    Enough,
}

/// Why the body cannot be taken.
#[derive(Debug)]
pub(super) enum Untaken {
    /// It is malformed, or exceeds a limit.
    Malformed(h1::Error),
    /// The sink failed.
    Failed(Failure),
}

impl StreamedBody {
    /// Begins to receive. A sink wants the body immediately. A reader that has to `ask` wants it at
    /// its first read.
    pub(super) fn new(
        request_body: RequestBody,
        inlet: Inlet,
        ask: bool,
        io: &mut Io<'_>,
    ) -> StreamedBody {
        let waits = ask && matches!(inlet, Inlet::Reader(_));
        let mut receiving = StreamedBody {
            request_body,
            inlet,
            trailers: Vec::new(),
            ask,
            paused: waits.then_some(io.now.instant()),
        };
        if !waits {
            receiving.ask(io.output);
        }
        receiving
    }

    /// Asks for the body, once, if the client waits for that (RFC 9110 §10.1.1).
    fn ask(&mut self, output: &mut Buffer) {
        if mem::take(&mut self.ask) {
            output.extend_from_slice(h1::CONTINUE);
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Returns until when more must have arrived, if the last came at `since`.
    pub(super) fn deadline(&self, since: Instant) -> Option<Instant> {
        self.request_body.deadline(since)
    }

    /// The reader wants more. If the response has `begun`, the client cannot be asked any more:
    /// `100 Continue` would stand in the middle of it.
    pub(super) fn go_on(&mut self, begun: bool, io: &mut Io<'_>) {
        if matches!(&self.inlet, Inlet::Reader(sender) if sender.is_full()) {
            return; // What if it has fallen behind again since it sent this? It will send it again.
        }
        if !begun {
            self.ask(io.output);
        }
        if let Some(since) = self.paused.take() {
            let pause = io.now.instant().saturating_duration_since(since);
            self.request_body.forgive(pause);
        }
    }

    /// Hands on what has arrived. The last byte came at `since`.
    pub(super) fn take_in(
        &mut self,
        input: &mut Buffer,
        since: Option<Instant>,
        now: &Now,
    ) -> Result<Arrived, Untaken> {
        self.request_body.forgive_lateness(since, now);
        let progress = self
            .request_body
            .decode(input)
            .map_err(Untaken::Malformed)?;
        let (content, rest) = input.split_at(progress.content);
        if let Some(trailers) = rest.get(..progress.trailers) {
            self.trailers.extend_from_slice(trailers);
        }
        let wanted = match &mut self.inlet {
            // Only framing has arrived, or the end. A sink gets no empty blocks.
            Inlet::Sink(_) if content.is_empty() => true,
            Inlet::Sink(sink) => {
                let uptake = contain(|| sink.block(content)).map_err(Untaken::Failed)?;
                uptake == Want::More
            }
            Inlet::Reader(sender) => match sender.block(content) {
                Sent::More => true,
                Sent::Full => {
                    self.paused = Some(now.instant());
                    true
                }
                Sent::Unread => false,
            },
        };
        input.consume(progress.consumed);
        // What if no more is wanted, and this was the end? Then the connection can go on after the
        // response.
        Ok(match (progress.complete, wanted) {
            (true, _) => Arrived::Whole,
            (false, true) => Arrived::Part,
            (false, false) => Arrived::Enough,
        })
    }

    /// Returns where the body went, and its trailer section.
    pub(super) fn into_inlet(self) -> (Inlet, Vec<u8>) {
        (self.inlet, self.trailers)
    }
}
