//! Where the head ends: the search that comes before parsing.

use core::ops::Range;

use memchr::memchr;

use super::error::Error;
use super::grammar::is_tchar;
use super::head::{FieldStorage, Head, HeadLimits};
use super::request_line::{RequestLine, beyond_repair};

/// Bytes of empty lines skipped before a request line: four times CRLF.
///
/// RFC 9112 section 2.2 asks for one, which old clients send after a body; a hand at a terminal may
/// send a few. Any number would let a client keep a connection busy without ever sending a request.
const MAX_SKIPPED: usize = 8;

/// Finds the end of a head in a growing buffer and remembers how far it looked (RFC 9112 section 2.1).
///
/// One scanner serves one connection: having found a head it is ready for the next one. Only this search
/// is done while a head is incomplete, and each byte is looked at once, so a slow sender costs O(n).
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
    /// No head ends before this index.
    looked: usize,
    /// Bytes of empty lines before the request line.
    skipped: u8,
    /// Whether the end of the request line lies before `looked`.
    in_fields: bool,
}

impl Scanner {
    /// Looks for a complete head in `input`, which starts at the same byte until the head is complete.
    ///
    /// `None` asks for more bytes. The range starts after skipped empty lines and ends past the empty line
    /// that ends the head; it is what [`Head::parse`](super::Head::parse) wants.
    ///
    /// # Errors
    ///
    /// What can be said before the head is complete: a limit is exceeded, a line ends in a bare LF or in
    /// CR CR LF, which an empty line may have been meant to be, or the request line is bad. The verdict does not depend on how the bytes were split.
    #[inline]
    pub fn scan(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<Range<usize>>, Error> {
        // Leading line ends are rare, and only looked for while nothing else has come.
        if self.looked == usize::from(self.skipped) {
            if let Some(b'\r' | b'\n') = input.get(self.looked) {
                self.skip_empty_lines(input)?;
            }
        }
        let start = usize::from(self.skipped);
        let (mut looked, mut in_fields) = (self.looked, self.in_fields);
        while let Some(offset) = input.get(looked..).and_then(|rest| memchr(b'\n', rest)) {
            let lf = looked + offset;
            // Judged by where the LF is alone, so that any split gives the same verdict.
            if lf - start >= limits.head
                || (!in_fields && lf - start > limits.request_line_room())
                || lf == start
                || input.get(lf - 1) != Some(&b'\r')
                || lf.checked_sub(2).and_then(|index| input.get(index)) == Some(&b'\r')
            {
                return Err(refuse(
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
        self.pause(input, limits, looked, in_fields)
    }

    /// Finds and parses the head that `input` starts with: [`Scanner::scan`] and then
    /// [`Head::parse`](super::Head::parse), with their verdicts and at less cost for a head that comes in
    /// one piece.
    ///
    /// # Errors
    ///
    /// Those of the two.
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
        // It came in one piece and was not taken above: it is bad, or odd.
        let bytes = input.get(range.clone()).unwrap_or_default();
        Head::parse_slowly(bytes, limits).map(|head| Some((range, head)))
    }

    /// Whether a byte of a request line has been seen: what separates an idle connection from a slow one.
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

    /// The head is not complete: notes how far we got, and refuses what can be refused already.
    #[cold]
    fn pause(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
        looked: usize,
        in_fields: bool,
    ) -> Result<Option<Range<usize>>, Error> {
        let start = usize::from(self.skipped);
        let head = input.get(start..).unwrap_or_default();
        if !self.in_fields && in_fields {
            // The request line came to its end just now. Refusing a bad one without waiting for the empty
            // line answers peers that speak another protocol, or HTTP/0.9 (HTTP-14).
            check_request_line(head, limits)?;
        }
        let room = if in_fields {
            limits.head
        } else {
            limits.request_line_room() + 1
        };
        if head.len() >= room.min(limits.head) {
            return Err(refuse(head, head.len(), limits));
        }
        if !in_fields && !self.may_become_request_line(head) {
            return beyond_repair(head).map_or(Ok(None), Err);
        }
        // A lone CR may be the first half of an empty line.
        if head != b"\r" {
            self.looked = input.len().max(looked);
        }
        self.in_fields = in_fields;
        Ok(None)
    }

    /// Whether the bytes that are new since the last look can be part of a request line at all.
    fn may_become_request_line(&self, head: &[u8]) -> bool {
        let seen = self.looked.saturating_sub(usize::from(self.skipped) + 1);
        let new = match head.get(seen..).unwrap_or_default() {
            [new @ .., b'\r'] => new,
            new => new,
        };
        head.first()
            .is_none_or(|&byte| is_tchar(byte) || head == b"\r")
            // A CR at the end may become a line end; anywhere else it is one of the bytes refused here.
            && new.iter().all(|byte| (b' '..=b'~').contains(byte))
    }
}

/// The reason to refuse a head whose search ended at `end`, where a LF is or where the input ends.
///
/// A defect of the request line comes first, as it does when the bytes come one at a time.
#[cold]
fn refuse(head: &[u8], end: usize, limits: &HeadLimits) -> Error {
    if let Err(error) = check_request_line(head, limits) {
        return error;
    }
    match head.get(..end) {
        _ if end >= limits.head => Error::HeadTooLarge,
        Some([.., b'\r', b'\r']) => Error::FieldValue,
        _ => Error::BareLf,
    }
}

/// Checks the length and, as far as it goes, the syntax of the request line that `head` starts with.
fn check_request_line(head: &[u8], limits: &HeadLimits) -> Result<(), Error> {
    let room = limits.request_line_room();
    let within = head.get(..=room).unwrap_or(head);
    if let Some(lf) = memchr(b'\n', within) {
        let line = head.get(..lf).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        return RequestLine::parse(line).map(|_| ());
    }
    // The byte after the longest line may be the CR of its end; else it is judged like the others.
    let line = head.get(..room).unwrap_or(head);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match beyond_repair(line) {
        Some(error) => Err(error),
        // RFC 9112 section 3: 501 for a method, 414 for a target longer than we wish to parse.
        None if memchr(b' ', line).is_none() => Err(Error::MethodTooLong),
        None => Err(Error::RequestLineTooLong),
    }
}
