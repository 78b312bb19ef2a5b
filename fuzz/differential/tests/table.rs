//! The table of differences holds: each row is shown, and nothing else passes.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use differential::judge::{Tally, judge, shows};
use differential::mutate::Mutator;
use differential::peers::Peer;
use differential::render;
use differential::table::ROWS;
use differential::verdict::Role;

/// Servers are asked by `servers.py`.
#[test]
fn an_example_shows_each_row_for_each_linked_parser() {
    let mut missing = Vec::new();
    for row in ROWS {
        let linked = row.peers.iter().filter(|peer| Peer::LINKED.contains(peer));
        for &peer in linked {
            let mut examples = row.examples.iter();
            if !examples.any(|example| shows(example, peer, row.name)) {
                missing.push((row.name, peer.name()));
            }
        }
    }
    assert!(missing.is_empty(), "no example: {missing:#?}");
}

/// So no row depends on how its example is cut.
#[test]
fn the_examples_in_all_cuts_show_nothing_else() {
    for example in ROWS.iter().flat_map(|row| row.examples) {
        for &role in differential::judge::roles(example) {
            let judged = judge(role, example, &mut Tally::default());
            judged.unwrap_or_else(|found| panic!("{found}"));
        }
    }
}

#[test]
fn each_row_has_a_name_of_its_own_a_clause_and_an_example() {
    let mut names = HashSet::new();
    for row in ROWS {
        assert!(names.insert(row.name), "{} stands twice", row.name);
        assert!(row.clause.starts_with("RFC "), "{}", row.name);
        assert!(!row.examples.is_empty(), "{}", row.name);
        assert!(!row.peers.is_empty(), "{}", row.name);
    }
}

/// What a parser refuses or reads in a way that the table does not know.
#[test]
fn a_difference_without_a_row_is_found() {
    use differential::compare::{What, compare};
    use differential::row::Seen;
    use differential::verdict::{End, Message, Start, Verdict};

    let input = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let start = Start::Request {
        method: b"GET".into(),
        target: b"/".into(),
    };
    let mut message = Message::new(start, 1);
    message.complete = true;
    let ours = Verdict {
        messages: vec![message.clone()],
        end: End::More,
    };
    let refuses = Verdict {
        messages: Vec::new(),
        end: End::Refused("a reason".into()),
    };
    message.content = b"more".into();
    let longer = Verdict {
        messages: vec![message],
        end: End::More,
    };
    for peer in [Peer::Hyper, Peer::Llhttp, Peer::Pico] {
        for theirs in [&refuses, &longer] {
            let found = compare(&ours, theirs, peer.names());
            let [difference] = &found[..] else {
                panic!("one difference: {found:?}");
            };
            assert!(!matches!(difference.what, What::WeRefuse(_)));
            let seen = Seen {
                peer,
                input,
                ours: &ours,
                theirs,
                what: &difference.what,
                message: difference.message,
            };
            assert_eq!(differential::table::explain(&seen), None, "{peer:?}");
        }
    }
}

#[test]
fn the_mutator_repeats_itself() {
    let (one, other) = (Mutator::new(1), Mutator::new(2));
    let requests = |mutator: &Mutator| {
        (0..50)
            .map(|number| mutator.request(number))
            .collect::<Vec<_>>()
    };
    assert_eq!(requests(&one), requests(&Mutator::new(1)));
    assert_ne!(requests(&one), requests(&other));
    let mut tally = Tally::default();
    for number in 0..50 {
        let judged = judge(Role::Server, &one.request(number), &mut tally);
        judged.unwrap_or_else(|found| panic!("{found}"));
    }
    assert!(tally.streams > 50);
}

/// `BLESS=1 cargo test` writes it.
#[test]
fn the_guide_shows_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/guide/other_parsers.md");
    let page = fs::read_to_string(&path).expect("the page can be read");
    let (begin, end) = ("<!-- the table -->\n", "<!-- the end of the table -->\n");
    let (before, rest) = page.split_once(begin).expect("the table begins");
    let (_, after) = rest.split_once(end).expect("the table ends");
    let expected = [before, begin, "\n", &render::table(), end, after].concat();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &expected).expect("the page can be written");
        return;
    }
    assert_eq!(page, expected, "BLESS=1 writes it");
}
