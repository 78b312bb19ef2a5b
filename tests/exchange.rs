//! Requests whose answers take more than one call: content on its way in, answers on their way
//! out, messages from elsewhere. Bytes, times and messages in, bytes and verdicts out.
#![cfg(feature = "server")]

mod support;

use std::io::{self, ErrorKind, Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serve_forever::http::{
    Block, BodyPolicy, BodyReader, BodySink, BodySource, Deferred, HttpRequestHandler, HttpResult,
    HttpSettings, LogEntry, Message, Pooled, Request, Response, ResponseError, ResponseHead,
    ResponseStream, Want, h1,
};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{
    Buffer, Failure, MAILBOX_CAPACITY, Next, Pool, Protocol, SendError,
};
use support::patience::{PATIENCE, wait_until};
use support::wire::{GET, Wire, answer, status};

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const SECOND: Duration = Duration::from_secs(1);

/// A handler that decides from the head, made of closures, which writes a log.
#[derive(Clone)]
struct Handler<I, H> {
    intake: I,
    handle: H,
    log: Log,
}

/// One line a request, and one for each error page.
type Log = Arc<Mutex<Vec<String>>>;

impl<I, H> HttpRequestHandler for Handler<I, H>
where
    I: FnMut(&Request<'_>) -> BodyPolicy,
    H: FnMut(&Request<'_>, Response<'_>) -> HttpResult,
{
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        (self.handle)(request, response)
    }

    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        (self.intake)(request)
    }

    fn log_request(&mut self, entry: &LogEntry<'_>) {
        let line = format!(
            "{} {:?} {} {}{}",
            entry.request_line().escape_ascii(),
            entry.code(),
            entry.sent(),
            entry.duration().as_secs(),
            if entry.is_complete() { "" } else { " broken" },
        );
        self.log.lock().expect("no panic in here").push(line);
    }

    fn log_error(&mut self, entry: &LogEntry<'_>, message: &str) {
        assert!(entry.code().is_some());
        let line = message.to_owned();
        self.log.lock().expect("no panic in here").push(line);
    }
}

/// A connection whose handler decides by `body_policy`, and its log.
fn wire<I, H>(intake: I, handle: H) -> (Wire, Log)
where
    I: FnMut(&Request<'_>) -> BodyPolicy + 'static,
    H: FnMut(&Request<'_>, Response<'_>) -> HttpResult + 'static,
{
    let log = Log::default();
    let wire = Wire::new(Handler {
        intake,
        handle,
        log: Arc::clone(&log),
    });
    (wire, log)
}

fn streamed(_: &Request<'_>) -> BodyPolicy {
    BodyPolicy::streamed()
}

/// Delivers what a worker has to say, once it has.
fn await_news(wire: &mut Wire) {
    wait_until("the worker goes on", || wire.deliver() > 0);
}

fn taken(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().expect("no panic in here"))
}

fn post(length: usize, rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n{rest}\r\n")
}

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

fn ok(body: &str) -> String {
    let length = body.len();
    answer("200 OK", &format!("Content-Length: {length}\r\n\r\n{body}"))
}

/// Counts blocks and answers with what it got; enough after so many bytes.
struct Collect {
    content: Vec<u8>,
    enough: usize,
    dropped: Sender<usize>,
}

impl BodySink for Collect {
    fn block(&mut self, block: &[u8]) -> Result<Want, Failure> {
        assert!(!block.is_empty());
        if block.starts_with(b"fail") {
            return Err(io::Error::other("scripted").into());
        }
        assert!(!block.starts_with(b"panic"), "scripted panic");
        self.content.extend_from_slice(block);
        Ok(match self.content.len() >= self.enough {
            true => Want::Enough,
            false => Want::More,
        })
    }

    fn finish(self: Box<Self>, trailers: h1::Fields<'_>, response: Response<'_>) -> HttpResult {
        let mut told = self.content.clone();
        for (name, value) in trailers {
            told.extend_from_slice(format!("|{name}=").as_bytes());
            told.extend_from_slice(value);
        }
        response.send_response(200).body(told)
    }
}

impl Drop for Collect {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.dropped.send(self.content.len());
    }
}

/// A handler that collects, and where the sinks are heard of when they go.
fn collecting(
    enough: usize,
) -> (
    impl FnMut(&Request<'_>, Response<'_>) -> HttpResult,
    Receiver<usize>,
) {
    let (dropped, drops) = channel();
    let handler = move |_: &Request<'_>, response: Response<'_>| {
        response.receive(Collect {
            content: Vec::new(),
            enough,
            dropped: dropped.clone(),
        })
    };
    (handler, drops)
}

// Content is taken by a sink.

/// Whole or in part, with its head or after it: the same answer, and the next request after it.
#[test]
fn a_sink_gets_all_the_content_in_order() {
    let chunked = [CHUNKED, "3\r\nabc\r\n2\r\nde\r\n0\r\nSum: 5\r\n\r\n"].concat();
    let requests = [
        (post(5, "") + "abcde", ok("abcde")),
        (chunked, ok("abcde|Sum=5")),
        (GET.to_owned(), ok("")),
    ];
    for (request, expected) in requests {
        let input = [&request, GET].concat();
        for split in 0..=input.len() {
            let (handler, drops) = collecting(usize::MAX);
            let (mut wire, _) = wire(streamed, handler);
            wire.receive(&input[..split]);
            wire.receive(&input[split..]);
            let both = [expected.as_str(), &ok("")].concat();
            assert_eq!(
                (wire.sent(), wire.verdict),
                (both, "Read"),
                "split at {split}"
            );
            assert_eq!(drops.try_iter().count(), 2, "split at {split}");
        }
    }
}

/// Nothing is kept: an upload may be larger than memory.
#[test]
fn content_that_a_sink_has_taken_is_not_kept() {
    let (handler, drops) = collecting(usize::MAX);
    let (mut wire, log) = wire(streamed, handler);
    wire.receive(post(100_000_000, ""));
    for _ in 0..100 {
        wire.receive([b'x'; 10_000]);
        assert!(wire.input.is_empty() && wire.input.capacity() <= 32 * 1024);
    }
    assert_eq!((wire.sent().as_str(), wire.verdict), ("", "Read"));
    // The client leaves: the sink goes without having finished, and there was no answer.
    wire.input_closed();
    assert_eq!((wire.sent().as_str(), wire.verdict), ("", "Close"));
    assert_eq!(drops.try_recv(), Ok(1_000_000));
    assert_eq!(taken(&log), ["POST / HTTP/1.1 None 0 0 broken"]);
}

/// `receive_into` is a sink for whatever takes bytes.
#[test]
fn content_is_written_to_a_writer() {
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // At most three at a time, as a writer may.
            let count = bytes.len().min(3);
            self.0
                .lock()
                .expect("no panic in here")
                .write(&bytes[..count])
        }

        fn flush(&mut self) -> io::Result<()> {
            self.write_all(b".")
        }
    }
    let shared = Shared::default();
    let file = shared.clone();
    let handler = move |_: &Request<'_>, response: Response<'_>| {
        response.receive_into(file.clone(), |file, response| {
            let length = file.0.lock().expect("no panic in here").len();
            response.send_response(201).body(length.to_string())
        })
    };
    let (mut wire, _) = wire(streamed, handler);
    wire.receive(post(10, "") + "0123456");
    wire.receive("789");
    let created = answer("201 Created", "Content-Length: 2\r\n\r\n11");
    assert_eq!((wire.sent(), wire.verdict), (created, "Read"));
    assert_eq!(*shared.0.lock().expect("no panic in here"), b"0123456789.");
}

/// What a sink does not want is not read, and the connection cannot go on (design law 12).
#[test]
fn a_sink_may_have_enough() {
    let (handler, _) = collecting(3);
    let (mut wire, _) = wire(streamed, handler);
    wire.receive(post(100, ""));
    wire.receive("abcd");
    let rest = "Content-Length: 4\r\nConnection: close\r\n\r\nabcd";
    assert_eq!(
        (wire.sent(), wire.verdict),
        (answer("200 OK", rest), "Linger")
    );
    // At the very end it is whole all the same.
    let (handler, _) = collecting(3);
    let (mut whole, _) = self::wire(streamed, handler);
    whole.receive(post(4, ""));
    whole.receive("abcd");
    assert_eq!((whole.sent(), whole.verdict), (ok("abcd"), "Read"));
}

