//! Checks what a trusted proxy says about a request: the client's address, the scheme and the host are those
//! of a literal reading, and nothing that stands to the left of what a proxy has appended changes them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serve_forever::http::{
    HttpConnection, HttpSettings, OwnedRequest, Request, Response, TrustedProxies,
};
use serve_forever::socketserver::{Driver, Files};

use super::literal::{self, Field};
use super::proxy_protocol::{ipv4, ipv6};

const NAMES: [&str; 4] = [
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
];

/// The input is a byte that says which proxies are trusted, and then field lines that end in LF or CRLF.
/// Other fields than those of a proxy are skipped.
pub fn forwarded(data: &[u8]) {
    let (&choice, section) = data.split_first().unwrap_or((&0, b""));
    let lines = section.split(|&byte| byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let is_of_proxy = |field: &Field<'_>| {
        NAMES
            .iter()
            .any(|name| field.0.eq_ignore_ascii_case(name.as_bytes()))
    };
    let fields: Vec<Field<'_>> = lines
        .filter_map(literal::field)
        .filter(is_of_proxy)
        .take(60)
        .collect();
    let rule = Rule {
        forwarded: choice & 1 != 0,
        hops: [1, 2, 3, usize::MAX][usize::from(choice >> 1 & 3)],
    };
    let Some(found) = ask(&rule, &fields) else {
        return; // the head is too large
    };
    let expected = rule.read(&fields);
    assert_eq!(found, expected);
    // With one more proxy, which appends, only its own element is believed.
    let nearest = Rule { hops: 1, ..rule };
    let appended: &[u8] = match rule.forwarded {
        true => b"for=192.0.2.1;proto=https",
        false => b"192.0.2.1",
    };
    let name = NAMES[usize::from(!rule.forwarded)];
    for joined in [false, true] {
        let mut fields: Vec<(Vec<u8>, Vec<u8>)> = fields
            .iter()
            .map(|field| (field.0.into(), field.1.into()))
            .collect();
        let last = fields
            .iter_mut()
            .rfind(|field| field.0.eq_ignore_ascii_case(name.as_bytes()));
        match last.filter(|_| joined) {
            Some(last) => last.1 = [&last.1, &b", "[..], appended].concat(),
            None => fields.push((name.into(), appended.into())),
        }
        let fields: Vec<Field<'_>> = fields
            .iter()
            .map(|field| (&field.0[..], &field.1[..]))
            .collect();
        if let Some(found) = ask(&nearest, &fields) {
            assert_eq!(found.0, Some(SocketAddr::from(([192, 0, 2, 1], 0))));
            assert!(!rule.forwarded || found.1 == "https");
        }
    }
}

/// The client's address, the scheme and the authority.
type Said = (Option<SocketAddr>, String, String);

/// The addresses of trusted proxies begin with 10 if there is no number of hops.
struct Rule {
    forwarded: bool,
    hops: usize,
}

const PEER: &str = "10.0.0.1:4711";

/// What a request says that has these fields.
fn ask(rule: &Rule, fields: &[Field<'_>]) -> Option<Said> {
    let mut settings = HttpSettings::default();
    let proxies = match rule.hops {
        usize::MAX => TrustedProxies::networks(["10.0.0.0/8"]).expect("a network"),
        hops => TrustedProxies::hops(hops),
    };
    settings.trusted_proxies = match rule.forwarded {
        true => proxies.forwarded(),
        false => proxies.with_proto().with_host(),
    };
    let mut said = None;
    let handler = |request: &Request<'_>, response: Response<'_>| {
        let read = |request: &Request<'_>| {
            let authority = request.authority().unwrap_or("none").to_owned();
            (
                request.client_address(),
                request.scheme().to_owned(),
                authority,
            )
        };
        assert_eq!(OwnedRequest::new(request).with(read), read(request));
        said = Some(read(request));
        response.send_response(200).body("")
    };
    let peer: SocketAddr = PEER.parse().expect("an address");
    let connection = HttpConnection::new(handler, peer, Arc::new(settings));
    let mut request = b"GET / HTTP/1.1\r\nHost: own\r\nConnection: close\r\n".to_vec();
    for (name, value) in fields {
        request.extend_from_slice(&[name, &b": "[..], value, b"\r\n"].concat());
    }
    request.extend_from_slice(b"\r\n");
    let files = Files {
        rfile: &request[..],
        wfile: &mut Vec::new(),
    };
    Driver::new(connection).drive(files).expect("answered");
    said
}

/// What one proxy has said.
#[derive(Default)]
struct Element {
    /// The address, unless the proxy keeps it to itself.
    client: Option<SocketAddr>,
    proto: Option<Vec<u8>>,
    host: Option<Vec<u8>>,
}

