//! An active socket of datagrams, whatever its family.

use std::io;
use std::sync::Arc;

use mio::event::Source;
use socket2::Socket;

use super::datagram::{Datagram, DatagramSettings, SendTo};

/// The same socket twice: the loop has to own the one that it registers, and requests share the
/// one that they reply through.
///
/// `S` is mio's type of the socket, `R` the standard library's.
#[derive(Debug)]
pub(super) struct Packets<S, R> {
    /// The loop's own.
    socket: S,
    /// The requests'.
    shared: Arc<R>,
    /// Where datagrams are received. It is reused, so a request allocates only what it needs.
    packet: Vec<u8>,
}

impl<S: Source, R: From<Socket>> Packets<S, R> {
    /// `from_std` turns the standard library's socket into mio's.
    pub(super) fn new(socket: Socket, from_std: impl FnOnce(R) -> S) -> io::Result<Packets<S, R>> {
        socket.set_nonblocking(true)?;
        Ok(Packets {
            shared: Arc::new(socket.try_clone()?.into()),
            socket: from_std(socket.into()),
            packet: Vec::new(),
        })
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    /// Takes one datagram with `receive`, and returns it with its sender ([UDP-2]).
    ///
    /// [UDP-2]: crate::spec#udp-2
    pub(super) fn get_request<A: Clone>(
        &mut self,
        settings: DatagramSettings,
        receive: impl FnOnce(&S, &mut [u8]) -> io::Result<(usize, A)>,
    ) -> io::Result<(Datagram<A>, A)>
    where
        R: SendTo<A> + 'static,
    {
        self.packet.resize(settings.max_packet_size, 0);
        let (length, sender) = receive(&self.socket, &mut self.packet)?;
        let bytes = self.packet[..length].to_vec();
        let socket = Arc::clone(&self.shared);
        let request = Datagram::new(bytes, socket, sender.clone(), settings);
        Ok((request, sender))
    }
}

#[cfg(unix)]
impl<S: std::os::fd::AsFd, R> std::os::fd::AsFd for Packets<S, R> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
