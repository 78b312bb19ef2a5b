//! A handler that does what the path says, and records what the client may expect.

use std::cell::RefCell;
use std::io;
use std::panic::panic_any;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use serve_forever::http::h1::{Fields, Version};
use serve_forever::http::{
    Block, BodyPolicy, BodyReader, BodySink, BodySource, Deferred, HttpRequestHandler, HttpResult,
    LogEntry, Message, Request, Response, ResponseStream, Want,
};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Failure, Mailbox, Next, Protocol};

use super::super::literal;

/// The payload of the panics of handlers.
pub(crate) const PANIC: &str = "a handler panics";

/// A request that the handler got, and what it promised.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) body: Vec<u8>,
    pub(crate) minor: u8,
    pub(crate) promise: Promise,
    /// Whether the response is made outside of the handler, and so may be too late.
    pub(crate) deferred: bool,
    /// Whether its content is taken as it arrives.
    pub(crate) streamed: bool,
    /// The content that was taken.
    pub(crate) taken: Taken,
    /// A field that the response must have, unless it is a 500.
    pub(crate) field: Option<(String, Vec<u8>)>,
    /// Whether the response has no `Date`.
    pub(crate) bare: bool,
}

/// The response that a client must get.
#[derive(Debug, Clone)]
pub(crate) enum Promise {
    /// This status and content.
    Exactly(u16, Vec<u8>),
    /// That response, or a 500 if a part of it cannot be sent.
    OrFailure(Box<Promise>),
    /// A 500.
    Failure,
    /// This status, with an error page.
    Page(u16),
    /// A 200 with this content, which may break off.
    BreaksOff(Vec<u8>),
    /// An upgrade: no more HTTP after it.
    Upgrade,
    /// Nothing yet.
    Later,
}

/// What a sink got.
pub(crate) type Taken = Arc<Mutex<Uptaken>>;

#[derive(Debug, Default)]
pub(crate) struct Uptaken {
    pub(crate) content: Vec<u8>,
    /// Whether the sink was told that the content is complete.
    pub(crate) finished: bool,
    /// Whether the sink asked for no more.
    pub(crate) enough: bool,
}

/// The record that handler and oracle share.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) exchanges: Vec<Exchange>,
    /// How the response to the last request is made outside of the handler.
    elsewhere: Elsewhere,
    /// Whether messages may be on their way.
    pub(crate) posted: bool,
    /// How often a request was logged.
    pub(crate) logged: usize,
    /// Whether the last of these was a HEAD request, if its request line was complete.
    pub(crate) last_is_head: Option<bool>,
}

#[derive(Debug, Default)]
enum Elsewhere {
    #[default]
    Nobody,
    Whole(Deferred, Option<BodyReader>, u8),
    Pieces(Deferred, u8),
    Pushing(ResponseStream, u8),
}

pub(crate) type Shared = Rc<RefCell<Log>>;

/// The sizes of contents.
const SIZES: [usize; 8] = [0, 1, 10, 100, 1000, 5000, 20_000, LARGEST];

pub(crate) const LARGEST: usize = 70_000;

/// The content of the response to a request. It differs for all requests of a connection.
fn content(serial: usize, size: u8) -> Vec<u8> {
    let mark = format!("<{serial}>");
    let size = SIZES[usize::from(size) % SIZES.len()];
    let mut content = mark.repeat(size / mark.len() + 1).into_bytes();
    content.truncate(size);
    content
}

/// The order in a path: a letter, and what follows it.
fn order(path: &[u8]) -> (u8, &[u8]) {
    let slashes = path.iter().take_while(|&&byte| byte == b'/').count();
    match &path[slashes..] {
        [what, rest @ ..] => (*what, rest),
        [] => (b'b', b""),
    }
}

/// Whether content is taken as it arrives, or the status with which it is refused.
pub(crate) fn body_policy(path: &[u8]) -> Result<bool, u16> {
    match order(path) {
        (b'J', rest) => Err(match rest {
            [b'0', ..] => 413,
            [b'1', ..] => 417,
            _ => 403,
        }),
        (what, _) => Ok(b"vVwWjgGo".contains(&what)),
    }
}

pub(crate) struct Handler(pub(crate) Shared);

