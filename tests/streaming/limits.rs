//! Limits and deadlines, and the end of a server.

use super::*;

/// Sends to a server that takes what `body_policy` says, lets time pass, and reads the answer.
fn late(intake: BodyPolicy, settings: HttpSettings, steps: &[(&str, u64)]) -> (u16, HttpStats) {
    let (site, requests) = hand_out();
    let site = site.body_policy(move |_| intake.clone());
    let counted = settings.clone();
    let mut driven = evented(site, settings);
    let mut client = driven.connect();
    for (bytes, seconds) in steps {
        client.send(bytes);
        driven.settle();
        for _ in 0..*seconds {
            driven.pass(Duration::from_secs(1));
        }
    }
    let mut bytes = Vec::new();
    take(&mut client, usize::MAX, &mut bytes);
    let status = bytes
        .get(9..12)
        .map(|code| String::from_utf8_lossy(code).into_owned());
    let code = status.and_then(|code| code.parse().ok()).unwrap_or(0);
    drop(requests); // and the readers among them, so that nothing is kept any more
    (code, counted.stats())
}

/// RT-10: a client that leaves a stream on which nothing happens is noticed, in the ways that there
/// are: a reset, and the end of its input if that is said to mean so.
#[test]
fn a_client_that_leaves_a_quiet_stream_is_noticed() {
    for (half_close, leave) in [(true, Client::reset as fn(Client)), (false, drop)] {
        let (site, requests) = hand_out();
        let mut settings = EventedSettings::default();
        settings.half_close = half_close;
        let http = Http::new(site, HttpSettings::default());
        let mut driven = Driven::new(settings, http);
        let mut client = driven.connect();
        client.send(GET);
        driven.settle();
        let (_reader, deferred) = requests.try_recv().expect("it was handled");
        let stream = deferred.stream(|response| response.send_response(200));
        let stream = stream.expect("the client is there");
        driven.settle();
        let mut bytes = Vec::new();
        driven.until(|_| {
            take(&mut client, usize::MAX, &mut bytes);
            bytes.ends_with(b"\r\n\r\n")
        });
        assert!(!stream.is_gone());
        leave(client);
        driven.until(|_| stream.is_gone());
        assert_eq!(driven.open_connections(), 0);
    }
}

