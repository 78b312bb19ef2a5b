//! A connection that begins with a header: reads it, and then makes the protocol that follows.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::header::{self, Header, NoHeader, Source};
use crate::reactor::Now;
use crate::socketserver::buffer::Buffer;
use crate::socketserver::factory::{Ends, Factory};
use crate::socketserver::failure::Failure;
use crate::socketserver::mailbox::Mailbox;
use crate::socketserver::protocol::{Next, Protocol};
use crate::socketserver::server_handle::ServerHandle;

/// A connection of a [`ProxyProtocol`](super::ProxyProtocol). It reads the header, and is then the
/// protocol that the inner factory has made.
pub struct Proxied<A, F: Factory<A, Made: Protocol>>(Stage<A, F>);

/// What the connection is doing.
///
/// It could also hand over with [`Next::Upgrade`]. But then a box would stay on each idle connection,
/// and each request would pass through it.
enum Stage<A, F: Factory<A, Made: Protocol>> {
    /// It reads the header. Boxed: an idle connection has left this behind ([design law 6]).
    ///
    /// [design law 6]: crate::spec#law-6
    Header(Box<Awaiting<A, F>>),
    /// The protocol that was made for the client.
    Made(F::Made),
    /// There is no protocol: the header was refused, or the factory has failed.
    Closed(Option<Box<Failure>>),
}

/// A connection whose header has not arrived as a whole.
struct Awaiting<A, F: Factory<A, Made: Protocol>> {
    /// Makes the protocol.
    maker: Maker<A, F>,
    /// The ends of the socket.
    socket: Socket<A>,
    /// How long the header may take, and who counts those that are refused.
    terms: Terms,
    /// How other threads will reach the protocol, once the connection is made.
    mailbox: Option<Mailbox<<F::Made as Protocol>::Message>>,
    /// When the connection was made.
    began: Option<Instant>,
    /// How far the header has arrived.
    progress: Progress,
    /// The server is stopping, and the protocol has to be told.
    draining: bool,
}

/// How far a header has arrived.
enum Progress {
    /// Nothing has arrived.
    Nothing,
    /// The beginning has arrived. It waits in the input.
    Begun,
    /// The addresses have arrived, and so many more bytes are skipped.
    Skips(Source, usize),
}

/// A factory, and how it is told what a header says.
pub(super) struct Maker<A, F: Factory<A>> {
    /// The inner factory.
    pub(super) factory: F,
    /// Calls it.
    pub(super) make: Make<A, F>,
}

/// Makes a protocol for the ends that a header names.
type Make<A, F> = fn(&F, &Socket<A>, Source) -> Result<<F as Factory<A>>::Made, Failure>;

/// The two ends of the socket.
pub(super) struct Socket<A> {
    /// The address of the proxy.
    pub(super) client_address: A,
    /// The address that the proxy has reached, if it is known.
    pub(super) local_address: Option<A>,
    /// Reaches the server, if there is one.
    pub(super) server: Option<ServerHandle>,
}

/// What all connections of a factory share.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// How long a header may take.
    pub(super) timeout: Duration,
    /// How many connections were closed for their header.
    pub(super) refused: Arc<AtomicU64>,
}

impl<A: Clone> Socket<A> {
    /// Copies the ends that a dispatch knows.
    pub(super) fn of(ends: &Ends<'_, A>) -> Socket<A> {
        Socket {
            client_address: ends.client_address().clone(),
            local_address: ends.local_address().ok(),
            server: ends.server().cloned(),
        }
    }

    /// Makes a protocol for the ends of the socket itself.
    pub(super) fn make<F: Factory<A>>(&self, factory: &F) -> Result<F::Made, Failure> {
        self.make_for(factory, &self.client_address, self.local_address.as_ref())
    }

    /// Makes a protocol for other ends, which may have another kind of address.
    pub(super) fn make_for<B: Clone, F: Factory<B>>(
        &self,
        factory: &F,
        client: &B,
        local: Option<&B>,
    ) -> Result<F::Made, Failure> {
        let ends = Ends::new(client).with_server(self.server.as_ref());
        match local {
            Some(local) => factory.make(&ends.with_local_address(&|| Ok(local.clone()))),
            None => factory.make(&ends),
        }
    }
}

