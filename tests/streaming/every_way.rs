//! Every kind of answer, one after the other on one connection.

use super::*;

/// Answers in every way there is, by path, and tells which. What is done on other threads waits
/// until something comes out of the gate, or its other end is gone.
fn every_way(begun: Sender<String>, gate: Receiver<()>) -> (Site, Receiver<String>) {
    let workers = Pool::new().threads(2);
    let gate = Arc::new(Mutex::new(gate));
    Site::new(move |request, mut response| {
        let path = request.path().to_owned();
        begun.send(path.clone())?;
        let gate = Arc::clone(&gate);
        // Err: the gate is open.
        let wait = move || gate.lock().expect("no panic").recv().unwrap_or_default();
        match request.path() {
            "/pulled" => {
                let blocks = vec!["pul", "", "led"].into_iter();
                response.send_response(200).stream(blocks)
            }
            "/sink" => response.receive(Collect::new(&channel().0).0),
            "/writer" => response.receive_into(Vec::new(), |bytes, response| {
                response.send_response(200).body(bytes)
            }),
            "/deferred" => {
                let (deferred, reply) = response.defer();
                thread::spawn(move || {
                    wait();
                    deferred.respond(|response| response.send_response(200).body("deferred"))
                });
                Ok(reply)
            }
            "/read" => {
                let mut reader = response.body_reader();
                let (deferred, reply) = response.defer();
                thread::spawn(move || {
                    let mut bytes = Vec::new();
                    reader.read_to_end(&mut bytes).expect("a client");
                    deferred.respond(|response| response.send_response(200).body(bytes))
                });
                Ok(reply)
            }
            "/pushed" => {
                let (deferred, reply) = response.defer();
                thread::spawn(move || {
                    let mut stream = deferred
                        .stream(|response| response.send_response(200))
                        .expect("a client");
                    stream.write_all(b"pus").expect("a client");
                    wait();
                    stream.write_all(b"hed").expect("a client");
                    stream.finish().expect("a client");
                });
                Ok(reply)
            }
            "/worker" => response.offload(&workers, move |mut response| {
                let mut bytes = Vec::new();
                response.body_reader().read_to_end(&mut bytes)?;
                wait();
                bytes.extend_from_slice(path.as_bytes());
                response.send_response(200).body(bytes)
            }),
            "/worker/pulled" => response.offload(&workers, |response| {
                let blocks = (0..100).map(move |number| {
                    if number == 50 {
                        wait();
                    }
                    format!("{number},")
                });
                response.send_response(200).stream(blocks)
            }),
            "/worker/sink" => response.offload(&workers, |response| {
                response.receive(Collect::new(&channel().0).0)
            }),
            path => response.send_response(200).body(path),
        }
    })
}

/// Paths of requests with content, and how they are answered.
fn ways() -> Vec<(&'static str, &'static str, String)> {
    let numbers: String = (0..100).map(|number| format!("{number},")).collect();
    vec![
        ("GET", "/plain", "/plain".into()),
        ("GET", "/pulled", "pulled".into()),
        ("PUT", "/sink", "5 7".into()),
        ("PUT", "/writer", "hello".into()),
        ("GET", "/deferred", "deferred".into()),
        ("PUT", "/read", "hello".into()),
        ("GET", "/pushed", "pushed".into()),
        ("PUT", "/worker", "hello/worker".into()),
        ("GET", "/worker/pulled", numbers),
        ("PUT", "/worker/sink", "5 7".into()),
    ]
}

fn asks(method: &str, path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match method {
        "GET" => bytes.extend_from_slice(get(path).as_bytes()),
        _ => {
            bytes.extend_from_slice(head(method, path, CHUNKED).as_bytes());
            send_chunked(&mut bytes, b"hello").expect("memory");
        }
    }
    bytes
}

