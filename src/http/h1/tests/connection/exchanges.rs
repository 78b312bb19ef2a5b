//! Whole exchanges, one after the other, however the bytes arrive.

use super::*;

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

/// A client that has asked nothing waits for nothing, and hears of the end.
#[test]
fn a_client_before_its_request() {
    let (mut client, _) = pair();
    assert_eq!(client.next(), Ok("more".into()));
    client.connection.input_closed();
    assert_eq!(client.next(), Ok("closed".into()));
    assert_eq!(client.states(), (MustClose, Closed));
}

/// h11: `their_http_version`. It is that of the last message.
#[test]
fn the_version_of_the_peer() {
    let (mut client, mut server) = pair();
    assert_eq!(client.connection.their_version(), None);
    assert_eq!(server.connection.their_version(), None);
    server.all(b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(server.connection.their_version(), Some(Version::Http10));
    client.request("GET", &[]);
    client.all(b"HTTP/1.1 100 \r\n\r\n");
    assert_eq!(client.connection.their_version(), Some(Version::Http11));
    client.all(b"HTTP/1.0 200 \r\n\r\n");
    assert_eq!(client.connection.their_version(), Some(Version::Http10));
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
    for (fields, waits) in [
        (&[LENGTH_5][..], false),
        (&[LENGTH_0, expect], false),
        (&[expect], false),
        (&[CHUNKED, expect], true),
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
