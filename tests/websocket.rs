//! An upgrade used in earnest: the example `websocket_echo`, and a client that speaks WebSocket.
#![cfg(feature = "server")]

mod support;

#[path = "../examples/protocols/websocket_echo.rs"]
#[allow(dead_code)]
mod websocket_echo;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serve_forever::http::{
    Http, HttpConnection, HttpResult, HttpSettings, Message, Request, Response, ThreadedHttp,
};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Evented, Mailbox, Next, Pool, Protocol};
use support::client::{Client, read_through, text};
use support::server::serve;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, WebSocket};
use websocket_echo::{IDLE, LONGEST_MESSAGE, echo};

fn http() -> Http<fn(&Request<'_>, Response<'_>) -> HttpResult> {
    Http::new(echo, HttpSettings::default())
}

/// The handshake of RFC 6455 section 1.3, whose key is answered with [`ACCEPT`].
const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: h.test\r\nUpgrade: websocket\r\n\
                         Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// A frame of a client, whose mask changes nothing (RFC 6455 section 5.2).
fn frame(first: u8, content: &[u8]) -> Vec<u8> {
    let length = match content.len() {
        length @ 0..126 => vec![0x80 | length as u8],
        length => [&[0xff][..], &(length as u64).to_be_bytes()].concat(),
    };
    [&[first][..], &length, &[0; 4], content].concat()
}

/// The answer's head.
fn head(client: &mut Client) -> String {
    read_through(&mut client.0, "\r\n\r\n")
}

/// A conversation of tungstenite's own client.
fn open(address: SocketAddr) -> WebSocket<TcpStream> {
    let stream = Client::connect(address).0;
    let (socket, _) = tungstenite::client(format!("ws://{address}/"), stream).expect("upgraded");
    socket
}

/// On the loop and on threads: messages, a ping, and the closing handshake.
#[test]
fn a_client_converses() {
    let evented = serve(|| Evented::new(http()));
    let threading = serve(|| {
        let workers = Pool::new().threads(2);
        Evented::new(ThreadedHttp::new(echo, HttpSettings::default(), workers))
    });
    for server in [&evented, &threading] {
        let mut socket = open(server.address);
        for message in [
            "hello".into(),
            vec![0, 0xff, 7].into(),
            "x".repeat(60_000).into(),
        ] {
            let message: tungstenite::Message = message;
            socket.send(message.clone()).expect("sent");
            assert_eq!(socket.read().expect("an echo"), message);
        }
        let ping = tungstenite::Message::Ping("are you there".into());
        socket.send(ping).expect("sent");
        let pong = tungstenite::Message::Pong("are you there".into());
        assert_eq!(socket.read().expect("a pong"), pong);
        socket.close(None).expect("sent");
        let farewell = socket.read().expect("the other half of the handshake");
        assert_eq!(farewell, tungstenite::Message::Close(None));
        assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    }
}

/// RFC 9110 §7.8: what follows the request in the same segment belongs to the new protocol.
#[test]
fn a_frame_in_the_segment_of_the_handshake_is_answered() {
    let server = serve(|| Evented::new(http()));
    let mut client = server.connect();
    client.send([HANDSHAKE.as_bytes(), &frame(0x81, b"early")].concat());
    let head = head(&mut client);
    assert!(
        head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{head}"
    );
    assert!(
        head.contains(ACCEPT) && head.contains("Upgrade: websocket\r\n"),
        "{head}"
    );
    assert!(!head.contains("Content-Length"), "{head}");
    client.expect(b"\x81\x05early");
    client.send(frame(0x88, b""));
    client.expect(b"\x88\x00");
    client.expect_end();
}

