//! The head of a request: request line and fields.

use core::fmt;
use core::mem::MaybeUninit;

use super::error::Error;
use super::fields::{Fields, parse_fields, split_line, tokens};
use super::framing::{Framing, framing};
use super::grammar::host_and_port;
use super::request_line::{RequestLine, TargetForm, Version, absolute_authority};

/// How much of a head is accepted (RFC 9110 section 2.3, RFC 6585 section 5).
///
/// | limit | default | nginx | Apache | Node | hyper | CPython |
/// | --- | --- | --- | --- | --- | --- | --- |
/// | request line | 8 KiB | 8 KiB | 8 KiB | within head | 64 KiB of target | 64 KiB |
/// | head | 32 KiB | 1 KiB + 4 × 8 KiB | 100 × 8 KiB | 16 KiB | 400 KiB | 100 × 64 KiB |
/// | fields | 100 | within head | 100 | 2000 | 100 | 99 |
#[derive(Debug, Clone)]
pub struct HeadLimits {
    /// Bytes of the request line without its CRLF, else 414: RFC 9112 section 3 recommends at least 8000.
    pub request_line: usize,
    /// Bytes of the whole head with its empty line, else 431: room for large cookies, and all the memory
    /// that a client gets before it has said what it wants.
    pub head: usize,
    /// Number of fields, else 431: bounds the work per request. At most [`MAX_FIELDS`].
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        HeadLimits {
            request_line: 8 * 1024,
            head: 32 * 1024,
            fields: 100,
        }
    }
}

impl HeadLimits {
    /// The largest index of the LF that ends the request line.
    #[inline]
    pub(super) fn request_line_room(&self) -> usize {
        self.request_line
            .saturating_add(1)
            .min(self.head.saturating_sub(1))
    }

    fn fields_room(&self) -> usize {
        self.fields.min(MAX_FIELDS)
    }
}

/// How many fields a [`FieldStorage`] has room for, whatever [`HeadLimits::fields`] says.
pub const MAX_FIELDS: usize = 128;

/// Room for the fields of one head, to be kept on the stack; it costs nothing until it is filled.
pub struct FieldStorage<'b>([MaybeUninit<httparse::Header<'b>>; MAX_FIELDS]);

impl FieldStorage<'_> {
    /// Room for [`MAX_FIELDS`] fields.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        FieldStorage([const { MaybeUninit::uninit() }; MAX_FIELDS])
    }
}

impl Default for FieldStorage<'_> {
    #[inline]
    fn default() -> Self {
        FieldStorage::new()
    }
}

impl fmt::Debug for FieldStorage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldStorage").finish_non_exhaustive()
    }
}

/// What the client expects before it sends its content (RFC 9110 section 10.1.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Expect {
    /// Nothing, or nothing that counts: HTTP/1.0, or a request without content.
    #[default]
    None,
    /// `100-continue`: the client waits for [`CONTINUE`](super::CONTINUE), or for a final answer.
    Continue,
    /// Something that nobody knows: answer 417.
    Unknown,
}

/// The head of a request, all of it borrowed from the bytes it was parsed from (RFC 9112 section 2.1).
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method, case-sensitive, any token (RFC 9110 section 9.1).
    pub method: &'a str,
    /// The request target as it came: printable ASCII without `#` (RFC 9112 section 3.2).
    pub target: &'a str,
    /// Which of the four forms the target has.
    pub target_form: TargetForm,
    /// The version; what is above 1.1 counts as 1.1.
    pub version: Version,
    /// The fields in order of arrival.
    pub fields: Fields<'a>,
    /// How the content ends.
    pub framing: Framing,
    /// Whether the client would send another request on this connection (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// Whether the client waits before it sends its content.
    pub expect: Expect,
}

