//! A client without a socket, for the tests of an application.
//!
//! The request is written as bytes, and an [`HttpConnection`] handles them as it handles those of a
//! browser. Only the socket is replaced by memory. So a test sees what a client would see: the
//! length that was added, a HEAD request without a body, the 500 after a panic.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::mem;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::HttpConnection;
use crate::http::h1::{ChunkLimits, ChunkedDecoder};
use crate::socketserver::{Driver, Failure, Files};
use crate::wsgi::application::{AppResult, Application};
use crate::wsgi::environ::{Environ, latin1};
use crate::wsgi::handler::WsgiHandler;
use crate::wsgi::headers::Headers;
use crate::wsgi::start_response::StartResponse;

/// Sends requests to an application in the same thread, without a server.
///
/// ```
/// use serve_forever::wsgi::testing::Client;
/// use serve_forever::wsgi::{AppResult, Environ, StartResponse};
///
/// fn app(environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
///     let name = environ.get("REMOTE_USER").unwrap_or("nobody".into()).into_owned();
///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     Ok(format!("Hello, {name}!").into())
/// }
///
/// let client = Client::new(app);
/// let response = client.get("/");
/// assert_eq!(response.status(), "200 OK");
/// assert_eq!(response.header("Content-Length"), Some("14"));
/// assert_eq!(response.text(), "Hello, nobody!");
///
/// let response = client.request("PUT", "/").environ("REMOTE_USER", "guido").send();
/// assert_eq!(response.text(), "Hello, guido!");
/// ```
///
/// It waits until the response is complete, so the application must not return an endless body.
pub struct Client<A> {
    /// The application that gets the requests.
    application: Arc<A>,
}

impl<A: Application> Client<A> {
    /// Makes a client for `application`.
    pub fn new(application: A) -> Client<A> {
        Client {
            application: Arc::new(application),
        }
    }

    /// Sends a GET request. `target` is the path with its query, percent-encoded as in a request
    /// line.
    pub fn get(&self, target: &str) -> TestResponse {
        self.request("GET", target).send()
    }

    /// Sends a HEAD request.
    pub fn head(&self, target: &str) -> TestResponse {
        self.request("HEAD", target).send()
    }

    /// Sends a POST request with a body.
    pub fn post(&self, target: &str, body: impl Into<Vec<u8>>) -> TestResponse {
        self.request("POST", target).body(body).send()
    }

    /// Prepares a request with any method. [`send`](TestRequest::send) sends it.
    pub fn request(&self, method: &str, target: &str) -> TestRequest<'_, A> {
        TestRequest {
            client: self,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            environ: Vec::new(),
            body: Vec::new(),
        }
    }
}

impl<A> fmt::Debug for Client<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

/// A request that is being prepared. [`send`](TestRequest::send) sends it.
#[must_use = "a request does nothing until it is sent"]
pub struct TestRequest<'a, A> {
    /// Sends it.
    client: &'a Client<A>,
    /// The method.
    method: String,
    /// The target, as in a request line.
    target: String,
    /// The header fields.
    headers: Vec<(String, Vec<u8>)>,
    /// The variables to add to the environ.
    environ: Vec<(String, String)>,
    /// The body.
    body: Vec<u8>,
}

