//! The server as other threads see it: its counts, and the thread that it runs on.
#![cfg(feature = "server")]

mod support;

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use serve_forever::http::{
    BodyPolicy, Http, HttpRequestHandler, HttpResult, HttpServer, HttpSettings, OwnedRequest,
    Pooled, Request, Response, ThreadedHttp, listen,
};
use serve_forever::reactor::{Now, Reactor};
use serve_forever::socketserver::{
    Buffer, Dispatch, Drained, Driver, Ends, Evented, Factory, Failure, Files, HandlerResult,
    Hooks, Inline, Mailbox, Next, NotStopped, Pool, Protocol, RequestHandler, Rfile, RunningServer,
    ServeError, Server, ServerHandle, Tcp, Threading, Turn,
};
use support::patience::{LONG, PATIENCE, in_time, spawn, wait_until};

/// Counts are those of the last turn: exact whenever the loop rests.
#[test]
fn other_threads_read_the_counts_while_the_loop_runs() {
    let mut server = HttpServer::bind("127.0.0.1:0", |_: &Request<'_>, response: Response<'_>| {
        response.send_response(204).body("")
    })
    .expect("a free port");
    server.set_poll_interval(None);
    let (address, handle) = (server.server_address(), server.handle());
    assert_eq!(handle.stats(), server.stats());
    let looping = spawn(move || {
        server.serve_forever().expect("no failure");
        server
    });
    for accepted in 1..=3 {
        let client = TcpStream::connect(address).expect("connected");
        wait_until("it is counted", || handle.stats().accepted == accepted);
        assert_eq!(handle.stats().open, 1);
        drop(client);
        wait_until("it is gone", || handle.stats().open == 0);
    }
    handle.shutdown_handle().request();
    let mut server = looping.join();
    assert_eq!(handle.stats(), server.stats());
    server.server_close();
    assert_eq!(handle.stats().slots, 0);
    let last = server.stats();
    drop(server);
    assert_eq!(handle.stats(), last);
}

/// The hooks get the handle once, before anything else runs.
#[test]
fn hooks_are_attached() {
    struct Attached(Arc<OnceLock<ServerHandle>>);

    impl Hooks<Tcp> for Attached {
        fn attach(&mut self, server: &ServerHandle, _: &mut Reactor) -> io::Result<()> {
            self.0.set(server.clone()).expect("once");
            Ok(())
        }
    }

    let attached = Arc::new(OnceLock::new());
    let hello = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("");
    let dispatch = Evented::new(Http::new(hello, HttpSettings::default()));
    let tcp = listen("127.0.0.1:0").expect("a free port");
    let hooks = Attached(Arc::clone(&attached));
    let mut server = Server::with_hooks(tcp, dispatch, hooks).expect("a server");
    let handle = attached.get().expect("attached");
    handle.shutdown_handle().request();
    server.serve_forever().expect("stopped by the handle");
}

fn hello(_: &Request<'_>, response: Response<'_>) -> HttpResult {
    response.send_response(200).body("hello")
}

fn bind<H: HttpRequestHandler + Clone>(handler: H) -> HttpServer<H> {
    let mut server = HttpServer::bind("127.0.0.1:0", handler).expect("a free port");
    server.set_poll_interval(None);
    server
}

/// Sends one request, and returns everything that comes back.
fn get(address: SocketAddr, path: &str) -> String {
    let mut client = TcpStream::connect(address).expect("connected");
    client.set_read_timeout(Some(PATIENCE)).expect("set");
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("answered");
    answer
}

#[test]
fn a_spawned_server_serves_until_it_is_stopped() {
    let running = bind(hello).spawn().expect("a thread");
    let address = *running.server_address();
    assert!(get(address, "/").ends_with("\r\n\r\nhello"));
    wait_until("it is counted", || running.stats().accepted == 1);
    let handle = running.handle().clone();
    assert!(in_time(move || running.shutdown()).is_ok());
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
    assert_eq!(handle.shutdown_handle().wait(), Ok(()));
}

