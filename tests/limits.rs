//! When there is not enough for everybody: shortages, REQ-3, limits, and what is counted; design
//! laws 7 and 10.
//!
//! The engine is in the test's own hands, which also says what time it is. What a system that has
//! really run out of descriptors does is in `exhaustion.rs`.
#![cfg(feature = "server")]

mod support;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use serve_forever::http::{Http, HttpSettings, Request, Response, ThreadedHttp};
use serve_forever::socketserver::{
    EventedSettings, Factory, MAX_CONNECTIONS, Overload, Pool, Protocol, Server, Stats, Tcp,
    Threading, Transport, Turn,
};
use support::client::{Client, answer, ask, queue};
use support::driven::Driven;
use support::patience::{LONG, wait_until};
use support::protocols::Echo;
use support::script::{Act, Script};
use support::server::{listen, run};
use support::transport::Intercepted;

/// TCP on a system that has no descriptor left while the test says so.
fn scarce_tcp() -> (Intercepted<TcpStream>, Arc<AtomicBool>) {
    const EMFILE: i32 = 24;
    let short = Arc::new(AtomicBool::new(false));
    let shortage = Arc::clone(&short);
    let tcp = Intercepted::new(listen(), move |tcp| match shortage.load(Ordering::SeqCst) {
        true => Err(io::Error::from_raw_os_error(EMFILE)),
        false => tcp.get_request(),
    });
    (tcp, short)
}

type Echoes<T = Tcp> = Driven<fn(&SocketAddr) -> Echo, T>;

fn scarce() -> (Echoes<Intercepted<TcpStream>>, Arc<AtomicBool>) {
    let (transport, short) = scarce_tcp();
    let driven = Driven::on(transport, EventedSettings::default(), echo as fn(&_) -> _);
    (driven, short)
}

fn echo(_client_address: &SocketAddr) -> Echo {
    Echo
}

fn exchange<T>(driven: &mut Echoes<T>, client: &mut Client, line: &str)
where
    T: Transport<Address = SocketAddr, Request = TcpStream>,
{
    client.send(line);
    driven.expect(client, line);
}

/// REQ-3, design law 10: when something of ours is closed, accepting goes on at once, whatever is
/// left of the pause. Until then it is waited out, and those who are connected are served.
#[test]
fn a_connection_that_closes_ends_a_shortage() {
    let (mut driven, short) = scarce();
    let mut first = driven.connect();
    exchange(&mut driven, &mut first, "one\n");
    short.store(true, Ordering::SeqCst);
    let mut second = Client::connect(driven.engine.transport().server_address());
    let pause = Duration::from_millis(5);
    driven.until(|driven| driven.engine.timeout(driven.now) == Some(pause));

    // The shortage is over, but nothing tells so.
    short.store(false, Ordering::SeqCst);
    exchange(&mut driven, &mut first, "two\n");
    assert_eq!(driven.engine.timeout(driven.now), Some(pause));
    assert_eq!(driven.open_connections(), 1);

    drop(first);
    second.send("three\n");
    driven.expect(&mut second, "three\n");
    driven.settle();
    assert_eq!(driven.engine.timeout(driven.now), None);
}

/// REQ-3, design law 10: the same on threads, where a request may end between two turns.
#[test]
fn a_worker_that_ends_a_request_ends_a_shortage() {
    let (transport, short) = scarce_tcp();
    let script = Script::of(&[("handle", Act::Hold)]);
    let handlers = script.clone();
    let dispatch = Threading::new(move |_: &SocketAddr| handlers.clone());
    let mut server = Server::new(transport, dispatch).expect("a poll");
    let clients = ["one", "two"].map(|line| queue(server.server_address(), line));
    // No time passes from here on.
    let (engine, now) = (server.engine_mut(), Instant::now());
    wait_until("one is served", || {
        engine.turn(now).expect("no failure");
        engine.stats().accepted == 1
    });
    short.store(true, Ordering::SeqCst);
    engine.turn(now).expect("no failure");
    short.store(false, Ordering::SeqCst);
    engine.turn(now).expect("no failure");
    let stats = engine.stats();
    assert_eq!((stats.accepted, stats.shortages), (1, 1));

    script.trace.note("go");
    wait_until("accepting goes on", || {
        engine.turn(now).expect("no failure");
        engine.stats().accepted == 2
    });
    assert_eq!(clients.map(answer), ["one", "two"]);
}

