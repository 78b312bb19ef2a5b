//! JSON, as far as log lines and error pages need it.

use std::fmt::Write;

/// Appends a JSON string in ASCII (RFC 8259 section 7).
pub(super) fn push_json(line: &mut String, text: impl Iterator<Item = char>) {
    line.push('"');
    for character in text {
        match character {
            '"' | '\\' => line.extend(['\\', character]),
            ' '..='~' => line.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Ignore the result: a `String` takes all that is written.
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
        }
    }
    line.push('"');
}
