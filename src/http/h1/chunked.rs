//! The chunked transfer coding, removed in place.

use super::error::Error;
use super::grammar::{is_tchar, is_value_byte};

/// How much of a chunked body may be something else than content (RFC 9112 sections 7.1.1 and 7.1.2).
///
/// The content itself is counted and limited by the caller, from [`Progress::content`].
#[derive(Debug, Clone)]
pub struct ChunkLimits {
    /// Bytes of chunk lines beyond a fair share, summed over one body, else 400.
    ///
    /// The share of a chunk is 16 bytes and twice its data, so honest senders of one-byte chunks never
    /// exceed it and senders of megabytes of extensions do. Rule and 16 KiB are those of Go's `net/http`;
    /// hyper allows 16 KiB of extensions, Node 16 KiB each (CVE-2024-22019, CVE-2023-39326).
    pub overhead: usize,
    /// Bytes of one chunk line with its CRLF, else 400. Go allows 4 KiB, too.
    pub line: usize,
    /// Bytes of the trailer section without its final empty line, else 431. hyper allows 16 KiB.
    pub trailers: usize,
    /// Number of trailer fields, else 431. hyper allows 100.
    pub trailer_fields: usize,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        ChunkLimits {
            overhead: 16 * 1024,
            line: 4 * 1024,
            trailers: 8 * 1024,
            trailer_fields: 64,
        }
    }
}

/// Removes the chunked coding, a piece at a time (RFC 9112 section 7.1).
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
    state: State,
    /// Hexadecimal digits of the chunk size so far.
    digits: u8,
    /// The size while it is read, then the data still to come.
    remaining: u64,
    /// Bytes of the chunk line, or of the trailer section, so far.
    length: usize,
    /// Bytes of chunk lines beyond the fair share.
    excess: usize,
    trailer_fields: usize,
}

/// What the next byte belongs to; the grammar of RFC 9112 section 7.1, a state for each place in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// `chunk-size`.
    #[default]
    Size,
    /// Whitespace that a `;` must follow.
    BeforeSemicolon,
    /// After `;`: whitespace, then the name.
    BeforeName,
    /// `chunk-ext-name`.
    Name,
    /// Whitespace after the name, that `;` or `=` must follow.
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
    /// Everything was read.
    Complete,
    /// The body was refused, and stays so.
    Refused(Error),
}

/// What one call of [`ChunkedDecoder::decode`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Raw bytes that were read from the front; those after them are untouched.
    pub consumed: usize,
    /// Bytes of content, now at the front.
    pub content: usize,
    /// Bytes of trailer field lines after the content, each with its CRLF, without the final empty line.
    pub trailers: usize,
    /// Whether the body has ended (RFC 9112 section 7.1); what follows is the next request.
    pub complete: bool,
}

