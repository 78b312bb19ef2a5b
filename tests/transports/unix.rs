//! Unix-domain sockets: UNIX-1 to UNIX-5.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use serve_forever::http::{Http, HttpResult, HttpSettings, Request, Response, ThreadedHttp};
use serve_forever::socketserver::{
    Dispatch, Evented, HandlerResult, Hooks, Inline, Pool, Rfile, Server, Transport, UnixAddress,
    UnixDatagramServer, UnixDatagrams, UnixStreamServer, UnixStreams,
};
use serve_forever::wsgi::{AppResult, Environ, StartResponse, WsgiHandler};

use crate::support::patience::{LONG, PATIENCE, wait_until};
use crate::support::server::run;
use crate::support::trace::Trace;

/// A path that nobody else has, and that nobody has afterwards.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("transports-{}-{number}", std::process::id());
        Place(std::env::temp_dir().join(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Most tests have removed it already.
        let _ = fs::remove_file(&self.0);
    }
}

/// Notes failures, and whose they are.
struct Reports(Trace);

impl<T: Transport<Address = UnixAddress>> Hooks<T> for Reports {
    fn handle_error(
        &mut self,
        error: &(dyn Error + Send + Sync + 'static),
        client_address: &UnixAddress,
    ) -> HandlerResult {
        self.0.note(format!("{client_address}: {error}"));
        Ok(())
    }
}

/// Answers a line with the client's address and the line.
fn whoami(
    client_address: &UnixAddress,
) -> impl FnMut(&mut dyn Rfile, &mut dyn Write) -> HandlerResult + use<> {
    let client_address = client_address.clone();
    move |rfile, wfile| {
        let mut line = String::new();
        rfile.read_line(&mut line)?;
        write!(wfile, "{client_address:?} {line}")?;
        Ok(())
    }
}

fn connect(address: &UnixAddress) -> UnixStream {
    let stream = match address {
        UnixAddress::Path(path) => UnixStream::connect(path),
        other => panic!("{other:?} is no path"),
    };
    limited(stream.expect("a listener"))
}

fn limited(stream: UnixStream) -> UnixStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream.set_write_timeout(Some(PATIENCE)).expect("a limit");
    stream
}

