//! The codec beside the server: `HttpConnection` and a server that is written by hand over
//! `h1::Connection` read a client alike, whatever it sends and however it is cut.
#![cfg(feature = "server")]

mod support;

use std::sync::{Arc, Mutex};

use serve_forever::http::h1::{
    ChunkLimits, Connection, ConnectionLimits, ContentDecoder, Event, Expect, FieldStorage, Fields,
    HeadLimits, Role, Scanner, State,
};
use serve_forever::{Request, Response};
use support::wire::Wire;

/// What a server has understood, and what it has said.
#[derive(Debug, Default, PartialEq)]
struct Transcript {
    /// Each request with its content and its trailers.
    requests: Vec<String>,
    /// The status of each response, interim ones included.
    statuses: Vec<u16>,
    /// Whether the connection ends.
    closes: bool,
}

fn describe(method: &str, target: &str, body: &[u8], trailers: Fields<'_>) -> String {
    format!("{method} {target} {} {trailers:?}", body.escape_ascii())
}

/// The server of this crate.
fn by_http_connection(input: &[u8], stops: &[usize]) -> Transcript {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let mut wire = Wire::new(move |request: &Request<'_>, response: Response<'_>| {
        let (method, target) = (request.method(), request.target());
        let text = describe(method, target, request.body(), request.trailers());
        seen.lock().expect("no panic").push(text);
        response.send_response(200).body("hello")
    });
    let mut from = 0;
    for &stop in stops {
        if wire.reads() {
            wire.receive(&input[from..stop]);
        }
        from = stop;
    }
    let requests = std::mem::take(&mut *requests.lock().expect("no panic"));
    let statuses = statuses(&wire.sent, &requests);
    Transcript {
        requests,
        statuses,
        closes: !wire.reads(),
    }
}

/// The statuses of the responses to these requests. At most one more follows: a refusal.
fn statuses(mut sent: &[u8], requests: &[String]) -> Vec<u16> {
    let (mut found, mut answered) = (Vec::new(), 0);
    while !sent.is_empty() {
        let method = requests
            .get(answered)
            .and_then(|text| text.split(' ').next());
        let mut storage = FieldStorage::new();
        let head = Scanner::default().response_head(
            sent,
            &mut storage,
            &HeadLimits::default(),
            method.unwrap_or("HEAD"),
        );
        let (range, head) = head.expect("a good response").expect("a whole head");
        found.push(head.status);
        if head.status >= 200 {
            answered += 1;
        }
        if answered > requests.len() {
            return found;
        }
        let mut content = sent[range.end..].to_vec();
        let progress = ContentDecoder::from(head.framing)
            .decode(&mut content, &ChunkLimits::default())
            .expect("good content");
        assert!(progress.complete);
        sent = &sent[range.end + progress.consumed..];
    }
    found
}

/// A server by hand.
#[derive(Default)]
struct ByHand {
    transcript: Transcript,
    line: (String, String),
    body: Vec<u8>,
}

/// What to do next.
enum Then {
    Go,
    Read,
    Respond(u16),
    Refuse(u16),
    End,
}

impl ByHand {
    fn take(&mut self, event: Event<'_>, connection: &Connection) -> Then {
        match event {
            Event::Request(head) if head.expect == Expect::Unknown => Then::Refuse(417),
            Event::Request(head) => {
                self.line = (head.method.to_owned(), head.target.to_owned());
                self.body.clear();
                Then::Go
            }
            Event::Data(data) => {
                self.body.extend_from_slice(data);
                Then::Go
            }
            Event::EndOfMessage(trailers) => {
                let (method, target) = &self.line;
                let text = describe(method, target, &self.body, trailers);
                self.transcript.requests.push(text);
                Then::Respond(200)
            }
            Event::NeedData if connection.our_state() == State::SendResponse => {
                match connection.client_is_waiting_for_100_continue() {
                    true => Then::Respond(100),
                    false => Then::Read,
                }
            }
            Event::NeedData => Then::Read,
            _ => Then::End,
        }
    }
}

