//! Both ends of a connection: h11's scenarios, and client and server that talk to each other in memory.

use super::*;
use State::{Closed, Done, Idle, MightSwitchProtocol, MustClose, SendBody, SendResponse};
use State::{Error as InError, SwitchedProtocol};

const HOST: (&str, &[u8]) = ("Host", b"h");

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
const CLOSE: (&str, &[u8]) = ("Connection", b"close");

/// h11: `test__keep_alive`, `test_Connection_basics_in_memory`.
#[test]
fn a_whole_exchange_and_the_next() {
    let (mut client, mut server) = pair();
    for _ in 0..2 {
        assert_eq!(client.states(), (Idle, Idle));
        let wire = client.request("POST", &[LENGTH_5]);
        assert_eq!(server.all(&wire), ["POST /"]);
        assert_eq!(client.states(), (SendBody, SendResponse));
        assert_eq!(server.states(), (SendResponse, SendBody));
        let wire = client.data(b"hello");
        assert_eq!(server.all(&wire), ["data hello", "end"]);
        assert_eq!(client.end(), b"");
        assert_eq!(server.states(), (SendResponse, Done));
        let wire = server.respond(200, &[]);
        assert_eq!(wire, b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(client.all(&wire), ["200"]);
        let wire = [
            server.data(b"12345"),
            server.data(b""),
            server.data(b"6"),
            server.end(),
        ]
        .concat();
        assert_eq!(client.all(&wire), ["data 123456", "end"]);
        assert_eq!(
            (client.states(), server.states()),
            ((Done, Done), (Done, Done))
        );
        assert_eq!(client.connection.start_next_cycle(), Ok(()));
        assert_eq!(server.connection.start_next_cycle(), Ok(()));
    }
}

/// h11: `test_chunked`, with trailers, which arrive whole however they are cut.
#[test]
fn trailers_arrive_whole() {
    let wire = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
        5\r\nhello\r\n1;x\r\n!\r\n0\r\nA: b\r\nSum: 1\r\n\r\nGET ";
    let expected = r#"end {"A": "b", "Sum": "1"}"#;
    for first in 0..wire.len() {
        for second in [first, (first + 9).min(wire.len())] {
            let mut server = End::new(Role::Server);
            let mut events = Vec::new();
            for piece in [&wire[..first], &wire[first..second], &wire[second..]] {
                events.extend(server.all(piece));
            }
            let content = events[1..events.len() - 1].concat().replace("data ", "");
            assert_eq!(
                (&*events[0], &*content),
                ("POST /", "hello!"),
                "{first} {second}"
            );
            assert_eq!(events.last().map(|event| &**event), Some(expected));
            assert_eq!(server.input, b"GET ");
        }
    }
}

/// h11: `test_100_continue`.
#[test]
fn the_client_waits_for_100_continue() {
    let begin = || {
        let (mut client, mut server) = pair();
        let wire = client.request("POST", &[LENGTH_5, ("Expect", b"100-continue")]);
        assert_eq!(server.all(&wire), ["POST /"]);
        for end in [&client, &server] {
            assert!(end.connection.client_is_waiting_for_100_continue());
        }
        (client, server)
    };
    let neither = |client: &End, server: &End| {
        for end in [client, server] {
            assert!(!end.connection.client_is_waiting_for_100_continue());
        }
    };
    // An early hint says nothing about the content.
    let (mut client, mut server) = begin();
    let mut wire = Vec::new();
    let hint = server
        .connection
        .send_informational(&mut wire, 103, "Early Hints", []);
    assert_eq!(
        (hint, client.all(&wire)),
        (Ok(()), vec!["interim 103".into()])
    );
    assert!(client.connection.client_is_waiting_for_100_continue());
    assert!(server.connection.client_is_waiting_for_100_continue());
    wire.clear();
    let sent = server
        .connection
        .send_informational(&mut wire, 100, "Continue", []);
    assert_eq!((sent, &wire[..]), (Ok(()), CONTINUE));
    assert_eq!(client.all(&wire), ["interim 100"]);
    neither(&client, &server);
    // A final response.
    let (mut client, mut server) = begin();
    let wire = server.respond(417, &[LENGTH_0, CLOSE]);
    assert_eq!(client.all(&wire), ["417", "end"]);
    neither(&client, &server);
    // The client does not wait for ever.
    let (mut client, mut server) = begin();
    let wire = client.data(b"hello");
    assert_eq!(server.all(&wire), ["data hello", "end"]);
    neither(&client, &server);
}

#[test]
fn a_client_that_does_not_wait() {
    let expect: (&str, &[u8]) = ("Expect", b"100-continue");
    let chunked: (&str, &[u8]) = ("Transfer-Encoding", b"chunked");
    for (fields, waits) in [
        (&[LENGTH_5][..], false),
        (&[LENGTH_0, expect], false),
        (&[expect], false),
        (&[chunked, expect], true),
    ] {
        let (mut client, mut server) = pair();
        for end in [&client, &server] {
            assert!(!end.connection.client_is_waiting_for_100_continue());
        }
        let wire = client.request("POST", fields);
        server.all(&wire);
        for end in [&client, &server] {
            let found = end.connection.client_is_waiting_for_100_continue();
            assert_eq!(found, waits, "{fields:?}");
        }
        // The end of the content says as much as its beginning.
        if waits {
            let wire = client.end();
            assert!(!client.connection.client_is_waiting_for_100_continue());
            assert_eq!(server.all(&wire), ["end"]);
            assert!(!server.connection.client_is_waiting_for_100_continue());
        }
    }
}

/// An option counts wherever it stands.
#[test]
fn options_of_connection() {
    for options in [
        &[("Connection", &b"x, Close"[..])][..],
        &[("Connection", b"close,x")],
        &[("Connection", b"x"), ("connection", b"close")],
    ] {
        let mut client = End::new(Role::Client);
        client.request("GET", options);
        client.end();
        assert_eq!(client.states().0, MustClose, "{options:?}");
    }
    let requests: [&[u8]; 3] = [
        b"Connection: keep-alive, Upgrade\r\n",
        b"Connection: upgrade, x\r\n",
        b"Connection: x\r\nConnection: upgrade\r\n",
    ];
    for fields in requests {
        let request = [
            b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n",
            fields,
            b"\r\n",
        ]
        .concat();
        let mut server = End::new(Role::Server);
        server.all(&request);
        assert_eq!(
            server.states().1,
            MightSwitchProtocol,
            "{}",
            fields.escape_ascii()
        );
    }
}

/// h11: `test_max_incomplete_event_size`, `test_errors`. A refused request can be answered, once.
#[test]
fn the_server_responds_to_a_request_that_it_refused() {
    let mut server = End::new(Role::Server);
    server.receive(b"GET / HTTP/1.1\r\nHost : h\r\n\r\n");
    for _ in 0..2 {
        assert_eq!(server.next(), Err(Error::FieldName));
        assert_eq!(server.states(), (Idle, InError));
    }
    let wire = server.respond(400, &[LENGTH_0]);
    assert_eq!(
        wire,
        b"HTTP/1.1 400 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(server.end(), b"");
    assert_eq!(server.states(), (MustClose, InError));
    let again = server
        .connection
        .send_response(&mut Vec::new(), 400, "", []);
    assert_eq!(again, Err(EncodeError::WrongState));
    assert!(server.connection.start_next_cycle().is_err());
    // A request that becomes bad in its content.
    let mut server = End::new(Role::Server);
    server.receive(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx");
    assert_eq!(server.next(), Ok("POST /".into()));
    assert_eq!(server.next(), Err(Error::ChunkSize));
    let wire = server.respond(400, &[]);
    assert!(wire.ends_with(b"Connection: close\r\n\r\n"));
}

/// h11: `test_automatic_framing_in_response`, `test_automagic_connection_close_handling`.
#[test]
fn what_a_response_gets_by_itself() {
    type Case<'a> = (&'a [u8], u16, &'a [(&'static str, &'static [u8])], &'a str);
    let cases: &[Case<'_>] = &[
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200, &[LENGTH_5], ""),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            200,
            &[],
            "Transfer-Encoding: chunked\r\n",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            200,
            &[],
            "Transfer-Encoding: chunked\r\nConnection: close\r\n",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            200,
            &[LENGTH_5, CLOSE],
            "",
        ),
        (
            b"GET / HTTP/1.0\r\n\r\n",
            200,
            &[LENGTH_5],
            "Connection: close\r\n",
        ),
        (b"GET / HTTP/1.0\r\n\r\n", 200, &[], "Connection: close\r\n"),
        (
            b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            200,
            &[LENGTH_5],
            "Connection: keep-alive\r\n",
        ),
        (
            b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            200,
            &[],
            "Connection: close\r\n",
        ),
        (b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", 200, &[], ""),
        (b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", 200, &[LENGTH_5], ""),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 204, &[], ""),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 304, &[LENGTH_5], ""),
    ];
    for (request, status, fields, added) in cases {
        let mut server = End::new(Role::Server);
        assert_eq!(server.all(request).len(), 2);
        let wire = server.respond(*status, fields);
        let text = String::from_utf8(wire).expect("ASCII");
        let (_, fields_sent) = text.split_once("\r\n").expect("a line");
        let own: usize = fields
            .iter()
            .map(|(name, value)| name.len() + value.len() + 4)
            .sum();
        assert_eq!(
            &fields_sent[own..],
            format!("{added}\r\n"),
            "{}",
            request.escape_ascii()
        );
        let closes = added.contains("close") || fields.contains(&CLOSE);
        if !fields.contains(&LENGTH_5) || *status != 200 || request.starts_with(b"HEAD") {
            server.end();
            assert_eq!(server.states().0, if closes { MustClose } else { Done });
        }
    }
}

#[test]
fn what_a_server_must_not_send() {
    type Sent<'a> = (
        &'a [u8],
        u16,
        &'a [(&'static str, &'static [u8])],
        EncodeError,
    );
    let get = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let chunked: (&str, &[u8]) = ("Transfer-Encoding", b"chunked");
    let cases: &[Sent<'_>] = &[
        (get, 200, &[LENGTH_5, LENGTH_5], EncodeError::InvalidFraming),
        (get, 200, &[LENGTH_5, chunked], EncodeError::InvalidFraming),
        (
            get,
            200,
            &[("Transfer-Encoding", b"gzip")],
            EncodeError::InvalidFraming,
        ),
        (get, 204, &[LENGTH_0], EncodeError::InvalidFraming),
        (get, 200, &[("Upgrade", b"x")], EncodeError::MissingOption),
        (get, 200, &[("A", b"\n")], EncodeError::InvalidValue),
        (get, 200, &[("A ", b"")], EncodeError::InvalidName),
        (get, 100, &[], EncodeError::InvalidStatus),
        (get, 1000, &[], EncodeError::InvalidStatus),
        (
            b"GET / HTTP/1.0\r\n\r\n",
            200,
            &[chunked],
            EncodeError::InvalidFraming,
        ),
        (
            b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
            200,
            &[LENGTH_0],
            EncodeError::InvalidFraming,
        ),
        (b"", 200, &[chunked], EncodeError::InvalidFraming),
    ];
    for (request, status, fields, expected) in cases {
        let mut server = End::new(Role::Server);
        server.all(request);
        let before = server.states();
        let mut wire = Vec::new();
        let sent = server
            .connection
            .send_response(&mut wire, *status, "", fields.iter().copied());
        assert_eq!(sent, Err(*expected), "{status} {fields:?}");
        assert_eq!((wire.len(), server.states()), (0, before));
    }
    let mut server = End::new(Role::Server);
    server.all(b"GET / HTTP/1.0\r\n\r\n");
    let mut wire = Vec::new();
    for (status, expected) in [
        (100, EncodeError::WrongState),
        (101, EncodeError::WrongState),
        (200, EncodeError::InvalidStatus),
    ] {
        let sent = server
            .connection
            .send_informational(&mut wire, status, "", []);
        assert_eq!(sent, Err(expected), "{status}");
    }
}

#[test]
fn what_a_client_must_not_send() {
    type Fields<'a> = &'a [(&'static str, &'static [u8])];
    let cases: &[(&str, &str, Fields<'_>, EncodeError)] = &[
        ("GET", "/", &[], EncodeError::InvalidHost),
        ("GET", "/", &[HOST, HOST], EncodeError::InvalidHost),
        ("GET", "/", &[("host", b"a@b")], EncodeError::InvalidHost),
        ("G T", "/", &[HOST], EncodeError::InvalidMethod),
        ("GET", "x", &[HOST], EncodeError::InvalidTarget),
        (
            "GET",
            "/",
            &[HOST, LENGTH_5, LENGTH_5],
            EncodeError::InvalidFraming,
        ),
        (
            "GET",
            "/",
            &[HOST, ("Content-Length", b"+5")],
            EncodeError::InvalidFraming,
        ),
        (
            "GET",
            "/",
            &[HOST, ("TE", b"trailers")],
            EncodeError::MissingOption,
        ),
        (
            "GET",
            "/",
            &[HOST, ("Upgrade", b"x"), CLOSE],
            EncodeError::MissingOption,
        ),
        (
            "GET",
            "/",
            &[HOST, ("A", b"a\r\nb")],
            EncodeError::InvalidValue,
        ),
    ];
    for (method, target, fields, expected) in cases {
        let mut client = End::new(Role::Client);
        let mut wire = Vec::new();
        let fields = fields.iter().copied();
        let sent = client
            .connection
            .send_request(&mut wire, method, target, fields);
        assert_eq!(sent, Err(*expected), "{method} {target}");
        assert_eq!((wire.len(), client.states()), (0, (Idle, Idle)));
    }
}

/// h11: `test_sendfile`, `test_body_length_mismatch`, `test_wrong_order`.
#[test]
fn content_has_the_length_that_was_announced() {
    let mut client = End::new(Role::Client);
    let mut wire = Vec::new();
    let early = client.connection.send_data(&mut wire, b"x");
    assert_eq!(early, Err(EncodeError::WrongState));
    client.request("POST", &[LENGTH_5]);
    assert_eq!(client.data(b"hell"), b"hell");
    let connection = &mut client.connection;
    assert_eq!(
        connection.send_data(&mut wire, b"oo"),
        Err(EncodeError::WrongLength)
    );
    let end = connection.end_of_message(&mut wire, []);
    assert_eq!(
        (end, connection.close()),
        (Err(EncodeError::WrongLength), Err(EncodeError::WrongState))
    );
    assert_eq!(client.data(b"o"), b"o");
    let trailer = client
        .connection
        .end_of_message(&mut wire, [("A", &b"b"[..])]);
    assert_eq!(trailer, Err(EncodeError::InvalidFraming));
    assert_eq!((client.end(), wire.len()), (Vec::new(), 0));
    let again = client.connection.end_of_message(&mut wire, []);
    assert_eq!(again, Err(EncodeError::WrongState));
    let role = client.connection.send_response(&mut wire, 200, "", []);
    assert_eq!(role, Err(EncodeError::WrongState));
}

/// h11: `test_pipelining`.
#[test]
fn pipelined_requests_wait() {
    let mut server = End::new(Role::Server);
    let get = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(server.all(&[&get[..], get].concat()), ["GET /", "end"]);
    assert_eq!(server.next(), Ok("paused".into()));
    server.respond(200, &[LENGTH_0]);
    server.end();
    assert_eq!(server.next(), Ok("paused".into()));
    assert_eq!(server.connection.start_next_cycle(), Ok(()));
    assert_eq!(server.all(b""), ["GET /", "end"]);
    assert_eq!(server.input, b"");
}

const UPGRADE: [(&str, &[u8]); 2] = [("Upgrade", b"x"), ("Connection", b"Upgrade")];

/// h11: `test_protocol_switch`.
#[test]
fn another_protocol_takes_over() {
    type Scenario = (
        &'static str,
        &'static [(&'static str, &'static [u8])],
        u16,
        bool,
    );
    let scenarios: &[Scenario] = &[
        ("GET", &UPGRADE, 101, true),
        ("GET", &UPGRADE, 200, false),
        ("CONNECT", &[], 200, true),
        ("CONNECT", &[], 404, false),
        ("CONNECT", &UPGRADE, 101, true),
    ];
    for &(method, fields, status, switches) in scenarios {
        let (mut client, mut server) = pair();
        let wire = client.request(method, fields);
        let event = format!("{method} {}", if method == "CONNECT" { "h:1" } else { "/" });
        assert_eq!(server.all(&wire), [&event, "end"]);
        client.end();
        assert_eq!(client.states(), (MightSwitchProtocol, SendResponse));
        assert_eq!(server.states(), (SendResponse, MightSwitchProtocol));
        server.receive(b"of the other protocol");
        assert_eq!(server.next(), Ok("paused".into()));
        let mut wire = Vec::new();
        match status {
            101 => server
                .connection
                .send_informational(&mut wire, 101, "", UPGRADE),
            _ if switches => server.connection.send_response(&mut wire, status, "", []),
            _ => server
                .connection
                .send_response(&mut wire, status, "", [LENGTH_0]),
        }
        .expect("it can be sent");
        if switches {
            let event = if status == 101 { "interim 101" } else { "200" };
            assert_eq!(client.all(&[&wire[..], b"not HTTP"].concat()), [event]);
            for end in [&client, &server] {
                assert_eq!(end.states(), (SwitchedProtocol, SwitchedProtocol));
            }
            assert_eq!(
                (&*client.input, &*server.input),
                (&b"not HTTP"[..], &b"of the other protocol"[..])
            );
            assert_eq!(client.next(), Ok("paused".into()));
        } else {
            server.end();
            assert_eq!(client.all(&wire), [status.to_string(), "end".into()]);
            assert_eq!(
                (client.states(), server.states()),
                ((Done, Done), (Done, Done))
            );
        }
    }
}

#[test]
fn a_server_cannot_switch_by_itself() {
    let mut client = End::new(Role::Client);
    client.request("GET", &[]);
    client.receive(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
    assert_eq!(client.next(), Err(Error::UnexpectedUpgrade));
    // A CONNECT proposes a tunnel, and no upgrade.
    let mut client = End::new(Role::Client);
    client.request("CONNECT", &[]);
    client.receive(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
    assert_eq!(client.next(), Err(Error::UnexpectedUpgrade));
    // Nor does a client of HTTP/1.0, or one that does not name Upgrade in Connection.
    for request in [
        &b"GET / HTTP/1.0\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n\r\n",
    ] {
        let mut server = End::new(Role::Server);
        server.all(request);
        let sent = server
            .connection
            .send_informational(&mut Vec::new(), 101, "", UPGRADE);
        assert_eq!(sent, Err(EncodeError::WrongState));
    }
}

/// h11: `test_close_simple`, `test_close_different_states`, `test_client_talking_to_http10_server`.
#[test]
fn closing() {
    // Nothing was sent.
    let (mut client, mut server) = pair();
    assert_eq!(client.connection.close(), Ok(()));
    server.connection.input_closed();
    assert_eq!(server.all(b"\r\n"), ["closed"]);
    assert_eq!(
        (client.states(), server.states()),
        ((Closed, MustClose), (MustClose, Closed))
    );
    // The client closes its half when the request is complete, and still gets its response.
    let (mut client, mut server) = pair();
    let wire = client.request("GET", &[]);
    client.end();
    assert_eq!(client.connection.close(), Ok(()));
    server.connection.input_closed();
    assert_eq!(server.all(&wire), ["GET /", "end", "closed"]);
    let wire = server.respond(200, &[LENGTH_0]);
    server.end();
    assert_eq!(client.all(&wire), ["200", "end"]);
    assert_eq!(
        (client.states(), server.states()),
        ((Closed, MustClose), (MustClose, Closed))
    );
    // Content that ends with the connection.
    let (mut client, mut server) = pair();
    client.request("GET", &[]);
    client.end();
    server.all(b"GET / HTTP/1.0\r\n\r\n");
    let wire = [
        server.respond(200, &[]),
        server.data(b"hello"),
        server.end(),
    ]
    .concat();
    assert!(wire.ends_with(b"\r\n\r\nhello"));
    assert_eq!(server.states().0, MustClose);
    assert_eq!(client.all(&wire), ["200", "data hello"]);
    client.connection.input_closed();
    assert_eq!(client.all(b""), ["end", "closed"]);
    assert_eq!(client.states(), (MustClose, Closed));
}

#[test]
fn what_follows_the_last_message_is_passed_over() {
    let (mut client, mut server) = pair();
    let wire = client.request("GET", &[CLOSE]);
    assert_eq!(
        server.all(&[&wire[..], b"GET / HTTP/1.1\r\n"].concat()),
        ["GET /", "end"]
    );
    assert_eq!(
        (server.states(), &*server.input),
        ((SendResponse, MustClose), &b""[..])
    );
    client.end();
    let wire = server.respond(200, &[LENGTH_0]);
    assert_eq!(
        client.all(&[&wire[..], b"HTTP/1.1 200 OK\r\n"].concat()),
        ["200", "end"]
    );
    assert_eq!(client.input, b"");
    client.connection.input_closed();
    assert_eq!(client.all(b"more"), ["closed"]);
}

/// h11: `test_EOF`, `test_early_detection_of_invalid_request`.
#[test]
fn the_peer_closes_too_early() {
    let requests: [&[u8]; 4] = [
        b"G",
        b"GET / HTTP/1.1\r\nHost: h\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n",
    ];
    for request in requests {
        let mut server = End::new(Role::Server);
        server.all(request);
        server.connection.input_closed();
        assert_eq!(
            server.next(),
            Err(Error::Truncated),
            "{}",
            request.escape_ascii()
        );
        assert_eq!(server.next(), Err(Error::Truncated));
    }
    for response in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n",
    ] {
        let mut client = End::new(Role::Client);
        client.request("GET", &[]);
        client.end();
        client.all(response.as_bytes());
        client.connection.input_closed();
        assert_eq!(client.next(), Err(Error::Truncated), "{response}");
        assert_eq!(client.states(), (MustClose, InError));
    }
}

#[test]
fn a_response_needs_a_request() {
    let mut client = End::new(Role::Client);
    client.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.next(), Err(Error::UnexpectedResponse));
    // Two responses to one request. If the second came later than the next request, it would be taken for
    // its response. So there is no next request, whether they come together or not.
    let wire = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    for cut in [38, 39, wire.len()] {
        let mut client = End::new(Role::Client);
        client.request("GET", &[]);
        client.end();
        assert_eq!(client.all(&wire[..cut]), ["200", "end"]);
        assert_eq!(client.all(&wire[cut..]), [""; 0]);
        assert_eq!(client.states(), (MustClose, MustClose));
        assert!(client.input.is_empty() && client.connection.start_next_cycle().is_err());
    }
    // This holds even if nobody looks at what is left.
    let mut client = End::new(Role::Client);
    client.request("GET", &[]);
    client.end();
    client.receive(wire);
    assert_eq!(
        (client.next(), client.next()),
        (Ok("200".into()), Ok("end".into()))
    );
    assert!(client.connection.start_next_cycle().is_err());
}

#[test]
fn a_refusal_of_the_content_responds_to_its_request() {
    let mut server = End::new(Role::Server);
    server.limits.chunks.content = 4;
    server.receive(b"HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(server.next(), Err(Error::BodyTooLarge));
    server.respond(413, &[LENGTH_5]);
    let body = server.connection.send_data(&mut Vec::new(), b"large");
    assert_eq!(body, Err(EncodeError::WrongLength));
}

/// h11: `test_early_server_response`. Client and server are done at different times.
#[test]
fn an_early_response() {
    let (mut client, mut server) = pair();
    let wire = client.request("POST", &[LENGTH_5]);
    server.all(&wire);
    let wire = server.respond(413, &[LENGTH_0]);
    server.end();
    assert_eq!(server.states(), (Done, SendBody));
    assert_eq!(client.all(&wire), ["413", "end"]);
    assert!(server.connection.start_next_cycle().is_err());
    let wire = client.data(b"hello");
    client.end();
    assert_eq!(server.all(&wire), ["data hello", "end"]);
    assert_eq!(server.connection.start_next_cycle(), Ok(()));
    assert_eq!(client.connection.start_next_cycle(), Ok(()));
}

/// h11: `test_local_protocol_errors`, `send_failed`.
#[test]
fn a_send_that_failed_is_the_last() {
    let (mut client, _) = pair();
    client.request("POST", &[LENGTH_5]);
    client.connection.send_failed();
    assert_eq!(client.states(), (InError, SendResponse));
    let sent = client.connection.send_data(&mut Vec::new(), b"hello");
    assert_eq!(sent, Err(EncodeError::WrongState));
    // What the server says can still be read.
    let response = b"HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(client.all(response), ["413", "end"]);
    assert_eq!(client.states(), (InError, MustClose));
}

#[test]
fn limits_hold_for_every_framing() {
    for (response, expected) in [
        ("Content-Length: 5\r\n\r\n", Error::BodyTooLarge),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\n",
            Error::BodyTooLarge,
        ),
        ("\r\nhello", Error::BodyTooLarge),
    ] {
        let mut client = End::new(Role::Client);
        client.limits.chunks.content = 4;
        client.request("GET", &[]);
        client.receive(format!("HTTP/1.1 200 OK\r\n{response}").as_bytes());
        let found = client.next().and_then(|_| client.next());
        assert_eq!(found, Err(expected), "{response}");
    }
    let mut server = End::new(Role::Server);
    server.limits.chunks.content = 4;
    server.receive(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(server.next(), Err(Error::BodyTooLarge));
    // Exactly as much as the limit is allowed.
    for response in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello",
    ] {
        let (mut client, mut server) = pair();
        (client.limits.chunks.content, server.limits.chunks.content) = (5, 5);
        client.request("GET", &[]);
        let events = client.all(format!("HTTP/1.1 200 OK\r\n{response}").as_bytes());
        assert_eq!(events[..2], ["200", "data hello"]);
        let request = format!("POST / HTTP/1.1\r\nHost: h\r\n{response}");
        if response.starts_with(char::is_alphabetic) {
            assert_eq!(
                server.all(request.as_bytes()),
                ["POST /", "data hello", "end"]
            );
        }
    }
}
