//! Which of my sources can make progress? Python's `selectors`.
//!
//! Three parts, none of which runs anything of yours:
//!
//! * [`EventLoop`] owns the poll and sleeps in it;
//! * [`Reactor`] remembers what each source may be able to do ([`Readiness`]), which of them wait
//!   for their turn (the run queue), and until when each may be left alone ([`Timers`]). It never
//!   owns the poll, so it lives as well inside somebody else's. Another thread asks for a source's
//!   turn by its [`Doorbell`];
//! * [`Now`] is the time, read once a turn.
//!
//! The rule that keeps it simple is *record first, run later*: [`Reactor::feed`] only notes what
//! an event says. When the whole batch is noted, whoever owns the sources takes them off the run
//! queue one by one. An event for a source that has been closed meanwhile finds a free slot, or
//! sets a hint on the slot's next owner, which costs that one a `WouldBlock` (RT-4).
//!
//! A source that stops before it is used up puts itself back into the queue, and then
//! [`Reactor::timeout`] says zero: that *is* level triggering on an edge-triggered poll (RT-1).

mod doorbell;
mod event_loop;
mod now;
mod readiness;
mod timers;

pub use doorbell::Doorbell;
pub use event_loop::EventLoop;
pub use now::Now;
pub use readiness::Readiness;
pub use timers::Timers;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::{Event, Source};
use mio::{Interest, Registry, Token, Waker};

use doorbell::Doorbells;

/// The name of one source: where it is, and which of the sources that were ever there it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Slot {
    index: u32,
    generation: u32,
}

impl Slot {
    /// The place, below [`Reactor::capacity`]; used again after the source is closed.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// Tells the sources apart that have had the same place.
    pub fn generation(self) -> u32 {
        self.generation
    }
}

/// Slots, their readiness, the run queue and the timers.
#[derive(Debug)]
pub struct Reactor {
    registry: Registry,
    waker: Arc<Waker>,
    tokens: Range<usize>,
    states: Vec<State>,
    free: Vec<u32>,
    queue: VecDeque<u32>,
    timers: Timers,
    doorbells: Doorbells,
}

#[derive(Debug)]
struct State {
    generation: u32,
    readiness: Readiness,
    open: bool,
    registered: bool,
    queued: bool,
}

impl Reactor {
    /// A reactor whose sources are registered with `registry` under the given `tokens`.
    ///
    /// # Errors
    ///
    /// If the registry cannot be cloned.
    pub fn new(
        registry: &Registry,
        waker: Arc<Waker>,
        tokens: Range<usize>,
    ) -> io::Result<Reactor> {
        Ok(Reactor {
            registry: registry.try_clone()?,
            waker,
            tokens,
            states: Vec::new(),
            free: Vec::new(),
            queue: VecDeque::new(),
            timers: Timers::default(),
            doorbells: Doorbells::default(),
        })
    }

    /// Where sources are registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What ends the loop's wait from another thread.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// How many sources there can be at once.
    pub fn capacity(&self) -> usize {
        self.tokens.len()
    }

    /// How many sources there are.
    pub fn open_slots(&self) -> usize {
        self.states.len() - self.free.len()
    }

    /// Whether every slot is taken.
    pub fn is_full(&self) -> bool {
        self.open_slots() == self.capacity()
    }

