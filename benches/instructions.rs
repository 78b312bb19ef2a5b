//! Counts the instructions that the server takes for one request, without sockets and without the loop.
//! Needs Valgrind.
//!
//!     cargo bench --bench instructions
//!     cargo bench --bench instructions -- browser pipeline
//!     BLESS=1 cargo bench --bench instructions
//!
//! It prints a table and ends with an error if a case takes more than its ceiling allows. The ceilings
//! are in `instructions.txt`; with `BLESS` they are renewed. The names after `--` choose cases.
//!
//! A count does not depend on what else the machine does, so it shows a change that a timing cannot.
//! But it depends on the compiler and on the processor's vector instructions. So the ceilings name both.
//! Elsewhere the table is printed, and nothing is compared.

use std::env;
use std::fs;
use std::hint::black_box;
use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serve_forever::http::{HttpConnection, HttpSettings};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Protocol};

#[path = "../examples/checks/plaintext.rs"]
#[allow(dead_code)]
mod plaintext;

use plaintext::Plaintext;

/// Where the ceilings are.
const CEILINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

/// How many percent more than its ceiling a case may take. A small change of the library's code moves
/// unrelated code, and with it a few instructions.
const SLACK: u64 = 2;

/// How often a case is repeated in a short and in a long run. The difference leaves out the first requests.
const RUNS: [u64; 2] = [100, 1100];

/// How much is copied into the input at once. The C library copies more with one instruction, which
/// Valgrind counts once for each byte.
const PIECE: usize = 512;

/// One case: the bytes that arrive together.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    /// How many requests they hold.
    requests: u64,
}

fn cases() -> [Case; 5] {
    const GET: &str = "GET /plaintext HTTP/1.1\r\nHost: example.org\r\n\r\n";
    const BROWSER: &str = "GET /plaintext HTTP/1.1\r\n\
        Host: www.example.org\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 \
        Safari/537.36\r\n\
        Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*\r\n\
        Accept-Encoding: gzip, deflate, br, zstd\r\n\
        Accept-Language: en-GB,en;q=0.9,de;q=0.7\r\n\
        Cache-Control: max-age=0\r\n\
        Connection: keep-alive\r\n\
        Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; _ga=GA1.1.1234567890.1718000000\r\n\
        Referer: https://www.example.org/index.html?tab=overview\r\n\
        Sec-Fetch-Dest: document\r\n\
        Sec-Fetch-Mode: navigate\r\n\
        Upgrade-Insecure-Requests: 1\r\n\
        \r\n";
    let content = "x".repeat(10 * 1024);
    let post =
        format!("POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 10240\r\n\r\n{content}");
    let chunk = format!("800\r\n{}\r\n", "x".repeat(2048));
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(5)
    );
    let case = |name, text: String, requests| Case {
        name,
        bytes: text.into(),
        requests,
    };
    [
        case("get", GET.into(), 1),
        case("pipeline", GET.repeat(16), 16),
        case("browser", BROWSER.into(), 1),
        case("post", post, 1),
        case("chunked", chunked, 1),
    ]
}

/// Lets one connection serve the case so many times. Only this function is counted, with all that it calls.
#[inline(never)]
fn serve(case: &Case, times: u64) {
    let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
    let mut connection = HttpConnection::new(Plaintext, peer, Arc::new(HttpSettings::default()));
    let (mut input, mut output) = (Buffer::with_capacity(64 * 1024), Buffer::new());
    let now = Now::at(
        Instant::now(),
        UNIX_EPOCH + Duration::from_secs(784_111_777),
    );
    for _ in 0..times {
        for piece in case.bytes.chunks(PIECE) {
            input.extend_from_slice(piece);
        }
        black_box(connection.receive(&mut input, &mut output, &now));
        assert!(input.is_empty(), "{}: not all was served", case.name);
        assert!(output.starts_with(b"HTTP/1.1 200 OK\r\n"), "{output:?}");
        assert!(output.ends_with(b"Hello, World!"), "{output:?}");
        black_box(&output);
        output.clear();
    }
}

/// Returns how many instructions a request of the case takes, or `None` if there is no Valgrind.
fn count(case: &Case) -> Option<u64> {
    let [short, long] = RUNS.map(|times| collected(case.name, times));
    Some((long? - short?) / (RUNS[1] - RUNS[0]) / case.requests)
}

