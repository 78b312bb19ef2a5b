//! What a client without a socket got.

use std::borrow::Cow;

use crate::http::h1::{ChunkLimits, ChunkedDecoder};
use crate::socketserver::Failure;

/// The response to a [`TestRequest`](super::TestRequest).
#[derive(Debug, Default)]
pub struct TestResponse {
    /// The code and the reason.
    status: String,
    /// The header fields.
    headers: Vec<(String, String)>,
    /// The body, without the framing of chunks.
    body: Vec<u8>,
    /// Whether the body came to its end.
    complete: bool,
    /// The failure that a server would have reported.
    failure: Option<Failure>,
}

impl TestResponse {
    /// Returns the code and the reason, as in `200 OK`. Empty if there was no response because the
    /// request was not complete.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// Returns the status code, or 0 if there was no response.
    pub fn code(&self) -> u16 {
        let code = self.status.split(' ').next();
        code.and_then(|code| code.parse().ok()).unwrap_or_default()
    }

    /// Returns the header fields in their order, including those that the server adds. A byte
    /// beyond ASCII is the Latin-1 character of that number.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Returns the value of the first field with this name. Case does not matter.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let field = headers.find(|(own, _)| own.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    /// Returns the body as far as it was sent, without the framing of chunks.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the body as text. Bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Returns whether the body came to its end. If not, it broke off because the handler failed.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Returns the failure that a server would have reported to
    /// [`Hooks::handle_error`](crate::socketserver::Hooks::handle_error), or that would have
    /// stopped it.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Parses the bytes that a server sent. Interim responses are passed over.
    pub(super) fn parse(bytes: &[u8], head_only: bool, failure: Option<Failure>) -> TestResponse {
        let mut rest = bytes;
        let mut response = TestResponse::default();
        loop {
            rest = response.parse_head(rest);
            // 101 is final: what follows it is another protocol.
            if !matches!(response.code(), 100 | 102..=199) {
                break;
            }
        }
        response.failure = failure;
        response.parse_body(rest, head_only);
        response
    }

    /// Parses a status line and the fields. Returns the bytes behind them.
    fn parse_head<'a>(&mut self, mut lines: &'a [u8]) -> &'a [u8] {
        let (mut status, mut headers) = (None, Vec::new());
        while let Some((line, rest)) = split(lines, b"\r\n") {
            lines = rest;
            match line {
                b"" => break,
                _ if status.is_none() => status = Some(latin1(line)),
                _ => headers
                    .extend(split(line, b": ").map(|(name, value)| (latin1(name), latin1(value)))),
            }
        }
        let status = status.as_deref().and_then(|line| line.split_once(' '));
        self.status = status.map_or("", |(_, status)| status).to_owned();
        self.headers = headers;
        lines
    }

    fn parse_body(&mut self, bytes: &[u8], head_only: bool) {
        let length = self.header("Content-Length");
        let length = length.and_then(|length| length.parse::<usize>().ok());
        self.body = bytes.to_vec();
        self.complete = true;
        if head_only || matches!(self.code(), 204 | 304) {
            return;
        }
        if self.header("Transfer-Encoding").is_some() {
            // No limit is needed: the body is in memory already, and the handler is trusted.
            let limits = ChunkLimits {
                content: u64::MAX,
                ..ChunkLimits::default()
            };
            let decoded = ChunkedDecoder::default().decode(&mut self.body, &limits);
            self.complete = decoded.is_ok_and(|progress| progress.complete);
            self.body
                .truncate(decoded.map_or(0, |progress| progress.content));
        } else if let Some(length) = length {
            self.complete = length <= bytes.len();
            self.body.truncate(length);
        }
    }
}

/// Returns the bytes before `mark` and those after it.
fn split<'a>(bytes: &'a [u8], mark: &[u8; 2]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(2).position(|window| window == mark)?;
    Some((&bytes[..at], &bytes[at + 2..]))
}

/// Every byte is a character, so no byte is lost.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
