//! Measures what it costs to send a large body, beside one `write` of the same bytes. Linux only.
//!
//!     cargo bench --bench blocks
//!     cargo bench --bench blocks -- "64 KiB" wsgi
//!
//! Words after `--` choose cases: those that contain all of them. Each figure is the processor time of
//! the server for one response: the median of several rounds. The floor is a server with one thread that
//! parses nothing, and gives head and body to one blocking `write`; `floor blocks` writes blocks of
//! 64 KiB. All share one processor, because a kernel that moves large bodies from one to another takes a
//! time that differs from run to run. The servers do not use BBR, whatever the system's default is: it
//! delays packets by timers, and on loopback these timers can cost as much as the rest of the response.
//! The responses of a case are on one connection, except for those named `new`: there each has its own.
//! `benches/README.md` says how to read the table.

mod support;

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use serve_forever::http::{
    Block, FromRead, Http, HttpRequestHandler, HttpResult, HttpSettings, Request, Response, listen,
};
use serve_forever::socketserver::{Evented, Failure, Pool, Server as SocketServer, Tcp, Transport};
use serve_forever::wsgi::{AppResult, Body, Environ, FileWrapper, StartResponse, WsgiHandler};
use socket2::{Domain, SockRef, Socket, Type};
use support::process::{Processors, Server};
use support::rounds::Samples;
use support::table;

const KIB: usize = 1024;

/// The sizes of the bodies.
const SIZES: [(&str, usize); 3] = [
    ("10_KiB", 10 * KIB),
    ("64_KiB", 64 * KIB),
    ("1_MiB", 1024 * KIB),
];

/// The size of the blocks of a body that has several.
const BLOCK: usize = 64 * KIB;

/// How many rounds there are, and how many bytes are measured in each.
const ROUNDS: usize = 15;
const EACH_ROUND: usize = 10 * 1024 * KIB;

/// The servers, and the ways in which each of them sends a body.
const WAYS: [(&str, &str); 17] = [
    // What several writes cost the floor.
    ("floor", "blocks"),
    ("http", "body"),
    ("http", "body_block"),
    ("http", "new_body_block"),
    ("http", "owned"),
    ("http", "one_block"),
    ("http", "stream"),
    ("http", "chunked"),
    ("http", "from_read"),
    ("http", "worker_block"),
    ("http", "worker_stream"),
    ("http", "worker_from_read"),
    ("http", "pushed"),
    ("wsgi", "single"),
    ("wsgi", "blocks"),
    ("wsgi", "owned"),
    ("wsgi", "file"),
];

/// Bytes of a page that many responses send.
#[derive(Clone)]
struct Page(Arc<Vec<u8>>);

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A body that is sent.
struct Stored {
    whole: Block,
    blocks: Vec<Block>,
    /// The same bytes. The file has no name any more.
    file: File,
}

impl Stored {
    fn new((name, size): (&str, usize)) -> Stored {
        let whole = Page(Arc::new(vec![b'x'; size]));
        let blocks = whole.0.chunks(BLOCK);
        let blocks = blocks.map(|block| Block::lend(Page(Arc::new(block.to_vec()))));
        let path = env::temp_dir().join(format!("blocks-{}-{name}", std::process::id()));
        fs::write(&path, &*whole.0).expect("a temporary file");
        let file = File::open(&path).expect("it is there");
        fs::remove_file(&path).expect("it is there");
        Stored {
            blocks: blocks.collect(),
            file,
            whole: Block::lend(whole),
        }
    }

    /// Returns the file, from its beginning.
    fn file(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(file)
    }

    fn blocks(&self) -> impl Iterator<Item = Block> + Send + use<> {
        self.blocks.clone().into_iter()
    }
}

/// The bodies, one of each size.
#[derive(Clone)]
struct Pages {
    stored: Arc<[Stored; SIZES.len()]>,
    /// Writes the responses of `/worker_block` and others.
    workers: Pool,
}

impl Pages {
    fn new() -> Pages {
        Pages {
            stored: Arc::new(SIZES.map(Stored::new)),
            workers: Pool::new().threads(1),
        }
    }

    fn find(&self, size: &str) -> &Stored {
        let at = SIZES.iter().position(|(name, _)| *name == size);
        &self.stored[at.expect("a size")]
    }

