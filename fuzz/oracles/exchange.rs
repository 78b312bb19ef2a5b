//! Both roles of `Connection`: what they read of any bytes is what the RFC says, at any split.

use serve_forever::http::h1::{
    ChunkLimits, Connection, ConnectionLimits, Error, Event, FieldStorage, HeadLimits,
    ResponseFraming, Role, State,
};

use super::head::length;
use super::literal::{self, ChunkSizes, Chunked, Length, Sizes};
use super::pieces::cuts;
use super::response_head::{framing, read};

/// The input is a digit, and then what arrives: 0 to 3 are a client that has sent a GET, a HEAD, a CONNECT
/// or an upgrade; anything else is a server.
pub fn exchange(data: &[u8]) {
    let (method, upgrade, input) = match data {
        [b'0', rest @ ..] => ("GET", false, rest),
        [b'1', rest @ ..] => ("HEAD", false, rest),
        [b'2', rest @ ..] => ("CONNECT", false, rest),
        [b'3', rest @ ..] => ("GET", true, rest),
        rest => return server(rest),
    };
    client(input, method, upgrade);
}

/// What one end has read.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    /// Each message that was read to its end, as its head and its content.
    whole: Vec<(String, Vec<u8>)>,
    /// The head of the message that is not at its end, and what there is of its content.
    begun: Option<(String, Vec<u8>)>,
    /// How many interim responses there were.
    interim: usize,
    error: Option<Error>,
    /// Bytes that were not looked at.
    rest: Vec<u8>,
    state: Option<State>,
}

impl Seen {
    /// Takes in an event. Returns whether another one can follow at once.
    fn take(&mut self, event: Event<'_>) -> bool {
        match event {
            Event::Request(head) => {
                self.begun = Some((format!("{} {}", head.method, head.target), Vec::new()));
            }
            Event::InformationalResponse(head) if head.status != 101 => self.interim += 1,
            Event::Response(head) | Event::InformationalResponse(head) => {
                self.begun = Some((head.status.to_string(), Vec::new()));
            }
            Event::Data(data) => match &mut self.begun {
                Some((_, content)) => {
                    assert!(!data.is_empty(), "an event for nothing");
                    content.extend_from_slice(data);
                }
                None => panic!("content without a head"),
            },
            Event::EndOfMessage(_) => match self.begun.take() {
                Some(message) => self.whole.push(message),
                None => panic!("an end without a head"),
            },
            _ => return false,
        }
        true
    }
}

/// What `connection` reads of `input`, which is cut at `cuts`, and then closed. A server responds to each
/// request, so that it can read the next.
fn play(mut connection: Connection, input: &[u8], cuts: &[usize]) -> Seen {
    let (mut seen, mut held, mut from) = (Seen::default(), Vec::new(), 0);
    let limits = ConnectionLimits::default();
    for &cut in cuts.iter().chain([&input.len()]) {
        held.extend_from_slice(&input[from..cut]);
        from = cut;
        loop {
            let mut storage = FieldStorage::new();
            let (used, goes_on) = match connection.next_event(&mut held, &mut storage, &limits) {
                Ok((used, event)) => (used, seen.take(event)),
                Err(error) => {
                    seen.error = Some(error);
                    let mut storage = FieldStorage::new();
                    let again = connection.next_event(&mut held, &mut storage, &limits);
                    assert_eq!(again.err(), Some(error), "it stays refused");
                    return seen;
                }
            };
            held.drain(..used);
            if respond(&mut connection) {
                continue;
            }
            if !goes_on {
                break;
            }
        }
    }
    seen.state = Some(connection.their_state());
    seen.rest = held;
    seen
}

/// Responds to a whole request, if there is one.
fn respond(connection: &mut Connection) -> bool {
    let whole = !matches!(connection.their_state(), State::SendBody | State::Error);
    if connection.our_role() == Role::Client
        || connection.our_state() != State::SendResponse
        || !whole
    {
        return false;
    }
    let mut output = Vec::new();
    // It proposes a tunnel, perhaps. It gets none.
    let sent = connection.send_response(&mut output, 404, "", [("Content-Length", &b"0"[..])]);
    let sent = sent.and_then(|()| connection.end_of_message(&mut output, []));
    assert_eq!(sent, Ok(()), "a response is owed");
    connection.start_next_cycle().is_ok()
}

/// What is read must not depend on the cuts.
fn at_any_cut(connection: &Connection, input: &[u8]) -> Seen {
    let whole = play(connection.clone(), input, &[]);
    for cuts in cuts(input) {
        let mut split = play(connection.clone(), input, &cuts);
        if whole.error.is_some() {
            // Content before a defect is an event or not, depending on whether it came together with it.
            split.begun = None;
        }
        let whole = Seen {
            begun: split.begun.as_ref().and(whole.begun.clone()),
            whole: whole.whole.clone(),
            rest: whole.rest.clone(),
            ..whole
        };
        assert_eq!(split, whole, "{cuts:?}");
    }
    whole
}

