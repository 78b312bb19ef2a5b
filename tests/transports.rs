//! Datagrams, Unix-domain sockets, sockets of both families, and such as were handed over: UDP-1 to
//! UDP-5, DGRAM-1 to DGRAM-3, UNIX-1 to UNIX-4, TCP-9, STREAM-1 and STREAM-2.
#![cfg(feature = "server")]

mod support;

use std::io::{self, BufWriter, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

#[cfg(target_os = "linux")]
use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use serve_forever::socketserver::{
    Accepted, Datagram, HandlerResult, Inline, RequestHandler, Rfile, Server, Tcp, Transport, Udp,
    UdpServer,
};
use support::client::{answer, ask, connect};
use support::missing::has_ipv6;
use support::patience::{LONG, PATIENCE};
use support::script::{Act, Script};
use support::server::{Running, accept, run};
use support::transport::Intercepted;

// Errors of any transport.

/// Why it failed: the kind, the whole text without what the system says, and what the system says.
fn refusal<T>(made: io::Result<T>) -> (ErrorKind, String, String) {
    let error = made.map(|_| ()).expect_err("it cannot be bound");
    let source = std::error::Error::source(&error).expect("the system's error");
    let source = source.downcast_ref::<io::Error>().expect("an io::Error");
    assert_eq!(source.kind(), error.kind());
    let text = error.to_string();
    let text = text.strip_suffix(&source.to_string()).unwrap_or(&text);
    (error.kind(), text.to_owned(), source.to_string())
}

/// Who reads "address already in use" wants to know which.
#[test]
fn a_server_that_cannot_be_bound_names_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    let (kind, text, _) = refusal(Tcp::new(address).and_then(Tcp::bind_and_activate));
    assert_eq!(kind, ErrorKind::AddrInUse);
    assert_eq!(text, format!("cannot bind {address}: "));
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    let (_, text, _) = refusal(Udp::new(address).and_then(Udp::bind_and_activate));
    assert_eq!(text, format!("cannot bind {address}: "));

    let (kind, text, source) = refusal(Tcp::new("8000\n"));
    assert_eq!(kind, ErrorKind::InvalidInput);
    assert_eq!(
        (&*text, &*source),
        ("cannot look up 8000\\n: ", "invalid socket address")
    );
    let (_, text, _) = refusal(Udp::new(("not a host", 80)));
    assert_eq!(text, "cannot look up not a host:80: ");
}

/// TCP-3: two sockets may be bound to one address, but only one of them can listen.
#[cfg(target_os = "linux")]
#[test]
fn a_server_that_cannot_listen_names_its_address() {
    let bound = |address: SocketAddr| {
        let mut tcp = Tcp::new(address)
            .expect("a socket")
            .allow_reuse_address(true);
        tcp.server_bind().expect("a free port");
        tcp
    };
    let mut first = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let mut second = bound(first.server_address());
    first.server_activate().expect("bound");
    let (kind, text, _) = refusal(second.server_activate());
    assert_eq!(kind, ErrorKind::AddrInUse);
    assert_eq!(
        text,
        format!("cannot listen on {}: ", first.server_address())
    );
}

// Datagrams: UDP-1 to UDP-5, DGRAM-1 to DGRAM-3.

fn udp() -> Udp {
    Udp::new("127.0.0.1:0").expect("a socket")
}

/// A server that follows the script, datagram by datagram.
fn scripted(
    udp: Udp,
    script: &Script,
) -> Running<Server<Udp, Inline<support::script::Factory>, Script>> {
    let udp = udp.bind_and_activate().expect("a free port");
    let server = Server::with_hooks(udp, Inline::new(script.factory()), script.clone());
    run(server.expect("a poll"), LONG)
}

/// A client that waits for nothing longer than the limit, and hears nobody but the server.
fn client(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    socket.connect(address).expect("an address");
    socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
    socket
}