fn ask(mut stream: UnixStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// UNIX-1, UNIX-2, UNIX-3, TCP-8: a stream server on a path, which is its address and stays;
/// its clients have no address. What they sent and nobody read does not destroy the answer.
#[test]
fn streams_on_a_path() {
    let place = Place::new();
    let mut server = UnixStreamServer::bind(&place.0, whoami).expect("a free path");
    server.set_max_connections_per_address(0); // counts nobody here
    let server = run(server, LONG);
    assert_eq!(server.address, UnixAddress::Path(place.0.clone()));
    let answer = ask(connect(&server.address), "one\nand what nobody reads\n");
    assert_eq!(answer, "Unnamed one\n");
    drop(server.stop());
    assert!(place.0.exists(), "UNIX-2");
    let kind = UnixStream::connect(&place.0).map_err(|error| error.kind());
    assert_eq!(kind.err(), Some(ErrorKind::ConnectionRefused));
}

/// UNIX-1, UNIX-3, UDP-2: a datagram server on a path answers clients that have one, too.
#[test]
fn datagrams_on_a_path() {
    let (place, home) = (Place::new(), Place::new());
    let server = UnixDatagramServer::bind(&place.0, whoami).expect("a free path");
    let server = run(server, LONG);
    assert_eq!(server.address, UnixAddress::Path(place.0.clone()));
    let client = datagram_client(&home);
    client.send_to(b"one\n", &place.0).expect("sent");
    let sender = UnixAddress::from(&home.0);
    assert_eq!(received(&client), format!("{sender:?} one\n"));
    drop(server.stop());
    assert!(place.0.exists(), "UNIX-2");
}

fn datagram_client(home: &Place) -> UnixDatagram {
    let client = UnixDatagram::bind(&home.0).expect("a free path");
    client.set_read_timeout(Some(PATIENCE)).expect("a limit");
    client.set_write_timeout(Some(PATIENCE)).expect("a limit");
    client
}

fn received(client: &UnixDatagram) -> String {
    let mut bytes = [0; 1000];
    let length = client.recv(&mut bytes).expect("an answer");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

/// UNIX-3, DGRAM-3: replying to a client without an address is a failure, which is reported;
/// so is one to a client that has gone. The next one is served.
#[test]
fn replying_to_nobody_is_a_failure() {
    let (place, home, gone) = (Place::new(), Place::new(), Place::new());
    let trace = Trace::default();
    let unix = UnixDatagrams::new(&place.0).and_then(UnixDatagrams::bind_and_activate);
    let unix = unix.expect("a free path");
    let unbound = UnixDatagram::unbound().expect("a socket");
    unbound.send_to(b"who?\n", &place.0).expect("sent");
    datagram_client(&gone)
        .send_to(b"bye\n", &place.0)
        .expect("sent");
    fs::remove_file(&gone.0).expect("gone");
    let client = datagram_client(&home);
    client.send_to(b"me\n", &place.0).expect("sent");
    let server = Server::with_hooks(unix, Inline::new(whoami), Reports(trace.clone()));
    let server = run(server.expect("a poll"), LONG);
    assert!(received(&client).ends_with(" me\n"));
    server.stop();
    let reports = trace.take();
    let unnamed = "(unnamed): the address is empty ";
    assert!(reports.starts_with(unnamed), "{reports}");
    let gone = UnixAddress::from(&gone.0).to_string();
    assert!(reports[unnamed.len()..].starts_with(&gone), "{reports}");
}

/// DGRAM-2, UNIX-3: a server that sends nothing needs no address to send it to.
#[test]
fn no_reply_to_nobody_is_none() {
    let place = Place::new();
    let trace = Trace::default();
    let unix = UnixDatagrams::new(&place.0).map(|unix| unix.send_empty_replies(false));
    let unix = unix
        .and_then(UnixDatagrams::bind_and_activate)
        .expect("a free path");
    let noted = trace.clone();
    let dispatch = Inline::new(move |_client_address: &UnixAddress| {
        let noted = noted.clone();
        move |rfile: &mut dyn Rfile, _: &mut dyn Write| {
            let mut line = String::new();
            rfile.read_line(&mut line)?;
            noted.note(line);
            Ok(())
        }
    });
    let server = Server::with_hooks(unix, dispatch, Reports(trace.clone())).expect("a poll");
    let server = run(server, LONG);
    let unbound = UnixDatagram::unbound().expect("a socket");
    for line in ["one", "two"] {
        unbound.send_to(line.as_bytes(), &place.0).expect("sent");
    }
    trace.wait_for("two", 1);
    server.stop();
    assert_eq!(trace.take(), "one two");
}

/// A client that does not fetch its answers costs it those, and nobody waits for it.
#[test]
fn a_reply_without_room_is_a_failure() {
    let (place, home, deaf) = (Place::new(), Place::new(), Place::new());
    let trace = Trace::default();
    let unix = UnixDatagrams::new(&place.0).and_then(UnixDatagrams::bind_and_activate);
    let server = Server::with_hooks(
        unix.expect("a free path"),
        Inline::new(whoami),
        Reports(trace.clone()),
    );
    let server = run(server.expect("a poll"), LONG);
    let deaf = datagram_client(&deaf);
    for _ in 0..2000 {
        deaf.send_to(b"more\n", &place.0).expect("sent");
    }
    wait_until("reported", || !trace.take().is_empty());
    drop(deaf); // which had most of the room that the server has for answers
    let client = datagram_client(&home);
    client.send_to(b"me\n", &place.0).expect("sent");
    assert!(received(&client).ends_with(" me\n"));
    server.stop();
}

/// UNIX-1, UNIX-3: names in the abstract namespace, which leave nothing behind.
#[cfg(target_os = "linux")]
#[test]
fn abstract_names() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let name = format!("transports-{}", std::process::id());
    let address = || SocketAddr::from_abstract_name(&name).expect("an address");
    let bind = || {
        UnixStreams::new(format!("\0{name}"))?
            .unlink_on_close(true)
            .bind_and_activate()
    };
    let server = Server::new(bind().expect("a free name"), Inline::new(whoami)).expect("a poll");
    let server = run(server, LONG);
    assert_eq!(
        server.address,
        UnixAddress::Abstract(name.clone().into_bytes())
    );
    assert_eq!(server.address.to_string(), format!("@{name}"));
    let client = UnixStream::connect_addr(&address()).expect("a listener");
    assert_eq!(ask(limited(client), "one\n"), "Unnamed one\n");
    assert_eq!(bind().expect_err("taken").kind(), ErrorKind::AddrInUse);
    drop(server.stop());

    // The name is free, for datagrams as well; and clients may have one.
    let unix = UnixDatagrams::new(UnixAddress::Abstract(name.clone().into_bytes()));
    let unix = unix
        .and_then(UnixDatagrams::bind_and_activate)
        .expect("a free name");
    let server = run(
        Server::new(unix, Inline::new(whoami)).expect("a poll"),
        LONG,
    );
    let home = SocketAddr::from_abstract_name(format!("{name}-client")).expect("an address");
    let client = UnixDatagram::bind_addr(&home).expect("a free name");
    client.set_read_timeout(Some(PATIENCE)).expect("a limit");
    client.send_to_addr(b"two\n", &address()).expect("sent");
    assert!(received(&client).starts_with("Abstract("));
    server.stop();
}

/// A path is named as it was given.
#[test]
fn a_path_that_cannot_be_bound_is_named() {
    let place = Place::new();
    std::fs::write(&place.0, "").expect("written");
    let path = place.0.display();
    let streams = UnixStreams::new(&place.0).and_then(UnixStreams::bind_and_activate);
    let (kind, text, _) = super::refusal(streams);
    assert_eq!(kind, ErrorKind::AddrInUse);
    assert_eq!(text, format!("cannot bind {path}: "));
    let datagrams = UnixDatagrams::new(&place.0).and_then(UnixDatagrams::bind_and_activate);
    assert_eq!(super::refusal(datagrams).1, text);
    let (_, text, _) = super::refusal(UnixStreams::new(""));
    assert_eq!(text, "cannot bind (unnamed): ");
}

/// UNIX-2: a path that exists is in use, whatever it is, and whatever is set.
#[test]
fn a_path_that_exists_is_in_use() {
    let streams = |place: &Place| UnixStreams::new(&place.0).expect("a socket");
    let datagrams = |place: &Place| UnixDatagrams::new(&place.0).expect("a socket");
    let kind = |result: io::Result<()>| result.map_err(|error| error.kind()).err();
    let in_use = Some(ErrorKind::AddrInUse);

    // Left behind.
    let place = Place::new();
    drop(streams(&place).bind_and_activate().expect("a free path"));
    let mut reusing = streams(&place);
    socket2::SockRef::from(&reusing)
        .set_reuse_address(true)
        .expect("an option");
    assert_eq!(kind(reusing.server_bind()), in_use);
    assert_eq!(kind(datagrams(&place).server_bind()), in_use);

    // A file, a folder, a server of this kind or another: not what is stale.
    let file = Place::new();
    fs::write(&file.0, "precious").expect("written");
    let link = Place::new();
    std::os::unix::fs::symlink(&place.0, &link.0).expect("a link");
    let (first, second) = (Place::new(), Place::new());
    let _first = streams(&first).bind_and_activate().expect("a free path");
    let _second = datagrams(&second).bind_and_activate().expect("a free path");
    for place in [&file, &link, &first, &second] {
        let mut unix = streams(place).unlink_stale(true).unlink_on_close(true);
        assert_eq!(kind(unix.server_bind()), in_use);
        drop(unix);
        let mut unix = datagrams(place).unlink_stale(true).unlink_on_close(true);
        assert_eq!(kind(unix.server_bind()), in_use);
        drop(unix);
        assert!(fs::symlink_metadata(&place.0).is_ok(), "it is still there");
    }
    assert_eq!(fs::read(&file.0).ok(), Some(b"precious".to_vec()));
    // One whose queue is full is not stale either.
    let address = socket2::SockAddr::unix(&first.0).expect("an address");
    let mut queued = Vec::new();
    loop {
        let client = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)
            .expect("a socket");
        client.set_nonblocking(true).expect("an option");
        let connected = client.connect(&address);
        queued.push(client);
        if let Err(error) = connected {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            break;
        }
    }
    let mut unix = streams(&first).unlink_stale(true);
    assert_eq!(kind(unix.server_bind()), in_use);
    drop(queued);
}

