//! Servers that run in a thread of their own.
//!
//! [`serve`] makes the server in its thread, so nothing of it has to be `Send`, and its failures
//! come to the test. [`run`] takes a server that the test has made, and gives it back.

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use serve_forever::socketserver::{
    Dispatch, HandlerResult, Hooks, ServeError, Server, ShutdownHandle, Tcp, Transport,
};

use super::client::Client;
use super::patience::{Job, PATIENCE, spawn, wait_until};

/// Hooks that hand every failure to the test.
pub struct Report(Sender<(String, SocketAddr)>);

pub type Reports = Receiver<(String, SocketAddr)>;

impl Report {
    pub fn new() -> (Report, Reports) {
        let (sender, reports) = mpsc::channel();
        (Report(sender), reports)
    }
}

impl<T: Transport<Address = SocketAddr>> Hooks<T> for Report {
    fn handle_error(
        &mut self,
        error: &(dyn Error + Send + Sync + 'static),
        client_address: &SocketAddr,
    ) -> HandlerResult {
        self.0.send((error.to_string(), *client_address))?;
        Ok(())
    }
}

/// A server that serves in a thread of its own until it is dropped.
pub struct Serving {
    pub address: SocketAddr,
    pub reports: Reports,
    pub handle: ShutdownHandle,
    done: Receiver<Result<(), String>>,
}

/// Serves with what `make_dispatch` makes.
pub fn serve<D: Dispatch<Tcp>>(make_dispatch: impl FnOnce() -> D + Send + 'static) -> Serving {
    serve_on(listen(), make_dispatch)
}

/// Like [`serve`], but on your own listener.
pub fn serve_on<D: Dispatch<Tcp>>(
    tcp: Tcp,
    make_dispatch: impl FnOnce() -> D + Send + 'static,
) -> Serving {
    let (report, reports) = Report::new();
    let (started, starting) = mpsc::channel();
    let (ended, done) = mpsc::channel();
    thread::spawn(move || {
        let mut server =
            Server::with_hooks(tcp, make_dispatch(), report).expect("a poll can be had");
        let running = (server.server_address(), server.shutdown_handle());
        started.send(running).expect("the test waits");
        let result = server.serve_forever();
        // The test may be gone if it has failed.
        let _ = ended.send(result.map_err(|failure| failure.to_string()));
    });
    let (address, handle) = starting.recv_timeout(PATIENCE).expect("the server starts");
    Serving {
        address,
        reports,
        handle,
        done,
    }
}

impl Serving {
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// The next failure that was reported.
    pub fn report(&self) -> (String, SocketAddr) {
        self.reports.recv_timeout(PATIENCE).expect("a report")
    }
}

impl Drop for Serving {
    /// Whatever a test did to it, the server must still be able to stop.
    fn drop(&mut self) {
        self.handle.request();
        if !thread::panicking() {
            let result = self.done.recv_timeout(PATIENCE);
            assert_eq!(result, Ok(Ok(())), "the server stops in good order");
        }
    }
}

pub fn listen() -> Tcp {
    let tcp = Tcp::new("127.0.0.1:0").expect("a socket");
    tcp.request_queue_size(1024)
        .disable_nagle_algorithm(true)
        .bind_and_activate()
        .expect("a free port")
}

/// Waits for the next request of a transport.
pub fn accept<T: Transport>(transport: &mut T) -> (T::Request, T::Address) {
    let mut accepted = None;
    wait_until("accepted", || {
        accepted = transport.get_request().ok();
        accepted.is_some()
    });
    accepted.expect("waited for")
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
    mut server: Server<T, D, H>,
    poll_interval: impl Into<Option<Duration>>,
) -> Running<Server<T, D, H>, T::Address>
where
    T: Transport + Send + 'static,
    D: Dispatch<T> + Send + 'static,
    H: Hooks<T> + Send + 'static,
{
    server.set_poll_interval(poll_interval);
    run_as(server, |server| server.serve_forever())
}

/// Runs the server in a thread in some other way.
pub fn run_as<T, D, H>(
    mut server: Server<T, D, H>,
    serve: impl FnOnce(&mut Server<T, D, H>) -> Result<(), ServeError> + Send + 'static,
) -> Running<Server<T, D, H>, T::Address>
where
    T: Transport + Send + 'static,
    D: Dispatch<T> + Send + 'static,
    H: Hooks<T> + Send + 'static,
{
    let (thread, started) = mpsc::channel();
    Running {
        address: server.server_address(),
        handle: server.shutdown_handle(),
        loop_: Some(spawn(move || {
            let name = fs::read_link("/proc/thread-self").unwrap_or_default();
            thread.send(name).expect("the test waits for it");
            let ran = catch_unwind(AssertUnwindSafe(|| serve(&mut server)));
            let outcome = match ran {
                Ok(Ok(())) => "ok".to_owned(),
                Ok(Err(ServeError::Stopped(_))) => "stop".to_owned(),
                Ok(Err(error)) => format!("failed: {error}"),
                Err(payload) => match payload.downcast::<String>() {
                    Ok(message) => format!("panicked: {message}"),
                    Err(_) => "panicked".to_owned(),
                },
            };
            Ended { server, outcome }
        })),
        thread: started.recv_timeout(PATIENCE).expect("a thread"),
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
            let _ = ended.recv_timeout(PATIENCE);
        }
    }
}
