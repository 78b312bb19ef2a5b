//! A client for the tests of an application.
//!
//! [`Client`] asks an application in the same thread, without a socket. It is all that most tests
//! need. For another program, several connections, or time, serve the application with a
//! [`TestServer`](crate::http::testing::TestServer):
//! `TestServer::serve(make_server("127.0.0.1:0", app)?)`.

use std::fmt;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use super::application::{AppResult, Application};
use super::environ::Environ;
use super::handler::WsgiHandler;
use super::start_response::StartResponse;
use crate::http::HttpRequestHandler;
use crate::http::testing::{self, TestRequest, TestResponse};

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
/// let guido = client.environ("REMOTE_USER", "guido");
/// assert_eq!(guido.get("/").text(), "Hello, guido!");
/// ```
///
/// It is a [`http::testing::Client`](testing::Client) for an application. It waits until the
/// response is complete, so the application must not return an endless body.
pub struct Client<A> {
    /// The application that gets the requests, and what the tests add.
    prepared: Prepared<A>,
}

impl<A: Application> Client<A> {
    /// Makes a client for `application`.
    pub fn new(application: A) -> Client<A> {
        Client {
            prepared: Prepared {
                application: Arc::new(application),
                environ: Arc::default(),
                errors: Collected::default(),
            },
        }
    }

    /// Returns a client that sets this variable in each environ, as a server or middleware would. It
    /// replaces that of the request.
    #[must_use]
    pub fn environ(&self, key: &str, value: &str) -> Client<A> {
        let mut prepared = self.prepared.clone();
        Arc::make_mut(&mut prepared.environ).push((key.to_owned(), value.to_owned()));
        Client { prepared }
    }

    /// Sends a GET request. `target` is the path with its query, percent-encoded as in a request
    /// line.
    pub fn get(&self, target: &str) -> TestResponse {
        self.client().get(target)
    }

    /// Sends a HEAD request.
    pub fn head(&self, target: &str) -> TestResponse {
        self.client().head(target)
    }

    /// Sends a POST request with a body.
    pub fn post(&self, target: &str, body: impl Into<Vec<u8>>) -> TestResponse {
        self.client().post(target, body)
    }

    /// Prepares a request with any method. [`send`](TestRequest::send) sends it.
    pub fn request(
        &self,
        method: &str,
        target: &str,
    ) -> TestRequest<impl HttpRequestHandler + Clone + use<A>> {
        self.client().request(method, target)
    }

    /// Returns the text that was written to `wsgi.errors` since the last call.
    pub fn take_errors(&self) -> String {
        self.prepared.errors.take()
    }

    fn client(&self) -> testing::Client<WsgiHandler<Prepared<A>>> {
        testing::Client::new(WsgiHandler::new(self.prepared.clone(), None))
    }
}

impl<A> fmt::Debug for Client<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

/// The application, called with the variables of the test in its environ.
struct Prepared<A> {
    /// The application.
    application: Arc<A>,
    /// The variables to add to the environ.
    environ: Arc<Vec<(String, String)>>,
    /// Collects `wsgi.errors`.
    errors: Collected,
}

impl<A> Clone for Prepared<A> {
    fn clone(&self) -> Prepared<A> {
        Prepared {
            application: Arc::clone(&self.application),
            environ: Arc::clone(&self.environ),
            errors: self.errors.clone(),
        }
    }
}

impl<A: Application> Application for Prepared<A> {
    fn call(&self, environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
        environ.set_errors(self.errors.clone());
        for (key, value) in &*self.environ {
            environ.insert(key, value);
        }
        self.application.call(environ, start_response)
    }
}

/// The `wsgi.errors` of a client's requests.
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
