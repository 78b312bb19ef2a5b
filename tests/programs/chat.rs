//! A chat with nicknames, and an end for guests who say nothing: your own line protocol.

use std::collections::HashMap;
use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serve_forever::reactor::Now;
use serve_forever::socketserver::{
    Buffer, Evented, Mailbox, Next, Protocol, RunningServer, Server, Tcp,
};

const LONGEST: usize = 512;

type Room = Arc<Mutex<HashMap<SocketAddr, (String, Mailbox<String>)>>>;

struct Guest {
    room: Room,
    address: SocketAddr,
    idle: Duration,
    heard: Option<Instant>,
}

impl Guest {
    fn line(&mut self, line: &str, output: &mut Buffer) -> Next<String> {
        let mut room = self.room.lock().expect("nobody panics");
        if let Some(name) = line.strip_prefix("/nick ") {
            if let Some(guest) = room.get_mut(&self.address) {
                guest.0 = name.to_owned();
            }
        } else if line == "/quit" {
            output.extend_from_slice(b"bye\n");
            return Next::Close;
        } else {
            let name = room.get(&self.address).map_or("?", |guest| &guest.0);
            let text = format!("<{name}> {line}\n");
            for (_, (_, mailbox)) in room.iter().filter(|(guest, _)| **guest != self.address) {
                let _ = mailbox.send(text.clone());
            }
        }
        Next::Read
    }
}

impl Protocol for Guest {
    type Message = String;

    fn connection_made(
        &mut self,
        mailbox: Mailbox<String>,
        output: &mut Buffer,
        now: &Now,
    ) -> Next<String> {
        self.heard = Some(now.instant());
        let name = format!("guest{}", self.address.port());
        let _ = writeln!(output, "welcome {name}; /nick NAME, /quit");
        let mut room = self.room.lock().expect("nobody panics");
        room.insert(self.address, (name, mailbox));
        Next::Read
    }

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next<String> {
        self.heard = Some(now.instant());
        while let Some(end) = input.iter().position(|&byte| byte == b'\n') {
            let line = String::from_utf8_lossy(&input[..end]).trim_end().to_owned();
            input.consume(end + 1);
            match self.line(&line, output) {
                Next::Read => {}
                next => return next,
            }
        }
        if input.len() > LONGEST {
            output.extend_from_slice(b"line too long\n");
            return Next::Linger;
        }
        Next::Read
    }

    fn deliver(&mut self, line: String, output: &mut Buffer, _: &Now) -> Next<String> {
        output.extend_from_slice(line.as_bytes());
        Next::Read
    }

    fn timed_out(&mut self, output: &mut Buffer, _: &Now) -> Next<String> {
        output.extend_from_slice(b"you said nothing\n");
        Next::Close
    }

    fn deadline(&self) -> Option<Instant> {
        self.heard.map(|heard| heard + self.idle)
    }

    fn connection_lost(&mut self, _: &Now) {
        self.room
            .lock()
            .expect("nobody panics")
            .remove(&self.address);
    }
}

pub fn start(address: &str, idle: Duration) -> Result<RunningServer<SocketAddr>, Box<dyn Error>> {
    let room = Room::default();
    let make_guest = move |address: &SocketAddr| Guest {
        room: Arc::clone(&room),
        address: *address,
        idle,
        heard: None,
    };
    let tcp = Tcp::new(address)?
        .allow_reuse_address(true)
        .bind_and_activate()?;
    let mut server = Server::new(tcp, Evented::new(make_guest))?;
    server.shutdown_on_signals()?;
    Ok(server.spawn()?)
}

pub fn main() -> Result<(), Box<dyn Error>> {
    Ok(start("127.0.0.1:8000", Duration::from_secs(300))?.join()?)
}
