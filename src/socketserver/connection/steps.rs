//! The steps of a connection, one for each [`Stage`]: what it does, and which stage follows.

use std::io;
use std::time::Instant;

use super::transfer::{READ, Received, receive};
use super::{Connection, DISCARD, Fate, Loan, Phase, Stage, Told};
use crate::reactor::Now;
use crate::socketserver::buffer::Buffer;
use crate::socketserver::protocol::{Conversation, Next, Protocol};
use crate::socketserver::transport::Duplex;

impl<S: Duplex, P: Protocol> Connection<S, P> {
    /// Tells the protocol that the connection is made.
    pub(super) fn begin(&mut self, output: &mut Buffer, loan: &mut Loan<'_, P::Message>) {
        let mailbox = loan.post.mailbox(loan.slot);
        let next = self.conversation.connection_made(mailbox, output, loan.now);
        self.follow(next, false, output, loan);
        if loan.phase == Phase::Draining {
            self.told = Told::Later;
        }
    }

    /// Tells the protocol that its deadline has passed.
    pub(super) fn time_out(&mut self, output: &mut Buffer, loan: &mut Loan<'_, P::Message>) {
        let next = self.conversation.timed_out(output, loan.now);
        self.follow(next, false, output, loan);
    }

    /// Takes one step. Returns the connection's fate if there is no step to take.
    pub(super) fn step(
        &mut self,
        output: &mut Buffer,
        loan: &mut Loan<'_, P::Message>,
    ) -> io::Result<Option<Fate>> {
        // What if the mark is zero? Then each step waits until all output is sent.
        let full = !output.is_empty() && output.len() >= loan.settings.high_water;
        let is_stopping = loan.phase != Phase::Serving && self.told != Told::Yes;
        match self.stage {
            Stage::Read { .. } | Stage::Wait | Stage::Produce if is_stopping => {
                self.tell(output, loan)
            }
            Stage::Read { .. } | Stage::Wait | Stage::Produce if full => Ok(Some(Fate::Sleeps)),
            Stage::Read { .. } | Stage::Wait if self.inbox.is_some() => {
                self.deliver(output, loan);
                Ok(None)
            }
            Stage::Read { unseen: true } => {
                let next = self.conversation.receive(&mut self.input, output, loan.now);
                self.follow(next, true, output, loan);
                Ok(None)
            }
            Stage::Read { unseen: false } => self.read(output, loan),
            // Nobody would receive the response that it waits for.
            Stage::Wait if self.has_left(output, loan) => Ok(Some(Fate::BrokenOff)),
            Stage::Wait => Ok(Some(Fate::Sleeps)),
            Stage::Produce => {
                let next = self.conversation.produce(output, loan.now);
                self.follow(next, false, output, loan);
                Ok(None)
            }
            Stage::Abort => {
                self.stream.reset_on_close();
                Ok(Some(Fate::BrokenOff))
            }
            // What if the client never takes it? Then the pace of `unsent` sets the deadline.
            Stage::Close | Stage::Linger if !output.is_empty() => Ok(Some(Fate::Sleeps)),
            Stage::Close if self.input_closed => Ok(Some(Fate::Gone)),
            Stage::Close => self.close(loan),
            Stage::Linger => {
                self.stream.shutdown_write()?;
                self.stage = Stage::Lingering {
                    until: loan.now.instant().checked_add(loan.settings.linger),
                    left: DISCARD,
                };
                Ok(None)
            }
            Stage::Lingering { until, left } => self.discard(until, left, loan),
        }
    }

    /// Tells the protocol that the server is stopping, unless that has time.
    ///
    /// In a drain it reads once before. What if the hint says that nothing has arrived? The hint is
    /// as old as the last wait, and the client may have sent its request since ([SHUT-14]). Whether
    /// the input has ended is the next read's business.
    ///
    /// [SHUT-14]: crate::spec#shut-14
    fn tell(
        &mut self,
        output: &mut Buffer,
        loan: &mut Loan<'_, P::Message>,
    ) -> io::Result<Option<Fate>> {
        let reads = matches!(self.stage, Stage::Read { .. });
        let next = if reads && loan.phase == Phase::Draining {
            let received = self.look(loan)?;
            if self.told == Told::Later && matches!(received, Received::Nothing) {
                return Ok(Some(Fate::Sleeps));
            }
            self.offer(output, loan, Conversation::drain)
        } else {
            let nothing = &mut Buffer::new();
            self.conversation.drain(nothing, output, loan.now)
        };
        self.told = Told::Yes;
        self.follow(next, false, output, loan);
        Ok(None)
    }

