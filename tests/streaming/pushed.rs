//! Answers that the program pushes.

use super::*;

/// Hands out the stream of each response, which announces a `length` or none.
fn pushing(length: Option<usize>) -> (Site, Receiver<ResponseStream>, Receiver<String>) {
    let (sender, streams) = channel();
    let (site, lines) = Site::new(move |_, response| {
        let (deferred, reply) = response.defer();
        sender.send(deferred.stream(|response| {
            let head = response.send_response(200);
            match length {
                Some(length) => head.send_header("Content-Length", length.to_string()),
                None => head,
            }
        })?)?;
        Ok(reply)
    });
    (site, streams, lines)
}

/// `Write` waits until there is room: all arrives, in order, however slowly the client reads.
#[test]
fn pushed_blocks_arrive_in_order() {
    let content = pattern(LARGE);
    for home in HOMES {
        let (site, streams, lines) = pushing(None);
        let serving = start(home, site);
        let mut client = serving.connect();
        let mut answers = Answers::of(&client);
        for _ in 0..2 {
            client.send(GET);
            let mut stream = next(&streams);
            let pushed = content.clone();
            let producer = thread::spawn(move || {
                let mut rest = &pushed[..];
                let mut size = 1;
                while !rest.is_empty() {
                    let (block, after) = rest.split_at(size.min(rest.len()));
                    stream.write_all(block)?;
                    rest = after;
                    size = size * 3 % 100_003;
                }
                let trailers = vec![("Sum".to_owned(), b"7".to_vec())];
                stream
                    .finish_with_trailers(&trailers)
                    .map_err(io::Error::other)
            });
            let answer = answers.next();
            producer.join().expect("no panic").expect("all is sent");
            assert_same(
                &answer.content,
                &[&content[..], b"|Sum: 7"].concat(),
                "the answer",
            );
            assert!(!answer.closes(), "{home:?}");
            assert_eq!(next(&lines), format!("GET / HTTP/1.1 200 {LARGE}"));
        }
    }
}

/// A client that does not read fills what there is between it and the producer; that is bounded.
#[test]
fn a_push_without_room_is_refused() {
    let (site, streams, lines) = pushing(None);
    let mut driven = evented(site, HttpSettings::default());
    let mut client = driven.connect();
    client.send(GET);
    driven.settle();
    let stream = next(&streams);
    let (mut sent, mut stuck) = (0, 0);
    while stuck < 2 {
        match stream.send(vec![b'x'; 16 * 1024]) {
            Ok(()) => (sent, stuck) = (sent + 16 * 1024, 0),
            Err(SendError::Full(block)) => {
                assert_eq!(block.len(), 16 * 1024);
                stuck += 1;
                driven.settle();
            }
            Err(SendError::Gone(_)) => panic!("the client is there"),
        }
        assert!(sent < 8 * LARGE, "nothing holds it back");
    }
    // The client reads, and there is room again.
    let mut bytes = Vec::new();
    driven.until(|_| {
        take(&mut client, usize::MAX, &mut bytes);
        stream.send("y").is_ok()
    });
    assert!(!stream.is_gone());
    // The client leaves, and all is over, whatever was under way.
    client.reset();
    driven.until(|driven| driven.open_connections() == 0);
    assert!(stream.is_gone());
    assert!(matches!(stream.send("z"), Err(SendError::Gone(_))));
    assert!(stream.finish().is_err());
    assert!(next(&lines).ends_with(" broken"));
}

/// A block that waits for room fails when the client leaves, and when it is given up.
#[test]
fn a_write_ends_when_the_client_does() {
    for home in HOMES {
        let (site, streams, _lines) = pushing(None);
        let serving = start(home, site);
        let mut client = serving.connect();
        client.send(GET);
        let mut stream = next(&streams);
        let (sender, progress) = channel();
        let producer = thread::spawn(move || {
            let block = [b'x'; 64 * 1024];
            loop {
                if let Err(error) = stream.write_all(&block) {
                    return error.kind();
                }
                // Err: the test has seen enough.
                let _ = sender.send(());
            }
        });
        next(&progress);
        client.reset();
        // It must not wait for ever; `next` limits that.
        let (ended, end) = channel();
        thread::spawn(move || ended.send(producer.join().expect("no panic")));
        assert_eq!(next(&end), ErrorKind::BrokenPipe, "{home:?}");
    }
}

