//! Serves all connections concurrently on the loop's thread, and never blocks on any of them.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::mem;

use mio::Interest;

use super::{Dispatch, Refused};
use crate::reactor::{Now, Reactor, Slot};
use crate::socketserver::budget::complain;
use crate::socketserver::connection::scratch::Scratch;
use crate::socketserver::connection::{Connection, End, Fate, Loan, Occasion, Phase};
use crate::socketserver::crowd::Crowd;
use crate::socketserver::factory::{Ends, Factory};
use crate::socketserver::failure::{Failure, contain};
use crate::socketserver::mailbox::{Home, Post};
use crate::socketserver::protocol::Protocol;
use crate::socketserver::server_handle::ServerHandle;
use crate::socketserver::settings::EventedSettings;
use crate::socketserver::transport::{Accepted, Duplex, Stream, Transport};

/// Runs a [`Protocol`] on each connection, so that no client waits for another ([RT-8]).
///
/// [RT-8]: crate::spec#rt-8
pub struct Evented<T, F>
where
    T: Transport<Request: Stream>,
    F: Factory<T::Address, Made: Protocol>,
{
    /// Makes a protocol for each connection.
    factory: F,
    /// The limits of all connections.
    settings: EventedSettings,
    /// The address on which the server listens. `None` until the server is put together.
    server_address: Option<T::Address>,
    /// The connections, each at the index of its slot.
    connections: Vec<Option<Entry<T, F>>>,
    /// How many connections there are.
    open: usize,
    /// How many connections were closed because the client did not read, or read too slowly.
    stalled: u64,
    /// How many connections have ended before their clients had everything, these included.
    broken_off: u64,
    /// How many exchanges have ended.
    completed: u64,
    /// Whether the server runs or is stopping.
    phase: Phase,
    /// The messages that other threads have sent to the conversations.
    post: Post<Message<T, F>>,
    /// The buffers that the connections share.
    scratch: Scratch,
    /// Failures of conversations that the engine has not taken yet.
    failures: VecDeque<(Failure, T::Address)>,
    /// How many connections each client has, if that is limited.
    crowd: Option<Crowd>,
    /// A client that has too many, unless one of them ends in this turn.
    late: Option<(T::Request, T::Address)>,
    /// How many clients were turned away because they had too many.
    crowded: u64,
}

/// The message that a mailbox of a conversation takes.
type Message<T, F> = <<F as Factory<<T as Transport>::Address>>::Made as Protocol>::Message;

/// A connection of the transport `T`, with the protocol that `F` makes.
type Entry<T, F> = Open<
    <T as Transport>::Request,
    <F as Factory<<T as Transport>::Address>>::Made,
    <T as Transport>::Address,
>;

/// A connection that is open.
struct Open<S, P: Protocol, A> {
    /// The connection's slot in the reactor.
    slot: Slot,
    /// The stream and its protocol.
    connection: Connection<S, P>,
    /// The address that failures are reported with.
    client_address: A,
}

impl<S: Duplex, P: Protocol, A> Open<S, P, A> {
    /// Ends the conversation. Returns how many exchanges have ended with it, and, if that panics,
    /// the failure and the client's address.
    fn end(self, end: End<'_>) -> (usize, Option<(Failure, A)>) {
        let (completed, ended) = self.connection.end(end);
        let failure = ended.err().map(|failure| (failure, self.client_address));
        (completed, failure)
    }
}

