//! Applications on workers, while the loop keeps the sockets. What they are asked for and what the
//! client gets is the same as on the loop, though what they `write()` leaves sooner: all tests of
//! `wsgi.rs` run here a second time.
#![cfg(feature = "server")]

#[path = "wsgi.rs"]
mod on_workers;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use on_workers::support::patience::{PATIENCE, wait_until};
use on_workers::support::wsgi;
use on_workers::support::wsgi::{Starter, request, serve, serve_illegal, serve_with};
use serve_forever::http::{Block, HttpSettings, ThreadedHttp, listen};
use serve_forever::socketserver::{Evented, Failure, HandlerResult, Pool, Server, Transport};
use serve_forever::wsgi::{
    AppResult, Application, Body, Environ, Iterable, Slow, SlowCall, SlowStep, Validator,
    WsgiHandler, demo_app, make_server,
};

const PLAIN: &[(&str, &str)] = &[("Content-Type", "text/plain")];

/// Sends requests and reads until the server closes.
fn exchange(server: &wsgi::Running, requests: &str) -> String {
    let mut stream = server.connect();
    stream.write_all(requests.as_bytes()).expect("sent");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("an end");
    answers
}

/// Sends a request, and reads nothing.
fn ask(server: &wsgi::Running, target: &str) -> TcpStream {
    let mut stream = server.connect();
    let request = request("GET", target, "", "");
    stream.write_all(request.as_bytes()).expect("sent");
    stream
}

/// Sends a request, and reads the beginning of the response.
fn begin(server: &wsgi::Running, target: &str) -> TcpStream {
    let mut stream = ask(server, target);
    stream.read_exact(&mut [0; 1024]).expect("a beginning");
    stream
}

/// ENV-18: whether `wsgi.multithread` is true, wherever the handler is used.
#[test]
fn multithread_tells_the_truth() {
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        let text = environ.get("wsgi.multithread").unwrap_or_default();
        assert_eq!(environ.multithread(), text == "True");
        let text = text.into_owned();
        start_response.call("200 OK", PLAIN)?;
        Ok(Body::from(text))
    };
    let ask = |address| {
        let mut stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = request("GET", "/", "", "");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an end");
        answer.rsplit("\r\n").next().unwrap_or_default().to_owned()
    };

    for (threads, expected) in [(None, "False"), (Some(1), "True"), (Some(4), "True")] {
        let mut server = make_server("127.0.0.1:0", app).expect("a server");
        if let Some(threads) = threads {
            server = server.threads(threads);
        }
        let (address, shutdown) = (server.server_address(), server.shutdown_handle());
        let thread = thread::spawn(move || server.serve_forever().is_ok());
        assert_eq!(ask(address), expected, "{threads:?} threads");
        shutdown.request();
        assert!(thread.join().expect("no panic"));
    }

    for multithread in [false, true] {
        let tcp = listen("127.0.0.1:0").expect("a free port");
        let address = tcp.server_address();
        let handler = WsgiHandler::new(app, address).multithread(multithread);
        let workers = Pool::new().threads(2);
        let threads = ThreadedHttp::new(handler, HttpSettings::default(), workers);
        let mut server = Server::new(tcp, Evented::new(threads)).expect("a server");
        let shutdown = server.shutdown_handle();
        let thread = thread::spawn(move || server.serve_forever().is_ok());
        let expected = if multithread { "True" } else { "False" };
        assert_eq!(ask(address), expected, "a ThreadingHttpServer");
        shutdown.request();
        assert!(thread.join().expect("no panic"));
    }
}

/// Two calls that wait for each other can only end on two threads; and while all threads are
/// busy, the loop goes on: it takes connections and answers what is no request.
#[test]
fn two_applications_at_once() {
    let (entered, entries) = channel();
    let entered = Mutex::new(entered);
    let meeting = Arc::new(Barrier::new(3));
    let met = Arc::clone(&meeting);
    let server = serve(move |_: &mut Environ<'_>, start_response: Starter<'_>| {
        let thread = thread::current().id();
        entered.lock().expect("no panic").send(thread)?;
        met.wait();
        start_response.call("200 OK", PLAIN)?;
        Ok("met".into())
    });
    let streams = [(); 2].map(|()| ask(&server, "/"));
    let ids: Vec<ThreadId> = (0..2)
        .map(|_| entries.recv_timeout(PATIENCE).expect("two calls at once"))
        .collect();
    assert_ne!(ids[0], ids[1]);
    let refused = exchange(&server, "nonsense\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    meeting.wait();
    for mut stream in streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.ends_with("\r\n\r\nmet"), "{answer}");
    }
}

