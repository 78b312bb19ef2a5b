//! How another thread gives a slot its turn.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};
use mio::Waker;

use super::Slot;

/// Gives one slot a turn, from any thread.
///
/// A wake alone ends the loop's wait and runs nothing (RT-2); a doorbell also says whose turn it
/// is. It carries no message: leave that in a channel first, and empty the channel when the turn
/// comes, for several rings may become one turn (RT-5).
#[derive(Clone)]
pub struct Doorbell {
    slot: Slot,
    /// Rung, and not answered yet: there is no need to ring again.
    rung: Arc<AtomicBool>,
    sender: Sender<(Slot, Arc<AtomicBool>)>,
    waker: Arc<Waker>,
}

impl Doorbell {
    /// Puts the slot into the run queue and wakes the loop. Never blocks; does nothing if the slot
    /// is closed.
    pub fn ring(&self) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        if self
            .sender
            .send((self.slot, Arc::clone(&self.rung)))
            .is_ok()
        {
            if let Err(error) = self.waker.wake() {
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
    sender: Sender<(Slot, Arc<AtomicBool>)>,
    receiver: Receiver<(Slot, Arc<AtomicBool>)>,
}

impl Default for Doorbells {
    fn default() -> Doorbells {
        let (sender, receiver) = unbounded(); // at most one entry a doorbell
        Doorbells { sender, receiver }
    }
}

impl Doorbells {
    pub(super) fn doorbell(&self, slot: Slot, waker: Arc<Waker>) -> Doorbell {
        Doorbell {
            slot,
            rung: Arc::default(),
            sender: self.sender.clone(),
            waker,
        }
    }

    /// How many bells have been rung: one that never stops must not stop the loop.
    pub(super) fn rung(&self) -> usize {
        self.receiver.len()
    }

    /// Takes the next slot whose bell was rung.
    pub(super) fn answer(&self) -> Option<Slot> {
        let (slot, rung) = self.receiver.try_recv().ok()?;
        // Before the slot's turn, so that what is left in the channel during it rings again.
        rung.store(false, Ordering::Release);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use crate::reactor::{EventLoop, Reactor};
    use std::time::Instant;

    /// RT-4, RT-5: rings before a turn become one; a closed slot's bell rings for nobody, not
    /// even for the slot's next owner.
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
