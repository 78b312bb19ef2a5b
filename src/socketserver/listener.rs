//! The listening socket: whether a request may be waiting, and whether one may be taken.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::Interest;

use super::failure::Failure;
use super::stats::Stats;
use super::transport::Transport;
use crate::reactor::{Now, Reactor, Slot};

/// How long nothing is accepted after the system ran out of something: 5 ms, doubled up to 1 s
/// ([design law 10]).
///
/// [design law 10]: crate::spec#law-10
const BACK_OFF: Range<Duration> = Duration::from_millis(5)..Duration::from_secs(1);

/// At most one shortage is logged in this time ([design law 10]). [`Stats::shortages`] counts all.
///
/// [design law 10]: crate::spec#law-10
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The errors of a descriptor that is closed, or is no socket any more: EBADF and ENOTSOCK. The
/// standard library has no [`ErrorKind`] for them.
const GONE: [i32; 2] = if cfg!(windows) {
    [10009, 10038]
} else if cfg!(any(target_os = "linux", target_os = "android")) {
    [9, 88]
} else if cfg!(any(target_os = "solaris", target_os = "illumos")) {
    [9, 95]
} else {
    [9, 38]
};

/// The state of the listening socket. The socket itself is the transport's.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The socket's slot. It never stands in the run queue: the engine asks for its hint before
    /// the connections have their turns ([RT-6]).
    ///
    /// [RT-6]: crate::spec#rt-6
    slot: Slot,
    /// While descriptors or memory are short, nothing is accepted.
    paused: Option<Pause>,
    /// When a shortage was last logged.
    logged: Option<Instant>,
    /// How many requests were open after the last turn. A worker may end one at any time.
    open: usize,
}

/// A time without accepting.
#[derive(Debug, Clone, Copy)]
struct Pause {
    /// When it is over.
    until: Instant,
    /// How long it was meant to last. The next one in a row lasts twice as long.
    length: Duration,
}

/// The result of one attempt to accept.
pub(crate) enum Attempt<R, A> {
    /// A request, and the client's address.
    Request(R, A),
    /// A request was there and vanished, or could not be taken ([REQ-2]).
    ///
    /// [REQ-2]: crate::spec#req-2
    Lost,
    /// No request was there ([REQ-4]).
    ///
    /// [REQ-4]: crate::spec#req-4
    Nothing,
}

/// Returns whether the listener can never accept again ([LOOP-14]).
///
/// An error that is not known to be final is waited out like a shortage: some systems also report
/// errors of the new connection here, and these must not stop the server ([design law 10]).
///
/// [LOOP-14]: crate::spec#loop-14
/// [design law 10]: crate::spec#law-10
fn is_final(error: &io::Error) -> bool {
    error.kind() == ErrorKind::InvalidInput
        || error
            .raw_os_error()
            .is_some_and(|code| GONE.contains(&code))
}

impl Listener {
    /// Makes a listener that is not watched yet; `slot` is for the transport's socket.
    pub(crate) fn new(slot: Slot) -> Listener {
        Listener {
            slot,
            paused: None,
            logged: None,
            open: 0,
        }
    }

    /// Has the poll report the transport's socket.
    pub(crate) fn watch(
        &self,
        transport: &mut impl Transport,
        reactor: &mut Reactor,
    ) -> io::Result<()> {
        reactor.register(self.slot, transport.source()?, Interest::READABLE)
    }

    /// Closes the transport's socket. Calling it again does nothing ([SRV-4]).
    ///
    /// [SRV-4]: crate::spec#srv-4
    pub(crate) fn close(&mut self, transport: &mut impl Transport, reactor: &mut Reactor) {
        match transport.source() {
            Ok(source) => reactor.close(self.slot, source),
            Err(_) => reactor.release(self.slot), // the transport is closed already
        }
        transport.server_close();
    }

