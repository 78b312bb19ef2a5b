//! How another thread gives a slot its turn.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::alarm::Alarm;
use super::slot::Slot;

/// Gives one slot a turn, from any thread.
///
/// A wake alone ends the loop's wait and runs nothing ([RT-2]). A doorbell also says whose turn it
/// is. It carries no message: put the message into a channel first. Empty the channel when the turn
/// comes, because several rings may become one turn ([RT-5]).
///
/// ```
/// use std::sync::mpsc::channel;
/// use std::thread;
/// use serve_forever::reactor::{EventLoop, Reactor};
///
/// let mut event_loop = EventLoop::new()?;
/// let mut reactor = Reactor::new(event_loop.registry(), event_loop.waker(), 0..1)?;
/// let slot = reactor.open()?;
/// let doorbell = reactor.doorbell(slot);
/// let (sender, messages) = channel();
/// thread::spawn(move || {
///     let _ = sender.send("hello");
///     doorbell.ring();
/// });
/// event_loop.wait(None, |_| {})?;
/// reactor.expire(std::time::Instant::now());
/// assert_eq!(reactor.next_ready(), Some(slot));
/// assert_eq!(messages.try_iter().last(), Some("hello"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [RT-2]: crate::spec#rt-2
/// [RT-5]: crate::spec#rt-5
#[derive(Clone)]
pub struct Doorbell {
    /// Whose turn it is.
    slot: Slot,
    /// The bell was rung, and the loop has not heard it yet. There is no need to ring again.
    rung: Arc<AtomicBool>,
    /// Where the loop hears it.
    sender: Sender<Ring>,
    /// Ends the loop's wait.
    alarm: Alarm,
}

/// A ring on its way to the loop: whose turn it is, and what allows the next ring.
type Ring = (Slot, Arc<AtomicBool>);

impl Doorbell {
    /// Puts the slot into the run queue and wakes the loop. Never blocks.
    ///
    /// Does nothing if the slot is closed, even if another source has its place by then.
    pub fn ring(&self) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        if self
            .sender
            .send((self.slot, Arc::clone(&self.rung)))
            .is_ok()
        {
            if let Err(error) = self.alarm.wake() {
                log::error!("cannot wake the loop for a doorbell: {error}");
            }
        }
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Doorbell").field(&self.slot).finish()
    }
}

/// The loop's end of all its doorbells.
#[derive(Debug)]
pub(super) struct Doorbells {
    /// Each doorbell gets a clone of this.
    sender: Sender<Ring>,
    /// The rings that the loop has not heard yet.
    receiver: Receiver<Ring>,
}

impl Default for Doorbells {
    fn default() -> Doorbells {
        let (sender, receiver) = unbounded(); // each doorbell has one entry at most
        Doorbells { sender, receiver }
    }
}

impl Doorbells {
    pub(super) fn doorbell(&self, slot: Slot, alarm: Alarm) -> Doorbell {
        Doorbell {
            slot,
            rung: Arc::default(),
            sender: self.sender.clone(),
            alarm,
        }
    }

    /// Returns how many bells have been rung. Take at most this many in one turn: a bell that never
    /// stops must not stop the loop.
    pub(super) fn rung(&self) -> usize {
        self.receiver.len()
    }

    /// Takes the next slot whose bell was rung.
    pub(super) fn take(&self) -> Option<Slot> {
        let (slot, rung) = self.receiver.try_recv().ok()?;
        // This comes before the slot's turn. What if a message is sent during that turn, after
        // the channel was emptied? Then its ring counts, and there is another turn.
        rung.store(false, Ordering::Release);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use crate::reactor::Reactor;
    use crate::reactor::event_loop::EventLoop;
    use std::time::Instant;

    /// RT-4, RT-5: rings before a turn become one turn. A closed slot's bell gives nobody a turn,
    /// not even the next source in that place.
    #[test]
    fn a_ring_is_a_turn() {
        let event_loop = EventLoop::new().expect("a poll");
        let reactor = Reactor::new(event_loop.registry(), event_loop.waker(), 0..2);
        let mut reactor = reactor.expect("a reactor");
        let slot = reactor.open().expect("a slot");
        let (bell, now) = (reactor.doorbell(slot), Instant::now());
        for _ in 0..2 {
            bell.ring();
            bell.clone().ring();
            reactor.expire(now);
            assert_eq!(
                (reactor.next_ready(), reactor.next_ready()),
                (Some(slot), None)
            );
        }
        bell.ring();
        reactor.release(slot);
        let next = reactor.open().expect("the same place");
        assert_eq!(next.index(), slot.index());
        reactor.expire(now);
        bell.ring();
        reactor.expire(now);
        assert_eq!(reactor.next_ready(), None);
    }
}