/// The next datagram that comes.
fn received(socket: &UdpSocket) -> String {
    let mut bytes = [0; 65536];
    let length = socket.recv(&mut bytes).expect("an answer");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

fn exchange(socket: &UdpSocket, text: &str) -> String {
    socket.send(text.as_bytes()).expect("sent");
    received(socket)
}

/// UDP-1, UDP-2, UDP-4, DGRAM-1: one datagram an iteration, in the order of every request; each
/// client gets its own answer.
#[test]
fn each_datagram_is_a_request() {
    let script = Script::default();
    let udp = udp().bind_and_activate().expect("a free port");
    let address = udp.server_address();
    let clients = [client(address), client(address)];
    for (client, text) in clients.iter().zip(["one\nmore", "two"]) {
        client.send(text.as_bytes()).expect("sent");
    }
    let server = Server::with_hooks(udp, Inline::new(script.factory()), script.clone());
    let server = run(server.expect("a poll"), LONG);
    assert_eq!(clients.each_ref().map(received), ["one\n", "two"]);
    server.stop();
    let served = |line| format!("verify make setup handle({line}) finish service");
    assert_eq!(
        script.trace.take(),
        [served("one"), served("two")].join(" ")
    );
}

/// UDP-1, UDP-2: what is longer than 8192 bytes, or than was asked for, is cut without a word.
#[test]
fn a_longer_datagram_is_cut() {
    for (udp, length) in [(udp(), 8192), (udp().max_packet_size(100), 100)] {
        let server = scripted(udp, &Script::default());
        let client = client(server.address);
        assert_eq!(exchange(&client, &"x".repeat(9000)), "x".repeat(length));
        assert_eq!(exchange(&client, ""), "", "an empty datagram is one");
        server.stop();
    }
}

/// UDP-1, TCP-12, SRV-4: reuse is off and can be allowed; nothing works before it is activated or
/// after it is closed.
#[cfg(target_os = "linux")]
#[test]
fn the_steps_and_settings_of_a_udp_socket() {
    let mut first = udp();
    assert!(first.source().is_err() && first.get_request().is_err());
    first.server_bind().expect("a free port");
    assert!(first.source().is_err() && first.server_bind().is_err());
    first.server_activate().expect("bound");
    let none = first.get_request().map(|_| ()).expect_err("nobody there");
    assert_eq!(none.kind(), ErrorKind::WouldBlock, "REQ-4");
    let address = first.server_address();
    let again = |settings: fn(Udp) -> Udp| {
        let udp = settings(Udp::new(address).expect("a socket")).bind_and_activate();
        udp.map(|_| ()).map_err(|error| error.kind())
    };
    assert_eq!(again(|udp| udp), Err(ErrorKind::AddrInUse));
    assert_eq!(
        again(|udp| udp.allow_reuse_address(true)),
        Err(ErrorKind::AddrInUse),
        "the other has to allow it, too"
    );
    first.server_close();
    first.server_close();
    let kind = first
        .get_request()
        .map(|_| ())
        .map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::InvalidInput));

    let shared = Udp::new(address).map(|udp| udp.allow_reuse_port(true));
    let _shared = shared.and_then(Udp::bind_and_activate).expect("free again");
    assert_eq!(again(|udp| udp.allow_reuse_port(true)), Ok(()));
    assert!(Udp::new("127.0.0.1:65536").is_err());
}

/// UDP-3: the end of a request is not that of the socket, whatever became of it.
#[test]
fn a_request_does_not_close_the_shared_socket() {
    let script = Script::of(&[("verify", Act::Refuse)]);
    let server = scripted(udp(), &script);
    let client = client(server.address);
    for times in 1..=3 {
        client.send(b"unheard").expect("sent");
        script.trace.wait_for("verify", times);
    }
    server.stop();

    let mut udp = udp().bind_and_activate().expect("a free port");
    let client = self::client(udp.server_address());
    let (mut request, sender) = receive(&mut udp, &client, "one");
    assert_eq!((request.bytes(), request.sender()), (&b"one"[..], &sender));
    request.shutdown_request();
    request.shutdown_request();
    drop(request);
    let (request, _) = receive(&mut udp, &client, "two");
    request.reply(b"still there").expect("room");
    assert_eq!(received(&client), "still there");
}

