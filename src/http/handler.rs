//! The trait for handlers of requests: Python's `BaseHTTPRequestHandler`.

use super::access::LogEntry;
use super::body_policy::BodyPolicy;
use super::request::Request;
use super::response::{HttpResult, Response};

/// Handles the requests of one connection, one after the other.
///
/// Implement the methods that you serve; all others respond with 501 ([HTTP-28]). Or implement
/// [`handle`](Self::handle), which gets every request. A closure is also a handler, and gets every
/// request:
///
/// ```
/// use serve_forever::http::{HttpRequestHandler, HttpResult, Request, Response};
///
/// #[derive(Clone)]
/// struct Hello;
///
/// impl HttpRequestHandler for Hello {
///     fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
///         response.send_response(200).body(request.path())
///     }
/// }
///
/// fn assert_handler(_: impl HttpRequestHandler) {}
/// assert_handler(Hello);
/// assert_handler(|_: &Request<'_>, response: Response<'_>| response.send_response(204).body(""));
/// ```
///
/// If a handler fails or panics, the client gets status 500, and the failure is reported.
///
/// [HTTP-28]: crate::spec#http-28
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of HTTP requests",
    label = "this does not handle HTTP requests",
    note = "a closure is a handler if both of its arguments have their types: \
            `|request: &Request<'_>, response: Response<'_>| response.send_response(200).body(\"hello\")`",
    note = "a function is a handler if it is \
            `fn(&Request<'_>, Response<'_>) -> HttpResult`; a struct implements `HttpRequestHandler`; \
            an `Arc` or `Rc` of a function is one in `http::Shared`"
)]
pub trait HttpRequestHandler {
    /// Handles any request. By default it calls the function of the method: `do_get` for GET.
    ///
    /// # Errors
    ///
    /// Return any error if the request cannot be handled: the client gets status 500.
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        match request.method() {
            "GET" => self.do_get(request, response),
            "HEAD" => self.do_head(request, response),
            "POST" => self.do_post(request, response),
            "PUT" => self.do_put(request, response),
            "DELETE" => self.do_delete(request, response),
            "OPTIONS" => self.do_options(request, response),
            "PATCH" => self.do_patch(request, response),
            _ => unsupported(request, response),
        }
    }

    /// Decides from the head of a request how its body reaches the handler: by default
    /// [whole](BodyPolicy::whole).
    ///
    /// It is called before any of the body is read, so the [body](Request::body) is empty. It is
    /// not called for a request without a body or with `Content-Length: 0`. A client that waits for
    /// `100 Continue` gets it when the body is first needed, and never if the body is
    /// [refused](BodyPolicy::refused): Python's `handle_expect_100` ([HTTP-26]).
    ///
    /// If the head alone decides the response, do not wait for the body (RFC 9110 §10.1.1). Examples
    /// are a method that you do not serve, and a client that has no permission. A
    /// [streamed](BodyPolicy::streamed) body calls your handler immediately, and a handler that does
    /// not take the body responds instead of the `100 Continue`:
    ///
    /// ```
    /// use serve_forever::http::{BodyPolicy, HttpRequestHandler, HttpResult, Request, Response};
    ///
    /// struct Form;
    ///
    /// impl HttpRequestHandler for Form {
    ///     fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
    ///         match request.method() {
    ///             "POST" => BodyPolicy::whole(),
    ///             _ => BodyPolicy::streamed(), // a PUT gets its 501 immediately
    ///         }
    ///     }
    ///
    ///     fn do_post(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
    ///         response.send_response(200).body(request.body())
    ///     }
    /// }
    /// # let _ = Form;
    /// ```
    ///
    /// [HTTP-26]: crate::spec#http-26
    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        let _ = request;
        BodyPolicy::whole()
    }

    /// Logs a request when its response has ended or was broken off. By default it does nothing; an
    /// [`AccessLog`](super::AccessLog) around the handler writes a line.
    ///
    /// It is called once for each request that gets a response, also for a malformed request that
    /// was refused. The call comes when the last byte is in the output, which is mostly before the
    /// first is sent. So it does not prove delivery ([LOG-5]).
    ///
    /// [LOG-5]: crate::spec#log-5
    fn log_request(&mut self, entry: &LogEntry<'_>) {
        let _ = entry;
    }

    /// Logs that the response is an error page, just before [`log_request`](Self::log_request)
    /// ([LOG-4], [HTTP-34]). By default it does nothing.
    ///
    /// [HTTP-34]: crate::spec#http-34
    /// [LOG-4]: crate::spec#log-4
    fn log_error(&mut self, entry: &LogEntry<'_>, message: &str) {
        let _ = (entry, message);
    }

    /// Handles GET.
    ///
    /// # Errors
    ///
    /// Like [`handle`](Self::handle).
    fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        unsupported(request, response)
    }

    /// Handles HEAD. By default it calls [`do_get`](Self::do_get), and the body is not sent.
    ///
    /// # Errors
    ///
    /// Like [`handle`](Self::handle).
    fn do_head(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        self.do_get(request, response)
    }

    /// Handles POST.
    ///
    /// # Errors
    ///
    /// Like [`handle`](Self::handle).
    fn do_post(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        unsupported(request, response)
    }

    /// Handles PUT.
    ///
    /// # Errors
    ///
    /// Like [`handle`](Self::handle).
    fn do_put(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        unsupported(request, response)
    }

    /// Handles DELETE.
    ///
    /// # Errors
    ///
    /// Like [`handle`](Self::handle).
    fn do_delete(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        unsupported(request, response)
    }

    /// Handles OPTIONS.
    ///
    /// # Errors
    ///
    /// Like [`handle`](Self::handle).
    fn do_options(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        unsupported(request, response)
    }

    /// Handles PATCH.
    ///
    /// # Errors
    ///
    /// Like [`handle`](Self::handle).
    fn do_patch(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        unsupported(request, response)
    }
}

/// Responds with 501 and names the method. It is a token, so it is safe in the status line
/// ([HTTP-28], [HTTP-39]).
///
/// [HTTP-28]: crate::spec#http-28
/// [HTTP-39]: crate::spec#http-39
fn unsupported(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let reason = format!("Unsupported method ('{}')", request.method());
    response.send_error_with(501, &reason, super::status::explanation(501))
}

impl<F> HttpRequestHandler for F
where
    F: FnMut(&Request<'_>, Response<'_>) -> HttpResult,
{
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        self(request, response)
    }
}
