//! Limits and deadlines. Each has a name, a finite default and a reason (design laws [7][law 7] and
//! [8][law 8]).
//!
//! [law 7]: crate::spec#law-7
//! [law 8]: crate::spec#law-8

use std::sync::Arc;
use std::time::Duration;

use super::date::DATE;
use super::error_format::ErrorFormat;
use super::h1::{ChunkLimits, Fields, HeadLimits};
use super::proxies::TrustedProxies;
use super::stats::{Counters, HttpStats};

/// The settings of an HTTP server: limits, deadlines and its `Server` field.
///
/// ```
/// use std::time::Duration;
/// use serve_forever::http::{HttpServer, HttpSettings, Request, Response};
///
/// let hello = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("hello");
/// let mut settings = HttpSettings::default();
/// settings.limits.body = 8 * 1024 * 1024; // bytes
/// settings.deadlines.keep_alive = Duration::from_secs(60);
/// let server = HttpServer::with_settings("127.0.0.1:0", hello, settings)?;
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// The limits that any protocol has are in [`EventedSettings`](crate::socketserver::EventedSettings).
/// [`Evented::with_settings`](crate::socketserver::Evented::with_settings) takes them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpSettings {
    /// The limits on sizes.
    pub limits: Limits,
    /// The limits on times.
    pub deadlines: Deadlines,
    /// After how long a client may try again that got status 503, because there was no room for it or
    /// its response took too long: 1 s. It is sent as `Retry-After`, in whole seconds, rounded up (RFC
    /// 9110 section 10.2.3, [GUARD-3]).
    ///
    /// A shortage is mostly over soon: as soon as a worker is free, or a body handled. If your
    /// responses take minutes, set a longer time.
    ///
    /// [GUARD-3]: crate::spec#guard-3
    pub retry_after: Duration,
    /// The format of an error page for a client that has no preference: Python's page in HTML.
    ///
    /// Set [`ErrorFormat::Problem`] for an API. Then curl and most libraries get JSON, because they
    /// accept anything; a browser still gets HTML, unless you turn
    /// [`negotiate_errors`](Self::negotiate_errors) off.
    pub error_format: ErrorFormat,
    /// Whether the client's `Accept` chooses the format of an error page ([HTTP-36]): yes.
    ///
    /// With `false`, every client gets [`error_format`](Self::error_format), and error pages have no
    /// `Vary`. A client that accepts other formats only has to take it nevertheless; RFC 9110 section
    /// 12.5.1 allows this.
    ///
    /// [HTTP-36]: crate::spec#http-36
    pub negotiate_errors: bool,
    /// The proxies that may say who the client is. By default there are none.
    pub trusted_proxies: TrustedProxies,
    /// The beginning of nearly every response, ready to be copied: the usual status line, the
    /// `Server` field if there is one, the [fields of the program](Self::header), and the name
    /// `Date`.
    ok_server_date: Vec<u8>,
    /// The length of the `Server` field in it.
    server_length: usize,
    /// The counters behind [`stats`](Self::stats). Clones share them, so they count together.
    pub(super) counters: Arc<Counters>,
}

/// The status line of nearly every response.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";