/// REQ-3: a retry that fails, too, waits twice as long, not anew.
#[test]
fn a_retry_in_vain_makes_the_pause_longer() {
    let (mut driven, short) = scarce();
    let mut others = [(); 3].map(|()| driven.connect());
    for client in &mut others {
        exchange(&mut driven, client, "here\n");
    }
    short.store(true, Ordering::SeqCst);
    let mut waiting = Client::connect(driven.engine.transport().server_address());
    let mut pause = Duration::from_millis(5);
    driven.until(|driven| driven.engine.timeout(driven.now) == Some(pause));
    for client in others {
        drop(client);
        pause *= 2;
        driven.until(|driven| driven.engine.timeout(driven.now) == Some(pause));
    }
    short.store(false, Ordering::SeqCst);
    driven.pass(pause);
    waiting.send("at last\n");
    driven.expect(&mut waiting, "at last\n");
}

/// Stats that are zero but for what `set` says.
fn stats(set: impl FnOnce(&mut Stats)) -> Stats {
    let mut stats = Stats::default();
    set(&mut stats);
    stats
}

/// The counts, without the turns, of which there may be idle ones.
fn counts(mut stats: Stats) -> Stats {
    stats.turns = 0;
    stats
}

/// Each count counts its own.
#[test]
fn what_happened_is_counted() {
    use Act::{Fail, Panic, Refuse};
    for (acts, mut expected) in [
        (&[][..], stats(|_| {})),
        (&[("verify", Refuse)], stats(|stats| stats.refused = 2)),
        (&[("verify", Fail)], stats(|stats| stats.failed = 2)),
        (&[("handle", Fail)], stats(|stats| stats.failed = 2)),
        (&[("handle", Panic)], stats(|stats| stats.failed = 2)),
        (
            &[("handle", Fail), ("error", Fail)],
            stats(|stats| stats.failed = 2),
        ),
    ] {
        let script = Script::of(acts);
        let server = run(script.server(), LONG);
        for _ in 0..2 {
            ask(server.address, "one");
        }
        let stats = server.stop().stats();
        expected.accepted = 2;
        assert_eq!(counts(stats), expected, "{acts:?}");
        assert!(stats.turns >= 2, "{stats:?}");
    }

    const EMFILE: i32 = 24;
    let script = Script::default();
    script.faults.lock().expect("no panic").extend([
        io::ErrorKind::ConnectionAborted.into(),
        io::Error::from_raw_os_error(EMFILE),
        io::ErrorKind::ConnectionReset.into(),
    ]);
    let server = run(script.server(), LONG);
    assert_eq!(ask(server.address, "one"), "one");
    let expected = stats(|stats| (stats.accepted, stats.lost, stats.shortages) = (1, 2, 1));
    assert_eq!(counts(server.stop().stats()), expected);
}

/// LOOP-7, LOOP-13, SHUT-2: without an interval a server that is left alone does not come round at
/// all, while another, with a tiny one, comes round only for its `service_actions`.
#[test]
fn an_idle_server_wakes_up_for_nothing() {
    let (idle, ticks) = (Script::default(), Script::default());
    let idle_server = run(idle.server(), None);
    let clock = run(ticks.server(), Duration::from_millis(1));
    assert_eq!(ask(idle_server.address, "up"), "up");
    ticks.trace.wait_for("service", 100);
    let stats = idle_server.stop().stats();
    // The look at the start, the request, the look that found no other, and the shutdown; the
    // client may have been there at the first look, and the poll reports a new listener's once.
    assert!(stats.turns <= 5, "{stats:?}");
    assert_eq!(idle.trace.count("service"), 1);

    let stats = clock.stop().stats();
    let services = ticks.trace.count("service") as u64;
    // But for the look at the start and the shutdown.
    assert!(
        (services..=services + 2).contains(&stats.turns),
        "{stats:?} {services}"
    );
}

