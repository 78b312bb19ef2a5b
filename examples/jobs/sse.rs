//! Server-sent events: every browser receives what one client says.
//!
//! A client of `/events` gets a response without end. One thread pushes events to all these clients. A
//! client that is too slow has no room for the next event and is disconnected. Its browser connects
//! again, names the last event that it received in `Last-Event-ID`, and gets the events it missed.
//!
//!     cargo run --release --example sse -- 127.0.0.1:8000
//!
//! From two other terminals, or open http://127.0.0.1:8000/ in browsers:
//!
//!     curl -N http://127.0.0.1:8000/events
//!     curl -d 'good morning' http://127.0.0.1:8000/say
//!
//! Ctrl-C stops it.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use serve_forever::http::{
    AllowedHosts, Deferred, HttpRequestHandler, HttpResult, HttpServer, Request, Response,
    ResponseStream,
};

/// How long a connection may be silent. It is less than the idle limit of proxies. Only by sending
/// something can the server find out that a client has disconnected.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How many events are kept for clients that connect again.
const KEPT: usize = 100;

const PAGE: &str = r#"<!DOCTYPE html>
<meta charset="utf-8">
<title>Events</title>
<form><input autofocus placeholder="Say something"></form>
<ul></ul>
<script>
const input = document.querySelector("input");
new EventSource("/events").onmessage = event => {
    const line = document.createElement("li");
    line.textContent = event.data;
    document.querySelector("ul").prepend(line);
};
document.querySelector("form").onsubmit = submit => {
    submit.preventDefault();
    fetch("/say", { method: "POST", body: input.value });
    input.value = "";
};
</script>
"#;

/// A message to the producer.
enum News {
    /// A new client, and the last event that it received.
    Client(Deferred, Option<u64>),
    /// The text of a new event.
    Said(String),
}

#[derive(Clone)]
struct Handler {
    producer: Sender<News>,
}

impl HttpRequestHandler for Handler {
    fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        match request.path() {
            "/" => response
                .send_response(200)
                .send_header("Content-Type", "text/html;charset=utf-8")
                .body(PAGE),
            "/events" => {
                let last = request.header("Last-Event-ID");
                let last = last.and_then(|last| std::str::from_utf8(last).ok()?.parse().ok());
                let (deferred, reply) = response.defer();
                self.producer.send(News::Client(deferred, last))?;
                Ok(reply)
            }
            _ => response.send_error(404),
        }
    }

    fn do_post(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        if request.path() != "/say" {
            return response.send_error(404);
        }
        let text = String::from_utf8_lossy(request.body()).into_owned();
        self.producer.send(News::Said(text))?;
        response.send_response(204).body("")
    }
}

/// An event in the format of the protocol. Each line of the text gets its own `data:` line.
fn event(id: u64, text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: String = text
        .split('\n')
        .map(|line| format!("data: {line}\n"))
        .collect();
    format!("id: {id}\n{lines}\n")
}

/// Pushes each event to all clients, and a heartbeat if there is no event for a while.
fn produce(news: &Receiver<News>) {
    let mut clients: Vec<ResponseStream> = Vec::new();
    let mut kept: VecDeque<(u64, String)> = VecDeque::new();
    let mut count = 0;
    loop {
        let block = match news.recv_timeout(HEARTBEAT) {
            Ok(News::Client(deferred, last)) => {
                let missed = kept
                    .iter()
                    .filter(|(id, _)| last.is_some_and(|last| *id > last));
                let missed: String = missed.map(|(_, event)| event.as_str()).collect();
                let stream = deferred.stream(|response| {
                    response
                        .send_response(200)
                        .send_header("Content-Type", "text/event-stream")
                        .send_header("Cache-Control", "no-cache")
                });
                if let Ok(stream) = stream {
                    // Ignore the error: if the client has disconnected, the next event also fails.
                    let _ = stream.send(format!(": welcome\n\n{missed}"));
                    clients.push(stream);
                }
                continue;
            }
            Ok(News::Said(text)) => {
                count += 1;
                let event = event(count, &text);
                kept.push_back((count, event.clone()));
                if kept.len() > KEPT {
                    kept.pop_front();
                }
                event
            }
            Err(RecvTimeoutError::Timeout) => ": still here\n\n".to_owned(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        // Drop clients that have disconnected or do not read. This ends their responses.
        clients.retain(|client| client.send(block.as_str()).is_ok());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let (producer, news) = channel();
    thread::spawn(move || produce(&news));

    // No page of another site can listen, or say something.
    let handler = AllowedHosts::loopback(Handler { producer }).same_origin(true);
    let mut server = HttpServer::bind(address, handler)?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}
