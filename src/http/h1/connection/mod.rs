//! One connection from the view of one end: which message is being received and sent, and what may come
//! next. It is h11's `Connection`.

mod event;
mod receive;
mod send;
mod state;

use super::chunked::ChunkLimits;
use super::content::ContentDecoder;
use super::encode::EncodeError;
use super::error::Error;
use super::head::HeadLimits;
use super::scan::Scanner;
use super::start_line::Version;
use state::States;

pub use event::Event;
pub use state::{Role, State};

/// One HTTP/1.1 connection, seen from the client or from the server: events in, bytes out, bytes in, events
/// out (RFC 9112 section 9).
///
/// It does no I/O, and it keeps no bytes. You give it what has arrived, and it tells you the next
/// [`Event`] and how many bytes that used. You tell it what to send, and it writes the bytes. It knows
/// which of these may come next, and refuses the rest: what your peer does wrong is an [`Error`], what you
/// do wrong is an [`EncodeError`](super::EncodeError) and changes nothing.
///
/// It is made after Python's [h11]. Whoever knows that finds here:
///
/// | h11 | here |
/// | --- | --- |
/// | `Connection(our_role)` | [`Connection::new`] |
/// | `receive_data(data)`, `next_event()` | [`next_event`](Connection::next_event) with your buffer |
/// | `receive_data(b"")` | [`input_closed`](Connection::input_closed) |
/// | `send(Request(…))` | [`send_request`](Connection::send_request) |
/// | `send(InformationalResponse(…))` | [`send_informational`](Connection::send_informational) |
/// | `send(Response(…))` | [`send_response`](Connection::send_response) |
/// | `send(Data(…))` | [`send_data`](Connection::send_data) |
/// | `send(EndOfMessage(…))` | [`end_of_message`](Connection::end_of_message) |
/// | `send(ConnectionClosed())` | [`close`](Connection::close) |
/// | `send_failed()` | [`send_failed`](Connection::send_failed) |
/// | `NEED_DATA`, `PAUSED` | [`Event::NeedData`], [`Event::Paused`] |
/// | `our_state`, `their_state` | [`our_state`](Connection::our_state), [`their_state`](Connection::their_state) |
/// | `start_next_cycle()` | [`start_next_cycle`](Connection::start_next_cycle) |
/// | `client_is_waiting_for_100_continue` | the method of that name |
/// | `trailing_data` | what is left in your buffer |
/// | `LocalProtocolError` | [`EncodeError`](super::EncodeError); the state stays as it was |
/// | `RemoteProtocolError` | [`Error`] |
///
/// # What may come next
///
/// [`State`] is what one end may send. Each end has its own: a server can still be receiving a request
/// when it has sent its response. An event that is not in its row is refused.
///
/// | the client is | it may send | then it is |
/// | --- | --- | --- |
/// | [`Idle`](State::Idle) | a request | `SendBody` |
/// | [`SendBody`](State::SendBody) | data | `SendBody` |
/// | | the end of the message | `Done`, or `MustClose` if the connection does not persist |
/// | `Idle`, `Done`, [`MustClose`](State::MustClose), [`Closed`](State::Closed) | the end of the stream | `Closed` |
/// | [`MightSwitchProtocol`](State::MightSwitchProtocol) | nothing, until the server has decided | `SwitchedProtocol`, or `Done` |
/// | [`SwitchedProtocol`](State::SwitchedProtocol), [`Error`](State::Error) | nothing more in HTTP | |
///
/// | the server is | it may send | then it is |
/// | --- | --- | --- |
/// | `Idle` | a response, if the request was refused | `SendBody` |
/// | [`SendResponse`](State::SendResponse), when a request has come | an interim response | `SendResponse` |
/// | | a 101, or a 2xx to CONNECT | `SwitchedProtocol` |
/// | | any other response | `SendBody` |
/// | `SendBody` | data | `SendBody` |
/// | | the end of the message | `Done`, or `MustClose` if the connection does not persist |
/// | `Idle`, `Done`, `MustClose`, `Closed` | the end of the stream | `Closed` |
/// | `SwitchedProtocol`, `Error` | nothing more in HTTP | |
///
/// When both are [`Done`](State::Done), [`start_next_cycle`](Connection::start_next_cycle) makes both
/// `Idle` again. If one has closed, or is in error, the other must close when it is done.
///
/// # What differs from h11
///
/// * What two recipients could read in two ways is refused, as everywhere in this module: a length with a
///   transfer coding, two lengths, a 204 that announces content. So is a response to no request.
/// * What follows a response is not kept for the next request: the connection must close.
/// * What follows a message that closes is passed over. In h11 it is an error.
/// * An Upgrade counts only if Connection names it, and only in HTTP/1.1 (RFC 9110 section 7.8).
/// * A client of HTTP/1.0 that asks for it can keep its connection.
/// * A response to HEAD without a length gets no `Transfer-Encoding`, which it may leave out.
/// * If you send what you must not, nothing changes. In h11 your side is then in error.
///
/// # Example
///
/// Two ends that talk to each other in memory:
///
/// ```
/// use serve_forever::http::h1::{Connection, ConnectionLimits, Event, FieldStorage, Role};
///
/// let limits = ConnectionLimits::default();
/// let (mut client, mut server) = (Connection::new(Role::Client), Connection::new(Role::Server));
///
/// let mut wire = Vec::new();
/// client.send_request(&mut wire, "GET", "/", [("Host", &b"example.org"[..])])?;
/// client.end_of_message(&mut wire, [])?;
///
/// let mut storage = FieldStorage::new();
/// let (consumed, event) = server.next_event(&mut wire, &mut storage, &limits)?;
/// assert!(matches!(event, Event::Request(head) if head.target == "/"));
/// wire.drain(..consumed);
/// let mut storage = FieldStorage::new();
/// let (_, event) = server.next_event(&mut wire, &mut storage, &limits)?;
/// assert!(matches!(event, Event::EndOfMessage(_)));
///
/// server.send_response(&mut wire, 200, "OK", [("Content-Length", &b"2"[..])])?;
/// server.send_data(&mut wire, b"hi")?;
/// server.end_of_message(&mut wire, [])?;
/// assert_eq!(wire, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
/// server.start_next_cycle()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [h11]: https://h11.readthedocs.io/
#[derive(Debug, Clone)]
pub struct Connection {
    /// Which end we are.
    role: Role,
    /// What both ends may send.
    states: States,
    /// The request of this exchange, as far as it decides how the response is framed.
    asked: Asked,
    /// The client has proposed another protocol by Upgrade.
    asked_upgrade: bool,
    /// What is being received.
    incoming: Incoming,
    /// How the content that we send ends.
    outgoing: Outgoing,
    /// The peer sends nothing more.
    input_closed: bool,
    /// The client waits for an interim response before it sends its content.
    awaits_continue: bool,
    /// Why the peer was refused.
    refused: Option<Error>,
    /// The version of the peer's last message.
    their_version: Option<Version>,
}

