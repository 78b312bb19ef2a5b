//! A server for tests, on a thread of its own.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::http::handler::HttpRequestHandler;
use crate::http::server::HttpServer;
use crate::http::settings::HttpSettings;
use crate::socketserver::{Dispatch, Hooks, RunningServer, ServeError, Server, Tcp};

/// A server on a thread of its own, on a free port of the loopback interface.
///
/// Use it for what a [`Client`](super::Client) cannot test: another program, several connections,
/// time. Dropping it stops the server and waits for its end.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
/// use serve_forever::http::testing::TestServer;
/// use serve_forever::{Request, Response};
///
/// let hello = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("hello");
/// let server = TestServer::new(hello)?;
/// let mut stream = TcpStream::connect(server.address())?;
/// stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
/// let mut response = String::new();
/// stream.read_to_string(&mut response)?;
/// assert!(response.ends_with("\r\n\r\nhello"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// If a call of the handler never returns, the wait never ends either.
#[must_use = "dropping it stops the server"]
pub struct TestServer {
    /// The server and its thread.
    running: RunningServer<SocketAddr>,
}

impl TestServer {
    /// Serves `handler`. The server is listening when this returns.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if there is no free port, descriptor or thread.
    pub fn new(
        handler: impl HttpRequestHandler + Clone + Send + 'static,
    ) -> io::Result<TestServer> {
        TestServer::with_settings(handler, HttpSettings::default())
    }

    /// Like [`new`](TestServer::new), but with your own limits and deadlines.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`new`](TestServer::new).
    pub fn with_settings(
        handler: impl HttpRequestHandler + Clone + Send + 'static,
        settings: HttpSettings,
    ) -> io::Result<TestServer> {
        TestServer::serve(HttpServer::with_settings("127.0.0.1:0", handler, settings)?)
    }

    /// Runs a server that you have made and set up.
    ///
    /// ```
    /// use serve_forever::http::testing::TestServer;
    /// use serve_forever::wsgi::{demo_app, make_server};
    ///
    /// let server = TestServer::serve(make_server("127.0.0.1:0", demo_app)?.threads(2))?;
    /// assert!(server.url().starts_with("http://127.0.0.1:"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the thread cannot be started.
    pub fn serve<D, H>(server: Server<Tcp, D, H>) -> io::Result<TestServer>
    where
        D: Dispatch<Tcp> + Send + 'static,
        H: Hooks<Tcp> + Send + 'static,
    {
        let running = server.spawn()?;
        Ok(TestServer { running })
    }

    /// Returns the address on which it listens.
    pub fn address(&self) -> SocketAddr {
        *self.running.server_address()
    }

    /// Returns the URL of the server without a path, such as `http://127.0.0.1:49152`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Stops the server and waits for its end.
    ///
    /// # Errors
    ///
    /// Returns the error of `serve_forever`: [`ServeError::Stopped`] if a handler returned a stop.
    ///
    /// # Panics
    ///
    /// Panics if the server's thread has panicked, which a handler cannot cause.
    pub fn stop(self) -> Result<(), ServeError> {
        self.running.shutdown()
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestServer({})", self.address())
    }
}
