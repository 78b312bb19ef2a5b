//! The redirect to a directory ([STATIC-6]).
//!
//! [STATIC-6]: crate::spec#static-6

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::http::request::Request;
use crate::http::response::{HttpResult, Response};

/// Bytes that must be escaped in a URI (RFC 3986 appendix A). A backslash is also dangerous:
/// browsers read it as a slash, and `/\h/` would lead to another host.
const NOT_IN_A_URI: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Redirects to the same URL with a slash after its path ([STATIC-6]).
///
/// [STATIC-6]: crate::spec#static-6
pub(super) fn redirect(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let target = collapsed(request);
    let (path, query) = match target.find('?') {
        Some(mark) => target.split_at(mark),
        None => (target.as_str(), ""),
    };
    let location = utf8_percent_encode(path, &NOT_IN_A_URI).to_string()
        + "/"
        + &utf8_percent_encode(query, &NOT_IN_A_URI).to_string();
    response
        .send_response(301)
        .send_header("Location", location)
        .send_header("Content-Length", "0") // for HEAD as well (STATIC-1)
        .body("")
}

/// Returns the target with only one leading slash, because a browser reads `//h` as a host
/// ([HTTP-15]).
///
/// [HTTP-15]: crate::spec#http-15
fn collapsed(request: &Request<'_>) -> String {
    let target = request.target();
    match target.strip_prefix('/') {
        Some(rest) => format!("/{}", rest.trim_start_matches('/')),
        None => target.to_owned(),
    }
}
