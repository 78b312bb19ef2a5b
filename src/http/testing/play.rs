//! Sends one answer: its bytes, its pauses, its end.

use std::time::Instant;

use super::answer::{Answer, End};
use crate::reactor::Now;
use crate::socketserver::Buffer;

/// How much of an answer is put into the output at once.
const PIECE: usize = 16 * 1024;

/// An answer that is being sent.
#[derive(Debug)]
pub(super) struct Play {
    /// The answer.
    answer: Answer,
    /// Its bytes, without those that never end.
    bytes: Vec<u8>,
    /// How many bytes were sent.
    at: usize,
    /// How many pauses are over.
    paused: usize,
    /// How many bytes are sent in all; `None` if they never end.
    length: Option<usize>,
    /// Until when nothing is sent.
    pub(super) until: Option<Instant>,
}

/// What follows a step of a [`Play`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Go on when the output is sent.
    More,
    /// Go on when the pause is over.
    Pause,
    /// The answer has ended.
    Over(End),
}

impl Play {
    /// Begins an answer. An answer to HEAD has no body.
    pub(super) fn new(answer: Answer, head_only: bool) -> Play {
        let bytes = answer.bytes(head_only);
        let whole = answer.filler().is_empty().then_some(bytes.len());
        let cut = answer.end.map(|(count, _)| count);
        Play {
            length: whole.into_iter().chain(cut).min(),
            answer,
            bytes,
            at: 0,
            paused: 0,
            until: None,
        }
    }

    /// Takes a step. Call it when all earlier output is sent, and no pause goes on.
    pub(super) fn step(&mut self, output: &mut Buffer, now: &Now) -> Beat {
        self.until = None;
        if self.length.is_some_and(|length| self.at >= length) {
            return Beat::Over(self.answer.end.map_or(End::Keep, |(_, end)| end));
        }
        let mut to = self.at.saturating_add(PIECE);
        if let Some(&(at, time)) = self.answer.pauses.get(self.paused) {
            if at <= self.at {
                self.paused += 1;
                self.until = now.instant().checked_add(time);
                return Beat::Pause;
            }
            to = to.min(at);
        }
        if let Some((count, _)) = self.answer.trickle {
            to = to.min(self.at.saturating_add(count));
        }
        self.put(self.length.map_or(to, |length| to.min(length)), output);
        match self.answer.trickle {
            Some((_, time)) if self.length != Some(self.at) => {
                self.until = now.instant().checked_add(time);
                Beat::Pause
            }
            _ => Beat::More,
        }
    }

    /// Puts the bytes up to the position `to` into the output.
    fn put(&mut self, to: usize, output: &mut Buffer) {
        let own = self.at.min(self.bytes.len())..to.min(self.bytes.len());
        output.extend_from_slice(&self.bytes[own]);
        self.at = self.at.max(to.min(self.bytes.len()));
        let filler = self.answer.filler();
        while self.at < to {
            // From where the last piece has ended.
            let rest = &filler[(self.at - self.bytes.len()) % filler.len()..];
            let count = rest.len().min(to - self.at);
            output.extend_from_slice(&rest[..count]);
            self.at += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Plays an answer to its end. Returns what was sent in which second, and how it ended.
    fn play(answer: Answer) -> (Vec<(u64, String)>, Option<End>) {
        let begin = Instant::now();
        let (mut now, mut sent) = (begin, Vec::<(u64, String)>::new());
        let mut play = Play::new(answer, false);
        for _ in 0..100 {
            let mut output = Buffer::new();
            let beat = play.step(&mut output, &Now::at(now, SystemTime::UNIX_EPOCH));
            let second = (now - begin).as_secs();
            let text = String::from_utf8_lossy(&output).into_owned();
            match sent.last_mut() {
                _ if text.is_empty() => {}
                Some((when, all)) if *when == second => all.push_str(&text),
                _ => sent.push((second, text)),
            }
            match beat {
                Beat::More => assert_eq!(play.until, None),
                Beat::Pause => now = play.until.expect("a pause ends"),
                Beat::Over(end) => return (sent, Some(end)),
            }
        }
        (sent, None)
    }

    #[test]
    fn bytes_pauses_and_ends() {
        let digits = || Answer::raw("0123456789");
        for (answer, expected, end) in [
            (digits(), vec![(0, "0123456789")], End::Keep),
            (digits().reset_after(3), vec![(0, "012")], End::Reset),
            (
                digits().close_after(usize::MAX),
                vec![(0, "0123456789")],
                End::Close,
            ),
            (digits().stall_after(0), vec![], End::Stall),
            (digits().delay(SECOND), vec![(1, "0123456789")], End::Keep),
            (
                digits().pause_after(8, SECOND).pause_after(4, SECOND * 2),
                vec![(0, "0123"), (2, "4567"), (3, "89")],
                End::Keep,
            ),
            (
                digits().trickle(4, SECOND).delay(SECOND),
                vec![(1, "0123"), (2, "4567"), (3, "89")],
                End::Keep,
            ),
            // A pause behind the end is none.
            (
                digits().pause_after(5, SECOND).close_after(5),
                vec![(0, "01234")],
                End::Close,
            ),
            (
                Answer::raw("ab").endless("xyz").reset_after(9),
                vec![(0, "abxyzxyzx")],
                End::Reset,
            ),
            (
                Answer::raw("a")
                    .endless("xyz")
                    .trickle(2, SECOND)
                    .close_after(6),
                vec![(0, "ax"), (1, "yz"), (2, "xy")],
                End::Close,
            ),
        ] {
            let shown = format!("{answer:?}");
            let expected = expected.into_iter();
            let expected: Vec<_> = expected.map(|(at, text)| (at, text.to_owned())).collect();
            assert_eq!(play(answer), (expected, Some(end)), "{shown}");
        }
    }

    /// What has no end takes no more memory than a piece at a time.
    #[test]
    fn an_endless_answer_comes_in_pieces() {
        let mut play = Play::new(Answer::raw("ab").endless("xyz"), false);
        for _ in 0..10 {
            let mut output = Buffer::new();
            assert_eq!(play.step(&mut output, &Now::new()), Beat::More);
            assert_eq!(output.len(), PIECE);
        }
        assert_eq!(play.at, 10 * PIECE);
    }
}
