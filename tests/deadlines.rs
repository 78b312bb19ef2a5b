//! Deadlines, when the loop comes late: RT-12, RT-13 and law 8.
//!
//! The time is the test's. A loop is late if a handler keeps it, or if the process or the machine is
//! stopped. What a client did in time counts all the same.
#![cfg(feature = "server")]

mod support;

use std::io::Read;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serve_forever::http::{
    BodyDeadlines, BodyPolicy, Deferred, Http, HttpRequestHandler, HttpResult, HttpSettings,
    Request, Response,
};
use serve_forever::socketserver::{EventedSettings, Pool};
use support::client::{Client, take};
use support::driven::Driven;
use support::transport::throttled;
use support::wire::{GET, status};

const SECOND: Duration = Duration::from_secs(1);

/// Responds in the way that the path names.
#[derive(Clone)]
struct Site {
    pool: Pool,
    body: BodyDeadlines,
    deferred: Arc<Mutex<Vec<Deferred>>>,
}

impl HttpRequestHandler for Site {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        match request.path() {
            "/sink" => response.receive_into(Vec::new(), |_, response| ok(response)),
            "/reader" => response.offload(&self.pool, |mut response| {
                response.body_reader().read_to_end(&mut Vec::new())?;
                ok(response)
            }),
            "/deferred" => {
                let (deferred, reply) = response.defer();
                self.deferred.lock().expect("no panic").push(deferred);
                Ok(reply)
            }
            _ => ok(response),
        }
    }

    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        let policy = match request.path() {
            "/sink" | "/reader" => BodyPolicy::streamed(),
            _ => BodyPolicy::whole(),
        };
        policy.deadlines(self.body)
    }
}

fn ok(response: Response<'_>) -> HttpResult {
    response.send_response(200).body("")
}

/// A server, a client that has sent something, and what the server counts.
struct Begun {
    driven: Driven<Http<Site>>,
    client: Client,
    settings: HttpSettings,
    site: Site,
}

/// Connects, sends, and reads as many responses as the client gets for that.
fn begin(sent: &str, body: BodyDeadlines) -> Begun {
    let site = Site {
        pool: Pool::new(),
        body,
        deferred: Arc::default(),
    };
    let settings = HttpSettings::default();
    let http = Http::new(site.clone(), settings.clone());
    let mut driven = Driven::new(EventedSettings::default(), http);
    let mut client = driven.connect();
    client.send(sent);
    driven.settle();
    Begun {
        driven,
        client,
        settings,
        site,
    }
}

impl Begun {
    /// Turns until there is a response, and returns its status. Zero: the connection was closed.
    fn status(&mut self) -> u16 {
        let (client, mut bytes) = (&mut self.client, Vec::new());
        let mut ended = false;
        self.driven.until(|_| {
            ended = take(client, usize::MAX, &mut bytes);
            ended || bytes.windows(4).any(|end| end == b"\r\n\r\n")
        });
        match bytes.is_empty() {
            true => 0,
            false => status(&String::from_utf8(bytes).expect("a head")),
        }
    }
}

/// How many clients were too slow: with a head, with a body, with the next request; and how often the
/// program was.
fn timeouts(settings: &HttpSettings) -> [u64; 4] {
    let stats = settings.stats();
    [
        stats.head_timeouts,
        stats.body_timeouts,
        stats.keep_alive_timeouts,
        stats.response_timeouts,
    ]
}

fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n")
}

/// Deadlines for a body of which only the rate counts.
fn rate(rate: u32) -> BodyDeadlines {
    let mut deadlines = BodyDeadlines::default();
    deadlines.idle = 1000 * SECOND;
    deadlines.grace = 10 * SECOND;
    deadlines.rate = rate;
    deadlines
}

