//! Sends requests and receives responses with their content: `h1::Connection` in the role of a client.
#![no_std]
#![no_main]

use core::hint::black_box;

use serve_forever::http::h1::{Connection, ConnectionLimits, Event, FieldStorage, Role};
use size::{Output, received};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let limits = ConnectionLimits::default();
    let mut connection = Connection::new(Role::Client);
    loop {
        let mut output = Output {
            bytes: [0; 1024],
            length: 0,
        };
        let host = [("Host", &b"example.org"[..])];
        let _ = black_box(connection.send_request(&mut output, "GET", "/", host));
        let _ = black_box(connection.end_of_message(&mut output, []));
        black_box(&output.bytes);
        let mut buffer = [0; 1024];
        let mut storage = FieldStorage::new();
        let event = connection.next_event(received(&mut buffer), &mut storage, &limits);
        if let Ok((_, Event::EndOfMessage(_))) = black_box(event) {
            let _ = black_box(connection.start_next_cycle());
        }
    }
}
