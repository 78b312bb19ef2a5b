use super::*;
use crate::socketserver::mailbox::Mailbox;
use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

/// A stream whose client takes `room` more bytes and sends nothing.
struct Wire {
    room: usize,
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

/// Law 8: a client that takes a little output is slow. A client that takes nothing is stalled,
/// and so is a client that takes a byte now and then.
#[test]
fn a_slow_reader_is_not_a_stalled_one() {
    let (settings, post) = (EventedSettings::default(), Post::new(1, None));
    let mut scratch = Scratch::default();
    let mut connection = Connection::new(Wire { room: 0 }, Endless);
    let began = Instant::now();
    let mut turn = |connection: &mut Connection<Wire, Endless>, occasion, seconds| {
        let instant = began + Duration::from_secs(seconds);
        let mut readiness = Readiness {
            timeout: true,
            ..Readiness::FRESH
        };
        let outcome = connection.turn(
            occasion,
            &mut Loan {
                slot: Slot::default(),
                readiness: &mut readiness,
                scratch: &mut scratch,
                settings: &settings,
                post: &post,
                now: &Now::at(instant, std::time::SystemTime::UNIX_EPOCH),
                phase: Phase::Serving,
                failure: None,
                completed: 0,
            },
        );
        (outcome.fate, outcome.deadline)
    };
    let deadline = |seconds| Some(began + Duration::from_secs(seconds));
    let made = turn(&mut connection, Occasion::Made, 0);
    assert_eq!(made, (Fate::Sleeps, deadline(30)));
    for seconds in [20, 40, 60] {
        connection.stream.room = 20 * 1024; // the protocol produces as much again
        let slow = turn(&mut connection, Occasion::Ready, seconds);
        assert_eq!(slow, (Fate::Sleeps, deadline(seconds + 30)));
    }
    assert_eq!(turn(&mut connection, Occasion::Ready, 89).0, Fate::Sleeps);
    assert_eq!(turn(&mut connection, Occasion::Ready, 90).0, Fate::Stalled);

    let mut trickle = Connection::new(Wire { room: 0 }, Endless);
    turn(&mut trickle, Occasion::Made, 0);
    // After the first 30 s, 240 bytes earn the client another second.
    for (seconds, room, ends) in [(20, 480, 32), (29, 1, 32), (31, 240, 33), (32, 1, 33)] {
        trickle.stream.room = room;
        let slow = turn(&mut trickle, Occasion::Ready, seconds);
        assert_eq!(slow, (Fate::Sleeps, deadline(ends)), "at {seconds} s");
    }
    trickle.stream.room = 1;
    assert_eq!(turn(&mut trickle, Occasion::Ready, 33).0, Fate::Stalled);
}