/// SHUT-13: a server that was just spawned runs, so whoever stops it can wait.
#[test]
fn a_spawned_server_can_be_stopped_at_any_moment() {
    for round in 0..100 {
        let running = bind(hello).spawn().expect("a thread");
        let stop = running.handle().clone();
        let stopped = in_time(move || {
            let handle = stop.shutdown_handle();
            match round % 4 {
                0 => handle.shutdown(),
                1 => handle.shutdown_timeout(LONG),
                2 => handle.drain(LONG).map(drop),
                _ => {
                    handle.request();
                    handle.wait()
                }
            }
        });
        assert_eq!(stopped, Ok(()));
        assert!(in_time(move || running.shutdown()).is_ok());
    }
}

#[test]
fn dropping_a_spawned_server_stops_it() {
    let running = bind(hello).spawn().expect("a thread");
    let (address, handle) = (*running.server_address(), running.handle().clone());
    in_time(move || drop(running));
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
    let waited = handle.shutdown_handle().wait_timeout(Duration::ZERO);
    assert_eq!(waited, Ok(()), "no loop runs");
}

#[test]
fn a_spawned_server_drains() {
    let running = bind(hello).spawn().expect("a thread");
    let mut idle = TcpStream::connect(*running.server_address()).expect("connected");
    idle.set_read_timeout(Some(PATIENCE)).expect("set");
    wait_until("it is open", || running.stats().open == 1);
    let drained = in_time(move || running.drain(LONG)).expect("drained");
    let Drained {
        finished, aborted, ..
    } = drained;
    assert_eq!((finished, aborted), (1, 0));
    assert_eq!(idle.read(&mut [0]).expect("closed in order"), 0);
}

/// The caller learns that a drain was cut short.
#[test]
fn a_drain_that_is_cut_short_is_an_error() {
    let running = bind(hello).spawn().expect("a thread");
    let handle = running.handle().clone();
    handle.shutdown_handle().request();
    assert_eq!(in_time(move || handle.shutdown_handle().wait()), Ok(()));
    match running.drain(LONG) {
        Err(ServeError::Failed(error)) => {
            let error = error.downcast::<NotStopped>().expect("why");
            assert_eq!(*error, NotStopped::NotDrained);
        }
        other => panic!("{other:?}"),
    }
}

/// The result of `serve_forever` reaches the caller.
#[test]
fn a_spawned_server_reports_why_it_ended() {
    let stops = |_: &Request<'_>, _: Response<'_>| Err(Failure::stop_because("enough"));
    let running = bind(stops).spawn().expect("a thread");
    let _client = {
        let mut client = TcpStream::connect(*running.server_address()).expect("connected");
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("sent");
        client
    };
    let handle = running.handle().clone();
    assert_eq!(in_time(move || handle.shutdown_handle().wait()), Ok(()));
    let error = running.shutdown().expect_err("it was stopped");
    assert!(matches!(&error, ServeError::Stopped(Some(_))), "{error:?}");
    assert!(error.to_string().contains("enough"), "{error}");
}

/// A hook that panics ends the loop: whoever stops the server hears of it, and a drop does not.
#[test]
fn a_panic_of_the_loop_is_resumed() {
    struct Panics;

    impl Hooks<Tcp> for Panics {
        fn service_actions(&mut self, _: &mut Reactor, _: &Now) -> HandlerResult {
            panic!("the hook panics")
        }

        fn handle_error(
            &mut self,
            _: &(dyn Error + Send + Sync + 'static),
            _: &SocketAddr,
        ) -> HandlerResult {
            Ok(())
        }
    }

    let start = || {
        let dispatch = Evented::new(Http::new(hello, HttpSettings::default()));
        let tcp = listen("127.0.0.1:0").expect("a free port");
        let mut server = Server::with_hooks(tcp, dispatch, Panics).expect("a server");
        server.set_poll_interval(Duration::ZERO);
        let running = server.spawn().expect("a thread");
        let handle = running.handle().clone();
        assert_eq!(in_time(move || handle.shutdown_handle().wait()), Ok(()));
        running
    };
    let running = start();
    let payload = catch_unwind(AssertUnwindSafe(|| running.shutdown())).expect_err("resumed");
    assert_eq!(payload.downcast_ref(), Some(&"the hook panics"));
    drop(start());
}

/// A loop may move to another thread while clients are connected. Handlers there still learn that a wait
/// for the loop would never end, also on connections that are older than the move.
#[test]
fn a_loop_that_has_moved_is_not_waited_for_by_its_handlers() {
    let (told, results) = std::sync::mpsc::channel();
    let mut server = bind(move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        let mut stream = deferred.stream(|response| response.send_response(200))?;
        let written = stream.write_all(&[b'x'; 1_000_000]);
        told.send(written.map_err(|error| error.kind()))?;
        Ok(reply)
    });
    let mut client = TcpStream::connect(server.server_address()).expect("connected");
    let mut server = in_time(move || {
        while server.stats().open == 0 {
            server.turn().expect("a turn");
        }
        server
    });
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    let written = in_time(move || {
        loop {
            server.turn().expect("a turn");
            if let Ok(written) = results.try_recv() {
                return written;
            }
        }
    });
    assert_eq!(written, Err(io::ErrorKind::WouldBlock));
}

