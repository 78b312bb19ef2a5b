//! A strict, incremental reader of a stream of HTTP/1.x responses.

use serde_json::{Map, Value};

use crate::escape::{escape, from_latin1};

/// A head may be this long.
const MAX_HEAD: usize = 1 << 20;
/// A chunk-size line may be this long.
const MAX_CHUNK_LINE: usize = 4096;
/// So much of the stream is kept as it came.
const MAX_RAW: usize = 300_000;

/// How the end of the content is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no content.
    None,
    Length,
    Chunked,
    UntilClose,
    /// 101: what follows is another protocol.
    Upgrade,
    /// What follows is the tunnel of a CONNECT.
    Tunnel,
}

impl Framing {
    const ALL: [Framing; 6] = [
        Framing::None,
        Framing::Length,
        Framing::Chunked,
        Framing::UntilClose,
        Framing::Upgrade,
        Framing::Tunnel,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Framing::None => "none",
            Framing::Length => "length",
            Framing::Chunked => "chunked",
            Framing::UntilClose => "until-close",
            Framing::Upgrade => "upgrade",
            Framing::Tunnel => "tunnel",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|framing| framing.name() == name)
    }
}

/// One response, interim or final.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub(crate) version: &'static str,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) complete: bool,
    pub(crate) framing: Framing,
    /// Status codes of the interim responses before this one.
    pub(crate) interims: Vec<u16>,
    /// What is wrong with it although it can be read.
    pub(crate) problems: Vec<String>,
}

impl Response {
    /// The values of a field, line by line.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.iter();
        lines
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The members of a field that is a list, in lower case.
    pub(crate) fn tokens(&self, name: &str) -> Vec<String> {
        let values = self.values(name);
        values
            .iter()
            .flat_map(|value| value.split(','))
            .map(|token| token.trim().to_ascii_lowercase())
            .filter(|token| !token.is_empty())
            .collect()
    }

    /// The content, if it is a JSON object with something in it.
    pub(crate) fn json(&self) -> Option<Map<String, Value>> {
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(fields)) if !fields.is_empty() => Some(fields),
            _ => None,
        }
    }

    /// The response in one line.
    pub(crate) fn brief(&self) -> String {
        let interims: String = self
            .interims
            .iter()
            .map(|code| format!("({code}) "))
            .collect();
        let incomplete = if self.complete { "" } else { ", INCOMPLETE" };
        format!(
            "{interims}{} {} [{}{incomplete}] {}",
            self.version,
            self.status,
            self.framing.name(),
            escape(&self.body, 260)
        )
    }
}

/// Where in the stream the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// Inside content of known length: so much is missing.
    Length(u64),
    ChunkSize,
    /// Inside a chunk: so much is missing.
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    UntilClose,
    /// Behind the last response: an upgraded connection or a tunnel.
    Beyond,
}

/// The first violation of response syntax; nothing is read behind it.
type Violation = String;

/// The reader.
#[derive(Debug)]
pub(crate) struct Reader {
    methods: Vec<String>,
    raw: Vec<u8>,
    buffer: Vec<u8>,
    finished: Vec<Response>,
    current: Option<Response>,
    pending_interims: Vec<u16>,
    interims: Vec<u16>,
    error: Option<Violation>,
    state: State,
}

impl Reader {
    /// A reader of the responses to requests with these methods, in order.
    /// Where none is given it is a GET.
    pub(crate) fn new(methods: &[String]) -> Self {
        Self {
            methods: methods.to_vec(),
            raw: Vec::new(),
            buffer: Vec::new(),
            finished: Vec::new(),
            current: None,
            pending_interims: Vec::new(),
            interims: Vec::new(),
            error: None,
            state: State::Head,
        }
    }

    /// How many final responses came to their end.
    pub(crate) fn finished(&self) -> usize {
        self.finished.len()
    }

    /// All final responses, and the begun one.
    pub(crate) fn responses(&self) -> impl Iterator<Item = &Response> {
        self.finished.iter().chain(&self.current)
    }

    /// All interim responses.
    pub(crate) fn interims(&self) -> &[u16] {
        &self.interims
    }

