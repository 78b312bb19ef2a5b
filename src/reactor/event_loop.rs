//! The poll and its waker: the one place where the program sleeps.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Registry, Token, Waker};

/// The waker's own token, at the far end from those that are handed out.
const WAKER: Token = Token(usize::MAX);

/// How many events one wait can report; what does not fit is reported by the next.
const EVENTS: usize = 1024;

/// A [`Poll`] and its [`Waker`]; Python's `selector` and the pipe beside it.
#[derive(Debug)]
pub struct EventLoop {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    /// The last wait reported as many events as it could.
    full: bool,
}

impl EventLoop {
    /// Opens a poll and its waker.
    ///
    /// # Errors
    ///
    /// What the system answers when it is out of descriptors.
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

    /// Where sources are registered with this poll.
    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Ends a wait from any thread; a wake before the wait begins is not lost (RT-5).
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Sleeps until something is ready, a wake, or the end of `timeout`, and feeds every event.
    ///
    /// `None` sleeps without limit. This is Python 2's `_eintr_retry`, mended: a signal does not
    /// end the wait, and what is waited for afterwards is only the time left (LOOP-8).
    ///
    /// # Errors
    ///
    /// Any error of the poll itself but `Interrupted`.
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

    /// Whether the last wait left events for the next.
    ///
    /// The next wait reports them; but somebody who watches this poll in another one may not be
    /// told of them, for nothing has happened since.
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

    /// SRV-5: a poll in a poll, with more events than fit into one wait. The outer one reports an
    /// edge; what the inner one has left must be asked for.
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
