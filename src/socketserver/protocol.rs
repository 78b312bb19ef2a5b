//! Axis 2, the sans-IO way: one conversation as bytes and a clock in, bytes and a verdict out.

use std::convert::Infallible;
use std::fmt;
use std::time::Instant;

use super::buffer::Buffer;
use super::failure::Failure;
use super::mailbox::Mailbox;
use crate::reactor::Now;

/// One conversation with one client, with no socket, clock, thread or log inside.
///
/// The owner of the connection calls these methods. It hands over what arrived and what time it is,
/// sends what was written to `output`, and follows the verdict. So the same protocol runs on the
/// event loop ([`Evented`](super::Evented)), in memory or on a blocking socket
/// ([`Driver`](super::Driver)), and in a test on arrays. Python knows the shape from
/// `asyncio.Protocol`.
///
/// Only [`receive`](Self::receive) must be written. A line echo:
///
/// ```
/// use std::convert::Infallible;
/// use serve_forever::reactor::Now;
/// use serve_forever::socketserver::{Buffer, Next, Protocol};
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     type Message = Infallible;
///
///     fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next {
///         if let Some(end) = input.iter().rposition(|&byte| byte == b'\n') {
///             output.extend_from_slice(&input[..=end]);
///             input.consume(end + 1);
///         }
///         Next::Read
///     }
/// }
/// # let (mut input, mut output) = (Buffer::new(), Buffer::new());
/// # input.extend_from_slice(b"one\ntw");
/// # Echo.receive(&mut input, &mut output, &Now::new());
/// # assert_eq!((&*input, &*output), (&b"tw"[..], &b"one\n"[..]));
/// ```
pub trait Protocol {
    /// The messages that other threads may send to this conversation. [`Infallible`] means none.
    type Message: Send + 'static;

    /// The client is connected. Other threads can reach this conversation through `mailbox`.
    ///
    /// Note here when it began, keep the mailbox, or speak first.
    fn connection_made(
        &mut self,
        mailbox: Mailbox<Self::Message>,
        output: &mut Buffer,
        now: &Now,
    ) -> Next<Self::Message> {
        let _ = (mailbox, output, now);
        Next::Read
    }

    /// Bytes arrived. Bytes that you leave in `input` are kept; later bytes are appended to them.
    ///
    /// Called only while the last verdict is [`Next::Read`].
    fn receive(
        &mut self,
        input: &mut Buffer,
        output: &mut Buffer,
        now: &Now,
    ) -> Next<Self::Message>;

    /// The client sends no more but may still read: finish its requests ([RT-10]).
    ///
    /// Called once, where `receive` would have been. A verdict of [`Next::Read`] closes.
    ///
    /// [RT-10]: crate::spec#rt-10
    fn input_closed(&mut self, output: &mut Buffer, now: &Now) -> Next<Self::Message> {
        let _ = (output, now);
        Next::Close
    }

    /// There is room in `output` again after [`Next::Produce`].
    fn produce(&mut self, output: &mut Buffer, now: &Now) -> Next<Self::Message> {
        let _ = (output, now);
        Next::Read
    }

    /// Another thread sent something through the [`Mailbox`].
    ///
    /// Called while the last verdict is [`Next::Read`] or [`Next::Wait`].
    fn deliver(
        &mut self,
        message: Self::Message,
        output: &mut Buffer,
        now: &Now,
    ) -> Next<Self::Message> {
        let _ = (message, output, now);
        Next::Read
    }

    /// All output is with the operating system, after some of it had to wait for the client to read.
    ///
    /// If you limit how long a client may be idle, its idle time begins here ([RT-13]). This is not
    /// called for output that is taken immediately.
    ///
    /// [RT-13]: crate::spec#rt-13
    fn output_sent(&mut self, now: &Now) {
        let _ = now;
    }