    /// Interim responses that no final one followed yet.
    pub(crate) fn pending_interims(&self) -> &[u16] {
        &self.pending_interims
    }

    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The stream as it came, or the beginning of a long one.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Records a violation, unless there is an earlier one.
    pub(crate) fn fail(&mut self, violation: Violation) {
        self.error.get_or_insert(violation);
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn feed(&mut self, data: &[u8]) {
        if self.raw.len() < MAX_RAW {
            self.raw.extend_from_slice(data);
        }
        if self.error.is_some() {
            return;
        }
        self.buffer.extend_from_slice(data);
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => break,
                Err(violation) => {
                    self.error = Some(violation);
                    self.buffer.clear();
                    break;
                }
            }
        }
    }

    /// Takes the end of the stream.
    pub(crate) fn end(&mut self) {
        if self.current.is_some() {
            if self.state == State::UntilClose {
                self.finish();
            } else {
                self.finished.extend(self.current.take());
                self.state = State::Beyond;
            }
        } else if !self.buffer.is_empty() {
            self.fail("connection ended inside a response head".to_owned());
        }
    }

    /// Reads the next element; `false` if it is not there yet.
    fn step(&mut self) -> Result<bool, Violation> {
        match self.state {
            State::Head => self.step_head(),
            State::Length(missing) => {
                let left = self.take_content(missing);
                self.state = State::Length(left);
                if left == 0 {
                    self.finish();
                }
                Ok(left == 0)
            }
            State::ChunkSize => {
                let Some(line) = self.take_line() else {
                    if self.buffer.len() > MAX_CHUNK_LINE {
                        return Err("chunk-size line too long".to_owned());
                    }
                    return Ok(false);
                };
                self.state = match chunk_size(&line) {
                    None => return Err(format!("bad chunk-size line {}", escape(&line, 200))),
                    Some(0) => State::Trailers,
                    Some(size) => State::ChunkData(size),
                };
                Ok(true)
            }
            State::ChunkData(missing) => {
                let left = self.take_content(missing);
                self.state = if left == 0 {
                    State::ChunkEnd
                } else {
                    State::ChunkData(left)
                };
                Ok(left == 0)
            }
            State::ChunkEnd => match self.buffer.get(..2) {
                None => Ok(false),
                Some(b"\r\n") => {
                    self.buffer.drain(..2);
                    self.state = State::ChunkSize;
                    Ok(true)
                }
                Some(_) => Err("chunk data is not followed by CRLF".to_owned()),
            },
            State::Trailers => {
                let Some(line) = self.take_line() else {
                    return Ok(false);
                };
                if line.is_empty() {
                    self.finish();
                } else if field(&line).is_none() {
                    return Err(format!("bad trailer line {}", escape(&line, 200)));
                }
                Ok(true)
            }
            State::UntilClose => {
                self.take_content(u64::MAX);
                Ok(false)
            }
            State::Beyond => {
                self.buffer.clear();
                Ok(false)
            }
        }
    }

    fn step_head(&mut self) -> Result<bool, Violation> {
        const START: &[u8] = b"HTTP/1.";
        if self.buffer.is_empty() {
            return Ok(false);
        }
        let shown = self.buffer.len().min(START.len());
        if self.buffer[..shown] != START[..shown] {
            let start = &self.buffer[..self.buffer.len().min(60)];
            return Err(format!(
                "bytes that are no HTTP/1.x response: {}",
                escape(start, 300)
            ));
        }
        let Some(end) = find(&self.buffer, b"\r\n\r\n") else {
            if self.buffer.len() > MAX_HEAD {
                return Err("response head over 1 MiB".to_owned());
            }
            return Ok(false);
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).take(end).collect();
        self.begin(&head)?;
        Ok(true)
    }

    /// Begins the response with this head, and finds out about its content.
    fn begin(&mut self, head: &[u8]) -> Result<(), Violation> {
        let mut lines = split_lines(head);
        let first = lines.next().unwrap_or_default();
        let (version, status) =
            status_line(first).ok_or_else(|| format!("bad status line {}", escape(first, 200)))?;
        let mut headers = Vec::new();
        for line in lines {
            let field = field(line)
                .ok_or_else(|| format!("bad response field line {}", escape(line, 200)))?;
            headers.push(field);
        }
        let mut response = Response {
            version,
            status,
            headers,
            body: Vec::new(),
            complete: false,
            framing: Framing::None,
            interims: Vec::new(),
            problems: Vec::new(),
        };
        let lengths: Vec<String> = response
            .values("content-length")
            .into_iter()
            .map(str::to_owned)
            .collect();
        if (100..200).contains(&status) && status != 101 {
            if !lengths.is_empty() || !response.values("transfer-encoding").is_empty() {
                return Err("1xx response with framing fields".to_owned());
            }
            self.pending_interims.push(status);
            self.interims.push(status);
            return Ok(());
        }
        response.interims = std::mem::take(&mut self.pending_interims);
        let codings = response.tokens("transfer-encoding");
        if !codings.is_empty() && !lengths.is_empty() {
            let problem = "response has both Transfer-Encoding and Content-Length";
            response.problems.push(problem.to_owned());
        }
        let length = content_length(&lengths)
            .ok_or_else(|| format!("bad Content-Length in response: {lengths:?}"))?;

        let method = self.methods.get(self.finished.len());
        let method = method.map_or("GET", String::as_str);
        let connected = method == "CONNECT" && (200..300).contains(&status);
        if status == 101 || connected {
            response.framing = if connected {
                Framing::Tunnel
            } else {
                Framing::Upgrade
            };
            self.current = Some(response);
            self.finish();
            self.state = State::Beyond;
        } else if method == "HEAD" || status == 204 || status == 304 {
            if status == 204 && (!codings.is_empty() || length.is_some()) {
                response.problems.push("204 with framing fields".to_owned());
            }
            self.current = Some(response);
            self.finish();
        } else {
            (response.framing, self.state) = if !codings.is_empty() {
                if codings != ["chunked"] {
                    return Err(format!("unexpected response Transfer-Encoding {codings:?}"));
                }
                (Framing::Chunked, State::ChunkSize)
            } else if let Some(length) = length {
                (Framing::Length, State::Length(length))
            } else {
                (Framing::UntilClose, State::UntilClose)
            };
            self.current = Some(response);
        }
        Ok(())
    }

    /// The current response is complete.
    fn finish(&mut self) {
        if let Some(mut response) = self.current.take() {
            response.complete = true;
            self.finished.push(response);
        }
        self.state = State::Head;
    }

    /// Moves up to so many bytes to the content; returns how many are missing.
    fn take_content(&mut self, missing: u64) -> u64 {
        let here = usize::try_from(missing).unwrap_or(usize::MAX);
        let here = here.min(self.buffer.len());
        let content = self.buffer.drain(..here);
        if let Some(response) = &mut self.current {
            response.body.extend(content);
        }
        missing - here as u64
    }

    /// Takes a line, without the CRLF at its end.
    fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = find(&self.buffer, b"\r\n")?;
        Some(self.buffer.drain(..end + 2).take(end).collect())
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// The parts between the CRLFs.
fn split_lines(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut over = false;
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        let line = match find(bytes, b"\r\n") {
            Some(end) => {
                let line = &bytes[..end];
                bytes = &bytes[end + 2..];
                line
            }
            None => {
                over = true;
                bytes
            }
        };
        Some(line)
    })
}

