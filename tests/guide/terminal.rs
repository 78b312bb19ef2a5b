//! A terminal in which the commands of a page are typed.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use super::program;

/// What the pages have, and what the program really has: a port that the system chose.
const ADDRESS: &str = "127.0.0.1:8000";

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A bash with job control, as it is in a terminal, but without its prompt and its reports of jobs.
pub struct Terminal {
    bash: Child,
    keyboard: ChildStdin,
    screen: Receiver<Shown>,
    /// The process groups that run in the background.
    jobs: Vec<String>,
    /// The real address of the program.
    address: String,
}

/// What the reader of the terminal gets.
enum Shown {
    Line(String),
    /// A command is over. What runs in the background may write later.
    Over,
}

impl Terminal {
    pub fn open() -> Terminal {
        let mut bash = Command::new("bash")
            .arg("--norc")
            .env("no_proxy", "*") // for curl
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let keyboard = bash.stdin.take().expect("a pipe");
        let (sender, screen) = mpsc::channel();
        let over = sender.clone();
        // Both end when bash and all its jobs have ended.
        let output = bash.stdout.take().expect("a pipe");
        each_line(output, move |line| sender.send(Shown::Line(line)).is_ok());
        let report = bash.stderr.take().expect("a pipe");
        each_line(report, move |_| over.send(Shown::Over).is_ok());
        let mut terminal = Terminal {
            bash,
            keyboard,
            screen,
            jobs: Vec::new(),
            address: ADDRESS.to_owned(),
        };
        // A command's two outputs go to the screen. The ends of commands go where they cannot get into
        // the middle of a line.
        terminal.run("exec 9>&2 2>&1; set -m", 0);
        terminal
    }

    /// Types a command of a page. Returns what the screen shows: as many lines as are expected, more if
    /// there are more when the command is over, and fewer if the others do not come.
    pub fn type_in(&mut self, command: &str, expected: usize) -> Vec<String> {
        let mut shown = match command.split_once("cargo run -q --example ") {
            Some(("", rest)) => {
                let (name, arguments) = rest.split_once(' ').expect("it runs in the background");
                let arguments = arguments.trim_start_matches(ADDRESS);
                let path = program::path(name);
                let shown = self.run(&format!("'{}' 127.0.0.1:0 {arguments}", path.display()), 1);
                let address = shown.last().and_then(|line| line.split("on ").nth(1));
                self.address = address.unwrap_or(ADDRESS).to_owned();
                let job = self.run("echo $!", 1);
                self.jobs.extend(job);
                shown
            }
            _ => self.run(&self.here(command), expected),
        };
        for line in &mut shown {
            *line = line.replace(&self.address, ADDRESS);
        }
        shown
    }

    /// Returns the command with the real address in it.
    fn here(&self, command: &str) -> String {
        let slashes = |address: &str| address.replace(':', "/");
        command
            .replace(ADDRESS, &self.address)
            .replace(&slashes(ADDRESS), &slashes(&self.address))
    }

    /// Returns the lines that appear until the command is over and has shown as many lines as
    /// expected.
    fn run(&mut self, command: &str, expected: usize) -> Vec<String> {
        let typed = format!("{command}\nstatus=$?; echo >&9; (exit $status)\n");
        self.keyboard.write_all(typed.as_bytes()).expect("a reader");
        let (end, mut over, mut shown) = (Instant::now() + PATIENCE, false, Vec::new());
        while !over || shown.len() < expected {
            let left = end.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(Shown::Over) => over = true,
                Ok(Shown::Line(line)) if is_a_report(&line) => {}
                Ok(Shown::Line(line)) => shown.push(line),
                Err(_) if over => break,
                Err(_) => {
                    shown.push(format!("(and is not over after {PATIENCE:?})"));
                    break;
                }
            }
        }
        shown
    }
}

/// Calls `tell` with each line, on a thread of its own, until that returns `false`.
fn each_line(output: impl Read + Send + 'static, tell: impl Fn(String) -> bool + Send + 'static) {
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            if !tell(line.trim_end_matches('\r').to_owned()) {
                break;
            }
        }
    });
}

/// Returns whether bash reports that a job has stopped or ended.
fn is_a_report(line: &str) -> bool {
    line.starts_with("bash: line ")
        && ["Killed", "Terminated"]
            .iter()
            .any(|end| line.contains(end))
        || line.starts_with('[')
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let groups: Vec<String> = self.jobs.iter().map(|job| format!("-{job}")).collect();
        let kill = format!("kill -KILL -- {} 2>/dev/null", groups.join(" "));
        let _ = Command::new("bash").args(["-c", &kill]).status();
        let _ = self.bash.kill();
        let _ = self.bash.wait();
    }
}