impl<T, F> Evented<T, F>
where
    T: Transport<Request: Stream>,
    F: Factory<T::Address, Made: Protocol>,
{
    /// Returns a dispatch that runs a protocol of `factory` on each connection, with the default
    /// limits.
    pub fn new(factory: F) -> Evented<T, F> {
        Evented::with_settings(factory, EventedSettings::default())
    }

    /// Like [`new`](Self::new), but with your own limits and deadlines.
    pub fn with_settings(factory: F, settings: EventedSettings) -> Evented<T, F> {
        Evented {
            factory,
            settings,
            server_address: None,
            connections: Vec::new(),
            open: 0,
            stalled: 0,
            broken_off: 0,
            completed: 0,
            phase: Phase::Serving,
            post: Post::new(0, None),
            scratch: Scratch::default(),
            failures: VecDeque::new(),
            crowd: None,
            late: None,
            crowded: 0,
        }
    }

    /// Returns the factory, which makes the protocol of each connection.
    pub fn factory(&self) -> &F {
        &self.factory
    }

    /// Returns the factory, so that you can change it. Connections that are already open keep their
    /// protocols.
    pub fn factory_mut(&mut self) -> &mut F {
        &mut self.factory
    }

    /// Returns how many connections are open.
    pub fn open_connections(&self) -> usize {
        self.open
    }

    /// Begins a conversation on a connection, which gets its first turn.
    ///
    /// # Errors
    ///
    /// Returns the connection if every slot is taken.
    pub(in crate::socketserver) fn begin(
        &mut self,
        request: T::Request,
        client_address: T::Address,
        protocol: F::Made,
        reactor: &mut Reactor,
        now: &Now,
    ) -> Result<(), Refused<T::Request>> {
        let slot = match reactor.open() {
            Ok(slot) => slot,
            Err(error) => {
                let failure = error.into();
                return Err(Refused { request, failure });
            }
        };
        self.post.open(slot);
        if self.connections.len() <= slot.index() {
            self.connections.resize_with(slot.index() + 1, || None);
        }
        self.open += 1;
        if let Some(crowd) = &mut self.crowd {
            crowd.enter(T::ip_address(&client_address));
        }
        self.connections[slot.index()] = Some(Open {
            slot,
            connection: Connection::new(request, protocol),
            client_address,
        });
        // The first bytes have often arrived already. A client that sends a single request is then
        // served without the poll.
        self.turn(slot, Occasion::Made, reactor, now);
        Ok(())
    }

    /// Gives the slot's connection a turn, and acts on its outcome.
    ///
    /// Returns `false` if there is no such connection.
    fn turn(&mut self, slot: Slot, occasion: Occasion, reactor: &mut Reactor, now: &Now) -> bool {
        let Some(entry) = find(&mut self.connections, slot) else {
            return false;
        };
        let Some(readiness) = reactor.readiness(slot) else {
            return false;
        };
        let mut loan = Loan {
            slot,
            readiness,
            scratch: &mut self.scratch,
            settings: &self.settings,
            post: &self.post,
            now,
            phase: self.phase,
            failure: None,
            completed: 0,
        };
        let outcome = entry.connection.turn(occasion, &mut loan);
        self.completed += outcome.completed as u64;
        let client_address = &entry.client_address;
        let mut report = |failure| self.failures.push_back((failure, client_address.clone()));
        if let Some(failure) = outcome.failure {
            report(failure);
        }
        let mut fate = outcome.fate;
        if matches!(fate, Fate::Again | Fate::Sleeps) {
            // Both directions, once (design law 5).
            let both = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = reactor.register(slot, &mut entry.connection.stream, both) {
                // What if the connection stayed open? Then no event would ever wake it.
                report(error.into());
                fate = Fate::BrokenOff;
            }
        }
        match fate {
            Fate::Again | Fate::Sleeps => {
                // Also if it goes on: a client that never stops sending has its deadline, too.
                if let Some(deadline) = outcome.deadline {
                    reactor.arm(slot, deadline);
                }
                if fate == Fate::Again {
                    reactor.enqueue(slot);
                }
            }
            Fate::Gone => self.close(slot, reactor, End::Told(now)),
            Fate::BrokenOff | Fate::Stalled | Fate::Panicked => {
                self.broken_off += 1;
                self.stalled += u64::from(fate == Fate::Stalled);
                let end = match fate {
                    Fate::Panicked => End::Panicked,
                    _ => End::Told(now),
                };
                self.close(slot, reactor, end);
            }
        }
        true
    }

    /// Closes a connection, and keeps its failure for the engine.
    fn close(&mut self, slot: Slot, reactor: &mut Reactor, end: End<'_>) {
        if let Some(mut entry) = self.connections[slot.index()].take() {
            self.open -= 1;
            reactor.close(slot, &mut entry.connection.stream);
            self.post.close(slot);
            if let Some(crowd) = &mut self.crowd {
                crowd.leave(T::ip_address(&entry.client_address));
            }
            let (completed, failure) = entry.end(end);
            self.completed += completed as u64;
            self.failures.extend(failure);
        }
    }

    /// Makes a connection of a request, and gives it its first turn.
    fn open(
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
        let ends = Ends::new(&client_address)
            .with_local_address(&local_address)
            .with_server(self.post.server());
        let made = contain(|| self.factory.make(&ends));
        let protocol = match made {
            Ok(protocol) => protocol,
            Err(failure) => return Err(Refused { request, failure }),
        };
        self.begin(request, client_address, protocol, reactor, now)
    }

    /// Returns whether the client has as many connections as it may have.
    fn is_crowded(&self, client_address: &T::Address) -> bool {
        let crowd = self.crowd.as_ref();
        crowd.is_some_and(|crowd| !crowd.admits(T::ip_address(client_address)))
    }

    /// Closes every connection.
    fn close_all(&mut self, reactor: &mut Reactor) {
        let now = Now::new();
        for slot in self.slots() {
            self.close(slot, reactor, End::Told(&now));
        }
        self.discard_all();
    }

    /// Delivers the last messages of the threads that work for the connections.
    ///
    /// Goes on as long as the threads send messages and the conversations take them. It never waits
    /// for a client to read.
    fn finish(&mut self, reactor: &mut Reactor) {
        self.post.attend(); // the server may be closed on another thread than it was run on
        let mut left = None;
        while self.factory.server_close() {
            let came = self.hand_out(reactor); // whether or not their senders have rung yet
            let unread = Some(self.unread());
            if !came && unread == left {
                break; // the last turns took no message, and let no thread go on
            }
            left = unread;
            self.enter(Phase::Closing, Occasion::Ready, reactor, &Now::new());
        }
    }

    /// Enters a phase, and gives each connection a turn in it. There its protocol is told.
    fn enter(&mut self, phase: Phase, occasion: Occasion, reactor: &mut Reactor, now: &Now) {
        self.phase = phase;
        for slot in self.slots() {
            self.turn(slot, occasion, reactor, now);
        }
    }

    /// Gives each message that has come to its conversation. Returns whether there were any.
    #[inline(never)] // most turns have none, and are spared its size
    fn hand_out(&mut self, reactor: &mut Reactor) -> bool {
        let mut any = false;
        for _ in 0..self.post.look() {
            let Some((slot, message)) = self.post.receive() else {
                break;
            };
            match find(&mut self.connections, slot) {
                Some(entry) => {
                    entry.connection.post(message);
                    reactor.enqueue(slot);
                    any = true;
                }
                None => discard(message),
            }
        }
        any
    }

    /// Returns how many messages the conversations have not taken yet.
    fn unread(&self) -> usize {
        let open = self.connections.iter().flatten();
        open.map(|entry| entry.connection.unread()).sum()
    }

    /// Drops the messages that were not delivered, so that no sender waits for a reply to them.
    fn discard_all(&mut self) {
        while let Some((_, message)) = self.post.receive() {
            discard(message);
        }
    }

    /// Returns the slots of all connections that are open.
    fn slots(&self) -> Vec<Slot> {
        self.connections
            .iter()
            .flatten()
            .map(|entry| entry.slot)
            .collect()
    }
}

