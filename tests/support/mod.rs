//! What the integration tests share: bounded waits, clients, and a server that follows a script
//! and keeps a trace.
//!
//! Nothing here sleeps to synchronise, and nothing measures time. Every wait ends by [`LIMIT`],
//! and then its test fails. A test whose point is promptness lets the loop sleep for [`LONG`]: a
//! loop that only noticed at its next poll would be caught by the limit.

#![allow(dead_code)] // each test program uses its own part of this

#[path = "../intercepted/mod.rs"]
pub mod intercepted;

use std::collections::VecDeque;
use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use intercepted::Intercepted;
use serve_forever::reactor::{Now, Reactor, Slot};
use serve_forever::socketserver::{
    Dispatch, Failure, HandlerResult, Hooks, Inline, Request, RequestHandler, Rfile, Server,
    ShutdownHandle, Tcp, Transport,
};

/// How long anything may take before the test is considered to hang.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A poll interval that no test outlives.
pub const LONG: Duration = Duration::from_secs(60);

/// A job in a thread of its own, whose end is not waited for without limit.
pub struct Job<R>(Receiver<thread::Result<R>>);

pub fn spawn<R: Send + 'static>(job: impl FnOnce() -> R + Send + 'static) -> Job<R> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        // Nobody receives if the test has failed already.
        let _ = sender.send(catch_unwind(AssertUnwindSafe(job)));
    });
    Job(receiver)
}

impl<R> Job<R> {
    /// Waits for the job's result; its panic becomes the test's.
    pub fn join(self) -> R {
        let ended = self.0.recv_timeout(LIMIT).expect("the job hangs");
        ended.unwrap_or_else(|payload| resume_unwind(payload))
    }
}

/// Does something that could hang.
pub fn in_time<R: Send + 'static>(job: impl FnOnce() -> R + Send + 'static) -> R {
    spawn(job).join()
}

/// What happened, in order, as words; shared by all who take part.
#[derive(Clone, Default)]
pub struct Trace(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Trace {
    pub fn note(&self, word: impl Into<String>) {
        self.0.0.lock().expect("no panic in here").push(word.into());
        self.0.1.notify_all();
    }

    /// What happened since the last time this was asked.
    pub fn take(&self) -> String {
        let words = std::mem::take(&mut *self.0.0.lock().expect("no panic in here"));
        words.join(" ")
    }

    pub fn count(&self, word: &str) -> usize {
        let words = self.0.0.lock().expect("no panic in here");
        count(&words, word)
    }

    /// Waits until `word` has been noted `times` times.
    pub fn wait_for(&self, word: &str, times: usize) {
        let words = self.0.0.lock().expect("no panic in here");
        let missing = |words: &mut Vec<String>| count(words, word) < times;
        let waited = self.0.1.wait_timeout_while(words, LIMIT, missing);
        let (words, ended) = waited.expect("no panic in here");
        let words = words.join(" ");
        assert!(!ended.timed_out(), "no {word:?} × {times} in {words:?}");
    }
}

fn count(words: &[String], word: &str) -> usize {
    words.iter().filter(|noted| *noted == word).count()
}

/// What a scripted step does.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub enum Act {
    #[default]
    Succeed,
    Fail,
    Panic,
    Stop,
    /// Calls `shutdown()` on the loop's own thread, notes the answer, and succeeds.
    Shutdown,
    /// Goes on when the test notes `go`.
    Hold,
    /// `verify_request` only: answers `false`.
    Refuse,
}