/// A client that does not read its answer, and one that does not send its request, hold no
/// worker: with a single one, others are answered.
#[test]
fn slow_clients_hold_no_worker() {
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        Ok(match environ.get("PATH_INFO").as_deref() {
            Some("/endless") => Body::blocks(std::iter::repeat_with(|| vec![b'x'; 16 * 1024])),
            _ => "quick".into(),
        })
    };
    let one = Pool::new().threads(1);
    let server = serve_with(Validator::new(app), |handler| handler.workers(one));
    let mut downloads = Vec::new();
    for _ in 0..3 {
        downloads.push(begin(&server, "/endless"));
        let mut stream = server.connect();
        let upload = "POST / HTTP/1.1\r\nHost: h.test\r\nContent-Length: 9\r\n\r\nx";
        stream.write_all(upload.as_bytes()).expect("sent");
        downloads.push(stream);
        assert_eq!(server.get("/").text(), "quick");
    }
}

/// THREAD-11: if threads are not shared, a thread finishes the response that it has begun before it
/// calls the application again. A client that leaves frees the thread as well.
#[test]
fn a_thread_that_is_not_shared_finishes_its_response_first() {
    let (app, calls) = ordered();
    let pool = Pool::new().threads(1).share_threads(false);
    let workers = pool.clone();
    let server = serve_with(app, |handler| handler.workers(workers));
    for blocks in ["1000", "endless"] {
        let mut slow = begin(&server, &format!("/?{blocks}"));
        let mut quick = ask(&server, "/?1");
        wait_until("a request waits for the thread", || pool.waiting() == 1);
        if blocks == "1000" {
            let mut answer = Vec::new();
            slow.read_to_end(&mut answer).expect("an end");
            assert!(answer.ends_with(b"\r\n0\r\n\r\n"), "not whole");
        }
        drop(slow);
        quick.read_to_end(&mut Vec::new()).expect("an end");
        let expected = [&format!("call {blocks}"), "drop", "call 1", "drop"];
        for expected in expected {
            let call = calls.recv_timeout(PATIENCE).expect("a call");
            assert_eq!(call, expected);
        }
    }
    assert!(server.stop());
}

/// An application whose bodies have as many blocks of 16 KiB as the query says. It tells when it is
/// called, and when a body is dropped.
fn ordered() -> (impl Application, Receiver<String>) {
    struct Told(Sender<String>);

    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send("drop".to_owned());
        }
    }

    let (sender, calls) = channel();
    let sender = Mutex::new(sender);
    let app = move |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        let told = Told(sender.lock().expect("no panic").clone());
        let blocks = environ.get("QUERY_STRING").unwrap_or_default();
        let _ = told.0.send(format!("call {blocks}"));
        start_response.call("200 OK", PLAIN)?;
        let mut left = blocks.parse().unwrap_or(usize::MAX);
        Ok(Body::blocks(std::iter::from_fn(move || {
            let _told = &told;
            left = left.checked_sub(1)?;
            Some(vec![b'x'; 16 * 1024])
        })))
    };
    (app, calls)
}

/// THREAD-5, THREAD-11: a server that waits for its handlers does not wait for a response whose
/// thread waits for the client.
#[test]
fn a_server_that_closes_does_not_wait_for_a_slow_client() {
    let (app, calls) = ordered();
    let tcp = listen("127.0.0.1:0").expect("a free port");
    let address = tcp.server_address();
    let workers = Pool::new().threads(1).share_threads(false);
    let handler = WsgiHandler::new(app, address);
    let threads = ThreadedHttp::new(handler, HttpSettings::default(), workers.clone());
    let threads = threads.block_on_close(Duration::MAX);
    let mut server = Server::new(tcp, Evented::new(threads)).expect("a server");
    let shutdown = server.shutdown_handle();
    let (sender, ends) = channel();
    thread::spawn(move || {
        let served = server.serve_forever().is_ok();
        drop(server);
        let _ = sender.send(served);
    });
    let mut stream = TcpStream::connect(address).expect("connects");
    let request = request("GET", "/?endless", "", "");
    stream.write_all(request.as_bytes()).expect("sent");
    stream.read_exact(&mut [0; 1024]).expect("a beginning");
    shutdown.request();
    assert_eq!(ends.recv_timeout(PATIENCE), Ok(true));
    assert!(workers.join(Some(PATIENCE)));
    let calls: Vec<_> = calls.try_iter().collect();
    assert_eq!(calls, ["call endless", "drop"]);
}