/// RFC 6455 section 4.2.1, point by point; the connection goes on or not, but never as frames.
#[test]
fn what_is_no_handshake_is_refused() {
    let cases = [
        ("GET /chat", "POST /chat", 405),
        ("HTTP/1.1", "HTTP/1.0", 426),
        ("Upgrade: websocket", "Upgrade: h2c", 426),
        ("Upgrade: websocket\r\n", "", 426),
        (", Upgrade", "", 426),
        ("Version: 13", "Version: 8", 426),
        ("Sec-WebSocket-Version: 13\r\n", "", 426),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
        ("dGhl", "dGhlAAAA", 400),
        ("dGhl", "dG l", 400),
        (
            "ZQ==",
            "ZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            400,
        ),
        ("25jZQ==", "25jZQ=", 400),
    ];
    let server = serve(|| Evented::new(http()));
    for (part, instead, status) in cases {
        let request = HANDSHAKE.replacen(part, instead, 1);
        assert_ne!(request, HANDSHAKE, "{part:?} as {instead:?}");
        let mut client = server.connect();
        client.send(request);
        let head = head(&mut client);
        let line = format!("HTTP/1.1 {status} ");
        assert!(head.starts_with(&line), "{part:?} as {instead:?}: {head}");
        let asks = head.contains("Upgrade: websocket\r\n") && head.contains("Version: 13\r\n");
        assert_eq!(asks, status == 426, "{part:?} as {instead:?}: {head}");
    }
}

/// The size limit, bad frames and bad text: each with its own status code (RFC 6455 section 7.4.1).
#[test]
fn what_breaks_the_rules_ends_the_conversation() {
    let long = vec![b'x'; LONGEST_MESSAGE + 1];
    let half = vec![b'x'; LONGEST_MESSAGE / 2 + 1];
    let cases: [(&str, Vec<u8>, CloseCode); 5] = [
        ("too long", frame(0x82, &long), CloseCode::Size),
        (
            "too long in two frames",
            [frame(0x02, &half), frame(0x80, &half)].concat(),
            CloseCode::Size,
        ),
        ("not masked", b"\x81\x01x".to_vec(), CloseCode::Protocol),
        ("reserved", frame(0x83, b"x"), CloseCode::Protocol),
        ("no UTF-8", frame(0x81, b"\xff"), CloseCode::Invalid),
    ];
    let server = serve(|| Evented::new(http()));
    for (case, bytes, code) in cases {
        let mut client = server.connect();
        client.send(HANDSHAKE);
        head(&mut client);
        client.send(&bytes);
        client.shutdown_write();
        let [high, low] = u16::from(code).to_be_bytes();
        let close = [0x88, 2, high, low];
        assert_eq!(text(&client.rest()), text(&close), "{case}");
    }
}

/// Design law 8, with time in the hands of the test; and a drain says good-bye.
#[test]
fn a_silent_client_is_left_and_so_is_one_that_drains() {
    let began = Instant::now();
    let at = |seconds| Now::at(began + Duration::from_secs(seconds), UNIX_EPOCH);
    let begin = || {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let settings = Arc::new(HttpSettings::default());
        let mut connection = HttpConnection::new(echo, peer, settings);
        let (mut input, mut output) = (Buffer::new(), Buffer::new());
        input.extend_from_slice(HANDSHAKE.as_bytes());
        let made = connection.connection_made(Mailbox::dangling(), &mut output, &at(0));
        assert!(matches!(made, Next::Read));
        match connection.receive(&mut input, &mut output, &at(0)) {
            Next::Upgrade(mut protocol) => {
                let mailbox = Mailbox::<Message>::dangling();
                let next = protocol.connection_made(mailbox, &mut output, &at(0));
                assert!(matches!(next, Next::Read), "{next:?}");
                protocol
            }
            next => panic!("{next:?} {}", text(&output)),
        }
    };
    let away = [0x88, 2, 0x03, 0xe9];
    let mut protocol = begin();
    assert_eq!(protocol.deadline(), Some(began + IDLE));
    let (mut input, mut output) = (Buffer::new(), Buffer::new());
    input.write_all(&frame(0x81, b"hi")).expect("memory");
    let next = protocol.receive(&mut input, &mut output, &at(40));
    assert!(matches!(next, Next::Read), "{next:?}");
    assert_eq!(text(&output), text(b"\x81\x02hi"));
    let deadline = began + Duration::from_secs(40) + IDLE;
    assert_eq!(protocol.deadline(), Some(deadline));
    output.clear();
    let next = protocol.timed_out(&mut output, &at(100));
    assert!(matches!(next, Next::Linger), "{next:?}");
    assert_eq!(text(&output), text(&away));
    output.clear();
    let next = begin().drain(&mut Buffer::new(), &mut output, &at(1));
    assert!(matches!(next, Next::Linger), "{next:?}");
    assert_eq!(text(&output), text(&away));
}
