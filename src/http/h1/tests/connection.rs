//! Both ends of a connection: h11's scenarios, and client and server that talk to each other in memory.

mod closing;
mod exchanges;
mod refusals;
mod sending;
mod switching;

use super::*;
use State::{Closed, Done, Idle, MightSwitchProtocol, MustClose, SendBody, SendResponse};
use State::{Error as InError, SwitchedProtocol};

const HOST: (&str, &[u8]) = ("Host", b"h");

const UPGRADE: [(&str, &[u8]); 2] = [("Upgrade", b"x"), ("Connection", b"Upgrade")];

/// One end, with what it has received and not used.
struct End {
    connection: Connection,
    input: Vec<u8>,
    limits: ConnectionLimits,
}

impl End {
    fn new(role: Role) -> End {
        End {
            connection: Connection::new(role),
            input: Vec::new(),
            limits: ConnectionLimits::default(),
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next event as text, or the error.
    fn next(&mut self) -> Result<String, Error> {
        let mut storage = FieldStorage::new();
        let found = self
            .connection
            .next_event(&mut self.input, &mut storage, &self.limits);
        let (used, event) = found?;
        let text = match event {
            Event::Request(head) => format!("{} {}", head.method, head.target),
            Event::InformationalResponse(head) => format!("interim {}", head.status),
            Event::Response(head) => format!("{}", head.status),
            Event::Data(data) => format!("data {}", data.escape_ascii()),
            Event::EndOfMessage(trailers) if trailers.is_empty() => "end".into(),
            Event::EndOfMessage(trailers) => format!("end {trailers:?}"),
            Event::ConnectionClosed => "closed".into(),
            Event::NeedData => "more".into(),
            Event::Paused => "paused".into(),
        };
        self.input.drain(..used);
        Ok(text)
    }

    /// All events that come from `bytes`, without the last: a call for more, or a pause.
    fn all(&mut self, bytes: &[u8]) -> Vec<String> {
        self.receive(bytes);
        let mut found = Vec::new();
        loop {
            let event = self.next().expect("the peer does nothing wrong");
            match &*event {
                "more" | "paused" => return found,
                "closed" => {
                    found.push(event);
                    return found;
                }
                _ => found.push(event),
            }
        }
    }

    fn states(&self) -> (State, State) {
        (self.connection.our_state(), self.connection.their_state())
    }

    fn request(&mut self, method: &str, fields: &[(&'static str, &'static [u8])]) -> Vec<u8> {
        let mut wire = Vec::new();
        let fields = [HOST].into_iter().chain(fields.iter().copied());
        let target = if method == "CONNECT" { "h:1" } else { "/" };
        let sent = self
            .connection
            .send_request(&mut wire, method, target, fields);
        sent.expect("a request can be sent");
        wire
    }

    fn respond(&mut self, status: u16, fields: &[(&'static str, &'static [u8])]) -> Vec<u8> {
        let mut wire = Vec::new();
        let sent = self
            .connection
            .send_response(&mut wire, status, "", fields.iter().copied());
        sent.expect("a response can be sent");
        wire
    }

    fn data(&mut self, data: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        self.connection
            .send_data(&mut wire, data)
            .expect("data can be sent");
        wire
    }

    fn end(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        self.connection
            .end_of_message(&mut wire, [])
            .expect("it can end");
        wire
    }
}

fn pair() -> (End, End) {
    (End::new(Role::Client), End::new(Role::Server))
}

const LENGTH_5: (&str, &[u8]) = ("Content-Length", b"5");
const LENGTH_0: (&str, &[u8]) = ("Content-Length", b"0");
const CHUNKED: (&str, &[u8]) = ("Transfer-Encoding", b"chunked");
const CLOSE: (&str, &[u8]) = ("Connection", b"close");
