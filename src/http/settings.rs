//! Limits and deadlines: every one finite, named, and with its reason (design laws 7 and 8).

use std::time::Duration;

use super::h1::{ChunkLimits, HeadLimits};

/// What an HTTP server says of itself, and what it puts up with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpSettings {
    /// Sizes.
    pub limits: Limits,
    /// Times.
    pub deadlines: Deadlines,
    /// The `Server` field, if there is one, and the name of the next, which is always `Date`.
    pub(super) server_and_date: Vec<u8>,
}

/// The name of the field that follows `Server`.
const DATE: &[u8] = b"Date: ";

impl Default for HttpSettings {
    fn default() -> HttpSettings {
        const SERVER: &[u8] =
            concat!("Server: serve_forever/", env!("CARGO_PKG_VERSION"), "\r\n").as_bytes();
        HttpSettings {
            limits: Limits::default(),
            deadlines: Deadlines::default(),
            server_and_date: [SERVER, DATE].concat(),
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
        let mut field = Vec::new();
        if let Some(value) = value {
            super::h1::field(&mut field, "Server", value.as_bytes())?;
        }
        field.extend_from_slice(DATE);
        self.server_and_date = field;
        Ok(())
    }
}

impl HttpSettings {
    /// The `Server` field with its line end; empty for none.
    pub(super) fn server_field(&self) -> &[u8] {
        let field = self.server_and_date.strip_suffix(DATE);
        field.unwrap_or_default()
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
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head: HeadLimits::default(),
            chunks: ChunkLimits::default(),
            body: 1024 * 1024,
        }
    }
}

/// How long a client may take. Nothing it does moves the deadline of a phase but progress.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Deadlines {
    /// From the connection, or the first byte of a later request, to the end of the head: 10 s,
    /// else 408. Apache 20 s to 40 s, nginx 60 s.
    pub head: Duration,
    /// Without a byte of the body: 10 s, else 408. nginx 60 s, Apache 20 s.
    pub body_idle: Duration,
    /// How long a body may take before [`body_rate`](Self::body_rate) counts: 30 s.
    pub body_grace: Duration,
    /// Bytes a second that a body must average after the grace: 500, as in Apache.
    pub body_rate: u32,
    /// Between two requests: 15 s, then closed silently. Apache 5 s, nginx 75 s.
    pub keep_alive: Duration,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            head: Duration::from_secs(10),
            body_idle: Duration::from_secs(10),
            body_grace: Duration::from_secs(30),
            body_rate: 500,
            keep_alive: Duration::from_secs(15),
        }
    }
}