/// What the hooks and the steps of the handler do: they succeed, unless the script names them.
/// Every one notes its name first.
#[derive(Clone, Default)]
pub struct Script {
    acts: Vec<(&'static str, Act)>,
    pub trace: Trace,
    /// What the next accepts fail with.
    pub faults: Arc<Mutex<VecDeque<io::Error>>>,
    stopper: Arc<OnceLock<ShutdownHandle>>,
}

pub type Factory = Box<dyn Fn(&SocketAddr) -> Script + Send>;
pub type Scripted = Server<Recorded, Inline<Factory>, Script>;

impl Script {
    /// A script in which the named steps do something else than to succeed.
    pub fn of(acts: &[(&'static str, Act)]) -> Script {
        Script {
            acts: acts.to_vec(),
            ..Script::default()
        }
    }

    /// A server on a free port that follows this script. Each request is a line, which comes back.
    pub fn server(&self) -> Scripted {
        self.server_with(Inline(self.factory()))
    }

    /// As [`server`](Self::server), with a dispatch of the test's own.
    pub fn server_with<D: Dispatch<Recorded>>(&self, dispatch: D) -> Server<Recorded, D, Script> {
        let server = Server::with_hooks(self.transport(), dispatch, self.clone()).expect("a poll");
        let _ = self.stopper.set(server.shutdown_handle());
        server
    }

    pub fn transport(&self) -> Recorded {
        let tcp =
            Tcp::new("127.0.0.1:0").and_then(|tcp| tcp.request_queue_size(64).bind_and_activate());
        let script = self.clone();
        Intercepted::new(tcp.expect("a free port"), move |tcp| {
            let trace = script.trace.clone();
            if let Some(fault) = script.faults.lock().expect("no panic").pop_front() {
                trace.note("lost");
                return Err(fault);
            }
            let (stream, address) = tcp.get_request()?;
            trace.note("get");
            Ok((RecordedRequest { stream, trace }, address))
        })
    }

    pub fn factory(&self) -> Factory {
        let script = self.clone();
        Box::new(move |_client_address| {
            script.trace.note("make");
            script.clone()
        })
    }

    fn act(&self, step: &str) -> Act {
        let act = self.acts.iter().find(|(name, _)| *name == step);
        act.map_or(Act::Succeed, |(_, act)| *act)
    }

    fn perform(&self, step: &str) -> HandlerResult {
        match self.act(step) {
            Act::Succeed | Act::Refuse => {}
            Act::Fail => return Err(io::Error::other(format!("{step} failed")).into()),
            Act::Panic => panic!("{step} panicked"),
            Act::Stop => return Err(Failure::Stop),
            Act::Shutdown => {
                let answer = self.stopper.get().expect("a server").shutdown();
                self.trace.note(format!("{answer:?}"));
            }
            Act::Hold => self.trace.wait_for("go", 1),
        }
        Ok(())
    }

    fn step(&self, step: &str) -> HandlerResult {
        self.trace.note(step);
        self.perform(step)
    }
}

impl RequestHandler for Script {
    fn setup(&mut self, _rfile: &mut dyn Rfile) -> HandlerResult {
        self.step("setup")
    }

    fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
        let mut line = String::new();
        rfile.read_line(&mut line)?;
        self.trace.note(format!("handle({})", line.trim_end()));
        self.perform("handle")?;
        wfile.write_all(line.as_bytes())?;
        Ok(())
    }

    fn finish(&mut self) -> HandlerResult {
        self.step("finish")
    }
}

impl<T: Transport> Hooks<T> for Script {
    fn verify_request(&mut self, _: &T::Request, _: &T::Address) -> Result<bool, Failure> {
        self.step("verify")?;
        Ok(self.act("verify") != Act::Refuse)
    }

    fn service_actions(&mut self, _reactor: &mut Reactor, _now: &Now) -> HandlerResult {
        self.step("service")
    }

    fn handle_error(&mut self, error: &(dyn Error + Send + Sync), _: &T::Address) -> HandlerResult {
        self.trace.note(format!("error({error})"));
        self.perform("error")
    }

    fn handle_timeout(&mut self) -> HandlerResult {
        self.step("timeout")
    }

    fn ready(&mut self, _slot: Slot, _reactor: &mut Reactor, _now: &Now) -> HandlerResult {
        self.step("ready")
    }
}

/// What one served line leaves in the trace.
pub fn served(line: &str) -> String {
    format!("get verify make setup handle({line}) finish shutdown close service")
}

/// A [`Tcp`] that notes `get`, or `lost` for each of the script's faults.
pub type Recorded = Intercepted<RecordedRequest>;

/// A request that notes `shutdown` and `close`.
pub struct RecordedRequest {
    stream: mio::net::TcpStream,
    trace: Trace,
}

impl Request for RecordedRequest {
    fn serve(
        &mut self,
        handle: impl FnOnce(&mut dyn Rfile, &mut dyn Write) -> HandlerResult,
    ) -> HandlerResult {
        self.stream.serve(handle)
    }

