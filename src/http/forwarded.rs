//! The elements of `Forwarded` (RFC 7239) and of `X-Forwarded-For`, read from the right.
//!
//! A proxy appends its element at the right, and what stands to the left of it may come from anybody. So
//! nothing there must change how the last element is read, not even a quotation mark that is never closed.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str;

use super::h1::Fields;

/// Whom a proxy has received a request from (RFC 7239 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    /// This address. The port is 0 if the proxy does not say it.
    Address(SocketAddr),
    /// `unknown`, or a name that stands for an address: the proxy keeps it to itself.
    Hidden,
}

impl Node {
    /// Returns the address, if the proxy does not keep it to itself.
    pub(super) fn address(self) -> Option<SocketAddr> {
        match self {
            Node::Address(address) => Some(address),
            Node::Hidden => None,
        }
    }
}

/// An element of `Forwarded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    /// Whom the proxy has received the request from.
    pub(super) node: Node,
    /// The scheme by which it has received it.
    pub(super) proto: Option<&'a [u8]>,
    /// The `Host` that it has received.
    pub(super) host: Option<&'a [u8]>,
}

/// The members of all lines of a field, the last one first. Empty members do not count.
#[derive(Debug, Clone)]
pub(super) struct Members<'a> {
    /// All fields of the request.
    fields: Fields<'a>,
    /// The field's name.
    name: &'static str,
    /// How many of its lines are still to come.
    lines: usize,
    /// The rest of the current line.
    rest: Option<&'a [u8]>,
}

impl<'a> Members<'a> {
    /// Begins at the end of the last line.
    pub(super) fn new(fields: Fields<'a>, name: &'static str) -> Members<'a> {
        Members {
            fields,
            name,
            lines: fields.get_all(name).count(),
            rest: None,
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let Some(line) = self.rest else {
                self.lines = self.lines.checked_sub(1)?;
                self.rest = self.fields.get_all(self.name).nth(self.lines);
                continue;
            };
            let comma = last_comma(line);
            let member = match comma {
                Some(comma) => &line[comma + 1..],
                None => line,
            };
            self.rest = comma.map(|comma| &line[..comma]);
            let member = member.trim_ascii();
            if !member.is_empty() {
                return Some(member);
            }
        }
    }
}

/// Returns where the last comma is that stands in no quoted string, as seen from the right.
fn last_comma(line: &[u8]) -> Option<usize> {
    let mut at = line.len();
    while let Some(before) = at.checked_sub(1) {
        at = before;
        match line[at] {
            b',' => return Some(at),
            b'"' => at = opening_mark(&line[..at])?,
            _ => {}
        }
    }
    None
}

/// Returns where the quoted string begins that ends behind `text`.
fn opening_mark(text: &[u8]) -> Option<usize> {
    let mut marks = (0..text.len()).rev().filter(|&at| text[at] == b'"');
    marks.find(|&at| {
        let escapes = text[..at].iter().rev().take_while(|&&byte| byte == b'\\');
        escapes.count() % 2 == 0
    })
}

/// Reads an element of `Forwarded` (RFC 7239 section 4). `None`: it is malformed. Parameters that we do
/// not need are skipped.
pub(super) fn element(text: &[u8]) -> Option<Element<'_>> {
    let (mut node, mut proto, mut host) = (None, None, None);
    let mut rest = text;
    while !rest.is_empty() {
        let (pair, after) = match pair_end(rest)? {
            end if end < rest.len() => (&rest[..end], &rest[end + 1..]),
            _ => (rest, &b""[..]),
        };
        rest = after;
        let pair = pair.trim_ascii();
        if pair.is_empty() {
            continue;
        }
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (&pair[..equals], unquoted(&pair[equals + 1..])?);
        if !name.iter().all(u8::is_ascii_graphic) {
            return None; // there is no space around the sign (RFC 7239 section 4)
        }
        let known = [
            (&b"for"[..], &mut node),
            (b"proto", &mut proto),
            (b"host", &mut host),
        ];
        for (known, place) in known {
            // A parameter occurs once: nobody knows which of two would count.
            if name.eq_ignore_ascii_case(known) && place.replace(value).is_some() {
                return None;
            }
        }
    }
    let node = match node {
        Some(text) => self::node(text)?,
        None => Node::Hidden,
    };
    Some(Element { node, proto, host })
}

