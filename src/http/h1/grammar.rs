//! Character classes, and the small grammar of `host:port`, which several files need.
//!
//! Above each rule stands the grammar that it follows, as the RFC prints it.

use core::net::Ipv6Addr;

// tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*"
//       / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~"
//       / DIGIT / ALPHA
//       ; any VCHAR, except delimiters
/// A byte of a method, a field name or a connection option (RFC 9110 section 5.6.2).
const TCHAR: u8 = 1;

// unreserved = ALPHA / DIGIT / "-" / "." / "_" / "~"
// sub-delims = "!" / "$" / "&" / "'" / "(" / ")"
//            / "*" / "+" / "," / ";" / "="
/// A byte of a reg-name that is not part of an escape (RFC 3986 sections 2.2, 2.3 and 3.2.2).
const REG_NAME: u8 = 2;

// field-content = field-vchar
//                 [ 1*( SP / HTAB / field-vchar ) field-vchar ]
// field-vchar   = VCHAR / obs-text
// obs-text      = %x80-FF
/// A byte of a field value, or SP or HTAB inside one (RFC 9110 section 5.5).
const VALUE: u8 = 4;

/// A byte of a request target: printable ASCII except `#` (RFC 9112 section 3.2).
///
/// This is more than RFC 3986 allows, because browsers send `|`, `[` and `{`. They escape bytes
/// above 0x7f, so those are refused. Clients never send a fragment, so `#` is refused.
const TARGET: u8 = 8;

const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class(byte as u8);
        byte += 1;
    }
    table
}

const fn class(byte: u8) -> u8 {
    let alphanumeric = byte.is_ascii_alphanumeric();
    let mut class = 0;
    if alphanumeric
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+')
        || matches!(byte, b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
    {
        class |= TCHAR;
    }
    if alphanumeric
        || matches!(byte, b'-' | b'.' | b'_' | b'~')
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')')
        || matches!(byte, b'*' | b'+' | b',' | b';' | b'=')
    {
        class |= REG_NAME;
    }
    if byte == b'\t' || (byte >= b' ' && byte != 0x7f) {
        class |= VALUE;
    }
    if byte > b' ' && byte < 0x7f && byte != b'#' {
        class |= TARGET;
    }
    class
}

#[inline]
fn has(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// Returns whether `byte` may stand in a token, see [`TCHAR`].
#[inline]
pub(super) fn is_tchar(byte: u8) -> bool {
    has(byte, TCHAR)
}

// token = 1*tchar
/// Returns whether `bytes` are a token (RFC 9110 section 5.6.2).
#[inline(always)]
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_tchar(byte))
}

/// Returns whether `byte` may stand in a field value, see [`VALUE`].
#[inline]
pub(super) fn is_value_byte(byte: u8) -> bool {
    has(byte, VALUE)
}

/// Returns whether `byte` may stand in a request target, see [`TARGET`].
#[inline]
pub(super) fn is_target_byte(byte: u8) -> bool {
    has(byte, TARGET)
}

// OWS = *( SP / HTAB )
/// Returns `value` without the optional whitespace around it (RFC 9110 section 5.6.3).
#[inline]
pub(super) fn trim_ows(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

// Host     = uri-host [ ":" port ]
// uri-host = <host, see [URI], Section 3.2.2>
// host     = IP-literal / IPv4address / reg-name
// port     = *DIGIT
/// Returns the host, and the port if there is a colon (RFC 9110 sections 4.1 and 7.2).
///
/// The host is a reg-name, which covers IPv4, or an IP literal. It may be empty only if nothing
/// follows. A port may be empty, and is at most 65535 (RFC 3986 section 3.2.3). There is no userinfo.
#[inline(always)]
pub(in super::super) fn host_and_port(value: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let host = if value.first() == Some(&b'[') {
        ip_literal(value)?
    } else {
        reg_name(value)?
    };
    let (host, rest) = value.split_at_checked(host)?;
    match rest {
        [] => Some((host, None)),
        [b':', port @ ..] if !host.is_empty() && is_port(port) => Some((host, Some(port))),
        _ => None,
    }
}

// reg-name = *( unreserved / pct-encoded / sub-delims )
/// Returns the length of the reg-name at the start of `value` (RFC 3986 section 3.2.2).
#[inline]
fn reg_name(value: &[u8]) -> Option<usize> {
    // Every request has a host, so four bytes are looked at in one step.
    let class = |byte: u8| CLASSES[usize::from(byte)];
    let all = |four: &[u8]| four.iter().fold(REG_NAME, |all, &byte| all & class(byte)) != 0;
    let fours = value.chunks_exact(4).take_while(|four| all(four)).count();
    let plain = |byte: &&u8| has(**byte, REG_NAME);
    let rest = value.get(4 * fours..)?;
    let length = 4 * fours + rest.iter().take_while(plain).count();
    match value.get(length) {
        Some(b'%') => escaped_reg_name(value, length),
        _ => Some(length),
    }
}

// pct-encoded = "%" HEXDIG HEXDIG
/// Continues [`reg_name`] at its first percent sign (RFC 3986 section 2.1).
#[cold]
fn escaped_reg_name(value: &[u8], mut length: usize) -> Option<usize> {
    while let Some(&byte) = value.get(length) {
        let escape = value.get(length + 1..length + 3);
        match escape {
            _ if has(byte, REG_NAME) => length += 1,
            Some(digits) if byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit) => length += 3,
            _ if byte == b'%' => return None,
            _ => break,
        }
    }
    Some(length)
}

