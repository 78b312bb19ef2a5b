//! Checks the PROXY protocol: what a literal reading of HAProxy's document says about the bytes so far is
//! what the library does, at any cut.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use serve_forever::reactor::Now;
use serve_forever::socketserver::{
    Buffer, Ends, Factory, Failure, Inbox, Next, Protocol, ProxyProtocol,
};

use super::pieces::cuts;

/// The input is what a proxy and then its client send.
pub fn proxy_protocol(data: &[u8]) {
    for cuts in cuts(data) {
        play(data, &cuts);
    }
}

/// The addresses of the real socket.
const SOCKET: [&str; 2] = ["198.51.100.1:1", "198.51.100.2:2"];

/// Sends the input in these pieces.
fn play(data: &[u8], cuts: &[usize]) {
    let heard = Heard::default();
    let factory = ProxyProtocol::new(heard.clone());
    let [peer, here] = SOCKET.map(|text| text.parse().expect("an address"));
    let ends = Ends::new(&peer);
    let reached = || Ok(here);
    let made = factory.make(&ends.with_local_address(&reached));
    let mut connection = made.expect("a closure cannot fail");
    let (mut input, mut output, now) = (Buffer::new(), Buffer::new(), Now::new());
    connection.connection_made(Inbox::new().mailbox(), &mut output, &now);
    let mut start = 0;
    for &cut in cuts {
        input.extend_from_slice(&data[start..cut]);
        start = cut;
        let next = connection.receive(&mut input, &mut output, &now);
        assert!(output.is_empty());
        let heard = heard.0.borrow();
        match literal(&data[..cut]) {
            Verdict::More => {
                assert!(matches!(next, Next::Read), "{next:?}");
                assert_eq!(*heard, (None, Vec::new()));
                // Only the fixed part and the largest addresses are kept.
                assert!(input.len() < 16 + 2 * 108, "{} bytes", input.len());
            }
            Verdict::Refused => {
                assert!(matches!(next, Next::Close), "{next:?}");
                assert_eq!(*heard, (None, Vec::new()));
                assert_eq!(factory.refused(), 1);
                return;
            }
            Verdict::Whole(named, end) => {
                assert!(matches!(next, Next::Read), "{next:?}");
                let named = named.unwrap_or([peer, here]);
                assert_eq!(heard.0, Some(named));
                assert_eq!(
                    heard.1.escape_ascii().to_string(),
                    data[end..cut].escape_ascii().to_string()
                );
                assert!(input.is_empty());
            }
        }
    }
    assert_eq!(factory.refused(), 0);
}

/// The ends for which the inner protocol was made, and what it has received.
#[derive(Clone, Default)]
struct Heard(Rc<RefCell<(Option<Named>, Vec<u8>)>>);

/// The address of the client, and the one that it has reached.
type Named = [SocketAddr; 2];

impl Factory<SocketAddr> for Heard {
    type Made = Heard;

    fn make(&self, ends: &Ends<'_, SocketAddr>) -> Result<Heard, Failure> {
        let named = [*ends.client_address(), ends.local_address()?];
        assert_eq!(self.0.borrow_mut().0.replace(named), None, "made twice");
        Ok(self.clone())
    }
}

impl Protocol for Heard {
    type Message = Infallible;

    fn receive(&mut self, input: &mut Buffer, _: &mut Buffer, _: &Now) -> Next {
        self.0.borrow_mut().1.extend_from_slice(input);
        input.clear();
        Next::Read
    }
}

/// What the document says about the bytes so far.
enum Verdict {
    /// They may be the beginning of a header.
    More,
    /// They are not.
    Refused,
    /// The header ends here, and names these two addresses; `None`: those of the socket count.
    Whole(Option<Named>, usize),
}

const SIGNATURE: [u8; 12] = [
    0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
];

fn literal(bytes: &[u8]) -> Verdict {
    let agrees = |mark: &[u8]| bytes.iter().zip(mark).all(|(one, other)| one == other);
    match bytes {
        [] => Verdict::More,
        [b'P', ..] if agrees(b"PROXY ") => version_1(bytes),
        [0x0d, ..] if agrees(&SIGNATURE) => version_2(bytes),
        _ => Verdict::Refused,
    }
}

/// Section 2.1.
fn version_1(bytes: &[u8]) -> Verdict {
    // "If the CRLF sequence is not found in the first 107 characters, the receiver should declare the line
    // invalid." "The receiver must not tolerate a single CR or LF character to end the line".
    for index in 0..107 {
        match (bytes.get(index), bytes.get(index + 1)) {
            (None, _) => return Verdict::More,
            (Some(b'\n'), _) => return Verdict::Refused,
            (Some(b'\r'), _) if index == 106 => return Verdict::Refused,
            (Some(b'\r'), None) => return Verdict::More,
            (Some(b'\r'), Some(b'\n')) => return line(&bytes[..index], index + 2),
            (Some(b'\r'), Some(_)) => return Verdict::Refused,
            (Some(_), _) => {}
        }
    }
    Verdict::Refused
}

