//! WebSocket (RFC 6455): messages in both directions, on a connection that begins as HTTP.
//!
//! ```
//! use serve_forever::http::websocket::{WebSocket, WebSocketMessage};
//! use serve_forever::{HttpResult, HttpServer, Request, Response};
//!
//! fn echo(request: &Request<'_>, response: Response<'_>) -> HttpResult {
//!     let echo = |socket: &mut WebSocket<'_>, message: WebSocketMessage<'_>| {
//!         socket.send(message);
//!         Ok(())
//!     };
//!     WebSocket::accept(request, response, echo)
//! }
//!
//! let server = HttpServer::bind("127.0.0.1:0", echo)?;
//! # let _ = server;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! | you want | use |
//! | --- | --- |
//! | to accept a handshake in a handler | [`WebSocket::accept`] |
//! | your own limits, subprotocols, or pages of other origins | [`WebSocketSettings::accept`] |
//! | only messages | a closure, as above |
//! | to know when a client comes and goes | a [`WebSocketHandler`] |
//! | to send from another thread, or to several clients | a [`WebSocketSender`], from [`WebSocket::sender`] |
//!
//! Your handler runs on the loop, also on a server whose HTTP handlers have threads, so it must not
//! block. For longer work, give a [`WebSocketSender`] to a thread or a
//! [`Pool`](crate::socketserver::Pool).
//!
//! The server itself answers pings, finds clients that have vanished, limits messages, and closes with
//! the closing handshake ([WS-3] to [WS-7]). A drain says good-bye to every client. Compression
//! (`permessage-deflate`) is not offered.
//!
//! # Pages of other sites
//!
//! A page of *any* site may open a WebSocket to your server, and the browser sends your cookies with
//! the handshake. So a foreign page could act as your user (cross-site WebSocket hijacking, RFC 6455
//! section 10.2). Therefore a browser is accepted only from a page of your own server, unless
//! [`WebSocketSettings::origins`] lists its origin ([WS-2]). Behind a proxy that replaces `Host`, that
//! is the origin of the proxy. A program that is no browser sends no `Origin`, and is accepted; so
//! check who it is as for any other request.
//!
//! [WS-2]: crate::spec#ws-2
//! [WS-3]: crate::spec#ws-3
//! [WS-7]: crate::spec#ws-7

mod close;
mod conversation;
mod frame;
mod handler;
mod handshake;
mod link;
mod message;
mod reader;
mod sender;
mod settings;
mod socket;

pub use close::WebSocketClose;
pub use handler::WebSocketHandler;
pub use message::WebSocketMessage;
pub use sender::WebSocketSender;
pub use settings::WebSocketSettings;
pub use socket::WebSocket;
