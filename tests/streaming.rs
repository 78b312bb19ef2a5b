//! Content that is streamed, in either direction, over sockets and between threads; on the loop
//! and on the threads of a `ThreadingHttpServer`.
//!
//! What `exchange.rs` shows by hand, step by step, is here in the presence of real buffers, real
//! clients that are slow or leave, and real workers.
#![cfg(feature = "server")]

mod support;

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use serve_forever::http::{
    Block, BodyPolicy, BodyReader, BodySink, BodySource, FromRead, Http, HttpRequestHandler,
    HttpResult, HttpServer, HttpSettings, HttpStats, LogEntry, Message, Pooled, Request, Response,
    ResponseStream, ThreadedHttp, Want, h1,
};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{
    Buffer, Evented, EventedSettings, Failure, Next, Pool, Protocol, SendError, ShutdownHandle,
};
use support::client::{Client, take, text};
use support::driven::Driven;
use support::patience::{PATIENCE, wait_until};
use support::server::{Serving, serve};

/// More than any buffer holds on the way, those of the system included.
const LARGE: usize = 24 * 1024 * 1024;

/// What some sources hand out at a time.
const BLOCK: usize = 64 * 1024;

/// How much content may be under way to a reader that does not read: the mark, and the block that
/// reached it.
const UNDER_WAY: usize = 2 * 64 * 1024;

/// Where the connections are.
#[derive(Debug, Clone, Copy)]
enum Home {
    Loop,
    Threads,
}

const HOMES: [Home; 2] = [Home::Loop, Home::Threads];

type Handle = dyn Fn(&Request<'_>, Response<'_>) -> HttpResult + Send + Sync;

/// A handler made of closures, which writes a log.
#[derive(Clone)]
struct Site {
    intake: Arc<dyn Fn(&Request<'_>) -> BodyPolicy + Send + Sync>,
    handle: Arc<Handle>,
    lines: Sender<String>,
}

impl Site {
    /// Answers with `handle`, which takes all content as it arrives; and its log.
    fn new(
        handle: impl Fn(&Request<'_>, Response<'_>) -> HttpResult + Send + Sync + 'static,
    ) -> (Site, Receiver<String>) {
        let (lines, log) = channel();
        let site = Site {
            intake: Arc::new(|_| BodyPolicy::streamed()),
            handle: Arc::new(handle),
            lines,
        };
        (site, log)
    }

    fn body_policy(
        mut self,
        intake: impl Fn(&Request<'_>) -> BodyPolicy + Send + Sync + 'static,
    ) -> Site {
        self.intake = Arc::new(intake);
        self
    }
}

impl HttpRequestHandler for Site {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        (self.handle)(request, response)
    }

    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        (self.intake)(request)
    }

    fn log_request(&mut self, entry: &LogEntry<'_>) {
        let line = format!(
            "{} {} {}{}",
            entry.request_line().escape_ascii(),
            entry.code().unwrap_or(0),
            entry.sent(),
            if entry.is_complete() { "" } else { " broken" },
        );
        // Err: the test has read what it wanted.
        let _ = self.lines.send(line);
    }
}

fn start(home: Home, site: impl HttpRequestHandler + Clone + Send + Sync + 'static) -> Serving {
    start_with(home, HttpSettings::default(), site)
}

fn start_with(
    home: Home,
    settings: HttpSettings,
    site: impl HttpRequestHandler + Clone + Send + Sync + 'static,
) -> Serving {
    match home {
        Home::Loop => serve(move || Evented::new(Http::new(site, settings))),
        Home::Threads => {
            let workers = Pool::new().threads(16);
            let http = ThreadedHttp::new(site, settings, workers.queue_length(usize::MAX));
            serve(move || Evented::new(http))
        }
    }
}

/// The next thing that comes through a channel.
fn next<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("it comes in time")
}

/// Bytes of which no part looks like another.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| byte()).collect()
}

