//! What to do with a request: Python's `BaseHTTPRequestHandler`.

use super::{HttpResult, Intake, LogEntry, Request, Response};

/// Answers requests, one after the other of the same connection.
///
/// Write the methods that you serve; the others answer 501 (HTTP-28). Or override
/// [`handle`](Self::handle), which sees every request, as a closure does:
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
/// A handler that fails or panics answers 500, and the failure is reported.
pub trait HttpRequestHandler {
    /// Answers any request: by default calls the method's own function.
    ///
    /// # Errors
    ///
    /// A failure is answered with 500.
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

    /// Decides from the head of a request how its content reaches the handler: by default
    /// [whole](Intake::whole).
    ///
    /// Asked when there is content to come, which `Content-Length: 0` is not, before any of it is
    /// looked at; the [body](Request::body) is empty. A client that waits for `100 Continue` is asked for the
    /// content when it is first wanted, and never if it is [refused](Intake::refused): Python's
    /// `handle_expect_100` (HTTP-26).
    fn intake(&mut self, request: &Request<'_>) -> Intake {
        let _ = request;
        Intake::whole()
    }

    /// Logs a request that has been answered, or whose answer was broken off; by default nothing.
    /// An [`AccessLog`](super::AccessLog) around the handler writes a line.
    ///
    /// Called once for each request that gets an answer, when its last byte is written, which is
    /// mostly before the first is sent, and proves no delivery (LOG-5); also for what was no
    /// request, and was refused.
    fn log_request(&mut self, entry: &LogEntry<'_>) {
        let _ = entry;
    }

    /// Logs that a request was answered with an error page, just before
    /// [`log_request`](Self::log_request) (LOG-4, HTTP-34); by default nothing.
    fn log_error(&mut self, entry: &LogEntry<'_>, message: &str) {
        let _ = (entry, message);
    }

    /// Answers GET.
    ///
    /// # Errors
    ///
    /// As [`handle`](Self::handle).
    fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        unsupported(request, response)
    }

    /// Answers HEAD; by default as GET, whose content is left out.
    ///
    /// # Errors
    ///
    /// As [`handle`](Self::handle).
    fn do_head(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        self.do_get(request, response)
    }

    /// Answers POST.
    ///
    /// # Errors
    ///
    /// As [`handle`](Self::handle).
    fn do_post(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        unsupported(request, response)
    }

    /// Answers PUT.
    ///
    /// # Errors
    ///
    /// As [`handle`](Self::handle).
    fn do_put(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        unsupported(request, response)
    }

    /// Answers DELETE.
    ///
    /// # Errors
    ///
    /// As [`handle`](Self::handle).
    fn do_delete(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        unsupported(request, response)
    }

    /// Answers OPTIONS.
    ///
    /// # Errors
    ///
    /// As [`handle`](Self::handle).
    fn do_options(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        unsupported(request, response)
    }

    /// Answers PATCH.
    ///
    /// # Errors
    ///
    /// As [`handle`](Self::handle).
    fn do_patch(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        unsupported(request, response)
    }
}

/// 501, naming the method; it is a token, so it cannot break the status line (HTTP-28, HTTP-39).
fn unsupported(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let reason = format!("Unsupported method ('{}')", request.method());
    response.send_error_with(501, &reason, super::explanation(501))
}

impl<F> HttpRequestHandler for F
where
    F: FnMut(&Request<'_>, Response<'_>) -> HttpResult,
{
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        self(request, response)
    }
}
