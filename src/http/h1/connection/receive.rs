//! Bytes in, events out.

use super::super::content::ContentDecoder;
use super::super::error::Error;
use super::super::fields::{Fields, parse_fields, tokens};
use super::super::framing::Framing;
use super::super::head::{FieldStorage, Head};
use super::super::response_framing::ResponseFraming;
use super::super::response_head::ResponseHead;
use super::super::scan::Scanner;
use super::super::start_line::Version;
use super::super::survey::Expect;
use super::event::Event;
use super::state::{Kind, Role, State};
use super::{Asked, Connection, ConnectionLimits, Incoming};

/// An event, and how many bytes of the input it has used.
type Found<'a> = Result<(usize, Event<'a>), Error>;

impl Connection {
    /// Returns the next event, and how many bytes of `input` it has used.
    ///
    /// `input` is what has arrived and was not used yet. The event borrows from it, and from `storage`,
    /// which is a new one for each call. When you are done with the event, remove the used bytes from the front, and call again; at
    /// [`NeedData`](Event::NeedData) append more bytes first. Bytes can be used without an event, so
    /// remove them at `NeedData`, too. Do not change the bytes that are left: the chunked coding is removed
    /// in place, and trailers wait there until they are complete.
    ///
    /// What follows a message that closes the connection is used without an event (RFC 9112 section 9.6).
    /// What follows a response is not the response to a later request: it is used without an event, too, and
    /// the connection must close (RFC 9112 section 9.2).
    ///
    /// # Errors
    ///
    /// Returns what the peer has done wrong. Every later call returns the same error. A server responds
    /// with its [`status`](Error::status), if it has not responded yet, and closes.
    pub fn next_event<'a, 'b: 'a>(
        &mut self,
        input: &'b mut [u8],
        storage: &'a mut FieldStorage<'b>,
        limits: &ConnectionLimits,
    ) -> Found<'a> {
        let found = self.advance(input, storage, limits);
        if let Err(error) = found {
            self.refused = Some(error);
            self.states.fail(self.role.peer());
        }
        found
    }

    /// Says that the peer has closed its side: no bytes follow those that you have. Call
    /// [`next_event`](Connection::next_event) afterwards, until it has used them up.
    pub fn input_closed(&mut self) {
        self.input_closed = true;
    }

    fn advance<'a, 'b: 'a>(
        &mut self,
        input: &'b mut [u8],
        storage: &'a mut FieldStorage<'b>,
        limits: &ConnectionLimits,
    ) -> Found<'a> {
        let peer = self.role.peer();
        match self.their_state() {
            State::Error => Err(self.refused.unwrap_or(Error::Truncated)),
            State::MightSwitchProtocol | State::SwitchedProtocol => Ok((0, Event::Paused)),
            // Requests may be pipelined.
            State::Done if peer == Role::Client && !input.is_empty() => Ok((0, Event::Paused)),
            State::Done if !input.is_empty() => {
                self.refuse_excess();
                self.nothing_more(input.len())
            }
            State::Done | State::MustClose | State::Closed => self.nothing_more(input.len()),
            State::SendBody => self.content(input, limits),
            // RFC 9112 section 9.2: what a server sends without a request is not a response.
            State::Idle if peer == Role::Server => match input {
                [] => self.nothing_more(0),
                _ => Err(Error::UnexpectedResponse),
            },
            State::Idle | State::SendResponse => {
                let Incoming::Head(mut scanner) = self.incoming else {
                    return Err(Error::Truncated);
                };
                let found = match peer {
                    Role::Client => self.request(&mut scanner, input, storage, limits),
                    Role::Server => self.response(&mut scanner, input, storage, limits),
                };
                if let Ok((_, Event::NeedData)) = found {
                    self.incoming = Incoming::Head(scanner);
                }
                found
            }
        }
    }

    /// No event can come from the bytes that are there. `waits` says whether the peer owes us some.
    fn starved<'a>(&mut self, used: usize, waits: bool) -> Found<'a> {
        match (self.input_closed, waits) {
            (false, _) => Ok((used, Event::NeedData)),
            (true, true) => Err(Error::Truncated),
            (true, false) => self.nothing_more(used),
        }
    }

    /// The peer may only close. What it sends otherwise, `length` bytes, is passed over.
    fn nothing_more<'a>(&mut self, length: usize) -> Found<'a> {
        if !self.input_closed {
            return Ok((length, Event::NeedData));
        }
        self.states.process(self.role.peer(), Kind::Closed);
        Ok((length, Event::ConnectionClosed))
    }

    /// More follows a complete response, although nothing was asked: the next request would get it for
    /// its response. So this connection has none (RFC 9112 section 9.2).
    fn refuse_excess(&mut self) {
        self.states.disable_keep_alive();
    }

    /// Reads the head of a request.
    fn request<'a, 'b: 'a>(
        &mut self,
        scanner: &mut Scanner,
        input: &'b [u8],
        storage: &'a mut FieldStorage<'b>,
        limits: &ConnectionLimits,
    ) -> Found<'a> {
        let Some((range, head)) = scanner.head(input, storage, &limits.head)? else {
            let begun = scanner.has_begun();
            // Empty lines before a request that never came are not a request.
            let used = if self.input_closed { input.len() } else { 0 };
            return self.starved(used, begun);
        };
        // The response to a refusal depends on these, too.
        (self.their_version, self.asked) = (Some(head.version), Asked::of(head.method));
        if matches!(head.framing, Framing::Length(length) if length > limits.chunks.content) {
            return Err(Error::BodyTooLarge);
        }
        self.incoming = Incoming::Content(ContentDecoder::from(head.framing), 0);
        self.states.process(Role::Client, Kind::Request);
        if !head.keep_alive {
            self.states.disable_keep_alive();
        }
        let expects = head.expect == Expect::Continue;
        self.begin(head.method, expects, proposes_upgrade(&head));
        Ok((range.end, Event::Request(head)))
    }

    /// Reads the head of a response.
    fn response<'a, 'b: 'a>(
        &mut self,
        scanner: &mut Scanner,
        input: &'b [u8],
        storage: &'a mut FieldStorage<'b>,
        limits: &ConnectionLimits,
    ) -> Found<'a> {
        let method = self.asked.method();
        let found = scanner.response_head(input, storage, &limits.head, method)?;
        let Some((range, head)) = found else {
            return self.starved(0, true);
        };
        if matches!(head.framing, ResponseFraming::Length(length) if length > limits.chunks.content)
        {
            return Err(Error::BodyTooLarge);
        }
        self.their_version = Some(head.version);
        let kind = kind_of(&head);
        self.awaits_continue &= kind == Kind::Informational && head.status != 100;
        let accepts_upgrade = head.status == 101;
        if accepts_upgrade && !self.asked_upgrade || !self.states.process(Role::Server, kind) {
            return Err(Error::UnexpectedUpgrade);
        }
        if kind == Kind::Informational {
            self.incoming = Incoming::Head(Scanner::default());
            return Ok((range.end, Event::InformationalResponse(head)));
        }
        self.incoming = Incoming::Content(ContentDecoder::from(head.framing), 0);
        if !head.keep_alive {
            self.states.disable_keep_alive();
        }
        Ok((range.end, response_event(head)))
    }

    /// Reads content.
    fn content<'a>(&mut self, input: &'a mut [u8], limits: &ConnectionLimits) -> Found<'a> {
        let Incoming::Content(decoder, kept) = &mut self.incoming else {
            return Err(Error::Truncated);
        };
        let known = *kept;
        let rest = input.get_mut(known..).unwrap_or_default();
        let progress = decoder.decode(rest, &limits.chunks)?;
        let end = known + progress.consumed;
        // Content comes before the first trailer, so one of these two is 0.
        let trailers = known + progress.trailers;
        let (content, complete) = (progress.content, progress.complete);
        if self.role == Role::Server && end > 0 {
            self.awaits_continue = false;
        }
        if complete && content == 0 {
            self.states.process(self.role.peer(), Kind::EndOfMessage);
            if self.role == Role::Client && end < input.len() {
                self.refuse_excess();
            }
            let lines = input.get(..trailers).unwrap_or_default();
            // The decoder has checked and counted them.
            let fields = parse_fields(lines, usize::MAX)?;
            return Ok((end, Event::EndOfMessage(fields)));
        }
        // Trailers are reported when all are there. Until then they wait behind what is used.
        *kept = trailers;
        let used = end - trailers;
        // They move once, when the first of them has come.
        if content != used {
            input.copy_within(content..content + trailers, used);
        }
        if content > 0 {
            let data = input.get(..content).unwrap_or_default();
            return Ok((used, Event::Data(data)));
        }
        if self.input_closed && decoder.ends_with_connection() {
            self.states.process(self.role.peer(), Kind::EndOfMessage);
            return Ok((end, Event::EndOfMessage(Fields::default())));
        }
        self.starved(used, true)
    }
}

/// Returns whether the client proposes another protocol. In HTTP/1.0 it cannot (RFC 9110 section 7.8).
fn proposes_upgrade(head: &Head<'_>) -> bool {
    let is_upgrade = |option: &[u8]| option.eq_ignore_ascii_case(b"upgrade");
    head.version >= Version::Http11
        && head.fields.get("upgrade").is_some()
        && head
            .fields
            .get_all("connection")
            .any(|value| tokens(value).any(is_upgrade))
}

fn kind_of(head: &ResponseHead<'_>) -> Kind {
    match (head.framing, head.status) {
        (ResponseFraming::Tunnel, _) => Kind::Switch,
        (_, 100..=199) => Kind::Informational,
        _ => Kind::Response,
    }
}

/// A 101 is an interim response, although no other response follows it.
fn response_event(head: ResponseHead<'_>) -> Event<'_> {
    match head.status {
        100..=199 => Event::InformationalResponse(head),
        _ => Event::Response(head),
    }
}
