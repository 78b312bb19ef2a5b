//! A request comes in: its head, what to do with its content, and the call of the handler.

use std::ops::Range;
use std::time::Instant;

use memchr::memchr;

use super::exchange::{Exchange, Inbound, Outbound};
use super::refusal::refused;
use super::{Awaited, HttpConnection, Phase, Step};
use crate::http::access::{Origin, Record, Subject};
use crate::http::h1::{self, ChunkLimits, Expect, FieldStorage, Fields, Framing, Head};
use crate::http::incoming::Incoming;
use crate::http::intake::Way;
use crate::http::response::{Answered, Content, Context, Outcome, Terms};
use crate::http::stats::Hit;
use crate::http::{self, HttpRequestHandler, Request};
use crate::reactor::Now;
use crate::socketserver::{Buffer, Failure, Next, contain};

/// A request whose body is under way. In the input: head, content, trailers, what is not decoded.
#[derive(Debug)]
pub(super) struct Body {
    head: Range<usize>,
    content: usize,
    trailers: usize,
    pub(super) incoming: Incoming,
    /// When the request began to arrive.
    began: Instant,
    /// For the log, if it never becomes whole.
    record: Record,
}

/// What to do with a request once its head is understood.
enum Plan {
    /// So many bytes of content are there, and that is all.
    Serve(usize),
    /// It is kept until it is whole.
    Await(Incoming),
    /// It is handled, and its content taken as it arrives.
    Stream(Incoming),
    Refuse(u16, Option<Hit>),
    Fail(Failure),
}

/// A request on its way to the handler.
#[derive(Clone, Copy)]
struct Asked<'a> {
    head: &'a Head<'a>,
    /// The bytes of the head.
    bytes: &'a [u8],
    began: Instant,
}

