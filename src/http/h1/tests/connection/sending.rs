//! What an end adds to what its program sends, and what it refuses to send.

use super::*;

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
    let cases: &[Sent<'_>] = &[
        (get, 200, &[LENGTH_5, LENGTH_5], EncodeError::InvalidFraming),
        (get, 200, &[LENGTH_5, CHUNKED], EncodeError::InvalidFraming),
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
            &[CHUNKED],
            EncodeError::InvalidFraming,
        ),
        (
            b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
            200,
            &[LENGTH_0],
            EncodeError::InvalidFraming,
        ),
        (b"", 200, &[CHUNKED], EncodeError::InvalidFraming),
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

/// RFC 9110 section 8.6, RFC 9112 section 6.1: it has no content, so neither field may say how long that is.
#[test]
fn an_interim_response_announces_no_content() {
    for field in [LENGTH_0, CHUNKED] {
        let mut server = End::new(Role::Server);
        server.all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let mut wire = Vec::new();
        let sent = server
            .connection
            .send_informational(&mut wire, 103, "", [field]);
        assert_eq!(sent, Err(EncodeError::InvalidFraming), "{field:?}");
        assert_eq!(wire, b"");
    }
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
