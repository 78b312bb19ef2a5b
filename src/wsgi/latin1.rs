//! "Bytes as text": each character stands for the byte with its number (PEP 3333).

use std::borrow::Cow;

/// Returns bytes as text: each byte becomes the character with its number.
pub(super) fn latin1(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text.into(),
        _ => bytes.iter().copied().map(char::from).collect(),
    }
}

/// Returns the bytes of a field value. A NUL stands for what is not in Latin-1: a field with it is
/// refused.
pub(super) fn field_value(text: &str) -> Cow<'_, [u8]> {
    latin1_bytes(text).unwrap_or(b"\0".into())
}

/// Returns the bytes that text stands for; `None` if a character is not in Latin-1.
pub(super) fn latin1_bytes(text: &str) -> Option<Cow<'_, [u8]>> {
    if text.is_ascii() {
        return Some(text.as_bytes().into());
    }
    let bytes = text.chars().map(|character| u8::try_from(character).ok());
    bytes.collect::<Option<Vec<u8>>>().map(Cow::Owned)
}