/// Takes the datagram that the client sends.
fn receive(udp: &mut Udp, client: &UdpSocket, text: &str) -> (Datagram<SocketAddr>, SocketAddr) {
    client.send(text.as_bytes()).expect("sent");
    accept(udp)
}

/// UDP-4: that an earlier reply found nobody is the next receive's error, and nobody else's.
#[cfg(target_os = "linux")]
#[test]
fn a_refused_reply_is_swallowed() {
    let script = Script::default();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = socket.local_addr().expect("bound");
    let gone = UdpSocket::bind(support::client::own_host(8)).expect("a free port");
    gone.connect(address).expect("an address");
    // Only a connected socket is told of refusals.
    let place = gone.local_addr().expect("bound");
    socket.connect(place).expect("connected");
    gone.send(b"bye").expect("sent");
    drop(gone);
    let udp = Udp::from_socket(socket).expect("a socket");
    let server = Server::with_hooks(udp, Inline::new(script.factory()), script.clone());
    let server = run(server.expect("a poll"), LONG);
    script.trace.wait_for("service", 2);
    let again = UdpSocket::bind(place).expect("still free");
    again.connect(address).expect("an address");
    again.set_read_timeout(Some(PATIENCE)).expect("a limit");
    assert_eq!(exchange(&again, "hello"), "hello");
    server.stop();
    let served = |line| format!("verify make setup handle({line}) finish service");
    assert_eq!(
        script.trace.take(),
        [served("bye"), "service".to_owned(), served("hello")].join(" ")
    );
}

/// UDP-5: who is served while the server closes still gets an answer; then the address is free.
#[cfg(unix)]
#[test]
fn a_request_outlives_its_server() {
    let udp = Udp::new(support::client::own_host(9)).and_then(Udp::bind_and_activate);
    let mut udp = udp.expect("a free port");
    let address = udp.server_address();
    let client = client(address);
    let (mut request, _) = receive(&mut udp, &client, "one");
    udp.server_close();
    drop(udp);
    request
        .serve(
            &serve_forever::socketserver::Waiter::default(),
            |rfile, wfile| {
                io::copy(rfile, wfile)?;
                Ok(())
            },
        )
        .expect("answered");
    assert_eq!(received(&client), "one");
    assert!(UdpSocket::bind(address).is_err());
    drop(request);
    UdpSocket::bind(address).expect("free");
}

/// DGRAM-2, HND-1: one reply always, also an empty one and after a failure, unless the server was
/// told otherwise; none if the setup failed, for then nothing else ran.
#[test]
fn which_replies_are_sent() {
    use Act::{Fail, Panic, Stop};
    let always: fn() -> Udp = udp;
    let no_empty: fn() -> Udp = || udp().send_empty_replies(false);
    let no_failed: fn() -> Udp = || udp().send_replies_after_failure(false);
    let none = "(next)";
    for (act, text, udp, expected) in [
        (None, "one", always, "one"),
        (None, "", always, ""),
        (None, "", no_empty, none),
        (None, "one", no_empty, "one"),
        (Some(("handle", Fail)), "one", always, ""),
        (Some(("handle", Panic)), "one", always, ""),
        (Some(("handle", Fail)), "one", no_empty, none),
        (Some(("handle", Fail)), "one", no_failed, none),
        (Some(("finish", Fail)), "one", always, "one"),
        (Some(("finish", Panic)), "one", always, "one"),
        (Some(("finish", Fail)), "one", no_empty, "one"),
        (Some(("finish", Fail)), "one", no_failed, none),
        (Some(("setup", Fail)), "one", always, none),
        (Some(("setup", Panic)), "one", always, none),
        (Some(("handle", Stop)), "one", always, ""),
        (Some(("handle", Stop)), "one", no_failed, none),
    ] {
        let script = Script::of(&act.into_iter().collect::<Vec<_>>());
        let mut udp = udp().bind_and_activate().expect("a free port");
        let client = client(udp.server_address());
        // The script's steps, as a dispatch runs them, without a server around.
        let (request, sender) = receive(&mut udp, &client, text);
        let after = receive(&mut udp, &client, "").0;
        let mut given = Some((request, sender));
        let given = Intercepted::new(udp, move |_| {
            given.take().ok_or(ErrorKind::WouldBlock.into())
        });
        let server = Server::new(given, Inline::new(script.factory()));
        let ended = server.expect("a poll").handle_request(Duration::ZERO);
        let stops = act.is_some_and(|(_, act)| act == Stop);
        assert_eq!(ended.is_err(), stops, "{act:?}");
        after.reply(none.as_bytes()).expect("room");
        assert_eq!(received(&client), expected, "{act:?} {text:?}");
    }
}

