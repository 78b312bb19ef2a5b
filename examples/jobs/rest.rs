//! A REST resource in JSON, with a router of one screen.
//!
//!     cargo run --release --example rest -- 127.0.0.1:8000
//!
//! From another terminal:
//!
//!     curl -i --json '{"title": "milk"}' http://127.0.0.1:8000/notes
//!     curl http://127.0.0.1:8000/notes
//!     curl -X PUT --json '{"title": "oat milk"}' http://127.0.0.1:8000/notes/1
//!     curl -X DELETE http://127.0.0.1:8000/notes/1
//!
//! Ctrl-C stops it.
//!
//! Why it is safe: a body has at most 1 MiB, and there are at most 1000 notes. A change has to be sent as
//! `application/json`, which the page of another site cannot do without asking first, and nobody says
//! yes. Requests for other hosts than this machine are refused (`AllowedHosts`). Errors are JSON, too, and quote nothing that could be run.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use serve_forever::http::{AllowedHosts, ErrorFormat, HttpSettings, explanation};
use serve_forever::socketserver::limit_panic_reports;
use serve_forever::{HttpRequestHandler, HttpResult, HttpServer, Request, Response};

/// How many notes there may be.
const MOST: usize = 1000;

type Note = Map<String, Value>;

/// Each connection gets a clone, and all clones share the notes.
#[derive(Clone, Default)]
struct Api {
    notes: Arc<Mutex<BTreeMap<u64, Note>>>,
}

enum Answer {
    Found(Value),
    Created(u64),
    Nothing,
}

enum Problem {
    Status(u16),
    Because(u16, String),
    NotAllowed(&'static str),
}

const NOT_FOUND: Problem = Problem::Status(404);

/// The note in the body.
fn note(request: &Request<'_>) -> Result<Note, Problem> {
    let media_type = request
        .content_type()
        .and_then(|value| value.split(';').next());
    match media_type.map(str::trim) {
        Some(found) if found.eq_ignore_ascii_case("application/json") => {}
        _ => return Err(Problem::Because(415, "Send application/json".into())),
    }
    let note = serde_json::from_slice(request.body());
    note.map_err(|error| Problem::Because(400, error.to_string()))
}

fn number(segment: &str) -> Result<u64, Problem> {
    segment.parse().map_err(|_| NOT_FOUND)
}

impl Api {
    /// The router.
    fn answer(&self, request: &Request<'_>) -> Result<Answer, Problem> {
        let path = request.path_segments().collect::<Result<Vec<_>, _>>();
        let path = path.map_err(|_| Problem::Status(400))?;
        let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        match (request.method(), &path[..]) {
            ("GET" | "HEAD", ["notes"]) => Ok(Answer::Found(json!(*notes))),
            ("POST", ["notes"]) if notes.len() == MOST => Err(Problem::Status(507)),
            ("POST", ["notes"]) => {
                let id = notes.keys().last().map_or(1, |last| last + 1);
                notes.insert(id, note(request)?);
                Ok(Answer::Created(id))
            }
            ("GET" | "HEAD", ["notes", id]) => {
                let note = notes.get(&number(id)?).ok_or(NOT_FOUND)?;
                Ok(Answer::Found(json!(note)))
            }
            ("PUT", ["notes", id]) => {
                *notes.get_mut(&number(id)?).ok_or(NOT_FOUND)? = note(request)?;
                Ok(Answer::Nothing)
            }
            ("DELETE", ["notes", id]) => {
                notes.remove(&number(id)?).ok_or(NOT_FOUND)?;
                Ok(Answer::Nothing)
            }
            (_, ["notes"]) => Err(Problem::NotAllowed("GET, HEAD, POST")),
            (_, ["notes", _]) => Err(Problem::NotAllowed("GET, HEAD, PUT, DELETE")),
            _ => Err(NOT_FOUND),
        }
    }
}

impl HttpRequestHandler for Api {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        match self.answer(request) {
            Ok(Answer::Found(value)) => response
                .send_response(200)
                .send_header("Content-Type", "application/json")
                .body(value.to_string()),
            Ok(Answer::Created(id)) => response
                .send_response(201)
                .send_header("Location", format!("/notes/{id}"))
                .body(""),
            Ok(Answer::Nothing) => response.send_response(204).body(""),
            Err(Problem::Status(code)) => response.send_error(code),
            Err(Problem::Because(code, why)) => response.send_response(code).error_page(&why),
            Err(Problem::NotAllowed(allow)) => response
                .send_response(405)
                .send_header("Allow", allow)
                .error_page(explanation(405)),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    limit_panic_reports(); // clients cannot fill the log, even if they find a way to make it panic
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let mut settings = HttpSettings::default();
    settings.error_format = ErrorFormat::Problem; // a browser still gets HTML
    let api = AllowedHosts::loopback(Api::default());
    let mut server = HttpServer::with_settings(address, api, settings)?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/notes", server.server_address());
    Ok(server.serve_forever()?)
}
