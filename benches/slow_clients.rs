//! Measures how long a request takes beside 128 slow clients, and without them. Half of the clients
//! download 1 KiB a second, and half upload 1 KiB a second. The application runs on four threads.
//!
//!     cargo bench --bench slow_clients
//!
//! The bench ends by itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serve_forever::wsgi::{AppResult, Body, Environ, StartResponse, make_server};

const THREADS: usize = 4;
const DOWNLOADS: usize = 64;
const UPLOADS: usize = 64;
const REQUESTS: usize = 200;
const KIB: usize = 1024;

/// The pause between two requests, so that the slow clients get turns in between.
const PAUSE: Duration = Duration::from_millis(20);

fn app(environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
    let path = environ.get("PATH_INFO").unwrap_or_default().into_owned();
    let received = std::io::copy(environ.input(), &mut std::io::sink())?;
    start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    Ok(match &*path {
        "/download" => Body::blocks(std::iter::repeat_with(|| vec![b'x'; 16 * KIB]).take(4096)),
        _ => format!("Hello, world, and thank you for {received} bytes!\n").into(),
    })
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    stream
}

/// Downloads or uploads 1 KiB a second on each connection until `stop` is set. Sends to `begun` after
/// each round over all connections. Returns how many KiB were moved.
fn be_slow(address: SocketAddr, begun: &Sender<()>, stop: &AtomicBool) -> usize {
    let mut downloads: Vec<TcpStream> = (0..DOWNLOADS).map(|_| connect(address)).collect();
    let mut uploads: Vec<TcpStream> = (0..UPLOADS).map(|_| connect(address)).collect();
    for stream in &mut downloads {
        let request = b"GET /download HTTP/1.1\r\nHost: h\r\n\r\n";
        stream.write_all(request).expect("sent");
    }
    for stream in &mut uploads {
        let request = b"POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
        stream.write_all(request).expect("sent");
    }
    let mut block = [b'x'; KIB];
    let pause = Duration::from_secs(1) / (DOWNLOADS + UPLOADS) as u32;
    let mut moved = 0;
    loop {
        for (download, upload) in downloads.iter_mut().zip(&mut uploads) {
            if stop.load(Ordering::Relaxed) {
                return moved;
            }
            download.read_exact(&mut block).expect("still served");
            thread::sleep(pause);
            upload.write_all(&block).expect("still served");
            thread::sleep(pause);
            moved += 2;
        }
        // Ignore the error: it means that nobody waits for this any more.
        let _ = begun.send(());
    }
}

/// The median and the worst time of many requests, each on its own connection or all on one.
fn measure(address: SocketAddr, keep_alive: bool) -> (Duration, Duration) {
    let mut connection = BufReader::new(connect(address));
    let mut times: Vec<Duration> = (0..REQUESTS)
        .map(|_| {
            thread::sleep(PAUSE);
            let asked = Instant::now();
            if !keep_alive {
                connection = BufReader::new(connect(address));
            }
            let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
            connection.get_mut().write_all(request).expect("sent");
            let mut line = String::new();
            while !line.starts_with("Hello") {
                line.clear();
                assert_ne!(connection.read_line(&mut line).expect("an answer"), 0);
            }
            asked.elapsed()
        })
        .collect();
    times.sort();
    (times[REQUESTS / 2], times[REQUESTS - 1])
}

fn report(address: SocketAddr, among: &str) {
    for (kind, keep_alive) in [("on one connection", true), ("each on a new one", false)] {
        let (median, worst) = measure(address, keep_alive);
        println!("{REQUESTS} requests {kind}, {among}: median {median:.1?}, worst {worst:.1?}");
    }
}

fn main() {
    let server = make_server("127.0.0.1:0", app).expect("a port");
    let mut server = server.threads(THREADS);
    let (address, shutdown) = (server.server_address(), server.shutdown_handle());
    let loop_thread = thread::spawn(move || server.serve_forever().expect("a clean end"));
    report(address, "alone");
    let stop = AtomicBool::new(false);
    let (begun, all_have_begun) = channel();
    let moved = thread::scope(|scope| {
        let slow = scope.spawn(|| be_slow(address, &begun, &stop));
        all_have_begun.recv().expect("slow clients");
        report(
            address,
            &format!("among {} slow clients", DOWNLOADS + UPLOADS),
        );
        stop.store(true, Ordering::Relaxed);
        slow.join()
            .expect("all slow clients were served to the end")
    });
    println!("meanwhile {moved} KiB to and from slow clients, none of whom was given up");
    shutdown.request();
    loop_thread.join().expect("no panic");
}
