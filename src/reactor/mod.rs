//! Which of my sources can make progress? Python's `selectors`.
//!
//! There are three parts, and none of them runs your code:
//!
//! * [`EventLoop`] owns the poll and sleeps in it.
//! * [`Reactor`] remembers the hints of each source ([`Readiness`]), the sources that wait for
//!   their turn (the run queue), and their deadlines ([`Timers`]). It never owns the poll, so it
//!   also works in another program's poll. Another thread asks for a source's turn with its
//!   [`Doorbell`], or sends it a message through a [`channel`].
//! * [`Now`] is the time, read once a turn.
//!
//! One rule keeps it simple: *record first, run later*. [`Reactor::feed`] only notes what an event
//! says. When the whole batch is noted, the owner of the sources takes them off the run queue one
//! by one. So an event for a source that was closed meanwhile does no harm. It finds a free place,
//! or it sets a hint for the next source there, which costs one `WouldBlock` ([RT-4]).
//!
//! A source that stops although it has work left puts itself back into the queue, and then
//! [`Reactor::timeout`] is zero. That *is* level triggering on an edge-triggered poll ([RT-1]).
//!
//! [RT-1]: crate::spec#rt-1
//! [RT-4]: crate::spec#rt-4

mod alarm;
mod channel;
mod doorbell;
mod event_loop;
mod now;
mod readiness;
mod slot;
mod timers;

pub(crate) use alarm::Alarm;
pub use channel::{Receiver, Sender, channel};
pub use doorbell::Doorbell;
pub use event_loop::EventLoop;
pub use now::Now;
pub use readiness::Readiness;
pub use slot::Slot;
pub use timers::Timers;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::{Event, Source};
use mio::{Interest, Registry, Token, Waker};

use doorbell::Doorbells;

/// Slots, their readiness, the run queue and the timers.
#[derive(Debug)]
pub struct Reactor {
    /// Where sources are registered.
    registry: Registry,
    /// Ends the poll's wait from another thread.
    waker: Arc<Waker>,
    /// The tokens that may be used. A source has the first one plus its slot's index.
    tokens: Range<usize>,
    /// Every place that was ever used, by its slot's index.
    places: Vec<Place>,
    /// The places that can be used again.
    free: Vec<u32>,
    /// The run queue: the places whose sources wait for their turn, the first one first.
    queue: VecDeque<u32>,
    /// How many of the open slots never stand in the run queue.
    unqueued: usize,
    /// Until when each source may be left alone.
    timers: Timers,
    /// How other threads ask for a source's turn.
    doorbells: Doorbells,
}

/// One place, and the source that has it.
#[derive(Debug)]
struct Place {
    /// How many sources had the place before.
    generation: u32,
    /// The source's hints.
    readiness: Readiness,
    /// Whether a source has the place.
    occupied: Occupied,
    /// Whether the place stands in the run queue.
    standing: Standing,
}

/// Whether a source has a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occupied {
    /// No.
    Free,
    /// Yes, and the poll does not know it (yet).
    Open,
    /// Yes, and the poll reports its events.
    Registered,
}

/// Whether a place stands in the run queue. It may do so longer than its source is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It does not stand there now.
    Out,
    /// It stands there.
    In,
    /// It never stands there: its owner asks for its hints in every turn.
    Never,
}

impl Reactor {
    /// Makes a reactor that registers its sources with `registry`, under the given `tokens`.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the registry cannot be cloned.
    pub fn new(
        registry: &Registry,
        waker: Arc<Waker>,
        tokens: Range<usize>,
    ) -> io::Result<Reactor> {
        Ok(Reactor {
            registry: registry.try_clone()?,
            waker,
            tokens,
            places: Vec::new(),
            free: Vec::new(),
            queue: VecDeque::new(),
            unqueued: 0,
            timers: Timers::default(),
            doorbells: Doorbells::default(),
        })
    }

    /// Returns the registry, where sources are registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Returns the waker, which ends the loop's wait from another thread.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Returns what ends the loop's wait for as long as there is a loop.
    pub(crate) fn alarm(&self) -> Alarm {
        Alarm::new(&self.waker)
    }

    /// Returns how many places there are: one for each token. No slot's index reaches it.
    pub fn capacity(&self) -> usize {
        self.tokens.len()
    }

    /// Returns how many slots are open. The two that an [`Engine`] keeps for itself do not count.
    ///
    /// [`Engine`]: crate::socketserver::Engine
    pub fn open_slots(&self) -> usize {
        self.taken() - self.unqueued
    }

    /// Returns whether every place is taken.
    pub fn is_full(&self) -> bool {
        self.taken() == self.capacity()
    }

    fn taken(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Takes a slot for a new source, and assumes that the source is ready for everything.
    ///
    /// The source is not [registered](Reactor::register) yet: a source that is done after its first
    /// turn never meets the poll.
    ///
    /// # Errors
    ///
    /// Returns an error if every place is taken.
    pub fn open(&mut self) -> io::Result<Slot> {
        if self.is_full() {
            return Err(io::Error::other("every slot of the reactor is taken"));
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                generation: 0,
                readiness: Readiness::default(),
                occupied: Occupied::Free,
                standing: Standing::Out,
            });
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        place.occupied = Occupied::Open;
        place.readiness = Readiness::FRESH;
        Ok(Slot {
            index,
            generation: place.generation,
        })
    }

