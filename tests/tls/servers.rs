//! Servers over TLS: HTTP, WSGI, another protocol, on threads, on a Unix-domain socket.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serve_forever::http::{
    BodyPolicy, Http, HttpRequestHandler, HttpResult, HttpSettings, HttpsServer, Message, Pooled,
    Request, Response, ThreadedHttp,
};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{
    Block, Buffer, Driver, Ends, Evented, EventedSettings, Factory, Mailbox, Next, Pool, Protocol,
    ProxyProtocol, Tls, TlsConfig,
};
use serve_forever::wsgi::{WsgiHandler, request_uri};
use serve_forever::{AppResult, Environ, StartResponse};

use crate::peer::{Act, Authority, Peer, TlsClient, client, connect_tls};
use crate::support::client::{connect, read_through};
use crate::support::driven::Driven;
use crate::support::patience::{LONG, PATIENCE, spawn, wait_until};
use crate::support::protocols::Echo;
use crate::support::server::{run, run_as, serve};
use crate::{GET, Handler, NAME, body, client_address, get, http, send, tell};

/// Answers lines like [`Echo`], once it has said hello.
struct Hello;

impl Protocol for Hello {
    type Message = Message;

    fn connection_made(
        &mut self,
        _mailbox: Mailbox<Self::Message>,
        output: &mut Buffer,
        _now: &Now,
    ) -> Next<Self::Message> {
        output.extend_from_slice(b"hello\n");
        Next::Read
    }

    fn receive(
        &mut self,
        input: &mut Buffer,
        output: &mut Buffer,
        now: &Now,
    ) -> Next<Self::Message> {
        match Echo.receive(input, output, now) {
            Next::Read => Next::Read,
            other => panic!("{other:?}"),
        }
    }
}

/// TLS-1: another protocol takes over inside, and gets what came with the request.
#[test]
fn an_upgrade_stays_inside() {
    fn upgrade(_: &Request<'_>, response: Response<'_>) -> HttpResult {
        let head = response.send_response(101);
        let head = head
            .send_header("Connection", "upgrade")
            .send_header("Upgrade", "lines");
        head.upgrade(Hello)
    }
    let authority = Authority::one();
    let tls = Tls::new(
        Http::new(upgrade, HttpSettings::default()),
        authority.server(NAME),
    );
    let address: SocketAddr = client_address();
    let request =
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: lines\r\n\r\none\ntw";
    let script = [send(request), send(b"o\n"), Act::CloseNotify];
    let mut peer = Peer::new(client(authority.client(), NAME), script);
    let made = tls.make(&Ends::new(&address)).expect("made");
    Driver::new(made).drive(&mut peer).expect("no failure");
    assert!(
        peer.text().ends_with("\r\n\r\nhello\none\ntwo\n"),
        "{peer:?}"
    );
}

/// TLS-1: handlers on threads, and a protocol of one's own, have TLS in the same way.
#[test]
fn every_server_can_have_tls() {
    let authority = Authority::one();
    let config = TlsConfig::new(authority.server(NAME));
    let threaded = {
        let config = config.clone();
        serve(move || {
            let http = ThreadedHttp::new(tell as Handler, HttpSettings::default(), Pool::new());
            Evented::new(Tls::new(http, config))
        })
    };
    let pooled = Pooled::new(tell as Handler, Pool::new().threads(2));
    let pooled = HttpsServer::bind("127.0.0.1:0", pooled, config.clone()).expect("a free port");
    let pooled = run(pooled, LONG);
    for address in [threaded.address, pooled.address] {
        let mut client = connect_tls(address, authority.client(), NAME);
        for _ in 0..3 {
            assert_eq!(
                get(&mut client, "/a"),
                format!("GET /a 0 https TLSv1.3 {NAME}\n")
            );
        }
    }
    let echo = serve(move || Evented::new(Tls::new(|_: &SocketAddr| Echo, config)));
    let mut client = connect_tls(echo.address, authority.client(), NAME);
    for line in ["one\n", "two\n"] {
        client.write_all(line.as_bytes()).expect("sent");
        assert_eq!(read_through(&mut client, "\n"), line);
    }
}

