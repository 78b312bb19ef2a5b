//! Small whole programs, as somebody new to this crate writes them. Each does what it says, and is
//! not longer than its first version: if one needs more lines, the crate has become harder to use.
#![cfg(feature = "server")]

mod support;

#[path = "programs/chat.rs"]
#[allow(dead_code)]
mod chat;
#[path = "programs/embedded.rs"]
#[allow(dead_code)]
mod embedded;
#[path = "programs/events.rs"]
#[allow(dead_code)]
mod events;
#[path = "programs/pooled.rs"]
#[allow(dead_code)]
mod pooled;

use std::io::{BufRead, BufReader};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use support::client::{Client, text};
use support::patience::{PATIENCE, spawn};

const ANY: &str = "127.0.0.1:0";

/// Lines of code, without empty lines and comments.
#[test]
fn no_program_has_become_longer() {
    let cases = [
        ("events", include_str!("programs/events.rs"), 61),
        ("embedded", include_str!("programs/embedded.rs"), 90),
        ("chat", include_str!("programs/chat.rs"), 108),
        ("pooled", include_str!("programs/pooled.rs"), 28),
    ];
    for (name, program, most) in cases {
        let lines = program.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
        let count = lines.count();
        println!("{name}: {count} lines, at most {most}");
        assert!(count <= most, "{name}: {count} lines, not {most}");
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
}

#[test]
fn browsers_are_counted() {
    let server = events::start(ANY).expect("a server");
    let address = *server.server_address();
    let mut page = Client::connect(address);
    page.send(get("/"));
    assert!(text(&page.rest()).contains("EventSource"));
    let browser = || {
        let mut client = Client::connect(address);
        client.send(get("/events"));
        BufReader::new(client.0)
    };
    let hears = |browser: &mut BufReader<_>, count: u8| {
        let event = format!("data: {count}\n");
        let mut line = String::new();
        while line != event {
            line.clear();
            browser.read_line(&mut line).expect("it comes in time");
            assert_ne!(line, "", "the events end");
        }
    };
    let mut first = browser();
    hears(&mut first, 1);
    let mut second = browser();
    hears(&mut first, 2);
    hears(&mut second, 2);
    drop(second);
    hears(&mut first, 1);
    server.shutdown().expect("it ends");
}

#[test]
fn a_page_in_a_program_with_its_own_poll() {
    let (sender, addresses) = channel();
    let program = spawn(move || {
        let ready = |page, echo, stop| sender.send((page, echo, stop)).expect("the test waits");
        embedded::run(ready).map_err(|error| error.to_string())
    });
    let (page, echo, stop) = addresses.recv_timeout(PATIENCE).expect("it starts");
    let mut client = Client::connect(echo);
    client.send("hello");
    client.expect("hello");
    let mut browser = Client::connect(page);
    browser.send(get("/"));
    assert!(text(&browser.rest()).ends_with("5 bytes echoed\\n"));
    stop.request();
    assert_eq!(program.join(), Ok(()));
}

#[test]
fn guests_chat() {
    let server = chat::start(ANY, Duration::from_secs(300)).expect("a server");
    let enter = || {
        let mut guest = Client::connect(*server.server_address());
        let port = guest.address().port();
        guest.expect(format!("welcome guest{port}; /nick NAME, /quit\n"));
        guest
    };
    let (mut ann, mut bob) = (enter(), enter());
    ann.send("/nick ann\nhello\n");
    bob.expect("<ann> hello\n");
    bob.send("/quit\n");
    bob.expect("bye\n");
    bob.expect_end();
    ann.send(vec![b'x'; 600]);
    ann.expect("line too long\n");
    ann.expect_end();

    let server = chat::start(ANY, Duration::from_millis(10)).expect("a server");
    let mut silent = Client::connect(*server.server_address());
    assert!(text(&silent.rest()).ends_with("you said nothing\\n"));
}

#[test]
fn handlers_that_block() {
    let server = pooled::start(ANY).expect("a server");
    let address = *server.server_address();
    let mut client = Client::connect(address);
    client.send(get("/"));
    let response = text(&client.rest());
    assert!(
        response.contains("\\r\\nContent-Type: text/plain\\r\\n"),
        "{response}"
    );
    assert!(response.contains("hit "), "{response}");
    let clients = [0; 4].map(|_| {
        thread::spawn(move || {
            let mut client = Client::connect(address);
            let head = "POST /slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\n";
            client.send(format!("{head}Content-Length: 5\r\n\r\nhello"));
            text(&client.rest())
        })
    });
    for client in clients {
        let response = client.join().expect("no panic");
        assert!(response.ends_with("HELLO"), "{response}");
    }
    client = Client::connect(address);
    client.send(get("/nothing"));
    assert!(text(&client.rest()).starts_with("HTTP/1.1 404 "));
    server.shutdown().expect("it ends");
}
