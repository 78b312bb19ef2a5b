//! `application/x-www-form-urlencoded`: queries and simple forms (WHATWG URL standard, section 5).

use std::borrow::Cow;

use memchr::memchr_iter;
use percent_encoding::percent_decode;

use super::error::FormError;
use super::media_type::parameters_of;

/// How many fields a form may have. Django has the same limit.
const MAX_FIELDS: usize = 1000;

/// Returns the names and values in a query or a form; Python's `parse_qsl`, with
/// `keep_blank_values=True` ([FORM-1]).
///
/// The format is `application/x-www-form-urlencoded` as browsers write it. `&` separates fields,
/// the value follows the first `=`, `+` is a space, and the text is percent-encoded UTF-8. Bytes
/// that are not UTF-8 become U+FFFD. A name without `=` has an empty value. Empty fields are
/// skipped.
///
/// Nothing is decoded before the iterator comes to it, and only what has to be decoded is copied. So
/// there is no limit here; Python's `max_num_fields` is `take`.
///
/// ```
/// use serve_forever::http::parse_qsl;
///
/// let fields: Vec<_> = parse_qsl("q=a+b%26c&lang=%C3%A9&debug").collect();
/// assert_eq!(fields, [
///     ("q".into(), "a b&c".into()),
///     ("lang".into(), "\u{e9}".into()),
///     ("debug".into(), "".into()),
/// ]);
/// ```
///
/// [`Request::query_pairs`](super::super::Request::query_pairs) reads the query of a request, and
/// [`Request::form`](super::super::Request::form) a form that was posted.
///
/// [FORM-1]: crate::spec#form-1
pub fn parse_qsl<'a, Q>(
    query: &'a Q,
) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a, Q>
where
    Q: AsRef<[u8]> + ?Sized,
{
    let fields = query.as_ref().split(|&byte| byte == b'&');
    fields.filter(|field| !field.is_empty()).map(|field| {
        let mut halves = field.splitn(2, |&byte| byte == b'=');
        let mut half = || unquote_plus(halves.next().unwrap_or_default());
        (half(), half())
    })
}

/// Returns the names and values in the body of a request, if its `Content-Type` says that it is such
/// a form ([FORM-2]).
///
/// [FORM-2]: crate::spec#form-2
pub(in crate::http) fn fields<'a>(
    content_type: Option<&str>,
    body: &'a [u8],
) -> Result<impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a>, FormError> {
    let expected = "application/x-www-form-urlencoded";
    let parameters = content_type.and_then(|value| parameters_of(value.as_bytes(), expected));
    parameters.ok_or(FormError::MediaType)?;
    match memchr_iter(b'&', body).count() < MAX_FIELDS {
        true => Ok(parse_qsl(body)),
        false => Err(FormError::TooManyFields),
    }
}

/// Decodes a name or value. It copies only if there is something to decode.
fn unquote_plus(text: &[u8]) -> Cow<'_, str> {
    if !text.contains(&b'+') {
        return percent_decode(text).decode_utf8_lossy();
    }
    let space = |&byte: &u8| if byte == b'+' { b' ' } else { byte };
    let spaced: Vec<u8> = text.iter().map(space).collect();
    let decoded = percent_decode(&spaced).decode_utf8_lossy();
    decoded.into_owned().into()
}