impl<A, F: Factory<A, Made: Protocol>> Proxied<A, F> {
    /// Creates a connection on which nothing has arrived.
    pub(super) fn new(maker: Maker<A, F>, socket: Socket<A>, terms: Terms) -> Proxied<A, F> {
        Proxied(Stage::Header(Box::new(Awaiting {
            maker,
            socket,
            terms,
            mailbox: None,
            began: None,
            progress: Progress::Nothing,
            draining: false,
        })))
    }

    /// Takes in what has arrived of the header. Once it is whole, the protocol gets what follows it.
    fn take_header(
        &mut self,
        input: &mut Buffer,
        output: &mut Buffer,
        now: &Now,
    ) -> Next<<F::Made as Protocol>::Message> {
        // What if the factory panics? `Closed` stays behind.
        let Stage::Header(mut awaiting) = mem::replace(&mut self.0, Stage::Closed(None)) else {
            return Next::Close;
        };
        let source = match awaiting.advance(input) {
            Ok(Some(source)) => source,
            Ok(None) => {
                self.0 = Stage::Header(awaiting);
                return Next::Read;
            }
            Err(NoHeader) => return awaiting.refuse(),
        };
        let Maker { factory, make } = &awaiting.maker;
        let mut made = match make(factory, &awaiting.socket, source) {
            Ok(made) => made,
            Err(failure) => {
                self.0 = Stage::Closed(Some(Box::new(failure)));
                return Next::Close;
            }
        };
        let mailbox = awaiting.mailbox.take().unwrap_or_else(Mailbox::dangling);
        let next = match made.connection_made(mailbox, output, now) {
            // The connection has told us of the drain, and tells nobody twice.
            Next::Read if awaiting.draining => made.drain(input, output, now),
            Next::Produce | Next::Wait if awaiting.draining => {
                made.drain(&mut Buffer::new(), output, now)
            }
            Next::Read if !input.is_empty() => made.receive(input, output, now),
            next => next,
        };
        self.0 = Stage::Made(made);
        next
    }
}

impl<A, F: Factory<A, Made: Protocol>> Awaiting<A, F> {
    /// Takes the header from the input. Returns what it says once all of it has arrived.
    fn advance(&mut self, input: &mut Buffer) -> Result<Option<Source>, NoHeader> {
        let (source, rest) = match mem::replace(&mut self.progress, Progress::Begun) {
            Progress::Skips(source, rest) => (source, rest),
            Progress::Nothing | Progress::Begun => match header::read(input)? {
                Some(Header {
                    source,
                    length,
                    rest,
                }) => {
                    input.consume(length);
                    (source, rest)
                }
                None => return Ok(None),
            },
        };
        // Only their number is kept, so a header takes no more memory than its addresses.
        let skipped = rest.min(input.len());
        input.consume(skipped);
        if skipped < rest {
            self.progress = Progress::Skips(source, rest - skipped);
            return Ok(None);
        }
        Ok(Some(source))
    }

    /// Closes the connection without a word, and counts it.
    fn refuse<M>(&self) -> Next<M> {
        self.terms.refused.fetch_add(1, Ordering::Relaxed);
        Next::Close
    }
}

impl<A, F: Factory<A, Made: Protocol>> Protocol for Proxied<A, F> {
    type Message = <F::Made as Protocol>::Message;

    fn connection_made(
        &mut self,
        mailbox: Mailbox<Self::Message>,
        output: &mut Buffer,
        now: &Now,
    ) -> Next<Self::Message> {
        match &mut self.0 {
            Stage::Header(awaiting) => {
                awaiting.mailbox = Some(mailbox);
                awaiting.began = Some(now.instant());
                Next::Read
            }
            Stage::Made(made) => made.connection_made(mailbox, output, now),
            Stage::Closed(_) => Next::Close,
        }
    }

