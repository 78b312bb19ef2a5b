//! Compares, at the end, the requests, the calls of the handler, and the responses.

use std::sync::PoisonError;

use serve_forever::http::Limits;
use serve_forever::http::h1::Expect;

use super::super::head::{expectation, length};
use super::super::literal::{self, Asked, ChunkSizes, Chunked, Length, Response, Sizes};
use super::handler::{self, Exchange, Promise, UPGRADED, is_sendable};
use super::wire::Stage;

/// A connection at its end.
pub(crate) struct End<'a> {
    pub(crate) exchanges: &'a [Exchange],
    /// How often a request was logged.
    pub(crate) logged: usize,
    /// Whether the last of these was a HEAD request, if its request line was complete.
    pub(crate) last_is_head: Option<bool>,
    pub(crate) received: &'a [u8],
    pub(crate) sent: &'a [u8],
    pub(crate) stage: Stage,
    pub(crate) limits: &'a Limits,
    /// How many requests had been begun when the server began to stop.
    pub(crate) drained: Option<usize>,
    pub(crate) half_closed: bool,
}

pub(crate) fn judge(end: &End<'_>) {
    let asked = requests(end.received, end.limits);
    for (index, exchange) in end.exchanges.iter().enumerate() {
        let Some(asked) = asked.get(index) else {
            panic!("nobody asked for {exchange:?}");
        };
        assert_eq!(exchange.method.as_bytes(), asked.method);
        assert_eq!(exchange.target.as_bytes(), asked.target);
        handed_over(exchange, asked);
        assert_eq!(exchange.minor, asked.minor.min(1));
    }
    let upgraded = matches!(end.exchanges.last(), Some(last) if is_upgrade(last));
    let waits = matches!(end.stage, Stage::Read { .. }) && !upgraded;
    if waits && end.drained.is_none() && !end.half_closed {
        assert_eq!(
            end.exchanges.len(),
            asked.len(),
            "a request was passed over"
        );
    }
    responses(end, &asked);
}

/// Checks that the handler got the content that was sent.
fn handed_over(exchange: &Exchange, asked: &Asking<'_>) {
    assert_eq!(exchange.streamed && asked.has_content, asked.streamed);
    if !asked.streamed || !exchange.body.is_empty() {
        assert!(asked.whole, "handled before it was whole: {exchange:?}");
        assert_eq!(exchange.body, asked.body);
        return;
    }
    let taken = exchange
        .taken
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    assert!(asked.body.starts_with(&taken.content), "{exchange:?}");
    if taken.finished && !taken.enough {
        assert!(asked.whole, "finished before the end: {exchange:?}");
        assert_eq!(taken.content, asked.body);
    }
}

fn is_upgrade(exchange: &Exchange) -> bool {
    matches!(exchange.promise, Promise::Upgrade)
}

/// A complete request; or a complete head, if the content is taken as it arrives.
struct Asking<'a> {
    method: &'a [u8],
    target: &'a [u8],
    /// The content that has arrived.
    body: Vec<u8>,
    has_content: bool,
    whole: bool,
    streamed: bool,
    minor: u8,
    close: bool,
    expect: Expect,
}

