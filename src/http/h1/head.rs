//! The head of a request: request line and fields.

use core::fmt;
use core::mem::MaybeUninit;

use super::error::Error;
use super::fields::{Fields, parse_fields, split_line};
use super::framing::{Framing, framing};
use super::request_line::{RequestLine, TargetForm, absolute_authority};
use super::start_line::Version;
use super::survey::{Expect, Survey, offset};

/// How much of a head is accepted (RFC 9110 section 2.3, RFC 6585 section 5).
///
/// | limit | default | nginx | Apache | Node | hyper | CPython |
/// | --- | --- | --- | --- | --- | --- | --- |
/// | request line | 8 KiB | 8 KiB | 8 KiB | within head | 64 KiB of target | 64 KiB |
/// | head | 32 KiB | 1 KiB + 4 × 8 KiB | 100 × 8 KiB | 16 KiB | 400 KiB | 100 × 64 KiB |
/// | fields | 100 | within head | 100 | 2000 | 100 | 99 |
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HeadLimits {
    /// Bytes of the request line, or of a status line, without its CRLF. A longer request line gets status
    /// 414. RFC 9112 section 3 recommends at least 8000.
    pub request_line: usize,
    /// Bytes of the whole head with its empty line. A larger one gets status 431. It has room for large
    /// cookies, and it is all the memory that a client gets before its request is known.
    pub head: usize,
    /// Number of fields; more get status 431. It bounds the work per request. At most [`MAX_FIELDS`].
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
    /// Returns the largest index of the LF that ends the request line.
    #[inline]
    pub(super) fn request_line_room(&self) -> usize {
        self.request_line
            .saturating_add(1)
            .min(self.head.saturating_sub(1))
    }

    pub(super) fn fields_room(&self) -> usize {
        self.fields.min(MAX_FIELDS)
    }
}

/// How many fields a [`FieldStorage`] has room for. A larger [`HeadLimits::fields`] has no effect.
pub const MAX_FIELDS: usize = 128;

/// Room for the fields of one head. Keep it on the stack; it costs nothing until it is filled.
pub struct FieldStorage<'b>([MaybeUninit<httparse::Header<'b>>; MAX_FIELDS]);

impl<'b> FieldStorage<'b> {
    /// Creates room for [`MAX_FIELDS`] fields.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        FieldStorage([const { MaybeUninit::uninit() }; MAX_FIELDS])
    }

    /// Returns room for at most `max` fields.
    #[inline(always)]
    pub(super) fn room(&mut self, max: usize) -> Option<&mut [MaybeUninit<httparse::Header<'b>>]> {
        self.0.get_mut(..max)
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

/// The head of a request, all of it borrowed from the bytes it was parsed from (RFC 9112 section 2.1).
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method: any token, case-sensitive (RFC 9110 section 9.1).
    pub method: &'a str,
    /// The request target as the client sent it: printable ASCII without `#` (RFC 9112 section 3.2).
    pub target: &'a str,
    /// Which of the four forms the target has.
    pub target_form: TargetForm,
    /// The version. HTTP/1.2 to 1.9 count as 1.1.
    pub version: Version,
    /// The fields in order of arrival.
    pub fields: Fields<'a>,
    /// How the content ends.
    pub framing: Framing,
    /// Whether the client may send another request on this connection (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// The response that the client expects before it sends its content.
    pub expect: Expect,
}

impl<'a> Head<'a> {
    /// Parses a complete head, from request line to empty line (RFC 9112 sections 2 to 6).
    ///
    /// `bytes` is exactly the range that [`Scanner::scan`](super::Scanner::scan) returned. `scan` has
    /// already checked the limits in bytes; this function checks [`HeadLimits::fields`].
    ///
    /// # Errors
    ///
    /// Returns the first defect in this order: request line, fields from top to bottom, Host, framing.
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
    /// [`Scanner::head`](super::Scanner::head) tries this first. Almost every head arrives in one piece,
    /// and then no separate search for its end is needed.
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

    /// Like [`Head::parse`], but without the fast path, for a head that the fast path did not accept. It
    /// needs no storage, so the head borrows nothing but the bytes.
    #[cold]
    pub(super) fn parse_slowly(bytes: &'a [u8], limits: &HeadLimits) -> Result<Head<'a>, Error> {
        Head::assemble(parse_slowly(bytes, limits.fields_room())?)
    }

    /// Returns the host, and perhaps the port, that the request is for.
    ///
    /// It comes from the target if that has an authority, and else from Host: an absolute-form overrules
    /// Host (RFC 9112 section 3.2.2). It is absent only in HTTP/1.0.
    #[must_use]
    pub fn authority(&self) -> Option<&'a str> {
        let authority = match self.target_form {
            TargetForm::Authority => Some(self.target.as_bytes()),
            TargetForm::Absolute => absolute_authority(self.target.as_bytes()),
            TargetForm::Origin | TargetForm::Asterisk => self.fields.get("host"),
        };
        authority.and_then(|authority| core::str::from_utf8(authority).ok())
    }