/// A handler on the loop's own thread that drops the server stops it, and waits for nothing.
#[test]
fn the_loops_own_thread_may_drop_the_running_server() {
    type Cell = Arc<Mutex<Option<RunningServer<SocketAddr>>>>;
    for by_shutdown in [false, true] {
        let cell = Cell::default();
        let (own, (told, results)) = (Arc::clone(&cell), std::sync::mpsc::channel());
        let running = bind(move |_: &Request<'_>, response: Response<'_>| {
            let running = own.lock().expect("no panic").take().expect("it is there");
            if by_shutdown {
                let result = running.shutdown().map_err(|error| error.to_string());
                told.send(result.expect_err("it cannot wait"))?;
            } else {
                drop(running);
            }
            response.send_response(200).body("stopping")
        });
        let running = running.spawn().expect("a thread");
        let (address, handle) = (*running.server_address(), running.handle().clone());
        *cell.lock().expect("no panic") = Some(running);
        let mut client = TcpStream::connect(address).expect("connected");
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("sent");
        assert_eq!(in_time(move || handle.shutdown_handle().wait()), Ok(()));
        if by_shutdown {
            let error = results.recv_timeout(PATIENCE).expect("told");
            assert_eq!(error, NotStopped::OnLoopThread.to_string());
        }
    }
}

/// How a handler ends the server that it has taken out of a variable.
type End = fn(RunningServer<SocketAddr>) -> Result<(), ServeError>;

const ENDS: [(&str, End); 4] = [
    ("drop", |running| {
        drop(running);
        Ok(())
    }),
    ("shutdown", RunningServer::shutdown),
    ("join", |running| {
        running.shutdown_handle().request();
        running.join()
    }),
    ("drain", |running| {
        running.drain(Duration::from_millis(1)).map(drop)
    }),
];

/// THREAD-10: a handler on a thread may end its own server and wait for that, although the server
/// waits for its handlers when it closes. It waits for the other handlers, and not for this one, nor for
/// a request that waits for the only thread.
#[test]
fn a_handler_on_a_thread_may_end_its_running_server() {
    for ((name, end), threads) in ENDS.iter().flat_map(|end| [(*end, 1), (*end, 2)]) {
        let cell: Arc<Mutex<Option<RunningServer<SocketAddr>>>> = Arc::default();
        let own = Arc::clone(&cell);
        let dispatch = Threading::new(move |_: &SocketAddr| {
            let own = Arc::clone(&own);
            move |rfile: &mut dyn Rfile, wfile: &mut dyn Write| -> HandlerResult {
                rfile.read_line(&mut String::new())?;
                let running = own.lock().expect("no panic").take();
                let Some(running) = running else {
                    return Ok(());
                };
                wait_until("both accepted", || running.stats().accepted == 2);
                end(running)?;
                wfile.write_all(b"it has ended")?;
                Ok(())
            }
        });
        let tcp = listen("127.0.0.1:0").expect("a free port");
        let mut server = Server::new(tcp, dispatch.threads(threads)).expect("a server");
        server.set_poll_interval(None);
        let mut locked = cell.lock().expect("no panic");
        let running = locked.insert(server.spawn().expect("a thread"));
        let (address, stop) = (*running.server_address(), running.shutdown_handle().clone());
        drop(locked);
        let mut client = TcpStream::connect(address).expect("connected");
        client.set_read_timeout(Some(PATIENCE)).expect("set");
        client.write_all(b"a line\n").expect("sent");
        let _other = TcpStream::connect(address).expect("connected");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("answered");
        assert_eq!(answer, "it has ended", "{name}");
        assert_eq!(in_time(move || stop.wait()), Ok(()), "{name}");
    }
}