impl<H: HttpRequestHandler> HttpConnection<H> {
    /// Looks for a head, and for what is needed besides it.
    pub(super) fn head(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Step {
        let Phase::Head(scanner, awaited) = &mut self.phase else {
            return Step::Break(Next::Close);
        };
        let began = match *awaited {
            Awaited::Rest { .. } => self.since.unwrap_or(now.instant()),
            Awaited::First | Awaited::Next => now.instant(),
        };
        let mut storage = FieldStorage::new();
        let (range, head) = match scanner.head(input, &mut storage, &self.settings.limits.head) {
            Ok(Some(found)) => found,
            Ok(None) => {
                if scanner.has_begun() {
                    // The first head has had its time since the connection was made.
                    if *awaited == Awaited::Next {
                        self.since = Some(now.instant());
                    }
                    let beginning = Origin::Bytes(without_empty_lines(input));
                    *awaited = Awaited::Rest {
                        head_only: beginning.is_head(),
                    };
                }
                return Step::Break(Next::Read);
            }
            Err(error) => {
                let origin = Origin::Bytes(readable(error, input));
                let subject = Subject { origin, began };
                return self.refuse_malformed(error, subject, output, now);
            }
        };
        let bytes = &input[range.clone()];
        let arrived = input.len() - range.end;
        let asked = Asked {
            head: &head,
            bytes,
            began,
        };
        match self.plan(&asked, arrived, now) {
            Plan::Serve(content) => {
                let end = range.end + content;
                let content = Content::Whole(&input[range.end..end], Fields::default());
                let step = self.answer(&asked, content, None, output, now);
                input.consume(end);
                self.after(step, input)
            }
            Plan::Await(incoming) => {
                // RFC 9110 §10.1.1: who sends without waiting does not wait.
                if head.expect == Expect::Continue && arrived == 0 {
                    output.extend_from_slice(h1::CONTINUE);
                }
                let record = Record::new(bytes, &head);
                self.phase = Phase::Body(Box::new(Body {
                    head: range,
                    content: 0,
                    trailers: 0,
                    incoming,
                    began,
                    record,
                }));
                Step::Continue(())
            }
            Plan::Stream(incoming) => {
                let ask = head.expect == Expect::Continue && arrived == 0;
                let content = Content::Coming { ask };
                let step = self.answer(&asked, content, Some(incoming), output, now);
                input.consume(range.end);
                step
            }
            Plan::Refuse(code, hit) => {
                if let Some(hit) = hit {
                    self.settings.counters.count(hit);
                }
                let subject = asked.subject();
                self.refuse(code, http::explanation(code), subject, output, now)
            }
            Plan::Fail(failure) => {
                let subject = asked.subject();
                self.fail(failure, refused(subject), subject, output, now)
            }
        }
    }

    /// Decides what to do with a request of which `arrived` bytes follow the head.
    fn plan(&mut self, asked: &Asked<'_>, arrived: usize, now: &Now) -> Plan {
        let head = asked.head;
        match (head.expect, head.framing) {
            (Expect::Unknown, _) => Plan::Refuse(417, Some(Hit::ExpectationFailed)),
            (_, Framing::Empty | Framing::Length(0)) => Plan::Serve(0),
            _ => self.plan_content(asked, arrived, now),
        }
    }

    /// As [`plan`](Self::plan), for a request with content.
    fn plan_content(&mut self, asked: &Asked<'_>, arrived: usize, now: &Now) -> Plan {
        let head = asked.head;
        let request = Request::new(head, asked.bytes, b"", Fields::default(), &self.ends);
        let handler = &mut self.handler;
        let intake = match contain(|| Ok(handler.intake(&request))) {
            Ok(intake) => intake,
            Err(failure) => return Plan::Fail(failure),
        };
        let limits = &self.settings.limits;
        let limit = match intake.way {
            Way::Whole => intake.limit.unwrap_or(limits.body as u64),
            Way::Streamed => intake.limit.unwrap_or(limits.upload),
            Way::Refused(code) => {
                let hit = match code {
                    413 => Some(Hit::BodyTooLarge),
                    417 => Some(Hit::ExpectationFailed),
                    _ => None,
                };
                return Plan::Refuse(code, hit);
            }
        };
        let deadlines = intake.deadlines.unwrap_or(self.settings.deadlines.body);
        let incoming = match head.framing {
            Framing::Length(length) if length > limit => {
                return Plan::Refuse(413, Some(Hit::BodyTooLarge));
            }
            Framing::Length(length) => match usize::try_from(length) {
                Ok(content) if content <= arrived => return Plan::Serve(content),
                _ => Incoming::sized(length, deadlines, now.instant()),
            },
            Framing::Chunked | Framing::Empty => {
                let limits = ChunkLimits {
                    content: limit,
                    ..limits.chunks
                };
                Incoming::chunked(limits, deadlines, now.instant())
            }
        };
        match intake.way {
            Way::Streamed => Plan::Stream(incoming),
            _ => Plan::Await(incoming),
        }
    }

    /// Takes in what has arrived of a body, and serves the request when it is whole.
    pub(super) fn body(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Step {
        let Phase::Body(body) = &mut self.phase else {
            return Step::Break(Next::Close);
        };
        let taken = body.take_in(input);
        if let Ok(false) = taken {
            self.since = Some(now.instant());
            return Step::Break(Next::Read);
        }
        let Phase::Body(body) = std::mem::replace(&mut self.phase, Phase::Closed) else {
            return Step::Break(Next::Close);
        };
        if let Err(error) = taken {
            let subject = body.subject();
            return self.refuse_malformed(error, subject, output, now);
        }
        let content = body.head.end..body.head.end + body.content;
        let trailers = content.end..content.end + body.trailers;
        // Both were parsed when they arrived; the second time they only become views.
        let limits = &self.settings.limits;
        let mut storage = FieldStorage::new();
        let bytes = &input[body.head.clone()];
        let head = Head::parse(bytes, &mut storage, &limits.head);
        let fields = h1::parse_fields(&input[trailers.clone()], limits.chunks.trailer_fields);
        let step = match (head, fields) {
            (Ok(head), Ok(fields)) => {
                let asked = Asked {
                    head: &head,
                    bytes,
                    began: body.began,
                };
                let content = Content::Whole(&input[content], fields);
                self.answer(&asked, content, None, output, now)
            }
            (Err(error), _) | (_, Err(error)) => {
                let subject = body.subject();
                self.refuse_malformed(error, subject, output, now)
            }
        };
        input.consume(trailers.end);
        self.after(step, input)
    }

    /// Lets the handler answer. What of the content is `incoming` it may take, or not.
    ///
    /// Inlined by force: what was asked would be written to memory only to be read from there.
    #[inline(always)]
    fn answer(
        &mut self,
        asked: &Asked<'_>,
        content: Content<'_>,
        incoming: Option<Incoming>,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        let head = asked.head;
        let terms = Terms {
            head_only: head.method == "HEAD",
            connect: head.method == "CONNECT",
            version: head.version,
            client_goes_on: head.keep_alive || incoming.is_some(),
            keep_alive: head.keep_alive && !self.draining,
        };
        self.serial = self.serial.wrapping_add(1);
        let (body, trailers) = match content {
            Content::Whole(body, trailers) => (body, trailers),
            _ => (&b""[..], Fields::default()),
        };
        let request = Request::new(head, asked.bytes, body, trailers, &self.ends);
        let context = Context {
            settings: &self.settings,
            now,
            terms,
            home: self.mailbox.as_ref().map(|mailbox| (mailbox, self.serial)),
            content,
            workers: None,
        };
        let handler = &mut self.handler;
        let mut answered = Answered::new(&context);
        let written = answered.write(output, &context, |response| {
            handler.handle(&request, response)
        });
        let subject = asked.subject();
        match written {
            Ok(()) if matches!(answered.outcome, Outcome::Done) => {
                let ending = answered.ending();
                if let Some(extras) = answered.extras {
                    self.note(*extras, subject, answered.code, now);
                }
                self.report_wrong(&ending);
                self.log(subject, Some(answered.code), &ending, now);
                self.next_request(&ending, terms, now)
            }
            Ok(()) => {
                let exchange = Box::new(Exchange {
                    terms,
                    record: Record::new(asked.bytes, head),
                    began: asked.began,
                    code: None,
                    patience: self.settings.deadlines.answer,
                    inbound: match incoming {
                        Some(_) => Inbound::Unwanted,
                        None => Inbound::Done,
                    },
                    outbound: Outbound::Awaited,
                });
                self.begin(exchange, content, incoming, answered, output, now)
            }
            Err(failure) => self.fail(failure, terms, subject, output, now),
        }
    }
}

impl<'a> Asked<'a> {
    fn subject(&self) -> Subject<'a> {
        Subject {
            origin: Origin::Head(self.bytes, self.head),
            began: self.began,
        }
    }
}

impl Body {
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            origin: Origin::Record(&self.record),
            began: self.began,
        }
    }

    /// Takes in what has arrived behind what was there before; whether that is all.
    fn take_in(&mut self, input: &mut Buffer) -> Result<bool, h1::Error> {
        let known = self.head.end + self.content + self.trailers;
        let progress = self.incoming.decode(&mut input[known..])?;
        self.content += progress.content;
        self.trailers += progress.trailers;
        let end = self.head.end + self.content + self.trailers;
        input.remove(end..known + progress.consumed);
        Ok(progress.complete)
    }
}

/// What of a head that is refused can be logged as its request line (HTTP-6).
fn readable(error: h1::Error, input: &[u8]) -> &[u8] {
    use h1::Error::{EmptyLines, MethodTooLong, RequestLineTooLong};
    match error {
        EmptyLines => b"",
        // Without its end, it is nothing to be logged; the method may be there.
        RequestLineTooLong | MethodTooLong => {
            let line = without_empty_lines(input);
            line.get(..memchr(b'\n', line).unwrap_or(line.len()))
                .unwrap_or_default()
        }
        _ => without_empty_lines(input),
    }
}

/// Less only what was skipped, so that it does not depend on what else has come.
fn without_empty_lines(mut input: &[u8]) -> &[u8] {
    while let Some(rest) = input.strip_prefix(b"\r\n") {
        input = rest;
    }
    input
}