/// Laws 7 and 8: each limit and deadline answers as it should, and counts.
#[test]
fn every_limit_and_deadline_is_counted() {
    let default = HttpSettings::default;
    let put = sized("/a", 100_000);
    let chunked = head("PUT", "/a", CHUNKED);
    let streamed = BodyPolicy::streamed;
    let mut quick = BodyPolicy::streamed();
    let mut deadlines = HttpSettings::default().deadlines.body;
    deadlines.idle = Duration::from_secs(2);
    quick = quick.deadlines(deadlines);
    let mut fast = HttpSettings::default().deadlines.body;
    fast.rate = 100;
    fast.grace = Duration::from_secs(5);
    let fast = BodyPolicy::streamed().deadlines(fast);
    let second = [("x", 1)];
    let trickle: Vec<(&str, u64)> = [(put.as_str(), 0)]
        .into_iter()
        .chain(second.into_iter().cycle().take(6))
        .collect();
    let patient = &trickle[..4];
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(9000));
    let big = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n",
        "x".repeat(40_000)
    );
    let expect = head("PUT", "/a", "Content-Length: 5\r\nExpect: tea\r\n");
    let overhead = format!("{chunked}1;{}\r\n", "x".repeat(9000));
    let trailers = format!("{chunked}0\r\nA: {}\r\n\r\n", "x".repeat(40_000));
    type Field = fn(&mut HttpStats) -> &mut u64;
    type Case<'a> = (&'a str, BodyPolicy, Vec<(&'a str, u64)>, u16, Option<Field>);
    let cases: Vec<Case<'_>> = vec![
        (
            "limit",
            streamed().limit(99_999),
            vec![(&put, 0)],
            413,
            Some(|s| &mut s.body_too_large),
        ),
        (
            "limit, chunked",
            streamed().limit(2),
            vec![(&chunked, 0), ("3\r\nabc\r\n", 0)],
            413,
            Some(|s| &mut s.body_too_large),
        ),
        (
            "refused",
            BodyPolicy::refused(413),
            vec![(&put, 0)],
            413,
            Some(|s| &mut s.body_too_large),
        ),
        (
            "refused otherwise",
            BodyPolicy::refused(417),
            vec![(&put, 0)],
            417,
            Some(|s| &mut s.expectation_failed),
        ),
        (
            "expectation",
            streamed(),
            vec![(&expect, 0)],
            417,
            Some(|s| &mut s.expectation_failed),
        ),
        (
            "idle",
            streamed(),
            vec![(&put, 11)],
            408,
            Some(|s| &mut s.body_timeouts),
        ),
        ("not yet idle", streamed(), vec![(&put, 9)], 0, None),
        (
            "idle, of its own",
            quick.clone(),
            vec![(&put, 3)],
            408,
            Some(|s| &mut s.body_timeouts),
        ),
        (
            "rate",
            fast.clone(),
            trickle.clone(),
            408,
            Some(|s| &mut s.body_timeouts),
        ),
        ("rate, in its grace", fast, patient.to_vec(), 0, None),
        ("rate, of others", streamed(), trickle.clone(), 0, None),
        (
            "request line",
            streamed(),
            vec![(&long, 0)],
            414,
            Some(|s| &mut s.request_line_too_long),
        ),
        (
            "head",
            streamed(),
            vec![(&big, 0)],
            431,
            Some(|s| &mut s.head_too_large),
        ),
        (
            "head timeout",
            streamed(),
            vec![("GET /", 11)],
            408,
            Some(|s| &mut s.head_timeouts),
        ),
        (
            "bad",
            streamed(),
            vec![("GET /\r\n\r\n", 0)],
            400,
            Some(|s| &mut s.bad_requests),
        ),
        (
            "bad chunk",
            streamed(),
            vec![(&chunked, 0), ("x\r\n", 0)],
            400,
            Some(|s| &mut s.bad_requests),
        ),
        (
            "chunk line",
            streamed(),
            vec![(&overhead, 0)],
            400,
            Some(|s| &mut s.chunk_overhead),
        ),
        (
            "trailers",
            streamed(),
            vec![(&trailers, 0)],
            431,
            Some(|s| &mut s.trailers_too_large),
        ),
        (
            "idle connection",
            streamed(),
            vec![("", 16)],
            0,
            Some(|s| &mut s.keep_alive_timeouts),
        ),
        (
            "answer",
            streamed(),
            vec![(GET, 61)],
            503,
            Some(|s| &mut s.response_timeouts),
        ),
    ];
    for (what, intake, steps, code, field) in cases {
        let mut expected = HttpStats::default();
        if let Some(field) = field {
            *field(&mut expected) = 1;
        }
        assert_eq!(late(intake, default(), &steps), (code, expected), "{what}");
    }
}

/// Design law 7: the connections of a server share the budget for bodies, and so do a body that arrives
/// and one that waits for its handler.
#[test]
fn the_clients_of_a_server_share_a_budget_for_bodies() {
    for home in HOMES {
        let (go, gate) = channel();
        let gate = Mutex::new(gate);
        let (site, _lines) = Site::new(move |request, response| {
            if request.path() == "/waits" {
                next(&gate.lock().expect("no panic"));
            }
            response.send_response(200).body(request.body())
        });
        let site = site.body_policy(|_| BodyPolicy::whole());
        let mut settings = HttpSettings::default();
        settings.limits.bodies = 10;
        let serving = start_with(home, settings.clone(), site);
        let kept = |bytes| wait_until("kept", || settings.stats().body_bytes == bytes);
        let mut first = serving.connect();
        let waits = matches!(home, Home::Threads);
        let path = if waits { "/waits" } else { "/a" };
        first.send(sized(path, 8));
        first.send("123456");
        kept(6);
        let refused = |length| {
            let mut client = serving.connect();
            client.send(sized("/b", length));
            let mut answers = Answers::of(&client);
            let head = answers.head().expect("a head");
            assert!(head.starts_with("HTTP/1.1 503 "), "{home:?}: {head}");
            assert!(head.contains("\r\nRetry-After: 1\r\n"), "{home:?}: {head}");
        };
        refused(5);
        first.send("78");
        if waits {
            kept(8);
            refused(3);
            go.send(()).expect("it waits");
        }
        let answer = Answers::of(&first).next();
        assert_eq!(answer.short(), (200, "12345678".into()), "{home:?}");
        kept(0);
    }
}