/// `HTTP/1.1 200 OK`; the reason, with the space before it, may be missing.
fn status_line(line: &[u8]) -> Option<(&'static str, u16)> {
    let (version, rest) = if let Some(rest) = line.strip_prefix(b"HTTP/1.1 ") {
        ("HTTP/1.1", rest)
    } else {
        ("HTTP/1.0", line.strip_prefix(b"HTTP/1.0 ")?)
    };
    let (code, reason) = rest.split_at_checked(3)?;
    if code[0] == b'0' || !code.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let status = code
        .iter()
        .fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    let well_formed = match reason.split_first() {
        None => true,
        Some((b' ', text)) => is_text(text),
        Some(_) => false,
    };
    well_formed.then_some((version, status))
}

/// `name: value`, with the white space around the value taken away.
fn field(line: &[u8]) -> Option<(String, String)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().copied().all(is_token_byte) || !is_text(value) {
        return None;
    }
    let value = from_latin1(value);
    let value = value.trim_matches([' ', '\t']);
    Some((from_latin1(name), value.to_owned()))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_text(bytes: &[u8]) -> bool {
    !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

/// The one value of all lines; `None` if they differ or are no number.
fn content_length(values: &[String]) -> Option<Option<u64>> {
    let Some(first) = values.first() else {
        return Some(None);
    };
    let number = (1..=18).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_digit())
        && values.iter().all(|value| value == first);
    if number {
        first.parse().ok().map(Some)
    } else {
        None
    }
}

