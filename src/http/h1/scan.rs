//! The search for the end of a head, which comes before parsing.

use core::ops::Range;

use memchr::memchr;

use super::error::Error;
use super::head::{FieldStorage, Head, HeadLimits};
use super::request_line::RequestLine;
use super::response_head::ResponseHead;
use super::start_line::StartLine;
use super::status_line::StatusLine;

/// How many bytes of empty lines are skipped before a request line: four times CRLF.
///
/// RFC 9112 section 2.2 asks for one empty line, which old clients send after a body. A person at a
/// terminal may send a few. Without a limit, a client could keep a connection busy with empty lines alone.
const MAX_SKIPPED: usize = 8;

/// Finds the end of a head in a growing buffer and remembers how far it looked (RFC 9112 section 2.1).
///
/// One scanner serves one connection: after a head it is ready for the next one. While a head is
/// incomplete, only this search runs, and it looks at each byte once. So a slow sender costs O(n).
///
/// ```
/// use serve_forever::http::h1::{HeadLimits, Scanner};
///
/// let (mut scanner, limits) = (Scanner::default(), HeadLimits::default());
/// let input = b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\nGET /next";
/// assert_eq!(scanner.scan(&input[..20], &limits), Ok(None));
/// assert_eq!(scanner.scan(input, &limits), Ok(Some(2..29)));
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Scanner {
    /// The search goes on at this index; no head ends before it.
    looked: usize,
    /// How many bytes of empty lines precede the request line.
    skipped: u8,
    /// Whether the end of the request line lies before `looked`.
    in_fields: bool,
}

impl Scanner {
    /// Looks for a complete head in `input`.
    ///
    /// `None` asks for more bytes: append them to the same `input`, which must start at the same byte
    /// until the head is complete. The range that is returned begins after skipped empty lines and
    /// includes the empty line that ends the head. Pass its bytes to [`Head::parse`](super::Head::parse).
    ///
    /// # Errors
    ///
    /// Returns a defect that shows before the head is complete. A limit is exceeded, the request
    /// line is bad, or a line ends in a bare LF or in CR CR LF. (Some parsers read the latter as an
    /// empty line.) The verdict does not depend on how the bytes were split.
    #[inline]
    pub fn scan(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<Range<usize>>, Error> {
        self.scan_after::<RequestLine<'_>>(input, limits)
    }

    /// Like [`Scanner::scan`], but for a response.
    ///
    /// Pass the bytes of the range to [`ResponseHead::parse`](super::ResponseHead::parse). Empty lines
    /// before a response are not skipped, so the range begins at 0.
    ///
    /// # Errors
    ///
    /// Returns a defect that shows before the head is complete, as [`Scanner::scan`] does.
    #[inline]
    pub fn scan_response(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<Range<usize>>, Error> {
        self.scan_after::<StatusLine<'_>>(input, limits)
    }

    #[inline]
    fn scan_after<L: StartLine>(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<Range<usize>>, Error> {
        // Empty lines are rare. Look for them only while nothing else has arrived.
        if L::AFTER_EMPTY_LINES && self.looked == usize::from(self.skipped) {
            if let Some(b'\r' | b'\n') = input.get(self.looked) {
                self.skip_empty_lines(input)?;
            }
        }
        let start = usize::from(self.skipped);
        let (mut looked, mut in_fields) = (self.looked, self.in_fields);
        while let Some(offset) = input.get(looked..).and_then(|rest| memchr(b'\n', rest)) {
            let lf = looked + offset;
            // Only the place of the LF decides, so that any split gives the same verdict.
            if lf - start >= limits.head
                || (!in_fields && lf - start > limits.request_line_room())
                || lf == start
                || input.get(lf - 1) != Some(&b'\r')
                || lf.checked_sub(2).and_then(|index| input.get(index)) == Some(&b'\r')
            {
                return Err(refuse::<L>(
                    input.get(start..).unwrap_or_default(),
                    lf - start,
                    limits,
                ));
            }
            if in_fields && lf >= 2 && input.get(lf - 2) == Some(&b'\n') {
                *self = Scanner::default();
                return Ok(Some(start..lf + 1));
            }
            (looked, in_fields) = (lf + 1, true);
        }
        self.pause::<L>(input, limits, looked, in_fields)
    }

    /// Finds and parses the head that `input` starts with.
    ///
    /// It gives the same verdicts as [`Scanner::scan`] followed by [`Head::parse`](super::Head::parse),
    /// and is faster if the head arrives in one piece.
    ///
    /// # Errors
    ///
    /// Returns the errors of these two.
    pub fn head<'a, 'b: 'a>(
        &mut self,
        input: &'b [u8],
        storage: &'a mut FieldStorage<'b>,
        limits: &HeadLimits,
    ) -> Result<Option<(Range<usize>, Head<'a>)>, Error> {
        if self.looked > 0 {
            return match self.scan(input, limits)? {
                Some(range) => {
                    let bytes = input.get(range.clone()).unwrap_or_default();
                    Head::parse(bytes, storage, limits).map(|head| Some((range, head)))
                }
                None => Ok(None),
            };
        }
        if let Some((parsed, end)) = Head::try_parse(input, storage, limits) {
            return Ok(Some((0..end, Head::assemble(parsed)?)));
        }
        let Some(range) = self.scan(input, limits)? else {
            return Ok(None);
        };
        // The head came in one piece, but the fast path did not accept it: it is bad or unusual.
        let bytes = input.get(range.clone()).unwrap_or_default();
        Head::parse_slowly(bytes, limits).map(|head| Some((range, head)))
    }

    /// Finds and parses the head of the response that `input` starts with. `method` is the method of the
    /// request that it responds to.
    ///
    /// It gives the same verdicts as [`Scanner::scan_response`] followed by
    /// [`ResponseHead::parse`](super::ResponseHead::parse).
    ///
    /// # Errors
    ///
    /// Returns the errors of these two.
    pub fn response_head<'a, 'b: 'a>(
        &mut self,
        input: &'b [u8],
        storage: &'a mut FieldStorage<'b>,
        limits: &HeadLimits,
        method: &str,
    ) -> Result<Option<(Range<usize>, ResponseHead<'a>)>, Error> {
        if self.looked == 0 {
            if let Some((parsed, end)) = ResponseHead::try_parse(input, storage, limits) {
                return Ok(Some((0..end, ResponseHead::assemble(parsed, method)?)));
            }
        }
        let Some(range) = self.scan_response(input, limits)? else {
            return Ok(None);
        };
        let bytes = input.get(range.clone()).unwrap_or_default();
        ResponseHead::parse_slowly(bytes, limits, method).map(|head| Some((range, head)))
    }

    /// Returns whether a byte of the first line has arrived. If not, the connection is idle and not
    /// slow.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.looked > usize::from(self.skipped)
    }

