//! WSGI middleware: types that wrap an application and are applications themselves. One is a router,
//! one adds header fields to every response, one asks for a password, and one reports slow requests.
//!
//!     cargo run --release --example middleware -- 127.0.0.1:8000
//!
//! From another terminal:
//!
//!     curl -i http://127.0.0.1:8000/hello/world
//!     curl -i -d '20 22' http://127.0.0.1:8000/sum
//!     curl -i -d 'twenty' http://127.0.0.1:8000/sum
//!     curl -i -u guido:spam http://127.0.0.1:8000/private/
//!
//! An application returns unexpected errors with `?`. So the third request gets status 500, and the
//! server prints the reason. Ctrl-C stops it. It is safe: passwords are compared in constant time, and
//! nobody sees the reason but you.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use serve_forever::socketserver::{Failure, HandlerResult, LogQueue};
use serve_forever::wsgi::{
    AppResult, Application, Environ, Slow, StartResponse, Validator, make_server, shift_path_info,
};

const TEXT: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let site = Router::default()
        .mount("hello", hello)
        .mount("sum", sum)
        .mount("private", BasicAuth::new(private, "guido", "spam"));
    let site = ExtraHeaders::new(site).with("X-Content-Type-Options", "nosniff");
    // Two wrappers of this crate: `Slow` reports slow requests, `Validator` violations of PEP 3333.
    let site = Slow::new(site, Duration::from_millis(100), |slow| {
        // Not `eprintln!`, which waits if nobody reads standard error.
        let (line, duration) = (slow.request_line(), slow.duration());
        LogQueue::stderr().push(&format!("{line} took {duration:?}\n"));
    });
    let mut server = make_server(address, Validator::new(site))?.threads(4);
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}

// The applications.

/// Greets the next segment of the path.
fn hello(environ: &mut Environ, start_response: &mut dyn StartResponse) -> AppResult {
    let whom = shift_path_info(environ).unwrap_or_default();
    let script_name = environ.get("SCRIPT_NAME").unwrap_or_default();
    let page = format!("Hello, {whom}! This is {script_name}.\n");
    start_response.call(
        "200 OK",
        &[("Content-Type", "text/plain; charset=iso-8859-1")],
    )?;
    // Each character in the environ stands for one byte: turn them back into bytes.
    let page: Vec<u8> = page.chars().map(|character| character as u8).collect();
    Ok(page.into())
}

/// Adds the numbers in the body.
fn sum(environ: &mut Environ, start_response: &mut dyn StartResponse) -> AppResult {
    let numbers = std::io::read_to_string(environ.input())?;
    let mut sum: i64 = 0;
    for number in numbers.split_whitespace() {
        sum = sum.saturating_add(number.parse()?);
    }
    start_response.call("200 OK", &[TEXT])?;
    Ok(format!("{sum}\n").into())
}

/// Greets the user who has logged in.
fn private(environ: &mut Environ, start_response: &mut dyn StartResponse) -> AppResult {
    let user = environ.get("REMOTE_USER").unwrap_or_default().into_owned();
    start_response.call("200 OK", &[TEXT])?;
    Ok(format!("Welcome, {user}.\n").into())
}

fn not_found(_: &mut Environ, start_response: &mut dyn StartResponse) -> AppResult {
    start_response.call("404 Not Found", &[TEXT])?;
    Ok("There is nothing here.\n".into())
}

// The middleware.

/// Passes a request to the application that is mounted at the first path segment. The application
/// finds this segment in `SCRIPT_NAME`.
#[derive(Default)]
struct Router {
    applications: HashMap<&'static str, Arc<dyn Application>>,
}

impl Router {
    fn mount(mut self, name: &'static str, application: impl Application + 'static) -> Router {
        self.applications.insert(name, Arc::new(application));
        self
    }
}

