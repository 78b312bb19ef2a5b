//! The codec without a server: parses captured requests piece by piece.
//!
//!     cargo run --example parse_capture                       # a built-in sample
//!     cargo run --example parse_capture -- captured.bytes
//!     cat captured.bytes | cargo run --example parse_capture -- -
//!
//! It ends at the end of its input. `serve_forever::http::h1` does no I/O and allocates nothing, so
//! this program itself keeps bytes between two pieces: only an incomplete head or trailer section.
//! Content is counted and dropped.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};

use serve_forever::http::h1::{
    self, ChunkLimits, ContentDecoder, FieldStorage, Fields, Framing, Head, HeadLimits, Scanner,
};

/// Three good requests in one piece, and a fourth that two servers could read in two ways.
pub const SAMPLE: &[u8] = b"GET /search?q=rust HTTP/1.1\r\n\
    Host: example.org\r\n\
    Accept: text/html\r\n\
    accept: */*;q=0.1\r\n\
    \r\n\
    POST /form HTTP/1.1\r\n\
    Host: example.org\r\n\
    Content-Type: application/x-www-form-urlencoded\r\n\
    Content-Length: 10\r\n\
    \r\n\
    name=value\
    PUT /upload HTTP/1.1\r\n\
    Host: example.org\r\n\
    Transfer-Encoding: chunked\r\n\
    \r\n\
    5\r\nhello\r\n\
    7;note=\"an extension\"\r\n, world\r\n\
    0\r\n\
    Content-Digest: sha-256=:none:\r\n\
    \r\n\
    POST /smuggle HTTP/1.1\r\n\
    Host: example.org\r\n\
    Content-Length: 5\r\n\
    Transfer-Encoding: chunked\r\n\
    \r\n\
    0\r\n\r\n";

/// Parses a stream of requests and passes each to `report`.
#[derive(Debug)]
pub struct Parser<W> {
    report: W,
    /// Bytes that have arrived and are not used yet.
    input: Vec<u8>,
    /// How many bytes were used before them.
    offset: u64,
    /// Where the current request began.
    began: u64,
    requests: u64,
    awaited: Awaited,
    head_limits: HeadLimits,
    chunk_limits: ChunkLimits,
}

/// The next element of the stream.
#[derive(Debug)]
enum Awaited {
    Head(Scanner),
    Content {
        decoder: ContentDecoder,
        /// How many bytes of content there were.
        content: u64,
        trailers: Vec<u8>,
        is_chunked: bool,
    },
}

impl<W: Write> Parser<W> {
    /// A parser at the beginning of a stream.
    pub fn new(report: W) -> Parser<W> {
        let mut chunk_limits = ChunkLimits::default();
        chunk_limits.content = u64::MAX; // no limit, because content is not kept
        Parser {
            report,
            input: Vec::new(),
            offset: 0,
            began: 0,
            requests: 0,
            awaited: Awaited::Head(Scanner::default()),
            head_limits: HeadLimits::default(),
            chunk_limits,
        }
    }