    /// Reads once, whatever the hint says.
    fn look(&mut self, loan: &mut Loan<'_, P::Message>) -> io::Result<Received> {
        let arrived = &mut loan.scratch.input;
        arrived.clear();
        loan.readiness.readable = true;
        loop {
            match receive(&mut self.stream, arrived, loan.readiness)? {
                Received::Interrupted => {}
                received => return Ok(received),
            }
        }
    }

    /// Offers the bytes that have arrived, behind those that are left, to a method of the protocol.
    fn offer(
        &mut self,
        output: &mut Buffer,
        loan: &mut Loan<'_, P::Message>,
        method: impl FnOnce(&mut Conversation<P>, &mut Buffer, &mut Buffer, &Now) -> Next<P::Message>,
    ) -> Next<P::Message> {
        let arrived = &mut loan.scratch.input;
        if !self.input.is_empty() {
            self.input.extend_from_slice(arrived);
            return method(&mut self.conversation, &mut self.input, output, loan.now);
        }
        let next = method(&mut self.conversation, arrived, output, loan.now);
        if !arrived.is_empty() {
            self.input.extend_from_slice(arrived);
        }
        next
    }

    /// Gives the oldest message to the protocol.
    fn deliver(&mut self, output: &mut Buffer, loan: &mut Loan<'_, P::Message>) {
        let message = self.inbox.as_mut().and_then(|inbox| inbox.pop_front());
        self.inbox.take_if(|inbox| inbox.is_empty());
        if let Some(message) = message {
            loan.post.delivered(loan.slot);
            let next = self.conversation.deliver(message, output, loan.now);
            self.follow(next, false, output, loan);
        }
    }

    /// Reads once and offers the input to the protocol.
    fn read(
        &mut self,
        output: &mut Buffer,
        loan: &mut Loan<'_, P::Message>,
    ) -> io::Result<Option<Fate>> {
        let arrived = &mut loan.scratch.input;
        arrived.clear();
        match receive(&mut self.stream, arrived, loan.readiness)? {
            Received::Nothing => return Ok(Some(Fate::Sleeps)),
            Received::Interrupted => return Ok(None),
            Received::End => {
                let is_idle = self.is_idle();
                self.input_closed = true;
                let next = self.conversation.input_closed(output, loan.now);
                self.follow(next, false, output, loan);
                let ends_early = !is_idle && self.stage == Stage::Close && output.is_empty();
                return Ok(ends_early.then_some(Fate::BrokenOff));
            }
            Received::Bytes => {}
        }
        let next = self.offer(output, loan, Conversation::receive);
        self.follow(next, true, output, loan);
        Ok(None)
    }

    /// Closes the connection, or lingers if there is unread input. Closing would reset the
    /// connection then, and the client would lose output that is still on its way ([TCP-8]).
    ///
    /// [TCP-8]: crate::spec#tcp-8
    fn close(&mut self, loan: &mut Loan<'_, P::Message>) -> io::Result<Option<Fate>> {
        let arrived = &mut loan.scratch.input;
        arrived.clear();
        match receive(&mut self.stream, arrived, loan.readiness)? {
            Received::Nothing | Received::End => Ok(Some(Fate::Gone)),
            Received::Interrupted => Ok(None),
            Received::Bytes => {
                self.stage = Stage::Linger;
                Ok(None)
            }
        }
    }

    /// Reads and discards what the client still sends, for a while and up to a limit.
    fn discard(
        &mut self,
        until: Option<Instant>,
        left: usize,
        loan: &mut Loan<'_, P::Message>,
    ) -> io::Result<Option<Fate>> {
        let arrived = &mut loan.scratch.input;
        arrived.clear();
        match receive(&mut self.stream, arrived, loan.readiness)? {
            Received::Nothing => Ok(Some(Fate::Sleeps)),
            Received::Interrupted => Ok(None),
            Received::End => Ok(Some(Fate::Gone)),
            // What if the client never stops sending? Then the limit ends it (design law 7).
            Received::Bytes if arrived.len() >= left => Ok(Some(Fate::Gone)),
            Received::Bytes => {
                let left = left - arrived.len();
                self.stage = Stage::Lingering { until, left };
                Ok(None)
            }
        }
    }