/// ENV-16, ENV-24: an application learns that its request came by TLS.
#[test]
fn an_application_sees_the_scheme() {
    fn app(environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
        start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
        let scheme = environ.url_scheme().into_owned();
        let https = environ.get("HTTPS").unwrap_or("-".into()).into_owned();
        let url = request_uri(environ, true);
        let listed = environ.iter().filter(|(key, _)| key == "HTTPS").count();
        Ok(format!("{scheme} {https} {url} {listed}").into())
    }
    let authority = Authority::one();
    let config = TlsConfig::new(authority.server(NAME));
    let http = || Http::new(WsgiHandler::new(app, None), HttpSettings::default());
    let encrypted = serve(move || Evented::new(Tls::new(http(), config)));
    let mut client = connect_tls(encrypted.address, authority.client(), NAME);
    let expected = format!("https on https://{NAME}/a 1");
    assert_eq!(get(&mut client, "/a"), expected);
    let plain = serve(move || Evented::new(http()));
    let mut client = plain.connect();
    client.send("GET /a HTTP/1.1\r\nHost: site.test\r\nHTTPS: on\r\n\r\n");
    assert_eq!(body(&mut client.0), format!("http - http://{NAME}/a 0"));
}

/// TLS-1, PROXY-1: the header of a proxy comes before the handshake.
#[test]
fn tls_comes_after_the_header_of_a_proxy() {
    fn who(request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let client = request.client_address().map(|address| address.to_string());
        let body = format!("{} {}\n", client.unwrap_or_default(), request.scheme());
        response.send_response(200).body(body)
    }
    let authority = Authority::one();
    let tls = Tls::new(
        Http::new(who as Handler, HttpSettings::default()),
        TlsConfig::new(authority.server(NAME)),
    );
    let server = serve(move || Evented::new(ProxyProtocol::new(tls)));
    let mut stream = connect(server.address);
    let header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4567 443\r\n";
    stream.write_all(header).expect("sent");
    let mut client = TlsClient::new(client(authority.client(), NAME), stream);
    for _ in 0..2 {
        assert_eq!(get(&mut client, "/"), "192.0.2.7:4567 https\n");
    }
}

/// TLS-1, SSE-4: who leaves a stream of events is noticed without an event, as without TLS.
#[test]
fn who_leaves_a_stream_of_events_is_noticed() {
    let (sender, senders) = mpsc::channel();
    let events = move |_: &Request<'_>, response: Response<'_>| -> HttpResult {
        let (events, reply) = response.send_events()?;
        // Ignore the error: the test is over.
        let _ = sender.send(events);
        Ok(reply)
    };
    let authority = Authority::one();
    let server = HttpsServer::bind("127.0.0.1:0", events, authority.server(NAME)).expect("free");
    let server = run(server, LONG);
    let mut client = connect_tls(server.address, authority.client(), NAME);
    client.write_all(GET).expect("sent");
    let events = senders.recv_timeout(PATIENCE).expect("a request");
    read_through(&mut client, "\r\n\r\n");
    assert!(!events.is_gone());
    drop(client);
    wait_until("noticed", || events.is_gone());
}

/// TLS-1: a Unix-domain socket can have TLS, too.
#[cfg(unix)]
#[test]
fn unix_sockets_can_have_tls() {
    use std::os::unix::net::UnixStream;
    use std::{env, process};

    use serve_forever::socketserver::{Server, UnixStreams};
    let authority = Authority::one();
    let path = env::temp_dir().join(format!("tls-{}.sock", process::id()));
    let unix = UnixStreams::new(&path)
        .expect("a path")
        .unlink_on_close(true);
    let unix = unix.bind_and_activate().expect("a free path");
    let tls = Tls::new(http(), authority.server(NAME));
    let server = run(Server::new(unix, Evented::new(tls)).expect("a poll"), LONG);
    let stream = UnixStream::connect(&path).expect("a listener");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let mut client = TlsClient::new(client(authority.client(), NAME), stream);
    assert_eq!(
        get(&mut client, "/a"),
        format!("GET /a 0 https TLSv1.3 {NAME}\n")
    );
    drop(server.stop());
}

/// Bodies large and small, in both directions.
#[derive(Clone)]
struct Bulk(Block);

impl HttpRequestHandler for Bulk {
    fn body_policy(&mut self, _request: &Request<'_>) -> BodyPolicy {
        BodyPolicy::whole().limit(64 << 20)
    }

    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let head = response.send_response(200);
        match request.path() {
            "/block" => head.body_block(self.0.clone()),
            "/copy" => head.body(&*self.0),
            "/stream" => {
                let block = self.0.clone();
                let pieces = (0..block.len()).step_by(10_007);
                head.stream(pieces.map(move |at| {
                    let end = (at + 10_007).min(block.len());
                    block[at..end].to_vec()
                }))
            }
            _ => head.body(format!("{}", sum(request.body()))),
        }
    }
}

/// A number that differs if bytes are lost, doubled or in another order.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum: u64, &byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    })
}