    /// The [`deadline`](Self::deadline) has passed, although everything that has arrived was handed
    /// over ([RT-12]).
    ///
    /// Move the deadline, or end the conversation. If you do neither, the owner reports a failure
    /// and closes the connection: the same deadline would be due again immediately.
    ///
    /// [RT-12]: crate::spec#rt-12
    fn timed_out(&mut self, output: &mut Buffer, now: &Now) -> Next<Self::Message> {
        let _ = (output, now);
        Next::Close
    }

    /// The server is stopping. Handle what is whole in `input`, finish the work that has begun, and
    /// close; if there is none, close now ([SHUT-14]).
    ///
    /// If the last verdict is [`Next::Read`], the owner has just read once more, so `input` also
    /// has what was on its way when the drain began. Otherwise it is empty. As in
    /// [`receive`](Self::receive), bytes that you leave there are kept. By default, this calls
    /// `receive` if there is input, and then closes instead of reading on.
    ///
    /// Called once. A protocol that takes over later is told after its
    /// [`connection_made`](Self::connection_made).
    ///
    /// [SHUT-14]: crate::spec#shut-14
    fn drain(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next<Self::Message> {
        if input.is_empty() {
            return Next::Close;
        }
        match self.receive(input, output, now) {
            Next::Read => Next::Close,
            next => next,
        }
    }

    /// The conversation has ended, for whatever reason; asyncio's method of that name.
    ///
    /// This is the last call. It does not come if another method has panicked, or if another
    /// protocol has taken over.
    fn connection_lost(&mut self, now: &Now) {
        let _ = now;
    }

    /// Returns when [`timed_out`](Self::timed_out) is due; `None` means never.
    ///
    /// Derive it from the state: the owner asks for it after each call. While output waits for a
    /// slow reader, the limits of the owner count instead.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Returns a failure that the conversation has dealt with but wants reported. The owner asks
    /// after each call.
    fn take_failure(&mut self) -> Option<Failure> {
        None
    }

    /// Returns whether `output` may keep a large [`Block`](super::Block) as it is, so that its slice
    /// does not have all bytes; see [`Buffer`]. By default it may not.
    ///
    /// Return true if your protocol appends blocks and never looks at `output`. If your protocol
    /// wraps another one and passes `output` on without a look, return what that returns.
    fn keeps_blocks(&self) -> bool {
        false
    }

    /// Returns whether the end of the client's input ends the conversation while the last verdict is
    /// [`Next::Wait`]. By default it does not ([RT-10]).
    ///
    /// Return true if the conversation has no end of its own, for example if it is a stream of events.
    /// The client has then closed the connection, and would otherwise only be missed when something
    /// is sent to it. [`EventedSettings::half_close`](super::EventedSettings::half_close) says the
    /// same for all connections. If your protocol wraps another one, return what that returns.
    ///
    /// [RT-10]: crate::spec#rt-10
    fn ends_with_input(&self) -> bool {
        false
    }

    /// Returns how many exchanges have ended since the last call. A server asks after each turn, and
    /// after [`connection_lost`](Self::connection_lost).
    ///
    /// An exchange is whatever counts as one request: in HTTP, a request and its response.
    /// [`Server::handle_request`](super::Server::handle_request) returns when an exchange has ended
    /// and all output is sent. If a protocol has no exchanges, leave the default: then its whole
    /// conversation counts as one, when it ends. If your protocol wraps another one, return the
    /// number of that.
    fn take_completed(&mut self) -> usize {
        0
    }
}

/// The verdict of a protocol: what happens next in a conversation. Output that was written is sent
/// in any case.
// Exhaustive: an owner of a connection that does not know a verdict would do the wrong thing.
pub enum Next<M = Infallible> {
    /// Wait for bytes, or for a message.
    Read,
    /// Call [`Protocol::produce`] as soon as there is room in the output; read nothing meanwhile.
    Produce,
    /// Wait for a message; read nothing meanwhile.
    Wait,
    /// Close once the output is sent. Use it when nothing that the client sends is unread.
    Close,
    /// Like `Close`, but the client may still be sending bytes that nobody will read. After the
    /// output, shut down the writing half, discard what arrives for a bounded time, and then close.
    /// So the client can read the output ([TCP-8]).
    ///
    /// [TCP-8]: crate::spec#tcp-8
    Linger,
    /// Drop the unsent output and reset the connection, if the transport has resets. The client
    /// then knows that it has not got everything. Use it if nothing else would tell.
    Abort,
    /// Go on with another protocol, which gets the bytes that are left in the input.
    Upgrade(Box<dyn Protocol<Message = M> + Send>),
}

impl<M> fmt::Debug for Next<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Next::Read => "Read",
            Next::Produce => "Produce",
            Next::Wait => "Wait",
            Next::Close => "Close",
            Next::Linger => "Linger",
            Next::Abort => "Abort",
            Next::Upgrade(_) => "Upgrade",
        })
    }
}

