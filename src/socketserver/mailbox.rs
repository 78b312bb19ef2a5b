//! How another thread sends a message to a conversation on the loop.
//!
//! The loop alone touches connections and their protocols, so it needs no locks for them. Another
//! thread puts its message into a channel and wakes the loop. The loop takes the message out and
//! calls [`Protocol::deliver`](super::protocol::Protocol::deliver) with it.
//!
//! A message carries the slot of its conversation with the slot's generation. It may arrive after
//! the conversation has ended and another has taken the slot; the generation then differs, and the
//! message is dropped.

mod shelf;

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};

use self::shelf::Shelf;
use super::server_handle::ServerHandle;
use crate::reactor::{Alarm, Slot};

/// How many messages may wait for one conversation.
///
/// The limit is for each conversation, so a slow client delays only those who send to it. 64 is
/// enough for a burst, and amounts to a few KiB if the messages are small.
pub const MAILBOX_CAPACITY: u32 = 64;

/// Sends messages to one conversation, from any thread.
///
/// A conversation is a connection with its [`Protocol`](super::Protocol), which gets the messages
/// through [`Protocol::deliver`](super::Protocol::deliver). Clones of a mailbox send to the same
/// conversation.
pub struct Mailbox<M> {
    /// Shared by all mailboxes of the loop.
    office: Arc<PostOffice<M>>,
    /// The conversation: its slot, and the generation that tells it from others at this slot.
    slot: Slot,
}

impl<M> Mailbox<M> {
    /// Creates a mailbox without a conversation: every [`send`](Self::send) returns
    /// [`SendError::Gone`].
    ///
    /// Use it to drive a protocol by hand, for example in a test, if the protocol gets no
    /// messages. If it does, use an [`Inbox`].
    pub fn dangling() -> Mailbox<M> {
        Post::new(0, None).mailbox(Slot::default())
    }

    /// Sends a message and wakes the loop. Never blocks.
    ///
    /// Messages of one sender arrive in order. `Ok` means that the message is on its way: it is
    /// dropped if the conversation ends before it arrives.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Gone`] if the conversation has ended, and [`SendError::Full`] if
    /// [`MAILBOX_CAPACITY`] messages wait already. Both give the message back.
    pub fn send(&self, message: M) -> Result<(), SendError<M>> {
        self.post(message, MAILBOX_CAPACITY)
    }

    /// Like [`send`](Self::send), but without a limit, for senders that have their own.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Gone`] if the conversation has ended.
    pub(crate) fn notify(&self, message: M) -> Result<(), SendError<M>> {
        self.post(message, u32::MAX)
    }

    /// Returns whether the conversation has ended, and messages to it are dropped.
    pub fn is_gone(&self) -> bool {
        let shelf = self.office.shelf(self.slot);
        shelf.is_none_or(|shelf| shelf.owner() != self.slot.generation())
    }

    /// Returns a handle that reaches the server of this conversation; `None` if there is no server.
    pub fn server(&self) -> Option<&ServerHandle> {
        self.office.home.as_ref().map(|home| &home.server)
    }

    /// Returns whether this thread is the one that takes messages out. Waiting on it for that would
    /// deadlock.
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
        self.office.ring();
        Ok(())
    }
}

/// Receives the messages of a mailbox without a loop.
///
/// Use it to drive a protocol by hand, for example in a test.
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
    /// Creates the inbox of one conversation. The conversation ends when the inbox is dropped.
    pub fn new() -> Inbox<M> {
        let post = Post::new(1, None);
        post.open(Slot::default());
        Inbox(post)
    }

    /// Returns a mailbox that sends to this inbox.
    pub fn mailbox(&self) -> Mailbox<M> {
        self.0.mailbox(Slot::default())
    }

    /// Takes the oldest message; `None` if there is none. Never blocks.
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

/// Why a message was not accepted. It holds the message.
#[derive(Clone, Copy, PartialEq, Eq)]
// Exhaustive: each variant gives the message back.
pub enum SendError<M> {
    /// The conversation has ended.
    Gone(M),
    /// Too much is on its way already. For a [`Mailbox`] that is [`MAILBOX_CAPACITY`] messages; for an
    /// [`EventSender`], a [`ResponseStream`] and a `WebSocketSender` it is 64 KiB, however many
    /// messages they are.
    ///
    /// The client reads too slowly, or the loop is behind. Send the message later, leave it out, or give
    /// the client up.
    ///
    /// [`EventSender`]: crate::http::EventSender
    /// [`ResponseStream`]: crate::http::ResponseStream
    Full(M),
}

impl<M> fmt::Display for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Gone(_) => "the conversation has ended",
            SendError::Full(_) => "too much is on its way to the conversation already",
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

/// The loop that takes messages out.
pub(crate) struct Home {
    /// Ends the loop's wait.
    pub(crate) alarm: Alarm,
    /// Reaches the server that the loop serves.
    pub(crate) server: ServerHandle,
}