impl<'a> Head<'a> {
    /// Parses the head that `bytes` consists of, from request line to empty line (RFC 9112 sections 2 to 6).
    ///
    /// `bytes` is what [`Scanner::scan`](super::Scanner::scan) delimited. The sizes were limited there;
    /// here [`HeadLimits::fields`] is.
    ///
    /// # Errors
    ///
    /// The first defect in this order: request line, fields from top to bottom, Host, framing.
    pub fn parse<'b: 'a>(
        bytes: &'b [u8],
        storage: &'a mut FieldStorage<'b>,
        limits: &HeadLimits,
    ) -> Result<Head<'a>, Error> {
        match parse_fast(bytes, storage, limits.fields_room()) {
            Some((parsed, end)) if end == bytes.len() => Head::assemble(parsed),
            _ => Head::parse_slowly(bytes, limits),
        }
    }

    /// Reads the head that `input` starts with, if it is complete, well-formed and within the limits.
    ///
    /// What [`Scanner::head`](super::Scanner::head) tries first: for a head that comes in one piece, as
    /// almost all do, the search for its end is saved.
    #[inline(always)]
    pub(super) fn try_parse<'b: 'a>(
        input: &'b [u8],
        storage: &'a mut FieldStorage<'b>,
        limits: &HeadLimits,
    ) -> Option<(Parsed<'a>, usize)> {
        let within = input.get(..limits.head).unwrap_or(input);
        let (parsed, end) = parse_fast(within, storage, limits.fields_room())?;
        // Two spaces and the eight bytes of the version complete the line.
        let line_length = parsed.line.method.len() + parsed.line.target.len() + 10;
        (line_length <= limits.request_line).then_some((parsed, end))
    }

    /// As [`Head::parse`], without the fast path: for a head that is known to be unusual.
    #[cold]
    pub(super) fn parse_slowly(bytes: &'a [u8], limits: &HeadLimits) -> Result<Head<'a>, Error> {
        Head::assemble(parse_slowly(bytes, limits.fields_room())?)
    }

    /// The authority that the request is for: that of an absolute or authority target, else Host.
    ///
    /// An absolute-form overrules Host (RFC 9112 section 3.2.2). Absent only in HTTP/1.0.
    #[must_use]
    pub fn authority(&self) -> Option<&'a str> {
        let authority = match self.target_form {
            TargetForm::Authority => Some(self.target.as_bytes()),
            TargetForm::Absolute => absolute_authority(self.target.as_bytes()),
            TargetForm::Origin | TargetForm::Asterisk => self.fields.get("host"),
        };
        authority.and_then(|authority| core::str::from_utf8(authority).ok())
    }

    /// Draws the conclusions from a head that is syntactically good.
    #[inline(always)]
    pub(super) fn assemble(parsed: Parsed<'a>) -> Result<Head<'a>, Error> {
        let Parsed {
            line,
            fields,
            survey,
        } = parsed;
        let RequestLine {
            method,
            target,
            target_form,
            version,
        } = line;
        survey.check_host(version)?;
        let framing = if survey.repeated {
            let lengths = fields.get_all("content-length");
            framing(version, lengths, fields.get_all("transfer-encoding"))?
        } else {
            framing(version, survey.content_length, survey.transfer_encoding)?
        };
        // RFC 9110 section 10.1.1: ignored in 1.0, and pointless where no content follows.
        let expect = match survey.expect {
            _ if version < Version::Http11 => Expect::None,
            Expect::Continue if framing.is_empty() => Expect::None,
            expect => expect,
        };
        // RFC 9112 section 9.3: close wins, 1.1 persists by default, 1.0 only if asked to.
        let keep_alive = !survey.close && (version >= Version::Http11 || survey.keep_alive);
        Ok(Head {
            method,
            target,
            target_form,
            version,
            fields,
            framing,
            keep_alive,
            expect,
        })
    }
}

/// What a parser found.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    line: RequestLine<'a>,
    fields: Fields<'a>,
    survey: Survey<'a>,
}

/// The fast path: `httparse`, less what it lets pass and we do not; and how many bytes the head has.
/// `None`: ask the slow path.
///
/// Inlined by force, as are its neighbours: moving the parsed parts from frame to frame would cost a third
/// of what parsing a small head does.
#[inline(always)]
pub(super) fn parse_fast<'a, 'b: 'a>(
    bytes: &'b [u8],
    storage: &'a mut FieldStorage<'b>,
    max: usize,
) -> Option<(Parsed<'a>, usize)> {
    let mut request = httparse::Request::new(&mut []);
    let room = storage.0.get_mut(..max)?;
    let httparse::Status::Complete(end) = request.parse_with_uninit_headers(bytes, room).ok()?
    else {
        return None;
    };
    let (method, target) = (request.method?, request.path?);
    let version = if request.version? == 0 {
        Version::Http10
    } else {
        Version::Http11
    };
    let table: &'a [httparse::Header<'b>] = request.headers;
    let head = bytes.get(..end)?;
    // `httparse` takes LF for CRLF. The two bytes before each name end the line before it, the last
    // four of the head the last two lines.
    if offset(head, method) != 0 || !head.ends_with(b"\r\n\r\n") || !is_plain(target) {
        return None;
    }
    let mut survey = Survey::default();
    for field in table {
        let start = offset(head, field.name);
        if head.get(start.wrapping_sub(2)..start) != Some(b"\r\n") {
            return None;
        }
        survey.note(field.name, field.value);
    }
    let target_form = TargetForm::of(method, target).ok()?;
    let line = RequestLine {
        method,
        target,
        target_form,
        version,
    };
    let fields = Fields::from_table(table);
    let parsed = Parsed {
        line,
        fields,
        survey,
    };
    Some((parsed, end))
}

