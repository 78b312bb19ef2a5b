//! The life of a server's socket: created, active, closed ([TCP-3], [SRV-4]).
//!
//! [SRV-4]: crate::spec#srv-4
//! [TCP-3]: crate::spec#tcp-3

use std::io;
use std::mem;

use socket2::{Domain, Socket, Type};

use super::traits::Transport;

/// The socket of a server. When the server is activated, the socket becomes an `A`.
#[derive(Debug)]
pub(super) enum Life<A> {
    /// Options can be set on the socket, and it can be bound.
    Created(Socket),
    /// Requests are taken from it.
    Active(A),
    /// The socket is closed.
    Closed,
}

impl<A> Life<A> {
    /// Creates a socket that is not bound yet.
    pub(super) fn new(domain: Domain, kind: Type) -> io::Result<Life<A>> {
        Ok(Life::Created(nonblocking(domain, kind)?))
    }

    /// Returns the socket, while options can be set on it and it can be bound.
    pub(super) fn created(&self) -> io::Result<&Socket> {
        match self {
            Life::Created(socket) => Ok(socket),
            Life::Active(_) => Err(invalid("the server is activated already")),
            Life::Closed => Err(invalid("the server is closed")),
        }
    }

    /// Turns the created socket into the active one. If `make` fails, the socket is closed.
    pub(super) fn activate(
        &mut self,
        make: impl FnOnce(Socket) -> io::Result<A>,
    ) -> io::Result<()> {
        self.created()?;
        if let Life::Created(socket) = mem::replace(self, Life::Closed) {
            *self = Life::Active(make(socket)?);
        }
        Ok(())
    }

    /// Returns the active socket.
    pub(super) fn active(&mut self) -> io::Result<&mut A> {
        match self {
            Life::Active(active) => Ok(active),
            Life::Created(_) => Err(invalid("the server is not activated")),
            Life::Closed => Err(invalid("the server is closed")),
        }
    }
}

#[cfg(unix)]
impl<A: std::os::fd::AsFd> std::os::fd::AsFd for Life<A> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Life::Created(socket) => socket.as_fd(),
            Life::Active(active) => active.as_fd(),
            // reason: AsFd cannot return an error, and a made-up descriptor would be worse.
            Life::Closed => panic!("the server is closed"),
        }
    }
}

/// Creates a socket whose operations never wait.
pub(super) fn nonblocking(domain: Domain, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Python's `bind_and_activate=True`. If a step fails, the socket is closed ([TCP-2]).
///
/// [TCP-2]: crate::spec#tcp-2
pub(super) fn bind_and_activate<T: Transport>(mut transport: T) -> io::Result<T> {
    transport.server_bind()?;
    transport.server_activate()?;
    Ok(transport)
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
