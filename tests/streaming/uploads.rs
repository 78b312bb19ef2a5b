//! Content on its way in.

use super::*;

/// Uploads `content` with its length and then in chunks with a trailer, over one connection. Gives
/// each response to `check`, with the sum that the trailer announced.
fn put_twice(serving: &Serving, content: &[u8], mut check: impl FnMut(Answered, &str)) {
    let mut client = serving.connect();
    let mut answers = Answers::of(&client);
    for (fields, sum) in [
        (format!("Content-Length: {LARGE}\r\n"), "none"),
        (CHUNKED.into(), "7"),
    ] {
        client.send(head("PUT", "/a", &fields));
        match sum {
            "none" => client.send(content),
            _ => send_chunked(&mut client.0, content).expect("the server reads"),
        }
        check(answers.next(), sum);
    }
}

/// An upload larger than any buffer, sized and chunked, into a sink.
#[test]
fn a_sink_takes_an_upload_of_any_size() {
    let content = pattern(LARGE);
    for home in HOMES {
        let (dropped, drops) = channel();
        let (sender, contents) = channel();
        let (site, lines) = Site::new(move |_, response| {
            let (sink, content) = Collect::new(&dropped);
            sender.send(content)?;
            response.receive(sink)
        });
        put_twice(&start(home, site), &content, |answer, sum| {
            assert_eq!(answer.short(), (200, format!("{LARGE} {sum}")), "{home:?}");
            assert!(!answer.closes(), "{home:?}: the connection goes on");
            let taken = next(&contents);
            assert_same(&taken.lock().expect("no panic"), &content, "the content");
            assert_eq!(next(&drops), "finished");
            assert_eq!(
                next(&lines),
                format!("PUT /a HTTP/1.1 200 {}", answer.content.len())
            );
        });
    }
}

/// The same into a file, which is given back.
#[test]
fn a_writer_takes_an_upload_of_any_size() {
    let content = pattern(LARGE);
    for home in HOMES {
        let (sender, written) = channel();
        let (site, _lines) = Site::new(move |_, response| {
            let sender = sender.clone();
            response.receive_into(Vec::new(), move |bytes, response| {
                let length = bytes.len();
                sender.send(bytes)?;
                response.send_response(201).body(length.to_string())
            })
        });
        let serving = start(home, site);
        let mut client = serving.connect();
        client.send(sized("/a", LARGE));
        client.send(&content);
        assert_eq!(
            Answers::of(&client).next().short(),
            (201, LARGE.to_string())
        );
        assert_same(&next(&written), &content, "the file");
    }
}

/// Writes what the client is still to send until nobody takes any more; how much was written.
fn push_until_stuck(driven: &mut Driven<Http<Site>>, client: &mut Client, bytes: &[u8]) -> usize {
    client.0.set_nonblocking(true).expect("an option");
    let mut sent = 0;
    loop {
        let before = sent;
        while let Ok(count @ 1..) = client.0.write(&bytes[sent..]) {
            sent += count;
        }
        driven.settle();
        if sent == before {
            client.0.set_nonblocking(false).expect("an option");
            return sent;
        }
    }
}

/// Issue 4, 2: reading stops while the handler is behind, so memory does not grow with the upload;
/// when the handler goes on, so does the client, to the end.
#[test]
fn a_reader_that_is_behind_holds_the_client_back() {
    let content = pattern(2 * LARGE);
    let (site, requests) = hand_out();
    let mut driven = evented(site, HttpSettings::default());
    let mut client = driven.connect();
    client.send(sized("/a", content.len()));
    let sent = push_until_stuck(&mut driven, &mut client, &content);
    assert!(sent < content.len(), "the system has buffers for all of it");
    let (mut reader, deferred) = next(&requests);
    let job = thread::spawn(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map(|_| bytes)
    });
    let mut rest = client.0.try_clone().expect("a descriptor");
    let left = content[sent..].to_vec();
    let sender = thread::spawn(move || rest.write_all(&left));
    driven.until(|_| job.is_finished());
    sender.join().expect("no panic").expect("the server reads");
    let bytes = job.join().expect("no panic").expect("it is whole");
    assert_same(&bytes, &content, "what was read");
    deferred
        .respond(|response| response.send_response(204).body(""))
        .expect("the client waits");
    driven.expect(&mut client, "HTTP/1.1 204 No Content\r\n");
}

