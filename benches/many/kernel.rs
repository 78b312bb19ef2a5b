//! What the kernel keeps for connections.

use std::fs;
use std::process::Command;

/// The bytes in the kernel's structures: sockets, files, timers, what epoll keeps. `None` if this program
/// may not know.
pub fn slab() -> Option<usize> {
    let slabs = fs::read_to_string("/proc/slabinfo").ok()?;
    let bytes = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let active: usize = fields.next()?.parse().ok()?;
        let size: usize = fields.nth(1)?.parse().ok()?;
        Some(active * size)
    };
    Some(slabs.lines().skip(2).filter_map(bytes).sum())
}

/// The bytes that wait in the buffers of the server's sockets on this port: those that it has not read, and
/// those that its clients have not taken. `None` without the command `ss`.
pub fn buffered(port: u16) -> Option<usize> {
    let filter = format!("sport = :{port}");
    let shown = Command::new("ss").args(["-tnmH", &filter]).output().ok()?;
    let text = String::from_utf8(shown.stdout).ok()?;
    // skmem:(r<what is allocated to read>,rb..,t..,tb..,f..,w<what is allocated to write>,o..,..)
    let sums = text.split("skmem:(").skip(1).map(|memory| {
        let fields = memory.split([',', ')']);
        let number = |letter: char| {
            let numbers = fields.clone().filter_map(move |field| {
                let number = field.strip_prefix(letter)?;
                number.parse::<usize>().ok()
            });
            numbers.sum::<usize>()
        };
        number('r') + number('w')
    });
    Some(sums.sum())
}
