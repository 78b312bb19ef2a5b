//! The poll and its waker. This is the only place where the program sleeps.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Registry, Token, Waker};

/// The waker's token: the last one, because sources are given the first ones.
const WAKER: Token = Token(usize::MAX);

/// How many events one wait can report. The next wait reports the rest.
const EVENTS: usize = 1024;

/// A [`Poll`] and its [`Waker`]: Python's `selector`, and the pipe that wakes it.
#[derive(Debug)]
pub struct EventLoop {
    /// Where sources are registered, and where the program sleeps.
    poll: Poll,
    /// The events that the last wait reported.
    events: Events,
    /// Ends a wait from another thread. A poll can have only one.
    waker: Arc<Waker>,
    /// The last wait reported as many events as fit, so there may be more.
    full: bool,
}

impl EventLoop {
    /// Opens a poll and its waker.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if there are no descriptors left.
    pub fn new() -> io::Result<EventLoop> {
        EventLoop::with_capacity(EVENTS)
    }

    fn with_capacity(events: usize) -> io::Result<EventLoop> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(EventLoop {
            poll,
            events: Events::with_capacity(events),
            waker,
            full: false,
        })
    }

    /// Returns the registry, where sources are registered with this poll.
    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Returns the waker, which ends a wait from any thread. A wake before the wait begins is not
    /// lost ([RT-5]).
    ///
    /// [RT-5]: crate::spec#rt-5
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Sleeps until something is ready, somebody wakes it, or `timeout` is over. Then feeds every
    /// event.
    ///
    /// `None` sleeps without limit. A signal does not end the wait: it is `_eintr_retry` of
    /// Python 2, but after an interruption it waits only for the time left ([LOOP-8]).
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the poll fails, except `Interrupted`.
    ///
    /// [LOOP-8]: crate::spec#loop-8
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
        mut feed: impl FnMut(&Event),
    ) -> io::Result<()> {
        let began = Instant::now();
        let mut left = timeout;
        while let Err(error) = self.poll.poll(&mut self.events, left) {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
            left = timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
        }
        let mut count = 0;
        for event in &self.events {
            feed(event);
            count += 1;
        }
        self.full = count == self.events.capacity();
        Ok(())
    }

    /// Returns whether the last wait may have left events for the next one.
    ///
    /// A poll that watches this one may not report them, because nothing has happened since. So
    /// wait again before you sleep there.
    pub fn may_have_more(&self) -> bool {
        self.full
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use mio::Interest;
    use mio::net::UnixStream;
    use mio::unix::SourceFd;
    use std::io::Write;
    use std::os::fd::{AsFd, AsRawFd};

    /// SRV-5: a poll in a poll, with more events than fit into one wait. The outer poll reports an
    /// edge, so the rest of the inner poll's events has to be asked for.
    #[test]
    fn what_a_wait_leaves_over_is_not_forgotten() {
        let mut inner = EventLoop::with_capacity(2).expect("a poll");
        let mut pairs: Vec<_> = (0..5)
            .map(|number| {
                let (mut source, writer) = UnixStream::pair().expect("a pair");
                let token = Token(number);
                let registered = inner
                    .registry()
                    .register(&mut source, token, Interest::READABLE);
                registered.expect("registered");
                (source, writer)
            })
            .collect();
        let descriptor = inner.registry().as_fd().as_raw_fd();
        let mut outer = EventLoop::new().expect("a poll");
        outer
            .registry()
            .register(&mut SourceFd(&descriptor), Token(0), Interest::READABLE)
            .expect("registered");
        for (_, writer) in &mut pairs {
            writer.write_all(b"x").expect("sent");
        }
        let mut seen = Vec::new();
        while seen.len() < pairs.len() {
            // A limit, so that forgetting fails the test and does not hang it.
            let limit = match inner.may_have_more() {
                true => Duration::ZERO,
                false => Duration::from_secs(20),
            };
            let mut woken = inner.may_have_more();
            outer.wait(Some(limit), |_| woken = true).expect("a wait");
            assert!(woken, "forgotten after {seen:?}");
            let look = inner.wait(Some(Duration::ZERO), |event| seen.push(event.token()));
            look.expect("a look");
        }
        seen.sort();
        assert_eq!(seen, [0, 1, 2, 3, 4].map(Token));
        assert!(!inner.may_have_more());
    }
}