fn head(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

fn sized(path: &str, length: usize) -> String {
    head("PUT", path, &format!("Content-Length: {length}\r\n"))
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// Sends content in chunks of all sizes, and its end with a trailer.
fn send_chunked(sink: &mut impl Write, content: &[u8]) -> io::Result<()> {
    let mut rest = content;
    let mut size = 1;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        write!(sink, "{:x}\r\n", chunk.len())?;
        sink.write_all(chunk)?;
        sink.write_all(b"\r\n")?;
        rest = after;
        size = size * 3 % 100_003;
    }
    sink.write_all(b"0\r\nSum: 7\r\n\r\n")
}

/// An answer as a client understands it.
#[derive(Debug, PartialEq, Eq)]
struct Answered {
    code: u16,
    head: String,
    content: Vec<u8>,
}

impl Answered {
    fn text(&self) -> String {
        text(&self.content)
    }

    fn closes(&self) -> bool {
        self.head.contains("\r\nConnection: close\r\n")
    }

    fn short(&self) -> (u16, String) {
        (self.code, self.text())
    }
}

/// Reads answers as a client does.
struct Answers(BufReader<std::net::TcpStream>);

impl Answers {
    fn of(client: &Client) -> Answers {
        Answers(BufReader::new(client.0.try_clone().expect("a descriptor")))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        match line.ends_with('\n') {
            true => Ok(line),
            false => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    fn head(&mut self) -> io::Result<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push_str(&self.line()?);
        }
        Ok(head)
    }

    fn content(&mut self, head: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        if head.contains(CHUNKED) {
            loop {
                let size = self.line()?;
                let size = usize::from_str_radix(size.trim(), 16);
                let size = size.map_err(|_| io::Error::other("no chunk size"))?;
                let before = content.len();
                content.resize(before + size, 0);
                self.0.read_exact(&mut content[before..])?;
                let end = self.line()?;
                if size == 0 {
                    if end != "\r\n" {
                        content.extend_from_slice(format!("|{}", end.trim()).as_bytes());
                        self.line()?;
                    }
                    return Ok(content);
                }
                assert_eq!(end, "\r\n", "a chunk ends in a line end");
            }
        }
        match head.split("Content-Length: ").nth(1) {
            Some(length) => {
                let length = length.lines().next().and_then(|length| length.parse().ok());
                content.resize(length.expect("a number"), 0);
                self.0.read_exact(&mut content)?;
            }
            None => drop(self.0.read_to_end(&mut content)?),
        }
        Ok(content)
    }

    /// The next answer, unless it is broken off.
    fn try_next(&mut self) -> io::Result<Answered> {
        let head = self.head()?;
        let code = head.get(9..12).and_then(|code| code.parse().ok());
        let content = self.content(&head)?;
        Ok(Answered {
            code: code.expect("a status line"),
            head,
            content,
        })
    }

    fn next(&mut self) -> Answered {
        self.try_next().expect("a whole answer")
    }

    fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("the server closes");
        assert_eq!(text(&rest), "");
    }
}

/// Compares what would be too long to print.
#[track_caller]
fn assert_same(found: &[u8], expected: &[u8], what: &str) {
    assert!(
        found == expected,
        "{what}: {} is not {}",
        text(found),
        text(expected)
    );
}

/// Collects content and answers with its length and trailers; tells when it is dropped.
struct Collect {
    content: Arc<Mutex<Vec<u8>>>,
    dropped: Sender<&'static str>,
    finished: bool,
}

impl Collect {
    fn new(dropped: &Sender<&'static str>) -> (Collect, Arc<Mutex<Vec<u8>>>) {
        let content = Arc::default();
        let collect = Collect {
            content: Arc::clone(&content),
            dropped: dropped.clone(),
            finished: false,
        };
        (collect, content)
    }
}

impl BodySink for Collect {
    fn block(&mut self, block: &[u8]) -> Result<Want, Failure> {
        self.content
            .lock()
            .expect("no panic")
            .extend_from_slice(block);
        Ok(Want::More)
    }

