//! The chunked transfer coding, removed in place.
//!
//! The grammar (RFC 9112 sections 7.1, 7.1.1 and 7.1.2):
//!
//! ```text
//! chunked-body    = *chunk
//!                   last-chunk
//!                   trailer-section
//!                   CRLF
//! chunk           = chunk-size [ chunk-ext ] CRLF
//!                   chunk-data CRLF
//! chunk-size      = 1*HEXDIG
//! last-chunk      = 1*("0") [ chunk-ext ] CRLF
//! chunk-data      = 1*OCTET ; a sequence of chunk-size octets
//! chunk-ext       = *( BWS ";" BWS chunk-ext-name
//!                      [ BWS "=" BWS chunk-ext-val ] )
//! chunk-ext-name  = token
//! chunk-ext-val   = token / quoted-string
//! trailer-section = *( field-line CRLF )
//! ```

use super::error::Error;
use super::grammar::{is_tchar, is_value_byte};

/// Limits on a chunked body: on its content, its framing and its trailers (RFC 9112 section 7.1).
///
/// Where a body is refused, and why, does not depend on how its bytes were split.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChunkLimits {
    /// Bytes of content of one body; more get status 413. 1 MiB, like nginx: it is the memory that one
    /// client can claim. The size in the chunk line counts, so a chunk that is too large is not read.
    ///
    /// An `HttpConnection` puts its `Limits::body` here.
    pub content: u64,
    /// Bytes of chunk lines beyond a fair share, summed over one body; more get status 400.
    ///
    /// The fair share of a chunk is 16 bytes plus twice its data. An honest client that sends one-byte
    /// chunks never exceeds it; a client that sends megabytes of extensions does. The rule and the 16 KiB
    /// are those of Go's `net/http`; hyper allows 16 KiB of extensions, Node 16 KiB each
    /// (CVE-2024-22019, CVE-2023-39326).
    pub overhead: usize,
    /// Bytes of one chunk line with its CRLF; more get status 400. Go also allows 4 KiB.
    pub line: usize,
    /// Bytes of the trailer section without its final empty line; more get status 431. hyper allows
    /// 16 KiB.
    pub trailers: usize,
    /// Number of trailer fields; more get status 431. hyper allows 100.
    pub trailer_fields: usize,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        ChunkLimits {
            content: 1024 * 1024,
            overhead: 16 * 1024,
            line: 4 * 1024,
            trailers: 8 * 1024,
            trailer_fields: 64,
        }
    }
}

/// Removes the chunked coding, one piece at a time (RFC 9112 section 7.1).
///
/// ```
/// use serve_forever::http::h1::{ChunkLimits, ChunkedDecoder};
///
/// let mut bytes = *b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nSum: 1\r\n\r\nGET /next";
/// let mut decoder = ChunkedDecoder::default();
/// let progress = decoder.decode(&mut bytes, &ChunkLimits::default())?;
/// let (content, rest) = bytes.split_at(progress.content);
/// assert_eq!(content, b"hello world");
/// assert_eq!(&rest[..progress.trailers], b"Sum: 1\r\n");
/// assert!(progress.complete);
/// assert_eq!(&bytes[progress.consumed..], b"GET /next");
/// # Ok::<(), serve_forever::http::h1::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ChunkedDecoder {
    /// The place in the grammar.
    state: State,
    /// How many hexadecimal digits of the chunk size have been read.
    digits: u8,
    /// The chunk size while it is read; then the bytes of chunk data that are still to come.
    remaining: u64,
    /// The sum of all chunk sizes so far.
    content: u64,
    /// Bytes of the chunk line, or of the trailer section, so far.
    length: usize,
    /// Bytes of chunk lines beyond the fair share, see [`ChunkLimits::overhead`].
    excess: usize,
    /// How many trailer fields have begun.
    trailer_fields: usize,
}

/// The place of the next byte: one state for each place in the grammar (RFC 9112 section 7.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// `chunk-size`.
    #[default]
    Size,
    /// Whitespace before the `;` that must follow.
    BeforeSemicolon,
    /// After `;`: whitespace, then the name.
    BeforeName,
    /// `chunk-ext-name`.
    Name,
    /// Whitespace after the name; `;` or `=` must follow.
    AfterName,
    /// After `=`: whitespace, then the value.
    BeforeValue,
    /// `chunk-ext-val` as a token.
    Token,
    /// `chunk-ext-val` as a quoted-string.
    Quoted,
    /// After the backslash in a quoted-string.
    Escaped,
    /// After the closing quote.
    AfterQuoted,
    /// The LF of the chunk line.
    LineLf,
    /// `chunk-data`.
    Data,
    /// The CR after the data.
    DataCr,
    /// The LF after the data.
    DataLf,
    /// The start of a trailer field line, or of the final empty line.
    Trailer,
    /// `field-name` of a trailer.
    TrailerName,
    /// `field-value` of a trailer.
    TrailerValue,
    /// The LF of a trailer field line.
    TrailerLf,
    /// The LF of the final empty line.
    FinalLf,
    /// The whole body was read.
    Complete,
    /// The body was refused. Every later call returns the same error.
    Refused(Error),
}