/// UNIX-2: what nobody answers on is unlinked first, if so asked.
#[test]
fn a_stale_path_can_be_taken() {
    let place = Place::new();
    for _ in 0..2 {
        let unix = UnixStreams::new(&place.0).map(|unix| unix.unlink_stale(true));
        let unix = unix
            .and_then(UnixStreams::bind_and_activate)
            .expect("taken");
        let server = run(
            Server::new(unix, Inline::new(whoami)).expect("a poll"),
            LONG,
        );
        assert_eq!(ask(connect(&server.address), "one\n"), "Unnamed one\n");
        drop(server.stop());
        let unix = UnixDatagrams::new(&place.0).map(|unix| unix.unlink_stale(true));
        drop(
            unix.and_then(UnixDatagrams::bind_and_activate)
                .expect("taken"),
        );
        assert!(place.0.exists());
    }
}

/// A server that unlinks a stale path, kept open.
#[expect(dead_code, reason = "it is only kept open")]
#[derive(Debug)]
enum Started {
    Streams(UnixStreams),
    Datagrams(UnixDatagrams),
}

fn start_over_stale(path: &Path, is_stream: bool) -> io::Result<Started> {
    if is_stream {
        let unix = UnixStreams::new(path)?.unlink_stale(true);
        return unix.bind_and_activate().map(Started::Streams);
    }
    let unix = UnixDatagrams::new(path)?.unlink_stale(true);
    unix.bind_and_activate().map(Started::Datagrams)
}

