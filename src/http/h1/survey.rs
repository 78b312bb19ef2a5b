//! The fields that the codec itself reads, in a request and in a response.

use super::error::Error;
use super::fields::{Fields, tokens};
use super::grammar::host_and_port;
use super::start_line::Version;

/// The response that the client expects before it sends its content (RFC 9110 section 10.1.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
// Exhaustive: the RFC has no further case, and whoever forgets one has a hole.
pub enum Expect {
    /// Nothing. An Expect field in HTTP/1.0 or in a request without content does not count.
    #[default]
    None,
    /// `100-continue`: the client waits for [`CONTINUE`](super::CONTINUE), or for a final response.
    Continue,
    /// An expectation that no RFC defines. Respond with status 417.
    Unknown,
}

/// The fields that the codec itself has to read, found in one pass.
#[derive(Debug, Default)]
pub(super) struct Survey<'a> {
    /// The last Host.
    host: Option<&'a [u8]>,
    /// How many Host fields there are.
    hosts: usize,
    /// The last Content-Length.
    pub(super) content_length: Option<&'a [u8]>,
    /// The last Transfer-Encoding.
    pub(super) transfer_encoding: Option<&'a [u8]>,
    /// Whether there is more than one Content-Length, or more than one Transfer-Encoding.
    pub(super) repeated: bool,
    /// Whether Connection has the option `close`.
    close: bool,
    /// Whether Connection has the option `keep-alive`.
    keep_alive: bool,
    /// The sum of all Expect fields.
    pub(super) expect: Expect,
}

impl<'a> Survey<'a> {
    /// Reads the fields of a head that `httparse` has accepted. Returns `false` if a line ends in a bare
    /// LF.
    ///
    /// `httparse` accepts a bare LF as a line end. So check every line end. The two bytes before each
    /// name end the line before it. The last four bytes of the head end the last two lines.
    #[inline(always)]
    pub(super) fn read_table(&mut self, head: &[u8], table: &[httparse::Header<'a>]) -> bool {
        for field in table {
            let start = offset(head, field.name.as_bytes());
            if head.get(start.wrapping_sub(2)..start) != Some(b"\r\n") {
                return false;
            }
            self.note(field.name, field.value);
        }
        head.ends_with(b"\r\n\r\n")
    }

    /// Reads the fields of a head that our own parser has accepted.
    pub(super) fn of_fields(fields: Fields<'a>) -> Survey<'a> {
        let mut survey = Survey::default();
        for (name, value) in fields {
            survey.note(name, value);
        }
        survey
    }

    /// Takes note of one field. One comparison, of the length, rules out almost every other name.
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
        // A shortcut for the two most frequent values; the loop would find the same.
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

    /// Returns whether there is neither a Content-Length nor a Transfer-Encoding.
    #[inline]
    pub(super) fn has_no_framing(&self) -> bool {
        self.content_length.is_none() && self.transfer_encoding.is_none()
    }

    /// Returns whether the connection can be used again after this message (RFC 9112 section 9.3): `close`
    /// wins, HTTP/1.1 persists by default, and HTTP/1.0 only if asked to.
    #[inline]
    pub(super) fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version >= Version::Http11 || self.keep_alive)
    }

    /// Checks that there is one valid Host. HTTP/1.0 may leave it out (RFC 9112 section 3.2).
    #[inline]
    pub(super) fn check_host(&self, version: Version) -> Result<(), Error> {
        match self.host {
            Some(_) if self.hosts > 1 => Err(Error::RepeatedHost),
            Some(host) => host_and_port(host).map(|_| ()).ok_or(Error::Host),
            None if version >= Version::Http11 => Err(Error::MissingHost),
            None => Ok(()),
        }
    }
}

/// Returns whether `name` is `usual` in any case. The usual spelling costs one comparison. The first
/// letter, whose cases differ in one bit, rules out almost every other name of this length.
#[inline]
fn is(name: &str, usual: &str) -> bool {
    let first = |text: &str| text.as_bytes().first().map(|byte| byte | 0x20);
    first(name) == first(usual) && (name == usual || name.eq_ignore_ascii_case(usual))
}

/// Returns the index at which `part`, a part of `bytes`, begins.
#[inline]
pub(super) fn offset(bytes: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize)
}