    /// Responds with a page, on the loop's thread or on a worker's.
    fn respond(&self, way: &str, size: &str, response: Response<'_>) -> HttpResult {
        let stored = self.find(size);
        let head = response.send_response(200);
        match way {
            "body" => return head.body(&stored.whole),
            "body_block" => return head.body_block(stored.whole.clone()),
            "chunked" => return head.stream(stored.blocks()),
            _ => {}
        }
        let head = head.send_header("Content-Length", stored.whole.len().to_string());
        match way {
            "one_block" => head.stream([stored.whole.clone()].into_iter()),
            "owned" => head.stream(stored.blocks().map(|block| block.to_vec())),
            "from_read" => head.stream(FromRead::new(stored.file()?)),
            _ => head.stream(stored.blocks()),
        }
    }
}

impl HttpRequestHandler for Pages {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let (way, size) = request.path()[1..].split_once('/').expect("two words");
        if way == "pushed" {
            return self.push(size, response);
        }
        let Some(way) = way.strip_prefix("worker_") else {
            return self.respond(way, size, response);
        };
        let way = match way {
            "block" => "body_block",
            way => way,
        };
        let (pages, way, size) = (self.clone(), way.to_owned(), size.to_owned());
        response.offload(&self.workers, move |response| {
            pages.respond(&way, &size, response)
        })
    }
}

impl Pages {
    /// Responds through a stream that a worker writes to.
    fn push(&self, size: &str, response: Response<'_>) -> HttpResult {
        let (stored, (deferred, reply)) = (self.find(size), response.defer());
        let (length, blocks) = (stored.whole.len().to_string(), stored.blocks());
        let submitted = self.workers.submit(move || {
            let stream = deferred.stream(|response| {
                let head = response.send_response(200);
                head.send_header("Content-Length", length)
            });
            let mut stream = stream.expect("the client waits");
            for block in blocks {
                stream.write_block(block).expect("the client reads");
            }
        });
        submitted.map_err(|_| Failure::from("the queue is full"))?;
        Ok(reply)
    }
}

/// The same as a WSGI application.
fn respond_wsgi(
    pages: &Pages,
    environ: &mut Environ<'_>,
    start_response: &mut dyn StartResponse,
) -> AppResult {
    let path = environ.get("PATH_INFO").unwrap_or_default().into_owned();
    let (way, size) = path[1..].split_once('/').expect("two words");
    let stored = pages.find(size);
    let length = stored.whole.len().to_string();
    start_response.call("200 OK", &[("Content-Length", &length)])?;
    Ok(match way {
        "single" => stored.whole.clone().into(),
        "owned" => Body::blocks(stored.blocks().map(|block| block.to_vec())),
        "file" => FileWrapper::new(stored.file()?).into(),
        _ => Body::blocks(stored.blocks()),
    })
}

/// The floor: one blocking `write` for each request, and nothing else.
fn serve_floor(listener: &TcpListener) -> io::Result<()> {
    let responses = SIZES.map(|(_, size)| {
        let mut response =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").into_bytes();
        response.resize(response.len() + size, b'x');
        response
    });
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        let mut request = [0; 4096];
        loop {
            let count = stream.read(&mut request)?;
            if count == 0 {
                break;
            }
            let is = |(name, _): &(&str, usize)| {
                let request = &request[..count];
                request.windows(name.len()).any(|it| it == name.as_bytes())
            };
            let at = SIZES.iter().position(is).expect("a size");
            let size = match request.starts_with(b"GET /blocks") {
                true => BLOCK,
                false => usize::MAX,
            };
            for piece in responses[at].chunks(size) {
                stream.write_all(piece)?;
            }
        }
    }
    Ok(())
}

/// Runs a server until the process is killed.
fn serve(kind: &str, address: &str) -> Result<(), Box<dyn Error>> {
    let pages = Pages::new();
    match kind {
        "floor" => {
            let listener = TcpListener::bind(address)?;
            send_without_timers(&SockRef::from(&listener))?;
            serve_floor(&listener)?;
        }
        "http" => run(listen(address)?, pages)?,
        _ => {
            let app = move |environ: &mut Environ<'_>, start: &mut dyn StartResponse| {
                respond_wsgi(&pages, environ, start)
            };
            let tcp = listen(address)?;
            let handler = WsgiHandler::new(app, tcp.server_address());
            run(tcp, handler)?;
        }
    }
    Ok(())
}

fn run(tcp: Tcp, handler: impl HttpRequestHandler + Clone) -> io::Result<()> {
    send_without_timers(&SockRef::from(&tcp))?;
    let http = Http::new(handler, HttpSettings::default());
    SocketServer::new(tcp, Evented::new(http))?.serve_forever()?;
    Ok(())
}

/// Lets the connections of a listener send as fast as the client allows. Each Linux has Reno.
fn send_without_timers(listener: &SockRef<'_>) -> io::Result<()> {
    listener.set_tcp_congestion(b"reno")
}

/// A connection to a server.
struct Client {
    stream: TcpStream,
    /// Receives responses.
    room: Vec<u8>,
}