    /// Sets the hint without an event: a client may have come before anybody looked ([RT-2]).
    ///
    /// [RT-2]: crate::spec#rt-2
    pub(crate) fn expect_request(&self, reactor: &mut Reactor) {
        self.hint(reactor, true);
    }

    /// Returns whether a request may be waiting, whether or not it may be taken now.
    pub(crate) fn expects_request(&self, reactor: &Reactor) -> bool {
        reactor.is_readable(self.slot)
    }

    fn hint(&self, reactor: &mut Reactor, readable: bool) {
        // What if the listener is closed? Then there is no hint any more, and nothing is expected.
        if let Some(readiness) = reactor.readiness(self.slot) {
            readiness.readable = readable;
        }
    }

    /// Returns whether a request may be waiting, and may be taken now.
    pub(crate) fn is_ready(&self, reactor: &Reactor, now: Instant) -> bool {
        self.wait(reactor, now) == Some(Duration::ZERO)
    }

    /// Returns how long until a request may be taken; `None` if none is known to wait.
    pub(crate) fn wait(&self, reactor: &Reactor, now: Instant) -> Option<Duration> {
        let pause = self.paused.map_or(Duration::ZERO, |pause| {
            pause.until.saturating_duration_since(now)
        });
        self.expects_request(reactor).then_some(pause)
    }

    /// Accepts once. It skips what a client can cause, and waits out a shortage. Only a listener
    /// that can never accept again is a failure ([design law 10], [LOOP-14]).
    ///
    /// [LOOP-14]: crate::spec#loop-14
    /// [design law 10]: crate::spec#law-10
    pub(crate) fn accept<T: Transport>(
        &mut self,
        transport: &mut T,
        reactor: &mut Reactor,
        now: &Now,
        stats: &mut Stats,
    ) -> Result<Attempt<T::Request, T::Address>, Failure> {
        loop {
            let error = match transport.get_request() {
                Ok((request, client_address)) => {
                    // The hint stays: there may be another request, and no event says so (RT-1).
                    self.paused = None;
                    stats.accepted += 1;
                    return Ok(Attempt::Request(request, client_address));
                }
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Interrupted => continue,
                ErrorKind::WouldBlock => {
                    self.hint(reactor, false);
                    self.paused = None; // a shortage would have been the error
                    return Ok(Attempt::Nothing);
                }
                // The last one is for datagrams: an earlier reply found nobody (UDP-4).
                ErrorKind::ConnectionAborted
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionRefused => {
                    stats.lost += 1;
                    log::debug!("a client disconnected before it was accepted: {error}");
                }
                _ if is_final(&error) => return Err(error.into()),
                _ => {
                    stats.shortages += 1;
                    self.pause(&error, now);
                }
            }
            return Ok(Attempt::Lost);
        }
    }

    /// Stops accepting for a while. What if it did not? The request stays in the kernel, so the
    /// hint stays set, and the loop would try again and again ([REQ-3]).
    ///
    /// [REQ-3]: crate::spec#req-3
    fn pause(&mut self, error: &io::Error, now: &Now) {
        let length = match self.paused {
            Some(pause) => (pause.length * 2).min(BACK_OFF.end),
            None => BACK_OFF.start,
        };
        // Clients that come and go can end a shortage and begin another as often as they like. So
        // the log is limited by time, not by the number of shortages.
        let quiet = self
            .logged
            .is_some_and(|logged| now.instant() < logged + LOG_INTERVAL);
        if length < BACK_OFF.end && !quiet {
            self.logged = Some(now.instant());
            log::error!("cannot accept, trying again in {length:?}: {error}");
        }
        let until = now + length;
        self.paused = Some(Pause { until, length });
    }

    /// Notes how many requests are open now. If one was closed, so was a descriptor: the shortage
    /// may be over, and a pause ends.
    pub(crate) fn note_open(&mut self, open: usize, now: &Now) {
        let before = std::mem::replace(&mut self.open, open);
        if let Some(pause) = self.paused.as_mut().filter(|_| open < before) {
            pause.until = now.instant();
        }
    }
}
