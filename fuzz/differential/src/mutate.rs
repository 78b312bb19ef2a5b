//! A mutator without state: the same seed and number give the same input.

use crate::inputs;

/// What HTTP/1 consists of, in good and bad forms.
const WORDS: &[&str] = &[
    "GET",
    "HEAD",
    "POST",
    "CONNECT",
    "OPTIONS",
    "PUT",
    "get",
    "FOO",
    "PRI",
    "*",
    "/",
    "/a?b=c",
    "/#f",
    "http://h",
    "h:1",
    "http://h/a",
    "http://u@h/",
    "[::1]",
    "h",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/1.2",
    "HTTP/2.0",
    "HTTP/0.9",
    "http/1.1",
    " ",
    "  ",
    "\t",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "\0",
    "\x0b",
    "\x0c",
    "\x7f",
    ":",
    ": ",
    " :",
    ",",
    ", ",
    ";",
    "=",
    "\"",
    "\\",
    "\r\n ",
    "\r\n\t",
    "0",
    "1",
    "00",
    "5",
    "a",
    "A",
    "f",
    "F",
    "-1",
    "+1",
    "0x1",
    "1e1",
    "1_0",
    "18446744073709551615",
    "18446744073709551616",
    "ffffffffffffffff",
    "7fffffffffffffff",
    "8000000000000000",
    "10000000000000000",
    "Host: h\r\n",
    "Host:\r\n",
    "Content-Length: 1\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "content-length:5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: 05\r\n",
    "Transfer-Encoding: chunked\r\n",
    "transfer-encoding:chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked, chunked\r\n",
    "Transfer-Encoding: \x0bchunked\r\n",
    "Transfer-Encoding: chunked;q=1\r\n",
    "TE: trailers\r\n",
    "Trailer: A\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Connection: close, keep-alive\r\n",
    "Connection: upgrade\r\n",
    "Connection: Upgrade, close\r\n",
    "Upgrade: websocket\r\n",
    "Upgrade: h2c\r\n",
    "Proxy-Connection: close\r\n",
    "Keep-Alive: 5\r\n",
    "Expect: 100-continue\r\n",
    "Expect: x\r\n",
    "A: b\r\n",
    "A:\r\n",
    "A : b\r\n",
    " A: b\r\n",
    "A\r\n",
    ": b\r\n",
    "A: \x01\r\n",
    "1\r\nx\r\n",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\n",
    "0;a=b\r\n\r\n",
    "1;a=\"b\"\r\nx\r\n",
    "1 ;a\r\nx\r\n",
    "1;\r\nx\r\n",
    "1\nx\n",
    "5\r\nhello",
    "hello",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 204 x\r\n",
    "HTTP/1.1 304 x\r\n",
    "HTTP/1.1 100 x\r\n\r\n",
    "HTTP/1.1 103 x\r\n\r\n",
    "HTTP/1.0 200 OK\r\n",
    "HTTP/1.1 101 x\r\n",
    "HTTP/1.1 200\r\n",
    "HTTP/1.1 999 \r\n",
    "200",
    "404",
];

/// Makes inputs from others, and from words.
pub struct Mutator {
    requests: Vec<Vec<u8>>,
    responses: Vec<Vec<u8>>,
    seed: u64,
}

impl Mutator {
    pub fn new(seed: u64) -> Mutator {
        Mutator {
            requests: inputs::requests(),
            responses: inputs::responses(),
            seed,
        }
    }

    /// A stream of requests.
    pub fn request(&self, number: u64) -> Vec<u8> {
        let mut chance = Chance::new(self.seed, number);
        let mut input = match chance.below(3) {
            0 => chance.of(&self.requests).clone(),
            _ => chance.requests(),
        };
        chance.mutate(&mut input, &self.requests);
        input
    }

    /// A stream that begins with a response.
    pub fn response(&self, number: u64) -> Vec<u8> {
        let mut chance = Chance::new(!self.seed, number);
        let mut input = match chance.below(3) {
            0 => chance.of(&self.responses).clone(),
            _ => chance.responses(),
        };
        chance.mutate(&mut input, &self.responses);
        input
    }
}

/// Random numbers: splitmix64, which is good also for seeds that follow each other.
struct Chance(u64);

impl Chance {
    fn new(seed: u64, number: u64) -> Chance {
        Chance(
            seed.wrapping_mul(0xd134_2543_de82_ef95)
                .wrapping_add(number << 1),
        )
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    fn word(&mut self) -> &'static [u8] {
        self.of(WORDS).as_bytes()
    }