impl HttpRequestHandler for Handler {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        handle(&self.0, request, response)
    }

    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        match body_policy(request.path().as_bytes()) {
            Ok(true) => BodyPolicy::streamed(),
            Ok(false) => BodyPolicy::whole(),
            Err(code) => BodyPolicy::refused(code),
        }
    }

    fn log_request(&mut self, entry: &LogEntry<'_>) {
        let mut log = self.0.borrow_mut();
        log.logged += 1;
        let line = entry.request_line();
        log.last_is_head = (!line.is_empty()).then(|| line.starts_with(b"HEAD "));
    }
}

fn handle(log: &Shared, request: &Request<'_>, mut response: Response<'_>) -> HttpResult {
    let (what, rest) = order(request.path().as_bytes());
    let argument = |index: usize| rest.get(index).copied().unwrap_or(b'2') % 64;
    let mut log = log.borrow_mut();
    let serial = log.exchanges.len();
    let small = content(serial, 3);
    let sized = content(serial, argument(0));
    let minor = u8::from(request.version() == Version::Http11);
    let blocks = usize::from(argument(0)) % 6;
    let block = content(serial, argument(1) % 5);
    let all = block.repeat(blocks);
    let mut halves = request.body().splitn(2, |&byte| byte == b':');
    let name = String::from_utf8_lossy(halves.next().unwrap_or_default()).into_owned();
    let value = halves.next().unwrap_or_default().to_vec();
    let code = rest.iter().take_while(|byte| byte.is_ascii_digit()).take(4);
    let code = code.fold(0, |sum, digit| 10 * sum + u16::from(digit - b'0'));
    let mut promise = match what {
        b's' | b'S' => Promise::Exactly(200, all.clone()),
        b'L' => Promise::BreaksOff(all.clone()),
        b'l' => Promise::BreaksOff(small.clone()),
        b'x' | b'X' if blocks == 0 && request.method() != "HEAD" => Promise::Failure,
        b'x' | b'X' => Promise::BreaksOff(all.clone()),
        b'd' | b'a' | b'g' | b'G' => Promise::Later,
        b'i' | b'D' => answer(serial, argument(0)).1,
        b'e' | b'p' | b'q' | b'Q' | b'y' | b'z' | b'V' | b'W' => Promise::Failure,
        // HTTP/1.0 has no upgrade.
        b'u' if minor == 0 => Promise::Failure,
        b'u' => Promise::Upgrade,
        b'h' if name.eq_ignore_ascii_case("Content-Length") => {
            Promise::OrFailure(Box::new(Promise::BreaksOff(small.clone())))
        }
        b'h' | b'r' | b'k' => Promise::OrFailure(Box::new(Promise::Exactly(200, small.clone()))),
        // An interim response is not final: the client would wait for another one.
        b'c' if !(200..1000).contains(&code) => Promise::Failure,
        b'c' if matches!(code, 204 | 205 | 304) => Promise::Exactly(code, Vec::new()),
        b'c' => Promise::Exactly(code, small.clone()),
        b'E' => Promise::Page(400 + u16::from(argument(0))),
        b'v' | b'w' | b'j' | b'I' => Promise::Exactly(200, small.clone()),
        _ => Promise::Exactly(200, sized.clone()),
    };
    // After CONNECT, any success begins a tunnel, which only `upgrade` makes.
    if request.method() == "CONNECT" {
        promise = match promise {
            Promise::Exactly(200..=299, _) | Promise::OrFailure(_) | Promise::BreaksOff(_) => {
                Promise::Failure
            }
            promise => promise,
        };
    }
    let taken = Taken::default();
    log.exchanges.push(Exchange {
        method: request.method().to_owned(),
        target: request.target().to_owned(),
        body: request.body().to_vec(),
        minor,
        promise,
        deferred: matches!(what, b'd' | b'a' | b'g' | b'G' | b'i' | b'D'),
        streamed: body_policy(request.path().as_bytes()) == Ok(true),
        taken: Arc::clone(&taken),
        field: (what == b'h').then(|| (name.clone(), value.clone())),
        bare: what == b'o',
    });
    let sink = |way| Sink {
        way,
        taken,
        small: small.clone(),
        fails: argument(0) % 2 == 0,
    };
    match what {
        b's' => response
            .send_response(200)
            .stream(vec![block; blocks].into_iter()),
        b'S' | b'L' => {
            let length = match what {
                b'S' => all.len(),
                _ => (all.len() + usize::from(argument(2)) % 5).saturating_sub(2),
            };
            let head = response.send_response(200);
            let head = head.send_header("Content-Length", length.to_string());
            head.stream(vec![block; blocks].into_iter())
        }
        b'l' => {
            let length = small.len() + usize::from(argument(0)) - 32;
            let head = response.send_response(200);
            head.send_header("Content-Length", length.to_string())
                .body(small)
        }
        b'x' | b'X' => {
            let source = Breaking {
                blocks: vec![block; blocks],
                panics: what == b'X',
            };
            response.send_response(200).stream(source)
        }
        b'd' => {
            let (deferred, reply) = response.defer();
            log.elsewhere = Elsewhere::Whole(deferred, None, argument(0));
            Ok(reply)
        }
        b'g' | b'G' => {
            let reader = response.body_reader();
            let (deferred, reply) = response.defer();
            let reader = (what == b'g').then_some(reader);
            log.elsewhere = Elsewhere::Whole(deferred, reader, argument(0));
            Ok(reply)
        }
        b'a' => {
            let (deferred, reply) = response.defer();
            log.elsewhere = Elsewhere::Pieces(deferred, argument(0));
            Ok(reply)
        }
        b'i' | b'D' => {
            let (deferred, reply) = response.defer();
            log.posted = true;
            match answer(serial, argument(0)).0 {
                Some(late) => respond(deferred, late),
                None => drop(deferred),
            }
            Ok(reply)
        }
        b'v' | b'V' | b'w' | b'W' => response.receive(sink(what)),
        b'I' => {
            let response = response.send_interim(103, &[("Link", "</a>")])?;
            response.send_response(200).body(small)
        }
        b'e' => Err(io::Error::other("a handler fails").into()),
        b'p' => panic_any(PANIC),
        b'q' => {
            let _head = response.send_response(200).send_header("A", "b");
            panic_any(PANIC)
        }
        b'Q' => {
            response.send_response(200).body(small)?;
            Err(Failure::stop())
        }
        b'y' => {
            log.posted = true;
            drop(response.defer().0);
            Err(io::Error::other("deferred, and failed").into())
        }
        b'z' => {
            log.posted = true;
            let _deferral = response.defer();
            panic_any(PANIC)
        }
        b'u' => {
            let head = response.send_response_only(101, "Switching Protocols");
            head.send_header("Connection", "Upgrade").upgrade(Echo)
        }
        b'h' => response
            .send_response(200)
            .send_header(&name, &value)
            .body(small),
        b'r' => {
            let reason = String::from_utf8_lossy(request.body()).into_owned();
            response.send_response_with_reason(200, &reason).body(small)
        }
        b'k' => {
            let head = response.send_response(200);
            head.send_header("Connection", request.body()).body(small)
        }
        b'c' => response.send_response(code).body(small),
        b'E' => response.send_error(400 + u16::from(argument(0))),
        b'j' => response.send_response(200).body(small),
        b'o' => response.send_response_only(200, "OK").body(sized),
        b'f' => {
            let failure = io::Error::other("answered, and reported");
            let head = response.send_response(200);
            head.with_failure(failure.into()).body(sized)
        }
        _ => response.send_response(200).body(sized),
    }
}

