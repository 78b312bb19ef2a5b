//! `multipart/form-data`, in pieces of any size (RFC 7578, RFC 2046 section 5.1).
//!
//! A body is text before the first delimiter, then parts, then text after the last delimiter. The
//! delimiter is the line end before a boundary together with the boundary: `CR LF -- boundary`. So the
//! first delimiter of a body, whose line end may be missing, and that of a part without content, which
//! may share the line end of the empty line, are found as if the line end had come before.
//!
//! ```text
//!          ┌─────────── delimiter ────────────┐
//!          ▼                                  │
//!   Text (before) ──► Delimiter ── CR LF ──► Head ──► Text (of a part)
//!                         └─ "--" ──► Closing ──► After
//! ```
//!
//! No part of the content is kept. A piece may end inside a delimiter: then the number of its bytes is
//! noted, and if it was none after all, they are taken from the delimiter itself. A CR stands only at
//! the beginning of a delimiter, so a failed attempt never hides another one.

use std::borrow::Cow;
use std::mem;
use std::ops::Range;

use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

use super::disposition::names;
use super::error::FormError;
use super::media_type::parameters_of;
use crate::http::h1::{self, Fields, parse_fields};

/// Limits on a form of the type `multipart/form-data`. All defaults are finite ([FORM-5]).
///
/// [FORM-5]: crate::spec#form-5
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MultipartLimits {
    /// How many parts the form may have: 1000, as in Django and werkzeug. Else 413.
    pub parts: usize,
    /// How many bytes the head of a part may have: 8 KiB. Else 431. As much text may stand before the
    /// first and after the last part.
    pub head: usize,
    /// How many fields the head of a part may have: 16. Browsers send two. Else 431.
    pub fields: usize,
    /// How many bytes the content of a part may have: 1 GiB, as in
    /// [`Limits::upload`](crate::http::Limits::upload). Else 413.
    pub part: u64,
    /// How many bytes the contents of all parts may have: 1 GiB. Else 413.
    pub total: u64,
    /// How many files [`Response::receive_form`](crate::http::Response::receive_form) stores: 100, as in
    /// Django. Else 413.
    pub files: usize,
    /// How many bytes of names and values `receive_form` keeps in memory: 1 MiB, as
    /// [`Limits::body`](crate::http::Limits::body). Each part counts 128 bytes more. Else 413. They
    /// also count for [`Limits::bodies`](crate::http::Limits::bodies).
    pub texts: usize,
}

impl Default for MultipartLimits {
    fn default() -> MultipartLimits {
        MultipartLimits {
            parts: 1000,
            head: 8 * 1024,
            fields: 16,
            part: 1 << 30,
            total: 1 << 30,
            files: 100,
            texts: 1 << 20,
        }
    }
}

/// Reads a form of the type `multipart/form-data` from pieces of any size ([FORM-3]).
///
/// It does no I/O. It keeps the head of one part, of at most [`MultipartLimits::head`] bytes, and no
/// content, so a file may be larger than memory. The parts do not depend on how the body is cut.
///
/// ```
/// use serve_forever::http::{Multipart, MultipartEvent};
///
/// let body = b"--xyz\r\nContent-Disposition: form-data; name=\"greeting\"\r\n\r\nhello\r\n--xyz--\r\n";
/// let mut form = Multipart::new("multipart/form-data; boundary=xyz")?;
/// let mut found = String::new();
/// for piece in body.chunks(7) {
///     let mut rest = piece;
///     while let Some(event) = form.next_event(&mut rest)? {
///         match event {
///             MultipartEvent::Part(part) => found += &format!("{}: ", part.name()),
///             MultipartEvent::Data(data) => found += &String::from_utf8_lossy(data),
///             MultipartEvent::PartEnd => found += ".",
///         }
///     }
/// }
/// form.finish()?;
/// assert_eq!(found, "greeting: hello.");
/// # Ok::<(), serve_forever::http::FormError>(())
/// ```
///
/// It is strict: what two programs could read in two ways is refused. [`Response::receive_form`] puts
/// the files of a form into a directory.
///
/// [`Response::receive_form`]: crate::http::Response::receive_form
/// [FORM-3]: crate::spec#form-3
#[derive(Debug, Clone)]
pub struct Multipart {
    /// Finds the delimiter.
    finder: Finder<'static>,
    /// The limits.
    pub(super) limits: MultipartLimits,
    /// Where in the body we are.
    state: State,
    /// The head of the part, as far as it has arrived; whole, it is without its empty line.
    head: Vec<u8>,
    /// How many parts have begun.
    parts: usize,
    /// Bytes of this part's content.
    part: u64,
    /// Bytes of all contents.
    total: u64,
    /// Bytes of text outside of the parts.
    outside: usize,
}