/// LOOP-7: by the clock that the engine is given: one turn and one `service_actions` an interval,
/// and between two of them nothing is asked for.
#[test]
fn an_interval_is_one_wake_up() {
    let mut driven = Driven::new(EventedSettings::default(), echo as fn(&_) -> _);
    driven.settle();
    assert_eq!(driven.engine.timeout(driven.now), None);
    let interval = Duration::from_millis(1);
    driven.engine.set_poll_interval(Some(interval));
    driven.now = std::time::Instant::now() + interval;
    let before = driven.engine.stats().turns;
    for _ in 0..100 {
        assert_eq!(driven.engine.timeout(driven.now), Some(Duration::ZERO));
        assert_eq!(
            driven.engine.turn(driven.now).expect("no failure"),
            Turn::Iteration
        );
        assert_eq!(driven.engine.timeout(driven.now), Some(interval));
        driven.now += interval;
    }
    assert_eq!(driven.engine.stats().turns, before + 100);
}

/// What is open now: a connection, its slot and its deadline, until it is closed.
#[test]
fn what_is_open_is_counted() {
    let hello = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("hello");
    let http = Http::new(hello, HttpSettings::default());
    let mut driven = Driven::new(EventedSettings::default(), http);
    let now = |driven: &Driven<_>| {
        let stats = driven.engine.stats();
        (stats.open, stats.slots, stats.timers)
    };
    assert_eq!(now(&driven), (0, 0, 0));
    let clients = [(); 3].map(|()| driven.connect());
    assert_eq!(now(&driven), (3, 3, 3));
    let own = driven.engine.reactor_mut().open();
    assert!(own.is_ok());
    assert_eq!(now(&driven), (3, 4, 3), "the program's own source is none");
    drop(clients);
    driven.until(|driven| driven.open_connections() == 0);
    assert_eq!(now(&driven), (0, 1, 0));
    assert_eq!(driven.engine.stats().accepted, 3);
}

/// Design law 7: those above the limit wait in the kernel, cost the loop nothing meanwhile, and
/// are served as soon as others leave.
#[test]
fn clients_above_the_limit_wait() {
    let mut driven = Driven::new(EventedSettings::default(), echo as fn(&_) -> _);
    driven.engine.set_max_connections(2, Overload::Wait);
    let mut served = vec![driven.connect(), driven.connect()];
    let address = driven.engine.transport().server_address();
    let mut waiting: Vec<Client> = (0..6).map(|_| Client::connect(address)).collect();
    for client in &mut waiting {
        client.send("patient\n");
    }
    while !served.is_empty() {
        for client in &mut served {
            client.send("one\n");
            driven.expect(client, "one\n");
        }
        driven.settle();
        assert_eq!(driven.open_connections(), served.len());
        assert_eq!(
            driven.engine.timeout(driven.now),
            None,
            "the host may sleep"
        );
        drop(served.remove(0));
        if !waiting.is_empty() {
            let mut next = waiting.remove(0);
            driven.expect(&mut next, "patient\n");
            served.push(next);
        } else {
            let left = served.len();
            driven.until(|driven| driven.open_connections() == left);
        }
    }
    let expected = stats(|stats| stats.accepted = 8);
    assert_eq!(counts(driven.engine.stats()), expected);
}