    /// Derives Host check, framing, expectation and keep-alive from a head whose syntax is correct.
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
        let framing = if survey.has_no_framing() {
            Framing::Empty
        } else if survey.repeated {
            let lengths = fields.get_all("content-length");
            framing(version, lengths, fields.get_all("transfer-encoding"))?
        } else {
            framing(version, survey.content_length, survey.transfer_encoding)?
        };
        // RFC 9110 section 10.1.1: ignored in HTTP/1.0, and without effect if no content follows.
        let expect = match survey.expect {
            _ if version < Version::Http11 => Expect::None,
            Expect::Continue if framing.is_empty() => Expect::None,
            expect => expect,
        };
        let keep_alive = survey.keep_alive(version);
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

/// A head whose syntax is correct, before [`Head::assemble`] derives anything from it.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    /// The request line, taken apart.
    line: RequestLine<'a>,
    /// All fields.
    fields: Fields<'a>,
    /// The fields that the codec itself reads.
    survey: Survey<'a>,
}

/// The fast path: `httparse`, with checks for what it accepts and we do not. Also returns how many
/// bytes the head has. `None` means that the slow path must decide.
///
/// `inline(always)`, here and next to it: moving the parsed parts from frame to frame would add a
/// third to the time for a small head.
#[inline(always)]
pub(super) fn parse_fast<'a, 'b: 'a>(
    bytes: &'b [u8],
    storage: &'a mut FieldStorage<'b>,
    max: usize,
) -> Option<(Parsed<'a>, usize)> {
    let mut request = httparse::Request::new(&mut []);
    let room = storage.room(max)?;
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
    if offset(head, method.as_bytes()) != 0 || !is_plain(target) {
        return None;
    }
    let mut survey = Survey::default();
    if !survey.read_table(head, table) {
        return None;
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

/// Returns whether a target that `httparse` accepts has neither a fragment nor a byte beyond ASCII.
///
/// It looks at eight bytes at once: most targets are too short for the vectors that the compiler would
/// choose.
#[inline]
fn is_plain(target: &str) -> bool {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
    const HASHES: u64 = u64::from_ne_bytes([b'#'; 8]);
    let mut words = target.as_bytes().chunks_exact(8);
    let mut odd = 0;
    for word in &mut words {
        let word = word.try_into().map_or(u64::MAX, u64::from_ne_bytes);
        // Subtracting one sets the high bit of a byte that is zero, which is where a hash was. It also
        // sets that of some bytes beyond ASCII.
        odd |= word | (word ^ HASHES).wrapping_sub(ONES);
    }
    let rest_is_plain = |byte: &u8| *byte != b'#' && *byte < 0x80;
    odd & HIGH_BITS == 0 && words.remainder().iter().all(rest_is_plain)
}

/// The slow path: names the defect, or accepts HTTP/1.2 to 1.9, which `httparse` does not know.
#[cold]
pub(super) fn parse_slowly(bytes: &[u8], max: usize) -> Result<Parsed<'_>, Error> {
    let (line, rest) = split_line(bytes)?.ok_or(Error::Unterminated)?;
    let line = RequestLine::parse(line)?;
    let section = rest.strip_suffix(b"\r\n").ok_or(Error::Unterminated)?;
    let fields = parse_fields(section, max)?;
    Ok(Parsed {
        line,
        fields,
        survey: Survey::of_fields(fields),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// A target is read in words of eight bytes: a bad byte is found at each place of a word, and in what is
    /// left behind the last word.
    #[test]
    fn a_target_is_plain_or_not_wherever_the_byte_is() {
        let limits = HeadLimits::default();
        for length in 1..20 {
            for place in 1..length {
                let letters = ["a", "\"", "#", "$", "~", "\u{80}", "\u{ff}", "\u{10ffff}"];
                let letters = letters.map(str::as_bytes);
                for letter in letters.into_iter().chain([&[0x80][..], &[0xff]]) {
                    let mut target = vec![b'/'; length];
                    target.splice(place..=place, letter.iter().copied());
                    let head = [b"GET ", &target[..], b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
                    let mut storage = FieldStorage::new();
                    let parsed = Head::parse(&head, &mut storage, &limits).map(|head| head.target);
                    let plain = letter.is_ascii() && letter != b"#";
                    let expected = match plain {
                        true => Ok(core::str::from_utf8(&target).unwrap_or_default()),
                        false => Err(Error::Target),
                    };
                    assert_eq!(parsed, expected, "{}", head.escape_ascii());
                }
            }
        }
    }
}
