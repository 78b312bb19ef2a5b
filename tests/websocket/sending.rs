//! Senders on other threads.

use std::thread;

use serve_forever::socketserver::SendError;

use super::*;

/// The handler's own sender, once it is open.
fn sender(seen: &Seen) -> WebSocketSender {
    seen.senders.try_recv().expect("it is open")
}

/// WS-7: in order, whole, from several threads.
#[test]
fn threads_send_to_a_client() {
    let (mut driven, seen) = driven(WebSocketSettings::default());
    let mut client = open(&mut driven);
    let sender = sender(&seen);
    let clone = sender.clone();
    let sending = thread::spawn(move || {
        clone.text("one")?;
        clone.ping()?;
        clone.send(WebSocketMessage::Binary(&[2; 70_000]))
    });
    sending.join().expect("no panic").expect("there is room");
    let expected = [
        sent(LAST | TEXT, "one"),
        sent(PING, ""),
        sent(LAST | BINARY, [2; 70_000]),
    ];
    driven.expect(&mut client, expected.concat());
    let senders: Vec<_> = (0..4)
        .map(|number| {
            let sender = sender.clone();
            thread::spawn(move || (0..8).try_for_each(|_| sender.text(number.to_string())))
        })
        .collect();
    for sending in senders {
        sending.join().expect("no panic").expect("there is room");
    }
    let mut bytes = Vec::new();
    driven.until(|_| {
        super::support::client::take(&mut client, usize::MAX, &mut bytes);
        bytes.len() >= 4 * 8 * 3
    });
    let mut numbers: Vec<u8> = bytes.chunks(3).map(|frame| frame[2]).collect();
    numbers.sort_unstable();
    assert_eq!(
        numbers,
        [[b'0'; 8], [b'1'; 8], [b'2'; 8], [b'3'; 8]].concat()
    );
}

/// WS-7, law 7: a slow client refuses further messages, and nobody waits. A Close frame always has
/// room.
#[test]
fn a_client_that_does_not_read_has_no_room() {
    let (mut driven, seen) = driven(WebSocketSettings::default());
    let _client = open(&mut driven);
    let sender = sender(&seen);
    let block = vec![7; 16 * 1024];
    let mut count = 0;
    while sender.binary(&block) != Err(SendError::Full(())) {
        driven.turn();
        count += 1;
        assert!(count < 4096, "without limit");
    }
    assert!(!sender.is_gone());
    sender.close(1013, "too slow").expect("it is open");
    assert_eq!(sender.text("late"), Err(SendError::Gone(())));
}

/// WS-6, WS-7: a thread closes, after what it has sent. The server waits for the client.
#[test]
fn a_thread_closes_a_conversation() {
    let (mut driven, seen) = driven(WebSocketSettings::default());
    let mut client = open(&mut driven);
    let sender = sender(&seen);
    sender.text("last").expect("it is open");
    sender.close(4000, "enough").expect("it is open");
    assert!(sender.is_gone());
    assert_eq!(sender.close(4001, "again"), Err(SendError::Gone(())));
    let expected = [
        sent(LAST | TEXT, "last"),
        sent(CLOSE, close(4000, "enough")),
    ];
    driven.expect(&mut client, expected.concat());
    assert_eq!(driven.open_connections(), 1);
    client.send(frame(CLOSE, close(4000, "")));
    assert_eq!(text(&driven.rest(&mut client)), "");
    let expected = [Event::Open, Event::Closed(4000, "enough".into())];
    assert_eq!(events(&seen), expected);
}
