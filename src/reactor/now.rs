//! The time of one turn.

use std::ops::Add;
use std::time::{Duration, Instant, SystemTime};

/// The time, read once a turn and handed to everything that happens in it.
///
/// Protocols never ask a clock. They are given this one, so a test can say what time it is. It
/// carries both clocks of a computer. Deadlines use the monotonic clock (`now + limit` is an
/// [`Instant`]); dates for people use the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// The monotonic clock.
    instant: Instant,
    /// The wall clock.
    wall: SystemTime,
    /// When the last turn began, and when it had ended, so that somebody waited for events again.
    /// `None` if that is not known.
    last: Option<(Instant, Instant)>,
}

impl Now {
    /// Reads both clocks.
    pub fn new() -> Now {
        Now::at(Instant::now(), SystemTime::now())
    }

    /// Makes the time what the caller says it is.
    pub fn at(instant: Instant, wall: SystemTime) -> Now {
        Now {
            instant,
            wall,
            last: None,
        }
    }

    /// Moves on to `instant`, and reads the wall clock.
    pub fn advance(&mut self, instant: Instant) {
        *self = Now::at(instant, SystemTime::now());
    }

    /// Moves on to `instant`, when a wait for events has ended that began at `waited`. Until then the
    /// last turn kept the loop, so nobody looked.
    pub(crate) fn advance_after_wait(&mut self, waited: Option<Instant>, instant: Instant) {
        let last = waited.map(|waited| (self.instant, waited));
        self.advance(instant);
        self.last = last;
    }

    /// Returns how long the last turn kept the loop. A deadline that was set in that turn is too
    /// early by at most this time, because a turn reads the clock only when it begins ([RT-12]).
    ///
    /// [RT-12]: crate::spec#rt-12
    #[cold]
    pub(crate) fn unwatched(&self) -> Duration {
        self.last.map_or(Duration::ZERO, |(began, ended)| {
            ended.saturating_duration_since(began)
        })
    }

    /// Returns the monotonic clock's time, which deadlines are compared with.
    pub fn instant(&self) -> Instant {
        self.instant
    }

    /// Returns the wall clock's time.
    pub fn wall(&self) -> SystemTime {
        self.wall
    }
}

impl Default for Now {
    fn default() -> Now {
        Now::new()
    }
}

impl Add<Duration> for &Now {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        self.instant + duration
    }
}
