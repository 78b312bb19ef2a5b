//! Limits and deadlines: every one finite, named, and with its reason (design laws 7 and 8).

use std::sync::Arc;
use std::time::Duration;

use super::h1::{ChunkLimits, HeadLimits};
use super::stats::{Counters, HttpStats};

/// What an HTTP server says of itself, and what it puts up with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpSettings {
    /// Sizes.
    pub limits: Limits,
    /// Times.
    pub deadlines: Deadlines,
    /// The usual status line; the `Server` field, if there is one; the name of the next, which is
    /// always `Date`.
    ok_server_date: Vec<u8>,
    /// Shared by clones: they count together.
    pub(super) counters: Arc<Counters>,
}

/// The status line of nearly every answer.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";

/// The name of the field that follows `Server`.
const DATE: &[u8] = b"Date: ";

impl Default for HttpSettings {
    fn default() -> HttpSettings {
        const SERVER: &[u8] =
            concat!("Server: serve_forever/", env!("CARGO_PKG_VERSION"), "\r\n").as_bytes();
        HttpSettings {
            limits: Limits::default(),
            deadlines: Deadlines::default(),
            ok_server_date: [OK, SERVER, DATE].concat(),
            counters: Arc::default(),
        }
    }
}

impl HttpSettings {
    /// Sets the value of the `Server` field; `None` sends none. `serve_forever/<version>` by
    /// default.
    ///
    /// # Errors
    ///
    /// If the value holds a control character.
    pub fn server(&mut self, value: Option<&str>) -> Result<(), super::h1::EncodeError> {
        let mut field = OK.to_vec();
        if let Some(value) = value {
            super::h1::field(&mut field, "Server", value.as_bytes())?;
        }
        field.extend_from_slice(DATE);
        self.ok_server_date = field;
        Ok(())
    }

    /// How often clients have met each limit and deadline, on all connections with these settings
    /// or clones of them.
    pub fn stats(&self) -> HttpStats {
        self.counters.snapshot()
    }

    /// The `Server` field with its line end; empty for none.
    pub(super) fn server_field(&self) -> &[u8] {
        let field = self.server_and_date().strip_suffix(DATE);
        field.unwrap_or_default()
    }

    /// The `Server` field, and the name of the next.
    pub(super) fn server_and_date(&self) -> &[u8] {
        self.ok_server_date.get(OK.len()..).unwrap_or_default()
    }

    /// The same after the usual status line.
    pub(super) fn ok_server_and_date(&self) -> &[u8] {
        &self.ok_server_date
    }
}

/// How much of a request is accepted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// The head: request line 8 KiB (414), all of it 32 KiB (431), 100 fields (431).
    pub head: HeadLimits,
    /// The framing of a chunked body, and its trailers.
    pub chunks: ChunkLimits,
    /// Bytes of content that are kept for the handler: 1 MiB, else 413. nginx has 1 MiB too;
    /// it is the memory that one client can claim.
    pub body: usize,
    /// Bytes of content that a handler takes as it arrives
    /// ([`Intake::streamed`](super::Intake::streamed)): 1 GiB, else 413. No memory follows it; it
    /// is there because a disk has an end, too.
    pub upload: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head: HeadLimits::default(),
            chunks: ChunkLimits::default(),
            body: 1024 * 1024,
            upload: 1024 * 1024 * 1024,
        }
    }
}

/// How long a client may take. Nothing it does moves the deadline of a phase but progress.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Deadlines {
    /// From the connection, or the first byte of a later request, to the end of the head: 10 s,
    /// else 408, or closed silently if not a byte has come. Apache 20 s to 40 s, nginx 60 s.
    pub head: Duration,
    /// Of the content of a request, else 408; each may have its own
    /// ([`Intake::deadlines`](super::Intake::deadlines)).
    pub body: BodyDeadlines,
    /// How long an answer may take that is made elsewhere, or the next blocks of its content that
    /// a worker pulls: 60 s, else 503, or broken off. nginx waits as long for what is behind it,
    /// gunicorn 30 s. Each may have its own
    /// ([`Response::answer_within`](super::Response::answer_within)).
    pub answer: Duration,
    /// Between two requests: 15 s, then closed silently. Apache 5 s, nginx 75 s.
    pub keep_alive: Duration,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            head: Duration::from_secs(10),
            body: BodyDeadlines::default(),
            answer: Duration::from_secs(60),
            keep_alive: Duration::from_secs(15),
        }
    }
}

/// How long the content of a request may take. Time for which it is the handler that does not take
/// it does not count.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct BodyDeadlines {
    /// Without a byte: 10 s. nginx 60 s, Apache 20 s.
    pub idle: Duration,
    /// How long it may take before [`rate`](Self::rate) counts: 30 s.
    pub grace: Duration,
    /// Bytes a second that it must average after the grace, at least one: 500, as in Apache.
    pub rate: u32,
}

impl Default for BodyDeadlines {
    fn default() -> BodyDeadlines {
        BodyDeadlines {
            idle: Duration::from_secs(10),
            grace: Duration::from_secs(30),
            rate: 500,
        }
    }
}
