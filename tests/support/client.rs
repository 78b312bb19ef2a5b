//! Clients on raw sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::patience::PATIENCE;

/// A client that waits for what it expects, for [`PATIENCE`] at most.
pub struct Client(pub TcpStream);

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = connect(address);
        stream.set_nodelay(true).expect("an option");
        Client(stream)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is connected")
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Reads as many bytes as are expected, and compares.
    pub fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let mut bytes = vec![0; expected.len()];
        let mut end = 0;
        while end < bytes.len() && bytes[..end] == expected[..end] {
            match self.0.read(&mut bytes[end..]) {
                Ok(0) => break,
                Ok(count) => end += count,
                Err(error) => panic!("{error} after {:?}", text(&bytes[..end])),
            }
        }
        assert_eq!(text(&bytes[..end]), text(expected));
    }

    /// Everything up to the end of what the server sends.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).expect("the server closes");
        bytes
    }

    pub fn expect_end(&mut self) {
        assert_eq!(text(&self.rest()), "");
    }

    /// Waits until the server has closed, in good order or not.
    pub fn expect_gone(&mut self) {
        match self.0.read_to_end(&mut Vec::new()) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("still there: {error}"),
        }
    }

    pub fn shutdown_write(&mut self) {
        self.0.shutdown(Shutdown::Write).expect("still connected");
    }

    /// Closes so that the server sees "connection reset by peer".
    pub fn reset(self) {
        socket2::SockRef::from(&self.0)
            .set_linger(Some(Duration::ZERO))
            .expect("an option");
    }
}

/// Bytes for people; long ones as their length and their ends.
pub fn text(bytes: &[u8]) -> String {
    if bytes.len() <= 4096 {
        return bytes.escape_ascii().to_string();
    }
    let (start, end) = (&bytes[..64], &bytes[bytes.len() - 64..]);
    let (start, end) = (start.escape_ascii(), end.escape_ascii());
    let sum = bytes
        .iter()
        .fold(0_u64, |sum, &byte| sum.wrapping_mul(31) + u64::from(byte));
    format!("{} bytes {start} ... {end}, sum {sum}", bytes.len())
}

/// Reads up to the end of `end`. Takes a byte at a time, so that nothing after it is taken.
pub fn read_through(stream: &mut impl Read, end: impl AsRef<[u8]>) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_ref()) {
        let mut byte = [0];
        match stream.read_exact(&mut byte) {
            Ok(()) => bytes.push(byte[0]),
            Err(error) => panic!("{error} after {:?}", text(&bytes)),
        }
    }
    String::from_utf8(bytes).expect("the tests send UTF-8")
}

/// Reads what is there, `limit` bytes at most. Returns whether the server has closed.
pub fn take(client: &mut Client, limit: usize, bytes: &mut Vec<u8>) -> bool {
    client.0.set_nonblocking(true).expect("an option");
    let mut left = limit;
    let mut scratch = [0; 16 * 1024];
    let ended = loop {
        let room = left.min(scratch.len());
        if room == 0 {
            break false;
        }
        match client.0.read(&mut scratch[..room]) {
            Ok(0) => break true,
            Ok(count) => {
                bytes.extend_from_slice(&scratch[..count]);
                left -= count;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break true,
            Err(error) => panic!("{error}"),
        }
    };
    client.0.set_nonblocking(false).expect("an option");
    ended
}

/// Connects. No read or write of the connection takes longer than [`PATIENCE`].
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("a listener with room");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream.set_write_timeout(Some(PATIENCE)).expect("a limit");
    stream
}

/// A client that has sent its line and not read what comes back. The server need not run yet.
pub fn queue(address: SocketAddr, line: &str) -> TcpStream {
    let mut stream = connect(address);
    stream
        .write_all(format!("{line}\n").as_bytes())
        .expect("sent");
    stream
}

/// Returns all that the server still sends.
pub fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text.trim_end().to_owned()
}

/// A whole conversation: sends a line, returns the line that comes back.
pub fn ask(address: SocketAddr, line: &str) -> String {
    answer(queue(address, line))
}

/// A loopback address that no other test listens on, for tests of what a port is like when nobody
/// listens there any more. All of 127/8 is loopback on Linux.
pub fn own_host(number: u8) -> SocketAddr {
    let host = match cfg!(target_os = "linux") {
        true => Ipv4Addr::new(127, 77, 0, number),
        false => Ipv4Addr::LOCALHOST,
    };
    SocketAddr::new(IpAddr::V4(host), 0)
}
