//! The field lines of a head or a trailer section, as a view.

use core::fmt;
use core::ops::Range;

use memchr::memchr;

use super::error::Error;
use super::grammar::{is_tchar, is_value_byte, trim_ows};

/// The fields of a head or of a trailer section, in order of arrival (RFC 9110 section 5).
///
/// A view that can be copied: names as the client sent them, values without the whitespace around them.
///
/// ```
/// use serve_forever::http::h1::parse_fields;
///
/// let fields = parse_fields(b"Accept: a\r\nX: \xff\r\naccept: b\r\n", 100)?;
/// assert_eq!(fields.get("ACCEPT"), Some(&b"a"[..]));
/// assert_eq!(fields.get_all("accept").count(), 2);
/// assert_eq!(fields.iter().next(), Some(("Accept", &b"a"[..])));
/// # Ok::<(), serve_forever::http::h1::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Fields<'a>(Repr<'a>);

#[derive(Clone, Copy)]
enum Repr<'a> {
    /// The table that `httparse` filled.
    Table(&'a [httparse::Header<'a>]),
    /// Field lines that [`parse_fields`] has checked. The iterator takes them apart again.
    Lines { lines: &'a [u8], count: usize },
    /// A head that was parsed before, and where its fields are.
    Places {
        bytes: &'a [u8],
        places: &'a [FieldPlace],
    },
}

/// Where the name and the value of a field are.
#[derive(Debug, Clone)]
pub(super) struct FieldPlace {
    /// Where the name is.
    pub(super) name: Range<usize>,
    /// Where the value is, without the whitespace around it.
    pub(super) value: Range<usize>,
}

impl<'a> Fields<'a> {
    pub(super) fn from_places(bytes: &'a [u8], places: &'a [FieldPlace]) -> Self {
        Fields(Repr::Places { bytes, places })
    }

    pub(super) fn from_table(table: &'a [httparse::Header<'a>]) -> Self {
        Fields(Repr::Table(table))
    }

    /// Returns all fields as name and value, in order of arrival (RFC 9110 section 5.3).
    #[must_use]
    pub fn iter(&self) -> FieldIter<'a> {
        FieldIter(self.0)
    }

    /// Returns the value of the first field called `name`, in any case (RFC 9110 section 5.1).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.get_all(name).next()
    }

    /// Returns the values of all fields called `name`, in order of arrival (RFC 9110 section 5.3).
    pub fn get_all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.iter()
            .filter(move |(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Returns how many fields there are. Repeated fields count each time.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0 {
            Repr::Table(table) => table.len(),
            Repr::Lines { count, .. } => count,
            Repr::Places { places, .. } => places.len(),
        }
    }

    /// Returns whether there is no field at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Fields<'_> {
    /// Returns no fields.
    fn default() -> Self {
        Fields(Repr::Table(&[]))
    }
}

impl<'a> IntoIterator for Fields<'a> {
    type Item = (&'a str, &'a [u8]);
    type IntoIter = FieldIter<'a>;

    fn into_iter(self) -> FieldIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = self.iter().map(|(name, value)| (name, Escaped(value)));
        f.debug_map().entries(escaped).finish()
    }
}

struct Escaped<'a>(&'a [u8]);

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// The iterator of [`Fields::iter`]: name and value of each field (RFC 9110 section 5.3).
#[derive(Clone)]
pub struct FieldIter<'a>(Repr<'a>);

impl<'a> Iterator for FieldIter<'a> {
    type Item = (&'a str, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.0 {
            Repr::Table(table) => {
                let (first, rest) = table.split_first()?;
                self.0 = Repr::Table(rest);
                Some((first.name, first.value))
            }
            Repr::Lines { lines, count } => {
                let (line, rest) = split_line(lines).ok()??;
                let count = count.saturating_sub(1);
                self.0 = Repr::Lines { lines: rest, count };
                field_line(line).ok()
            }
            Repr::Places { bytes, places } => {
                let (first, places) = places.split_first()?;
                self.0 = Repr::Places { bytes, places };
                let part = |place: &Range<usize>| bytes.get(place.clone()).unwrap_or_default();
                let name = core::str::from_utf8(part(&first.name)).unwrap_or_default();
                Some((name, part(&first.value)))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = Fields(self.0).len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for FieldIter<'_> {}

impl fmt::Debug for FieldIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FieldIter").field(&Fields(self.0)).finish()
    }
}

/// Checks at most `max` field lines and returns a view of them (RFC 9112 section 5).
///
/// `section` has each line with its CRLF, but not the empty line at the end. No storage is needed, which
/// suits trailers: they are rare and short. The trailers of a [`ChunkedDecoder`](super::ChunkedDecoder)
/// always pass if `max` is its limit.
///
/// # Errors
///
/// Returns the defect of the first bad line, or [`Error::TooManyFields`].
pub fn parse_fields(section: &[u8], max: usize) -> Result<Fields<'_>, Error> {
    let (mut rest, mut count) = (section, 0);
    while let Some((line, after)) = split_line(rest)? {
        if count == max {
            return Err(Error::TooManyFields);
        }
        field_line(line)?;
        (rest, count) = (after, count + 1);
    }
    let lines = section;
    Ok(Fields(Repr::Lines { lines, count }))
}

