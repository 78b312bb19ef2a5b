//! Design law 6: no allocation per request in steady state, no buffer on an idle connection.
//!
//! The allocator counts for each thread by itself, and the loop runs on the thread of the test;
//! what clients allocate in theirs does not matter.
#![cfg(feature = "server")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Cursor, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, UNIX_EPOCH};

use serve_forever::http::{
    AccessLog, Block, FromRead, HttpConnection, HttpRequestHandler, HttpServer, HttpSettings,
    LogFormat, Request, Response, TrustedProxies,
};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Protocol};

#[path = "../examples/checks/plaintext.rs"]
#[allow(dead_code)]
mod plaintext;

use plaintext::Plaintext;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

fn count(allocations: u64, bytes: i64) {
    ALLOCATIONS.set(ALLOCATIONS.get() + allocations);
    LIVE.set(LIVE.get() + bytes);
}

// SAFETY: everything is done by `System`, whose contract is the caller's; the counters are plain
// thread-local cells without destructor, which neither allocate nor fail.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Nothing may take longer.
const PATIENCE: Duration = Duration::from_secs(60);

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream.set_write_timeout(Some(PATIENCE)).expect("an option");
    stream.set_nodelay(true).expect("an option");
    stream
}

fn bind() -> HttpServer<Plaintext> {
    bind_with(Plaintext)
}

fn bind_with<H: HttpRequestHandler + Clone>(handler: H) -> HttpServer<H> {
    let mut settings = HttpSettings::default();
    // The tests may be slow; what they keep idle must not be closed.
    settings.deadlines.keep_alive = 2 * PATIENCE;
    HttpServer::with_settings("127.0.0.1:0", handler, settings).expect("a free port")
}

/// Gives the server its turns on this thread until so many clients have come to a point.
fn drive<H>(server: &mut HttpServer<H>, arrived: &AtomicUsize, clients: usize)
where
    H: HttpRequestHandler + Clone,
{
    let began = Instant::now();
    while arrived.load(Ordering::SeqCst) < clients {
        server.turn().expect("the server goes on");
        assert!(began.elapsed() < PATIENCE, "the clients are stuck");
        thread::yield_now();
    }
}

/// A client thread: warm-up rounds, a halt, measured rounds, and another halt.
struct Course {
    warm: AtomicUsize,
    go: AtomicBool,
    done: AtomicUsize,
    home: AtomicBool,
}

impl Course {
    fn new() -> Arc<Course> {
        Arc::new(Course {
            warm: AtomicUsize::new(0),
            go: AtomicBool::new(false),
            done: AtomicUsize::new(0),
            home: AtomicBool::new(false),
        })
    }

    fn halt(arrived: &AtomicUsize, flag: &AtomicBool) {
        arrived.fetch_add(1, Ordering::SeqCst);
        while !flag.load(Ordering::SeqCst) {
            thread::yield_now();
        }
    }
}

const WARM_UP: usize = 50;

/// Sends `batch`, in one write, and reads its `answers`, over and over.
fn client(
    course: Arc<Course>,
    address: SocketAddr,
    batch: Vec<u8>,
    answers: usize,
    rounds: usize,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut stream = connect(address);
        // One by itself tells how long an answer is.
        stream.write_all(&batch).expect("the server reads");
        let (mut answer, mut end) = (vec![0; 256 * 1024], None);
        let mut first = 0;
        while end.is_none() {
            first += stream.read(&mut answer[first..]).expect("an answer");
            end = answer[..first]
                .windows(13)
                .position(|window| window == b"Hello, World!");
        }
        let length = end.expect("it is whole") + 13;
        answer.truncate(length * answers);
        stream.read_exact(&mut answer[first..]).expect("the rest");
        let mut round = || {
            stream.write_all(&batch).expect("the server reads");
            stream.read_exact(&mut answer).expect("all the answers");
            assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
            assert!(answer.ends_with(b"Hello, World!"));
        };
        (0..WARM_UP).for_each(|_| round());
        Course::halt(&course.warm, &course.go);
        (0..rounds).for_each(|_| round());
        Course::halt(&course.done, &course.home);
    })
}

/// The allocations of the loop's thread while four clients send `rounds` batches each.
fn allocations(batch: &[u8], answers: usize, rounds: usize) -> u64 {
    allocations_of(bind(), batch, answers, rounds)
}

/// As [`allocations`], by a server of the test's own.
fn allocations_of<H: HttpRequestHandler + Clone>(
    mut server: HttpServer<H>,
    batch: &[u8],
    answers: usize,
    rounds: usize,
) -> u64 {
    const CLIENTS: usize = 4;
    let course = Course::new();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (course, address) = (Arc::clone(&course), server.server_address());
            client(course, address, batch.to_vec(), answers, rounds)
        })
        .collect();
    drive(&mut server, &course.warm, CLIENTS);
    let before = ALLOCATIONS.get();
    course.go.store(true, Ordering::SeqCst);
    drive(&mut server, &course.done, CLIENTS);
    let allocations = ALLOCATIONS.get() - before;
    course.home.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().expect("no panic");
    }
    allocations
}

