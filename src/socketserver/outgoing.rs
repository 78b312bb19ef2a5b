//! Connections that the program makes itself, on the server's loop.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Instant;

use mio::Interest;
use mio::net::TcpStream;

use super::budget::complain;
use super::buffer::Buffer;
use super::dispatch::{Dispatch, Evented};
use super::factory::{Ends, Factory};
use super::failure::{Failure, HandlerResult, catch, contain};
use super::hooks::Hooks;
use super::protocol::Protocol;
use super::server_handle::ServerHandle;
use super::transport::{Tcp, Transport};

use crate::reactor::{Now, Reactor, Receiver, Slot};

/// TCP connections to other servers, on the server's own loop. So a handler can ask an upstream, and no
/// thread waits for the answer ([RT-15]).
///
/// They are the server's [`Hooks`]. A handler sends the upstream's address and a [`Protocol`] through a
/// [`channel`](crate::reactor::channel). The protocol is the conversation with the upstream: it speaks
/// first in [`connection_made`](Protocol::connection_made), and answers the client, for example by a
/// [`Deferred`](crate::http::Deferred).
///
/// ```
/// use std::convert::Infallible;
/// use std::net::SocketAddr;
/// use serve_forever::http::{self, Deferred, Http, HttpSettings};
/// use serve_forever::reactor::{Now, channel};
/// use serve_forever::socketserver::{Buffer, Evented, Mailbox, Next, Outgoing, Protocol, Server};
/// use serve_forever::{Request, Response};
///
/// /// Asks the upstream for a line, and sends it to the client.
/// struct Ask(Option<Deferred>);
///
/// impl Protocol for Ask {
///     type Message = Infallible;
///
///     fn connection_made(&mut self, _: Mailbox<Infallible>, output: &mut Buffer, _: &Now) -> Next {
///         output.extend_from_slice(b"how are you?\n");
///         Next::Read
///     }
///
///     fn receive(&mut self, input: &mut Buffer, _: &mut Buffer, _: &Now) -> Next {
///         if !input.ends_with(b"\n") && input.len() < 1024 {
///             return Next::Read;
///         }
///         if let Some(client) = self.0.take() {
///             // Ignore the error: the client has disconnected.
///             let _ = client.respond(|response| response.send_response(200).body(&**input));
///         }
///         Next::Close
///     }
/// }
///
/// let upstream = SocketAddr::from(([127, 0, 0, 1], 8001));
/// let (connect, requested) = channel(1000);
/// let page = move |_: &Request<'_>, response: Response<'_>| {
///     let (client, reply) = response.defer();
///     // Ignore the error: a client whose `Deferred` is dropped gets a 500.
///     let _ = connect.send((upstream, Ask(Some(client))));
///     Ok(reply)
/// };
/// let dispatch = Evented::new(Http::new(page, HttpSettings::default()));
/// let outgoing = Outgoing::new(requested, 100);
/// let server = Server::with_hooks(http::listen("127.0.0.1:0")?, dispatch, outgoing)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// The example `upstream` also has a deadline, and tells its client what went wrong.
///
/// If the connection cannot be made, or the server is dropped before it is made,
/// [`connection_lost`](Protocol::connection_lost) is the only call. If the protocol's
/// [`deadline`](Protocol::deadline) passes before, [`timed_out`](Protocol::timed_out) comes first, and its
/// verdict does not matter.
///
/// Each connection takes one of the server's slots. The server does not count them as
/// [open](super::Stats::open) requests, and a drain does not tell them. But it waits for the clients, who
/// wait for them.
///
/// If you have hooks of your own, keep this in them, and call its [`attach`](Hooks::attach) and its
/// [`ready`](Hooks::ready) from yours.
///
/// [RT-15]: crate::spec#rt-15
pub struct Outgoing<P: Protocol<Message = Infallible>> {
    /// The connections that are asked for.
    requested: Receiver<(SocketAddr, P)>,
    /// How many there may be at the same time.
    most: usize,
    /// Those that are not made yet.
    connecting: HashMap<Slot, Connecting<P>>,
    /// Those that are made.
    connections: Evented<Tcp, Given<P>>,
}

/// A connection that is not made yet.
struct Connecting<P> {
    stream: TcpStream,
    address: SocketAddr,
    /// When the protocol's deadline passes. It cannot change while nothing is called.
    deadline: Option<Instant>,
    protocol: P,
}

/// Stands where a server has its factory. It makes nothing: each connection comes with its protocol.
struct Given<P>(PhantomData<fn() -> P>);

impl<P> Factory<SocketAddr> for Given<P> {
    type Made = P;

    fn make(&self, _: &Ends<'_, SocketAddr>) -> Result<P, Failure> {
        Err(io::Error::from(ErrorKind::Unsupported).into())
    }
}

impl<P: Protocol<Message = Infallible>> Outgoing<P> {
    /// Makes each connection that `requested` receives: its address, and its protocol. At most `most`
    /// of them are open at the same time, one at least; the others wait in the channel.
    ///
    /// An upstream that does not answer keeps its connection until the protocol's deadline. So give the
    /// protocol one, and choose `most` so that the program has descriptors left.
    #[must_use]
    pub fn new(requested: Receiver<(SocketAddr, P)>, most: usize) -> Outgoing<P> {
        Outgoing {
            requested,
            most: most.max(1),
            connecting: HashMap::new(),
            connections: Evented::new(Given(PhantomData)),
        }
    }

