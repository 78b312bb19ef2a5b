//! Handlers and bodies on a pool.

use super::*;

/// A source that hands out the blocks of a channel, and waits for them.
struct Blocks(Receiver<&'static str>);

impl BodySource for Blocks {
    fn next_block(&mut self) -> Result<Option<Block>, Failure> {
        Ok(self.0.recv().ok().map(Into::into))
    }
}

/// A block that a worker has pulled is sent, whatever the next one waits for.
#[test]
fn a_block_is_not_held_back_for_the_next() {
    for home in HOMES {
        let workers = Pool::new().threads(1);
        let (sender, blocks) = channel();
        let blocks = Mutex::new(Some(blocks));
        let (site, lines) = Site::new(move |_, response| {
            let blocks = blocks
                .lock()
                .expect("no panic")
                .take()
                .expect("one request");
            response.offload(&workers, |response| {
                response.send_response(200).stream(Blocks(blocks))
            })
        });
        let serving = start(home, site);
        let mut client = serving.connect();
        client.send(GET);
        let mut answers = Answers::of(&client);
        for (number, block) in ["one", "two", "three"].into_iter().enumerate() {
            sender.send(block).expect("the source waits");
            if number == 0 {
                answers
                    .head()
                    .expect("the head leaves with the first block");
            }
            let chunk = format!("{:x}\r\n{block}\r\n", block.len());
            let mut bytes = vec![0; chunk.len()];
            answers.0.read_exact(&mut bytes).expect("it is sent");
            assert_eq!(text(&bytes), text(chunk.as_bytes()), "{home:?}");
        }
        drop(sender);
        assert_eq!(answers.line().expect("the end"), "0\r\n");
        assert_eq!(next(&lines), "GET / HTTP/1.1 200 11");
    }
}

/// One block, and takes its leave when the test lets it.
struct Lingering {
    block: Option<&'static str>,
    gate: Receiver<()>,
}

impl BodySource for Lingering {
    fn next_block(&mut self) -> Result<Option<Block>, Failure> {
        Ok(self.block.take().map(Into::into))
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        next(&self.gate);
    }
}

/// What a source does at its end, on a worker, is not the client's business.
#[test]
fn an_answer_does_not_wait_until_its_source_is_dropped() {
    let cases = HOMES.map(|home| [(home, None), (home, Some("5"))]);
    for (home, length) in cases.into_iter().flatten() {
        let workers = Pool::new().threads(1);
        let (go, gate) = channel();
        let gate = Mutex::new(Some(gate));
        let (site, _lines) = Site::new(move |_, response| {
            let gate = gate.lock().expect("no panic").take();
            let source = Lingering {
                block: Some("block"),
                gate: gate.expect("there is one request"),
            };
            response.offload(&workers, move |response| {
                let head = response.send_response(200);
                let length = length.into_iter();
                let head = length.fold(head, |head, length| {
                    head.send_header("Content-Length", length)
                });
                head.stream(source)
            })
        });
        let serving = start(home, site);
        let mut client = serving.connect();
        client.send(get("/"));
        let answer = Answers::of(&client).next();
        assert_eq!(answer.short(), (200, "block".into()), "{home:?} {length:?}");
        go.send(()).expect("the source waits");
    }
}

/// Handlers that block, on `threads`, of which `waiting` may wait. Each tells its path, and
/// answers when the test lets it.
fn blocking(
    threads: usize,
    waiting: usize,
) -> (Pooled<Site>, Receiver<String>, Sender<()>, Receiver<String>) {
    blocking_on(Pool::new().threads(threads).queue_length(waiting))
}

/// Like [`blocking`], on `workers`.
fn blocking_on(workers: Pool) -> (Pooled<Site>, Receiver<String>, Sender<()>, Receiver<String>) {
    let (sender, begun) = channel();
    let (go, gate) = channel();
    let gate = Mutex::new(gate);
    let (site, lines) = Site::new(move |request, response| {
        match request.path() {
            "/quick" => {}
            "/panic" => panic!("scripted"),
            path => {
                sender.send(path.to_owned())?;
                next(&gate.lock().expect("no panic"));
            }
        }
        response.send_response(200).body(request.path())
    });
    (Pooled::new(site, workers), begun, go, lines)
}

/// Two that block leave the third thread to the others.
#[test]
fn handlers_that_block_delay_nobody() {
    for home in HOMES {
        let (site, begun, go, _lines) = blocking(3, 8);
        let serving = start(home, site);
        let mut slow: Vec<Client> = (0..2).map(|_| serving.connect()).collect();
        for client in &mut slow {
            client.send(get("/slow"));
            assert_eq!(next(&begun), "/slow");
        }
        let mut client = serving.connect();
        let mut answers = Answers::of(&client);
        for _ in 0..100 {
            client.send(get("/quick"));
            assert_eq!(answers.next().short(), (200, "/quick".into()), "{home:?}");
        }
        for _ in &slow {
            go.send(()).expect("they wait");
        }
        for client in &slow {
            assert_eq!(
                Answers::of(client).next().short(),
                (200, "/slow".into()),
                "{home:?}"
            );
        }
    }
}

/// THREAD-9: a kept connection that is idle holds no thread. One thread serves any number of them.
#[test]
fn idle_connections_hold_no_thread() {
    let (site, _lines) = Site::new(|_, response| response.send_response(200).body("hello"));
    let http = ThreadedHttp::new(site, HttpSettings::default(), Pool::new().threads(1));
    let serving = serve(move || Evented::new(http));
    let mut idle: Vec<Client> = (0..40).map(|_| serving.connect()).collect();
    for round in 0..2 {
        for client in &mut idle {
            client.send(get("/"));
            let answer = Answers::of(client).next();
            assert_eq!(answer.short(), (200, "hello".into()), "round {round}");
            assert!(!answer.closes());
        }
    }
}

/// A job whose client has disconnected while it waited is not run.
#[test]
fn jobs_of_clients_that_have_gone_are_not_run() {
    for home in HOMES {
        let workers = Pool::new().threads(1);
        let (site, begun, go, lines) = blocking_on(workers.clone());
        let serving = start(home, site);
        let mut first = serving.connect();
        first.send(get("/first"));
        assert_eq!(next(&begun), "/first");
        let mut gone: Vec<Client> = (0..5).map(|_| serving.connect()).collect();
        for client in &mut gone {
            client.send(get("/gone"));
        }
        wait_until("they are queued", || workers.waiting() == 5);
        for client in gone {
            client.reset();
        }
        for _ in 0..5 {
            let line = next(&lines);
            assert!(line.ends_with(" broken"), "{home:?}: {line}");
        }
        let mut after = serving.connect();
        after.send(get("/after"));
        go.send(()).expect("it waits");
        assert_eq!(next(&begun), "/after", "{home:?}");
        go.send(()).expect("it waits");
        assert_eq!(Answers::of(&after).next().short(), (200, "/after".into()));
    }
}

/// Law 7, GUARD-3: what cannot wait is told so at once, and the connection goes on.
#[test]
fn a_full_queue_answers_503() {
    for home in HOMES {
        let (site, begun, go, _lines) = blocking(1, 1);
        let serving = start(home, site);
        let mut first = serving.connect();
        first.send(get("/first"));
        assert_eq!(next(&begun), "/first");
        // Either of two may be the one that waits.
        let (sender, answers) = channel();
        for _ in 0..2 {
            let mut client = serving.connect();
            client.send(get("/second"));
            let sender = sender.clone();
            thread::spawn(move || {
                let answer = Answers::of(&client).next();
                sender.send((client, answer))
            });
        }
        let refused = next(&answers);
        assert_eq!(refused.1.code, 503, "{home:?}");
        assert!(
            refused.1.head.contains("\r\nRetry-After: 1\r\n"),
            "{}",
            refused.1.head
        );
        go.send(()).expect("it waits");
        assert_eq!(Answers::of(&first).next().short(), (200, "/first".into()));
        assert_eq!(next(&begun), "/second");
        go.send(()).expect("it waits");
        let served = next(&answers);
        assert_eq!(served.1.short(), (200, "/second".into()), "{home:?}");
        for (mut client, answer) in [refused, served] {
            assert!(!answer.closes());
            client.send(get("/quick"));
            assert_eq!(Answers::of(&client).next().short(), (200, "/quick".into()));
        }
    }
}

/// A client that has got its answer finds the place free that its request had.
#[test]
fn an_answer_leaves_room_for_the_next_request() {
    for home in HOMES {
        let (site, _begun, _go, _lines) = blocking(1, 0);
        let serving = start(home, site);
        let mut client = serving.connect();
        let mut answers = Answers::of(&client);
        for round in 0..2000 {
            client.send(get("/quick"));
            assert_eq!(answers.next().code, 200, "{home:?}, round {round}");
        }
    }
}

/// RFC 9110 §15.2: a client learns that there is progress while the worker is at it.
#[test]
fn an_interim_response_does_not_wait_for_the_worker() {
    for home in HOMES {
        let workers = Pool::new().threads(1);
        let (go, gate) = channel();
        let gate = Arc::new(Mutex::new(gate));
        let (site, _lines) = Site::new(move |_, response| {
            let gate = Arc::clone(&gate);
            response.offload(&workers, move |response| {
                let response = response.send_interim(102, &[("Step", "1")])?;
                next(&gate.lock().expect("no panic"));
                response.send_response(200).body("done")
            })
        });
        let serving = start(home, site);
        let mut client = serving.connect();
        let mut answers = Answers::of(&client);
        client.send(get("/"));
        let interim = answers.head().expect("it comes before the answer");
        assert_eq!(
            interim, "HTTP/1.1 102 Processing\r\nStep: 1\r\n\r\n",
            "{home:?}"
        );
        go.send(()).expect("it waits");
        assert_eq!(answers.next().short(), (200, "done".into()), "{home:?}");
    }
}

/// Law 10: a panic is one client's 500, and no thread's end.
#[test]
fn a_worker_survives_a_panic() {
    for home in HOMES {
        let (site, _begun, _go, lines) = blocking(1, 8);
        let serving = start(home, site);
        for _ in 0..3 {
            let mut client = serving.connect();
            client.send(get("/panic"));
            assert_eq!(Answers::of(&client).next().code, 500, "{home:?}");
            assert!(serving.report().0.contains("scripted"));
            assert!(next(&lines).starts_with("GET /panic HTTP/1.1 500 "));
        }
        let mut client = serving.connect();
        client.send(get("/quick"));
        assert_eq!(Answers::of(&client).next().short(), (200, "/quick".into()));
    }
}

/// Law 10: a request that its pool drops gets a response all the same.
#[test]
fn a_job_that_is_discarded_answers_500() {
    let (gate, wait) = channel();
    let (begins, begun) = channel();
    let wait = Mutex::new((begins, wait));
    let (site, lines) = Site::new(move |request, response| {
        let (begins, wait) = &*wait.lock().expect("no panic");
        begins.send(()).expect("the test waits");
        next(wait);
        response.send_response(200).body(request.path())
    });
    let workers = Pool::new().threads(1);
    let serving = start(Home::Loop, Pooled::new(site, workers.clone()));
    let mut first = serving.connect();
    first.send(get("/first"));
    next(&begun);
    let mut second = serving.connect();
    second.send(get("/second"));
    wait_until("the second waits", || workers.waiting() == 1);
    workers.discard_waiting();
    assert_eq!(Answers::of(&second).next().code, 500);
    assert!(serving.report().0.contains("never got a response"));
    assert!(next(&lines).starts_with("GET /second HTTP/1.1 500 "));
    gate.send(()).expect("it waits");
    assert_eq!(Answers::of(&first).next().short(), (200, "/first".into()));
}

/// Law 10: a response that nobody can pull any more breaks off.
#[test]
fn a_download_breaks_off_when_its_pool_is_closed() {
    for fields in ["", "Connection: close\r\n"] {
        let (site, lines) = Site::new(|_, response| {
            let blocks = (0..LARGE / BLOCK).map(|_| vec![7; BLOCK]);
            response.send_response(200).stream(blocks)
        });
        let workers = Pool::new().threads(1);
        let serving = start(Home::Loop, Pooled::new(site, workers.clone()));
        let mut client = serving.connect();
        client.send(head("GET", "/", fields));
        client.expect("HTTP/1.1 200 OK\r\n");
        assert!(workers.join(Some(PATIENCE)), "no job waits for a client");
        client.expect_gone();
        assert!(next(&lines).ends_with(" broken"));
        assert!(serving.report().0.contains("never got a response"));
    }
}

/// Nothing but bytes, until somebody drops it.
struct Bomb;

impl BodySource for Bomb {
    fn next_block(&mut self) -> Result<Option<Block>, Failure> {
        Ok(Some(vec![7].into()))
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("scripted");
    }
}

/// Law 10: what a closure leaves behind may panic as it goes; the client hears of it all the same.
#[test]
fn a_response_that_panics_as_it_is_dropped_answers_500() {
    let (site, lines) = Site::new(|_, response| {
        let (deferred, reply) = response.defer();
        thread::spawn(move || {
            deferred.respond(|response| {
                response.send_response(200).stream(Bomb)?;
                Err(io::Error::other("scripted").into())
            })
        });
        Ok(reply)
    });
    let serving = start(Home::Loop, site);
    let mut client = serving.connect();
    client.send(get("/"));
    assert_eq!(Answers::of(&client).next().code, 500);
    assert!(next(&lines).starts_with("GET / HTTP/1.1 500 "));
}

/// A panic's payload, or an error, that panics when it is dropped, and again when that is dropped.
#[derive(Debug)]
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        std::panic::panic_any(Grenade);
    }
}

