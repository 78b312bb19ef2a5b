//! A complete request: head, body and trailers, borrowed from the bytes that arrived.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::str::{self, Utf8Error};
use std::sync::Arc;
use std::time::SystemTime;

use percent_encoding::percent_decode_str;

use super::addresses::Addresses;
use super::form::{self, FormError, Multipart, parse_qsl};
use super::h1::{self, Fields, Framing, Head, TargetForm, Version};
use super::proxies::Rule;
use crate::socketserver::ServerHandle;
#[cfg(feature = "tls")]
use crate::socketserver::TlsSession;

/// One request, as the handler sees it. It borrows all its data, and decodes a part only when you
/// ask for it.
///
/// Most handlers need only the methods for single fields, such as
/// [`content_type`](Self::content_type). [`header`](Self::header) and [`headers`](Self::headers)
/// return the bytes of any field.
///
/// ```
/// use serve_forever::http::{HttpResult, Request, Response};
///
/// fn greet(request: &Request<'_>, response: Response<'_>) -> HttpResult {
///     let name = request.query_pairs().find(|(key, _)| key == "name");
///     let name = name.map_or("stranger".into(), |(_, value)| value);
///     let visited = request.cookies().any(|cookie| cookie == ("visited", "yes"));
///     let again = if visited { " again" } else { "" };
///     response
///         .send_response(200)
///         .send_header("Content-Type", "text/plain; charset=utf-8")
///         .send_header("Set-Cookie", "visited=yes")
///         .body(format!("Hello{again}, {name}!\n"))
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The parsed head.
    head: &'a Head<'a>,
    /// The bytes that the head was parsed from.
    head_bytes: &'a [u8],
    /// The body, decoded.
    body: &'a [u8],
    /// The trailer fields.
    trailers: Fields<'a>,
    /// The addresses of client and server.
    addresses: &'a Addresses,
    /// The proxies that are believed, if there are any.
    proxies: Option<&'a Arc<Rule>>,
    /// Reaches the server, if there is one.
    server: Option<&'a ServerHandle>,
}

