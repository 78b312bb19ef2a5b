//! RT-8: one handler and one protocol under every dispatch, and no client that can tell which.
//!
//! A conversation is a list of what the client does; what it gets is compared byte for byte, with
//! the date masked. Every conversation ends by the server's close, so nothing waits for silence.
#![cfg(feature = "server")]

mod support;

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serve_forever::http::{
    Block, Http, HttpRequestHandler, HttpResult, HttpSettings, Message, Request, Response,
    ThreadedHttp, ThreadingHttpServer, listen,
};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{
    Buffer, Dispatch, Ends, Evented, Factory, Failure, HandlerResult, Hooks, Inline, Mailbox, Next,
    Overload, Pool, Protocol, RequestHandler, Rfile, Server, ShutdownHandle, Tcp, Threading,
    Transport,
};
use support::client::{Client, answer, ask, connect, queue, read_through};
use support::driving::Driving;
use support::patience::{LONG, PATIENCE, wait_until};
use support::server::{Report, run, run_as};
use support::trace::Trace;

/// What a client does.
#[derive(Clone, Copy)]
enum Does<'a> {
    Sends(&'a [u8]),
    /// Reads until what it got ends like this.
    Awaits(&'a [u8]),
    HalfCloses,
}

use Does::{Awaits, HalfCloses, Sends};

/// All that the server sends in a conversation, up to its close.
fn converse(address: SocketAddr, conversation: &[Does<'_>]) -> String {
    let mut client = connect(address);
    let mut got = Vec::new();
    for does in conversation {
        match does {
            Sends(bytes) => client.write_all(bytes).expect("sent"),
            HalfCloses => client.shutdown(Shutdown::Write).expect("half-closed"),
            Awaits(end) => {
                let mut byte = [0];
                while !got.ends_with(end) {
                    let read = client.read_exact(&mut byte);
                    read.unwrap_or_else(|error| panic!("{}: {error}", text(&got)));
                    got.extend_from_slice(&byte);
                }
            }
        }
    }
    let read = client.read_to_end(&mut got);
    read.unwrap_or_else(|error| panic!("{}: {error}", text(&got)));
    text(&got)
}

/// The bytes as text, with every date masked.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split_inclusive('\n').map(|line| match line {
        line if line.starts_with("Date: ") => "Date: …\r\n",
        line => line,
    });
    lines.collect()
}

/// What was reported, in any order.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<String>>>);

