//! A chat room: your own protocol, and connections that send messages to each other.
//!
//! Every connection has a [`Mailbox`], and any thread can send a message to it. The room is just a
//! list of mailboxes. A line that a guest sends goes into the mailboxes of all others, and each
//! connection receives it at its next turn.
//!
//!     cargo run --release --example chat -- 127.0.0.1:8000
//!
//! From two other terminals, and then type:
//!
//!     nc 127.0.0.1 8000
//!
//! Ctrl-C stops the server.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Evented, Mailbox, Next, Protocol, Server, Tcp};

/// A guest who sends a longer line is disconnected.
const LONGEST_LINE: usize = 1024;

/// A line of text, shared by all mailboxes that it is in.
type Line = Arc<str>;

/// The mailboxes of all guests. The lock is held only for a moment, because sending never waits. One
/// loop would not need the lock; with it, several loops can share a room.
#[derive(Clone, Default)]
struct Room(Arc<Mutex<BTreeMap<u64, Mailbox<Line>>>>);

impl Room {
    fn guests(&self) -> MutexGuard<'_, BTreeMap<u64, Mailbox<Line>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a guest and returns its number.
    fn enter(&self, mailbox: Mailbox<Line>) -> u64 {
        let mut guests = self.guests();
        let number = guests.last_key_value().map_or(1, |(last, _)| last + 1);
        guests.insert(number, mailbox);
        number
    }

    /// Sends a line to all guests except the speaker. A mailbox holds a limited number of lines. A
    /// guest who does not read misses later ones, so a slow client costs little memory, and nobody
    /// waits for it.
    fn say(&self, speaker: u64, text: &str) {
        let line = Line::from(format!("{speaker}: {text}\n"));
        for (number, mailbox) in self.guests().iter() {
            if *number != speaker {
                let _ = mailbox.send(Line::clone(&line));
            }
        }
    }
}

/// One connection.
struct Guest {
    /// The room, shared with all others.
    room: Room,
    /// The number that the room gave to this guest.
    number: u64,
}

impl Protocol for Guest {
    type Message = Line;

    fn connection_made(
        &mut self,
        mailbox: Mailbox<Line>,
        output: &mut Buffer,
        _now: &Now,
    ) -> Next<Line> {
        self.number = self.room.enter(mailbox);
        // Ignore the result: writing to a buffer cannot fail.
        let _ = writeln!(output, "You are number {}.", self.number);
        Next::Read
    }

    /// This client has sent something.
    fn receive(&mut self, input: &mut Buffer, _output: &mut Buffer, _now: &Now) -> Next<Line> {
        while let Some(end) = input.iter().position(|&byte| byte == b'\n') {
            // Remove control characters: they could move the cursors of the other terminals.
            let text = String::from_utf8_lossy(&input[..end]);
            let text: String = text.chars().filter(|c| !c.is_control()).collect();
            self.room.say(self.number, &text);
            input.consume(end + 1);
        }
        match input.len() > LONGEST_LINE {
            true => Next::Linger,
            false => Next::Read,
        }
    }

    /// Another client has sent a line.
    fn deliver(&mut self, line: Line, output: &mut Buffer, _now: &Now) -> Next<Line> {
        output.extend_from_slice(line.as_bytes());
        Next::Read
    }
}

impl Drop for Guest {
    /// Leaves the room. A connection is always dropped, however it ends.
    fn drop(&mut self) {
        self.room.guests().remove(&self.number);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let tcp = Tcp::new(address)?
        .allow_reuse_address(true)
        .bind_and_activate()?;
    let room = Room::default();
    let make_protocol = move |_client_address: &_| Guest {
        room: room.clone(),
        number: 0, // until `connection_made` gets one from the room
    };
    let mut server = Server::new(tcp, Evented::new(make_protocol))?;
    server.shutdown_on_signals()?;
    println!("Chatting on {}", server.server_address());
    Ok(server.serve_forever()?)
}