/// RT-12: what a client sends in time is read before its deadline is judged, however late the loop
/// comes, and whatever its hints say.
#[test]
fn what_arrives_in_time_is_served() {
    let idle = BodyDeadlines::default();
    let (whole, sink, reader) = (post("/", 4), post("/sink", 4), post("/reader", 4));
    let part = |head: &str| format!("{head}12");
    let cases = [
        ("fresh", String::new(), idle, 9, GET),
        ("head", GET[..9].to_owned(), idle, 9, &GET[9..]),
        ("kept", GET.to_owned(), idle, 14, GET),
        ("body, idle", part(&whole), idle, 9, "34"),
        ("sink, idle", part(&sink), idle, 9, "34"),
        ("reader, idle", part(&reader), idle, 9, "34"),
        ("body, rate", part(&whole), rate(500), 9, "34"),
        ("sink, rate", part(&sink), rate(500), 9, "34"),
        ("reader, rate", part(&reader), rate(500), 9, "34"),
    ];
    for (what, sent, deadlines, seconds, rest) in cases {
        let mut begun = begin(&sent, deadlines);
        if what == "kept" {
            assert_eq!(begun.status(), 200);
        }
        begun.driven.pass(seconds * SECOND);
        begun.client.send(rest);
        begun.driven.come_late(100 * SECOND);
        assert_eq!(begun.status(), 200, "{what}");
        assert_eq!(timeouts(&begun.settings), [0; 4], "{what}");
    }
}

/// RT-12: the same of what another thread sends.
#[test]
fn what_another_thread_sends_in_time_is_sent() {
    let mut begun = begin("GET /deferred HTTP/1.1\r\nHost: h\r\n\r\n", rate(1));
    begun.driven.pass(59 * SECOND);
    let deferred = begun.site.deferred.lock().expect("no panic").pop();
    // More than a connection takes in one turn, and then the response.
    let deferred = deferred.expect("it was handled");
    for _ in 0..20 {
        deferred
            .send_interim(103, &[("Link", "/a")])
            .expect("it is one");
    }
    deferred.respond(ok).expect("the client is there");
    begun.driven.pass(100 * SECOND);
    begun.driven.settle();
    let mut bytes = Vec::new();
    begun.driven.until(|_| {
        take(&mut begun.client, usize::MAX, &mut bytes);
        bytes
            .windows(12)
            .any(|line| line == b"HTTP/1.1 200" || line == b"HTTP/1.1 503")
    });
    let text = String::from_utf8(bytes).expect("heads");
    assert_eq!(
        status(&text[text.rfind("HTTP/1.1").expect("a line")..]),
        200
    );
}

/// RT-12, law 8: bytes that do not move a deadline do not save the client, even if they arrive in
/// the turn in which it is due.
#[test]
fn a_drip_gains_nothing() {
    let (head, body, kept) = ([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]);
    let part = |path| post(path, 4) + "1";
    let cases = [
        ("fresh", String::new(), 9, "\r\n", kept),
        ("head", GET[..9].to_owned(), 9, &GET[9..10], head),
        ("kept", GET.to_owned(), 14, "\r\n", kept),
        ("body", part("/"), 9, "2", body),
        ("sink", part("/sink"), 9, "2", body),
        ("reader", part("/reader"), 9, "2", body),
    ];
    for (what, sent, seconds, drip, counted) in cases {
        // Once the loop is on time, and once it is late.
        for late in [SECOND, 100 * SECOND] {
            let mut begun = begin(&sent, rate(500));
            if what == "kept" {
                assert_eq!(begun.status(), 200);
            }
            begun.driven.pass(seconds * SECOND);
            begun.client.send(drip);
            begun.driven.come_late(late);
            assert_eq!(timeouts(&begun.settings), counted, "{what}, {late:?}");
        }
    }
}

