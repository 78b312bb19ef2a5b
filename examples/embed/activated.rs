//! A server that systemd starts with the first client, and whose state systemd knows.
//!
//! systemd binds the port, and passes the listening socket to this program when a client connects
//! (`LISTEN_FDS`, with the crate `listenfd`). No client is refused while the program starts, and none
//! while it is replaced by a new version. In return the program tells systemd what it does, on the
//! socket that `NOTIFY_SOCKET` names: `READY=1` when it serves, `STOPPING=1` when it begins to drain,
//! and `WATCHDOG=1` as long as its loop turns. If the loop hangs, systemd starts the program anew.
//!
//! Without systemd, it is a server like any other:
//!
//!     cargo run --release --example activated -- 127.0.0.1:8000
//!
//! As systemd would start it, with the first request of `curl http://127.0.0.1:8000/`:
//!
//!     cargo build --release --example activated
//!     systemd-socket-activate -l 127.0.0.1:8000 target/release/examples/activated
//!
//! For systemd itself, two units that differ only in the end of their names. `activated.socket`:
//!
//!     [Socket]
//!     ListenStream=127.0.0.1:8000
//!
//!     [Install]
//!     WantedBy=sockets.target
//!
//! and `activated.service`:
//!
//!     [Service]
//!     Type=notify
//!     ExecStart=/usr/local/bin/activated
//!     WatchdogSec=10
//!
//! A socket with `ListenStream=/run/my.sock` is a `UnixListener`: `take_unix_listener`, and
//! `UnixStreams::from_listener`.

#[cfg(target_os = "linux")]
mod linux {
    use std::env;
    use std::error::Error;
    use std::ffi::OsStr;
    use std::io::{self, Read};
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram, UnixStream};
    use std::path::Path;
    use std::process;
    use std::time::{Duration, Instant};

    use listenfd::ListenFd;
    use mio::Interest;
    use serve_forever::http::{self, Http, HttpSettings};
    use serve_forever::reactor::{Now, Reactor, Slot};
    use serve_forever::socketserver::{
        Evented, HandlerResult, Hooks, POLL_INTERVAL, Server, ServerHandle, Tcp,
    };
    use serve_forever::{Request, Response};
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::low_level::pipe;

    /// How long clients may take to finish when systemd stops the service. `TimeoutStopSec` has to be
    /// longer; it is 90 s by default.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Whoever started this program, and wants to know what it does.
    struct Manager {
        /// `None`: nobody does.
        socket: Option<UnixDatagram>,
        /// How often it wants to hear that the program is alive.
        watchdog: Option<Duration>,
    }

    impl Manager {
        fn from_env() -> io::Result<Manager> {
            let socket = match env::var_os("NOTIFY_SOCKET") {
                Some(path) if !path.is_empty() => Some(connect(path.as_bytes())?),
                _ => None,
            };
            let number = |name| env::var(name).ok()?.parse::<u64>().ok();
            let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
            let watchdog = number("WATCHDOG_USEC").filter(|_| is_ours);
            Ok(Manager {
                socket,
                watchdog: watchdog.map(Duration::from_micros),
            })
        }

        fn tell(&self, state: &str) {
            if let Some(socket) = &self.socket {
                // Ignore the error: it may have no room, and the program goes on without it.
                let _ = socket.send(state.as_bytes());
            }
        }
    }

    fn connect(path: &[u8]) -> io::Result<UnixDatagram> {
        let address = match path {
            [b'@', name @ ..] => UnixAddress::from_abstract_name(name)?,
            _ => UnixAddress::from_pathname(Path::new(OsStr::from_bytes(path)))?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_nonblocking(true)?; // the loop must not wait for it
        Ok(socket)
    }

    /// The service in the server's loop.
    struct Service {
        manager: Manager,
        /// SIGTERM and SIGINT write into it.
        signals: Option<mio::net::UnixStream>,
        /// When the manager wants to hear from it again.
        due: Instant,
        server: Option<ServerHandle>,
    }

    impl Hooks<Tcp> for Service {
        fn attach(&mut self, server: &ServerHandle, reactor: &mut Reactor) -> io::Result<()> {
            self.server = Some(server.clone());
            self.signals = Some(catch_signals(reactor)?);
            Ok(())
        }

        /// A signal has come. A second one changes nothing; systemd kills a service that takes too long.
        fn ready(&mut self, _: Slot, _: &mut Reactor, _: &Now) -> HandlerResult {
            let read = self.signals.as_mut().map(|signals| signals.read(&mut [0]));
            if let (Some(Ok(1)), Some(server)) = (read, &self.server) {
                self.manager.tell("STOPPING=1");
                server.shutdown_handle().request_drain(PATIENCE);
            }
            Ok(())
        }

        /// Called at least twice in the time of the watchdog, and under load much more often.
        fn service_actions(&mut self, _: &mut Reactor, now: &Now) -> HandlerResult {
            if let Some(watchdog) = self.manager.watchdog {
                if now.instant() >= self.due {
                    self.manager.tell("WATCHDOG=1");
                    self.due = now.instant() + watchdog / 3;
                }
            }
            Ok(())
        }
    }

    pub(super) fn main() -> Result<(), Box<dyn Error>> {
        // The first socket of the unit. `None` if there is none: then this is no unit.
        let tcp = match ListenFd::from_env().take_tcp_listener(0)? {
            Some(listener) => Tcp::from_listener(listener)?.disable_nagle_algorithm(true),
            None => http::listen(env::args().nth(1).unwrap_or("127.0.0.1:8000".into()))?,
        };
        let manager = Manager::from_env()?;
        let interval = manager.watchdog.map_or(POLL_INTERVAL, |time| time / 3);

        let service = Service {
            manager,
            signals: None,
            due: Instant::now(),
            server: None,
        };

        let hello =
            |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("hello\n");
        let dispatch = Evented::new(Http::new(hello, HttpSettings::default()));
        let mut server = Server::with_hooks(tcp, dispatch, service)?;
        server.set_poll_interval(interval);

        println!("Serving on http://{}/", server.server_address());
        let service = server.engine_mut().hooks_mut();
        service.manager.tell("READY=1"); // clients may connect, and are served in a moment
        Ok(server.serve_forever()?)
    }

    /// Lets the signals that end a service write into a pipe that the loop watches.
    fn catch_signals(reactor: &mut Reactor) -> io::Result<mio::net::UnixStream> {
        let (reader, writer) = UnixStream::pair()?;
        pipe::register(SIGTERM, writer.try_clone()?)?;
        pipe::register(SIGINT, writer)?;
        reader.set_nonblocking(true)?;
        let mut reader = mio::net::UnixStream::from_std(reader);
        reactor.watch(&mut reader, Interest::READABLE)?;
        Ok(reader)
    }
}

/// Serves until systemd, or Ctrl-C, stops it.
#[cfg(target_os = "linux")]
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("Only Linux has systemd.");
}
