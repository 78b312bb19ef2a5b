//! A handler whose type has a name.

use std::fmt;

use super::access::LogEntry;
use super::body_policy::BodyPolicy;
use super::handler::HttpRequestHandler;
use super::request::Request;
use super::response::{HttpResult, Response};

/// Holds any handler, so that the type of a server does not depend on it.
///
/// The type of a closure has no name, so a struct cannot have a field for its server. An
/// `HttpServer<AnyHandler>` has a name:
///
/// ```
/// use serve_forever::http::AnyHandler;
/// use serve_forever::{HttpServer, Request, Response};
///
/// struct Panel {
///     server: HttpServer<AnyHandler>,
/// }
///
/// let hello = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("hello");
/// let panel = Panel { server: HttpServer::bind("127.0.0.1:0", AnyHandler::new(hello))? };
/// println!("http://{}/", panel.server.server_address());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Each connection gets a clone, which is one allocation. A request costs one indirect call.
///
/// It can be sent to another thread, so the handler has to be `Send`. If yours has an `Rc`, or is a
/// function behind a pointer, use [`Shared`](super::Shared).
pub struct AnyHandler(Box<dyn Handler>);

/// A handler that can be cloned although its type is not known.
trait Handler: HttpRequestHandler + Send {
    fn boxed_clone(&self) -> Box<dyn Handler>;
}

impl<H: HttpRequestHandler + Clone + Send + 'static> Handler for H {
    fn boxed_clone(&self) -> Box<dyn Handler> {
        Box::new(self.clone())
    }
}

impl AnyHandler {
    /// Holds `handler`.
    pub fn new(handler: impl HttpRequestHandler + Clone + Send + 'static) -> AnyHandler {
        AnyHandler(Box::new(handler))
    }
}

impl Clone for AnyHandler {
    fn clone(&self) -> AnyHandler {
        AnyHandler((*self.0).boxed_clone())
    }
}

impl fmt::Debug for AnyHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyHandler")
    }
}

impl HttpRequestHandler for AnyHandler {
    // Only `handle` is called from outside, and it calls the function of the method.
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        self.0.handle(request, response)
    }

    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        self.0.body_policy(request)
    }

    fn log_request(&mut self, entry: &LogEntry<'_>) {
        self.0.log_request(entry);
    }

    fn log_error(&mut self, entry: &LogEntry<'_>, message: &str) {
        self.0.log_error(entry, message);
    }
}
