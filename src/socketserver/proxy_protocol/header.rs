//! The header of the PROXY protocol: bytes in, addresses out. It knows neither sockets nor clocks.
//!
//! The reference is the document of HAProxy, `proxy-protocol.txt`, sections 2.1 and 2.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str;

/// The longest line of version 1, with its line end (section 2.1).
const LONGEST_LINE: usize = 107;

/// The beginning of a header of version 1.
const TEXT: &[u8] = b"PROXY ";

/// The beginning of a header of version 2.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The length of a header of version 2 without what its last two bytes announce.
const FIXED: usize = 16;

/// The room for each address of a Unix-domain socket.
const UNIX_ROOM: usize = 108;

/// A header whose addresses have arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// What it says about the two ends.
    pub(super) source: Source,
    /// How many bytes have been read.
    pub(super) length: usize,
    /// How many more bytes belong to the header. They say nothing about the addresses, and may not
    /// have arrived.
    pub(super) rest: usize,
}

/// What a header says about the two ends of the connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nothing: the proxy speaks for itself, or does not know. The ends are those of the socket.
    Socket,
    /// The client has this address, and has reached that one.
    Inet {
        /// The client's address.
        client: SocketAddr,
        /// The address that the client has reached.
        local: SocketAddr,
    },
    /// The client has reached the proxy over a Unix-domain socket.
    Unix(Box<UnixEnds>),
}

/// The two addresses of a Unix-domain socket, without the zeros behind them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnixEnds {
    /// The client's address.
    pub(super) client: Vec<u8>,
    /// The address that the client has reached.
    pub(super) local: Vec<u8>,
}

/// The bytes do not begin with a header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoHeader;

/// Reads the header at the beginning of `input`. `None`: more bytes are needed. It needs at most 232
/// bytes to tell.
pub(super) fn read(input: &[u8]) -> Result<Option<Header>, NoHeader> {
    if begins_like(input, TEXT) {
        return text(input);
    }
    if begins_like(input, BINARY) {
        return binary(input);
    }
    Err(NoHeader)
}

/// Returns whether `input` begins with `mark`, as far as it has arrived.
fn begins_like(input: &[u8], mark: &[u8]) -> bool {
    input.starts_with(mark) || mark.starts_with(input)
}

/// Reads a header of version 1: one line of text (section 2.1).
fn text(input: &[u8]) -> Result<Option<Header>, NoHeader> {
    let room = &input[..input.len().min(LONGEST_LINE)];
    let Some(end) = room.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return match room.len() {
            LONGEST_LINE => Err(NoHeader),
            _ => Ok(None),
        };
    };
    match &room[end..] {
        [b'\r'] if end + 1 < LONGEST_LINE => return Ok(None),
        [b'\r', b'\n', ..] => {}
        // A single CR or LF ends no line. It is refused also where the rest of the line is ignored, so
        // that nobody reads another end of the header than we do.
        _ => return Err(NoHeader),
    }
    let line = room.get(TEXT.len()..end).ok_or(NoHeader)?;
    let header = |source| Header {
        source,
        length: end + 2,
        rest: 0,
    };
    let mut words = line.split(|&byte| byte == b' ');
    let is_v4 = match words.next() {
        Some(b"UNKNOWN") => return Ok(Some(header(Source::Socket))),
        Some(b"TCP4") => true,
        Some(b"TCP6") => false,
        _ => return Err(NoHeader),
    };
    let mut word = || words.next().and_then(|word| str::from_utf8(word).ok());
    let (client, local) = (word(), word());
    let (client_port, local_port) = (word(), word());
    if words.next().is_some() {
        return Err(NoHeader);
    }
    let address = |host, port| Some(SocketAddr::new(host_of(is_v4, host?)?, port_of(port?)?));
    let client = address(client, client_port).ok_or(NoHeader)?;
    let local = address(local, local_port).ok_or(NoHeader)?;
    Ok(Some(header(Source::Inet { client, local })))
}

