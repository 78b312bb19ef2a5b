//! The handler: files, and what the options add to them.

use std::path::Path;
use std::sync::Arc;

use serve_forever::http::{
    BodyPolicy, HttpRequestHandler, SimpleHttpRequestHandler, translate_path,
};
use serve_forever::{HttpResult, Request, Response};

use super::password::Password;
use super::upload::Uploads;

/// A directory on the web.
#[derive(Debug, Clone)]
pub struct Site {
    /// The directory.
    pub root: Arc<Path>,
    /// Its files.
    pub files: SimpleHttpRequestHandler,
    /// Whether pages of other origins may ask what they may do.
    pub cors: bool,
    /// Whether a page that is no file is the index page.
    pub spa: bool,
    /// The password that every client has to know.
    pub password: Option<Password>,
    /// Where files go that clients send.
    pub uploads: Option<Uploads>,
}

impl Site {
    fn methods(&self) -> &'static str {
        match self.uploads {
            Some(_) => "GET, HEAD, OPTIONS, POST, PUT",
            None => "GET, HEAD, OPTIONS",
        }
    }

    /// Returns whether this is the question of a browser before the request of a page of another
    /// origin. It comes without a password.
    fn is_preflight(&self, request: &Request<'_>) -> bool {
        let asked = request.header("Access-Control-Request-Method").is_some();
        self.cors && asked && request.method() == "OPTIONS"
    }

    fn lets_in(&self, request: &Request<'_>) -> bool {
        let password = self.password.as_ref();
        password.is_none_or(|password| password.is_in(request))
    }

    /// Returns whether a browser wants to show a page that is no file: one of those that the index
    /// page makes by itself. A picture or a script that is missing is missing.
    fn is_made_by_index(&self, request: &Request<'_>) -> bool {
        let accepted = request.header("Accept").unwrap_or_default();
        let is_page = accepted.windows(9).any(|text| text == b"text/html");
        let found = translate_path(request.path());
        is_page && found.is_some_and(|found| !self.root.join(found.path).exists())
    }

    fn allow(&self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let head = response.send_response(204);
        if !self.is_preflight(request) {
            return head.send_header("Allow", self.methods()).body("");
        }
        let fields = request.header("Access-Control-Request-Headers");
        head.send_header("Access-Control-Allow-Methods", self.methods())
            .send_header("Access-Control-Allow-Headers", fields.unwrap_or(b"*"))
            .send_header("Access-Control-Max-Age", "600")
            .body("")
    }
}

impl HttpRequestHandler for Site {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        if !self.is_preflight(request) && !self.lets_in(request) {
            return Password::ask(response);
        }
        match (request.method(), &self.uploads) {
            ("OPTIONS", _) => self.allow(request, response),
            ("PUT", Some(uploads)) => uploads.store(request, response),
            ("POST", Some(uploads)) => uploads.store_form(request, response),
            ("GET" | "HEAD", Some(uploads)) if request.query() == Some("upload") => {
                uploads.show_form(request, response)
            }
            ("GET" | "HEAD", _) if self.spa && self.is_made_by_index(request) => {
                self.files.serve("/index.html", request, response)
            }
            _ => self.files.handle(request, response),
        }
    }

    /// Only a file that is stored needs its body.
    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        match (request.method(), &self.uploads) {
            ("PUT" | "POST", Some(uploads)) if self.lets_in(request) => {
                uploads.body_policy(request)
            }
            _ => BodyPolicy::streamed(),
        }
    }
}