/// Writes every method of [`Protocol`]. Each calls the same method of the protocol that
/// `$forward` finds.
macro_rules! forward_all {
    ($forward:ident) => {
        fn connection_made(
            &mut self,
            mailbox: Mailbox<Self::Message>,
            output: &mut Buffer,
            now: &Now,
        ) -> Next<Self::Message> {
            $forward!(self.connection_made(mailbox, output, now))
        }

        fn receive(
            &mut self,
            input: &mut Buffer,
            output: &mut Buffer,
            now: &Now,
        ) -> Next<Self::Message> {
            $forward!(self.receive(input, output, now))
        }

        fn input_closed(&mut self, output: &mut Buffer, now: &Now) -> Next<Self::Message> {
            $forward!(self.input_closed(output, now))
        }

        fn produce(&mut self, output: &mut Buffer, now: &Now) -> Next<Self::Message> {
            $forward!(self.produce(output, now))
        }

        fn deliver(
            &mut self,
            message: Self::Message,
            output: &mut Buffer,
            now: &Now,
        ) -> Next<Self::Message> {
            $forward!(self.deliver(message, output, now))
        }

        fn output_sent(&mut self, now: &Now) {
            $forward!(self.output_sent(now));
        }

        fn timed_out(&mut self, output: &mut Buffer, now: &Now) -> Next<Self::Message> {
            $forward!(self.timed_out(output, now))
        }

        fn drain(
            &mut self,
            input: &mut Buffer,
            output: &mut Buffer,
            now: &Now,
        ) -> Next<Self::Message> {
            $forward!(self.drain(input, output, now))
        }

        fn connection_lost(&mut self, now: &Now) {
            $forward!(self.connection_lost(now));
        }

        fn deadline(&self) -> Option<Instant> {
            $forward!(self.deadline())
        }

        fn keeps_blocks(&self) -> bool {
            $forward!(self.keeps_blocks())
        }

        fn ends_with_input(&self) -> bool {
            $forward!(self.ends_with_input())
        }

        fn take_failure(&mut self) -> Option<Failure> {
            $forward!(self.take_failure())
        }

        fn take_completed(&mut self) -> usize {
            $forward!(self.take_completed())
        }
    };
}

/// Calls a method of the protocol in the box.
macro_rules! boxed {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        (**$self).$method($($argument),*)
    };
}

/// A boxed protocol is a protocol. So your own protocol can wrap any other, for example one that has
/// taken over by [`Next::Upgrade`].
impl<P: Protocol + ?Sized> Protocol for Box<P> {
    type Message = P::Message;

    forward_all!(boxed);
}

/// A protocol, or the one it was upgraded to.
pub(crate) enum Conversation<P: Protocol> {
    /// The protocol that the factory made.
    First(P),
    /// The protocol that took over.
    Upgraded(Box<dyn Protocol<Message = P::Message> + Send>),
}

/// Calls a method of the current protocol.
macro_rules! current {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match $self {
            Conversation::First(protocol) => protocol.$method($($argument),*),
            Conversation::Upgraded(protocol) => protocol.$method($($argument),*),
        }
    };
}

impl<P: Protocol> Protocol for Conversation<P> {
    type Message = P::Message;

    forward_all!(current);
}