/// Returns the connection of `slot`. Returns `None` if it has ended, even if another connection
/// uses the same index now.
fn find<S, P: Protocol, A>(
    connections: &mut [Option<Open<S, P, A>>],
    slot: Slot,
) -> Option<&mut Open<S, P, A>> {
    let entry = connections.get_mut(slot.index())?.as_mut()?;
    (entry.slot == slot).then_some(entry)
}

/// Drops a message for a conversation that has ended. Dropping what it owns may panic ([design law
/// 10]).
///
/// [design law 10]: crate::spec#law-10
fn discard<M>(message: M) {
    let dropped = contain(|| {
        drop(message);
        Ok(())
    });
    if let Err(failure) = dropped {
        complain("a message that came too late", failure);
    }
}

impl<T, F> Dispatch<T> for Evented<T, F>
where
    T: Transport<Request: Stream>,
    F: Factory<T::Address, Made: Protocol>,
{
    fn attach(&mut self, reactor: &Reactor, server_address: T::Address, server: &ServerHandle) {
        self.server_address = Some(server_address);
        let home = Home {
            alarm: reactor.alarm(),
            server: server.clone(),
        };
        self.post = Post::new(reactor.capacity(), Some(home));
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
        if self.is_crowded(&client_address) {
            // The listener's turn comes before those of the connections. What if one of this client
            // has just ended, and its turn is still to come? Then there is room after all.
            self.late = Some((request, client_address));
            return Ok(());
        }
        self.open(request, client_address, reactor, now)
    }

    fn attend(&mut self) {
        self.post.attend();
    }

    #[inline]
    fn collect(&mut self, reactor: &mut Reactor) {
        if self.post.has_rung() {
            self.hand_out(reactor);
        }
    }

    fn ready(&mut self, slot: Slot, reactor: &mut Reactor, now: &Now) -> bool {
        self.turn(slot, Occasion::Ready, reactor, now)
    }

    fn turn_away(&mut self, mut request: T::Request, now: &Now) {
        match contain(|| Ok(self.factory.turned_away(now))) {
            Ok(farewell) if farewell.is_empty() => {}
            // Ignore the error: the client is closed in any case.
            Ok(farewell) => drop(request.write(&farewell)),
            Err(failure) => complain("a client was turned away without a word", failure),
        }
        request.shutdown_request();
    }

    fn set_max_per_address(&mut self, limit: usize) {
        self.crowd = (limit < usize::MAX).then(|| {
            let mut crowd = Crowd::new(limit);
            for entry in self.connections.iter().flatten() {
                crowd.enter(T::ip_address(&entry.client_address));
            }
            crowd
        });
    }

    fn crowded(&self) -> u64 {
        self.crowded
    }

    fn settle(&mut self, reactor: &mut Reactor, now: &Now) {
        let Some((request, client_address)) = self.late.take() else {
            return;
        };
        if self.is_crowded(&client_address) {
            self.crowded += 1;
            return self.turn_away(request, now);
        }
        let opened = self.open(request, client_address.clone(), reactor, now);
        if let Err(Refused {
            mut request,
            failure,
        }) = opened
        {
            request.shutdown_request();
            self.failures.push_back((failure, client_address));
        }
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

    fn broken_off(&self) -> u64 {
        self.broken_off
    }

    fn completed(&self) -> Option<u64> {
        Some(self.completed)
    }

    fn owes_output(&self) -> bool {
        let mut open = self.connections.iter().flatten();
        open.any(|entry| entry.connection.owes_output())
    }

    fn drain(&mut self, reactor: &mut Reactor, now: &Now) -> usize {
        let open = self.connections.iter().flatten();
        let upgraded = open.filter(|entry| entry.connection.is_upgraded()).count();
        let occasion = match self.phase {
            Phase::Draining => Occasion::Settled, // those that come later have their time, too
            _ => Occasion::Ready,
        };
        self.enter(Phase::Draining, occasion, reactor, now);
        upgraded
    }

    fn abort(&mut self, reactor: &mut Reactor) {
        for entry in self.connections.iter_mut().flatten() {
            entry.connection.stream.reset_on_close();
        }
        self.phase = Phase::Aborted;
        self.close_all(reactor);
    }

    fn server_close(&mut self, reactor: &mut Reactor) {
        // What if the patience of a drain is over? Then this waits for nobody any more.
        if self.phase != Phase::Aborted {
            self.finish(reactor);
        }
        self.close_all(reactor);
    }
}

impl<T: Transport<Request: Stream>, F: Factory<T::Address, Made: Protocol>> Drop for Evented<T, F> {
    /// Ends the conversations: a guest may be dropped without being closed.
    fn drop(&mut self) {
        let now = Now::new();
        for entry in mem::take(&mut self.connections).into_iter().flatten() {
            self.post.close(entry.slot);
            if let (_, Some((failure, _))) = entry.end(End::Told(&now)) {
                complain("a conversation panicked at its end", failure);
            }
        }
        self.discard_all();
    }
}

impl<T, F> fmt::Debug for Evented<T, F>
where
    T: Transport<Request: Stream>,
    F: Factory<T::Address, Made: Protocol>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evented")
            .field("settings", &self.settings)
            .field("open_connections", &self.open_connections())
            .finish_non_exhaustive()
    }
}
