//! A protocol inside of TLS in the hands of a test: each verdict, and each call of the owner.

use std::io::{Read, Write};
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::{ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Block, Buffer, Ends, Factory, Mailbox, Next, Protocol, Tls};

use crate::peer::{Authority, client};
use crate::support::client::text;
use crate::{NAME, Timed, client_address};

/// Does what messages tell it.
#[derive(Default)]
struct Puppet {
    /// What it was told by its owner, one word a call.
    calls: Arc<Mutex<Vec<String>>>,
    /// What it says when there is room.
    more: Option<Block>,
}

/// What a [`Puppet`] says, and what it asks for then.
struct Order(Block, fn() -> Next<Order>);

impl Puppet {
    fn note(&self, call: impl Into<String>) {
        self.calls.lock().expect("no panic").push(call.into());
    }
}

impl Protocol for Puppet {
    type Message = Order;

    fn connection_made(&mut self, _: Mailbox<Order>, output: &mut Buffer, _: &Now) -> Next<Order> {
        output.extend_from_slice(b"hello ");
        self.note("made");
        Next::Read
    }

    fn receive(&mut self, input: &mut Buffer, _: &mut Buffer, _: &Now) -> Next<Order> {
        self.note(text(input));
        input.clear();
        Next::Read
    }

    fn deliver(&mut self, order: Order, output: &mut Buffer, _: &Now) -> Next<Order> {
        output.append(order.0);
        (order.1)()
    }

    fn produce(&mut self, output: &mut Buffer, _: &Now) -> Next<Order> {
        self.note("produce");
        match self.more.take() {
            Some(more) => {
                output.append(more);
                Next::Produce
            }
            None => Next::Wait,
        }
    }

    fn output_sent(&mut self, _: &Now) {
        self.note("sent");
    }

    fn drain(&mut self, input: &mut Buffer, output: &mut Buffer, _: &Now) -> Next<Order> {
        output.extend_from_slice(b"bye");
        self.note(format!("drain({})", text(input)));
        input.clear();
        Next::Close
    }

    fn connection_lost(&mut self, _: &Now) {
        self.note("lost");
    }

    fn keeps_blocks(&self) -> bool {
        true
    }
}

/// A connection with a puppet inside, and its client. The handshake is complete.
struct Stage {
    timed: Timed<Puppet>,
    client: ClientConnection,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    fn new(more: Option<Block>) -> Stage {
        let authority = Authority::one();
        let mut config = authority.client_of(&[&rustls::version::TLS13]);
        config.enable_secret_extraction = true;
        let calls = Arc::default();
        let puppet = Mutex::new(Some(Puppet {
            calls: Arc::clone(&calls),
            more,
        }));
        let factory = move |_: &SocketAddr| puppet.lock().expect("no panic").take().expect("one");
        let tls = Tls::new(factory, authority.server(NAME));
        let mut stage = Stage {
            timed: Timed::new(tls.make(&Ends::new(&client_address())).expect("made")),
            client: client(config, NAME),
            calls,
        };
        stage.timed.exchange(&mut stage.client, Duration::ZERO);
        assert_eq!(stage.read(), "hello ");
        stage
    }

    fn calls(&self) -> String {
        mem::take(&mut *self.calls.lock().expect("no panic")).join(" ")
    }

    fn deliver(&mut self, block: impl Into<Block>, next: fn() -> Next<Order>) -> String {
        let now = self.timed.at(Duration::ZERO);
        let order = Order(block.into(), next);
        let next = self
            .timed
            .protocol
            .deliver(order, &mut self.timed.output, &now);
        format!("{next:?}")
    }

    fn produce(&mut self) -> String {
        let now = self.timed.at(Duration::ZERO);
        let next = self.timed.protocol.produce(&mut self.timed.output, &now);
        format!("{next:?}")
    }

    fn drain(&mut self, input: &[u8]) -> String {
        let now = self.timed.at(Duration::ZERO);
        let mut bytes = Buffer::new();
        bytes.extend_from_slice(input);
        let next = self
            .timed
            .protocol
            .drain(&mut bytes, &mut self.timed.output, &now);
        format!("{next:?}")
    }

    /// What the client has read; `.` at its end if it knows that this is all.
    fn read(&mut self) -> String {
        let read = self.take();
        let ended = matches!(self.client.reader().read(&mut [0]), Ok(0));
        text(&read) + if ended { "." } else { "" }
    }

    /// Gives the client what was written, and returns what it has read.
    fn take(&mut self) -> Vec<u8> {
        let (mut output, mut read) = (&self.timed.output[..], Vec::new());
        loop {
            // The error means that it waits for more.
            let _ = self.client.reader().read_to_end(&mut read);
            if output.is_empty() {
                break;
            }
            self.client.read_tls(&mut output).expect("memory");
            self.client.process_new_packets().expect("no alert");
        }
        self.timed.output.clear();
        read
    }
}

