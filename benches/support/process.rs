//! A server in a process of its own, so that its processor time can be told from the client's.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// The length of a tick in `/proc/PID/stat`: `sysconf(_SC_CLK_TCK)` is 100 on Linux.
const TICK: Duration = Duration::from_millis(10);

/// The processors that the server and the client stay on. Without this the system moves them about,
/// and the same run differs by a tenth.
pub struct Processors {
    server: u32,
    client: u32,
}

impl Processors {
    /// Keeps this process on one processor. `None` if it has no second one for a server, or if the
    /// command `taskset` is missing.
    pub fn divide() -> Option<Processors> {
        let allowed = status("self", "Cpus_allowed_list:")?;
        let mut ends = allowed.trim().split([',', '-']);
        let server: u32 = ends.next()?.parse().ok()?;
        let client: u32 = ends.next_back()?.parse().ok()?;
        let mut command = Command::new("taskset");
        let pin = command.args(["-cp", &client.to_string(), &std::process::id().to_string()]);
        let pinned = pin.stdout(Stdio::null()).stderr(Stdio::null()).status();
        pinned
            .ok()?
            .success()
            .then_some(Processors { server, client })
    }

    pub fn describe(divided: Option<&Processors>) -> String {
        match divided {
            Some(Processors { server, client }) => {
                format!("servers on processor {server}, the client on processor {client}")
            }
            None => "not kept on processors of their own".into(),
        }
    }
}

/// A running server. It is killed when this is dropped.
pub struct Server {
    process: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts a command and waits until it listens. `{port}` in its words stands for a free port.
    pub fn start(words: &[String], processors: Option<&Processors>) -> Server {
        let probe = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = probe.local_addr().expect("an address");
        drop(probe);
        let port = address.port().to_string();
        let mut all: Vec<String> = Vec::new();
        if let Some(processors) = processors {
            all.extend(["taskset", "-c", &processors.server.to_string()].map(String::from));
        }
        all.extend(words.iter().map(|word| word.replace("{port}", &port)));
        let mut command = Command::new(&all[0]);
        let command = command.args(&all[1..]).stdout(Stdio::null());
        let process = command.spawn();
        let process = process.unwrap_or_else(|error| panic!("{}: {error}", all.join(" ")));
        let mut server = Server { process, address };
        server.wait_until_it_listens();
        server
    }

    /// Starts this same program with the arguments `serve`, `arguments` and an address.
    pub fn again(arguments: &[&str], processors: Option<&Processors>) -> Server {
        let program = env::current_exe().expect("this program");
        let mut words = vec![program.display().to_string(), "serve".into()];
        words.extend(arguments.iter().map(|&argument| argument.to_owned()));
        words.push("127.0.0.1:{port}".into());
        Server::start(&words, processors)
    }

    fn wait_until_it_listens(&mut self) {
        let began = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let ended = self.process.try_wait().expect("a process");
            assert!(ended.is_none(), "the server has ended: {ended:?}");
            assert!(began.elapsed() < PATIENCE, "the server does not listen");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The processor time that the server has used until now.
    pub fn processor_time(&self) -> ProcessorTime {
        let process = self.process.id();
        let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("Linux");
        let names = tasks.filter_map(|task| task.ok()?.file_name().into_string().ok());
        let threads = names.filter_map(|thread| {
            let path = format!("/proc/{process}/task/{thread}/schedstat");
            let run = fs::read_to_string(path).ok()?;
            let nanoseconds = run.split_whitespace().next()?.parse().ok()?;
            Some((thread, Duration::from_nanos(nanoseconds)))
        });
        let threads = threads.collect();
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("Linux");
        // The name of the program, in parentheses, may have spaces. utime and stime are the fields 14 and 15.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let fields = fields.split_whitespace().skip(11).take(2);
        let ticks: u32 = fields.filter_map(|field| field.parse::<u32>().ok()).sum();
        ProcessorTime {
            threads,
            process: TICK * ticks,
        }
    }

    /// The resident memory of the process, in bytes.
    pub fn resident(&self) -> usize {
        let line = status(&self.process.id().to_string(), "VmRSS:").expect("Linux");
        let kib = line.trim().strip_suffix(" kB").expect("kilobytes");
        kib.parse::<usize>().expect("a number") * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }
}

/// The line of `/proc/PROCESS/status` with this name, without the name.
fn status(process: &str, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.map(str::to_owned)
}

/// The processor time that a process has used, in user and in kernel mode.
pub struct ProcessorTime {
    /// Of each thread that lives, to the nanosecond.
    threads: BTreeMap<String, Duration>,
    /// Of all threads, also of those that have ended, in ticks.
    process: Duration,
}

impl ProcessorTime {
    /// The time used since `before`: exact, or to a tick if threads of the process have ended.
    pub fn since(&self, before: &ProcessorTime) -> Duration {
        let sum = |time: &ProcessorTime| time.threads.values().sum::<Duration>();
        // The ticks are rounded down, so they are more only if they count threads that are gone.
        if self.process > sum(self) {
            return self.process.saturating_sub(before.process);
        }
        sum(self).saturating_sub(sum(before))
    }
}