    /// Returns how many connections there are, with those that are not made yet.
    pub fn open_connections(&self) -> usize {
        self.connecting.len() + self.connections.open_connections()
    }

    /// Begins to make the connections that are asked for, as long as there is room.
    fn connect_waiting(&mut self, reactor: &mut Reactor, now: &Now) {
        while self.open_connections() < self.most {
            let Some((address, protocol)) = self.requested.receive() else {
                return;
            };
            let deadline = match catch(|| protocol.deadline()) {
                Ok(deadline) => deadline,
                Err(panic) => {
                    complain("a deadline panicked", panic);
                    // Ignore the result: the panic is reported already.
                    let _ = catch(|| drop(protocol));
                    continue;
                }
            };
            match connect(address, deadline, reactor) {
                Ok((slot, stream)) => {
                    let connecting = Connecting {
                        stream,
                        address,
                        deadline,
                        protocol,
                    };
                    self.connecting.insert(slot, connecting);
                }
                Err(error) => {
                    log::debug!("cannot connect to {address}: {error}");
                    give_up(protocol, false, now);
                }
            }
        }
    }

    /// Looks whether a connection is made by now, and begins its conversation.
    fn go_on(&mut self, slot: Slot, reactor: &mut Reactor, now: &Now) {
        let Some(connecting) = self.connecting.get(&slot) else {
            return;
        };
        let is_over = |deadline| deadline <= now.instant();
        let timed_out = connecting.deadline.is_some_and(is_over);
        let connected = is_connected(&connecting.stream);
        if matches!(connected, Ok(false)) && !timed_out {
            return;
        }
        let Some(mut connecting) = self.connecting.remove(&slot) else {
            return;
        };
        reactor.close(slot, &mut connecting.stream);
        let (address, protocol) = (connecting.address, connecting.protocol);
        match connected {
            Ok(true) => {
                let stream = connecting.stream;
                let begun = self
                    .connections
                    .begin(stream, address, protocol, reactor, now);
                // There is a slot, because this connection has just given up its own.
                if let Err(refused) = begun {
                    complain("a connection has no slot", refused.failure);
                }
            }
            Ok(false) => give_up(protocol, true, now),
            Err(error) => {
                log::debug!("cannot connect to {address}: {error}");
                give_up(protocol, false, now);
            }
        }
    }

    /// Logs the failures of conversations.
    fn report(&mut self) -> HandlerResult {
        while let Some((failure, address)) = self.connections.next_failure() {
            match failure {
                Failure::Request(error) => {
                    complain(&format!("a connection to {address} failed"), error);
                }
                stop => return Err(stop),
            }
        }
        Ok(())
    }
}

/// Begins to connect. The slot has a turn when the connection is made or has failed, and at the
/// deadline.
fn connect(
    address: SocketAddr,
    deadline: Option<Instant>,
    reactor: &mut Reactor,
) -> io::Result<(Slot, TcpStream)> {
    let mut stream = TcpStream::connect(address)?;
    let both = Interest::READABLE | Interest::WRITABLE;
    let slot = reactor.watch(&mut stream, both)?;
    if let Some(deadline) = deadline {
        reactor.arm(slot, deadline);
    }
    Ok((slot, stream))
}

/// Returns whether the connection is made; an error if it has failed. As mio's documentation of
/// `TcpStream::connect` recommends.
fn is_connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => {
            // Ignore the error: it is only slower then. What a protocol writes in one turn is sent at
            // once, so nothing is gained by waiting for more.
            let _ = stream.set_nodelay(true);
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

/// Tells a protocol that its connection will not be made. It may panic, and so may its drop ([design law
/// 10]).
///
/// [design law 10]: crate::spec#law-10
fn give_up<P: Protocol>(mut protocol: P, timed_out: bool, now: &Now) {
    let told = contain(move || {
        if timed_out {
            protocol.timed_out(&mut Buffer::new(), now);
        }
        protocol.connection_lost(now);
        protocol.take_failure().map_or(Ok(()), Err)
    });
    if let Err(failure) = told {
        complain("a connection that was not made", failure);
    }
}

impl<T: Transport, P: Protocol<Message = Infallible>> Hooks<T> for Outgoing<P> {
    fn attach(&mut self, _: &ServerHandle, reactor: &mut Reactor) -> io::Result<()> {
        self.requested.open(reactor).map(drop)
    }

    fn has_service_actions(&self) -> bool {
        false
    }

    fn ready(&mut self, slot: Slot, reactor: &mut Reactor, now: &Now) -> HandlerResult {
        if !self.connections.ready(slot, reactor, now) {
            self.go_on(slot, reactor, now);
        }
        self.connect_waiting(reactor, now);
        self.report()
    }
}

impl<P: Protocol<Message = Infallible>> Drop for Outgoing<P> {
    /// Ends the conversations that have not begun. The others end with their connections.
    fn drop(&mut self) {
        let now = Now::new();
        for (_, connecting) in self.connecting.drain() {
            give_up(connecting.protocol, false, &now);
        }
        while let Some((_, protocol)) = self.requested.receive() {
            give_up(protocol, false, &now);
        }
    }
}

impl<P: Protocol<Message = Infallible>> fmt::Debug for Outgoing<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("most", &self.most)
            .field("open_connections", &self.open_connections())
            .finish_non_exhaustive()
    }
}
