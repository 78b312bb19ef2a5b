//! The PROXY protocol: whose address a connection has, and what is refused (PROXY-1, PROXY-2).
#![cfg(feature = "server")]

mod support;

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use serve_forever::http::{
    Http, HttpConnection, HttpResult, HttpSettings, Request, Response, ThreadedHttp, listen,
};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{
    Buffer, Ends, Evented, EventedSettings, Factory, Failure, Inbox, Mailbox, Next, Pool, Protocol,
    Proxied, ProxyProtocol,
};
use support::client::Client;
use support::driven::Driven;
use support::server::serve_on;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What the inner factory and its protocol are told, a line for each call.
#[derive(Clone, Default)]
struct Told(Rc<RefCell<Vec<String>>>);

impl Told {
    fn note(&self, line: String) {
        self.0.borrow_mut().push(line);
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }

    /// The bytes that the protocol has got, and nothing else.
    fn bytes(&self) -> String {
        let lines = self.take();
        lines
            .iter()
            .filter_map(|line| line.strip_prefix("got "))
            .collect()
    }
}

impl Factory<SocketAddr> for Told {
    type Made = Inner;

    fn make(&self, ends: &Ends<'_, SocketAddr>) -> Result<Inner, Failure> {
        let local = ends.local_address();
        let local = local.map_or_else(|error| error.kind().to_string(), |local| local.to_string());
        self.note(format!("made {} {local}", ends.client_address()));
        Ok(Inner(self.clone()))
    }
}

#[cfg(unix)]
impl Factory<serve_forever::socketserver::UnixAddress> for Told {
    type Made = Inner;

    fn make(
        &self,
        ends: &Ends<'_, serve_forever::socketserver::UnixAddress>,
    ) -> Result<Inner, Failure> {
        let local = ends.local_address();
        self.note(format!("made {:?} {:?}", ends.client_address(), local.ok()));
        Ok(Inner(self.clone()))
    }
}

/// Takes all bytes, and notes each call.
struct Inner(Told);

impl Protocol for Inner {
    type Message = Infallible;

    fn connection_made(&mut self, _: Mailbox<Infallible>, _: &mut Buffer, _: &Now) -> Next {
        self.0.note("connected".to_owned());
        Next::Read
    }

    fn receive(&mut self, input: &mut Buffer, _: &mut Buffer, _: &Now) -> Next {
        self.0.note(format!("got {}", input.escape_ascii()));
        input.clear();
        Next::Read
    }

    fn drain(&mut self, input: &mut Buffer, _: &mut Buffer, _: &Now) -> Next {
        self.0.note(format!("drained {}", input.escape_ascii()));
        input.clear();
        Next::Close
    }

    fn connection_lost(&mut self, _: &Now) {
        self.0.note("lost".to_owned());
    }
}

fn peer() -> SocketAddr {
    "198.51.100.1:40000".parse().expect("an address")
}

/// One connection on which a header is awaited, in the hands of the test.
struct Line {
    told: Told,
    factory: ProxyProtocol<Told>,
    proxied: Proxied<SocketAddr, Told>,
    input: Buffer,
    began: Instant,
}

impl Line {
    fn new() -> Line {
        let told = Told::default();
        let factory = ProxyProtocol::new(told.clone());
        let reached = || Ok("198.51.100.2:80".parse().expect("an address"));
        let peer = peer();
        let ends = &Ends::new(&peer).with_local_address(&reached);
        let proxied = factory.make(ends).expect("made");
        let mut line = Line {
            told,
            factory,
            proxied,
            input: Buffer::new(),
            began: Instant::now(),
        };
        let (inbox, now) = (Inbox::new(), line.at(0));
        let next = line
            .proxied
            .connection_made(inbox.mailbox(), &mut Buffer::new(), &now);
        assert!(matches!(next, Next::Read));
        assert_eq!(
            line.told.take(),
            [""; 0],
            "nothing is made before the header"
        );
        line
    }

    fn at(&self, seconds: u64) -> Now {
        Now::at(
            self.began + Duration::from_secs(seconds),
            SystemTime::UNIX_EPOCH,
        )
    }

    fn receive(&mut self, bytes: &[u8]) -> Next {
        self.input.extend_from_slice(bytes);
        let now = self.at(1);
        let mut output = Buffer::new();
        let next = self.proxied.receive(&mut self.input, &mut output, &now);
        assert!(output.is_empty(), "nothing is said before the header");
        next
    }

