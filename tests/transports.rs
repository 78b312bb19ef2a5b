//! Datagrams, Unix-domain sockets, sockets of both families, and such as were handed over: UDP-1 to
//! UDP-5, DGRAM-1 to DGRAM-3, UNIX-1 to UNIX-5, TCP-9, STREAM-1 and STREAM-2.
#![cfg(feature = "server")]

mod support;
#[cfg(unix)]
#[path = "transports/unix.rs"]
mod unix;

use std::io::{self, BufWriter, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

#[cfg(target_os = "linux")]
use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use serve_forever::socketserver::{
    Accepted, Datagram, Duplex, HandlerResult, Inline, RequestHandler, Rfile, Server, Tcp,
    Transport, Udp, UdpServer,
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

/// RT-13: a client that has taken much may be sent more in advance, unless the program has said how much.
#[cfg(target_os = "linux")]
#[test]
fn more_may_be_unsent() {
    let (small, large) = ([1 << 20, 2 << 20], [1 << 20, 4 << 20]); // a fast client passes over one
    for (own, allowed, expected) in [
        (None, small, small),
        (None, large, large),
        (Some(7000), small, [7000, 7000]),
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        if let Some(own) = own {
            let set = SockRef::from(&listener).set_tcp_notsent_lowat(own);
            set.expect("an option");
        }
        let mut tcp = Tcp::from_listener(listener).expect("a listener");
        let _client = connect(tcp.server_address());
        let (mut stream, _) = accept(&mut tcp);
        for (allowed, expected) in allowed.into_iter().zip(expected) {
            stream.allow_unsent(allowed);
            let unsent = SockRef::from(&stream).tcp_notsent_lowat();
            assert_eq!(unsent.ok(), Some(expected), "{own:?}");
        }
    }
}

/// RT-13: what a client has not read waits in the server, where its progress is seen, and not in the
/// kernel. The kernel takes more if it may, but not without limit.
#[cfg(target_os = "linux")]
#[test]
fn the_kernel_takes_little_in_advance() {
    const KIB: usize = 1024;
    for (allowed, expected) in [
        (None, 16 * KIB..512 * KIB),
        (Some(1 << 20), 512 * KIB..1536 * KIB),
    ] {
        let tcp = Tcp::new("127.0.0.1:0").and_then(Tcp::bind_and_activate);
        let mut tcp = tcp.expect("a listener");
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        client.set_recv_buffer_size(16 * KIB).expect("an option");
        let address = SockAddr::from(tcp.server_address());
        client.connect(&address).expect("a listener with room");
        let (mut stream, _) = accept(&mut tcp);
        if let Some(allowed) = allowed {
            stream.allow_unsent(allowed);
        }
        let mut taken = 0;
        while let Ok(count) = stream.write(&[b'x'; 16 * KIB]) {
            taken += count;
        }
        assert!(expected.contains(&taken), "{allowed:?}: {taken} bytes");
    }
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
