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
}

impl EventLoop {
    /// Opens a poll and its waker.
    ///
    /// # Errors
    ///
    /// What the system answers when it is out of descriptors.
    pub fn new() -> io::Result<EventLoop> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(EventLoop {
            poll,
            events: Events::with_capacity(EVENTS),
            waker,
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
    /// `None` sleeps without limit. This is the article's `_eintr_retry`, mended: a signal does
    /// not end the wait, and what is waited for afterwards is only the time left (LOOP-8).
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
        self.events.iter().for_each(&mut feed);
        Ok(())
    }
}
