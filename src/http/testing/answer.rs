//! What a misbehaving server does with one request: which bytes it sends, when, and how it ends.

use std::time::Duration;

use crate::http::h1;
use crate::http::status::phrase;

/// What a [`Misbehaving`](super::Misbehaving) server does with one request.
///
/// An answer begins as a correct response ([`new`](Answer::new)), as bytes of your own
/// ([`raw`](Answer::raw)), or as nothing. Each method then adds one fault. The faults can be combined.
///
/// | the client has to survive | answer |
/// | --- | --- |
/// | a server that never answers | `Answer::raw("").stall_after(0)` |
/// | a connection that closes without an answer | `Answer::raw("").close_after(0)` |
/// | a connection that closes before the request | `Answer::raw("").close_after(0).unasked()` |
/// | a slow server | `Answer::new(200, "hello").delay(Duration::from_secs(2))` |
/// | a slow head, byte by byte | `.trickle(1, Duration::from_millis(100))` |
/// | a reset in the middle | `.reset_after(10)` |
/// | a body that is cut off | `.close_after(answer.head_len() + 3)` |
/// | a `Content-Length` that is too large | `.content_length(100).close_after(usize::MAX)` |
/// | a `Content-Length` that is too small | `.content_length(2)` |
/// | two framings at once | `.chunked().content_length(5)` |
/// | a chunk without a valid size | `.bad_chunk()` |
/// | a missing last chunk | `.no_last_chunk().close_after(usize::MAX)` |
/// | a flood of interim responses | `.interim(102, 10_000)` |
/// | a status line that is none | `Answer::raw("HTTP/1.1 abc\r\n\r\n")` |
/// | a head without end | `Answer::raw("HTTP/1.1 200 OK\r\n").endless("X-Filler: filler\r\n")` |
/// | a body without end | `.no_last_chunk().endless("5\r\nhello\r\n")` |
///
/// Positions count from the first byte of the answer. [`head_len`](Answer::head_len) says where its
/// body begins.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an answer does nothing until a server gets it"]
pub struct Answer {
    /// Interim responses, sent first.
    interim: Vec<u8>,
    /// The status of a response with a head; `None`: `body` is all that is sent.
    status: Option<u16>,
    /// Header fields, each a line.
    fields: Vec<u8>,
    /// A `Content-Length` that is not derived from the body.
    length: Option<u64>,
    /// How the body is chunked, if it is.
    chunks: Option<Chunks>,
    /// The body, without its framing.
    body: Vec<u8>,
    /// What is sent again and again, after everything else.
    endless: Vec<u8>,
    /// Where the server pauses, and for how long.
    pub(super) pauses: Vec<(usize, Duration)>,
    /// How many bytes are sent at once, and how long the server then waits.
    pub(super) trickle: Option<(usize, Duration)>,
    /// Where the answer ends early, and how.
    pub(super) end: Option<(usize, End)>,
    /// Whether it does not wait for a request.
    pub(super) unasked: bool,
}

/// What is wrong with a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunks {
    /// Nothing.
    Right,
    /// The size of the chunk is no number.
    Bad,
    /// The last chunk is missing.
    Unended,
}

/// What happens to the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is kept for the next request, if the client wants that.
    Keep,
    /// It is closed in an orderly way.
    Close,
    /// It is reset.
    Reset,
    /// It stays open, and nothing is sent any more.
    Stall,
}