/// The fields that depend on the response or the connection, or have a setting of their own.
const OWN_FIELDS: [&str; 8] = [
    "Connection",
    "Content-Length",
    "Date",
    "Keep-Alive",
    "Server",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

impl Default for HttpSettings {
    fn default() -> HttpSettings {
        const SERVER: &[u8] =
            concat!("Server: serve_forever/", env!("CARGO_PKG_VERSION"), "\r\n").as_bytes();
        HttpSettings {
            limits: Limits::default(),
            deadlines: Deadlines::default(),
            retry_after: Duration::from_secs(1),
            error_format: ErrorFormat::default(),
            negotiate_errors: true,
            trusted_proxies: TrustedProxies::default(),
            ok_server_date: [OK, SERVER, DATE].concat(),
            server_length: SERVER.len(),
            counters: Arc::default(),
        }
    }
}

impl HttpSettings {
    /// Returns the format of an error page for a request with these fields ([HTTP-36]).
    ///
    /// [HTTP-36]: crate::spec#http-36
    pub(super) fn error_format_for(&self, fields: Fields<'_>) -> ErrorFormat {
        match self.negotiate_errors {
            true => ErrorFormat::preferred(fields, self.error_format),
            false => self.error_format,
        }
    }

    /// Sets the value of the `Server` field. With `None` the field is not sent. The default is
    /// `serve_forever/<version>`.
    ///
    /// # Errors
    ///
    /// Returns [`EncodeError::InvalidValue`](super::h1::EncodeError::InvalidValue) if the value has a
    /// control character.
    pub fn server(&mut self, value: Option<&str>) -> Result<(), super::h1::EncodeError> {
        let mut field = Vec::new();
        if let Some(value) = value {
            super::h1::field(&mut field, "Server", value.as_bytes())?;
        }
        let old = OK.len()..OK.len() + self.server_length;
        self.server_length = field.len();
        self.ok_server_date.splice(old, field);
        Ok(())
    }

    /// Adds a field to every response ([HTTP-33]): those of your handler, and those that the server
    /// sends by itself, such as a 400. Call it again for further fields.
    ///
    /// For example `Cache-Control`, `Strict-Transport-Security`, or `Access-Control-Allow-Origin`. If
    /// a handler sends a field of the same name, the response has both. An interim response has none
    /// of these fields, and neither has a response that begins with
    /// [`send_response_only`](super::Response::send_response_only).
    ///
    /// ```
    /// use serve_forever::http::HttpSettings;
    ///
    /// let mut settings = HttpSettings::default();
    /// settings.header("Cache-Control", "no-store")?;
    /// assert!(settings.header("Content-Length", "5").is_err());
    /// # Ok::<(), serve_forever::http::h1::EncodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`EncodeError::InvalidName`](super::h1::EncodeError::InvalidName) if the name is not a
    /// token, or is one that the server has to write for each response: `Connection`,
    /// `Content-Length`, `Date`, `Keep-Alive`, `Server`, `Trailer`, `Transfer-Encoding`, `Upgrade`.
    /// Returns [`EncodeError::InvalidValue`](super::h1::EncodeError::InvalidValue) if the value has a
    /// control character.
    ///
    /// [HTTP-33]: crate::spec#http-33
    pub fn header(&mut self, name: &str, value: &str) -> Result<(), super::h1::EncodeError> {
        if OWN_FIELDS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(super::h1::EncodeError::InvalidName);
        }
        let mut field = Vec::new();
        super::h1::field(&mut field, name, value.as_bytes())?;
        let end = self.ok_server_date.len() - DATE.len();
        self.ok_server_date.splice(end..end, field);
        Ok(())
    }

    /// Returns how often each limit and deadline was reached, on all connections with these
    /// settings or with clones of them.
    pub fn stats(&self) -> HttpStats {
        self.counters.snapshot()
    }

    /// Returns the field of a 503 that says when to try again.
    #[cold]
    pub(super) fn retry_after_field(&self) -> (&'static str, String) {
        let seconds = self.retry_after.as_secs();
        let seconds = seconds.saturating_add(u64::from(self.retry_after.subsec_nanos() > 0));
        ("Retry-After", seconds.to_string())
    }

    /// Returns the `Server` field with its line end; empty if it is not sent.
    pub(super) fn server_field(&self) -> &[u8] {
        let field = self.server_and_date().get(..self.server_length);
        field.unwrap_or_default()
    }

    /// Returns the `Server` field, the fields of the program, and the name `Date`.
    pub(super) fn server_and_date(&self) -> &[u8] {
        self.ok_server_date.get(OK.len()..).unwrap_or_default()
    }

    /// Returns the usual status line, and then the same.
    pub(super) fn ok_server_and_date(&self) -> &[u8] {
        &self.ok_server_date
    }
}

/// How much of a request is accepted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Limits on the head: 8 KiB of request line (else 414), 32 KiB in all (else 431), 100 fields
    /// (else 431).
    pub head: HeadLimits,
    /// Limits on the framing and the trailers of a chunked body.
    pub chunks: ChunkLimits,
    /// The largest body that is kept in memory for the handler: 1 MiB, as in nginx. A larger body
    /// gets status 413. One client can claim this much memory.
    pub body: usize,
    /// How many bytes of bodies are kept in memory at once, on all connections with these settings or
    /// with clones of them: 64 MiB, enough for 64 of the largest. Ten thousand clients could
    /// otherwise claim [`body`](Self::body) each. A client for whom there is no room gets status 503
    /// with [`Retry-After`](HttpSettings::retry_after); [`HttpStats::bodies_shed`] counts it. There is always room for a single
    /// body.
    ///
    /// What has arrived counts, not what a client announces. A body counts until its handler has
    /// returned, also while it waits for a worker. A [streamed](super::BodyPolicy::streamed) body that
    /// another thread reads counts as 64 KiB, which is as much as is kept of it. A body that a sink
    /// takes on the loop does not count, and neither do copies that your program makes. The parts of
    /// WebSocket messages that are still arriving count as well.
    pub bodies: usize,
    /// The largest body that a handler takes as it arrives
    /// ([`BodyPolicy::streamed`](super::BodyPolicy::streamed)): 1 GiB. A larger body gets status
    /// 413. This does not limit memory, but protects the disk.
    pub upload: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head: HeadLimits::default(),
            chunks: ChunkLimits::default(),
            body: 1024 * 1024,
            bodies: 64 * 1024 * 1024,
            upload: 1024 * 1024 * 1024,
        }
    }
}