/// The requests in `input`, up to the first that is bad, incomplete, or closes the connection.
fn requests<'a>(input: &'a [u8], limits: &Limits) -> Vec<Asking<'a>> {
    let sizes = Sizes {
        line: limits.head.request_line,
        head: limits.head.head,
        fields: limits.head.fields,
    };
    let chunks = |content| ChunkSizes {
        content,
        overhead: limits.chunks.overhead,
        line: limits.chunks.line,
        trailers: limits.chunks.trailers,
        trailer_fields: limits.chunks.trailer_fields,
    };
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(request) = literal::request(&input[at..], sizes) {
        let hosts = literal::all(&request.fields, "Host");
        let expect = expectation(&request);
        let host = match hosts[..] {
            [host] => literal::is_host(host),
            [] => request.minor == 0,
            _ => false,
        };
        let after = at + request.end;
        let framing = length(&request);
        let has_content = !matches!(framing, Length::None | Length::Bytes(0));
        let streamed = match handler::body_policy(path_of(request.method, request.target)) {
            _ if !has_content => false,
            Ok(streamed) => streamed,
            Err(_) => break,
        };
        let limit = match streamed {
            true => limits.upload,
            false => limits.body as u64,
        };
        let rest = &input[after..];
        let (body, length) = match framing {
            _ if !host || expect == Expect::Unknown => break,
            Length::None => (Vec::new(), Some(0)),
            Length::Bytes(length) if length > limit => break,
            Length::Bytes(length) => match rest.get(..length as usize) {
                Some(body) => (body.to_vec(), Some(body.len())),
                None => (rest.to_vec(), None),
            },
            Length::Chunked => match literal::chunked(rest, chunks(limit)) {
                Chunked::Whole(content, _, length) => (content, Some(length)),
                Chunked::More(content, _) => (content, None),
                // The content before the defect.
                Chunked::Refused(_) => match literal::chunked(rest, ChunkSizes::NONE) {
                    Chunked::Whole(content, ..) | Chunked::More(content, _) => (content, None),
                    Chunked::Refused(_) => (longest(rest), None),
                },
            },
            Length::Refused(_) => break,
        };
        if length.is_none() && !streamed {
            break;
        }
        let connection = literal::all(&request.fields, "Connection");
        let close = !literal::persists(request.minor, &connection);
        found.push(Asking {
            method: request.method,
            target: request.target,
            body,
            has_content,
            whole: length.is_some(),
            streamed,
            minor: request.minor,
            close,
            expect,
        });
        match length {
            Some(length) if !close => at = after + length,
            _ => break,
        }
    }
    found
}

/// The content of the longest beginning of `input` that is a good chunked body.
fn longest(input: &[u8]) -> Vec<u8> {
    let found = (0..input.len()).rev().find_map(|end| {
        match literal::chunked(&input[..end], ChunkSizes::NONE) {
            Chunked::More(content, _) => Some(content),
            _ => None,
        }
    });
    found.unwrap_or_default()
}

/// The path of a request target, without its query.
fn path_of<'a>(method: &[u8], target: &'a [u8]) -> &'a [u8] {
    let start = match target {
        _ if method == b"CONNECT" => target.len(),
        [b'/', ..] => 0,
        _ => {
            let mark = target.windows(3).position(|three| three == b"://");
            let authority = mark.map_or(target.len(), |mark| mark + 3);
            let slash = target[authority..]
                .iter()
                .position(|byte| b"/?".contains(byte));
            slash.map_or(target.len(), |slash| authority + slash)
        }
    };
    let path = &target[start..];
    path.split(|&byte| byte == b'?').next().unwrap_or_default()
}

/// Reads all that was sent like a client, and compares it with the promises.
fn responses(end: &End<'_>, asked: &[Asking<'_>]) {
    let closed = matches!(end.stage, Stage::Closed | Stage::Aborted);
    let mut rest = end.sent;
    for (index, (exchange, asking)) in end.exchanges.iter().zip(asked).enumerate() {
        let asked = Asked {
            head_only: exchange.method == "HEAD",
            minor: exchange.minor,
        };
        let hints = asking.minor > 0;
        rest = after_interim(rest, asking.expect == Expect::Continue, hints);
        let pending = matches!(exchange.promise, Promise::Later) || !asking.whole;
        if pending && rest.is_empty() {
            assert_eq!(end.logged, index + 1, "each request is logged once");
            return;
        }
        let response = match literal::response(rest, asked) {
            Ok(Some(response)) => response,
            Ok(None) if end.stage == Stage::Aborted => return,
            found => panic!("{found:?} for {exchange:?}: {}", show(rest)),
        };
        if is_upgrade(exchange) {
            assert_eq!(response.status, 101);
            let head = rest.len().min(response.end.unwrap_or_default());
            assert!(rest[head..].starts_with(UPGRADED), "{}", show(rest));
            return;
        }
        kept(exchange, asking, &response, asked.head_only);
        assert!(response.close || asking.whole, "not read: {}", show(rest));
        let last = asking.close || end.drained.is_some_and(|drained| index >= drained);
        assert!(response.close || !last, "it goes on: {}", show(rest));
        match response.end {
            Some(end) => rest = &rest[end..],
            None => {
                let goes_on = end.stage == Stage::Produce;
                let pushed = end.stage == Stage::Wait && exchange.deferred;
                assert!(closed || goes_on || pushed, "never ends: {}", show(rest));
                return;
            }
        }
        if response.close {
            assert!(rest.is_empty(), "after the last answer: {}", show(rest));
            assert!(closed, "{:?} after the last answer", end.stage);
            assert_eq!(end.logged, index + 1, "each request is logged once");
            return;
        }
        let keeps = literal::all(&response.fields, "Connection");
        let said = literal::persists(exchange.minor, &keeps);
        assert!(
            said,
            "an old client does not know that it goes on: {}",
            show(rest)
        );
    }
    refusal(end, rest, closed);
}