    /// Takes a slot, like [`open`](Reactor::open), and [registers](Reactor::register) its source.
    ///
    /// # Errors
    ///
    /// Returns an error if every place is taken, and the operating system's error if the poll does not
    /// take the source. The slot is free again then.
    pub fn watch(&mut self, source: &mut dyn Source, interest: Interest) -> io::Result<Slot> {
        let slot = self.open()?;
        if let Err(error) = self.register(slot, source, interest) {
            self.release(slot);
            return Err(error);
        }
        Ok(slot)
    }

    /// Takes a slot, like [`open`](Reactor::open), that never stands in the run queue.
    ///
    /// Events set its hints and nothing else; its owner asks for them in every turn. This is for
    /// sources that keep their rank, whatever else is ready ([RT-6]).
    ///
    /// [RT-6]: crate::spec#rt-6
    pub(crate) fn open_unqueued(&mut self) -> io::Result<Slot> {
        let slot = self.open()?;
        // The place may still stand in the queue for a source that is gone. Then `next_ready`
        // finds it there, and passes over it.
        self.places[slot.index()].standing = Standing::Never;
        self.unqueued += 1;
        Ok(slot)
    }

    /// Registers the slot's source for the directions of `interest`, once and for all.
    ///
    /// Does nothing if the source is registered already. Register a connection for both directions:
    /// then no request needs another system call ([design law 5]). Events since
    /// [`open`](Reactor::open) are not lost, because the poll immediately reports the state of a
    /// new source.
    ///
    /// # Errors
    ///
    /// Returns `NotFound` if the slot is closed, and the operating system's error if the poll does
    /// not take the source.
    ///
    /// [design law 5]: crate::spec#law-5
    pub fn register(
        &mut self,
        slot: Slot,
        source: &mut dyn Source,
        interest: Interest,
    ) -> io::Result<()> {
        let Some(place) = place_of(&mut self.places, slot) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if place.occupied == Occupied::Open {
            let token = Token(self.tokens.start + slot.index());
            self.registry.register(source, token, interest)?;
            place.occupied = Occupied::Registered;
        }
        Ok(())
    }

    /// Closes the slot: deregisters its source, and forgets its deadline and its hints.
    pub fn close(&mut self, slot: Slot, source: &mut dyn Source) {
        let Some(place) = place_of(&mut self.places, slot) else {
            return;
        };
        if place.occupied == Occupied::Registered {
            // Ignore the error: the source is dropped next, and that also takes it out of the poll.
            let _ = self.registry.deregister(source);
        }
        self.release(slot);
    }

    /// Closes a slot whose source was never registered: a timer's, or a doorbell's.
    pub fn release(&mut self, slot: Slot) {
        let Some(place) = place_of(&mut self.places, slot) else {
            return;
        };
        place.occupied = Occupied::Free;
        place.generation = place.generation.wrapping_add(1);
        if place.standing == Standing::Never {
            place.standing = Standing::Out;
            self.unqueued -= 1;
        }
        // What if the place stands in the run queue? It stays there: `next_ready` passes over a
        // free place. A new source in this place has a turn and finds nothing to do.
        self.free.push(slot.index);
        self.timers.disarm(slot.index);
    }

    /// Notes what an event says, and puts its source into the run queue. Runs nothing.
    ///
    /// Returns `false` if the event's token is not one of this reactor's.
    pub fn feed(&mut self, event: &Event) -> bool {
        let Token(token) = event.token();
        if !self.tokens.contains(&token) {
            return false;
        }
        let index = token - self.tokens.start;
        // What if the source was closed in this batch? Then there is nothing to note. What if
        // another source has its place already? Then that one is given a hint that is wrong: it
        // costs one call that returns `WouldBlock` (RT-4).
        if let Some(place) = self.places.get_mut(index).filter(|place| place.is_open()) {
            place.readiness.record(event);
            enqueue(place, &mut self.queue, index as u32);
        }
        true
    }

    /// Puts a source into the run queue, if it does not stand there already.
    pub fn enqueue(&mut self, slot: Slot) {
        if let Some(place) = place_of(&mut self.places, slot) {
            enqueue(place, &mut self.queue, slot.index);
        }
    }

    /// Returns how many sources have a deadline.
    pub fn armed(&self) -> usize {
        self.timers.len()
    }

    /// Returns how many sources wait for their turn.
    ///
    /// Take at most this many off the queue in one turn. A source that queues again meanwhile has
    /// its next turn after the next wait.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Takes the next source off the run queue.
    pub fn next_ready(&mut self) -> Option<Slot> {
        while let Some(index) = self.queue.pop_front() {
            let place = &mut self.places[index as usize];
            if place.standing != Standing::In {
                continue; // the source that was queued is gone, and the next one never queues
            }
            place.standing = Standing::Out;
            if place.is_open() {
                return Some(Slot {
                    index,
                    generation: place.generation,
                });
            }
        }
        None
    }

