//! A request that owns its bytes, so that it can be kept or sent to another thread.

use std::sync::Arc;

use super::addresses::Addresses;
use super::body_budget::BodyShare;
use super::h1::{self, Fields, Head, HeadLayout, parse_fields};
use super::proxies::Rule;
use super::request::{self, Request};
use crate::socketserver::ServerHandle;

/// A copy of a [`Request`] that can be kept, or sent to another thread. Its clones share the bytes.
///
/// `request.to_owned()` does not make one: it copies the view, which borrows the bytes. Use
/// [`new`](Self::new) or `OwnedRequest::from(request)`.
///
/// ```
/// use serve_forever::http::{HttpResult, OwnedRequest, Request, Response};
///
/// fn handle(request: &Request<'_>, response: Response<'_>) -> HttpResult {
///     let kept = OwnedRequest::new(request);
///     std::thread::spawn(move || {
///         println!("{} {}", kept.method(), kept.target());
///         kept.with(|request| println!("{:?}", request.content_type())); // everything else
///     });
///     response.send_response(202).body("")
/// }
/// # let _ = handle;
/// ```
#[derive(Debug, Clone)]
pub struct OwnedRequest(Arc<Owned>);

#[derive(Debug)]
struct Owned {
    /// Head, body and trailer section, one after the other.
    bytes: Vec<u8>,
    /// The length of the head.
    head: usize,
    /// Where its parts are.
    layout: HeadLayout,
    /// The length of the body.
    body: usize,
    /// The addresses of the client and of the server.
    addresses: Addresses,
    /// The proxies that are believed, if there are any.
    proxies: Option<Arc<Rule>>,
    /// Reaches the server, if there is one.
    server: Option<ServerHandle>,
    /// The body's part of the budget, until the last clone is dropped.
    _share: Option<BodyShare>,
}

impl OwnedRequest {
    /// Copies the request.
    pub fn new(request: &Request<'_>) -> OwnedRequest {
        OwnedRequest::with_share(request, None)
    }

    /// Copies the request, whose body uses this part of the budget.
    pub(super) fn with_share(request: &Request<'_>, share: Option<BodyShare>) -> OwnedRequest {
        let head = request.head_bytes();
        let mut bytes = [head, request.body()].concat();
        put_section(&mut bytes, request.trailers());
        OwnedRequest(Arc::new(Owned {
            bytes,
            head: head.len(),
            layout: HeadLayout::new(request.head(), head),
            body: request.body().len(),
            addresses: request.addresses().clone(),
            proxies: request.proxies().cloned(),
            server: request.server().cloned(),
            _share: share,
        }))
    }

    /// Returns the method, like [`Request::method`]. [`with`](Self::with) lends everything else.
    #[must_use]
    pub fn method(&self) -> &str {
        self.head().method
    }

    /// Returns the request target exactly as the client sent it, like [`Request::target`].
    #[must_use]
    pub fn target(&self) -> &str {
        self.head().target
    }

    /// Returns the path of the target, still percent-encoded, like [`Request::path`].
    #[must_use]
    pub fn path(&self) -> &str {
        request::path(&self.head())
    }

    /// Returns the value of the first field called `name`, in any case, like [`Request::header`].
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head().fields.get(name)
    }

    /// Returns the body, like [`Request::body`]: empty if it is still arriving.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.0.bytes[self.0.head..self.0.head + self.0.body]
    }

    /// Lends the request to `look`.
    pub fn with<R>(&self, look: impl FnOnce(&Request<'_>) -> R) -> R {
        let (head, bytes) = (self.head(), self.head_bytes());
        let (body, trailers) = (self.body(), self.trailers());
        let request = Request::new(&head, bytes, body, trailers, &self.0.addresses);
        let request = request.with_proxies(self.0.proxies.as_ref());
        look(&request.with_server(self.0.server.as_ref()))
    }

    /// Returns the head, which borrows from this. Nothing is parsed again.
    fn head(&self) -> Head<'_> {
        self.0.layout.view(self.head_bytes())
    }

    fn head_bytes(&self) -> &[u8] {
        &self.0.bytes[..self.0.head]
    }

    pub(super) fn trailers(&self) -> Fields<'_> {
        let section = &self.0.bytes[self.0.head + self.0.body..];
        parse_fields(section, usize::MAX).unwrap_or_default()
    }
}

impl From<&Request<'_>> for OwnedRequest {
    fn from(request: &Request<'_>) -> OwnedRequest {
        OwnedRequest::new(request)
    }
}

/// Appends trailer fields as bytes that can be parsed again.
pub(super) fn put_section(bytes: &mut Vec<u8>, trailers: Fields<'_>) {
    for (name, value) in trailers {
        // Ignore the error: a field that was parsed can be written.
        let _ = h1::field(bytes, name, value);
    }
}
