//! All requests at once, on the loop thread: connections that are never waited for.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mio::Interest;

use super::{Dispatch, Refused};
use crate::reactor::{Now, Reactor, Slot};
use crate::socketserver::connection::{Connection, Fate, Occasion, Scratch, Turn};
use crate::socketserver::failure::{Panic, contain};
use crate::socketserver::mailbox::Post;
use crate::socketserver::{Failure, Protocol, Stream, Transport, complain};

/// Makes the protocol for each client; asyncio's `protocol_factory`.
///
/// Any closure from a client's address to a [`Protocol`] is one.
pub trait ProtocolFactory<A> {
    /// What it makes.
    type Protocol: Protocol;

    /// The protocol for one client.
    fn make_protocol(&mut self, client_address: &A) -> Self::Protocol;

    /// As [`make_protocol`](Self::make_protocol), which it calls by default, for a protocol that
    /// is told at which address its client has reached the server, too.
    ///
    /// `local_address` finds it out: see [`Transport::local_address`].
    fn make_protocol_at(
        &mut self,
        client_address: &A,
        local_address: impl FnOnce() -> io::Result<A>,
    ) -> Self::Protocol {
        let _ = local_address;
        self.make_protocol(client_address)
    }
}

impl<A, P: Protocol, F: FnMut(&A) -> P> ProtocolFactory<A> for F {
    type Protocol = P;

    fn make_protocol(&mut self, client_address: &A) -> P {
        self(client_address)
    }
}

/// The limits of every connection, whatever it speaks (design laws 7 and 8), on the loop and, with
/// [`Blocking`](crate::socketserver::Blocking), on threads.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EventedSettings {
    /// How long a client may leave output unread without taking a byte: 30 s (nginx's
    /// `send_timeout` has 60 s, Apache's `Timeout` 60 s).
    pub write_stall: Duration,
    /// Bytes a second that a client must take on average, at least one, once output has waited for
    /// it as long as [`write_stall`](Self::write_stall): 240, as in Kestrel. Less is not a slow
    /// line but an attempt to hold the connection.
    pub write_rate: u32,
    /// How long a client may go on sending after the last answer before it is cut off: 2 s
    /// (Apache 2 s; nginx 5 s between two reads).
    pub linger: Duration,
    /// Above this much unsent output nothing more is read or produced: 64 KiB.
    pub high_water: usize,
}

impl Default for EventedSettings {
    fn default() -> EventedSettings {
        EventedSettings {
            write_stall: Duration::from_secs(30),
            write_rate: 240,
            linger: Duration::from_secs(2),
            high_water: 64 * 1024,
        }
    }
}

/// Runs a [`Protocol`] on each connection; no client waits for another (RT-8).
pub struct Evented<T, F>
where
    T: Transport,
    T::Request: Stream,
    F: ProtocolFactory<T::Address>,
{
    factory: F,
    settings: EventedSettings,
    /// Where the server listens, once it is put together.
    server_address: Option<T::Address>,
    connections: Vec<Option<Entry<T, F>>>,
    open: usize,
    stalled: u64,
    post: Post<Message<T, F>>,
    scratch: Scratch,
    failures: VecDeque<(Failure, T::Address)>,
}

type Message<T, F> =
    <<F as ProtocolFactory<<T as Transport>::Address>>::Protocol as Protocol>::Message;

struct Entry<T, F>
where
    T: Transport,
    T::Request: Stream,
    F: ProtocolFactory<T::Address>,
{
    slot: Slot,
    connection: Connection<T::Request, F::Protocol>,
    client_address: T::Address,
}

impl<T, F> Entry<T, F>
where
    T: Transport,
    T::Request: Stream,
    F: ProtocolFactory<T::Address>,
{
    /// Ends the conversation, which is told the time unless it has panicked. What a handler has
    /// left in there may panic as it goes (design law 10).
    fn end(self, now: Option<&Now>) -> Option<(Failure, T::Address)> {
        let Entry {
            mut connection,
            client_address,
            ..
        } = self;
        let ended = contain(|| {
            if let Some(now) = now {
                connection.lost(now);
            }
            drop(connection);
            Ok(())
        });
        ended.err().map(|failure| (failure, client_address))
    }
}