/// THREAD-5, THREAD-10: so may a handler of HTTP whose server waits for its handlers.
#[test]
fn a_handler_of_http_may_end_its_running_server() {
    for (name, end) in ENDS {
        let cell: Arc<Mutex<Option<RunningServer<SocketAddr>>>> = Arc::default();
        let own = Arc::clone(&cell);
        let (told, results) = std::sync::mpsc::channel();
        let stops = move |_: &Request<'_>, response: Response<'_>| {
            let running = own.lock().expect("no panic").take().expect("it is there");
            told.send(end(running).is_ok())?;
            response.send_response(200).body("too late")
        };
        let workers = Pool::new().threads(2);
        let http = ThreadedHttp::new(stops, HttpSettings::default(), workers);
        let http = http.block_on_close(LONG);
        let tcp = listen("127.0.0.1:0").expect("a free port");
        let mut server = Server::new(tcp, Evented::new(http)).expect("a server");
        server.set_poll_interval(None);
        let mut locked = cell.lock().expect("no panic");
        let running = locked.insert(server.spawn().expect("a thread"));
        let address = *running.server_address();
        drop(locked);
        let mut client = TcpStream::connect(address).expect("connected");
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(request).expect("sent");
        assert_eq!(results.recv_timeout(PATIENCE), Ok(true), "{name}");
    }
}

/// Law 11: a hook runs on the loop's own thread, so it cannot wait for its server, and is told so.
#[test]
fn a_hook_may_end_its_running_server() {
    type Held = Arc<Mutex<Option<RunningServer<SocketAddr>>>>;
    struct Ender(Held, End, std::sync::mpsc::Sender<Option<String>>);

    impl Hooks<Tcp> for Ender {
        fn service_actions(&mut self, _: &mut Reactor, _: &Now) -> HandlerResult {
            if let Some(running) = self.0.lock().expect("no panic").take() {
                let stop = running.shutdown_handle().clone();
                let error = (self.1)(running).err();
                self.2.send(error.map(|error| error.to_string()))?;
                stop.request(); // what if it only waited?
            }
            Ok(())
        }
    }

    for (name, end) in ENDS {
        let held = Held::default();
        let (told, results) = std::sync::mpsc::channel();
        let tcp = listen("127.0.0.1:0").expect("a free port");
        let dispatch = Evented::new(Http::new(hello, HttpSettings::default()));
        let hooks = Ender(Arc::clone(&held), end, told);
        let mut server = Server::with_hooks(tcp, dispatch, hooks).expect("a server");
        server.set_poll_interval(Duration::from_millis(1));
        let mut locked = held.lock().expect("no panic");
        let running = locked.insert(server.spawn().expect("a thread"));
        let stop = running.shutdown_handle().clone();
        drop(locked);
        let expected = (name != "drop").then(|| NotStopped::OnLoopThread.to_string());
        assert_eq!(results.recv_timeout(PATIENCE), Ok(expected), "{name}");
        assert_eq!(in_time(move || stop.wait()), Ok(()), "{name}");
    }
}

/// SHUT-15: whoever asks can wait, also if a host calls `turn`.
#[test]
fn a_host_that_holds_a_run_can_be_waited_for() {
    let mut server = bind(hello);
    let stop = server.shutdown_handle();
    let run = server.begin_run().expect("no other");
    let error = server.serve_forever().expect_err("LOOP-16");
    assert!(error.to_string().contains("is running"), "{error}");
    let drained = spawn(move || stop.drain(LONG));
    while server.turn().expect("no failure") != Turn::Shutdown {
        thread::yield_now();
    }
    assert_eq!(server.timeout(), None, "it asks for no further turns");
    drop(run);
    assert_eq!(drained.join(), Ok(Drained::default()));
}

