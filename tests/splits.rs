//! Whatever a client sends, the answers do not depend on how its bytes were split.
//!
//! Sequences of requests are made up at random, good ones and broken ones, and answered by a
//! handler of every kind; whole, byte by byte, and cut at random, the bytes of the answers are the
//! same. A sequence that fails is named by its seed:
//!
//!     SPLITS_SEED=4711 cargo test --test splits
#![cfg(feature = "server")]

mod support;

use std::io;
use std::panic;
use std::sync::Once;

use serve_forever::http::{
    Block, BodyPolicy, BodySink, BodySource, HttpRequestHandler, HttpResult, HttpSettings, Request,
    Response, Want, h1,
};
use serve_forever::socketserver::Failure;
use support::wire::Wire;

/// How many sequences are tried.
const SEQUENCES: u64 = 8000;

/// Seeds that have failed once.
const REGRESSIONS: &[u64] = &[];

/// The same for every machine and every run: xorshift64*.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        // Neighbouring seeds must not give similar numbers, and none may be zero.
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pick<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.below(choice.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// Answers in the way that the path names.
struct EveryKind;

/// What takes content as it arrives, and what waits for it; the paths of a request without
/// content may be any.
const STREAMED: [&str; 6] = [
    "/sink",
    "/into",
    "/late/unread",
    "/unread",
    "/enough",
    "/refused",
];
const WHOLE: [&str; 18] = [
    "/",
    "/sized",
    "/pulled",
    "/trailers",
    "/deferred",
    "/pushed",
    "/forgotten",
    "/error",
    "/panic",
    "/long",
    "/short",
    "/pulled/long",
    "/pulled/short",
    "/broken",
    "/interim",
    "/empty",
    "/invalid",
    "/pushed/short",
];

struct Told(Vec<u8>);

impl BodySink for Told {
    fn block(&mut self, block: &[u8]) -> Result<Want, Failure> {
        self.0.extend_from_slice(block);
        Ok(Want::More)
    }

    fn finish(mut self: Box<Self>, trailers: h1::Fields<'_>, response: Response<'_>) -> HttpResult {
        for (name, value) in trailers {
            self.0.extend_from_slice(name.as_bytes());
            self.0.extend_from_slice(value);
        }
        response.send_response(200).body(&self.0)
    }
}

struct Parts(Vec<Option<&'static str>>);

/// `None` fails.
impl BodySource for Parts {
    fn next_block(&mut self) -> Result<Option<Block>, Failure> {
        match self.0.is_empty() {
            true => Ok(None),
            false => match self.0.remove(0) {
                Some(part) => Ok(Some(part.into())),
                None => Err(io::Error::other("scripted").into()),
            },
        }
    }

    fn trailers(&mut self) -> Vec<(String, Vec<u8>)> {
        vec![("Sum".into(), b"7".to_vec())]
    }
}

impl HttpRequestHandler for EveryKind {
    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        match request.path() {
            "/refused" => BodyPolicy::refused(413),
            "/enough" => BodyPolicy::streamed().limit(3),
            path if STREAMED.contains(&path) => BodyPolicy::streamed(),
            _ => BodyPolicy::whole().limit(40),
        }
    }

    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let declared = |length: &str, response: Response<'_>| {
            let head = response
                .send_response(200)
                .send_header("Content-Length", length);
            head.body("four")
        };
        match request.path() {
            "/sink" | "/enough" => response.receive(Told(Vec::new())),
            "/into" => response.receive_into(Vec::new(), |bytes, response| {
                response.send_response(201).stream(std::iter::once(bytes))
            }),
            // Whether content that nobody reads has arrived decides whether the connection goes on.
            "/unread" => {
                let head = response.send_response(403);
                head.send_header("Connection", "close").error_page("unread")
            }
            "/late/unread" => {
                let (deferred, reply) = response.defer();
                deferred.respond(|response| {
                    let head = response.send_response(200);
                    head.send_header("Connection", "close").body("late")
                })?;
                Ok(reply)
            }
            "/pulled" => response
                .send_response(200)
                .stream(["a", "", "bc"].into_iter()),
            "/trailers" => {
                let parts = vec![Some("one"), Some("two")];
                response.send_response(200).stream(Parts(parts))
            }
            "/broken" => response
                .send_response(200)
                .stream(Parts(vec![Some("one"), None])),
            "/deferred" => {
                let (deferred, reply) = response.defer();
                deferred.send_interim(102, &[])?;
                deferred.respond(|response| {
                    response
                        .send_response(200)
                        .send_header("X", "y")
                        .body("deferred")
                })?;
                Ok(reply)
            }
            "/forgotten" => Ok(response.defer().1),
            "/pushed" | "/pushed/short" => {
                let short = request.path() == "/pushed/short";
                let (deferred, reply) = response.defer();
                let stream = deferred.stream(|response| {
                    let head = response.send_response(200);
                    match short {
                        true => head.send_header("Content-Length", "100"),
                        false => head,
                    }
                })?;
                stream.send("first,")?;
                stream.send("second")?;
                stream.finish_with_trailers(&[("Sum".into(), b"8".to_vec())])?;
                Ok(reply)
            }
            "/error" => Err(io::Error::other("scripted").into()),
            "/panic" => panic!("scripted"),
            "/long" => declared("3", response),
            "/short" => declared("5", response),
            "/pulled/long" | "/pulled/short" => {
                let length = if request.path() == "/pulled/long" {
                    "3"
                } else {
                    "9"
                };
                let head = response
                    .send_response(200)
                    .send_header("Content-Length", length);
                head.stream(["ab", "cd"].into_iter())
            }
            "/interim" => {
                let response = response.send_interim(103, &[("Link", "</a>")])?;
                response.send_response(200).body("after")
            }
            "/empty" => response.send_response(204).body(""),
            "/invalid" => response
                .send_response(200)
                .send_header("X", "a\r\nb: c")
                .body(""),
            _ => {
                let mut told = format!("{} {}|", request.method(), request.target()).into_bytes();
                told.extend_from_slice(request.body());
                for (name, value) in request.trailers() {
                    told.extend_from_slice(name.as_bytes());
                    told.extend_from_slice(value);
                }
                response.send_response(200).body(told)
            }
        }
    }
}

