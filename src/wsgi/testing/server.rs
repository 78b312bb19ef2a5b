//! A server for tests, in a thread of its own.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic;
use std::thread::{Builder, JoinHandle};

use super::super::application::Application;
use super::super::server::{WsgiServer, make_server_with_settings};
use crate::http::HttpSettings;
use crate::socketserver::{Failure, ShutdownHandle};

/// A server on a free port of the loopback interface. Dropping it stops it and waits until it has.
///
/// For what a [`Client`](super::Client) without a socket cannot test: another program, several
/// connections, time.
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
/// let mut answer = String::new();
/// stream.read_to_string(&mut answer)?;
/// assert!(answer.contains("Hello world!"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A call of the application that never returns is waited for forever.
pub struct TestServer {
    address: SocketAddr,
    shutdown: ShutdownHandle,
    thread: Option<JoinHandle<Result<(), Failure>>>,
}

impl TestServer {
    /// Serves `application`. It listens when this returns.
    ///
    /// # Errors
    ///
    /// If there is no port, descriptor or thread to be had.
    pub fn new(application: impl Application + 'static) -> io::Result<TestServer> {
        TestServer::with_settings(application, HttpSettings::default())
    }

    /// As [`new`](TestServer::new), with limits and deadlines of one's own.
    ///
    /// # Errors
    ///
    /// As [`new`](TestServer::new).
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

    /// Runs a server that was made and set up before, say to run its application on
    /// [threads](super::super::WsgiServer::threads).
    ///
    /// ```
    /// use serve_forever::wsgi::testing::TestServer;
    /// use serve_forever::wsgi::{demo_app, make_server};
    ///
    /// let server = TestServer::serve(make_server("127.0.0.1:0", demo_app)?.threads(2)?)?;
    /// assert!(server.url().starts_with("http://127.0.0.1:"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If there is no thread to be had.
    pub fn serve<A: Application + 'static>(mut server: WsgiServer<A>) -> io::Result<TestServer> {
        let (address, shutdown) = (server.server_address(), server.shutdown_handle());
        let thread = Builder::new().name("test server".to_owned());
        let thread = thread.spawn(move || server.serve_forever(None))?;
        Ok(TestServer {
            address,
            shutdown,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the server: `http://127.0.0.1:49152`, to which a path is to be added.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops the server and waits until it has.
    ///
    /// # Errors
    ///
    /// What `serve_forever` has answered: [`Failure::Stop`], if an application did.
    ///
    /// # Panics
    ///
    /// If the server's thread has panicked, which no application can bring about.
    pub fn stop(mut self) -> Result<(), Failure> {
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
            // Whoever wants to know how it ended calls `stop`.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestServer({})", self.address)
    }
}
