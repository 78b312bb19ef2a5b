//! A server that breaks HTTP on purpose, for the tests of a client.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::answer::{Answer, End};
use super::play::{Beat, Play};
use crate::http::connection::HttpConnection;
use crate::http::h1::{Version, tokens};
use crate::http::handler::HttpRequestHandler;
use crate::http::message::Message;
use crate::http::owned::OwnedRequest;
use crate::http::request::Request;
use crate::http::response::{HttpResult, Response};
use crate::http::server::listen;
use crate::http::settings::HttpSettings;
use crate::reactor::Now;
use crate::socketserver::{
    Buffer, Evented, EventedSettings, Mailbox, Next, Protocol, RunningServer, Server, ServerAddress,
};

/// A server that breaks HTTP on purpose, for the tests of a client.
///
/// It has a script: one [`Answer`] for each request, in the order in which the requests arrive, on
/// whatever connection. The last answer is repeated. So a test can say "the first request is reset,
/// the second gets its response", and see whether the client tries again. Dropping it stops the
/// server.
///
/// ```
/// use std::io::{self, Read, Write};
/// use std::net::{SocketAddr, TcpStream};
/// use serve_forever::http::testing::{Answer, Misbehaving};
///
/// /// The client that we test. It tries twice.
/// fn fetch(address: SocketAddr) -> io::Result<String> {
///     let attempt = || {
///         let mut stream = TcpStream::connect(address)?;
///         stream.write_all(b"GET /news HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
///         io::read_to_string(&mut stream)
///     };
///     attempt().or_else(|_| attempt())
/// }
///
/// let server = Misbehaving::new([
///     Answer::new(200, "the news").reset_after(10),
///     Answer::new(200, "the news"),
/// ])?;
/// let response = fetch(server.address())?;
/// assert!(response.ends_with("\r\n\r\nthe news"));
/// assert_eq!(server.requests().len(), 2);
/// server.requests()[0].with(|request| assert_eq!(request.path(), "/news"));
/// # Ok::<(), io::Error>(())
/// ```
///
/// A request is read whole before its answer begins, unless the answer is
/// [unasked](Answer::unasked). A request that is itself not HTTP gets the response of an
/// [`HttpServer`](crate::http::HttpServer), such as a 400, and is not counted. Bodies of requests
/// may have 16 MiB.
#[must_use = "dropping it stops the server"]
pub struct Misbehaving {
    /// The server and its thread.
    running: RunningServer<SocketAddr>,
    /// What the connections share.
    script: Arc<Script>,
}

impl Misbehaving {
    /// Serves this script on a free port of the loopback interface. The server is listening when
    /// this returns. Without any answer, it reads requests and never answers.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if there is no free port, descriptor or thread.
    pub fn new(answers: impl IntoIterator<Item = Answer>) -> io::Result<Misbehaving> {
        Misbehaving::bind("127.0.0.1:0", answers)
    }

    /// Like [`new`](Self::new), but on `address`.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the address cannot be bound, or a thread cannot be
    /// started.
    pub fn bind(
        address: impl ServerAddress,
        answers: impl IntoIterator<Item = Answer>,
    ) -> io::Result<Misbehaving> {
        let script = Arc::new(Script::new(answers));
        let shared = Arc::clone(&script);
        let make = move |_: &SocketAddr| Misbehaviour::new(Arc::clone(&shared));
        let evented = Evented::with_settings(
            make,
            EventedSettings {
                high_water: 0, // a step waits until what it follows is sent
                ..EventedSettings::default()
            },
        );
        let running = Server::new(listen(address)?, evented)?.spawn()?;
        Ok(Misbehaving { running, script })
    }

    /// Returns the address on which it listens.
    pub fn address(&self) -> SocketAddr {
        *self.running.server_address()
    }

    /// Returns the URL of the server without a path, such as `http://127.0.0.1:49152`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Returns the requests that have arrived whole, in the order of their answers.
    pub fn requests(&self) -> Vec<OwnedRequest> {
        lock(&self.script.requests).clone()
    }

    /// Returns how many connections clients have made: fewer than requests if a client uses a
    /// connection again.
    pub fn connections(&self) -> usize {
        self.script.connections.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Misbehaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Misbehaving({})", self.address())
    }
}

/// What the connections share.
#[derive(Debug)]
struct Script {
    /// The answers that are left. The last one stays.
    answers: Mutex<VecDeque<Answer>>,
    /// The requests that have arrived.
    requests: Mutex<Vec<OwnedRequest>>,
    /// How many connections were made.
    connections: AtomicUsize,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Script {
        let mut answers: VecDeque<Answer> = answers.into_iter().collect();
        if answers.is_empty() {
            answers.push_back(Answer::raw("").stall_after(0));
        }
        Script {
            answers: Mutex::new(answers),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
        }
    }

    /// Keeps the request, and returns the answer to it.
    fn answer(&self, request: OwnedRequest) -> Option<Answer> {
        let mut answers = lock(&self.answers); // first: so both lists have the same order
        lock(&self.requests).push(request);
        next(&mut answers)
    }

    /// Returns the next answer if it does not wait for a request. If it is repeated, a connection
    /// gets it only once, when it is `new`.
    fn unasked(&self, new: bool) -> Option<Answer> {
        let mut answers = lock(&self.answers);
        let due = answers.front().is_some_and(|answer| answer.unasked);
        match due && (new || answers.len() > 1) {
            true => next(&mut answers),
            false => None,
        }
    }
}