    /// Returns whether the client is known to have left.
    ///
    /// What if it has only ended its input? Then the settings, or the protocol, say what that means
    /// ([RT-10]). What if there is output? Then the next write decides: a client that only stopped
    /// sending still takes it.
    ///
    /// [RT-10]: crate::spec#rt-10
    fn has_left(&self, output: &Buffer, loan: &Loan<'_, P::Message>) -> bool {
        let ended = self.input_closed || loan.readiness.read_closed;
        let ends = || !loan.settings.half_close || self.conversation.ends_with_input();
        (loan.readiness.hung_up && output.is_empty()) || (ended && ends())
    }

    /// Returns whether the client has nothing to wait for, as far as the verdicts tell. While the
    /// server is stopping, a conversation that was told and reads on has something to finish.
    pub(super) fn is_idle(&self) -> bool {
        match self.stage {
            Stage::Read { .. } => self.input.is_empty() && self.told != Told::Yes,
            Stage::Produce | Stage::Wait | Stage::Abort => false,
            Stage::Close | Stage::Linger | Stage::Lingering { .. } => true,
        }
    }

    /// Sets the stage that follows from a verdict. `seen` says whether the protocol has been
    /// offered all the input.
    fn follow(
        &mut self,
        mut next: Next<P::Message>,
        mut seen: bool,
        output: &mut Buffer,
        loan: &mut Loan<'_, P::Message>,
    ) {
        self.stage = loop {
            let unseen = !seen && !self.input.is_empty();
            break match next {
                // The rest of a partial request will never come (RT-10).
                Next::Read if self.input_closed && !unseen => Stage::Close,
                Next::Read => Stage::Read { unseen },
                Next::Produce => Stage::Produce,
                Next::Wait => Stage::Wait,
                Next::Close => Stage::Close,
                Next::Linger => Stage::Linger,
                Next::Abort => {
                    output.clear();
                    Stage::Abort
                }
                Next::Upgrade(protocol) => {
                    next = self.upgrade(protocol, output, loan);
                    // What if bytes came with the request to upgrade? The new protocol gets them.
                    seen = false;
                    continue;
                }
            };
        };
        self.release_input();
    }

    /// Lets another protocol take over, and returns its first verdict.
    fn upgrade(
        &mut self,
        protocol: Box<dyn Protocol<Message = P::Message> + Send>,
        output: &mut Buffer,
        loan: &mut Loan<'_, P::Message>,
    ) -> Next<P::Message> {
        let failure = self.conversation.take_failure();
        loan.failure = loan.failure.take().or(failure);
        loan.completed += self.conversation.take_completed();
        self.has_completed = false; // the new protocol's conversation counts, too
        self.told = Told::Not; // if a drain has begun, the next step tells the new protocol
        self.conversation = Conversation::Upgraded(protocol);
        output.keep_blocks(self.conversation.keeps_blocks());
        let mailbox = loan.post.mailbox(loan.slot);
        self.conversation.connection_made(mailbox, output, loan.now)
    }

    /// Frees the memory of input that nobody needs any more, because memory follows what is there
    /// ([design law 7]). An idle connection keeps none ([design law 6]).
    ///
    /// [design law 6]: crate::spec#law-6
    /// [design law 7]: crate::spec#law-7
    fn release_input(&mut self) {
        if let Stage::Close | Stage::Linger | Stage::Abort = self.stage {
            self.input.clear();
        }
        if self.input.capacity() == 0 {
            return;
        }
        if self.input.is_empty() {
            self.input = Buffer::new();
        } else if self.input.capacity() > 2 * READ && self.input.len() < READ {
            // What if the next request follows a large body? It does not need as much.
            let mut input = Buffer::new();
            input.extend_from_slice(&self.input);
            self.input = input;
        }
    }
}