impl<T, F> Evented<T, F>
where
    T: Transport,
    T::Request: Stream,
    F: ProtocolFactory<T::Address>,
{
    /// Connections that speak what `factory` makes, within the default limits.
    pub fn new(factory: F) -> Evented<T, F> {
        Evented::with_settings(factory, EventedSettings::default())
    }

    /// Connections that speak what `factory` makes, within the given limits.
    pub fn with_settings(factory: F, settings: EventedSettings) -> Evented<T, F> {
        Evented {
            factory,
            settings,
            server_address: None,
            connections: Vec::new(),
            open: 0,
            stalled: 0,
            post: Post::new(0, None),
            scratch: Scratch::default(),
            failures: VecDeque::new(),
        }
    }

    /// What makes the protocols of connections accepted from now on.
    pub fn factory(&self) -> &F {
        &self.factory
    }

    /// As [`factory`](Self::factory), to be changed.
    pub fn factory_mut(&mut self) -> &mut F {
        &mut self.factory
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.open
    }

    /// Gives the slot's connection a turn and acts on what became of it.
    ///
    /// `false`: there is no such connection.
    fn turn(&mut self, slot: Slot, occasion: Occasion, reactor: &mut Reactor, now: &Now) -> bool {
        let Some(entry) = find(&mut self.connections, slot) else {
            return false;
        };
        let Some(readiness) = reactor.readiness(slot) else {
            return false;
        };
        let mut turn = Turn {
            slot,
            readiness,
            scratch: &mut self.scratch,
            settings: &self.settings,
            post: &self.post,
            now,
            failure: None,
        };
        let (connection, settings) = (&mut entry.connection, &self.settings);
        // All that is asked of the protocol: any of its methods may panic.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let fate = connection.turn(occasion, &mut turn);
            (
                fate,
                turn.failure.take().or_else(|| connection.take_failure()),
                connection.deadline(settings),
            )
        }));
        let sane = outcome.is_ok();
        let (mut fate, failure, deadline) = outcome.unwrap_or_else(|payload| {
            // The buffers of this turn went down with it.
            self.scratch = Scratch::default();
            let panic = Panic::from_payload(payload.as_ref());
            (Fate::Gone, Some(panic.into()), None)
        });
        if let Some(failure) = failure {
            self.failures
                .push_back((failure, entry.client_address.clone()));
        }
        if fate == Fate::Stalled {
            self.stalled += 1;
            fate = Fate::Gone;
        }
        if fate != Fate::Gone {
            // Both directions, once (design law 5).
            let both = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = reactor.register(slot, &mut connection.stream, both) {
                self.failures
                    .push_back((error.into(), entry.client_address.clone()));
                fate = Fate::Gone;
            }
        }
        match fate {
            Fate::Gone | Fate::Stalled => self.close(slot, reactor, sane.then_some(now)),
            Fate::Again => reactor.enqueue(slot),
            Fate::Sleeps => {
                if let Some(deadline) = deadline {
                    reactor.arm(slot, deadline);
                }
            }
        }
        true
    }

    /// Closes a connection; `now` as for [`Entry::end`].
    fn close(&mut self, slot: Slot, reactor: &mut Reactor, now: Option<&Now>) {
        if let Some(mut entry) = self.connections[slot.index()].take() {
            self.open -= 1;
            reactor.close(slot, &mut entry.connection.stream);
            self.post.close(slot);
            self.failures.extend(entry.end(now));
        }
    }

    /// Drops the messages that are still on their way, and with them what their senders wait for.
    fn discard_all(&mut self) {
        while let Some((_, message)) = self.post.receive() {
            discard(message);
        }
    }

    /// The slots of all connections that are open.
    fn slots(&self) -> Vec<Slot> {
        self.connections
            .iter()
            .flatten()
            .map(|entry| entry.slot)
            .collect()
    }
}

/// The connection of that name, unless it has ended and another has its place.
fn find<T, F>(connections: &mut [Option<Entry<T, F>>], slot: Slot) -> Option<&mut Entry<T, F>>
where
    T: Transport,
    T::Request: Stream,
    F: ProtocolFactory<T::Address>,
{
    let entry = connections.get_mut(slot.index())?.as_mut()?;
    (entry.slot == slot).then_some(entry)
}

