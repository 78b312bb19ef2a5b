//! A server for one application. Python's `wsgiref.simple_server`.

use std::collections::BTreeMap;
use std::io;

use super::application::{AppResult, Application};
use super::environ::Environ;
use super::handler::WsgiHandler;
use super::start_response::StartResponse;
use crate::http::{self, Http, HttpSettings};
use crate::socketserver::{Defaults, Evented, Hooks, Pool, Server, ServerAddress, Tcp, Transport};

/// A server that passes every request to an application. Python's `WSGIServer`. `H` is the type of its
/// hooks.
pub type WsgiServer<A, H = Defaults> = Server<Tcp, Evented<Tcp, Http<WsgiHandler<A>>>, H>;

/// Makes a server for `app`. It is bound and listening when this returns ([WSGI-1]).
///
/// ```
/// use serve_forever::wsgi::{demo_app, make_server};
///
/// let mut server = make_server("127.0.0.1:0", demo_app)?;
/// println!("Serving on http://{}/", server.server_address());
/// # server.shutdown_handle().request();
/// server.serve_forever()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Returns the errors of [`http::listen`], for example if the port is in use.
///
/// [WSGI-1]: crate::spec#wsgi-1
pub fn make_server<A: Application>(
    address: impl ServerAddress,
    app: A,
) -> io::Result<WsgiServer<A>> {
    make_server_with_settings(address, app, HttpSettings::default())
}

/// Like [`make_server`], but with your own limits and deadlines.
///
/// # Errors
///
/// Returns the same errors as [`make_server`].
pub fn make_server_with_settings<A: Application>(
    address: impl ServerAddress,
    app: A,
    settings: HttpSettings,
) -> io::Result<WsgiServer<A>> {
    make_server_with_hooks(address, app, settings, Defaults::default())
}

/// Like [`make_server_with_settings`], but also with your own hooks: Python's overridden methods of
/// `WSGIServer`.
///
/// ```
/// use std::error::Error;
/// use std::net::SocketAddr;
///
/// use serve_forever::http::HttpSettings;
/// use serve_forever::socketserver::{HandlerResult, Hooks, Tcp};
/// use serve_forever::wsgi::{demo_app, make_server_with_hooks};
///
/// struct Quiet;
///
/// impl Hooks<Tcp> for Quiet {
///     fn handle_error(
///         &mut self,
///         _: &(dyn Error + Send + Sync + 'static),
///         _: &SocketAddr,
///     ) -> HandlerResult {
///         Ok(())
///     }
/// }
///
/// let settings = HttpSettings::default();
/// let server = make_server_with_hooks("127.0.0.1:0", demo_app, settings, Quiet)?.threads(4);
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// Returns the same errors as [`make_server`].
pub fn make_server_with_hooks<A: Application, H: Hooks<Tcp>>(
    address: impl ServerAddress,
    app: A,
    settings: HttpSettings,
    hooks: H,
) -> io::Result<WsgiServer<A, H>> {
    let tcp = http::listen(address)?;
    // The base environ has the port, which is known only after bind (WSGI-2).
    let handler = WsgiHandler::new(app, tcp.server_address());
    Server::with_hooks(tcp, Evented::new(Http::new(handler, settings)), hooks)
}

impl<A: Application + 'static, H: Hooks<Tcp>> WsgiServer<A, H> {
    /// Runs the application on `threads` threads, at least one, while the loop keeps every
    /// socket. See [`WsgiHandler::workers`]. `wsgi.multithread` is then true.
    ///
    /// ```
    /// use serve_forever::wsgi::{demo_app, make_server};
    ///
    /// let mut server = make_server("127.0.0.1:0", demo_app)?.threads(4);
    /// # server.shutdown_handle().request();
    /// server.serve_forever()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Call it where you make the server, because connections that are open already do not change.
    /// When the server ends it does not wait for the threads; each of them ends after its last
    /// request. To wait for them, to prepare them, or to use threads of your own, pass a
    /// [`Pool`](crate::socketserver::Pool::worker) to [`WsgiHandler::workers`]. If an application
    /// takes longer than [`Deadlines::response`](crate::http::Deadlines::response), the client gets
    /// a 503.
    #[must_use]
    pub fn threads(self, threads: usize) -> WsgiServer<A, H> {
        let workers = Pool::new().threads(threads.max(1));
        self.configure(|handler| handler.workers(workers))
    }
}

impl<A: Application, H: Hooks<Tcp>> WsgiServer<A, H> {
    /// Changes the settings of the [`WsgiHandler`], for connections made afterwards.
    ///
    /// ```
    /// use serve_forever::socketserver::Pool;
    /// use serve_forever::wsgi::{demo_app, make_server};
    ///
    /// let workers = Pool::new().threads(4).queue_length(1000);
    /// let server = make_server("127.0.0.1:0", demo_app)?;
    /// let server = server.configure(|handler| handler.workers(workers));
    /// # let _ = server;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn configure(
        mut self,
        change: impl FnOnce(WsgiHandler<A>) -> WsgiHandler<A>,
    ) -> WsgiServer<A, H> {
        let handler = self.handler_mut();
        *handler = change(handler.clone());
        self
    }

    /// Returns the application ([WSGI-1]).
    ///
    /// [WSGI-1]: crate::spec#wsgi-1
    pub fn get_app(&self) -> &A {
        self.engine().dispatch().factory().handler().application()
    }

    /// Replaces the application, for connections made afterwards. Connections that are open keep
    /// their application ([WSGI-1]). In Python the next request of a connection gets the new one.
    ///
    /// The new application has the same type. If you need several types, make the server with an
    /// `Arc<dyn Application>`.
    ///
    /// [WSGI-1]: crate::spec#wsgi-1
    pub fn set_app(&mut self, app: A) {
        self.handler_mut().set_application(app);
    }

    /// Returns the variables that every environ has ([WSGI-2]). A change takes effect for
    /// connections made afterwards. See [`WsgiHandler::base_environ_mut`].
    ///
    /// [WSGI-2]: crate::spec#wsgi-2
    pub fn base_environ_mut(&mut self) -> &mut BTreeMap<String, String> {
        self.handler_mut().base_environ_mut()
    }

    /// Returns the handler that each connection gets a clone of.
    fn handler_mut(&mut self) -> &mut WsgiHandler<A> {
        self.engine_mut().dispatch_mut().factory_mut().handler_mut()
    }
}

/// An application that says hello and lists its environ, sorted by key ([WSGI-28]).
///
/// # Errors
///
/// Returns the error of `start_response` if that was called before.
///
/// [WSGI-28]: crate::spec#wsgi-28
pub fn demo_app(environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
    let mut page = String::from("Hello world!\n\n");
    for (key, value) in environ.iter() {
        // Escape the value, so that a client cannot add lines to the page.
        page.push_str(&format!("{key} = '{}'\n", value.escape_debug()));
    }
    let headers = [("Content-Type", "text/plain; charset=utf-8")];
    start_response.call("200 OK", &headers)?;
    Ok(page.into())
}