/// What a server leaves behind that is killed.
fn leave_stale(path: &Path, is_stream: bool) {
    let _ = fs::remove_file(path);
    if is_stream {
        drop(UnixListener::bind(path).expect("a free path"));
    } else {
        drop(UnixDatagram::bind(path).expect("a free path"));
    }
}

/// UNIX-2: of several servers that start at once, one gets the stale path, and clients reach it.
#[test]
fn one_server_takes_a_stale_path() {
    const SERVERS: usize = 3;
    for round in 0..1000 {
        let is_stream = round % 2 == 0;
        let place = Place::new();
        leave_stale(&place.0, is_stream);
        if round % 4 >= 2 {
            // The server before was killed while it started.
            leave_stale(&lock_of(&place.0), false);
        }
        let together = Arc::new(Barrier::new(SERVERS));
        let servers = [0; SERVERS].map(|_| {
            let (path, together) = (place.0.clone(), Arc::clone(&together));
            thread::spawn(move || {
                together.wait();
                start_over_stale(&path, is_stream)
            })
        });
        // All of them are kept until the end of the round.
        let servers = servers.map(|server| server.join().expect("no panic"));
        let started = servers.iter().filter(|server| server.is_ok()).count();
        assert_eq!(started, 1, "{round}: {servers:?}");
        for error in servers.iter().filter_map(|server| server.as_ref().err()) {
            assert_eq!(error.kind(), ErrorKind::AddrInUse, "{round}");
        }
        if is_stream {
            drop(UnixStream::connect(&place.0).expect("it is reached"));
        } else {
            let client = UnixDatagram::unbound().expect("a socket");
            client.connect(&place.0).expect("it is reached");
        }
        assert!(!lock_of(&place.0).exists(), "{round}");
    }
}

