//! Measures the memory that a server uses for slow clients: incomplete heads, and uploads and
//! downloads that make no progress. Linux only.
//!
//!     ulimit -n 8192 && cargo bench --bench memory
//!     cargo bench --bench memory -- pulled pushed
//!
//! The names after `--` choose cases. The bench ends by itself. The server runs in a separate process,
//! so that only its memory counts; the socket buffers of the operating system do not count. The bound
//! is the memory that the server's limits allow, times the number of connections, plus a constant.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use serve_forever::http::{
    BodyPolicy, FromRead, HttpRequestHandler, HttpResult, HttpServer, HttpSettings, Request,
    Response, ResponseStream,
};
use serve_forever::socketserver::Pool;
use socket2::{Domain, Socket, Type};

const CLIENTS: usize = 1000;

const KIB: usize = 1024;

/// Memory that does not depend on the clients: the program, its stacks, the loop's tables and
/// buffers, and gaps that the allocator leaves.
const CONSTANT: usize = 16 * 1024 * KIB;

/// The length of a streamed response.
const DOWNLOAD: u64 = 10 * 1024 * 1024;

/// The cases, and how much memory the limits allow one connection in each.
const CASES: [(&str, usize); 7] = [
    ("idle", 0),
    // `HeadLimits::head`.
    ("head", 32 * KIB),
    // A head, and `Limits::body` as set below.
    ("body", 32 * KIB + BODY),
    // Content that waits for its reader: the high-water mark, and the read that reached it.
    ("unread", 128 * KIB),
    // `EventedSettings::high_water`, and the least that is read at a time.
    ("pulled", 68 * KIB),
    // The same, and the blocks that a worker pulls in advance.
    ("workers", 136 * KIB),
    // The same with blocks of 4 KiB, and as much again on its way from the producer.
    ("pushed", 136 * KIB),
];

/// The limit on content. It is smaller than by default, because there are a thousand connections.
const BODY: usize = 64 * KIB;

#[derive(Clone)]
struct Site {
    workers: Pool,
    streams: std::sync::mpsc::Sender<ResponseStream>,
}

fn download() -> FromRead<io::Take<io::Repeat>> {
    FromRead::new(io::repeat(b'x').take(DOWNLOAD))
}

impl HttpRequestHandler for Site {
    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        match request.path() {
            "/unread" => BodyPolicy::streamed(),
            _ => BodyPolicy::whole(),
        }
    }

    fn handle(&mut self, request: &Request<'_>, mut response: Response<'_>) -> HttpResult {
        match request.path() {
            "/pulled" => response.send_response(200).stream(download()),
            "/workers" => response.offload(&self.workers, |response| {
                response.send_response(200).stream(download())
            }),
            "/pushed" => {
                let (deferred, reply) = response.defer();
                self.streams
                    .send(deferred.stream(|response| response.send_response(200))?)?;
                Ok(reply)
            }
            "/unread" => {
                let reader = response.body_reader();
                let (deferred, reply) = response.defer();
                // Nobody reads the content, and nobody responds.
                std::mem::forget((reader, deferred));
                Ok(reply)
            }
            _ => response.send_response(200).body("hello"),
        }
    }
}

/// Runs the server: prints its address, and serves until the process is killed.
fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let (streams, pushing) = channel::<ResponseStream>();
    // One producer for all clients. A client without room is tried again later.
    thread::spawn(move || {
        let mut open: Vec<ResponseStream> = Vec::new();
        loop {
            open.extend(pushing.try_iter());
            open.retain(|stream| {
                while let Ok(()) = stream.send(vec![b'x'; 4 * KIB]) {}
                !stream.is_gone()
            });
            thread::sleep(Duration::from_millis(10));
        }
    });
    let mut settings = HttpSettings::default();
    settings.limits.body = BODY;
    // No client may be disconnected before the measurement.
    settings.deadlines.head = Duration::from_secs(600);
    settings.deadlines.keep_alive = Duration::from_secs(600);
    settings.deadlines.body.idle = Duration::from_secs(600);
    settings.deadlines.body.grace = Duration::from_secs(600);
    settings.deadlines.response = Some(Duration::from_secs(600));
    let site = Site {
        workers: Pool::new().threads(4).queue_length(usize::MAX),
        streams,
    };
    let mut server = HttpServer::with_settings("127.0.0.1:0", site, settings)?;
    println!("{}", server.server_address());
    Ok(server.serve_forever()?)
}

