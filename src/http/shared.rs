//! A function that all connections share.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::handler::HttpRequestHandler;
use super::request::Request;
use super::response::{HttpResult, Response};

/// A function that all connections call, behind an [`Arc`], or behind an [`Rc`](std::rc::Rc) if the
/// server stays on one thread.
///
/// Use it if your program has its handler as a pointer to a function of any type. Like
/// [`AnyHandler`](super::AnyHandler), it gives the server's type a name. A new connection clones the
/// pointer, and a request costs one indirect call.
///
/// A program that owns its loop has a server and what its pages show on one thread, without a lock:
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use serve_forever::http::{HttpResult, Shared};
/// use serve_forever::{HttpServer, Request, Response};
///
/// type Page = Rc<dyn Fn(&Request<'_>, Response<'_>) -> HttpResult>;
///
/// struct Program {
///     clicks: Rc<Cell<u32>>,
///     server: HttpServer<Shared<Page>>,
/// }
///
/// let clicks = Rc::new(Cell::new(0));
/// let shown = Rc::clone(&clicks);
/// let page: Page = Rc::new(move |_, response| {
///     response.send_response(200).body(format!("{} clicks\n", shown.get()))
/// });
/// let server = HttpServer::bind("127.0.0.1:0", Shared(page))?;
/// let program = Program { clicks, server };
/// program.clicks.set(1);
/// println!("http://{}/", program.server.server_address());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// With an `Arc`, `Shared` alone is the type of a handler, and its server can be
/// [spawned](crate::socketserver::Server::spawn):
///
/// ```
/// use std::sync::Arc;
/// use serve_forever::HttpServer;
/// use serve_forever::http::Shared;
///
/// let page: Shared = Shared(Arc::new(|_, response| response.send_response(200).body("hello")));
/// let server: HttpServer<Shared> = HttpServer::bind("127.0.0.1:0", page.clone())?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Shared<P = Arc<dyn Fn(&Request<'_>, Response<'_>) -> HttpResult + Send + Sync>>(
    /// The pointer.
    pub P,
);

impl<P, F> HttpRequestHandler for Shared<P>
where
    P: Deref<Target = F>,
    F: Fn(&Request<'_>, Response<'_>) -> HttpResult + ?Sized,
{
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        (*self.0)(request, response)
    }
}

impl<P> fmt::Debug for Shared<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}