impl<'a> Request<'a> {
    /// Puts a request together from its parts.
    pub(super) fn new(
        head: &'a Head<'a>,
        head_bytes: &'a [u8],
        body: &'a [u8],
        trailers: Fields<'a>,
        addresses: &'a Addresses,
    ) -> Request<'a> {
        Request {
            head,
            head_bytes,
            body,
            trailers,
            addresses,
            proxies: None,
            server: None,
        }
    }

    /// Adds the handle that reaches the server.
    #[inline]
    pub(super) fn with_server(self, server: Option<&'a ServerHandle>) -> Request<'a> {
        Request { server, ..self }
    }

    /// Adds the rule by which proxies are believed.
    #[inline]
    pub(super) fn with_proxies(self, proxies: Option<&'a Arc<Rule>>) -> Request<'a> {
        Request { proxies, ..self }
    }

    /// Returns the rule by which proxies are believed.
    pub(super) fn proxies(&self) -> Option<&'a Arc<Rule>> {
        self.proxies
    }

    /// Returns the addresses of client and server.
    pub(super) fn addresses(&self) -> &'a Addresses {
        self.addresses
    }

    /// Returns the parsed head.
    pub(super) fn head(&self) -> &'a Head<'a> {
        self.head
    }

    /// Returns the bytes that the head was parsed from.
    pub(super) fn head_bytes(&self) -> &'a [u8] {
        self.head_bytes
    }

    /// Returns a handle that reaches the server of this request: its numbers, and how to stop it.
    /// Python's `self.server`.
    ///
    /// `None` if there is no server, as in a test without a socket.
    ///
    /// ```
    /// use std::time::Duration;
    /// use serve_forever::{HttpResult, Request, Response};
    ///
    /// fn stop(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    ///     if let Some(server) = request.server() {
    ///         server.shutdown_handle().request_drain(Duration::from_secs(5));
    ///     }
    ///     response.send_response(200).body("bye\n")
    /// }
    /// # let _ = stop;
    /// ```
    pub fn server(&self) -> Option<&'a ServerHandle> {
        self.server
    }

    /// Returns the method, case-sensitive; Python's `command`.
    pub fn method(&self) -> &'a str {
        self.head.method
    }

    /// Returns the request target exactly as the client sent it (RFC 9112 §3.2).
    pub fn target(&self) -> &'a str {
        self.head.target
    }

    /// Returns the version. HTTP/1.2 to 1.9 count as 1.1.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// Returns the path of the target, still percent-encoded, without the query.
    ///
    /// The scheme and authority of an absolute target are left out. The path of `*` is empty.
    /// Several leading slashes become one, so that nobody reads the path as an authority
    /// ([HTTP-15]).
    ///
    /// [HTTP-15]: crate::spec#http-15
    pub fn path(&self) -> &'a str {
        path(self.head)
    }

    /// Returns the bytes of [`path`](Self::path), percent-decoded once and not normalised (RFC 3986
    /// section 2.1). A malformed escape stays as it is.
    ///
    /// They are bytes and not text, because nothing says which encoding they have. An escaped slash
    /// becomes a slash here. So use [`path_segments`](Self::path_segments) in a router that must tell
    /// `/a%2Fb` from `/a/b`, and `http::translate_path` in a file server.
    pub fn decoded_path(&self) -> Cow<'a, [u8]> {
        percent_decode_str(self.path()).into()
    }

    /// Returns the segments of the [`path`](Self::path), each percent-decoded by itself, for a router
    /// ([PATH-1]).
    ///
    /// An escaped slash stays inside its segment: `/a%2Fb` has the one segment `a/b`. Nothing is
    /// normalised: `/` has one segment, which is empty, `/a/` has two, and `.` and `..` are segments
    /// like any other. An empty path has none; that of `*` is one. A segment is an error if it is
    /// not UTF-8, for which 400 is the status.
    ///
    /// A segment may hold any character, also a slash or a NUL. So do not make the name of a file of
    /// it; `http::translate_path` is for that.
    ///
    /// ```
    /// use serve_forever::http::{HttpResult, Request, Response};
    ///
    /// fn route(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    ///     let Ok(path) = request.path_segments().collect::<Result<Vec<_>, _>>() else {
    ///         return response.send_error(400);
    ///     };
    ///     let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
    ///     match (request.method(), &path[..]) {
    ///         ("GET", [""]) => response.send_response(200).body("home"),
    ///         ("GET", ["users", name]) => response.send_response(200).body(name),
    ///         _ => response.send_error(404),
    ///     }
    /// }
    /// # let _ = route;
    /// ```
    ///
    /// [PATH-1]: crate::spec#path-1
    pub fn path_segments(&self) -> impl Iterator<Item = Result<Cow<'a, str>, Utf8Error>> + use<'a> {
        let rooted = self.path().strip_prefix('/');
        let segments = rooted.into_iter().flat_map(|path| path.split('/'));
        segments.map(|segment| percent_decode_str(segment).decode_utf8())
    }

    /// Returns the part of the target after the first `?`, still encoded; `None` if there is no
    /// `?`.
    pub fn query(&self) -> Option<&'a str> {
        path_and_query(self.head).1
    }

    /// Returns the names and values in the [`query`](Self::query), decoded by [`parse_qsl`].
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        parse_qsl(self.query().unwrap_or_default())
    }

    /// Returns all header fields in order of arrival, with their names as the client wrote them.
    pub fn headers(&self) -> Fields<'a> {
        self.head.fields
    }

    /// Returns the value of the first field called `name`, in any case ([HTTP-17]).
    ///
    /// [HTTP-17]: crate::spec#http-17
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.head.fields.get(name)
    }

    /// Returns the host and port that the request is for (RFC 9110 §7.2). If a trusted proxy says that it
    /// was for another one, returns that; see [`TrustedProxies`](super::TrustedProxies) ([PROXY-5]).
    ///
    /// [PROXY-5]: crate::spec#proxy-5
    pub fn authority(&self) -> Option<&'a str> {
        let forwarded = |rule: &Arc<Rule>| rule.host(self.peer_address(), self.headers());
        self.proxies
            .and_then(forwarded)
            .or_else(|| self.head.authority())
    }

    /// Returns the length that the client announced (RFC 9110 section 8.6); `None` if the request
    /// has no Content-Length.
    pub fn content_length(&self) -> Option<u64> {
        match self.head.framing {
            Framing::Length(length) => Some(length),
            Framing::Empty | Framing::Chunked => None,
        }
    }

    /// Returns the media type of the body, with its parameters (RFC 9110 section 8.3).
    ///
    /// Compare type and subtype without regard to case, and expect parameters after them:
    ///
    /// ```
    /// use serve_forever::http::Request;
    ///
    /// fn is_form(request: &Request<'_>) -> bool {
    ///     let media_type = request.content_type().and_then(|value| value.split(';').next());
    ///     media_type.is_some_and(|value| {
    ///         value.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    ///     })
    /// }
    /// ```
    pub fn content_type(&self) -> Option<&'a str> {
        self.text("Content-Type")
    }

    /// Returns the name of the client's software (RFC 9110 section 10.1.5).
    pub fn user_agent(&self) -> Option<&'a str> {
        self.text("User-Agent")
    }

    /// Returns the URL of the page that led the client here (RFC 9110 section 10.1.3). The name is
    /// also misspelt in HTTP.
    pub fn referer(&self) -> Option<&'a str> {
        self.text("Referer")
    }

    /// Returns the value of the first field called `name`, if it is UTF-8.
    fn text(&self, name: &str) -> Option<&'a str> {
        str::from_utf8(self.header(name)?).ok()
    }

    /// Returns all cookies in order, each as name and value (RFC 6265 section 4.2).
    ///
    /// Values are not decoded, and keep the quotes around them. A cookie that has no `=` or is not
    /// UTF-8 is skipped.
    pub fn cookies(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let fields = self.head.fields.get_all("Cookie");
        let pieces = fields.flat_map(|value| value.split(|&byte| byte == b';'));
        pieces.filter_map(|piece| {
            let (name, value) = str::from_utf8(piece).ok()?.split_once('=')?;
            Some((name.trim_ascii(), value.trim_ascii()))
        })
    }

    /// Returns the time of `If-Modified-Since`, if it counts (RFC 9110 section 13.1.3).
    ///
    /// It counts only with GET and HEAD, and only without `If-None-Match`. The field must occur once, and
    /// in one of the three forms of RFC 9110 section 5.6.7.
    pub fn if_modified_since(&self) -> Option<SystemTime> {
        let conditional = matches!(self.method(), "GET" | "HEAD");
        if !conditional || self.header("If-None-Match").is_some() {
            return None;
        }
        let mut values = self.head.fields.get_all("If-Modified-Since");
        let value = str::from_utf8(values.next()?).ok()?;
        let only = values.next().is_none();
        only.then(|| httpdate::parse_http_date(value).ok())?
    }

    /// Returns the protocols that the client prefers to HTTP/1.1 on this connection, the best one
    /// first (RFC 9110 section 7.8). Examples are `websocket` and `h2c`, perhaps with a version as
    /// in `foo/2`. Compare the names without regard to case.
    ///
    /// `None` if the request does not ask for an upgrade. To ask, it needs HTTP/1.1, an `Upgrade` field
    /// and the option `upgrade` in `Connection`. Without that option, the field may come from a proxy
    /// that passed it on without understanding it.
    ///
    /// To accept, send status 101 with `Connection: upgrade` and one of the names in `Upgrade`, and then
    /// call [`ResponseHead::upgrade`](super::ResponseHead::upgrade).
    pub fn upgrade(&self) -> Option<impl Iterator<Item = &'a str> + use<'a>> {
        let fields = self.head.fields;
        let members = move |name| fields.get_all(name).flat_map(h1::tokens);
        let mut options = members("Connection");
        let meant = options.any(|option| option.eq_ignore_ascii_case(b"upgrade"));
        let protocols = members("Upgrade").filter_map(|protocol| str::from_utf8(protocol).ok());
        let mut protocols = protocols.peekable();
        let asked = self.version() >= Version::Http11 && meant && protocols.peek().is_some();
        asked.then_some(protocols)
    }

    /// Returns the names and values of a form in the body, decoded like a query by [`parse_qsl`]
    /// ([FORM-2]).
    ///
    /// The body must have arrived [whole](super::BodyPolicy::whole).
    ///
    /// ```
    /// use serve_forever::http::{HttpResult, Request, Response};
    ///
    /// fn do_post(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    ///     let mut fields = match request.form() {
    ///         Ok(fields) => fields,
    ///         Err(error) => return response.send_error(error.status()),
    ///     };
    ///     let name = fields.find(|(key, _)| key == "name");
    ///     let name = name.map_or("stranger".into(), |(_, value)| value);
    ///     response.send_response(200).body(format!("Hello, {name}!\n"))
    /// }
    /// # let _ = do_post;
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the `Content-Type` is not `application/x-www-form-urlencoded`, or if there
    /// are more than 1000 fields.
    ///
    /// [FORM-2]: crate::spec#form-2
    pub fn form(
        &self,
    ) -> Result<impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a>, FormError> {
        form::fields(self.content_type(), self.body)
    }

    /// Begins to read a form with files, of the type `multipart/form-data` ([FORM-3]). The body is not
    /// looked at: feed it to the [`Multipart`], whole or as it arrives.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Multipart::new`].
    ///
    /// [FORM-3]: crate::spec#form-3
    pub fn multipart(&self) -> Result<Multipart, FormError> {
        Multipart::new(self.content_type().unwrap_or_default())
    }

    /// Returns the body, decoded; empty if the request has none.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Returns the trailer fields of a chunked request.
    ///
    /// They can have any name. Do not use one in the place of a header field: nobody has checked a
    /// `Content-Length`, `Host` or `Authorization` among them (RFC 9110 section 6.5.1).
    pub fn trailers(&self) -> Fields<'a> {
        self.trailers
    }

    /// Returns the client's address; `None` if clients have no host and port, as on a Unix-domain
    /// socket ([UNIX-4]).
    ///
    /// If the request came through a [trusted proxy](super::TrustedProxies), it is the address that the
    /// proxy says ([PROXY-4]). Its port is 0 if the proxy does not say it, and it is `None` if the proxy
    /// says that it does not tell.
    ///
    /// [PROXY-4]: crate::spec#proxy-4
    /// [UNIX-4]: crate::spec#unix-4
    pub fn client_address(&self) -> Option<SocketAddr> {
        match self.proxies {
            Some(rule) => rule.client(self.peer_address(), self.headers()),
            None => self.peer_address(),
        }
    }

    /// Returns the address of the other end of the connection: that of the proxy, if there is one. Behind
    /// a [`ProxyProtocol`](crate::socketserver::ProxyProtocol) it is the address of the header.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.addresses.client()
    }

    /// Returns the scheme by which the client has sent the request: `https` if it came by TLS (the feature
    /// `tls`), and `http` otherwise. If a [trusted proxy](super::TrustedProxies) says another one, it is
    /// that ([PROXY-5]).
    ///
    /// [PROXY-5]: crate::spec#proxy-5
    pub fn scheme(&self) -> &'static str {
        let forwarded = |rule: &Arc<Rule>| rule.scheme(self.peer_address(), self.headers());
        self.proxies
            .and_then(forwarded)
            .unwrap_or(self.addresses.scheme())
    }

    /// Returns the server's address that the client connected to. If the server listens on
    /// `0.0.0.0` or `[::]`, it is the address of one interface. `None` if there is no client
    /// address.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.addresses.local()
    }

    /// Returns what client and server have agreed on, if the request came by
    /// [TLS](crate::socketserver::Tls): the version, the host name that the client asked for, its
    /// certificate.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<&'a TlsSession> {
        self.addresses.tls()
    }
}

/// See [`Request::path`].
pub(super) fn path<'a>(head: &Head<'a>) -> &'a str {
    let mut path = path_and_query(head).0;
    while path.starts_with("//") {
        path = &path[1..];
    }
    path
}

/// Takes a target apart. Neither part is decoded.
fn path_and_query<'a>(head: &Head<'a>) -> (&'a str, Option<&'a str>) {
    let target = match head.target_form {
        TargetForm::Origin => head.target,
        TargetForm::Absolute => after_authority(head.target),
        TargetForm::Authority | TargetForm::Asterisk => "",
    };
    match target.bytes().position(|byte| byte == b'?') {
        Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
        None => (target, None),
    }
}

/// Returns the part of an absolute target after scheme and authority.
fn after_authority(target: &str) -> &str {
    let authority = target.find("://").map_or(0, |colon| colon + 3);
    let rest = &target[authority..];
    rest.find(['/', '?']).map_or("", |start| &rest[start..])
}

#[cfg(test)]
mod tests;
