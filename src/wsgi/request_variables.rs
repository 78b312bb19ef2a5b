//! The variables that come from a request. Each is computed when it is looked up.

use std::borrow::Cow;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;

use super::base_environ::{BaseEnviron, server_name};
use super::latin1::latin1;
use crate::http::Request;

/// The variables that are not called `HTTP_*`: their keys, and what computes their values.
const VARIABLES: [(&str, Variable); 11] = [
    ("CONTENT_LENGTH", |this| match this.decoded_length() {
        Some(length) => Some(length.to_string().into()),
        None => Some(this.header("Content-Length")),
    }),
    // Python's `text/plain` for a field that is missing would be a guess (ENV-10).
    ("CONTENT_TYPE", |this| Some(this.header("Content-Type"))),
    // If it is not there, the base environ may still say so.
    ("HTTPS", |this| {
        (this.request.scheme() == "https").then_some("on".into())
    }),
    ("PATH_INFO", |this| {
        Some(percent_decoded(this.request.path()))
    }),
    ("QUERY_STRING", |this| {
        Some(this.request.query().unwrap_or_default().into())
    }),
    ("REMOTE_ADDR", |this| match this.request.client_address() {
        Some(address) => Some(address_text(address.ip()).into()),
        None => Some("".into()), // UNIX-4
    }),
    ("REMOTE_PORT", |this| {
        match this.request.client_address()?.port() {
            0 => None, // a proxy has not said it
            port => Some(port.to_string().into()),
        }
    }),
    ("REQUEST_METHOD", |this| Some(this.request.method().into())),
    ("REQUEST_URI", |this| Some(this.request.target().into())),
    ("SERVER_NAME", |this| match this.base.get("SERVER_NAME") {
        Some(name) => Some(name.into()),
        None => Some(server_name(this.request.local_address()).into()),
    }),
    ("SERVER_PROTOCOL", |this| {
        Some(this.request.version().text().into())
    }),
];

/// Computes the value of a variable, if the request has it.
type Variable = for<'a> fn(&'a RequestVariables<'_>) -> Option<Cow<'a, str>>;

/// A request as CGI variables.
pub(super) struct RequestVariables<'a> {
    /// The request.
    pub(super) request: Request<'a>,
    /// The variables of the server. Some of them decide about those of a request.
    pub(super) base: &'a BaseEnviron,
    /// How long the body is. `None`: it had not arrived when the application was called.
    pub(super) body_length: Option<u64>,
}