impl<T: Transport> Hooks<T> for Reports {
    fn handle_error(
        &mut self,
        error: &(dyn Error + Send + Sync + 'static),
        _: &T::Address,
    ) -> HandlerResult {
        self.0.lock().expect("no panic").push(error.to_string());
        Ok(())
    }
}

fn tcp() -> Tcp {
    Tcp::new("127.0.0.1:0")
        .and_then(|tcp| tcp.request_queue_size(64).bind_and_activate())
        .expect("a free port")
}

/// Runs the conversations against the protocol, on the loop and without one, which must agree.
/// Returns what came of each, and what the hooks were told of all.
fn the_same_everywhere<F, P>(
    factory: F,
    conversations: &[&[Does<'_>]],
) -> (Vec<String>, Vec<String>)
where
    F: Fn(&SocketAddr) -> P + Clone + Send + 'static,
    P: Protocol + Send + 'static,
{
    let evented = under(Evented::new(factory.clone()), conversations);
    let driven = under(Driving::new(factory), conversations);
    assert_eq!(driven, evented, "without a loop");
    evented
}

fn under<D>(dispatch: D, conversations: &[&[Does<'_>]]) -> (Vec<String>, Vec<String>)
where
    D: Dispatch<Tcp> + Send + 'static,
{
    let reports = Reports::default();
    let server = Server::with_hooks(tcp(), dispatch, reports.clone());
    let server = run(server.expect("a poll"), LONG);
    let answers = conversations
        .iter()
        .map(|conversation| converse(server.address, conversation))
        .collect();
    drop(server.stop());
    let mut reports = reports.0.lock().expect("no panic").clone();
    reports.sort();
    (answers, reports)
}

// A protocol of lines.

/// Echoes lines; does something else for some of them.
#[derive(Clone, Default)]
struct Lines {
    left: u32,
    asked: bool,
}

impl Protocol for Lines {
    type Message = Infallible;

    fn connection_made(&mut self, _: Mailbox<Infallible>, output: &mut Buffer, _: &Now) -> Next {
        output.extend_from_slice(b"hello\n");
        Next::Read
    }

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _: &Now) -> Next {
        while let Some(end) = input.iter().position(|&byte| byte == b'\n') {
            let line = input[..=end].to_vec();
            input.consume(end + 1);
            match &line[..] {
                b"bye\n" => return Next::Close,
                b"enough\n" => return Next::Linger,
                b"count\n" => {
                    self.left = 3;
                    return Next::Produce;
                }
                b"shout\n" => return Next::Upgrade(Box::new(Shouts)),
                b"panic\n" => panic!("as told"),
                line => output.extend_from_slice(line),
            }
        }
        Next::Read
    }

    fn produce(&mut self, output: &mut Buffer, _: &Now) -> Next {
        match self.left {
            0 => Next::Read,
            left => {
                self.left -= 1;
                output.extend_from_slice(format!("{left}\n").as_bytes());
                Next::Produce
            }
        }
    }

    /// Says more before it ends, and must not be asked twice.
    fn input_closed(&mut self, output: &mut Buffer, _: &Now) -> Next {
        assert!(!std::mem::replace(&mut self.asked, true), "asked twice");
        output.extend_from_slice(b"was that all?\n");
        self.left = 2;
        Next::Produce
    }
}

/// What it is upgraded to.
struct Shouts;

impl Protocol for Shouts {
    type Message = Infallible;

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _: &Now) -> Next {
        output.extend_from_slice(&input.to_ascii_uppercase());
        input.clear();
        Next::Read
    }

    fn input_closed(&mut self, output: &mut Buffer, _: &Now) -> Next {
        output.extend_from_slice(b"BYE");
        Next::Close
    }
}

/// RT-8, RT-10: every verdict, with bytes that arrive together, apart, and too late.
#[test]
fn a_protocol_of_lines() {
    check_lines(|_: &SocketAddr| Lines::default());
}

/// A boxed protocol is the protocol.
#[test]
fn a_protocol_in_boxes() {
    type Boxed = Box<dyn Protocol<Message = Infallible> + Send>;
    check_lines(|_: &SocketAddr| -> Box<Boxed> { Box::new(Box::new(Lines::default())) });
}

fn check_lines<P: Protocol + Send + 'static>(
    factory: impl Fn(&SocketAddr) -> P + Clone + Send + 'static,
) {
    let (answers, reports) = the_same_everywhere(
        factory,
        &[
            &[Sends(b"one\ntwo\nbye\n")],
            &[
                Sends(b"on"),
                Awaits(b"hello\n"),
                Sends(b"e\n"),
                Awaits(b"one\n"),
                Sends(b"bye\n"),
            ],
            &[Sends(b"count\none\nbye\n")],
            &[Sends(b"one\nhalf a li"), HalfCloses],
            &[Sends(b"count\n"), HalfCloses],
            &[HalfCloses],
            &[Sends(b"one\nshout\ntwo\n"), Awaits(b"TWO\n"), HalfCloses],
            &[Sends(b"enough\nnobody reads this\n")],
            &[Sends(b"one\npanic\ntwo\n")],
        ],
    );
    assert_eq!(
        answers,
        [
            "hello\none\ntwo\n",
            "hello\none\n",
            "hello\n3\n2\n1\none\n",
            "hello\none\nwas that all?\n2\n1\n",
            "hello\n3\n2\n1\nwas that all?\n2\n1\n",
            "hello\nwas that all?\n2\n1\n",
            "hello\none\nTWO\nBYE",
            "hello\n",
            "hello\n",
        ]
    );
    assert_eq!(reports, ["panicked: as told"]);
}

// Factories that fail.

/// Fails for the first client, panics for the second, and serves the others.
struct Wary<M> {
    clients: AtomicUsize,
    made: fn() -> M,
}

impl<M> Wary<M> {
    fn new(made: fn() -> M) -> Wary<M> {
        let clients = AtomicUsize::new(0);
        Wary { clients, made }
    }
}

impl<M> Factory<SocketAddr> for Wary<M> {
    type Made = M;

    fn make(&self, ends: &Ends<'_, SocketAddr>) -> Result<M, Failure> {
        match self.clients.fetch_add(1, Ordering::SeqCst) {
            0 => Err(format!("nothing for {}", ends.client_address()).into()),
            1 => panic!("as told"),
            _ => Ok((self.made)()),
        }
    }
}

/// REQ-7: the failure is reported with the client's address, the client is closed without a word,
/// and the next one is served.
fn check_wary<D: Dispatch<Tcp> + Send + 'static>(dispatch: D) {
    let (report, reports) = Report::new();
    let server = Server::with_hooks(tcp(), dispatch, report).expect("a poll");
    let server = run(server, LONG);
    for expected in ["nothing for", "panicked: as told"] {
        let mut client = Client::connect(server.address);
        let (error, address) = reports.recv_timeout(PATIENCE).expect("a report");
        assert!(error.starts_with(expected), "{error}");
        assert_eq!(address, client.address());
        client.expect_end();
    }
    Client::connect(server.address).expect("hello\n");
    let server = server.stop();
    assert_eq!((server.stats().accepted, server.stats().failed), (3, 2));
}

#[test]
fn a_factory_may_fail() {
    type Handle = fn(&mut dyn Rfile, &mut dyn Write) -> HandlerResult;
    fn greet(_: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
        Ok(wfile.write_all(b"hello\n")?)
    }
    check_wary(Inline::new(Wary::new(|| greet as Handle)));
    check_wary(Threading::new(Wary::new(|| greet as Handle)));
    check_wary(Evented::new(Wary::new(Lines::default)));
}

// HTTP.

/// The bodies of streamed answers: more than fits below any high-water mark.
const BLOCKS: usize = 40;
const BLOCK: usize = 10_000;

/// A page for each thing that a handler can do.
fn site(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    match request.path() {
        "/" => response.send_response(200).body("index"),
        "/echo" => {
            let trailers = request.trailers().iter().count();
            response
                .send_response(200)
                .send_header("X-Trailers", trailers.to_string())
                .body(request.body())
        }
        "/stream" => response
            .send_response(200)
            .stream((0..BLOCKS).map(|number| vec![b'a' + (number % 26) as u8; BLOCK])),
        "/broken" => response.send_response(200).stream(Broken(3)),
        "/short" => response
            .send_response(200)
            .send_header("Content-Length", "10")
            .body("short"),
        "/later" => {
            let (deferred, reply) = response.defer();
            thread::spawn(move || {
                deferred.respond(|response| response.send_response(200).body("at last"))
            });
            Ok(reply)
        }
        "/never" => Ok(response.defer().1),
        "/fail" => Err(io::Error::other("as told").into()),
        "/panic" => panic!("as told"),
        "/upgrade" => response
            .send_response_only(101, "Switching Protocols")
            .send_header("Connection", "upgrade")
            .send_header("Upgrade", "shouts")
            .upgrade(Upgraded),
        _ => response.send_error(404),
    }
}

/// Content that breaks off.
struct Broken(u32);

impl serve_forever::http::BodySource for Broken {
    fn next_block(&mut self) -> Result<Option<Block>, serve_forever::socketserver::Failure> {
        self.0 = self.0.checked_sub(1).ok_or(io::Error::other("broken"))?;
        Ok(Some(b"block".into()))
    }
}

/// [`Shouts`], on what was an HTTP connection.
struct Upgraded;

impl Protocol for Upgraded {
    type Message = Message;

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _: &Now) -> Next<Message> {
        output.extend_from_slice(&input.to_ascii_uppercase());
        input.clear();
        Next::Read
    }
}

/// Answers GET, HEAD and POST.
#[derive(Clone)]
struct Site;

impl HttpRequestHandler for Site {
    fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        site(request, response)
    }