/// The limit may be changed at any time: it closes nothing, zero serves nobody new, and a higher
/// one lets those in who wait.
#[test]
fn the_limit_may_be_changed() {
    let mut driven = Driven::new(EventedSettings::default(), echo as fn(&_) -> _);
    let mut open = [(); 3].map(|()| driven.connect());
    let address = driven.engine.transport().server_address();
    for limit in [2, 0] {
        driven.engine.set_max_connections(limit, Overload::Wait);
        let mut next = Client::connect(address);
        next.send("next\n");
        for client in &mut open {
            client.send("still here\n");
            driven.expect(client, "still here\n");
        }
        driven.settle();
        assert_eq!(driven.open_connections(), 3);
        driven.engine.set_max_connections(4, Overload::Wait);
        driven.expect(&mut next, "next\n");
        drop(next);
        driven.until(|driven| driven.open_connections() == 3);
    }
}

/// Design law 7: or they are told at once, by a close without a word; nothing else runs for them.
#[test]
fn clients_above_the_limit_are_shed() {
    let mut driven = Driven::new(EventedSettings::default(), echo as fn(&_) -> _);
    driven.engine.set_max_connections(2, Overload::Shed);
    let mut served = [driven.connect(), driven.connect()];
    let address = driven.engine.transport().server_address();
    for round in 1..=3 {
        let mut silent = Client::connect(address);
        assert_eq!(driven.rest(&mut silent), b"");
        let mut talking = Client::connect(address);
        talking.send("anybody there?\n");
        assert_eq!(driven.rest(&mut talking), b"");
        let expected = stats(|stats| {
            stats.accepted = 1 + 3 * round;
            stats.shed = 2 * round;
            (stats.open, stats.slots) = (2, 2);
        });
        assert_eq!(counts(driven.engine.stats()), expected);
        for client in &mut served {
            client.send("one\n");
            driven.expect(client, "one\n");
        }
        let [first, second] = served;
        drop(first);
        driven.until(|driven| driven.open_connections() == 1);
        served = [second, driven.connect()];
    }
}

/// One after the other, nothing is open when the next is taken: only a limit of zero is felt.
#[test]
fn a_server_of_one_at_a_time_has_no_use_for_a_limit() {
    let script = Script::default();
    let mut server = script.server();
    server.set_max_connections(1, Overload::Shed);
    let server = run(server, LONG);
    assert_eq!(ask(server.address, "one"), "one");
    assert_eq!(ask(server.address, "two"), "two");
    let mut server = server.stop();
    server.set_max_connections(0, Overload::Shed);
    let server = run(server, LONG);
    assert_eq!(answer(queue(server.address, "three")), "");
    let server = server.stop();
    let expected = stats(|stats| (stats.accepted, stats.shed) = (3, 1));
    assert_eq!(counts(server.stats()), expected);
    assert_eq!(script.trace.count("get"), 3);
    assert_eq!(script.trace.count("verify"), 2);
}

/// A client at another address of this machine. All of 127/8 is loopback on Linux.
#[cfg(target_os = "linux")]
fn neighbour(address: SocketAddr, number: u8) -> Client {
    use socket2::{Domain, Socket, Type};

    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let own = SocketAddr::from(([127, 0, 0, number], 0));
    socket.bind(&own.into()).expect("a free port");
    socket
        .connect(&address.into())
        .expect("a listener with room");
    Client(socket.into())
}

/// GUARD-4: a client beyond the limit is closed, and those at other addresses are served. Whoever
/// leaves makes room.
#[cfg(target_os = "linux")]
#[test]
fn one_address_cannot_take_all_connections() {
    let mut driven = Driven::new(EventedSettings::default(), echo as fn(&_) -> _);
    driven.engine.set_max_connections_per_address(2);
    let address = driven.engine.transport().server_address();
    let mut served = [driven.connect(), driven.connect()];
    for round in 1..=3 {
        for talks in [false, true] {
            let mut refused = Client::connect(address);
            if talks {
                refused.send("me, too\n");
            }
            assert_eq!(driven.rest(&mut refused), b"");
        }
        let mut other = neighbour(address, 2);
        exchange(&mut driven, &mut other, "other\n");
        drop(other);
        driven.until(|driven| driven.open_connections() == 2);
        let expected = stats(|stats| {
            stats.accepted = 1 + 4 * round;
            stats.crowded = 2 * round;
            (stats.open, stats.slots) = (2, 2);
        });
        assert_eq!(counts(driven.engine.stats()), expected);
        let [mut first, second] = served;
        exchange(&mut driven, &mut first, "one\n");
        drop(first);
        driven.until(|driven| driven.open_connections() == 1);
        served = [second, driven.connect()];
    }
}

