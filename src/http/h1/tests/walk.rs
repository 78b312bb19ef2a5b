//! Client and server that talk to each other in memory: what one sends, the other reads.

use super::generated::Chance;
use super::*;

/// One end, what it has sent, and what it has received.
struct End {
    connection: Connection,
    /// What was sent and has not arrived at the other end.
    wire: Vec<u8>,
    /// What has arrived and was not used.
    input: Vec<u8>,
    closed: bool,
    sent: Log,
    received: Log,
}

/// Events as text. Content that was sent in one piece may arrive in several, so its pieces are joined.
#[derive(Debug, Default, PartialEq)]
struct Log(Vec<String>);

impl Log {
    fn note(&mut self, event: String) {
        match (self.0.last_mut(), event.strip_prefix("data ")) {
            (_, Some("")) => {}
            (Some(last), Some(data)) if last.starts_with("data ") => last.push_str(data),
            _ => self.0.push(event),
        }
    }
}

impl End {
    fn new(role: Role) -> End {
        End {
            connection: Connection::new(role),
            wire: Vec::new(),
            input: Vec::new(),
            closed: false,
            sent: Log::default(),
            received: Log::default(),
        }
    }

    /// Notes what was sent. What was refused must not have changed anything.
    fn note(
        &mut self,
        event: String,
        before: (usize, State),
        sent: Result<(), EncodeError>,
    ) -> bool {
        match sent {
            Ok(()) => self.sent.note(event),
            Err(_) => assert_eq!(before, (self.wire.len(), self.connection.our_state())),
        }
        sent.is_ok()
    }

    /// Tries to send something, allowed or not.
    fn act(&mut self, chance: &mut Chance) {
        let before = (self.wire.len(), self.connection.our_state());
        let (connection, wire) = (&mut self.connection, &mut self.wire);
        let data = &b"hello"[..chance.below(6)];
        let text = data.escape_ascii();
        match (connection.our_role(), chance.below(10)) {
            (_, 0..4) => {
                let sent = connection.send_data(wire, data);
                self.note(format!("data {text}"), before, sent);
            }
            (_, 4..6) => {
                let trailers = [("Sum", data)];
                let trailers = &trailers[..chance.below(2)];
                let sent = connection.end_of_message(wire, trailers.iter().copied());
                let event = match trailers {
                    [] => "end".into(),
                    _ => format!("end {{\"Sum\": \"{text}\"}}"),
                };
                self.note(event, before, sent);
            }
            (role, 6) => {
                // A server that closes while a request is on its way cannot be understood.
                let may = role == Role::Client || connection.our_state() == State::MustClose;
                if may && !self.closed {
                    let sent = connection.close();
                    self.closed |= self.note("closed".into(), before, sent);
                }
            }
            (Role::Client, _) => self.act_as_client(before, chance),
            (Role::Server, _) => self.act_as_server(before, chance),
        }
    }

    fn end(&mut self) {
        let before = (self.wire.len(), self.connection.our_state());
        let sent = self.connection.end_of_message(&mut self.wire, []);
        self.note("end".into(), before, sent);
    }

    fn act_as_client(&mut self, before: (usize, State), chance: &mut Chance) {
        let method = ["GET", "HEAD", "POST", "CONNECT"][chance.below(4)];
        let target = ["/", "/", "/a?b", "h:1"][chance.below(4)];
        let fields = [("Host", &b"h"[..])].into_iter().chain(fields(chance));
        let sent = self.connection.send_request(
            &mut self.wire,
            method,
            target,
            fields.collect::<Vec<_>>(),
        );
        self.note(format!("{method} {target}"), before, sent);
    }

    fn act_as_server(&mut self, before: (usize, State), chance: &mut Chance) {
        // Without a request there is nothing to respond to.
        if self.connection.our_state() == State::Idle {
            return;
        }
        let (fields, wire) = (fields(chance), &mut self.wire);
        let interim = chance.below(3) == 0;
        let (status, sent) = match interim {
            true => {
                let status = [100, 101, 103][chance.below(3)];
                (
                    status,
                    self.connection
                        .send_informational(wire, status, "x", fields),
                )
            }
            false => {
                let status = [200, 204, 304, 404][chance.below(4)];
                (
                    status,
                    self.connection.send_response(wire, status, "", fields),
                )
            }
        };
        let event = if interim {
            format!("interim {status}")
        } else {
            format!("{status}")
        };
        self.note(event, before, sent);
    }

    /// Takes in all events that there are.
    fn pump(&mut self) {
        loop {
            let (mut storage, limits) = (FieldStorage::new(), ConnectionLimits::default());
            let found = self
                .connection
                .next_event(&mut self.input, &mut storage, &limits);
            let (used, event) = found.expect("what the other end may send is good");
            let text = match event {
                Event::Request(head) => format!("{} {}", head.method, head.target),
                Event::InformationalResponse(head) => format!("interim {}", head.status),
                Event::Response(head) => format!("{}", head.status),
                Event::Data(data) => format!("data {}", data.escape_ascii()),
                Event::EndOfMessage(trailers) if trailers.is_empty() => "end".into(),
                Event::EndOfMessage(trailers) => format!("end {trailers:?}"),
                Event::ConnectionClosed => "closed".into(),
                Event::NeedData | Event::Paused => String::new(),
            };
            self.input.drain(..used);
            match &*text {
                "" => return,
                "closed" if self.received.0.last() == Some(&text) => return,
                _ => self.received.note(text),
            }
        }
    }