/// After the end of what was announced there is nobody to push to, although the connection goes
/// on; a producer that has heard of room and not asked for it learns that, too.
#[test]
fn a_pushed_answer_is_gone_after_its_end() {
    const LENGTH: usize = 256 * 1024;
    let (site, streams, _lines) = pushing(Some(LENGTH));
    let mut driven = evented(site, HttpSettings::default());
    let mut client = driven.connect();
    client.send(GET);
    driven.settle();
    let stream = next(&streams);
    let mut bytes = Vec::new();
    let mut left = LENGTH;
    while left > 0 {
        let block = vec![b'x'; left.min(48 * 1024)];
        match stream.send(block) {
            Ok(()) => left -= left.min(48 * 1024),
            Err(SendError::Full(_)) => {
                driven.settle();
                take(&mut client, usize::MAX, &mut bytes);
            }
            Err(SendError::Gone(_)) => panic!("{left} are left"),
        }
    }
    driven.until(|_| {
        take(&mut client, usize::MAX, &mut bytes);
        bytes.ends_with(&[b'x'; 48 * 1024]) && bytes.len() > LENGTH
    });
    driven.settle();
    assert!(stream.is_gone(), "the answer has ended");
    assert!(matches!(stream.send("more"), Err(SendError::Gone(_))));
    assert!(stream.finish().is_err());
    client.send(GET);
    driven.settle();
    next(&streams).finish().expect("the connection goes on");
}

/// How an answer ends whose producer gives up, or has too little: the client can tell.
#[test]
fn a_pushed_answer_that_is_not_whole() {
    for home in HOMES {
        for (request, length, how) in [
            (GET, None, "chunked"),
            (GET_1_0, None, "reset"),
            (GET, Some(10), "short"),
            (GET_1_0, Some(10), "short"),
        ] {
            for finish in [false, true] {
                let what = format!("{home:?} {how} {request:?}, finished: {finish}");
                let (site, streams, lines) = pushing(length);
                let serving = start(home, site);
                let mut client = serving.connect();
                client.send(request);
                let stream = next(&streams);
                let mut answers = Answers::of(&client);
                let head = answers.head().expect("the head");
                stream.send("one").expect("the client reads");
                match finish {
                    true => stream.finish().expect("the client reads"),
                    false => drop(stream),
                }
                let ended = answers.content(&head).map_err(|error| error.kind());
                let expected = match (how, finish) {
                    ("chunked" | "reset", true) => Ok(b"one".to_vec()),
                    ("reset", false) => Err(ErrorKind::ConnectionReset),
                    _ => Err(ErrorKind::UnexpectedEof),
                };
                assert_eq!(ended, expected, "{what}");
                if expected.is_err() {
                    let line = next(&lines);
                    assert!(line.ends_with(" 200 3 broken"), "{what}: {line}");
                    serving.report();
                }
            }
        }
    }
}

/// HEAD has the head, and the producer learns that nobody wants the content.
#[test]
fn head_is_not_pushed_to() {
    for home in HOMES {
        let (site, streams, _lines) = pushing(None);
        let serving = start(home, site);
        let mut client = serving.connect();
        client.send(head("HEAD", "/", ""));
        let mut answers = Answers::of(&client);
        assert!(answers.head().expect("a head").contains(CHUNKED));
        let mut stream = next(&streams);
        let began = std::time::Instant::now();
        while stream.write_all(b"x").is_ok() {
            assert!(began.elapsed() < PATIENCE, "{home:?}: it never ends");
        }
        assert!(stream.is_gone());
        client.send(GET);
        next(&streams).finish().expect("the connection goes on");
        assert_eq!(answers.next().short(), (200, String::new()));
    }
}

