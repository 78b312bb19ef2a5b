//! An end closes, and what may still follow.

use super::*;

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
