//! A request comes in: its head, what to do with its body, and the call of the handler.

use std::time::Instant;

use memchr::memchr;

use super::exchange::Exchange;
use super::io::Io;
use super::whole_body::{Unkept, WholeBody};
use super::{Awaited, HttpConnection, Phase, Step};
use crate::http::access::{Origin, Subject};
use crate::http::body_budget::{BodyShare, has_room};
use crate::http::body_policy::Way;
use crate::http::h1::{
    self, ChunkLimits, Expect, FieldStorage, Fields, Framing, Head, HeadLayout, Scanner,
};
use crate::http::handler::HttpRequestHandler;
use crate::http::request::Request;
use crate::http::request_body::RequestBody;
use crate::http::response;
use crate::http::terms::Terms;
use crate::http::written::{Content, Context, Outcome, Thread, Written};
use crate::reactor::Now;
use crate::socketserver::{Buffer, Failure, Mailbox, Next, contain};

/// The next step for a request whose head is understood.
enum Plan {
    /// Its whole body is here, this many bytes: handle it.
    Serve(usize),
    /// Keep it until its body is whole.
    Await(RequestBody),
    /// Handle it, and hand on its body as it arrives.
    Stream(RequestBody),
    /// Refuse it with this status, and close.
    Refuse(u16),
    /// Refuse it, because there is no room for its body.
    Shed,
    /// The handler could not say what to do: send a 500.
    Fail(Failure),
}

/// A request on its way to the handler.
#[derive(Clone, Copy)]
struct Asked<'a> {
    /// The head, parsed.
    head: &'a Head<'a>,
    /// The bytes of the head.
    bytes: &'a [u8],
    /// When the request began to arrive.
    began: Instant,
}

impl<'a> Asked<'a> {
    fn new(head: &'a Head<'a>, bytes: &'a [u8], began: Instant) -> Asked<'a> {
        Asked { head, bytes, began }
    }

    fn subject(&self) -> Subject<'a> {
        Subject {
            origin: Origin::Head(self.bytes, self.head),
            began: self.began,
        }
    }
}

impl<H: HttpRequestHandler> HttpConnection<H> {
    /// Looks for a head. If it is complete, decides what happens to the request, and does it.
    pub(super) fn head(
        &mut self,
        mut scanner: Scanner,
        awaited: Awaited,
        input: &mut Buffer,
        io: &mut Io<'_>,
    ) -> Step {
        let began = self.began(awaited, io.now);
        let mut storage = FieldStorage::new();
        let (range, head) = match scanner.head(input, &mut storage, &self.settings.limits.head) {
            Ok(Some(found)) => found,
            Ok(None) => return self.await_head(scanner, awaited, input, io.now),
            Err(error) => {
                let origin = Origin::Bytes(readable(error, input));
                return self.refuse_malformed(error, Subject { origin, began }, io);
            }
        };
        let bytes = &input[range.clone()];
        let arrived = input.len() - range.end;
        let asked = Asked::new(&head, bytes, began);
        // A client that sends its body without waiting is not asked for it (RFC 9110 §10.1.1).
        let ask = head.expect == Expect::Continue && arrived == 0;
        match self.plan(&asked, arrived, io.now) {
            Plan::Serve(body) => {
                let end = range.end + body;
                let content = Content::Whole(&input[range.end..end], Fields::default());
                // What if the handler fails? The request is consumed nevertheless, and the
                // connection closes.
                let step = self.respond(&asked, content, None, None, io);
                input.consume(end);
                step
            }
            Plan::Await(request_body) => {
                let record = self.record(bytes, &head);
                let share = BodyShare::nothing(&self.settings);
                let layout = HeadLayout::new(&head, bytes);
                let pending = WholeBody::new(range, layout, request_body, share, began, record);
                self.await_body(pending, ask, io)
            }
            Plan::Stream(request_body) => {
                let window = request_body.window();
                let content = Content::Arriving { ask, window };
                let step = self.respond(&asked, content, Some(request_body), None, io);
                input.consume(range.end);
                match step {
                    // What if some of the body came together with the head? No event announces it
                    // again, so take it in now.
                    Step::Break(Next::Read) => Step::Continue(()),
                    step => step,
                }
            }
            Plan::Refuse(code) => self.refuse_unread(code, asked.subject(), io),
            Plan::Shed => self.shed(asked.subject(), io),
            Plan::Fail(failure) => {
                let terms = Terms::refused(head.method == "HEAD");
                self.fail(failure, terms, asked.subject(), io)
            }
        }
    }