/// How long each phase of a request may take. A client cannot move a deadline, except by progress.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Deadlines {
    /// From the new connection, or from the first byte of a later request, to the end of the head:
    /// 10 s. Then the client gets status 408; if it has sent nothing, the connection is closed silently.
    /// Apache has 20 s to 40 s, nginx 60 s.
    pub head: Duration,
    /// For the body of a request; then the client gets status 408. A request can have its own
    /// ([`BodyPolicy::deadlines`](super::BodyPolicy::deadlines)).
    pub body: BodyDeadlines,
    /// How long the program may take for a response that it makes on another thread, or a worker
    /// for the next blocks of a body. It includes the time in which a body waits for its thread
    /// ([THREAD-11]). Then the client gets status 503, or the response is broken off. `None` means
    /// the server's own default: 60 s, but no limit in a
    /// [`ThreadingHttpServer`](super::ThreadingHttpServer). A response can have its own limit
    /// ([`Response::respond_within`](super::Response::respond_within)). For comparison: nginx waits
    /// 60 s for its backend, gunicorn 30 s for a worker.
    ///
    /// [THREAD-11]: crate::spec#thread-11
    pub response: Option<Duration>,
    /// Between two requests: 15 s; then the connection is closed silently. Apache has 5 s, nginx 75 s.
    /// The time begins when the operating system has taken the last byte of the response ([RT-13]).
    ///
    /// **Behind a proxy that keeps its connections, this time has to be longer than the proxy's.** If the
    /// server closes a connection at the moment at which the proxy sends a request over it, the proxy
    /// cannot know whether the request was handled. nginx then sends a GET once more, but answers a POST
    /// with 502. nginx keeps an idle connection for 60 s (`keepalive_timeout` in `upstream`), so set
    /// 75 s. HAProxy closes half of its idle connections every 5 s (`pool-purge-delay`), so the default
    /// is enough for most, and 75 s for all. The load balancers of AWS have 60 s.
    ///
    /// [RT-13]: crate::spec#rt-13
    pub keep_alive: Duration,
    /// How long a stream of events may be silent: 15 s, and at least 1 s. Then the loop sends a
    /// comment, which browsers ignore ([`EventSender`](super::EventSender), [SSE-4]). A proxy gives
    /// up a silent response after some time, nginx after 60 s. The HTML standard also recommends 15 s.
    ///
    /// [SSE-4]: crate::spec#sse-4
    pub heartbeat: Duration,
}

impl Deadlines {
    /// Returns how long a response may take on a server that sets no default.
    pub(super) fn response_or_default(&self) -> Duration {
        self.response.unwrap_or(Duration::from_secs(60))
    }
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            head: Duration::from_secs(10),
            body: BodyDeadlines::default(),
            response: None,
            keep_alive: Duration::from_secs(15),
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// How long the body of a request may take. The time in which the handler does not take it does not
/// count.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct BodyDeadlines {
    /// How long the client may send nothing: 10 s. nginx has 60 s, Apache 20 s.
    pub idle: Duration,
    /// How long the body may take before [`rate`](Self::rate) counts: 30 s.
    pub grace: Duration,
    /// How many bytes a second the client must send on average after that: 500, as in Apache. At least
    /// 1.
    pub rate: u32,
    /// How long the body may take in all, however fast it comes: 1 h. A body that is read as it
    /// arrives may hold a thread for so long, and at the minimum rate alone 1 GiB would take
    /// 24 days. In 1 h, 1 GiB needs 300 kB a second; so if you raise
    /// [`Limits::upload`], look at this as well.
    pub total: Duration,
}

impl Default for BodyDeadlines {
    fn default() -> BodyDeadlines {
        BodyDeadlines {
            idle: Duration::from_secs(10),
            grace: Duration::from_secs(30),
            rate: 500,
            total: Duration::from_secs(60 * 60),
        }
    }
}