/// Returns where the first pair ends. `None`: a quoted string does not end.
fn pair_end(text: &[u8]) -> Option<usize> {
    let (mut quoted, mut at) = (false, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => at += 1,
            b';' if !quoted => return Some(at),
            _ => {}
        }
        at += 1;
    }
    (!quoted).then_some(text.len())
}

/// Returns a value without its quotation marks. No address, scheme or host needs an escape, so a value
/// that has one is refused.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    let value = match value.strip_prefix(b"\"") {
        Some(value) => value.strip_suffix(b"\"")?,
        None => value,
    };
    (!value.iter().any(|byte| matches!(byte, b'"' | b'\\'))).then_some(value)
}

/// Reads an address, perhaps with a port (RFC 7239 section 6). An IPv6 address without brackets has no
/// port; that is how `X-Forwarded-For` has it.
pub(super) fn node(text: &[u8]) -> Option<Node> {
    let text = str::from_utf8(text).ok()?;
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => match text.split_once(':') {
            Some((_, more)) if more.contains(':') => (text, ""),
            Some((name, _)) => text.split_at(name.len()),
            None => (text, ""),
        },
    };
    let port = match port {
        "" => 0,
        port => port_of(port.strip_prefix(':')?)?,
    };
    let is_v6 = text.starts_with('[') || name.contains(':');
    let ip = match is_v6 {
        true => name.parse::<Ipv6Addr>().ok()?.into(),
        false if name.eq_ignore_ascii_case("unknown") || is_obfuscated(name) => {
            return Some(Node::Hidden);
        }
        false => IpAddr::V4(name.parse().ok()?),
    };
    Some(Node::Address(SocketAddr::new(ip, port)))
}