/// RT-12: a rate leaves out the time by which the loop was late.
#[test]
fn a_rate_leaves_out_the_lateness_of_the_loop() {
    for path in ["/", "/sink", "/reader"] {
        let mut begun = begin(&post(path, 10_000), rate(100));
        begun.client.send("x".repeat(900));
        begun.driven.settle();
        begun.driven.pass(18 * SECOND);
        // It has until 19 s, and this earns it another second. The loop is late by 30 s.
        begun.client.send("x".repeat(100));
        begun.driven.come_late(31 * SECOND);
        assert_eq!(timeouts(&begun.settings), [0; 4], "{path}");
        begun.driven.pass(SECOND);
        assert_eq!(timeouts(&begun.settings), [0, 1, 0, 0], "{path}");
    }
}

/// RT-12: a response is sent while its turn goes on, and the clock is read when a turn begins. So the
/// client is idle only since the end of the turn.
#[test]
fn a_blocking_handler_takes_no_time_from_the_next_request() {
    let mut begun = begin("", BodyDeadlines::default());
    begun.client.send(GET);
    assert_eq!(begun.status(), 200);
    // The handler has taken so long. Then the server waits again.
    begun.driven.now += 20 * SECOND;
    begun.driven.settle();
    begun.client.send(GET);
    assert_eq!(begun.status(), 200);
    begun.driven.settle();
    begun.driven.pass(15 * SECOND);
    assert_eq!(begun.status(), 0);
    assert_eq!(timeouts(&begun.settings), [0, 0, 1, 0]);
}

/// RT-13: an idle time begins when the operating system has taken the last byte of the response. The
/// same holds for a head that has begun behind the request.
#[test]
fn an_idle_client_has_its_whole_response() {
    for (behind, limit) in [("", 15), (&GET[..9], 10)] {
        let settings = HttpSettings::default();
        let large = |_: &Request<'_>, response: Response<'_>| {
            response.send_response(200).body(vec![b'x'; 100_000])
        };
        let http = Http::new(large, settings.clone());
        let (throttled, credit) = throttled();
        let mut driven = Driven::on(throttled, EventedSettings::default(), http);
        let mut client = driven.connect();
        client.send(format!("{GET}{behind}"));
        driven.settle();
        let mut bytes = Vec::new();
        for _ in 0..3 {
            credit.fetch_add(40_000, Ordering::SeqCst);
            driven.pass(30 * SECOND);
            take(&mut client, usize::MAX, &mut bytes);
        }
        assert!(credit.load(Ordering::SeqCst) > 0, "all of it is sent");
        driven.pass((limit - 1) * SECOND);
        credit.fetch_add(200_000, Ordering::SeqCst);
        client.send(&GET[behind.len()..]);
        driven.settle();
        driven.until(|_| {
            take(&mut client, usize::MAX, &mut bytes);
            bytes.len() > 200_000
        });
        driven.settle();
        assert_eq!(timeouts(&settings), [0; 4], "{behind:?}");
        driven.pass(15 * SECOND);
        assert_eq!(timeouts(&settings), [0, 0, 1, 0], "{behind:?}");
    }
}

/// RT-12, law 8: the time between two requests is not lateness of the loop. So it does not count for
/// a body that comes together with its head.
#[test]
fn a_body_gains_nothing_from_the_time_before_it() {
    for path in ["/", "/sink"] {
        let mut deadlines = rate(100);
        deadlines.idle = 5 * SECOND;
        let mut begun = begin(GET, deadlines);
        assert_eq!(begun.status(), 200);
        begun.driven.pass(14 * SECOND);
        begun.client.send(post(path, 10_000) + "1");
        begun.driven.settle();
        for _ in 0..2 {
            begun.driven.pass(4 * SECOND);
            begun.client.send("2");
            begun.driven.settle();
        }
        begun.driven.pass(SECOND);
        assert_eq!(timeouts(&begun.settings), [0; 4], "{path}");
        begun.driven.pass(SECOND);
        assert_eq!(timeouts(&begun.settings), [0, 1, 0, 0], "{path}");
    }
}
