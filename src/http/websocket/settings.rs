//! The limits of a WebSocket, and who may open one.

use std::time::Duration;

/// The limits of a conversation, and who may begin one (design laws [7][law 7] and [8][law 8]).
///
/// ```
/// use serve_forever::http::websocket::{WebSocket, WebSocketMessage, WebSocketSettings};
/// use serve_forever::{HttpResult, Request, Response};
///
/// fn count(request: &Request<'_>, response: Response<'_>) -> HttpResult {
///     let mut settings = WebSocketSettings::default();
///     settings.message = 16 * 1024;
///     settings.origins = vec!["https://example.org".into()];
///     let mut count = 0;
///     settings.accept(request, response, move |socket: &mut WebSocket<'_>, _: WebSocketMessage<'_>| {
///         count += 1;
///         socket.text(&count.to_string());
///         Ok(())
///     })
/// }
/// # let _ = count;
/// ```
///
/// [law 7]: crate::spec#law-7
/// [law 8]: crate::spec#law-8
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebSocketSettings {
    /// The longest message, in bytes: 1 MiB. A longer one closes the conversation with code 1009.
    /// Nothing is allocated for a length that is only announced. The parts of messages that are still
    /// arriving also count for [`Limits::bodies`](crate::http::Limits::bodies), with code 1013.
    pub message: usize,
    /// How long a message may take from its first byte to its last: 2 min. Then the conversation is
    /// closed with code 1008, because the parts of a message use memory that others need. If your
    /// clients send [long](Self::message) messages over slow lines, set a longer time.
    pub message_time: Duration,
    /// How long a client may be silent: 30 s, and at least 1 s. Then it is sent a ping, and has as long
    /// again to send anything, such as the pong. So a client that has vanished is noticed after a
    /// minute.
    pub heartbeat: Duration,
    /// How long a client may take to answer a Close frame: 5 s. Then the connection is closed.
    pub closing: Duration,
    /// The subprotocols that you speak, the best one first; none by default. The first that the client
    /// offers as well is [used](super::WebSocket::protocol). If there is none, the conversation has no
    /// subprotocol.
    pub protocols: Vec<String>,
    /// The origins of further sites whose pages may open a WebSocket, such as `https://example.org`.
    /// `*` means all of them. By default only pages of this server may ([WS-2]).
    ///
    /// Whether a page is of this server is seen by the `Host` of the request, with its port. A proxy may
    /// replace it: nginx does unless you say `proxy_set_header Host $http_host`. List the origin of the
    /// proxy then.
    ///
    /// [WS-2]: crate::spec#ws-2
    pub origins: Vec<String>,
}

impl Default for WebSocketSettings {
    fn default() -> WebSocketSettings {
        WebSocketSettings {
            message: 1024 * 1024,
            message_time: Duration::from_secs(120),
            heartbeat: Duration::from_secs(30),
            closing: Duration::from_secs(5),
            protocols: Vec::new(),
            origins: Vec::new(),
        }
    }
}