impl fmt::Display for Grenade {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::panic::panic_any(Grenade);
    }
}

impl std::error::Error for Grenade {}

/// A body that ends in the same way.
struct Mined(u8);

impl BodySource for Mined {
    fn next_block(&mut self) -> Result<Option<Block>, Failure> {
        self.0 += 1;
        match self.0 {
            1 => Ok(Some(b"block".into())),
            2 => std::panic::panic_any(Grenade),
            _ => Ok(None),
        }
    }
}

impl Drop for Mined {
    fn drop(&mut self) {
        std::panic::panic_any(Grenade);
    }
}

/// Design law 10: whatever a panic or an error leaves behind may panic as well. Each client hears of
/// its failure, and neither the loop nor a worker ends.
#[test]
fn what_a_failure_leaves_behind_ends_no_thread() {
    let handle = |request: &Request<'_>, response: Response<'_>| match request.path() {
        "/panic" => std::panic::panic_any(Grenade),
        "/error" => Err(Failure::from(Grenade)),
        "/noted" => {
            let head = response.send_response(200);
            head.with_failure(Failure::from(Grenade)).body("noted")
        }
        "/body" => response.send_response(200).stream(Mined(0)),
        "/left" => {
            let (deferred, reply) = response.defer();
            thread::spawn(move || deferred.respond(|_| std::panic::panic_any(Grenade)));
            Ok(reply)
        }
        _ => response.send_response(200).body("quick"),
    };
    for workers in [None, Some(4)] {
        let (site, _lines) = Site::new(handle);
        let serving = match workers {
            None => start(Home::Loop, site),
            Some(count) => start(Home::Loop, Pooled::new(site, Pool::new().threads(count))),
        };
        for path in ["/panic", "/error", "/noted", "/body", "/left"] {
            for _ in 0..6 {
                let mut client = serving.connect();
                client.send(head("GET", path, "Connection: close\r\n"));
                let mut answer = Vec::new();
                let _ = client.0.read_to_end(&mut answer); // a reset is fine
                let status: &[u8] = match path {
                    "/noted" | "/body" => b"HTTP/1.1 200 ",
                    _ => b"HTTP/1.1 500 ",
                };
                assert!(answer.starts_with(status), "{path}: {}", text(&answer));
                assert!(!answer.ends_with(b"\r\n0\r\n\r\n"), "{path}: whole?");
            }
            let mut client = serving.connect();
            client.send(get("/quick"));
            assert_eq!(Answers::of(&client).next().short(), (200, "quick".into()));
        }
    }
}