impl<A: Application> TestRequest<'_, A> {
    /// Adds a header field. `Host: localhost` and the `Content-Length` of the body are sent unless
    /// you add these fields.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a variable of the environ, as a server or middleware would. It replaces that of the
    /// request.
    pub fn environ(mut self, key: &str, value: &str) -> Self {
        self.environ.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Sends the request and returns the response.
    pub fn send(mut self) -> TestResponse {
        let bytes = self.to_bytes();
        let errors = Collected::default();
        let application = Prepared {
            application: Arc::clone(&self.client.application),
            environ: mem::take(&mut self.environ),
            errors: errors.clone(),
        };
        let handler = WsgiHandler::new(application, None);
        let client_address = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
        let connection = HttpConnection::new(handler, client_address, Arc::default());
        let mut sent = Vec::new();
        let handled = Driver::new(connection).drive(Files {
            rfile: &bytes[..],
            wfile: &mut sent,
        });
        let mut response = TestResponse::parse(&sent, self.method == "HEAD");
        response.failure = handled.err();
        response.errors = errors.take();
        response
    }

    fn to_bytes(&self) -> Vec<u8> {
        let has = |wanted: &str| {
            let mut names = self.headers.iter().map(|(name, _)| name);
            names.any(|name| name.eq_ignore_ascii_case(wanted))
        };
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if !has("Host") {
            bytes.extend(b"Host: localhost\r\n");
        }
        if !self.body.is_empty() && !has("Content-Length") && !has("Transfer-Encoding") {
            bytes.extend(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

impl<A> fmt::Debug for TestRequest<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestRequest({} {})", self.method, self.target)
    }
}

/// The response to a [`TestRequest`].
#[derive(Debug, Default)]
pub struct TestResponse {
    /// The code and the reason.
    status: String,
    /// The header fields.
    headers: Headers,
    /// The body, without the framing of chunks.
    body: Vec<u8>,
    /// Whether the body came to its end.
    complete: bool,
    /// The failure that a server would have reported.
    failure: Option<Failure>,
    /// The text that was written to `wsgi.errors`.
    errors: String,
}

impl TestResponse {
    /// Returns the code and the reason, as in `200 OK`. Empty if there was no response because the
    /// request was not complete.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// Returns the status code, or 0 if there was no response.
    pub fn code(&self) -> u16 {
        let code = self.status.split(' ').next();
        code.and_then(|code| code.parse().ok()).unwrap_or_default()
    }

    /// Returns the header fields, including those that the server adds.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Returns the value of the first field with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// Returns the body as far as it was sent, without the framing of chunks.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the body as text. Bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Returns whether the body came to its end. If not, it broke off because the application
    /// failed.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Returns the failure that a server would have reported to
    /// [`Hooks::handle_error`](crate::socketserver::Hooks::handle_error), or that would have
    /// stopped it.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Returns the text that the application wrote to `wsgi.errors`.
    pub fn errors(&self) -> &str {
        &self.errors
    }

    /// Parses the bytes that a server sent.
    fn parse(bytes: &[u8], head_only: bool) -> TestResponse {
        let text = |bytes| latin1(bytes).into_owned();
        let mut lines = bytes;
        let mut status = String::new();
        let mut list = Vec::new();
        while let Some((line, rest)) = split(lines, b"\r\n") {
            lines = rest;
            match line {
                b"" => break,
                _ if status.is_empty() => status = text(line),
                _ => list.extend(split(line, b": ").map(|(name, value)| (text(name), text(value)))),
            }
        }
        let status = status.split_once(' ').map_or("", |(_, status)| status);
        let mut response = TestResponse {
            status: status.to_owned(),
            // No field can have a line end, because the lines were split there.
            headers: Headers::over(list).unwrap_or_default(),
            ..TestResponse::default()
        };
        response.parse_body(lines, head_only);
        response
    }

    fn parse_body(&mut self, bytes: &[u8], head_only: bool) {
        let length = self.headers.get("Content-Length");
        let length = length.and_then(|length| length.parse::<usize>().ok());
        self.body = bytes.to_vec();
        self.complete = true;
        if head_only || matches!(self.code(), 204 | 304) {
            return;
        }
        if self.headers.contains("Transfer-Encoding") {
            // No limit is needed: the body is in memory already, and the application is trusted.
            let limits = ChunkLimits {
                content: u64::MAX,
                ..ChunkLimits::default()
            };
            let decoded = ChunkedDecoder::default().decode(&mut self.body, &limits);
            self.complete = decoded.is_ok_and(|progress| progress.complete);
            self.body
                .truncate(decoded.map_or(0, |progress| progress.content));
        } else if let Some(length) = length {
            self.complete = length <= bytes.len();
            self.body.truncate(length);
        }
    }
}

/// Returns the bytes before `mark` and those after it.
fn split<'a>(bytes: &'a [u8], mark: &[u8; 2]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(2).position(|window| window == mark)?;
    Some((&bytes[..at], &bytes[at + 2..]))
}

/// The application, called with the variables of the test in its environ.
struct Prepared<A> {
    /// The application.
    application: Arc<A>,
    /// The variables to add to the environ.
    environ: Vec<(String, String)>,
    /// Collects `wsgi.errors`.
    errors: Collected,
}

impl<A: Application> Application for Prepared<A> {
    fn call(&self, environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
        environ.set_errors(self.errors.clone());
        for (key, value) in &self.environ {
            environ.insert(key, value);
        }
        self.application.call(environ, start_response)
    }
}

/// The `wsgi.errors` of one request.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<u8>>>);

impl Collected {
    fn take(&self) -> String {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&mem::take(&mut *bytes)).into_owned()
    }
}

impl Write for Collected {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        collected.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