/// Where in `bytes` its part `text` lies.
#[inline]
fn offset(bytes: &[u8], text: &str) -> usize {
    (text.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize)
}

/// Whether a target that `httparse` accepts has neither a fragment nor a byte beyond ASCII.
#[inline]
fn is_plain(target: &str) -> bool {
    let odd = |byte: u8| (byte == b'#') | (byte >= 0x80);
    !target.bytes().fold(false, |found, byte| found | odd(byte))
}

/// The slow path: names the defect, or accepts what `httparse` does not know, which is HTTP/1.2 to 1.9.
#[cold]
pub(super) fn parse_slowly(bytes: &[u8], max: usize) -> Result<Parsed<'_>, Error> {
    let (line, rest) = split_line(bytes)?.ok_or(Error::Unterminated)?;
    let line = RequestLine::parse(line)?;
    let section = rest.strip_suffix(b"\r\n").ok_or(Error::Unterminated)?;
    let fields = parse_fields(section, max)?;
    let mut survey = Survey::default();
    for (name, value) in fields {
        survey.note(name, value);
    }
    Ok(Parsed {
        line,
        fields,
        survey,
    })
}

/// The fields that say something about the request as such, picked out in one pass.
#[derive(Debug, Default)]
struct Survey<'a> {
    host: Option<&'a [u8]>,
    hosts: usize,
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    /// Whether Content-Length or Transfer-Encoding came more than once.
    repeated: bool,
    close: bool,
    keep_alive: bool,
    expect: Expect,
}

impl<'a> Survey<'a> {
    /// The length rules out almost every name at the cost of one comparison.
    #[inline]
    fn note(&mut self, name: &str, value: &'a [u8]) {
        match name.len() {
            4 if is(name, "Host") => {
                self.hosts += 1;
                self.host = Some(value);
            }
            6 if is(name, "Expect") => self.note_expect(value),
            10 if is(name, "Connection") => self.note_connection(value),
            14 if is(name, "Content-Length") => {
                self.repeated |= self.content_length.replace(value).is_some();
            }
            17 if is(name, "Transfer-Encoding") => {
                self.repeated |= self.transfer_encoding.replace(value).is_some();
            }
            _ => {}
        }
    }

    #[inline]
    fn note_connection(&mut self, value: &[u8]) {
        // The two values that are seen most; the list below would find the same.
        match value {
            b"keep-alive" => self.keep_alive = true,
            b"close" => self.close = true,
            _ => {
                for option in tokens(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
        }
    }

    #[cold]
    fn note_expect(&mut self, value: &[u8]) {
        for expectation in tokens(value) {
            let known = expectation.eq_ignore_ascii_case(b"100-continue");
            self.expect = match self.expect {
                Expect::None | Expect::Continue if known => Expect::Continue,
                _ => Expect::Unknown,
            };
        }
    }

    /// RFC 9112 section 3.2: one valid Host; HTTP/1.0 may leave it out.
    #[inline]
    fn check_host(&self, version: Version) -> Result<(), Error> {
        match self.host {
            Some(_) if self.hosts > 1 => Err(Error::RepeatedHost),
            Some(host) => host_and_port(host).map(|_| ()).ok_or(Error::Host),
            None if version >= Version::Http11 => Err(Error::MissingHost),
            None => Ok(()),
        }
    }
}

/// Whether `name` is `usual` in some case; the usual spelling is one comparison.
#[inline]
fn is(name: &str, usual: &str) -> bool {
    name == usual || name.eq_ignore_ascii_case(usual)
}
