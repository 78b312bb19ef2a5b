//! The loop, the life cycle, and the three axes. Python's `socketserver`.
//!
//! The docstring of `socketserver.py` names three axes along which servers differ. Here each axis is
//! a type:
//!
//! 1. [`Transport`] is where requests come from: [`Tcp`], [`Udp`], `UnixStreams`, `UnixDatagrams`.
//! 2. A [`Factory`] makes what serves a request. A [`RequestHandler`] reads and writes files and may
//!    block; a [`Protocol`] is given bytes and the time and never blocks. A factory may wrap another one:
//!    [`ProxyProtocol`] tells it who the client behind a proxy is.
//! 3. [`Dispatch`] is how many are served at the same time. [`Inline`] serves one after the other,
//!    [`Threading`] as many as a [`Pool`] has threads, and [`Evented`] all.
//!
//! [`Hooks`] are the methods that Python lets a subclass override; [`Outgoing`] are hooks that make
//! connections to other servers. An [`Engine`] joins the four
//! and is passive; a [`Server`] is an engine with a poll, and [`Server::serve_forever`] is the
//! loop. A [`ShutdownHandle`] ends it.
//!
//! | Python | here |
//! | --- | --- |
//! | `TCPServer` | [`TcpServer`] = `Server<Tcp, Inline<F>>` |
//! | `UDPServer` | [`UdpServer`] |
//! | `UnixStreamServer`, `UnixDatagramServer` | the same names |
//! | `ThreadingTCPServer` | [`ThreadingTcpServer`] = `Server<Tcp, Threading<Tcp, F>>` |
//! | `ThreadingMixIn` | [`Threading`]: a bounded pool |
//! | `daemon_threads`, `block_on_close` | [`Threading::daemon_threads`], [`Threading::block_on_close`] |
//! | `RequestHandlerClass` | the [`Factory`] in [`Inline`] or [`Threading`] |
//! | `StreamRequestHandler`, `DatagramRequestHandler` | [`RequestHandler`] |
//! | `server_bind`, `server_activate`, `get_request` | [`Transport`] |
//! | `process_request`, `finish_request` | [`Dispatch`] |
//! | `verify_request`, `service_actions`, `handle_error`, `handle_timeout` | [`Hooks`] |
//! | `serve_forever`, `handle_request` | [`Server::serve_forever`], [`Server::handle_request`] |
//! | `server_close`, `with` | [`Server::server_close`], or dropping the server |
//! | `shutdown` | [`ShutdownHandle::shutdown`] |

mod block;
mod budget;
mod buffer;
mod connection;
mod crowd;
mod dispatch;
mod draining;
mod driver;
mod engine;
mod factory;
mod failure;
mod handler;
mod hooks;
mod interrupts;
mod interval;
mod listener;
mod log_queue;
mod mailbox;
mod outgoing;
mod overload;
mod pace;
mod panics;
mod pool;
mod protocol;
mod proxy_protocol;
mod running;
mod serve_error;
mod server;
mod server_handle;
mod settings;
mod shutdown;
mod signals;
mod stats;
mod stderr;
mod sync;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod until;
mod waiter;

pub use block::Block;
pub(crate) use budget::complain;
pub use buffer::Buffer;
pub use dispatch::{Dispatch, Evented, Inline, Refused, Threading};
pub use driver::Driver;
pub use engine::{Engine, Turn};
pub use factory::{Ends, Factory};
pub(crate) use failure::contain;
pub use failure::{Failure, HandlerResult, Panic};
pub use handler::{RequestHandler, Rfile};
pub use hooks::{Defaults, Hooks};
pub use interval::POLL_INTERVAL;
pub use log_queue::LogQueue;
pub use mailbox::{Inbox, MAILBOX_CAPACITY, Mailbox, SendError};
pub use outgoing::Outgoing;
pub use overload::Overload;
pub(crate) use pace::Patience;
pub use panics::limit_panic_reports;
pub use pool::Pool;
pub(crate) use pool::halted::Halted;
pub use pool::overloaded::Overloaded;
pub use pool::place::Place;
pub(crate) use pool::seat::Seat;
pub use pool::worker::Worker;
pub use protocol::{Next, Protocol};
pub use proxy_protocol::{Proxied, ProxyProtocol};
pub use running::RunningServer;
pub use serve_error::ServeError;
pub use server::{MAX_CONNECTIONS, Server};
pub use server_handle::ServerHandle;
pub use settings::EventedSettings;
pub use shutdown::{Drained, NotStopped, Run, ShutdownHandle};
pub use signals::keep_signals;
pub use stats::Stats;
pub(crate) use stderr::{QueuedStderr, print};
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsConfig, TlsConnection, TlsSession, TlsStats};
pub use transport::{
    Accepted, Datagram, Duplex, Files, ServerAddress, Stream, Tcp, Transport, Udp,
};
#[cfg(unix)]
pub use transport::{UnixAddress, UnixDatagrams, UnixStreams};
pub use until::Until;
pub use waiter::Waiter;

