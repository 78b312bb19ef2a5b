//! Messages: text or bytes.

/// A message, as it arrives or is sent.
// Exhaustive: RFC 6455 has these two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebSocketMessage<'a> {
    /// Text, which is always UTF-8.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
}
