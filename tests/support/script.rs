//! A server that follows a script and keeps a trace.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use serve_forever::reactor::{Now, Reactor, Slot};
use serve_forever::socketserver::{
    Accepted, Dispatch, Failure, HandlerResult, Hooks, Inline, RequestHandler, Rfile, Server,
    ShutdownHandle, Tcp, Transport, Waiter,
};

use super::trace::Trace;
use super::transport::Intercepted;

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
        self.server_with(Inline::new(self.factory()))
    }

    /// Like [`server`](Self::server), but with your own dispatch.
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
            Act::Stop => return Err(Failure::stop()),
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

    fn handle_error(
        &mut self,
        error: &(dyn Error + Send + Sync + 'static),
        _: &T::Address,
    ) -> HandlerResult {
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

impl Accepted for RecordedRequest {
    fn serve(
        &mut self,
        waiter: &Waiter,
        handle: impl FnOnce(&mut dyn Rfile, &mut dyn Write) -> HandlerResult,
    ) -> HandlerResult {
        self.stream.serve(waiter, handle)
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