const GET: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";

/// That the tests below can fail.
#[test]
fn an_allocation_is_counted() {
    let (allocations, live) = (ALLOCATIONS.get(), LIVE.get());
    let mut boxed = std::hint::black_box(Vec::<u8>::with_capacity(10));
    assert_eq!(
        (ALLOCATIONS.get() - allocations, LIVE.get() - live),
        (1, 10)
    );
    boxed.reserve_exact(20);
    assert_eq!(
        (ALLOCATIONS.get() - allocations, LIVE.get() - live),
        (2, 20)
    );
    drop(std::hint::black_box(Box::new(7_u64)));
    assert_eq!(ALLOCATIONS.get() - allocations, 3);
    drop(boxed);
    assert_eq!(LIVE.get(), live);
}

#[test]
fn a_request_allocates_nothing() {
    assert_eq!(allocations(GET, 1, 3000), 0);
}

#[test]
fn a_pipelined_batch_allocates_nothing() {
    assert_eq!(allocations(&GET.repeat(16), 16, 500), 0);
}

#[test]
fn an_upload_in_one_piece_allocates_nothing() {
    let mut post =
        b"POST /plaintext HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10240\r\n\r\n".to_vec();
    post.extend([b'p'; 10 * 1024]);
    assert_eq!(allocations(&post, 1, 1000), 0);
}

/// Nor does its line in a log, whose room all connections of a thread share.
#[test]
fn a_line_in_a_log_allocates_nothing() {
    let formats = [
        LogFormat::Python,
        LogFormat::Common,
        LogFormat::Combined,
        LogFormat::Json,
    ];
    for format in formats {
        let lines = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&lines);
        let sink = move |line: &str| {
            assert!(line.contains("GET /plaintext"));
            counter.fetch_add(1, Ordering::SeqCst);
        };
        let server = bind_with(AccessLog::new(Plaintext, format, sink));
        assert_eq!(allocations_of(server, GET, 1, 500), 0, "{format:?}");
        // Four clients, each with the warm-up and one request before it.
        assert_eq!(lines.load(Ordering::SeqCst), 4 * (1 + WARM_UP + 500));
    }
}

/// Nor does a proxy that says who the client is, read for the log and for the handler.
#[test]
fn a_trusted_proxy_allocates_nothing() {
    let batch = b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1, 10.0.0.1\r\n\
                  X-Forwarded-Proto: https\r\n\r\n";
    let handler = |request: &Request<'_>, response: Response<'_>| {
        let client = request.client_address().map(|client| client.ip());
        assert_eq!(client, Some(Ipv4Addr::new(192, 0, 2, 1).into()));
        assert_eq!(request.scheme(), "https");
        response.send_response(200).body("Hello, World!")
    };
    let sink = |line: &str| assert!(line.starts_with("192.0.2.1 "));
    let handler = AccessLog::new(handler, LogFormat::Common, sink);
    let mut settings = HttpSettings::default();
    settings.deadlines.keep_alive = 2 * PATIENCE;
    let proxies = ["127.0.0.1", "10.0.0.0/8"];
    settings.trusted_proxies = TrustedProxies::networks(proxies)
        .expect("networks")
        .with_proto();
    let server = HttpServer::with_settings("127.0.0.1:0", handler, settings).expect("bound");
    assert_eq!(allocations_of(server, batch, 1, 500), 0);
}

/// The second a `Date` is for changes while requests are served: that allocates nothing either.
#[test]
fn a_new_second_allocates_nothing() {
    let settings = Arc::new(HttpSettings::default());
    let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
    let mut connection = HttpConnection::new(Plaintext, peer, settings);
    let (mut input, mut output) = (Buffer::new(), Buffer::new());
    let began = Instant::now();
    let mut dated = |seconds: u64, date: &str| {
        let wall = UNIX_EPOCH + Duration::from_secs(784_111_700 + seconds);
        let now = Now::at(began, wall);
        input.extend_from_slice(GET);
        let before = ALLOCATIONS.get();
        connection.receive(&mut input, &mut output, &now);
        let allocations = ALLOCATIONS.get() - before;
        let response = String::from_utf8_lossy(&output);
        let expected = format!("\r\nDate: Sun, 06 Nov 1994 08:{date} GMT\r\n");
        assert!(response.contains(&expected), "{response}");
        output.clear();
        allocations
    };
    dated(0, "48:20"); // the buffers grow to what one response needs
    assert_eq!(dated(0, "48:20"), 0);
    assert_eq!(dated(1, "48:21"), 0);
    assert_eq!(dated(60, "49:20"), 0);
}

