//! A request whose answer takes more than one call: the content still on its way in, the answer
//! still on its way out.
//!
//! The two halves are separate, and joined in one place: [`Exchange::verdict`] says what the
//! connection waits for.

use std::mem;
use std::time::{Duration, Instant};

use crate::http::access::{Origin, Record, Subject};
use crate::http::body::Streaming;
use crate::http::deferred::{Message, Pushing};
use crate::http::h1;
use crate::http::incoming::Incoming;
use crate::http::intake::{BodySink, Uptake};
use crate::http::reader::{Inflow, Inflowing};
use crate::http::response::Terms;
use crate::reactor::Now;
use crate::socketserver::{Buffer, Failure, Next, contain};

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) terms: Terms,
    pub(super) record: Record,
    /// When the request began to arrive.
    pub(super) began: Instant,
    /// The status of the answer, once it is known.
    pub(super) code: Option<u16>,
    /// How long the answer may take where it is not the client that is waited for.
    pub(super) patience: Duration,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
}

/// The content of the request.
#[derive(Debug)]
pub(super) enum Inbound {
    /// It has arrived.
    Done,
    Receiving(Box<Receiving>),
    /// It, or the rest of it, is not wanted: the connection cannot go on after the answer.
    Unwanted,
}

/// The content of the answer.
#[derive(Debug)]
pub(super) enum Outbound {
    /// There is no answer yet.
    Awaited,
    Pulled(Box<Streaming>),
    /// As `Pulled`, and a worker is at it.
    Away {
        sent: u64,
        ends_with_the_connection: bool,
    },
    Pushed(Pushing),
}

impl Exchange {
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            origin: Origin::Record(&self.record),
            began: self.began,
        }
    }

    /// What the connection waits for.
    pub(super) fn verdict(&self) -> Next<Message> {
        match (&self.outbound, &self.inbound) {
            (Outbound::Pulled(_), _) => Next::Produce,
            (_, Inbound::Receiving(receiving)) if receiving.paused.is_none() => Next::Read,
            _ => Next::Wait,
        }
    }

    /// Until when there must be progress, which there was last at `since`.
    pub(super) fn deadline(&self, since: Instant) -> Option<Instant> {
        match (&self.outbound, &self.inbound) {
            // The owner of the connection sees to a client that does not read.
            (Outbound::Pulled(_), _) => None,
            (_, Inbound::Receiving(receiving)) if receiving.paused.is_none() => {
                receiving.incoming.deadline(since)
            }
            (Outbound::Awaited | Outbound::Away { .. }, _) => since.checked_add(self.patience),
            // Nobody says how soon there must be something to push.
            (Outbound::Pushed(_), _) => None,
        }
    }

    /// Whether it is the client that is waited for.
    pub(super) fn awaits_client(&self) -> bool {
        matches!(self.verdict(), Next::Read)
    }

    /// Whether an answer has begun.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.outbound, Outbound::Awaited)
    }

    /// Whether only a reset can tell the client that the answer is not whole.
    pub(super) fn ends_with_the_connection(&self) -> bool {
        match &self.outbound {
            Outbound::Awaited => false,
            Outbound::Pulled(streaming) => streaming.framer.ends_with_the_connection(),
            Outbound::Pushed(pushing) => pushing.framer.ends_with_the_connection(),
            Outbound::Away {
                ends_with_the_connection,
                ..
            } => *ends_with_the_connection,
        }
    }

    /// Bytes of content that were sent.
    pub(super) fn sent(&self) -> u64 {
        match &self.outbound {
            Outbound::Awaited => 0,
            Outbound::Pulled(streaming) => streaming.framer.sent(),
            Outbound::Pushed(pushing) => pushing.framer.sent(),
            Outbound::Away { sent, .. } => *sent,
        }
    }

    /// Takes the content of the request to have ended, and what it was taken into out of there.
    pub(super) fn end_inbound(&mut self, whole: bool) -> Option<Box<Receiving>> {
        let end = match whole {
            true => Inbound::Done,
            false => Inbound::Unwanted,
        };
        match mem::replace(&mut self.inbound, end) {
            Inbound::Receiving(receiving) => Some(receiving),
            Inbound::Done => {
                self.inbound = Inbound::Done;
                None
            }
            Inbound::Unwanted => None,
        }
    }
}

/// Content that is taken as it arrives.
#[derive(Debug)]
pub(super) struct Receiving {
    incoming: Incoming,
    pub(super) inlet: Inlet,
    pub(super) trailers: Vec<u8>,
    /// The client waits to be asked for it.
    ask: bool,
    /// Since when nothing is read, because nobody would take it.
    paused: Option<Instant>,
}

/// Where content goes.
#[derive(Debug)]
pub(super) enum Inlet {
    Sink(Box<dyn BodySink>),
    Reader(Inflow),
}

/// How far content has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrived {
    /// There is more.
    Part,
    /// That was all.
    Whole,
    /// No more is wanted.
    Enough,
}

/// Why content cannot be taken.
#[derive(Debug)]
pub(super) enum Untaken {
    /// It is none.
    Malformed(h1::Error),
    /// The handler failed.
    Failed(Failure),
}

impl Receiving {
    /// A sink wants its content at once; a reader when it is first read, if it has to `ask`.
    pub(super) fn new(
        incoming: Incoming,
        inlet: Inlet,
        ask: bool,
        output: &mut Buffer,
        now: &Now,
    ) -> Receiving {
        let waits = ask && matches!(inlet, Inlet::Reader(_));
        let mut receiving = Receiving {
            incoming,
            inlet,
            trailers: Vec::new(),
            ask,
            paused: waits.then_some(now.instant()),
        };
        if !waits {
            receiving.ask(output);
        }
        receiving
    }

    /// Asks for the content, once, if the client waits for that (RFC 9110 §10.1.1).
    fn ask(&mut self, output: &mut Buffer) {
        if mem::take(&mut self.ask) {
            output.extend_from_slice(h1::CONTINUE);
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// The reader wants more. `output`: where the client can be asked for it, which it cannot in
    /// the middle of an answer.
    pub(super) fn go_on(&mut self, output: Option<&mut Buffer>, now: &Now) {
        if matches!(&self.inlet, Inlet::Reader(inflow) if inflow.is_full()) {
            return; // it has fallen behind again since
        }
        if let Some(output) = output {
            self.ask(output);
        }
        if let Some(since) = self.paused.take() {
            let pause = now.instant().saturating_duration_since(since);
            self.incoming.forgive(pause);
        }
    }

    /// Hands on what has arrived.
    pub(super) fn take_in(&mut self, input: &mut Buffer, now: &Now) -> Result<Arrived, Untaken> {
        let progress = self.incoming.decode(input).map_err(Untaken::Malformed)?;
        let (content, rest) = input.split_at(progress.content);
        if let Some(trailers) = rest.get(..progress.trailers) {
            self.trailers.extend_from_slice(trailers);
        }
        let wanted = match &mut self.inlet {
            Inlet::Sink(_) if content.is_empty() => true,
            Inlet::Sink(sink) => {
                let uptake = contain(|| sink.block(content)).map_err(Untaken::Failed)?;
                uptake == Uptake::More
            }
            Inlet::Reader(inflow) => match inflow.block(content, progress.complete) {
                Inflowing::More => true,
                Inflowing::Full => {
                    self.paused = Some(now.instant());
                    true
                }
                Inflowing::Unread => false,
            },
        };
        input.consume(progress.consumed);
        Ok(match (progress.complete, wanted) {
            (true, _) => Arrived::Whole,
            (false, true) => Arrived::Part,
            (false, false) => Arrived::Enough,
        })
    }
}