/// If too many requests wait for a worker, further ones get a 503; none that was taken on is
/// refused later.
#[test]
fn a_full_queue_is_503() {
    let (entered, entries) = channel();
    let entered = Mutex::new(entered);
    let (go_on, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let app = move |_: &mut Environ<'_>, start_response: Starter<'_>| {
        entered.lock().expect("no panic").send(())?;
        wait.lock().expect("no panic").recv_timeout(PATIENCE)?;
        start_response.call("200 OK", PLAIN)?;
        Ok("served".into())
    };
    let workers = Pool::new().threads(1).queue_length(0);
    let server = serve_with(Validator::new(app), |handler| handler.workers(workers));
    let mut first = ask(&server, "/");
    entries.recv_timeout(PATIENCE).expect("a call");
    let refused = server.get("/");
    assert_eq!(refused.status, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(refused.field("Retry-After"), Some("1"));
    go_on.send(()).expect("the application waits");
    let mut answer = String::new();
    first.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with("served"), "{answer}");
}

/// Pipelined requests are answered in their order, each on any worker, and the connection goes on.
#[test]
fn pipelined_requests_keep_their_order() {
    let server = serve(|environ: &mut Environ<'_>, start_response: Starter<'_>| {
        let path = environ.get("PATH_INFO").unwrap_or_default().into_owned();
        let mut input = String::new();
        environ.input().read_to_string(&mut input)?;
        start_response.call("200 OK", PLAIN)?;
        Ok(match &*path {
            "/2" => Body::blocks(["", "<2", &input, ">"].map(str::to_owned)),
            _ => format!("<{path}{input}>").into(),
        })
    });
    let keep = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h.test\r\n\r\n");
    let post = "POST /2 HTTP/1.1\r\nHost: h.test\r\nContent-Length: 3\r\n\r\nabc";
    let last = request("GET", "/4", "", "");
    let all = [&keep("/1"), post, &keep("/3"), &last].concat();
    let answers = exchange(&server, &all);
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 4);
    let mut from = 0;
    for body in [
        "</1>",
        "2\r\n<2\r\n3\r\nabc\r\n1\r\n>\r\n0\r\n\r\n",
        "</3>",
        "</4>",
    ] {
        let at = answers[from..].find(body);
        from += at.unwrap_or_else(|| panic!("no {body:?} in {:?}", &answers[from..])) + body.len();
    }
    assert_eq!(from, answers.len());
}

/// WSGI-10: what is written has left before the application returns, under the head that it has
/// given; the blocks follow, and the connection goes on.
#[test]
fn what_is_written_leaves_at_once() {
    let (go_on, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let server = serve(
        move |environ: &mut Environ<'_>, start_response: Starter<'_>| {
            let fields = [("Server", "mine"), ("Content-Type", "text/plain")];
            start_response.call("200 As you like it", &fields)?;
            if environ.get("PATH_INFO").as_deref() == Some("/head") {
                start_response.write(b"")?;
            } else {
                start_response.write(b"written")?;
            }
            wait.lock().expect("no panic").recv_timeout(PATIENCE)?;
            Ok(Body::blocks(["a", "", "b"]))
        },
    );
    let mut stream = BufReader::new(server.connect());
    for (path, at_once) in [
        ("/", "7\r\nwritten\r\n"),
        ("/head", ""),
        ("/", "7\r\nwritten\r\n"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h.test\r\n\r\n");
        stream
            .get_mut()
            .write_all(request.as_bytes())
            .expect("sent");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            stream.read_line(&mut head).expect("a line");
        }
        assert!(
            head.starts_with("HTTP/1.1 200 As you like it\r\n"),
            "{head}"
        );
        assert_eq!(head.matches("Server: ").count(), 1, "{head}");
        assert!(head.contains("\r\nServer: mine\r\n") && head.contains("\r\nDate: "));
        let mut written = vec![0; at_once.len()];
        stream.read_exact(&mut written).expect("what was written");
        assert_eq!(String::from_utf8_lossy(&written), at_once, "{path}");
        go_on.send(()).expect("the application waits");
        let mut rest = [0; "1\r\na\r\n1\r\nb\r\n0\r\n\r\n".len()];
        stream.read_exact(&mut rest).expect("the rest");
        assert_eq!(&rest, b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n", "{path}");
    }
}

/// WSGI-14, WSGI-17: what is written counts, and is not sent where there is no content.
#[test]
fn what_is_written_is_as_long_as_announced() {
    let server = serve_illegal(|environ: &mut Environ<'_>, start_response: Starter<'_>| {
        let (status, length) = match environ.get("PATH_INFO").as_deref() {
            Some("/204") => ("204 No Content", None),
            Some("/short") => ("200 OK", Some("9")),
            Some("/long") => ("200 OK", Some("6")),
            _ => ("200 OK", Some("8")),
        };
        let length = length.map(|length| ("Content-Length", length));
        start_response.call(status, &length.into_iter().collect::<Vec<_>>())?;
        start_response.write(b"four")?;
        start_response.write(b"")?;
        Ok("more".into())
    });
    let cases = [
        ("GET", "/", "fourmore", None),
        ("HEAD", "/", "", None),
        ("GET", "/204", "", None),
        ("GET", "/short", "fourmore", Some("shorter")),
        ("GET", "/long", "fourmo", Some("longer")),
    ];
    for (method, path, content, failure) in cases {
        let request = request(method, path, "", "");
        let answer = exchange(&server, &request);
        let (_, found) = answer.split_once("\r\n\r\n").expect("a head");
        assert_eq!(found, content, "{method} {path}");
        if let Some(failure) = failure {
            let reported = server.failure();
            assert!(reported.contains(failure), "{path}: {reported}");
        }
    }
    let end = server.failures.try_recv();
    assert_eq!(end, Err(TryRecvError::Empty), "nothing else went wrong");
}

/// WSGI-18, -20: an application that writes without end waits for its client, and is told when
/// that has left; `close()` or not, it is over, and nobody's failure.
#[test]
fn what_is_written_waits_for_the_client() {
    let (sender, ends) = channel();
    let sender = Mutex::new(sender);
    let (began, beginning) = channel();
    let began = Mutex::new(began);
    let server = serve(move |_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        let mut written = 0_usize;
        loop {
            let end = start_response.write(&[b'x'; 64 * 1024]);
            if let Err(failure) = end {
                sender
                    .lock()
                    .expect("no panic")
                    .send((written, failure.to_string()))?;
                return Err(failure);
            }
            written += 64 * 1024;
            began.lock().expect("no panic").send(())?;
        }
    });
    let stream = ask(&server, "/");
    beginning.recv_timeout(PATIENCE).expect("it writes");
    // Until it waits: more than a moment without another block.
    while beginning.recv_timeout(Duration::from_millis(200)).is_ok() {}
    drop(stream);
    let (written, failure) = ends.recv_timeout(PATIENCE).expect("it is told");
    assert!(
        written < 64 * 1024 * 1024,
        "{written} bytes for a client that does not read"
    );
    assert_eq!(failure, io::Error::from(ErrorKind::BrokenPipe).to_string());
    let failure = server.failures.recv_timeout(Duration::ZERO);
    assert_eq!(failure, Err(RecvTimeoutError::Timeout), "nobody's failure");
}

/// A body whose second block is made when the test says so.
struct Held {
    asked: Sender<&'static str>,
    go_on: Arc<Mutex<Receiver<()>>>,
    blocks: u8,
}

impl Iterable for Held {
    fn next_block(&mut self, _: Starter<'_>) -> Result<Option<Block>, Failure> {
        self.blocks += 1;
        if self.blocks == 2 {
            self.asked.send("asked")?;
            self.go_on
                .lock()
                .expect("no panic")
                .recv_timeout(PATIENCE)?;
        }
        Ok((self.blocks < 4).then(|| vec![b'x'; 128 * 1024].into()))
    }

    fn close(&mut self) -> HandlerResult {
        Ok(self.asked.send("close")?)
    }
}

/// Serves [`Held`] bodies; what they say, and how to let one go on.
fn held() -> (wsgi::Running, Receiver<&'static str>, Sender<()>) {
    let (asked, said) = channel();
    let (go_on, wait) = channel();
    let wait = Arc::new(Mutex::new(wait));
    let asked = Mutex::new(asked);
    let server = serve(move |_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        Ok(Body::from_iterable(Held {
            asked: asked.lock().expect("no panic").clone(),
            go_on: Arc::clone(&wait),
            blocks: 0,
        }))
    });
    (server, said, go_on)
}