    /// Receives the pieces, as long as anything is read.
    fn pieces<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
        for piece in pieces {
            let next = self.receive(piece);
            if !matches!(next, Next::Read) {
                assert_eq!(
                    self.told.take(),
                    [""; 0],
                    "nothing reaches the inner protocol"
                );
                assert_eq!(self.factory.refused(), 1);
                return format!("{next:?}");
            }
        }
        let lines = self.told.take();
        assert!(lines.len() < 2 || lines[1] == "connected", "{lines:?}");
        let got = lines.iter().filter_map(|line| line.strip_prefix("got "));
        let got: String = got.collect();
        match lines.first() {
            Some(made) => format!("{made} {got}"),
            None => "waits".to_owned(),
        }
    }
}

/// A header of version 2.
fn v2(command: u8, family: u8, addresses: &[u8], fields: &[u8]) -> Vec<u8> {
    let length = (addresses.len() + fields.len()) as u16;
    [
        SIGNATURE,
        &[command, family],
        &length.to_be_bytes(),
        addresses,
        fields,
    ]
    .concat()
}

const V4: &[u8] = &[192, 0, 2, 1, 203, 0, 113, 9, 0x12, 0x67, 0x01, 0xbb];

fn v6() -> Vec<u8> {
    let hosts = ["2001:db8::1", "2001:db8::2"].map(|host| {
        let host: std::net::Ipv6Addr = host.parse().expect("an address");
        host.octets()
    });
    [&hosts.concat()[..], &[0x12, 0x67, 0x01, 0xbb]].concat()
}

/// Whole, byte by byte, and in two pieces at each place, the outcome is the same.
#[track_caller]
fn check(header: &[u8], expected: &str) {
    let shown = header.escape_ascii();
    let bytes = [header, b"hello"].concat();
    let expected = match expected {
        "Close" => expected.to_owned(),
        made => format!("made {made} hello"),
    };
    assert_eq!(Line::new().pieces([&bytes[..]]), expected, "{shown}");
    assert_eq!(Line::new().pieces(bytes.chunks(1)), expected, "{shown}");
    for cut in 0..bytes.len() {
        let (one, other) = bytes.split_at(cut);
        assert_eq!(
            Line::new().pieces([one, other]),
            expected,
            "{shown} at {cut}"
        );
    }
}

const SOCKET: &str = "198.51.100.1:40000 198.51.100.2:80";

/// PROXY-1.
#[test]
fn the_header_says_who_the_client_is() {
    let v4 = "192.0.2.1:4711 203.0.113.9:443";
    let both = "[2001:db8::1]:4711 [2001:db8::2]:443";
    check(b"PROXY TCP4 192.0.2.1 203.0.113.9 4711 443\r\n", v4);
    check(b"PROXY TCP6 2001:db8::1 2001:DB8::2 4711 443\r\n", both);
    let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let line = format!("PROXY TCP6 {longest} {longest} 65535 65535\r\n");
    let ends = format!("[{longest}]:65535 [{longest}]:65535");
    check(line.as_bytes(), &ends);
    check(
        b"PROXY TCP6 ::ffff:192.0.2.1 :: 1 0\r\n",
        "[::ffff:192.0.2.1]:1 [::]:0",
    );
    check(&v2(0x21, 0x11, V4, b""), v4);
    check(&v2(0x21, 0x21, &v6(), b""), both);
    // A client of HTTP/3 has an address as well.
    check(&v2(0x21, 0x12, V4, b""), v4);
    check(&v2(0x21, 0x22, &v6(), b""), both);
    // Further fields are skipped, however many.
    check(&v2(0x21, 0x11, V4, b"\x04\0\x03abc\x03\0\x04\0\0\0\0"), v4);
    check(&v2(0x21, 0x21, &v6(), &[0xff; 300]), both);
}

/// PROXY-1: a check of the proxy's own has the address of the proxy.
#[test]
fn a_header_without_addresses_leaves_those_of_the_socket() {
    check(b"PROXY UNKNOWN\r\n", SOCKET);
    check(b"PROXY UNKNOWN 192.0.2.1 203.0.113.9 1 2\r\n", SOCKET);
    check(b"PROXY UNKNOWN \x80\xff any thing\r\n", SOCKET);
    let mut longest = b"PROXY UNKNOWN ".to_vec();
    longest.resize(105, b'x');
    check(&[&longest, &b"\r\n"[..]].concat(), SOCKET);
    check(&v2(0x20, 0x00, b"", b""), SOCKET);
    check(&v2(0x20, 0x11, V4, b"\x04\0\0"), SOCKET);
    check(&v2(0x20, 0x11, b"", b""), SOCKET); // its family does not count
    check(&v2(0x20, 0xff, b"", b"\x04\0\0"), SOCKET);
    check(&v2(0x21, 0x00, b"", b"12345"), SOCKET);
    check(&v2(0x21, 0x01, b"", b""), SOCKET);
    check(&v2(0x21, 0x20, b"", b""), SOCKET);
    let unix = [[b'/'; 108], [b'x'; 108]].concat();
    check(&v2(0x21, 0x31, &unix, b""), SOCKET); // the client of a path is not a client of TCP
    check(&v2(0x21, 0x32, &unix, b"\x04\0\0"), SOCKET);
}

