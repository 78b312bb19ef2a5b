use super::*;
use crate::socketserver::mailbox::Mailbox;
use crate::socketserver::protocol::Next;
use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

/// A stream whose client takes `room` more bytes and sends nothing.
struct Wire {
    room: usize,
    /// How much its system may hold unsent, as it was told.
    unsent: Vec<u32>,
}

impl Read for Wire {
    fn read(&mut self, _bytes: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        self.room -= count;
        match count {
            0 => Err(ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Duplex for Wire {
    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn allow_unsent(&mut self, bytes: u32) {
        self.unsent.push(bytes);
    }
}

/// A protocol that always has more output.
struct Endless;

impl Protocol for Endless {
    type Message = Infallible;

    fn connection_made(&mut self, _: Mailbox<Infallible>, _: &mut Buffer, _: &Now) -> Next {
        Next::Produce
    }

    fn receive(&mut self, _: &mut Buffer, _: &mut Buffer, _: &Now) -> Next {
        Next::Close
    }

    fn produce(&mut self, output: &mut Buffer, _: &Now) -> Next {
        output.extend_from_slice(&[b'x'; 20 * 1024]);
        Next::Produce
    }
}

/// A connection in the hands of a test, which says what time it is.
struct Turning<P: Protocol> {
    connection: Connection<Wire, P>,
    scratch: Scratch,
    settings: EventedSettings,
    post: Post<P::Message>,
    began: Instant,
    /// How long a wait before the turn did not last.
    unwatched: Duration,
}

impl<P: Protocol> Turning<P> {
    fn new(protocol: P) -> Turning<P> {
        Turning {
            connection: Connection::new(
                Wire {
                    room: 0,
                    unsent: Vec::new(),
                },
                protocol,
            ),
            scratch: Scratch::default(),
            settings: EventedSettings::default(),
            post: Post::new(1, None),
            began: Instant::now(),
            unwatched: Duration::ZERO,
        }
    }

    /// A turn with these hints, so many seconds after the beginning.
    fn turn(&mut self, occasion: Occasion, seconds: u64, mut readiness: Readiness) -> Outcome {
        let instant = self.began + Duration::from_secs(seconds);
        let before = Instant::checked_sub(&instant, self.unwatched).expect("in range");
        let mut now = Now::at(before, std::time::SystemTime::UNIX_EPOCH);
        now.advance_after_wait(Some(instant), instant);
        self.connection.turn(
            occasion,
            &mut Loan {
                slot: Slot::default(),
                readiness: &mut readiness,
                scratch: &mut self.scratch,
                settings: &self.settings,
                post: &self.post,
                now: &now,
                phase: Phase::Serving,
                failure: None,
                completed: 0,
            },
        )
    }

    /// A turn because of a deadline, without any other hint.
    fn due(&mut self, seconds: u64) -> (Fate, Option<u64>) {
        self.hinted(seconds, Readiness::default())
    }

    /// A turn because of a deadline, or because of an event.
    fn hinted(&mut self, seconds: u64, mut hints: Readiness) -> (Fate, Option<u64>) {
        hints.timeout = true;
        let outcome = self.turn(Occasion::Ready, seconds, hints);
        let seconds = |deadline: Instant| (deadline - self.began).as_secs();
        (outcome.fate, outcome.deadline.map(seconds))
    }
}

/// A reader of endless output that reads nothing at first.
fn slow_reader() -> Turning<Endless> {
    let mut reader = Turning::new(Endless);
    let made = reader.turn(Occasion::Made, 0, Readiness::FRESH);
    assert_eq!(made.fate, Fate::Sleeps);
    reader
}

/// Law 8: a client that takes a little output is slow. A client that takes nothing is stalled,
/// and so is a client that takes a byte now and then. RT-12: it may have taken it unnoticed.
#[test]
fn a_slow_reader_is_not_a_stalled_one() {
    let mut slow = slow_reader();
    for seconds in [30, 60, 90, 100] {
        slow.connection.stream.room = 20 * 1024; // the protocol produces as much again
        let hints = match seconds {
            100 => Readiness::FRESH,
            _ => Readiness::default(), // it is due
        };
        assert_eq!(
            slow.hinted(seconds, hints),
            (Fate::Sleeps, Some(seconds + 30))
        );
    }
    assert_eq!(slow.due(129).0, Fate::Sleeps);
    assert_eq!(slow.due(130).0, Fate::Stalled);

    let mut trickle = slow_reader();
    // After the first 30 s, 240 bytes earn the client another second.
    for (seconds, room, ends) in [(20, 480, 32), (29, 1, 32), (31, 240, 33), (32, 1, 33)] {
        trickle.connection.stream.room = room;
        let turn = trickle.hinted(seconds, Readiness::FRESH);
        assert_eq!(turn, (Fate::Sleeps, Some(ends)), "at {seconds} s");
    }
    trickle.connection.stream.room = 1;
    assert_eq!(trickle.due(33).0, Fate::Stalled);
}

/// RT-13: a client whose system has taken much may read that for a while. The system asks for more
/// when a part of it is read.
#[test]
fn a_large_buffer_takes_time_to_read() {
    for (mebibytes, stall) in [(1, 46), (8, 158), (100, 158)] {
        let mut reader = slow_reader();
        reader.connection.stream.room = mebibytes * 1024 * 1024;
        while reader.connection.stream.room > 0 {
            reader.hinted(29, Readiness::FRESH);
        }
        assert_eq!(
            reader.due(29 + stall - 1).0,
            Fate::Sleeps,
            "{mebibytes} MiB"
        );
        assert_eq!(reader.due(29 + stall).0, Fate::Stalled, "{mebibytes} MiB");
    }
}

/// RT-13: the more a client has taken, the more its system may hold unsent, up to a limit.
#[test]
fn a_client_that_takes_much_is_sent_more_in_advance() {
    const MIB: usize = 1024 * 1024;
    let mut client = slow_reader();
    let mut expected = Vec::new();
    for taken in 1..=20 {
        client.connection.stream.room = MIB;
        while client.connection.stream.room > 0 {
            client.hinted(0, Readiness::FRESH);
        }
        if [2, 4, 8].contains(&taken) {
            expected.push(taken * MIB as u32 / 2);
        }
        assert_eq!(client.connection.stream.unsent, expected, "{taken} MiB");
    }
}

/// A protocol that has this many bytes of output, and then waits.
struct Much(usize);

impl Protocol for Much {
    type Message = Infallible;

    fn connection_made(&mut self, _: Mailbox<Infallible>, output: &mut Buffer, _: &Now) -> Next {
        output.append(vec![b'x'; self.0]);
        Next::Wait
    }

    fn receive(&mut self, _: &mut Buffer, _: &mut Buffer, _: &Now) -> Next {
        Next::Close
    }

    fn keeps_blocks(&self) -> bool {
        true
    }
}

/// RT-13: more may be unsent before large output is sent, and not before less. Then a client that takes
/// nothing for 32 s may have read 512 KiB meanwhile, so it has more time.
#[test]
fn large_output_is_sent_in_advance() {
    const KIB: usize = 1024;
    for (length, expected) in [(128 * KIB, &[][..]), (128 * KIB + 1, &[1 << 20])] {
        let mut client = Turning::new(Much(length));
        client.turn(Occasion::Made, 0, Readiness::FRESH);
        let unsent = &client.connection.stream.unsent;
        assert_eq!(unsent, expected, "{length} bytes, before the first write");
    }

    let mut client = Turning::new(Much(2500 * KIB));
    client.turn(Occasion::Made, 0, Readiness::FRESH);
    client.connection.stream.room = 1024 * KIB;
    assert_eq!(client.hinted(0, Readiness::FRESH), (Fate::Sleeps, Some(46)));
    client.connection.stream.room = 512 * KIB;
    let (fate, _) = client.hinted(32, Readiness::FRESH);
    assert_eq!(fate, Fate::Sleeps);
    assert_eq!(client.connection.stream.unsent, [1 << 20], "once");

    // Half of what was taken is not more.
    client.connection.stream.room = 800 * KIB;
    client.hinted(33, Readiness::FRESH);
    assert_eq!(client.connection.stream.unsent, [1 << 20]);
}

/// RT-12: a rate leaves out the time by which the loop was late, and nothing else.
#[test]
fn a_late_loop_is_not_a_slow_reader() {
    for (room, fate) in [
        (240, (Fate::Sleeps, Some(131))), // late by 100 s, and a second earned
        (239, (Fate::Stalled, None)),
    ] {
        let mut late = slow_reader();
        late.connection.stream.room = room;
        let (is, ends) = late.due(130);
        assert_eq!((is, ends.filter(|_| is == Fate::Sleeps)), fate, "{room}");
    }
}

/// A protocol whose deadlines are those of a list.
struct Ticks {
    deadlines: Vec<Instant>,
    /// How many of the last are still to come.
    left: usize,
    moves: bool,
    ticks: usize,
}

impl Ticks {
    fn turning(seconds: &[u64], moves: bool) -> Turning<Ticks> {
        let mut turning = Turning::new(Ticks {
            deadlines: Vec::new(),
            left: seconds.len(),
            moves,
            ticks: 0,
        });
        let began = turning.began;
        let Conversation::First(ticks) = &mut turning.connection.conversation else {
            panic!("it was not upgraded");
        };
        let ends = seconds
            .iter()
            .rev()
            .map(|&seconds| began + Duration::from_secs(seconds));
        ticks.deadlines.extend(ends);
        turning.turn(Occasion::Made, 0, Readiness::FRESH);
        turning
    }
}

impl Protocol for Ticks {
    type Message = Infallible;

    fn receive(&mut self, _: &mut Buffer, _: &mut Buffer, _: &Now) -> Next {
        Next::Read
    }

    fn timed_out(&mut self, _: &mut Buffer, _: &Now) -> Next {
        self.ticks += 1;
        self.left -= usize::from(self.moves);
        Next::Read
    }

    fn deadline(&self) -> Option<Instant> {
        self.left.checked_sub(1).map(|last| self.deadlines[last])
    }
}

/// A protocol may catch up with deadlines that it has missed. If it leaves the deadline where it is,
/// it would be due for ever: that is a failure.
#[test]
fn a_deadline_that_stays_is_a_failure() {
    let mut late = Ticks::turning(&[1, 2, 3, 60], true);
    for next in [2, 3, 60] {
        assert_eq!(late.due(10), (Fate::Sleeps, Some(next)));
    }

    let mut stuck = Ticks::turning(&[1], false);
    let hints = Readiness {
        timeout: true,
        ..Readiness::default()
    };
    let outcome = stuck.turn(Occasion::Ready, 1, hints);
    assert_eq!(outcome.fate, Fate::BrokenOff);
    let failure = outcome.failure.expect("a failure").to_string();
    assert_eq!(failure, "the deadline has not moved in timed_out");
}

/// RT-12: a deadline that was set in a long turn begins at the end of that turn. The time is left out
/// once, so a loop that is always busy judges, too.
#[test]
fn a_busy_loop_takes_no_time_from_a_client() {
    let mut kept = Ticks::turning(&[15, 60], true);
    kept.unwatched = Duration::from_secs(20);
    assert_eq!(kept.due(20), (Fate::Sleeps, Some(35)));
    kept.unwatched = Duration::from_secs(1);
    assert_eq!(kept.due(36), (Fate::Sleeps, Some(60)), "it ticks");
}

/// A protocol that leaves this much of its input unread.
struct Leaves(usize, Verdict);

type Verdict = fn() -> Next;

impl Protocol for Leaves {
    type Message = Infallible;

    fn receive(&mut self, input: &mut Buffer, _: &mut Buffer, _: &Now) -> Next {
        input.consume(input.len() - self.0);
        (self.1)()
    }
}

/// Laws 6 and 7: the memory of input follows what is still needed. A connection that lingers needs
/// none, and the beginning of a next request does not keep the memory of a large body.
#[test]
fn input_that_was_used_keeps_no_memory() {
    const LARGE: usize = 1024 * 1024;
    let cases: [(usize, Verdict, usize); 6] = [
        (0, || Next::Read, 0),
        (10, || Next::Read, 1024),
        (10, || Next::Wait, 1024),
        (LARGE, || Next::Read, LARGE),
        (LARGE, || Next::Linger, 0),
        (LARGE, || Next::Close, 0),
    ];
    for (left, next, most) in cases {
        let mut used = Turning::new(Leaves(left, next));
        used.connection.input.extend_from_slice(&vec![b'x'; LARGE]);
        used.connection.stage = Stage::Read { unseen: true };
        used.turn(Occasion::Ready, 0, Readiness::FRESH);
        let input = &used.connection.input;
        let kept = input.capacity();
        assert!(kept <= most, "{kept} for {left} of {:?}", next());
        if most > 0 {
            assert_eq!(input.len(), left);
        }
    }
}
