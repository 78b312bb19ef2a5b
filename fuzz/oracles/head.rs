//! Checks that `Scanner` and `Head` agree at any split, with `httparse`, and with the RFC.

use std::ops::Range;

use serve_forever::http::h1::{
    Error, Expect, FieldStorage, Framing, Head, HeadLimits, MAX_FIELDS, Scanner, TargetForm,
    Version,
};

use super::literal::{self, Length, Request, Sizes};
use super::pieces::cuts;

/// The input is the first bytes that a client sends.
pub fn head(data: &[u8]) {
    let mut small = HeadLimits::default();
    (small.request_line, small.head, small.fields) = (40, 100, 3);
    for limits in [HeadLimits::default(), small] {
        judge(data, &limits);
    }
}

/// A head and its place, `None` if it is incomplete, or the reason to refuse it.
type Found<'a> = Result<Option<(Range<usize>, Head<'a>)>, Error>;

fn judge(input: &[u8], limits: &HeadLimits) {
    let mut storage = FieldStorage::new();
    let found = in_two_steps(input, &[input.len()], limits, &mut storage);
    for cuts in cuts(input) {
        let (mut one, mut two) = (FieldStorage::new(), FieldStorage::new());
        let split = in_two_steps(input, &cuts, limits, &mut two);
        assert!(same(&found, &split), "scan, {cuts:?}: {found:?}, {split:?}");
        let split = in_one_step(input, &cuts, limits, &mut one);
        assert!(same(&found, &split), "head, {cuts:?}: {found:?}, {split:?}");
    }
    let sizes = Sizes {
        line: limits.request_line,
        head: limits.head,
        fields: limits.fields.min(MAX_FIELDS),
    };
    let literal = literal::request(input, sizes);
    match &found {
        Ok(Some((range, head))) => {
            let Some(literal) = literal else {
                panic!("accepted, but not legal: {head:?}");
            };
            accepted(range, head, &literal);
            httparse_agrees(&input[range.clone()], head);
        }
        Ok(None) => incomplete(input, sizes),
        Err(error) => refused(*error, input, sizes, literal.as_ref()),
    }
}

fn in_two_steps<'a, 'b: 'a>(
    input: &'b [u8],
    cuts: &[usize],
    limits: &HeadLimits,
    storage: &'a mut FieldStorage<'b>,
) -> Found<'a> {
    let mut scanner = Scanner::default();
    for &cut in cuts {
        if let Some(range) = scanner.scan(&input[..cut], limits)? {
            let head = Head::parse(&input[range.clone()], storage, limits)?;
            return Ok(Some((range, head)));
        }
    }
    Ok(None)
}

fn in_one_step<'a, 'b: 'a>(
    input: &'b [u8],
    cuts: &[usize],
    limits: &HeadLimits,
    storage: &'a mut FieldStorage<'b>,
) -> Found<'a> {
    let mut scanner = Scanner::default();
    // An incomplete result borrows nothing, but the borrow checker cannot see this.
    let mut decisive = None;
    for &cut in cuts {
        let mut room = FieldStorage::new();
        let before = scanner;
        if !matches!(scanner.head(&input[..cut], &mut room, limits), Ok(None)) {
            decisive = Some((before, cut));
            break;
        }
    }
    let Some((mut scanner, cut)) = decisive else {
        return Ok(None);
    };
    scanner.head(&input[..cut], storage, limits)
}

fn same(one: &Found<'_>, other: &Found<'_>) -> bool {
    match (one, other) {
        (Ok(Some((one_range, one))), Ok(Some((other_range, other)))) => {
            one_range == other_range
                && (one.method, one.target) == (other.method, other.target)
                && (one.target_form, one.version) == (other.target_form, other.version)
                && (one.framing, one.keep_alive) == (other.framing, other.keep_alive)
                && one.expect == other.expect
                && one.authority() == other.authority()
                && one.fields.iter().eq(other.fields.iter())
        }
        (Ok(None), Ok(None)) => true,
        (Err(one), Err(other)) => one == other,
        _ => false,
    }
}

