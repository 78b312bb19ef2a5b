//! What arrives: in pieces, cut off, corrupted, or no TLS at all.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, Error};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Driver, Ends, Factory, Files, Next, Protocol, Tls};

use crate::peer::{Act, Authority, Peer, client};
use crate::support::client::text;
use crate::{GET, NAME, Timed, client_address, http, make, send, serve_peer};

/// In both versions, wherever the reads of the server end, the client gets the same.
#[test]
fn it_does_not_matter_how_the_bytes_arrive() {
    let authority = Authority::one();
    let tls = Tls::new(http(), authority.server(NAME));
    for (version, name, step) in [(&TLS13, "TLSv1.3", 1), (&TLS12, "TLSv1.2", 3)] {
        let config = Arc::new(authority.client_of(&[version]));
        let script = [send(GET), send(GET), Act::CloseNotify];
        let expected = format!("GET /one 0 https {name} {NAME}\n");
        let peer = |splits: Box<dyn Fn(usize) -> bool>| {
            let mut peer = Peer::new(client(config.clone(), NAME), script.clone());
            peer.splits = splits;
            serve_peer(&tls, &mut peer).expect("no failure");
            assert_eq!(peer.text().matches(&expected).count(), 2, "{peer:?}");
            assert!(peer.ended_well, "{peer:?}");
            peer.read
        };
        let length = peer(Box::new(|_| false));
        assert!(length > 400, "{length}");
        peer(Box::new(|_| true));
        for place in (1..length).step_by(step) {
            peer(Box::new(move |at| at == place));
        }
    }
    assert_eq!(tls.config().stats().failed, 0);
}

/// TLS-4 (RFC 8446 section 6.1): a request that was cut off is not a whole one, and a request that was
/// whole is answered, whatever follows.
#[test]
fn the_end_of_the_stream_is_not_the_end_of_the_request() {
    let authority = Authority::one();
    let tls = Tls::new(UntilTheEnd::factory, authority.server(NAME));
    let run = |script: &[Act]| {
        let mut peer = Peer::new(client(authority.client(), NAME), script);
        let made = tls.make(&Ends::new(&client_address())).expect("made");
        Driver::new(made).drive(&mut peer).expect("no failure");
        (peer.text(), peer.ended_well)
    };
    let whole = run(&[send(b"one "), send(b"two"), Act::CloseNotify]);
    assert_eq!(whole, ("[one two]".to_owned(), true));
    let cut = run(&[send(b"one "), send(b"two")]);
    assert_eq!(cut, (String::new(), true), "nobody said that it was all");

    let tls = Tls::new(http(), authority.server(NAME));
    for end in [&[][..], &[Act::CloseNotify]] {
        let script = [&[send(GET), send(b"GET /two HTTP/1.1\r\nHo")][..], end].concat();
        let mut peer = Peer::new(client(authority.client(), NAME), script);
        serve_peer(&tls, &mut peer).expect("no failure");
        assert!(peer.text().contains("GET /one 0"), "{peer:?}");
        assert_eq!(peer.text().matches("HTTP/1.1").count(), 1, "{peer:?}");
    }
}

/// Answers with everything when the client has said that it was all.
#[derive(Default)]
struct UntilTheEnd(Vec<u8>);

impl UntilTheEnd {
    fn factory(_: &SocketAddr) -> UntilTheEnd {
        UntilTheEnd::default()
    }
}

impl Protocol for UntilTheEnd {
    type Message = Infallible;

    fn receive(&mut self, input: &mut Buffer, _output: &mut Buffer, _now: &Now) -> Next {
        self.0.extend_from_slice(input);
        input.clear();
        Next::Read
    }

    fn input_closed(&mut self, output: &mut Buffer, _now: &Now) -> Next {
        output.extend_from_slice(&[b"[", &self.0[..], b"]"].concat());
        Next::Close
    }
}

