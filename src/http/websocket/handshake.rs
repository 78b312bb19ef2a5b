//! The handshake: from HTTP to frames (RFC 6455 section 4.2).

use sha1_smol::Sha1;

use super::conversation::Conversation;
use super::handler::WebSocketHandler;
use super::settings::WebSocketSettings;
use super::socket::WebSocket;
use crate::http::h1;
use crate::http::request::Request;
use crate::http::response::{HttpResult, Response};
use crate::http::written::Content;

/// What a server appends to the key of a client, to show that it knows WebSocket (RFC 6455 section
/// 1.3).
const PROOF: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why a handshake is refused.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// Status 405: it is no GET.
    Method,
    /// Status 426: the client wants no WebSocket of version 13.
    Upgrade,
    /// Status 400: it is malformed.
    Malformed,
    /// Status 403: the page is one of another site.
    Origin,
}

impl WebSocket<'_> {
    /// Accepts a handshake with the default [`WebSocketSettings`]: the connection then goes on as a
    /// WebSocket. Call it in an HTTP handler, after you have checked who the client is.
    ///
    /// A request that is no handshake gets a response that says so: status 405, 426 or 400 ([WS-1]).
    /// A page of another site gets status 403 ([WS-2]).
    ///
    /// # Errors
    ///
    /// Returns an error if the response cannot be written.
    ///
    /// [WS-1]: crate::spec#ws-1
    /// [WS-2]: crate::spec#ws-2
    pub fn accept(
        request: &Request<'_>,
        response: Response<'_>,
        handler: impl WebSocketHandler,
    ) -> HttpResult {
        WebSocketSettings::default().accept(request, response, handler)
    }
}

impl WebSocketSettings {
    /// Accepts a handshake with these settings; see [`WebSocket::accept`].
    ///
    /// # Errors
    ///
    /// Returns an error if the response cannot be written, for example because a name in
    /// [`protocols`](Self::protocols) has a line break.
    pub fn accept(
        &self,
        request: &Request<'_>,
        response: Response<'_>,
        handler: impl WebSocketHandler,
    ) -> HttpResult {
        let is_incomplete = matches!(
            response.context.content,
            Content::Arriving { .. } | Content::Unwanted
        );
        let key = match self.check(request) {
            Ok(_) if is_incomplete => Err(Refusal::Malformed),
            checked => checked,
        };
        let key = match key {
            Ok(key) => key,
            Err(refusal) => return refuse(response, &refusal),
        };
        let protocol = self.choose(request);
        let http_settings = response.context.settings;
        let conversation = Conversation::new(self, http_settings, protocol, handler);
        let head = response
            .send_response(101)
            .send_header("Connection", "upgrade")
            .send_header("Upgrade", "websocket")
            .send_header("Sec-WebSocket-Accept", proof(key));
        let head = match protocol {
            Some(protocol) => head.send_header("Sec-WebSocket-Protocol", protocol),
            None => head,
        };
        head.upgrade(conversation)
    }

    /// Checks that a request is a handshake. Returns its key.
    fn check<'a>(&self, request: &Request<'a>) -> Result<&'a [u8], Refusal> {
        if request.method() != "GET" {
            return Err(Refusal::Method);
        }
        let mut upgrades = request.upgrade().into_iter().flatten();
        let asks = upgrades.any(|upgrade| upgrade.eq_ignore_ascii_case("websocket"));
        if !asks || only(request, "Sec-WebSocket-Version") != Some(b"13") {
            return Err(Refusal::Upgrade);
        }
        // The content of a GET means nothing, and a proxy may have taken it for frames.
        let has_content = !request.body().is_empty() || request.content_length() > Some(0);
        let key = only(request, "Sec-WebSocket-Key").filter(|key| is_key(key) && !has_content);
        let key = key.ok_or(Refusal::Malformed)?;
        match self.allows_origin(request) {
            true => Ok(key),
            false => Err(Refusal::Origin),
        }
    }

    /// Returns whether the page may open a WebSocket. A client that is no browser sends no origin.
    fn allows_origin(&self, request: &Request<'_>) -> bool {
        let mut origins = request.headers().get_all("Origin");
        let origin = match (origins.next(), origins.next()) {
            (None, _) => return true,
            (Some(origin), None) => origin,
            (Some(_), Some(_)) => return false,
        };
        let listed =
            |allowed: &String| allowed == "*" || allowed.as_bytes().eq_ignore_ascii_case(origin);
        let own = request.authority().unwrap_or_default();
        self.origins.iter().any(listed) || is_of_host(origin, own)
    }

    /// Returns the first of our subprotocols that the client offers.
    fn choose(&self, request: &Request<'_>) -> Option<&str> {
        let fields = request.headers();
        let offers = |protocol: &&String| {
            let mut offered = fields
                .get_all("Sec-WebSocket-Protocol")
                .flat_map(h1::tokens);
            offered.any(|offer| offer == protocol.as_bytes())
        };
        self.protocols.iter().find(offers).map(String::as_str)
    }
}

