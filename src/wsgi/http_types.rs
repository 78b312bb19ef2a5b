//! [`Headers`] and the header fields of the crate [`http`](::http) (feature `http-types`).

use ::http::header::HeaderName;
use ::http::{HeaderMap, HeaderValue};

use super::headers::Headers;
use super::latin1::{field_value, latin1};

/// All fields in the order of the map, with lower-case names. A byte beyond ASCII is the character
/// with its number (PEP 3333).
impl From<&HeaderMap> for Headers {
    fn from(map: &HeaderMap) -> Headers {
        let fields = map.iter();
        let list = fields.map(|(name, value)| {
            (
                name.as_str().to_owned(),
                latin1(value.as_bytes()).into_owned(),
            )
        });
        // Neither names nor values of a map have a CR, LF or NUL.
        Headers::over(list.collect()).unwrap_or_default()
    }
}

/// It fails if a name is no token, or a value has a control character or one beyond Latin-1.
impl TryFrom<&Headers> for HeaderMap {
    type Error = ::http::Error;

    fn try_from(headers: &Headers) -> Result<HeaderMap, ::http::Error> {
        let mut map = HeaderMap::new();
        for (name, value) in headers.items() {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            map.try_append(name, HeaderValue::from_bytes(&field_value(value))?)?;
        }
        Ok(map)
    }
}