fn line(line: &[u8], end: usize) -> Verdict {
    if line == b"PROXY UNKNOWN" || line.starts_with(b"PROXY UNKNOWN ") {
        return Verdict::Whole(None, end);
    }
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let read = match words[..] {
        [b"PROXY", b"TCP4", _, _, _, _] => ipv4,
        [b"PROXY", b"TCP6", _, _, _, _] => ipv6,
        _ => return Verdict::Refused,
    };
    let end_of = |host: usize, number: usize| {
        Some(SocketAddr::new(
            read(words[host])?,
            decimal(words[number], 65535)? as u16,
        ))
    };
    match (end_of(2, 4), end_of(3, 5)) {
        (Some(client), Some(local)) => Verdict::Whole(Some([client, local]), end),
        _ => Verdict::Refused,
    }
}

/// A decimal number without heading zeros.
fn decimal(text: &[u8], most: u32) -> Option<u32> {
    if text.is_empty() || text.len() > 5 || (text.len() > 1 && text[0] == b'0') {
        return None;
    }
    let mut number = 0;
    for digit in text {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = 10 * number + u32::from(digit - b'0');
    }
    (number <= most).then_some(number)
}

fn quad(text: &[u8]) -> Option<[u8; 4]> {
    let numbers: Option<Vec<u32>> = text
        .split(|&byte| byte == b'.')
        .map(|number| decimal(number, 255))
        .collect();
    match numbers?[..] {
        [a, b, c, d] => Some([a, b, c, d].map(|number| number as u8)),
        _ => None,
    }
}

pub(crate) fn ipv4(text: &[u8]) -> Option<IpAddr> {
    quad(text).map(IpAddr::from)
}

/// Groups of up to four digits; one double colon stands for one or more groups of zeros.
pub(crate) fn ipv6(text: &[u8]) -> Option<IpAddr> {
    let double = text.windows(2).position(|pair| pair == b"::");
    let bytes = match double {
        None => groups(text)?,
        Some(at) => {
            let (mut head, tail) = (groups(&text[..at])?, groups(&text[at + 2..])?);
            // The part before it has no address of version 4.
            if text[..at].contains(&b'.') || head.len() + tail.len() > 14 {
                return None;
            }
            head.resize(16 - tail.len(), 0);
            [head, tail].concat()
        }
    };
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    Some(bytes.into())
}

/// The bytes of some groups. The last one may be an address of version 4, as `inet_ntop` writes it.
fn groups(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if text.is_empty() {
        return Some(bytes);
    }
    let groups: Vec<&[u8]> = text.split(|&byte| byte == b':').collect();
    for (index, group) in groups.iter().enumerate() {
        if index + 1 == groups.len() && group.contains(&b'.') {
            bytes.extend(quad(group)?);
            continue;
        }
        if group.is_empty() || group.len() > 4 {
            return None;
        }
        let mut number = 0;
        for &digit in *group {
            number = 16 * number + char::from(digit).to_digit(16)?;
        }
        bytes.extend((number as u16).to_be_bytes());
    }
    Some(bytes)
}

/// Section 2.2.
fn version_2(bytes: &[u8]) -> Verdict {
    let Some(version_and_command) = bytes.get(12) else {
        return Verdict::More;
    };
    let local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Verdict::Refused,
    };
    if bytes.len() < 16 {
        return Verdict::More;
    }
    let length = 256 * usize::from(bytes[14]) + usize::from(bytes[15]);
    let end = 16 + length;
    let whole = |ends| match bytes.len() < end {
        true => Verdict::More,
        false => Verdict::Whole(ends, end),
    };
    if local {
        return whole(None);
    }
    let number = |at: usize| 256 * u16::from(bytes[at]) + u16::from(bytes[at + 1]);
    let array = |at: usize| bytes[at..at + 16].try_into().unwrap_or([0; 16]);
    let (needed, ends) = match bytes[13] {
        0x00..=0x02 | 0x10 | 0x20 | 0x30 => (0, None),
        0x11 | 0x12 if bytes.len() >= 28 => {
            let host =
                |at: usize| IpAddr::from([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            let ends = [(16, 24), (20, 26)];
            (
                12,
                Some(ends.map(|(at, port)| SocketAddr::new(host(at), number(port)))),
            )
        }
        0x11 | 0x12 => (12, None),
        0x21 | 0x22 if bytes.len() >= 52 => {
            let ends = [(16, 48), (32, 50)];
            let address = |(at, port)| SocketAddr::new(IpAddr::from(array(at)), number(port));
            (36, Some(ends.map(address)))
        }
        0x21 | 0x22 => (36, None),
        0x31 | 0x32 => (216, None),
        _ => return Verdict::Refused,
    };
    match length < needed {
        true => Verdict::Refused,
        false => whole(ends),
    }
}
