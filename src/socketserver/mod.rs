//! The loop, the life cycle, and the three axes. Python's `socketserver`.
//!
//! The docstring of `socketserver.py` names three axes along which servers differ. Here each is a
//! type, and each Python name stands on the axis to which it belongs:
//!
//! 1. [`Transport`]: where requests come from. [`Tcp`].
//! 2. What to do with one: a [`RequestHandler`] reads and writes files and may block; a
//!    [`Protocol`] is given bytes and the time and never blocks.
//! 3. [`Dispatch`]: how many at once. [`Inline`], one after the other; [`Evented`], all.
//!
//! [`Hooks`] are the methods that Python lets a subclass override. An [`Engine`] joins the four
//! and is passive; a [`Server`] is an engine with a poll, and [`Server::serve_forever`] is the
//! loop. It ends by a [`ShutdownHandle`].
//!
//! | Python | here |
//! | --- | --- |
//! | `TCPServer` | [`TcpServer`] = `Server<Tcp, Inline<F>>` |
//! | `RequestHandlerClass` | the function in [`Inline`] that makes a handler for a client |
//! | `StreamRequestHandler` | [`RequestHandler`] |
//! | `server_bind`, `server_activate`, `get_request` | [`Transport`] |
//! | `process_request`, `finish_request` | [`Dispatch`] |
//! | `verify_request`, `service_actions`, `handle_error` | [`Hooks`] |
//! | `serve_forever` | [`Server::serve_forever`] |
//! | `shutdown` | [`ShutdownHandle::shutdown`] |

mod blocking;
mod buffer;
mod connection;
mod dispatch;
mod engine;
mod failure;
mod handler;
mod hooks;
mod mailbox;
mod protocol;
mod server;
mod shutdown;
#[cfg(unix)]
mod signals;
mod transport;

pub use blocking::Blocking;
pub use buffer::Buffer;
pub use dispatch::{Dispatch, Evented, EventedSettings, Inline, ProtocolFactory, Refused};
pub use engine::{Engine, RESERVED_TOKENS, Turn};
pub(crate) use failure::contain;
pub use failure::{Failure, HandlerResult, Panic};
pub use handler::{RequestHandler, Rfile};
pub use hooks::{Defaults, Hooks};
pub use mailbox::{MAILBOX_CAPACITY, Mailbox, SendError};
pub use protocol::{Next, Protocol};
pub use server::{MAX_CONNECTIONS, POLL_INTERVAL, Server};
pub use shutdown::{Drained, NotStopped, ShutdownHandle};
pub use transport::{Request, ServerAddress, Stream, Tcp, Transport};

use std::io;
use std::net::SocketAddr;

/// Python's `TCPServer`: one blocking handler after the other.
pub type TcpServer<F> = Server<Tcp, Inline<F>>;

impl<F, H> TcpServer<F>
where
    F: FnMut(&SocketAddr) -> H,
    H: RequestHandler,
{
    /// Listens on `address`; `make_handler` makes a handler for each client.
    ///
    /// # Errors
    ///
    /// What [`Tcp::bind_and_activate`] answers.
    pub fn bind(address: impl ServerAddress, make_handler: F) -> io::Result<TcpServer<F>> {
        Server::new(
            Tcp::new(address)?.bind_and_activate()?,
            Inline(make_handler),
        )
    }
}