#[test]
fn a_sink_that_fails_is_answered_500() {
    for words in ["fail", "panic"] {
        for whole in [false, true] {
            let (handler, drops) = collecting(usize::MAX);
            let (mut wire, log) = wire(streamed, handler);
            if whole {
                wire.receive(post(words.len(), "") + words);
            } else {
                wire.receive(post(100, ""));
                wire.receive(words);
            }
            let sent = wire.sent();
            assert_eq!((status(&sent), wire.verdict), (500, "Linger"), "{words}");
            assert!(sent.contains("Connection: close"), "{words}: {sent}");
            let failure = wire.failure().expect("it is reported");
            assert!(failure.contains("scripted"), "{words}: {failure}");
            assert!(drops.try_recv().is_ok(), "{words}: the sink is gone");
            let page = sent.split("\r\n\r\n").nth(1).map_or(0, str::len);
            let lines = [
                "code 500, message Internal Server Error".to_owned(),
                format!("POST / HTTP/1.1 Some(500) {page} 0"),
            ];
            assert_eq!(taken(&log), lines, "{words}");
        }
    }
}

/// Malformed, too large: refused, and the sink never finishes.
#[test]
fn a_sink_is_not_given_what_is_no_content() {
    let intake = |_: &Request<'_>| BodyPolicy::streamed().limit(10);
    let cases = [
        ("5\r\nabcde\r\nx", 400, 5),
        ("5\r\nabcde\r\n6\r\n", 413, 5),
        ("5\r\nabcdeX", 400, 5),
    ];
    for (content, code, arrived) in cases {
        let (handler, drops) = collecting(usize::MAX);
        let (mut wire, log) = wire(intake, handler);
        wire.receive(CHUNKED);
        for byte in content.bytes() {
            wire.receive([byte]);
        }
        let sent = wire.sent();
        assert_eq!(
            (status(&sent), wire.verdict),
            (code, "Linger"),
            "{content:?}"
        );
        assert_eq!(drops.try_recv(), Ok(arrived), "{content:?}");
        assert_eq!(taken(&log).len(), 2, "{content:?}");
    }
}

/// A sink that answers with an error decides alone; one that takes in twice does not answer.
#[test]
fn content_is_taken_in_once() {
    struct Again;
    impl BodySink for Again {
        fn block(&mut self, _: &[u8]) -> Result<Want, Failure> {
            Ok(Want::More)
        }

        fn finish(self: Box<Self>, _: h1::Fields<'_>, response: Response<'_>) -> HttpResult {
            response.receive(Again)
        }
    }
    let handler = |_: &Request<'_>, response: Response<'_>| response.receive(Again);
    for request in [post(1, "") + "x", GET.to_owned()] {
        let (mut wire, _) = wire(streamed, handler);
        wire.receive(request);
        assert_eq!((status(&wire.sent()), wire.verdict), (500, "Linger"));
    }
}

// What is decided from the head.

#[test]
fn content_may_be_refused_unread() {
    for code in [413, 417, 403] {
        for expect in ["", "Expect: 100-continue\r\n"] {
            let handler = |_: &Request<'_>, _: Response<'_>| panic!("never handled");
            let (mut wire, log) = wire(move |_: &Request<'_>| BodyPolicy::refused(code), handler);
            wire.receive(post(10, expect));
            let sent = wire.sent();
            assert_eq!((status(&sent), wire.verdict), (code, "Linger"), "{code}");
            assert!(!sent.contains("100 Continue"), "{code}: {sent}");
            assert_eq!(taken(&log).len(), 2);
        }
    }
    // A code that is none is the handler's failure; nothing of it is sent.
    let handler = |_: &Request<'_>, _: Response<'_>| panic!("never handled");
    let (mut wire, _) = wire(|_: &Request<'_>| BodyPolicy::refused(42), handler);
    wire.receive(post(10, ""));
    assert_eq!(wire.verdict, "Linger");
    assert!(wire.failure().is_some());
    assert!(!wire.sent().contains("42"));
}

/// The limit of one request is not that of another, with and without a length.
#[test]
fn a_limit_of_its_own() {
    let intake = |request: &Request<'_>| match request.path() {
        "/small" => BodyPolicy::whole().limit(3),
        "/large" => BodyPolicy::whole().limit(2 * 1024 * 1024),
        "/small-stream" => BodyPolicy::streamed().limit(3),
        _ => BodyPolicy::whole(),
    };
    let handler = |request: &Request<'_>, response: Response<'_>| {
        let length = request.body().len();
        response.send_response(200).body(length.to_string())
    };
    let mega = 1024 * 1024;
    let cases = [
        ("/", mega, 200),
        ("/", mega + 1, 413),
        ("/small", 3, 200),
        ("/small", 4, 413),
        ("/small-stream", 4, 413),
        ("/large", 2 * mega, 200),
        ("/large", 2 * mega + 1, 413),
    ];
    for (path, length, code) in cases {
        let content = "x".repeat(length);
        let (mut sized, _) = wire(intake, handler);
        let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\n");
        sized.receive(format!("{head}Content-Length: {length}\r\n\r\n"));
        if code == 200 {
            sized.receive(&content);
        }
        assert_eq!(status(&sized.sent()), code, "{path} {length}");
        if path.ends_with("stream") {
            continue; // answered before it is too large
        }
        let (mut chunked, _) = wire(intake, handler);
        chunked.receive(format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n"
        ));
        if code == 200 {
            chunked.receive(content + "\r\n0\r\n\r\n");
        }
        assert_eq!(status(&chunked.sent()), code, "chunked {path} {length}");
    }
}

/// Law 8: whatever its rate, a body has an hour in all, and nothing that arrives extends that. A
/// request may have a total of its own.
#[test]
fn a_body_has_a_limited_time_in_all() {
    let intake = |request: &Request<'_>| {
        let mut deadlines = HttpSettings::default().deadlines.body;
        if request.path() == "/own" {
            deadlines.total = 100 * SECOND;
        }
        BodyPolicy::streamed().deadlines(deadlines)
    };
    for (path, total) in [("/", 3600), ("/own", 100)] {
        let (handler, drops) = collecting(usize::MAX);
        let (mut wire, _log) = wire(intake, handler);
        let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n");
        wire.receive(head);
        for seconds in (0..total).step_by(5) {
            wire.at(seconds * SECOND);
            wire.receive([b'x'; 3000]); // 600 bytes a second
            let end = total.min(seconds + 10);
            assert_eq!(wire.deadline(), Some(end * SECOND), "{path}");
        }
        assert_eq!(drops.try_recv().ok(), None, "{path}: it goes on");
        wire.at(total * SECOND);
        wire.timed_out();
        let end = (status(&wire.sent()), wire.verdict);
        assert_eq!(end, (408, "Linger"), "{path}");
        assert!(drops.try_recv().is_ok(), "{path}: the sink is dropped");
    }
}

/// Law 8, by the clock that is passed in: each request may have deadlines of its own.
#[test]
fn deadlines_of_its_own() {
    let intake = |request: &Request<'_>| {
        let mut deadlines = HttpSettings::default().deadlines.body;
        deadlines.idle = 3 * SECOND;
        deadlines.grace = 5 * SECOND;
        deadlines.rate = 10;
        match request.path() {
            "/whole" => BodyPolicy::whole().deadlines(deadlines),
            _ => BodyPolicy::streamed().deadlines(deadlines),
        }
    };
    for path in ["/whole", "/streamed"] {
        let (handler, drops) = collecting(usize::MAX);
        let (mut wire, log) = wire(intake, handler);
        let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
        wire.receive(head);
        assert_eq!(wire.deadline(), Some(3 * SECOND), "{path}");
        wire.at(2 * SECOND);
        wire.receive("x");
        assert_eq!(
            wire.deadline(),
            Some(5 * SECOND),
            "{path}: the grace ends first"
        );
        wire.at(4 * SECOND);
        wire.receive([b'x'; 29]);
        assert_eq!(
            wire.deadline(),
            Some(7 * SECOND),
            "{path}: 30 bytes pay for 3 s"
        );
        wire.at(7 * SECOND);
        wire.timed_out();
        assert_eq!(
            (status(&wire.sent()), wire.verdict),
            (408, "Linger"),
            "{path}"
        );
        assert_eq!(drops.try_recv().is_ok(), path == "/streamed");
        let lines = taken(&log);
        assert!(lines[1].ends_with(" 7"), "{lines:?}: it took 7 s");
    }
}

/// A failure in the decision is the handler's.
#[test]
fn a_decision_that_panics_is_answered_500() {
    let intake = |_: &Request<'_>| -> BodyPolicy { panic!("scripted") };
    let handler = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("");
    let (mut wire, _) = wire(intake, handler);
    wire.receive(GET); // no content, nothing to decide
    assert_eq!(wire.sent(), ok(""));
    wire.receive(post(1, "") + "x");
    assert_eq!((status(&wire.sent()), wire.verdict), (500, "Linger"));
    assert!(
        wire.failure()
            .is_some_and(|failure| failure.contains("scripted"))
    );
}

// 100 Continue (HTTP-26, RFC 9110 §10.1.1).