/// PROXY-2.
#[test]
fn anything_else_is_refused() {
    for line in [
        &b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"proxy TCP4 192.0.2.1 203.0.113.9 4711 443\r\n",
        b"PROXY  TCP4 192.0.2.1 203.0.113.9 4711 443\r\n",
        b"PROXY\tTCP4 192.0.2.1 203.0.113.9 4711 443\r\n",
        b"PROXY TCP4 192.0.2.1 203.0.113.9 4711 443\n",
        b"PROXY TCP4 192.0.2.1 203.0.113.9 4711 443\r\r\n",
        b"PROXY TCP4 192.0.2.1 203.0.113.9 4711 443 \r\n",
        b"PROXY TCP4 192.0.2.1  203.0.113.9 4711 443\r\n",
        b"PROXY TCP4 192.0.2.1 203.0.113.9 4711\r\n",
        b"PROXY TCP4 192.0.2.1 203.0.113.9 4711 443 1\r\n",
        b"PROXY TCP4 192.0.2.1 203.0.113.9 04711 443\r\n",
        b"PROXY TCP4 192.0.2.1 203.0.113.9 +4711 443\r\n",
        b"PROXY TCP4 192.0.2.1 203.0.113.9 65536 443\r\n",
        b"PROXY TCP4 192.0.2.1 203.0.113.9 4711 -1\r\n",
        b"PROXY TCP4 192.0.2.1 203.0.113.9  443\r\n",
        b"PROXY TCP4 192.0.2.01 203.0.113.9 4711 443\r\n",
        b"PROXY TCP4 192.0.2.256 203.0.113.9 4711 443\r\n",
        b"PROXY TCP4 192.0.2 203.0.113.9 4711 443\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 4711 443\r\n",
        b"PROXY TCP6 192.0.2.1 203.0.113.9 4711 443\r\n",
        b"PROXY TCP6 [2001:db8::1] 2001:db8::2 4711 443\r\n",
        b"PROXY TCP6 2001:db8::1%1 2001:db8::2 4711 443\r\n",
        b"PROXY UDP4 192.0.2.1 203.0.113.9 4711 443\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY unknown\r\n",
        b"PROXY \r\n",
        // A line that somebody else may end elsewhere.
        b"PROXY UNKNOWN \nGET / HTTP/1.1\r\n",
        b"PROXY UNKNOWN \rGET / HTTP/1.1\r\n",
    ] {
        check(line, "Close");
    }
    let mut too_long = b"PROXY UNKNOWN ".to_vec();
    too_long.resize(106, b'x');
    check(&[&too_long, &b"\r\n"[..]].concat(), "Close");
    too_long.resize(200, b'x');
    check(&too_long, "Close");
    check(b"\r\n\r\n\0\r\nQUIT\r\x20\0\0\0", "Close");
    for command in [0x00, 0x01, 0x10, 0x11, 0x22, 0x2f, 0x30, 0x31, 0xff] {
        check(&v2(command, 0x11, V4, b""), "Close");
    }
    for family in [0x13, 0x1f, 0x03, 0x23, 0x33, 0x41, 0x40, 0xf1] {
        check(&v2(0x21, family, V4, &[0; 300]), "Close");
    }
    // Less than the addresses of the family need.
    check(&v2(0x21, 0x11, &V4[..11], b""), "Close");
    check(&v2(0x21, 0x21, V4, b""), "Close");
    check(&v2(0x21, 0x31, &[b'/'; 215], b""), "Close");
}

/// Design law 7: memory does not follow the announced length.
#[test]
fn a_long_header_is_not_kept() {
    let mut line = Line::new();
    let header = v2(0x21, 0x11, V4, &[7; 65_000]);
    for piece in header.chunks(100) {
        assert!(matches!(line.receive(piece), Next::Read));
        assert!(line.input.len() < 232, "{} bytes", line.input.len());
    }
    line.receive(b"hello");
    assert_eq!(line.told.bytes(), "hello");
}