/// The part that all mailboxes of one loop share.
struct PostOffice<M> {
    /// Unbounded, because the shelves limit how many messages wait for each conversation.
    sender: Sender<(Slot, M)>,
    /// The loop that takes the messages out. `None` if there is none.
    home: Option<Home>,
    /// A shelf for each slot, so that a sender sees whether its conversation still exists.
    shelves: Box<[Shelf]>,
    /// The thread that takes messages out.
    thread: Mutex<Option<ThreadId>>,
    /// The loop was woken, and has not looked for messages since. There is no need to wake it again.
    rung: AtomicBool,
}

impl<M> PostOffice<M> {
    /// Wakes the loop for a message that was sent before this call. Messages that come before the
    /// loop looks share one wake-up ([RT-5]).
    ///
    /// [RT-5]: crate::spec#rt-5
    fn ring(&self) {
        let Some(home) = &self.home else {
            return;
        };
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Err(error) = home.alarm.wake() {
            log::error!("cannot wake the loop for a message: {error}");
        }
    }

    fn shelf(&self, slot: Slot) -> Option<&Shelf> {
        self.shelves.get(slot.index())
    }

    fn lock(&self) -> MutexGuard<'_, Option<ThreadId>> {
        // A poisoned lock is fine: a panic cannot leave one word half written.
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more message for the conversation at `slot`.
    ///
    /// If the conversation has ended, or `capacity` messages wait, the error makes a [`SendError`]
    /// of the message.
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

/// The loop's end of all its mailboxes: receives their messages.
pub(crate) struct Post<M> {
    /// Shared with all mailboxes.
    office: Arc<PostOffice<M>>,
    /// Where their messages arrive.
    receiver: Receiver<(Slot, M)>,
}

impl<M> Post<M> {
    /// Creates a post for conversations at the slots up to `capacity`.
    pub(crate) fn new(capacity: usize, home: Option<Home>) -> Post<M> {
        let (sender, receiver) = unbounded();
        let office = Arc::new(PostOffice {
            sender,
            home,
            shelves: (0..capacity).map(|_| Shelf::default()).collect(),
            thread: Mutex::default(),
            rung: AtomicBool::new(false),
        });
        Post { office, receiver }
    }

    /// Returns a handle that reaches the server; `None` if there is no server.
    pub(crate) fn server(&self) -> Option<&ServerHandle> {
        self.office.home.as_ref().map(|home| &home.server)
    }

    /// Notes that from now on this thread takes messages out.
    pub(crate) fn attend(&self) {
        *self.office.lock() = Some(thread::current().id());
    }

    /// A conversation begins at `slot`. Its messages are taken out by this thread.
    pub(crate) fn open(&self, slot: Slot) {
        self.attend();
        if let Some(shelf) = self.office.shelf(slot) {
            shelf.assign(slot.generation());
        }
    }

    /// Returns a mailbox of the conversation at `slot`.
    pub(crate) fn mailbox(&self, slot: Slot) -> Mailbox<M> {
        Mailbox {
            office: Arc::clone(&self.office),
            slot,
        }
    }

    /// The conversation at `slot` has ended. From now on its mailboxes return
    /// [`SendError::Gone`].
    pub(crate) fn close(&self, slot: Slot) {
        if let Some(shelf) = self.office.shelf(slot) {
            shelf.assign(slot.generation().wrapping_add(1));
        }
    }

    /// Returns whether a sender has woken the loop, so that messages may wait. This is cheaper than a
    /// [look](Self::look).
    #[inline]
    pub(crate) fn has_rung(&self) -> bool {
        // What if a message was sent just now, and its sender has not rung yet? Then it will, and wakes
        // the loop.
        self.office.rung.load(Ordering::Acquire)
    }

    /// Begins a look for messages, and returns how many wait. The next message that is sent wakes
    /// the loop again, so take all of these.
    pub(crate) fn look(&self) -> usize {
        // Before the messages are counted. What if one is sent between the two? Then it is counted,
        // and wakes the loop for nothing. The other way round, it could be forgotten.
        self.office.rung.swap(false, Ordering::AcqRel);
        self.receiver.len()
    }

    /// Takes the next message, together with the slot of its conversation.
    pub(crate) fn receive(&self) -> Option<(Slot, M)> {
        self.receiver.try_recv().ok()
    }

    /// Waits for the next message until `deadline`; `None` if none came.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Option<(Slot, M)> {
        match deadline {
            Some(deadline) => self.receiver.recv_deadline(deadline).ok(),
            None => self.receiver.recv().ok(),
        }
    }

    /// A message for the conversation at `slot` was delivered, so there is room for one more.
    pub(crate) fn delivered(&self, slot: Slot) {
        if let Some(shelf) = self.office.shelf(slot) {
            // Ignore the error: the message was for an earlier conversation at this slot.
            let _ = shelf.count(slot.generation(), |waiting| waiting.checked_sub(1));
        }
    }
}