/// TLS-5: a person who writes `http://` for `https://` is told so; anything else gets an alert.
#[test]
fn what_is_no_tls() {
    let authority = Authority::one();
    let tls = Tls::new(http(), authority.server(NAME));
    let answer = |bytes: &'static [u8]| {
        let mut output = Vec::new();
        let wfile = &mut output;
        let files = Files {
            rfile: bytes,
            wfile,
        };
        Driver::new(make(&tls)).drive(files).expect("no failure");
        output
    };
    let plain = String::from_utf8(answer(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).expect("text");
    let (head, body) = plain.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
    assert!(
        head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())),
        "{head}"
    );
    assert!(body.contains("https://"), "{body}");
    assert_eq!(tls.config().stats().plain_http, 1);

    // RFC 8446 section 6: an alert, fatal.
    for garbage in [
        &b"\x16\x03\x01\x00\x04\x63\x00\x00\x00"[..],
        b"\x00\x01\x02\x03\x04\x05",
        b"ssh-2.0\r\n",
    ] {
        let alert = answer(garbage);
        assert_eq!((alert[0], alert[5]), (21, 2), "{:?}", text(&alert));
    }
    assert_eq!(tls.config().stats().failed, 3);
    // Whoever only looks whether the port is open has not failed.
    assert_eq!(answer(b""), b"");
    assert_eq!(tls.config().stats().failed, 3);
}

/// What cannot be decrypted ends the connection, with an alert, and the half request with it.
#[test]
fn garbage_after_the_handshake() {
    let authority = Authority::one();
    let tls = Tls::new(http(), authority.server(NAME));
    let script = [
        send(GET),
        send(b"GET /two HTTP/1.1\r\n"),
        Act::Raw(vec![23, 3, 3, 0, 20]),
        Act::Raw(vec![7; 20]),
    ];
    let mut peer = Peer::new(client(authority.client(), NAME), script);
    serve_peer(&tls, &mut peer).expect("no failure of a request");
    assert_eq!(
        peer.error,
        Some(Error::AlertReceived(AlertDescription::BadRecordMac)),
        "{peer:?}"
    );
    assert_eq!(peer.text().matches("HTTP/1.1").count(), 1, "{peer:?}");
    assert_eq!(tls.config().stats().broken, 1);
}

/// Whatever a client sends, nothing panics, and no failure is reported as one of a request.
#[test]
fn corrupted_bytes_do_no_harm() {
    let authority = Authority::one();
    let tls = Tls::new(http(), authority.server(NAME));
    let config = Arc::new(authority.client());
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..400 {
        let script = [send(GET), send(GET), Act::CloseNotify];
        let mut peer = Peer::new(client(Arc::clone(&config), NAME), script);
        let (place, change, every) = (
            next() as usize % 900,
            next() as u8 | 1,
            next() as usize % 97 + 1,
        );
        peer.corrupt = Box::new(move |at, byte| {
            if at == place {
                *byte ^= change;
            }
        });
        peer.splits = Box::new(move |at| at % every == 0);
        serve_peer(&tls, &mut peer).expect("no failure of a request");
    }
    let stats = tls.config().stats();
    assert!(stats.failed > 100 && stats.broken > 20, "{stats:?}");
}

/// A client hello in many records is put together (RFC 8446 section 5.1).
#[test]
fn a_fragmented_hello_is_understood() {
    let authority = Authority::one();
    let tls = Tls::new(http(), authority.server(NAME));
    let mut client = client(authority.client(), NAME);
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("memory");
    let (header, content) = hello.split_at(5);
    let mut input = Vec::new();
    for piece in content.chunks(7) {
        input.extend_from_slice(&header[..3]);
        input.extend_from_slice(&[0, piece.len() as u8]);
        input.extend_from_slice(piece);
    }
    for size in [1, 3, 64, input.len()] {
        let mut timed = Timed::new(make(&tls));
        let now = timed.at(Duration::ZERO);
        for piece in input.chunks(size) {
            let mut bytes = Buffer::new();
            bytes.extend_from_slice(piece);
            timed.protocol.receive(&mut bytes, &mut timed.output, &now);
            assert!(bytes.is_empty(), "all of it is taken");
        }
        assert_eq!(timed.output[0], 22, "a server hello, and no alert");
    }
}

/// Records can be shorter than they could be, if the program wants that.
#[test]
fn records_can_be_short() {
    let authority = Authority::one();
    let mut config = authority.server(NAME);
    config.max_fragment_size = Some(64);
    let tls = Tls::new(http(), config);
    let script = vec![send(GET); 20].into_iter().chain([Act::CloseNotify]);
    let mut peer = Peer::new(client(authority.client(), NAME), script.collect::<Vec<_>>());
    serve_peer(&tls, &mut peer).expect("no failure");
    assert_eq!(peer.text().matches("GET /one 0").count(), 20, "{peer:?}");
    assert!(peer.ended_well, "{peer:?}");
}
