//! TLS around a protocol: in memory, where a test decides what arrives together and what time it is,
//! and over sockets.
#![cfg(feature = "tls-ring")]

mod support;

#[path = "tls/handshakes.rs"]
mod handshakes;
#[path = "tls/inside.rs"]
mod inside;
#[path = "tls/peer.rs"]
mod peer;
#[path = "tls/servers.rs"]
mod servers;
#[path = "tls/wire.rs"]
mod wire;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use peer::{Act, Peer, TlsClient};
use rustls::ClientConnection;
use serve_forever::http::{Http, HttpConnection, HttpResult, HttpSettings, Request, Response};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{
    Buffer, Driver, Ends, Factory, HandlerResult, Inbox, Protocol, Tls, TlsConnection,
};
use support::client::read_through;
use support::wire::peer as client_address;

const NAME: &str = "site.test";

const GET: &[u8] = b"GET /one HTTP/1.1\r\nHost: site.test\r\n\r\n";

type Handler = fn(&Request<'_>, Response<'_>) -> HttpResult;

/// Says what the request was, and by which way it came.
fn tell(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let (method, path, scheme) = (request.method(), request.path(), request.scheme());
    let length = request.body().len();
    let version = request.tls().map_or("", |tls| tls.version());
    let name = request
        .tls()
        .and_then(|tls| tls.server_name())
        .unwrap_or("");
    let body = format!("{method} {path} {length} {scheme} {version} {name}\n");
    response.send_response(200).body(body)
}

fn http() -> Http<Handler> {
    Http::new(tell as Handler, HttpSettings::default())
}

/// Makes the connection of one client.
fn make(tls: &Tls<Http<Handler>>) -> TlsConnection<HttpConnection<Handler>> {
    let address: SocketAddr = client_address();
    tls.make(&Ends::new(&address)).expect("made")
}

/// Serves one client in memory.
fn serve_peer(tls: &Tls<Http<Handler>>, peer: &mut Peer) -> HandlerResult {
    Driver::new(make(tls)).drive(peer)
}

fn send(bytes: &[u8]) -> Act {
    Act::Send(bytes.to_vec())
}

/// A connection in the hands of the test, which says what time it is.
struct Timed<P: Protocol> {
    protocol: TlsConnection<P>,
    _inbox: Inbox<P::Message>,
    began: Instant,
    pub output: Buffer,
}

impl<P: Protocol> Timed<P> {
    fn new(protocol: TlsConnection<P>) -> Timed<P> {
        let inbox = Inbox::new();
        let mut timed = Timed {
            protocol,
            began: Instant::now(),
            output: Buffer::new(),
            _inbox: inbox,
        };
        let now = timed.at(Duration::ZERO);
        let mailbox = timed._inbox.mailbox();
        timed
            .protocol
            .connection_made(mailbox, &mut timed.output, &now);
        timed
    }

    fn at(&self, time: Duration) -> Now {
        Now::at(self.began + time, SystemTime::UNIX_EPOCH)
    }

    /// When the connection's deadline is, counted from its beginning.
    fn deadline(&self) -> Option<Duration> {
        self.protocol
            .deadline()
            .map(|deadline| deadline - self.began)
    }

    /// Takes what the client sends and gives it the answer, until neither has anything to say.
    fn exchange(&mut self, client: &mut ClientConnection, time: Duration) -> String {
        let now = self.at(time);
        let mut verdict = String::new();
        while client.wants_write() || !self.output.is_empty() {
            let mut input = Buffer::new();
            client.write_tls(&mut input).expect("memory");
            let next = self.protocol.receive(&mut input, &mut self.output, &now);
            verdict = format!("{next:?}");
            let mut answer = &self.output[..];
            while !answer.is_empty() {
                client.read_tls(&mut answer).expect("memory");
                client.process_new_packets().expect("no alert");
            }
            self.output.clear();
        }
        verdict
    }
}

/// Asks for a path, and returns the body of the response.
fn get<S: Read + Write>(client: &mut TlsClient<S>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
    client.write_all(request.as_bytes()).expect("sent");
    body(client)
}

/// Reads a response, and returns its body.
fn body(client: &mut impl Read) -> String {
    let head = read_through(client, "\r\n\r\n");
    let length = head.split_once("Content-Length: ").expect("a length").1;
    let length = length
        .split_once("\r\n")
        .expect("a line")
        .0
        .parse()
        .expect("a number");
    let mut body = vec![0; length];
    client.read_exact(&mut body).expect("a body");
    String::from_utf8(body).expect("text")
}