#[test]
fn a_sink_asks_for_content_at_once() {
    let (handler, _) = collecting(usize::MAX);
    let (mut wire, _) = wire(streamed, handler);
    wire.receive(post(2, "Expect: 100-continue\r\n"));
    assert_eq!((wire.sent().as_str(), wire.verdict), (CONTINUE, "Read"));
    wire.receive("ab");
    assert_eq!((wire.sent(), wire.verdict), (ok("ab"), "Read"));
    // Who sends without waiting does not wait.
    wire.receive(post(2, "Expect: 100-continue\r\n") + "a");
    assert_eq!(wire.sent(), "");
    wire.receive("b");
    assert_eq!(wire.sent(), ok("ab"));
}

#[test]
fn an_answer_without_the_content_does_not_ask_for_it() {
    let handler = |_: &Request<'_>, response: Response<'_>| response.send_response(403).body("no");
    let (mut wire, _) = wire(streamed, handler);
    wire.receive(post(2, "Expect: 100-continue\r\n"));
    let no = answer(
        "403 Forbidden",
        "Content-Length: 2\r\nConnection: close\r\n\r\nno",
    );
    assert_eq!((wire.sent(), wire.verdict), (no, "Linger"));
}

// Content is read elsewhere.

/// Hands readers and duties to the test.
fn elsewhere() -> (
    impl FnMut(&Request<'_>, Response<'_>) -> HttpResult,
    Receiver<(BodyReader, Deferred)>,
) {
    let (sender, receiver) = channel();
    let handler = move |_: &Request<'_>, mut response: Response<'_>| {
        let reader = response.body_reader();
        let (deferred, reply) = response.defer();
        sender.send((reader, deferred))?;
        Ok(reply)
    };
    (handler, receiver)
}

#[test]
fn a_reader_gets_all_the_content_and_its_trailers() {
    let input = [CHUNKED, "3\r\nabc\r\n2\r\nde\r\n0\r\nSum: 5\r\n\r\n", GET].concat();
    for split in 0..=input.len() {
        let (handler, requests) = elsewhere();
        let (mut wire, _) = wire(streamed, handler);
        wire.receive(&input[..split]);
        if wire.reads() {
            wire.receive(&input[split..]);
        } else {
            wire.input.extend_from_slice(&input.as_bytes()[split..]);
        }
        let (mut reader, deferred) = requests.try_recv().expect("it was handled");
        let mut content = String::new();
        reader.read_to_string(&mut content).expect("it has an end");
        assert_eq!(content, "abcde", "split at {split}");
        assert_eq!(
            reader.trailers().get("sum"),
            Some(&b"5"[..]),
            "split at {split}"
        );
        assert_eq!(reader.read(&mut [0; 8]).ok(), Some(0), "an end is an end");
        let sent = deferred.respond(|response| response.send_response(200).body("one"));
        sent.expect("the client is there");
        wire.deliver();
        let (mut reader, deferred) = requests.try_recv().expect("the next request");
        assert_eq!(
            reader.read(&mut [0; 8]).ok(),
            Some(0),
            "there is no content"
        );
        let sent = deferred.respond(|response| response.send_response(200).body("two"));
        sent.expect("the client is there");
        wire.deliver();
        let both = [ok("one"), ok("two")].concat();
        assert_eq!(
            (wire.sent(), wire.verdict),
            (both, "Read"),
            "split at {split}"
        );
    }
}

/// The reader asks: a client that waits is told to go on when it is first read.
#[test]
fn a_reader_asks_for_content_when_it_is_read() {
    let (handler, requests) = elsewhere();
    let (mut wire, _) = wire(streamed, handler);
    wire.receive(post(2, "Expect: 100-continue\r\n"));
    assert_eq!((wire.sent().as_str(), wire.verdict), ("", "Wait"));
    let (reader, deferred) = requests.try_recv().expect("it was handled");
    let reading = std::thread::spawn(move || {
        let mut reader = reader;
        let mut content = String::new();
        reader.read_to_string(&mut content).map(|_| content)
    });
    while wire.deliver() == 0 {
        std::thread::yield_now();
    }
    assert_eq!((wire.sent().as_str(), wire.verdict), (CONTINUE, "Read"));
    wire.receive("ab");
    let content = reading.join().expect("no panic").expect("it has an end");
    assert_eq!(content, "ab");
    deferred
        .respond(|response| response.send_response(200).body("c"))
        .expect("there");
    wire.deliver();
    assert_eq!((wire.sent(), wire.verdict), (ok("c"), "Read"));
}

/// Never read, never asked for.
#[test]
fn a_reader_that_is_not_read_asks_for_nothing() {
    let (handler, requests) = elsewhere();
    let (mut wire, _) = wire(streamed, handler);
    wire.receive(post(2, "Expect: 100-continue\r\n"));
    let (reader, deferred) = requests.try_recv().expect("it was handled");
    drop(reader);
    deferred
        .respond(|response| response.send_response(403).body(""))
        .expect("there");
    wire.deliver();
    let no = answer(
        "403 Forbidden",
        "Content-Length: 0\r\nConnection: close\r\n\r\n",
    );
    assert_eq!((wire.sent(), wire.verdict), (no, "Linger"));
}

/// Back-pressure: nothing is read from the socket while the reader is behind, and the client is
/// not held to its deadlines meanwhile.
#[test]
fn a_reader_that_is_behind_holds_the_client_back() {
    let (handler, requests) = elsewhere();
    let (mut wire, _) = wire(streamed, handler);
    wire.receive(post(200_000, ""));
    let (mut reader, deferred) = requests.try_recv().expect("it was handled");
    let mut fed = 0;
    while wire.reads() {
        wire.receive([b'x'; 10_000]);
        fed += 10_000;
    }
    assert_eq!((wire.verdict, fed), ("Wait", 70_000));
    assert_eq!(
        wire.deadline(),
        Some(60 * SECOND),
        "the answer's, not the client's"
    );
    wire.at(40 * SECOND);
    let mut content = vec![0; 30_000];
    reader.read_exact(&mut content).expect("it is there");
    assert_eq!(wire.deliver(), 0, "still behind");
    reader.read_exact(&mut content).expect("it is there");
    assert_eq!(wire.deliver(), 1, "below the low-water mark");
    assert_eq!(wire.verdict, "Read");
    assert_eq!(wire.deadline(), Some(50 * SECOND), "idle from now on");
    wire.at(45 * SECOND);
    wire.receive([b'x'; 100]);
    // 30 s of grace, 40 s of pause, 70 100 bytes at 500 a second; idle is sooner.
    assert_eq!(wire.deadline(), Some(55 * SECOND));
    drop(reader);
    wire.receive([b'x'; 100]);
    assert_eq!(wire.verdict, "Wait", "nobody reads any more");
    deferred
        .respond(|response| response.send_response(200).body(""))
        .expect("there");
    wire.deliver();
    assert!(wire.sent().contains("Connection: close"));
    assert_eq!(wire.verdict, "Linger");
}

/// A reader cannot take what is cut short for the whole.
#[test]
fn a_reader_learns_that_the_client_left() {
    type End = fn(&mut Wire);
    let ends: [(&str, End); 4] = [
        ("half-close", |wire| wire.input_closed()),
        ("lost", |wire| wire.connection_lost()),
        ("too slow", |wire| {
            wire.at(10 * SECOND);
            wire.timed_out();
        }),
        ("malformed", |wire| wire.receive("x")),
    ];
    for (name, end) in ends {
        let (handler, requests) = elsewhere();
        let (mut wire, log) = wire(streamed, handler);
        wire.receive([CHUNKED, "3\r\nabc\r\n"].concat());
        let (mut reader, deferred) = requests.try_recv().expect("it was handled");
        end(&mut wire);
        let mut content = Vec::new();
        let error = reader.read_to_end(&mut content).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{name}");
        assert_eq!(content, b"abc", "{name}");
        // Whatever it answers now comes too late, and changes nothing.
        let sent = wire.sent();
        let _ = deferred.respond(|response| response.send_response(200).body("late"));
        wire.deliver();
        assert!(!sent.contains("200 OK") && wire.sent().is_empty(), "{name}");
        assert!(!taken(&log).is_empty(), "{name}: it is logged");
    }
}

#[test]
fn a_second_reader_reads_nothing() {
    let handler = |_: &Request<'_>, mut response: Response<'_>| {
        let (_first, mut second) = (response.body_reader(), response.body_reader());
        let error = second.read(&mut [0; 8]).expect_err("it is not its content");
        response.send_response(200).body(error.kind().to_string())
    };
    let (mut wire, _) = wire(streamed, handler);
    wire.receive(post(2, ""));
    let sent = wire.sent();
    assert!(sent.ends_with("unexpected end of file"), "{sent}");
}

// Answers that come late.