/// TLS-1: the owner is told what the protocol inside asks for; the client learns whether it has
/// everything (RFC 8446 section 6.1).
#[test]
fn every_verdict_has_its_counterpart() {
    for (next, verdict, read) in [
        ((|| Next::Read) as fn() -> Next<Order>, "Read", "said"),
        (|| Next::Wait, "Wait", "said"),
        (|| Next::Produce, "Produce", "said"),
        (|| Next::Close, "Close", "said."),
        (|| Next::Linger, "Linger", "said."),
        (|| Next::Abort, "Abort", ""),
        (
            || Next::Upgrade(Box::new(Puppet::default())),
            "Read",
            "saidhello ",
        ),
    ] {
        let mut stage = Stage::new(None);
        assert_eq!(stage.deliver("said", next), verdict);
        assert_eq!(stage.read(), read, "{verdict}");
        let now = stage.timed.at(Duration::ZERO);
        stage.timed.protocol.connection_lost(&now);
        let calls = if read.ends_with("hello ") {
            "made"
        } else {
            "made lost"
        };
        assert_eq!(stage.calls(), calls, "{verdict}");
    }
}

/// Design law 7: however much the protocol inside says at once, little of it is encrypted at a time. The
/// protocol is asked for more, and told that all is sent, when that is so.
#[test]
fn much_output_is_encrypted_as_the_client_takes_it() {
    let block = |length| Block::lend(vec![b'x'; length]);
    let mut stage = Stage::new(Some(block(100)));
    let now = stage.timed.at(Duration::ZERO);
    let mut verdict = stage.deliver(block(1_000_000), || Next::Produce);
    assert_eq!(
        stage.timed.protocol.deadline(),
        None,
        "the time is the owner's"
    );
    let (mut most, mut read) = (0, 0);
    let calls = loop {
        most = most.max(stage.timed.output.len());
        let more = stage.take();
        read += more.len();
        if read >= 1_000_000 {
            break stage.calls();
        }
        assert_eq!(verdict, "Produce");
        stage.timed.protocol.output_sent(&now);
        verdict = stage.produce();
    };
    assert!(most < 68_000, "{most} bytes at once");
    assert_eq!((read, &*calls), (1_000_000, "made sent"));
    assert_eq!(stage.produce(), "Produce");
    assert_eq!(stage.produce(), "Wait");
    assert_eq!(stage.take().len(), 100);
    assert_eq!(stage.calls(), "produce produce");
}

/// A part of a message of TLS has arrived, and now the server sends something. (With rustls, whoever
/// does not keep that part gets a panic.)
#[test]
fn a_message_in_parts_does_not_disturb_what_is_sent() {
    let mut stage = Stage::new(None);
    let suite = stage
        .client
        .negotiated_cipher_suite()
        .and_then(|suite| suite.tls13())
        .expect("1.3");
    let now = stage.timed.at(Duration::ZERO);
    let authority = Authority::one();
    let other = client(authority.client(), NAME);
    let client = mem::replace(&mut stage.client, other);
    let (serial, secrets) = client.dangerous_extract_secrets().expect("allowed").tx;
    let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else {
        panic!("the first choice of the provider");
    };
    let mut encrypter = suite.aead_alg.encrypter(key, iv);
    // The first two bytes of a KeyUpdate (RFC 8446 section 4.6.3).
    let message = OutboundPlainMessage {
        typ: ContentType::Handshake,
        version: ProtocolVersion::TLSv1_2,
        payload: OutboundChunks::Single(&[24, 0]),
    };
    let record = encrypter
        .encrypt(message, serial)
        .expect("encrypted")
        .encode();
    let mut input = Buffer::new();
    input.extend_from_slice(&record);
    let next = stage
        .timed
        .protocol
        .receive(&mut input, &mut stage.timed.output, &now);
    assert_eq!(
        (format!("{next:?}"), stage.timed.output.len()),
        ("Read".to_owned(), 0)
    );
    assert_eq!(stage.deliver("said", || Next::Close), "Close");
    assert!(stage.timed.output.len() > 4 + 2 * 17, "it was sent");
}

/// SHUT-14: what has arrived is finished. A drain that meets a handshake lets it finish, and then the
/// request that it is for; who has sent nothing is closed.
#[test]
fn a_drain_lets_a_handshake_finish() {
    // It is open: the protocol inside gets what has arrived.
    let mut stage = Stage::new(None);
    stage.client.writer().write_all(b"now").expect("memory");
    let mut input = Vec::new();
    stage.client.write_tls(&mut input).expect("memory");
    assert_eq!(stage.drain(&input), "Close");
    assert_eq!(
        (stage.calls().as_str(), stage.read().as_str()),
        ("made drain(now)", "bye.")
    );

    let authority = Authority::one();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let given = Arc::clone(&calls);
    let factory = move |_: &SocketAddr| Puppet {
        calls: Arc::clone(&given),
        more: None,
    };
    let tls = Tls::new(factory, authority.server(NAME));
    let make = || Timed::new(tls.make(&Ends::new(&client_address())).expect("made"));
    let mut silent = make();
    let now = silent.at(Duration::ZERO);
    let next = silent
        .protocol
        .drain(&mut Buffer::new(), &mut silent.output, &now);
    assert_eq!(format!("{next:?}"), "Close");

    // The hello is what the drain finds.
    let mut timed = make();
    let mut client = client(authority.client(), NAME);
    let mut hello = Buffer::new();
    client.write_tls(&mut hello).expect("memory");
    let next = timed.protocol.drain(&mut hello, &mut timed.output, &now);
    assert_eq!(format!("{next:?}"), "Read");
    assert_eq!(timed.exchange(&mut client, Duration::ZERO), "Read");
    client.writer().write_all(b"request").expect("memory");
    assert_eq!(timed.exchange(&mut client, Duration::ZERO), "Close");
    assert_eq!(
        calls.lock().expect("no panic").join(" "),
        "made drain(request)"
    );
}