/// WSGI-18, -20: close() exactly once if the client leaves while a worker is at the body.
#[test]
fn close_when_the_client_leaves_meanwhile() {
    let (server, said, go_on) = held();
    let stream = begin(&server, "/");
    assert_eq!(said.recv_timeout(PATIENCE), Ok("asked"));
    stream.shutdown(Shutdown::Both).expect("gone");
    drop(stream);
    go_on.send(()).expect("the body waits");
    assert_eq!(said.recv_timeout(PATIENCE), Ok("close"));
    let failure = server.failures.recv_timeout(Duration::ZERO);
    assert_eq!(failure, Err(RecvTimeoutError::Timeout), "nobody's failure");
    assert!(server.stop());
    // Every sender is gone with the application: there was no second close.
    let end = said.recv_timeout(PATIENCE);
    assert_eq!(end, Err(RecvTimeoutError::Disconnected));
}

/// WSGI-18: so it is if the server ends meanwhile, which waits for no worker.
#[test]
fn close_when_the_server_ends_meanwhile() {
    let (server, said, go_on) = held();
    let _stream = ask(&server, "/");
    assert_eq!(said.recv_timeout(PATIENCE), Ok("asked"));
    assert!(server.stop());
    go_on.send(()).expect("the body waits");
    assert_eq!(said.recv_timeout(PATIENCE), Ok("close"));
    let end = said.recv_timeout(PATIENCE);
    assert_eq!(end, Err(RecvTimeoutError::Disconnected));
}

/// A body that notes whether each of its blocks, and its close, are on the thread of the call.
struct AtHome {
    home: ThreadId,
    strays: Arc<Mutex<BTreeSet<&'static str>>>,
    closed: Sender<()>,
    blocks: usize,
}

impl AtHome {
    fn check(&self, step: &'static str) {
        if thread::current().id() != self.home {
            self.strays.lock().expect("no panic").insert(step);
        }
    }
}

impl Iterable for AtHome {
    fn next_block(&mut self, _: Starter<'_>) -> Result<Option<Block>, Failure> {
        self.check("next_block");
        self.blocks = self.blocks.saturating_sub(1);
        Ok((self.blocks > 0).then(|| vec![b'x'; 16 * 1024].into()))
    }

