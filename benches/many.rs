//! Measures a server with very many connections: the memory of a connection in each state, its buffers in
//! the kernel included; the rate at which connections are accepted; what a request costs beside 15,000 idle
//! connections; how long a drain of them takes; and two loops on one port. Linux only.
//!
//!     ulimit -n 20000 && cargo bench --bench many --features tls-ring,websocket
//!     cargo bench --bench many -- states idle loops
//!
//! The words after `--` choose parts. The bench ends by itself, after about a minute. With fewer
//! descriptors there are fewer connections. The buffers in the kernel are known if there is the command
//! `ss`, and its structures if this program may read `/proc/slabinfo`.

#[path = "many/kernel.rs"]
mod kernel;
#[path = "many/loops.rs"]
mod loops;
#[path = "many/site.rs"]
mod site;
#[path = "many/states.rs"]
mod states;
mod support;

use std::env;
use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use support::load::{Client, Load};
use support::process::{Processors, Server};
use support::requests::SMALL;
use support::rounds::Samples;
use support::table;

/// The most connections.
const MANY: usize = 15_000;

/// How long a connection may be idle where deadlines pass.
const DEADLINE: Duration = Duration::from_secs(5);

fn serve(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [name, address] = arguments else {
        return Err("serve NAME ADDRESS".into());
    };
    let address: SocketAddr = address.parse()?;
    match name.as_str() {
        "one loop" => site::serve_patiently(address),
        "deadlines" => site::serve(address, DEADLINE),
        #[cfg(feature = "tls-ring")]
        "tls" => site::serve_tls(address),
        _ => loops::serve(name, address),
    }
}

/// How many connections this process can open.
fn connections() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    let soft = soft.and_then(|soft| soft.parse().ok()).unwrap_or(MANY);
    MANY.min(soft.saturating_sub(200))
}

/// Connects, and has a first request answered, one connection after the other.
fn connect_all(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut room = [0; 1024];
    let one = |_| {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.write_all(SMALL).expect("sent");
        assert!(stream.read(&mut room).expect("an answer") > 12);
        stream
    };
    (0..count).map(one).collect()
}

/// What a request costs on 64 other connections, in microseconds of processor time: the median of some
/// rounds.
fn request(server: &Server) -> f64 {
    let load = Load {
        name: "keep-alive",
        request: SMALL.to_vec(),
        connections: 64,
        depth: 1,
        closes: false,
    };
    let mut client = Client::connect(server.address, &load).expect("our own server");
    let round = |_| {
        let before = server.processor_time();
        let run = client
            .run(Duration::from_millis(300))
            .expect("our own server");
        let used = server.processor_time() - before;
        used.as_secs_f64() * 1e6 / run.requests as f64
    };
    Samples::new((0..7).map(round).collect()).median()
}

/// Connections that are idle, each with an armed deadline.
fn idle(processors: Option<&Processors>) {
    println!("\n## Idle connections, each with a deadline\n");
    let mut rows = Vec::new();
    let most = connections();
    for count in [most / 10, most] {
        let server = Server::again(&["one loop"], processors);
        connect_all(server.address, 10); // the buffers that all share are there
        let (alone, resident, slab) = (request(&server), server.resident(), kernel::slab());
        let (before, began) = (server.processor_time(), Instant::now());
        let clients = connect_all(server.address, count);
        let (took, used) = (began.elapsed(), server.processor_time() - before);
        let each = |bytes: usize| (bytes / count).to_string();
        let own = each(server.resident().saturating_sub(resident));
        let slab = kernel::slab()
            .zip(slab)
            .map(|(after, before)| after.saturating_sub(before));
        let beside = request(&server);
        let (drain, spent) = server.drain();
        assert_eq!(clients.len(), count);
        rows.push((
            count.to_string(),
            vec![
                format!("{:.0}", count as f64 / took.as_secs_f64()),
                format!("{:.0}", count as f64 / used.as_secs_f64()),
                own,
                slab.map_or("?".into(), |bytes| each(bytes / 2)), // the client's ends are here, too
                format!("{alone:.2}"),
                format!("{beside:.2}"),
                format!("{:.0}", drain.as_secs_f64() * 1e3),
                format!("{:.1}", spent.as_secs_f64() * 1e6 / count as f64),
            ],
        ));
    }
    let columns = [
        "accepted a second, one after the other",
        "a second of processor",
        "our bytes each",
        "the kernel's structures each",
        "µs a request alone",
        "beside them",
        "ms for a drain",
        "µs of processor each",
    ];
    table::print(&columns, rows);
}

/// The deadlines of many idle connections pass.
fn expiry(processors: Option<&Processors>) {
    println!("\n## Deadlines that pass\n");
    let server = Server::again(&["deadlines"], processors);
    let mut clients = connect_all(server.address, connections());
    let (before, began) = (server.processor_time(), Instant::now());
    let mut room = [0; 16];
    for client in &mut clients {
        assert_eq!(client.read(&mut room).expect("an end"), 0, "bytes");
    }
    let (used, count) = (server.processor_time() - before, clients.len());
    println!(
        "{count} idle connections were closed by their deadlines of {DEADLINE:?}, the last after {:.1?}; \
         {:.1} µs of processor time each",
        began.elapsed(),
        used.as_secs_f64() * 1e6 / count as f64,
    );
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    if let Some(("serve", rest)) = arguments.split_first().map(|(word, rest)| (&**word, rest)) {
        return serve(rest);
    }
    if connections() < 2000 {
        println!("SKIPPED: a process may open too few files: ulimit -n 20000");
        return Ok(());
    }
    let is_chosen = |part: &str| arguments.is_empty() || arguments.iter().any(|it| it == part);
    if is_chosen("loops") {
        loops::measure(); // before this process is kept on one processor
    }
    let processors = Processors::divide();
    println!("{}", Processors::describe(processors.as_ref()));
    if is_chosen("states") {
        states::measure(processors.as_ref());
    }
    if is_chosen("idle") {
        idle(processors.as_ref());
    }
    if is_chosen("expiry") {
        expiry(processors.as_ref());
    }
    Ok(())
}