fn by_hand(input: &[u8], stops: &[usize]) -> Transcript {
    let (mut connection, limits) = (Connection::new(Role::Server), ConnectionLimits::default());
    let (mut hand, mut held, mut output) = (ByHand::default(), Vec::new(), Vec::new());
    let mut from = 0;
    'reading: for &stop in stops {
        held.extend_from_slice(&input[from..stop]);
        from = stop;
        loop {
            let mut storage = FieldStorage::new();
            let (used, then) = match connection.next_event(&mut held, &mut storage, &limits) {
                Ok((used, event)) => (used, hand.take(event, &connection)),
                Err(error) => (0, Then::Refuse(error.status())),
            };
            held.drain(..used);
            let length = [("Content-Length", &b"5"[..])];
            let sent = match then {
                Then::Go => continue,
                Then::Read => break,
                Then::Respond(100) => {
                    hand.transcript.statuses.push(100);
                    connection.send_informational(&mut output, 100, "Continue", [])
                }
                Then::Respond(status) | Then::Refuse(status) => {
                    hand.transcript.statuses.push(status);
                    connection.send_response(&mut output, status, "", length)
                }
                Then::End => break 'reading,
            };
            sent.expect("it may come now");
            if let Then::Respond(200..) = then {
                if hand.line.0 != "HEAD" {
                    connection
                        .send_data(&mut output, b"hello")
                        .expect("it fits");
                }
                connection.end_of_message(&mut output, []).expect("whole");
            }
            if let (Then::Refuse(_), _) | (_, State::MustClose | State::SwitchedProtocol) =
                (then, connection.our_state())
            {
                hand.transcript.closes = true;
                break 'reading;
            }
            let _ = connection.start_next_cycle();
        }
    }
    hand.transcript
}

/// Marsaglia's xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// A few requests, most of them good.
fn requests(chance: &mut Chance) -> Vec<u8> {
    let mut input = String::new();
    for _ in 0..=chance.below(4) {
        // In one request of three, each part is good or bad.
        let good = chance.below(3) > 0;
        let mut part = |good_ones: &[&'static str], others: &[&'static str]| {
            let choices = if good {
                good_ones.to_vec()
            } else {
                [good_ones, others].concat()
            };
            input += choices[chance.below(choices.len())];
        };
        part(&["", "", "\r\n"], &[]);
        part(&["GET", "POST", "HEAD", "PUT", "OPTIONS"], &[]);
        part(&[" / ", " /a?b ", " http://h/x "], &[" * "]);
        part(
            &["HTTP/1.1\r\nHost: h\r\n"],
            &["HTTP/1.0\r\n", "HTTP/2.0\r\n"],
        );
        for _ in 0..2 {
            part(
                &[
                    "",
                    "A: b\r\n",
                    "Connection: keep-alive\r\n",
                    "Expect: 100-continue\r\n",
                ],
                &[
                    "Connection: close\r\n",
                    "Expect: x\r\n",
                    "A : b\r\n",
                    "A: b\n",
                    "Host: b\r\n",
                ],
            );
        }
        part(
            &[
                "\r\n",
                "Content-Length: 5\r\n\r\nhello",
                "Content-Length: 0\r\n\r\n",
                "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1;x\r\n!\r\n0\r\nSum: 1\r\nB:\r\n\r\n",
            ],
            &[
                "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
                "Content-Length: 5\r\n\r\nhel",
                "Transfer-Encoding: chunked\r\n\r\n2\r\nhix",
                "Transfer-Encoding: gzip\r\n\r\n",
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            ],
        );
    }
    input.into_bytes()
}

#[test]
fn both_servers_read_a_client_alike() {
    let mut chance = Chance(0xb07);
    let (mut served, mut refused) = (0, 0);
    for _ in 0..5_000 {
        let input = requests(&mut chance);
        let whole = vec![input.len()];
        let cut = chance.below(input.len() + 1);
        let bytes = (1..=input.len()).collect();
        let mut many: Vec<usize> = (0..5).map(|_| chance.below(input.len() + 1)).collect();
        many.sort_unstable();
        many.push(input.len());
        for stops in [whole, vec![cut, input.len()], bytes, many] {
            let expected = by_http_connection(&input, &stops);
            let found = by_hand(&input, &stops);
            assert_eq!(found, expected, "{stops:?}: {}", input.escape_ascii());
            served += expected.requests.len();
            refused += usize::from(expected.statuses.last().is_some_and(|&code| code >= 400));
        }
    }
    assert!(served > 10_000 && refused > 5_000, "{served} {refused}");
}
