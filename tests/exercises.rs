//! The exercises of the guide, one test for each: `cargo test --test exercises step_1 -- --ignored`.
//!
//! A test runs the program as it is now, so it fails until you have done the exercise. That is why these
//! tests are ignored. Two tests are not. One sees that each exercise fails with the original programs,
//! and the other that it passes with the programs in `examples/guide/solved`.

#![cfg(all(target_os = "linux", feature = "server"))]

#[path = "guide/program.rs"]
mod program;
#[path = "support/sources.rs"]
mod sources;

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// Which programs are tried: the end of the examples' names.
type Programs = &'static str;
const YOURS: Programs = "";
const SOLVED: Programs = "_solved";

/// What is still wrong with the program.
type Outcome<T = ()> = Result<T, String>;

macro_rules! exercises {
    ($($name:ident)*) => {
        $(
            #[test]
            #[ignore = "it fails until you have done the exercise"]
            fn $name() {
                if let Err(wrong) = exercise::$name(YOURS) {
                    panic!("not yet: {wrong}");
                }
            }
        )*

        const EXERCISES: &[(&str, fn(Programs) -> Outcome)] = &[$((stringify!($name), exercise::$name)),*];
    };
}

exercises! {
    step_1_long_line step_1_signal step_1_two_clients
    step_2_reset
    step_3_idle step_3_late_reader
    step_4_own_thread step_4_goodbye
    step_5_silent_client step_5_slow_line
    step_6_long_line step_6_later
    step_7_head step_7_chunked step_7_continue
    step_8_not_found step_8_query
}

/// A test that passes before the exercise is done would be of no use. If you have done one, this fails:
/// put the original program back.
#[test]
fn every_exercise_is_still_to_be_done() {
    for (name, outcome) in try_all(YOURS) {
        assert!(outcome.is_err(), "{name} is done");
    }
}

#[test]
fn every_exercise_can_be_done() {
    for (name, outcome) in try_all(SOLVED) {
        assert_eq!(outcome, Ok(()), "{name}");
    }
}

/// Tries all exercises side by side. When it returns, all programs have ended.
fn try_all(programs: Programs) -> Vec<(&'static str, Outcome)> {
    let running: Vec<_> = EXERCISES
        .iter()
        .map(|(name, exercise)| (*name, thread::spawn(|| exercise(programs))))
        .collect();
    let ended: Vec<_> = running
        .into_iter()
        .map(|(name, exercise)| (name, exercise.join()))
        .collect();
    ended
        .into_iter()
        .map(|(name, outcome)| (name, outcome.expect("the program can be tried")))
        .collect()
}

#[test]
fn every_exercise_is_on_its_page() {
    let mut commands = 0;
    for step in program::STEPS {
        let page = sources::read(&format!("src/guide/{step}.md"));
        let number = &step[..1];
        for (name, _) in EXERCISES {
            let command = format!("`cargo test --test exercises {name} -- --ignored`");
            let here = name.starts_with(&format!("step_{number}_"));
            assert_eq!(page.contains(&command), here, "{name} in {step}.md");
            commands += usize::from(here);
        }
        let all = page.matches("`cargo test --test exercises ").count();
        let known = EXERCISES.iter().filter(|(name, _)| page.contains(name));
        assert_eq!(all, known.count(), "{step}.md");
    }
    assert_eq!(commands, EXERCISES.len());
}

/// Each returns what is still wrong.
mod exercise {
    use super::*;

    const LONG: &str = "0123456789abcdefghijklmnopqrstuvwxyz\n";

    pub fn step_1_long_line(programs: Programs) -> Outcome {
        let program = Program::start("1_select", programs);
        let mut client = program.connect()?;
        client.say(LONG)?;
        client.hear(LONG)?;
        client.say("short\n")?;
        client.hear("short\n")
    }

    pub fn step_1_signal(programs: Programs) -> Outcome {
        let program = Program::start("1_select", programs);
        let mut client = program.connect()?;
        client.say("hello\n")?;
        client.hear("hello\n")?;
        program.stop()?;
        program.signal("CONT");
        client.say("again\n")?;
        client.hear("again\n")
    }

    pub fn step_1_two_clients(programs: Programs) -> Outcome {
        let program = Program::start("1_select", programs);
        program.stop()?;
        let (mut one, mut two) = (program.connect()?, program.connect()?);
        program.signal("CONT");
        for client in [&mut one, &mut two] {
            client.say("hello\n")?;
        }
        one.hear("hello\n")?;
        two.hear("hello\n")
    }

    pub fn step_2_reset(programs: Programs) -> Outcome {
        let program = Program::start("2_reactor", programs);
        let (mut rude, mut other) = (program.connect()?, program.connect()?);
        rude.say("hello\n")?;
        rude.hear("h")?;
        drop((rude, starting())); // with unread bytes: the kernel resets the connection
        // On a busy machine the reset may be late.
        let end = Instant::now() + Duration::from_millis(500);
        while Instant::now() < end {
            other.say("hello\n")?;
            other.hear("hello\n")?;
        }
        Ok(())
    }

