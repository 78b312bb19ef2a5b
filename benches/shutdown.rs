//! Measures how long `shutdown()` takes while the loop sleeps in a poll interval of a minute (SHUT-2).
//!
//!     cargo bench --bench shutdown
//!
//! The bench ends by itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serve_forever::http::{HttpResult, HttpServer, Request, Response};

const ROUNDS: usize = 200;

fn hello(_request: &Request<'_>, response: Response<'_>) -> HttpResult {
    response.send_response(200).body("Hello, World!")
}

/// Waits until the loop runs: it has answered a request. Before that, `shutdown()` finds no loop.
fn wait_until_it_runs(address: SocketAddr) {
    let mut client = TcpStream::connect(address).expect("a connection");
    let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    client.write_all(request).expect("sent");
    client.read_to_end(&mut Vec::new()).expect("an answer");
}

/// The time from the call of `shutdown()` until it returns, with idle clients connected.
fn round(clients: usize) -> Duration {
    let mut server = HttpServer::bind("127.0.0.1:0", hello).expect("a port");
    let (address, handle) = (server.server_address(), server.shutdown_handle());
    let connect = |_| TcpStream::connect(address).expect("a connection");
    let _clients: Vec<TcpStream> = (0..clients).map(connect).collect();
    let loop_thread = thread::spawn(move || server.serve_forever().expect("a clean end"));
    wait_until_it_runs(address);
    // Give the loop time to fall asleep. If it does not, the result is only less interesting.
    thread::sleep(Duration::from_millis(5));
    let asked = Instant::now();
    handle.shutdown().expect("the loop runs");
    let took = asked.elapsed();
    loop_thread.join().expect("no panic");
    took
}

fn main() {
    for clients in [0, 100] {
        let mut times: Vec<Duration> = (0..ROUNDS).map(|_| round(clients)).collect();
        times.sort();
        let (median, worst) = (times[ROUNDS / 2], times[ROUNDS - 1]);
        println!("shutdown with {clients} idle clients: median {median:?}, worst {worst:?}");
    }
}