// A handler reaches its server.

/// A drain that a handler asks for sends the handler's own response whole, and then ends the server.
#[test]
fn a_handler_drains_its_own_server() {
    const LENGTH: usize = 1_000_000;
    let running = bind(|request: &Request<'_>, response: Response<'_>| {
        let server = request.server().expect("a server");
        server.shutdown_handle().request_drain(LONG);
        response.send_response(200).body(vec![b'x'; LENGTH])
    });
    let running = running.spawn().expect("a thread");
    let handle = running.handle().clone();
    let answer = get(*running.server_address(), "/");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert_eq!(body.len(), LENGTH);
    assert_eq!(in_time(move || handle.shutdown_handle().wait()), Ok(()));
    let drained = running.shutdown_handle().drained().expect("drained");
    assert_eq!((drained.finished, drained.aborted), (1, 0));
}

/// A page of metrics: on the loop, on a worker, in a copy of the request, and where a body is
/// decided about.
#[test]
fn a_handler_shows_the_counts() {
    #[derive(Clone)]
    struct Metrics;

    fn accepted(request: &Request<'_>) -> u64 {
        request.server().expect("a server").stats().accepted
    }

    impl HttpRequestHandler for Metrics {
        fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
            assert!(request.server().is_some());
            BodyPolicy::whole()
        }

        fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
            response
                .send_response(200)
                .body(accepted(request).to_string())
        }

        fn do_post(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
            let (kept, (deferred, reply)) = (OwnedRequest::new(request), response.defer());
            thread::spawn(move || {
                let accepted = kept.with(accepted);
                // Ignore the error: the test fails when it gets no response.
                let _ = deferred
                    .respond(|response| response.send_response(200).body(accepted.to_string()));
            });
            Ok(reply)
        }
    }

    let on_the_loop = bind(Metrics).spawn().expect("a thread");
    let pooled = bind(Pooled::new(Metrics, Pool::new().threads(1)));
    let pooled = pooled.spawn().expect("a thread");
    for running in [on_the_loop, pooled] {
        let address = *running.server_address();
        assert!(get(address, "/").contains("200 OK"));
        wait_until("it is counted", || running.stats().accepted == 1);
        let mut client = TcpStream::connect(address).expect("connected");
        client.set_read_timeout(Some(PATIENCE)).expect("set");
        wait_until("it is counted", || running.stats().accepted == 2);
        let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
        client
            .write_all(&[&get[..], &post[..]].concat())
            .expect("sent");
        let mut answers = String::new();
        client.read_to_string(&mut answers).expect("answered");
        assert_eq!(answers.matches("\r\n\r\n2").count(), 2, "{answers}");
    }
}

/// SHUT-10: a handler on a worker may wait for the end of the loop.
#[test]
fn a_pooled_handler_shuts_its_server_down() {
    let (told, results) = std::sync::mpsc::channel();
    let stops = move |request: &Request<'_>, response: Response<'_>| -> HttpResult {
        let server = request.server().expect("a server");
        told.send(server.shutdown_handle().shutdown())?;
        response.send_response(200).body("too late")
    };
    let pooled = bind(Pooled::new(stops, Pool::new().threads(1)));
    let running = pooled.spawn().expect("a thread");
    let mut client = TcpStream::connect(*running.server_address()).expect("connected");
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    assert_eq!(results.recv_timeout(PATIENCE), Ok(Ok(())));
    assert!(in_time(move || running.shutdown()).is_ok());
}

