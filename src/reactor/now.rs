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
    /// How long nobody had looked for events when the turn began.
    unwatched: Duration,
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
            unwatched: Duration::ZERO,
        }
    }

    /// Moves on to `instant`, and reads the wall clock.
    pub fn advance(&mut self, instant: Instant) {
        *self = Now::at(instant, SystemTime::now());
    }

    /// Moves on to `instant`, when a wait for events has ended that began at `waited`. Until then the
    /// last turn kept the loop, so nobody looked.
    pub(crate) fn advance_after_wait(&mut self, waited: Option<Instant>, instant: Instant) {
        let unwatched = waited.map_or(Duration::ZERO, |waited| {
            waited.saturating_duration_since(self.instant)
        });
        self.advance(instant);
        self.unwatched = unwatched;
    }

    /// Returns how long the last turn kept the loop. A deadline that was set in that turn is too
    /// early by at most this time, because a turn reads the clock only when it begins ([RT-12]).
    ///
    /// [RT-12]: crate::spec#rt-12
    pub(crate) fn unwatched(&self) -> Duration {
        self.unwatched
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