    /// Returns the hints of a source, which its owner reads and clears; `None` if it is closed.
    pub fn readiness(&mut self, slot: Slot) -> Option<&mut Readiness> {
        place_of(&mut self.places, slot).map(|place| &mut place.readiness)
    }

    /// Returns whether a source is open and may be readable.
    pub(crate) fn is_readable(&self, slot: Slot) -> bool {
        let place = self.places.get(slot.index());
        place.is_some_and(|place| place.is(slot) && place.readiness.readable)
    }

    /// Gives the source a turn at `deadline` at the latest, with [`Readiness::timeout`] set.
    ///
    /// An earlier deadline that is armed already stays: see [`Timers`].
    pub fn arm(&mut self, slot: Slot, deadline: Instant) {
        if place_of(&mut self.places, slot).is_some() {
            self.timers.arm(slot.index, deadline);
        }
    }

    /// Returns a doorbell, which gives the slot a turn from another thread.
    pub fn doorbell(&self, slot: Slot) -> Doorbell {
        self.doorbells.doorbell(slot, self.alarm())
    }

    /// Puts every source into the run queue whose deadline has passed, or whose doorbell was rung.
    pub fn expire(&mut self, now: Instant) {
        for _ in 0..self.doorbells.rung() {
            if let Some(slot) = self.doorbells.take() {
                self.enqueue(slot);
            }
        }
        while let Some(index) = self.timers.pop_due(now) {
            let place = &mut self.places[index as usize];
            place.readiness.timeout = true;
            enqueue(place, &mut self.queue, index);
        }
    }

    /// Returns how long the loop may sleep: zero while work waits, else until the next deadline.
    pub fn timeout(&self, now: Instant) -> Option<Duration> {
        if !self.queue.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadline = self.timers.next()?;
        Some(deadline.saturating_duration_since(now))
    }
}

impl Place {
    fn is_open(&self) -> bool {
        self.occupied != Occupied::Free
    }

    /// Returns whether the place belongs to the source of that name, and not to another one by now.
    fn is(&self, slot: Slot) -> bool {
        self.is_open() && self.generation == slot.generation
    }
}

/// Returns the place of that source, unless the source is closed.
fn place_of(places: &mut [Place], slot: Slot) -> Option<&mut Place> {
    let place = places.get_mut(slot.index())?;
    place.is(slot).then_some(place)
}

fn enqueue(place: &mut Place, queue: &mut VecDeque<u32>, index: u32) {
    if place.standing == Standing::Out {
        place.standing = Standing::In;
        queue.push_back(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::net::UdpSocket;
    use std::net::{Ipv4Addr, SocketAddr};

    /// RT-4, RT-6: a slot outside the run queue takes a place and is hinted like any other, but has
    /// no turn. It does not get the turn of the place's last source.
    #[test]
    fn a_slot_outside_the_queue_is_hinted_and_has_no_turn() {
        let mut event_loop = EventLoop::new().expect("a poll");
        let reactor = Reactor::new(event_loop.registry(), event_loop.waker(), 10..12);
        let mut reactor = reactor.expect("a reactor");
        let gone = reactor.open().expect("a slot");
        reactor.enqueue(gone);
        reactor.release(gone);

        let slot = reactor.open_unqueued().expect("the same place");
        assert_eq!(slot.index(), gone.index());
        assert_eq!((reactor.open_slots(), reactor.is_full()), (0, false));
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut socket = UdpSocket::bind(loopback).expect("a free port");
        let address = socket.local_addr().expect("bound");
        let registered = reactor.register(slot, &mut socket, Interest::READABLE);
        registered.expect("registered");
        assert!(reactor.is_readable(slot), "nobody has tried yet (RT-2)");
        reactor.readiness(slot).expect("open").readable = false;

        let sender = std::net::UdpSocket::bind(loopback).expect("a free port");
        sender.send_to(b"x", address).expect("sent");
        let mut taken = false;
        let limit = Some(Duration::from_secs(20));
        let waited = event_loop.wait(limit, |event| taken |= reactor.feed(event));
        waited.expect("a wait");
        assert!(taken && reactor.is_readable(slot));
        reactor.enqueue(slot);
        assert_eq!(reactor.next_ready(), None);
        assert_eq!(reactor.timeout(Instant::now()), None);

        let other = reactor.open().expect("the last place");
        assert_eq!((reactor.open_slots(), reactor.is_full()), (1, true));
        reactor.open_unqueued().expect_err("no place is left");
        reactor.close(slot, &mut socket);
        reactor.close(slot, &mut socket);
        assert!(!reactor.is_readable(slot));
        assert_eq!((reactor.open_slots(), reactor.is_full()), (1, false));

        // The place queues again for a source that has turns.
        let next = reactor.open().expect("the same place");
        assert_eq!(next.index(), slot.index());
        reactor.enqueue(next);
        reactor.enqueue(other);
        assert_eq!(reactor.next_ready(), Some(next));
        assert_eq!(reactor.next_ready(), Some(other));
    }
}