/// Responds to a request that is no handshake.
fn refuse(response: Response<'_>, refusal: &Refusal) -> HttpResult {
    match refusal {
        Refusal::Method => response
            .send_response(405)
            .send_header("Allow", "GET")
            .body("A WebSocket is opened with GET.\n"),
        Refusal::Upgrade => response
            .send_response(426)
            .send_header("Connection", "upgrade")
            .send_header("Upgrade", "websocket")
            .send_header("Sec-WebSocket-Version", "13")
            .body("Here is a WebSocket of version 13, and nothing else.\n"),
        Refusal::Malformed => response.send_error(400),
        Refusal::Origin => {
            let why = "Pages of this origin may not open a WebSocket here";
            response.send_error_with(403, "Forbidden", why)
        }
    }
}

/// Returns the value of a field that must occur once.
fn only<'a>(request: &Request<'a>, name: &str) -> Option<&'a [u8]> {
    let mut values = request.headers().get_all(name);
    match (values.next(), values.next()) {
        (value, None) => value,
        (_, Some(_)) => None,
    }
}

/// Returns whether `key` is the base64 form of sixteen bytes.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| BASE64.contains(byte);
    match key {
        [digits @ .., b'=', b'='] => digits.len() == 22 && digits.iter().all(is_digit),
        _ => false,
    }
}

/// Returns whether an origin (RFC 6454) is that of the host. `null` never is.
///
/// The schemes are not compared: behind a proxy that does TLS, the page has `https` and the request
/// `http`.
fn is_of_host(origin: &[u8], authority: &str) -> bool {
    let origin = std::str::from_utf8(origin).ok();
    let Some((scheme, host)) = origin.and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let without_default = |host| str::strip_suffix(host, default_port).unwrap_or(host);
    !host.is_empty() && without_default(host).eq_ignore_ascii_case(without_default(authority))
}

/// Returns the answer to a key: the base64 form of a hash (RFC 6455 section 4.2.2).
fn proof(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(PROOF);
    base64(&hash.digest().bytes())
}

/// The digits of base64 (RFC 4648 section 4).
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |index| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let digit = BASE64[(bits >> (18 - 6 * index)) as usize & 63];
            text.push(if index <= group.len() {
                digit.into()
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 section 1.3 and RFC 4648 section 10.
    #[test]
    fn proofs_of_the_rfc() {
        assert_eq!(
            proof(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        for (bytes, text) in [
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    /// WS-2: the port is a part of an origin, unless it is the default of the scheme.
    #[test]
    fn origins_of_a_host() {
        let cases: [(&str, &str, bool); 12] = [
            ("http://h.test", "h.test", true),
            ("http://H.test", "h.TEST", true),
            ("http://h.test", "h.test:80", true),
            ("https://h.test", "h.test:443", true),
            ("https://h.test", "h.test", true),
            ("http://127.0.0.1:8000", "127.0.0.1:8000", true),
            ("http://[::1]:8000", "[::1]:8000", true),
            ("http://h.test:8000", "h.test", false),
            ("http://h.test", "h.test:443", false),
            ("http://h.test.evil", "h.test", false),
            ("null", "null", false),
            ("http://", "", false),
        ];
        for (origin, authority, same) in cases {
            assert_eq!(is_of_host(origin.as_bytes(), authority), same, "{origin}");
        }
    }
}