/// Reads a host of version 1.
///
/// An IPv6 address may end in an IPv4 address (`::ffff:192.0.2.1`). The document has only groups of
/// digits, but a proxy that prints with `inet_ntop` writes such addresses.
fn host_of(is_v4: bool, text: &str) -> Option<IpAddr> {
    match is_v4 {
        true => text.parse().map(IpAddr::V4).ok(),
        false => text.parse().map(IpAddr::V6).ok(),
    }
}

/// Reads a port of version 1: a decimal number without sign and without heading zeros.
fn port_of(text: &str) -> Option<u16> {
    let is_plain = text == "0" || text.starts_with(|first| matches!(first, '1'..='9'));
    is_plain.then(|| text.parse().ok())?
}

/// Reads a header of version 2: 16 bytes, addresses, and further fields (section 2.2).
fn binary(input: &[u8]) -> Result<Option<Header>, NoHeader> {
    // The high half of the first byte is the version, the low half the command.
    let is_relayed = match input.get(BINARY.len()) {
        None => return Ok(None),
        Some(0x20) => false,
        Some(0x21) => true,
        Some(_) => return Err(NoHeader),
    };
    let Some(&[family, high, low]) = input.get(BINARY.len() + 1..FIXED) else {
        return Ok(None);
    };
    let announced = usize::from(u16::from_be_bytes([high, low]));
    // The high half is the family, the low half the kind of the socket. A client that came by UDP has an
    // address like any other.
    let room = match (family >> 4, family & 0x0f) {
        // The family of a connection that the proxy makes for itself does not count.
        _ if !is_relayed => 0,
        (4.., _) | (_, 3..) => return Err(NoHeader),
        (0, _) | (_, 0) => 0,
        (1, _) => 2 * (4 + 2),
        (2, _) => 2 * (16 + 2),
        (3.., _) => 2 * UNIX_ROOM,
    };
    if announced < room {
        return Err(NoHeader);
    }
    let Some(addresses) = input.get(FIXED..FIXED + room) else {
        return Ok(None);
    };
    let source = match family >> 4 {
        _ if room == 0 => Source::Socket,
        1 => inet(addresses, |host: [u8; 4]| Ipv4Addr::from(host).into()),
        2 => inet(addresses, |host: [u8; 16]| Ipv6Addr::from(host).into()),
        _ => unix(addresses),
    };
    Ok(Some(Header {
        source,
        length: FIXED + room,
        rest: announced - room,
    }))
}

/// Reads two hosts of `N` bytes and two ports.
fn inet<const N: usize>(bytes: &[u8], host: impl Fn([u8; N]) -> IpAddr) -> Source {
    let (hosts, ports) = bytes.split_at(2 * N);
    let (client, local) = hosts.split_at(N);
    let (client_port, local_port) = ports.split_at(2);
    let address = |bytes: &[u8], port: &[u8]| {
        let (mut ours, mut number) = ([0; N], [0; 2]);
        ours.copy_from_slice(bytes);
        number.copy_from_slice(port);
        SocketAddr::new(host(ours), u16::from_be_bytes(number))
    };
    Source::Inet {
        client: address(client, client_port),
        local: address(local, local_port),
    }
}

/// Reads two addresses of Unix-domain sockets.
fn unix(bytes: &[u8]) -> Source {
    let (client, local) = bytes.split_at(UNIX_ROOM);
    Source::Unix(Box::new(UnixEnds {
        client: name(client),
        local: name(local),
    }))
}

/// Returns a path up to its first zero. An abstract name begins with a zero, and its length is not
/// transmitted: it ends before the zeros at the end.
fn name(room: &[u8]) -> Vec<u8> {
    let end = match room {
        [0, ..] => room
            .iter()
            .rposition(|&byte| byte != 0)
            .map(|last| last + 1),
        _ => room.iter().position(|&byte| byte == 0).or(Some(room.len())),
    };
    room[..end.unwrap_or(0)].to_vec()
}
