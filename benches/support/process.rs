//! A server in a process of its own, so that its processor time can be told from the client's.

use std::env;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

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
        Processors::keep(server, client)
    }

    /// Keeps this process on one processor, which the servers share. `None` if the command `taskset` is
    /// missing.
    pub fn share() -> Option<Processors> {
        let allowed = status("self", "Cpus_allowed_list:")?;
        let processor: u32 = allowed.trim().split([',', '-']).next()?.parse().ok()?;
        Processors::keep(processor, processor)
    }

    fn keep(server: u32, client: u32) -> Option<Processors> {
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

    /// The processor time that all threads of the server have used until now, in user and in kernel mode.
    pub fn processor_time(&self) -> Duration {
        clock::processor_time(self.process.id())
    }

    /// Has the server drain its connections and end, by SIGTERM. Returns how long that took, and the
    /// processor time that it used.
    pub fn drain(mut self) -> (Duration, Duration) {
        let process = self.process.id().to_string();
        let before = self.processor_time();
        let began = Instant::now();
        let told = Command::new("kill").args(["-TERM", &process]).status();
        assert!(told.is_ok_and(|told| told.success()), "kill");
        let mut used = Duration::ZERO;
        // A process that has ended stays, without threads, until it is waited for.
        while self.process.try_wait().expect("a process").is_none() {
            assert!(began.elapsed() < PATIENCE, "the drain does not end");
            let now = self.processor_time().saturating_sub(before);
            used = used.max(now);
            thread::sleep(Duration::from_millis(1));
        }
        (began.elapsed(), used)
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
        // Ignore the error: it has ended already, after a drain.
        let _ = self.process.kill();
        self.process.wait().expect("it ends");
    }
}

/// The line of `/proc/PROCESS/status` with this name, without the name.
fn status(process: &str, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.map(str::to_owned)
}

#[cfg(target_os = "linux")]
mod clock {
    use std::time::Duration;

    /// The processor time of a process, to the nanosecond, also of threads that have ended. `/proc` has it
    /// only in steps of 10 ms, or without the threads that have ended.
    pub fn processor_time(process: u32) -> Duration {
        let mut clock = 0;
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: each of the two functions writes into the one value that it gets.
        let failed = unsafe {
            libc::clock_getcpuclockid(process as libc::pid_t, &raw mut clock) != 0
                || libc::clock_gettime(clock, &raw mut time) != 0
        };
        assert!(!failed, "process {process} has no clock");
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

#[cfg(not(target_os = "linux"))]
mod clock {
    use std::time::Duration;

    pub fn processor_time(_process: u32) -> Duration {
        panic!("the benches that need it run on Linux")
    }
}
