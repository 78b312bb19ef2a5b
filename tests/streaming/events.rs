//! Server-sent events, and how a client that leaves is noticed.

use serve_forever::http::{Event, EventSender};

use super::*;

/// A stream that was opened, and the last event that its browser has received.
type Opened = Receiver<(EventSender, Option<String>)>;

/// Hands out the sender of each stream of events.
fn live() -> (Site, Opened, Receiver<String>) {
    let (senders, opened) = channel();
    let (site, log) = Site::new(move |request, response| {
        let last = request.last_event_id().map(str::to_owned);
        let (sender, reply) = response.send_events()?;
        senders.send((sender, last))?;
        Ok(reply)
    });
    (site, opened, log)
}

/// Opens a stream, and reads its head.
fn open(
    driven: &mut Driven<Http<Site>>,
    opened: &Opened,
    request: &str,
) -> (Client, EventSender, String) {
    let mut client = driven.connect();
    client.send(request);
    let mut bytes = Vec::new();
    driven.until(|_| {
        take(&mut client, usize::MAX, &mut bytes);
        bytes.ends_with(b"\r\n\r\n")
    });
    let (sender, _) = opened.try_recv().expect("it was handled");
    (client, sender, text(&bytes))
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

const TICK: &str = "data: tick\n\n";

/// SSE-1, SSE-3: the head, and what a browser says that connects again.
#[test]
fn a_stream_of_events_begins_at_once() {
    for home in HOMES {
        let (site, opened, _log) = live();
        let serving = start(home, site);
        let mut client = serving.connect();
        client.send(head("GET", "/", "Last-Event-ID: 7\r\n"));
        let head = Answers::of(&client).head().expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        for field in [
            "Content-Type: text/event-stream",
            "Cache-Control: no-store",
            "X-Accel-Buffering: no",
            "Transfer-Encoding: chunked",
        ] {
            assert!(
                head.contains(&format!("\r\n{field}\r\n")),
                "{field}: {head}"
            );
        }
        let (sender, last) = next(&opened);
        assert_eq!(last.as_deref(), Some("7"), "{home:?}");
        sender.send(&Event::new("tick")).expect("there");
        client.expect(chunk(TICK));
        assert!(!sender.is_gone());
    }
}

/// SSE-2: whatever the text is, it is one event with this text.
#[test]
fn no_text_begins_a_field() {
    let cases = [
        (Event::new(""), "data: \n\n"),
        (
            Event::new("a\nb\rc\r\nd"),
            "data: a\ndata: b\ndata: c\ndata: d\n\n",
        ),
        (Event::new("\r\n\r\n"), "data: \ndata: \ndata: \n\n"),
        (Event::new("a\r"), "data: a\ndata: \n\n"),
        (Event::new(" é"), "data:  é\n\n"),
        (
            Event::new("x").event("a\r\ndata: b"),
            "event: a\u{fffd}\u{fffd}data: b\ndata: x\n\n",
        ),
        (
            Event::new("x").id("1\n\ndata: y\0"),
            "id: 1\u{fffd}\u{fffd}data: y\u{fffd}\ndata: x\n\n",
        ),
        (
            Event::new("x")
                .retry(Duration::from_millis(1500))
                .id(1)
                .id(2),
            "retry: 1500\nid: 1\nid: 2\ndata: x\n\n",
        ),
    ];
    for (event, expected) in cases {
        assert_eq!(event.as_str(), expected);
    }
}

/// SSE-4, RT-10: nothing is sent, and no time passes. Only the systems of the clients tell.
#[test]
fn clients_that_leave_quiet_streams_are_noticed_without_an_event() {
    for leave in [drop as fn(Client), Client::reset] {
        let (site, opened, log) = live();
        let mut driven = evented(site, HttpSettings::default());
        let streams: Vec<_> = (0..100).map(|_| open(&mut driven, &opened, GET)).collect();
        let (clients, senders): (Vec<_>, Vec<_>) = streams
            .into_iter()
            .map(|(client, sender, _)| (client, sender))
            .unzip();
        assert!(senders.iter().all(|sender| !sender.is_gone()));
        clients.into_iter().for_each(leave);
        driven.until(|driven| driven.open_connections() == 0);
        assert!(senders.iter().all(EventSender::is_gone));
        let sent = senders[0].send(&Event::new("tick"));
        assert_eq!(sent, Err(SendError::Gone(())));
        assert_eq!(log.try_iter().count(), 100);
    }
}

/// RT-10: the same for a long poll, if it says so. By default, a client that has ended its input
/// still gets the response.
#[test]
fn a_client_that_leaves_a_long_poll_is_noticed_if_it_cannot_half_close() {
    let (sender, polls) = channel();
    let (site, _log) = Site::new(move |request, response| {
        let response = match request.path() {
            "/strict" => response.without_half_close(),
            _ => response,
        };
        let (deferred, reply) = response.defer();
        sender.send(deferred)?;
        Ok(reply)
    });
    let mut driven = evented(site, HttpSettings::default());
    let mut polite = driven.connect();
    polite.send(get("/"));
    polite.shutdown_write();
    driven.settle();
    let mut strict = driven.connect();
    strict.send(get("/strict"));
    driven.settle();
    let [waiting, leaving] = [(); 2].map(|()| polls.try_recv().expect("it was handled"));
    strict.shutdown_write();
    driven.until(|_| leaving.is_gone());
    assert!(!waiting.is_gone());
    let responded = waiting.respond(|response| response.send_response(200).body("news"));
    responded.expect("the client is there");
    let rest = driven.rest(&mut polite);
    assert!(rest.ends_with(b"\r\n\r\nnews"), "{}", text(&rest));
}

/// SSE-4, LOG-5: the comment comes after 15 s without an event, in the framing of the response, and
/// its bytes are counted.
#[test]
fn a_silent_stream_gets_a_comment() {
    for (request, is_chunked) in [(GET, true), (GET_1_0, false)] {
        let framed = |text: &str| match is_chunked {
            true => chunk(text),
            false => text.to_owned(),
        };
        let (site, opened, log) = live();
        let mut driven = evented(site, HttpSettings::default());
        let (mut client, sender, _) = open(&mut driven, &opened, request);
        driven.pass(Duration::from_secs(10));
        sender.send(&Event::new("tick")).expect("there");
        driven.expect(&mut client, framed(TICK));
        driven.pass(Duration::from_secs(14));
        for _ in 0..3 {
            assert!(!take(&mut client, 1, &mut Vec::new()));
            driven.pass(Duration::from_secs(1));
            driven.expect(&mut client, framed(":\n\n"));
            driven.pass(Duration::from_secs(14));
        }
        drop(sender);
        let end = if is_chunked { "0\r\n\r\n" } else { "" };
        match is_chunked {
            true => driven.expect(&mut client, end),
            false => assert_eq!(text(&driven.rest(&mut client)), end),
        }
        let line = next(&log);
        assert!(line.ends_with(" 200 21"), "{line}");
    }
}

/// A heartbeat of zero does not keep the loop busy.
#[test]
fn a_heartbeat_is_never_shorter_than_a_second() {
    let (site, opened, _log) = live();
    let mut settings = HttpSettings::default();
    settings.deadlines.heartbeat = Duration::ZERO;
    let mut driven = evented(site, settings);
    let (mut client, sender, _) = open(&mut driven, &opened, GET);
    driven.pass(Duration::from_millis(999));
    assert!(!take(&mut client, 1, &mut Vec::new()));
    driven.pass(Duration::from_millis(1));
    driven.expect(&mut client, chunk(":\n\n"));
    assert!(!sender.is_gone());
}

/// SSE-5, SHUT-14: what was sent before the drain arrives; then the stream ends, in good order.
#[test]
fn a_drain_ends_a_stream_of_events() {
    for home in HOMES {
        let (site, opened, _log) = live();
        let serving = start(home, site);
        let mut client = serving.connect();
        client.send(GET);
        let mut answers = Answers::of(&client);
        answers.head().expect("a head");
        let (sender, _) = next(&opened);
        for _ in 0..20 {
            sender.send(&Event::new("tick")).expect("there");
        }
        let handle = serving.handle.clone();
        let drain = thread::spawn(move || handle.drain(PATIENCE));
        let content = answers.content(CHUNKED).expect("it ends");
        assert_eq!(text(&content), text(TICK.repeat(20).as_bytes()), "{home:?}");
        answers.expect_end();
        client.shutdown_write();
        assert!(drain.join().expect("no panic").is_ok(), "{home:?}");
        let late = sender.send(&Event::new("late"));
        assert_eq!(late, Err(SendError::Gone(())), "{home:?}");
    }
}

/// SSE-5: the connection goes on after the last clone is dropped.
#[test]
fn the_last_sender_ends_the_stream() {
    let (site, opened, _log) = live();
    let mut driven = evented(site, HttpSettings::default());
    let (mut client, sender, _) = open(&mut driven, &opened, GET);
    let clone = sender.clone();
    drop(sender);
    clone.send(&Event::new("tick")).expect("there");
    drop(clone);
    driven.expect(&mut client, format!("{}0\r\n\r\n", chunk(TICK)));
    client.send(GET);
    driven.until(|_| opened.try_recv().is_ok());
    assert!(driven.reports.try_recv().is_err(), "nothing has failed");
}

/// A client that does not read holds back only its own sender.
#[test]
fn a_client_that_does_not_read_has_no_room() {
    let (site, opened, _log) = live();
    let mut driven = evented(site, HttpSettings::default());
    let (_client, sender, _) = open(&mut driven, &opened, GET);
    let event = Event::new("x".repeat(16 * 1024));
    let mut sent = 0;
    while sender.send(&event) != Err(SendError::Full(())) {
        driven.turn();
        sent += 16 * 1024;
        assert!(sent < LARGE, "without limit");
    }
    assert!(!sender.is_gone());
}

/// SSE-1: the handler may send events before it returns, and they come after the head. A POST is like a GET.
/// The response to HEAD has no events and no comments: the next response follows its head.
#[test]
fn a_handler_sends_the_first_events() {
    let (senders, opened) = channel();
    let (site, _log) = Site::new(move |_, response| {
        let (sender, reply) = response.send_events()?;
        sender.send(&Event::new("tick"))?;
        sender.send(&Event::new("tick"))?;
        senders.send(sender)?;
        Ok(reply)
    });
    let mut settings = HttpSettings::default();
    settings.deadlines.heartbeat = Duration::from_secs(1);
    let mut driven = evented(site, settings);
    let mut client = driven.connect();
    let mut begin = |driven: &mut Driven<Http<Site>>, method, fields| {
        client.send(head(method, "/", fields));
        let mut bytes = Vec::new();
        driven.until(|_| {
            while !bytes.ends_with(b"\r\n\r\n") {
                let count = bytes.len();
                let has_ended = take(&mut client, 1, &mut bytes);
                if has_ended || bytes.len() == count {
                    return has_ended;
                }
            }
            true // what follows is not read
        });
        assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"), "{method}");
        opened.try_recv().expect("it was handled")
    };
    let sender = begin(&mut driven, "HEAD", "");
    driven.until(|_| sender.is_gone());
    assert_eq!(sender.send(&Event::new("late")), Err(SendError::Gone(())));
    driven.pass(Duration::from_secs(14));
    let sender = begin(&mut driven, "POST", "Content-Length: 0\r\n");
    driven.expect(&mut client, chunk(TICK).repeat(2));
    assert!(!sender.is_gone());
}

/// The response to HEAD has no events, and a length is refused.
#[test]
fn a_stream_of_events_has_no_length() {
    let (senders, opened) = channel();
    let (site, _log) = Site::new(move |request, response| {
        let length = request.path() == "/length";
        let (sender, reply) = response.send_events_with(|head| match length {
            true => head.send_header("Content-Length", "5"),
            false => head.send_header("Access-Control-Allow-Origin", "*"),
        })?;
        senders.send(sender)?;
        Ok(reply)
    });
    let mut driven = evented(site, HttpSettings::default());
    let mut client = driven.connect();
    client.send(head("HEAD", "/", ""));
    let mut bytes = Vec::new();
    let ends = |bytes: &[u8]| bytes.ends_with(b"\r\n\r\n");
    driven.until(|_| take(&mut client, usize::MAX, &mut bytes) || ends(&bytes));
    assert!(text(&bytes).contains("Access-Control-Allow-Origin: *"));
    let sender = opened.try_recv().expect("it was handled");
    driven.until(|_| sender.is_gone());
    client.send(get("/length"));
    let rest = driven.rest(&mut client);
    assert!(rest.starts_with(b"HTTP/1.1 500 "), "{}", text(&rest));
}