/// A server in a separate process, which is killed when this is dropped.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Server {
        let program = env::current_exe().expect("this program");
        let mut command = Command::new(program);
        let command = command.arg("serve").stdout(Stdio::piped());
        let mut process = command.spawn().expect("a process");
        let output = process.stdout.take().expect("a pipe");
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        read.expect("the server starts");
        let address = line.trim().parse().expect("an address");
        Server { process, address }
    }

    /// The resident memory of the process, in bytes.
    fn resident(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: usize = kib.and_then(|kib| kib.parse().ok()).expect("a number");
        kib * KIB
    }

    /// The same, as soon as it does not change for a while.
    fn settled(&self) -> usize {
        let (mut last, mut calm) = (0, 0);
        while calm < 8 {
            // This is the interval between two measurements, not a synchronisation.
            thread::sleep(Duration::from_millis(100));
            let resident = self.resident();
            calm = if resident == last { calm + 1 } else { 0 };
            last = resident;
        }
        last
    }

    /// A client with small socket buffers on both sides.
    fn connect(&self) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4 * KIB).expect("an option");
        // The server's buffers depend on the segment size.
        #[cfg(unix)]
        socket.set_tcp_mss(1100).expect("an option");
        socket
            .connect(&self.address.into())
            .expect("the server listens");
        socket.set_tcp_nodelay(true).expect("an option");
        socket
            .set_write_timeout(Some(Duration::from_secs(60)))
            .expect("an option");
        socket.into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }
}

/// How many files this process may open.
fn open_files() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").expect("Linux");
    let mut lines = limits.lines();
    let line = lines.find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    soft.map_or(0, |soft| soft.parse().unwrap_or(usize::MAX))
}

/// Sends the same bytes to the server for all clients, one piece for each in turn.
fn trickle(clients: &mut [TcpStream], bytes: &[u8]) {
    // Doubled several times, this size is just less than 32 KiB.
    for piece in bytes.chunks(1023) {
        for client in &mut *clients {
            client.write_all(piece).expect("the server reads");
        }
    }
}

fn head() -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\nHost: h\r\n".to_vec();
    while head.len() < 24 * KIB {
        head.extend_from_slice(format!("X-Long: {}\r\n", "x".repeat(8000)).as_bytes());
    }
    let room = 32 * KIB - 8 - head.len();
    head.extend_from_slice(format!("X: {}", "x".repeat(room)).as_bytes());
    head
}

fn ask(case: &str, clients: &mut [TcpStream]) {
    match case {
        "idle" => {
            for client in clients {
                client
                    .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                    .expect("sent");
                let mut answer = [0; 12];
                client.read_exact(&mut answer).expect("an answer");
            }
        }
        "head" => trickle(clients, &head()),
        "body" => {
            let length = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {BODY}\r\n\r\n");
            trickle(clients, length.as_bytes());
            trickle(clients, &vec![b'x'; BODY - 1]);
        }
        "unread" => {
            trickle(
                clients,
                b"PUT /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n",
            );
            let block = vec![b'x'; 256 * KIB];
            for client in clients {
                client.set_nonblocking(true).expect("an option");
                // Write until the server takes no more.
                while let Ok(1..) = client.write(&block) {}
            }
        }
        path => {
            let request = format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n");
            trickle(clients, request.as_bytes());
            // The clients read slowly for a while, and then stop reading.
            let mut answer = [0; 5 * KIB];
            for _ in 0..40 {
                for client in &mut *clients {
                    client.read_exact(&mut answer).expect("it goes on");
                }
            }
        }
    }
}

fn main() {
    if env::args().any(|argument| argument == "serve") {
        serve().expect("the server serves");
        return;
    }
    if open_files() < 2 * CLIENTS {
        println!("SKIPPED: a process may open too few files: ulimit -n 8192");
        return;
    }
    println!("{CLIENTS} connections, KiB of memory:");
    println!(
        "{:>8} {:>9} {:>9} {:>14} {:>9}",
        "", "without", "with", "per connection", "bound"
    );
    let mut kept = true;
    let chosen: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    let is_chosen = |case: &str| chosen.is_empty() || chosen.iter().any(|it| it == case);
    for (case, limit) in CASES.into_iter().filter(|(case, _)| is_chosen(case)) {
        let server = Server::start();
        let before = server.settled();
        let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| server.connect()).collect();
        ask(case, &mut clients);
        let with = server.settled();
        let bound = limit * CLIENTS + CONSTANT;
        println!(
            "{case:>8} {:>9} {:>9} {:>14.1} {:>9}",
            before / KIB,
            with / KIB,
            (with - before) as f64 / (CLIENTS * KIB) as f64,
            bound / KIB
        );
        kept &= with <= bound;
    }
    assert!(kept, "more than the limits promise");
}