/// Reads a port. A name that stands for it is 0.
fn port_of(text: &str) -> Option<u16> {
    if is_obfuscated(text) {
        return Some(0);
    }
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Returns whether `text` is a name that stands for something that the proxy keeps to itself (RFC 7239
/// section 6.3).
fn is_obfuscated(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.len() > 1 && text.starts_with('_') && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::parse_fields;

    fn members(section: &str) -> Vec<String> {
        let fields = parse_fields(section.as_bytes(), 100).expect("fields");
        let members = Members::new(fields, "forwarded");
        members
            .map(|member| member.escape_ascii().to_string())
            .collect()
    }

    #[test]
    fn members_come_from_the_right() {
        assert_eq!(members("Forwarded: a, b ,c\r\n"), ["c", "b", "a"]);
        assert_eq!(
            members(
                "Forwarded: a, b\r\nX: y\r\nFORWARDED: c\r\nforwarded: , ,\r\nForwarded: d,\r\n"
            ),
            ["d", "c", "b", "a"]
        );
        assert_eq!(members("X: y\r\n"), [""; 0]);
        assert_eq!(
            members("Forwarded: for=\"a, b\";c, d=\"\\\",\\\\\", e\r\n"),
            ["e", r#"d=\"\\\",\\\\\""#, r#"for=\"a, b\";c"#]
        );
    }

    /// What a client has sent cannot hide what a proxy has appended.
    #[test]
    fn a_mark_that_is_never_closed_hides_nothing() {
        assert_eq!(
            members("Forwarded: for=\", for=b\r\n"),
            ["for=b", r#"for=\""#]
        );
        assert_eq!(members("Forwarded: \"\\, b\r\n")[0], "b");
        assert_eq!(
            members("Forwarded: a\", \"b\", c\r\n")[..2],
            ["c", r#"\"b\""#]
        );
        assert_eq!(members("Forwarded: a, \"\\\", \"b\"\r\n")[0], r#"\"b\""#);
    }

    /// The same for many beginnings that a client could send.
    #[test]
    fn a_beginning_changes_nothing_to_its_right() {
        let appended = "for=\"[2001:db8::1]:1\";proto=https";
        let alphabet = b"\",\\;= ;for=a";
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for length in (0..24).cycle().take(10_000) {
            let mut beginning = String::new();
            for _ in 0..length {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let letter = alphabet[random as usize % alphabet.len()];
                beginning.push(letter.into());
            }
            for separator in [", ", ",", "\r\nForwarded: "] {
                let section = format!("Forwarded: {beginning}{separator}{appended}\r\n");
                let fields = parse_fields(section.as_bytes(), 100).expect("fields");
                let last = Members::new(fields, "Forwarded").next();
                assert_eq!(last, Some(appended.as_bytes()), "{section}");
                // Whatever it is, reading it ends, and does not panic.
                let all = Members::new(fields, "Forwarded");
                assert!(all.map(element).count() <= length + 2);
            }
        }
    }

    #[test]
    fn nodes() {
        let address = |text: &str| Some(Node::Address(text.parse().expect("an address")));
        for (text, expected) in [
            ("192.0.2.1", address("192.0.2.1:0")),
            ("192.0.2.1:4711", address("192.0.2.1:4711")),
            ("192.0.2.1:_port", address("192.0.2.1:0")),
            ("2001:db8::1", address("[2001:db8::1]:0")),
            ("[2001:db8::1]", address("[2001:db8::1]:0")),
            ("[2001:DB8::1]:4711", address("[2001:db8::1]:4711")),
            ("[::ffff:192.0.2.1]", address("[::ffff:192.0.2.1]:0")),
            ("unknown", Some(Node::Hidden)),
            ("Unknown:80", Some(Node::Hidden)),
            ("_hidden.id-1", Some(Node::Hidden)),
            ("_SEVKISEK:_p", Some(Node::Hidden)),
            ("_", None),
            ("_a b", None),
            ("", None),
            ("localhost", None),
            ("192.0.2", None),
            ("192.0.2.01", None),
            ("192.0.2.1:", None),
            ("192.0.2.1:+1", None),
            ("192.0.2.1:65536", None),
            ("192.0.2.1:000080", None),
            ("[192.0.2.1]", None),
            ("[2001:db8::1", None),
            ("[2001:db8::1]4711", None),
            ("[2001:db8::1]:", None),
            ("2001:db8::1%eth0", None),
            (":80", None),
            ("\u{e9}", None),
        ] {
            assert_eq!(node(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn elements() {
        let read = |text: &'static str| {
            let element = element(text.as_bytes())?;
            let shown = |value: Option<&[u8]>| value.map(|value| value.escape_ascii().to_string());
            Some((element.node, shown(element.proto), shown(element.host)))
        };
        let node = |text: &str| node(text.as_bytes()).expect("a node");
        let some = |text: &str| Some(text.to_owned());
        for (text, expected) in [
            ("for=192.0.2.1", Some((node("192.0.2.1"), None, None))),
            (
                "FOR=\"[2001:db8::1]:4711\";Proto=HTTPS;by=_x;host=\"h:80\"",
                Some((node("[2001:db8::1]:4711"), some("HTTPS"), some("h:80"))),
            ),
            (
                ";proto=http ; secret=\"a;for=b\\\"\\\\\" ;",
                None, // an escape
            ),
            (
                ";proto=http ; secret=\"a;for=b,\" ;",
                Some((Node::Hidden, some("http"), None)),
            ),
            ("for=unknown", Some((Node::Hidden, None, None))),
            ("by=192.0.2.1", Some((Node::Hidden, None, None))),
            ("for=192.0.2.1;For=192.0.2.2", None),
            ("for", None),
            ("for=", None),
            ("for=\"192.0.2.1", None),
            ("for=192.0.2.1\"", None),
            ("for=\"192.0.2.1\"x", None),
            ("for = 192.0.2.1", None),
            ("for= 192.0.2.1", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