/// GUARD-3: the client is told when to try again.
#[test]
fn an_answer_that_is_owed_too_long_is_503() {
    for patience in [None, Some(7 * SECOND)] {
        let (sender, duties) = channel();
        let handler = move |_: &Request<'_>, response: Response<'_>| {
            let response = match patience {
                Some(patience) => response.respond_within(patience),
                None => response,
            };
            let (deferred, reply) = response.defer();
            sender.send(deferred)?;
            Ok(reply)
        };
        let mut wire = Wire::new(handler);
        wire.at(SECOND);
        wire.receive(GET);
        let due = SECOND + patience.unwrap_or(60 * SECOND);
        assert_eq!(wire.deadline(), Some(due));
        wire.at(due);
        wire.timed_out();
        let sent = wire.sent();
        assert_eq!((status(&sent), wire.verdict), (503, "Linger"));
        assert!(sent.contains("\r\nRetry-After: 1\r\n"), "{sent}");
        let failure = wire.failure();
        assert_eq!(failure, Some(ResponseError::Overdue.to_string()));
        let deferred: Deferred = duties.try_recv().expect("it was handled");
        let _ = deferred.respond(|response| response.send_response(200).body("late"));
        wire.deliver();
        assert_eq!(wire.sent(), "");
    }
}

/// An answer to an earlier request does not answer a later one.
#[test]
fn an_answer_finds_the_request_it_is_for() {
    let (sender, duties) = channel();
    let mut wire = Wire::new(move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        sender.send(deferred)?;
        Ok(reply)
    });
    wire.receive(GET.repeat(2));
    let first: Deferred = duties.try_recv().expect("it was handled");
    let stream = first.stream(|response| {
        response
            .send_response(200)
            .send_header("Content-Length", "3")
    });
    let stream = stream.expect("there");
    stream.send("one").expect("there is room");
    wire.deliver();
    let one = answer("200 OK", "Content-Length: 3\r\n\r\none");
    assert_eq!((wire.sent(), wire.verdict), (one, "Wait"));
    assert!(stream.is_gone());
    drop(stream); // which is no end, for what has ended
    let second: Deferred = duties.try_recv().expect("it was handled");
    wire.deliver();
    assert_eq!((wire.sent().as_str(), wire.verdict), ("", "Wait"));
    second
        .respond(|response| response.send_response(200).body("two"))
        .expect("there");
    wire.deliver();
    assert_eq!((wire.sent(), wire.verdict), (ok("two"), "Read"));
}

/// RFC 9110 §15.2: ahead of the answer, to who knows such a thing.
#[test]
fn interim_responses() {
    let hints = [("Link", "</style.css>; rel=preload")];
    let now = move |request: &Request<'_>, response: Response<'_>| {
        assert_eq!(request.method(), "GET");
        response
            .send_interim(103, &hints)?
            .send_response(200)
            .body("x")
    };
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
    let mut wire = Wire::new(now);
    wire.receive(GET);
    assert_eq!(wire.sent(), [interim, &ok("x")].concat());
    let mut old = Wire::new(now);
    old.receive("GET / HTTP/1.0\r\n\r\n");
    assert!(old.sent().starts_with("HTTP/1.1 200 OK"));

    let (sender, duties) = channel();
    let mut late = Wire::new(move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        sender.send(deferred)?;
        Ok(reply)
    });
    late.receive(GET);
    let deferred: Deferred = duties.try_recv().expect("it was handled");
    deferred.send_interim(103, &hints).expect("it is one");
    for code in [99, 101, 200, 1000] {
        assert!(deferred.send_interim(code, &[]).is_err(), "{code}");
    }
    assert!(deferred.send_interim(103, &[("X", "a\r\nb")]).is_err());
    for name in ["content-length", "Transfer-Encoding"] {
        let announced = deferred.send_interim(103, &[("X", "y"), (name, "0")]);
        assert_eq!(announced, Err(ResponseError::Interim), "{name}");
    }
    late.deliver();
    assert_eq!((late.sent().as_str(), late.verdict), (interim, "Wait"));
    deferred
        .respond(|response| response.send_response(200).body("x"))
        .expect("there");
    late.deliver();
    assert_eq!(late.sent(), ok("x"));
}

/// Design, section 2: what waits for one connection is bounded, and what is said by the way does
/// not wait.
#[test]
fn interim_responses_without_room_are_not_sent() {
    let (sender, duties) = channel();
    let mut wire = Wire::new(move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        sender.send(deferred)?;
        Ok(reply)
    });
    wire.receive(GET);
    let deferred: Deferred = duties.try_recv().expect("it was handled");
    for _ in 0..1000 {
        deferred.send_interim(102, &[]).expect("it is one");
    }
    deferred
        .respond(|response| response.send_response(200).body("x"))
        .expect("there");
    assert_eq!(wire.deliver(), MAILBOX_CAPACITY as usize + 1);
    let progress = "HTTP/1.1 102 Processing\r\n\r\n".repeat(MAILBOX_CAPACITY as usize);
    assert_eq!(wire.sent(), [progress, ok("x")].concat());
}

/// A status that does not end the request would be taken for the answer to the next.
#[test]
fn an_answer_must_be_final() {
    let cases = [
        (GET, 100),
        (GET, 103),
        (GET, 199),
        ("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", 200),
        ("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", 204),
    ];
    for (request, code) in cases {
        let handler =
            move |_: &Request<'_>, response: Response<'_>| response.send_response(code).body("");
        let mut wire = Wire::new(handler);
        wire.receive(request);
        assert_eq!(
            (status(&wire.sent()), wire.verdict),
            (500, "Linger"),
            "{code}"
        );
        let failure = wire.failure();
        assert_eq!(failure, Some(ResponseError::NotFinal.to_string()), "{code}");
    }
}

// Answers are pushed.