/// Checks that every part of a [`Head`] is the same in the literal reading.
fn accepted(range: &Range<usize>, head: &Head<'_>, literal: &Request<'_>) {
    assert_eq!(*range, literal.start..literal.end);
    assert_eq!(head.method.as_bytes(), literal.method);
    assert_eq!(head.target.as_bytes(), literal.target);
    assert_eq!(head.version == Version::Http10, literal.minor == 0);
    let fields = head
        .fields
        .iter()
        .map(|(name, value)| (name.as_bytes(), value));
    assert!(fields.eq(literal.fields.iter().copied()), "{head:?}");
    assert_eq!(head.fields.len(), literal.fields.len());
    let form = match literal.target {
        _ if literal.method == b"CONNECT" => TargetForm::Authority,
        [b'/', ..] => TargetForm::Origin,
        b"*" => TargetForm::Asterisk,
        _ => TargetForm::Absolute,
    };
    assert_eq!(head.target_form, form);
    let hosts = literal::all(&literal.fields, "Host");
    match hosts[..] {
        [host] => assert!(literal::is_host(host), "{head:?}"),
        [] => assert_eq!(literal.minor, 0, "{head:?}"),
        _ => panic!("more than one Host: {head:?}"),
    }
    assert_eq!(length_of(head.framing), length(literal));
    let connection = literal::all(&literal.fields, "Connection");
    assert_eq!(
        head.keep_alive,
        literal::persists(literal.minor, &connection)
    );
    assert_eq!(head.expect, expectation(literal));
}

pub(crate) fn length(request: &Request<'_>) -> Length {
    let lengths = literal::all(&request.fields, "Content-Length");
    let codings = literal::all(&request.fields, "Transfer-Encoding");
    literal::length(request.minor, &lengths, &codings)
}

pub(crate) fn length_of(framing: Framing) -> Length {
    match framing {
        Framing::Empty => Length::None,
        Framing::Length(length) => Length::Bytes(length),
        Framing::Chunked => Length::Chunked,
    }
}

/// What the client expects: nothing in HTTP/1.0, and `100-continue` only if content follows (RFC 9110
/// section 10.1.1).
pub(crate) fn expectation(request: &Request<'_>) -> Expect {
    let list = literal::all(&request.fields, "Expect").join(&b","[..]);
    let list = literal::members(&list);
    let given: Vec<&[u8]> = list.into_iter().filter(|text| !text.is_empty()).collect();
    let known = |text: &&[u8]| text.eq_ignore_ascii_case(b"100-continue");
    if request.minor == 0 || given.is_empty() {
        Expect::None
    } else if !given.iter().all(known) {
        Expect::Unknown
    } else if matches!(length(request), Length::None | Length::Bytes(0)) {
        Expect::None
    } else {
        Expect::Continue
    }
}

