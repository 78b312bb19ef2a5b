//! How a blocking handler waits for its client: no longer than its server runs.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::{Events, Interest, Poll, Token, Waker};

use super::failure::Failure;
use super::server_handle::ServerHandle;

/// Lets a blocking handler wait for its client, until the server stops.
///
/// You need this only for your own [`Accepted`](super::Accepted) or [`Dispatch`](super::Dispatch).
/// [`serve`](super::Accepted::serve) gets a waiter from the dispatch. The socket of a request does not
/// block: when it returns `WouldBlock`, [wait](Self::wait) and try again. So a client that sends
/// nothing cannot keep the server from stopping.
///
/// The waits of the default one end only with the client or a deadline. Use it where there is no
/// server.
#[derive(Default)]
pub struct Waiter {
    /// The server, and what of it ends a wait.
    ends_with: Option<(ServerHandle, Ending)>,
    /// Where the thread sleeps. `None` until a source is watched.
    polling: Mutex<Option<Polling>>,
}

/// What ends the waits of a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// A request to stop. The handler runs on the loop's thread, so the loop cannot act on the request
    /// meanwhile.
    Request,
    /// The end of the server. The handler runs on another thread.
    Close,
}

/// A poll, what it watches, and what it has told.
struct Polling {
    /// Where the thread sleeps.
    poll: Poll,
    /// The events of the last wait.
    events: Events,
    /// Ends the wait. It is kept here: the server has only a weak reference.
    _waker: Arc<Waker>,
    /// The signals that the server catches, once the poll watches them.
    signals: signals::Watched,
    /// Whether something has happened since the last look that may end the waits.
    changed: bool,
    /// When the thread last looked whether the server stops.
    looked: Instant,
    /// When the waits have to end because the server stops, as far as that look told.
    end: Option<Instant>,
    /// When the first signal was seen during this request.
    signalled: Option<Instant>,
    /// When it was seen during this request that the waits have to end.
    ended: Option<Instant>,
}

/// The token of the socket. Any other event says that the waits may have to end.
const SOURCE: Token = Token(0);
const WAKER: Token = Token(1);

/// How often a thread that never waits looks whether its server stops. A look may be a system call.
const LOOK: Duration = Duration::from_millis(100);

/// How long a handler may go on with what needs no wait when its server stops: long enough for a request
/// that has arrived.
const GRACE: Duration = Duration::from_secs(1);

impl Waiter {
    /// Returns a waiter for handlers on the loop's own thread. Its waits end when the server is asked
    /// to stop, or when the patience of a drain is over.
    pub fn on_loop(server: &ServerHandle) -> Waiter {
        Waiter::new(server, Ending::Request)
    }

    /// Returns a waiter for handlers on another thread. Its waits end when the server is closed.
    pub(super) fn on_thread(server: &ServerHandle) -> Waiter {
        Waiter::new(server, Ending::Close)
    }

    fn new(server: &ServerHandle, ending: Ending) -> Waiter {
        Waiter {
            ends_with: Some((server.clone(), ending)),
            polling: Mutex::default(),
        }
    }

    /// Watches the socket of a request. Call it once, before the first [`wait`](Self::wait).
    ///
    /// Closing the socket ends this.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if there are no descriptors left, or if the source
    /// cannot be watched.
    pub fn watch(&self, source: &mut dyn Source) -> io::Result<()> {
        let mut polling = self.polling.lock().unwrap_or_else(PoisonError::into_inner);
        let polling = match &mut *polling {
            Some(polling) => polling,
            none => none.insert(self.open()?),
        };
        (polling.signalled, polling.ended) = (None, None);
        // What if an earlier run had to end? That says nothing about this one, so look again.
        polling.changed |= polling.end.take().is_some();
        let registry = polling.poll.registry();
        if let Some((server, Ending::Request)) = &self.ends_with {
            polling.signals.watch(registry, server)?;
        }
        registry.register(source, SOURCE, Interest::READABLE | Interest::WRITABLE)
    }