    #[inline] // runs for each request
    fn receive(
        &mut self,
        input: &mut Buffer,
        output: &mut Buffer,
        now: &Now,
    ) -> Next<Self::Message> {
        match &mut self.0 {
            Stage::Made(made) => made.receive(input, output, now),
            Stage::Header(_) | Stage::Closed(_) => self.take_header(input, output, now),
        }
    }

    fn input_closed(&mut self, output: &mut Buffer, now: &Now) -> Next<Self::Message> {
        match &mut self.0 {
            Stage::Made(made) => made.input_closed(output, now),
            Stage::Header(awaiting) => match awaiting.progress {
                // A check that only connects is nobody's mistake.
                Progress::Nothing => Next::Close,
                Progress::Begun | Progress::Skips(..) => awaiting.refuse(),
            },
            Stage::Closed(_) => Next::Close,
        }
    }

    fn timed_out(&mut self, output: &mut Buffer, now: &Now) -> Next<Self::Message> {
        match &mut self.0 {
            Stage::Made(made) => made.timed_out(output, now),
            Stage::Header(awaiting) => awaiting.refuse(),
            Stage::Closed(_) => Next::Close,
        }
    }

    fn drain(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next<Self::Message> {
        match &mut self.0 {
            Stage::Made(made) => made.drain(input, output, now),
            Stage::Header(awaiting) => {
                awaiting.draining = true;
                match (&awaiting.progress, input.is_empty()) {
                    (Progress::Nothing, true) => Next::Close,
                    // The client has begun, so what it sends behind the header is served (SHUT-14).
                    _ => self.take_header(input, output, now),
                }
            }
            Stage::Closed(_) => Next::Close,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.0 {
            Stage::Made(made) => made.deadline(),
            // A time beyond the clock's range is no deadline.
            Stage::Header(awaiting) => awaiting.began?.checked_add(awaiting.terms.timeout),
            Stage::Closed(_) => None,
        }
    }

    fn take_failure(&mut self) -> Option<Failure> {
        match &mut self.0 {
            Stage::Made(made) => made.take_failure(),
            Stage::Header(_) => None,
            Stage::Closed(failure) => failure.take().map(|failure| *failure),
        }
    }

    fn produce(&mut self, output: &mut Buffer, now: &Now) -> Next<Self::Message> {
        match &mut self.0 {
            Stage::Made(made) => made.produce(output, now),
            Stage::Header(_) => Next::Read,
            Stage::Closed(_) => Next::Close,
        }
    }

    fn deliver(
        &mut self,
        message: Self::Message,
        output: &mut Buffer,
        now: &Now,
    ) -> Next<Self::Message> {
        match &mut self.0 {
            Stage::Made(made) => made.deliver(message, output, now),
            Stage::Header(_) => Next::Read,
            Stage::Closed(_) => Next::Close,
        }
    }

    fn output_sent(&mut self, now: &Now) {
        if let Stage::Made(made) = &mut self.0 {
            made.output_sent(now);
        }
    }

    fn connection_lost(&mut self, now: &Now) {
        if let Stage::Made(made) = &mut self.0 {
            made.connection_lost(now);
        }
    }

    fn keeps_blocks(&self) -> bool {
        matches!(&self.0, Stage::Made(made) if made.keeps_blocks())
    }

    fn ends_with_input(&self) -> bool {
        matches!(&self.0, Stage::Made(made) if made.ends_with_input())
    }

    fn take_completed(&mut self) -> usize {
        match &mut self.0 {
            Stage::Made(made) => made.take_completed(),
            Stage::Header(_) | Stage::Closed(_) => 0,
        }
    }
}

impl<A, F: Factory<A, Made: Protocol>> fmt::Debug for Proxied<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.0 {
            Stage::Header(_) => "Header",
            Stage::Made(_) => "Made",
            Stage::Closed(_) => "Closed",
        };
        f.debug_tuple("Proxied").field(&stage).finish()
    }
}