    /// Parses the next piece, of any size. Returns `false` if the stream is bad; later bytes then have
    /// no meaning.
    pub fn feed(&mut self, piece: &[u8]) -> io::Result<bool> {
        self.input.extend_from_slice(piece);
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return Ok(true),
                Err(Stop::Report(error)) => return Err(error),
                Err(Stop::Defect(defect)) => {
                    let (began, status) = (self.began, defect.status());
                    writeln!(self.report, "request that begins at byte {began}")?;
                    writeln!(self.report, "  refused with {status}: {defect}")?;
                    return Ok(false);
                }
            }
        }
    }

    /// Reports the number of requests, and where the stream ends. Call it after the last piece.
    pub fn finish(&mut self) -> io::Result<()> {
        let place = match &self.awaited {
            Awaited::Head(_) if self.input.is_empty() => "between two requests",
            Awaited::Head(_) => "in the middle of a head",
            Awaited::Content { .. } => "in the middle of a body",
        };
        let end = self.offset + self.input.len() as u64;
        let requests = self.requests;
        writeln!(
            self.report,
            "{requests} requests; ends at byte {end}, {place}"
        )
    }

    /// Parses one element. Returns `false` if the element is not complete.
    fn step(&mut self) -> Result<bool, Stop> {
        match &mut self.awaited {
            Awaited::Head(scanner) => {
                let mut storage = FieldStorage::new();
                let found = scanner.head(&self.input, &mut storage, &self.head_limits)?;
                let Some((range, head)) = found else {
                    return Ok(false);
                };
                self.requests += 1;
                report_head(&mut self.report, self.began, &head)?;
                let (end, framing) = (range.end, head.framing);
                self.consume(end);
                self.awaited = Awaited::Content {
                    decoder: ContentDecoder::from(framing),
                    content: 0,
                    trailers: Vec::new(),
                    is_chunked: framing == Framing::Chunked,
                };
                Ok(true)
            }
            Awaited::Content {
                decoder,
                content,
                trailers,
                is_chunked,
            } => {
                // The decoded bytes stand at the front: first the content, then trailer lines.
                let progress = decoder.decode(&mut self.input, &self.chunk_limits)?;
                *content += progress.content as u64;
                trailers.extend(&self.input[progress.content..][..progress.trailers]);
                if progress.complete && *is_chunked {
                    writeln!(self.report, "  decoded: {content} bytes")?;
                    let fields = h1::parse_fields(trailers, self.chunk_limits.trailer_fields)?;
                    report_fields(&mut self.report, "trailer", fields)?;
                }
                self.consume(progress.consumed);
                if progress.complete {
                    self.next_request();
                }
                Ok(progress.complete)
            }
        }
    }

    fn next_request(&mut self) {
        self.awaited = Awaited::Head(Scanner::default());
        self.began = self.offset;
    }

    fn consume(&mut self, count: usize) {
        self.input.drain(..count);
        self.offset += count as u64;
    }
}

/// Why the parser stops.
enum Stop {
    /// The stream is bad.
    Defect(h1::Error),
    /// The report cannot be written.
    Report(io::Error),
}

impl From<h1::Error> for Stop {
    fn from(defect: h1::Error) -> Stop {
        Stop::Defect(defect)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Report(error)
    }
}

fn report_head(report: &mut impl Write, began: u64, head: &Head<'_>) -> io::Result<()> {
    let (method, target, version) = (head.method, head.target, head.version);
    writeln!(report, "request that begins at byte {began}")?;
    writeln!(report, "  line: {method} {target} {version}")?;
    report_fields(report, "field", head.fields)?;
    match head.framing {
        Framing::Empty => writeln!(report, "  framing: no content")?,
        Framing::Length(length) => writeln!(report, "  framing: {length} bytes")?,
        Framing::Chunked => writeln!(report, "  framing: chunked")?,
    }
    match head.keep_alive {
        true => Ok(()),
        false => writeln!(report, "  the client would close after it"),
    }
}

fn report_fields(report: &mut impl Write, kind: &str, fields: Fields<'_>) -> io::Result<()> {
    for (name, value) in fields {
        // Escape the value, because it may have any byte above 0x7f.
        writeln!(report, "  {kind}: {name} = {}", value.escape_ascii())?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args().nth(1);
    let mut source: Box<dyn Read> = match argument.as_deref() {
        None => Box::new(SAMPLE),
        Some("-") => Box::new(io::stdin()),
        Some(path) => Box::new(File::open(path)?),
    };
    let mut parser = Parser::new(io::stdout().lock());
    // Much smaller than useful: it shows that the size of a piece does not matter.
    let mut piece = [0; 7];
    loop {
        match source.read(&mut piece)? {
            0 => return Ok(parser.finish()?),
            count if parser.feed(&piece[..count])? => {}
            _ => return Ok(()),
        }
    }
}