/// GUARD-4: a connection that has ended makes room, also if the loop sees its end and the next
/// connection at the same time, and takes the next one first (RT-6).
#[test]
fn a_client_may_leave_and_come_back() {
    let mut driven = Driven::new(EventedSettings::default(), echo as fn(&_) -> _);
    driven.engine.set_max_connections_per_address(1);
    let mut client = driven.connect();
    for _ in 0..10 {
        drop(client);
        client = Client::connect(driven.engine.transport().server_address());
        exchange(&mut driven, &mut client, "again\n");
    }
    assert_eq!(driven.open_connections(), 1);
    let stats = driven.engine.stats();
    assert_eq!((stats.accepted, stats.crowded), (11, 0));
}

/// GUARD-4: the limit may be changed at any time. It counts what is open already, and closes nothing.
#[test]
fn the_limit_of_an_address_may_be_changed() {
    let mut driven = Driven::new(EventedSettings::default(), echo as fn(&_) -> _);
    let mut open = [(); 3].map(|()| driven.connect());
    let address = driven.engine.transport().server_address();
    for (limit, crowded) in [(3, 1), (2, 2), (0, 3)] {
        driven.engine.set_max_connections_per_address(limit);
        assert_eq!(driven.rest(&mut Client::connect(address)), b"");
        assert_eq!(driven.engine.stats().crowded, crowded);
        for client in &mut open {
            exchange(&mut driven, client, "still here\n");
        }
    }
    for limit in [4, usize::MAX] {
        driven.engine.set_max_connections_per_address(limit);
        drop(driven.connect());
        driven.until(|driven| driven.open_connections() == 3);
    }
}

/// GUARD-4: the same on threads. A request counts until its end, whoever serves it.
#[test]
fn one_address_cannot_take_all_threads() {
    let script = Script::of(&[("handle", Act::Hold)]);
    let handlers = script.clone();
    let dispatch = Threading::new(move |_: &SocketAddr| handlers.clone());
    let mut server = Server::new(listen(), dispatch.threads(1)).expect("a poll");
    server.set_max_connections_per_address(2);
    let server = run(server, LONG);
    let first = queue(server.address, "one");
    script.trace.wait_for("handle(one)", 1);
    let second = queue(server.address, "two"); // waits for the thread
    assert_eq!(answer(queue(server.address, "three")), "");
    script.trace.note("go");
    assert_eq!([first, second].map(answer), ["one", "two"]);
    for _ in 0..3 {
        assert_eq!(ask(server.address, "four"), "four");
    }
    let server = server.stop();
    let stats = server.stats();
    assert_eq!((stats.accepted, stats.crowded, stats.shed), (6, 1, 0));
}

/// What an HTTP server sends to a client that it closes immediately.
fn turned_away<F>(http: F, limit: impl FnOnce(&mut Driven<F>)) -> String
where
    F: Factory<SocketAddr, Made: Protocol>,
{
    let mut driven = Driven::new(EventedSettings::default(), http);
    let _served = driven.connect();
    limit(&mut driven);
    let mut client = Client::connect(driven.engine.transport().server_address());
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    let sent = driven.rest(&mut client);
    let stats = driven.engine.stats();
    assert_eq!(
        (stats.shed + stats.crowded, stats.failed, stats.open),
        (1, 0, 1)
    );
    String::from_utf8(sent).expect("text")
}

