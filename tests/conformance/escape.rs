//! Bytes made readable.

/// The bytes as printable ASCII, shortened in the middle when that takes more
/// than `limit` characters.
pub(crate) fn escape(bytes: &[u8], limit: usize) -> String {
    // Escaping never shortens, so the ends of a long input are enough.
    let text = if bytes.len() > 2 * limit {
        let (head, tail) = (&bytes[..limit], &bytes[bytes.len() - limit..]);
        escape_all(head) + &escape_all(tail)
    } else {
        escape_all(bytes)
    };
    if text.len() <= limit {
        return text;
    }
    let (head, tail) = (&text[..limit / 2], &text[text.len() - limit / 3..]);
    format!("{head} ...<{} bytes>... {tail}", bytes.len())
}

/// Like `escape_ascii`, but with quotation marks as they are: there is much
/// JSON to show.
fn escape_all(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'"' | b'\'' => text.push(char::from(byte)),
            _ => text.extend(byte.escape_ascii().map(char::from)),
        }
    }
    text
}

/// The first `limit` characters of a text.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Bytes as text, each byte one character.
pub(crate) fn from_latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Text as bytes, each character one byte; `None` if a character has no place
/// in latin-1.
pub(crate) fn to_latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(c).ok()).collect()
}