impl Answer {
    /// A correct response. It has a `Content-Length`, and the fields that you [add](Self::header);
    /// in response to HEAD the body is left out. Nothing else is in its head, so it always has the
    /// same length.
    pub fn new(code: u16, body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status: Some(code),
            ..Answer::raw(body)
        }
    }

    /// Exactly these bytes, where a response should be.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Answer {
        Answer {
            interim: Vec::new(),
            status: None,
            fields: Vec::new(),
            length: None,
            chunks: None,
            body: bytes.into(),
            endless: Vec::new(),
            pauses: Vec::new(),
            trickle: None,
            end: None,
            unasked: false,
        }
    }

    /// Adds a line to the head, as it is: `name`, a colon, a space, `value`.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Answer {
        let line = [name.as_bytes(), b": ", value.as_ref(), b"\r\n"].concat();
        self.fields.extend(line);
        self
    }

    /// Announces this length, whatever the body has. To a [chunked](Self::chunked) body, it adds a
    /// second framing.
    pub fn content_length(mut self, length: u64) -> Answer {
        self.length = Some(length);
        self
    }

    /// Sends the body in one chunk.
    pub fn chunked(mut self) -> Answer {
        self.chunks = Some(Chunks::Right);
        self
    }

    /// Sends the body in a chunk whose size is no number.
    pub fn bad_chunk(mut self) -> Answer {
        self.chunks = Some(Chunks::Bad);
        self
    }

    /// Sends the body in one chunk, and leaves out the last chunk, which would end it.
    pub fn no_last_chunk(mut self) -> Answer {
        self.chunks = Some(Chunks::Unended);
        self
    }

    /// Sends `times` interim responses first, such as `102 Processing`.
    pub fn interim(mut self, code: u16, times: usize) -> Answer {
        let line = format!("HTTP/1.1 {code} {}\r\n\r\n", phrase(code));
        self.interim.extend(line.repeat(times).as_bytes());
        self
    }

    /// After everything else, sends `filler` again and again until the client leaves.
    pub fn endless(mut self, filler: impl Into<Vec<u8>>) -> Answer {
        self.endless = filler.into();
        self
    }

    /// Waits before the first byte.
    pub fn delay(self, time: Duration) -> Answer {
        self.pause_after(0, time)
    }

    /// Waits after `count` bytes, if there are more.
    pub fn pause_after(mut self, count: usize, time: Duration) -> Answer {
        self.pauses.push((count, time));
        self.pauses.sort_by_key(|&(count, _)| count);
        self
    }

    /// Sends at most `count` bytes at once, and then waits for `time`. At least one byte is sent.
    pub fn trickle(mut self, count: usize, time: Duration) -> Answer {
        self.trickle = Some((count.max(1), time));
        self
    }

    /// Closes the connection after `count` bytes, or after the whole answer if it is shorter. The
    /// client sees an orderly end (FIN).
    pub fn close_after(self, count: usize) -> Answer {
        self.end_after(count, End::Close)
    }

    /// Resets the connection (RST) after `count` bytes, or after the whole answer if it is shorter.
    ///
    /// The operating system has taken these bytes then. It drops those that have not reached the
    /// client's system, which happens to a client that does not read.
    pub fn reset_after(self, count: usize) -> Answer {
        self.end_after(count, End::Reset)
    }

    /// Sends nothing more after `count` bytes, or after the whole answer if it is shorter. The
    /// connection stays open until the client leaves.
    pub fn stall_after(self, count: usize) -> Answer {
        self.end_after(count, End::Stall)
    }

    fn end_after(mut self, count: usize, end: End) -> Answer {
        self.end = Some((count, end));
        self
    }

    /// Begins without a request: when the client is connected, or when the answer before it on this
    /// connection has ended. A client sees it as a response to nothing. Together with
    /// [`close_after(0)`](Self::close_after), the server closes a connection that the client wants
    /// to use again.
    pub fn unasked(mut self) -> Answer {
        self.unasked = true;
        self
    }

    /// Returns the position of the body: the length of the head, with the interim responses. It is
    /// 0 for [raw](Self::raw) bytes without interim responses.
    pub fn head_len(&self) -> usize {
        self.head().len()
    }

    /// Returns all bytes but those without end. In response to HEAD there is no body.
    pub(super) fn bytes(&self, head_only: bool) -> Vec<u8> {
        let mut bytes = self.head();
        if head_only && self.status.is_some() {
            return bytes;
        }
        match self.chunks {
            None => bytes.extend(&self.body),
            Some(flaw) => {
                match flaw {
                    Chunks::Bad => bytes.extend(b"what?\r\n"),
                    _ => h1::chunk_size(&mut bytes, self.body.len() as u64),
                }
                bytes.extend([&self.body, &b"\r\n"[..]].concat());
                if flaw != Chunks::Unended {
                    bytes.extend(b"0\r\n\r\n");
                }
            }
        }
        bytes
    }

    fn head(&self) -> Vec<u8> {
        let mut head = self.interim.clone();
        let Some(code) = self.status else {
            return head;
        };
        head.extend(format!("HTTP/1.1 {code} {}\r\n", phrase(code)).as_bytes());
        head.extend(&self.fields);
        if self.chunks.is_some() {
            head.extend(b"Transfer-Encoding: chunked\r\n");
        }
        // A 204 and a 304 have no body, and so no length.
        let own = self.chunks.is_none() && !matches!(code, 100..=199 | 204 | 304);
        let length = self.length.or(own.then_some(self.body.len() as u64));
        if let Some(length) = length {
            head.extend(format!("Content-Length: {length}\r\n").as_bytes());
        }
        head.extend(b"\r\n");
        head
    }

    /// Returns what is sent again and again after these bytes.
    pub(super) fn filler(&self) -> &[u8] {
        &self.endless
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: &Answer) -> String {
        String::from_utf8_lossy(&answer.bytes(false)).into_owned()
    }

    /// Each framing fault is the one that its method names, and nothing else is in the head.
    #[test]
    fn what_is_sent() {
        let hello = Answer::new(200, "hello").header("X-A", "b");
        let head = "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(text(&hello), format!("{head}hello"));
        assert_eq!(hello.head_len(), head.len());
        assert_eq!(hello.bytes(true), head.as_bytes());
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let hello = Answer::new(200, "hello");
        for (answer, body) in [
            (hello.clone().chunked(), "5\r\nhello\r\n0\r\n\r\n"),
            (hello.clone().bad_chunk(), "what?\r\nhello\r\n0\r\n\r\n"),
            (hello.clone().no_last_chunk(), "5\r\nhello\r\n"),
        ] {
            assert_eq!(text(&answer), format!("{chunked}{body}"));
        }
        assert_eq!(
            text(&hello.clone().chunked().content_length(5)),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n"
        );
        assert_eq!(
            text(&hello.content_length(2).interim(102, 2)),
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello"
        );
        assert_eq!(
            text(&Answer::new(204, "")),
            "HTTP/1.1 204 No Content\r\n\r\n"
        );
        assert_eq!(text(&Answer::raw("x\n")), "x\n");
    }
}