    /// Takes a slot for a new source and assumes it ready for everything.
    ///
    /// The source is not [registered](Reactor::register) yet: one that is done after its first
    /// turn never meets the poll. `None` if every slot is taken.
    pub fn open(&mut self) -> Option<Slot> {
        if self.is_full() {
            return None;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.states.push(State {
                generation: 0,
                readiness: Readiness::default(),
                open: false,
                registered: false,
                queued: false,
            });
            (self.states.len() - 1) as u32
        });
        let state = &mut self.states[index as usize];
        state.open = true;
        state.readiness = Readiness::FRESH;
        Some(Slot {
            index,
            generation: state.generation,
        })
    }

    /// Registers the slot's source for both directions, once and for all (design law 5).
    ///
    /// Does nothing if that was done before. What happened between [`open`](Reactor::open) and now
    /// is not lost: the poll reports a new source's state at once.
    ///
    /// # Errors
    ///
    /// What the registry answers.
    pub fn register(&mut self, slot: Slot, source: &mut dyn Source) -> io::Result<()> {
        let Some(state) = state_of(&mut self.states, slot) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if !state.registered {
            let token = Token(self.tokens.start + slot.index());
            let both = Interest::READABLE | Interest::WRITABLE;
            self.registry.register(source, token, both)?;
            state.registered = true;
        }
        Ok(())
    }

    /// Gives the slot back: its source is deregistered, its deadline and hints are forgotten.
    pub fn close(&mut self, slot: Slot, source: &mut dyn Source) {
        let Some(state) = state_of(&mut self.states, slot) else {
            return;
        };
        if state.registered {
            // The source is about to be dropped, and with it goes what could not be undone here.
            let _ = self.registry.deregister(source);
        }
        self.release(slot);
    }

    /// Gives back a slot whose source was never registered: a timer's, or a doorbell's.
    pub fn release(&mut self, slot: Slot) {
        let Some(state) = state_of(&mut self.states, slot) else {
            return;
        };
        state.open = false;
        state.registered = false;
        state.generation = state.generation.wrapping_add(1);
        self.free.push(slot.index);
        self.timers.disarm(slot.index);
    }

    /// Notes what an event says, and puts its source into the run queue.
    ///
    /// `false`: the event's token is not one of this reactor's.
    pub fn feed(&mut self, event: &Event) -> bool {
        let Token(token) = event.token();
        if !self.tokens.contains(&token) {
            return false;
        }
        let index = token - self.tokens.start;
        if let Some(state) = self.states.get_mut(index).filter(|state| state.open) {
            state.readiness.record(event);
            enqueue(state, &mut self.queue, index as u32);
        }
        true
    }

    /// Puts a source into the run queue, once.
    pub fn enqueue(&mut self, slot: Slot) {
        if let Some(state) = state_of(&mut self.states, slot) {
            enqueue(state, &mut self.queue, slot.index);
        }
    }

    /// How many sources have a deadline armed.
    pub fn armed(&self) -> usize {
        self.timers.len()
    }

    /// How many sources wait for their turn.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Takes the next source off the run queue.
    pub fn next_ready(&mut self) -> Option<Slot> {
        while let Some(index) = self.queue.pop_front() {
            let state = &mut self.states[index as usize];
            state.queued = false;
            if state.open {
                return Some(Slot {
                    index,
                    generation: state.generation,
                });
            }
        }
        None
    }

    /// The hints of a source, to be read and cleared by its owner; `None` if it is closed.
    pub fn readiness(&mut self, slot: Slot) -> Option<&mut Readiness> {
        state_of(&mut self.states, slot).map(|state| &mut state.readiness)
    }

    /// Gives the source a turn at `deadline` at the latest, with [`Readiness::timeout`] set.
    pub fn arm(&mut self, slot: Slot, deadline: Instant) {
        if state_of(&mut self.states, slot).is_some() {
            self.timers.arm(slot.index, deadline);
        }
    }

    /// What gives the slot a turn from another thread.
    pub fn doorbell(&self, slot: Slot) -> Doorbell {
        self.doorbells.doorbell(slot, self.waker())
    }

    /// Puts every source into the run queue whose deadline has passed, or whose doorbell was rung.
    pub fn expire(&mut self, now: Instant) {
        for _ in 0..self.doorbells.rung() {
            if let Some(slot) = self.doorbells.answer() {
                self.enqueue(slot);
            }
        }
        while let Some(index) = self.timers.pop_due(now) {
            let state = &mut self.states[index as usize];
            state.readiness.timeout = true;
            enqueue(state, &mut self.queue, index);
        }
    }

    /// How long the loop may sleep: not at all while work waits, else until the next deadline.
    pub fn timeout(&self, now: Instant) -> Option<Duration> {
        if !self.queue.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadline = self.timers.next()?;
        Some(deadline.saturating_duration_since(now))
    }
}

/// The state of a slot, unless it belongs to another source by now.
fn state_of(states: &mut [State], slot: Slot) -> Option<&mut State> {
    let state = states.get_mut(slot.index())?;
    (state.open && state.generation == slot.generation).then_some(state)
}

fn enqueue(state: &mut State, queue: &mut VecDeque<u32>, index: u32) {
    if !state.queued {
        state.queued = true;
        queue.push_back(index);
    }
}
