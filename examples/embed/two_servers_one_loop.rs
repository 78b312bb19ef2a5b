//! Two servers with different protocols on one thread and one poll.
//!
//! One server counts names: for each line it sends back how often it has received that line. The other
//! server speaks HTTP and shows all counts to the administrator.
//!
//!     cargo run --release --example two_servers_one_loop -- 127.0.0.1:8000
//!
//! From another terminal, type some lines, and then look at the counts:
//!
//!     nc 127.0.0.1 8001
//!     curl http://127.0.0.1:8000/
//!
//! Ctrl-C stops both servers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::io::Write;
use std::rc::Rc;
use std::time::Instant;

use serve_forever::http::{HttpEngine, HttpResult, Request, Response};
use serve_forever::reactor::{EventLoop, Now};
use serve_forever::socketserver::{
    Buffer, Defaults, Engine, Evented, Next, Protocol, ServerAddress, Tcp, Turn,
};

/// The counts, which both servers share. They run on one thread, so there is no lock.
type Tally = Rc<RefCell<BTreeMap<String, u64>>>;

// Limits on what clients can make the server remember.
const LONGEST_NAME: usize = 64;
const MOST_NAMES: usize = 10_000;

/// One connection to the counting server.
struct Counting {
    tally: Tally,
}

impl Protocol for Counting {
    type Message = Infallible;

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next {
        let mut tally = self.tally.borrow_mut();
        while let Some(end) = input.iter().position(|&byte| byte == b'\n') {
            let name = String::from_utf8_lossy(input[..end].trim_ascii()).into_owned();
            input.consume(end + 1);
            if name.len() > LONGEST_NAME || tally.len() >= MOST_NAMES {
                return Next::Linger;
            }
            let count = tally.entry(name).or_default();
            *count += 1;
            // Ignore the result: writing to a buffer cannot fail.
            let _ = writeln!(output, "{count}");
        }
        // Keep the beginning of a line, but disconnect a client whose line is too long.
        match input.len() > LONGEST_NAME {
            true => Next::Linger,
            false => Next::Read,
        }
    }
}

/// Sends all counts, one in each line.
fn show(tally: &Tally, response: Response<'_>) -> HttpResult {
    let tally = tally.borrow();
    let mut text = format!("{} names\n", tally.len());
    for (name, count) in tally.iter() {
        text.push_str(&format!("{count} {name:?}\n"));
    }
    response
        .send_response(200)
        .send_header("Content-Type", "text/plain; charset=utf-8")
        .body(text)
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let admin_address = address.resolve()?;
    let mut counting_address = admin_address;
    if admin_address.port() != 0 {
        counting_address.set_port(admin_address.port().wrapping_add(1));
    }
    let mut event_loop = EventLoop::new()?;
    let tally = Tally::default();

    // Each engine has its own range of tokens. Both share the registry and the waker of the loop.
    let shown = Rc::clone(&tally);
    let page = move |_: &Request<'_>, response: Response<'_>| show(&shown, response);
    let (registry, waker) = (event_loop.registry(), event_loop.waker());
    let mut admin = HttpEngine::bind(admin_address, page, registry, waker, 0..100)?;

    let make_protocol = move |_client_address: &_| Counting {
        tally: Rc::clone(&tally),
    };
    let mut counting = Engine::attach(
        Tcp::new(counting_address)?
            .allow_reuse_address(true)
            .bind_and_activate()?,
        Evented::new(make_protocol),
        Defaults::default(),
        event_loop.registry(),
        event_loop.waker(),
        100..5100,
    )?;

    admin.shutdown_on_signals()?;
    println!(
        "Counting on {}, administration on http://{}/",
        counting.server_address(),
        admin.server_address()
    );
    loop {
        let now = Instant::now();
        let timeouts = [admin.timeout(now), counting.timeout(now)];
        event_loop.wait(timeouts.into_iter().flatten().min(), |event| {
            // An event belongs to one of the two, or to the waker.
            let _ = admin.feed(event) || counting.feed(event);
        })?;
        let now = Instant::now();
        if admin.turn(now)? == Turn::Shutdown || counting.turn(now)? == Turn::Shutdown {
            return Ok(());
        }
    }
}
