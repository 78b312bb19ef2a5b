//! What the encoder writes is read back unchanged. If it refuses something, it writes nothing.

use serve_forever::http::h1::{
    ChunkLimits, EncodeError, chunk, content_length, decimal, field, last_chunk, request_line,
    status_line,
};

use super::literal::{self, ChunkSizes, Chunked, Sizes};

/// The input is a list of parts. Each part is a letter, a length and that many bytes.
pub fn encode_then_parse(data: &[u8]) {
    let mut rest = data;
    let mut body = Body::default();
    while let [operation, length, after @ ..] = rest {
        let (text, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        match operation {
            b's' => status(text),
            b'r' => request(text),
            b'f' => one_field(text),
            b'n' => number(text),
            b't' => body.trailers.push(split(text, b':')),
            // A large chunk, from only a few bytes of input.
            b'l' => body.chunk(&text.repeat(300)),
            _ => body.chunk(text),
        }
    }
    body.end();
}

/// Writes a status, which is two bytes of the input, and a reason.
fn status(text: &[u8]) {
    let (code, reason) = match text {
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        reason => (200, reason),
    };
    let reason = String::from_utf8_lossy(reason);
    let mut output = Vec::new();
    let written = status_line(&mut output, code, &reason);
    let good_code = (100..1000).contains(&code);
    let good = good_code && literal::is_value(reason.as_bytes());
    assert_eq!(written.is_ok(), good, "{code} {reason:?}: {written:?}");
    if !good {
        assert!(output.is_empty(), "{code} {reason:?}");
        let expected = match good_code {
            true => EncodeError::InvalidReason,
            false => EncodeError::InvalidStatus,
        };
        assert_eq!(written, Err(expected));
        return;
    }
    // status-line = HTTP-version SP status-code SP [ reason-phrase ] CRLF
    let line = output.strip_suffix(b"\r\n").unwrap_or_default();
    let mut words = line.splitn(3, |&byte| byte == b' ');
    assert_eq!(words.next(), Some(&b"HTTP/1.1"[..]));
    let digits = words.next().unwrap_or_default();
    assert_eq!(digits, format!("{code:03}").as_bytes());
    assert_eq!(words.next(), Some(reason.as_bytes()));
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
}

/// Writes a request line. The first space separates its method and target.
fn request(text: &[u8]) {
    let (method, target) = split(text, b' ');
    let target = String::from_utf8_lossy(&target);
    let mut output = Vec::new();
    let written = request_line(&mut output, &method, &target);
    let expected = if !literal::is_token(method.as_bytes()) {
        Some(EncodeError::InvalidMethod)
    } else if !literal::is_target(method.as_bytes(), target.as_bytes()) {
        Some(EncodeError::InvalidTarget)
    } else {
        None
    };
    assert_eq!(written.err(), expected, "{method:?} {target:?}");
    if expected.is_some() {
        assert!(output.is_empty(), "{method:?} {target:?}");
        return;
    }
    output.extend_from_slice(b"\r\n");
    let sizes = Sizes {
        line: usize::MAX,
        head: usize::MAX,
        fields: 0,
    };
    let read = literal::request(&output, sizes).expect("what was written is a head");
    assert_eq!(read.end, output.len());
    assert_eq!(
        (read.method, read.target),
        (method.as_bytes(), target.as_bytes())
    );
    assert_eq!(read.minor, 1);
}

/// Writes a field. The first colon separates its name and value.
fn one_field(text: &[u8]) {
    let (name, value) = split(text, b':');
    let mut output = Vec::new();
    let written = field(&mut output, &name, &value);
    let expected = field_error(&name, &value);
    assert_eq!(written.err(), expected, "{name:?}: {value:?}");
    if expected.is_some() {
        assert!(output.is_empty(), "{name:?}: {value:?}");
        return;
    }
    let line = output.strip_suffix(b"\r\n").unwrap_or_default();
    let read = literal::field(line);
    assert_eq!(read, Some((name.as_bytes(), literal::trimmed(&value))));
}

fn field_error(name: &str, value: &[u8]) -> Option<EncodeError> {
    if !literal::is_token(name.as_bytes()) {
        Some(EncodeError::InvalidName)
    } else if !literal::is_value(value) {
        Some(EncodeError::InvalidValue)
    } else {
        None
    }
}

fn number(text: &[u8]) {
    let number = text
        .iter()
        .take(8)
        .fold(0, |sum: u64, &byte| sum << 8 | u64::from(byte));
    let mut output = Vec::new();
    decimal(&mut output, number);
    assert_eq!(output, number.to_string().as_bytes());
    output.clear();
    content_length(&mut output, number);
    assert_eq!(output, format!("Content-Length: {number}\r\n").as_bytes());
}

/// A chunked body while it is written.
#[derive(Default)]
struct Body {
    content: Vec<u8>,
    wire: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
}

impl Body {
    fn chunk(&mut self, data: &[u8]) {
        self.content.extend_from_slice(data);
        chunk(&mut self.wire, data);
    }

    fn end(mut self) {
        let before = self.wire.len();
        let trailers = self.trailers.iter();
        let trailers = trailers.map(|(name, value)| (&**name, &**value));
        let written = last_chunk(&mut self.wire, trailers);
        let error = self.trailers.iter().find_map(|(name, value)| {
            field_error(name, value)
                .or_else(|| is_forbidden(name).then_some(EncodeError::ForbiddenTrailer))
        });
        assert_eq!(written.err(), error, "{:?}", self.trailers);
        if error.is_some() {
            assert_eq!(self.wire.len(), before, "{:?}", self.trailers);
            return;
        }
        let mut lines = Vec::new();
        for (name, value) in &self.trailers {
            lines.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        let end = self.wire.len();
        self.wire.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        let sizes = ChunkSizes {
            content: u64::MAX,
            overhead: ChunkLimits::default().overhead,
            line: ChunkLimits::default().line,
            trailers: usize::MAX,
            trailer_fields: usize::MAX,
        };
        let read = literal::chunked(&self.wire, sizes);
        assert_eq!(read, Chunked::Whole(self.content, lines, end));
    }
}

/// Whether a field is forbidden as a trailer, because it is for framing, routing, authentication, request
/// modifiers, response controls or the format of the content (RFC 9110 section 6.5.1).
fn is_forbidden(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let forbidden = [
        "age authorization cache-control connection content-encoding content-length content-range",
        "content-type cookie date expect expires host keep-alive location max-forwards pragma",
        "proxy-authenticate proxy-authorization proxy-connection range retry-after set-cookie te",
        "trailer transfer-encoding upgrade vary warning www-authenticate",
    ];
    let forbidden = forbidden.join(" ");
    name.starts_with("if-") || forbidden.split(' ').any(|forbidden| forbidden == name)
}

/// The text before the first `mark`, and the bytes after it.
fn split(text: &[u8], mark: u8) -> (String, Vec<u8>) {
    let mut halves = text.splitn(2, |&byte| byte == mark);
    let name = String::from_utf8_lossy(halves.next().unwrap_or_default());
    let value = halves.next().unwrap_or_default();
    (name.into_owned(), value.to_vec())
}