// IP-literal = "[" ( IPv6address / IPvFuture  ) "]"
/// Returns the length of the IP literal at the start of `value` (RFC 3986 section 3.2.2).
#[cold]
fn ip_literal(value: &[u8]) -> Option<usize> {
    let close = value.iter().position(|&byte| byte == b']')?;
    let valid = match value.get(1..close)? {
        [b'v' | b'V', future @ ..] => is_ip_future(future),
        address => core::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok()),
    };
    valid.then_some(close + 1)
}

// IPvFuture = "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )
/// Returns whether `text` is an IPvFuture without its `v` (RFC 3986 section 3.2.2).
fn is_ip_future(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    match text.get(digits..) {
        Some([b'.', rest @ ..]) => {
            digits > 0 && !rest.is_empty() && rest.iter().all(|&b| b == b':' || has(b, REG_NAME))
        }
        _ => false,
    }
}

// port = *DIGIT
/// Returns whether `digits` are a port of at most 65535 (RFC 3986 section 3.2.3).
#[inline(always)]
fn is_port(digits: &[u8]) -> bool {
    // Leading zeros are allowed, so five digits or more may still be a small number.
    let all = digits.iter().all(u8::is_ascii_digit);
    all && (digits.len() < 5 || is_large_port(digits))
}

/// Returns whether a number of five digits or more is at most 65535.
#[cold]
fn is_large_port(digits: &[u8]) -> bool {
    let add = |port: u32, digit: &u8| {
        port.saturating_mul(10)
            .saturating_add(u32::from(digit - b'0'))
    };
    digits.iter().fold(0, add) <= u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let valid: [&str; 22] = [
            "",
            "h",
            "h.test",
            "h.test:",
            "h.test:80",
            "h:00080",
            "h:65535",
            "1.2.3.4",
            "1.2.3.4:8",
            "a_b-c~d",
            "H%41",
            "%41",
            "H%41:80",
            "ab%41%4Fc.d",
            "abc%41d%e9f:80",
            "a!$&'()*+,;=b",
            "[::1]",
            "[::1]:80",
            "[::ffff:1.2.3.4]:",
            "[v1.a:b]",
            "[VF.x]:1",
            "xn--a",
        ];
        for host in valid {
            assert!(host_and_port(host.as_bytes()).is_some(), "{host}");
        }
        let invalid: [&[u8]; 37] = [
            b"u@h",
            b"h:8x",
            b"h:80:80",
            b"h:65536",
            b"h:99999999999999999999",
            b"h:-1",
            b"h:+1",
            b":80",
            b":",
            b"[::1",
            b"[::1]x",
            b"x[::1]",
            b"[]",
            b"[::1]80",
            b"[::1%25eth0]",
            b"[1.2.3.4]",
            b"[v.a]",
            b"[v1.]",
            b"[v1a]",
            b"[g::]",
            b"h\x01",
            b"{",
            b"a\tb",
            b"a b",
            b"a\\b",
            b"h\xff",
            b"<h>",
            b"h%zz",
            b"h%4",
            b"ab%41%4",
            b"h%41/x",
            b"h%41:8x",
            b"h%",
            b"h/x",
            b"h?x",
            b"h#x",
            b"::1",
        ];
        for host in invalid {
            assert!(host_and_port(host).is_none(), "{}", host.escape_ascii());
        }
        assert_eq!(host_and_port(b"h:1"), Some((&b"h"[..], Some(&b"1"[..]))));
        let escaped = host_and_port(b"ab%41%4Fc:1");
        assert_eq!(escaped, Some((&b"ab%41%4Fc"[..], Some(&b"1"[..]))));
    }

    /// A host is read in steps of four bytes: it ends wherever its first other byte is.
    #[test]
    fn a_host_ends_at_any_place() {
        let text = b"abcdefghijklmnop";
        for end in 1..text.len() {
            let mut value = *text;
            value[end] = b':';
            let port = value.get(end + 1..).unwrap_or_default();
            assert!(port.is_empty() || host_and_port(&value).is_none());
            let (value, _) = value.split_at(end + 1);
            assert_eq!(host_and_port(value), Some((&text[..end], Some(&b""[..]))));
            assert_eq!(host_and_port(&text[..end]), Some((&text[..end], None)));
        }
        for place in 0..9 {
            let with = |text: &str| ["abcdefghi".split_at(place).0, text, "ijklm"].concat();
            let wrong = with("/");
            assert_eq!(host_and_port(wrong.as_bytes()), None, "{wrong}");
            let host = with("%4F");
            let input = alloc::format!("{host}:80");
            let expected = Some((host.as_bytes(), Some(&b"80"[..])));
            assert_eq!(host_and_port(input.as_bytes()), expected);
        }
    }

    #[test]
    fn classes_match_the_grammar() {
        for byte in 0..=255u8 {
            let symbol = b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_tchar(byte), symbol || byte.is_ascii_alphanumeric());
            assert_eq!(
                is_value_byte(byte),
                byte == 9 || !(byte < 32 || byte == 127)
            );
            assert_eq!(
                is_target_byte(byte),
                byte.is_ascii_graphic() && byte != b'#'
            );
        }
    }
}