    pub fn step_3_idle(programs: Programs) -> Outcome {
        let program = Program::start("3_loop", programs);
        let (mut idle, mut busy) = (program.connect()?, program.connect()?);
        idle.say("hello\n")?;
        idle.hear("hello\n")?;
        for _ in 0..8 {
            busy.say("hello\n")?;
            busy.hear("hello\n")?;
            thread::sleep(Duration::from_millis(250));
        }
        idle.end()
    }

    pub fn step_3_late_reader(programs: Programs) -> Outcome {
        const SIZE: usize = 8_000_000;
        let program = Program::start("3_loop", programs);
        let mut client = program.connect()?;
        let mut writing = client.0.try_clone().map_err(as_text)?;
        let (pieces, written) = mpsc::channel();
        let writer = thread::spawn(move || {
            for piece in vec![b'x'; SIZE].chunks(50_000) {
                if writing.write_all(piece).is_err() || pieces.send(()).is_err() {
                    return;
                }
            }
        });
        // Late: all is written, or the program sleeps and nothing more can be written.
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if written.recv_timeout(Duration::from_millis(300)).is_err() && program.is('S') {
                break;
            }
        }
        let mut echo = vec![0; SIZE];
        let read = client.0.read_exact(&mut echo).map_err(as_text);
        // If it is still writing, it ends now.
        let _ = client.0.shutdown(Shutdown::Both);
        let _ = writer.join();
        read
    }

    pub fn step_4_own_thread(programs: Programs) -> Outcome {
        let program = Program::start("4_stopping", programs);
        let (mut one, mut two) = (program.connect()?, program.connect()?);
        one.say("shutdown\n")?;
        two.say("hello\n")?;
        // The loop goes on and answers, or it ends and closes.
        match two.0.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err("the loop hangs".into()),
            _ => Ok(()),
        }
    }

    pub fn step_4_goodbye(programs: Programs) -> Outcome {
        let program = Program::start("4_stopping", programs);
        let (mut one, mut two) = (program.connect()?, program.connect()?);
        for client in [&mut one, &mut two] {
            client.say("hello\n")?;
            client.hear("hello\n")?;
        }
        one.say("stop\n")?;
        for client in [&mut one, &mut two] {
            client.hear("bye\n")?;
            client.end()?;
        }
        Ok(())
    }

    pub fn step_5_silent_client(programs: Programs) -> Outcome {
        let program = Program::start("5_handlers", programs);
        let mut client = program.connect()?;
        client.say("hello\n")?;
        client.hear("hello\n")?;
        client.end()
    }

    pub fn step_5_slow_line(programs: Programs) -> Outcome {
        let program = Program::start("5_handlers", programs);
        let mut client = program.connect()?;
        let half = Duration::from_millis(500);
        client.0.set_read_timeout(Some(half)).map_err(as_text)?;
        for _ in 0..8 {
            if client.say("x").is_err() || client.end().is_ok() {
                return Ok(());
            }
        }
        Err("after four seconds the line is not complete, and the client is still there".into())
    }

    pub fn step_6_long_line(programs: Programs) -> Outcome {
        let program = Program::start("6_protocol", programs);
        let mut client = program.connect()?;
        let good = format!("{}\n", "x".repeat(1000));
        client.say(&good)?;
        client.hear(&good)?;
        client.say(&"x".repeat(2000))?;
        client.hear("Too long\n")?;
        client.end()?;
        // A line that is complete when it is seen first is not shorter.
        let mut client = program.connect()?;
        client.say(&format!("{}\n", "x".repeat(2000)))?;
        client.hear("Too long\n")?;
        client.end()
    }

    pub fn step_6_later(programs: Programs) -> Outcome {
        let program = Program::start("6_protocol", programs);
        let (mut one, mut two) = (program.connect()?, program.connect()?);
        one.say("later\n")?;
        two.say("hello\n")?;
        two.hear("hello\n")?;
        one.0.set_nonblocking(true).map_err(as_text)?;
        if one.0.read(&mut [0]).is_ok() {
            return Err("`later` was not later".into());
        }
        one.0.set_nonblocking(false).map_err(as_text)?;
        one.hear("later\n")
    }

    pub fn step_7_head(programs: Programs) -> Outcome {
        let program = Program::start("7_http", programs);
        let mut client = program.connect()?;
        client.say("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n")?;
        client.say("GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")?;
        let responses = client.rest()?;
        let (head, next) = responses.split_once("\r\n\r\n").ok_or("no head")?;
        let length = head.contains("Content-Length: 1"); // of `HEAD /a, 0 bytes`, or with GET
        match length && next.starts_with("HTTP/1.1 200 OK\r\n") {
            true => Ok(()),
            false => Err(format!("the responses are\n{responses}")),
        }
    }

    pub fn step_7_chunked(programs: Programs) -> Outcome {
        let program = Program::start("7_http", programs);
        let mut client = program.connect()?;
        client.say("POST /form HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n")?;
        client.say("Connection: close\r\n\r\n2\r\na=\r\n")?;
        client.say("1\r\nb\r\n0\r\n\r\n")?;
        client.response("HTTP/1.1 200 OK\r\n", "\r\n\r\nPOST /form, 3 bytes\n")
    }

    pub fn step_7_continue(programs: Programs) -> Outcome {
        let program = Program::start("7_http", programs);
        let mut client = program.connect()?;
        client.say("POST /form HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n")?;
        client.say("Content-Length: 3\r\nConnection: close\r\n\r\n")?;
        client.hear("HTTP/1.1 100 Continue\r\n\r\n")?;
        client.say("a=")?;
        client.say("b")?;
        client.response("HTTP/1.1 200 OK\r\n", "\r\n\r\nPOST /form, 3 bytes\n")
    }

    pub fn step_8_not_found(programs: Programs) -> Outcome {
        let program = Program::start("8_wsgi", programs);
        let mut client = program.connect()?;
        client.say("GET /hello HTTP/1.0\r\n\r\n")?;
        client.response("HTTP/1.1 200 OK\r\n", "GET /hello, 0 bytes\n")?;
        let mut client = program.connect()?;
        client.say("GET /nowhere HTTP/1.0\r\n\r\n")?;
        client.response("HTTP/1.1 404 Not Found\r\n", "")
    }

    pub fn step_8_query(programs: Programs) -> Outcome {
        let program = Program::start("8_wsgi", programs);
        let mut client = program.connect()?;
        client.say("GET /count?to=3 HTTP/1.0\r\n\r\n")?;
        client.response("HTTP/1.1 200 OK\r\n", "\r\n\r\n1\n2\n3\n")
    }
}

