//! Plays a case on one connection and notes what comes back.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::case::{Answer, Case, Close, Step, Then};
use crate::response::{Reader, Response};

/// How long a connection may take to be accepted.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Between two writes of a case.
const PAUSE: Duration = Duration::from_millis(30);
/// Between two bytes of a bytewise write.
const BYTE_PAUSE: Duration = Duration::from_micros(1200);
/// Between the two writes of a split.
const SPLIT_PAUSE: Duration = Duration::from_millis(3);
/// How long an expected response may take.
const RESPONSE_WAIT: Duration = Duration::from_secs(3);
/// How long an expected close may take.
const CLOSE_WAIT: Duration = Duration::from_millis(2500);
/// After the last expected response: nothing more may come.
const QUIET: Duration = Duration::from_millis(350);
/// How long to watch that nothing comes at all.
const SILENCE: Duration = Duration::from_millis(800);
/// Nothing takes longer than this.
const CASE_LIMIT: Duration = Duration::from_secs(25);
/// No response is as long as this.
const MAX_RECEIVED: usize = 64 << 20;
/// At most so much is written or read at once.
const BLOCK: usize = 256 * 1024;
/// Waiting is cut into pieces no longer than this.
const POLL: Duration = Duration::from_millis(200);
/// Pauses below this are slept through: a read timeout is not precise enough.
const SHORT: Duration = Duration::from_millis(10);
/// While neither reading nor writing is possible.
const NAP: Duration = Duration::from_micros(500);

/// What the client saw.
#[derive(Debug)]
pub(crate) struct Observation {
    /// All final responses; the last may be incomplete.
    pub(crate) responses: Vec<Response>,
    /// Status codes of all interim responses.
    pub(crate) interims: Vec<u16>,
    /// Those of them that no final response followed.
    pub(crate) trailing_interims: Vec<u16>,
    /// The first violation of response syntax.
    pub(crate) error: Option<String>,
    /// Everything that was received.
    pub(crate) raw: Vec<u8>,
    /// The server closed the connection.
    pub(crate) closed: bool,
    /// Waits of the case that were in vain.
    pub(crate) notes: Vec<String>,
}

/// Plays a case once. With `split` all its bytes are sent in two writes, cut
/// there. All time limits are multiplied by `scale`.
pub(crate) fn play(
    case: &Case,
    address: SocketAddr,
    scale: f64,
    split: Option<usize>,
) -> io::Result<Observation> {
    let deadline = Instant::now() + CASE_LIMIT.mul_f64(scale);
    let mut player = Player {
        connection: Connection::open(address, &case.methods)?,
        scale,
        deadline,
        notes: Vec::new(),
    };
    match split {
        Some(cut) => player.send_split(case, cut)?,
        None => player.send(case)?,
    }
    player.await_outcome(case, split.is_some())?;
    let Player {
        connection, notes, ..
    } = player;
    let reader = connection.reader;
    Ok(Observation {
        responses: reader.responses().cloned().collect(),
        interims: reader.interims().to_vec(),
        trailing_interims: reader.pending_interims().to_vec(),
        error: reader.error().map(str::to_owned),
        raw: reader.raw().to_vec(),
        closed: connection.closed,
        notes,
    })
}

/// All bytes that a case sends.
pub(crate) fn all_bytes(case: &Case) -> Vec<u8> {
    let steps = case.send.iter();
    steps
        .filter_map(|step| match step {
            Step::Write(data) | Step::Bytewise(data) => Some(data.bytes()),
            _ => None,
        })
        .flatten()
        .collect()
}

/// A case being played.
#[derive(Debug)]
struct Player {
    connection: Connection,
    scale: f64,
    deadline: Instant,
    notes: Vec<String>,
}