impl RequestVariables<'_> {
    /// Returns the value of a variable, if the request has it.
    pub(super) fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        match key.strip_prefix("HTTP_") {
            Some(field) => self.field(field),
            None => {
                let (_, variable) = VARIABLES.iter().find(|(name, _)| *name == key)?;
                variable(self)
            }
        }
    }

    /// Lends each variable to `visit`, in no particular order.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&str, Cow<'_, str>)) {
        for (key, variable) in VARIABLES {
            if let Some(value) = variable(self) {
                visit(key, value);
            }
        }
        self.for_each_field(visit);
    }

    /// Lends the variables of the header fields to `visit`, each once.
    fn for_each_field(&self, mut visit: impl FnMut(&str, Cow<'_, str>)) {
        let mut key = String::from("HTTP_HOST"); // it may stand in the target only
        if let Some(value) = self.field("HOST") {
            visit(&key, value);
        }
        let fields = self.request.headers().iter();
        for (index, (name, _)) in fields.clone().enumerate() {
            let repeats = |(other, _): (&str, &[u8])| other.eq_ignore_ascii_case(name);
            if name.eq_ignore_ascii_case("Host") || fields.clone().take(index).any(repeats) {
                continue; // visited before, with all its values
            }
            put_key(&mut key, name);
            if let Some(value) = self.field(&key["HTTP_".len()..]) {
                visit(&key, value);
            }
        }
    }

    /// Returns a header field, or an empty text.
    fn header(&self, name: &str) -> Cow<'_, str> {
        latin1(self.request.header(name).unwrap_or_default())
    }

    /// Returns the header field of the variable `HTTP_` and `key` ([ENV-12]).
    ///
    /// [ENV-12]: crate::spec#env-12
    fn field(&self, key: &str) -> Option<Cow<'_, str>> {
        if self.is_kept_out(key) {
            return None;
        }
        if key == "HOST" {
            // An absolute target comes before the field (RFC 9112 section 3.2.2).
            return self.request.authority().map(Cow::from);
        }
        let fields = self.request.headers().iter();
        let mut values = fields
            .filter(|(name, _)| is_named(name, key))
            .map(|(_, value)| latin1(value));
        let mut joined = values.next()?;
        // A comma would become a part of the cookie.
        let separator = if key == "COOKIE" { "; " } else { "," };
        for value in values {
            let joined = joined.to_mut();
            joined.push_str(separator);
            joined.push_str(&value);
        }
        Some(joined)
    }

    /// Returns whether a header field never becomes a variable.
    ///
    /// Some fields have a variable without `HTTP_`, or have the name of one ([ENV-13]). `Proxy` is
    /// left out because libraries and child processes send their requests to `HTTP_PROXY`
    /// ([ENV-14], "httpoxy"). A transfer coding that is gone is left out as well ([ENV-11]).
    ///
    /// [ENV-11]: crate::spec#env-11
    /// [ENV-13]: crate::spec#env-13
    /// [ENV-14]: crate::spec#env-14
    fn is_kept_out(&self, key: &str) -> bool {
        if key == "TRANSFER_ENCODING" {
            return self.decoded_length().is_some();
        }
        key == "PROXY"
            || VARIABLES.iter().any(|(name, _)| *name == key)
            || self.base.contains_key(key)
    }

    /// Returns the length of a body that was chunked, has arrived whole, and whose coding is gone
    /// therefore ([ENV-11]).
    ///
    /// [ENV-11]: crate::spec#env-11
    fn decoded_length(&self) -> Option<u64> {
        let is_chunked = self.request.header("Transfer-Encoding").is_some();
        self.body_length.filter(|_| is_chunked)
    }
}

/// Returns the address as text. Without the standard library's formatter an IPv4 address takes a
/// tenth of the instructions, and every request has one.
fn address_text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        for (least, divisor) in [(100, 100), (10, 10), (0, 1)] {
            if octet >= least {
                text.push(char::from(b'0' + octet / divisor % 10));
            }
        }
    }
    text
}

/// Returns the path with its percent-encoded bytes decoded, each to the character with its number
/// ([ENV-7]).
///
/// [ENV-7]: crate::spec#env-7
fn percent_decoded(path: &str) -> Cow<'_, str> {
    if path.contains('%') {
        percent_decode_str(path).map(char::from).collect()
    } else {
        path.into()
    }
}

/// Makes `key` the key of a field: `HTTP_ACCEPT_LANGUAGE` for `Accept-Language`.
fn put_key(key: &mut String, name: &str) {
    key.truncate("HTTP_".len());
    key.extend(name.chars().map(|character| match character {
        '-' => '_',
        other => other.to_ascii_uppercase(),
    }));
}

/// Returns whether a field called `name` is the variable `HTTP_` and `key`.
///
/// A name with an underscore never is. It would look like the field with a hyphen, which a proxy in
/// front of the server may have checked or set ([ENV-14]).
///
/// [ENV-14]: crate::spec#env-14
fn is_named(name: &str, key: &str) -> bool {
    let corresponds = |(byte, expected): (u8, u8)| match byte {
        b'_' => false,
        b'-' => expected == b'_',
        other => other.to_ascii_uppercase() == expected,
    };
    name.len() == key.len() && name.bytes().zip(key.bytes()).all(corresponds)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ENV-9: the text of an address is that of the standard library.
    #[test]
    fn addresses() {
        for octet in 0..=255 {
            let address = IpAddr::from([octet, 0, 255, octet]);
            assert_eq!(address_text(address), address.to_string());
        }
        let address = IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(address_text(address), "::1");
    }
}
