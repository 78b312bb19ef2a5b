//! Why a conversation ends: codes and reasons (RFC 6455 section 7.4).

use std::fmt;

/// The longest content of a control frame, such as a Close frame (RFC 6455 section 5.5).
pub(super) const LONGEST_CONTROL: usize = 125;

/// Why a conversation has ended: a code and a reason ([WS-6]).
///
/// [WS-6]: crate::spec#ws-6
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketClose {
    /// The code; see the constants.
    code: u16,
    /// The reason, for people who look for mistakes. Often empty.
    reason: String,
}

impl WebSocketClose {
    /// The conversation has served its purpose.
    pub const NORMAL: u16 = 1000;
    /// The server is stopping, or the user has left the page.
    pub const GOING_AWAY: u16 = 1001;
    /// The other side has broken the rules of the protocol.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// No code was sent. It is never sent itself.
    pub const NO_CODE: u16 = 1005;
    /// The connection has ended without a closing handshake. It is never sent itself.
    pub const ABNORMAL: u16 = 1006;
    /// A text is not UTF-8.
    pub const INVALID_TEXT: u16 = 1007;
    /// A message is not acceptable, for reasons of the program.
    pub const POLICY: u16 = 1008;
    /// A message is too long.
    pub const TOO_LONG: u16 = 1009;
    /// The server has failed.
    pub const SERVER_ERROR: u16 = 1011;
    /// There is no room just now.
    pub const TRY_AGAIN_LATER: u16 = 1013;

    pub(super) fn new(code: u16, reason: impl Into<String>) -> WebSocketClose {
        WebSocketClose {
            code,
            reason: reason.into(),
        }
    }

    /// Reads the content of a Close frame (RFC 6455 section 5.5.1).
    pub(super) fn read(content: &[u8]) -> Result<WebSocketClose, Violation> {
        let (code, reason) = match content {
            [] => return Ok(WebSocketClose::new(WebSocketClose::NO_CODE, "")),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
            _ => return Err(Violation::protocol("a close frame has half a code")),
        };
        if !may_be_sent(code) {
            return Err(Violation::protocol("this code is never sent"));
        }
        let reason = std::str::from_utf8(reason).map_err(|_| Violation::text())?;
        Ok(WebSocketClose::new(code, reason))
    }

    /// Returns the content of the Close frame. A code that is never sent is left out, and so is the
    /// reason then. A reason that is too long is cut.
    pub(super) fn content(&self) -> Vec<u8> {
        if !may_be_sent(self.code) {
            return Vec::new();
        }
        let mut end = self.reason.len().min(LONGEST_CONTROL - 2);
        while !self.reason.is_char_boundary(end) {
            end -= 1;
        }
        [&self.code.to_be_bytes(), &self.reason.as_bytes()[..end]].concat()
    }

    /// Returns the code, such as [`NORMAL`](Self::NORMAL). 3000 to 4999 are for programs.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Returns the reason; empty if there is none. It comes from the client, so do not trust it.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for WebSocketClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason.as_str() {
            "" => write!(f, "{}", self.code),
            reason => write!(f, "{} {}", self.code, reason.escape_debug()),
        }
    }
}

/// Returns whether a Close frame may have this code (RFC 6455 section 7.4, and the IANA registry).
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// How a client has broken the rules, as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Violation {
    /// The code of the Close frame.
    pub(super) code: u16,
    /// Its reason.
    pub(super) reason: &'static str,
}

impl Violation {
    pub(super) fn protocol(reason: &'static str) -> Violation {
        let code = WebSocketClose::PROTOCOL_ERROR;
        Violation { code, reason }
    }

    pub(super) fn text() -> Violation {
        Violation {
            code: WebSocketClose::INVALID_TEXT,
            reason: "a text is not UTF-8",
        }
    }

    pub(super) fn too_long() -> Violation {
        Violation {
            code: WebSocketClose::TOO_LONG,
            reason: "a message is too long",
        }
    }

    pub(super) fn no_room() -> Violation {
        Violation {
            code: WebSocketClose::TRY_AGAIN_LATER,
            reason: "there is no room for the message",
        }
    }
}