/// PROXY-2: the deadline counts from the connection on, whatever has arrived.
#[test]
fn a_header_has_a_deadline() {
    let mut line = Line::new();
    let deadline = Some(line.began + Duration::from_secs(5));
    assert_eq!(line.proxied.deadline(), deadline);
    line.receive(b"PROXY TCP4 192.0.2.1 ");
    assert_eq!(line.proxied.deadline(), deadline);
    let now = line.at(5);
    let next = line.proxied.timed_out(&mut Buffer::new(), &now);
    assert!(matches!(next, Next::Close));
    assert_eq!((line.factory.refused(), line.told.take().len()), (1, 0));

    let told = Told::default();
    let factory = ProxyProtocol::new(told).header_timeout(Duration::from_secs(60));
    let (mut proxied, now) = (factory.make(&Ends::new(&peer())).expect("made"), Now::new());
    proxied.connection_made(Inbox::new().mailbox(), &mut Buffer::new(), &now);
    let deadline = now.instant() + Duration::from_secs(60);
    assert_eq!(proxied.deadline(), Some(deadline));
}

/// PROXY-2: who only looks whether the port is open has made no mistake.
#[test]
fn a_header_that_is_broken_off_is_counted() {
    for (sent, refused) in [(&b""[..], 0), (b"PROXY", 1), (b"\r\n\r\n", 1)] {
        let mut line = Line::new();
        if !sent.is_empty() {
            line.receive(sent);
        }
        let now = line.at(1);
        let next = line.proxied.input_closed(&mut Buffer::new(), &now);
        assert!(matches!(next, Next::Close));
        line.proxied.connection_lost(&now);
        assert_eq!(
            (line.factory.refused(), line.told.take().len()),
            (refused, 0)
        );
    }
}

/// SHUT-14: what was sent before the drain is served, also behind a header that is still arriving.
#[test]
fn a_drain_finishes_a_header_that_has_begun() {
    let header = &b"PROXY TCP4 192.0.2.1 203.0.113.9 4711 443\r\n"[..];
    let whole = [header, b"hello"].concat();
    let drain = |line: &mut Line| {
        let now = line.at(1);
        line.proxied
            .drain(&mut line.input, &mut Buffer::new(), &now)
    };
    let mut idle = Line::new();
    assert!(matches!(drain(&mut idle), Next::Close));
    assert_eq!(idle.told.take(), [""; 0]);
    for cut in 1..=whole.len() {
        let (before, after) = whole.split_at(cut);
        // The loop has just read this, or the connection had it already.
        for had_it in [false, true] {
            let mut line = Line::new();
            match had_it {
                true if cut >= header.len() => continue, // the protocol is made
                true => assert!(matches!(line.receive(before), Next::Read)),
                false => line.input.extend_from_slice(before),
            }
            let (next, drained) = match drain(&mut line) {
                Next::Read => (line.receive(after), "hello"),
                next => (
                    next,
                    std::str::from_utf8(&before[header.len()..]).expect("ASCII"),
                ),
            };
            assert!(matches!(next, Next::Close), "{cut}: {next:?}");
            let lines = line.told.take();
            assert_eq!(
                lines[1..],
                ["connected".to_owned(), format!("drained {drained}")]
            );
        }
    }
}

/// What is written about a header is true for a Unix-domain socket, whose clients have no address.
#[cfg(unix)]
#[test]
fn on_a_unix_socket_every_kind_of_address_is_told() {
    use serve_forever::socketserver::UnixAddress;

    let check = |header: &[u8], expected: &str| {
        let told = Told::default();
        let factory = ProxyProtocol::new(told.clone());
        let here = || Ok(UnixAddress::from("/run/here"));
        let ends = &Ends::new(&UnixAddress::Unnamed).with_local_address(&here);
        let mut proxied: Proxied<UnixAddress, Told> = factory.make(ends).expect("made");
        let (mut input, mut output, now) = (Buffer::new(), Buffer::new(), Now::new());
        proxied.connection_made(Inbox::new().mailbox(), &mut output, &now);
        input.extend_from_slice(header);
        input.extend_from_slice(b"hello");
        let next = proxied.receive(&mut input, &mut output, &now);
        assert!(matches!(next, Next::Read));
        assert_eq!(told.take(), [expected, "connected", "got hello"]);
    };
    check(
        b"PROXY TCP4 192.0.2.1 203.0.113.9 4711 443\r\n",
        "made 192.0.2.1:4711 203.0.113.9:443",
    );
    let socket = r#"made Unnamed Some(Path("/run/here"))"#;
    check(b"PROXY UNKNOWN\r\n", socket);
    check(&v2(0x20, 0, b"", b""), socket);
    let room = |name: &[u8]| {
        let mut room = name.to_vec();
        room.resize(108, 0);
        room
    };
    let unix = |client: &[u8], local: &[u8]| {
        let ends = [room(client), room(local)].concat();
        v2(0x21, 0x31, &ends, b"\x04\0\0")
    };
    check(
        &unix(b"", b"/run/proxy"),
        r#"made Unnamed Some(Path("/run/proxy"))"#,
    );
    check(
        &unix(b"/run/client\0left over", b"\0name\0\0x"),
        r#"made Path("/run/client") Some(Abstract([110, 97, 109, 101, 0, 0, 120]))"#,
    );
    let full = format!("made Path({0:?}) Some(Path({0:?}))", "p".repeat(108));
    check(&unix(&[b'p'; 108], &[b'p'; 108]), &full);
}