    fn open(&self) -> io::Result<Polling> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        if let Some((server, _)) = &self.ends_with {
            server.interrupts().subscribe(&waker);
        }
        Ok(Polling {
            poll,
            events: Events::with_capacity(8),
            _waker: waker,
            signals: signals::Watched::default(),
            changed: true, // what happened before is not told
            looked: Instant::now(),
            end: None,
            signalled: None,
            ended: None,
        })
    }

    /// Waits until the watched socket may be ready, but no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// Returns `TimedOut` when the deadline is over. Returns `ConnectionAborted` if the server stops:
    /// a handler that returns this error does not fail, and is not reported. Returns the operating
    /// system's error if the poll fails.
    pub fn wait(&self, deadline: Option<Instant>) -> io::Result<()> {
        let mut polling = self.polling.lock().unwrap_or_else(PoisonError::into_inner);
        let polling = polling.as_mut().ok_or(ErrorKind::InvalidInput)?;
        loop {
            let now = Instant::now();
            let interval = polling.signals.interval();
            if polling.changed || interval.is_some() {
                self.look(polling, now);
            }
            if polling.end.is_some_and(|end| end <= now) {
                return Err(stopping());
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Err(ErrorKind::TimedOut.into());
            }
            let ends = [polling.end, deadline].into_iter().flatten();
            let timeout = ends.map(|end| end - now).chain(interval).min();
            match polling.poll.poll(&mut polling.events, timeout) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let mut is_ready = false;
            for event in &polling.events {
                match event.token() {
                    SOURCE => is_ready = true,
                    _ => polling.changed = true,
                }
            }
            if is_ready {
                return Ok(());
            }
        }
    }

    /// Looks whether the server stops. Call it before each read and write, because a client that is
    /// always ready never lets you wait. What needs no wait may go on for a second. Cheap: it looks ten
    /// times a second.
    ///
    /// # Errors
    ///
    /// Returns `ConnectionAborted` if the server stops, like [`wait`](Self::wait).
    pub fn check(&self) -> io::Result<()> {
        let mut polling = self.polling.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(polling) = polling.as_mut() else {
            return Ok(());
        };
        let now = Instant::now();
        if now.saturating_duration_since(polling.looked) >= LOOK {
            self.look(polling, now);
        }
        match polling.end {
            Some(end) if end <= now => {
                let ended = *polling.ended.get_or_insert(now);
                let is_over = now.saturating_duration_since(ended) >= GRACE;
                if is_over { Err(stopping()) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// Finds out when the waits have to end.
    fn look(&self, polling: &mut Polling, now: Instant) {
        polling.changed = false;
        polling.looked = now;
        polling.end = self.end(polling, now);
    }

    /// Returns when the waits have to end because the server stops; `None` while it does not.
    fn end(&self, polling: &mut Polling, now: Instant) -> Option<Instant> {
        let (server, ending) = self.ends_with.as_ref()?;
        let interrupts = server.interrupts();
        if *ending == Ending::Close {
            return interrupts.is_closed().then_some(now);
        }
        if !interrupts.are_heeded() {
            return None;
        }
        let asked = server.shutdown_handle().asked();
        // The loop turns these signals into requests when it goes on. This only foresees it.
        let Some((arrivals, patience)) = interrupts.signals() else {
            return asked;
        };
        match (polling.signals.count(&arrivals), patience) {
            (0, _) => asked,
            (1, Some(patience)) if asked.is_none() => {
                polling.signalled.get_or_insert(now).checked_add(patience)
            }
            _ => Some(now),
        }
    }
}

/// Returns the error of a wait that ends because the server stops.
fn stopping() -> io::Error {
    io::Error::new(ErrorKind::ConnectionAborted, Stopping)
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("ends_with", &self.ends_with)
            .finish_non_exhaustive()
    }
}

/// The error of a wait that ended because the server stops.
#[derive(Debug)]
struct Stopping;

impl fmt::Display for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server is stopping")
    }
}

impl Error for Stopping {}

/// Returns whether a handler failed only because its server stops.
pub(super) fn is_stopping(failure: &Failure) -> bool {
    let Failure::Request(error) = failure else {
        return false;
    };
    let mut cause: Option<&(dyn Error + 'static)> = Some(&**error);
    while let Some(error) = cause {
        let inner = error.downcast_ref().and_then(io::Error::get_ref);
        if inner.is_some_and(|inner| inner.is::<Stopping>()) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(unix)]
mod signals {
    use std::io;
    use std::mem::MaybeUninit;
    use std::time::Duration;

    use mio::net::UnixStream;
    use mio::{Interest, Registry, Token};
    use socket2::SockRef;

    use crate::socketserver::interrupts::Arrivals;
    use crate::socketserver::server_handle::ServerHandle;

    const SIGNALS: Token = Token(2);

    /// The pipe of the signals in the poll of a waiter.
    #[derive(Debug, Default)]
    pub(super) struct Watched(Option<UnixStream>);

    impl Watched {
        /// Watches the signals that the server catches, unless they are watched already.
        pub(super) fn watch(
            &mut self,
            registry: &Registry,
            server: &ServerHandle,
        ) -> io::Result<()> {
            if self.0.is_none() {
                if let Some((arrivals, _)) = server.interrupts().signals() {
                    let mut pipe = UnixStream::from_std(arrivals.try_clone()?);
                    registry.register(&mut pipe, SIGNALS, Interest::READABLE)?;
                    self.0 = Some(pipe);
                }
            }
            Ok(())
        }

        /// Returns how many signals have come, as far as it matters. They stay in the pipe.
        pub(super) fn count(&self, arrivals: &Arrivals) -> usize {
            let mut bytes = [MaybeUninit::uninit(); 2];
            // An error means that the pipe is empty.
            SockRef::from(arrivals).peek(&mut bytes).unwrap_or(0)
        }

        /// Returns how long to sleep before the next look: without limit, because an event tells.
        pub(super) fn interval(&self) -> Option<Duration> {
            None
        }
    }
}

#[cfg(not(unix))]
mod signals {
    use std::io;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use mio::Registry;

    use crate::socketserver::interrupts::Arrivals;
    use crate::socketserver::interval::POLL_INTERVAL;
    use crate::socketserver::server_handle::ServerHandle;

    /// Whether there is a flag of signals to look at.
    #[derive(Debug, Default)]
    pub(super) struct Watched(bool);

    impl Watched {
        /// Notes whether the server catches signals. No event tells of a flag.
        pub(super) fn watch(
            &mut self,
            _registry: &Registry,
            server: &ServerHandle,
        ) -> io::Result<()> {
            self.0 = server.interrupts().signals().is_some();
            Ok(())
        }

        /// Returns how many signals have come, as far as the flag knows. It stays raised.
        pub(super) fn count(&self, arrivals: &Arrivals) -> usize {
            usize::from(arrivals.load(Ordering::SeqCst))
        }

        /// Returns how long to sleep before the next look.
        pub(super) fn interval(&self) -> Option<Duration> {
            self.0.then_some(POLL_INTERVAL)
        }
    }
}
