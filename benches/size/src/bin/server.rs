//! Receives requests with their content and responds: `h1::Connection` in the role of a server.
#![no_std]
#![no_main]

use core::hint::black_box;

use serve_forever::http::h1::{Connection, ConnectionLimits, Event, FieldStorage, Role};
use size::{Output, received};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let limits = ConnectionLimits::default();
    let mut connection = Connection::new(Role::Server);
    loop {
        let mut buffer = [0; 1024];
        let mut storage = FieldStorage::new();
        let event = connection.next_event(received(&mut buffer), &mut storage, &limits);
        if let Ok((_, Event::EndOfMessage(_))) = black_box(event) {
            let mut output = Output {
                bytes: [0; 1024],
                length: 0,
            };
            let length = [("Content-Length", &b"5"[..])];
            let _ = black_box(connection.send_response(&mut output, 200, "OK", length));
            let _ = black_box(connection.send_data(&mut output, b"hello"));
            let _ = black_box(connection.end_of_message(&mut output, []));
            let _ = black_box(connection.start_next_cycle());
            black_box(&output.bytes);
        }
    }
}
