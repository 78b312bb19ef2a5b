//! Whole conversations of tungstenite's client with our server.

use std::net::TcpStream;

use serve_forever::http::websocket::{WebSocket, WebSocketMessage, WebSocketSettings};
use serve_forever::http::{Http, HttpSettings, ThreadedHttp, listen};
use serve_forever::socketserver::{Dispatch, Evented, Pool, Server, Tcp};
use serve_forever::{HttpResult, Request, Response};
use tungstenite::{Error, Message, client};

fn echo(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let echo = |socket: &mut WebSocket<'_>, message: WebSocketMessage<'_>| {
        socket.send(message);
        Ok(())
    };
    WebSocketSettings::default().accept(request, response, echo)
}

/// Messages, a ping, and the closing handshake, with a server of this kind.
fn converse(dispatch: impl Dispatch<Tcp> + Send + 'static) {
    let tcp = listen("127.0.0.1:0").expect("a free port");
    let server = Server::new(tcp, dispatch).expect("a poll");
    let server = server.spawn().expect("a thread");
    let address = server.server_address();
    let stream = TcpStream::connect(address).expect("a connection");
    let (mut socket, _) = client(format!("ws://{address}/"), stream).expect("upgraded");
    for message in [
        Message::from("hello"),
        vec![0, 0xff, 7].into(),
        "x".repeat(60_000).into(),
        vec![9; 1024 * 1024].into(),
    ] {
        socket.send(message.clone()).expect("sent");
        assert_eq!(socket.read().expect("an echo"), message);
    }
    let ping = Message::Ping("are you there".into());
    socket.send(ping).expect("sent");
    let pong = Message::Pong("are you there".into());
    assert_eq!(socket.read().expect("a pong"), pong);
    socket.close(None).expect("sent");
    let farewell = socket.read().expect("the other half of the handshake");
    assert_eq!(farewell, Message::Close(None));
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    server.shutdown().expect("stopped");
}

#[test]
fn on_the_loop() {
    converse(Evented::new(Http::new(echo, HttpSettings::default())));
}

#[test]
fn on_threads() {
    let workers = Pool::new().threads(2);
    let http = ThreadedHttp::new(echo, HttpSettings::default(), workers);
    converse(Evented::new(http));
}
