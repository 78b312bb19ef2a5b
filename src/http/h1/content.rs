//! The content of a message, taken out of its framing, whatever that is.

use super::chunked::{ChunkLimits, ChunkedDecoder, Progress};
use super::error::Error;
use super::framing::Framing;
use super::response_framing::ResponseFraming;

/// Finds the end of the content of one message, and removes the chunked coding (RFC 9112 section 6.3).
///
/// Make one from the [`Framing`] of a request or the [`ResponseFraming`] of a response.
///
/// ```
/// use serve_forever::http::h1::{ChunkLimits, ContentDecoder, Framing};
///
/// let mut decoder = ContentDecoder::from(Framing::Length(5));
/// let mut bytes = *b"helloGET /next";
/// let progress = decoder.decode(&mut bytes, &ChunkLimits::default())?;
/// assert_eq!((progress.content, progress.consumed, progress.complete), (5, 5, true));
/// # Ok::<(), serve_forever::http::h1::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ContentDecoder(Coding);

/// How the content ends.
#[derive(Debug, Clone)]
enum Coding {
    /// This many bytes are still to come.
    Length(u64),
    /// The chunks say where it ends.
    Chunked(ChunkedDecoder),
    /// The connection ends with it. So many bytes have come.
    UntilClose(u64),
}

impl From<Framing> for ContentDecoder {
    fn from(framing: Framing) -> ContentDecoder {
        ContentDecoder(match framing {
            Framing::Empty => Coding::Length(0),
            Framing::Length(length) => Coding::Length(length),
            Framing::Chunked => Coding::Chunked(ChunkedDecoder::default()),
        })
    }
}

impl From<ResponseFraming> for ContentDecoder {
    /// What follows a [`Tunnel`](ResponseFraming::Tunnel) is not content, so there is none.
    fn from(framing: ResponseFraming) -> ContentDecoder {
        ContentDecoder(match framing {
            ResponseFraming::Empty | ResponseFraming::Tunnel => Coding::Length(0),
            ResponseFraming::Length(length) => Coding::Length(length),
            ResponseFraming::Chunked => Coding::Chunked(ChunkedDecoder::default()),
            ResponseFraming::UntilClose => Coding::UntilClose(0),
        })
    }
}

impl ContentDecoder {
    /// Takes in the bytes that follow those of the last call, as [`ChunkedDecoder::decode`] does: the
    /// content comes to the front, and behind it the trailer lines, if there are any.
    ///
    /// Content that ends with the connection is never [`complete`](Progress::complete).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`ChunkedDecoder::decode`], and [`Error::BodyTooLarge`] if content that ends
    /// with the connection exceeds [`ChunkLimits::content`]. An announced length is not compared with that
    /// limit: compare it when you see the head.
    pub fn decode(&mut self, bytes: &mut [u8], limits: &ChunkLimits) -> Result<Progress, Error> {
        match &mut self.0 {
            Coding::Chunked(decoder) => decoder.decode(bytes, limits),
            Coding::Length(left) => {
                let count =
                    usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= count as u64;
                Ok(Progress {
                    consumed: count,
                    content: count,
                    trailers: 0,
                    complete: *left == 0,
                })
            }
            Coding::UntilClose(received) => {
                *received = received.saturating_add(bytes.len() as u64);
                if *received > limits.content {
                    return Err(Error::BodyTooLarge);
                }
                Ok(Progress {
                    consumed: bytes.len(),
                    content: bytes.len(),
                    trailers: 0,
                    complete: false,
                })
            }
        }
    }

    /// Returns how many bytes of content are still to come, if the head has announced it.
    #[must_use]
    pub fn announced(&self) -> Option<u64> {
        match self.0 {
            Coding::Length(left) => Some(left),
            Coding::Chunked(_) | Coding::UntilClose(_) => None,
        }
    }

    /// Returns whether the content ends when the connection does.
    #[must_use]
    pub fn ends_with_connection(&self) -> bool {
        matches!(self.0, Coding::UntilClose(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Content and whether it is complete, with the rest, however the bytes are cut.
    #[test]
    fn each_framing_at_every_cut() {
        type Expected<'a> = (&'a [u8], bool, &'a [u8]);
        let cases: [(ResponseFraming, &[u8], Expected<'_>); 6] = [
            (ResponseFraming::Empty, b"rest", (b"", true, b"rest")),
            (ResponseFraming::Tunnel, b"rest", (b"", true, b"rest")),
            (
                ResponseFraming::Length(5),
                b"hellorest",
                (b"hello", true, b"rest"),
            ),
            (ResponseFraming::Length(5), b"hell", (b"hell", false, b"")),
            (
                ResponseFraming::Chunked,
                b"5\r\nhello\r\n0\r\n\r\nrest",
                (b"hello", true, b"rest"),
            ),
            (
                ResponseFraming::UntilClose,
                b"hello",
                (b"hello", false, b""),
            ),
        ];
        let limits = ChunkLimits::default();
        for (framing, input, expected) in cases {
            for cut in 0..=input.len() {
                let mut decoder = ContentDecoder::from(framing);
                let (mut content, mut rest) = (Vec::new(), Vec::new());
                let mut complete = false;
                for piece in [&input[..cut], &input[cut..]] {
                    let mut piece = piece.to_vec();
                    let progress = decoder.decode(&mut piece, &limits).expect("good");
                    content.extend_from_slice(&piece[..progress.content]);
                    rest.extend_from_slice(&piece[progress.consumed..]);
                    complete = progress.complete;
                }
                let found = (&content[..], complete, &rest[..]);
                assert_eq!(found, expected, "{framing:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn content_that_ends_with_the_connection_has_a_limit() {
        let limits = ChunkLimits {
            content: 4,
            ..ChunkLimits::default()
        };
        let mut decoder = ContentDecoder::from(ResponseFraming::UntilClose);
        assert!(decoder.decode(&mut [0; 4], &limits).is_ok());
        let refused = decoder.decode(&mut [0; 1], &limits);
        assert_eq!(refused, Err(Error::BodyTooLarge));
    }

    #[test]
    fn what_is_announced() {
        let announced = |framing: Framing| ContentDecoder::from(framing).announced();
        assert_eq!(announced(Framing::Empty), Some(0));
        assert_eq!(announced(Framing::Length(7)), Some(7));
        assert_eq!(announced(Framing::Chunked), None);
    }
}
