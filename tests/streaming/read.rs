//! Bodies that are read: straight into the output.

use super::*;

/// What a [`Scripted`] source does after its last byte.
#[derive(Debug, Clone, Copy)]
enum Last {
    End,
    Fail,
    Panic,
}

/// A source of a block, and then of content that is read in pieces of all sizes.
struct Scripted {
    first: Option<Block>,
    content: io::Cursor<Vec<u8>>,
    last: Last,
    reads: usize,
}

/// Returns the content from `split` on as something to read, and what is before it as a block.
fn scripted(content: &[u8], split: usize, last: Last) -> Scripted {
    let (first, rest) = content.split_at(split);
    Scripted {
        first: (split > 0).then(|| first.to_vec().into()),
        content: io::Cursor::new(rest.to_vec()),
        last,
        reads: 0,
    }
}

impl Read for Scripted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        const SIZES: [usize; 8] = [1, usize::MAX, 17, 4096, 0, 300, 100_000, 65_536];
        self.reads += 1;
        let size = SIZES[self.reads % SIZES.len()].min(bytes.len());
        if size == 0 {
            return Err(ErrorKind::Interrupted.into());
        }
        match (self.content.read(&mut bytes[..size])?, self.last) {
            (0, Last::Fail) => Err(io::Error::other("scripted")),
            (0, Last::Panic) => panic!("scripted"),
            (count, _) => Ok(count),
        }
    }
}

impl BodySource for Scripted {
    fn next_block(&mut self) -> Result<Option<Block>, Failure> {
        Ok(Some(self.first.take().expect("there is a reader")))
    }

    fn reader(&mut self) -> Option<&mut dyn Read> {
        self.first.is_none().then_some(self)
    }

    fn trailers(&mut self) -> Vec<(String, Vec<u8>)> {
        vec![("Sum".into(), b"7".to_vec())]
    }
}

/// A site whose paths are `/FRAMING/SPLIT`.
fn reading(content: &Arc<Vec<u8>>, last: Last) -> (Site, Receiver<String>) {
    let content = Arc::clone(content);
    Site::new(move |request, response| {
        let (framing, split) = request.path()[1..].split_once('/').expect("two parts");
        let source = scripted(&content, split.parse()?, last);
        let head = response.send_response(200);
        let length = content.len();
        match framing {
            "chunked" => head.stream(source),
            "sized" => head
                .send_header("Content-Length", length.to_string())
                .stream(source),
            "longer" => head.send_header("Content-Length", "5").stream(source),
            _ => head
                .send_header("Content-Length", (length + 1).to_string())
                .stream(source),
        }
    })
}

/// However it is read and framed, the client gets the same bytes, and the connection goes on.
#[test]
fn what_is_read_is_sent() {
    for home in HOMES {
        for length in [0, 1, 65_535, 65_536, 1_000_000] {
            let content = Arc::new(pattern(length));
            let (site, _lines) = reading(&content, Last::End);
            let serving = start(home, site);
            let mut client = serving.connect();
            let mut answers = Answers::of(&client);
            for split in [0, length / 3, length] {
                for framing in ["chunked", "sized"] {
                    let what = format!("{home:?} {framing} {length} {split}");
                    client.send(get(&format!("/{framing}/{split}")));
                    let answer = answers.next();
                    let trailer: &[u8] = match framing {
                        "chunked" => b"|Sum: 7",
                        _ => b"",
                    };
                    assert_same(&answer.content, &[&**content, trailer].concat(), &what);
                }
            }
            client.send("GET /chunked/0 HTTP/1.0\r\n\r\n");
            assert_same(&answers.next().content, &content, "HTTP/1.0");
            answers.expect_end();
        }
    }
}

/// WSGI-17: what is longer than announced is cut, and no byte of it becomes the next response. What is
/// shorter ends the connection.
#[test]
fn what_is_read_has_the_announced_length() {
    for home in HOMES {
        for (length, split) in [(6, 0), (6, 3), (300_000, 0), (300_000, 5)] {
            let what = format!("{home:?} {length} {split}");
            let content = Arc::new(pattern(length));
            let (site, lines) = reading(&content, Last::End);
            let serving = start(home, site);
            let mut client = serving.connect();
            client.send(get(&format!("/longer/{split}")).repeat(2));
            let mut answers = Answers::of(&client);
            for _ in 0..2 {
                assert_same(&answers.next().content, &content[..5], &what);
                assert_eq!(next(&lines), format!("GET /longer/{split} HTTP/1.1 200 5"));
            }
            client.send(get(&format!("/shorter/{split}")));
            let head = answers.head().expect("a head");
            assert!(answers.content(&head).is_err(), "{what}");
            assert!(next(&lines).starts_with("GET /shorter/"));
        }
    }
}

/// A read that fails, or panics (law 10): before the first byte it is a 500, and later the response
/// breaks off. The server goes on.
#[test]
fn a_read_that_fails() {
    for home in HOMES {
        for last in [Last::Fail, Last::Panic] {
            for framing in ["chunked", "sized"] {
                let what = format!("{home:?} {last:?} {framing}");
                let (site, _lines) = reading(&Arc::default(), last);
                let serving = start(home, site);
                let mut client = serving.connect();
                client.send(get(&format!("/{framing}/0")));
                assert_eq!(Answers::of(&client).next().code, 500, "{what}");

                let content = Arc::new(pattern(300_000));
                let (site, lines) = reading(&content, last);
                let serving = start(home, site);
                let mut client = serving.connect();
                client.send(get(&format!("/{framing}/0")));
                let mut answers = Answers::of(&client);
                let head = answers.head().expect("a head");
                match framing {
                    // Nobody asks for what comes after the length.
                    "sized" => assert!(answers.content(&head).is_ok(), "{what}"),
                    _ => assert!(answers.content(&head).is_err(), "{what}"),
                }
                next(&lines);
                let mut client = serving.connect();
                client.send(get("/sized/0"));
                assert_same(&Answers::of(&client).next().content, &content, &what);
            }
        }
    }
}