/// A step in a form.
#[derive(Debug, Clone)]
pub enum MultipartEvent<'a> {
    /// A part begins.
    Part(Part<'a>),
    /// The next bytes of its content, as many as happened to arrive. They are never empty.
    Data(&'a [u8]),
    /// The part has ended.
    PartEnd,
}

/// The head of one part of a form: a field, or a file.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// Its name.
    name: Cow<'a, str>,
    /// The name of its file.
    filename: Option<Cow<'a, str>>,
    /// All its header fields.
    headers: Fields<'a>,
}

/// Where in the body we are; see the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the content of a part, or before the first delimiter.
    Text {
        /// Whether this is the content of a part.
        inside: bool,
        /// How many bytes of the delimiter were there when the last piece ended.
        matched: usize,
        /// How many of them are not text: the line end that came before.
        assumed: usize,
    },
    /// Behind a delimiter.
    Delimiter(Line),
    /// In the head of a part.
    Head,
    /// Behind the last delimiter and its two hyphens.
    Closing(Line),
    /// Behind the line of the last delimiter.
    After,
    /// The form was refused.
    Refused(FormError),
}

/// How far the line of a delimiter has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Nothing or only whitespace follows.
    Blank,
    /// Nothing at all follows, so there may be hyphens.
    Bare,
    /// A hyphen follows.
    Hyphen,
    /// A CR follows.
    Cr,
}

/// The result of a step, without borrowing from the form.
enum Step<'i> {
    /// Look again.
    Again,
    /// All input is taken.
    Pause,
    /// The head of a part is whole.
    Head,
    /// Content from the input.
    Data(&'i [u8]),
    /// Content that was taken for the beginning of a delimiter.
    Held(Range<usize>),
    /// A part has ended.
    PartEnd,
}

/// The line end of a delimiter.
const LINE_END: usize = 2;

impl Multipart {
    /// Begins a form whose body has this `Content-Type`.
    ///
    /// # Errors
    ///
    /// Returns [`FormError::MediaType`] if it is not `multipart/form-data`, and
    /// [`FormError::Boundary`] if it has no boundary, or one outside of RFC 2046 section 5.1.1.
    pub fn new(content_type: &str) -> Result<Multipart, FormError> {
        let parameters = parameters_of(content_type.as_bytes(), "multipart/form-data");
        let parameters = parameters.ok_or(FormError::MediaType)?;
        let boundary = match parameters.get("boundary") {
            Ok(Some(boundary)) if is_boundary(&boundary) => boundary,
            _ => return Err(FormError::Boundary),
        };
        let delimiter = [b"\r\n--", &*boundary].concat();
        Ok(Multipart {
            finder: Finder::new(&delimiter).into_owned(),
            limits: MultipartLimits::default(),
            state: State::text(false),
            head: Vec::new(),
            parts: 0,
            part: 0,
            total: 0,
            outside: 0,
        })
    }

    /// Sets other limits.
    #[must_use]
    pub fn limits(mut self, limits: MultipartLimits) -> Multipart {
        self.limits = limits;
        self
    }

    /// Takes some of `input` off, and returns what happens there. `None` if all input is taken: call
    /// it again when there is more.
    ///
    /// # Errors
    ///
    /// Returns an error if the form is malformed or exceeds a limit, and from then on always the
    /// same. Respond with its [`status`](FormError::status).
    pub fn next_event<'m, 'i: 'm>(
        &'m mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<MultipartEvent<'m>>, FormError> {
        loop {
            let step = self.step(input);
            return Ok(Some(match step {
                Ok(Step::Again) => continue,
                Ok(Step::Pause) => return Ok(None),
                Ok(Step::Data(data)) => MultipartEvent::Data(data),
                Ok(Step::Held(range)) => MultipartEvent::Data(&self.finder.needle()[range]),
                Ok(Step::PartEnd) => MultipartEvent::PartEnd,
                Ok(Step::Head) => match Part::parse(&self.head, &self.limits) {
                    Ok(part) => MultipartEvent::Part(part),
                    Err(error) => {
                        self.state = State::Refused(error);
                        return Err(error);
                    }
                },
                Err(error) => {
                    self.state = State::Refused(error);
                    return Err(error);
                }
            }));
        }
    }