fn lock_of(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    lock.into()
}

/// UNIX-2: until a server listens, nobody else takes its path, even if it looks stale.
#[test]
fn a_path_is_kept_between_bind_and_listen() {
    let place = Place::new();
    let streams = || UnixStreams::new(&place.0).map(|unix| unix.unlink_stale(true));
    let mut bound = streams().expect("a socket");
    bound.server_bind().expect("a free path");
    let refused = streams().and_then(UnixStreams::bind_and_activate);
    assert_eq!(refused.expect_err("taken").kind(), ErrorKind::AddrInUse);
    bound.server_activate().expect("it is still there");
    let address = bound.server_address();
    drop(connect(&address));
    // What is bound and then given up is stale.
    drop(bound);
    let mut bound = streams().expect("a socket");
    bound.server_bind().expect("a stale path");
    drop(bound);
    let taken = streams().and_then(UnixStreams::bind_and_activate);
    drop(taken.expect("a stale path"));
    assert!(!lock_of(&place.0).exists());
    // A name that is so long that a lock has no room beside it.
    let long = place
        .0
        .with_file_name("x".repeat(104 - place.0.parent().map_or(0, |dir| dir.as_os_str().len())));
    for _ in 0..2 {
        let unix = UnixStreams::new(&long).map(|unix| unix.unlink_stale(true));
        drop(
            unix.and_then(UnixStreams::bind_and_activate)
                .expect("free, or stale"),
        );
    }
    fs::remove_file(&long).expect("ours");
}

/// UNIX-2: the path goes with the server, if so asked, unless it is another's by then.
#[test]
fn a_path_can_go_with_its_server() {
    let place = Place::new();
    let streams = || {
        let unix = UnixStreams::new(&place.0).map(|unix| unix.unlink_on_close(true));
        unix.and_then(UnixStreams::bind_and_activate)
            .expect("a free path")
    };
    let datagrams = || {
        let unix = UnixDatagrams::new(&place.0).map(|unix| unix.unlink_on_close(true));
        unix.and_then(UnixDatagrams::bind_and_activate)
            .expect("a free path")
    };
    drop(streams());
    drop(datagrams());
    drop(Server::new(streams(), Inline::new(whoami)).expect("a poll"));
    let mut bound = UnixStreams::new(&place.0)
        .expect("a socket")
        .unlink_on_close(true);
    bound.server_bind().expect("a free path");
    drop(bound);
    let (mut one, mut other) = (streams(), None);
    fs::remove_file(&place.0).expect("ours");
    other.get_or_insert_with(datagrams);
    one.server_close();
    one.server_close();
    assert!(place.0.exists(), "it is the other's");
    drop(other);
    assert!(!place.0.exists());
}

/// TCP-2, TCP-12: an address that cannot be used is an error, and a construction that fails
/// leaves nothing behind.
/// The permissions of what is at `path`.
fn mode_of(path: &Path) -> u32 {
    let found = fs::symlink_metadata(path).expect("a path");
    found.permissions().mode() & 0o7777
}

/// UNIX-5: the permissions are those that were asked for, more or less than those of a new file, and
/// a stream has them before anybody can connect.
#[test]
fn a_path_has_the_permissions_that_were_asked_for() {
    for mode in [0o600, 0o666, 0o660, 0o777, 0o000] {
        let place = Place::new();
        let mut streams = UnixStreams::new(&place.0).expect("an address").mode(mode);
        streams.server_bind().expect("a free path");
        assert_eq!(mode_of(&place.0), mode, "before it listens");
        let error = UnixStream::connect(&place.0).expect_err("it does not listen");
        let kinds = [ErrorKind::ConnectionRefused, ErrorKind::PermissionDenied];
        assert!(kinds.contains(&error.kind()), "{error}");
        streams.server_activate().expect("bound");
        assert_eq!(mode_of(&place.0), mode);

        let place = Place::new();
        leave_stale(&place.0, false);
        let datagrams = UnixDatagrams::new(&place.0).expect("an address");
        let datagrams = datagrams.unlink_stale(true).mode(mode).bind_and_activate();
        let datagrams = datagrams.expect("a stale path");
        assert_eq!(mode_of(&place.0), mode);
        drop(datagrams);
    }
}