/// RFC 9110 §9.3.2: no content in an answer to HEAD, not even that of an error page.
#[test]
fn a_head_that_is_refused_gets_no_error_page() {
    for home in HOMES {
        let (site, _lines) = Site::new(|_, response| {
            let (deferred, reply) = response.respond_within(Duration::ZERO).defer();
            std::mem::forget(deferred); // nobody will answer
            Ok(reply)
        });
        let site = site.body_policy(|request| match request.path() {
            "/intake" => BodyPolicy::refused(413),
            "/panic" => panic!("scripted"),
            _ => BodyPolicy::whole().limit(9),
        });
        let serving = start(home, site);
        let cases = [
            ("/intake", "Content-Length: 5\r\n", 413),
            ("/limit", "Content-Length: 10\r\n", 413),
            ("/tea", "Content-Length: 5\r\nExpect: tea\r\n", 417),
            ("/panic", "Content-Length: 5\r\n", 500),
            ("/chunked", CHUNKED, 400),
            ("/late", "", 503),
        ];
        for (path, fields, code) in cases {
            let mut client = serving.connect();
            client.send(head("HEAD", path, fields));
            if code == 400 {
                client.send("no chunk\r\n");
            }
            let mut answers = Answers::of(&client);
            let head = answers.head().expect("a head");
            assert!(
                head.starts_with(&format!("HTTP/1.1 {code} ")),
                "{home:?} {path}: {head}"
            );
            client.shutdown_write();
            answers.expect_end();
        }
    }
}

/// Messages for a server that is closed are dropped with it: nobody waits for an answer to them.
#[test]
fn a_server_that_is_closed_lets_go_of_who_pushes() {
    let (site, _) = Site::new(|_, response| response.send_response(200).body(""));
    let (sender, requests) = channel();
    let site = Site {
        handle: Arc::new(move |_, response| {
            let (deferred, reply) = response.defer();
            sender.send(deferred)?;
            Ok(reply)
        }),
        ..site
    };
    let mut driven = evented(site, HttpSettings::default());
    let mut client = driven.connect();
    client.send(GET);
    driven.settle();
    let mut stream = next(&requests)
        .stream(|response| response.send_response(200))
        .expect("it is connected");
    // All of this is on its way when the server closes.
    while stream.send(vec![b'x'; 16 * 1024]).is_ok() {}
    driven.engine.server_close();
    let (ended, end) = channel();
    thread::spawn(move || ended.send(stream.write(b"more").map_err(|error| error.kind())));
    assert_eq!(next(&end), Err(ErrorKind::BrokenPipe));
}

/// A guest that its host drops ends its conversations as a server that is closed does.
#[test]
fn an_engine_that_is_dropped_tells_its_conversations() {
    for close_first in [false, true] {
        let (sender, requests) = channel();
        let (site, lines) = Site::new(move |_, response| {
            let (deferred, reply) = response.defer();
            sender.send(deferred)?;
            Ok(reply)
        });
        let mut driven = evented(site, HttpSettings::default());
        let mut client = driven.connect();
        client.send(get("/"));
        driven.settle();
        let deferred = next(&requests);
        if close_first {
            driven.engine.server_close();
        }
        drop(driven);
        let lines: Vec<String> = lines.try_iter().collect();
        assert_eq!(lines, ["GET / HTTP/1.1 0 0 broken"], "{close_first}");
        let sent = deferred.respond(|response| response.send_response(200).body(""));
        assert!(matches!(sent, Err(SendError::Gone(_))), "{close_first}");
    }
}
