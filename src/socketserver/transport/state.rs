//! The life of a server's socket: created, active, closed (TCP-3, SRV-4).

use std::io;

use socket2::Socket;

/// A socket, and what it is once the server is activated.
#[derive(Debug)]
pub(super) enum State<A> {
    Created(Socket),
    Active(A),
    Closed,
}

impl<A> State<A> {
    /// The socket while options can be set on it and it can be bound.
    pub(super) fn created(&self) -> io::Result<&Socket> {
        match self {
            State::Created(socket) => Ok(socket),
            State::Active(_) => Err(invalid("the server is activated already")),
            State::Closed => Err(invalid("the server is closed")),
        }
    }

    /// Makes the socket what it is when active. If that fails, it is closed.
    pub(super) fn activate(
        &mut self,
        make: impl FnOnce(Socket) -> io::Result<A>,
    ) -> io::Result<()> {
        self.created()?;
        if let State::Created(socket) = std::mem::replace(self, State::Closed) {
            *self = State::Active(make(socket)?);
        }
        Ok(())
    }

    /// What the server takes requests from.
    pub(super) fn active(&mut self) -> io::Result<&mut A> {
        match self {
            State::Active(active) => Ok(active),
            State::Created(_) => Err(invalid("the server is not activated")),
            State::Closed => Err(invalid("the server is closed")),
        }
    }
}

#[cfg(unix)]
impl<A: std::os::fd::AsFd> std::os::fd::AsFd for State<A> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            State::Created(socket) => socket.as_fd(),
            State::Active(active) => active.as_fd(),
            // reason: AsFd cannot answer an error, and a made-up descriptor would be worse.
            State::Closed => panic!("the server is closed"),
        }
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