/// The result of one call of [`ChunkedDecoder::decode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Progress {
    /// How many raw bytes were read. The bytes after them are unchanged.
    pub consumed: usize,
    /// How many bytes of content now stand at the front.
    pub content: usize,
    /// How many bytes of trailer field lines stand after the content. Each line has its CRLF; the final
    /// empty line is not included.
    pub trailers: usize,
    /// Whether the body has ended (RFC 9112 section 7.1). The next byte belongs to the next request.
    pub complete: bool,
}

impl ChunkedDecoder {
    /// Decodes in place: `bytes[..content]` becomes content, `bytes[content..content + trailers]` becomes
    /// raw trailer lines, and `bytes[consumed..]` stays unchanged (RFC 9112 section 7.1.3).
    ///
    /// All bytes are consumed unless the body ends first. Call again with the bytes that follow: any
    /// split gives the same totals. Trailer lines are checked here, but one line may come out in several
    /// pieces. Join the pieces, then call [`parse_fields`](super::parse_fields). Trailers must not be
    /// merged into the header (RFC 9110 section 6.5.1).
    ///
    /// # Errors
    ///
    /// Returns the first defect. The content of `bytes` is then unspecified, and every later call
    /// returns the same error.
    pub fn decode(&mut self, bytes: &mut [u8], limits: &ChunkLimits) -> Result<Progress, Error> {
        let mut progress = Progress::default();
        while let Some(&byte) = bytes.get(progress.consumed) {
            match self.state {
                State::Complete => break,
                State::Data => self.data(bytes, &mut progress),
                State::Size if self.length == 0 => {
                    let rest = bytes.get(progress.consumed..).unwrap_or_default();
                    progress.consumed += match plain_line(rest) {
                        Some((size, length)) if length <= limits.line => {
                            (self.remaining, self.length) = (size, length);
                            let next = self.line_end(limits);
                            self.enter(next)?;
                            length
                        }
                        _ => {
                            let next = self.step(byte, limits);
                            self.enter(next)?;
                            1
                        }
                    };
                }
                State::Trailer | State::TrailerName | State::TrailerValue | State::TrailerLf => {
                    let next = self.trailer(byte, limits);
                    self.enter(next)?;
                    if self.state != State::FinalLf {
                        let end = progress.content + progress.trailers;
                        bytes.copy_within(progress.consumed..=progress.consumed, end);
                        progress.trailers += 1;
                    }
                    progress.consumed += 1;
                }
                _ => {
                    let next = self.step(byte, limits);
                    self.enter(next)?;
                    progress.consumed += 1;
                }
            }
        }
        if let State::Refused(error) = self.state {
            return Err(error);
        }
        progress.complete = self.state == State::Complete;
        Ok(progress)
    }

    /// Goes to the next state, or to [`State::Refused`].
    fn enter(&mut self, next: Result<State, Error>) -> Result<(), Error> {
        self.state = next.unwrap_or_else(State::Refused);
        next.map(|_| ())
    }

    /// Moves all available chunk data to the front. Reads the CRLF after the data, too, if it is there.
    fn data(&mut self, bytes: &mut [u8], progress: &mut Progress) {
        let available = bytes.len() - progress.consumed;
        let count = usize::try_from(self.remaining).map_or(available, |left| left.min(available));
        let end = progress.consumed + count;
        if progress.consumed != progress.content {
            bytes.copy_within(progress.consumed..end, progress.content);
        }
        progress.consumed = end;
        progress.content += count;
        self.remaining -= count as u64;
        if self.remaining == 0 {
            let rest = bytes.get(end..).unwrap_or_default();
            if rest.starts_with(b"\r\n") {
                progress.consumed += 2;
                self.state = State::Size;
            } else {
                self.state = State::DataCr;
            }
        }
    }

