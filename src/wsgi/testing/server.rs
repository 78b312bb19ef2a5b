//! A server for tests, in its own thread.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic;
use std::thread::{Builder, JoinHandle};

use crate::http::HttpSettings;
use crate::socketserver::{ServeError, ShutdownHandle};
use crate::wsgi::application::Application;
use crate::wsgi::server::{WsgiServer, make_server_with_settings};

/// A server in its own thread, on a free port of the loopback interface.
///
/// Use it for what a [`Client`](super::Client) cannot test: another program, several connections,
/// time. Dropping it stops the server and waits for its end.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
/// use serve_forever::wsgi::demo_app;
/// use serve_forever::wsgi::testing::TestServer;
///
/// let server = TestServer::new(demo_app)?;
/// let mut stream = TcpStream::connect(server.address())?;
/// stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
/// let mut response = String::new();
/// stream.read_to_string(&mut response)?;
/// assert!(response.contains("Hello world!"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// If a call of the application never returns, the wait never ends either.
pub struct TestServer {
    /// Where it listens.
    address: SocketAddr,
    /// Stops the server.
    shutdown: ShutdownHandle,
    /// The thread that serves; `None` once it was waited for.
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl TestServer {
    /// Serves `application`. The server is listening when this returns.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if there is no free port, descriptor or thread.
    pub fn new(application: impl Application + 'static) -> io::Result<TestServer> {
        TestServer::with_settings(application, HttpSettings::default())
    }

    /// Like [`new`](TestServer::new), but with your own limits and deadlines.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`new`](TestServer::new).
    pub fn with_settings(
        application: impl Application + 'static,
        settings: HttpSettings,
    ) -> io::Result<TestServer> {
        TestServer::serve(make_server_with_settings(
            "127.0.0.1:0",
            application,
            settings,
        )?)
    }

    /// Runs a server that you have made and set up, for example to run its application on
    /// [threads](super::super::WsgiServer::threads).
    ///
    /// ```
    /// use serve_forever::wsgi::testing::TestServer;
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
    pub fn serve<A: Application + 'static>(mut server: WsgiServer<A>) -> io::Result<TestServer> {
        let (address, shutdown) = (server.server_address(), server.shutdown_handle());
        let thread = Builder::new().name("test server".to_owned());
        let thread = thread.spawn(move || server.serve_forever())?;
        Ok(TestServer {
            address,
            shutdown,
            thread: Some(thread),
        })
    }

    /// Returns the address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of the server without a path, such as `http://127.0.0.1:49152`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops the server and waits for its end.
    ///
    /// # Errors
    ///
    /// Returns the error of `serve_forever`: [`ServeError::Stopped`] if an
    /// application returned a stop.
    ///
    /// # Panics
    ///
    /// Panics if the server's thread has panicked, which an application cannot cause.
    pub fn stop(mut self) -> Result<(), ServeError> {
        self.shutdown.request();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(served)) => served,
            Some(Err(payload)) => panic::resume_unwind(payload),
            None => Ok(()),
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown.request();
        if let Some(thread) = self.thread.take() {
            // Ignore the result: a test that needs it calls `stop`.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestServer({})", self.address)
    }
}