/// GUARD-3, GUARD-4: HTTP tells those who are turned away when to try again.
#[test]
fn an_http_client_that_is_turned_away_gets_503() {
    let hello = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("hello");
    let settings = || {
        let mut settings = HttpSettings::default();
        settings.retry_after = Duration::from_secs(7);
        settings.server(None).expect("no field");
        settings
    };
    let http = || Http::new(hello, settings());
    let threaded = ThreadedHttp::new(hello, settings(), Pool::new());
    for sent in [
        turned_away(http(), |driven| {
            driven.engine.set_max_connections(1, Overload::Shed)
        }),
        turned_away(http(), |driven| {
            driven.engine.set_max_connections_per_address(1)
        }),
        turned_away(threaded, |driven| {
            driven.engine.set_max_connections_per_address(1)
        }),
    ] {
        let (line, fields) = sent.split_once("\r\n").expect("a status line");
        assert_eq!(line, "HTTP/1.1 503 Service Unavailable");
        let (date, fields) = fields.split_once("\r\n").expect("fields");
        assert!(date.starts_with("Date: "), "{sent}");
        assert_eq!(
            fields,
            "Retry-After: 7\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
}

/// The README's tables have the defaults of the code.
#[test]
fn the_readme_tells_the_defaults() {
    let readme = include_str!("../README.md");
    let settings = HttpSettings::default();
    let (limits, deadlines) = (settings.limits, settings.deadlines);
    let evented = EventedSettings::default();
    let (head, body) = (limits.head, deadlines.body);
    let sizes = [
        (head.request_line as u64, "`Limits::head`"),
        (head.head as u64, "`Limits::head`"),
        (limits.body as u64, "`Limits::body`"),
        (limits.bodies as u64, "`Limits::bodies`"),
        (limits.upload, "`Limits::upload`"),
        (evented.high_water as u64, "`EventedSettings::high_water`"),
    ];
    let sizes = sizes.map(|(size, setting)| (readable(size), setting));
    let times = [
        (deadlines.head, "`Deadlines::head`"),
        (body.idle, "`BodyDeadlines::idle`"),
        (body.grace, "`BodyDeadlines::rate`, `grace`"),
        (body.total, "`BodyDeadlines::total`"),
        (evented.write_stall, "`EventedSettings::write_stall`"),
        (deadlines.keep_alive, "`Deadlines::keep_alive`"),
        (evented.linger, "`EventedSettings::linger`"),
        (deadlines.heartbeat, "`Deadlines::heartbeat`"),
    ];
    let times = times.map(|(time, setting)| match time.as_secs() {
        3600 => ("1 h".to_owned(), setting),
        seconds => (format!("{seconds} s"), setting),
    });
    let rates = [
        (body.rate, "`BodyDeadlines::rate`, `grace`"),
        (evented.write_rate, "`EventedSettings::write_rate`"),
    ];
    let rates = rates.map(|(rate, setting)| (format!("{rate} bytes a second"), setting));
    let fields = (head.fields.to_string(), "`Limits::head`");
    let clients = ("10 000".to_owned(), "`set_max_connections`");
    assert_eq!(MAX_CONNECTIONS, 10_000);
    for (figure, setting) in [&sizes[..], &times, &rates, &[fields, clients]].concat() {
        let mut rows = readme
            .lines()
            .filter(|row| row.ends_with(&format!(" {setting} |")));
        let words = |row: &str| format!(" {} ", row.replace([',', ';'], " "));
        let found = rows.any(|row| words(row).contains(&format!(" {figure} ")));
        assert!(found, "no row for {setting} has {figure}");
    }
}

fn readable(size: u64) -> String {
    match size {
        _ if size % (1 << 30) == 0 => format!("{} GiB", size >> 30),
        _ if size % (1 << 20) == 0 => format!("{} MiB", size >> 20),
        _ => format!("{} KiB", size >> 10),
    }
}