/// Up to 16 hexadecimal digits, and perhaps extensions.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let (digits, rest) = line.split_at(digits.count());
    if !(1..=16).contains(&digits.len()) {
        return None;
    }
    if !rest.is_empty() {
        let extension = rest.trim_ascii_start();
        let blank = &rest[..rest.len() - extension.len()];
        let well_formed = extension.first() == Some(&b';')
            && !extension.iter().any(|byte| matches!(byte, b'\r' | b'\n'))
            && blank.iter().all(|byte| matches!(byte, b' ' | b'\t'));
        if !well_formed {
            return None;
        }
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the stream at once and byte by byte.
    fn read(stream: &[u8], methods: &[&str]) -> Reader {
        let methods: Vec<String> = methods.iter().map(|&method| method.to_owned()).collect();
        let mut whole = Reader::new(&methods);
        whole.feed(stream);
        let mut bytewise = Reader::new(&methods);
        stream.chunks(1).for_each(|byte| bytewise.feed(byte));
        let briefs =
            |reader: &Reader| -> Vec<String> { reader.responses().map(Response::brief).collect() };
        assert_eq!(briefs(&whole), briefs(&bytewise));
        assert_eq!(whole.error().is_some(), bytewise.error().is_some());
        whole
    }

    #[test]
    fn responses_are_told_apart() {
        let stream = b"HTTP/1.1 100 Continue\r\n\r\n\
            HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\
            HTTP/1.0 404 \r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n\
            HTTP/1.1 200\r\ncontent-length: 5\r\n\r\n\
            HTTP/1.1 204 No Content\r\n\r\n\
            HTTP/1.1 500 Oops\r\n\r\nthe rest";
        let mut reader = read(stream, &["POST", "GET", "HEAD"]);
        assert_eq!(reader.error(), None);
        reader.end();
        let briefs: Vec<_> = reader.responses().map(Response::brief).collect();
        let expected = [
            "(100) HTTP/1.1 200 [length] hi",
            "HTTP/1.0 404 [chunked] abc",
            "HTTP/1.1 200 [none] ",
            "HTTP/1.1 204 [none] ",
            "HTTP/1.1 500 [until-close] the rest",
        ];
        assert_eq!(briefs, expected);
        assert!(reader.responses().all(|response| response.complete));
    }

    #[test]
    fn a_cut_response_is_incomplete() {
        let mut reader = read(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", &[]);
        reader.end();
        assert_eq!(
            reader.responses().map(Response::brief).collect::<Vec<_>>(),
            ["HTTP/1.1 200 [length, INCOMPLETE] hi"]
        );
        let mut reader = read(b"HTTP/1.1 200 OK\r\nConte", &[]);
        reader.end();
        assert!(reader.error().is_some());
    }

    #[test]
    fn two_framings_are_a_problem() {
        let stream =
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        let reader = read(stream, &[]);
        assert!(
            reader
                .responses()
                .all(|response| !response.problems.is_empty())
        );
    }

    #[test]
    fn malformed_streams_are_refused() {
        let streams: [&[u8]; 15] = [
            b"hello\r\n",
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"HTTP/1.1  200 OK\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 099 OK\r\n\r\n",
            b"HTTP/1.1 200 O\rK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: y\r\n folded\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: y\nZ: z\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore",
        ];
        for stream in streams {
            let reader = read(stream, &[]);
            assert!(reader.error().is_some(), "{}", escape(stream, 200));
        }
    }
}
