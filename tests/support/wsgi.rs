//! A WSGI server in a thread of its own, and a client that reads its responses.
//!
//! The tests of `wsgi.rs` run twice: there on the loop, and as a module of `wsgi_threads.rs` on
//! workers. So they show that a client cannot tell the difference.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serve_forever::http::{self, Block, Http, HttpSettings};
use serve_forever::socketserver::{Evented, Failure, Pool, Server, ShutdownHandle, Transport};
use serve_forever::wsgi::{Application, Iterable, StartResponse, Validator, WsgiHandler};

use super::client::connect;
use super::patience::{Job, PATIENCE, spawn};
use super::server::{Report, Reports};

pub type Starter<'a> = &'a mut dyn StartResponse;

/// A body whose blocks come from a function. The function gets `start_response`.
pub struct Made<F>(pub F);

impl<F> Iterable for Made<F>
where
    F: FnMut(Starter<'_>) -> Result<Option<Vec<u8>>, Failure> + Send,
{
    fn next_block(&mut self, start_response: Starter<'_>) -> Result<Option<Block>, Failure> {
        Ok((self.0)(start_response)?.map(Block::from))
    }
}

/// A server in a thread of its own. Dropping it stops the thread.
pub struct Running {
    pub address: SocketAddr,
    /// What `handle_error` was told, and of which client.
    pub failures: Reports,
    /// What the validator reported.
    breaches: Option<Arc<Mutex<Vec<String>>>>,
    pub shutdown: ShutdownHandle,
    /// Tells whether `serve_forever` returned `Ok`, once it has returned.
    ended: Option<Job<bool>>,
}

/// Serves an application under the validator, which has nothing to say about it.
pub fn serve(app: impl Application + 'static) -> Running {
    let breaches = Arc::new(Mutex::new(Vec::new()));
    let found = Arc::clone(&breaches);
    let app = Validator::new(app).report_to(move |breach| {
        if !breach.is_warning() {
            found.lock().expect("no panic").push(breach.to_string());
        }
    });
    let mut running = serve_illegal(app);
    running.breaches = Some(breaches);
    running
}

/// Serves an application that does what PEP 3333 forbids, which the validator would find.
pub fn serve_illegal(app: impl Application + 'static) -> Running {
    serve_with(app, |handler| match on_workers() {
        true => handler.workers(Pool::new().threads(2)),
        false => handler,
    })
}

/// Whether this is the second run of the tests.
pub fn on_workers() -> bool {
    module_path!().starts_with("wsgi_threads")
}

/// Serves an application with a handler that is set up by `change`.
pub fn serve_with<A: Application + 'static>(
    app: A,
    change: impl FnOnce(WsgiHandler<A>) -> WsgiHandler<A>,
) -> Running {
    let tcp = http::listen("127.0.0.1:0").expect("a free port");
    let address = tcp.server_address();
    let handler = change(WsgiHandler::new(app, address));
    let dispatch = Evented::new(Http::new(handler, HttpSettings::default()));
    let (report, failures) = Report::new();
    let mut server = Server::with_hooks(tcp, dispatch, report).expect("a server");
    Running {
        address,
        failures,
        breaches: None,
        shutdown: server.shutdown_handle(),
        ended: Some(spawn(move || server.serve_forever().is_ok())),
    }
}

impl Running {
    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Sends `request` and reads until the server closes.
    pub fn exchange(&self, request: &str) -> Response {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).expect("sent");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an end");
        Response::parse(&bytes)
    }

    pub fn get(&self, path: &str) -> Response {
        self.exchange(&request("GET", path, "", ""))
    }

    pub fn failure(&self) -> String {
        self.failures.recv_timeout(PATIENCE).expect("a report").0
    }

    /// Stops the server. Returns whether `serve_forever` returned `Ok`.
    pub fn stop(mut self) -> bool {
        self.shutdown.request();
        self.join()
    }

    /// Waits for the server to end by itself. Returns whether `serve_forever` returned `Ok`.
    pub fn join(&mut self) -> bool {
        self.ended.take().expect("waited for once").join()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.request();
        if let Some(ended) = self.ended.take() {
            ended.wait();
        }
        if let Some(breaches) = &self.breaches {
            let breaches = breaches.lock().expect("no panic");
            assert!(breaches.is_empty() || thread::panicking(), "{breaches:?}");
        }
    }
}

/// A request after which the server closes.
pub fn request(method: &str, path: &str, fields: &str, body: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n{fields}\r\n{body}")
}

#[derive(Debug)]
pub struct Response {
    pub status: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn parse(bytes: &[u8]) -> Response {
        let (head, body) = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .map(|end| (&bytes[..end], &bytes[end + 4..]))
            .unwrap_or_else(|| panic!("no head in {}", bytes.escape_ascii()));
        let head: String = head.iter().copied().map(char::from).collect();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default().to_owned();
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(": ").expect("a field");
            (name.to_owned(), value.to_owned())
        });
        Response {
            status,
            fields: fields.collect(),
            body: body.to_vec(),
        }
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let field = fields.find(|(candidate, _)| candidate.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    #[track_caller]
    pub fn assert_is_500(&self) {
        assert_eq!(self.status, "HTTP/1.1 500 Internal Server Error");
        assert_eq!(self.field("Content-Type"), Some("text/plain"));
        assert_eq!(self.field("Content-Length"), Some("59"));
        let text = "A server error occurred.  Please contact the administrator.";
        assert_eq!(self.text(), text);
    }
}
