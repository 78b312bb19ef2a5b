//! How another thread reaches a conversation: a message, a wake, and no shared state.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
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
        let Some(shelf) = self.shelf() else {
            return Err(SendError::Gone(message));
        };
        if shelf.waiting.fetch_add(1, Ordering::AcqRel) >= MAILBOX_CAPACITY {
            shelf.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(SendError::Full(message));
        }
        self.post(message)
    }

    /// As [`send`](Self::send) for one who has a bound of their own: there is always room.
    ///
    /// # Errors
    ///
    /// [`SendError::Gone`].
    pub(crate) fn notify(&self, message: M) -> Result<(), SendError<M>> {
        let Some(shelf) = self.shelf() else {
            return Err(SendError::Gone(message));
        };
        shelf.waiting.fetch_add(1, Ordering::AcqRel);
        self.post(message)
    }

    /// Where messages for the conversation are counted, unless it has ended.
    fn shelf(&self) -> Option<&Shelf> {
        let shelf = self.office.shelf(self.slot)?;
        let generation = shelf.generation.load(Ordering::Acquire);
        (generation == self.slot.generation()).then_some(shelf)
    }

    fn post(&self, message: M) -> Result<(), SendError<M>> {
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
}

struct Shelf {
    /// The generation of the slot's present owner.
    generation: AtomicU32,
    waiting: AtomicU32,
}

impl<M> PostOffice<M> {
    fn shelf(&self, slot: Slot) -> Option<&Shelf> {
        self.shelves.get(slot.index())
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
        let shelf = || Shelf {
            generation: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
        };
        let office = Arc::new(PostOffice {
            sender,
            waker,
            shelves: (0..capacity).map(|_| shelf()).collect(),
        });
        Post { office, receiver }
    }

    /// A conversation begins at `slot`.
    pub(crate) fn open(&self, slot: Slot) {
        if let Some(shelf) = self.office.shelf(slot) {
            shelf.waiting.store(0, Ordering::Release);
            shelf.generation.store(slot.generation(), Ordering::Release);
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
            let next = slot.generation().wrapping_add(1);
            shelf.generation.store(next, Ordering::Release);
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
            // Zero already if the place has changed hands meanwhile.
            let one_less = |waiting: u32| waiting.checked_sub(1);
            let _ = shelf
                .waiting
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less);
        }
    }
}