/// Begins a response; the test pushes the body.
type Begin = fn(Response<'_>) -> ResponseHead<'_>;

fn plain(response: Response<'_>) -> ResponseHead<'_> {
    response.send_response(200)
}

/// Hands the streams of responses to the test, when they have sent the `first` block.
fn pushing(begin: Begin, first: &'static str) -> (Wire, Receiver<ResponseStream>) {
    let (sender, streams) = channel();
    let wire = Wire::new(move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        let stream = deferred.stream(begin)?;
        // Ignore the error: a response without a body has ended.
        let _ = stream.send(first);
        sender.send(stream)?;
        Ok(reply)
    });
    (wire, streams)
}

#[test]
fn an_answer_is_pushed_block_by_block() {
    let (mut wire, streams) = pushing(plain, "one");
    wire.receive(GET.repeat(2));
    wire.deliver();
    let head = answer("200 OK", "Transfer-Encoding: chunked\r\n\r\n");
    assert_eq!(wire.sent(), format!("{head}3\r\none\r\n"));
    assert_eq!((wire.verdict, wire.deadline()), ("Wait", None));
    let stream = streams.try_recv().expect("it was handled");
    stream.send("two").expect("there is room");
    stream.send("").expect("nothing is no end");
    stream.send("three").expect("there is room");
    wire.deliver();
    assert_eq!(wire.sent(), "3\r\ntwo\r\n5\r\nthree\r\n");
    let trailers = vec![("Sum".to_owned(), b"11".to_vec())];
    stream.finish_with_trailers(&trailers).expect("there");
    wire.deliver();
    // And the next request after it.
    assert_eq!(
        wire.sent(),
        format!("0\r\nSum: 11\r\n\r\n{head}3\r\none\r\n")
    );
}

#[test]
fn a_pushed_answer_keeps_to_its_length() {
    let (mut wire, streams) = pushing(
        |response| plain(response).send_header("Content-Length", "5"),
        "",
    );
    wire.receive(GET);
    let stream = streams.try_recv().expect("it was handled");
    stream.send("abc").expect("there is room");
    stream.send("defg").expect("there is room");
    wire.deliver();
    let whole = answer("200 OK", "Content-Length: 5\r\n\r\nabcde");
    assert_eq!((wire.sent(), wire.verdict), (whole, "Read"));
    assert_eq!(wire.failure(), Some(ResponseError::TooLong.to_string()));
    assert_eq!(stream.send("more"), Err(SendError::Gone("more")));
    assert!(stream.finish().is_err());

    wire.receive(GET);
    let short = streams.try_recv().expect("it was handled");
    short.send("abc").expect("there is room");
    short.finish().expect("there");
    wire.deliver();
    assert_eq!(wire.verdict, "Linger", "only the end can tell");
    assert_eq!(wire.failure(), Some(ResponseError::TooShort.to_string()));
}

/// Dropped without an end: no client takes it for the whole.
#[test]
fn a_pushed_answer_that_is_dropped_is_broken_off() {
    for (version, verdict) in [("1.1", "Close"), ("1.0", "Abort")] {
        let (mut wire, streams) = pushing(plain, "one");
        wire.receive(format!("GET / HTTP/{version}\r\nHost: h\r\n\r\n"));
        wire.deliver();
        let sent = wire.sent();
        assert!(sent.ends_with("one") || sent.ends_with("one\r\n"), "{sent}");
        drop(streams);
        wire.deliver();
        assert_eq!(
            (wire.sent().as_str(), wire.verdict),
            ("", verdict),
            "{version}"
        );
        let failure = wire.failure();
        assert_eq!(failure, Some(ResponseError::Unfinished.to_string()));
    }
}

#[test]
fn a_pushed_answer_without_content_ends_at_once() {
    for (request, code, begin) in [
        ("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", 200, plain as Begin),
        (GET, 204, |response| response.send_response(204)),
        (GET, 304, |response| response.send_response(304)),
    ] {
        let (mut wire, streams) = pushing(begin, "one");
        wire.receive(request);
        let stream = streams.try_recv().expect("it was handled");
        wire.deliver();
        assert_eq!(wire.verdict, "Read", "{code}");
        assert!(wire.sent().ends_with("\r\n\r\n"), "{code}");
        assert!(stream.is_gone(), "{code}");
        drop(stream);
        wire.deliver();
        assert_eq!((wire.failure(), wire.verdict), (None, "Read"), "{code}");
    }
}

/// A handler need not know that a request is a HEAD: what it pushes is dropped, and is no failure.
#[test]
fn a_handler_pushes_to_head_as_to_get() {
    let mut wire = Wire::new(|_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        let stream = deferred.stream(plain)?;
        stream.send("one")?;
        stream.finish()?;
        Ok(reply)
    });
    for _ in 0..2 {
        wire.receive("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
        wire.deliver();
        let head = answer("200 OK", "Transfer-Encoding: chunked\r\n\r\n");
        assert_eq!((wire.sent(), wire.verdict), (head, "Read"));
        assert_eq!(wire.failure(), None);
    }
}

#[test]
fn a_head_that_cannot_be_sent_pushes_nothing() {
    let (mut wire, streams) = pushing(
        |response| plain(response).send_header("X", "a\r\nevil: b"),
        "one",
    );
    wire.receive(GET);
    let stream = streams.try_recv().expect("it was handled");
    wire.deliver();
    let sent = wire.sent();
    assert_eq!((status(&sent), wire.verdict), (500, "Linger"));
    assert!(!sent.contains("evil"), "{sent}");
    assert!(stream.is_gone());
}

/// The queue between producer and client is bounded.
#[test]
fn a_push_that_has_no_room_is_refused() {
    let (mut wire, streams) = pushing(plain, "");
    wire.receive(GET);
    let mut stream = streams.try_recv().expect("it was handled");
    let mut pushed = 0;
    while stream.send([b'x'; 10_000]).is_ok() {
        pushed += 1;
    }
    assert_eq!(pushed, 7, "64 KiB and a block");
    let refused = stream.send("x");
    assert_eq!(refused, Err(SendError::Full("x")));
    wire.deliver();
    stream.send("x").expect("there is room again");
    // Small blocks count, too: no more than 64.
    wire.deliver();
    let small = (0..).take_while(|_| stream.send("x").is_ok()).count();
    assert_eq!(small, 64);
    // A writer waits; it goes on when the queue has drained, and fails when the client has left.
    let writer = std::thread::spawn(move || {
        let first = stream.write(b"waited");
        while stream.write(&[b'x'; 10_000]).is_ok() {}
        first.ok()
    });
    let mut heard = 0;
    while heard <= 64 {
        heard += wire.deliver();
        std::thread::yield_now();
    }
    assert!(wire.sent().contains("waited"));
    drop(wire);
    assert_eq!(writer.join().ok(), Some(Some(6)));
}

// Trailers of an answer that is pulled.

#[test]
fn an_answer_that_is_pulled_may_have_trailers() {
    struct Source(u8, &'static str);
    impl BodySource for Source {
        fn next_block(&mut self) -> Result<Option<Block>, Failure> {
            self.0 -= 1;
            Ok((self.0 > 0).then(|| b"abc".into()))
        }

        fn trailers(&mut self) -> Vec<(String, Vec<u8>)> {
            vec![(self.1.to_owned(), b"1".to_vec())]
        }
    }
    let handler = |_: &Request<'_>, response: Response<'_>| {
        response.send_response(200).stream(Source(3, "Sum"))
    };
    let mut wire = Wire::new(handler);
    wire.receive(GET);
    let rest = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\nSum: 1\r\n\r\n";
    assert_eq!(
        (wire.sent(), wire.verdict),
        (answer("200 OK", rest), "Read")
    );
    // A field that frames messages is no trailer: the answer is broken off.
    let handler = |_: &Request<'_>, response: Response<'_>| {
        response
            .send_response(200)
            .stream(Source(3, "Content-Length"))
    };
    let mut wire = Wire::new(handler);
    wire.receive(GET);
    assert!(wire.sent().ends_with("3\r\nabc\r\n"));
    assert!(wire.failure().is_some());
    assert_eq!(wire.verdict, "Close");
}

// What is held back has begun.

/// SHUT-14: a drain that begins while a response is made elsewhere is told to its client, wherever
/// the head is written.
#[test]
fn a_late_head_says_that_the_connection_closes() {
    let workers = Pool::new().threads(1);
    let (go, gate) = channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let mut wire = Wire::new(move |_: &Request<'_>, response: Response<'_>| {
        let gate = Arc::clone(&gate);
        response.offload(&workers, move |response| {
            gate.lock().expect("no panic").recv()?;
            response.send_response(200).body("late")
        })
    });
    let late = answer(
        "200 OK",
        "Content-Length: 4\r\nConnection: close\r\n\r\nlate",
    );
    wire.receive("GET /offloaded HTTP/1.1\r\nHost: h\r\n\r\n");
    wire.drain();
    assert_eq!((wire.sent().as_str(), wire.verdict), ("", "Wait"));
    go.send(()).expect("it waits");
    while wire.deliver() == 0 {
        std::thread::yield_now();
    }
    assert_eq!((wire.sent(), wire.verdict), (late.clone(), "Linger"));

    let (sender, deferred) = channel();
    let mut wire = Wire::new(move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        sender.send(deferred)?;
        Ok(reply)
    });
    wire.receive(GET);
    wire.drain();
    let deferred: Deferred = deferred.try_recv().expect("it was handled");
    let sent = deferred.respond(|response| response.send_response(200).body("late"));
    sent.expect("the client is there");
    wire.deliver();
    assert_eq!((wire.sent(), wire.verdict), (late, "Linger"));
}

/// Requests that were pipelined and wait for room are answered by a drain: the first of them, and
/// the client is told that there will be no more.
#[test]
fn a_drain_answers_what_was_held_back() {
    let handler =
        |_: &Request<'_>, response: Response<'_>| response.send_response(200).body([b'x'; 70_000]);
    let mut wire = Wire::new(handler);
    wire.open = false;
    wire.receive(GET.repeat(3));
    assert_eq!(wire.verdict, "Produce");
    wire.drain();
    wire.open = true;
    let next = serve_forever::socketserver::Next::Produce;
    wire.follow(next);
    let sent = wire.sent();
    assert_eq!(sent.matches("HTTP/1.1 200 OK").count(), 2);
    assert_eq!(sent.matches("Connection: close").count(), 1);
    assert_eq!(wire.verdict, "Linger");
}

// Logs (WSGI-21, LOG-4, LOG-5).

#[test]
fn every_answer_is_logged_once() {
    let handler = |request: &Request<'_>, response: Response<'_>| match request.path() {
        "/error" => response.send_error(404),
        "/stream" => response.send_response(200).stream(["ab", "cd"].into_iter()),
        "/short" => response
            .send_response(200)
            .send_header("Content-Length", "9")
            .body("abc"),
        _ => response.send_response(200).body("hello"),
    };
    let cases: [(&str, &[&str]); 7] = [
        (GET, &["GET / HTTP/1.1 Some(200) 5 0"]),
        (
            "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
            &["HEAD / HTTP/1.1 Some(200) 0 0"],
        ),
        (
            "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n",
            &["GET /stream HTTP/1.1 Some(200) 4 0"],
        ),
        (
            "GET /short HTTP/1.1\r\nHost: h\r\n\r\n",
            &["GET /short HTTP/1.1 Some(200) 3 0 broken"],
        ),
        (
            "\r\nGET / HTTP/1.1\r\nHost\r\n\r\n",
            &[
                "code 400, message Bad Request",
                "GET / HTTP/1.1 Some(400) 0 0",
            ],
        ),
        (
            "G\x1bET / HTTP/1.1\r\n",
            &[
                "code 400, message Bad Request",
                "G\\x1bET / HTTP/1.1 Some(400) 0 0",
            ],
        ),
        ("G\0", &["code 400, message Bad Request", " Some(400) 0 0"]),
    ];
    for (request, expected) in cases {
        let (mut wire, log) = wire(|_: &Request<'_>| BodyPolicy::whole(), handler);
        wire.receive(request);
        let lines = taken(&log)
            .into_iter()
            .map(|line| match line.split_once(" Some(400) ") {
                // The page of an error is as long as it is.
                Some((start, _)) => format!("{start} Some(400) 0 0"),
                None => line,
            });
        assert_eq!(lines.collect::<Vec<_>>(), expected, "{request:?}");
    }
    // In its time, and when the client goes, too.
    let (sender, duties) = channel();
    let late = move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        sender.send(deferred)?;
        Ok(reply)
    };
    let (mut wire, log) = wire(streamed, late);
    wire.receive(GET);
    wire.at(3 * SECOND);
    let deferred: Deferred = duties.try_recv().expect("it was handled");
    let stream = deferred.stream(plain).expect("there");
    stream.send("four").expect("there is room");
    wire.deliver();
    assert_eq!(taken(&log), [""; 0], "not yet");
    wire.at(5 * SECOND);
    wire.connection_lost();
    assert_eq!(taken(&log), ["GET / HTTP/1.1 Some(200) 4 5 broken"]);
    drop(stream);
}

// What the program does by itself is no progress of the client's.

#[test]
fn a_deadline_follows_from_what_the_client_does() {
    let (handler, requests) = elsewhere();
    let (mut wire, _) = wire(streamed, handler);
    wire.receive(post(10, ""));
    let (_reader, deferred) = requests.try_recv().expect("it was handled");
    wire.at(4 * SECOND);
    deferred.send_interim(102, &[]).expect("it is one");
    wire.deliver();
    let stream = deferred.stream(plain).expect("there");
    stream.send("one").expect("there is room");
    for second in [6, 8] {
        wire.at(second * SECOND);
        stream.send("more").expect("there is room");
        wire.deliver();
        assert_eq!(
            wire.deadline(),
            Some(10 * SECOND),
            "the client's, as before"
        );
    }
    wire.receive("x");
    assert_eq!(wire.deadline(), Some(18 * SECOND));
    // RT-13: while output waits for the client, what it sends may not be read.
    wire.at(17 * SECOND);
    wire.output_sent();
    assert_eq!(wire.deadline(), Some(27 * SECOND));

    let (sender, duties) = channel();
    let mut patient = Wire::new(move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        sender.send(deferred)?;
        Ok(reply)
    });
    patient.receive(GET);
    let deferred: Deferred = duties.try_recv().expect("it was handled");
    patient.at(50 * SECOND);
    deferred.send_interim(102, &[]).expect("it is one");
    patient.deliver();
    patient.output_sent();
    assert_eq!(patient.deadline(), Some(60 * SECOND), "owed all the same");
    assert!(!deferred.is_gone());
    drop(patient);
    assert!(deferred.is_gone());
}

