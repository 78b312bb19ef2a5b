//! Content that is streamed, in either direction, over sockets and between threads; on the loop
//! and on the threads of a `ThreadingHttpServer`.
//!
//! What `exchange.rs` shows by hand, step by step, is here in the presence of real buffers, real
//! clients that are slow or leave, and real workers.
#![cfg(feature = "server")]

#[path = "streaming/events.rs"]
mod events;
#[path = "streaming/every_way.rs"]
mod every_way;
#[path = "streaming/lent.rs"]
mod lent;
#[path = "streaming/limits.rs"]
mod limits;
#[path = "streaming/pushed.rs"]
mod pushed;
#[path = "streaming/read.rs"]
mod read;
mod support;
#[path = "streaming/uploads.rs"]
mod uploads;
#[path = "streaming/workers.rs"]
mod workers;

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

/// Begins to push the answer to each request, and hands out the reader and the rest of the answer.
fn begin_with(first: &'static str) -> (Site, Receiver<(BodyReader, ResponseStream)>) {
    let (sender, requests) = channel();
    let (site, _) = Site::new(move |_, mut response| {
        let reader = response.body_reader();
        let (deferred, reply) = response.defer();
        let stream = deferred.stream(|response| response.send_response(200))?;
        stream.send(first)?;
        sender.send((reader, stream))?;
        Ok(reply)
    });
    (site, requests)
}

fn evented(site: Site, settings: HttpSettings) -> Driven<Http<Site>> {
    Driven::new(EventedSettings::default(), Http::new(site, settings))
}

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const GET_1_0: &str = "GET / HTTP/1.0\r\n\r\n";

fn get(path: &str) -> String {
    head("GET", path, "")
}