/// Returns how many instructions this program takes if it serves the case so many times.
fn collected(name: &str, times: u64) -> Option<u64> {
    let program = env::current_exe().expect("this program has a path");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    // How the program starts depends on the memory that Valgrind has mapped: the C library reads a list of it.
    valgrind.arg("--toggle-collect=instructions::serve");
    // The length of the environment moves the stack, and with it what is aligned.
    valgrind.env_clear().env("PATH", env::var_os("PATH")?);
    let output = valgrind
        .arg(program)
        .args(["serve", name, &times.to_string()])
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let (_, after) = said.split_once("Collected :").expect("callgrind's sum");
    after.split_whitespace().next()?.parse().ok()
}

/// Returns what the counts depend on besides the code: compiler and processor.
fn circumstances() -> String {
    let rustc = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into()))
        .arg("--version")
        .output();
    let version = rustc.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    let release = version.split_whitespace().nth(1).unwrap_or("unknown");
    format!("rustc {release}, {}, {}", env::consts::ARCH, vectors())
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> &'static str {
    match is_x86_feature_detected!("avx2") {
        true => "AVX2",
        false => "no AVX2",
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn vectors() -> &'static str {
    "baseline"
}

/// The counts that were blessed, and the circumstances in which they were taken.
struct Ceilings {
    text: String,
}

impl Ceilings {
    fn read() -> Ceilings {
        Ceilings {
            text: fs::read_to_string(CEILINGS).unwrap_or_default(),
        }
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter(|line| !line.starts_with('#'))
    }

    fn circumstances(&self) -> &str {
        self.lines().next().unwrap_or_default()
    }

    fn of(&self, name: &str) -> Option<u64> {
        self.lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(case, _)| *case == name)
            .and_then(|(_, count)| count.parse().ok())
    }

    fn write(circumstances: &str, counts: &[(&str, u64)]) {
        let mut text = String::from(
            "# Instructions a request. `BLESS=1 cargo bench --bench instructions` renews this file.\n",
        );
        text += circumstances;
        text += "\n";
        for (name, count) in counts {
            text += &format!("{name} {count}\n");
        }
        fs::write(CEILINGS, text).expect("the file can be written");
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let all = cases();
    if let [verb, name, times] = &arguments[..] {
        if verb == "serve" {
            let case = all.iter().find(|case| case.name == name).expect("a case");
            serve(case, times.parse().expect("a number"));
            return ExitCode::SUCCESS;
        }
    }
    let bless = env::var_os("BLESS").is_some();
    let every = bless || arguments.is_empty();
    let chosen = |case: &&Case| every || arguments.iter().any(|a| a == case.name);
    report(all.iter().filter(chosen), bless)
}

/// Counts the cases, and compares them with their ceilings or renews these.
fn report<'a>(chosen: impl Iterator<Item = &'a Case>, bless: bool) -> ExitCode {
    let (ceilings, here) = (Ceilings::read(), circumstances());
    let comparable = ceilings.circumstances() == here;
    let (mut counts, mut too_many) = (Vec::new(), false);
    println!("Instructions a request, with {here}:\n");
    println!("| case | instructions | ceiling |\n| --- | ---: | ---: |");
    for case in chosen {
        let Some(found) = count(case) else {
            println!("\nSKIPPED: there is no valgrind");
            return ExitCode::SUCCESS;
        };
        let ceiling = ceilings.of(case.name).filter(|_| comparable);
        let shown = ceiling.map_or("-".into(), |ceiling| ceiling.to_string());
        println!("| {} | {found} | {shown} |", case.name);
        too_many |= ceiling.is_some_and(|ceiling| found * 100 > ceiling * (100 + SLACK));
        counts.push((case.name, found));
    }
    println!();
    if bless {
        Ceilings::write(&here, &counts);
        println!("The ceilings were renewed.");
    } else if !comparable {
        println!(
            "SKIPPED the comparison: the ceilings are for {}",
            ceilings.circumstances()
        );
    } else if too_many {
        println!(
            "FAILED: a case takes over {SLACK} % more than its ceiling. Find out why; if it has to be, renew"
        );
        println!("the ceilings with `BLESS=1 cargo bench --bench instructions`.");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