/// RFC 9110 §7.8: what is left of the content would be taken for the other protocol's.
#[test]
fn no_upgrade_before_the_content_was_read() {
    struct Other;
    impl Protocol for Other {
        type Message = Message;

        fn receive(&mut self, _: &mut Buffer, _: &mut Buffer, _: &Now) -> Next<Message> {
            panic!("it gets nothing")
        }
    }
    struct Impatient;
    impl BodySink for Impatient {
        fn block(&mut self, _: &[u8]) -> Result<Want, Failure> {
            Ok(Want::Enough)
        }

        fn finish(self: Box<Self>, _: h1::Fields<'_>, response: Response<'_>) -> HttpResult {
            response.send_response(101).upgrade(Other)
        }
    }
    type Handle = fn(&Request<'_>, Response<'_>) -> HttpResult;
    let handlers: [Handle; 2] = [
        |_, response| response.send_response(101).upgrade(Other),
        |_, response| response.receive(Impatient),
    ];
    for handler in handlers {
        let (mut wire, _) = wire(streamed, handler);
        wire.receive(post(10, ""));
        if wire.reads() {
            wire.receive("x");
        }
        assert_eq!((status(&wire.sent()), wire.verdict), (500, "Linger"));
        let failure = wire.failure();
        assert_eq!(failure, Some(ResponseError::Unread.to_string()));
    }
}

/// What an answer is pulled from may block as it ends, too: where the worker is that made it, and
/// not on the loop (WSGI-14), wherever the source is when its client leaves.
#[test]
fn a_source_of_the_workers_ends_with_them() {
    struct Endless(Sender<String>);
    impl BodySource for Endless {
        fn next_block(&mut self) -> Result<Option<Block>, Failure> {
            Ok(Some(vec![b'x'; 64 * 1024].into()))
        }
    }
    impl Drop for Endless {
        fn drop(&mut self) {
            let thread = std::thread::current();
            // Err: the test has failed already.
            let _ = self.0.send(thread.name().unwrap_or_default().to_owned());
        }
    }
    for arrives in [true, false] {
        let workers = Pool::new().threads(1).thread_name("puller");
        let (sender, ends) = channel();
        let mut wire = Wire::new(move |_: &Request<'_>, response: Response<'_>| {
            let source = Endless(sender.clone());
            response.offload(&workers, |response| {
                response.send_response(200).stream(source)
            })
        });
        wire.open = false;
        wire.receive(GET);
        if arrives {
            await_news(&mut wire);
        }
        assert_eq!(wire.verdict, if arrives { "Produce" } else { "Wait" });
        drop(wire);
        let thread = ends.recv_timeout(PATIENCE).expect("it ends");
        assert_eq!(thread, "puller-1", "on the loop: {arrives}");
    }
}

/// Design law 8: a client that is slow to send gets no more time from what it is sent.
#[test]
fn an_answer_gives_an_upload_no_time() {
    struct Echo(BodyReader, Receiver<()>);
    impl BodySource for Echo {
        fn next_block(&mut self) -> Result<Option<Block>, Failure> {
            let Echo(_reader, blocks) = self;
            blocks.recv_timeout(PATIENCE)?;
            Ok(Some(b"block".into()))
        }
    }
    let workers = Pool::new().threads(1);
    let (sender, blocks) = channel();
    let mut blocks = Some(blocks);
    let (mut wire, _) = wire(
        streamed,
        move |_: &Request<'_>, mut response: Response<'_>| {
            let source = Echo(response.body_reader(), blocks.take().expect("one request"));
            response.offload(&workers, |response| {
                response.send_response(200).stream(source)
            })
        },
    );
    wire.receive(post(10, ""));
    sender.send(()).expect("the worker waits");
    await_news(&mut wire);
    wire.at(5 * SECOND);
    wire.receive("x");
    let deadline = wire.deadline().expect("the client is waited for");
    wire.at(6 * SECOND);
    sender.send(()).expect("the worker waits");
    await_news(&mut wire);
    assert!(wire.sent().ends_with("5\r\nblock\r\n5\r\nblock\r\n"));
    assert_eq!(wire.deadline(), Some(deadline));
}

/// HTTP-29: a deferred answer has the reason that it is given, and `Server` and `Date` once.
#[test]
fn a_deferred_answer_may_know_better() {
    let (sender, duties) = channel();
    let mut wire = Wire::new(move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        sender.send(deferred)?;
        Ok(reply)
    });
    let mut answered = |begin: Begin| {
        wire.receive(GET);
        let deferred: Deferred = duties.try_recv().expect("it was handled");
        let sent = deferred.respond(|response| begin(response).body(""));
        sent.expect("the client is there");
        wire.deliver();
        wire.sent()
    };
    let end = "Content-Length: 0\r\n\r\n";
    let fine = answered(|response| response.send_response_with_reason(200, "Fine"));
    assert_eq!(fine, answer("200 Fine", end));
    let own = answered(|response| {
        let head = response.send_response_only(200, "OK");
        head.send_header("date", "today").send_header("SERVER", "x")
    });
    assert_eq!(
        own,
        format!("HTTP/1.1 200 OK\r\ndate: today\r\nSERVER: x\r\n{end}")
    );
    let evil = answered(|response| response.send_response_with_reason(200, "a\r\nb"));
    assert_eq!(status(&evil), 500);
}

/// Who pushes an answer and fails says why, and the client sees that it is not whole.
#[test]
fn a_pushed_answer_that_fails() {
    let (mut wire, streams) = pushing(plain, "part");
    wire.receive(GET);
    wire.deliver();
    let stream = streams.try_recv().expect("it was handled");
    assert!(wire.sent().ends_with("4\r\npart\r\n"));
    stream.fail(io::Error::other("scripted").into());
    wire.deliver();
    assert_eq!((wire.sent().as_str(), wire.verdict), ("", "Close"));
    assert_eq!(wire.failure(), Some("scripted".to_owned()));
}

// The bodies of all clients together.

/// Settings with a budget of so many bytes.
fn budget(bytes: usize) -> HttpSettings {
    let mut settings = HttpSettings::default();
    settings.limits.bodies = bytes;
    settings
}

fn echo(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    response.send_response(200).body(request.body())
}

/// Whether this is the response to a client for whom there is no room, and nothing before it.
fn is_shed(wire: &mut Wire) -> bool {
    let sent = wire.sent();
    let has_field = sent.contains("\r\nRetry-After: 1\r\n");
    let closes = sent.contains("\r\nConnection: close\r\n");
    (status(&sent), has_field, closes, wire.verdict) == (503, true, true, "Linger")
}

