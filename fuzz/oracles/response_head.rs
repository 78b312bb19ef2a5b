//! Checks that `Scanner` and `ResponseHead` agree at any split, with `httparse`, and with the RFC.

use std::ops::Range;

use serve_forever::http::h1::{
    Error, FieldStorage, HeadLimits, MAX_FIELDS, ResponseFraming, ResponseHead, Scanner, Version,
};

use super::literal::{self, Field, Length, Sizes};
use super::pieces::cuts;

/// The input is a digit for the method of the request, and then the first bytes that a server sends.
pub fn response_head(data: &[u8]) {
    let (method, input) = match data {
        [b'0', rest @ ..] => ("GET", rest),
        [b'1', rest @ ..] => ("HEAD", rest),
        [b'2', rest @ ..] => ("CONNECT", rest),
        rest => ("POST", rest),
    };
    let mut small = HeadLimits::default();
    (small.request_line, small.head, small.fields) = (24, 90, 3);
    for limits in [HeadLimits::default(), small] {
        judge(input, method, &limits);
    }
}

/// A head and its place, `None` if it is incomplete, or the reason to refuse it.
type Found = Result<Option<(Range<usize>, Owned)>, Error>;

/// All of a head. It is copied, so that the readings can be compared with `==`.
#[derive(Debug, Clone, PartialEq)]
struct Owned {
    minor_is_zero: bool,
    status: u16,
    reason: Vec<u8>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    framing: ResponseFraming,
    keep_alive: bool,
}

impl From<ResponseHead<'_>> for Owned {
    fn from(head: ResponseHead<'_>) -> Owned {
        let fields = head.fields.iter();
        assert_eq!(fields.len(), head.fields.len());
        Owned {
            minor_is_zero: head.version == Version::Http10,
            status: head.status,
            reason: head.reason.to_vec(),
            fields: fields
                .map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()))
                .collect(),
            framing: head.framing,
            keep_alive: head.keep_alive,
        }
    }
}

fn judge(input: &[u8], method: &str, limits: &HeadLimits) {
    let found = in_two_steps(input, &[input.len()], limits, method);
    for cuts in cuts(input) {
        let split = in_two_steps(input, &cuts, limits, method);
        assert_eq!(found, split, "scan_response, {cuts:?}");
        let split = in_one_step(input, &cuts, limits, method);
        assert_eq!(found, split, "response_head, {cuts:?}");
    }
    let sizes = Sizes {
        line: limits.request_line,
        head: limits.head,
        fields: limits.fields.min(MAX_FIELDS),
    };
    let literal = read(input, sizes);
    match &found {
        Ok(Some((range, head))) => {
            let Some(literal) = literal else {
                panic!("accepted, but not legal: {head:?}");
            };
            accepted(range, head, &literal, method);
            httparse_agrees(&input[range.clone()], head);
        }
        Ok(None) => incomplete(input, sizes),
        Err(error) => refused(*error, input, sizes, literal.as_ref(), method),
    }
}

fn in_two_steps(input: &[u8], cuts: &[usize], limits: &HeadLimits, method: &str) -> Found {
    let mut scanner = Scanner::default();
    for &cut in cuts {
        if let Some(range) = scanner.scan_response(&input[..cut], limits)? {
            let mut storage = FieldStorage::new();
            let bytes = &input[range.clone()];
            let head = ResponseHead::parse(bytes, &mut storage, limits, method)?;
            return Ok(Some((range, head.into())));
        }
    }
    Ok(None)
}

fn in_one_step(input: &[u8], cuts: &[usize], limits: &HeadLimits, method: &str) -> Found {
    let mut scanner = Scanner::default();
    for &cut in cuts {
        let mut storage = FieldStorage::new();
        let found = scanner.response_head(&input[..cut], &mut storage, limits, method)?;
        if let Some((range, head)) = found {
            return Ok(Some((range, head.into())));
        }
    }
    Ok(None)
}

/// A complete response head, read literally.
pub(crate) struct Literal<'a> {
    pub(crate) end: usize,
    minor: u8,
    pub(crate) status: u16,
    reason: &'a [u8],
    fields: Vec<Field<'a>>,
}

