//! The media type of a body, and its parameters (RFC 9110 section 8.3.1).

/// Returns the parameters of `content_type`, from the first semicolon on, if its type is `expected`.
pub(super) fn parameters_of<'a>(content_type: &'a str, expected: &str) -> Option<&'a str> {
    let end = content_type.find(';').unwrap_or(content_type.len());
    let (media_type, parameters) = content_type.split_at(end);
    let media_type = media_type.trim_matches([' ', '\t']);
    media_type
        .eq_ignore_ascii_case(expected)
        .then_some(parameters)
}