/// Design law 7, HTTP-25, HTTP-26: what has arrived counts, on all connections together. Who would
/// exceed the budget gets a 503, before it is asked for its body if its head tells.
#[test]
fn bodies_have_a_budget() {
    let settings = budget(10);
    let kept = || settings.stats().body_bytes;
    let client = || Wire::with(settings.clone(), echo);
    let (mut first, mut second) = (client(), client());
    first.receive(post(1_000_000, ""));
    assert_eq!(kept(), 0, "a length that is only announced is not kept");
    second.receive(post(4, "") + "abc");
    second.receive("d");
    assert!(second.sent().ends_with("abcd"), "it leaves room for others");
    assert_eq!(kept(), 0);

    first.receive("123456");
    second.receive(post(4, "") + "abc");
    assert_eq!(kept(), 9);
    for fields in ["", "Expect: 100-continue\r\n"] {
        let mut third = client();
        third.receive(post(2, fields));
        assert!(is_shed(&mut third), "{fields}");
    }
    // One that is not longer than the rest of the budget is asked for.
    let mut third = client();
    third.receive(post(1, "Expect: 100-continue\r\n"));
    assert_eq!(third.sent(), CONTINUE);
    third.receive("y");
    assert!(third.sent().ends_with("y"));
    // Chunks announce nothing, so they count as they arrive. Their framing does not.
    let mut fourth = client();
    fourth.receive(CHUNKED);
    fourth.receive("1;extension=1\r\nx\r\n");
    assert_eq!(kept(), 10);
    fourth.receive("1\r\ny\r\n");
    assert!(is_shed(&mut fourth));
    assert_eq!(kept(), 9);
    // While there is no room at all, even the first chunk is not asked for.
    first.receive("7");
    let mut fifth = client();
    fifth.receive(CHUNKED);
    assert!(is_shed(&mut fifth));

    first.receive("8");
    assert!(is_shed(&mut first));
    assert_eq!(kept(), 3);
    second.receive("d");
    assert!(second.sent().ends_with("abcd"));
    let stats = settings.stats();
    assert_eq!((stats.bodies_shed, stats.body_bytes), (5, 0));
}

/// A single body is bounded by its own limit, whatever the budget is.
#[test]
fn a_single_body_exceeds_the_budget() {
    let settings = budget(10);
    let mut alone = Wire::with(settings.clone(), echo);
    alone.receive(post(100, "Expect: 100-continue\r\n"));
    assert_eq!(alone.sent(), CONTINUE);
    alone.receive("a".repeat(60));
    let mut other = Wire::with(settings.clone(), echo);
    other.receive(post(2, ""));
    assert!(is_shed(&mut other));
    alone.receive("b".repeat(40));
    assert_eq!(status(&alone.sent()), 200);
    assert_eq!(settings.stats().body_bytes, 0);
}

/// Every way in which a body ends gives its bytes back.
#[test]
fn bodies_are_given_back() {
    type End = fn(&mut Wire);
    let chunk = "2\r\nbc\r\n";
    let ends: [(&str, End); 10] = [
        ("it is served", |wire| wire.receive("0\r\n\r\n")),
        ("it has trailers", |wire| {
            wire.receive("0\r\nSum: 3\r\n");
            wire.receive("\r\n");
        }),
        ("another follows", |wire| wire.receive("0\r\n\r\nGET / HT")),
        ("it is malformed", |wire| wire.receive("x\r\n")),
        ("it is too large", |wire| wire.receive("ffffff\r\n")),
        ("its client is slow", |wire| {
            wire.at(11 * SECOND);
            wire.timed_out();
        }),
        ("its client stops sending", Wire::input_closed),
        ("its client disconnects", |wire| {
            wire.connection_lost();
            *wire = Wire::new(echo);
        }),
        ("the server drains, then closes", |wire| {
            wire.drain();
            *wire = Wire::new(echo);
        }),
        ("a part of it arrives late", |wire| {
            wire.receive("1\r");
            wire.receive("\nd\r\n0\r\n");
            wire.receive("\r\n");
        }),
    ];
    type Handler = fn(&Request<'_>, Response<'_>) -> HttpResult;
    let handlers: [Handler; 5] = [
        echo,
        |_, _| Err("scripted".into()),
        |_, _| panic!("scripted"),
        |_, response| Ok(response.defer().1),
        |_, response| response.send_response(200).stream(["a", "b"].into_iter()),
    ];
    for handler in handlers {
        for (what, end) in ends {
            let settings = HttpSettings::default();
            let mut wire = Wire::with(settings.clone(), handler);
            wire.receive(CHUNKED);
            wire.receive(chunk);
            assert_eq!(settings.stats().body_bytes, 2, "{what}");
            end(&mut wire);
            assert_eq!(settings.stats().body_bytes, 0, "{what}");
        }
    }
}

/// A body that waits for a worker is kept, and one that goes along with a reader as long as that.
#[test]
fn bodies_count_while_they_wait_for_a_worker() {
    let (go, gate) = channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let workers = Pool::new().threads(1);
    let handler = Pooled::new(
        move |request: &Request<'_>, response: Response<'_>| {
            let gate = gate.lock().expect("no panic in here");
            gate.recv_timeout(PATIENCE)?;
            response.send_response(200).body(request.body())
        },
        workers.clone(),
    );
    let settings = budget(10);
    let kept = || settings.stats().body_bytes;
    let client = || Wire::with(settings.clone(), handler.clone());
    let (mut first, mut second, mut third) = (client(), client(), client());
    first.receive(post(4, "") + "abcd"); // together with its head
    second.receive(post(4, "") + "ab");
    second.receive("cd");
    assert_eq!(kept(), 8, "neither is counted twice");
    third.receive(post(4, "") + "abcd");
    assert!(is_shed(&mut third));
    assert_eq!(third.failure(), None, "a client is not a failure");
    third = client();
    third.receive(GET); // without a body it waits like any other
    for wire in [&mut first, &mut second, &mut third] {
        go.send(()).expect("the worker waits");
        await_news(wire);
        assert_eq!(status(&wire.sent()), 200);
    }
    assert_eq!(
        kept(),
        0,
        "a body is given back before its response is sent"
    );

    // The client disconnects, or the queue is discarded.
    first.receive(post(4, "") + "abcd");
    second.receive(post(4, "") + "abcd");
    assert_eq!(kept(), 8);
    workers.discard_waiting();
    go.send(()).expect("the worker waits");
    assert!(workers.wait_until_idle(Some(PATIENCE)));
    assert_eq!(kept(), 0);
}

/// A body that another thread reads as it arrives counts as much as can wait for its reader.
#[test]
fn streamed_bodies_count_as_their_windows() {
    const WINDOW: usize = 64 * 1024;
    let settings = budget(WINDOW + 10);
    let kept = || settings.stats().body_bytes;
    let elsewhere = || {
        let (handle, requests) = elsewhere();
        (streamed_wire(&settings, handle), requests)
    };
    let (mut first, requests) = elsewhere();
    first.receive(CHUNKED);
    assert_eq!(kept(), WINDOW);
    let (mut reader, deferred) = requests.try_recv().expect("it was handled");
    first.receive("2\r\nab\r\n0\r\n\r\n");
    assert_eq!(kept(), WINDOW, "the reader has not read it");
    reader.read_to_string(&mut String::new()).expect("an end");
    drop(reader);
    assert_eq!(kept(), 0);
    drop(deferred);

    // A short one counts as what it is.
    let (mut second, requests) = elsewhere();
    second.receive(post(11, ""));
    assert_eq!(kept(), 11);
    let reader = requests.try_recv().expect("it was handled").0;
    // A worker gets none for which there is no room, and its client is not asked for it.
    let workers = Pool::new().threads(1);
    let offload = move |_: &Request<'_>, response: Response<'_>| {
        response.offload(&workers, |mut response| {
            let mut body = Vec::new();
            response.body_reader().read_to_end(&mut body)?;
            response.send_response(200).body(body.len().to_string())
        })
    };
    let mut third = streamed_wire(&settings, offload.clone());
    third.receive(post(WINDOW, "Expect: 100-continue\r\n"));
    assert!(is_shed(&mut third));
    drop(reader);
    assert_eq!(kept(), 0);
    let mut third = streamed_wire(&settings, offload);
    third.receive(post(WINDOW, "Expect: 100-continue\r\n"));
    await_news(&mut third);
    assert_eq!((third.sent(), kept()), (CONTINUE.to_owned(), WINDOW));
    third.receive("x".repeat(WINDOW));
    while third.sent.is_empty() {
        await_news(&mut third);
    }
    assert!(third.sent().ends_with("\r\n\r\n65536"));
    assert_eq!(kept(), 0);

    // Neither a sink on the loop nor a handler that does not take the body keeps any of it.
    let (sender, _dropped) = channel();
    let sink = move |_: &Request<'_>, response: Response<'_>| {
        let (content, enough, dropped) = (Vec::new(), usize::MAX, sender.clone());
        response.receive(Collect {
            content,
            enough,
            dropped,
        })
    };
    let mut fourth = streamed_wire(&settings, sink);
    fourth.receive(post(9, "") + "abc");
    assert_eq!((fourth.verdict, kept()), ("Read", 0));
}