impl Log {
    /// Whether only the handler decides when the response goes on.
    pub(crate) fn pushes(&self) -> bool {
        matches!(self.elsewhere, Elsewhere::Pushing(..))
    }

    /// Takes the next step of the response to the last request.
    pub(crate) fn answer(&mut self) {
        let serial = self.exchanges.len().saturating_sub(1);
        let small = content(serial, 3);
        let next = match std::mem::take(&mut self.elsewhere) {
            Elsewhere::Nobody => return,
            Elsewhere::Whole(deferred, reader, argument) => {
                drop(reader);
                let (answer, promise) = answer(serial, argument);
                self.promise(promise);
                match answer {
                    Some(late) => respond(deferred, late),
                    None => drop(deferred),
                }
                Elsewhere::Nobody
            }
            Elsewhere::Pieces(deferred, argument) => {
                let interim = deferred.send_interim(103, &[("Link", "</a>")]);
                assert!(interim.is_ok(), "an interim response is refused");
                self.promise(Promise::BreaksOff(small.repeat(5)));
                let stream = deferred.stream(|response| {
                    let head = response.send_response(200);
                    match argument / 8 % 3 {
                        0 => head.send_header("Content-Length", "150"),
                        _ => head,
                    }
                });
                match stream {
                    Ok(stream) => {
                        // Ignore the error: there may be no body to push.
                        let _ = stream.send(small);
                        Elsewhere::Pushing(stream, argument)
                    }
                    Err(_) => Elsewhere::Nobody,
                }
            }
            Elsewhere::Pushing(stream, argument) => match argument % 8 {
                0 => {
                    let _ = stream.finish();
                    Elsewhere::Nobody
                }
                // The stream is dropped, and the response is broken off.
                1 => Elsewhere::Nobody,
                2 => {
                    let trailers = vec![("Sum".to_owned(), b"1".to_vec())];
                    let _ = stream.finish_with_trailers(&trailers);
                    Elsewhere::Nobody
                }
                3 => {
                    let trailers = vec![("Content-Length".to_owned(), b"1".to_vec())];
                    let _ = stream.finish_with_trailers(&trailers);
                    Elsewhere::Nobody
                }
                count => {
                    let _ = stream.send(small);
                    // A count of 7 sends four blocks before the end, a count of 4 sends one.
                    let argument = if count == 4 { 0 } else { argument - 1 };
                    Elsewhere::Pushing(stream, argument)
                }
            },
        };
        self.elsewhere = next;
        self.posted = true;
    }