    fn close(&mut self) -> HandlerResult {
        self.check("close");
        Ok(())
    }
}

impl Drop for AtHome {
    fn drop(&mut self) {
        self.check("drop");
        let _ = self.closed.send(());
    }
}

/// Hears of each body that is dropped, and what happened on other threads.
type Strays = (Receiver<()>, Arc<Mutex<BTreeSet<&'static str>>>);

/// An application whose bodies have as many blocks as the query says, by default without end.
fn at_home() -> (impl Application, Strays) {
    let strays = Arc::new(Mutex::new(BTreeSet::new()));
    let found = Arc::clone(&strays);
    let (closed, ends) = channel();
    let closed = Mutex::new(closed);
    let app = move |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        let blocks = environ.get("QUERY_STRING").unwrap_or_default();
        Ok(Body::from_iterable(AtHome {
            home: thread::current().id(),
            strays: Arc::clone(&strays),
            closed: closed.lock().expect("no panic").clone(),
            blocks: blocks.parse().unwrap_or(usize::MAX),
        }))
    };
    (app, (ends, found))
}

/// THREAD-11, WSGI-18: call, blocks and close are on one thread, also if the client leaves in the
/// middle, and however many responses there are.
#[test]
fn a_response_stays_on_the_thread_that_began_it() {
    let (app, (ends, strays)) = at_home();
    let server = serve_with(app, |handler| handler.workers(Pool::new().threads(4)));
    let mut whole: Vec<_> = (0..12).map(|_| ask(&server, "/?40")).collect();
    let mut cut: Vec<_> = (0..12).map(|_| ask(&server, "/")).collect();
    for stream in &mut cut {
        stream.read_exact(&mut [0; 100_000]).expect("a beginning");
    }
    for mut stream in whole.drain(..6).chain(cut.drain(..6)) {
        drop(stream.read(&mut [0]));
        drop(stream);
    }
    for mut stream in whole {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an end");
        assert!(answer.ends_with(b"\r\n0\r\n\r\n"), "not whole");
    }
    drop(cut);
    for _ in 0..24 {
        ends.recv_timeout(PATIENCE).expect("closed");
    }
    assert_eq!(*strays.lock().expect("no panic"), BTreeSet::new());
    assert!(server.stop());
}

/// THREAD-11: if the pool ends before a response, the body is dropped on its thread nevertheless,
/// and the response breaks off.
#[test]
fn a_pool_that_ends_drops_what_it_has_begun_on_its_thread() {
    // A thread that is not shared has one response at a time.
    for (threads, share_threads) in [(2, true), (6, false)] {
        let pool = Pool::new().threads(threads).share_threads(share_threads);
        let (app, (ends, strays)) = at_home();
        let workers = pool.clone();
        let server = serve_with(app, |handler| handler.workers(workers));
        let mut streams = [(); 6].map(|()| begin(&server, "/"));
        assert!(pool.join(Some(PATIENCE)));
        assert_eq!(ends.try_iter().count(), 6, "all are closed by now");
        for stream in &mut streams {
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer); // a reset is fine
            assert!(!answer.ends_with(b"\r\n0\r\n\r\n"), "whole?");
        }
        assert_eq!(*strays.lock().expect("no panic"), BTreeSet::new());
        assert!(server.stop());
    }
}

/// THREAD-11: the same if the server is dropped while its clients have not taken everything.
#[test]
fn a_server_that_ends_has_its_bodies_dropped_on_their_threads() {
    for (threads, share_threads) in [(2, true), (4, false)] {
        let pool = Pool::new().threads(threads).share_threads(share_threads);
        let (app, (ends, strays)) = at_home();
        let workers = pool.clone();
        let server = serve_with(app, |handler| handler.workers(workers));
        let _streams = [(); 4].map(|()| begin(&server, "/"));
        assert!(server.stop());
        assert!(pool.join(Some(PATIENCE)));
        assert_eq!(ends.try_iter().count(), 4);
        assert_eq!(*strays.lock().expect("no panic"), BTreeSet::new());
    }
}

/// THREAD-12: applications run on threads of the program, which are told when it is over, and on
/// threads that the program prepares.
#[test]
fn applications_on_threads_of_the_program() {
    thread_local!(static CONNECTION: Cell<Option<&'static str>> = const { Cell::new(None) });
    let app = |_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        Ok(CONNECTION.get().unwrap_or("no connection").into())
    };
    let pool = Pool::new().threads(0);
    let lent: Vec<_> = ["mine", "mine"]
        .map(|connection| {
            let worker = pool.worker();
            thread::spawn(move || {
                CONNECTION.set(Some(connection));
                worker.run();
                CONNECTION.take()
            })
        })
        .into();
    let (sender, ends) = channel();
    let own = Pool::new().threads(2).thread_body(move |worker| {
        CONNECTION.set(Some("the pool's"));
        worker.run();
        sender.send(CONNECTION.take()).expect("somebody listens");
    });
    for (workers, expected) in [(&pool, "mine"), (&own, "the pool's")] {
        let workers = workers.clone();
        let server = serve_with(app, |handler| handler.workers(workers));
        for _ in 0..5 {
            assert_eq!(server.get("/").text(), expected);
        }
        assert!(server.stop());
    }
    assert!(pool.join(Some(PATIENCE)));
    for thread in lent {
        assert_eq!(thread.join().expect("no panic"), Some("mine"));
    }
    assert!(own.join(Some(PATIENCE)));
    let ends: Vec<_> = ends.try_iter().collect();
    assert!(!ends.is_empty(), "joined before it cleaned up");
    assert_eq!(
        BTreeSet::from_iter(ends),
        BTreeSet::from([Some("the pool's")])
    );
}

