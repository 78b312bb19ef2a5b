//! A request whose response takes more than one call: the state, and what each event does to it.
//!
//! Everything that changes the state is in this file, and nothing here reads a socket or a clock.
//! An exchange has two halves that are independent of each other: [`Inbound`], the body of the
//! request, and [`Outbound`], the response. Each event returns a [`Verdict`], and the connection
//! follows it.
//!
//! | event | outbound `Awaited` | `Pulled` | `Coming` | `Halted` |
//! | --- | --- | --- | --- | --- |
//! | news without a head: `Await` | an interim response is sent | – | – | – |
//! | news without a head: `GoOn` | – | – | a part of the body is sent | – |
//! | news with a head: `GoOn` | → `Coming` | – | – | – |
//! | … `Pull` | → `Pulled` | – | → `Pulled` (news without a head) | – |
//! | … `Halt` | → `Halted` | – | → `Halted` (news without a head) | – |
//! | … `End` | `Ended` | – | `Ended` (news without a head) | – |
//! | … `Upgrade` | `Upgraded`, or `Failed` if the body is not whole | – | – | – |
//! | news: `Fail` | `Failed`: a 500 | – | `Failed`: broken off | `Failed`: broken off |
//! | room in the output ([`pull`](Exchange::pull)) | – | a block is sent | – | `Resume`, → `Coming` |
//!
//! | event | inbound `Done` | `Streamed` | `Streamed`, paused | `Unwanted` |
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
use super::live::{HEARTBEAT, Live};
use super::streamed_body::{Arrived, Inlet, StreamedBody, Untaken};
use crate::http::access::{Origin, Record, Subject};
use crate::http::body_sink::section;
use crate::http::h1;
use crate::http::message::{Message, News, Notes, OpenHead, Pushed, Then, Upgrade};
use crate::http::request_body::RequestBody;
use crate::http::response_body::{BodyFraming, Ending, Framer, READ, Streaming};
use crate::http::response_error::ResponseError;
use crate::http::terms::Terms;
use crate::http::written::{Content, ContentSink, Outcome, Reading, Written, end_head};
use crate::socketserver::{Buffer, Failure, Halted, Next, contain};

/// One request and its response.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The terms that follow from the head of the request.
    pub(super) terms: Terms,
    /// The request, as the log will show it.
    pub(super) record: Record,
    /// When the request began to arrive.
    pub(super) began: Instant,
    /// How long the program may take over the response.
    pub(super) patience: Duration,
    /// The end of the client's input ends the exchange while it waits for the program.
    pub(super) ends_with_input: bool,
    /// If the response is a stream of events, how it is kept alive.
    live: Option<Live>,
    /// The status of the response, once it is known.
    pub(super) code: Option<u16>,
    /// The head that was sent says that the connection ends.
    pub(super) close: bool,
    /// Notes that the connection has to report.
    pub(super) notes: Option<Box<Notes>>,
    /// How far the request's body has come.
    inbound: Inbound,
    /// How far the response has come.
    outbound: Outbound,
}

/// The body of the request.
#[derive(Debug)]
enum Inbound {
    /// It has arrived.
    Done,
    /// It is still arriving.
    Streamed(Box<StreamedBody>),
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
    /// A worker has sent a part of its body, and waits until the client has taken that.
    Halted(Coming, Halted),
}

/// A body that another thread sends.
#[derive(Debug)]
struct Coming {
    /// Bytes of the body so far.
    sent: u64,
    /// Only a reset can say that it is not whole.
    close_delimited: bool,
    /// The window, if a program pushes the body. `None`: a worker pulls it, and has limited time
    /// for each block.
    pushed: Option<Pushed>,
}