    /// Skips empty lines before the request line (RFC 9112 section 2.2).
    #[cold]
    fn skip_empty_lines(&mut self, input: &[u8]) -> Result<(), Error> {
        loop {
            let skipped = usize::from(self.skipped);
            match input.get(skipped..).unwrap_or_default() {
                [b'\r' | b'\n', ..] if skipped >= MAX_SKIPPED => return Err(Error::EmptyLines),
                [b'\r', b'\n', ..] => self.skipped += 2,
                [b'\r', _, ..] => return Err(Error::Method),
                [b'\n', ..] => return Err(Error::BareLf),
                _ => break,
            }
            self.looked = usize::from(self.skipped);
        }
        Ok(())
    }

    /// Remembers how far the search got in an incomplete head, and refuses a head that is bad already.
    #[cold]
    fn pause<L: StartLine>(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
        looked: usize,
        in_fields: bool,
    ) -> Result<Option<Range<usize>>, Error> {
        let start = usize::from(self.skipped);
        let head = input.get(start..).unwrap_or_default();
        if !self.in_fields && in_fields {
            // The first line has just become complete. Refuse a bad one now: a peer that speaks another
            // protocol, or HTTP/0.9, may never send the empty line (HTTP-14).
            check_line::<L>(head, limits)?;
        }
        let room = if in_fields {
            limits.head
        } else {
            limits.request_line_room() + 1
        };
        if head.len() >= room.min(limits.head) {
            return Err(refuse::<L>(head, head.len(), limits));
        }
        if !in_fields && !self.may_become::<L>(head) {
            return L::beyond_repair(head).map_or(Ok(None), Err);
        }
        // A lone CR may be the first half of an empty line.
        if head != b"\r" {
            self.looked = input.len().max(looked);
        }
        self.in_fields = in_fields;
        Ok(None)
    }

    /// Returns whether an incomplete line may become a good one.
    fn may_become<L: StartLine>(&self, head: &[u8]) -> bool {
        // The last byte was looked at already, unless it was a CR.
        let seen = self.looked.saturating_sub(usize::from(self.skipped) + 1);
        // A CR at the end may become a line end. Anywhere else it is refused here.
        let line = head.strip_suffix(b"\r").unwrap_or(head);
        L::may_become(line, line.get(seen..).unwrap_or_default())
    }
}

/// Returns why a head is refused. The search for its end stopped at `end`: at an LF, or at the end
/// of the input.
///
/// A defect of the first line comes first, as it would if the bytes arrived one at a time.
#[cold]
fn refuse<L: StartLine>(head: &[u8], end: usize, limits: &HeadLimits) -> Error {
    if let Err(error) = check_line::<L>(head, limits) {
        return error;
    }
    match head.get(..end) {
        _ if end >= limits.head => Error::HeadTooLarge,
        Some([.., b'\r', b'\r']) => Error::FieldValue,
        _ => Error::BareLf,
    }
}

/// Checks the length and, as far as it goes, the syntax of the line that `head` starts with.
fn check_line<L: StartLine>(head: &[u8], limits: &HeadLimits) -> Result<(), Error> {
    let room = limits.request_line_room();
    let within = head.get(..=room).unwrap_or(head);
    if let Some(lf) = memchr(b'\n', within) {
        let line = head.get(..lf).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        return L::check(line);
    }
    // The byte after the longest line may be the CR of its end. Otherwise it is checked like the others.
    let line = head.get(..room).unwrap_or(head);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match L::beyond_repair(line) {
        Some(error) => Err(error),
        None => Err(L::too_long(line)),
    }
}