impl Application for Router {
    fn call(&self, environ: &mut Environ, start_response: &mut dyn StartResponse) -> AppResult {
        let name = shift_path_info(environ).unwrap_or_default();
        match self.applications.get(name.as_str()) {
            Some(application) => application.call(environ, start_response),
            None => not_found(environ, start_response),
        }
    }
}

/// Adds header fields to every response of the application.
struct ExtraHeaders<A> {
    application: A,
    headers: Vec<(&'static str, &'static str)>,
}

impl<A> ExtraHeaders<A> {
    fn new(application: A) -> ExtraHeaders<A> {
        ExtraHeaders {
            application,
            headers: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> ExtraHeaders<A> {
        self.headers.push((name, value));
        self
    }
}

impl<A: Application> Application for ExtraHeaders<A> {
    fn call(&self, environ: &mut Environ, start_response: &mut dyn StartResponse) -> AppResult {
        let mut adding = Adding {
            start_response,
            headers: &self.headers,
        };
        // This does not work for an application whose body calls `start_response` later. For such
        // an application, wrap the body (`Iterable`) as well.
        self.application.call(environ, &mut adding)
    }
}

/// A `start_response` that adds header fields.
struct Adding<'a> {
    start_response: &'a mut dyn StartResponse,
    headers: &'a [(&'static str, &'static str)],
}

impl StartResponse for Adding<'_> {
    fn call(&mut self, status: &str, headers: &[(&str, &str)]) -> HandlerResult {
        let headers = [headers, self.headers].concat();
        self.start_response.call(status, &headers)
    }

    fn call_with_exc_info(
        &mut self,
        status: &str,
        headers: &[(&str, &str)],
        exc_info: Failure,
    ) -> HandlerResult {
        let headers = [headers, self.headers].concat();
        self.start_response
            .call_with_exc_info(status, &headers, exc_info)
    }

    fn write(&mut self, bytes: &[u8]) -> HandlerResult {
        self.start_response.write(bytes)
    }
}

/// Asks for a name and a password (RFC 7617). Use it only behind TLS, because they are sent in clear.
struct BasicAuth<A> {
    application: A,
    user: String,
    expected: String,
}

impl<A> BasicAuth<A> {
    fn new(application: A, user: &str, password: &str) -> BasicAuth<A> {
        BasicAuth {
            application,
            user: user.to_owned(),
            expected: base64(format!("{user}:{password}").as_bytes()),
        }
    }

    fn lets_in(&self, environ: &Environ) -> bool {
        let authorization = environ.get("HTTP_AUTHORIZATION").unwrap_or_default();
        match authorization.split_once(' ') {
            Some((scheme, credentials)) if scheme.eq_ignore_ascii_case("Basic") => {
                are_equal(credentials.trim().as_bytes(), self.expected.as_bytes())
            }
            _ => false,
        }
    }
}

impl<A: Application> Application for BasicAuth<A> {
    fn call(&self, environ: &mut Environ, start_response: &mut dyn StartResponse) -> AppResult {
        if !self.lets_in(environ) {
            let challenge = (
                "WWW-Authenticate",
                "Basic realm=\"example\", charset=\"UTF-8\"",
            );
            start_response.call("401 Unauthorized", &[TEXT, challenge])?;
            return Ok("Who are you?\n".into());
        }
        environ.insert("AUTH_TYPE", "Basic");
        environ.insert("REMOTE_USER", &self.user);
        self.application.call(environ, start_response)
    }
}

/// Whether both are equal. The time it takes does not depend on where they differ.
fn are_equal(left: &[u8], right: &[u8]) -> bool {
    let differences = left.iter().zip(right).map(|(left, right)| left ^ right);
    left.len() == right.len() && differences.fold(0, |all, one| all | one) == 0
}

/// Encodes bytes as base64 (RFC 4648 section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            match digit <= group.len() {
                true => text.push(ALPHABET[(bits >> (18 - 6 * digit)) as usize & 63] as char),
                false => text.push('='),
            }
        }
    }
    text
}