    fn promise(&mut self, promise: Promise) {
        if let Some(exchange) = self.exchanges.last_mut() {
            let connect = exchange.method == "CONNECT";
            exchange.promise = match promise {
                Promise::Exactly(..) | Promise::BreaksOff(_) if connect => Promise::Failure,
                promise => promise,
            };
        }
    }
}

/// Sends a late response.
fn respond(deferred: Deferred, (name, value, body): Late) {
    // Ignore the error: the client has disconnected.
    let _ = deferred.respond(|response| {
        let head = response.send_response(200);
        head.send_header(name, value).body(body)
    });
}

/// A field and the body of a late response.
type Late = (&'static str, &'static str, Vec<u8>);

/// The late response to a request, `None` to forget it, and what the client will read.
fn answer(serial: usize, argument: u8) -> (Option<Late>, Promise) {
    let small = content(serial, 3);
    let (header, promise) = match argument % 5 {
        0 => return (None, Promise::Failure),
        1 => (("A", "b\r\nC: d"), Promise::Failure),
        2 => (("Transfer-Encoding", "chunked"), Promise::Failure),
        3 => (("Content-Length", "7"), Promise::BreaksOff(small.clone())),
        _ => (("A", "b"), Promise::Exactly(200, small.clone())),
    };
    (Some((header.0, header.1, small)), promise)
}

/// Takes all content, or only one block (`w`), or fails at the first block (`W`) or at the end (`V`).
struct Sink {
    way: u8,
    taken: Taken,
    small: Vec<u8>,
    fails: bool,
}

impl BodySink for Sink {
    fn block(&mut self, block: &[u8]) -> Result<Want, Failure> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.content.extend_from_slice(block);
        match self.way {
            b'W' if self.fails => Err(io::Error::other("a sink fails").into()),
            b'W' => {
                drop(taken);
                panic_any(PANIC)
            }
            b'w' => {
                taken.enough = true;
                Ok(Want::Enough)
            }
            _ => Ok(Want::More),
        }
    }

    fn finish(self: Box<Self>, _trailers: Fields<'_>, response: Response<'_>) -> HttpResult {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.finished = true;
        drop(taken);
        match self.way {
            // If there was no content, `W` has not failed at a block.
            b'V' | b'W' => Err(io::Error::other("a sink fails in the end").into()),
            _ => response.send_response(200).body(self.small),
        }
    }
}

/// A source with some blocks and then a failure.
struct Breaking {
    blocks: Vec<Vec<u8>>,
    panics: bool,
}

impl BodySource for Breaking {
    fn next_block(&mut self) -> Result<Option<Block>, Failure> {
        match self.blocks.pop() {
            Some(block) => Ok(Some(block.into())),
            None if self.panics => panic_any(PANIC),
            None => Err(io::Error::other("a source fails").into()),
        }
    }
}

/// The protocol after an upgrade. It sends a greeting, and then sends back all bytes.
struct Echo;

/// The greeting.
pub(crate) const UPGRADED: &[u8] = b"upgraded\n";

impl Protocol for Echo {
    type Message = Message;

    fn connection_made(
        &mut self,
        _: Mailbox<Message>,
        output: &mut Buffer,
        _: &Now,
    ) -> Next<Message> {
        output.extend_from_slice(UPGRADED);
        Next::Read
    }

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _: &Now) -> Next<Message> {
        output.extend_from_slice(input);
        input.clear();
        Next::Read
    }
}

/// Whether a field is allowed to be sent.
pub(crate) fn is_sendable(name: &str, value: &[u8]) -> bool {
    literal::is_token(name.as_bytes()) && literal::is_value(value)
}