/// Ten megabytes arrive byte for byte, and so do fifty requests that were sent at once.
#[test]
fn much_arrives_whole() {
    let page: Vec<u8> = (0..10_000_000_u32)
        .map(|at| (at.wrapping_mul(at) >> 7) as u8)
        .collect();
    let expected = sum(&page);
    let authority = Authority::one();
    let bulk = Bulk(Block::lend(page.clone()));
    let server = HttpsServer::bind("127.0.0.1:0", bulk, authority.server(NAME));
    let server = run(server.expect("a free port"), LONG);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let mut client = connect_tls(server.address, authority.client_of(&[version]), NAME);
        for path in ["/block", "/copy", "/stream"] {
            let request = format!("GET {path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
            let close = format!("GET {path} HTTP/1.0\r\n\r\n");
            let stream = path == "/stream";
            client
                .write_all(if stream { close } else { request }.as_bytes())
                .expect("sent");
            read_through(&mut client, "\r\n\r\n");
            let mut body = vec![0; page.len()];
            client.read_exact(&mut body).expect("a body");
            assert_eq!(sum(&body), expected, "{path}");
        }
        assert_eq!(client.read(&mut [0]).expect("close_notify"), 0);
        let mut client = connect_tls(server.address, authority.client_of(&[version]), NAME);
        let head = format!(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
            page.len()
        );
        client.write_all(head.as_bytes()).expect("sent");
        client.write_all(&page).expect("sent");
        assert_eq!(body(&mut client), expected.to_string());
        let requests = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n".repeat(50);
        client.write_all(requests.as_bytes()).expect("sent");
        for _ in 0..50 {
            assert_eq!(body(&mut client), "0");
        }
    }
}

/// SHUT-14, TLS-1: over sockets, a request that is being handled gets its response, and the client
/// hears that there will be no other.
#[test]
fn a_drain_finishes_requests() {
    let authority = Authority::one();
    let (entered, entering) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let gone = Arc::new(Mutex::new(gone));
    let wait = move |_: &Request<'_>, response: Response<'_>| {
        entered.send(()).expect("the test waits");
        let _ = gone.lock().expect("no panic").recv_timeout(PATIENCE);
        response.send_response(200).body("done")
    };
    let pooled = Pooled::new(wait, Pool::new());
    let server = HttpsServer::bind("127.0.0.1:0", pooled, authority.server(NAME));
    let server = run(server.expect("a free port"), LONG);
    let mut client = connect_tls(server.address, authority.client(), NAME);
    client.write_all(GET).expect("sent");
    entering.recv_timeout(PATIENCE).expect("it is handled");
    server.handle.request_drain(LONG);
    go.send(()).expect("it waits");
    let mut response = String::new();
    client.read_to_string(&mut response).expect("close_notify");
    assert!(
        response.contains("Connection: close\r\n") && response.ends_with("done"),
        "{response}"
    );
    server.returned();
}

/// TLS-1, TLS-3: an engine in the poll of a program. A client that says nothing is closed when its time
/// is over, and so is one that stops in its handshake.
#[test]
fn a_guest_can_have_tls() {
    let authority = Authority::one();
    let tls = Tls::new(http(), authority.server(NAME));
    let mut driven = Driven::new(EventedSettings::default(), tls);
    let address = driven.engine.server_address();
    let config = authority.client();
    let (answers, answered) = mpsc::channel();
    let client = spawn(move || {
        let answer = get(&mut connect_tls(address, config, NAME), "/a");
        answers.send(answer).expect("the test waits");
    });
    let mut answer = None;
    driven.until(|_| {
        answer = answer.take().or_else(|| answered.try_recv().ok());
        answer.is_some()
    });
    client.join();
    let expected = format!("GET /a 0 https TLSv1.3 {NAME}\n");
    assert_eq!(answer.expect("waited for"), expected);
    driven.until(|driven| driven.open_connections() == 0);

    let (silent, mut slow) = (driven.connect(), driven.connect());
    slow.send(b"\x16\x03\x01");
    driven.settle();
    driven.pass(Duration::from_millis(9_999));
    assert_eq!(driven.open_connections(), 2);
    driven.pass(Duration::from_millis(1));
    assert_eq!(driven.open_connections(), 0);
    assert_eq!(
        driven.engine.dispatch().factory().config().stats().timeouts,
        2
    );
    drop(silent);
}

/// REQ-12: one request is one request, also if the client keeps its connection.
#[test]
fn one_request_is_handled() {
    let authority = Authority::one();
    let server = HttpsServer::bind("127.0.0.1:0", tell, authority.server(NAME));
    let server = server.expect("a free port");
    let served = run_as(server, |server| server.handle_request(PATIENCE));
    let mut client = connect_tls(served.address, authority.client(), NAME);
    get(&mut client, "/a");
    served.returned();
}
