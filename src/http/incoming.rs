//! The body of a request on its way in: how it ends, how large it may be, how long it may take.

use std::time::{Duration, Instant};

use super::h1::{self, ChunkLimits, ChunkedDecoder, Progress};
use super::settings::BodyDeadlines;
use crate::socketserver::Patience;

/// A body that has not arrived whole.
#[derive(Debug)]
pub(super) struct Incoming {
    coding: Coding,
    deadlines: BodyDeadlines,
    /// When it began, moved on by the time for which nobody would have taken it.
    began: Instant,
    /// Bytes of the body that have arrived.
    received: u64,
}

#[derive(Debug)]
enum Coding {
    /// So many bytes are still to come.
    Length(u64),
    Chunked(ChunkedDecoder, ChunkLimits),
}

impl Incoming {
    /// A body of `length` bytes; the caller has found that to be within the limit.
    pub(super) fn sized(length: u64, deadlines: BodyDeadlines, now: Instant) -> Incoming {
        Incoming {
            coding: Coding::Length(length),
            deadlines,
            began: now,
            received: 0,
        }
    }

    /// A chunked body within `limits`.
    pub(super) fn chunked(limits: ChunkLimits, deadlines: BodyDeadlines, now: Instant) -> Incoming {
        Incoming {
            coding: Coding::Chunked(ChunkedDecoder::default(), limits),
            deadlines,
            began: now,
            received: 0,
        }
    }

    /// Removes the coding from the bytes that follow those of the last call, in place.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> Result<Progress, h1::Error> {
        let progress = match &mut self.coding {
            Coding::Length(left) => {
                let count =
                    usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= count as u64;
                Progress {
                    consumed: count,
                    content: count,
                    trailers: 0,
                    complete: *left == 0,
                }
            }
            Coding::Chunked(decoder, limits) => decoder.decode(bytes, limits)?,
        };
        self.received = self.received.saturating_add(progress.content as u64);
        Ok(progress)
    }

    /// Nobody would have taken the body for so long: that time is not the client's.
    pub(super) fn forgive(&mut self, pause: Duration) {
        self.began = self.began.checked_add(pause).unwrap_or(self.began);
    }

    /// Until when more must have arrived: soon after the last byte, which came at `since`, and on
    /// average not slower than the minimum rate (design law 8).
    pub(super) fn deadline(&self, since: Instant) -> Option<Instant> {
        let BodyDeadlines { idle, grace, rate } = self.deadlines;
        let patience = Patience { idle, grace, rate };
        patience.deadline(self.began, since, self.received)
    }
}
