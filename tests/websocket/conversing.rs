//! Whole conversations over sockets, with time in the hands of the test.

use serve_forever::http::{HttpStats, ThreadedHttp};
use serve_forever::socketserver::{Evented, Pool};

use super::support::client::take;
use super::support::server::serve;
use super::*;

/// On the loop and on threads: messages, a ping, and the closing handshake.
#[test]
fn a_client_converses() {
    for threads in [false, true] {
        let (site, _seen) = witnessed(WebSocketSettings::default());
        let handle = move |request: &Request<'_>, response: Response<'_>| site(request, response);
        let settings = HttpSettings::default();
        let server = match threads {
            false => serve(|| Evented::new(Http::new(handle, settings))),
            true => serve(|| {
                let workers = Pool::new().threads(2);
                Evented::new(ThreadedHttp::new(handle, settings, workers))
            }),
        };
        let mut client = server.connect();
        client.send(HANDSHAKE);
        read_through(&mut client.0, "\r\n\r\n");
        for (kind, content) in [
            (TEXT, b"hello".to_vec()),
            (BINARY, vec![0, 0xff, 7]),
            (TEXT, vec![b'x'; 60_000]),
            (BINARY, vec![9; 1024 * 1024]),
        ] {
            client.send(frame(LAST | kind, &content));
            client.expect(sent(LAST | kind, &content));
        }
        client.send(frame(PING, "are you there"));
        client.expect(sent(PONG, "are you there"));
        client.send(frame(CLOSE, ""));
        client.expect(sent(CLOSE, ""));
        client.expect_end();
    }
}

/// WS-3, law 8: a silent client gets a ping, and one that does not answer is given up.
#[test]
fn a_client_that_has_vanished_is_noticed() {
    let (mut driven, seen) = driven(WebSocketSettings::default());
    let mut client = open(&mut driven);
    driven.pass(Duration::from_secs(20));
    client.send(frame(LAST | TEXT, "hello"));
    driven.expect(&mut client, sent(LAST | TEXT, "hello"));
    driven.pass(Duration::from_secs(29));
    assert!(!take(&mut client, 1, &mut Vec::new()));
    for _ in 0..3 {
        driven.pass(Duration::from_secs(30));
        driven.expect(&mut client, sent(PING, ""));
        client.send(frame(PONG, ""));
        driven.settle();
    }
    driven.pass(Duration::from_secs(30));
    driven.expect(&mut client, sent(PING, ""));
    driven.pass(Duration::from_secs(29));
    assert_eq!(events(&seen).last(), Some(&Event::Text("hello".into())));
    driven.pass(Duration::from_secs(1));
    let rest = driven.rest(&mut client);
    assert_eq!(
        text(&rest),
        text(&sent(CLOSE, close(1011, "there was no pong")))
    );
    let reason = "there was no pong".into();
    assert_eq!(events(&seen), [Event::Closed(1011, reason)]);
}

/// WS-6, law 8: a client that does not answer a Close frame is given up, whatever else it sends.
#[test]
fn a_client_that_does_not_close_is_left() {
    let (mut driven, seen) = driven(WebSocketSettings::default());
    let mut client = open(&mut driven);
    client.send(frame(LAST | TEXT, "bye"));
    driven.expect(&mut client, sent(CLOSE, close(1000, "you said so")));
    for _ in 0..4 {
        driven.pass(Duration::from_secs(1));
        client.send(frame(PING, "are you there"));
        driven.settle();
    }
    assert_eq!(driven.open_connections(), 1);
    driven.pass(Duration::from_secs(1));
    assert_eq!(text(&driven.rest(&mut client)), "");
    assert_eq!(
        events(&seen).last(),
        Some(&Event::Closed(1000, "you said so".into()))
    );
}

/// WS-6: a handler that fails or panics ends its own conversation, and is reported.
#[test]
fn a_handler_that_fails_closes_with_1011() {
    for (word, report) in [("fail", "scripted"), ("panic", "scripted panic")] {
        let (mut driven, seen) = driven(WebSocketSettings::default());
        let mut client = open(&mut driven);
        client.send([frame(LAST | TEXT, word), frame(LAST | TEXT, "more")].concat());
        driven.expect(&mut client, sent(CLOSE, close(1011, "")));
        client.send(frame(CLOSE, close(1011, "")));
        assert_eq!(text(&driven.rest(&mut client)), "");
        let (reported, _) = driven.reports.try_recv().expect("a report");
        assert!(reported.contains(report), "{reported}");
        let expected = [
            Event::Open,
            Event::Text(word.into()),
            Event::Closed(1011, String::new()),
        ];
        assert_eq!(events(&seen), expected);
    }
}