/// Design law 6: a connection that has left its header behind is as small as without one.
#[test]
fn a_connection_behind_a_header_is_no_larger() {
    type Hello = fn(&Request<'_>, Response<'_>) -> HttpResult;
    assert_eq!(
        size_of::<Proxied<SocketAddr, Http<Hello>>>(),
        size_of::<HttpConnection<Hello>>()
    );
}

/// Answers with the addresses of both ends.
fn ends(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let ends = (request.client_address(), request.local_address());
    response
        .send_response_only(200, "OK")
        .body(format!("{ends:?}"))
}

fn expected() -> String {
    let address = |text: &str| text.parse::<SocketAddr>().ok();
    let ends = (address("192.0.2.1:4711"), address("203.0.113.9:443"));
    let body = format!("{ends:?}");
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// On the loop and on threads, for every request of the connection.
#[test]
fn a_request_has_the_address_of_the_header() {
    let handler = ends as fn(&Request<'_>, Response<'_>) -> HttpResult;
    let http = move || {
        let http = Http::new(handler, HttpSettings::default());
        Evented::new(ProxyProtocol::new(http))
    };
    let threaded = move || {
        let workers = Pool::new().threads(2);
        let http = ThreadedHttp::new(handler, HttpSettings::default(), workers);
        Evented::new(ProxyProtocol::new(
            http.block_on_close(Duration::from_secs(1)),
        ))
    };
    let bind = || listen("127.0.0.1:0").expect("bound");
    for server in [serve_on(bind(), http), serve_on(bind(), threaded)] {
        for header in [
            b"PROXY TCP4 192.0.2.1 203.0.113.9 4711 443\r\n".to_vec(),
            v2(0x21, 0x11, V4, b"\x04\0\x03abc"),
        ] {
            let mut client = Client::connect(server.address);
            client.send([&header, GET.as_bytes(), GET.as_bytes()].concat());
            client.expect(expected().repeat(2));
            client.send(GET);
            client.expect(expected());
        }
    }
}

/// PROXY-2, REQ-7: a factory that fails is reported with the address of the proxy.
#[test]
fn a_failure_of_the_inner_factory_is_reported() {
    #[derive(Clone)]
    struct Failing;

    impl Factory<SocketAddr> for Failing {
        type Made = Inner;

        fn make(&self, ends: &Ends<'_, SocketAddr>) -> Result<Inner, Failure> {
            let client = ends.client_address();
            Err(io::Error::other(format!("nothing for {client}")).into())
        }
    }

    let factory = ProxyProtocol::new(Failing);
    let mut driven = Driven::new(EventedSettings::default(), factory);
    let mut client = driven.connect();
    client.send("PROXY TCP4 192.0.2.1 203.0.113.9 4711 443\r\nhello");
    assert_eq!(driven.rest(&mut client), b"");
    let report = ("nothing for 192.0.2.1:4711".to_owned(), client.address());
    assert_eq!(driven.reports.try_recv(), Ok(report));
}

/// PROXY-2: on a real socket, with the deadline of the loop.
#[test]
fn a_client_without_a_header_is_closed() {
    let told = Told::default();
    let factory = ProxyProtocol::new(told.clone());
    let mut driven = Driven::new(EventedSettings::default(), factory);
    let mut client = driven.connect();
    client.send(GET);
    assert_eq!(driven.rest(&mut client), b"");
    let mut silent = driven.connect();
    driven.pass(Duration::from_secs(6));
    assert_eq!(driven.rest(&mut silent), b"");
    assert_eq!(driven.engine.dispatch().factory().refused(), 2);
    assert_eq!(told.take(), [""; 0]);
}
