//! The name of a part: its `Content-Disposition` (RFC 7578 section 4.2).

use std::borrow::Cow;

use super::error::FormError;
use super::media_type::parameters_of;
use crate::http::h1::Fields;

/// The escapes that browsers use in names, and no others (HTML standard, section 4.10.21.8).
const ESCAPES: [(&str, &str); 3] = [("%22", "\""), ("%0D", "\r"), ("%0A", "\n")];

/// Returns the name of a part, and the name of its file if it has one ([FORM-4]).
///
/// [FORM-4]: crate::spec#form-4
pub(super) fn names<'a>(
    headers: Fields<'a>,
) -> Result<(Cow<'a, str>, Option<Cow<'a, str>>), FormError> {
    let mut values = headers.get_all("Content-Disposition");
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(FormError::Disposition);
    };
    let parameters = parameters_of(value, "form-data").ok_or(FormError::Disposition)?;
    let get = |name: &str| {
        let value = parameters.get(name).map_err(|_| FormError::Disposition);
        value.map(|value| value.map(text))
    };
    let name = get("name")?.ok_or(FormError::Disposition)?;
    Ok((name, get("filename")?))
}

/// Returns a name as text, without the escapes of browsers.
fn text(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    let text = match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
    };
    ESCAPES.iter().fold(text, |text, (escape, character)| {
        match text.contains(escape) {
            true => text.replace(escape, character).into(),
            false => text,
        }
    })
}
