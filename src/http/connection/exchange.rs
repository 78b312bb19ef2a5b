//! A request whose response takes more than one call: the state, and what each event does to it.
//!
//! Everything that changes the state is in this file, and nothing here reads a socket or a clock.
//! An exchange has two halves, which know nothing of each other: [`Inbound`], the body of the
//! request, and [`Outbound`], the response. Each event returns a [`Verdict`], and the connection
//! follows it.
//!
//! | event | outbound `Awaited` | `Pulled` | `Coming` |
//! | --- | --- | --- | --- |
//! | news without a head: `Await` | an interim response is sent | – | – |
//! | news without a head: `GoOn` | – | – | a part of the body is sent |
//! | news with a head: `GoOn` | → `Coming` | – | – |
//! | … `Pull` | → `Pulled` | – | → `Pulled` (news without a head) |
//! | … `End` | `Ended` | – | `Ended` (news without a head) |
//! | … `Upgrade` | `Upgraded`, or `Failed` if the body is not whole | – | – |
//! | news: `Fail` | `Failed`: a 500 | – | `Failed`: broken off |
//! | room in the output ([`pull`](Exchange::pull)) | – | a block is sent; → `Coming` if a worker pulls | – |
//!
//! | event | inbound `Done` | `Receiving` | `Receiving`, paused | `Unwanted` |
//! | --- | --- | --- | --- | --- |
//! | part of the body arrives | – | handed on; paused if the reader is behind | – | – |
//! | its end arrives | – | → `Done`; `Finish` if a sink took it | – | – |
//! | the sink or reader wants no more | – | → `Unwanted`; `Finish` if a sink took it | – | – |
//! | it is malformed | – | `Malformed` | – | – |
//! | news: `Read` | – | – | goes on | – |
//!
//! “–” means that the event comes too late or too early, and changes nothing.

use std::mem;
use std::time::{Duration, Instant};

use super::io::Io;
use super::receiving::{Arrived, Inlet, Receiving, Untaken};
use crate::http::access::{Origin, Record, Subject};
use crate::http::body::{Ending, Streaming};
use crate::http::content::section;
use crate::http::h1;
use crate::http::incoming::Incoming;
use crate::http::message::{Message, News, Notes, OpenHead, Pushed, Then, Upgrade};
use crate::http::response_error::ResponseError;
use crate::http::terms::Terms;
use crate::http::written::{Content, ContentSink, Outcome, Reading, Written, end_head};
use crate::socketserver::{Buffer, Failure, Next, Pool, contain};

/// One request and its response.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) terms: Terms,
    /// What the log is told of the request.
    pub(super) record: Record,
    /// When the request began to arrive.
    pub(super) began: Instant,
    /// How long the response may take where the client is not waited for.
    pub(super) patience: Duration,
    /// The status of the response, once it is known.
    pub(super) code: Option<u16>,
    /// The head that was sent says that the connection ends.
    pub(super) close: bool,
    /// What the connection has to report.
    pub(super) notes: Option<Box<Notes>>,
    inbound: Inbound,
    outbound: Outbound,
}

/// The body of the request.
#[derive(Debug)]
enum Inbound {
    /// It has arrived.
    Done,
    Receiving(Box<Receiving>),
    /// It, or the rest of it, is not wanted: the connection cannot go on after the response.
    Unwanted,
}

/// The response.
#[derive(Debug)]
enum Outbound {
    /// It has not begun.
    Awaited,
    /// The loop pulls its body.
    Pulled(Box<Streaming>),
    /// Another thread sends its body.
    Coming(Coming),
}

/// A body that another thread sends.
#[derive(Debug)]
struct Coming {
    /// Bytes of the body so far.
    sent: u64,
    /// Only a reset can say that it is not whole.
    close_delimited: bool,
    /// `None`: a worker pulls it, which has its patience.
    pushed: Option<Pushed>,
}