/// Without any thread the client is told that there is none. `threads(0)` of a server is one.
#[test]
fn a_pool_without_threads_refuses() {
    let server = serve_with(demo_app, |handler| handler.workers(Pool::new().threads(0)));
    assert_eq!(server.get("/").status, "HTTP/1.1 503 Service Unavailable");
    let reported = server.failure();
    assert!(reported.contains("no thread was lent"), "{reported}");
    let server = make_server("127.0.0.1:0", demo_app).expect("a server");
    let server = server.threads(0).spawn().expect("a thread");
    let mut stream = TcpStream::connect(server.server_address()).expect("connects");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an end");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

/// WSGI-5: a drain waits for the answer that a worker is at, to its last block.
#[test]
fn a_drain_finishes_what_a_worker_has_begun() {
    let (mut server, said, go_on) = held();
    let mut idle = server.connect();
    let mut stream = server.connect();
    let request = "GET / HTTP/1.1\r\nHost: h.test\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("sent");
    assert_eq!(said.recv_timeout(PATIENCE), Ok("asked"));
    server.shutdown.request_drain(PATIENCE);
    assert_eq!(
        idle.read(&mut [0]).expect("an end"),
        0,
        "the drain has begun"
    );
    go_on.send(()).expect("the body waits");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an end");
    assert!(answer.ends_with(b"\r\n0\r\n\r\n"), "not whole");
    assert!(answer.len() > 3 * 128 * 1024);
    assert_eq!(said.recv_timeout(PATIENCE), Ok("close"));
    assert!(server.join());
}

/// Of an application that is replaced, connections that are open keep the old one, also on
/// workers (WSGI-1); and what is set in the base environ is seen there.
#[test]
fn set_app_and_base_environ() {
    fn app(text: &'static str) -> impl Fn(&mut Environ<'_>, Starter<'_>) -> AppResult {
        move |environ: &mut Environ<'_>, start_response: Starter<'_>| {
            start_response.call("200 OK", PLAIN)?;
            let name = environ.get("SERVER_NAME").unwrap_or_default();
            Ok(format!("{text} of {name}").into())
        }
    }
    let server = make_server("127.0.0.1:0", app("first")).expect("a server");
    let mut server = server.threads(2);
    server.set_app(app("second"));
    let base = server.base_environ_mut();
    base.insert("SERVER_NAME".into(), "example.org".into());
    let (address, shutdown) = (server.server_address(), server.shutdown_handle());
    let thread = thread::spawn(move || server.serve_forever().is_ok());
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = request("GET", "/", "", "");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an end");
    assert!(answer.ends_with("second of example.org"), "{answer}");
    shutdown.request();
    assert!(thread.join().expect("no panic"));
}

/// What takes as long as the threshold, here nothing at all, is reported before the client has
/// its answer: the request, the step, the thread it ran on, and the time.
#[test]
fn slow_applications_are_reported() {
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        let began = Instant::now();
        start_response.call("200 OK", PLAIN)?;
        if environ.get("PATH_INFO").as_deref() == Some("/fails") {
            return Err(std::io::Error::other("scripted").into());
        }
        thread::sleep(Duration::from_millis(2));
        let took = began.elapsed().as_nanos().to_string();
        Ok(Body::blocks([took, " ".to_owned(), " ".to_owned()]))
    };
    use SlowStep::{Block, Call};
    let cases: [(&str, &str, &[SlowStep]); 3] = [
        ("GET", "/a?b=%20c", &[Call, Block, Block, Block, Block]),
        ("HEAD", "/", &[Call, Block, Block, Block, Block]),
        ("GET", "/fails", &[Call]),
    ];
    for on_workers in [false, true] {
        let (sender, reports) = channel();
        let sender = Mutex::new(sender);
        let report = move |slow: &SlowCall<'_>| {
            let report = (slow.request_line().to_owned(), slow.step(), slow.duration());
            let _ = sender
                .lock()
                .expect("no panic")
                .send((report, slow.is_on_loop()));
            panic!("a report that fails is nobody's failure");
        };
        let app = Slow::new(Validator::new(app), Duration::ZERO, report);
        let server = serve_with(app, |handler| match on_workers {
            true => handler.workers(Pool::new().threads(1)),
            false => handler,
        });
        for (method, path, expected) in cases {
            let response = server.exchange(&request(method, path, "", ""));
            let reports: Vec<_> = reports.try_iter().collect();
            let steps: Vec<SlowStep> = reports.iter().map(|((_, step, _), _)| *step).collect();
            assert_eq!(steps, expected, "{method} {path}");
            for ((line, ..), on_loop) in &reports {
                assert_eq!(line, &format!("{method} {path} HTTP/1.1"));
                assert_eq!(*on_loop, !on_workers);
            }
            // The first chunk says how long the application has taken at least.
            if let Some(Ok(took)) = response.text().lines().nth(1).map(str::parse) {
                assert!(reports[0].0.2 >= Duration::from_nanos(took));
            }
        }
        assert_eq!(server.failure(), "scripted");
        let failure = server.failures.recv_timeout(Duration::ZERO);
        assert_eq!(failure, Err(RecvTimeoutError::Timeout));
    }
}