/// Every dispatch tells its factory of the server.
#[test]
fn a_factory_is_told_its_server() {
    struct Stops;

    struct Stop(ServerHandle);

    impl RequestHandler for Stop {
        fn handle(&mut self, _: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
            wfile.write_all(b"stopping")?;
            self.0.shutdown_handle().request();
            Ok(())
        }
    }

    impl Factory<SocketAddr> for Stops {
        type Made = Stop;

        fn make(&self, ends: &Ends<'_, SocketAddr>) -> Result<Stop, Failure> {
            Ok(Stop(ends.server().expect("a server").clone()))
        }
    }

    fn check<D: Dispatch<Tcp> + Send + 'static>(dispatch: D) {
        let tcp = listen("127.0.0.1:0").expect("a free port");
        let running = Server::new(tcp, dispatch).expect("a server").spawn();
        let running = running.expect("a thread");
        let mut client = TcpStream::connect(*running.server_address()).expect("connected");
        client.set_read_timeout(Some(PATIENCE)).expect("set");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("answered");
        assert_eq!(answer, "stopping");
        let handle = running.handle().clone();
        assert_eq!(in_time(move || handle.shutdown_handle().wait()), Ok(()));
    }

    check(Inline::new(Stops));
    check(Threading::new(Stops));
    let client = SocketAddr::from(([127, 0, 0, 1], 1));
    assert!(Ends::new(&client).server().is_none());
}

/// A protocol finds its server in its mailbox and in its ends; without a loop there is none.
#[test]
fn a_protocol_is_told_its_server() {
    struct Stops;

    #[derive(Default)]
    struct Stop(Option<ServerHandle>);

    impl Protocol for Stop {
        type Message = Infallible;

        fn connection_made(
            &mut self,
            mailbox: Mailbox<Infallible>,
            output: &mut Buffer,
            _: &Now,
        ) -> Next {
            assert_eq!(mailbox.server().is_some(), self.0.is_some());
            let server = mailbox.server().map(ServerHandle::shutdown_handle);
            server
                .into_iter()
                .for_each(|server| server.request_drain(LONG));
            output.extend_from_slice(b"stopping");
            Next::Close
        }

        fn receive(&mut self, _: &mut Buffer, _: &mut Buffer, _: &Now) -> Next {
            Next::Close
        }
    }

    impl Factory<SocketAddr> for Stops {
        type Made = Stop;

        fn make(&self, ends: &Ends<'_, SocketAddr>) -> Result<Stop, Failure> {
            Ok(Stop(ends.server().cloned()))
        }
    }

    let tcp = listen("127.0.0.1:0").expect("a free port");
    let server = Server::new(tcp, Evented::new(Stops)).expect("a server");
    let running = server.spawn().expect("a thread");
    let mut client = TcpStream::connect(*running.server_address()).expect("connected");
    client.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("answered");
    assert_eq!(answer, "stopping");
    let handle = running.handle().clone();
    assert_eq!(in_time(move || handle.shutdown_handle().wait()), Ok(()));

    let mut output = Vec::new();
    let files = Files {
        rfile: &b""[..],
        wfile: &mut output,
    };
    Driver::new(Stop::default()).drive(files).expect("driven");
    assert_eq!(output, b"stopping");
}

// A host that gives the server only so much time.

/// At the deadline it stops between two sources, but each call makes progress.
#[test]
fn a_turn_until_stops_between_sources() {
    const CLIENTS: u64 = 5;
    let served = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&served);
    let mut server = bind(move |_: &Request<'_>, response: Response<'_>| {
        counts.fetch_add(1, SeqCst);
        response.send_response(204).body("")
    });
    let address = server.server_address();
    let connect = |_| TcpStream::connect(address).expect("connected");
    let mut clients: Vec<_> = (0..CLIENTS).map(connect).collect();
    let mut calls = 0;
    wait_until("all are accepted", || {
        calls += 1;
        let deadline = Instant::now() + LONG;
        assert_ne!(
            server.turn_until(deadline).expect("no failure"),
            Turn::Shutdown
        );
        server.stats().open as u64 == CLIENTS
    });
    assert!(calls < CLIENTS, "several are accepted in one call: {calls}");

    for client in &mut clients {
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("sent");
    }
    let over = Instant::now();
    for done in 0..CLIENTS {
        wait_until("the next is served", || {
            server.turn_until(over).expect("no failure");
            assert!(served.load(SeqCst) <= done + 1, "one in each call");
            served.load(SeqCst) == done + 1
        });
    }
    for client in &mut clients {
        client.set_read_timeout(Some(PATIENCE)).expect("set");
        assert_ne!(client.read(&mut [0; 64]).expect("answered"), 0);
    }
    server.shutdown_handle().request();
    assert_eq!(server.turn_until(over).expect("no failure"), Turn::Shutdown);
}