    /// Returns when the request began to arrive.
    fn began(&self, awaited: Awaited, now: &Now) -> Instant {
        match awaited {
            Awaited::Rest { .. } => self.since.unwrap_or(now.instant()),
            Awaited::First | Awaited::Next => now.instant(),
        }
    }

    /// Waits for the rest of the head.
    fn await_head(
        &mut self,
        scanner: Scanner,
        mut awaited: Awaited,
        input: &[u8],
        now: &Now,
    ) -> Step {
        if scanner.has_begun() {
            // What if this is the first head? Its time began when the connection was made. So a
            // client gains nothing if it connects and waits.
            if awaited == Awaited::Next {
                self.since = Some(now.instant());
            }
            let beginning = Origin::Bytes(without_empty_lines(input));
            awaited = Awaited::Rest {
                head_only: beginning.is_head(),
            };
        }
        self.phase = Phase::Head(scanner, awaited);
        Step::Break(Next::Read)
    }

    /// Waits for the body, and asks for it if the client waits for that.
    fn await_body(&mut self, pending: WholeBody, ask: bool, io: &mut Io<'_>) -> Step {
        // What if the handler does not want the body? Then `plan` has refused it.
        if ask {
            io.output.extend_from_slice(h1::CONTINUE);
        }
        self.phase = Phase::Body(Box::new(pending));
        self.since = Some(io.now.instant());
        Step::Continue(())
    }

    /// Decides what to do with a request. So far `arrived` bytes follow its head.
    fn plan(&mut self, asked: &Asked<'_>, arrived: usize, now: &Now) -> Plan {
        let head = asked.head;
        match (head.expect, head.framing) {
            (Expect::Unknown, _) => Plan::Refuse(417),
            // Without a body there is nothing to ask the handler about.
            (_, Framing::Empty | Framing::Length(0)) => Plan::Serve(0),
            _ => self.plan_content(asked, arrived, now),
        }
    }

    /// Like [`plan`](Self::plan), but for a request with a body.
    fn plan_content(&mut self, asked: &Asked<'_>, arrived: usize, now: &Now) -> Plan {
        let head = asked.head;
        let request = Request::new(head, asked.bytes, b"", Fields::default(), &self.addresses)
            .with_proxies(self.settings.trusted_proxies.rule())
            .with_server(self.mailbox.as_ref().and_then(Mailbox::server));
        let handler = &mut self.handler;
        let policy = match contain(|| Ok(handler.body_policy(&request))) {
            Ok(policy) => policy,
            Err(failure) => return Plan::Fail(failure),
        };
        let limits = &self.settings.limits;
        let limit = match policy.way {
            Way::Whole => policy.limit.unwrap_or(limits.body as u64),
            Way::Streamed => policy.limit.unwrap_or(limits.upload),
            Way::Refused(code) => return Plan::Refuse(code),
        };
        let deadlines = policy.deadlines.unwrap_or(self.settings.deadlines.body);
        match head.framing {
            Framing::Length(length) if length > limit => return Plan::Refuse(413),
            // What if the handler wants to stream, and the body is here already? It is handled like
            // any other: `receive` and `body_reader` also take a body that is whole.
            Framing::Length(length) => match usize::try_from(length) {
                Ok(content) if content <= arrived => return Plan::Serve(content),
                _ => {}
            },
            // `Empty` was served above, so these are chunks. Even if all have arrived, they are
            // decoded first.
            Framing::Chunked | Framing::Empty => {}
        }
        let limits = ChunkLimits {
            content: limit,
            ..limits.chunks
        };
        let request_body = RequestBody::new(head.framing, limits, deadlines, now.instant());
        match policy.way {
            Way::Streamed => Plan::Stream(request_body),
            // What if there is room for a part of it? Then the client need not send that part.
            _ if !has_room(&self.settings, request_body.announced().unwrap_or(1)) => Plan::Shed,
            _ => Plan::Await(request_body),
        }
    }

    /// Takes in what has arrived of a body, and handles the request when it is whole.
    pub(super) fn body(
        &mut self,
        mut pending: Box<WholeBody>,
        input: &mut Buffer,
        io: &mut Io<'_>,
    ) -> Step {
        pending.forgive_lateness(self.since, io.now);
        match pending.take_in(input) {
            Ok(true) => {}
            Ok(false) => {
                self.since = Some(io.now.instant());
                self.phase = Phase::Body(pending);
                return Step::Break(Next::Read);
            }
            Err(Unkept::Malformed(error)) => {
                return self.refuse_malformed(error, pending.subject(), io);
            }
            Err(Unkept::NoRoom) => return self.shed(pending.subject(), io),
        }
        let parts = pending.parts();
        let trailers = &input[parts.trailers.clone()];
        // What if this fails? It cannot, because the decoder has checked these fields; now they only
        // become a view. But a 400 is better than a panic.
        let trailers = match h1::parse_fields(trailers, self.settings.limits.chunks.trailer_fields)
        {
            Ok(trailers) => trailers,
            Err(error) => return self.refuse_malformed(error, pending.subject(), io),
        };
        let (began, bytes) = (pending.began(), &input[parts.head]);
        let (layout, share) = pending.into_layout_and_share();
        let head = layout.view(bytes);
        let asked = Asked::new(&head, bytes, began);
        let content = Content::Whole(&input[parts.body], trailers);
        let step = self.respond(&asked, content, None, Some(share), io);
        input.consume(parts.trailers.end);
        step
    }