    /// Checks that the body has come to its end: call it when there is no more input.
    ///
    /// # Errors
    ///
    /// Returns [`FormError::Truncated`] if the last delimiter has not arrived, and the error of
    /// [`next_event`](Self::next_event) if there was one.
    pub fn finish(&self) -> Result<(), FormError> {
        match self.state {
            // What if the last line is not complete? Nothing depends on the rest of it.
            State::Closing(_) | State::After => Ok(()),
            State::Refused(error) => Err(error),
            _ => Err(FormError::Truncated),
        }
    }

    fn step<'i>(&mut self, input: &mut &'i [u8]) -> Result<Step<'i>, FormError> {
        match self.state {
            State::Refused(error) => Err(error),
            _ if input.is_empty() => Ok(Step::Pause),
            State::Text {
                inside, matched: 0, ..
            } => self.text(inside, input),
            State::Text {
                inside,
                matched,
                assumed,
            } => self.beginning(inside, matched, assumed, input),
            State::Delimiter(line) => self.line(line, input),
            State::Head => self.head(input),
            State::Closing(line) => self.last_line(line, input),
            State::After => self.skip(mem::take(input).len()),
        }
    }

    /// Looks for the delimiter.
    fn text<'i>(&mut self, inside: bool, input: &mut &'i [u8]) -> Result<Step<'i>, FormError> {
        let (end, matched) = match self.finder.find(input) {
            Some(0) => return Ok(self.delimiter(inside, self.finder.needle().len(), input)),
            Some(at) => (at, 0),
            None => {
                let held = self.beginning_at_the_end(input);
                (input.len() - held, held)
            }
        };
        let (text, rest) = input.split_at(end);
        *input = rest.get(matched..).unwrap_or_default();
        self.state = State::Text {
            inside,
            matched,
            assumed: 0,
        };
        match inside {
            true if text.is_empty() => Ok(Step::Again),
            true => self.count(text.len()).map(|()| Step::Data(text)),
            false => self.skip(text.len()),
        }
    }

    /// Returns how many bytes at the end of `input` may be the beginning of a delimiter.
    fn beginning_at_the_end(&self, input: &[u8]) -> usize {
        let delimiter = self.finder.needle();
        let from = input.len().saturating_sub(delimiter.len() - 1);
        let end = &input[from..];
        // A CR stands only at the beginning of a delimiter, so no earlier one can begin it.
        let beginning = memrchr(b'\r', end).map_or(&b""[..], |at| &end[at..]);
        match delimiter.starts_with(beginning) {
            true => beginning.len(),
            false => 0,
        }
    }

    /// Goes on where a piece ended inside of what may be a delimiter.
    fn beginning<'i>(
        &mut self,
        inside: bool,
        matched: usize,
        assumed: usize,
        input: &mut &'i [u8],
    ) -> Result<Step<'i>, FormError> {
        let expected = &self.finder.needle()[matched..];
        let pairs = expected.iter().zip(*input);
        let found = pairs.take_while(|(a, b)| a == b).count();
        if found == expected.len() {
            return Ok(self.delimiter(inside, found, input));
        }
        if found == input.len() {
            *input = &[];
            self.state = State::Text {
                inside,
                matched: matched + found,
                assumed,
            };
            return Ok(Step::Pause);
        }
        self.state = State::Text {
            inside,
            matched: 0,
            assumed: 0,
        };
        match (inside, matched - assumed) {
            (_, 0) => Ok(Step::Again),
            (true, held) => self.count(held).map(|()| Step::Held(assumed..matched)),
            (false, held) => self.skip(held),
        }
    }

    /// Takes a delimiter off, or the `length` bytes that are left of it.
    fn delimiter<'i>(&mut self, inside: bool, length: usize, input: &mut &'i [u8]) -> Step<'i> {
        *input = &input[length..];
        self.state = State::Delimiter(Line::Bare);
        match inside {
            true => Step::PartEnd,
            false => Step::Again,
        }
    }

    /// Reads the rest of a delimiter's line.
    fn line<'i>(&mut self, line: Line, input: &mut &'i [u8]) -> Result<Step<'i>, FormError> {
        let byte = first(input);
        self.state = match (line, byte) {
            (Line::Bare, b'-') => State::Delimiter(Line::Hyphen),
            (Line::Hyphen, b'-') => State::Closing(Line::Blank),
            (Line::Bare | Line::Blank, b' ' | b'\t') => {
                self.skip(1)?;
                State::Delimiter(Line::Blank)
            }
            (Line::Bare | Line::Blank, b'\r') => State::Delimiter(Line::Cr),
            (Line::Cr, b'\n') if self.parts == self.limits.parts => {
                return Err(FormError::TooManyFields);
            }
            (Line::Cr, b'\n') => {
                self.parts += 1;
                self.part = 0;
                self.head.clear();
                State::Head
            }
            _ => return Err(FormError::Delimiter),
        };
        Ok(Step::Again)
    }

    /// Reads the rest of the last delimiter's line.
    fn last_line<'i>(&mut self, line: Line, input: &mut &'i [u8]) -> Result<Step<'i>, FormError> {
        self.state = match (line, first(input)) {
            (Line::Cr, b'\n') => State::After,
            (Line::Cr, _) => return Err(FormError::Delimiter),
            (_, b'\r') => State::Closing(Line::Cr),
            (_, b' ' | b'\t') => return self.skip(1),
            _ => return Err(FormError::Delimiter),
        };
        Ok(Step::Again)
    }

    /// Reads a line of a part's head, or a piece of one.
    fn head<'i>(&mut self, input: &mut &'i [u8]) -> Result<Step<'i>, FormError> {
        let end = memchr(b'\n', input);
        let (line, rest) = input.split_at(end.map_or(input.len(), |end| end + 1));
        *input = rest;
        if self.head.len() + line.len() > self.limits.head + LINE_END {
            return Err(FormError::HeadTooLarge);
        }
        self.head.extend_from_slice(line);
        if end.is_none() {
            return Ok(Step::Pause);
        }
        if !self.head.ends_with(b"\r\n") {
            return Err(FormError::Head(h1::Error::BareLf));
        }
        if self.head != b"\r\n" && !self.head.ends_with(b"\r\n\r\n") {
            return Ok(Step::Again);
        }
        self.head.truncate(self.head.len() - LINE_END);
        self.state = State::text(true);
        Ok(Step::Head)
    }

    /// Counts content.
    fn count(&mut self, bytes: usize) -> Result<(), FormError> {
        self.part = self.part.saturating_add(bytes as u64);
        self.total = self.total.saturating_add(bytes as u64);
        match self.part > self.limits.part || self.total > self.limits.total {
            true => Err(FormError::TooLarge),
            false => Ok(()),
        }
    }

    /// Counts text that belongs to no part.
    fn skip<'i>(&mut self, bytes: usize) -> Result<Step<'i>, FormError> {
        self.outside = self.outside.saturating_add(bytes);
        match self.outside > self.limits.head {
            true => Err(FormError::HeadTooLarge),
            false => Ok(Step::Again),
        }
    }
}

