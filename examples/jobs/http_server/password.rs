//! The password that a client has to know: HTTP's `Basic` (RFC 7617).

use std::hint::black_box;
use std::sync::Arc;

use serve_forever::{HttpResult, Request, Response};

/// The user and the password, as a client sends them.
#[derive(Debug, Clone)]
pub struct Password(Arc<str>);

impl Password {
    /// Takes `USER:PASSWORD`.
    pub fn new(credentials: &str) -> Result<Password, String> {
        match credentials.split_once(':') {
            Some((user, password)) if !user.is_empty() && !password.is_empty() => {
                Ok(Password(base64(credentials.as_bytes()).into()))
            }
            _ => Err("the password must be given as USER:PASSWORD".into()),
        }
    }

    /// Returns whether the request has the password.
    pub fn is_in(&self, request: &Request<'_>) -> bool {
        let value = request.header("Authorization").unwrap_or_default();
        let Some(end) = value.iter().position(|&byte| byte == b' ') else {
            return false;
        };
        let (scheme, sent) = (&value[..end], value[end..].trim_ascii());
        scheme.eq_ignore_ascii_case(b"Basic") && are_equal(sent, self.0.as_bytes())
    }

    /// Asks for it.
    pub fn ask(response: Response<'_>) -> HttpResult {
        response
            .send_response(401)
            .send_header(
                "WWW-Authenticate",
                "Basic realm=\"files\", charset=\"UTF-8\"",
            )
            .send_header("Content-Type", "text/plain")
            .body("A password is needed.\n")
    }
}

/// Compares in a time that depends on the lengths only. So nobody can find the password byte by byte.
fn are_equal(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && black_box(difference) == 0
}

/// Encodes bytes as base64 (RFC 4648 section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            match digit <= group.len() {
                true => text.push(ALPHABET[(bits >> (18 - 6 * digit)) as usize & 63] as char),
                false => text.push('='),
            }
        }
    }
    text
}
