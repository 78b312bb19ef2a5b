//! What is known about the listening socket: whether a request may be waiting, and whether one may
//! be taken.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::{Interest, Registry, Token};

use super::{Failure, Stats, Transport};
use crate::reactor::Now;

/// How long nothing is accepted after the system ran out of something: 5 ms, doubled up to 1 s
/// (design law 10).
const BACK_OFF: Range<Duration> = Duration::from_millis(5)..Duration::from_secs(1);

/// Shortages are logged once in so long (design law 10); [`Stats::shortages`] counts them all.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The state of the listening socket; the socket itself is the transport's.
#[derive(Debug)]
pub(crate) struct Listener {
    token: Token,
    registered: bool,
    /// A request may be waiting: set by an event, cleared by nothing but `WouldBlock` (RT-1).
    ready: bool,
    /// Set while nothing is accepted for lack of descriptors or memory.
    paused: Option<Pause>,
    /// When a shortage was last logged.
    logged: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    length: Duration,
}

/// What one attempt to accept came to.
pub(crate) enum Accepted<R, A> {
    Request(R, A),
    /// A request was there and vanished, or could not be taken (REQ-2).
    Lost,
    /// No request was there (REQ-4).
    Nothing,
}

impl Listener {
    /// A listener that has not been tried yet.
    pub(crate) fn new(token: Token) -> Listener {
        Listener {
            token,
            registered: false,
            ready: true,
            paused: None,
            logged: None,
        }
    }

    pub(crate) fn token(&self) -> Token {
        self.token
    }

    /// Registers the transport's socket.
    pub(crate) fn watch(
        &mut self,
        transport: &mut impl Transport,
        registry: &Registry,
    ) -> io::Result<()> {
        registry.register(transport.source()?, self.token, Interest::READABLE)?;
        self.registered = true;
        Ok(())
    }

    /// Closes the transport's socket; again is no error (SRV-4).
    pub(crate) fn close(&mut self, transport: &mut impl Transport, registry: &Registry) {
        if std::mem::take(&mut self.registered) {
            if let Ok(source) = transport.source() {
                // It is closed next, which takes it out of the poll in any case.
                let _ = registry.deregister(source);
            }
        }
        transport.server_close();
        self.ready = false;
    }

    /// A request may be waiting: an event says so, or nobody has looked yet (RT-2).
    pub(crate) fn expect_request(&mut self) {
        self.ready = true;
    }

    /// How long until a request may be taken; `None` if none is known to wait.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let pause = self.paused.map_or(Duration::ZERO, |pause| {
            pause.until.saturating_duration_since(now)
        });
        self.ready.then_some(pause)
    }

    /// Accepts once. What a client can cause is skipped, a shortage is waited out, and only a
    /// listener that can never accept again is a failure (design law 10, LOOP-14).
    pub(crate) fn accept<T: Transport>(
        &mut self,
        transport: &mut T,
        now: &Now,
        stats: &mut Stats,
    ) -> Result<Accepted<T::Request, T::Address>, Failure> {
        loop {
            let error = match transport.get_request() {
                Ok((request, client_address)) => {
                    self.paused = None;
                    stats.accepted += 1;
                    return Ok(Accepted::Request(request, client_address));
                }
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Interrupted => continue,
                ErrorKind::WouldBlock => {
                    self.ready = false;
                    self.paused = None; // had it lasted, that would have been the answer
                    return Ok(Accepted::Nothing);
                }
                // The last is of datagrams: an earlier reply found nobody (UDP-4).
                ErrorKind::ConnectionAborted
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionRefused => {
                    stats.lost += 1;
                    log::debug!("a client was gone before it was accepted: {error}");
                }
                ErrorKind::InvalidInput => return Err(error.into()),
                _ => {
                    stats.shortages += 1;
                    self.pause(&error, now);
                }
            }
            return Ok(Accepted::Lost);
        }
    }

    /// Stops accepting for a while: level triggering would spin on a shortage (REQ-3).
    fn pause(&mut self, error: &io::Error, now: &Now) {
        let length = match self.paused {
            Some(pause) => (pause.length * 2).min(BACK_OFF.end),
            None => BACK_OFF.start,
        };
        // Clients that come and go can end a shortage and begin another as often as they like.
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

    /// Something of ours was closed, so what was short may not be any more.
    pub(crate) fn retry(&mut self, now: &Now) {
        if let Some(pause) = &mut self.paused {
            pause.until = now.instant();
        }
    }
}