/// Nor does a page that is lent, however large.
#[test]
fn a_page_that_is_lent_allocates_nothing() {
    let page = Block::lend([&[b'x'; 100_000], &b"Hello, World!"[..]].concat());
    let handler = move |_: &Request<'_>, response: Response<'_>| {
        response.send_response(200).body_block(page.clone())
    };
    assert_eq!(allocations_of(bind_with(handler), GET, 1, 500), 0);
}

/// Nor do the blocks of a body that is read, however many. Only the response as a whole does.
#[test]
fn the_blocks_of_what_is_read_allocate_nothing() {
    let of_length = |length: usize| {
        let content: Arc<[u8]> = [&vec![b'x'; length], &b"Hello, World!"[..]].concat().into();
        let handler = move |_: &Request<'_>, response: Response<'_>| {
            let content = Cursor::new(Arc::clone(&content));
            let head = response.send_response(200);
            head.send_header("Content-Length", content.get_ref().len().to_string())
                .stream(FromRead::new(content))
        };
        allocations_of(bind_with(handler), GET, 1, 500)
    };
    let (two, four) = (of_length(100_000), of_length(230_000));
    // A client may not take everything at once. What is left is then kept with the connection.
    assert!(
        four < two + 500,
        "{two} for two blocks each, {four} for four"
    );
}

/// What the loop's thread holds for each connection that has had its answer and is idle.
///
/// All tables double when they grow, so at a power of two none has room to spare. The first
/// connections share the smallest table, so they are not counted. Two slots are the engine's own.
#[test]
fn an_idle_connection_holds_no_buffer() {
    const FEW: usize = 16 - 2;
    const MANY: usize = 256 - 2;
    let mut server = bind();
    let address = server.server_address();
    let course = Course::new();
    let shared = Arc::clone(&course);
    let clients = thread::spawn(move || {
        let mut answer = [0; 1024];
        let mut ask = |stream: &mut TcpStream| {
            // In two pieces, so that the connection has had to keep the first for a while.
            stream.write_all(&GET[..30]).expect("the server reads");
            thread::yield_now();
            stream.write_all(&GET[30..]).expect("the server reads");
            let count = stream.read(&mut answer).expect("an answer");
            assert!(answer[..count].ends_with(b"Hello, World!"));
        };
        let mut streams: Vec<TcpStream> = Vec::new();
        for _ in 0..FEW {
            streams.push(connect(address));
            streams.iter_mut().for_each(&mut ask);
        }
        Course::halt(&shared.warm, &shared.go);
        for _ in FEW..MANY {
            let mut stream = connect(address);
            ask(&mut stream);
            streams.push(stream);
        }
        Course::halt(&shared.done, &shared.home);
    });
    drive(&mut server, &course.warm, 1);
    let before = LIVE.get();
    course.go.store(true, Ordering::SeqCst);
    drive(&mut server, &course.done, 1);
    let held = LIVE.get() - before;
    assert_eq!(server.engine().dispatch().open_connections(), MANY);
    course.home.store(true, Ordering::SeqCst);
    clients.join().expect("no panic");
    let each = held / (MANY - FEW) as i64;
    println!("{each} bytes per idle connection");
    assert!(each <= 300, "{each} bytes per idle connection");
}

/// The same after an upload that had to be kept while it was under way.
#[test]
fn an_upload_leaves_no_buffer_behind() {
    const CLIENTS: usize = 8;
    let mut server = bind();
    let address = server.server_address();
    let course = Course::new();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let course = Arc::clone(&course);
            thread::spawn(move || {
                let mut answer = [0; 1024];
                let mut stream = connect(address);
                stream.write_all(GET).expect("the server reads");
                let count = stream.read(&mut answer).expect("an answer");
                assert!(answer[..count].ends_with(b"Hello, World!"));
                Course::halt(&course.warm, &course.go);
                let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n";
                stream.write_all(head).expect("the server reads");
                stream.write_all(&vec![b'u'; 500_000]).expect("it reads");
                let count = stream.read(&mut answer).expect("an answer");
                assert!(answer[..count].ends_with(b"Hello, World!"));
                Course::halt(&course.done, &course.home);
            })
        })
        .collect();
    drive(&mut server, &course.warm, CLIENTS);
    let (before, allocations) = (LIVE.get(), ALLOCATIONS.get());
    course.go.store(true, Ordering::SeqCst);
    drive(&mut server, &course.done, CLIENTS);
    assert!(ALLOCATIONS.get() > allocations, "the upload had to be kept");
    // The run queue may have grown by a few places.
    assert!(LIVE.get() - before < 256, "{} bytes", LIVE.get() - before);
    course.home.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().expect("no panic");
    }
}