/// UNIX-5: Linux never gives the path more than it shall have, not even before the bind returns.
#[cfg(target_os = "linux")]
#[test]
fn a_socket_has_its_permissions_before_it_is_bound() {
    let place = Place::new();
    let mut datagrams = UnixDatagrams::new(&place.0)
        .expect("an address")
        .mode(0o600);
    datagrams.server_bind().expect("a free path");
    // The path has the permissions of the socket, less those that the umask takes away.
    let socket = datagrams.as_fd().try_clone_to_owned().expect("a copy");
    let socket = fs::File::from(socket).metadata().expect("an inode");
    assert_eq!(socket.permissions().mode() & 0o7777, 0o600);
    assert_eq!(mode_of(&place.0), 0o600);
}

/// UNIX-5: a setting that keeps others out is not silently left out.
#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_has_no_permissions() {
    let name = format!("\0transports-{}-mode", std::process::id());
    let refused = UnixStreams::new(&*name).expect("an address").mode(0o600);
    let error = refused.bind_and_activate().expect_err("no permissions");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let free = UnixStreams::new(&*name).expect("an address");
    free.bind_and_activate().expect("the name is free");
}

#[test]
fn unusable_addresses() {
    let long = format!("/{}", "x".repeat(200));
    for address in ["", "a\0b", &long, &format!("\0{long}")] {
        assert!(UnixStreams::new(address).is_err(), "{address:?}");
        assert!(UnixDatagrams::new(address).is_err(), "{address:?}");
    }
    let nowhere = Place::new().0.join("nowhere");
    let unix = UnixStreams::new(&nowhere).and_then(UnixStreams::bind_and_activate);
    assert_eq!(unix.expect_err("no folder").kind(), ErrorKind::NotFound);
}

/// TCP-2, SRV-4: neither constructions that fail nor servers that end keep a descriptor.
#[cfg(target_os = "linux")]
#[test]
fn no_descriptor_is_left() {
    let descriptors = || fs::read_dir("/proc/self/fd").expect("listed").count();
    let (taken, place) = (Place::new(), Place::new());
    fs::write(&taken.0, "").expect("written");
    let udp = super::udp().bind_and_activate().expect("a free port");
    let before = descriptors();
    for _ in 0..512 {
        let streams = |place: &Place| {
            let unix = UnixStreams::new(&place.0)?.unlink_stale(true);
            unix.unlink_on_close(true).bind_and_activate()
        };
        let datagrams = |place: &Place| {
            let unix = UnixDatagrams::new(&place.0)?.unlink_stale(true);
            unix.unlink_on_close(true).bind_and_activate()
        };
        assert!(streams(&taken).is_err() && datagrams(&taken).is_err());
        assert!(
            super::Udp::new(udp.server_address())
                .and_then(super::Udp::bind_and_activate)
                .is_err()
        );
        let server = Server::new(streams(&place).expect("free"), Inline::new(whoami));
        drop(server.expect("a poll"));
        let server = Server::new(datagrams(&place).expect("free"), Inline::new(whoami));
        server.expect("a poll").server_close();
    }
    // Other tests open and close some meanwhile.
    assert!(descriptors() < before + 256);
}

