//! What a blocking handler is, and what it is given: HND-3, STREAM-2, STREAM-5.
#![cfg(feature = "server")]

mod support;

use std::io::{BufWriter, ErrorKind, Read, Write};
use std::net::Shutdown;

use serve_forever::socketserver::{Rfile, TcpServer};
use support::client::{answer, connect, queue};
use support::patience::LONG;
use support::script::{Act, Script};
use support::server::run;

/// HND-3: nothing need be done before and after.
#[test]
fn a_handler_is_at_least_a_function() {
    let handle = |rfile: &mut dyn Rfile, wfile: &mut dyn Write| {
        std::io::copy(rfile, wfile)?;
        Ok(())
    };
    let server = TcpServer::bind("127.0.0.1:0", move |_: &_| handle).expect("a free port");
    let server = run(server, LONG);
    drop(connect(server.address));
    let client = queue(server.address, "hello");
    client.shutdown(Shutdown::Write).expect("half-closed");
    assert_eq!(answer(client), "hello");
    server.stop();
}

/// STREAM-2: what arrived with the first line is in the reader's buffer already. The writer has
/// none, unless a handler gives it one.
#[test]
fn the_reader_is_buffered_and_the_writer_may_be() {
    let handle = |rfile: &mut dyn Rfile, wfile: &mut dyn Write| {
        let mut line = String::new();
        rfile.read_line(&mut line)?;
        let waiting = rfile.fill_buf()?.len();
        let mut wfile = BufWriter::with_capacity(100, wfile);
        write!(wfile, "{waiting}")?;
        let held_back = wfile.buffer().len();
        write!(wfile, " {held_back}")?;
        wfile.flush()?;
        Ok(())
    };
    let server = TcpServer::bind("127.0.0.1:0", move |_: &_| handle).expect("a free port");
    let address = server.server_address();
    // One segment, which is there before the server is.
    let client = queue(address, "one\ntwo\nthree");
    let server = run(server, LONG);
    assert_eq!(answer(client), "10 2");
    server.stop();
}

/// STREAM-5: the connection is open until finish is over; what was written is on its way before.
#[test]
fn a_connection_outlives_finish() {
    let script = Script::of(&[("finish", Act::Hold)]);
    let server = run(script.server(), LONG);
    let mut client = queue(server.address, "hello");
    let mut line = [0; 6];
    client.read_exact(&mut line).expect("an answer");
    assert_eq!(&line, b"hello\n");
    script.trace.wait_for("finish", 1);
    client.set_nonblocking(true).expect("a setting");
    let end = client.peek(&mut [0]).map_err(|error| error.kind());
    assert_eq!(end, Err(ErrorKind::WouldBlock));
    client.set_nonblocking(false).expect("a setting");
    script.trace.note("go");
    assert_eq!(answer(client), "");
    server.stop();
}
