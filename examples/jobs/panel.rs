//! A panel with live data: a page that shows what the program does, while it does it.
//!
//! The page opens a stream of server-sent events, and the program sends its numbers to everybody who
//! looks. A page that is closed is noticed at once, and a browser that has lost the connection
//! connects again by itself.
//!
//!     cargo run --release --example panel -- 127.0.0.1:8000
//!
//! Open http://127.0.0.1:8000/ in several browsers, or from another terminal:
//!
//!     curl -N http://127.0.0.1:8000/events
//!
//! Why this is safe: it listens on loopback, and refuses requests for other hosts (`AllowedHosts`). A
//! page of another site may open the stream, but its browser does not let it read the events. The data
//! is shown as text, and nothing can be changed.
//!
//! Ctrl-C stops it.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serve_forever::http::{AllowedHosts, Event, EventSender};
use serve_forever::{HttpServer, Request, Response};

const PAGE: &str = r#"<!DOCTYPE html>
<meta charset="utf-8">
<title>Panel</title>
<h1>Jobs</h1>
<p><output id="jobs">none</output> done, <output id="viewers">nobody</output> looking on,
<span id="state">connecting</span></p>
<script>
const show = (id, text) => document.getElementById(id).textContent = text;
const events = new EventSource("/events");
events.onopen = () => show("state", "live");
events.onerror = () => show("state", "connecting");
events.addEventListener("numbers", event => {
    const numbers = JSON.parse(event.data);
    show("jobs", numbers.jobs);
    show("viewers", numbers.viewers);
});
</script>
"#;

/// Everybody who looks at the panel.
type Viewers = Arc<Mutex<Vec<EventSender>>>;

/// The program's own work. Ten times a second it tells how far it is.
fn work(viewers: &Viewers) {
    for jobs in 0_u64.. {
        thread::sleep(Duration::from_millis(100));
        let mut viewers = viewers.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers = format!(r#"{{"jobs": {jobs}, "viewers": {}}}"#, viewers.len());
        let event = Event::new(numbers).event("numbers").id(jobs);
        // Forget those that have left, or do not read.
        viewers.retain(|viewer| viewer.send(&event).is_ok());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let viewers = Viewers::default();
    let seen = Arc::clone(&viewers);
    let panel = move |request: &Request<'_>, response: Response<'_>| match request.path() {
        "/" => response
            .send_response(200)
            .send_header("Content-Type", "text/html;charset=utf-8")
            .body(PAGE),
        "/events" => {
            let (viewer, reply) = response.send_events()?;
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(viewer);
            Ok(reply)
        }
        _ => response.send_error(404),
    };
    thread::spawn(move || work(&viewers));
    let mut server = HttpServer::bind(address, AllowedHosts::loopback(panel))?;
    server.drain_on_signals(Duration::from_secs(1))?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}
