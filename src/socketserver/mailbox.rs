//! How another thread reaches a conversation: a message, a wake, and no shared state.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};
use mio::Waker;

use crate::reactor::Slot;

/// How many messages may wait for one conversation: a slow client holds back its own producer
/// and nobody else. Enough for a burst, and at most a few KiB of small messages.
pub const MAILBOX_CAPACITY: u32 = 64;

/// Sends messages to one conversation from any thread; see [`Protocol::deliver`].
///
/// [`Protocol::deliver`]: super::Protocol::deliver
pub struct Mailbox<M> {
    office: Arc<PostOffice<M>>,
    slot: Slot,
}

impl<M> Mailbox<M> {
    /// A mailbox that nobody empties: every message is answered by [`SendError::Gone`].
    ///
    /// For driving a protocol by hand, as a test does.
    pub fn dangling() -> Mailbox<M> {
        Post::new(0, None).mailbox(Slot::default())
    }

    /// Leaves a message and wakes the loop. Never blocks.
    ///
    /// Messages of one sender arrive in order. One that is accepted may still be dropped unread
    /// if the conversation ends first.
    ///
    /// # Errors
    ///
    /// [`SendError::Gone`] if the conversation has ended, [`SendError::Full`] if
    /// [`MAILBOX_CAPACITY`] messages wait already; both give the message back.
    pub fn send(&self, message: M) -> Result<(), SendError<M>> {
        self.post(message, MAILBOX_CAPACITY)
    }

    /// As [`send`](Self::send) for one who has a bound of their own: there is always room.
    ///
    /// # Errors
    ///
    /// [`SendError::Gone`].
    pub(crate) fn notify(&self, message: M) -> Result<(), SendError<M>> {
        self.post(message, u32::MAX)
    }

    /// Whether the conversation has ended.
    pub fn is_gone(&self) -> bool {
        let shelf = self.office.shelf(self.slot);
        shelf.is_none_or(|shelf| shelf.owner() != self.slot.generation())
    }

    /// Whether it is this thread that empties the mailbox: to wait for that here is to wait forever.
    pub(crate) fn is_emptied_here(&self) -> bool {
        *self.office.lock() == Some(thread::current().id())
    }

    fn post(&self, message: M, capacity: u32) -> Result<(), SendError<M>> {
        if let Err(refused) = self.office.admit(self.slot, capacity) {
            return Err(refused(message));
        }
        if let Err(unsent) = self.office.sender.send((self.slot, message)) {
            return Err(SendError::Gone(unsent.into_inner().1));
        }
        if let Some(waker) = &self.office.waker {
            if let Err(error) = waker.wake() {
                log::error!("cannot wake the loop for a message: {error}");
            }
        }
        Ok(())
    }
}

/// The other end of a mailbox, for driving a protocol by hand, as a test does.
///
/// ```
/// use serve_forever::socketserver::Inbox;
///
/// let inbox = Inbox::new();
/// let mailbox = inbox.mailbox();
/// std::thread::spawn(move || mailbox.send("hello")).join().expect("it does not panic")?;
/// assert_eq!(inbox.receive(), Some("hello"));
/// # Ok::<(), serve_forever::socketserver::SendError<&str>>(())
/// ```
pub struct Inbox<M>(Post<M>);

impl<M> Inbox<M> {
    /// The inbox of one conversation, which does not end before it is dropped.
    pub fn new() -> Inbox<M> {
        let post = Post::new(1, None);
        post.open(Slot::default());
        Inbox(post)
    }

    /// A mailbox whose messages arrive here.
    pub fn mailbox(&self) -> Mailbox<M> {
        self.0.mailbox(Slot::default())
    }

    /// Takes the oldest message, without waiting for one.
    pub fn receive(&self) -> Option<M> {
        self.0.attend();
        let (slot, message) = self.0.receive()?;
        self.0.delivered(slot);
        Some(message)
    }
}

impl<M> Default for Inbox<M> {
    fn default() -> Inbox<M> {
        Inbox::new()
    }
}

impl<M> Drop for Inbox<M> {
    fn drop(&mut self) {
        self.0.close(Slot::default());
    }
}

impl<M> fmt::Debug for Inbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inbox")
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Mailbox<M> {
        Mailbox {
            office: Arc::clone(&self.office),
            slot: self.slot,
        }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mailbox").field(&self.slot).finish()
    }
}

/// Why a message was not accepted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendError<M> {
    /// The conversation has ended.
    Gone(M),
    /// The conversation has too many messages waiting.
    Full(M),
}

impl<M> fmt::Display for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Gone(_) => "the conversation has ended",
            SendError::Full(_) => "too many messages wait for the conversation",
        })
    }
}

impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Gone(_) => "Gone",
            SendError::Full(_) => "Full",
        })
    }
}

impl<M> Error for SendError<M> {}

/// What all mailboxes of one loop share: a channel, the waker, and who still lives where.
struct PostOffice<M> {
    sender: Sender<(Slot, M)>,
    waker: Option<Arc<Waker>>,
    shelves: Box<[Shelf]>,
    /// Who empties the mailboxes.
    thread: Mutex<Option<ThreadId>>,
}

impl<M> PostOffice<M> {
    fn shelf(&self, slot: Slot) -> Option<&Shelf> {
        self.shelves.get(slot.index())
    }