/// How much is under way to a reader that does not read: what it still gets after the client was
/// cut off is all that the server had taken.
#[test]
fn what_a_reader_is_behind_is_bounded() {
    let content = pattern(LARGE);
    for chunked in [false, true] {
        let (site, requests) = hand_out();
        let mut driven = evented(site, HttpSettings::default());
        let mut client = driven.connect();
        let bytes = match chunked {
            false => [sized("/a", content.len()).as_bytes(), &content].concat(),
            true => {
                let mut bytes = head("PUT", "/a", CHUNKED).into_bytes();
                send_chunked(&mut bytes, &content).expect("memory");
                bytes
            }
        };
        let sent = push_until_stuck(&mut driven, &mut client, &bytes);
        client.reset();
        driven.until(|driven| driven.open_connections() == 0);
        let (mut reader, _deferred) = next(&requests);
        let mut held = Vec::new();
        let error = reader.read_to_end(&mut held).expect_err("it has no end");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        let bounds = UNDER_WAY / 2..=UNDER_WAY;
        assert!(
            bounds.contains(&held.len()),
            "{} of {sent} were held",
            held.len()
        );
        assert_same(&held, &content[..held.len()], "what was held");
    }
}

/// A reader on a worker, behind a client that sends faster than it reads; then it answers with
/// what it got, and the connection goes on.
#[test]
fn a_worker_reads_an_upload_of_any_size() {
    let content = pattern(LARGE);
    for home in HOMES {
        let workers = Pool::new().threads(2);
        let (site, lines) = Site::new(move |_, response| {
            response.offload(&workers, |mut response| {
                let mut reader = response.body_reader();
                let mut bytes = Vec::new();
                let mut block = [0; 1000];
                loop {
                    match reader.read(&mut block)? {
                        0 => break,
                        count => bytes.extend_from_slice(&block[..count]),
                    }
                }
                let sum = reader.trailers().get("sum").unwrap_or(b"none").to_vec();
                let head = response.send_response(200).send_header("Sum", sum);
                head.body(bytes)
            })
        });
        put_twice(&start(home, site), &content, |answer, sum| {
            assert!(
                answer.head.contains(&format!("\r\nSum: {sum}\r\n")),
                "{}",
                answer.head
            );
            assert_same(&answer.content, &content, "what came back");
            assert!(!answer.closes(), "{home:?}: all of the content was read");
            assert_eq!(next(&lines), format!("PUT /a HTTP/1.1 200 {LARGE}"));
        });
    }
}

/// Whoever takes the reader: what was read to its end does not end the connection.
#[test]
fn a_reader_may_be_taken_along_to_a_worker() {
    for home in HOMES {
        let workers = Pool::new().threads(2);
        let (begun, has_begun) = channel();
        let (site, _lines) = Site::new(move |request, mut response| {
            begun.send(())?;
            let mut reader = response.body_reader();
            let mut length = move || io::copy(&mut reader, &mut io::sink());
            match request.path() {
                "/along" => response.offload(&workers, move |response| {
                    response.send_response(200).body(length()?.to_string())
                }),
                _ => {
                    let others = workers.clone();
                    response.offload(&workers, move |response| {
                        response.offload(&others, move |response| {
                            response.send_response(200).body(length()?.to_string())
                        })
                    })
                }
            }
        });
        let serving = start(home, site);
        let mut client = serving.connect();
        let mut answers = Answers::of(&client);
        for path in ["/along", "/further"] {
            client.send(sized(path, 5));
            next(&has_begun);
            client.send("hello");
            let answer = answers.next();
            assert_eq!(answer.short(), (200, "5".into()), "{home:?} {path}");
            assert!(!answer.closes(), "{home:?} {path}: {}", answer.head);
        }
    }
}

