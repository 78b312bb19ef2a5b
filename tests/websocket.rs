//! WebSocket: the handshake, messages, and every way in which a conversation ends.
#![cfg(feature = "websocket")]

mod support;

#[path = "websocket/conversing.rs"]
mod conversing;
#[path = "websocket/frames.rs"]
mod frames;
#[path = "websocket/handshake.rs"]
mod handshake;
#[path = "websocket/sending.rs"]
mod sending;

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serve_forever::http::websocket::{
    WebSocket, WebSocketClose, WebSocketHandler, WebSocketMessage, WebSocketSender,
    WebSocketSettings,
};
use serve_forever::http::{Http, HttpResult, HttpSettings, Request, Response};
use serve_forever::socketserver::{EventedSettings, HandlerResult};
use support::client::{Client, read_through, text};
use support::driven::Driven;

/// The handshake of RFC 6455 section 1.3, whose key is answered with [`ACCEPT`].
const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: h.test\r\nUpgrade: websocket\r\n\
                         Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// The mask of the frames here (RFC 6455 section 5.7).
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const LAST: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = LAST | 8;
const PING: u8 = LAST | 9;
const PONG: u8 = LAST | 10;

/// The head of a frame: its first byte, the length in its shortest form, the bit of the mask.
fn frame_head(first: u8, length: usize, mask_bit: u8) -> Vec<u8> {
    let mut head = vec![first];
    match length {
        0..126 => head.push(mask_bit | length as u8),
        126..0x1_0000 => {
            head.push(mask_bit | 126);
            head.extend((length as u16).to_be_bytes());
        }
        _ => {
            head.push(mask_bit | 127);
            head.extend((length as u64).to_be_bytes());
        }
    }
    head
}

/// A frame of a client.
fn frame(first: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let mut frame = frame_head(first, content.len(), 0x80);
    frame.extend(MASK);
    frame.extend(content.iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b));
    frame
}

/// A frame of the server.
fn sent(first: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [&frame_head(first, content.len(), 0), content].concat()
}

/// The content of a Close frame.
fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_ref()].concat()
}

/// What happens to a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Open,
    Text(String),
    Binary(Vec<u8>),
    Closed(u16, String),
}

/// Tells the test what happens, sends messages back, and does what some texts say.
struct Witness {
    events: Sender<Event>,
    senders: Sender<WebSocketSender>,
}

impl WebSocketHandler for Witness {
    fn open(&mut self, socket: &mut WebSocket<'_>) -> HandlerResult {
        // Ignore the errors here: the test has seen enough.
        let _ = self.events.send(Event::Open);
        let _ = self.senders.send(socket.sender());
        Ok(())
    }

    fn message(
        &mut self,
        socket: &mut WebSocket<'_>,
        message: WebSocketMessage<'_>,
    ) -> HandlerResult {
        let event = match message {
            WebSocketMessage::Text(text) => Event::Text(text.to_owned()),
            WebSocketMessage::Binary(bytes) => Event::Binary(bytes.to_vec()),
        };
        let _ = self.events.send(event);
        match message {
            WebSocketMessage::Text("fail") => return Err("scripted".into()),
            WebSocketMessage::Text("panic") => panic!("scripted panic"),
            WebSocketMessage::Text("bye") => socket.close(WebSocketClose::NORMAL, "you said so"),
            WebSocketMessage::Text("ping") => socket.ping(),
            message => socket.send(message),
        }
        Ok(())
    }

    fn closed(&mut self, close: &WebSocketClose) {
        let event = Event::Closed(close.code(), close.reason().to_owned());
        let _ = self.events.send(event);
    }
}

type Site = Box<dyn Fn(&Request<'_>, Response<'_>) -> HttpResult + Send + Sync>;

/// What the handlers of a site do.
struct Seen {
    events: Receiver<Event>,
    senders: Receiver<WebSocketSender>,
}

/// A site whose handlers have witnesses.
fn witnessed(settings: WebSocketSettings) -> (Arc<Site>, Seen) {
    let (events, seen_events) = channel();
    let (senders, seen_senders) = channel();
    let channels = Mutex::new((events, senders));
    let site: Site = Box::new(move |request, response| {
        let (events, senders) = channels.lock().expect("no panic").clone();
        settings.accept(request, response, Witness { events, senders })
    });
    let seen = Seen {
        events: seen_events,
        senders: seen_senders,
    };
    (Arc::new(site), seen)
}

/// A handler that calls a shared site.
fn http(site: Arc<Site>, settings: HttpSettings) -> Http<impl Handler> {
    let handle = move |request: &Request<'_>, response: Response<'_>| site(request, response);
    Http::new(handle, settings)
}

trait Handler: serve_forever::http::HttpRequestHandler + Clone + Send + Sync + 'static {}

impl<H: serve_forever::http::HttpRequestHandler + Clone + Send + Sync + 'static> Handler for H {}

/// A server in the test's hands, and what its handlers do.
fn driven(settings: WebSocketSettings) -> (Driven<Http<impl Handler>>, Seen) {
    let (site, seen) = witnessed(settings);
    let http = http(site, HttpSettings::default());
    (Driven::new(EventedSettings::default(), http), seen)
}

/// A client whose handshake is accepted.
fn open<F>(driven: &mut Driven<F>) -> Client
where
    F: serve_forever::socketserver::Factory<
            SocketAddr,
            Made: serve_forever::socketserver::Protocol,
        >,
{
    let mut client = driven.connect();
    client.send(HANDSHAKE);
    driven.settle();
    let head = read_through(&mut client.0, "\r\n\r\n");
    assert!(head.contains(ACCEPT), "{head}");
    client
}

/// All that has happened so far.
fn events(seen: &Seen) -> Vec<Event> {
    seen.events.try_iter().collect()
}