    fn shutdown_request(&mut self) {
        self.trace.note("shutdown");
        self.stream.shutdown_request();
    }
}

impl Drop for RecordedRequest {
    fn drop(&mut self) {
        self.trace.note("close");
    }
}

/// A server in a thread of its own; dropping it ends its loop.
pub struct Running<S, A = SocketAddr> {
    pub address: A,
    pub handle: ShutdownHandle,
    /// The loop's thread, below `/proc` where there is one.
    pub thread: PathBuf,
    loop_: Option<Job<Ended<S>>>,
}

/// A server whose loop has ended, and how: `ok`, `stop`, `failed: …` or `panicked: …`.
pub struct Ended<S> {
    pub server: S,
    pub outcome: String,
}

/// Runs `serve_forever` in a thread.
pub fn run<T, D, H>(
    server: Server<T, D, H>,
    poll_interval: impl Into<Option<Duration>>,
) -> Running<Server<T, D, H>, T::Address>
where
    T: Transport + Send + 'static,
    D: Dispatch<T> + Send + 'static,
    H: Hooks<T> + Send + 'static,
{
    let poll_interval = poll_interval.into();
    run_as(server, move |server| server.serve_forever(poll_interval))
}

/// Runs the server in a thread in some other way.
pub fn run_as<T, D, H>(
    mut server: Server<T, D, H>,
    serve: impl FnOnce(&mut Server<T, D, H>) -> HandlerResult + Send + 'static,
) -> Running<Server<T, D, H>, T::Address>
where
    T: Transport + Send + 'static,
    D: Dispatch<T> + Send + 'static,
    H: Hooks<T> + Send + 'static,
{
    let (thread, started) = channel();
    Running {
        address: server.server_address(),
        handle: server.shutdown_handle(),
        loop_: Some(spawn(move || {
            let name = fs::read_link("/proc/thread-self").unwrap_or_default();
            thread.send(name).expect("the test waits for it");
            let ran = catch_unwind(AssertUnwindSafe(|| serve(&mut server)));
            let outcome = match ran {
                Ok(Ok(())) => "ok".to_owned(),
                Ok(Err(Failure::Stop)) => "stop".to_owned(),
                Ok(Err(Failure::Request(error))) => format!("failed: {error}"),
                Err(payload) => match payload.downcast::<String>() {
                    Ok(message) => format!("panicked: {message}"),
                    Err(_) => "panicked".to_owned(),
                },
            };
            Ended { server, outcome }
        })),
        thread: started.recv_timeout(LIMIT).expect("a thread"),
    }
}

impl<S, A> Running<S, A> {
    /// Waits for the loop to end by itself, in whatever way.
    pub fn ended(mut self) -> Ended<S> {
        self.loop_.take().expect("waited for once").join()
    }

    /// Waits for the loop to end by itself, without a failure.
    pub fn returned(self) -> S {
        let Ended { server, outcome } = self.ended();
        assert_eq!(outcome, "ok");
        server
    }

    /// Shuts the loop down.
    pub fn stop(self) -> S {
        self.handle.request();
        self.returned()
    }
}

impl<S, A> Drop for Running<S, A> {
    fn drop(&mut self) {
        if let Some(Job(ended)) = self.loop_.take() {
            self.handle.request();
            let _ = ended.recv_timeout(LIMIT);
        }
    }
}

/// Connects; no read or write of the connection takes longer than the limit.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, LIMIT).expect("a listener with room");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream.set_write_timeout(Some(LIMIT)).expect("a limit");
    stream
}

/// A client that has asked and not read its answer: whether or not the server runs.
pub fn queue(address: SocketAddr, line: &str) -> TcpStream {
    let mut stream = connect(address);
    stream
        .write_all(format!("{line}\n").as_bytes())
        .expect("sent");
    stream
}

/// All that the server still sends.
pub fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text.trim_end().to_owned()
}

/// A whole conversation: one line, one answer.
pub fn ask(address: SocketAddr, line: &str) -> String {
    answer(queue(address, line))
}

/// A loopback address that no other test listens on, for tests of what a port is like when nobody
/// listens there any more. All of 127/8 is loopback on Linux.
pub fn own_host(number: u8) -> SocketAddr {
    let host = match cfg!(target_os = "linux") {
        true => Ipv4Addr::new(127, 77, 0, number),
        false => Ipv4Addr::LOCALHOST,
    };
    SocketAddr::new(IpAddr::V4(host), 0)
}

/// Asks again and again until the answer is yes.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LIMIT, "never {what}");
        thread::yield_now();
    }
}