/// A handler on one pool may be wrapped for another.
#[test]
fn a_pool_behind_a_pool_reads_an_upload() {
    for home in HOMES {
        let (begun, has_begun) = channel();
        let (site, _lines) = Site::new(move |_, mut response| {
            begun.send(())?;
            let length = io::copy(&mut response.body_reader(), &mut io::sink())?;
            response.send_response(200).body(length.to_string())
        });
        let serving = start(
            home,
            Pooled::new(Pooled::new(site, Pool::new()), Pool::new()),
        );
        let mut client = serving.connect();
        client.send(sized("/", 5));
        next(&has_begun);
        client.send("hello");
        let answer = Answers::of(&client).next();
        assert_eq!(answer.short(), (200, "5".into()), "{home:?}");
        assert!(!answer.closes(), "{home:?}: {}", answer.head);
    }
}

/// Design law 11: on the thread that the content arrives on, a read would wait for itself, and all
/// clients with it.
#[test]
fn a_read_in_a_handler_does_not_wait() {
    let (site, _lines) = Site::new(move |_, mut response| {
        let mut reader = response.body_reader();
        let read = reader.read(&mut [0; 9]).map_err(|error| error.kind());
        response.send_response(200).body(format!("{read:?}"))
    });
    let serving = start(Home::Loop, site);
    let mut client = serving.connect();
    client.send(sized("/", 5));
    let answer = Answers::of(&client).next();
    assert_eq!(answer.short(), (200, "Err(WouldBlock)".into()));
    assert!(answer.closes(), "nobody has read the content");
}

/// As [`a_read_in_a_handler_does_not_wait`], for a client that would have to read first.
#[test]
fn a_write_in_a_handler_does_not_wait() {
    let (sender, ends) = channel();
    let (site, _lines) = Site::new(move |_, response| {
        let (deferred, reply) = response.defer();
        let mut stream = deferred.stream(|response| response.send_response(200))?;
        sender.send(io::copy(&mut io::repeat(7), &mut stream).map_err(|error| error.kind()))?;
        stream.finish()?;
        Ok(reply)
    });
    let serving = start(Home::Loop, site);
    let mut client = serving.connect();
    client.send(head("GET", "/", ""));
    assert_eq!(next(&ends), Err(ErrorKind::WouldBlock));
    let answer = Answers::of(&client).next();
    assert!(answer.content.len() >= 64 * 1024);
}

/// Nothing waits for room behind the end of the announced body, least of all the loop's thread.
#[test]
fn a_write_behind_the_end_of_the_body_does_not_wait() {
    let (sender, ends) = channel();
    let (site, _lines) = Site::new(move |_, response| {
        let (deferred, reply) = response.defer();
        let mut stream = deferred.stream(|response| {
            let head = response.send_response(200);
            head.send_header("Content-Length", "65536")
        })?;
        sender.send(io::copy(&mut io::repeat(7), &mut stream).map_err(|error| error.kind()))?;
        Ok(reply)
    });
    let serving = start(Home::Loop, site);
    let mut client = serving.connect();
    client.send(head("GET", "/", ""));
    assert_eq!(next(&ends), Err(ErrorKind::BrokenPipe));
    assert_eq!(Answers::of(&client).next().content, [7; 64 * 1024]);
}