/// One request, mostly a good one.
fn request(random: &mut Random, bytes: &mut Vec<u8>) {
    let has_content = random.one_in(2);
    let streamed = has_content && random.one_in(2);
    let path = match (streamed, random.one_in(3)) {
        // Most of them shall let the connection go on.
        (true, false) => random.pick(&["/sink", "/into"]),
        (true, true) => random.pick(&STREAMED),
        (false, false) => random.pick(&["/sized", "/pulled", "/deferred", "/pushed", "/empty"]),
        (false, true) => random.pick(&WHOLE),
    };
    let method = match has_content {
        true => random.pick(&["POST", "PUT", "DELETE", "HEAD", "BREW"]),
        false => random.pick(&["GET", "GET", "HEAD", "OPTIONS", "POST"]),
    };
    let version = match random.one_in(6) {
        false => "1.1",
        true => random.pick(&["1.0", "1.2", "2.0"]),
    };
    for _ in 0..random.below(8).saturating_sub(5) {
        bytes.extend_from_slice(b"\r\n");
    }
    let mut head = format!("{method} {path} HTTP/{version}\r\nHost: h\r\n");
    for _ in 0..random.below(3) {
        let odd = if random.one_in(20) { 12 } else { 4 };
        head.push_str(random.pick(
            &[
                "Accept: */*\r\n",
                "X-Empty:\r\n",
                "X-Odd: \t caf\u{e9} \r\n",
                "Connection: keep-alive\r\n",
                "Expect: 100-continue\r\n",
                "Expect: tea\r\n",
                "Host: again\r\n",
                "Transfer-Encoding: gzip\r\n",
                "Content-Length: 1\r\n",
                " folded\r\n",
                "no colon\r\n",
                "Connection: close\r\n",
            ][..odd],
        ));
    }
    let length = match random.below(8) {
        0 => 0,
        1 if random.one_in(3) => 38 + random.below(5), // around the limit
        _ => random.below(20),
    };
    let content: Vec<u8> = (0..length).map(|_| random.pick(b"abc\r\n0;:")).collect();
    match has_content {
        false => head.push_str("\r\n"),
        true if version != "1.0" && random.one_in(2) => {
            head.push_str("Transfer-Encoding: chunked\r\n\r\n");
            bytes.extend_from_slice(head.as_bytes());
            chunks(random, &content, bytes);
            return;
        }
        true => head.push_str(&format!("Content-Length: {length}\r\n\r\n")),
    }
    bytes.extend_from_slice(head.as_bytes());
    if has_content {
        bytes.extend_from_slice(&content);
    }
}