    /// Reads one byte of the framing around the data.
    fn step(&mut self, byte: u8, limits: &ChunkLimits) -> Result<State, Error> {
        match (self.state, byte) {
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size),
            (State::DataCr | State::DataLf, _) => Err(Error::ChunkDataEnd),
            (State::FinalLf, b'\n') => Ok(State::Complete),
            (State::FinalLf, _) => Err(Error::FieldName),
            (State::Refused(error), _) => Err(error),
            _ => {
                self.length += 1;
                if self.length > limits.line {
                    return Err(Error::ChunkLineTooLong);
                }
                self.line(byte, limits)
            }
        }
    }

    // chunk-size [ chunk-ext ] CRLF
    /// Reads one byte of a chunk line (RFC 9112 sections 7.1 and 7.1.1).
    fn line(&mut self, byte: u8, limits: &ChunkLimits) -> Result<State, Error> {
        match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.size(byte),
            (State::Size, _) if self.digits == 0 => Err(Error::ChunkSize),
            (State::LineLf, b'\n') => self.line_end(limits),
            (State::LineLf, _) => Err(Error::ChunkLineEnd),
            (State::Size | State::Name | State::Token | State::AfterQuoted, b'\r') => {
                Ok(State::LineLf)
            }
            (_, b'\r' | b'\n') => Err(Error::ChunkLineEnd),
            (State::Size | State::Token | State::AfterQuoted, b' ' | b'\t') => {
                Ok(State::BeforeSemicolon)
            }
            (State::Size | State::Token | State::AfterQuoted, b';') => Ok(State::BeforeName),
            (State::Size, _) => Err(Error::ChunkSize),
            _ => self.extension(byte),
        }
    }

    // chunk-ext     = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
    // quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE
    /// Reads one byte of the chunk extensions. Whitespace may stand only around `;` and `=`, and no
    /// extension may be empty (RFC 9112 section 7.1.1, RFC 9110 section 5.6.4).
    fn extension(&self, byte: u8) -> Result<State, Error> {
        let blank = matches!(byte, b' ' | b'\t');
        match (self.state, byte) {
            (State::Quoted, b'"') => Ok(State::AfterQuoted),
            (State::Quoted, b'\\') => Ok(State::Escaped),
            (State::Quoted | State::Escaped, _) if is_value_byte(byte) => Ok(State::Quoted),
            (State::BeforeSemicolon | State::BeforeName | State::BeforeValue, _) if blank => {
                Ok(self.state)
            }
            (State::Name | State::AfterName, _) if blank => Ok(State::AfterName),
            (State::BeforeSemicolon | State::Name | State::AfterName, b';') => {
                Ok(State::BeforeName)
            }
            (State::Name | State::AfterName, b'=') => Ok(State::BeforeValue),
            (State::BeforeValue, b'"') => Ok(State::Quoted),
            (State::BeforeName | State::Name, _) if is_tchar(byte) => Ok(State::Name),
            (State::BeforeValue | State::Token, _) if is_tchar(byte) => Ok(State::Token),
            _ => Err(Error::ChunkExtension),
        }
    }

    // chunk-size = 1*HEXDIG
    /// Reads one digit of the size. Sixteen digits fit into 64 bits. More are refused, even if they are
    /// zeros, because no honest client needs them.
    fn size(&mut self, digit: u8) -> Result<State, Error> {
        if self.digits == 16 {
            return Err(Error::ChunkSize);
        }
        let value = char::from(digit).to_digit(16).ok_or(Error::ChunkSize)?;
        self.digits += 1;
        self.remaining = (self.remaining << 4) | u64::from(value);
        Ok(State::Size)
    }

    /// Ends a chunk line: counts its size, and its bytes beyond the fair share.
    fn line_end(&mut self, limits: &ChunkLimits) -> Result<State, Error> {
        self.content = self
            .content
            .checked_add(self.remaining)
            .filter(|&content| content <= limits.content)
            .ok_or(Error::BodyTooLarge)?;
        let data = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let share = data.saturating_mul(2).saturating_add(16);
        self.excess = self
            .excess
            .saturating_add(self.length)
            .saturating_sub(share);
        if self.excess > limits.overhead {
            return Err(Error::ChunkOverhead);
        }
        (self.length, self.digits) = (0, 0);
        Ok(if self.remaining == 0 {
            State::Trailer
        } else {
            State::Data
        })
    }

    // trailer-section = *( field-line CRLF )
    /// Reads one byte of the trailer section, or the CR of the final CRLF (RFC 9112 section 7.1.2).
    fn trailer(&mut self, byte: u8, limits: &ChunkLimits) -> Result<State, Error> {
        let next = match (self.state, byte) {
            (State::Trailer, b'\r') => return Ok(State::FinalLf),
            (State::Trailer, b' ' | b'\t') => return Err(Error::FieldFold),
            (State::Trailer, _) if is_tchar(byte) => {
                self.trailer_fields += 1;
                if self.trailer_fields > limits.trailer_fields {
                    return Err(Error::TooManyTrailers);
                }
                State::TrailerName
            }
            (State::TrailerLf, b'\n') => State::Trailer,
            (State::Trailer | State::TrailerName | State::TrailerValue, b'\n') => {
                return Err(Error::BareLf);
            }
            (State::TrailerName, b'\r') => return Err(Error::FieldColon),
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerName, _) if is_tchar(byte) => State::TrailerName,
            (State::Trailer | State::TrailerName, _) => return Err(Error::FieldName),
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, _) if is_value_byte(byte) => State::TrailerValue,
            _ => return Err(Error::FieldValue),
        };
        self.length += 1;
        if self.length > limits.trailers {
            return Err(Error::TrailersTooLarge);
        }
        Ok(next)
    }
}

/// Reads the chunk line that `bytes` begin with, if it is complete and has no extensions. Returns the
/// chunk size, and the length of the line with its CRLF.
///
/// Almost every chunk line is like this. The states read all others, and name their defects.
#[inline]
fn plain_line(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut size = 0;
    // One byte more than the digits that fit into 64 bits.
    for (index, &byte) in bytes.iter().take(17).enumerate() {
        match char::from(byte).to_digit(16) {
            Some(digit) => size = (size << 4) | u64::from(digit),
            None if index == 0 => return None,
            None => {
                let end = bytes.get(index..)?.starts_with(b"\r\n");
                return end.then_some((size, index + 2));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
