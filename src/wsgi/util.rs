//! Small things that servers, applications and middleware share. Python's `wsgiref.util`.

use super::Environ;

/// Whether a field concerns the connection and not the answer (UTIL-8).
///
/// An application must not set one. Python's set has `Trailers`, which is no field, and not
/// `Trailer`, which is one; so has this.
///
/// ```
/// use serve_forever::wsgi::is_hop_by_hop;
///
/// assert!(is_hop_by_hop("Transfer-Encoding"));
/// assert!(!is_hop_by_hop("Content-Length"));
/// ```
pub fn is_hop_by_hop(name: &str) -> bool {
    const HOP_BY_HOP: [&str; 8] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
    ];
    HOP_BY_HOP
        .iter()
        .any(|hop_by_hop| name.eq_ignore_ascii_case(hop_by_hop))
}

/// `https` if the environ has `HTTPS` as exactly `yes`, `on` or `1`, else `http` (UTIL-2).
pub fn guess_scheme(environ: &Environ<'_>) -> &'static str {
    match environ.get("HTTPS").as_deref() {
        Some("yes" | "on" | "1") => "https",
        _ => "http",
    }
}