/// DGRAM-2: what was written before the failure is what is sent.
#[test]
fn a_partial_reply_is_sent_after_a_failure() {
    struct Half;

    impl RequestHandler for Half {
        fn handle(&mut self, _rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
            wfile.write_all(b"half")?;
            wfile.flush()?;
            Err(io::Error::other("the other half is missing").into())
        }
    }

    let script = Script::default();
    let udp = udp().bind_and_activate().expect("a free port");
    let dispatch = Inline::new(|_client_address: &SocketAddr| Half);
    let server = Server::with_hooks(udp, dispatch, script.clone()).expect("a poll");
    let server = run(server, LONG);
    assert_eq!(exchange(&client(server.address), "?"), "half");
    script.trace.wait_for("service", 1);
    server.stop();
    let error = "verify error(the other half is missing) service";
    assert_eq!(script.trace.take(), error);
}

/// DGRAM-3: a reply that is too large for a datagram is a failure, and the server goes on.
#[test]
fn a_reply_too_large_is_a_failure() {
    let script = Script::default();
    let udp = udp().bind_and_activate().expect("a free port");
    let dispatch = Inline::new(|_client_address: &SocketAddr| {
        |rfile: &mut dyn Rfile, wfile: &mut dyn Write| {
            let mut line = String::new();
            rfile.read_line(&mut line)?;
            let length: usize = line.parse()?;
            wfile.write_all(&vec![b'x'; length])?;
            Ok(())
        }
    });
    let server = Server::with_hooks(udp, dispatch, script.clone()).expect("a poll");
    let server = run(server, LONG);
    let client = client(server.address);
    client.send(b"65508").expect("sent");
    assert_eq!(exchange(&client, "65507").len(), 65507);
    server.stop();
    let trace = script.trace.take();
    assert!(trace.starts_with("verify error("), "{trace}");
    assert!(trace.ends_with(") service verify service"), "{trace}");
}

/// UDP-1: Python's class by its name, and a socket that somebody else has bound.
#[test]
fn a_udp_server_by_name_and_by_socket() {
    let echo = |_client_address: &SocketAddr| {
        |rfile: &mut dyn Rfile, wfile: &mut dyn Write| {
            io::copy(rfile, &mut BufWriter::new(wfile))?;
            Ok(())
        }
    };
    let server = run(
        UdpServer::bind("127.0.0.1:0", echo).expect("a free port"),
        LONG,
    );
    assert_eq!(exchange(&client(server.address), "one"), "one");
    server.stop();

    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = socket.local_addr().expect("bound");
    let udp = Udp::from_socket(socket)
        .expect("a socket")
        .max_packet_size(2);
    let server = run(Server::new(udp, Inline::new(echo)).expect("a poll"), LONG);
    assert_eq!(server.address, address);
    assert_eq!(exchange(&client(address), "one"), "on");
    server.stop();
}

// Both families, and sockets that somebody else has made: TCP-9, STREAM-1.