    fn finish(mut self: Box<Self>, trailers: h1::Fields<'_>, response: Response<'_>) -> HttpResult {
        self.finished = true;
        let sum = trailers
            .get("sum")
            .unwrap_or(b"none")
            .escape_ascii()
            .to_string();
        let length = self.content.lock().expect("no panic").len();
        response.send_response(200).body(format!("{length} {sum}"))
    }
}

impl Drop for Collect {
    fn drop(&mut self) {
        let how = if self.finished {
            "finished"
        } else {
            "unfinished"
        };
        // Err: the test does not ask.
        let _ = self.dropped.send(how);
    }
}

// Content on its way in.

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

/// Hands out the reader and the way to answer of each request.
fn hand_out() -> (Site, Receiver<(BodyReader, serve_forever::http::Deferred)>) {
    let (sender, requests) = channel();
    let (site, _) = Site::new(move |_, mut response| {
        let reader = response.body_reader();
        let (deferred, reply) = response.defer();
        sender.send((reader, deferred))?;
        Ok(reply)
    });
    (site, requests)
}

fn evented(site: Site, settings: HttpSettings) -> Driven<Http<Site>> {
    Driven::new(EventedSettings::default(), Http::new(site, settings))
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
        let (sender, requests) = channel();
        let (site, _lines) = Site::new(move |_, mut response| {
            let reader = response.body_reader();
            let (deferred, reply) = response.defer();
            let stream = deferred.stream(|response| response.send_response(200))?;
            stream.send("one,")?;
            sender.send((reader, stream))?;
            Ok(reply)
        });
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

// Answers on their way out.

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

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const GET_1_0: &str = "GET / HTTP/1.0\r\n\r\n";

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

// Blocks that are lent.

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
        assert_eq!(Arc::strong_count(&page), 1);
    }
}

// Pool.

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

fn get(path: &str) -> String {
    head("GET", path, "")
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

/// Law 7: what cannot wait is told so at once, and the connection goes on.
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
    for home in HOMES {
        let workers = Pool::new().threads(1);
        let (go, gate) = channel();
        let gate = Arc::new(Mutex::new(gate));
        let (done, ended) = channel();
        let (site, lines) = Site::new(move |request, response| {
            let quick = request.path() == "/quick";
            let patience = Duration::from_millis(if quick { 60_000 } else { 10 });
            let (gate, done) = (Arc::clone(&gate), done.clone());
            response
                .respond_within(patience)
                .offload(&workers, move |response| {
                    if quick {
                        return response.send_response(200).body("quick");
                    }
                    next(&gate.lock().expect("no panic"));
                    let reply = response.send_response(200).body("too late");
                    done.send(())?;
                    reply
                })
        });
        let settings = HttpSettings::default();
        let counted = settings.clone();
        let serving = start_with(home, settings, site);
        let mut client = serving.connect();
        client.send(GET);
        let mut answers = Answers::of(&client);
        let answer = answers.next();
        assert_eq!((answer.code, answer.closes()), (503, true), "{home:?}");
        client.shutdown_write();
        answers.expect_end();
        serving.report();
        assert!(next(&lines).starts_with("GET / HTTP/1.1 503 "));
        assert_eq!(counted.stats().response_timeouts, 1);
        go.send(()).expect("the worker waits");
        next(&ended);
        let mut client = serving.connect();
        client.send(get("/quick"));
        assert_eq!(Answers::of(&client).next().short(), (200, "quick".into()));
        assert_eq!(next(&lines), "GET /quick HTTP/1.1 200 5");
    }
}

// All of it on one connection.

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
        let (sender, requests) = channel();
        let (site, _lines) = Site::new(move |_, mut response| {
            let reader = response.body_reader();
            let (deferred, reply) = response.defer();
            let stream = deferred.stream(|response| response.send_response(200))?;
            stream.send("begun,")?;
            sender.send((reader, stream))?;
            Ok(reply)
        });
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

// Limits and deadlines.

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
