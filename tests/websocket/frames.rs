//! Frames: what is a message, and what breaks the rules, however the bytes arrive.

use std::time::{Instant, UNIX_EPOCH};

use serve_forever::http::{HttpConnection, Message};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Mailbox, Next, Protocol};

use super::*;

/// Plays bytes in pieces that end at `cuts`, without a socket. Returns what the handler saw, and what
/// the client was sent.
fn play(settings: &WebSocketSettings, bytes: &[u8], cuts: &[usize]) -> (Vec<Event>, Vec<u8>) {
    let now = Now::at(Instant::now(), UNIX_EPOCH);
    let (site, seen) = witnessed(settings.clone());
    let site = move |request: &Request<'_>, response: Response<'_>| site(request, response);
    let http_settings = Arc::new(HttpSettings::default());
    let mut connection = HttpConnection::new(site, None, http_settings);
    let (mut input, mut output) = (Buffer::new(), Buffer::new());
    input.extend_from_slice(HANDSHAKE.as_bytes());
    connection.connection_made(Mailbox::dangling(), &mut output, &now);
    let mut protocol = match connection.receive(&mut input, &mut output, &now) {
        Next::Upgrade(protocol) => protocol,
        next => panic!("{next:?} {}", text(&output)),
    };
    output.clear();
    let mut next = protocol.connection_made(Mailbox::<Message>::dangling(), &mut output, &now);
    let mut start = 0;
    for &cut in cuts {
        input.extend_from_slice(&bytes[start..cut]);
        start = cut;
        next = protocol.receive(&mut input, &mut output, &now);
        // There is always room here.
        while matches!(next, Next::Produce) {
            protocol.produce(&mut output, &now);
            next = protocol.receive(&mut input, &mut output, &now);
        }
        if !matches!(next, Next::Read) {
            break;
        }
    }
    if matches!(next, Next::Read) {
        protocol.input_closed(&mut output, &now);
    }
    protocol.connection_lost(&now);
    output.make_contiguous();
    (events(&seen), output.to_vec())
}

/// Plays bytes at once, at every single cut, and one by one. All must be the same.
fn play_every_way(settings: &WebSocketSettings, bytes: &[u8]) -> (Vec<Event>, Vec<u8>) {
    let whole = play(settings, bytes, &[bytes.len()]);
    let single: Vec<usize> = (1..=bytes.len()).collect();
    assert_eq!(play(settings, bytes, &single), whole, "byte by byte");
    for cut in 1..bytes.len() {
        assert_eq!(play(settings, bytes, &[cut, bytes.len()]), whole, "{cut}");
    }
    whole
}

/// WS-3, WS-4: messages whole and in parts, control frames between the parts, all forms of lengths.
#[test]
fn messages_are_the_same_at_every_cut() {
    let long = "é".repeat(100);
    let parts = [
        frame(LAST | TEXT, "hello"),
        frame(LAST | TEXT, ""),
        frame(LAST | BINARY, [0, 0xff, 7]),
        frame(TEXT, "a\u{e9}"),
        frame(PING, "?"),
        frame(0, "\u{20ac}".as_bytes().split_at(1).0),
        frame(PONG, "!"),
        frame(0, ""),
        frame(LAST, "\u{20ac}".as_bytes().split_at(1).1),
        frame(LAST | TEXT, &long),
        frame(BINARY, "x".repeat(60)),
        frame(LAST, "y".repeat(70)),
        frame(PING, "z".repeat(125)),
        frame(CLOSE, close(3000, "good-bye")),
        frame(LAST | TEXT, "after the end"),
    ];
    let (seen, output) = play_every_way(&WebSocketSettings::default(), &parts.concat());
    let both = format!("{}{}", "x".repeat(60), "y".repeat(70));
    assert_eq!(
        seen,
        [
            Event::Open,
            Event::Text("hello".into()),
            Event::Text("".into()),
            Event::Binary(vec![0, 0xff, 7]),
            Event::Text("a\u{e9}\u{20ac}".into()),
            Event::Text(long.clone()),
            Event::Binary(both.clone().into()),
            Event::Closed(3000, "good-bye".into()),
        ]
    );
    let expected = [
        sent(LAST | TEXT, "hello"),
        sent(LAST | TEXT, ""),
        sent(LAST | BINARY, [0, 0xff, 7]),
        sent(PONG, "?"),
        sent(LAST | TEXT, "a\u{e9}\u{20ac}"),
        sent(LAST | TEXT, &long),
        sent(LAST | BINARY, both),
        sent(PONG, "z".repeat(125)),
        sent(CLOSE, close(3000, "")),
    ];
    assert_eq!(text(&output), text(&expected.concat()));
}

