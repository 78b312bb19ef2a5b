//! The codec of this crate: `h1::Connection`, fed as a program with a socket feeds it.

use serve_forever::http::h1::{
    Connection, ConnectionLimits, Event, FieldStorage, Fields, Framing as OurFraming, Head,
    ResponseFraming, ResponseHead, Role as OurRole, State, Version,
};

use crate::verdict::{End, Field, Framing, Message, Role, Start, Verdict};

/// Reads `input` in the pieces that end at `cuts`.
pub fn read(role: Role, input: &[u8], cuts: &[usize]) -> Verdict {
    let mut reader = Reader::new(role);
    let mut from = 0;
    for &cut in cuts {
        reader.input.extend_from_slice(&input[from..cut]);
        from = cut;
        if let Some(end) = reader.read() {
            return reader.verdict(end);
        }
    }
    if role.sees_end() {
        reader.connection.input_closed();
        if let Some(end) = reader.read() {
            return reader.verdict(end);
        }
    }
    reader.verdict(End::More)
}

struct Reader {
    connection: Connection,
    limits: ConnectionLimits,
    input: Vec<u8>,
    messages: Vec<Message>,
}

/// What the program does after an event.
enum Then {
    GoOn,
    Respond,
    ReadMore,
    End(End),
}

impl Reader {
    fn new(role: Role) -> Reader {
        let mut connection = match role {
            Role::Server | Role::ServerToEnd => Connection::new(OurRole::Server),
            Role::Client(_) => Connection::new(OurRole::Client),
        };
        if let Role::Client(method) = role {
            let target = if method == "CONNECT" { "h:1" } else { "/" };
            let sent =
                connection.send_request(&mut Vec::new(), method, target, [("Host", &b"h:1"[..])]);
            sent.expect("a good request");
            let sent = connection.end_of_message(&mut Vec::new(), []);
            sent.expect("a good request");
        }
        Reader {
            connection,
            limits: ConnectionLimits::default(),
            input: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// Reads what is there. Returns how it ends, if it does.
    fn read(&mut self) -> Option<End> {
        loop {
            let mut storage = FieldStorage::new();
            let found = self
                .connection
                .next_event(&mut self.input, &mut storage, &self.limits);
            let (used, then) = match found {
                Ok((used, event)) => (used, take(&mut self.messages, event)),
                Err(error) => return Some(End::Refused(format!("{error:?}"))),
            };
            self.input.drain(..used);
            match then {
                Then::GoOn => {}
                Then::ReadMore => return None,
                Then::End(end) => return Some(end),
                Then::Respond => {
                    if let Some(end) = self.respond() {
                        return Some(end);
                    }
                }
            }
        }
    }

    /// The message is complete. A server sends its response, so that the next request can come.
    fn respond(&mut self) -> Option<End> {
        if self.connection.our_role() == OurRole::Client {
            return Some(End::Closed);
        }
        if self.messages.last().is_some_and(Message::is_connect) {
            return Some(End::Tunnel);
        }
        let length = [("Content-Length", &b"0"[..])];
        let sent = self
            .connection
            .send_response(&mut Vec::new(), 200, "", length);
        sent.expect("it is our turn");
        let sent = self.connection.end_of_message(&mut Vec::new(), []);
        sent.expect("it is our turn");
        if self.connection.our_state() != State::Done {
            return Some(End::Closed);
        }
        self.connection.start_next_cycle().expect("both are done");
        None
    }

    fn verdict(self, end: End) -> Verdict {
        let mut messages = self.messages;
        if let (End::Tunnel, Some(last)) = (&end, messages.last_mut()) {
            last.complete = true;
        }
        Verdict { messages, end }.comparable()
    }
}

fn take(messages: &mut Vec<Message>, event: Event<'_>) -> Then {
    match event {
        Event::Request(head) => messages.push(request(&head)),
        Event::Response(head) => messages.push(response(&head)),
        Event::InformationalResponse(head) => {
            let mut message = response(&head);
            message.complete = true;
            messages.push(message);
        }
        Event::Data(data) => {
            let message = messages.last_mut().expect("its head came before");
            message.content.extend_from_slice(data);
        }
        Event::EndOfMessage(trailers) => {
            let message = messages.last_mut().expect("its head came before");
            (message.trailers, message.complete) = (Some(fields(trailers)), true);
            return Then::Respond;
        }
        Event::NeedData => return Then::ReadMore,
        Event::ConnectionClosed => return Then::End(End::Closed),
        Event::Paused => return Then::End(End::Tunnel),
        event => panic!("an event that is not known here: {event:?}"),
    }
    Then::GoOn
}

fn request(head: &Head<'_>) -> Message {
    let start = Start::Request {
        method: head.method.into(),
        target: head.target.into(),
    };
    let mut message = Message::new(start, u8::from(head.version >= Version::Http11));
    message.fields = Some(fields(head.fields));
    message.framing = Some(match head.framing {
        OurFraming::Empty => Framing::Empty,
        OurFraming::Length(length) => Framing::of_length(length),
        OurFraming::Chunked => Framing::Chunked,
    });
    message
}

fn response(head: &ResponseHead<'_>) -> Message {
    let start = Start::Response {
        status: head.status,
    };
    let mut message = Message::new(start, u8::from(head.version >= Version::Http11));
    message.fields = Some(fields(head.fields));
    message.framing = Some(match head.framing {
        ResponseFraming::Empty | ResponseFraming::Tunnel => Framing::Empty,
        ResponseFraming::Length(length) => Framing::of_length(length),
        ResponseFraming::Chunked => Framing::Chunked,
        ResponseFraming::UntilClose => Framing::UntilClose,
    });
    message
}

fn fields(fields: Fields<'_>) -> Vec<Field> {
    let owned = |(name, value): (&str, &[u8])| (name.into(), value.into());
    fields.iter().map(owned).collect()
}
