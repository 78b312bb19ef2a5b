//! Measures what it costs to send a large body, beside one `write` of the same bytes. Linux only.
//!
//!     cargo bench --bench blocks
//!     cargo bench --bench blocks -- body_block 64_KiB
//!
//! The names after `--` choose cases: those that contain all of them. On one processor, as with
//! `taskset -c 0 cargo bench --bench blocks`, the figures differ less from run to run. Each figure is the processor time
//! of the server for one response, in microseconds: the median of several rounds. The ratio is to the
//! floor: a server with one thread that parses nothing, and gives head and body to one blocking `write`.
//! The rounds of a case and of its floor take turns. The servers run in separate processes, so that the
//! client does not count.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serve_forever::http::{
    Block, FromRead, HttpRequestHandler, HttpResult, HttpServer, Request, Response,
};
use serve_forever::socketserver::{Failure, Pool};
use serve_forever::wsgi::{AppResult, Body, Environ, FileWrapper, StartResponse, make_server};
use socket2::{Domain, Socket, Type};

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
const WAYS: [(&str, &str); 15] = [
    // What several writes cost the floor.
    ("floor", "blocks"),
    ("http", "body"),
    ("http", "body_block"),
    ("http", "owned"),
    ("http", "one_block"),
    ("http", "stream"),
    ("http", "chunked"),
    ("http", "from_read"),
    ("http", "worker_block"),
    ("http", "worker_stream"),
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
fn serve_floor() -> io::Result<()> {
    let responses = SIZES.map(|(_, size)| {
        let mut response =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").into_bytes();
        response.resize(response.len() + size, b'x');
        response
    });
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
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

/// Runs a server: prints its address, and serves until the process is killed.
fn serve(kind: &str) -> Result<(), Box<dyn std::error::Error>> {
    let pages = Pages::new();
    match kind {
        "floor" => serve_floor()?,
        "http" => {
            let mut server = HttpServer::bind("127.0.0.1:0", pages)?;
            println!("{}", server.server_address());
            server.serve_forever()?;
        }
        _ => {
            let app = move |environ: &mut Environ<'_>, start: &mut dyn StartResponse| {
                respond_wsgi(&pages, environ, start)
            };
            let mut server = make_server("127.0.0.1:0", app)?;
            println!("{}", server.server_address());
            server.serve_forever()?;
        }
    }
    Ok(())
}

/// A server in a process of its own, which is killed when this is dropped, and a client of it.
struct Server {
    process: Child,
    address: String,
    client: TcpStream,
    /// Receives responses.
    buffer: Vec<u8>,
}

impl Server {
    fn start(kind: &str) -> Server {
        let program = env::current_exe().expect("this program");
        let mut command = Command::new(program);
        let command = command.args(["serve", kind]).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a process");
        let output = process.stdout.take().expect("a pipe");
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        read.expect("the server starts");
        let address = line.trim().to_owned();
        Server {
            process,
            client: connect(&address),
            address,
            buffer: vec![0; 256 * KIB],
        }
    }

    /// Returns the processor time of all its threads, in nanoseconds.
    fn processor_time(&self) -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("Linux");
        let times = threads.map(|thread| {
            let path = thread.expect("a thread").path().join("schedstat");
            let times = fs::read_to_string(path).expect("Linux");
            let first = times.split(' ').next().expect("a number");
            first.parse::<u64>().expect("a number")
        });
        times.sum()
    }

    /// Sends one request, and receives its response with a body of so many bytes.
    fn ask(&mut self, path: &str, length: usize) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        self.client.write_all(request.as_bytes()).expect("it reads");
        let (mut received, mut expected) = (0, None);
        while expected != Some(received) {
            let count = self.client.read(&mut self.buffer).expect("a response");
            assert!(count > 0, "{path}: the server has closed the connection");
            if expected.is_none() {
                let bytes = &self.buffer[..count];
                let end = bytes.windows(4).position(|it| it == b"\r\n\r\n");
                let head = end.expect("a head in one piece") + 4;
                let is_chunked = bytes[..head].windows(7).any(|it| it == b"chunked");
                expected = Some(head + length + is_chunked.then_some(length).map_or(0, framing));
            }
            received += count;
        }
    }

    /// Returns the processor time of each of `count` responses, in microseconds.
    fn round(&mut self, path: &str, length: usize, count: usize) -> f64 {
        // The operating system adapts the buffers of a connection to its past. So a round has a
        // connection of its own, and what is first sent on it does not count.
        self.client = connect(&self.address);
        for _ in 0..count {
            self.ask(path, length);
        }
        let before = self.processor_time();
        for _ in 0..count {
            self.ask(path, length);
        }
        (self.processor_time() - before) as f64 / count as f64 / 1e3
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }
}

fn connect(address: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    // Room for a whole response, so that the server never has to wait for the client.
    socket
        .set_recv_buffer_size(4 * 1024 * KIB)
        .expect("an option");
    let address: SocketAddr = address.parse().expect("an address");
    socket.connect(&address.into()).expect("it listens");
    socket.set_tcp_nodelay(true).expect("an option");
    socket.into()
}

/// Returns how many bytes frame the chunks of a body.
fn framing(length: usize) -> usize {
    let sizes = (0..length).step_by(BLOCK).map(|at| BLOCK.min(length - at));
    let lines = sizes.map(|size| format!("{size:x}\r\n\r\n").len());
    lines.sum::<usize>() + b"0\r\n\r\n".len()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [command, kind] = &*arguments {
        if command == "serve" {
            return serve(kind).expect("the server serves");
        }
    }
    let chosen: Vec<_> = arguments.iter().filter(|it| *it != "--bench").collect();
    println!(
        "{:>8} {:>20} {:>9} {:>9} {:>6}",
        "", "", "us", "floor", "ratio"
    );
    let mut floor = Server::start("floor");
    for kind in ["floor", "http", "wsgi"] {
        let mut server = Server::start(kind);
        for (name, size) in SIZES {
            for (_, way) in WAYS.iter().filter(|(server, _)| *server == kind) {
                let case = format!("{name} {kind} {way}");
                if !chosen.iter().all(|word| case.contains(word.as_str())) {
                    continue;
                }
                let (path, count) = (format!("/{way}/{name}"), EACH_ROUND / size);
                let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
                for _ in 0..ROUNDS {
                    theirs.push(floor.round(&format!("/whole/{name}"), size, count));
                    ours.push(server.round(&path, size, count));
                    ratios.push(ours[ours.len() - 1] / theirs[theirs.len() - 1]);
                }
                println!(
                    "{name:>8} {:>20} {:>9.1} {:>9.1} {:>6.2}",
                    format!("{kind} {way}"),
                    median(ours),
                    median(theirs),
                    median(ratios)
                );
            }
        }
    }
}
