//! A JSON API: path parameters, POST with `serde_json`, 404 and 405.
//!
//!     cargo run --release --example rest -- 127.0.0.1:8000
//!
//! From another terminal:
//!
//!     curl -i -d '{"title": "milk"}' http://127.0.0.1:8000/notes
//!     curl http://127.0.0.1:8000/notes/1
//!
//! Ctrl-C stops it.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use serve_forever::socketserver::limit_panic_reports;
use serve_forever::{HttpRequestHandler, HttpResult, HttpServer, Request, Response};

/// Each connection gets a clone, and all clones share the notes.
#[derive(Clone, Default)]
struct Api {
    notes: Arc<Mutex<BTreeMap<u64, Value>>>,
}

fn reply(response: Response<'_>, code: u16, value: &Value) -> HttpResult {
    response
        .send_response(code)
        .send_header("Content-Type", "application/json")
        .body(value.to_string())
}

/// `send_error` would send a page of HTML and close the connection.
fn problem(response: Response<'_>, code: u16, message: &str) -> HttpResult {
    reply(response, code, &json!({ "error": message }))
}

fn not_allowed(response: Response<'_>, allow: &str) -> HttpResult {
    response
        .send_response(405)
        .send_header("Allow", allow)
        .send_header("Content-Type", "application/json")
        .body(r#"{"error":"method not allowed"}"#)
}

impl HttpRequestHandler for Api {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let segments: Vec<&str> = request.path().split('/').skip(1).collect();
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        match (request.method(), &segments[..]) {
            ("GET" | "HEAD", ["notes"]) => reply(response, 200, &json!(*notes)),
            ("POST", ["notes"]) => {
                let note: Value = match serde_json::from_slice(request.body()) {
                    Ok(note) => note,
                    Err(error) => return problem(response, 400, &error.to_string()),
                };
                let id = notes.keys().last().map_or(1, |last| last + 1);
                notes.insert(id, note);
                response
                    .send_response(201)
                    .send_header("Location", format!("/notes/{id}"))
                    .body("")
            }
            (_, ["notes"]) => not_allowed(response, "GET, HEAD, POST"),
            (method, ["notes", id]) => {
                let id = id.parse().unwrap_or(0); // no note has this number
                match (method, notes.get(&id)) {
                    ("GET" | "HEAD", Some(note)) => reply(response, 200, note),
                    ("DELETE", Some(_)) => {
                        notes.remove(&id);
                        response.send_response(204).body("")
                    }
                    ("GET" | "HEAD" | "DELETE", None) => problem(response, 404, "no such note"),
                    _ => not_allowed(response, "GET, HEAD, DELETE"),
                }
            }
            _ => problem(response, 404, "no such resource"),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    limit_panic_reports(); // clients cannot fill the log, even if they find a way to make it panic
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let mut server = HttpServer::bind(address, Api::default())?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/notes", server.server_address());
    Ok(server.serve_forever()?)
}