    /// One to three requests of words that stand where they belong.
    fn requests(&mut self) -> Vec<u8> {
        let mut input = Vec::new();
        for _ in 0..1 + self.below(3) {
            let method = *self.of(&[
                "GET", "POST", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "FOO",
            ]);
            let target = *self.of(&["/", "/", "/a?b", "*", "http://h/", "h:1", "http://h"]);
            let version = *self.of(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2"]);
            input.extend_from_slice(
                format!("{method} {target} {version}\r\nHost: h\r\n").as_bytes(),
            );
            self.rest(&mut input);
        }
        input
    }

    /// An interim response or two, perhaps, and one response.
    fn responses(&mut self) -> Vec<u8> {
        let mut input = Vec::new();
        for _ in 0..self.below(3) {
            let status = *self.of(&["100 Continue", "103 Early Hints", "102 x", "199 x"]);
            input.extend_from_slice(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes());
        }
        let version = *self.of(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2"]);
        let status = *self.of(&[
            "200 OK",
            "200 OK",
            "404 Not Found",
            "204 x",
            "304 x",
            "101 x",
            "200",
            "205 x",
            "299 ",
        ]);
        input.extend_from_slice(format!("{version} {status}\r\n").as_bytes());
        self.rest(&mut input);
        input
    }

    /// Fields and content.
    fn rest(&mut self, input: &mut Vec<u8>) {
        let fields: Vec<&str> = WORDS
            .iter()
            .copied()
            .filter(|word| word.ends_with("\r\n") && word.contains(':'))
            .collect();
        for _ in 0..self.below(3) {
            input.extend_from_slice(self.of(&fields).as_bytes());
        }
        let extensions = ["", "", "", ";a", ";a=b", ";a=\"b\\\"\"", " ; a = b", "\t;a"];
        match self.below(4) {
            0 => input.extend_from_slice(b"\r\n"),
            1 => {
                let length = self.below(12);
                input.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
                input.extend_from_slice(&b"hello, world"[..length]);
            }
            _ => {
                input.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for _ in 0..self.below(3) {
                    let (length, extension) = (1 + self.below(12), *self.of(&extensions));
                    input.extend_from_slice(format!("{length:x}{extension}\r\n").as_bytes());
                    input.extend_from_slice(&b"hello, world"[..length]);
                    input.extend_from_slice(b"\r\n");
                }
                input.extend_from_slice(format!("0{}\r\n", self.of(&extensions)).as_bytes());
                for _ in 0..self.below(2) {
                    input.extend_from_slice(self.of(&fields).as_bytes());
                }
                input.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Changes an input in a few places, or not at all.
    fn mutate(&mut self, input: &mut Vec<u8>, others: &[Vec<u8>]) {
        for _ in 0..self.below(5) {
            let at = self.below(input.len() + 1);
            let length = self.below(9).min(input.len() - at);
            match self.below(9) {
                0 => drop(input.drain(at..at + length)),
                1 => drop(input.splice(at..at, self.word().iter().copied())),
                2 => drop(input.splice(at..at + length, self.word().iter().copied())),
                3 if at < input.len() => input[at] = self.next() as u8,
                4 if at < input.len() => input[at] ^= 1 << self.below(8),
                5 => {
                    let again = input[at..at + length].to_vec();
                    drop(input.splice(at..at, again));
                }
                6 => {
                    let other = self.of(others);
                    let from = self.below(other.len());
                    let to = other.len().min(from + self.below(40));
                    drop(input.splice(at..at, other[from..to].iter().copied()));
                }
                7 => self.change_line_end(input),
                _ => input.truncate(input.len() - length),
            }
        }
        input.truncate(4096);
    }

    /// Makes one CRLF a line end of another kind.
    fn change_line_end(&mut self, input: &mut Vec<u8>) {
        let ends = input
            .windows(2)
            .enumerate()
            .filter(|(_, end)| end == b"\r\n");
        let ends: Vec<usize> = ends.map(|(place, _)| place).collect();
        if !ends.is_empty() {
            let place = *self.of(&ends);
            let other = *self.of(&[
                "\n", "\r", "\r\r\n", "\n\n", "\r\n ", " \r\n", "\r\n\r\n", "",
            ]);
            input.splice(place..place + 2, other.bytes());
        }
    }
}