/// Checks what follows the last response: nothing, or an error page of the connection itself.
fn refusal(end: &End<'_>, rest: &[u8], closed: bool) {
    let rest = after_interim(rest, true, false);
    if rest.is_empty() {
        assert_eq!(
            end.logged,
            end.exchanges.len(),
            "each request is logged once"
        );
        return;
    }
    let read = |head_only| {
        let asked = Asked {
            head_only,
            minor: 1,
        };
        literal::response(rest, asked)
    };
    let found = match (end.last_is_head, read(true)) {
        (Some(head_only), _) => read(head_only),
        (None, Ok(Some(response))) if response.end == Some(rest.len()) => Ok(Some(response)),
        (None, _) => read(false),
    };
    match found {
        Ok(Some(response)) => {
            let reasons = [400, 403, 408, 413, 414, 417, 431, 501, 505];
            assert!(reasons.contains(&response.status), "{}", show(rest));
            assert!(response.close && closed, "{:?}: {}", end.stage, show(rest));
            assert_eq!(response.end, Some(rest.len()), "{}", show(rest));
            assert_eq!(end.logged, end.exchanges.len() + 1, "a refusal is logged");
        }
        Ok(None) if end.stage == Stage::Aborted => {}
        found => panic!("{found:?}: {}", show(rest)),
    }
}

/// The bytes after the interim responses. At most one of these is a 100.
fn after_interim(mut rest: &[u8], mut go_on: bool, hints: bool) -> &[u8] {
    let asked = Asked {
        head_only: false,
        minor: 1,
    };
    loop {
        match rest.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n") {
            Some(after) if go_on => {
                (rest, go_on) = (after, false);
                continue;
            }
            _ if hints && rest.starts_with(b"HTTP/1.1 103 ") => {}
            _ => return rest,
        }
        match literal::response(rest, asked) {
            Ok(Some(hint)) => rest = &rest[hint.end.unwrap_or(rest.len())..],
            _ => return rest,
        }
    }
}

/// Checks that the response is what the handler promised.
fn kept(exchange: &Exchange, asking: &Asking<'_>, response: &Response<'_>, head_only: bool) {
    let (status, content) = (response.status, &response.content);
    let exact = |expected: &Vec<u8>| head_only || content == expected;
    let (promise, may_fail) = match &exchange.promise {
        Promise::OrFailure(promise) => (&**promise, true),
        promise => (promise, false),
    };
    let failed = status == 500 && response.close;
    let overdue = exchange.deferred && status == 503 && response.close;
    // The content of the request was bad, or did not arrive.
    let refused = !asking.whole && [400, 408, 413, 431].contains(&status) && response.close;
    if overdue || refused {
        return;
    }
    let good = match promise {
        _ if failed && may_fail => true,
        Promise::Exactly(code, expected) => status == *code && exact(expected),
        Promise::Failure => failed,
        Promise::Page(code) => status == *code,
        Promise::BreaksOff(expected) => status == 200 && expected.starts_with(content),
        Promise::OrFailure(_) | Promise::Upgrade | Promise::Later => false,
    };
    assert!(good, "{response:?} for {exchange:?}");
    let dates = literal::all(&response.fields, "Date").len();
    let is_date = |(name, _): &(String, Vec<u8>)| name.eq_ignore_ascii_case("Date");
    let set = status == 200 && exchange.field.as_ref().is_some_and(is_date);
    // The handler's replaces the server's.
    let expected = usize::from(!exchange.bare || set);
    assert_eq!(dates, expected, "{response:?}");
    if let (Some((name, value)), 200) = (&exchange.field, status) {
        assert!(is_sendable(name, value), "{name:?}: {value:?}");
        let framing = ["Connection", "Content-Length", "Transfer-Encoding"];
        if !framing
            .iter()
            .any(|framing| name.eq_ignore_ascii_case(framing))
        {
            let there = literal::all(&response.fields, name);
            assert!(there.contains(&literal::trimmed(value)), "{response:?}");
        }
    }
}

fn show(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(600)].escape_ascii().to_string()
}