/// WS-6: a connection that ends without a word.
#[test]
fn a_client_that_leaves_without_a_word() {
    for leave in [drop as fn(Client), Client::reset] {
        let (mut driven, seen) = driven(WebSocketSettings::default());
        let client = open(&mut driven);
        leave(client);
        driven.until(|driven| driven.open_connections() == 0);
        let expected = [Event::Open, Event::Closed(1006, String::new())];
        assert_eq!(events(&seen), expected);
        let sender = seen.senders.try_recv().expect("it was open");
        assert!(sender.is_gone() && sender.text("late").is_err());
    }
}

/// WS-5, law 7: a client that sends and does not read is held back.
#[test]
fn a_client_that_does_not_read_is_not_read_either() {
    let (mut driven, seen) = driven(WebSocketSettings::default());
    let mut client = open(&mut driven);
    client.0.set_nonblocking(true).expect("an option");
    let message = frame(LAST | BINARY, vec![7; 32 * 1024]);
    let (mut sent, mut stuck) = (0, 0);
    let mut rest = &message[..];
    while stuck < 20 {
        match std::io::Write::write(&mut client.0, rest) {
            Ok(count) => {
                sent += count;
                rest = &rest[count..];
                if rest.is_empty() {
                    rest = &message;
                }
                stuck = 0;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => stuck += 1,
            Err(error) => panic!("{error}"),
        }
        driven.turn();
        assert!(sent < 64 << 20, "without limit");
    }
    let echoed = events(&seen).len();
    // It goes on when the client reads.
    let mut bytes = Vec::new();
    driven.until(|_| {
        client.0.set_nonblocking(false).expect("an option");
        take(&mut client, 64 * 1024, &mut bytes);
        !events(&seen).is_empty()
    });
    assert!(echoed > 1);
}

/// WS-5, law 7: the parts of messages share the budget of bodies.
#[test]
fn parts_of_messages_have_limited_memory_together() {
    let mut settings = HttpSettings::default();
    settings.limits.bodies = 1000;
    let stats = settings.clone();
    let (site, seen) = witnessed(WebSocketSettings::default());
    let mut driven = Driven::new(EventedSettings::default(), http(site, settings));
    let mut first = open(&mut driven);
    first.send(frame(BINARY, vec![1; 900]));
    driven.settle();
    assert_eq!(stats.stats().body_bytes, 900);
    let mut second = open(&mut driven);
    second.send(frame(BINARY, vec![2; 101]));
    let reason = "there is no room for the message";
    let rest = driven.rest(&mut second);
    assert_eq!(text(&rest), text(&sent(CLOSE, close(1013, reason))));
    first.send(frame(LAST, ""));
    driven.expect(&mut first, sent(LAST | BINARY, vec![1; 900]));
    assert_eq!(stats.stats().body_bytes, 0);
    let received = events(&seen);
    assert!(received.contains(&Event::Closed(1013, reason.into())));
}

/// WS-5, law 8: a message that has begun must end, whatever else the client sends meanwhile. Its parts
/// would hold the budget of bodies.
#[test]
fn a_message_that_never_ends_is_given_up() {
    let (mut driven, seen) = driven(WebSocketSettings::default());
    let mut client = open(&mut driven);
    driven.pass(Duration::from_secs(20));
    for _ in 0..2 {
        // Each message has its own time.
        client.send(frame(TEXT, "a part"));
        driven.settle();
        for _ in 0..11 {
            driven.pass(Duration::from_secs(10));
            client.send(frame(0, "."));
            driven.settle();
        }
        client.send([frame(LAST, ""), frame(BINARY, "the next")].concat());
        driven.expect(&mut client, sent(LAST | TEXT, "a part..........."));
        driven.pass(Duration::from_secs(10));
        client.send(frame(LAST, ""));
        driven.expect(&mut client, sent(LAST | BINARY, "the next"));
    }
    client.send(&frame(LAST | BINARY, "x".repeat(100))[..20]);
    driven.settle();
    for _ in 0..11 {
        driven.pass(Duration::from_secs(10));
        client.send("x");
        driven.settle();
    }
    assert_eq!(driven.open_connections(), 1);
    driven.pass(Duration::from_secs(10));
    let reason = "a message took too long";
    let rest = driven.rest(&mut client);
    assert_eq!(text(&rest), text(&sent(CLOSE, close(1008, reason))));
    assert_eq!(
        events(&seen).last(),
        Some(&Event::Closed(1008, reason.into()))
    );
}

/// Laws 7 and 8: each limit and deadline is counted.
#[test]
fn every_limit_and_deadline_is_counted() {
    type Counter = fn(&HttpStats) -> u64;
    let long = "x".repeat(300);
    let part = frame(BINARY, "x".repeat(150));
    // What is sent, how many seconds pass after it, several times, and what is counted.
    let cases: [(Vec<u8>, &[u64], Counter); 7] = [
        (sent(LAST | TEXT, "x"), &[], |stats| stats.bad_requests),
        (frame(LAST | TEXT, b"\xff"), &[], |stats| stats.bad_requests),
        (frame(LAST | TEXT, long), &[], |stats| stats.body_too_large),
        (part, &[], |stats| stats.bodies_shed),
        (frame(TEXT, "x"), &[10], |stats| stats.body_timeouts),
        (frame(LAST | TEXT, "bye"), &[5], |stats| {
            stats.keep_alive_timeouts
        }),
        (Vec::new(), &[30, 30], |stats| stats.keep_alive_timeouts),
    ];
    for (number, (bytes, times, counter)) in cases.into_iter().enumerate() {
        let mut settings = HttpSettings::default();
        settings.limits.bodies = 200;
        let counted = settings.clone();
        let mut limits = WebSocketSettings::default();
        (limits.message, limits.message_time) = (200, Duration::from_secs(10));
        let (site, _seen) = witnessed(limits);
        let mut driven = Driven::new(EventedSettings::default(), http(site, settings));
        // Another client uses half of the budget. It must not be there when time passes.
        let mut other = open(&mut driven);
        other.send(frame(BINARY, "x".repeat(100)));
        driven.settle();
        let mut client = open(&mut driven);
        if !times.is_empty() {
            other.reset();
            driven.until(|driven| driven.open_connections() == 1);
        }
        client.send(bytes);
        driven.settle();
        for &seconds in times {
            driven.pass(Duration::from_secs(seconds));
        }
        driven.rest(&mut client);
        let stats = counted.stats();
        assert_eq!(counter(&stats), 1, "case {number}: {stats:?}");
    }
}

/// A heartbeat of zero does not keep the loop busy.
#[test]
fn a_heartbeat_is_never_shorter_than_a_second() {
    let mut settings = WebSocketSettings::default();
    settings.heartbeat = Duration::ZERO;
    let (mut driven, _seen) = driven(settings);
    let mut client = open(&mut driven);
    driven.pass(Duration::from_millis(999));
    assert!(!take(&mut client, 1, &mut Vec::new()));
    driven.pass(Duration::from_millis(1));
    driven.expect(&mut client, sent(PING, ""));
}

/// SHUT-14, WS-6: what was sent before arrives, then the server says good-bye, and waits for the
/// client's own.
#[test]
fn a_drain_says_good_bye() {
    let (site, seen) = witnessed(WebSocketSettings::default());
    let http = http(site, HttpSettings::default());
    let server = serve(|| Evented::new(http));
    let mut client = server.connect();
    client.send(HANDSHAKE);
    read_through(&mut client.0, "\r\n\r\n");
    let sender = seen
        .senders
        .recv_timeout(super::support::patience::PATIENCE);
    let sender = sender.expect("it is open");
    for _ in 0..20 {
        sender.text("news").expect("there is room");
    }
    client.send(frame(LAST | TEXT, "hello"));
    let handle = server.handle.clone();
    let drain = std::thread::spawn(move || handle.drain(super::support::patience::PATIENCE));
    let goodbye = sent(CLOSE, close(1001, "the server is stopping"));
    let mut bytes = Vec::new();
    while !bytes.ends_with(&goodbye) {
        let mut byte = [0];
        std::io::Read::read_exact(&mut client.0, &mut byte).expect("the server says good-bye");
        bytes.push(byte[0]);
    }
    let (news, echo) = (sent(LAST | TEXT, "news"), sent(LAST | TEXT, "hello"));
    assert_eq!(
        bytes
            .windows(news.len())
            .filter(|part| *part == news)
            .count(),
        20
    );
    assert_eq!(
        bytes
            .windows(echo.len())
            .filter(|part| *part == echo)
            .count(),
        1
    );
    client.send(frame(CLOSE, close(1001, "")));
    client.expect_end();
    assert!(drain.join().expect("no panic").is_ok());
    assert!(sender.is_gone());
}