/// Answers come in the order of their requests, and the connection goes on behind each.
#[test]
fn requests_follow_every_kind_of_answer() {
    for home in HOMES {
        let (begun, _paths) = channel();
        let (site, lines) = every_way(begun, channel().1);
        let serving = start(home, site);
        let mut client = serving.connect();
        let mut answers = Answers::of(&client);
        let check = |answer: Answered, path: &str, content: &str| {
            assert_eq!(answer.short(), (200, content.into()), "{home:?} {path}");
            assert!(!answer.closes(), "{home:?} {path}");
        };
        for (method, path, content) in ways() {
            client.send(asks(method, path));
            check(answers.next(), path, &content);
            assert!(next(&lines).starts_with(&format!("{method} {path} HTTP/1.1 200 ")));
        }
        // And all at once, forwards and backwards.
        let mut all = ways();
        all.extend(ways().into_iter().rev());
        let requests: Vec<Vec<u8>> = all
            .iter()
            .map(|(method, path, _)| asks(method, path))
            .collect();
        client.send(requests.concat());
        for (_, path, content) in &all {
            check(answers.next(), path, content);
        }
    }
}

/// A drain lets each of them end, and then the server stops.
#[test]
fn a_drain_waits_for_every_kind_of_answer() {
    for home in HOMES {
        for (method, path, content) in ways() {
            if let "/plain" | "/pulled" = path {
                continue; // these take no time
            }
            let (begun, paths) = channel();
            let (go, gate) = channel();
            let (site, _lines) = every_way(begun, gate);
            let serving = start(home, site);
            let mut client = serving.connect();
            let mut answers = Answers::of(&client);
            let request = asks(method, path);
            let missing = if method == "GET" { 0 } else { 3 };
            let (first, rest) = request.split_at(request.len() - missing);
            client.send(first);
            assert_eq!(next(&paths), path, "{home:?}");
            let mut idle = serving.connect();
            let mut farewell = Answers::of(&idle);
            idle.send(get("/plain"));
            farewell.next();
            let handle = serving.handle.clone();
            let drain = thread::spawn(move || handle.drain(PATIENCE));
            farewell.expect_end(); // so the drain has begun
            client.send(rest);
            drop(go);
            let answer = answers.next();
            assert_eq!(answer.short(), (200, content), "{home:?} {path}");
            client.shutdown_write();
            answers.expect_end();
            let drained = drain.join().expect("no panic").expect("it drains");
            assert_eq!(drained.aborted, 0, "{home:?} {path}");
        }
    }
}

/// A drain does not keep what other threads push from a client that waits for it to go on.
#[test]
fn a_drain_does_not_hold_pushes_back() {
    for home in HOMES {
        let (site, requests) = begin_with("begun,");
        let serving = start(home, site);
        let mut client = serving.connect();
        client.send(head("PUT", "/", CHUNKED));
        let (reader, mut stream) = next(&requests);
        let mut answers = Answers::of(&client);
        answers.head().expect("it has begun");
        let mut idle = serving.connect();
        let handle = serving.handle.clone();
        let drain = thread::spawn(move || handle.drain(PATIENCE));
        let mut reader = BufReader::new(reader);
        let line = |answers: &mut Answers, text: &str| {
            for part in [format!("{:x}\r\n", text.len()), format!("{text}\r\n")] {
                assert_eq!(answers.line().expect("it is pushed"), part, "{home:?}");
            }
        };
        line(&mut answers, "begun,");
        idle.expect_gone(); // so the drain has begun
        for round in 0..3 {
            client.send("2\r\n?\n\r\n");
            let mut asked = String::new();
            reader.read_line(&mut asked).expect("the client asks");
            let answer = format!("{round}!");
            stream
                .write_all(answer.as_bytes())
                .expect("the client reads");
            line(&mut answers, &answer);
        }
        client.send("0\r\n\r\n");
        stream.finish().expect("the client reads");
        client.shutdown_write();
        assert!(drain.join().expect("no panic").is_ok(), "{home:?}");
    }
}
