//! A form that uploads files: `multipart/form-data`.
//!
//! Up to 64 MiB are in memory at the same time. For larger files see the example `upload`.
//!
//!     cargo run --release --example multipart -- 127.0.0.1:8000 /some/directory
//!
//! Open http://127.0.0.1:8000/ in a browser, or from another terminal:
//!
//!     curl -F file=@Cargo.toml http://127.0.0.1:8000/
//!
//! Ctrl-C stops it.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serve_forever::http::BodyPolicy;
use serve_forever::{HttpRequestHandler, HttpResult, HttpServer, Request, Response};

const FORM: &str = r#"<!DOCTYPE html><meta charset="utf-8"><title>Upload</title>
<form method="post" enctype="multipart/form-data">
<input type="file" name="file" multiple><button>Upload</button></form>"#;

const LIMIT: u64 = 64 << 20;

#[derive(Clone)]
struct Uploads {
    directory: PathBuf,
}

/// The boundary of `multipart/form-data; boundary=...`.
fn boundary(content_type: &str) -> Option<&str> {
    let (media_type, parameters) = content_type.split_once(';')?;
    if !media_type
        .trim()
        .eq_ignore_ascii_case("multipart/form-data")
    {
        return None;
    }
    let mut values = parameters.split(';').filter_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then_some(value)
    });
    values.next().map(|value| value.trim_matches('"'))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let mut windows = haystack.windows(needle.len());
    windows.position(|window| window == needle)
}

/// The parts: their heads as text, and their contents.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<(String, &'a [u8])> {
    let delimiter = format!("\r\n--{boundary}");
    let mut parts = Vec::new();
    let Some(mut rest) = body.strip_prefix(&delimiter.as_bytes()[2..]) else {
        return parts;
    };
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        let Some(end) = find(after, delimiter.as_bytes()) else {
            break;
        };
        if let Some(blank) = find(&after[..end], b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&after[..blank]).into_owned();
            parts.push((head, &after[blank + 4..end]));
        }
        rest = &after[end + delimiter.len()..];
    }
    parts
}

/// The name of the file, without any directory that the client names.
fn file_name(head: &str) -> Option<String> {
    let (_, rest) = head.split_once("filename=\"")?;
    let (name, _) = rest.split_once('"')?;
    let name = Path::new(name).file_name()?.to_str()?;
    (!name.starts_with('.')).then(|| name.to_owned())
}

impl HttpRequestHandler for Uploads {
    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        match (request.method(), request.content_type().and_then(boundary)) {
            ("POST", Some(_)) => BodyPolicy::whole().limit(LIMIT),
            // The response does not depend on the body, so the client need not send it.
            _ => BodyPolicy::streamed(),
        }
    }

    fn do_get(&mut self, _: &Request<'_>, response: Response<'_>) -> HttpResult {
        response
            .send_response(200)
            .send_header("Content-Type", "text/html; charset=utf-8")
            .body(FORM)
    }

    fn do_post(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let Some(boundary) = request.content_type().and_then(boundary) else {
            return response.send_error(415);
        };
        let mut page = String::new();
        for (head, content) in parts(request.body(), boundary) {
            if let Some(name) = file_name(&head) {
                fs::write(self.directory.join(&name), content)?;
                page.push_str(&format!("{name}: {} bytes\n", content.len()));
            }
        }
        response
            .send_response(200)
            .send_header("Content-Type", "text/plain; charset=utf-8")
            .body(page)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let directory = std::env::args().nth(2).unwrap_or(".".into()).into();
    let mut server = HttpServer::bind(address, Uploads { directory })?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}