/// What is quick is not reported: an hour is longer than any test.
#[test]
fn quick_applications_are_not_reported() {
    let (sender, reports) = channel();
    let sender = Mutex::new(sender);
    let app = Slow::new(demo_app, Duration::from_secs(3600), move |_| {
        let _ = sender.lock().expect("no panic").send(());
    });
    let server = serve_with(app, |handler| handler);
    assert_eq!(server.get("/").status, "HTTP/1.1 200 OK");
    assert!(server.stop());
    assert_eq!(reports.try_recv(), Err(TryRecvError::Disconnected));
}

/// A handler that is changed while connections have clones of it keeps what else was set.
#[test]
fn a_change_keeps_the_other_settings() {
    fn sorry(_: &mut Environ<'_>, start_response: Starter<'_>) -> AppResult {
        start_response.call("503 Sorry", PLAIN)?;
        Ok("sorry".into())
    }
    let (sender, reports) = channel();
    let sender = Mutex::new(sender);
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        assert_eq!(environ.get("CHANGED").as_deref(), Some("yes"));
        if environ.get("PATH_INFO").as_deref() == Some("/fails") {
            return Err(std::io::Error::other("scripted").into());
        }
        start_response.call("200 OK", PLAIN)?;
        // Before the content has come, if it is streamed.
        Ok("called".into())
    };
    let app = Slow::new(Validator::new(app), Duration::ZERO, move |slow| {
        let _ = sender.lock().expect("no panic").send(slow.is_on_loop());
    });
    let server = serve_with(app, |handler| {
        let workers = Pool::new().threads(1);
        let mut handler = handler
            .error_output(sorry)
            .workers(workers)
            .stream_input(true);
        let shared = handler.clone();
        handler
            .base_environ_mut()
            .insert("CHANGED".to_owned(), "yes".to_owned());
        drop(shared);
        handler
    });
    let mut stream = server.connect();
    let head = request("PUT", "/", "Content-Length: 5\r\n", "");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an end");
    assert!(answer.ends_with("\r\n\r\ncalled"), "{answer}");
    assert_eq!(reports.recv_timeout(PATIENCE), Ok(false));
    let response = server.get("/fails");
    assert_eq!(
        (&*response.status, response.text()),
        ("HTTP/1.1 503 Sorry", "sorry")
    );
}

/// WSGI-4, WSGI-27, ENV-11: content is read as it arrives, so its length may not be known. A client that waits to be asked is asked when
/// the application first reads, the loop goes on meanwhile, and the input ends with the body.
#[test]
fn input_as_it_arrives() {
    let (sender, lines) = channel();
    let sender = Mutex::new(sender);
    let app = move |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        let variable = |key| environ.get(key).unwrap_or_default().into_owned();
        let lengths = ["CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"]
            .map(variable)
            .concat();
        assert_eq!(variable("wsgi.input_terminated"), "True", "ENV-11");
        let sender = sender.lock().expect("no panic").clone();
        sender.send("called".to_owned())?;
        let mut count = 0;
        for line in environ.input().lines() {
            sender.send(line?)?;
            count += 1;
        }
        start_response.call("200 OK", PLAIN)?;
        Ok(format!("{count} lines of {lengths:?}").into())
    };
    let server = serve_with(Validator::new(app), |handler| {
        let workers = Pool::new().threads(1);
        handler.stream_input(true).workers(workers)
    });
    let line = || lines.recv_timeout(PATIENCE).expect("a line");

    let mut stream = server.connect();
    let fields = "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n";
    let head = request("PUT", "/", fields, "");
    stream.write_all(head.as_bytes()).expect("sent");
    assert_eq!(line(), "called");
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).expect("an interim response");
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    for text in ["first", "second"] {
        let chunk = format!("{:x}\r\n{text}\n\r\n", text.len() + 1);
        stream.write_all(chunk.as_bytes()).expect("sent");
        assert_eq!(line(), text);
    }
    let refused = exchange(&server, "nonsense\r\n\r\n");
    assert!(
        refused.starts_with("HTTP/1.1 400 "),
        "the loop goes on: {refused}"
    );
    stream.write_all(b"0\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an end");
    assert!(answer.ends_with("2 lines of \"chunked\""), "{answer}");

    // What has come with its head is input all the same, and without content there is the end.
    let whole = server.exchange(&request("PUT", "/", "Content-Length: 3\r\n", "a\nb"));
    assert_eq!(whole.text(), "2 lines of \"3\"");
    assert_eq!(server.get("/").text(), "0 lines of \"\"");
    assert_eq!(
        [line(), line(), line(), line()],
        ["called", "a", "b", "called"]
    );

    // A client that leaves in the middle ends the reads, and the worker is free again.
    let mut stream = server.connect();
    let head = request("PUT", "/", "Content-Length: 9\r\n", "c\n");
    stream.write_all(head.as_bytes()).expect("sent");
    assert_eq!([line(), line()], ["called", "c"]);
    drop(stream);
    assert_eq!(server.get("/").text(), "0 lines of \"\"");
}