impl ChunkedDecoder {
    /// Decodes in place: `bytes[..content]` becomes content, `bytes[content..content + trailers]` raw
    /// trailer lines, and `bytes[consumed..]` stays as it was (RFC 9112 section 7.1.3).
    ///
    /// Everything is consumed unless the body ends before. Call again with the bytes that follow: any
    /// split gives the same totals. Trailer lines are checked here already, and a line may be handed
    /// out in pieces; join them, then [`parse_fields`](super::parse_fields). They must not be merged
    /// into the header (RFC 9110 section 6.5.1).
    ///
    /// # Errors
    ///
    /// The first defect. It leaves the content of `bytes` unspecified, and every later call repeats it.
    pub fn decode(&mut self, bytes: &mut [u8], limits: &ChunkLimits) -> Result<Progress, Error> {
        let mut progress = Progress::default();
        while let Some(&byte) = bytes.get(progress.consumed) {
            match self.state {
                State::Complete => break,
                State::Data => self.data(bytes, &mut progress),
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

    /// Bytes of the current chunk's data that have been announced and not come (RFC 9112 section 7.1).
    ///
    /// Only good for refusing early; memory must not follow it.
    #[must_use]
    pub fn announced(&self) -> u64 {
        if self.state == State::Data {
            self.remaining
        } else {
            0
        }
    }

    fn enter(&mut self, next: Result<State, Error>) -> Result<(), Error> {
        self.state = next.unwrap_or_else(State::Refused);
        next.map(|_| ())
    }

    /// Moves as much chunk data to the front as there is.
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
            self.state = State::DataCr;
        }
    }

    /// A byte of the framing around the data.
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

    /// `chunk-size [ chunk-ext ] CRLF`, where whitespace stands only around `;` and `=`, and a list of
    /// extensions has no empty member (RFC 9112 sections 7.1 and 7.1.1).
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

    /// One to sixteen digits: what fits 64 bits. More, even zeros, nobody needs to write.
    fn size(&mut self, digit: u8) -> Result<State, Error> {
        if self.digits == 16 {
            return Err(Error::ChunkSize);
        }
        let value = char::from(digit).to_digit(16).ok_or(Error::ChunkSize)?;
        self.digits += 1;
        self.remaining = (self.remaining << 4) | u64::from(value);
        Ok(State::Size)
    }

    /// A chunk line is complete: its size counts, and what of it is beyond the fair share.
    fn line_end(&mut self, limits: &ChunkLimits) -> Result<State, Error> {
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

    /// `trailer-section = *( field-line CRLF )`, then the final CRLF (RFC 9112 section 7.1.2).
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::{chunk, last_chunk, parse_fields};
    use alloc::vec::Vec;

    #[derive(Debug, PartialEq, Eq, Default, Clone)]
    struct Body {
        content: Vec<u8>,
        trailers: Vec<u8>,
        consumed: usize,
        complete: bool,
    }

    /// Decodes `input` in pieces that end at `stops` and at its end.
    fn decode(input: &[u8], stops: &[usize], limits: &ChunkLimits) -> Result<Body, Error> {
        let (mut decoder, mut body, mut start) = (ChunkedDecoder::default(), Body::default(), 0);
        for &stop in stops.iter().chain([&input.len()]) {
            let mut piece = input[start..stop].to_vec();
            let progress = match decoder.decode(&mut piece, limits) {
                Ok(progress) => progress,
                Err(error) => {
                    assert_eq!(
                        decoder.decode(&mut piece, limits),
                        Err(error),
                        "stays refused"
                    );
                    return Err(error);
                }
            };
            let (content, rest) = piece.split_at(progress.content);
            body.content.extend_from_slice(content);
            body.trailers.extend_from_slice(&rest[..progress.trailers]);
            body.consumed += progress.consumed;
            body.complete = progress.complete;
            assert!(progress.complete || progress.consumed == piece.len());
            assert_eq!(
                &piece[progress.consumed..],
                &input[start + progress.consumed..stop]
            );
            start = stop;
        }
        Ok(body)
    }

    fn check_splits(input: &[u8], limits: &ChunkLimits) -> Result<Body, Error> {
        let whole = decode(input, &[], limits);
        for split in 0..input.len() {
            assert_eq!(
                whole,
                decode(input, &[split], limits),
                "{split}: {}",
                input.escape_ascii()
            );
        }
        let bytes: Vec<usize> = (0..input.len()).collect();
        assert_eq!(
            whole,
            decode(input, &bytes, limits),
            "{}",
            input.escape_ascii()
        );
        whole
    }

    #[test]
    fn good_bodies() {
        // Input up to the end of the body, content, trailers.
        let cases: [(&[u8], &[u8], &[u8]); 15] = [
            (b"0\r\n\r\n", b"", b""),
            (b"000\r\n\r\n", b"", b""),
            (
                b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
                b"hello world",
                b"",
            ),
            (
                b"A\r\n0123456789\r\n00a\r\nabcdefghij\r\n0\r\n\r\n",
                b"0123456789abcdefghij",
                b"",
            ),
            (b"0000000000000001\r\nx\r\n0\r\n\r\n", b"x", b""),
            (b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", b"\r\n0\r\n\r\n", b""),
            (b"1;a\r\nx\r\n0;a\r\n\r\n", b"x", b""),
            (b"1;a=b;c;d=\"x;y\\\"z\xff\t\"\r\nx\r\n0\r\n\r\n", b"x", b""),
            (b"1;!#$%&'*+-.^_`|~=1\r\nx\r\n0\r\n\r\n", b"x", b""),
            (
                b"1 \t;\ta\t=\t\"b\" ; c = d ;e\r\nx\r\n0\r\n\r\n",
                b"x",
                b"",
            ),
            (b"1;a=\"\"\r\nx\r\n0\r\n\r\n", b"x", b""),
            (b"1\r\nx\r\n0\r\nA: b\r\n\r\n", b"x", b"A: b\r\n"),
            (
                b"0\r\nA:\r\nX:POST /s HTTP/1.1\r\n\r\n",
                b"",
                b"A:\r\nX:POST /s HTTP/1.1\r\n",
            ),
            (
                b"1\r\nx\r\n0\r\nA: \xff\t b\r\n\r\n",
                b"x",
                b"A: \xff\t b\r\n",
            ),
            (b"0;a=\"b\"\r\nA:b\r\n\r\n", b"", b"A:b\r\n"),
        ];
        let limits = ChunkLimits::default();
        for (input, content, trailers) in cases {
            let mut input = input.to_vec();
            let consumed = input.len();
            for prefix in 0..consumed {
                let found = decode(&input[..prefix], &[], &limits);
                assert_eq!(
                    found.map(|body| body.complete),
                    Ok(false),
                    "{}",
                    input.escape_ascii()
                );
            }
            input.extend_from_slice(b"GET /next");
            let (content, trailers) = (content.to_vec(), trailers.to_vec());
            assert!(parse_fields(&trailers, limits.trailer_fields).is_ok());
            let body = Body {
                content,
                trailers,
                consumed,
                complete: true,
            };
            assert_eq!(
                check_splits(&input, &limits),
                Ok(body),
                "{}",
                input.escape_ascii()
            );
        }
    }

    #[test]
    fn bad_bodies() {
        let cases: [(&[u8], Error); 52] = [
            (b"\r\n", Error::ChunkSize),
            (b"0x5\r\n", Error::ChunkSize),
            (b"+5\r\n", Error::ChunkSize),
            (b"-5\r\n", Error::ChunkSize),
            (b"0_5\r\n", Error::ChunkSize),
            (b"5.0\r\n", Error::ChunkSize),
            (b"5h\r\n", Error::ChunkSize),
            (b" 5\r\n", Error::ChunkSize),
            (b"\xb2\r\n", Error::ChunkSize),
            (b"5,5\r\n", Error::ChunkSize),
            (b";a\r\n", Error::ChunkSize),
            (b"10000000000000000\r\n", Error::ChunkSize),
            (b"00000000000000005\r\n", Error::ChunkSize),
            (b"FFFFFFFFFFFFFFFF0\r\n", Error::ChunkSize),
            (b"5\n", Error::ChunkLineEnd),
            (b"5\rX", Error::ChunkLineEnd),
            (b"5\r\r\n", Error::ChunkLineEnd),
            (b"5;\n", Error::ChunkLineEnd),
            (b"5;a\n", Error::ChunkLineEnd),
            (b"5;a\rX", Error::ChunkLineEnd),
            (b"5;a=\"\n\"", Error::ChunkLineEnd),
            (b"5;a=\"x\r\n", Error::ChunkLineEnd),
            (b"5;a=\"\\\r\n", Error::ChunkLineEnd),
            (b"5 \r\n", Error::ChunkLineEnd),
            (b"5;\r\n", Error::ChunkLineEnd),
            (b"5;a=\r\n", Error::ChunkLineEnd),
            (b"5;a \r\n", Error::ChunkLineEnd),
            (b"5;a=b \r\n", Error::ChunkLineEnd),
            (b"5 5\r\n", Error::ChunkExtension),
            (b"5;;a\r\n", Error::ChunkExtension),
            (b"5;bad[=x\r\n", Error::ChunkExtension),
            (b"5;a=\xff\r\n", Error::ChunkExtension),
            (b"5;a\x01\r\n", Error::ChunkExtension),
            (b"5;a=\"\x01\"\r\n", Error::ChunkExtension),
            (b"5;a=b\"c\"\r\n", Error::ChunkExtension),
            (b"5;a=\"b\"c\r\n", Error::ChunkExtension),
            (b"5;a b\r\n", Error::ChunkExtension),
            (b"1\r\nxy\r\n", Error::ChunkDataEnd),
            (b"1\r\nx\n", Error::ChunkDataEnd),
            (b"1\r\nx\rx", Error::ChunkDataEnd),
            (b"1\r\nx0\r\n", Error::ChunkDataEnd),
            (b"1\r\nx\r\n\r\n", Error::ChunkSize),
            (b"0\r\n\n", Error::BareLf),
            (b"0\r\n\rx", Error::FieldName),
            (b"0\r\nA: b\n", Error::BareLf),
            (b"0\r\nA: b\rc", Error::FieldValue),
            (b"0\r\nA: b\0", Error::FieldValue),
            (b"0\r\n A: b", Error::FieldFold),
            (b"0\r\nA : b", Error::FieldName),
            (b"0\r\nA\xff: b", Error::FieldName),
            (b"0\r\nA\r\n", Error::FieldColon),
            (b"0\r\n: b", Error::FieldName),
        ];
        for (input, error) in cases {
            let mut input = input.to_vec();
            input.extend_from_slice(b"hello\r\n0\r\n\r\n");
            let found = check_splits(&input, &ChunkLimits::default());
            assert_eq!(found, Err(error), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn limits() {
        let limits = ChunkLimits {
            overhead: 20,
            line: 30,
            trailers: 20,
            trailer_fields: 2,
        };
        let cases: [(&[u8], Option<Error>); 9] = [
            (b"1;aaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n0\r\n\r\n", None),
            (b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", Some(Error::ChunkLineTooLong)),
            // 26 and 28 bytes, of which 18 each are fair; the next is too much.
            (b"1;aaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n1;aaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n0\r\n\r\n", None),
            (
                b"1;aaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n1;aaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n1;aaaaaaaaaaaaaaaaa\r\nx\r\n",
                Some(Error::ChunkOverhead),
            ),
            (b"0\r\nA: aaaaaaaaaaaaaaa\r\n\r\n", None),
            (b"0\r\nA: aaaaaaaaaaaaaaaa\r\n", Some(Error::TrailersTooLarge)),
            (b"0\r\nA:b\r\nA:b\r\n\r\n", None),
            (b"0\r\nA:b\r\nA:b\r\nA", Some(Error::TooManyTrailers)),
            (b"1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n0\r\n\r\n", None),
        ];
        for (input, error) in cases {
            let found = check_splits(input, &limits);
            assert_eq!(found.err(), error, "{}", input.escape_ascii());
        }
    }

    #[test]
    fn announced_sizes_are_no_promise() {
        let mut decoder = ChunkedDecoder::default();
        let mut bytes = *b"FFFFFFFFFFFFFFFF\r\nhello";
        let progress = decoder.decode(&mut bytes, &ChunkLimits::default());
        assert_eq!(progress.map(|progress| progress.content), Ok(5));
        assert_eq!(decoder.announced(), u64::MAX - 5);
    }

    #[test]
    fn generated_bodies_are_split_alike() {
        const PIECES: [&[u8]; 16] = [
            b"0\r\n",
            b"1\r\nx\r\n",
            b"3\r\nabc\r\n",
            b"5;a=b\r\nhello\r\n",
            b"\r\n",
            b"\r",
            b"\n",
            b"A: b\r\n",
            b";",
            b"=",
            b"\"",
            b" ",
            b"\\",
            b"f",
            b"\xff",
            b"0;x=\"y\"\r\n",
        ];
        let mut seed = 0x00c4_0c4e_d5ee_d000_u64;
        let limits = ChunkLimits {
            overhead: 24,
            line: 12,
            trailers: 12,
            trailer_fields: 2,
        };
        for _ in 0..20_000 {
            let mut input = Vec::new();
            for _ in 0..seed % 9 + 1 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let index = (seed % PIECES.len() as u64) as usize;
                input.extend_from_slice(PIECES[index]);
            }
            let _ = check_splits(&input, &limits);
            let _ = check_splits(&input, &ChunkLimits::default());
        }
    }

    #[test]
    fn decode_undoes_encode() {
        let content: Vec<u8> = (0..=255).cycle().take(5000).collect();
        for size in [1, 2, 15, 16, 17, 255, 4096, 5000] {
            let mut wire = Vec::new();
            content.chunks(size).for_each(|data| chunk(&mut wire, data));
            assert_eq!(last_chunk(&mut wire, [("Sum", &b"1 \xff"[..])]), Ok(()));
            let consumed = wire.len();
            let body = Body {
                content: content.clone(),
                trailers: b"Sum: 1 \xff\r\n".to_vec(),
                consumed,
                complete: true,
            };
            assert_eq!(decode(&wire, &[], &ChunkLimits::default()), Ok(body));
        }
    }
}