/// How much of a message a [`Connection`] accepts.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionLimits {
    /// The limits of a head.
    pub head: HeadLimits,
    /// The limits of content. [`ChunkLimits::content`] holds for any framing. Here its default is no
    /// limit, because a connection keeps no content: it is yours to count what you keep.
    pub chunks: ChunkLimits,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        ConnectionLimits {
            head: HeadLimits::default(),
            chunks: ChunkLimits {
                content: u64::MAX,
                ..ChunkLimits::default()
            },
        }
    }
}

/// The method of a request, as far as it decides how the response is framed.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Head,
    Connect,
    Other,
}

impl Asked {
    fn of(method: &str) -> Asked {
        match method {
            "HEAD" => Asked::Head,
            "CONNECT" => Asked::Connect,
            _ => Asked::Other,
        }
    }

    fn method(self) -> &'static str {
        match self {
            Asked::Head => "HEAD",
            Asked::Connect => "CONNECT",
            Asked::Other => "GET",
        }
    }
}

/// What is being received.
#[derive(Debug, Clone)]
enum Incoming {
    /// A head, or nothing yet.
    Head(Scanner),
    /// Content. So many bytes of trailer lines are decoded, and stand at the front of the input.
    Content(ContentDecoder, usize),
}

/// How the content that we send ends.
#[derive(Debug, Clone, Copy)]
enum Outgoing {
    /// After this many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

impl Connection {
    /// Creates the state of a connection on which nothing was sent.
    #[must_use]
    pub fn new(role: Role) -> Connection {
        Connection {
            role,
            states: States::new(),
            asked: Asked::Other,
            asked_upgrade: false,
            incoming: Incoming::Head(Scanner::default()),
            outgoing: Outgoing::Length(0),
            input_closed: false,
            awaits_continue: false,
            refused: None,
            their_version: None,
        }
    }

    /// Returns which end this is.
    #[must_use]
    pub fn our_role(&self) -> Role {
        self.role
    }

    /// Returns what we may send.
    #[must_use]
    pub fn our_state(&self) -> State {
        self.states.of(self.role)
    }

    /// Returns what the peer may send.
    #[must_use]
    pub fn their_state(&self) -> State {
        self.states.of(self.role.peer())
    }

    /// Returns the version of the peer's last message, if there was one (RFC 9112 section 2.3).
    #[must_use]
    pub fn their_version(&self) -> Option<Version> {
        self.their_version
    }

    /// Returns whether the client waits for [`CONTINUE`](super::CONTINUE), or for a final response, before
    /// it sends its content (RFC 9110 section 10.1.1). A server that is going to read the content sends
    /// status 100. A client sends its content anyway, if nothing comes for a while.
    #[must_use]
    pub fn client_is_waiting_for_100_continue(&self) -> bool {
        self.awaits_continue
    }

    /// Begins the next exchange on the same connection, when the last one is complete (RFC 9112 section
    /// 9.3).
    ///
    /// # Errors
    ///
    /// Returns [`EncodeError::WrongState`](super::EncodeError::WrongState) unless both ends are
    /// [`Done`](State::Done).
    pub fn start_next_cycle(&mut self) -> Result<(), EncodeError> {
        if !self.states.start_next_cycle() {
            return Err(EncodeError::WrongState);
        }
        self.incoming = Incoming::Head(Scanner::default());
        self.asked = Asked::Other;
        Ok(())
    }

    /// Says that the bytes of the last call could not be sent, or not all. So nothing more can be sent.
    pub fn send_failed(&mut self) {
        self.states.fail(self.role);
    }

    /// Notes the request of this exchange, whoever has sent it.
    fn begin(&mut self, method: &str, expects: bool, proposes_upgrade: bool) {
        self.asked = Asked::of(method);
        self.asked_upgrade = proposes_upgrade;
        self.awaits_continue = expects;
        if proposes_upgrade || method == "CONNECT" {
            self.states.propose();
        }
    }
}