/// Any number of threads may push to one client.
#[test]
fn many_threads_push_to_one_client() {
    const THREADS: usize = 8;
    const BLOCKS: usize = 500;
    for home in HOMES {
        let (site, streams, _lines) = pushing(None);
        let serving = start(home, site);
        let mut client = serving.connect();
        client.send(GET);
        let stream = Arc::new(next(&streams));
        let pushers: Vec<_> = (0..THREADS)
            .map(|number| {
                let stream = Arc::clone(&stream);
                thread::spawn(move || {
                    for count in 0..BLOCKS {
                        let mut block = format!("{number} {count}\n").into_bytes();
                        loop {
                            match stream.send(block) {
                                Ok(()) => break,
                                Err(SendError::Full(full)) => block = full,
                                Err(SendError::Gone(_)) => panic!("the client is there"),
                            }
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let finisher = thread::spawn(move || {
            for pusher in pushers {
                pusher.join().expect("no panic");
            }
            let stream = Arc::into_inner(stream).expect("the only one left");
            stream.finish().expect("the client reads");
        });
        let answer = Answers::of(&client).next();
        finisher.join().expect("no panic");
        let mut counts = [0; THREADS];
        for line in String::from_utf8(answer.content).expect("text").lines() {
            let (number, count) = line.split_once(' ').expect("two numbers");
            let number: usize = number.parse().expect("a number");
            assert_eq!(
                count,
                counts[number].to_string(),
                "{home:?}: {number} in order"
            );
            counts[number] += 1;
        }
        assert_eq!(counts, [BLOCKS; THREADS], "{home:?}");
    }
}

/// A worker that pushes the answer while it reads the content.
#[test]
fn content_is_echoed_while_it_arrives() {
    const LENGTH: usize = 10 * 1024 * 1024;
    let content = pattern(LENGTH);
    for home in HOMES {
        let workers = Pool::new().threads(1);
        let (site, lines) = Site::new(move |request, response| {
            let pushed = request.path() == "/pushed";
            response.offload(&workers, move |mut response| {
                let mut reader = response.body_reader();
                if !pushed {
                    return response.send_response(200).stream(FromRead::new(reader));
                }
                let (deferred, reply) = response.defer();
                let mut stream = deferred.stream(|response| response.send_response(200))?;
                io::copy(&mut reader, &mut stream)?;
                stream.finish()?;
                Ok(reply)
            })
        });
        let serving = start(home, site);
        for path in ["/pushed", "/pulled"] {
            let mut client = serving.connect();
            let mut sender = Client(client.0.try_clone().expect("a descriptor"));
            let sent = content.clone();
            client.send(head("PUT", path, CHUNKED));
            let upload = thread::spawn(move || send_chunked(&mut sender.0, &sent));
            let answer = Answers::of(&client).next();
            upload.join().expect("no panic").expect("the server reads");
            assert_same(&answer.content, &content, &format!("{home:?} {path}"));
            assert_eq!(next(&lines), format!("PUT {path} HTTP/1.1 200 {LENGTH}"));
            client.shutdown_write();
        }
    }
}

/// RFC 9110 §7.8: the content comes before the other protocol, which must not get it for its own.
#[test]
fn no_upgrade_in_the_middle_of_the_content() {
    struct Other;
    impl Protocol for Other {
        type Message = Message;

        fn receive(
            &mut self,
            input: &mut Buffer,
            output: &mut Buffer,
            _now: &Now,
        ) -> Next<Message> {
            output.extend_from_slice(input);
            input.clear();
            Next::Read
        }
    }
    fn upgrade(response: Response<'_>) -> HttpResult {
        response
            .send_response(101)
            .send_header("Upgrade", "other")
            .upgrade(Other)
    }
    for home in HOMES {
        let workers = Pool::new().threads(1);
        let (site, _lines) = Site::new(move |request, response| match request.path() {
            "/taken" => response.receive_into(Vec::new(), |_, response| upgrade(response)),
            "/read" => response.offload(&workers, |mut response| {
                response.body_reader().read_to_end(&mut Vec::new())?;
                upgrade(response)
            }),
            "/unread" => response.offload(&workers, upgrade),
            _ => upgrade(response),
        });
        let serving = start(home, site);
        let fields = "Connection: upgrade\r\nUpgrade: other\r\n";
        for (path, code) in [
            ("/now", 500),
            ("/unread", 500),
            ("/taken", 101),
            ("/read", 101),
        ] {
            let mut client = serving.connect();
            client.send(head("PUT", path, &format!("{fields}{CHUNKED}")));
            if code == 101 {
                client.send("3\r\nabc\r\n0\r\n\r\n");
            }
            let head = Answers::of(&client).head().expect("an answer");
            assert_eq!(
                head.get(9..12),
                Some(code.to_string().as_str()),
                "{home:?} {path}"
            );
            if code == 101 {
                client.send("hello");
                client.expect("hello");
            }
        }
    }
}