/// Two threads, eight clients that do not read what is pulled for them: everybody else is served.
#[test]
fn slow_downloads_hold_no_worker() {
    let (site, _lines) = Site::new(move |request, response| match request.path() {
        "/large" => {
            let blocks = (0..LARGE / BLOCK).map(|number| vec![number as u8; BLOCK]);
            response.send_response(200).stream(blocks)
        }
        _ => response.send_response(200).body("quick"),
    });
    let serving = start(Home::Loop, Pooled::new(site, Pool::new().threads(2)));
    let mut slow: Vec<Client> = (0..8).map(|_| serving.connect()).collect();
    for client in &mut slow {
        client.send(get("/large"));
        client.expect("HTTP/1.1 200 OK\r\n");
    }
    let mut client = serving.connect();
    let mut answers = Answers::of(&client);
    for _ in 0..100 {
        client.send(get("/quick"));
        assert_eq!(answers.next().short(), (200, "quick".into()));
    }
    for client in slow {
        let mut answers = Answers::of(&client);
        let head = answers.head().expect("the rest of the head");
        let content = answers.content(&head).expect("all of it");
        let blocks = content.chunks(BLOCK).enumerate();
        let ordered = blocks.filter(|(number, block)| block.iter().all(|&b| b == *number as u8));
        assert_eq!((content.len(), ordered.count()), (LARGE, LARGE / BLOCK));
    }
}

