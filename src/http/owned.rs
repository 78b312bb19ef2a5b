//! A request that owns its bytes, so that it can travel.

use super::Request;
use super::ends::Ends;
use super::h1::{self, FieldStorage, Head, HeadLimits, MAX_FIELDS, parse_fields};

/// A copy of a [`Request`] that can be kept, or sent to another thread.
///
/// ```
/// use serve_forever::http::{HttpResult, OwnedRequest, Request, Response};
///
/// fn handle(request: &Request<'_>, response: Response<'_>) -> HttpResult {
///     let kept = OwnedRequest::new(request);
///     std::thread::spawn(move || {
///         kept.with(|request| println!("{} {}", request.method(), request.target()));
///     });
///     response.send_response(202).body("")
/// }
/// # let _ = handle;
/// ```
#[derive(Debug, Clone)]
pub struct OwnedRequest {
    /// Head, content and trailers, one behind the other.
    bytes: Box<[u8]>,
    head: usize,
    content: usize,
    ends: Ends,
}

impl OwnedRequest {
    /// Copies the request.
    pub fn new(request: &Request<'_>) -> OwnedRequest {
        let head = request.head_bytes();
        let mut bytes = [head, request.body()].concat();
        for (name, value) in request.trailers() {
            // Err: it has been parsed, so it can be written.
            let _ = h1::field(&mut bytes, name, value);
        }
        OwnedRequest {
            bytes: bytes.into_boxed_slice(),
            head: head.len(),
            content: request.body().len(),
            ends: request.ends().clone(),
        }
    }

    /// Lends the request to `look`.
    pub fn with<R>(&self, look: impl FnOnce(&Request<'_>) -> R) -> R {
        let (head, rest) = self.bytes.split_at(self.head);
        let (content, trailers) = rest.split_at(self.content);
        let limits = HeadLimits {
            fields: MAX_FIELDS,
            ..HeadLimits::default()
        };
        let mut storage = FieldStorage::new();
        let parsed = Head::parse(head, &mut storage, &limits);
        // reason: these are bytes that were parsed before
        let parsed = parsed.expect("a head that was parsed can be parsed again");
        let trailers = parse_fields(trailers, usize::MAX).unwrap_or_default();
        look(&Request::new(&parsed, head, content, trailers, &self.ends))
    }
}