/// The head that `input` starts with, if it is complete and legal. The meaning of its fields is not
/// checked.
pub(crate) fn read(input: &[u8], sizes: Sizes) -> Option<Literal<'_>> {
    let (lines, whole) = literal::lines(input);
    let end: usize = lines.iter().map(|line| line.len() + 1).sum();
    let lines: Option<Vec<&[u8]>> = lines.iter().map(|line| line.strip_suffix(b"\r")).collect();
    let lines = lines?;
    let [line, fields @ .., b""] = &lines[..] else {
        return None;
    };
    let fits = end <= sizes.head && line.len() <= sizes.line && fields.len() <= sizes.fields;
    let (minor, status, reason) = status_line(line)?;
    let fields: Option<Vec<Field<'_>>> = fields.iter().map(|line| literal::field(line)).collect();
    let literal = Literal {
        end,
        minor,
        status,
        reason,
        fields: fields?,
    };
    (whole && fits).then_some(literal)
}

/// `status-line = HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 section 4). We document that
/// the second space may be missing if nothing follows, and that no status begins with 0.
fn status_line(line: &[u8]) -> Option<(u8, u16, &[u8])> {
    let minor = line.strip_prefix(b"HTTP/1.")?.first()?;
    let code = line.strip_prefix(&[b"HTTP/1.", &[*minor][..], b" "].concat()[..])?;
    let (code, reason) = code.split_at_checked(3)?;
    let digits = [minor, &code[1], &code[2]];
    let good = digits.into_iter().all(u8::is_ascii_digit) && matches!(code[0], b'1'..=b'9');
    let reason = match reason {
        [b' ', reason @ ..] => reason,
        [] => b"",
        _ => return None,
    };
    let status = String::from_utf8_lossy(code).parse().ok()?;
    (good && literal::is_value(reason)).then_some((minor.wrapping_sub(b'0'), status, reason))
}

/// How the content ends (RFC 9112 section 6.3), in the order of its rules; `Err` with the status of the
/// defect.
pub(crate) fn framing(literal: &Literal<'_>, method: &str) -> Result<ResponseFraming, u16> {
    let lengths = literal::all(&literal.fields, "Content-Length");
    let codings = literal::all(&literal.fields, "Transfer-Encoding");
    let announced = literal::length(literal.minor, &lengths, &codings);
    let class = literal.status / 100;
    // Rule 2: a client must ignore both fields of a 2xx response to CONNECT.
    if method == "CONNECT" && class == 2 {
        return Ok(ResponseFraming::Tunnel);
    }
    // Rules 3 to 5, as the requests have them, and rule 1. A server must not send content with an
    // interim response or a 204 (RFC 9110 sections 8.6 and 15.3.5).
    match announced {
        Length::Refused(status) => Err(status),
        Length::Bytes(1..) | Length::Chunked if class == 1 || literal.status == 204 => Err(502),
        _ if literal.status == 101 => Ok(ResponseFraming::Tunnel),
        _ if class == 1 || matches!(literal.status, 204 | 304) || method == "HEAD" => {
            Ok(ResponseFraming::Empty)
        }
        Length::Bytes(length) => Ok(ResponseFraming::Length(length)),
        Length::Chunked => Ok(ResponseFraming::Chunked),
        // Rule 8.
        Length::None => Ok(ResponseFraming::UntilClose),
    }
}

/// Checks that every part of a [`ResponseHead`] is the same in the literal reading.
fn accepted(range: &Range<usize>, head: &Owned, literal: &Literal<'_>, method: &str) {
    assert_eq!(*range, 0..literal.end);
    assert_eq!(head.minor_is_zero, literal.minor == 0);
    assert_eq!(
        (head.status, &head.reason[..]),
        (literal.status, literal.reason)
    );
    let fields = head.fields.iter();
    let fields = fields.map(|(name, value)| (&name[..], &value[..]));
    assert!(fields.eq(literal.fields.iter().copied()), "{head:?}");
    assert_eq!(Ok(head.framing), framing(literal, method));
    let ends_itself = !matches!(
        head.framing,
        ResponseFraming::UntilClose | ResponseFraming::Tunnel
    );
    let connection = literal::all(&literal.fields, "Connection");
    let persists = literal::persists(literal.minor, &connection);
    assert_eq!(head.keep_alive, ends_itself && persists);
}

/// Checks that `httparse` accepts the same head with the same parts. It does not know HTTP/1.2 to 1.9.
fn httparse_agrees(bytes: &[u8], head: &Owned) {
    let mut known = bytes.to_vec();
    known[7] = known[7].min(b'1');
    let mut headers = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(&known);
    let whole = Ok(httparse::Status::Complete(bytes.len()));
    assert_eq!(parsed, whole, "{head:?}");
    assert_eq!(response.code, Some(head.status));
    let reason = match head.reason.is_ascii() {
        true => String::from_utf8_lossy(&head.reason).into_owned(),
        false => String::new(),
    };
    assert_eq!(response.reason, Some(&reason[..]));
    let fields = response.headers.iter();
    let fields = fields.map(|field| (field.name.as_bytes(), field.value));
    let own = head
        .fields
        .iter()
        .map(|(name, value)| (&name[..], &value[..]));
    assert!(fields.eq(own), "{head:?}");
}