/// An answer that takes too long is 503; when it comes after all, nobody gets it.
#[test]
fn an_overdue_answer_is_dropped() {
    /// Says whether a worker took the job, also if none did.
    struct Taken(bool, Sender<bool>);
    impl Drop for Taken {
        fn drop(&mut self) {
            let _ = self.1.send(self.0); // Err: the test has failed
        }
    }
    for home in HOMES {
        let workers = Pool::new().threads(1);
        let (go, gate) = channel();
        let gate = Arc::new(Mutex::new(gate));
        let (sender, jobs) = channel();
        let (done, ended) = channel();
        let (site, lines) = Site::new(move |request, response| {
            let quick = request.path() == "/quick";
            let patience = Duration::from_millis(if quick { 60_000 } else { 10 });
            let (gate, done) = (Arc::clone(&gate), done.clone());
            let mut taken = Taken(false, sender.clone());
            response
                .respond_within(patience)
                .offload(&workers, move |response| {
                    if quick {
                        return response.send_response(200).body("quick");
                    }
                    taken.0 = true;
                    drop(taken);
                    next(&gate.lock().expect("no panic"));
                    let reply = response.send_response(200).body("too late");
                    done.send(())?;
                    reply
                })
        });
        let settings = HttpSettings::default();
        let counted = settings.clone();
        let serving = start_with(home, settings, site);
        // A job whose client has left is not run. So ask again if no worker was in time.
        for attempt in 1.. {
            let mut client = serving.connect();
            client.send(GET);
            let mut answers = Answers::of(&client);
            let answer = answers.next();
            assert_eq!((answer.code, answer.closes()), (503, true), "{home:?}");
            client.shutdown_write();
            answers.expect_end();
            serving.report();
            assert!(next(&lines).starts_with("GET / HTTP/1.1 503 "));
            assert_eq!(counted.stats().response_timeouts, attempt);
            if next(&jobs) {
                break;
            }
        }
        go.send(()).expect("the worker waits");
        next(&ended);
        let mut client = serving.connect();
        client.send(get("/quick"));
        assert_eq!(Answers::of(&client).next().short(), (200, "quick".into()));
        assert_eq!(next(&lines), "GET /quick HTTP/1.1 200 5");
    }
}
