//! The body of an error response.

/// Returns the page of [`Response::send_error`](super::Response::send_error): Python's
/// `DEFAULT_ERROR_MESSAGE`, escaped ([HTTP-36]).
///
/// [HTTP-36]: crate::spec#http-36
pub(super) fn error_page(code: u16, reason: &str, explanation: &str) -> String {
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