/// A server that has stopped may go on on another thread, and the one that it was on may wait for
/// it then.
#[test]
fn a_read_waits_for_a_loop_that_has_moved() {
    let (sender, readers) = channel();
    let stop = Arc::new(OnceLock::<ShutdownHandle>::new());
    let stops = Arc::clone(&stop);
    let (site, _lines) = Site::new(move |request, mut response| {
        if request.method() == "GET" {
            return response.send_response(200).body("it turns");
        }
        stops.get().expect("it was set").request();
        let reader = response.body_reader();
        let (deferred, reply) = response.defer();
        sender.send((reader, deferred))?;
        Ok(reply)
    });
    let mut server = HttpServer::bind("127.0.0.1:0", site).expect("a free port");
    let handle = server.shutdown_handle();
    stop.set(handle.clone()).expect("it is set once");
    let mut client = Client::connect(server.server_address());
    client.send(head(
        "PUT",
        "/",
        "Content-Length: 5\r\nExpect: 100-continue\r\n",
    ));
    server.serve_forever().expect("the handler stops it");
    let (mut reader, deferred) = next(&readers);
    let address = server.server_address();
    let running = thread::spawn(move || server.serve_forever());
    let mut other = Client::connect(address);
    other.send(head("GET", "/", ""));
    let turns = Answers::of(&other).next();
    assert_eq!(turns.short(), (200, "it turns".into()));
    let uploading = thread::spawn(move || {
        let mut answers = Answers::of(&client);
        let interim = answers.head();
        client.send("hello");
        (interim, answers.next())
    });
    let mut content = String::new();
    reader.read_to_string(&mut content).expect("it waits");
    deferred
        .respond(|response| response.send_response(200).body(content))
        .expect("the client is there");
    let (interim, answer) = uploading.join().expect("no panic");
    assert_eq!(
        interim.expect("it was asked for"),
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    assert_eq!(answer.short(), (200, "hello".into()));
    handle.shutdown().expect("it runs");
    running.join().expect("no panic").expect("it stopped");
}

/// Content that nobody reads to its end closes the connection, after the answer was read.
#[test]
fn a_reader_may_stop_early() {
    for home in HOMES {
        let workers = Pool::new().threads(1);
        let (site, lines) = Site::new(move |_, response| {
            response.offload(&workers, |mut response| {
                let mut first = [0; 10];
                response.body_reader().read_exact(&mut first)?;
                response.send_response(200).body(first)
            })
        });
        let serving = start(home, site);
        let mut client = serving.connect();
        let content = pattern(1024 * 1024);
        client.send(sized("/a", LARGE));
        client.send(&content);
        let mut answers = Answers::of(&client);
        let answer = answers.next();
        assert_same(&answer.content, &content[..10], "the answer");
        assert!(answer.closes(), "{home:?}");
        client.shutdown_write();
        answers.expect_end();
        assert_eq!(next(&lines), "PUT /a HTTP/1.1 200 10");
    }
}

/// A client that leaves in the middle: the reader learns it, the sink is dropped, the log says so.
#[test]
fn a_client_leaves_in_the_middle_of_its_upload() {
    for home in HOMES {
        for reset in [false, true] {
            let what = format!("{home:?}, reset: {reset}");
            let (dropped, drops) = channel();
            let (sender, arrived) = channel();
            let (site, lines) = Site::new(move |request, mut response| {
                if request.path() == "/sink" {
                    sender.send("")?;
                    return response.receive(Collect::new(&dropped).0);
                }
                let mut reader = response.body_reader();
                let (deferred, reply) = response.defer();
                let sender = sender.clone();
                thread::spawn(move || {
                    let mut first = [0; 3];
                    reader.read_exact(&mut first).expect("three bytes");
                    sender.send("").expect("the test waits");
                    let error = reader.read_to_end(&mut Vec::new()).expect_err("no end");
                    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
                    sender.send("eof").expect("the test waits");
                    // Err: the client is gone, and so is the connection, or soon.
                    let _ = deferred.respond(|response| response.send_response(200).body(""));
                });
                Ok(reply)
            });
            let serving = start(home, site);
            for path in ["/sink", "/reader"] {
                let mut client = serving.connect();
                client.send(sized(path, 100));
                client.send("abc");
                assert_eq!(next(&arrived), "", "{what}");
                match reset {
                    true => client.reset(),
                    false => drop(client),
                }
                if path == "/sink" {
                    assert_eq!(next(&drops), "unfinished", "{what}");
                } else {
                    assert_eq!(next(&arrived), "eof", "{what}");
                }
                assert_eq!(
                    next(&lines),
                    format!("PUT {path} HTTP/1.1 0 0 broken"),
                    "{what}"
                );
            }
        }
    }
}

/// RFC 9110 §10.1.1: the client is asked for content when somebody first wants it, and only then.
#[test]
fn content_is_asked_for_when_it_is_wanted() {
    const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
    for home in HOMES {
        let (go, gate) = channel::<()>();
        let gate = Mutex::new(gate);
        let (dropped, _drops) = channel();
        let workers = Pool::new().threads(1);
        let gate = Arc::new(gate);
        let (site, _lines) = Site::new(move |request, response| match request.path() {
            "/sink" => response.receive(Collect::new(&dropped).0),
            "/reader" => {
                let gate = Arc::clone(&gate);
                response.offload(&workers, move |mut response| {
                    next(&gate.lock().expect("no panic"));
                    let mut bytes = Vec::new();
                    response.body_reader().read_to_end(&mut bytes)?;
                    response.send_response(200).body(bytes)
                })
            }
            "/deferred" => {
                let (deferred, reply) = response.defer();
                deferred.respond(|response| response.send_response(403).body(""))?;
                Ok(reply)
            }
            _ => response.send_response(200).body("unread"),
        });
        let site = site.body_policy(|request| match request.path() {
            "/413" => BodyPolicy::refused(413),
            "/417" => BodyPolicy::refused(417),
            "/limit" => BodyPolicy::streamed().limit(4),
            "/whole" => BodyPolicy::whole(),
            _ => BodyPolicy::streamed(),
        });
        let serving = start(home, site);
        let expects = |path: &str, value: &str| {
            let fields = format!("Content-Length: 5\r\nExpect: {value}\r\n");
            head("PUT", path, &fields)
        };
        for (path, content) in [
            ("/sink", "5 none"),
            ("/reader", "hello"),
            ("/whole", "unread"),
        ] {
            let mut client = serving.connect();
            client.send(expects(path, "100-continue"));
            if path == "/reader" {
                // Whatever came before this would be read below in its place.
                go.send(()).expect("the worker waits");
            }
            client.expect(CONTINUE);
            client.send("hello");
            let answer = Answers::of(&client).next();
            assert_eq!(answer.short(), (200, content.into()), "{home:?} {path}");
        }
        let refused = [
            ("/413", "100-continue", 413),
            ("/417", "100-continue", 417),
            ("/limit", "100-continue", 413),
            ("/sink", "a-miracle", 417),
            ("/unread", "100-continue", 200),
            ("/deferred", "100-continue", 403),
        ];
        for (path, value, code) in refused {
            let mut client = serving.connect();
            client.send(expects(path, value));
            let mut answers = Answers::of(&client);
            let answer = answers.next();
            assert_eq!(
                (answer.code, answer.closes()),
                (code, true),
                "{home:?} {path}"
            );
            client.shutdown_write();
            answers.expect_end();
        }
    }
}

/// An answer that has begun cannot be interrupted: `100 Continue` would be taken for content.
#[test]
fn content_is_not_asked_for_in_the_middle_of_the_answer() {
    for home in HOMES {
        let (site, requests) = begin_with("one,");
        let serving = start(home, site);
        let mut client = serving.connect();
        let fields = "Content-Length: 5\r\nExpect: 100-continue\r\n";
        client.send(head("PUT", "/", fields));
        let (mut reader, mut stream) = next(&requests);
        let mut answers = Answers::of(&client);
        let begun = answers.head().expect("it has begun");
        client.send("hello"); // it knows that nobody will ask any more
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).expect("the content");
        stream.write_all(&bytes).expect("the client reads");
        stream.finish().expect("the client reads");
        let content = answers.content(&begun).expect("chunks and nothing else");
        assert_eq!(text(&content), "one,hello", "{home:?}");
    }
}