/// What the connection has to do after an event.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Wait on; the deadline stays.
    Wait,
    /// Wait on; there was progress, so the deadline starts anew.
    GoOn,
    /// A sink has all that it wants, with this trailer section: let it respond.
    Finish(Box<dyn ContentSink>, Vec<u8>),
    /// Let a worker pull the next blocks.
    Offload(Pool, Box<Streaming>),
    /// The response is complete.
    Ended(Ending),
    /// Another protocol takes over.
    Upgraded(Upgrade),
    /// The program has failed: send a 500, or break the response off if it has begun.
    Failed(Failure),
    /// The body of the request is malformed: refuse it, or break the response off.
    Malformed(h1::Error),
}

impl Exchange {
    /// A request whose handler was just called.
    pub(super) fn new(
        terms: Terms,
        record: Record,
        began: Instant,
        patience: Duration,
    ) -> Exchange {
        Exchange {
            terms,
            record,
            began,
            patience,
            code: None,
            close: false,
            notes: None,
            inbound: Inbound::Done,
            outbound: Outbound::Awaited,
        }
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            origin: Origin::Record(&self.record),
            began: self.began,
        }
    }

    /// What the connection waits for.
    pub(super) fn next(&self) -> Next<Message> {
        match (&self.outbound, &self.inbound) {
            (Outbound::Pulled(_), _) => Next::Produce,
            (_, Inbound::Receiving(receiving)) if !receiving.is_paused() => Next::Read,
            _ => Next::Wait,
        }
    }

    /// Until when there must be progress, if the last was at `since`.
    pub(super) fn deadline(&self, since: Instant) -> Option<Instant> {
        match (&self.outbound, &self.inbound) {
            // The owner of the connection watches a client that does not read.
            (Outbound::Pulled(_), _) => None,
            (_, Inbound::Receiving(receiving)) if !receiving.is_paused() => {
                receiving.deadline(since)
            }
            // Nobody says how soon there must be something to push.
            (Outbound::Coming(coming), _) if coming.pushed.is_some() => None,
            (Outbound::Awaited | Outbound::Coming(_), _) => since.checked_add(self.patience),
        }
    }

    /// Whether the connection waits for the client, and not for the program.
    pub(super) fn awaits_client(&self) -> bool {
        matches!(self.next(), Next::Read)
    }

    /// Whether the response has begun.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.outbound, Outbound::Awaited)
    }

    /// Whether the body of the request has arrived, so that the connection can go on.
    pub(super) fn is_received(&self) -> bool {
        matches!(self.inbound, Inbound::Done)
    }

    /// Whether the rest of the body of the request is not wanted.
    pub(super) fn is_unwanted(&self) -> bool {
        matches!(self.inbound, Inbound::Unwanted)
    }

    /// Whether only a reset can tell the client that the response is not whole.
    pub(super) fn is_close_delimited(&self) -> bool {
        match &self.outbound {
            Outbound::Awaited => false,
            Outbound::Pulled(streaming) => streaming.framer.is_close_delimited(),
            Outbound::Coming(coming) => coming.close_delimited,
        }
    }

    /// Bytes of the body that were sent.
    pub(super) fn sent(&self) -> u64 {
        match &self.outbound {
            Outbound::Awaited => 0,
            Outbound::Pulled(streaming) => streaming.framer.sent(),
            Outbound::Coming(coming) => coming.sent,
        }
    }

    /// The handler has returned without a complete response.
    pub(super) fn begin(
        &mut self,
        mut written: Written,
        content: Content<'_>,
        incoming: Option<Incoming>,
        io: &mut Io<'_>,
    ) -> Verdict {
        self.inbound = match incoming {
            Some(_) => Inbound::Unwanted,
            None => Inbound::Done,
        };
        let outcome = mem::replace(&mut written.outcome, Outcome::Deferred);
        let reading = written.reading.take().map(|reading| *reading);
        let inlet = match (outcome, reading) {
            (Outcome::Receive(sink), _) => Some(Inlet::Sink(sink)),
            (outcome, reading) => {
                written.outcome = outcome;
                match reading {
                    Some(Reading::Sender(sender)) => Some(Inlet::Reader(sender)),
                    // It was not taken, so nobody reads.
                    Some(Reading::Reader(_)) | None => None,
                }
            }
        };
        match (inlet, incoming, content) {
            (Some(inlet), Some(incoming), Content::Coming { ask }) => {
                let receiving = Receiving::new(incoming, inlet, ask, io);
                self.inbound = Inbound::Receiving(Box::new(receiving));
                self.settle(written)
            }
            (Some(Inlet::Sink(mut sink)), None, Content::Whole(body, trailers)) => {
                self.note(written.notes);
                let taken = match body {
                    b"" => Ok(()),
                    _ => contain(|| sink.block(body).map(|_| ())),
                };
                match taken {
                    Ok(()) => Verdict::Finish(sink, section(trailers)),
                    Err(failure) => Verdict::Failed(failure),
                }
            }
            _ => self.settle(written),
        }
    }

    /// The loop has called the program, and this is what it wrote.
    pub(super) fn settle(&mut self, mut written: Written) -> Verdict {
        self.note(written.notes.take());
        let outcome = mem::replace(&mut written.outcome, Outcome::Unanswered);
        if let Outcome::Deferred = outcome {
            return Verdict::GoOn;
        }
        self.code = Some(written.code);
        self.close |= written.close;
        match outcome {
            Outcome::Done => Verdict::Ended(written.ending()),
            Outcome::Upgrade(upgrade) => Verdict::Upgraded(upgrade),
            Outcome::Stream(streaming) => {
                self.outbound = Outbound::Pulled(streaming);
                Verdict::GoOn
            }
            // A sink that is to respond has no body left to take.
            Outcome::Receive(_) | Outcome::Unanswered | Outcome::Deferred => {
                Verdict::Failed(ResponseError::Unanswered.into())
            }
        }
    }

    /// Some of the body has arrived.
    pub(super) fn take_in(&mut self, input: &mut Buffer, io: &mut Io<'_>) -> Verdict {
        let mut receiving = match mem::replace(&mut self.inbound, Inbound::Unwanted) {
            Inbound::Receiving(receiving) if !receiving.is_paused() => receiving,
            inbound => {
                self.inbound = inbound;
                return Verdict::Wait;
            }
        };
        match receiving.take_in(input, io.now) {
            Ok(Arrived::Part) => {
                self.inbound = Inbound::Receiving(receiving);
                Verdict::GoOn
            }
            Ok(Arrived::Whole) => {
                self.inbound = Inbound::Done;
                match receiving.into_inlet() {
                    (Inlet::Sink(sink), trailers) => Verdict::Finish(sink, trailers),
                    (Inlet::Reader(sender), trailers) => {
                        sender.end(trailers);
                        Verdict::GoOn
                    }
                }
            }
            Ok(Arrived::Enough) => match receiving.into_inlet() {
                (Inlet::Sink(sink), trailers) => Verdict::Finish(sink, trailers),
                (Inlet::Reader(_), _) => Verdict::GoOn,
            },
            Err(Untaken::Malformed(error)) => Verdict::Malformed(error),
            Err(Untaken::Failed(failure)) => Verdict::Failed(failure),
        }
    }

    /// There is room in the output: pulls a block of the body, or has it pulled.
    pub(super) fn pull(&mut self, io: &mut Io<'_>) -> Verdict {
        match mem::replace(&mut self.outbound, Outbound::Awaited) {
            Outbound::Pulled(mut streaming) => {
                if let Some(workers) = streaming.workers.take() {
                    self.outbound = Outbound::Coming(Coming {
                        sent: streaming.framer.sent(),
                        close_delimited: streaming.framer.is_close_delimited(),
                        pushed: None,
                    });
                    return Verdict::Offload(workers, streaming);
                }
                let pulled = contain(|| streaming.pull(io.output));
                self.outbound = Outbound::Pulled(streaming);
                match pulled {
                    Ok(None) => Verdict::GoOn,
                    Ok(Some(ending)) => Verdict::Ended(ending),
                    Err(failure) => Verdict::Failed(failure),
                }
            }
            outbound => {
                self.outbound = outbound;
                Verdict::Wait
            }
        }
    }

    /// Another thread has sent something. `draining`: the server is stopping, so a head that is
    /// ended now says that the connection closes (SHUT-14).
    pub(super) fn hear(&mut self, news: News, draining: bool, io: &mut Io<'_>) -> Verdict {
        let News {
            bytes,
            head,
            notes,
            then,
        } = news;
        let is_received = self.is_received();
        match (&mut self.outbound, head, then) {
            (_, _, Then::Read) => self.read_on(io),
            (Outbound::Awaited, _, Then::Fail(failure)) => Verdict::Failed(failure),
            (Outbound::Awaited, None, Then::Await) => {
                io.output.extend_from_slice(&bytes);
                self.note(notes);
                Verdict::Wait
            }
            (Outbound::Awaited, Some(_), Then::Upgrade(_)) if !is_received => {
                Verdict::Failed(ResponseError::Unread.into())
            }
            (Outbound::Awaited, Some(head), then) => {
                self.note(notes);
                self.end_head(head, &bytes, matches!(then, Then::Upgrade(_)), draining, io);
                self.proceed(then)
            }
            (Outbound::Coming(_), None, Then::Await) => Verdict::Wait,
            (Outbound::Coming(coming), None, then) => {
                io.output.extend_from_slice(&bytes);
                if let Some(pushed) = &coming.pushed {
                    pushed.taken(bytes.len());
                }
                self.proceed(then)
            }
            // It comes too late, and changes nothing. What if a worker defers a response, and its
            // `Await` arrives after the first part of that response? It is late, too.
            _ => Verdict::Wait,
        }
    }

    /// The response begins. Its head is complete now, so now it says whether the connection goes
    /// on; an upgrade says neither.
    fn end_head(
        &mut self,
        head: OpenHead,
        bytes: &[u8],
        upgrades: bool,
        draining: bool,
        io: &mut Io<'_>,
    ) {
        let (fields, body) = bytes.split_at(head.end);
        let close = !upgrades && (head.close || draining || !self.is_received());
        let version = match upgrades {
            true => h1::Version::Http11,
            false => self.terms.version,
        };
        io.output.extend_from_slice(fields);
        end_head(io.output, close, version);
        io.output.extend_from_slice(body);
        self.code = Some(head.code);
        self.close |= close;
        self.outbound = Outbound::Coming(Coming {
            sent: 0,
            close_delimited: head.close_delimited,
            pushed: head.pushed,
        });
    }

    /// What follows the bytes of a response that has begun.
    fn proceed(&mut self, then: Then) -> Verdict {
        match then {
            Then::GoOn { sent } => {
                let awaits_client = self.awaits_client();
                match &mut self.outbound {
                    Outbound::Coming(coming) => {
                        coming.sent = sent;
                        // A worker's patience starts anew, but not the time of the client.
                        match coming.pushed.is_some() || awaits_client {
                            true => Verdict::Wait,
                            false => Verdict::GoOn,
                        }
                    }
                    Outbound::Awaited | Outbound::Pulled(_) => Verdict::Wait,
                }
            }
            Then::Await | Then::Read => Verdict::Wait,
            Then::Pull(streaming) => {
                self.outbound = Outbound::Pulled(streaming);
                Verdict::GoOn
            }
            Then::End(ending) => Verdict::Ended(ending),
            Then::Fail(failure) => Verdict::Failed(failure),
            Then::Upgrade(upgrade) => Verdict::Upgraded(upgrade),
        }
    }

    /// The reader of the body has caught up.
    fn read_on(&mut self, io: &mut Io<'_>) -> Verdict {
        let begun = self.has_begun();
        if let Inbound::Receiving(receiving) = &mut self.inbound {
            receiving.go_on(begun, io);
        }
        Verdict::GoOn
    }

    fn note(&mut self, notes: Option<Box<Notes>>) {
        if let Some(notes) = notes {
            self.patience = notes.patience.unwrap_or(self.patience);
            self.notes = Some(notes);
        }
    }
}

#[cfg(test)]
mod tests;