/// Checks that `httparse` accepts the same head with the same parts. It does not know HTTP/1.2 to 1.9.
fn httparse_agrees(bytes: &[u8], head: &Head<'_>) {
    let mut known = bytes.to_vec();
    let minor = head.method.len() + head.target.len() + " HTTP/1.".len() + 1;
    if known[minor] > b'1' {
        known[minor] = b'1';
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(&known);
    assert_eq!(
        parsed,
        Ok(httparse::Status::Complete(bytes.len())),
        "{head:?}"
    );
    assert_eq!(request.method, Some(head.method));
    assert_eq!(request.path, Some(head.target));
    assert_eq!(
        request.version,
        Some(u8::from(head.version == Version::Http11))
    );
    let fields = request
        .headers
        .iter()
        .map(|field| (field.name, field.value));
    assert!(fields.eq(head.fields.iter()), "{head:?}");
}

/// Checks that the scanner waits for more only if more bytes can help and there is room for them.
fn incomplete(input: &[u8], sizes: Sizes) {
    let head = &input[literal::start_of_head(input)..];
    let (lines, whole) = literal::lines(head);
    assert!(!whole, "the head is complete");
    assert!(head.len() < sizes.head, "no room for more");
    let legal = |line: &&[u8]| line.ends_with(b"\r") && !line.ends_with(b"\r\r");
    assert!(lines.iter().all(legal), "no line end was passed over");
    match lines.first() {
        Some(line) => {
            let line = &line[..line.len() - 1];
            assert!(line.len() <= sizes.line, "the request line is too long");
            let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
            let [method, target, version] = words[..] else {
                panic!("a request line of {} words was passed over", words.len());
            };
            assert!(literal::is_token(method) && literal::is_target(method, target));
            assert!(may_become_version(version) && version.starts_with(b"HTTP/1."));
        }
        None => {
            // The byte after the longest line may be its CR.
            assert!(head.len() <= sizes.line + 1, "the request line is too long");
            let line = head.strip_suffix(b"\r").unwrap_or(head);
            assert!(may_become_line(line), "nothing can mend this request line");
        }
    }
    // `httparse` has no limits: if it finds a head here, the head must exceed a limit.
    let mut headers = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let parsed = httparse::Request::new(&mut headers).parse(input);
    let waits = !matches!(parsed, Ok(httparse::Status::Complete(_)));
    assert!(waits, "httparse sees a head: {parsed:?}");
}

/// Whether `line` begins like a request line, and consists of bytes that are allowed in one. The words
/// are checked only when the line has ended, or has another byte.
fn may_become_line(line: &[u8]) -> bool {
    let printable = line.iter().all(|byte| matches!(byte, b' '..=b'~'));
    line.first().is_none_or(|&byte| literal::is_tchar(byte)) && printable
}

/// Whether `text` is the beginning of `"HTTP" "/" DIGIT "." DIGIT`.
fn may_become_version(text: &[u8]) -> bool {
    let zeroed: Vec<u8> = text
        .iter()
        .map(|&byte| if byte.is_ascii_digit() { b'0' } else { byte })
        .collect();
    b"HTTP/0.0".starts_with(&zeroed)
}

/// Checks that the reason for a refusal is a defect that the input really has.
fn refused(error: Error, input: &[u8], sizes: Sizes, literal: Option<&Request<'_>>) {
    let start = literal::start_of_head(input);
    let head = &input[start..];
    let (lines, whole) = literal::lines(head);
    let length = match whole {
        true => lines.iter().map(|line| line.len() + 1).sum(),
        false => head.len(),
    };
    // The part of the request line that has arrived and counts, and whether it is complete.
    let room = sizes.line.min(sizes.head.saturating_sub(2));
    let first = lines.first().copied();
    let complete = first.is_some_and(|line| line.len() <= room + 1);
    let line = first.unwrap_or(head);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let rest = words
        .get(2..)
        .map(|words| words.join(&b' '))
        .unwrap_or_default();
    let fields = || {
        let fields = lines.iter().skip(1).filter(|line| **line != b"\r");
        fields.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    };
    let name_of = |line: &[u8]| {
        line.split(|&b| b == b':')
            .next()
            .unwrap_or_default()
            .to_vec()
    };
    let values = |name: &str| literal.map(|literal| literal::all(&literal.fields, name));
    let defect = match error {
        Error::EmptyLines => start == 8 && matches!(head.first(), Some(b'\r' | b'\n')),
        Error::BareLf => lines.iter().any(|line| !line.ends_with(b"\r")),
        Error::RequestLine => complete && words.len() == 1,
        Error::SimpleRequest => complete && words.len() == 2,
        Error::Method => !literal::is_token(word(0)),
        Error::MethodTooLong => line.len() > room && word(0).len() >= room,
        Error::Target => words.len() > 1 && !literal::is_target_text(word(1)),
        Error::TargetForm => complete && !literal::is_target(word(0), word(1)),
        Error::RequestLineTooLong => line.len() > room,
        Error::Version => words.len() > 2 && !is_version(&rest),
        Error::VersionNotSupported => is_version(&rest) && rest[5] != b'1',
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
        Error::MissingHost => values("Host").is_some_and(|hosts| hosts.is_empty()),
        Error::RepeatedHost => values("Host").is_some_and(|hosts| hosts.len() > 1),
        Error::Host => values("Host").is_some_and(|hosts| !literal::is_host(hosts[0])),
        Error::ContentLength
        | Error::RepeatedContentLength
        | Error::ContentLengthOverflow
        | Error::LengthWithCoding
        | Error::CodingInHttp10
        | Error::TransferEncoding
        | Error::UnknownCoding => {
            literal.is_some_and(|literal| length_refused(literal) == Some(error.status()))
        }
        _ => false,
    };
    assert!(defect, "{error:?} is not what is wrong here");
}

fn length_refused(request: &Request<'_>) -> Option<u16> {
    match length(request) {
        Length::Refused(status) => Some(status),
        _ => None,
    }
}

fn is_version(text: &[u8]) -> bool {
    text.len() == 8 && may_become_version(text)
}