type LineAndRest<'a> = (&'a [u8], &'a [u8]);

/// Returns the first line without its CRLF, and the rest. `None` if `bytes` is empty.
pub(super) fn split_line(bytes: &[u8]) -> Result<Option<LineAndRest<'_>>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let end = memchr(b'\n', bytes).ok_or(Error::Unterminated)?;
    match bytes.split_at_checked(end + 1) {
        Some(([line @ .., b'\r', b'\n'], rest)) => Ok(Some((line, rest))),
        _ => Err(Error::BareLf),
    }
}

// field-line = field-name ":" OWS field-value OWS
/// Splits a field line, without its CRLF, into name and value (RFC 9112 section 5).
fn field_line(line: &[u8]) -> Result<(&str, &[u8]), Error> {
    let length = line.iter().take_while(|&&byte| is_tchar(byte)).count();
    let (name, rest) = line.split_at_checked(length).ok_or(Error::FieldName)?;
    let value = match (name, rest) {
        ([], [b' ' | b'\t', ..]) => return Err(Error::FieldFold),
        (_, []) => return Err(Error::FieldColon),
        ([_, ..], [b':', value @ ..]) => trim_ows(value),
        _ => return Err(Error::FieldName),
    };
    if !value.iter().all(|&byte| is_value_byte(byte)) {
        return Err(Error::FieldValue);
    }
    let name = core::str::from_utf8(name).map_err(|_| Error::FieldName)?;
    Ok((name, value))
}

/// Returns the members of a comma-separated list, without whitespace around them and without empty
/// members (RFC 9110 section 5.6.1).
///
/// Quoted strings are not recognised: a comma inside a quoted string also separates members.
///
/// ```
/// let members: Vec<_> = serve_forever::http::h1::tokens(b" ,close,\tUpgrade ,").collect();
/// assert_eq!(members, [&b"close"[..], b"Upgrade"]);
/// ```
pub fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    value
        .split(|&byte| byte == b',')
        .map(trim_ows)
        .filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn sections() {
        type Expected<'a> = Result<&'a [(&'a str, &'a [u8])], Error>;
        let cases: [(&[u8], Expected<'_>); 22] = [
            (b"", Ok(&[])),
            (b"A: b\r\n", Ok(&[("A", b"b")])),
            (b"A:\r\n", Ok(&[("A", b"")])),
            (b"A:b:c\r\n", Ok(&[("A", b"b:c")])),
            (
                b"a:\t b \t\r\nB: c d\r\n",
                Ok(&[("a", b"b"), ("B", b"c d")]),
            ),
            (b"A: \x80\xff\xa0\r\n", Ok(&[("A", b"\x80\xff\xa0")])),
            (b"A: b", Err(Error::Unterminated)),
            (b"A: b\r", Err(Error::Unterminated)),
            (b"A: b\n", Err(Error::BareLf)),
            (b"A: b\r\n\n", Err(Error::BareLf)),
            (b"\r\n", Err(Error::FieldColon)),
            (b"A\r\n", Err(Error::FieldColon)),
            (b"A \r\n", Err(Error::FieldName)),
            (b"A : b\r\n", Err(Error::FieldName)),
            (b": b\r\n", Err(Error::FieldName)),
            (b" A: b\r\n", Err(Error::FieldFold)),
            (b"A: b\r\n\tc\r\n", Err(Error::FieldFold)),
            (b"A\xe9: b\r\n", Err(Error::FieldName)),
            (b"A: b\0\r\n", Err(Error::FieldValue)),
            (b"A: b\rc\r\n", Err(Error::FieldValue)),
            (b"A: \x7f\r\n", Err(Error::FieldValue)),
            (b"A: b\r\nC: d\r\nE: f\r\n", Err(Error::TooManyFields)),
        ];
        for (section, expected) in cases {
            let parsed = parse_fields(section, 2);
            let found = parsed.map(|fields| fields.iter().collect::<Vec<_>>());
            assert_eq!(
                found,
                expected.map(<[_]>::to_vec),
                "{}",
                section.escape_ascii()
            );
        }
    }

    #[test]
    fn look_up() -> Result<(), Error> {
        let fields = parse_fields(b"A: 1\r\nb: 2\r\na: 3\r\n", 9)?;
        assert_eq!(fields.get("B"), Some(&b"2"[..]));
        assert_eq!(fields.get("c"), None);
        assert_eq!(fields.get_all("A").collect::<Vec<_>>(), [b"1", b"3"]);
        assert_eq!(
            (fields.len(), fields.iter().len(), fields.is_empty()),
            (3, 3, false)
        );
        assert_eq!(
            alloc::format!("{fields:?}"),
            r#"{"A": "1", "b": "2", "a": "3"}"#
        );
        let mut left = fields.iter();
        left.next();
        assert_eq!(
            alloc::format!("{left:?}"),
            r#"FieldIter({"b": "2", "a": "3"})"#
        );
        Ok(())
    }
}
