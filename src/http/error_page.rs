//! The body of an error response.

use super::error_format::ErrorFormat;
use super::json::push_json;

/// Returns the page of [`Response::send_error`](super::Response::send_error) in a format, escaped as
/// the format asks for it ([HTTP-36]).
///
/// [HTTP-36]: crate::spec#http-36
pub(super) fn error_page(
    format: ErrorFormat,
    code: u16,
    reason: &str,
    explanation: &str,
) -> String {
    match format {
        ErrorFormat::Html => html(code, reason, explanation),
        ErrorFormat::Problem | ErrorFormat::Json => problem(code, reason, explanation),
        ErrorFormat::Text => format!("{code} {reason}\n{explanation}\n"),
    }
}

/// The members of RFC 9457 section 3.1. `type` is left out: it is `about:blank`, which says that the
/// status tells what the problem is.
fn problem(code: u16, reason: &str, explanation: &str) -> String {
    let mut object = String::from("{\"title\":");
    push_json(&mut object, reason.chars());
    object.push_str(&format!(",\"status\":{code},\"detail\":"));
    push_json(&mut object, explanation.chars());
    object.push_str("}\n");
    object
}

/// Python's `DEFAULT_ERROR_MESSAGE`.
fn html(code: u16, reason: &str, explanation: &str) -> String {
    let (reason, explanation) = (escape(reason), escape(explanation));
    format!(
        "<!DOCTYPE HTML>\n\
         <html lang=\"en\">\n\
         \x20   <head>\n\
         \x20       <meta charset=\"utf-8\">\n\
         \x20       <title>Error response</title>\n\
         \x20   </head>\n\
         \x20   <body>\n\
         \x20       <h1>Error response</h1>\n\
         \x20       <p>Error code: {code}</p>\n\
         \x20       <p>Message: {reason}.</p>\n\
         \x20       <p>Error code explanation: {code} - {explanation}.</p>\n\
         \x20   </body>\n\
         </html>\n"
    )
}

/// Escapes text for an HTML page. Quotes stay as they are, because no text goes into an attribute.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