fn sizes() -> Sizes {
    let limits = HeadLimits::default();
    Sizes {
        line: limits.request_line,
        head: limits.head,
        fields: limits.fields,
    }
}

fn chunk_sizes() -> ChunkSizes {
    let limits = ChunkLimits::default();
    ChunkSizes {
        content: u64::MAX,
        overhead: limits.overhead,
        line: limits.line,
        trailers: limits.trailers,
        trailer_fields: limits.trailer_fields,
    }
}

/// The content that `input` begins with, and where it ends. `None`: it is not whole, or malformed.
fn content(input: &[u8], framing: ResponseFraming) -> Option<(Vec<u8>, usize)> {
    match framing {
        ResponseFraming::Empty | ResponseFraming::Tunnel => Some((Vec::new(), 0)),
        ResponseFraming::Length(length) => {
            let content = input.get(..usize::try_from(length).ok()?)?;
            Some((content.to_vec(), content.len()))
        }
        ResponseFraming::Chunked => match literal::chunked(input, chunk_sizes()) {
            Chunked::Whole(content, _, length) => Some((content, length)),
            Chunked::More(..) | Chunked::Refused(_) => None,
        },
        // `play` does not close.
        ResponseFraming::UntilClose => None,
    }
}

fn server(input: &[u8]) {
    let seen = at_any_cut(&Connection::new(Role::Server), input);
    let (mut expected, mut at) = (Vec::new(), 0);
    while let Some(request) = literal::request(&input[at..], sizes()) {
        let hosts = literal::all(&request.fields, "Host");
        let good_host = match hosts[..] {
            [host] => literal::is_host(host),
            [] => request.minor == 0,
            _ => false,
        };
        let framing = match length(&request) {
            _ if !good_host => break,
            Length::None => ResponseFraming::Empty,
            Length::Bytes(length) => ResponseFraming::Length(length),
            Length::Chunked => ResponseFraming::Chunked,
            Length::Refused(_) => break,
        };
        at += request.end;
        let Some((content, used)) = content(&input[at..], framing) else {
            break;
        };
        at += used;
        let line = [request.method, b" ", request.target].concat();
        expected.push((String::from_utf8_lossy(&line).into_owned(), content));
        let connection = literal::all(&request.fields, "Connection");
        if !literal::persists(request.minor, &connection) {
            break;
        }
    }
    assert_eq!(seen.whole, expected);
}

fn client(input: &[u8], method: &str, upgrade: bool) {
    let mut connection = Connection::new(Role::Client);
    let target = if method == "CONNECT" { "h:1" } else { "/" };
    let mut fields = vec![("Host", &b"h"[..])];
    if upgrade {
        fields.extend([("Upgrade", &b"x"[..]), ("Connection", b"upgrade")]);
    }
    let sent = connection.send_request(&mut Vec::new(), method, target, fields);
    let sent = sent.and_then(|()| connection.end_of_message(&mut Vec::new(), []));
    assert_eq!(sent, Ok(()));
    let seen = at_any_cut(&connection, input);
    let (mut interim, mut at) = (0, 0);
    let found = loop {
        let Some(head) = read(&input[at..], sizes()) else {
            break None;
        };
        match framing(&head, method) {
            Err(_) => break None,
            Ok(ResponseFraming::Tunnel) if head.status == 101 && !upgrade => break None,
            Ok(ResponseFraming::Empty) if head.status < 200 => interim += 1,
            Ok(framing) => break Some((head.status, framing, at + head.end)),
        }
        at += head.end;
    };
    assert_eq!(seen.interim, interim);
    let Some((status, framing, after)) = found else {
        assert!(seen.whole.is_empty() && seen.begun.is_none(), "{seen:?}");
        return;
    };
    let status = status.to_string();
    if framing == ResponseFraming::Tunnel {
        assert_eq!(seen.state, Some(State::SwitchedProtocol));
        assert_eq!(seen.begun, Some((status, Vec::new())));
        assert_eq!(seen.rest, &input[after..], "the tunnel's bytes");
        return;
    }
    match content(&input[after..], framing) {
        Some((content, _)) => assert_eq!(seen.whole, [(status, content)]),
        None => assert!(seen.whole.is_empty(), "{seen:?}"),
    }
    if framing == ResponseFraming::UntilClose {
        let content = &input[after..];
        let begun = seen.begun.map(|(_, found)| found);
        assert_eq!(begun.as_deref(), Some(content), "all is content");
    }
}