    fn do_post(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        site(request, response)
    }
}

/// The protocols of the site.
fn http(
    mut settings: HttpSettings,
) -> impl Fn(&SocketAddr) -> HttpProtocol + Clone + Send + Sync + 'static {
    settings.limits.body = 1000;
    let http = Http::new(Site, settings);
    move |client_address| {
        let made = http.make(&Ends::new(client_address));
        made.expect("HTTP serves everybody")
    }
}

type HttpProtocol = serve_forever::http::HttpConnection<Site>;

const HOST: &str = "HTTP/1.1\r\nHost: h.test\r\n";

fn get(path: &str) -> String {
    format!("GET {path} {HOST}\r\n")
}

/// The last request of a connection.
fn last(path: &str) -> String {
    format!("GET {path} {HOST}Connection: close\r\n\r\n")
}

/// RT-8, HTTP-24, RT-10: keep-alive, pipelining, half-close, and every kind of answer.
#[test]
fn http_answers() {
    let (index, last_index, stream) = (get("/"), last("/"), last("/stream"));
    let batch = [get("/"), get("/stream"), last("/missing")].concat();
    let old = "GET /stream HTTP/1.0\r\n\r\n";
    let head = format!("HEAD /stream {HOST}\r\n{}", last("/"));
    let chunked = format!(
        "POST /echo {HOST}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         5\r\nhello\r\n1;x=y\r\n,\r\n"
    );
    let rest = "6\r\n world\r\n0\r\nX-Sum: 12\r\n\r\n";
    let expect = format!(
        "POST /echo {HOST}Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    );
    let eager = format!(
        "POST /echo {HOST}Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\nhello"
    );
    let later = [get("/later"), last("/never")].concat();
    let upgrade = [&get("/upgrade"), "quiet"].concat();
    let conversations: [&[Does<'_>]; 16] = [
        &[
            Sends(index.as_bytes()),
            Awaits(b"index"),
            Sends(last_index.as_bytes()),
        ],
        &[Sends(index.as_bytes()), HalfCloses],
        &[Sends(&index.as_bytes()[..20]), HalfCloses],
        &[HalfCloses],
        &[Sends(batch.as_bytes())],
        &[Sends(stream.as_bytes())],
        &[Sends(stream.as_bytes()), HalfCloses],
        &[Sends(old.as_bytes())],
        &[Sends(head.as_bytes())],
        &[Sends(chunked.as_bytes()), Sends(rest.as_bytes())],
        &[
            Sends(expect.as_bytes()),
            Awaits(b"100 Continue\r\n\r\n"),
            Sends(b"hello"),
        ],
        &[Sends(eager.as_bytes())],
        &[Sends(later.as_bytes())],
        &[
            Sends(upgrade.as_bytes()),
            Awaits(b"QUIET"),
            Sends(b"!"),
            HalfCloses,
        ],
        &[
            Sends(&old.as_bytes()[..20]),
            Sends(&old.as_bytes()[20..]),
            HalfCloses,
        ],
        &[Sends(last_index.as_bytes()), Sends(b"nobody reads this")],
    ];
    let (answers, reports) = the_same_everywhere(http(HttpSettings::default()), &conversations);
    let begins = ["HTTP/1.1 200 OK\r\n"; 16];
    for (number, (answer, begins)) in answers.iter().zip(begins).enumerate() {
        let begins = match number {
            2 | 3 => "",
            10 => "HTTP/1.1 100 Continue\r\n",
            13 => "HTTP/1.1 101 Switching Protocols\r\n",
            _ => begins,
        };
        assert!(answer.starts_with(begins), "{number}: {answer}");
    }
    assert_eq!(answers[0].matches("index").count(), 2);
    assert_eq!((&*answers[2], &*answers[3]), ("", ""));
    assert!(answers[4].contains("HTTP/1.1 404 Not Found\r\n"));
    assert!(answers[5].len() > BLOCKS * BLOCK && answers[5].ends_with("\r\n0\r\n\r\n"));
    assert_eq!(answers[5], answers[6]);
    assert!(
        answers[9].ends_with(
            "X-Trailers: 1\r\nContent-Length: 12\r\nConnection: close\r\n\r\nhello, world"
        )
    );
    assert!(answers[12].contains("at last") && answers[12].contains(" 500 "));
    assert!(answers[13].ends_with("\r\n\r\nQUIET!"), "{}", answers[13]);
    assert_eq!(reports, ["a deferred request never got a response"]);
}

/// RT-8, design laws 8 to 10: refusals, failures, and a client that is too slow.
#[test]
fn http_errors() {
    let large = format!(
        "POST /echo {HOST}Content-Length: 1001\r\n\r\n{}",
        "x".repeat(1001)
    );
    let chunks = format!(
        "POST /echo {HOST}Transfer-Encoding: chunked\r\n\r\n3e9\r\n{}\r\n0\r\n\r\n",
        "x".repeat(1001)
    );
    let fields = format!("GET / {HOST}X: {}\r\n\r\n", "x".repeat(40_000));
    let long = format!("GET /{} {HOST}\r\n", "x".repeat(40_000));
    let method = format!("BREW / {HOST}\r\n{}", last("/"));
    let coding = format!("POST / {HOST}Transfer-Encoding: gzip\r\n\r\n");
    let lengths = format!("POST / {HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx");
    let expect = format!("POST / {HOST}Content-Length: 1\r\nExpect: more\r\n\r\nx");
    let handlers =
        ["/fail", "/panic", "/broken", "/short"].map(|path| [get("/"), get(path)].concat());
    let [fail, panic, broken, short] = &handlers;
    let conversations: [&[Does<'_>]; 14] = [
        &[Sends(b"nonsense\r\n\r\n")],
        &[Sends(b"GET / HTTP/1.1\r\n\r\n")],
        &[Sends(large.as_bytes())],
        &[Sends(chunks.as_bytes())],
        &[Sends(fields.as_bytes())],
        &[Sends(long.as_bytes())],
        &[Sends(method.as_bytes())],
        &[Sends(coding.as_bytes())],
        &[Sends(lengths.as_bytes())],
        &[Sends(expect.as_bytes())],
        &[Sends(fail.as_bytes())],
        &[Sends(panic.as_bytes())],
        &[Sends(broken.as_bytes())],
        &[Sends(short.as_bytes())],
    ];
    let (answers, reports) = the_same_everywhere(http(HttpSettings::default()), &conversations);
    let codes = [
        400, 400, 413, 413, 431, 414, 501, 501, 400, 417, 500, 500, 200, 200,
    ];
    for (number, (answer, code)) in answers.iter().zip(codes).enumerate() {
        assert!(
            answer.contains(&format!("HTTP/1.1 {code} ")),
            "{number}: {answer}"
        );
    }
    assert!(answers[12].ends_with("5\r\nblock\r\n"), "{}", answers[13]);
    assert_eq!(
        reports,
        [
            "as told",
            "broken",
            "panicked: as told",
            "the body is shorter than its Content-Length",
        ]
    );
}

/// HTTP-27, design law 8: a head that does not come to its end is answered 408; who says nothing,
/// or nothing more, is let go without a word.
#[test]
fn http_deadlines() {
    let mut settings = HttpSettings::default();
    settings.deadlines.head = Duration::from_millis(500);
    let (answers, _) = the_same_everywhere(http(settings), &[&[], &[Sends(b"GET / HT")]]);
    assert_eq!(answers[0], "");
    assert!(answers[1].starts_with("HTTP/1.1 408 "), "{}", answers[1]);

    let mut settings = HttpSettings::default();
    settings.deadlines.body.idle = Duration::from_millis(20);
    settings.deadlines.keep_alive = Duration::from_millis(20);
    let body = format!("POST /echo {HOST}Content-Length: 5\r\n\r\nhell");
    let index = get("/");
    let conversations: [&[Does<'_>]; 2] = [&[Sends(index.as_bytes())], &[Sends(body.as_bytes())]];
    let (answers, reports) = the_same_everywhere(http(settings), &conversations);
    assert!(answers[0].ends_with("index"), "{}", answers[0]);
    assert!(answers[1].starts_with("HTTP/1.1 408 "), "{}", answers[1]);
    assert_eq!(reports, [""; 0]);
}

/// TCP-8, RT-8: a client that sends without end, and reads only when it sees that the answer is
/// whole, need not wait until nobody reads from it any more.
#[test]
fn a_refusal_is_whole_before_the_connection_lingers() {
    let server = ThreadingHttpServer::bind("127.0.0.1:0", Site).expect("a free port");
    let server = run(server, LONG);
    let mut client = connect(server.address);
    client.write_all(b"nonsense\r\n\r\n").expect("sent");
    let mut got = Vec::new();
    client.read_to_end(&mut got).expect("an answer");
    assert!(text(&got).starts_with("HTTP/1.1 400 "));
    // Its worker still listens: what is sent now is not answered by a reset.
    client.write_all(b"more nonsense").expect("sent");
    client.write_all(b"and more").expect("sent");
    server.stop();
}

/// RT-8: the time that a worker itself takes is not the client's. The next request has come while
/// the first was handled, and long after the patience between two would have ended.
#[test]
fn a_slow_handler_does_not_use_up_the_patience_with_its_client() {
    let patience = Duration::from_millis(1);
    let mut settings = HttpSettings::default();
    settings.deadlines.keep_alive = patience;
    let trace = Trace::default();
    let words = trace.clone();
    let slow = move |request: &Request<'_>, response: Response<'_>| {
        if request.path() == "/slow" {
            words.note("in");
            words.wait_for("go", 1);
        }
        response.send_response(200).body(request.path())
    };
    let server = ThreadingHttpServer::with_settings("127.0.0.1:0", slow, settings);
    let server = run(server.expect("a free port"), LONG);
    let mut client = connect(server.address);
    client.write_all(get("/slow").as_bytes()).expect("sent");
    trace.wait_for("in", 1);
    client.write_all(last("/next").as_bytes()).expect("sent");
    let since = Instant::now();
    wait_until("over", || since.elapsed() > 10 * patience);
    trace.note("go");
    assert!(answer(client).ends_with("/next"));
    server.stop();
}

// HTTP, with the handlers on threads.

/// THREAD-9: a connection that is kept and idle holds no thread, so clients that come later need
/// not wait until it is closed.
#[test]
fn idle_connections_hold_no_thread() {
    let mut settings = HttpSettings::default();
    settings.deadlines.keep_alive = LONG; // so that none is closed meanwhile
    let server = ThreadingHttpServer::with_settings("127.0.0.1:0", Site, settings);
    let server = run(server.expect("a free port"), LONG);
    let mut idle = Vec::new();
    for _ in 0..64 {
        let mut client = connect(server.address);
        client.write_all(get("/").as_bytes()).expect("sent");
        read_through(&mut client, "index");
        idle.push(client);
    }
    let mut next = connect(server.address);
    next.write_all(last("/").as_bytes()).expect("sent");
    assert!(answer(next).ends_with("index"));
    server.stop();
}

/// A server on `workers`, whose handlers note that they are in and wait until they may go on.
fn gated(
    trace: &Trace,
    workers: &Pool,
    block_on_close: Option<Duration>,
) -> Server<Tcp, Evented<Tcp, ThreadedHttp<impl HttpRequestHandler + Clone + Send + 'static>>> {
    let trace = trace.clone();
    let handler = move |request: &Request<'_>, response: Response<'_>| {
        trace.note("in");
        trace.wait_for("go", 1);
        trace.note("out");
        response.send_response(200).body(request.path())
    };
    let http = ThreadedHttp::new(handler, HttpSettings::default(), workers.clone());
    let http = match block_on_close {
        Some(patience) => http.block_on_close(patience),
        None => http,
    };
    let tcp = listen("127.0.0.1:0").expect("a free port");
    Server::new(tcp, Evented::new(http)).expect("a poll")
}

/// THREAD-5: with `block_on_close`, closing waits for what runs and what is queued, and the clients
/// get it. No further request is begun.
#[test]
fn closing_delivers_what_the_handlers_have_begun() {
    let (trace, workers) = (Trace::default(), Pool::new().threads(2));
    let server = run_as(gated(&trace, &workers, Some(LONG)), |server| {
        let served = server.serve_forever();
        server.server_close();
        served
    });
    let clients = [(); 3].map(|()| {
        let mut client = connect(server.address);
        let requests = [get("/first"), get("/never")].concat();
        client.write_all(requests.as_bytes()).expect("sent");
        client
    });
    trace.wait_for("in", 2);
    wait_until("the third is queued", || workers.waiting() == 1);
    server.handle.request();
    trace.note("go");
    for answer in clients.map(answer) {
        assert!(answer.ends_with("/first"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 1);
    }
    server.stop();
}

/// Nobody works for a client that has left: a job that waits for a thread is dropped unrun when its
/// client resets the connection.
#[test]
fn a_queued_job_of_a_client_that_is_gone_is_not_run() {
    let (trace, workers) = (Trace::default(), Pool::new().threads(1));
    let noting = trace.clone();
    let handler = move |request: &Request<'_>, response: Response<'_>| {
        noting.note(request.path());
        noting.wait_for("go", 1);
        response.send_response(200).body("done")
    };
    let http = ThreadedHttp::new(handler, HttpSettings::default(), workers.clone());
    let tcp = listen("127.0.0.1:0").expect("a free port");
    let mut server = Server::new(tcp, Evented::new(http)).expect("a poll");
    server.set_max_connections(2, Overload::Wait);
    let server = run(server, LONG);
    let asks = |path| {
        let mut client = Client::connect(server.address);
        client.send(last(path));
        client
    };
    let first = asks("/first");
    trace.wait_for("/first", 1);
    let gone = asks("/gone");
    wait_until("the second is queued", || workers.waiting() == 1);
    let next = asks("/next");
    gone.reset();
    // The third client is accepted only when the server knows that the second is gone.
    wait_until("the third is queued", || workers.waiting() == 2);
    trace.note("go");
    for client in [first, next] {
        assert!(answer(client.0).ends_with("done"));
    }
    assert_eq!(trace.take(), "/first go /next");
    server.stop();
}

/// THREAD-10: a handler may stop its own server, wait until that has stopped, and respond then.
#[test]
fn a_handler_stops_its_server_and_is_heard() {
    let (sender, handles) = std::sync::mpsc::channel::<ShutdownHandle>();
    let handles = Arc::new(Mutex::new(handles));
    let handler = move |_: &Request<'_>, response: Response<'_>| {
        let handle = handles.lock().expect("no panic").recv()?;
        handle.shutdown()?;
        response.send_response(200).body("stopped")
    };
    let workers = Pool::new().threads(1);
    let http = ThreadedHttp::new(handler, HttpSettings::default(), workers);
    let tcp = listen("127.0.0.1:0").expect("a free port");
    let server = Server::new(tcp, Evented::new(http.block_on_close(LONG))).expect("a poll");
    sender.send(server.shutdown_handle()).expect("it waits");
    let server = run_as(server, |server| {
        let served = server.serve_forever();
        server.server_close();
        served
    });
    let mut client = connect(server.address);
    client.write_all(get("/").as_bytes()).expect("sent");
    assert!(answer(client).ends_with("stopped"));
    server.stop();
}

/// THREAD-5: what a handler has begun is more than one message if its body comes in blocks.
#[test]
fn closing_delivers_a_body_that_comes_in_blocks() {
    // More than a connection takes in one turn.
    check_blocks_at_close(Pool::new(), &["/pulled", "/pushed"], 30);
}

/// THREAD-5, THREAD-11: a worker stops several times in such a body, and its client reads promptly.
/// The body is delivered, whether the worker is free meanwhile or waits.
#[test]
fn closing_delivers_a_body_whose_worker_waits_for_the_client() {
    for share_threads in [true, false] {
        let workers = Pool::new().share_threads(share_threads);
        check_blocks_at_close(workers, &["/pulled"], 2000);
    }
}

/// Has handlers begin bodies of so many blocks when the server is about to close. Each body arrives
/// whole.
fn check_blocks_at_close(workers: Pool, paths: &[&str], blocks: usize) {
    let trace = Trace::default();
    let handler = {
        let trace = trace.clone();
        move |request: &Request<'_>, response: Response<'_>| {
            trace.note("in");
            trace.wait_for("go", 1);
            if request.path() == "/pulled" {
                let blocks = (0..blocks).map(|_| "block");
                return response.send_response(200).stream(blocks);
            }
            let (deferred, reply) = response.defer();
            let stream = deferred.stream(|response| response.send_response(200))?;
            for _ in 0..blocks {
                stream.send("block")?;
            }
            stream.finish()?;
            Ok(reply)
        }
    };
    let http = ThreadedHttp::new(handler, HttpSettings::default(), workers.threads(2));
    let tcp = listen("127.0.0.1:0").expect("a free port");
    let server = Server::new(tcp, Evented::new(http.block_on_close(LONG))).expect("a poll");
    let server = run_as(server, |server| {
        let served = server.serve_forever();
        server.server_close();
        served
    });
    let ask = |path: &&str| {
        let mut client = connect(server.address);
        client.write_all(get(path).as_bytes()).expect("sent");
        client
    };
    let clients: Vec<_> = paths.iter().map(ask).collect();
    trace.wait_for("in", paths.len());
    server.handle.request();
    trace.note("go");
    for answer in clients.into_iter().map(answer) {
        assert!(answer.ends_with("\r\n0"), "{answer}"); // trimmed
        assert_eq!(answer.matches("block").count(), blocks);
    }
    server.stop();
}

/// Design law 8: closing waits for a handler no longer than it is told to.
#[test]
fn closing_has_a_patience() {
    for patience in [None, Some(Duration::from_millis(20))] {
        let (trace, workers) = (Trace::default(), Pool::new().threads(1));
        let server = run(gated(&trace, &workers, patience), LONG);
        let mut client = connect(server.address);
        client.write_all(get("/").as_bytes()).expect("sent");
        trace.wait_for("in", 1);
        drop(server.stop()); // it closes while the handler still waits
        assert_eq!(answer(client), "", "{patience:?}");
        trace.note("go");
        trace.wait_for("out", 1);
    }
}

// A blocking handler.

/// HND-1, THREAD-9: the same handler, in the same words, one at a time and several at once.
#[test]
fn a_handler_is_written_once() {
    #[derive(Clone, Default)]
    struct Upper(u32);

    impl RequestHandler for Upper {
        fn setup(&mut self, _rfile: &mut dyn Rfile) -> HandlerResult {
            self.0 += 1;
            Ok(())
        }

        fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
            let mut line = String::new();
            rfile.read_line(&mut line)?;
            write!(wfile, "{} {}", self.0, line.to_uppercase())?;
            Ok(())
        }
    }

    let make_handler = |_: &SocketAddr| Upper::default();
    let lines = ["one", "two", "three"];
    let expected = ["1 ONE", "1 TWO", "1 THREE"];
    let inline = run(
        Server::new(tcp(), Inline::new(make_handler)).expect("a poll"),
        LONG,
    );
    assert_eq!(lines.map(|line| ask(inline.address, line)), expected);
    inline.stop();
    let threading = Server::new(tcp(), Threading::new(make_handler));
    let threading = run(threading.expect("a poll"), LONG);
    let clients = lines.map(|line| queue(threading.address, line));
    assert_eq!(clients.map(answer), expected);
    threading.stop();
}
