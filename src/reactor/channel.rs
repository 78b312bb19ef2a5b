//! Messages to a source of the reactor.

use std::fmt;
use std::io;
use std::sync::atomic::{Ordering, fence};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, OnceLock};

use super::Reactor;
use super::doorbell::Doorbell;
use super::slot::Slot;

/// Makes a channel whose receiver is a source of a reactor. At most `capacity` messages wait in it.
///
/// Use it to reach your own sources on a server's loop
/// ([`Hooks::ready`](crate::socketserver::Hooks::ready)), from another thread or from a handler on the
/// same loop. The channel is older than the server: give the sender to the handler, and the receiver to
/// the hooks.
///
/// ```
/// use serve_forever::reactor::{EventLoop, Reactor, channel};
///
/// let (sender, mut receiver) = channel(10);
/// assert_eq!(sender.send("early"), Ok(()));
///
/// let mut event_loop = EventLoop::new()?;
/// let mut reactor = Reactor::new(event_loop.registry(), event_loop.waker(), 0..1)?;
/// let slot = receiver.open(&mut reactor)?; // it has its turn for the early message
/// assert_eq!(reactor.next_ready(), Some(slot));
/// assert_eq!(receiver.receive(), Some("early"));
///
/// std::thread::spawn(move || sender.send("late"));
/// event_loop.wait(None, |_| {})?;
/// reactor.expire(std::time::Instant::now());
/// assert_eq!(reactor.next_ready(), Some(slot));
/// assert_eq!(receiver.receive(), Some("late"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn channel<M>(capacity: usize) -> (Sender<M>, Receiver<M>) {
    // With zero, a message would need a receiver that waits for it, and a loop never does.
    let (queue, messages) = mpsc::sync_channel(capacity.max(1));
    let doorbell = Arc::new(OnceLock::new());
    let sender = Sender {
        queue,
        doorbell: Arc::clone(&doorbell),
    };
    let receiver = Receiver {
        messages,
        doorbell,
        slot: None,
    };
    (sender, receiver)
}

/// Sends messages to a source of a reactor, from any thread. Made by [`channel`].
///
/// Its clones send to the same source.
pub struct Sender<M> {
    /// Where the messages wait.
    queue: SyncSender<M>,
    /// Gives the receiver its turn, once it has a slot.
    doorbell: Arc<OnceLock<Doorbell>>,
}

impl<M> Sender<M> {
    /// Sends a message, and gives the receiver a turn. Never blocks.
    ///
    /// # Errors
    ///
    /// Gives the message back if the channel is full, or if the receiver was dropped.
    pub fn send(&self, message: M) -> Result<(), M> {
        self.queue.try_send(message).map_err(|error| match error {
            TrySendError::Full(message) | TrySendError::Disconnected(message) => message,
        })?;
        // Together with the fence in `open`: either this sees the doorbell, or the receiver's first
        // turn sees the message.
        fence(Ordering::SeqCst);
        if let Some(doorbell) = self.doorbell.get() {
            doorbell.ring();
        }
        Ok(())
    }
}

impl<M> Clone for Sender<M> {
    fn clone(&self) -> Sender<M> {
        Sender {
            queue: self.queue.clone(),
            doorbell: Arc::clone(&self.doorbell),
        }
    }
}

impl<M> fmt::Debug for Sender<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.doorbell.get()).finish()
    }
}

/// Receives the messages of a [`channel`], as a source of a reactor.
pub struct Receiver<M> {
    /// Where the messages wait.
    messages: mpsc::Receiver<M>,
    /// Shared with the senders.
    doorbell: Arc<OnceLock<Doorbell>>,
    /// The receiver's slot, once it is open.
    slot: Option<Slot>,
}

impl<M> Receiver<M> {
    /// Opens a slot, which gets a turn now, and for each message from now on. A second call returns
    /// the slot of the first.
    ///
    /// # Errors
    ///
    /// Returns an error if every slot of the reactor is taken.
    pub fn open(&mut self, reactor: &mut Reactor) -> io::Result<Slot> {
        if let Some(slot) = self.slot {
            return Ok(slot);
        }
        let slot = reactor.open()?;
        self.slot = Some(slot);
        self.doorbell.get_or_init(|| reactor.doorbell(slot));
        fence(Ordering::SeqCst);
        reactor.enqueue(slot);
        Ok(slot)
    }

    /// Returns whether this is the receiver's slot.
    pub fn is_at(&self, slot: Slot) -> bool {
        self.slot == Some(slot)
    }

    /// Takes the oldest message; `None` if there is none. Never blocks.
    ///
    /// Several messages may become one turn. So take all of them, or
    /// [enqueue](Reactor::enqueue) the slot for the rest.
    pub fn receive(&mut self) -> Option<M> {
        self.messages.try_recv().ok()
    }
}

impl<M> fmt::Debug for Receiver<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.slot).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::event_loop::EventLoop;
    use std::time::{Duration, Instant};

    /// RT-5: messages before a turn become one turn, and none is lost. A sender is told that there is
    /// no room, and that there is nobody any more.
    #[test]
    fn messages_give_the_receiver_its_turn() {
        let mut event_loop = EventLoop::new().expect("a poll");
        let reactor = Reactor::new(event_loop.registry(), event_loop.waker(), 0..1);
        let mut reactor = reactor.expect("a reactor");
        let (sender, mut receiver) = channel(2);
        assert_eq!(sender.send(1), Ok(()));
        let slot = receiver.open(&mut reactor).expect("a slot");
        assert_eq!(receiver.open(&mut reactor).expect("the same"), slot);
        assert!(receiver.is_at(slot));
        let (_late, mut late) = channel::<u8>(0);
        late.open(&mut reactor).expect_err("there is only one slot");
        assert!(!late.is_at(slot));
        assert_eq!(sender.clone().send(2), Ok(()));
        assert_eq!(sender.send(3), Err(3), "it is full");
        reactor.expire(Instant::now());
        assert_eq!(reactor.next_ready(), Some(slot));
        assert_eq!(reactor.next_ready(), None);
        let received = [receiver.receive(), receiver.receive(), receiver.receive()];
        assert_eq!(received, [Some(1), Some(2), None]);

        let other = sender.clone();
        let sending = std::thread::spawn(move || other.send(4));
        let limit = Some(Duration::from_secs(20));
        event_loop.wait(limit, |_| {}).expect("woken");
        sending.join().expect("no panic").expect("sent");
        reactor.expire(Instant::now());
        assert_eq!(
            (reactor.next_ready(), receiver.receive()),
            (Some(slot), Some(4))
        );
        drop(receiver);
        assert_eq!(sender.send(5), Err(5), "nobody receives it");
    }
}
