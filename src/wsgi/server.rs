//! A server for one application. Python's `wsgiref.simple_server`.

use std::collections::BTreeMap;
use std::io;

use super::application::{AppResult, Application};
use super::environ::Environ;
use super::handler::WsgiHandler;
use super::start_response::StartResponse;
use crate::http::{self, Http, HttpServer, HttpSettings, Workers};
use crate::socketserver::{Evented, Server, ServerAddress, Transport};

/// A server that answers every request with an application; Python's `WSGIServer`.
pub type WsgiServer<A> = HttpServer<WsgiHandler<A>>;

/// A server for `app`, bound and listening on return (WSGI-1).
///
/// ```
/// use serve_forever::wsgi::{demo_app, make_server};
///
/// let mut server = make_server("127.0.0.1:0", demo_app)?;
/// println!("Serving on http://{}/", server.server_address());
/// # server.shutdown_handle().request();
/// server.serve_forever(None)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// What [`http::listen`] answers.
pub fn make_server<A: Application>(
    address: impl ServerAddress,
    app: A,
) -> io::Result<WsgiServer<A>> {
    make_server_with_settings(address, app, HttpSettings::default())
}

/// As [`make_server`], with limits and deadlines of one's own.
///
/// # Errors
///
/// As [`make_server`].
pub fn make_server_with_settings<A: Application>(
    address: impl ServerAddress,
    app: A,
    settings: HttpSettings,
) -> io::Result<WsgiServer<A>> {
    let tcp = http::listen(address)?;
    // The base environ needs the port, which is known only after bind (WSGI-2).
    let handler = WsgiHandler::new(app, tcp.server_address());
    Server::new(tcp, Evented::new(Http::new(handler, settings)))
}

impl<A: Application + 'static> WsgiServer<A> {
    /// Runs the application on `threads` threads, at least one, while the loop keeps every
    /// socket; see [`WsgiHandler::workers`]. `wsgi.multithread` says so.
    ///
    /// ```
    /// use serve_forever::wsgi::{demo_app, make_server};
    ///
    /// let mut server = make_server("127.0.0.1:0", demo_app)?.threads(4)?;
    /// # server.shutdown_handle().request();
    /// server.serve_forever(None)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// By value, to be said where the server is made: connections that are open keep to what
    /// they began with. Nobody waits for the threads, which end after the server, with their
    /// last request. An application that takes longer than
    /// [`Deadlines::answer`](crate::http::Deadlines::answer) is not waited for, either: the client
    /// gets a 503.
    ///
    /// # Errors
    ///
    /// If the system has no more threads.
    pub fn threads(self, threads: usize) -> io::Result<WsgiServer<A>> {
        let workers = Workers::new(threads)?;
        Ok(self.configure(|handler| handler.workers(workers)))
    }
}

impl<A: Application> WsgiServer<A> {
    /// Sets what a [`WsgiHandler`] can be set to, for connections made afterwards.
    ///
    /// ```
    /// use serve_forever::http::Workers;
    /// use serve_forever::wsgi::{demo_app, make_server};
    ///
    /// let workers = Workers::new(4)?.queue_length(1000);
    /// let server = make_server("127.0.0.1:0", demo_app)?;
    /// let server = server.configure(|handler| handler.workers(workers));
    /// # let _ = server;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn configure(
        mut self,
        change: impl FnOnce(WsgiHandler<A>) -> WsgiHandler<A>,
    ) -> WsgiServer<A> {
        let handler = self.handler_mut();
        *handler = change(handler.clone());
        self
    }

    /// The application (WSGI-1).
    pub fn get_app(&self) -> &A {
        self.handler().application()
    }

    /// Replaces the application, for connections made afterwards; those that are open keep the
    /// one they began with (WSGI-1).
    ///
    /// The type stays: for applications of several types it is `Arc<dyn Application>`.
    pub fn set_app(&mut self, app: A) {
        self.handler_mut().set_application(app);
    }

    /// The variables that every environ has (WSGI-2), to be changed for connections made
    /// afterwards; see [`WsgiHandler::base_environ_mut`].
    pub fn base_environ_mut(&mut self) -> &mut BTreeMap<String, String> {
        self.handler_mut().base_environ_mut()
    }

    fn handler(&self) -> &WsgiHandler<A> {
        self.engine().dispatch().factory().handler()
    }

    /// The handler that each connection gets a clone of.
    fn handler_mut(&mut self) -> &mut WsgiHandler<A> {
        self.engine_mut().dispatch_mut().factory_mut().handler_mut()
    }
}

/// An application that greets and shows its environ, sorted by key (WSGI-28).
///
/// # Errors
///
/// If `start_response` was called before.
pub fn demo_app(environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
    let mut page = String::from("Hello world!\n\n");
    for (key, value) in environ.iter() {
        // Escaped, so that a client cannot make up lines of the page.
        page.push_str(&format!("{key} = '{}'\n", value.escape_debug()));
    }
    let headers = [("Content-Type", "text/plain; charset=utf-8")];
    start_response.call("200 OK", &headers)?;
    Ok(page.into())
}