fn chunks(random: &mut Random, content: &[u8], bytes: &mut Vec<u8>) {
    let mut rest = content;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(1 + random.below(rest.len()));
        let extension = random.pick(&["", "", "", ";a", ";a=b", "; a=\"b;\""]);
        bytes.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        rest = after;
    }
    bytes.extend_from_slice(
        random
            .pick(&["0\r\n", "0\r\n", "000\r\n", "0;x\r\n"])
            .as_bytes(),
    );
    for _ in 0..random.below(3) {
        bytes.extend_from_slice(random.pick(&["Sum: 7\r\n", "A:\r\n"]).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
}

/// A sequence of requests; a third of them damaged somewhere.
fn sequence(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..1 + random.below(4) {
        request(random, &mut bytes);
    }
    if random.one_in(3) {
        for _ in 0..1 + random.below(2) {
            let at = random.below(bytes.len());
            match random.below(5) {
                0 => bytes.truncate(at + 1),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, random.pick(b"\r\n\0 \t:;,0fx\xe9")),
                3 => bytes[at] = random.pick(b"\r\n\0 \t:;,0fx\xff"),
                _ => {
                    let long = vec![random.pick(b"ax0 \r\n"); random.below(700)];
                    bytes.splice(at..at, long);
                }
            }
        }
    }
    bytes
}

/// Limits that short sequences reach.
fn settings() -> HttpSettings {
    let mut settings = HttpSettings::default();
    settings.limits.head.request_line = 200;
    settings.limits.head.head = 400;
    settings.limits.head.fields = 5;
    settings.limits.chunks.line = 50;
    settings.limits.chunks.trailers = 60;
    settings.limits.upload = 30;
    settings
}

/// All that is answered when the bytes arrive in these parts, and whether more would be read.
///
/// Without `100 Continue`, which depends on what has arrived with the head (RFC 9110 §10.1.1).
fn answers<'a>(parts: impl Iterator<Item = &'a [u8]>) -> (String, bool) {
    let mut wire = Wire::with(settings(), EveryKind);
    for part in parts {
        if !wire.reads() {
            break;
        }
        wire.receive(part);
        wire.deliver();
    }
    let sent = support::wire::with_fixed_dates(&String::from_utf8_lossy(&wire.sent));
    let sent = sent.replace("HTTP/1.1 100 Continue\r\n\r\n", "");
    (sent, wire.reads())
}

/// Says nothing of the panics that are part of the sequences: there are thousands.
fn hush() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref() != Some(&"scripted") {
                usual(info);
            }
        }));
    });
}

fn check(seed: u64) {
    let mut random = Random::new(seed);
    let bytes = sequence(&mut random);
    let whole = answers([&bytes[..]].into_iter());
    let compare = |split: (String, bool), how: &str| {
        assert!(
            split == whole,
            "SPLITS_SEED={seed}, {how}:\n{}\nwhole:\n{}\n{:?}\nsplit:\n{}\n{:?}",
            bytes.escape_ascii(),
            whole.0,
            whole.1,
            split.0,
            split.1,
        );
    };
    compare(answers(bytes.chunks(1)), "byte by byte");
    for _ in 0..3 {
        let mut sizes = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (part, after) = rest.split_at(1 + random.below(rest.len().min(60)));
            sizes.push(part);
            rest = after;
        }
        let at: Vec<usize> = sizes.iter().map(|part| part.len()).collect();
        compare(answers(sizes.into_iter()), &format!("in parts of {at:?}"));
    }
}

#[test]
fn the_answers_do_not_depend_on_how_requests_were_split() {
    hush();
    let chosen = std::env::var("SPLITS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seeds: Vec<u64> = match chosen {
        Some(seed) => vec![seed],
        None => REGRESSIONS.iter().copied().chain(0..SEQUENCES).collect(),
    };
    seeds.into_iter().for_each(check);
}

/// The sequences are worth something: every kind of answer is among them, and many go on.
#[test]
fn the_sequences_reach_everything() {
    hush();
    let mut all = String::new();
    let mut open = 0;
    for seed in 0..400 {
        let bytes = sequence(&mut Random::new(seed));
        let (sent, reads) = answers([&bytes[..]].into_iter());
        all.push_str(&sent);
        open += usize::from(reads);
    }
    for code in [
        "200 ", "201 ", "204 ", "102 ", "103 ", "400 ", "403 ", "413 ", "414 ", "417 ", "431 ",
        "500 ", "501 ", "505 ",
    ] {
        assert!(all.contains(&format!("HTTP/1.1 {code}")), "no {code}");
    }
    for part in [
        "Sum: 7\r\n\r\n",
        "Sum: 8\r\n\r\n",
        "chunked",
        "Connection: keep-alive",
        "deferred",
    ] {
        assert!(all.contains(part), "no {part:?}");
    }
    assert!((100..300).contains(&open), "{open} of 400 go on");
}
