//! A client without a socket.
//!
//! The request is written as bytes, and an [`HttpConnection`] handles them as it handles those of a
//! browser. Only the socket is replaced by memory. So a test sees what a client would see: the
//! length that was added, a HEAD request without a body, the 500 after a panic.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::response::TestResponse;
use crate::http::connection::HttpConnection;
use crate::http::handler::HttpRequestHandler;
use crate::http::settings::HttpSettings;
use crate::socketserver::{Driver, Files};

/// Sends requests to a handler in the same thread, without a server.
///
/// Each request has a connection and a clone of the handler. The client waits until the response is
/// complete. So a streamed body arrives whole, and a response that another thread sends is waited
/// for, as long as a server would wait: [`Deadlines::response`](crate::http::Deadlines::response).
/// The handler must not return an endless body.
///
/// ```
/// use serve_forever::http::testing::Client;
/// use serve_forever::{HttpRequestHandler, HttpResult, Request, Response};
///
/// #[derive(Clone)]
/// struct Notes;
///
/// impl HttpRequestHandler for Notes {
///     fn do_post(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
///         let location = format!("/notes/{}", request.body().len());
///         response.send_response(201).send_header("Location", location).body("")
///     }
/// }
///
/// let client = Client::new(Notes);
/// let response = client.post("/notes", "milk");
/// assert_eq!((response.code(), response.header("Location")), (201, Some("/notes/4")));
/// assert_eq!(client.get("/notes").code(), 501);
/// ```
#[derive(Clone)]
pub struct Client<H> {
    /// Each request gets a clone of this.
    handler: H,
    /// The limits and deadlines.
    settings: Arc<HttpSettings>,
}

impl<H: HttpRequestHandler + Clone> Client<H> {
    /// Makes a client for `handler`.
    pub fn new(handler: H) -> Client<H> {
        Client::with_settings(handler, HttpSettings::default())
    }

    /// Like [`new`](Client::new), but with your own limits and deadlines.
    pub fn with_settings(handler: H, settings: HttpSettings) -> Client<H> {
        Client {
            handler,
            settings: Arc::new(settings),
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
    pub fn request(&self, method: &str, target: &str) -> TestRequest<H> {
        TestRequest {
            client: self.clone(),
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Sends bytes as they are, for a request that no client should send. Returns the first
    /// response.
    ///
    /// ```
    /// use serve_forever::http::testing::Client;
    /// use serve_forever::{Request, Response};
    ///
    /// let hello = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("");
    /// let client = Client::new(hello);
    /// assert_eq!(client.send(b"GET / HTTP/1.1\r\n\r\n").code(), 400); // there is no Host
    /// ```
    pub fn send(&self, bytes: &[u8]) -> TestResponse {
        let client_address = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
        let (handler, settings) = (self.handler.clone(), Arc::clone(&self.settings));
        let connection = HttpConnection::new(handler, client_address, settings);
        let mut sent = Vec::new();
        let handled = Driver::new(connection).drive(Files {
            rfile: bytes,
            wfile: &mut sent,
        });
        // Only these two methods change how a response is read.
        let method = match bytes {
            [b'H', b'E', b'A', b'D', b' ', ..] => "HEAD",
            [b'C', b'O', b'N', b'N', b'E', b'C', b'T', b' ', ..] => "CONNECT",
            _ => "GET",
        };
        TestResponse::parse(&sent, method, handled.err())
    }
}

impl<H> fmt::Debug for Client<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

/// A request that is being prepared. [`send`](TestRequest::send) sends it.
#[must_use = "a request does nothing until it is sent"]
pub struct TestRequest<H> {
    /// Sends it.
    client: Client<H>,
    /// The method.
    method: String,
    /// The target, as in a request line.
    target: String,
    /// The header fields.
    headers: Vec<(String, Vec<u8>)>,
    /// The body.
    body: Vec<u8>,
}

impl<H: HttpRequestHandler + Clone> TestRequest<H> {
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

    /// Sends the request and returns the response.
    pub fn send(self) -> TestResponse {
        self.client.send(&self.to_bytes())
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

impl<H> fmt::Debug for TestRequest<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestRequest({} {})", self.method, self.target)
    }
}
