//! The variables of the server, which are the same for every request.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The variables of the server, the same for every request ([WSGI-2]).
///
/// [WSGI-2]: crate::spec#wsgi-2
pub(super) type BaseEnviron = BTreeMap<String, String>;

/// The name of the server in `SERVER_SOFTWARE` ([ENV-5]).
///
/// [ENV-5]: crate::spec#env-5
const SERVER_SOFTWARE: &str = concat!("serve_forever/", env!("CARGO_PKG_VERSION"));

/// The value of `wsgi.file_wrapper`: the server has a [`FileWrapper`](super::FileWrapper)
/// ([ENV-20]).
///
/// [ENV-20]: crate::spec#env-20
pub(super) const FILE_WRAPPER: &str = "<FileWrapper>";

/// Builds the base environ from the address that is known after `bind` ([WSGI-2], [ENV-1] to -5).
///
/// `SERVER_NAME` is the address, because looking up a name could delay the start ([HTTP-1]). A server
/// on all interfaces has no such address: each request then has the one that its client reached.
/// Without an address, name and port are `localhost` and `80`, because PEP 3333 allows neither of
/// them to be empty. Clients of a Unix-domain socket usually send that in `Host`.
///
/// [ENV-1]: crate::spec#env-1
/// [HTTP-1]: crate::spec#http-1
/// [WSGI-2]: crate::spec#wsgi-2
pub(super) fn setup_environ(server_address: Option<SocketAddr>) -> BaseEnviron {
    let port = server_address.map_or(80, |address| address.port());
    let variables = [
        ("SERVER_PORT", port.to_string()),
        ("GATEWAY_INTERFACE", "CGI/1.1".to_owned()),
        ("SCRIPT_NAME", String::new()),
        ("REMOTE_HOST", String::new()),
        ("SERVER_SOFTWARE", SERVER_SOFTWARE.to_owned()),
        ("wsgi.file_wrapper", FILE_WRAPPER.to_owned()),
    ];
    let mut base = BaseEnviron::from(variables.map(|(key, value)| (key.to_owned(), value)));
    if server_address.is_none_or(|address| !address.ip().is_unspecified()) {
        base.insert("SERVER_NAME".to_owned(), server_name(server_address));
    }
    base
}

/// Returns the address as a `SERVER_NAME`. An IPv6 address has brackets, as in a URI (RFC 3875
/// section 4.1.14).
pub(super) fn server_name(address: Option<SocketAddr>) -> String {
    match address.map(|address| address.ip().to_canonical()) {
        Some(IpAddr::V4(ip)) => ip.to_string(),
        Some(IpAddr::V6(ip)) => format!("[{ip}]"),
        None => "localhost".to_owned(),
    }
}

/// Returns a flag as Python prints it.
pub(super) fn python_bool(value: bool) -> &'static str {
    match value {
        true => "True",
        false => "False",
    }
}