/// Drops a message for a conversation that has ended. What is in it may panic as it goes (design
/// law 10).
fn discard<M>(message: M) {
    let dropped = contain(|| {
        drop(message);
        Ok(())
    });
    if let Err(failure) = dropped {
        complain("a message that came too late", &failure);
    }
}

impl<T, F> Dispatch<T> for Evented<T, F>
where
    T: Transport,
    T::Request: Stream,
    F: ProtocolFactory<T::Address>,
{
    fn attach(&mut self, reactor: &Reactor, server_address: T::Address) {
        self.server_address = Some(server_address);
        self.post = Post::new(reactor.capacity(), Some(reactor.waker()));
    }

    fn has_room(&self, reactor: &Reactor) -> bool {
        !reactor.is_full()
    }

    fn process_request(
        &mut self,
        request: T::Request,
        client_address: T::Address,
        reactor: &mut Reactor,
        now: &Now,
    ) -> Result<(), Refused<T::Request>> {
        let local_address = || match &self.server_address {
            Some(server_address) => T::local_address(&request, server_address),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        let factory = &mut self.factory;
        let made = contain(|| Ok(factory.make_protocol_at(&client_address, local_address)));
        let protocol = match made {
            Ok(protocol) => protocol,
            Err(failure) => return Err(Refused { request, failure }),
        };
        let Some(slot) = reactor.open() else {
            let failure = io::Error::other("every slot of the reactor is taken").into();
            return Err(Refused { request, failure });
        };
        self.post.open(slot);
        if self.connections.len() <= slot.index() {
            self.connections.resize_with(slot.index() + 1, || None);
        }
        self.open += 1;
        self.connections[slot.index()] = Some(Entry {
            slot,
            connection: Connection::new(request, protocol),
            client_address,
        });
        // Its first bytes are often there already: a client of one request never meets the poll.
        self.turn(slot, Occasion::Made, reactor, now);
        Ok(())
    }

    fn collect(&mut self, reactor: &mut Reactor) {
        self.post.attend(); // an engine may have moved to another thread since its last turn
        for _ in 0..self.post.waiting() {
            let Some((slot, message)) = self.post.receive() else {
                return;
            };
            match find(&mut self.connections, slot) {
                Some(entry) => {
                    entry.connection.post(message);
                    reactor.enqueue(slot);
                }
                None => discard(message),
            }
        }
    }

    fn ready(&mut self, slot: Slot, reactor: &mut Reactor, now: &Now) -> bool {
        self.turn(slot, Occasion::Ready, reactor, now)
    }

    fn next_failure(&mut self) -> Option<(Failure, T::Address)> {
        self.failures.pop_front()
    }

    fn open(&self) -> usize {
        self.open
    }

    fn stalled(&self) -> u64 {
        self.stalled
    }

    fn drain(&mut self, reactor: &mut Reactor, now: &Now) -> usize {
        let open = self.connections.iter().flatten();
        let upgraded = open.filter(|entry| entry.connection.is_upgraded()).count();
        for slot in self.slots() {
            self.turn(slot, Occasion::Drain, reactor, now);
        }
        upgraded
    }

    fn abort(&mut self, reactor: &mut Reactor) {
        for entry in self.connections.iter_mut().flatten() {
            entry.connection.stream.reset_on_close();
        }
        self.server_close(reactor);
    }

    fn server_close(&mut self, reactor: &mut Reactor) {
        let now = Now::new();
        for slot in self.slots() {
            self.close(slot, reactor, Some(&now));
        }
        self.discard_all();
    }
}

impl<T, F> Drop for Evented<T, F>
where
    T: Transport,
    T::Request: Stream,
    F: ProtocolFactory<T::Address>,
{
    /// A guest may be dropped without having been closed; its conversations are told all the same.
    fn drop(&mut self) {
        let now = Now::new();
        for entry in mem::take(&mut self.connections).into_iter().flatten() {
            self.post.close(entry.slot);
            if let Some((failure, _)) = entry.end(Some(&now)) {
                complain("a conversation panicked at its end", &failure);
            }
        }
        self.discard_all();
    }
}

impl<T, F> fmt::Debug for Evented<T, F>
where
    T: Transport,
    T::Request: Stream,
    F: ProtocolFactory<T::Address>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evented")
            .field("settings", &self.settings)
            .field("open_connections", &self.open_connections())
            .finish_non_exhaustive()
    }
}
