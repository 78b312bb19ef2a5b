//! The body of a request on its way in: how it ends, how large it may be, how long it may take.

use std::time::{Duration, Instant};

use super::h1::{self, ChunkLimits, ContentDecoder, Framing, Progress};
use super::settings::BodyDeadlines;
use super::window::HIGH_WATER;
use crate::reactor::Now;
use crate::socketserver::Patience;

/// A body that has not arrived whole.
#[derive(Debug)]
pub(super) struct RequestBody {
    /// Where it ends.
    content: ContentDecoder,
    /// How large its chunks may be.
    limits: ChunkLimits,
    /// How fast it must arrive.
    deadlines: BodyDeadlines,
    /// When it began, plus the time during which nothing was read.
    began: Instant,
    /// Bytes of the body that have arrived.
    received: u64,
}

impl RequestBody {
    /// Creates a body that is framed like this. The caller has compared a length with the limit.
    pub(super) fn new(
        framing: Framing,
        limits: ChunkLimits,
        deadlines: BodyDeadlines,
        now: Instant,
    ) -> RequestBody {
        RequestBody {
            content: ContentDecoder::from(framing),
            limits,
            deadlines,
            began: now,
            received: 0,
        }
    }

    /// Removes the coding from the bytes that follow those of the last call, in place.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> Result<Progress, h1::Error> {
        let progress = self.content.decode(bytes, &self.limits)?;
        self.received = self.received.saturating_add(progress.content as u64);
        Ok(progress)
    }

    /// Returns how much is still to come, as far as the head has announced it. At least that much will
    /// be kept. Chunks announce nothing.
    pub(super) fn announced(&self) -> Option<u64> {
        self.content.announced()
    }

    /// Returns how much of it can wait at once for another thread that reads it.
    pub(super) fn window(&self) -> usize {
        let announced = self.announced().map(usize::try_from);
        announced.map_or(HIGH_WATER, |left| {
            left.unwrap_or(HIGH_WATER).min(HIGH_WATER)
        })
    }

    /// Does not count `pause` against the client: during that time the loop did not read.
    pub(super) fn forgive(&mut self, pause: Duration) {
        self.began = self.began.checked_add(pause).unwrap_or(self.began);
    }

    /// Does not count the time by which the loop was late, if it was ([RT-12]). The last byte came at
    /// `since`.
    ///
    /// What arrives after the deadline proves that the loop was late: otherwise the deadline would
    /// have been acted on.
    ///
    /// [RT-12]: crate::spec#rt-12
    pub(super) fn forgive_lateness(&mut self, since: Option<Instant>, now: &Now) {
        if let Some(deadline) = since.and_then(|since| self.deadline(since)) {
            self.forgive(now.instant().saturating_duration_since(deadline));
        }
    }

    /// Returns until when more must have arrived. The last byte came at `since`, and the next must
    /// follow soon. On average the body must also arrive at the minimum rate, and all of it before
    /// the total is over ([design law 8]).
    ///
    /// [design law 8]: crate::spec#law-8
    pub(super) fn deadline(&self, since: Instant) -> Option<Instant> {
        let BodyDeadlines {
            idle,
            grace,
            rate,
            total,
        } = self.deadlines;
        let patience = Patience { idle, grace, rate };
        let ends = [
            patience.deadline(self.began, since, self.received),
            self.began.checked_add(total),
        ];
        ends.into_iter().flatten().min()
    }
}