impl Player {
    fn scaled(&self, time: Duration) -> Duration {
        time.mul_f64(self.scale)
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn send_split(&mut self, case: &Case, cut: usize) -> io::Result<()> {
        let bytes = all_bytes(case);
        let (first, second) = bytes.split_at(cut);
        self.connection.write(first, self.deadline)?;
        self.connection.pause(self.scaled(SPLIT_PAUSE))?;
        self.connection.write(second, self.deadline)
    }

    fn send(&mut self, case: &Case) -> io::Result<()> {
        for (i, step) in case.send.iter().enumerate() {
            if Instant::now() > self.deadline {
                self.note("time limit while sending");
                break;
            }
            self.take_step(step)?;
            let data = matches!(step, Step::Write(_) | Step::Bytewise(_));
            if data && i + 1 < case.send.len() {
                self.connection.pause(self.scaled(PAUSE))?;
            }
        }
        self.connection.paused = false;
        Ok(())
    }

    fn take_step(&mut self, step: &Step) -> io::Result<()> {
        let response_wait = self.scaled(RESPONSE_WAIT);
        match *step {
            Step::Write(ref data) => self.connection.write(&data.bytes(), self.deadline)?,
            Step::Bytewise(ref data) => {
                for byte in data.bytes() {
                    if self.connection.write_failed || Instant::now() > self.deadline {
                        break;
                    }
                    self.connection.write(&[byte], self.deadline)?;
                    self.connection.pause(BYTE_PAUSE)?;
                }
            }
            Step::WaitResponses { count, optional } => {
                let there = |now: &Connection| now.reader.finished() >= count;
                if !self.connection.wait(response_wait, there)? && !optional {
                    self.note(format!(
                        "no response {count} while the client waited for it"
                    ));
                }
            }
            Step::WaitInterim { count, optional } => {
                // A final response instead of the interim one also ends the wait.
                let before = self.connection.reader.finished();
                let there = |now: &Connection| now.reader.interims().len() >= count;
                self.connection.wait(response_wait, |now| {
                    there(now) || now.reader.finished() > before
                })?;
                if !there(&self.connection) && !optional {
                    self.note(format!("no 1xx ({count}) while the client waited for it"));
                }
            }
            Step::Quiet(time) => {
                let before = self.connection.received;
                let time = time.mul_f64(self.scale.max(1.0));
                self.connection.wait(time, |now| now.received > before)?;
                if self.connection.received > before || self.connection.closed {
                    self.note("server answered or closed before the message was complete");
                }
            }
            Step::Sleep(time) => self.connection.pause(time)?,
            Step::PauseReading(pause) => self.connection.paused = pause,
        }
        Ok(())
    }

    /// Everything was sent: waits for what the case expects, and a little
    /// longer for what it does not.
    fn await_outcome(&mut self, case: &Case, split: bool) -> io::Result<()> {
        let quiet = self.scaled(QUIET);
        match case.then {
            Then::HalfClose => self.connection.half_close(),
            Then::KeepOpen => {}
            Then::Nothing => {
                let silence = self.scaled(SILENCE);
                self.connection.wait(silence, |now| now.received > 0)?;
                if self.connection.received > 0 {
                    self.connection.pause(quiet)?;
                }
                return Ok(());
            }
        }
        let answers = || case.expect.alternatives.iter().map(|one| &one.answer);
        let wanted = answers().map(|answer| match answer {
            Answer::Responses { list, .. } => list.len(),
            Answer::Headerless { .. } => 0,
        });
        self.await_responses(wanted.max().unwrap_or(0), case.expect.patience)?;
        if split || self.connection.closed {
            return Ok(());
        }
        let close_expected = answers().any(|answer| match answer {
            Answer::Responses { close, .. } => *close == Close::Required,
            Answer::Headerless { .. } => true,
        });
        if close_expected {
            let close_wait = self.scaled(CLOSE_WAIT);
            self.connection.wait(close_wait, |now| now.closed)?;
        } else {
            let before = self.connection.received;
            self.connection
                .wait(quiet, |now| now.closed || now.received != before)?;
        }
        Ok(())
    }

    /// Waits for so many final responses, as long as something keeps coming.
    fn await_responses(&mut self, wanted: usize, patience: Duration) -> io::Result<()> {
        let patience = self.scaled(RESPONSE_WAIT.max(patience));
        let extended = |limit: Instant| (Instant::now() + patience).min(limit);
        let mut end = extended(self.deadline);
        let mut last = self.connection.received;
        while !self.connection.closed
            && self.connection.reader.finished() < wanted
            && self.connection.reader.error().is_none()
            && Instant::now() < end
        {
            self.connection.wait(Duration::from_millis(250), |now| {
                now.reader.finished() >= wanted || now.received != last
            })?;
            if self.connection.received != last {
                last = self.connection.received;
                end = extended(self.deadline);
            }
        }
        Ok(())
    }
}

/// A connection that reads whenever it waits or writes, so that neither side
/// has to wait for the other.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    reader: Reader,
    block: Vec<u8>,
    received: usize,
    /// Nothing more will come.
    closed: bool,
    write_failed: bool,
    /// The client does not read for now.
    paused: bool,
}

impl Connection {
    fn open(address: SocketAddr, methods: &[String]) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_WAIT)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            reader: Reader::new(methods),
            block: vec![0; BLOCK],
            received: 0,
            closed: false,
            write_failed: false,
            paused: false,
        })
    }

    /// Writes everything, unless that fails or takes too long.
    fn write(&mut self, mut data: &[u8], deadline: Instant) -> io::Result<()> {
        self.stream.set_nonblocking(true)?;
        while !data.is_empty() && !self.write_failed && Instant::now() < deadline {
            let read = self.receive();
            match self.stream.write(&data[..data.len().min(BLOCK)]) {
                Ok(0) => self.write_failed = true,
                Ok(written) => data = &data[written..],
                Err(error) if is_not_now(&error) => {
                    if !read {
                        thread::sleep(NAP);
                    }
                }
                Err(_) => self.write_failed = true,
            }
        }
        self.stream.set_nonblocking(false)
    }

    /// Waits until something is the case, and returns whether it is. A close
    /// ends the wait.
    fn wait(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> io::Result<bool> {
        let end = Instant::now() + limit;
        while !done(self) && !self.closed {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            if self.paused {
                thread::sleep(left.min(POLL));
            } else if left < SHORT {
                thread::sleep(left);
                self.stream.set_nonblocking(true)?;
                self.receive();
                self.stream.set_nonblocking(false)?;
            } else {
                self.stream.set_read_timeout(Some(left.min(POLL)))?;
                self.receive();
            }
        }
        Ok(done(self))
    }

    /// Only waits, while what comes is read. A close ends it.
    fn pause(&mut self, time: Duration) -> io::Result<()> {
        self.wait(time, |_| false).map(|_| ())
    }

    /// Reads once; returns whether there was something to read.
    fn receive(&mut self) -> bool {
        if self.closed || self.paused {
            return false;
        }
        match self.stream.read(&mut self.block) {
            Ok(0) => self.end(),
            Ok(length) => {
                self.received += length;
                if self.received > MAX_RECEIVED {
                    self.closed = true;
                    let violation = format!("more than {MAX_RECEIVED} bytes received");
                    self.reader.fail(violation);
                } else {
                    self.reader.feed(&self.block[..length]);
                }
            }
            Err(error) if is_not_now(&error) => return false,
            Err(_) => self.end(),
        }
        true
    }

    fn end(&mut self) {
        self.closed = true;
        self.reader.end();
    }

    fn half_close(&mut self) {
        // Fails if the server closed meanwhile; then there is nothing to do.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// Nothing to read or no room to write at present.
fn is_not_now(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