/// TCP-9: an IPv6 address is one of IPv6 only, whatever the system's default, unless both were
/// asked for; IPv4 clients then have mapped addresses.
#[test]
fn both_families_on_one_socket_by_choice() {
    if !has_ipv6("both_families_on_one_socket_by_choice") {
        return;
    }
    let peer = |client_address: &SocketAddr| {
        let text = client_address.ip().to_string();
        move |_: &mut dyn Rfile, wfile: &mut dyn Write| Ok(wfile.write_all(text.as_bytes())?)
    };
    let tcp = Tcp::new("[::]:0").and_then(|tcp| tcp.dual_stack(true).bind_and_activate());
    let server = Server::new(tcp.expect("a free port"), Inline::new(peer)).expect("a poll");
    let server = run(server, LONG);
    let port = server.address.port();
    let at = |host: IpAddr| answer(connect(SocketAddr::from((host, port))));
    assert_eq!(at(Ipv6Addr::LOCALHOST.into()), "::1");
    let mapped = at(Ipv4Addr::LOCALHOST.into());
    assert_eq!(mapped, "::ffff:127.0.0.1");
    let mapped: IpAddr = mapped.parse().expect("an address");
    assert_eq!(mapped.to_canonical(), Ipv4Addr::LOCALHOST);
    server.stop();

    let only = |dual| {
        let tcp = Tcp::new((IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0));
        let tcp = tcp.and_then(|tcp| tcp.dual_stack(dual).bind_and_activate());
        let udp = Udp::new((IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0));
        let udp = udp.and_then(|udp| udp.dual_stack(dual).bind_and_activate());
        let (tcp, udp) = (tcp.expect("a free port"), udp.expect("a free port"));
        #[cfg(unix)]
        for only_v6 in [
            socket2::SockRef::from(&tcp).only_v6(),
            socket2::SockRef::from(&udp).only_v6(),
        ] {
            assert_eq!(only_v6.ok(), Some(!dual));
        }
        drop((tcp, udp));
    };
    only(false);
    only(true);
    let v4 = Tcp::new("127.0.0.1:0").and_then(|tcp| tcp.dual_stack(true).bind_and_activate());
    assert!(v4.is_ok(), "without effect");
}

/// A listener that somebody else has made serves like any other; it is active already.
#[test]
fn a_listener_that_was_handed_over() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let mut tcp = Tcp::from_listener(listener).expect("a listener");
    assert_eq!(tcp.server_address(), address);
    for step in [Tcp::server_bind, Tcp::server_activate] {
        let kind = step(&mut tcp).map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::InvalidInput));
    }
    let none = tcp.get_request().map(|_| ()).expect_err("nobody there");
    assert_eq!(none.kind(), ErrorKind::WouldBlock, "it is never waited for");
    let script = Script::default();
    let server = Server::new(tcp, Inline::new(script.factory())).expect("a poll");
    let server = run(server, LONG);
    assert_eq!(ask(address, "hello"), "hello");
    server.stop();
}

/// STREAM-1: the setting reaches the clients of a listener that was made without it.
#[test]
fn a_listener_that_was_handed_over_has_settings() {
    for nodelay in [false, true] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let tcp = Tcp::from_listener(listener).expect("a listener");
        let mut tcp = tcp.disable_nagle_algorithm(nodelay);
        let _client = connect(tcp.server_address());
        let (stream, _) = accept(&mut tcp);
        assert_eq!(stream.nodelay().ok(), Some(nodelay));
    }
}

/// RT-13: each client's socket tells when the client has gone, and how far it has read. A listener that
/// was made elsewhere keeps what it has.
#[cfg(target_os = "linux")]
#[test]
fn clients_are_noticed() {
    let bound = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let set = bound();
    let own = TcpKeepalive::new().with_time(Duration::from_secs(5));
    SockRef::from(&set)
        .set_tcp_keepalive(&own)
        .expect("an option");
    let lowat = SockRef::from(&set).set_tcp_notsent_lowat(7000);
    lowat.expect("an option");
    let tcp = Tcp::new("127.0.0.1:0").and_then(Tcp::bind_and_activate);
    for (tcp, time, unsent) in [
        (tcp, 30, 128 * 1024),
        (Tcp::from_listener(bound()), 30, 128 * 1024),
        (Tcp::from_listener(set), 5, 7000),
    ] {
        let mut tcp = tcp.expect("a listener");
        let _client = connect(tcp.server_address());
        let (stream, _) = accept(&mut tcp);
        let socket = SockRef::from(&stream);
        assert_eq!(socket.keepalive().ok(), Some(true));
        let silence = socket.tcp_keepalive_time().ok();
        assert_eq!(silence, Some(Duration::from_secs(time)));
        assert_eq!(socket.tcp_notsent_lowat().ok(), Some(unsent));
    }
}

