//! Each state meets each event: what the client is sent, and what the connection does then.

use super::*;
use crate::http::access::Peer;
use crate::http::body_policy::Want;
use crate::http::error_format::ErrorFormat;
use crate::http::h1::{ChunkLimits, FieldStorage, Fields, Framing, Head, HeadLimits, Version};
use crate::http::response_body::{BodyFraming, Framer};
use crate::http::settings::{BodyDeadlines, HttpSettings};
use crate::http::written::Context;
use crate::reactor::Now;
use crate::socketserver::{Pool, Seat};

const PATIENCE: Duration = Duration::from_secs(60);

fn exchange(version: Version) -> Exchange {
    let bytes = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut storage = FieldStorage::new();
    let head = Head::parse(bytes, &mut storage, &HeadLimits::default()).expect("a head");
    let terms = Terms {
        head_only: false,
        connect: false,
        version,
        linger: true,
        keep_alive: true,
        error_format: ErrorFormat::Html,
    };
    let record = Record::new(bytes, &head, &HttpSettings::default(), Peer::default());
    Exchange::new(terms, record, Instant::now(), PATIENCE)
}

fn written(outcome: Outcome) -> Written {
    Written {
        outcome,
        code: 200,
        ..Written::unwritten(false)
    }
}

fn streaming(blocks: &'static [&'static str]) -> Box<Streaming> {
    Box::new(Streaming {
        source: Box::new(blocks.iter().copied()),
        ended: None,
        framer: Framer::new(BodyFraming::Chunked),
    })
}

/// News with a head of one field, behind which `body` stands.
fn head(body: &str, then: Then) -> News {
    let mut bytes = Buffer::new();
    bytes.extend_from_slice(b"H\r\n");
    bytes.extend_from_slice(body.as_bytes());
    News {
        head: Some(OpenHead {
            end: 3,
            code: 200,
            close: false,
            close_delimited: false,
            pushed: None,
        }),
        ..News::of(then).with_bytes(bytes)
    }
}

fn bytes(text: &str, then: Then) -> News {
    let mut bytes = Buffer::new();
    bytes.extend_from_slice(text.as_bytes());
    News::of(then).with_bytes(bytes)
}

/// A worker has parked the rest of a body.
fn park(sent: u64) -> Then {
    let (sender, receiver) = std::sync::mpsc::channel();
    let pool = Pool::new().threads(1);
    let own = pool.clone();
    let job = move |(), _place, seat: &mut Seat| {
        let parked = own.park(seat, |_seat| ());
        sender.send(parked).expect("awaited");
    };
    assert!(pool.submit_seated((), job).is_ok());
    let parked = receiver.recv_timeout(PATIENCE).expect("parked");
    Then::Halt {
        halted: parked,
        sent,
    }
}

fn failure() -> Failure {
    std::io::Error::other("scripted").into()
}

