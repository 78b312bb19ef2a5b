//! The types of the crate [`http`](::http), for handlers that share code with other servers and with
//! clients (feature `http-types`).
//!
//! Requests, fields and versions convert into those types. A response of those types is sent with
//! [`Response::send`], or field by field with [`Response::send_parts`]. Every conversion that can
//! fail says why: the error is an [`http::Error`](::http::Error).

use ::http::header::{HeaderName, TRANSFER_ENCODING};
use ::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, request, response};

use super::h1::{Fields, Version};
use super::owned::OwnedRequest;
use super::request::Request;
use super::response::{HttpResult, Response, ResponseHead};
use super::testing::TestResponse;
use crate::socketserver::Block;

/// The head of a request. Its [`Uri`] is the target as the client sent it, which may begin with two
/// slashes. Do not redirect to it; see [`Request::path`].
///
/// A few requests that the server accepts do not fit. A [`Uri`] takes no `<`, `>`, `"` or backtick
/// where RFC 3986 forbids it, and no escape in a host. With larger limits than the defaults, a target
/// may also be too long for it, which is 64 KiB, or a head have too many fields for a [`HeaderMap`].
impl TryFrom<&Request<'_>> for request::Parts {
    type Error = ::http::Error;

    fn try_from(request: &Request<'_>) -> Result<request::Parts, ::http::Error> {
        let mut typed = ::http::Request::new(());
        *typed.method_mut() = Method::from_bytes(request.method().as_bytes())?;
        *typed.uri_mut() = Uri::try_from(request.target())?;
        *typed.version_mut() = request.version().into();
        *typed.headers_mut() = request.headers().try_into()?;
        Ok(typed.into_parts().0)
    }
}

/// The whole request, with a copy of its body. Use it in a handler whose code knows only these types:
///
/// ```
/// use http::StatusCode; // the crate of that name
/// use serve_forever::http::testing::Client;
/// use serve_forever::{HttpResult, Request, Response};
///
/// fn app(request: http::Request<Vec<u8>>) -> http::Result<http::Response<Vec<u8>>> {
///     http::Response::builder()
///         .header("X-Was", request.method().as_str())
///         .body(request.into_body())
/// }
///
/// fn handle(request: &Request<'_>, response: Response<'_>) -> HttpResult {
///     match http::Request::try_from(request) {
///         Ok(request) => response.send(app(request)?),
///         Err(error) => response.send_error_with(400, "Bad Request", &error.to_string()),
///     }
/// }
///
/// let response = http::Response::try_from(Client::new(handle).post("/", "ping"))?;
/// assert_eq!(response.status(), StatusCode::OK);
/// assert_eq!(response.headers()["x-was"], "POST");
/// assert_eq!(response.body(), b"ping");
/// # Ok::<(), http::Error>(())
/// ```
///
/// The addresses of the connection are not in it.
impl TryFrom<&Request<'_>> for ::http::Request<Vec<u8>> {
    type Error = ::http::Error;

    fn try_from(request: &Request<'_>) -> Result<::http::Request<Vec<u8>>, ::http::Error> {
        let parts = request::Parts::try_from(request)?;
        Ok(::http::Request::from_parts(parts, request.body().to_vec()))
    }
}

/// Like the conversion of a [`Request`].
impl TryFrom<&OwnedRequest> for ::http::Request<Vec<u8>> {
    type Error = ::http::Error;

    fn try_from(request: &OwnedRequest) -> Result<::http::Request<Vec<u8>>, ::http::Error> {
        request.with(|request| request.try_into())
    }
}

/// Header or trailer fields, in the same order for each name.
impl TryFrom<Fields<'_>> for HeaderMap {
    type Error = ::http::Error;

    fn try_from(fields: Fields<'_>) -> Result<HeaderMap, ::http::Error> {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            map.try_append(name, HeaderValue::from_bytes(value)?)?;
        }
        Ok(map)
    }
}

impl From<Version> for ::http::Version {
    fn from(version: Version) -> ::http::Version {
        match version {
            Version::Http10 => ::http::Version::HTTP_10,
            Version::Http11 => ::http::Version::HTTP_11,
        }
    }
}

/// What a test client got. It fails if there was no response.
impl TryFrom<TestResponse> for ::http::Response<Vec<u8>> {
    type Error = ::http::Error;

    fn try_from(response: TestResponse) -> Result<::http::Response<Vec<u8>>, ::http::Error> {
        let mut typed = ::http::Response::new(response.body().to_vec());
        *typed.status_mut() = StatusCode::from_u16(response.code())?;
        for (name, value) in response.headers() {
            // Each character stands for the byte with its number.
            let value: Vec<u8> = value.chars().map(|character| character as u8).collect();
            let name = HeaderName::from_bytes(name.as_bytes())?;
            let value = HeaderValue::from_bytes(&value)?;
            typed.headers_mut().try_append(name, value)?;
        }
        Ok(typed)
    }
}

impl<'a> Response<'a> {
    /// Sends a response of the crate [`http`](::http), whole.
    ///
    /// The body is anything that converts into a [`Block`]: bytes, text, or a `Bytes` in
    /// [`Block::lend`]. A large one is not copied. For a body that comes in blocks, see
    /// [`send_parts`](Self::send_parts), which also says what happens to the fields.
    ///
    /// # Errors
    ///
    /// Returns an error if the status is not a final one, or the fields say something about the
    /// framing that is not so; nothing of the response is sent.
    pub fn send(self, response: ::http::Response<impl Into<Block>>) -> HttpResult {
        let (parts, body) = response.into_parts();
        self.send_parts(&parts).body_block(body)
    }

    /// Begins a response with the status and the fields of `parts`. Go on with the body:
    ///
    /// ```
    /// use serve_forever::{HttpResult, Request, Response};
    ///
    /// fn handle(_: &Request<'_>, response: Response<'_>) -> HttpResult {
    ///     let (parts, ()) = http::Response::new(()).into_parts();
    ///     response.send_parts(&parts).stream((1..=3).map(|number| format!("{number}\n")))
    /// }
    /// # let _ = handle;
    /// ```
    ///
    /// The fields are those of [`send_header`](ResponseHead::send_header). So a `Date` or `Server`
    /// replaces the server's, and `Connection: close` closes the connection. A `Transfer-Encoding`
    /// is left out, because it belongs to the connection on which such a response came. The version
    /// and the extensions of `parts` are not used.
    pub fn send_parts(self, parts: &response::Parts) -> ResponseHead<'a> {
        let fields = parts.headers.iter();
        let fields = fields.filter(|(name, _)| **name != TRANSFER_ENCODING);
        let head = self.send_response(parts.status.as_u16());
        fields.fold(head, |head, (name, value)| {
            head.send_header(name.as_str(), value)
        })
    }
}