fn next(answers: &mut VecDeque<Answer>) -> Option<Answer> {
    match answers.len() {
        0 | 1 => answers.front().cloned(),
        _ => answers.pop_front(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection of a misbehaving server.
#[derive(Debug)]
struct Misbehaviour {
    /// What the connections share.
    script: Arc<Script>,
    /// What it does now.
    stage: Stage,
}

/// What a connection does.
#[derive(Debug)]
enum Stage {
    /// It reads a request, as a correct server does.
    Request(Box<Reading>),
    /// It sends an answer.
    Answer {
        /// The answer.
        play: Box<Play>,
        /// Whether the client wants to use the connection again.
        keep_alive: bool,
    },
    /// It does nothing any more.
    Stalled,
}

/// A correct connection that reads one request, and the request when it is there.
#[derive(Debug)]
struct Reading {
    connection: HttpConnection<Catch>,
    caught: Caught,
}

type Caught = Arc<Mutex<Option<OwnedRequest>>>;

/// The handler that catches the request. Its response is thrown away.
#[derive(Debug)]
struct Catch(Caught);

impl HttpRequestHandler for Catch {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        *lock(&self.0) = Some(request.into());
        // With `close`, what follows the request stays in the input.
        let response = response.send_response(200);
        response.send_header("Connection", "close").body("")
    }
}

impl Reading {
    fn new(output: &mut Buffer, now: &Now) -> Box<Reading> {
        let mut settings = HttpSettings::default();
        settings.limits.body = 16 * 1024 * 1024;
        let caught = Caught::default();
        let catch = Catch(Arc::clone(&caught));
        let mut connection = HttpConnection::new(catch, None, Arc::new(settings));
        // Its deadline begins here. No other thread has anything to tell it.
        connection.connection_made(Mailbox::dangling(), output, now);
        Box::new(Reading { connection, caught })
    }
}

impl Misbehaviour {
    fn new(script: Arc<Script>) -> Misbehaviour {
        Misbehaviour {
            script,
            stage: Stage::Stalled, // until the client is connected
        }
    }

    /// Lets the correct connection act, and begins the answer if it has caught a request.
    fn read(
        &mut self,
        output: &mut Buffer,
        act: impl FnOnce(&mut HttpConnection<Catch>, &mut Buffer) -> Next<Message>,
    ) -> Next<Message> {
        let Stage::Request(reading) = &mut self.stage else {
            return Next::Wait;
        };
        let before = output.len();
        let next = act(&mut reading.connection, output);
        let caught = lock(&reading.caught).take();
        let Some(request) = caught else {
            return next; // the request is not complete, or is refused
        };
        output.truncate(before);
        let (head_only, keep_alive) = request.with(|request| {
            let wants = request.headers().get_all("Connection").flat_map(tokens);
            let mut closes = wants.map(|token| token.eq_ignore_ascii_case(b"close"));
            let keep_alive = request.version() == Version::Http11 && !closes.any(|closes| closes);
            (request.method() == "HEAD", keep_alive)
        });
        match self.script.answer(request) {
            Some(answer) => self.begin(Play::new(answer, head_only), keep_alive),
            None => Next::Wait,
        }
    }

    /// Begins an answer, as soon as what comes before it is sent.
    fn begin(&mut self, play: Play, keep_alive: bool) -> Next<Message> {
        self.stage = Stage::Answer {
            play: Box::new(play),
            keep_alive,
        };
        Next::Produce
    }

    /// Takes a step of the answer.
    fn go_on(&mut self, output: &mut Buffer, now: &Now) -> Next<Message> {
        let Stage::Answer { play, keep_alive } = &mut self.stage else {
            return Next::Wait;
        };
        let keep_alive = *keep_alive;
        let end = match play.step(output, now) {
            Beat::More => return Next::Produce,
            Beat::Pause => return Next::Wait,
            Beat::Over(end) => end,
        };
        self.stage = Stage::Stalled;
        match end {
            End::Keep if keep_alive => self.listen(false, output, now),
            // What if the client has sent more? Then closing at once would reset the connection.
            End::Keep | End::Close => Next::Linger,
            End::Reset => Next::Abort,
            End::Stall => Next::Wait,
        }
    }

    /// Waits for a request, unless the next answer does not.
    fn listen(&mut self, new: bool, output: &mut Buffer, now: &Now) -> Next<Message> {
        match self.script.unasked(new) {
            Some(answer) => self.begin(Play::new(answer, false), true),
            None => {
                self.stage = Stage::Request(Reading::new(output, now));
                Next::Read
            }
        }
    }
}

impl Protocol for Misbehaviour {
    type Message = Message;

    fn connection_made(
        &mut self,
        _mailbox: Mailbox<Message>,
        output: &mut Buffer,
        now: &Now,
    ) -> Next<Message> {
        self.script.connections.fetch_add(1, Ordering::AcqRel);
        self.listen(true, output, now)
    }

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next<Message> {
        self.read(output, |connection, output| {
            connection.receive(input, output, now)
        })
    }

    fn input_closed(&mut self, output: &mut Buffer, now: &Now) -> Next<Message> {
        self.read(output, |connection, output| {
            connection.input_closed(output, now)
        })
    }

    fn produce(&mut self, output: &mut Buffer, now: &Now) -> Next<Message> {
        self.go_on(output, now)
    }

    fn timed_out(&mut self, output: &mut Buffer, now: &Now) -> Next<Message> {
        match &self.stage {
            Stage::Request(_) => self.read(output, |connection, output| {
                connection.timed_out(output, now)
            }),
            Stage::Answer { .. } | Stage::Stalled => self.go_on(output, now),
        }
    }

    fn drain(&mut self, _: &mut Buffer, _: &mut Buffer, _: &Now) -> Next<Message> {
        self.stage = Stage::Stalled; // a test that stops its server waits for nothing
        Next::Close
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Request(reading) => reading.connection.deadline(),
            Stage::Answer { play, .. } => play.until,
            Stage::Stalled => None,
        }
    }
}
