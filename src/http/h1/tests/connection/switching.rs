//! Another protocol takes over.

use super::*;

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