/// RT-13: what a client has not read waits in the server, where its progress is seen, and not in the
/// kernel.
#[cfg(target_os = "linux")]
#[test]
fn the_kernel_takes_little_in_advance() {
    let tcp = Tcp::new("127.0.0.1:0").and_then(Tcp::bind_and_activate);
    let mut tcp = tcp.expect("a listener");
    let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    client.set_recv_buffer_size(16 * 1024).expect("an option");
    let address = SockAddr::from(tcp.server_address());
    client.connect(&address).expect("a listener with room");
    let (mut stream, _) = accept(&mut tcp);
    let mut taken = 0;
    while let Ok(count) = stream.write(&[b'x'; 16 * 1024]) {
        taken += count;
    }
    assert!((16 * 1024..512 * 1024).contains(&taken), "{taken} bytes");
}

/// What is no listening socket is an error, at once or at the first accept.
#[cfg(target_os = "linux")]
#[test]
fn what_is_no_listener_is_refused() {
    use std::os::fd::OwnedFd;

    let file = || OwnedFd::from(std::fs::File::open("/proc/self/stat").expect("open"));
    assert!(Tcp::from_listener(file().into()).is_err());
    assert!(Udp::from_socket(file().into()).is_err());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let client = connect(listener.local_addr().expect("bound"));
    let mut tcp = Tcp::from_listener(OwnedFd::from(client).into()).expect("a socket");
    let kind = tcp.get_request().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::InvalidInput), "LOOP-15");
}

// The files: STREAM-1, STREAM-2, STREAM-8.

/// STREAM-1, STREAM-2: what Python has attributes for is a line of the handler.
#[test]
fn a_handler_makes_its_own_settings() {
    struct Settled;

    impl RequestHandler for Settled {
        fn setup(&mut self, rfile: &mut dyn Rfile) -> HandlerResult {
            Ok(rfile.set_timeout(Some(Duration::from_millis(1)))?) // timeout = 0.001
        }

        fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
            let kind = rfile.read_line(&mut String::new());
            let kind = kind.map_err(|error| error.kind());
            assert!(
                matches!(kind, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
                "{kind:?}"
            );
            let mut counted = Counted(wfile, 0);
            let mut buffered = BufWriter::with_capacity(100, &mut counted); // wbufsize = 100
            for _ in 0..100 {
                buffered.write_all(b"12345")?;
            }
            buffered.flush()?;
            drop(buffered);
            assert_eq!(counted.1, 5);
            Ok(())
        }
    }

    /// Counts the writes that get through.
    struct Counted<'a>(&'a mut dyn Write, usize);

    impl Write for Counted<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }

    let tcp = Tcp::new("127.0.0.1:0").and_then(Tcp::bind_and_activate);
    let dispatch = Inline::new(|_client_address: &SocketAddr| Settled);
    let server = Server::new(tcp.expect("a free port"), dispatch).expect("a poll");
    let server = run(server, LONG);
    assert_eq!(answer(connect(server.address)), "12345".repeat(100));
    server.stop();
}

// Unix-domain sockets: UNIX-1 to UNIX-4.

#[cfg(unix)]
mod unix {
    use std::error::Error;
    use std::fs;
    use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};
    use std::thread;

    use serve_forever::http::{Http, HttpResult, HttpSettings, Request, Response, ThreadedHttp};
    use serve_forever::socketserver::{
        Dispatch, Evented, HandlerResult, Hooks, Inline, Pool, Rfile, Server, Transport,
        UnixAddress, UnixDatagramServer, UnixDatagrams, UnixStreamServer, UnixStreams,
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
        let server = UnixStreamServer::bind(&place.0, whoami).expect("a free path");
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
        let server =
            Server::new(bind().expect("a free name"), Inline::new(whoami)).expect("a poll");
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
        let long = place.0.with_file_name(
            "x".repeat(104 - place.0.parent().map_or(0, |dir| dir.as_os_str().len())),
        );
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
}