/// WS-5, RFC 6455 sections 5 and 7.4: each mistake has its code, at every cut, and nothing after it
/// is looked at.
#[test]
fn what_breaks_the_rules_ends_the_conversation() {
    let unmasked = sent(LAST | TEXT, "x");
    let announce = |length: u64| {
        let mut head = vec![LAST | BINARY, 0xff];
        head.extend(length.to_be_bytes());
        head.extend(MASK);
        head
    };
    let short = |second: u8, rest: &[u8]| [&[LAST | BINARY, second], rest, &MASK].concat();
    let long_reason = frame(CLOSE, close(1000, "\u{e9}".as_bytes().split_at(1).0));
    let mut cases = vec![
        ("not masked", unmasked, 1002),
        ("a reserved bit", frame(LAST | 0x40 | TEXT, "x"), 1002),
        ("a reserved opcode", frame(LAST | 3, "x"), 1002),
        ("a reserved control opcode", frame(LAST | 11, ""), 1002),
        ("a ping in parts", frame(9, "x"), 1002),
        ("a long ping", frame(PING, "x".repeat(126)), 1002),
        ("nothing to continue", frame(LAST, "x"), 1002),
        (
            "a message in a message",
            [frame(TEXT, "x"), frame(LAST | TEXT, "y")].concat(),
            1002,
        ),
        (
            "a long form of 125",
            short(0xfe, &125_u16.to_be_bytes()),
            1002,
        ),
        ("a long form of 65535", announce(0xffff), 1002),
        ("a negative length", announce(1 << 63), 1002),
        ("a long message, announced", announce(1 << 40), 1009),
        (
            "a long message in parts",
            [frame(BINARY, "x".repeat(150)), frame(LAST, "x".repeat(51))].concat(),
            1009,
        ),
        ("no UTF-8", frame(LAST | TEXT, b"\xff"), 1007),
        ("half a character", frame(LAST | TEXT, b"a\xc3"), 1007),
        (
            "half a character in parts",
            [frame(TEXT, b"a"), frame(LAST, b"\xc3")].concat(),
            1007,
        ),
        (
            "a surrogate in parts",
            [frame(TEXT, b"\xed"), frame(0, b"\xa0")].concat(),
            1007,
        ),
        ("half a code", frame(CLOSE, [3]), 1002),
        ("a reason that is no UTF-8", long_reason, 1007),
    ];
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        cases.push((
            "a code that is never sent",
            frame(CLOSE, close(code, "")),
            1002,
        ));
    }
    let mut settings = WebSocketSettings::default();
    settings.message = 200;
    for (case, bytes, code) in cases {
        let bytes = [
            frame(LAST | TEXT, "before"),
            bytes,
            frame(LAST | TEXT, "after"),
        ]
        .concat();
        let (seen, output) = play_every_way(&settings, &bytes);
        let [
            Event::Open,
            Event::Text(before),
            Event::Closed(closed, reason),
        ] = &seen[..]
        else {
            panic!("{case}: {seen:?}");
        };
        assert_eq!((before.as_str(), *closed), ("before", code), "{case}");
        let expected = [
            sent(LAST | TEXT, "before"),
            sent(CLOSE, close(code, reason)),
        ];
        assert_eq!(text(&output), text(&expected.concat()), "{case}");
    }
}

/// WS-6: every way to close is told once, with the code that counts.
#[test]
fn the_handler_is_told_how_it_ended() {
    let cases = [
        (frame(CLOSE, ""), 1005, sent(CLOSE, "")),
        (
            frame(CLOSE, close(4999, "é")),
            4999,
            sent(CLOSE, close(4999, "")),
        ),
        (Vec::new(), 1006, Vec::new()),
        (frame(TEXT, "a part"), 1006, Vec::new()),
        (
            [
                frame(LAST | TEXT, "bye"),
                frame(LAST | TEXT, "too late"),
                frame(CLOSE, close(1001, "")),
            ]
            .concat(),
            1000,
            sent(CLOSE, close(1000, "you said so")),
        ),
    ];
    for (bytes, code, expected) in cases {
        let (seen, output) = play_every_way(&WebSocketSettings::default(), &bytes);
        let ends: Vec<_> = seen
            .iter()
            .filter_map(|event| match event {
                Event::Closed(code, _) => Some(*code),
                _ => None,
            })
            .collect();
        assert_eq!(ends, [code], "{seen:?}");
        assert!(!seen.contains(&Event::Text("too late".into())));
        assert_eq!(text(&output), text(&expected));
    }
}

/// WS-6: what must not be sent is not, and a reason is cut where a character ends.
#[test]
fn a_close_frame_is_always_valid() {
    let reason = "é".repeat(100);
    let cases = [
        (1006, "no", String::new()),
        (999, "no", String::new()),
        (3001, reason.as_str(), "é".repeat(61)),
    ];
    for (code, reason, cut) in cases {
        let now = Now::new();
        let own_reason = reason.to_owned();
        let site = move |request: &Request<'_>, response: Response<'_>| {
            let reason = own_reason.clone();
            WebSocket::accept(
                request,
                response,
                move |socket: &mut WebSocket<'_>, _: WebSocketMessage<'_>| {
                    socket.close(code, &reason);
                    socket.text("too late");
                    Ok(())
                },
            )
        };
        let settings = Arc::new(HttpSettings::default());
        let mut connection = HttpConnection::new(site, None, settings);
        let (mut input, mut output) = (Buffer::new(), Buffer::new());
        input.extend_from_slice(HANDSHAKE.as_bytes());
        connection.connection_made(Mailbox::dangling(), &mut output, &now);
        let Next::Upgrade(mut protocol) = connection.receive(&mut input, &mut output, &now) else {
            panic!("{}", text(&output));
        };
        output.clear();
        input.extend_from_slice(&frame(LAST | TEXT, "x"));
        protocol.connection_made(Mailbox::dangling(), &mut output, &now);
        protocol.receive(&mut input, &mut output, &now);
        let content = match cut.is_empty() {
            true => Vec::new(),
            false => close(code, cut),
        };
        assert_eq!(text(&output), text(&sent(CLOSE, content)), "{code}");
    }
}