/// A connection with these settings whose bodies are streamed.
fn streamed_wire<H>(settings: &HttpSettings, handle: H) -> Wire
where
    H: FnMut(&Request<'_>, Response<'_>) -> HttpResult + 'static,
{
    let (intake, log) = (streamed, Log::default());
    Wire::with(
        settings.clone(),
        Handler {
            intake,
            handle,
            log,
        },
    )
}

// What a handler says about the connection and the body.

type Answer = fn(Response<'_>) -> HttpResult;

/// Two blocks, and a trailer.
struct Summed(std::vec::IntoIter<&'static str>);

fn summed() -> Summed {
    Summed(vec!["a", "bc"].into_iter())
}

impl BodySource for Summed {
    fn next_block(&mut self) -> Result<Option<Block>, Failure> {
        Ok(self.0.next().map(Block::from))
    }

    fn trailers(&mut self) -> Vec<(String, Vec<u8>)> {
        vec![("Sum".to_owned(), b"3".to_vec())]
    }
}

/// A response whose length is that of the handler.
fn sized<'a>(response: Response<'a>, code: u16, length: &str) -> ResponseHead<'a> {
    let head = response.send_response(code);
    head.send_header("Content-Length", length)
}

fn with<'a>(response: Response<'a>, name: &str, value: &str) -> ResponseHead<'a> {
    response.send_response(200).send_header(name, value)
}

/// What was sent, the verdict, and what was reported.
type Found = (String, &'static str, Option<String>);

/// Lets the handler answer on the loop, on a worker, and through a `Deferred`.
fn everywhere(request: &str, answer: Answer) -> [(&'static str, Found); 3] {
    let workers = Pool::new().threads(1);
    let on_worker =
        move |_: &Request<'_>, response: Response<'_>| response.offload(&workers, answer);
    let deferred = move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        deferred.respond(answer)?;
        Ok(reply)
    };
    let on_loop = move |_: &Request<'_>, response: Response<'_>| answer(response);
    let places = [
        ("the loop", Wire::new(on_loop)),
        ("a worker", Wire::new(on_worker)),
        ("elsewhere", Wire::new(deferred)),
    ];
    places.map(|(place, mut wire)| {
        wire.receive(request);
        while wire.verdict == "Wait" {
            await_news(&mut wire);
        }
        (place, (wire.sent(), wire.verdict, wire.failure()))
    })
}

/// HTTP-22, HTTP-31, HTTP-35, WSGI-17, RFC 9110 sections 6.5, 8.6 and 15, RFC 9112 section 6: the server
/// frames the body and says whether the connection goes on, whatever the handler says, wherever it runs.
#[test]
fn a_handler_cannot_break_the_framing() {
    const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
    const OLD: &str = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n";
    const SUMMED: &str = "Trailer: Sum\r\n\
        Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\nSum: 3\r\n\r\n";
    const LONG: Option<ResponseError> = Some(ResponseError::TooLong);
    const SHORT: Option<ResponseError> = Some(ResponseError::TooShort);
    #[rustfmt::skip]
    let whole: &[(&str, Answer, &str, &str)] = &[
        (GET, |r| r.send_response(200).body("abc"), "200 OK", "Content-Length: 3\r\n\r\nabc"),
        (GET, |r| r.send_response(200).stream(["a", "bc"].into_iter()), "200 OK", CHUNKED),
        // Statuses and methods without a body.
        (GET, |r| sized(r, 204, "3").body("abc"), "204 No Content", "\r\n"),
        (GET, |r| sized(r, 204, "3").stream(summed()), "204 No Content", "\r\n"),
        (GET, |r| sized(r, 304, "3").body("abc"), "304 Not Modified", "\r\n"),
        (GET, |r| sized(r, 205, "3").body("abc"), "205 Reset Content", "Content-Length: 0\r\n\r\n"),
        (HEAD, |r| r.send_response(200).body("abc"), "200 OK", "Content-Length: 3\r\n\r\n"),
        (HEAD, |r| sized(r, 200, "9").body("abc"), "200 OK", "Content-Length: 9\r\n\r\n"),
        (HEAD, |r| sized(r, 200, "9").stream(summed()), "200 OK", "Content-Length: 9\r\n\r\n"),
        (HEAD, |r| r.send_response(200).stream(summed()), "200 OK", "Transfer-Encoding: chunked\r\n\r\n"),
        // The connection.
        (GET, |r| with(r, "connection", "Keep-Alive").body("abc"), "200 OK", "Content-Length: 3\r\n\r\nabc"),
        (GET, |r| with(r, "Connection", "x-hop").body("abc"), "200 OK", "Connection: x-hop\r\nContent-Length: 3\r\n\r\nabc"),
        (OLD, |r| r.send_response(200).body("abc"), "200 OK", "Content-Length: 3\r\nConnection: keep-alive\r\n\r\nabc"),
        // Trailers, which only chunks can have.
        (GET, |r| with(r, "Trailer", "Sum").stream(summed()), "200 OK", SUMMED),
        (GET, |r| sized(r, 200, "3").stream(summed()), "200 OK", "Content-Length: 3\r\n\r\nabc"),
    ];
    for (number, &(request, write, status, rest)) in whole.iter().enumerate() {
        for (place, found) in everywhere(request, write) {
            let expected = (answer(status, rest), "Read", None);
            assert_eq!(found, expected, "case {number} on {place}");
        }
    }
    #[rustfmt::skip]
    let others: &[(&str, Answer, &str, &str, Option<ResponseError>)] = &[
        // A length that is wrong.
        (GET, |r| sized(r, 200, "2").body("abc"), "Content-Length: 2\r\n\r\nab", "Read", LONG),
        (GET, |r| sized(r, 200, "2").stream(summed()), "Content-Length: 2\r\n\r\nab", "Read", LONG),
        (GET, |r| sized(r, 200, "0").body("abc"), "Content-Length: 0\r\n\r\n", "Read", LONG),
        (GET, |r| sized(r, 200, "4").body("abc"), "Content-Length: 4\r\nConnection: close\r\n\r\nabc", "Linger", SHORT),
        (GET, |r| sized(r, 200, "4").stream(summed()), "Content-Length: 4\r\n\r\nabc", "Linger", SHORT),
        // A connection that ends.
        (GET, |r| with(r, "Connection", "close").body("abc"), "Content-Length: 3\r\nConnection: close\r\n\r\nabc", "Linger", None),
        (OLD, |r| with(r, "Connection", "keep-alive").stream(summed()), "Connection: close\r\n\r\nabc", "Linger", None),
    ];
    for (number, &(request, write, rest, verdict, failure)) in others.iter().enumerate() {
        for (place, found) in everywhere(request, write) {
            let failure = failure.map(|failure| failure.to_string());
            let expected = (answer("200 OK", rest), verdict, failure);
            assert_eq!(found, expected, "other case {number} on {place}");
        }
    }
}

/// HTTP-31, HTTP-35: what would make the client lose its place is an error of the handler.
#[test]
fn what_would_break_the_framing_is_a_500() {
    const CONNECT: &str = "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n";
    use ResponseError::{ContentLength, NotFinal, TransferEncoding};
    #[rustfmt::skip]
    let cases: [(&str, Answer, ResponseError); 11] = [
        (GET, |r| with(r, "Transfer-Encoding", "chunked").body(""), TransferEncoding),
        (GET, |r| with(r, "transfer-encoding", "identity").stream(summed()), TransferEncoding),
        (GET, |r| sized(r, 200, "3").send_header("Content-Length", "3").body("abc"), ContentLength),
        (GET, |r| sized(r, 200, "+3").body("abc"), ContentLength),
        (GET, |r| sized(r, 200, "3, 3").body("abc"), ContentLength),
        (GET, |r| sized(r, 200, "").body(""), ContentLength),
        (GET, |r| sized(r, 204, "x").body(""), ContentLength),
        (GET, |r| r.send_response(100).body(""), NotFinal),
        (GET, |r| r.send_response(101).body(""), NotFinal),
        (GET, |r| r.send_response(199).stream(summed()), NotFinal),
        (CONNECT, |r| r.send_response(200).body(""), NotFinal),
    ];
    for (number, (request, write, error)) in cases.into_iter().enumerate() {
        for (place, (sent, verdict, failure)) in everywhere(request, write) {
            let found = (status(&sent), verdict, failure);
            let expected = (500, "Linger", Some(error.to_string()));
            assert_eq!(found, expected, "case {number} on {place}: {sent}");
            assert_eq!(sent.matches("HTTP/1.1").count(), 1, "{sent}");
        }
    }
}
