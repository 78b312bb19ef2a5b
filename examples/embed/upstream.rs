//! A handler that asks another server, on the same loop. No thread waits, however slow that server is.
//!
//! For each request, the handler asks the upstream for one line. A connection to the upstream is a
//! `Protocol`, like a connection of a client. `Outgoing` makes these connections on the server's loop. The
//! upstream in this example is the example `threaded_echo`.
//!
//!     cargo run --release --example threaded_echo -- 127.0.0.1:8001
//!     cargo run --release --example upstream -- 127.0.0.1:8000 127.0.0.1:8001
//!
//! From another terminal:
//!
//!     curl http://127.0.0.1:8000/hello
//!
//! Stop `threaded_echo`, and ask again: the client gets a 502. Ctrl-C stops each of them.

use std::convert::Infallible;
use std::error::Error;
use std::time::{Duration, Instant};

use serve_forever::http::{self, Deferred, Http, HttpSettings, Request, Response};
use serve_forever::reactor::{Now, channel};
use serve_forever::socketserver::{
    Buffer, Evented, Mailbox, Next, Outgoing, Protocol, Server, ServerAddress,
};

/// How long the upstream may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many connections to the upstream there may be, and how many more clients may wait for one.
const CONNECTIONS: usize = 100;
const WAITING: usize = 1000;
const LONGEST_LINE: usize = 16 * 1024;

/// One question to the upstream, and the client who waits for the answer.
struct Ask {
    question: String,
    deadline: Instant,
    client: Option<Deferred>,
}

impl Ask {
    /// Responds, unless the client has its response already.
    fn respond(&mut self, code: u16, line: &[u8]) {
        if let Some(client) = self.client.take() {
            // Ignore the error: the client has disconnected.
            let _ = client.respond(|response| match code {
                200 => response.send_response(200).body(line),
                code => response.send_error(code),
            });
        }
    }
}

impl Protocol for Ask {
    type Message = Infallible;

    fn connection_made(&mut self, _: Mailbox<Infallible>, output: &mut Buffer, _: &Now) -> Next {
        output.extend_from_slice(self.question.as_bytes());
        Next::Read
    }

    fn receive(&mut self, input: &mut Buffer, _: &mut Buffer, _: &Now) -> Next {
        match input.iter().position(|&byte| byte == b'\n') {
            Some(end) => self.respond(200, &input[..=end]),
            None if input.len() < LONGEST_LINE => return Next::Read,
            None => {}
        }
        Next::Close
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }

    fn timed_out(&mut self, _: &mut Buffer, _: &Now) -> Next {
        self.respond(504, b"");
        Next::Close
    }

    /// Also called if the connection could not be made.
    fn connection_lost(&mut self, _: &Now) {
        self.respond(502, b"");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:8000".into());
    let upstream = arguments.next().unwrap_or("127.0.0.1:8001".into());
    let upstream = upstream.resolve()?;

    let (connect, requested) = channel(WAITING);
    let page = move |request: &Request<'_>, response: Response<'_>| {
        let (client, reply) = response.defer();
        let ask = Ask {
            question: format!("{}\n", request.target()),
            deadline: Instant::now() + PATIENCE,
            client: Some(client),
        };
        if let Err((_, mut ask)) = connect.send((upstream, ask)) {
            ask.respond(503, b""); // too many clients wait
        }
        Ok(reply)
    };
    let dispatch = Evented::new(Http::new(page, HttpSettings::default()));
    let outgoing = Outgoing::new(requested, CONNECTIONS);
    let mut server = Server::with_hooks(http::listen(address)?, dispatch, outgoing)?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}
