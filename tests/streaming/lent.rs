//! Blocks that are lent.

use super::*;

/// Bytes that tell when nobody has them any more.
struct Page {
    bytes: Arc<Vec<u8>>,
    returned: Sender<()>,
}

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Err: the test has ended.
        let _ = self.returned.send(());
    }
}

/// Lends a page for each request. The path says how it becomes a response.
fn lending(page: Vec<u8>) -> (Site, Receiver<()>) {
    let (returned, returns) = channel();
    let bytes = Arc::new(page);
    let (site, _lines) = Site::new(move |request, response| {
        let page = Block::lend(Page {
            bytes: Arc::clone(&bytes),
            returned: returned.clone(),
        });
        let head = response.send_response(200);
        match request.path() {
            "/whole" => head.body_block(page),
            "/chunked" => head.stream([page].into_iter()),
            "/sized" => {
                let length = bytes.len().to_string();
                head.send_header("Content-Length", length)
                    .stream([page].into_iter())
            }
            _ => head.send_header("Content-Length", "5").body_block(page),
        }
    });
    (site, returns)
}

/// A page that is lent is not copied: its owner has it back when the client has taken the last
/// byte, and not before.
#[test]
fn a_page_that_is_lent_comes_back_when_it_is_sent() {
    let page = pattern(LARGE);
    for home in HOMES {
        let (site, returns) = lending(page.clone());
        let serving = start(home, site);
        for path in ["/whole", "/chunked", "/sized"] {
            let what = format!("{home:?} {path}");
            let mut client = serving.connect();
            client.send(head("GET", path, ""));
            let mut answers = Answers::of(&client);
            let head = answers.head().expect("a head");
            assert_eq!(returns.try_recv().ok(), None, "{what}: it was copied");
            let content = answers.content(&head).expect("a body");
            assert_same(&content, &page, &what);
            next(&returns);
        }
        // The client leaves in the middle.
        let mut client = serving.connect();
        client.send(head("GET", "/whole", ""));
        Answers::of(&client).head().expect("a head");
        drop(client);
        next(&returns);
    }
}

/// Blocks of all sizes leave in their order, each in its framing, between responses that are
/// copied.
#[test]
fn lent_blocks_keep_their_places() {
    for home in HOMES {
        for size in [100, 16 * 1024, 70_000, 1_000_000] {
            let page = pattern(size);
            let (site, returns) = lending(page.clone());
            let serving = start(home, site);
            let mut client = serving.connect();
            let paths = ["/whole", "/chunked", "/sized", "/cut"];
            let requests = paths.map(|path| head("GET", path, "")).concat();
            client.send(requests.repeat(3));
            let mut answers = Answers::of(&client);
            for path in paths.repeat(3) {
                let answer = answers.next();
                let expected = if path == "/cut" { &page[..5] } else { &page };
                assert_same(&answer.content, expected, &format!("{home:?} {path}"));
                next(&returns);
            }
            client.send(head("HEAD", "/whole", ""));
            let head = answers.head().expect("a head");
            assert!(
                head.contains(&format!("Content-Length: {size}\r\n")),
                "{head}"
            );
            next(&returns);
            client.send("GET /chunked HTTP/1.0\r\n\r\n");
            assert_same(
                &answers.next().content,
                &page,
                "until the connection closes",
            );
            answers.expect_end();
            next(&returns);
        }
    }
}

/// Law 10: an owner that panics, or has lost its bytes, when they are to be sent. Its connection
/// breaks off, and the server goes on.
#[test]
fn a_page_whose_owner_fails() {
    struct Failing(Arc<AtomicBool>, bool);
    impl AsRef<[u8]> for Failing {
        fn as_ref(&self) -> &[u8] {
            let fails = self.0.load(Ordering::SeqCst);
            assert!(!fails || !self.1, "scripted");
            if fails { b"" } else { &[b'x'; 20_000] }
        }
    }
    for home in HOMES {
        for panics in [true, false] {
            let (site, _lines) = Site::new(move |request, response| {
                let fails = Arc::new(AtomicBool::new(false));
                let page = Block::lend(Failing(Arc::clone(&fails), panics));
                let reply = response.send_response(200).body_block(page);
                fails.store(request.path() == "/fails", Ordering::SeqCst);
                reply
            });
            let serving = start(home, site);
            let mut client = serving.connect();
            client.send(head("GET", "/fails", ""));
            client.expect_gone();
            let mut client = serving.connect();
            client.send(GET);
            assert_eq!(Answers::of(&client).next().content.len(), 20_000);
        }
    }
}

