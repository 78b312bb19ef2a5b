//! The head of a response: status line and fields.

use super::error::Error;
use super::fields::{Fields, parse_fields, split_line};
use super::head::{FieldStorage, HeadLimits};
use super::response_framing::{ResponseFraming, response_framing};
use super::start_line::Version;
use super::status_line::{REASON, StatusLine};
use super::survey::Survey;

/// The head of a response, all of it borrowed from the bytes it was parsed from (RFC 9112 section 2.1).
///
/// ```
/// use serve_forever::http::h1::{FieldStorage, HeadLimits, ResponseFraming, Scanner};
///
/// let input = b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nsorry!";
/// let mut storage = FieldStorage::new();
/// let found = Scanner::default().response_head(input, &mut storage, &HeadLimits::default(), "GET")?;
/// let (range, head) = found.expect("the head is complete");
/// assert_eq!((head.status, head.reason), (404, &b"Not Found"[..]));
/// assert_eq!(head.framing, ResponseFraming::Length(6));
/// assert_eq!(&input[range.end..], b"sorry!");
/// # Ok::<(), serve_forever::http::h1::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    /// The version. HTTP/1.2 to 1.9 count as 1.1.
    pub version: Version,
    /// The status, from 100 to 999. Treat one that you do not know as the first of its class (RFC 9110
    /// section 15), and 600 to 999 as a 500.
    pub status: u16,
    /// The reason phrase, often empty. Clients should ignore it (RFC 9112 section 4).
    pub reason: &'a [u8],
    /// The fields in order of arrival.
    pub fields: Fields<'a>,
    /// How the content ends.
    pub framing: ResponseFraming,
    /// Whether another request can be sent on this connection (RFC 9112 section 9.3). The request must
    /// allow it, too.
    pub keep_alive: bool,
}

impl<'a> ResponseHead<'a> {
    /// Parses a complete head, from status line to empty line (RFC 9112 sections 2 to 6).
    ///
    /// `bytes` is exactly the range that [`Scanner::scan_response`](super::Scanner::scan_response)
    /// returned. `method` is the method of the request that this responds to: without it nobody can tell
    /// whether content follows.
    ///
    /// # Errors
    ///
    /// Returns the first defect in this order: status line, fields from top to bottom, framing.
    pub fn parse<'b: 'a>(
        bytes: &'b [u8],
        storage: &'a mut FieldStorage<'b>,
        limits: &HeadLimits,
        method: &str,
    ) -> Result<ResponseHead<'a>, Error> {
        match parse_fast(bytes, storage, limits.fields_room()) {
            Some((parsed, end)) if end == bytes.len() => ResponseHead::assemble(parsed, method),
            _ => ResponseHead::parse_slowly(bytes, limits, method),
        }
    }

    /// Reads the head that `input` starts with, if it is complete, well-formed and within the limits.
    ///
    /// [`Scanner::response_head`](super::Scanner::response_head) tries this first.
    #[inline(always)]
    pub(super) fn try_parse<'b: 'a>(
        input: &'b [u8],
        storage: &'a mut FieldStorage<'b>,
        limits: &HeadLimits,
    ) -> Option<(Parsed<'a>, usize)> {
        let within = input.get(..limits.head).unwrap_or(input);
        let (parsed, end) = parse_fast(within, storage, limits.fields_room())?;
        let line_length = REASON + parsed.line.reason.len();
        (line_length <= limits.request_line).then_some((parsed, end))
    }

    /// Like [`ResponseHead::parse`], but without the fast path.
    #[cold]
    pub(super) fn parse_slowly(
        bytes: &'a [u8],
        limits: &HeadLimits,
        method: &str,
    ) -> Result<ResponseHead<'a>, Error> {
        ResponseHead::assemble(parse_slowly(bytes, limits.fields_room())?, method)
    }

    /// Derives framing and keep-alive from a head whose syntax is correct.
    #[inline(always)]
    pub(super) fn assemble(parsed: Parsed<'a>, method: &str) -> Result<ResponseHead<'a>, Error> {
        let Parsed {
            line,
            fields,
            survey,
        } = parsed;
        let StatusLine {
            version,
            status,
            reason,
        } = line;
        let framing = if survey.repeated {
            let lengths = fields.get_all("content-length");
            let codings = fields.get_all("transfer-encoding");
            response_framing(method, status, version, lengths, codings)?
        } else {
            let (length, coding) = (survey.content_length, survey.transfer_encoding);
            response_framing(method, status, version, length, coding)?
        };
        let ends_itself = !matches!(
            framing,
            ResponseFraming::UntilClose | ResponseFraming::Tunnel
        );
        Ok(ResponseHead {
            version,
            status,
            reason,
            fields,
            framing,
            keep_alive: ends_itself && survey.keep_alive(version),
        })
    }
}

/// A head whose syntax is correct, before [`ResponseHead::assemble`] derives anything from it.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    /// The status line, taken apart.
    line: StatusLine<'a>,
    /// All fields.
    fields: Fields<'a>,
    /// The fields that the codec itself reads.
    survey: Survey<'a>,
}

/// The fast path: `httparse`, with checks for what it accepts and we do not. Also returns how many
/// bytes the head has. `None` means that the slow path must decide.
#[inline(always)]
pub(super) fn parse_fast<'a, 'b: 'a>(
    bytes: &'b [u8],
    storage: &'a mut FieldStorage<'b>,
    max: usize,
) -> Option<(Parsed<'a>, usize)> {
    let mut response = httparse::Response::new(&mut []);
    let room = storage.room(max)?;
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        room,
    );
    let httparse::Status::Complete(end) = parsed.ok()? else {
        return None;
    };
    let table: &'a [httparse::Header<'b>] = response.headers;
    let head = bytes.get(..end)?;
    // `httparse` skips empty lines, which we refuse. It also gives no reason if that has bytes beyond
    // ASCII. So take the line, which it has checked, from the bytes.
    if !head.starts_with(b"HTTP") {
        return None;
    }
    let line = head.get(..head.iter().position(|&byte| byte == b'\r')?)?;
    let line = StatusLine {
        version: match response.version? {
            0 => Version::Http10,
            _ => Version::Http11,
        },
        status: response.code.filter(|&code| code >= 100)?,
        reason: line.get(REASON - 1..)?.strip_prefix(b" ")?,
    };
    let fields = Fields::from_table(table);
    let mut survey = Survey::default();
    if !survey.read_table(head, table) {
        return None;
    }
    let parsed = Parsed {
        line,
        fields,
        survey,
    };
    Some((parsed, end))
}

/// The slow path: names the defect, or accepts what the fast path does not: HTTP/1.2 to 1.9, and a status
/// without the space behind it.
#[cold]
pub(super) fn parse_slowly(bytes: &[u8], max: usize) -> Result<Parsed<'_>, Error> {
    let (line, rest) = split_line(bytes)?.ok_or(Error::Unterminated)?;
    let line = StatusLine::parse(line)?;
    let section = rest.strip_suffix(b"\r\n").ok_or(Error::Unterminated)?;
    let fields = parse_fields(section, max)?;
    Ok(Parsed {
        line,
        fields,
        survey: Survey::of_fields(fields),
    })
}
