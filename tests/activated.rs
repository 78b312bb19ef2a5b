//! The example `activated`, as systemd would start it.
#![cfg(all(feature = "server", target_os = "linux"))]

#[path = "../examples/embed/activated.rs"]
#[allow(dead_code)] // its main
mod activated;
mod support;

use std::env;
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, ExitStatus, Stdio};

use support::client::{answer, queue};
use support::patience::PATIENCE;

/// Set for the process that is the program, and not a test.
const IS_PROGRAM: &str = "TEST_IS_ACTIVATED";

/// The program itself, if the test below has started this process.
#[test]
fn program() {
    if env::var_os(IS_PROGRAM).is_some() {
        activated::main().expect("it serves");
    }
}

/// A program that does not outlive its test.
struct Program(Child);

impl Program {
    /// Reads what it prints, and waits for its end.
    fn end(&mut self) -> (String, ExitStatus) {
        let mut output = String::new();
        let stdout = self.0.stdout.as_mut().expect("a pipe");
        stdout.read_to_string(&mut output).expect("text");
        (output, self.0.wait().expect("it has ended"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill(); // Err: it has ended
        let _ = self.0.wait();
    }
}

/// Starts the program as systemd does: with the listener as descriptor 3, and its own process id in
/// the environment. Only a shell can do that without unsafe code.
fn start(listener: TcpListener, manager: &str) -> Program {
    let script = "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\" 3<&0 </dev/null";
    let program = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(env::current_exe().expect("this file"))
        .args(["--exact", "program", "--nocapture"])
        .env(IS_PROGRAM, "yes")
        .env("NOTIFY_SOCKET", manager)
        .env("WATCHDOG_USEC", "3000")
        .stdin(OwnedFd::from(listener))
        .stdout(Stdio::piped())
        .spawn();
    Program(program.expect("a shell"))
}

fn told(manager: &UnixDatagram) -> String {
    let mut bytes = [0; 100];
    let length = manager.recv(&mut bytes).expect("the program is alive");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

/// SHUT-14: a client that came before the program is served. The manager hears when it is ready,
/// that it is alive, and when it stops. The port stays open for the next program.
#[test]
fn a_service_of_systemd() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let name = format!("activated-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let manager = UnixDatagram::bind_addr(&address).expect("a free name");
    manager.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let ours = listener.try_clone().expect("a copy");
    let first = queue(address, "GET / HTTP/1.0\r\nHost: localhost\r\n\r");

    let mut program = start(listener, &format!("@{name}"));
    assert!(answer(first).ends_with("\r\n\r\nhello"));
    assert_eq!(told(&manager), "READY=1");
    for _ in 0..3 {
        assert_eq!(told(&manager), "WATCHDOG=1");
    }
    let kill = format!("kill -TERM {}", program.0.id());
    let killed = Command::new("sh").args(["-c", &kill]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    let mut last = told(&manager);
    while last == "WATCHDOG=1" {
        last = told(&manager);
    }
    assert_eq!(last, "STOPPING=1");

    let (output, status) = program.end();
    assert!(
        output.contains(&format!("Serving on http://{address}/")),
        "{output}"
    );
    assert!(status.success(), "{output}");
    let _next = queue(address, "waits for the next program");
    drop(ours);
}