/// Gives an event to the exchange; what it wrote, and the name of its verdict.
fn give(event: impl FnOnce(&mut Io<'_>) -> Verdict) -> (String, &'static str) {
    let (mut output, now) = (Buffer::new(), Now::new());
    let verdict = event(&mut Io {
        output: &mut output,
        now: &now,
    });
    let name = match verdict {
        Verdict::Wait => "wait",
        Verdict::GoOn => "go on",
        Verdict::Finish(..) => "finish",
        Verdict::Resume(_) => "resume",
        Verdict::Ended(_) => "ended",
        Verdict::Upgraded(_) => "upgraded",
        Verdict::Failed(_) => "failed",
        Verdict::Malformed(_) => "malformed",
    };
    (String::from_utf8_lossy(&output).into_owned(), name)
}

fn hear(exchange: &mut Exchange, news: News) -> (String, &'static str) {
    give(|io| exchange.hear(news, false, io))
}

/// Every row of the table of the response, in every state: `(event, awaited, pulled, coming, parked)`.
#[test]
fn news_and_the_response() {
    let nothing = ("", "wait");
    type Case = (fn() -> News, [(&'static str, &'static str); 4]);
    let cases: [Case; 12] = [
        (
            || bytes("102", Then::Await),
            [("102", "wait"), nothing, nothing, nothing],
        ),
        (
            || bytes("x", Then::GoOn { sent: 1 }),
            [nothing, nothing, ("x", "go on"), nothing],
        ),
        (
            || bytes("x", Then::Pull(streaming(&[]))),
            [nothing, nothing, ("x", "go on"), nothing],
        ),
        (
            || bytes("x", park(1)),
            [nothing, nothing, ("x", "go on"), nothing],
        ),
        (
            || bytes("x", Then::End(Ending::default())),
            [nothing, nothing, ("x", "ended"), nothing],
        ),
        (
            || bytes("", Then::Fail(failure())),
            [("", "failed"), nothing, ("", "failed"), ("", "failed")],
        ),
        (|| bytes("", Then::Read), [("", "go on"); 4]),
        (
            || head("b", Then::GoOn { sent: 1 }),
            [("H\r\n\r\nb", "go on"), nothing, nothing, nothing],
        ),
        (
            || head("b", Then::Pull(streaming(&[]))),
            [("H\r\n\r\nb", "go on"), nothing, nothing, nothing],
        ),
        (
            || head("b", park(1)),
            [("H\r\n\r\nb", "go on"), nothing, nothing, nothing],
        ),
        (
            || head("b", Then::End(Ending::default())),
            [("H\r\n\r\nb", "ended"), nothing, nothing, nothing],
        ),
        (
            || head("", Then::Fail(failure())),
            [("", "failed"), nothing, nothing, nothing],
        ),
    ];
    for (number, (news, expected)) in cases.into_iter().enumerate() {
        let mut pulled = exchange(Version::Http11);
        pulled.settle(written(Outcome::Stream(streaming(&["a"]))));
        let mut coming = exchange(Version::Http11);
        hear(&mut coming, head("", Then::GoOn { sent: 0 }));
        let mut parked = exchange(Version::Http11);
        hear(&mut parked, head("", park(0)));
        let states = [exchange(Version::Http11), pulled, coming, parked];
        for (state, (mut exchange, expected)) in states.into_iter().zip(expected).enumerate() {
            let (sent, verdict) = hear(&mut exchange, news());
            assert_eq!((&*sent, verdict), expected, "case {number}, state {state}");
        }
    }
}

/// A worker that is parked goes on when there is room in the output, once, until it parks again.
#[test]
fn a_parked_worker_goes_on_when_there_is_room() {
    let mut exchange = exchange(Version::Http11);
    hear(&mut exchange, head("a", park(1)));
    assert!(matches!(exchange.next(), Next::Produce));
    assert_eq!(exchange.deadline(Instant::now()), None);
    assert_eq!(give(|io| exchange.pull(io)), (String::new(), "resume"));
    assert!(matches!(exchange.next(), Next::Wait));
    assert!(exchange.deadline(Instant::now()).is_some());
    assert_eq!(give(|io| exchange.pull(io)), (String::new(), "wait"));
    assert_eq!(exchange.sent(), 1);
    hear(&mut exchange, bytes("b", park(2)));
    assert_eq!(exchange.sent(), 2);
    assert_eq!(give(|io| exchange.pull(io)), (String::new(), "resume"));
}

/// SHUT-14: a head that is completed after the drain began says that the connection closes.
#[test]
fn an_open_head_learns_of_the_drain() {
    for (version, draining, expected) in [
        (Version::Http11, false, "H\r\n\r\n"),
        (
            Version::Http10,
            false,
            "H\r\nConnection: keep-alive\r\n\r\n",
        ),
        (Version::Http11, true, "H\r\nConnection: close\r\n\r\n"),
        (Version::Http10, true, "H\r\nConnection: close\r\n\r\n"),
    ] {
        let mut exchange = exchange(version);
        let news = head("", Then::End(Ending::default()));
        let (sent, verdict) = give(|io| exchange.hear(news, draining, io));
        assert_eq!((&*sent, verdict), (expected, "ended"));
        assert_eq!(exchange.close, draining);
    }
}

/// A writer that wants the connection to end is obeyed, and never overruled.
#[test]
fn an_open_head_may_close() {
    let mut exchange = exchange(Version::Http11);
    let mut news = head("", Then::End(Ending::default()));
    if let Some(head) = &mut news.head {
        head.close = true;
    }
    let (sent, _) = hear(&mut exchange, news);
    assert_eq!(sent, "H\r\nConnection: close\r\n\r\n");
    assert!(exchange.close);
}

/// The body and the trailers that a sink was given.
struct Sink(Want);

impl ContentSink for Sink {
    fn block(&mut self, _: &[u8]) -> Result<Want, Failure> {
        Ok(self.0)
    }

    fn finish(
        self: Box<Self>,
        _: Fields<'_>,
        _: &mut Buffer,
        _: &Context<'_>,
    ) -> Result<Written, Failure> {
        Ok(written(Outcome::Done))
    }
}

/// A request whose body of five bytes goes to a sink.
fn receiving(wants: Want) -> Exchange {
    let mut exchange = exchange(Version::Http11);
    let mut written = written(Outcome::Deferred);
    written.reading = Some(Box::new(Reading::Sink(Box::new(Sink(wants)))));
    let request_body = RequestBody::new(
        Framing::Length(5),
        ChunkLimits::default(),
        BodyDeadlines::default(),
        Instant::now(),
    );
    let content = Content::Arriving {
        ask: false,
        window: 0,
    };
    let begun = give(|io| exchange.begin(written, content, Some(request_body), io));
    assert_eq!(begun, (String::new(), "go on"));
    exchange
}

/// Every row of the table of the body.
#[test]
fn the_body_arrives() {
    let take = |exchange: &mut Exchange, arrived: &str| {
        let mut input = Buffer::new();
        input.extend_from_slice(arrived.as_bytes());
        let (_, verdict) = give(|io| exchange.take_in(&mut input, None, io));
        (verdict, String::from_utf8_lossy(&input).into_owned())
    };
    let mut more = receiving(Want::More);
    assert!(more.awaits_client() && !more.is_received());
    assert_eq!(take(&mut more, "abc"), ("go on", String::new()));
    assert_eq!(take(&mut more, "deGET"), ("finish", "GET".to_owned()));
    assert!(more.is_received() && !more.awaits_client());
    assert_eq!(take(&mut more, "GET"), ("wait", "GET".to_owned()));

    let mut enough = receiving(Want::Enough);
    assert_eq!(take(&mut enough, "abc"), ("finish", String::new()));
    assert!(enough.is_unwanted() && !enough.is_received());
    assert_eq!(take(&mut enough, "de"), ("wait", "de".to_owned()));
}

/// A worker's upgrade fails while a part of the body is still to come: the other protocol would
/// misread it.
#[test]
fn no_upgrade_in_the_middle_of_the_body() {
    let mut exchange = receiving(Want::More);
    let upgrade = || Then::Upgrade(Upgrade(Box::new(Nobody)));
    assert_eq!(
        hear(&mut exchange, head("", upgrade())),
        (String::new(), "failed")
    );
    let mut exchange = self::exchange(Version::Http10);
    let upgraded = hear(&mut exchange, head("", upgrade()));
    assert_eq!(
        upgraded,
        ("H\r\n\r\n".to_owned(), "upgraded"),
        "it says no Connection"
    );
}

struct Nobody;

impl crate::socketserver::Protocol for Nobody {
    type Message = Message;

    fn receive(&mut self, _: &mut Buffer, _: &mut Buffer, _: &Now) -> Next<Message> {
        Next::Close
    }
}

/// Blocks are pulled only when there is room, and nothing else pulls.
#[test]
fn a_body_is_pulled_to_its_end() {
    let mut exchange = exchange(Version::Http11);
    assert_eq!(give(|io| exchange.pull(io)).1, "wait", "there is none");
    let settled = exchange.settle(written(Outcome::Stream(streaming(&["a", "b"]))));
    assert!(matches!(settled, Verdict::GoOn) && exchange.has_begun());
    assert!(matches!(exchange.next(), Next::Produce));
    for (sent, verdict) in [
        ("1\r\na\r\n", "go on"),
        ("1\r\nb\r\n", "go on"),
        ("0\r\n\r\n", "ended"),
    ] {
        let pulled = give(|io| exchange.pull(io));
        assert_eq!(pulled, (sent.to_owned(), verdict));
    }
    assert_eq!(exchange.sent(), 2);
}