use std::io;
use std::net::SocketAddr;

/// Python's `TCPServer`: one blocking handler after another.
pub type TcpServer<F> = Server<Tcp, Inline<F>>;

impl<F: Factory<SocketAddr, Made: RequestHandler>> TcpServer<F> {
    /// Listens on `address`. `factory` makes a handler for each client.
    ///
    /// # Errors
    ///
    /// Returns the error of [`Tcp::new`] or [`Tcp::bind_and_activate`].
    pub fn bind(address: impl ServerAddress, factory: F) -> io::Result<TcpServer<F>> {
        Server::new(
            Tcp::new(address)?.bind_and_activate()?,
            Inline::new(factory),
        )
    }
}

/// Python's `ThreadingTCPServer`: blocking handlers on the threads of a pool.
///
/// If you need hooks or other settings of the pool, make the server with [`Server::new`] or
/// [`Server::with_hooks`].
pub type ThreadingTcpServer<F> = Server<Tcp, Threading<Tcp, F>>;

impl<F> ThreadingTcpServer<F>
where
    F: Factory<SocketAddr, Made: RequestHandler> + Send + Sync + 'static,
{
    /// Listens on `address`. `factory` makes a handler for each client, on its thread.
    ///
    /// # Errors
    ///
    /// Returns the error of [`Tcp::new`] or [`Tcp::bind_and_activate`].
    pub fn bind(address: impl ServerAddress, factory: F) -> io::Result<ThreadingTcpServer<F>> {
        Server::new(
            Tcp::new(address)?.bind_and_activate()?,
            Threading::new(factory),
        )
    }
}

/// Python's `UDPServer`: one datagram at a time. Each reply is one datagram.
pub type UdpServer<F> = Server<Udp, Inline<F>>;

impl<F: Factory<SocketAddr, Made: RequestHandler>> UdpServer<F> {
    /// Receives datagrams on `address`. `factory` makes a handler for each.
    ///
    /// # Errors
    ///
    /// Returns the error of [`Udp::new`] or [`Udp::bind_and_activate`].
    pub fn bind(address: impl ServerAddress, factory: F) -> io::Result<UdpServer<F>> {
        Server::new(
            Udp::new(address)?.bind_and_activate()?,
            Inline::new(factory),
        )
    }
}

/// Python's `UnixStreamServer`: like [`TcpServer`], but on a path.
#[cfg(unix)]
pub type UnixStreamServer<F> = Server<UnixStreams, Inline<F>>;

#[cfg(unix)]
impl<F: Factory<UnixAddress, Made: RequestHandler>> UnixStreamServer<F> {
    /// Listens on `address`. `factory` makes a handler for each client.
    ///
    /// # Errors
    ///
    /// Returns the error of [`UnixStreams::new`] or [`UnixStreams::bind_and_activate`].
    pub fn bind(address: impl Into<UnixAddress>, factory: F) -> io::Result<UnixStreamServer<F>> {
        Server::new(
            UnixStreams::new(address)?.bind_and_activate()?,
            Inline::new(factory),
        )
    }
}

/// Python's `UnixDatagramServer`: like [`UdpServer`], but on a path.
#[cfg(unix)]
pub type UnixDatagramServer<F> = Server<UnixDatagrams, Inline<F>>;

#[cfg(unix)]
impl<F: Factory<UnixAddress, Made: RequestHandler>> UnixDatagramServer<F> {
    /// Receives datagrams on `address`. `factory` makes a handler for each.
    ///
    /// # Errors
    ///
    /// Returns the error of [`UnixDatagrams::new`] or [`UnixDatagrams::bind_and_activate`].
    pub fn bind(address: impl Into<UnixAddress>, factory: F) -> io::Result<UnixDatagramServer<F>> {
        Server::new(
            UnixDatagrams::new(address)?.bind_and_activate()?,
            Inline::new(factory),
        )
    }
}
