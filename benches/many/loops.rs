//! Two loops on one port: each with a listener of its own, or both on one listener.

use std::error::Error;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use serve_forever::http::{Http, HttpSettings, Request, Response};
use serve_forever::socketserver::{self, Evented, Tcp};

use crate::support::load::{Client, Load};
use crate::support::process::Server;
use crate::support::requests::{LAST, SMALL};
use crate::support::rounds::Samples;
use crate::support::table;

/// The ways in which loops share a port.
const WAYS: [&str; 3] = ["one loop", "reuse_port", "one listener"];

/// Serves on two loops until the process is killed.
pub fn serve(way: &str, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let listeners: Vec<Tcp> = match way {
        "reuse_port" => {
            let listen = || {
                Tcp::new(address)?
                    .allow_reuse_address(true)
                    .allow_reuse_port(true)
                    .disable_nagle_algorithm(true)
                    .request_queue_size(1024)
                    .bind_and_activate()
            };
            vec![listen()?, listen()?]
        }
        "one listener" => {
            // The option is inherited by the connections.
            let listener = TcpListener::bind(address)?;
            socket2::SockRef::from(&listener).set_tcp_nodelay(true)?;
            let second = listener.try_clone()?;
            vec![Tcp::from_listener(listener)?, Tcp::from_listener(second)?]
        }
        _ => return Err("no server has this name".into()),
    };
    let loops = listeners.into_iter().map(|listener| {
        thread::spawn(move || {
            let hello =
                |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("hello");
            let dispatch = Evented::new(Http::new(hello, HttpSettings::default()));
            let mut server = socketserver::Server::new(listener, dispatch).expect("a loop");
            server.serve_forever().expect("it serves");
        })
    });
    for serving in loops.collect::<Vec<_>>() {
        serving.join().map_err(|_| "a loop has panicked")?;
    }
    Ok(())
}

fn loads() -> [Load; 3] {
    let load = |name, request: &[u8], connections, closes| Load {
        name,
        request: request.to_vec(),
        connections,
        depth: 1,
        closes,
    };
    [
        load("keep-alive, 64 connections", SMALL, 64, false),
        load("keep-alive, 512 connections", SMALL, 512, false),
        load("a connection for each request, 64 at once", LAST, 64, true),
    ]
}

/// What was measured of one way, a figure for each round.
#[derive(Default)]
struct Figures {
    /// Requests a second.
    rates: Vec<f64>,
    /// Processor time for a request, in microseconds.
    times: Vec<f64>,
    /// The time in which 99 % of the requests were answered, in microseconds.
    latencies: Vec<f64>,
}

impl Figures {
    fn cells(self) -> Vec<String> {
        let median = |figures| Samples::new(figures).median();
        vec![
            format!("{:.0}", median(self.rates)),
            format!("{:.2}", median(self.times)),
            format!("{:.0}", median(self.latencies)),
        ]
    }
}

pub fn measure() {
    println!("\n## Loops that share a port, on all processors, the client among them\n");
    for load in loads() {
        let servers = WAYS.map(|way| Server::again(&[way], None));
        let mut figures = WAYS.map(|_| Figures::default());
        let mut clients = servers
            .each_ref()
            .map(|server| Client::connect(server.address, &load).expect("our own server"));
        for _ in 0..7 {
            for ((server, client), figures) in servers.iter().zip(&mut clients).zip(&mut figures) {
                let (before, time) = (server.processor_time(), Duration::from_millis(300));
                let run = client.run(time).expect("our own server");
                let used = server.processor_time() - before;
                let rate = run.requests as f64 / time.as_secs_f64();
                figures.rates.push(rate);
                figures
                    .times
                    .push(used.as_secs_f64() * 1e6 / run.requests as f64);
                figures.latencies.push(run.latency(990).as_secs_f64() * 1e6);
            }
        }
        println!("{}:\n", load.name);
        let columns = [
            "requests a second",
            "µs of processor each",
            "99 % within µs",
        ];
        let rows = WAYS.into_iter().zip(figures);
        table::print(&columns, rows.map(|(way, it)| (way.to_owned(), it.cells())));
        println!();
    }
}
