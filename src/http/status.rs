//! Status codes, their phrases and explanations ([HTTP-38], the IANA registry).
//!
//! [HTTP-38]: crate::spec#http-38

/// Returns the reason phrase of a status code; empty if the code is not known ([HTTP-30]).
///
/// Some statuses need a field as well: a 405 must have `Allow`, a 401 `WWW-Authenticate`, a 426
/// `Upgrade` (RFC 9110 section 15.5). See [`send_error`](super::Response::send_error).
///
/// ```
/// assert_eq!(serve_forever::http::phrase(404), "Not Found");
/// assert_eq!(serve_forever::http::phrase(999), "");
/// ```
///
/// [HTTP-30]: crate::spec#http-30
pub fn phrase(code: u16) -> &'static str {
    find(code).map_or("", |(_, phrase, _)| phrase)
}

/// Returns a sentence that explains a status code to a person who sees the error page ([HTTP-36]).
/// It is `???` if the code is not known ([HTTP-37]).
///
/// [HTTP-36]: crate::spec#http-36
/// [HTTP-37]: crate::spec#http-37
pub fn explanation(code: u16) -> &'static str {
    match find(code) {
        None => "???",
        Some((_, phrase, "")) => phrase,
        Some((_, _, explanation)) => explanation,
    }
}

fn find(code: u16) -> Option<(u16, &'static str, &'static str)> {
    let place = STATUSES
        .binary_search_by_key(&code, |status| status.0)
        .ok()?;
    STATUSES.get(place).copied()
}

/// Code, phrase and explanation, sorted by code. The explanation is empty if the phrase says enough.
#[rustfmt::skip]
const STATUSES: &[(u16, &str, &str)] = &[
    (100, "Continue", "Request received, please continue"),
    (101, "Switching Protocols", "Switching to new protocol; obey Upgrade header"),
    (102, "Processing", ""),
    (103, "Early Hints", ""),
    (200, "OK", "Request fulfilled, document follows"),
    (201, "Created", "Document created, URL follows"),
    (202, "Accepted", "Request accepted, processing continues off-line"),
    (203, "Non-Authoritative Information", "Request fulfilled from cache"),
    (204, "No Content", "Request fulfilled, nothing follows"),
    (205, "Reset Content", "Clear input form for further input"),
    (206, "Partial Content", "Partial content follows"),
    (207, "Multi-Status", ""),
    (208, "Already Reported", ""),
    (226, "IM Used", ""),
    (300, "Multiple Choices", "Object has several resources -- see URI list"),
    (301, "Moved Permanently", "Object moved permanently -- see URI list"),
    (302, "Found", "Object moved temporarily -- see URI list"),
    (303, "See Other", "Object moved -- see Method and URL list"),
    (304, "Not Modified", "Document has not changed since given time"),
    (305, "Use Proxy", "You must use proxy specified in Location to access this resource"),
    (307, "Temporary Redirect", "Object moved temporarily -- see URI list"),
    (308, "Permanent Redirect", "Object moved permanently -- see URI list"),
    (400, "Bad Request", "Bad request syntax or unsupported method"),
    (401, "Unauthorized", "No permission -- see authorization schemes"),
    (402, "Payment Required", "No payment -- see charging schemes"),
    (403, "Forbidden", "Request forbidden -- authorization will not help"),
    (404, "Not Found", "Nothing matches the given URI"),
    (405, "Method Not Allowed", "Specified method is invalid for this resource"),
    (406, "Not Acceptable", "URI not available in preferred format"),
    (407, "Proxy Authentication Required", "You must authenticate with this proxy before proceeding"),
    (408, "Request Timeout", "Request timed out; try again later"),
    (409, "Conflict", "Request conflict"),
    (410, "Gone", "URI no longer exists and has been permanently removed"),
    (411, "Length Required", "Client must specify Content-Length"),
    (412, "Precondition Failed", "Precondition in headers is false"),
    (413, "Content Too Large", "Content is too large"),
    (414, "URI Too Long", "URI is too long"),
    (415, "Unsupported Media Type", "Entity body in unsupported format"),
    (416, "Range Not Satisfiable", "Cannot satisfy request range"),
    (417, "Expectation Failed", "Expect condition could not be satisfied"),
    (418, "I'm a Teapot", "Server refuses to brew coffee because it is a teapot."),
    (421, "Misdirected Request", "Server is not able to produce a response"),
    (422, "Unprocessable Content", ""),
    (423, "Locked", ""),
    (424, "Failed Dependency", ""),
    (425, "Too Early", ""),
    (426, "Upgrade Required", ""),
    (428, "Precondition Required", "The origin server requires the request to be conditional"),
    (429, "Too Many Requests", "The user has sent too many requests in a given amount of time (\"rate limiting\")"),
    (431, "Request Header Fields Too Large", "The server is unwilling to process the request because its header fields are too large"),
    (451, "Unavailable For Legal Reasons", "The server is denying access to the resource as a consequence of a legal demand"),
    (500, "Internal Server Error", "Server got itself in trouble"),
    (501, "Not Implemented", "Server does not support this operation"),
    (502, "Bad Gateway", "Invalid responses from another server/proxy"),
    (503, "Service Unavailable", "The server cannot process the request due to a high load"),
    (504, "Gateway Timeout", "The gateway server did not receive a timely response"),
    (505, "HTTP Version Not Supported", "Cannot fulfill request"),
    (506, "Variant Also Negotiates", ""),
    (507, "Insufficient Storage", ""),
    (508, "Loop Detected", ""),
    (510, "Not Extended", ""),
    (511, "Network Authentication Required", "The client needs to authenticate to gain network access"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// HTTP-38: the table has all codes of the IANA registry, and is sorted for the search.
    #[test]
    fn the_table_is_sorted_and_complete() {
        assert!(STATUSES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let known: Vec<u16> = STATUSES.iter().map(|status| status.0).collect();
        let expected = (100..=103)
            .chain(200..=208)
            .chain([226])
            .chain(300..=305)
            .chain([307, 308])
            .chain(400..=418)
            .chain(421..=426)
            .chain([428, 429, 431, 451])
            .chain(500..=508)
            .chain([510, 511]);
        assert_eq!(known, expected.collect::<Vec<u16>>());
        assert_eq!(phrase(413), "Content Too Large");
        assert_eq!(explanation(299), "???");
    }
}
