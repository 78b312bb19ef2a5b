//! A program for `tiny_http` that was moved over: handlers that block, on four threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::{error::Error, net::SocketAddr, str, thread, time::Duration};

use serve_forever::http::{HttpServer, Pooled, Request, Response};
use serve_forever::socketserver::{Pool, RunningServer};

static HITS: AtomicUsize = AtomicUsize::new(0);

pub fn start(address: &str) -> Result<RunningServer<SocketAddr>, Box<dyn Error>> {
    let handler = |request: &Request<'_>, response: Response<'_>| {
        let hit = HITS.fetch_add(1, Ordering::SeqCst);
        match (request.method(), request.path()) {
            ("GET", "/") => response
                .send_response(200)
                .send_header("Content-Type", "text/plain")
                .body(format!("hit {hit}\n")),
            ("POST", "/slow") => {
                thread::sleep(Duration::from_millis(200));
                let body = str::from_utf8(request.body())?.to_uppercase();
                response.send_response(200).body(body)
            }
            _ => response.send_response(404).body("no\n"),
        }
    };
    let mut server = HttpServer::bind(address, Pooled::new(handler, Pool::new().threads(4)))?;
    server.shutdown_on_signals()?;
    Ok(server.spawn()?)
}

pub fn main() -> Result<(), Box<dyn Error>> {
    Ok(start("0.0.0.0:8000")?.join()?)
}