/// The next thing that the connection has to do.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Wait on; the deadline stays.
    Wait,
    /// Wait on; there was progress, so the deadline starts anew.
    GoOn,
    /// A sink has all that it wants: let it respond, with this trailer section.
    Finish(Box<dyn ContentSink>, Vec<u8>),
    /// Let the worker go on that pulls the body.
    Resume(Halted),
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
    /// Creates the exchange of a request whose handler was just called.
    pub(super) fn new(
        terms: Terms,
        record: Record,
        began: Instant,
        patience: Duration,
    ) -> Exchange {
        Exchange {
            terms: Terms {
                error_format: record.error_format,
                ..terms
            },
            record,
            began,
            patience,
            ends_with_input: false,
            live: None,
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

    /// Returns what the connection waits for.
    pub(super) fn next(&self) -> Next<Message> {
        match (&self.outbound, &self.inbound) {
            // What if the request's body is still arriving? While the client has to take the
            // response, nothing is read. So the connection closes when the response is complete.
            (Outbound::Pulled(_) | Outbound::Halted(..), _) => Next::Produce,
            (_, Inbound::Streamed(receiving)) if !receiving.is_paused() => Next::Read,
            _ => Next::Wait,
        }
    }

    /// Returns until when there must be progress, if the last was at `since`.
    pub(super) fn deadline(&self, since: Instant) -> Option<Instant> {
        match (&self.outbound, &self.inbound) {
            // Here the client has to read, and the owner of the connection watches that.
            (Outbound::Pulled(_) | Outbound::Halted(..), _) => None,
            (_, Inbound::Streamed(receiving)) if !receiving.is_paused() => {
                receiving.deadline(since)
            }
            // A program may push as slowly as it likes.
            (Outbound::Coming(coming), _) if coming.pushed.is_some() => {
                self.live.as_ref().and_then(|live| live.deadline(since))
            }
            (Outbound::Awaited | Outbound::Coming(_), _) => since.checked_add(self.patience),
        }
    }

    /// Returns whether the connection waits for the client, and not for the program.
    pub(super) fn awaits_client(&self) -> bool {
        matches!(self.next(), Next::Read)
    }

    /// Returns whether the response has begun.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.outbound, Outbound::Awaited)
    }

    /// Returns whether the body of the request has arrived, so that the connection can go on.
    pub(super) fn is_received(&self) -> bool {
        matches!(self.inbound, Inbound::Done)
    }

    /// Returns whether the rest of the body of the request is not wanted.
    pub(super) fn is_unwanted(&self) -> bool {
        matches!(self.inbound, Inbound::Unwanted)
    }

    /// Returns whether only a reset can tell the client that the response is not whole.
    pub(super) fn is_close_delimited(&self) -> bool {
        match &self.outbound {
            Outbound::Awaited => false,
            Outbound::Pulled(streaming) => streaming.framer.is_close_delimited(),
            Outbound::Coming(coming) | Outbound::Halted(coming, _) => coming.close_delimited,
        }
    }

    /// Returns how many bytes of the response's body were sent.
    pub(super) fn sent(&self) -> u64 {
        let sent = match &self.outbound {
            Outbound::Awaited => 0,
            Outbound::Pulled(streaming) => streaming.framer.sent(),
            Outbound::Coming(coming) | Outbound::Halted(coming, _) => coming.sent,
        };
        sent + self.live.as_ref().map_or(0, |live| live.sent)
    }

    /// The server is stopping. A stream of events has no end of its own, so it is ended here
    /// ([SSE-5]).
    ///
    /// [SSE-5]: crate::spec#sse-5
    pub(super) fn drain(&mut self) {
        if let Some(live) = &mut self.live {
            live.is_ending = true;
        }
    }

    /// The deadline of the exchange has passed. If the response is a stream of events, sends a
    /// comment, or ends it if the server is stopping. Returns `None` if it is not.
    pub(super) fn beat(&mut self, io: &mut Io<'_>) -> Option<Verdict> {
        let awaits_client = self.awaits_client();
        let (live, coming) = match (&mut self.live, &self.outbound) {
            (Some(live), Outbound::Coming(coming)) if !awaits_client => (live, coming),
            _ => return None,
        };
        let framing = match coming.close_delimited {
            true => BodyFraming::Close,
            false => BodyFraming::Chunked,
        };
        let mut framer = Framer::new(framing);
        if live.is_ending {
            let sent = coming.sent + live.sent;
            let ended = framer.end(&[], io.output);
            return Some(match ended {
                Ok(ending) => Verdict::Ended(Ending { sent, ..ending }),
                Err(failure) => Verdict::Failed(failure),
            });
        }
        framer.copy(HEARTBEAT, io.output);
        live.sent += framer.sent();
        Some(Verdict::GoOn)
    }

    /// The handler has returned without a complete response. `request_body`: the part of the request's
    /// body that is still to come.
    pub(super) fn begin(
        &mut self,
        mut written: Written,
        content: Content<'_>,
        request_body: Option<RequestBody>,
        io: &mut Io<'_>,
    ) -> Verdict {
        // What if the handler does not take the body? `Unwanted` stays, and the connection closes
        // after the response: the rest of the body must never become a request (design law 12).
        self.inbound = match request_body {
            Some(_) => Inbound::Unwanted,
            None => Inbound::Done,
        };
        let inlet = match written.reading.take().map(|reading| *reading) {
            Some(Reading::Sink(sink)) => Some(Inlet::Sink(sink)),
            Some(Reading::Sender(sender)) => Some(Inlet::Reader(sender)),
            // The program has not taken the reader, so nobody reads.
            Some(Reading::Reader(_)) | None => None,
        };
        match (inlet, request_body, content) {
            (Some(inlet), Some(request_body), Content::Arriving { ask, .. }) => {
                let receiving = StreamedBody::new(request_body, inlet, ask, io);
                self.inbound = Inbound::Streamed(Box::new(receiving));
                self.settle(written)
            }
            // The body has arrived, so the sink gets it as one block. What if that is enough for
            // the sink? There is no more anyway.
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

    /// Takes over what the program wrote when the loop called it.
    pub(super) fn settle(&mut self, mut written: Written) -> Verdict {
        self.note(written.notes.take());
        let outcome = mem::replace(&mut written.outcome, Outcome::Unanswered);
        if !matches!(outcome, Outcome::Deferred) {
            self.code = Some(written.code);
            self.close |= written.close;
        }
        match outcome {
            Outcome::Deferred => Verdict::GoOn,
            Outcome::Done => Verdict::Ended(written.ending()),
            Outcome::Upgrade(upgrade) => Verdict::Upgraded(upgrade),
            Outcome::Stream(streaming) => {
                self.outbound = Outbound::Pulled(streaming);
                Verdict::GoOn
            }
            // What if the program returned the `Reply` of another request?
            Outcome::Unanswered => Verdict::Failed(ResponseError::Unanswered.into()),
        }
    }

    /// Takes in a part of the request's body. The last progress was at `since`.
    pub(super) fn take_in(
        &mut self,
        input: &mut Buffer,
        since: Option<Instant>,
        io: &mut Io<'_>,
    ) -> Verdict {
        // What if the body cannot be taken? `Unwanted` stays behind, so the connection cannot go
        // on.
        let mut receiving = match mem::replace(&mut self.inbound, Inbound::Unwanted) {
            Inbound::Streamed(receiving) if !receiving.is_paused() => receiving,
            inbound => {
                self.inbound = inbound;
                return Verdict::Wait;
            }
        };
        match receiving.take_in(input, since, io.now) {
            Ok(Arrived::Part) => {
                self.inbound = Inbound::Streamed(receiving);
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
            // The rest is `Unwanted`. What if a reader was dropped? Its program may still respond.
            Ok(Arrived::Enough) => match receiving.into_inlet() {
                (Inlet::Sink(sink), trailers) => Verdict::Finish(sink, trailers),
                (Inlet::Reader(_), _) => Verdict::GoOn,
            },
            Err(Untaken::Malformed(error)) => Verdict::Malformed(error),
            Err(Untaken::Failed(failure)) => Verdict::Failed(failure),
        }
    }

    /// There is room in the output: pulls a block of the body, or lets a worker go on.
    pub(super) fn pull(&mut self, io: &mut Io<'_>) -> Verdict {
        match mem::replace(&mut self.outbound, Outbound::Awaited) {
            Outbound::Pulled(mut streaming) => {
                let room = READ.saturating_sub(io.output.len());
                let pulled = contain(|| streaming.pull(room, io.output));
                self.outbound = Outbound::Pulled(streaming);
                match pulled {
                    Ok(None) => Verdict::GoOn,
                    Ok(Some(ending)) => Verdict::Ended(ending),
                    Err(failure) => Verdict::Failed(failure),
                }
            }
            // Until the worker waits again, its blocks come as news, as if a program pushed them.
            Outbound::Halted(coming, halted) => {
                self.outbound = Outbound::Coming(coming);
                Verdict::Resume(halted)
            }
            outbound => {
                self.outbound = outbound;
                Verdict::Wait
            }
        }
    }

    /// Another thread has sent news. `draining`: the server is stopping, so a head that is ended
    /// now says that the connection closes ([SHUT-14]).
    ///
    /// [SHUT-14]: crate::spec#shut-14
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
            // The thread of the worker has ended, and has dropped the rest of the body.
            (Outbound::Halted(..), None, Then::Fail(failure)) => Verdict::Failed(failure),
            (Outbound::Awaited, None, Then::Await) => {
                io.output.append_buffer(bytes);
                self.note(notes);
                Verdict::Wait
            }
            // The other protocol would take the rest of the body for its own bytes.
            (Outbound::Awaited, Some(_), Then::Upgrade(_)) if !is_received => {
                Verdict::Failed(ResponseError::Unread.into())
            }
            (Outbound::Awaited, Some(head), then) => {
                self.note(notes);
                self.begin_response(head, bytes, matches!(then, Then::Upgrade(_)), draining, io);
                self.proceed(then)
            }
            // What if an interim response comes after the head? It would stand in the middle of the
            // body, so it is dropped.
            (Outbound::Coming(_), None, Then::Await) => Verdict::Wait,
            (Outbound::Coming(coming), None, then) => {
                if let Some(pushed) = &coming.pushed {
                    pushed.taken(bytes.len());
                }
                io.output.append_buffer(bytes);
                self.proceed(then)
            }
            // It comes too late, and changes nothing. What if a worker defers a response, and its
            // `Await` arrives after the first part of that response? It is also late.
            _ => Verdict::Wait,
        }
    }

    /// The response begins: ends its head, which now says whether the connection goes on. The head
    /// of an upgrade says neither.
    fn begin_response(
        &mut self,
        head: OpenHead,
        mut bytes: Buffer,
        upgrades: bool,
        draining: bool,
        io: &mut Io<'_>,
    ) {
        // What if the request's body is still arriving? Nobody knows yet whether it will be read to
        // its end, so the connection closes.
        let close = !upgrades && (head.close || draining || !self.is_received());
        let version = match upgrades {
            true => h1::Version::Http11,
            false => self.terms.version,
        };
        // No block is kept before the end of the head.
        io.output.extend_from_slice(&bytes[..head.end]);
        bytes.consume(head.end);
        end_head(io.output, close, version);
        io.output.append_buffer(bytes);
        self.code = Some(head.code);
        self.close |= close;
        self.outbound = Outbound::Coming(Coming {
            sent: 0,
            close_delimited: head.close_delimited,
            pushed: head.pushed,
        });
    }

    /// Does what follows the bytes of a response that has begun.
    fn proceed(&mut self, then: Then) -> Verdict {
        match then {
            Then::GoOn { sent } => {
                let awaits_client = self.awaits_client();
                match &mut self.outbound {
                    Outbound::Coming(coming) => {
                        coming.sent = sent;
                        // Each block gives a worker new time. What if the loop waits for the client
                        // just now? Then the block is not the client's progress, and the deadline
                        // stays.
                        let has_no_deadline = coming.pushed.is_some() && self.live.is_none();
                        match has_no_deadline || awaits_client {
                            true => Verdict::Wait,
                            false => Verdict::GoOn,
                        }
                    }
                    Outbound::Awaited | Outbound::Pulled(_) | Outbound::Halted(..) => Verdict::Wait,
                }
            }
            Then::Await | Then::Read => Verdict::Wait,
            Then::Pull(streaming) => {
                self.outbound = Outbound::Pulled(streaming);
                Verdict::GoOn
            }
            Then::Halt { halted, sent } => self.halt(halted, sent),
            Then::End(ending) => Verdict::Ended(Ending {
                sent: ending.sent + self.live.as_ref().map_or(0, |live| live.sent),
                ..ending
            }),
            Then::Fail(failure) => Verdict::Failed(failure),
            Then::Upgrade(upgrade) => Verdict::Upgraded(upgrade),
        }
    }

    /// The worker that pulls the body waits for the client.
    fn halt(&mut self, halted: Halted, sent: u64) -> Verdict {
        match mem::replace(&mut self.outbound, Outbound::Awaited) {
            Outbound::Coming(coming) => {
                self.outbound = Outbound::Halted(Coming { sent, ..coming }, halted);
                Verdict::GoOn
            }
            outbound => {
                self.outbound = outbound;
                Verdict::Wait
            }
        }
    }

    /// The reader of the request's body has caught up.
    fn read_on(&mut self, io: &mut Io<'_>) -> Verdict {
        let begun = self.has_begun();
        if let Inbound::Streamed(receiving) = &mut self.inbound {
            receiving.go_on(begun, io);
        }
        Verdict::GoOn
    }

    fn note(&mut self, notes: Option<Box<Notes>>) {
        if let Some(notes) = notes {
            self.patience = notes.patience.unwrap_or(self.patience);
            self.ends_with_input |= notes.ends_with_input;
            self.live = self.live.take().or(notes.heartbeat.map(Live::new));
            self.notes = Some(notes);
        }
    }
}

#[cfg(test)]
mod tests;