/// Held while a process is started. For a moment it has all descriptors of this one, so a connection
/// that is closed in this moment stays open.
fn starting() -> MutexGuard<'static, ()> {
    static STARTING: Mutex<()> = Mutex::new(());
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program of the guide. Dropping it kills it.
struct Program {
    child: Child,
    address: String,
}

impl Program {
    fn start(step: &str, programs: Programs) -> Program {
        let guard = starting();
        let mut child = Command::new(program::path(&format!("guide_{step}{programs}")))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        drop(guard);
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("the first line");
        let address = line.trim_end().strip_prefix("Serving on ");
        let address = address.expect("an address").to_owned();
        // The program may say more, and must not fail because nobody listens.
        thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Program { child, address }
    }

    fn connect(&self) -> Outcome<Client> {
        let stream = TcpStream::connect(&self.address).map_err(as_text)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(as_text)?;
        stream.set_nodelay(true).map_err(as_text)?;
        Ok(Client(stream))
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let guard = starting();
        let status = Command::new("sh").args(["-c", &kill]).status();
        drop(guard);
        assert!(status.is_ok_and(|status| status.success()), "{kill}");
    }

    /// Stops the process while it sleeps in its poll.
    fn stop(&self) -> Outcome {
        self.wait_until('S')?;
        self.signal("STOP");
        self.wait_until('T')
    }

    fn wait_until(&self, state: char) -> Outcome {
        let end = Instant::now() + PATIENCE;
        while !self.is(state) {
            if Instant::now() > end {
                return Err(format!("the process is never in the state {state}"));
            }
            thread::yield_now();
        }
        Ok(())
    }

    /// Returns whether the process is in this state: it sleeps (S), or is stopped (T).
    fn is(&self, state: char) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        status.is_ok_and(|status| status.contains(&format!(") {state} ")))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client(TcpStream);

impl Client {
    fn say(&mut self, text: &str) -> Outcome {
        self.0.write_all(text.as_bytes()).map_err(as_text)
    }

    /// The next bytes must be these.
    fn hear(&mut self, expected: &str) -> Outcome {
        let mut heard = vec![0; expected.len()];
        let mut count = 0;
        while count < heard.len() {
            match self.0.read(&mut heard[count..]) {
                Ok(more @ 1..) => count += more,
                end => {
                    let heard = String::from_utf8_lossy(&heard[..count]);
                    return Err(format!("{heard:?} and then {end:?}, not {expected:?}"));
                }
            }
        }
        match heard == expected.as_bytes() {
            true => Ok(()),
            false => Err(format!(
                "{:?}, not {expected:?}",
                String::from_utf8_lossy(&heard)
            )),
        }
    }

    /// Returns what comes until the connection is closed. An endless response is cut.
    fn rest(&mut self) -> Outcome<String> {
        let mut text = String::new();
        let limited = (&mut self.0).take(100_000).read_to_string(&mut text);
        limited.map_err(|error| format!("{text:?} and then {error}"))?;
        Ok(text)
    }

    /// What comes until the connection is closed must begin and end like this.
    fn response(&mut self, start: &str, end: &str) -> Outcome {
        let text = self.rest()?;
        match text.starts_with(start) && text.ends_with(end) {
            true => Ok(()),
            false => Err(format!(
                "the response is {:?}",
                text.get(..200).unwrap_or(&text)
            )),
        }
    }

    /// The connection must be closed, and nothing come before.
    fn end(&mut self) -> Outcome {
        match self.0.read(&mut [0]) {
            Ok(0) => Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            other => Err(format!("{other:?}, but not the end of the connection")),
        }
    }
}

fn as_text(error: std::io::Error) -> String {
    error.to_string()
}
