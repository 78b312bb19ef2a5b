//! Any protocol on a blocking socket: a conversation written once runs under every dispatch.

use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

use super::handler::Rfile;
use super::mailbox::Post;
use super::{Buffer, EventedSettings, Failure, HandlerResult, Next, Protocol, RequestHandler};
use crate::reactor::{Now, Slot};

/// A [`Protocol`] as a [`RequestHandler`] (RT-8).
///
/// Its deadlines hold. What a blocked thread cannot do is break off a read for a message: one
/// that arrives meanwhile is delivered when the protocol next [waits](Next::Wait).
#[derive(Debug, Clone)]
pub struct Blocking<P>(pub P);

impl<P: Protocol> RequestHandler for Blocking<P> {
    fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
        let mut line = Line {
            rfile,
            wfile,
            input: Buffer::new(),
            output: Buffer::new(),
            input_closed: false,
            post: Post::new(1, None),
            now: Now::new(),
        };
        let mut upgraded = line.converse(&mut self.0)?;
        while let Some(mut protocol) = upgraded {
            upgraded = line.converse(&mut *protocol)?;
        }
        Ok(())
    }
}

type Upgraded<M> = Option<Box<dyn Protocol<Message = M> + Send>>;

/// The two files, and what is under way between them and the protocol.
struct Line<'a, M> {
    rfile: &'a mut dyn Rfile,
    wfile: &'a mut dyn Write,
    input: Buffer,
    output: Buffer,
    /// The client has sent everything it will.
    input_closed: bool,
    post: Post<M>,
    now: Now,
}

impl<M: Send + 'static> Line<'_, M> {
    /// Converses to the end, or until another protocol takes over.
    fn converse(
        &mut self,
        protocol: &mut dyn Protocol<Message = M>,
    ) -> Result<Upgraded<M>, Failure> {
        let slot = Slot::default();
        self.post.open(slot);
        let mailbox = self.post.mailbox(slot);
        let mut next = protocol.connection_made(mailbox, &mut self.output, &self.now);
        let mut unseen = !self.input.is_empty();
        loop {
            if let Some(Failure::Stop) = report(protocol.take_failure()) {
                return Err(Failure::Stop);
            }
            if !self.send() {
                return Ok(None);
            }
            next = match next {
                Next::Read if unseen => {
                    unseen = false;
                    protocol.receive(&mut self.input, &mut self.output, &self.now)
                }
                // What is left will never be completed (RT-10).
                Next::Read if self.input_closed => Next::Close,
                Next::Read => match self.read(protocol.deadline()) {
                    Read::Bytes => protocol.receive(&mut self.input, &mut self.output, &self.now),
                    Read::End => {
                        self.input_closed = true;
                        protocol.input_closed(&mut self.output, &self.now)
                    }
                    Read::TimedOut => protocol.timed_out(&mut self.output, &self.now),
                    Read::Lost => return Ok(None),
                },
                Next::Produce => {
                    unseen = !self.input.is_empty();
                    protocol.produce(&mut self.output, &self.now)
                }
                Next::Wait => {
                    unseen = !self.input.is_empty();
                    let message = self.post.wait(protocol.deadline());
                    self.now.advance(Instant::now());
                    match message {
                        Some(message) => protocol.deliver(message, &mut self.output, &self.now),
                        None => protocol.timed_out(&mut self.output, &self.now),
                    }
                }
                Next::Close => return Ok(None),
                Next::Linger => {
                    self.discard();
                    return Ok(None);
                }
                Next::Upgrade(protocol) => return Ok(Some(protocol)),
            };
        }
    }

    /// Sends everything; `false` if the client is gone or does not read.
    fn send(&mut self) -> bool {
        if self.output.is_empty() {
            return true;
        }
        let stall = EventedSettings::default().write_stall;
        let sent = self.rfile.set_timeout(Some(stall));
        let sent = sent.and_then(|()| self.wfile.write_all(&self.output));
        self.output.clear();
        sent.is_ok()
    }

    /// Waits for bytes until `deadline` and adds them to the input.
    fn read(&mut self, deadline: Option<Instant>) -> Read {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let read = match left {
            Some(Duration::ZERO) => Err(ErrorKind::TimedOut.into()),
            left => receive(self.rfile, &mut self.input, left),
        };
        self.now.advance(Instant::now());
        match read {
            Ok(0) => Read::End,
            Ok(_) => Read::Bytes,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Read::TimedOut,
                _ => Read::Lost,
            },
        }
    }

    /// Reads away what the client still sends, for a bounded time (TCP-8).
    fn discard(&mut self) {
        let deadline = Instant::now() + EventedSettings::default().linger;
        while let Read::Bytes = self.read(Some(deadline)) {
            self.input.clear();
        }
    }
}

/// What one read brought.
enum Read {
    Bytes,
    End,
    TimedOut,
    Lost,
}

fn receive(
    rfile: &mut dyn Rfile,
    input: &mut Buffer,
    timeout: Option<Duration>,
) -> io::Result<usize> {
    rfile.set_timeout(timeout)?;
    loop {
        match rfile.fill_buf() {
            Ok(bytes) => {
                let count = bytes.len();
                input.extend_from_slice(bytes);
                rfile.consume(count);
                return Ok(count);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Logs what the conversation has answered by itself; hands on what stops the server.
fn report(failure: Option<Failure>) -> Option<Failure> {
    if let Some(Failure::Request(error)) = &failure {
        log::error!("a request failed: {error}");
    }
    failure
}