    /// Calls the handler. `request_body`: the part of the body that is still to come. `share`: the part
    /// of the budget that the whole body uses.
    ///
    /// `inline(always)`: without it the compiler spills `asked` to the stack, only to read it back.
    #[inline(always)]
    fn respond(
        &mut self,
        asked: &Asked<'_>,
        content: Content<'_>,
        request_body: Option<RequestBody>,
        share: Option<BodyShare>,
        io: &mut Io<'_>,
    ) -> Step {
        let head = asked.head;
        let terms = Terms {
            head_only: head.method == "HEAD",
            connect: head.method == "CONNECT",
            version: head.version,
            // What if the client asked for the close? Then it sends no further request, so nothing
            // is unread when the connection closes.
            linger: head.keep_alive || request_body.is_some(),
            keep_alive: head.keep_alive && !self.draining,
            // Nobody looks for it before it is needed.
            error_format: self.settings.error_format,
        };
        // From here on, news about earlier requests is out of date.
        self.serial = self.serial.wrapping_add(1);
        let (body, trailers) = match content {
            Content::Whole(body, trailers) => (body, trailers),
            _ => (&b""[..], Fields::default()),
        };
        let request = Request::new(head, asked.bytes, body, trailers, &self.addresses)
            .with_proxies(self.settings.trusted_proxies.rule())
            .with_server(self.mailbox.as_ref().and_then(Mailbox::server));
        let context = Context {
            settings: &self.settings,
            now: io.now,
            terms,
            head: Some(head),
            address: self.mailbox.as_ref().map(|mailbox| (mailbox, self.serial)),
            content: &content,
            thread: Thread::Loop,
        };
        let handler = &mut self.handler;
        let mut written = Written {
            share,
            ..Written::new(&context)
        };
        let handled = response::write(&mut written, io.output, &context, |response| {
            handler.handle(&request, response)
        });
        match handled {
            Ok(()) if matches!(written.outcome, Outcome::Done) => {
                self.responded(asked, &mut written, terms, io.now)
            }
            Ok(()) => {
                let record = self.record(asked.bytes, head);
                let patience = self.settings.deadlines.response_or_default();
                let mut exchange = Box::new(Exchange::new(terms, record, asked.began, patience));
                let verdict = exchange.begin(written, content, request_body, io);
                self.follow(exchange, verdict, io)
            }
            Err(failure) => self.fail(failure, terms, asked.subject(), io),
        }
    }

    /// The handler has written the whole response.
    #[inline(always)]
    fn responded(
        &mut self,
        asked: &Asked<'_>,
        written: &mut Written,
        terms: Terms,
        now: &Now,
    ) -> Step {
        let (ending, subject) = (written.ending(), asked.subject());
        if let Some(notes) = written.notes.take() {
            self.note(*notes, subject, written.code, now);
        }
        self.report_wrong(&ending);
        self.log(subject, Some(written.code), &ending, now);
        self.next_request(&ending, terms, now)
    }
}

/// Returns the part of a refused head that is logged as its request line ([HTTP-6]).
///
/// [HTTP-6]: crate::spec#http-6
fn readable(error: h1::Error, input: &[u8]) -> &[u8] {
    use h1::Error::{EmptyLines, MethodTooLong, RequestLineTooLong};
    match error {
        EmptyLines => b"",
        // A line without its end is not logged. But its method may be complete, and tells whether
        // this is a HEAD request.
        RequestLineTooLong | MethodTooLong => {
            let line = without_empty_lines(input);
            line.get(..memchr(b'\n', line).unwrap_or(line.len()))
                .unwrap_or_default()
        }
        _ => without_empty_lines(input),
    }
}

/// Removes the empty lines that the scanner skips, and nothing else. So the log does not depend on
/// how the bytes were split.
fn without_empty_lines(mut input: &[u8]) -> &[u8] {
    while let Some(rest) = input.strip_prefix(b"\r\n") {
        input = rest;
    }
    input
}