/// Checks that the scanner waits for more only if more bytes can help and there is room for them.
fn incomplete(input: &[u8], sizes: Sizes) {
    let (lines, whole) = literal::lines(input);
    assert!(!whole, "the head is complete");
    assert!(input.len() < sizes.head, "no room for more");
    let legal = |line: &&[u8]| line.ends_with(b"\r") && !line.ends_with(b"\r\r");
    assert!(lines.iter().all(legal), "no line end was passed over");
    match lines.first() {
        Some(line) => {
            let line = &line[..line.len() - 1];
            assert!(line.len() <= sizes.line, "the status line is too long");
            assert!(status_line(line).is_some(), "a bad line was passed over");
        }
        None => {
            // The byte after the longest line may be its CR.
            assert!(input.len() <= sizes.line + 1, "the status line is too long");
            let line = input.strip_suffix(b"\r").unwrap_or(input);
            assert!(may_become_line(line), "nothing can mend this status line");
        }
    }
}

/// Whether some line that begins with `line` is legal, or has another major version.
fn may_become_line(line: &[u8]) -> bool {
    let completed = |from: usize| {
        let rest = b"HTTP/1.1 200 ".get(from..).unwrap_or_default();
        let mut whole = [line, rest].concat();
        // The major version is looked at when the line ends.
        if whole[5].is_ascii_digit() {
            whole[5] = b'1';
        }
        whole
    };
    status_line(&completed(line.len())).is_some()
}

/// Checks that the reason for a refusal is a defect that the input really has.
fn refused(error: Error, input: &[u8], sizes: Sizes, literal: Option<&Literal<'_>>, method: &str) {
    let (lines, whole) = literal::lines(input);
    let length = match whole {
        true => lines.iter().map(|line| line.len() + 1).sum(),
        false => input.len(),
    };
    let room = sizes.line.min(sizes.head.saturating_sub(2));
    let first = lines.first().copied();
    let complete = first.is_some_and(|line| line.len() <= room + 1);
    let line = first.unwrap_or(input);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let part = |range: Range<usize>| {
        let end = range.end.min(line.len());
        line.get(range.start..end).unwrap_or_default()
    };
    let fields = || {
        let fields = lines.iter().skip(1).filter(|line| **line != b"\r");
        fields.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    };
    let name_of = |line: &[u8]| {
        line.iter()
            .copied()
            .take_while(|&b| b != b':')
            .collect::<Vec<u8>>()
    };
    let defect = match error {
        Error::BareLf => lines.iter().any(|line| !line.ends_with(b"\r")),
        Error::StatusLine => complete && line.len() < 12,
        Error::Version => !may_become_line(part(0..9)),
        Error::VersionNotSupported => complete && line[5] != b'1',
        Error::Status => !may_become_line(part(0..13)) && may_become_line(part(0..9)),
        Error::Reason => !literal::is_value(part(13..line.len())),
        Error::StatusLineTooLong => line.len() > room,
        Error::HeadTooLarge => length >= sizes.head && (!whole || length > sizes.head),
        Error::TooManyFields => whole && fields().count() > sizes.fields,
        Error::FieldFold => whole && fields().any(|line| matches!(line[0], b' ' | b'\t')),
        Error::FieldColon => whole && fields().any(|line| !line.contains(&b':')),
        Error::FieldName => whole && fields().any(|line| !literal::is_token(&name_of(line))),
        Error::FieldValue => {
            // CR CR LF is refused even before the head ends: somebody may read it as the end.
            let whole = whole || lines.iter().any(|line| line.ends_with(b"\r\r"));
            whole && fields().any(|line| !literal::is_value(line))
        }
        Error::ContentLength
        | Error::RepeatedContentLength
        | Error::ContentLengthOverflow
        | Error::LengthWithCoding
        | Error::CodingInHttp10
        | Error::TransferEncoding
        | Error::UnknownCoding
        | Error::UnexpectedContent => {
            literal.is_some_and(|literal| framing(literal, method) == Err(error.status()))
        }
        _ => false,
    };
    assert!(defect, "{error:?} is not what is wrong here");
}