impl Client {
    /// Connects, with `room` for so many bytes that the client has not read. `None`: as much as the
    /// operating system gives to every client.
    fn connect(server: &Server, room: Option<usize>) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        if let Some(room) = room {
            socket.set_recv_buffer_size(room).expect("an option");
        }
        socket.connect(&server.address.into()).expect("it listens");
        socket.set_tcp_nodelay(true).expect("an option");
        Client {
            stream: socket.into(),
            room: vec![0; 256 * KIB],
        }
    }

    /// Sends one request, and receives its response with a body of so many bytes.
    fn ask(&mut self, path: &str, length: usize) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        self.stream.write_all(request.as_bytes()).expect("it reads");
        let (mut received, mut expected) = (0, None);
        while expected != Some(received) {
            let count = self.stream.read(&mut self.room).expect("a response");
            assert!(count > 0, "{path}: the server has closed the connection");
            if expected.is_none() {
                let bytes = &self.room[..count];
                let end = bytes.windows(4).position(|it| it == b"\r\n\r\n");
                let head = end.expect("a head in one piece") + 4;
                let is_chunked = bytes[..head].windows(7).any(|it| it == b"chunked");
                expected = Some(head + length + is_chunked.then_some(length).map_or(0, framing));
            }
            received += count;
        }
    }
}

/// Returns the processor time of each of `count` responses, in microseconds.
fn round(server: &Server, path: &str, length: usize, count: usize) -> f64 {
    // The operating system adapts the buffers of a connection to its past. So a round has a connection
    // of its own, and what is first sent on it does not count. There is room for a whole response, so
    // that the server never has to wait for the client.
    let mut client = Client::connect(server, Some(4 * 1024 * KIB));
    for _ in 0..count {
        client.ask(path, length);
    }
    measure(server, count, || client.ask(path, length))
}

/// Like [`round`], but each response is the first of a connection. The time includes that for the
/// connection.
fn round_of_first(server: &Server, path: &str, length: usize, count: usize) -> f64 {
    measure(server, count, || {
        Client::connect(server, None).ask(path, length);
    })
}

/// Returns the processor time that the server uses each time, in microseconds.
fn measure(server: &Server, count: usize, mut ask: impl FnMut()) -> f64 {
    let before = server.processor_time();
    for _ in 0..count {
        ask();
    }
    let used = server.processor_time() - before;
    used.as_secs_f64() * 1e6 / count as f64
}

/// Returns how many bytes frame the chunks of a body.
fn framing(length: usize) -> usize {
    let sizes = (0..length).step_by(BLOCK).map(|at| BLOCK.min(length - at));
    let lines = sizes.map(|size| format!("{size:x}\r\n\r\n").len());
    lines.sum::<usize>() + b"0\r\n\r\n".len()
}

/// How a round is measured.
type Round = fn(&Server, &str, usize, usize) -> f64;

/// Measures a case beside the floor. Returns the medians of both, and of their ratio.
fn compare(server: &Server, floor: &Server, way: &str, (name, size): (&str, usize)) -> Vec<String> {
    let (round, way): (Round, _) = match way.strip_prefix("new_") {
        Some(way) => (round_of_first, way),
        None => (round, way),
    };
    let (path, count) = (format!("/{way}/{name}"), EACH_ROUND / size);
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let whole = round(floor, &format!("/whole/{name}"), size, count);
        let taken = round(server, &path, size, count);
        theirs.push(whole);
        ours.push(taken);
        ratios.push(taken / whole);
    }
    let median = |samples| Samples::new(samples).median();
    vec![
        format!("{:.1}", median(ours)),
        format!("{:.1}", median(theirs)),
        format!("{:.2}", median(ratios)),
    ]
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [command, kind, address] = &*arguments {
        if command == "serve" {
            return serve(kind, address).expect("the server serves");
        }
    }
    let chosen: Vec<_> = arguments.iter().filter(|it| *it != "--bench").collect();
    let processors = Processors::share();
    let start = |kind| Server::again(&[kind], processors.as_ref());
    let (floor, http, wsgi) = (start("floor"), start("http"), start("wsgi"));
    let mut rows = Vec::new();
    for size in SIZES {
        for (kind, way) in WAYS {
            let case = format!("{} {kind} {way}", size.0).replace('_', " ");
            if chosen.iter().all(|word| case.contains(word.as_str())) {
                let server = match kind {
                    "floor" => &floor,
                    "http" => &http,
                    _ => &wsgi,
                };
                rows.push((case, compare(server, &floor, way, size)));
            }
        }
    }
    table::print(&["µs", "floor, µs", "ratio"], rows);
}
