//! A chat room: what one client says, all others hear.
//!
//! Everybody has a [`Mailbox`], through which any thread can reach a conversation. The room is
//! nothing but a list of them. What a guest says goes into the others' mailboxes at once, and
//! each conversation finds it there when it has its turn.
//!
//!     cargo run --release --example chat -- 127.0.0.1:8000
//!     nc 127.0.0.1 8000       # twice

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serve_forever::reactor::Now;
use serve_forever::socketserver::{
    Buffer, Evented, Mailbox, Next, POLL_INTERVAL, Protocol, Server, Tcp,
};

/// A guest who sends more than that without a line's end is no guest.
const LONGEST_LINE: usize = 1024;

/// One line for many: its text is shared.
type Line = Arc<str>;

/// Who is there. Behind a lock, which is held for a moment: sending never waits. All guests of
/// one loop could do without; so the room may as well be shared by several loops.
#[derive(Clone, Default)]
struct Room(Arc<Mutex<BTreeMap<u64, Mailbox<Line>>>>);

impl Room {
    fn guests(&self) -> MutexGuard<'_, BTreeMap<u64, Mailbox<Line>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Comes in; answers the guest's number.
    fn enter(&self, mailbox: Mailbox<Line>) -> u64 {
        let mut guests = self.guests();
        let number = guests.last_key_value().map_or(1, |(last, _)| last + 1);
        guests.insert(number, mailbox);
        number
    }

    /// Tells all but one. A guest who does not listen has so many lines waiting, and misses what
    /// comes then: a slow client costs no memory, and nobody waits for it.
    fn say(&self, speaker: u64, text: &str) {
        let line = Line::from(format!("{speaker}: {text}\n"));
        for (number, mailbox) in self.guests().iter() {
            if *number != speaker {
                let _ = mailbox.send(Line::clone(&line));
            }
        }
    }
}

/// One conversation.
struct Guest {
    room: Room,
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
        // Writing to a buffer cannot fail.
        let _ = writeln!(output, "You are number {}.", self.number);
        Next::Read
    }

    /// The client has said something.
    fn receive(&mut self, input: &mut Buffer, _output: &mut Buffer, _now: &Now) -> Next<Line> {
        while let Some(end) = input.iter().position(|&byte| byte == b'\n') {
            // What one sends must not move the cursors of the others.
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

    /// Somebody else has.
    fn deliver(&mut self, line: Line, output: &mut Buffer, _now: &Now) -> Next<Line> {
        output.extend_from_slice(line.as_bytes());
        Next::Read
    }
}

impl Drop for Guest {
    /// However a conversation ends, it is dropped.
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
        number: 0, // nobody's, until the room gives one
    };
    let mut server = Server::new(tcp, Evented::new(make_protocol))?;
    server.shutdown_on_signals()?;
    println!("Chatting on {}", server.server_address());
    Ok(server.serve_forever(POLL_INTERVAL)?)
}