/// WSGI-27: an input that arrives can be taken, and read after the call. Each block of the response
/// leaves before the next line has come.
#[test]
fn input_that_is_taken_as_it_arrives() {
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        let input = environ.take_input().expect("it was not replaced");
        assert_eq!(environ.input().read(&mut [0])?, 0);
        Ok(Body::blocks(input.lines().map_while(Result::ok)))
    };
    let server = serve_with(Validator::new(app), |handler| {
        let workers = Pool::new().threads(1);
        handler.stream_input(true).workers(workers)
    });
    let mut stream = server.connect();
    let head = request("PUT", "/", "Transfer-Encoding: chunked\r\n", "");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = BufReader::new(stream.try_clone().expect("a descriptor"));
    let mut line = String::new();
    for (number, text) in ["first", "second", "third"].into_iter().enumerate() {
        let chunk = format!("{:x}\r\n{text}\n\r\n", text.len() + 1);
        stream.write_all(chunk.as_bytes()).expect("sent");
        if number == 0 {
            while line != "\r\n" {
                line.clear();
                answer.read_line(&mut line).expect("a head");
            }
        }
        let expected = format!("{:x}\r\n{text}\r\n", text.len());
        let mut found = vec![0; expected.len()];
        answer.read_exact(&mut found).expect("a block");
        assert_eq!(String::from_utf8_lossy(&found), expected);
    }
    stream.write_all(b"0\r\n\r\n").expect("sent");
    line.clear();
    answer.read_to_string(&mut line).expect("an end");
    assert_eq!(line, "0\r\n\r\n");

    // A client that leaves in the middle ends the reads, and the worker is free again.
    let mut stream = server.connect();
    let head = request("PUT", "/", "Content-Length: 9\r\n", "a\n");
    stream.write_all(head.as_bytes()).expect("sent");
    stream.read_exact(&mut [0; 9]).expect("the head");
    drop(stream);
    let whole = server.exchange(&request("PUT", "/", "Content-Length: 3\r\n", "a\nb"));
    assert_eq!(whole.text(), "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
}

/// Without workers nothing would read on the loop while the application waits: content has arrived
/// whole.
#[test]
fn input_is_whole_on_the_loop() {
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        let text = std::io::read_to_string(environ.input())?;
        start_response.call("200 OK", PLAIN)?;
        Ok(text.into())
    };
    let server = serve_with(Validator::new(app), |handler| handler.stream_input(true));
    let fields = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    let mut stream = server.connect();
    let head = request("PUT", "/", fields, "");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).expect("an interim response");
    stream.write_all(b"whole").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an end");
    assert!(answer.ends_with("\r\n\r\nwhole"), "{answer}");
}

/// An upload larger than what the server would keep is held back while nobody reads it, and goes
/// through when somebody does.
#[test]
fn an_upload_larger_than_memory() {
    const LENGTH: usize = 8 << 20;
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        let mut sum = 0;
        let mut block = [0; 8192];
        loop {
            match environ.input().read(&mut block)? {
                0 => break,
                count => sum += count,
            }
        }
        start_response.call("200 OK", PLAIN)?;
        Ok(sum.to_string().into())
    };
    for (stream_input, status) in [(true, "200 OK"), (false, "413 Content Too Large")] {
        let server = serve_with(Validator::new(app), |handler| {
            let workers = Pool::new().threads(1);
            handler.workers(workers).stream_input(stream_input)
        });
        let fields = format!("Content-Length: {LENGTH}\r\n");
        let mut stream = server.connect();
        let head = request("PUT", "/", &fields, "");
        stream.write_all(head.as_bytes()).expect("sent");
        if stream_input {
            stream.write_all(&vec![b'x'; LENGTH]).expect("sent");
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
        assert!(
            !stream_input || answer.ends_with(&LENGTH.to_string()),
            "{answer}"
        );
    }
}