    fn lock(&self) -> MutexGuard<'_, Option<ThreadId>> {
        // It is one word, which no panic can leave half written.
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a message for the conversation at `slot`, unless that has ended or `capacity` wait.
    fn admit(&self, slot: Slot, capacity: u32) -> Result<(), fn(M) -> SendError<M>> {
        let shelf = self.shelf(slot).ok_or(SendError::Gone as fn(M) -> _)?;
        let one_more = |waiting: u32| (waiting < capacity).then(|| waiting + 1);
        match shelf.count(slot.generation(), one_more) {
            Ok(()) => Ok(()),
            Err(owner) if owner == slot.generation() => Err(SendError::Full),
            Err(_) => Err(SendError::Gone),
        }
    }
}

/// The generation of a slot's present owner, and how many messages wait for it: in one word, so
/// that nobody is charged for a message to who lived there before.
#[derive(Default)]
struct Shelf(AtomicU64);

impl Shelf {
    /// Nothing waits for `generation`, whose place this is from now on.
    fn assign(&self, generation: u32) {
        let word = u64::from(generation) << u32::BITS;
        self.0.store(word, Ordering::Release);
    }

    fn owner(&self) -> u32 {
        (self.0.load(Ordering::Acquire) >> u32::BITS) as u32
    }

    /// Changes the number that waits for `generation`. If that has lost the place, or `change`
    /// declines, the owner is the error.
    fn count(&self, generation: u32, change: impl Fn(u32) -> Option<u32>) -> Result<(), u32> {
        let update = |word: u64| {
            let (owner, waiting) = ((word >> u32::BITS) as u32, word as u32);
            let waiting = change(waiting).filter(|_| owner == generation)?;
            Some(u64::from(owner) << u32::BITS | u64::from(waiting))
        };
        let (set, fetch) = (Ordering::AcqRel, Ordering::Acquire);
        let updated = self.0.fetch_update(set, fetch, update);
        updated.map(drop).map_err(|word| (word >> u32::BITS) as u32)
    }
}

/// The loop's end of all its mailboxes.
pub(crate) struct Post<M> {
    office: Arc<PostOffice<M>>,
    receiver: Receiver<(Slot, M)>,
}

impl<M> Post<M> {
    /// A post office with `capacity` addresses.
    pub(crate) fn new(capacity: usize, waker: Option<Arc<Waker>>) -> Post<M> {
        let (sender, receiver) = unbounded();
        let office = Arc::new(PostOffice {
            sender,
            waker,
            shelves: (0..capacity).map(|_| Shelf::default()).collect(),
            thread: Mutex::default(),
        });
        Post { office, receiver }
    }

    /// From now on it is this thread that empties the mailboxes.
    pub(crate) fn attend(&self) {
        *self.office.lock() = Some(thread::current().id());
    }

    /// A conversation begins at `slot`, on this thread.
    pub(crate) fn open(&self, slot: Slot) {
        self.attend();
        if let Some(shelf) = self.office.shelf(slot) {
            shelf.assign(slot.generation());
        }
    }

    /// A mailbox of the conversation at `slot`.
    pub(crate) fn mailbox(&self, slot: Slot) -> Mailbox<M> {
        Mailbox {
            office: Arc::clone(&self.office),
            slot,
        }
    }

    /// The conversation at `slot` has ended: its mailboxes answer so from now on.
    pub(crate) fn close(&self, slot: Slot) {
        if let Some(shelf) = self.office.shelf(slot) {
            shelf.assign(slot.generation().wrapping_add(1));
        }
    }

    /// How many messages wait: cheaper than trying to receive one.
    pub(crate) fn waiting(&self) -> usize {
        self.receiver.len()
    }

    /// Takes the next message, with the conversation it is for.
    pub(crate) fn receive(&self) -> Option<(Slot, M)> {
        self.receiver.try_recv().ok()
    }

    /// Waits for the next message until `deadline`; `None` if none came.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Option<M> {
        let received = match deadline {
            Some(deadline) => self.receiver.recv_deadline(deadline).ok(),
            None => self.receiver.recv().ok(),
        };
        let (slot, message) = received?;
        self.delivered(slot);
        Some(message)
    }

    /// A message has been delivered: there is room for one more.
    pub(crate) fn delivered(&self, slot: Slot) {
        if let Some(shelf) = self.office.shelf(slot) {
            // Err: it was for who lived there before.
            let _ = shelf.count(slot.generation(), |waiting| waiting.checked_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sender may be between finding its conversation and being counted when that ends and
    /// another takes its place.
    #[test]
    fn who_lived_here_before_is_not_counted() {
        let shelf = Shelf::default();
        let waiting = || shelf.0.load(Ordering::Acquire) as u32;
        let one_more = |waiting: u32| waiting.checked_add(1);
        let one_less = |waiting: u32| waiting.checked_sub(1);
        shelf.assign(1);
        assert_eq!(shelf.count(1, one_more), Ok(()));
        shelf.assign(2);
        assert_eq!(waiting(), 0);
        assert_eq!(shelf.count(2, one_more), Ok(()));
        assert_eq!(shelf.count(1, one_more), Err(2));
        assert_eq!(shelf.count(1, one_less), Err(2));
        assert_eq!(waiting(), 1);
        assert_eq!(shelf.count(2, one_less), Ok(()));
        assert_eq!(shelf.count(2, one_less), Err(2), "there is none");
    }
}
