//! Server-sent events, and a page that shows how many browsers look at it.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serve_forever::http::ResponseStream;
use serve_forever::socketserver::RunningServer;
use serve_forever::{HttpRequestHandler, HttpResult, HttpServer, Request, Response};

const PAGE: &str = r#"<!DOCTYPE html><meta charset="utf-8"><title>Counter</title>
<p>Browsers here: <b id="n">?</b>
<script>new EventSource("/events").onmessage = e => n.textContent = e.data;</script>
"#;

#[derive(Clone, Default)]
struct Site(Arc<Mutex<Vec<ResponseStream>>>);

impl Site {
    fn tell(&self) {
        let mut browsers = self.0.lock().expect("nobody panics");
        browsers.retain(|browser| !browser.is_gone());
        let event = format!("data: {}\n\n", browsers.len());
        browsers.retain(|browser| browser.send(&event).is_ok());
    }
}

impl HttpRequestHandler for Site {
    fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        match request.path() {
            "/" => response
                .send_response(200)
                .send_header("Content-Type", "text/html; charset=utf-8")
                .body(PAGE),
            "/events" => {
                let (deferred, reply) = response.defer();
                let stream = deferred.stream(|response| {
                    response
                        .send_response(200)
                        .send_header("Content-Type", "text/event-stream")
                        .send_header("Cache-Control", "no-cache")
                })?;
                self.0.lock().expect("nobody panics").push(stream);
                self.tell();
                Ok(reply)
            }
            _ => response.send_error(404),
        }
    }
}

pub fn start(address: &str) -> Result<RunningServer<SocketAddr>, Box<dyn Error>> {
    let site = Site::default();
    let mut server = HttpServer::bind(address, site.clone())?;
    server.shutdown_on_signals()?;
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(1));
            site.tell();
        }
    });
    Ok(server.spawn()?)
}

pub fn main() -> Result<(), Box<dyn Error>> {
    Ok(start("127.0.0.1:8000")?.join()?)
}
