//! What an end refuses of its peer, and how it responds.

use super::*;

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