/// Sockets that somebody else has made; their paths are not the server's to unlink.
#[test]
fn sockets_that_were_handed_over() {
    let place = Place::new();
    let listener = UnixListener::bind(&place.0).expect("a free path");
    let unix = UnixStreams::from_listener(listener).expect("a listener");
    let server = Server::new(unix.unlink_on_close(true), Inline::new(whoami)).expect("a poll");
    let server = run(server, LONG);
    assert_eq!(server.address, UnixAddress::Path(place.0.clone()));
    assert_eq!(ask(connect(&server.address), "one\n"), "Unnamed one\n");
    drop(server.stop());
    fs::remove_file(&place.0).expect("still there");

    let socket = UnixDatagram::bind(&place.0).expect("a free path");
    let unix = UnixDatagrams::from_socket(socket)
        .expect("a socket")
        .max_packet_size(2);
    let server = run(
        Server::new(unix, Inline::new(whoami)).expect("a poll"),
        LONG,
    );
    let home = Place::new();
    let client = datagram_client(&home);
    client.send_to(b"one", &place.0).expect("sent");
    assert!(received(&client).ends_with(" on"));
    drop(server.stop());
    assert!(place.0.exists());

    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    assert!(UnixStreams::from_listener(OwnedFd::from(tcp).into()).is_err());
}

/// What a client may choose does not reach a terminal raw.
#[test]
fn addresses_as_text() {
    for (address, text) in [
        (UnixAddress::Unnamed, "(unnamed)"),
        (UnixAddress::from("a b.sock"), "a b.sock"),
        (UnixAddress::from("\u{1b}[2J\n"), "\\u{1b}[2J\\n"),
        (UnixAddress::Abstract(b"\0a".to_vec()), "@\\u{0}a"),
    ] {
        assert_eq!(address.to_string(), text);
    }
    assert_eq!(UnixAddress::from(String::from("a")), UnixAddress::from("a"));
}

/// UNIX-4, RT-8: HTTP over a Unix-domain socket, kept alive; and there is no client address.
#[test]
fn http_on_a_path() {
    fn answer(request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let text = format!("{:?} {}", request.client_address(), request.path());
        response.send_response(200).body(text)
    }

    fn serve<D: Dispatch<UnixStreams> + Send + 'static>(dispatch: D) {
        let place = Place::new();
        let unix = UnixStreams::new(&place.0).and_then(UnixStreams::bind_and_activate);
        let server = Server::new(unix.expect("a free path"), dispatch).expect("a poll");
        let server = run(server, LONG);
        let mut clients = [connect(&server.address), connect(&server.address)];
        for path in ["/one", "/two"] {
            for client in &mut clients {
                let body = get(client, path);
                assert_eq!(body, format!("None {path}"));
            }
        }
        drop(clients);
        server.stop();
    }

    serve(Evented::new(Http::new(answer, HttpSettings::default())));
    let workers = Pool::new().threads(2);
    let http = ThreadedHttp::new(answer, HttpSettings::default(), workers);
    serve(Evented::new(http));
}

/// UNIX-4, WSGI-2: an application is told so by an empty `REMOTE_ADDR`.
#[test]
fn wsgi_on_a_path() {
    fn app(environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
        start_response.call("200 OK", &[])?;
        let keys = ["REMOTE_ADDR", "REMOTE_HOST", "SERVER_NAME", "SERVER_PORT"];
        let values = keys.map(|key| environ.get(key).expect("a variable").into_owned());
        assert_eq!(environ.get("REMOTE_PORT"), None, "ENV-9");
        Ok(format!("{values:?}").into())
    }

    let place = Place::new();
    let unix = UnixStreams::new(&place.0).and_then(UnixStreams::bind_and_activate);
    let handler = WsgiHandler::new(app, None);
    let dispatch = Evented::new(Http::new(handler, HttpSettings::default()));
    let server = Server::new(unix.expect("a free path"), dispatch).expect("a poll");
    let server = run(server, LONG);
    let body = get(&mut connect(&server.address), "/");
    assert_eq!(body, r#"["", "", "localhost", "80"]"#);
    server.stop();
}

/// The body of the answer, on a connection that may be used again.
fn get(stream: &mut UnixStream, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), None);
    while line != "\r\n" {
        line.clear();
        assert_ne!(reader.read_line(&mut line).expect("a head"), 0);
        let field = line.to_ascii_lowercase();
        if let Some(value) = field.strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        }
    }
    let mut body = vec![0; length.expect("a length")];
    reader.read_exact(&mut body).expect("a body");
    String::from_utf8(body).expect("text")
}