    /// Lets at most `count` bytes that `other` has sent arrive.
    fn take(&mut self, other: &mut End, count: usize) {
        let count = count.min(other.wire.len());
        self.input.extend(other.wire.drain(..count));
        if other.wire.is_empty() && other.closed {
            self.connection.input_closed();
        }
        self.pump();
    }
}

type Fields = Vec<(&'static str, &'static [u8])>;

fn fields(chance: &mut Chance) -> Fields {
    let choices: [&[(&str, &[u8])]; 8] = [
        &[],
        &[],
        &[("Content-Length", b"0")],
        &[("Content-Length", b"5")],
        &[("Transfer-Encoding", b"chunked")],
        &[("Expect", b"100-continue"), ("Content-Length", b"9")],
        &[("Upgrade", b"x"), ("Connection", b"upgrade")],
        &[("Connection", b"close"), ("Transfer-Encoding", b"chunked")],
    ];
    choices[chance.below(choices.len())].to_vec()
}

#[test]
fn what_one_end_sends_the_other_reads() {
    let mut chance = Chance(0x3a1c);
    let (mut exchanges, mut switched, mut closed) = (0, 0, 0);
    for _ in 0..4_000 {
        let (mut client, mut server) = (End::new(Role::Client), End::new(Role::Server));
        for _ in 0..chance.below(160) {
            match chance.below(8) {
                0..3 => client.act(&mut chance),
                3..6 => server.act(&mut chance),
                6 => client.take(&mut server, chance.below(40)),
                _ => server.take(&mut client, chance.below(40)),
            }
            for end in [&mut client, &mut server] {
                if end.connection.start_next_cycle().is_ok() {
                    exchanges += 1;
                }
            }
        }
        // The other end sees the end of a message whose content is whole, so say it here, too.
        client.end();
        server.end();
        // What is on its way arrives.
        for _ in 0..4 {
            server.take(&mut client, usize::MAX);
            client.take(&mut server, usize::MAX);
            for end in [&mut client, &mut server] {
                let _ = end.connection.start_next_cycle();
            }
        }
        assert_eq!(server.received, client.sent);
        assert_eq!(client.received, server.sent);
        switched += usize::from(client.connection.our_state() == State::SwitchedProtocol);
        closed += usize::from(client.closed);
    }
    // The walks reach what they should reach.
    assert!(
        exchanges > 800 && switched > 50 && closed > 50,
        "{exchanges} {switched} {closed}"
    );
}

/// The events of `input` if it is cut into pieces that end at `stops`.
fn events(mut connection: Connection, input: &[u8], stops: &[usize]) -> Result<Log, Error> {
    let mut end = Log::default();
    let (mut held, mut from) = (Vec::new(), 0);
    for &stop in stops {
        held.extend_from_slice(&input[from..stop]);
        from = stop;
        loop {
            let (mut storage, limits) = (FieldStorage::new(), ConnectionLimits::default());
            let (used, event) = connection.next_event(&mut held, &mut storage, &limits)?;
            let text = match event {
                Event::NeedData | Event::Paused => None,
                Event::Data(data) => Some(format!("data {}", data.escape_ascii())),
                event => Some(format!("{event:?}")),
            };
            held.drain(..used);
            match text {
                None => break,
                Some(text) => end.note(text),
            }
        }
    }
    end.note(format!("rest {}", held.escape_ascii()));
    Ok(end)
}

#[test]
fn any_two_cuts_give_the_same_events() {
    let asked = |method: &str| {
        let mut client = Connection::new(Role::Client);
        let target = if method == "CONNECT" { "h:1" } else { "/" };
        let sent = client.send_request(&mut Vec::new(), method, target, [("Host", &b"h"[..])]);
        sent.and_then(|()| client.end_of_message(&mut Vec::new(), []))
            .expect("sent");
        client
    };
    let cases: [(Connection, &[u8]); 6] = [
        (
            Connection::new(Role::Server),
            b"\r\nPOST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\nC: d\r\n\r\nGET",
        ),
        (
            Connection::new(Role::Server),
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhix\r\n",
        ),
        (
            asked("GET"),
            b"HTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP",
        ),
        (asked("GET"), b"HTTP/1.0 200 OK\r\n\r\nabc"),
        (asked("HEAD"), b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTP"),
        (asked("CONNECT"), b"HTTP/1.1 200 OK\r\n\r\nabc"),
    ];
    for (connection, input) in cases {
        let whole = events(connection.clone(), input, &[input.len()]);
        for first in 0..input.len() {
            for second in first..input.len() {
                let parts = events(connection.clone(), input, &[first, second, input.len()]);
                assert_eq!(parts, whole, "{first} {second}: {}", input.escape_ascii());
            }
        }
    }
}