impl Rule {
    fn read(&self, fields: &[Field<'_>]) -> Said {
        let mut client = Some(PEER.parse().expect("an address"));
        let (mut proto, mut host) = (None, None);
        let mut depth = 0;
        for member in self.members(
            fields,
            if self.forwarded {
                "Forwarded"
            } else {
                "X-Forwarded-For"
            },
        ) {
            let element = match self.forwarded {
                true => element(&member),
                false => node(&member).map(|client| Element {
                    client,
                    ..Element::default()
                }),
            };
            let Some(element) = element else {
                break;
            };
            depth += 1;
            client = element.client;
            (proto, host) = (element.proto, element.host);
            let is_proxy = |address: SocketAddr| match address.ip().to_canonical() {
                IpAddr::V4(ip) => self.hops < usize::MAX || ip.octets()[0] == 10,
                IpAddr::V6(_) => self.hops < usize::MAX,
            };
            if depth == self.hops || !client.is_some_and(is_proxy) {
                break;
            }
        }
        if !self.forwarded {
            let said = |name| {
                let mut members = self.members(fields, name);
                members.truncate(depth.max(1));
                members.pop()
            };
            (proto, host) = (said("X-Forwarded-Proto"), said("X-Forwarded-Host"));
        }
        let scheme = match proto.map(|proto| proto.to_ascii_lowercase()).as_deref() {
            Some(b"https" | b"wss") => "https",
            _ => "http",
        };
        let host = host.filter(|host| !host.is_empty() && literal::is_host(host));
        let host = host.and_then(|host| String::from_utf8(host).ok());
        (client, scheme.to_owned(), host.unwrap_or("own".to_owned()))
    }

    /// The members that are not empty, the last one first. Each line is read backwards: a comma
    /// separates unless it stands between two quotation marks, and the first mark of a pair is the one that no
    /// backslash escapes. A mark without a partner takes all that is to its left.
    fn members(&self, fields: &[Field<'_>], name: &str) -> Vec<Vec<u8>> {
        let mut members = Vec::new();
        for line in literal::all(fields, name).iter().rev() {
            let mut backwards = vec![Vec::new()];
            let mut quoted = false;
            for (at, &byte) in line.iter().enumerate().rev() {
                if byte == b',' && !quoted {
                    backwards.push(Vec::new());
                    continue;
                }
                if byte == b'"' {
                    let before = line[..at].iter().rev();
                    let escapes = before.take_while(|&&byte| byte == b'\\').count();
                    quoted = !quoted || escapes % 2 == 1;
                }
                backwards.last_mut().expect("it has one").push(byte);
            }
            for mut member in backwards {
                member.reverse();
                let member = literal::trimmed(&member);
                if !member.is_empty() {
                    members.push(member.to_vec());
                }
            }
        }
        members
    }
}

/// RFC 7239 section 4: pairs of a name and a value, which is a token or a quoted string.
fn element(text: &[u8]) -> Option<Element> {
    let mut pairs = vec![Vec::new()];
    let (mut quoted, mut escaped) = (false, false);
    for &byte in text {
        if byte == b';' && !quoted {
            pairs.push(Vec::new());
            continue;
        }
        if byte == b'"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && byte == b'\\' && !escaped;
        pairs.last_mut()?.push(byte);
    }
    if quoted {
        return None;
    }
    let (mut node_text, mut proto, mut host) = (None, None, None);
    for pair in pairs {
        let pair = literal::trimmed(&pair);
        if pair.is_empty() {
            continue;
        }
        let mut halves = pair.splitn(2, |&byte| byte == b'=');
        let (name, value) = (halves.next()?, halves.next()?);
        if name.iter().any(|byte| !(0x21..=0x7e).contains(byte)) {
            return None;
        }
        let value = match value {
            [b'"', inner @ .., b'"'] => inner,
            value => value,
        };
        if value.contains(&b'"') || value.contains(&b'\\') {
            return None;
        }
        let place = match &name.to_ascii_lowercase()[..] {
            b"for" => &mut node_text,
            b"proto" => &mut proto,
            b"host" => &mut host,
            _ => continue,
        };
        if place.replace(value.to_vec()).is_some() {
            return None;
        }
    }
    let client = match node_text {
        Some(text) => node(&text)?,
        None => None,
    };
    Some(Element {
        client,
        proto,
        host,
    })
}

/// RFC 7239 section 6: an address, `unknown`, or a name with an underscore; and perhaps a port. Also an IPv6
/// address without brackets and without a port.
fn node(text: &[u8]) -> Option<Option<SocketAddr>> {
    if let Some(ip) = ipv6(text) {
        return Some(Some(SocketAddr::new(ip, 0)));
    }
    // The port follows the last colon, but one in brackets is a part of the address.
    let colon = text.iter().rposition(|&byte| byte == b':' || byte == b']');
    let (name, port) = match colon {
        Some(at) if text[at] == b':' => (&text[..at], Some(&text[at + 1..])),
        _ => (text, None),
    };
    let port = match port {
        None => 0,
        Some(port) if is_hidden(port) => 0,
        Some(port) => {
            let digits = std::str::from_utf8(port).ok()?;
            let all = port.iter().all(u8::is_ascii_digit) && (1..=5).contains(&port.len());
            digits.parse().ok().filter(|_| all)?
        }
    };
    let ip = match name {
        [b'[', inner @ .., b']'] => ipv6(inner)?,
        name if name.eq_ignore_ascii_case(b"unknown") || is_hidden(name) => return Some(None),
        name => ipv4(name)?,
    };
    Some(Some(SocketAddr::new(ip, port)))
}

fn is_hidden(name: &[u8]) -> bool {
    let rest = match name {
        [b'_', rest @ ..] => rest,
        _ => return false,
    };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    !rest.is_empty() && rest.iter().all(plain)
}