/// Law 10: an owner of lent bytes that panics when it is dropped: after the last byte, or because the
/// client has disconnected before.
#[test]
fn a_page_whose_owner_panics_at_the_end() {
    struct Last(Vec<u8>);
    impl AsRef<[u8]> for Last {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Last {
        fn drop(&mut self) {
            panic!("scripted");
        }
    }
    for home in HOMES {
        let (site, lines) = Site::new(|request, response| {
            let length = match request.path() {
                "/fails" => 20_000,
                "/unread" => LARGE,
                _ => return response.send_response(200).body("fine"),
            };
            let page = Block::lend(Last(vec![b'x'; length]));
            response.send_response(200).body_block(page)
        });
        let serving = start(home, site);
        let mut client = serving.connect();
        client.send(head("GET", "/fails", "").repeat(2)); // two at the same time
        let mut answers = Answers::of(&client);
        for _ in 0..2 {
            assert_eq!(answers.next().content.len(), 20_000, "{home:?}");
            next(&lines);
        }
        let mut client = serving.connect();
        client.send(head("GET", "/unread", ""));
        next(&lines);
        client.reset();
        let mut client = serving.connect();
        client.send(GET);
        assert_eq!(Answers::of(&client).next().text(), "fine", "{home:?}");
    }
}

/// HTTP-33: a `Date` or `Server` of the handler replaces the server's, also behind a page that is not
/// copied.
#[test]
fn own_fields_behind_a_page_that_is_lent() {
    for home in HOMES {
        let (site, _lines) = Site::new(|request, response| match request.path() {
            "/page" => response.send_response(200).body_block(vec![b'x'; 20_000]),
            _ => response
                .send_response(200)
                .send_header("Date", "now")
                .send_header("Server", "mine")
                .body("own"),
        });
        let serving = start(home, site);
        let mut client = serving.connect();
        client.send([head("GET", "/page", ""), head("GET", "/own", "")].concat());
        let mut answers = Answers::of(&client);
        assert_eq!(answers.next().content, vec![b'x'; 20_000]);
        let own = answers.next();
        assert_eq!(own.content, b"own");
        let fields = own.head.lines().skip(1);
        let fields: Vec<_> = fields.filter(|line| !line.is_empty()).collect();
        assert_eq!(fields, ["Date: now", "Server: mine", "Content-Length: 3"]);
    }
}

/// Law 12: what follows a page that has become shorter never stands in its place.
#[test]
fn nothing_takes_the_place_of_lost_bytes() {
    struct Shrinking(Arc<AtomicBool>, usize);
    impl AsRef<[u8]> for Shrinking {
        fn as_ref(&self) -> &[u8] {
            let fails = self.0.load(Ordering::SeqCst);
            &[b'x'; 20_000][..if fails { 0 } else { self.1 }]
        }
    }
    for home in HOMES {
        for length in [100, 20_000] {
            let (site, _lines) = Site::new(move |request, response| {
                let fails = Arc::new(AtomicBool::new(false));
                let page = Block::lend(Shrinking(Arc::clone(&fails), length));
                fails.store(request.path() == "/fails", Ordering::SeqCst);
                response.send_response(200).body_block(page)
            });
            let serving = start(home, site);
            let mut client = serving.connect();
            client.send(
                [
                    head("GET", "/fails", ""),
                    head("GET", "/next", "Connection: close\r\n"),
                ]
                .concat(),
            );
            let mut received = Vec::new();
            let _ = client.0.read_to_end(&mut received); // a reset is fine
            let heads = String::from_utf8_lossy(&received)
                .matches("HTTP/1.1")
                .count();
            assert!(heads <= 1, "{home:?} {length}: {heads} responses");
        }
    }
}

/// A source of blocks that are lent, owned and static, on a worker.
#[test]
fn a_worker_pulls_blocks_that_are_lent() {
    let page: Arc<[u8]> = pattern(300_000).into();
    for home in HOMES {
        let workers = Pool::new().threads(1);
        let lent = Arc::clone(&page);
        let (site, _lines) = Site::new(move |_, response| {
            let lent = Arc::clone(&lent);
            response.offload(&workers, move |response| {
                let kinds = move |number| match number % 3 {
                    0 => Block::from(Arc::clone(&lent)),
                    1 => Block::from(lent.to_vec()),
                    _ => Block::from(&[b'-'; 20_000]),
                };
                response.send_response(200).stream((0..30).map(kinds))
            })
        });
        let serving = start(home, site);
        let mut client = serving.connect();
        client.send(GET);
        let round = [&*page, &page, &[b'-'; 20_000]].concat();
        let content = Answers::of(&client).next().content;
        assert_same(&content, &round.repeat(10), &format!("{home:?}"));
        drop(client);
        drop(serving);
        // The worker may still drop what it had.
        wait_until("given back", || Arc::strong_count(&page) == 1);
    }
}

/// A block that another thread pushes is not copied either. A push that is refused gives it back.
#[test]
fn a_page_that_is_pushed_comes_back_when_it_is_sent() {
    let page = pattern(LARGE);
    for home in HOMES {
        for (fields, waits) in [("", false), ("", true), (CHUNKED, true)] {
            let what = format!("{home:?} {fields:?} {waits}");
            let (sender, streams) = channel();
            let length = page.len();
            let (site, _lines) = Site::new(move |_, response| {
                let (deferred, reply) = response.defer();
                sender.send(deferred.stream(|response| {
                    let head = response.send_response(200);
                    match fields {
                        "" => head.send_header("Content-Length", length.to_string()),
                        _ => head,
                    }
                })?)?;
                Ok(reply)
            });
            let serving = start(home, site);
            let mut client = serving.connect();
            client.send(GET);
            let mut answers = Answers::of(&client);
            let mut stream: ResponseStream = next(&streams);
            let head = answers.head().expect("a head");
            let (returned, returns) = channel();
            let lent = Block::lend(Page {
                bytes: Arc::new(page.clone()),
                returned,
            });
            match waits {
                true => stream.write_block(lent).expect("there is room"),
                false => stream.send_block(lent).expect("there is room"),
            }
            assert_eq!(returns.try_recv().ok(), None, "{what}: it was copied");
            if fields == CHUNKED {
                stream.write_block("").expect("nothing to send");
                stream.finish().expect("the client is there");
            } else {
                let refused = stream.send_block("more");
                let block = match refused {
                    Err(SendError::Full(block) | SendError::Gone(block)) => block,
                    Ok(()) => panic!("{what}: the response has ended"),
                };
                assert_eq!(&*block, b"more");
            }
            let content = answers.content(&head).expect("a body");
            assert_same(&content, &page, &what);
            next(&returns);
        }
    }
}