impl State {
    /// Returns the state at the beginning of a text: a delimiter may follow at once, without its line
    /// end.
    fn text(inside: bool) -> State {
        State::Text {
            inside,
            matched: LINE_END,
            assumed: LINE_END,
        }
    }
}

impl<'a> Part<'a> {
    fn parse(head: &'a [u8], limits: &MultipartLimits) -> Result<Part<'a>, FormError> {
        let headers = parse_fields(head, limits.fields).map_err(FormError::Head)?;
        let (name, filename) = names(headers)?;
        // Nothing is decoded, so an encoding that changes the content must not pass for the content
        // (RFC 7578 section 4.7).
        let identity = |value: &[u8]| {
            let known = ["7bit", "8bit", "binary"];
            known
                .iter()
                .any(|name| value.eq_ignore_ascii_case(name.as_bytes()))
        };
        match headers.get_all("Content-Transfer-Encoding").all(identity) {
            true => Ok(Part {
                name,
                filename,
                headers,
            }),
            false => Err(FormError::Encoding),
        }
    }

    /// Returns the name of the part, which is that of the form's field.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the file, if the part is one. It is empty if the user has chosen no file.
    ///
    /// It can be any text, also `../../etc/passwd`, a line break or `con`: the client decides. Do not use
    /// it as a path. [`FormFile::safe_name`](crate::http::FormFile::safe_name) makes a name of it.
    #[must_use]
    pub fn filename(&self) -> Option<&str> {
        self.filename.as_deref()
    }

    /// Returns the media type that the client claims for the content; `text/plain` if it is `None` (RFC
    /// 7578 section 4.4).
    #[must_use]
    pub fn content_type(&self) -> Option<&'a str> {
        std::str::from_utf8(self.headers.get("Content-Type")?).ok()
    }

    /// Returns all header fields of the part.
    #[must_use]
    pub fn headers(&self) -> Fields<'a> {
        self.headers
    }
}

/// Takes the first byte off. There is one.
fn first(input: &mut &[u8]) -> u8 {
    match **input {
        [byte, ref rest @ ..] => {
            *input = rest;
            byte
        }
        [] => 0,
    }
}

/// Returns whether this is a boundary (RFC 2046 section 5.1.1).
fn is_boundary(boundary: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
    (1..=70).contains(&boundary.len())
        && boundary.iter().all(is_allowed)
        && !boundary.ends_with(b" ")
}
