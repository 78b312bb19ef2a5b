//! Character classes and the two little grammars that several files need: lists and authorities.

use core::net::Ipv6Addr;

/// tchar: what methods, field names and options are made of (RFC 9110 section 5.6.2).
const TCHAR: u8 = 1;
/// unreserved or sub-delims: what a reg-name is made of, beside escapes (RFC 3986 section 3.2.2).
const REG_NAME: u8 = 2;
/// field-vchar, SP and HTAB, which includes obs-text (RFC 9110 section 5.5).
const VALUE: u8 = 4;
/// Printable ASCII but `#`. Browsers send more than RFC 3986 allows (`|`, `[`, `{`), raw bytes above
/// 0x7f are not among it, and a fragment is never sent (RFC 9112 section 3.2).
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

/// tchar (RFC 9110 section 5.6.2).
#[inline]
pub(super) fn is_tchar(byte: u8) -> bool {
    has(byte, TCHAR)
}

/// token (RFC 9110 section 5.6.2).
#[inline(always)]
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_tchar(byte))
}

/// field-vchar, SP or HTAB (RFC 9110 section 5.5).
#[inline]
pub(super) fn is_value_byte(byte: u8) -> bool {
    has(byte, VALUE)
}

/// A byte of a request target, see [`TARGET`].
#[inline]
pub(super) fn is_target_byte(byte: u8) -> bool {
    has(byte, TARGET)
}

/// `value` without optional whitespace around it (RFC 9110 section 5.6.3).
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

/// The parts of `uri-host [":" port]` (RFC 9110 section 7.2): the host, and the port if there is a colon.
///
/// The host is a reg-name (which covers IPv4) or an IP literal and may be empty only if nothing
/// follows; a port is at most 65535 and may be empty (RFC 3986 section 3.2.3). No userinfo.
#[inline(always)]
pub(super) fn host_and_port(value: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
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

/// The length of the reg-name at the start of `value` (RFC 3986 section 3.2.2).
#[inline]
fn reg_name(value: &[u8]) -> Option<usize> {
    let plain = value.iter().position(|&byte| !has(byte, REG_NAME));
    match plain {
        Some(length) if value[length] == b'%' => escaped_reg_name(value, length),
        _ => Some(plain.unwrap_or(value.len())),
    }
}

/// As [`reg_name`], from its first percent sign on.
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

/// The length of the IP literal at the start of `value` (RFC 3986 section 3.2.2).
#[cold]
fn ip_literal(value: &[u8]) -> Option<usize> {
    let close = value.iter().position(|&byte| byte == b']')?;
    let valid = match value.get(1..close)? {
        [b'v' | b'V', future @ ..] => is_ip_future(future),
        address => core::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok()),
    };
    valid.then_some(close + 1)
}

/// What follows the `v` of an IPvFuture: `1*HEXDIG "." 1*( unreserved / sub-delims / ":" )`.
fn is_ip_future(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    match text.get(digits..) {
        Some([b'.', rest @ ..]) => {
            digits > 0 && !rest.is_empty() && rest.iter().all(|&b| b == b':' || has(b, REG_NAME))
        }
        _ => false,
    }
}

#[inline(always)]
fn is_port(digits: &[u8]) -> bool {
    // Leading zeros are allowed, so the length alone does not say that a port is too large.
    let all = digits.iter().all(u8::is_ascii_digit);
    all && (digits.len() < 5 || is_large_port(digits))
}

/// Whether five digits or more are at most 65535.
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
        let valid: [&str; 18] = [
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
        let invalid: [&[u8]; 34] = [
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
