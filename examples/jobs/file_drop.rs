//! A page to which files are dropped: a form, stored as it arrives, and a list of what is there.
//!
//!     cargo run --release --example file_drop -- 127.0.0.1:8000 /some/directory
//!
//! Open http://127.0.0.1:8000/ in a browser, or from another terminal:
//!
//!     curl -F file=@film.mkv http://127.0.0.1:8000/
//!     curl -O http://127.0.0.1:8000/film.mkv
//!
//! Ctrl-C stops it. `upload` is the same for programs: it stores what they PUT, under conditions.
//!
//! Why it is safe: a file may be larger than memory, but not larger than a limit. The files of a form get
//! their names when the form is whole, all of them or none, and a name is made of what the client says; it never leaves the directory and never
//! replaces a file. A page of another site cannot upload, and requests for other hosts than this machine
//! are refused (`AllowedHosts`; for others, name yours). What is fetched is saved and not shown, so that
//! no page that somebody dropped can run here.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serve_forever::http::{AllowedHosts, BodyDeadlines, BodyPolicy, FromRead, MultipartLimits};
use serve_forever::socketserver::limit_panic_reports;
use serve_forever::{HttpRequestHandler, HttpResult, HttpServer, Request, Response};

/// How large a form may be: 16 GiB.
const LIMIT: u64 = 16 << 30;

const PAGE: &str = r#"<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>File drop</title>
<style>body { font: 1rem/1.5 system-ui; margin: 2rem auto; max-width: 40rem; padding: 0 1rem }
form { border: 2px dashed #888; border-radius: 8px; padding: 2rem 1rem }</style>
<h1>File drop</h1>
<form method="post" enctype="multipart/form-data">
<input type="file" name="file" multiple required> <button>Send</button></form>
<ul>"#;

#[derive(Clone)]
struct FileDrop {
    directory: Arc<Path>,
}

impl FileDrop {
    /// The names of the files that can be fetched. A name with a dot in front is hidden, or is that of a
    /// file that is still arriving.
    fn names(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.directory)?.flatten();
        let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let names = files.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        Ok(names)
    }

    /// Sends a file that is in the list, so no other path can be asked for.
    fn fetch(&self, name: &str, response: Response<'_>) -> HttpResult {
        let file = File::open(self.directory.join(name))?;
        response
            .send_response(200)
            .send_header("Content-Type", "application/octet-stream")
            .send_header("Content-Disposition", "attachment")
            .send_header("X-Content-Type-Options", "nosniff")
            .send_header("Content-Length", file.metadata()?.len().to_string())
            .stream(FromRead::new(file))
    }
}

impl HttpRequestHandler for FileDrop {
    fn body_policy(&mut self, _: &Request<'_>) -> BodyPolicy {
        BodyPolicy::streamed().limit(LIMIT).deadlines(deadlines())
    }

    fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let names = self.names()?;
        let path: Result<Vec<_>, _> = request.path_segments().collect();
        match path.as_deref() {
            Ok([root]) if root.is_empty() => {
                let item =
                    |name| format!("<li><a href=\"/{}\">{}</a>\n", quote(name), escape(name));
                let list: String = names.iter().map(|name| item(name)).collect();
                response
                    .send_response(200)
                    .send_header("Content-Type", "text/html; charset=utf-8")
                    .body(format!("{PAGE}{list}</ul>\n"))
            }
            Ok([name]) if names.iter().any(|other| other == name) => self.fetch(name, response),
            _ => response.send_error(404),
        }
    }

    fn do_post(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let mut limits = MultipartLimits::default();
        (limits.part, limits.total) = (LIMIT, LIMIT);
        let form = match request.multipart() {
            Ok(form) => form.limits(limits),
            Err(error) => {
                return response
                    .send_response(error.status())
                    .error_page(&error.to_string());
            }
        };
        let directory = Arc::clone(&self.directory);
        response.receive_form(form, &self.directory, move |mut form, response| {
            let Err(error) = form.keep_files(&*directory) else {
                let head = response.send_response(303);
                return head.send_header("Location", "/").body("");
            };
            let code = match error.kind() {
                ErrorKind::InvalidInput => 400,
                ErrorKind::AlreadyExists => 409,
                _ => return Err(error.into()),
            };
            response.send_response(code).error_page(&error.to_string())
        })
    }
}

/// Escapes text for HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Escapes a name for a URL.
fn quote(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let quoted = name.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    quoted.collect()
}

/// An upload may take a day, and not only 1 h: then 16 GiB need 200 kB a second.
fn deadlines() -> BodyDeadlines {
    let mut deadlines = BodyDeadlines::default();
    deadlines.total = Duration::from_secs(24 * 60 * 60);
    deadlines
}

fn main() -> Result<(), Box<dyn Error>> {
    limit_panic_reports(); // clients cannot fill the log, even if they find a way to make it panic
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let directory = PathBuf::from(std::env::args().nth(2).unwrap_or(".".into()));
    let file_drop = FileDrop {
        directory: directory.into(),
    };
    let file_drop = AllowedHosts::loopback(file_drop).same_origin(true);
    let mut server = HttpServer::bind(address, file_drop)?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}
