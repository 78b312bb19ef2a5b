//! RFC 9112 read literally: no state between calls, no table, whole inputs only.

use std::net::Ipv6Addr;

/// Whether `byte` is a `tchar` (RFC 9110 section 5.6.2).
pub(crate) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_digit() || byte.is_ascii_alphabetic() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `token = 1*tchar` (RFC 9110 section 5.6.2).
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(is_tchar)
}

/// `field-content` with inner and outer whitespace: HTAB, SP, VCHAR, obs-text (RFC 9110 section 5.5).
pub(crate) fn is_value(text: &[u8]) -> bool {
    let allowed = |byte: &u8| matches!(byte, 0x09 | 0x20..=0x7e | 0x80..=0xff);
    text.iter().all(allowed)
}

/// `text` without the `OWS` around it (RFC 9110 section 5.6.3).
pub(crate) fn trimmed(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let from = text.iter().position(|b| !blank(b)).unwrap_or(text.len());
    let to = text.iter().rposition(|b| !blank(b)).map_or(from, |i| i + 1);
    &text[from..to]
}

/// The members of a `#list`, including empty ones (RFC 9110 section 5.6.1).
pub(crate) fn members(value: &[u8]) -> Vec<&[u8]> {
    value.split(|&byte| byte == b',').map(trimmed).collect()
}

/// A complete request head.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Where it starts, after empty lines.
    pub(crate) start: usize,
    /// Where it ends.
    pub(crate) end: usize,
    pub(crate) method: &'a [u8],
    pub(crate) target: &'a [u8],
    /// The digit after `HTTP/1.`.
    pub(crate) minor: u8,
    pub(crate) fields: Vec<Field<'a>>,
}

pub(crate) type Field<'a> = (&'a [u8], &'a [u8]);

/// The limits on a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) line: usize,
    pub(crate) head: usize,
    pub(crate) fields: usize,
}

/// Where the first line that is not empty starts. At most four empty lines may precede it.
pub(crate) fn start_of_head(input: &[u8]) -> usize {
    let empty = input.chunks(2).take(4).take_while(|two| two == b"\r\n");
    2 * empty.count()
}

/// The lines of `head` without their LF, up to and including the empty one; and whether it exists.
pub(crate) fn lines(head: &[u8]) -> (Vec<&[u8]>, bool) {
    let (mut lines, mut rest) = (Vec::new(), head);
    while let Some(lf) = rest.iter().position(|&byte| byte == b'\n') {
        let line = &rest[..lf];
        rest = &rest[lf + 1..];
        lines.push(line);
        if line == b"\r" || line.is_empty() {
            return (lines, true);
        }
    }
    (lines, false)
}

/// The head that `input` starts with, if it is complete and legal. The meaning of its fields is not
/// checked. It is an `HTTP-message` (RFC 9112 section 2.1), with CRLF only, and without obs-fold.
pub(crate) fn request(input: &[u8], sizes: Sizes) -> Option<Request<'_>> {
    let start = start_of_head(input);
    let head = &input[start..];
    let (lines, whole) = lines(head);
    let end = start + lines.iter().map(|line| line.len() + 1).sum::<usize>();
    let lines: Option<Vec<&[u8]>> = lines.iter().map(|line| line.strip_suffix(b"\r")).collect();
    let lines = lines?;
    let (&line, fields) = lines.split_first()?;
    let (_, fields) = fields.split_last()?;
    let fits =
        end - start <= sizes.head && line.len() <= sizes.line && fields.len() <= sizes.fields;
    if !whole || !fits {
        return None;
    }
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [method, target, version] = words[..] else {
        return None;
    };
    let minor = match version {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            minor @ b'0'..=b'9',
        ] => minor - b'0',
        _ => return None,
    };
    let fields: Option<Vec<Field<'_>>> = fields.iter().map(|line| field(line)).collect();
    let request = Request {
        start,
        end,
        method,
        target,
        minor,
        fields: fields?,
    };
    (is_token(method) && is_target(method, target)).then_some(request)
}

/// `field-line = field-name ":" OWS field-value OWS` (RFC 9112 section 5).
pub(crate) fn field(line: &[u8]) -> Option<Field<'_>> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], trimmed(&line[colon + 1..]));
    (is_token(name) && is_value(value)).then_some((name, value))
}

/// The values of all fields called `name`.
pub(crate) fn all<'a>(fields: &[Field<'a>], name: &str) -> Vec<&'a [u8]> {
    let same = |field: &&Field<'_>| field.0.eq_ignore_ascii_case(name.as_bytes());
    fields.iter().filter(same).map(|field| field.1).collect()
}

/// Whether a request target is printable and has no fragment. We also document that obs-text is refused.
pub(crate) fn is_target_text(target: &[u8]) -> bool {
    !target.is_empty() && target.iter().all(|&b| b.is_ascii_graphic() && b != b'#')
}

/// Whether a target has one of the four forms, and the one that its method needs (RFC 9112 section 3.2).
pub(crate) fn is_target(method: &[u8], target: &[u8]) -> bool {
    if !is_target_text(target) {
        return false;
    }
    if method == b"CONNECT" {
        return port_of(target).is_some_and(|(host, port)| {
            !host.is_empty() && port.is_some_and(|port| port.iter().any(|&digit| digit != b'0'))
        });
    }
    target[0] == b'/' || (method == b"OPTIONS" && target == b"*") || is_absolute(target)
}

/// `scheme "://" host [":" port]`, then a path, a query or nothing. There is no userinfo, and the host is
/// not empty.
fn is_absolute(target: &[u8]) -> bool {
    let text = String::from_utf8_lossy(target);
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let scheme_byte = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(scheme_byte)
        && port_of(authority.as_bytes()).is_some_and(|(host, _)| !host.is_empty())
}

/// `Host = uri-host [":" port]`, which may be empty as a whole (RFC 9110 section 7.2).
pub(crate) fn is_host(value: &[u8]) -> bool {
    value.is_empty() || port_of(value).is_some_and(|(host, _)| !host.is_empty())
}

/// The host, and the port if there is a colon.
fn port_of(value: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let host_end = match value.first() {
        Some(b'[') => value.iter().position(|&byte| byte == b']')? + 1,
        _ => value.iter().position(|&b| b == b':').unwrap_or(value.len()),
    };
    let (host, rest) = value.split_at(host_end);
    let port = match rest {
        [] => None,
        [b':', port @ ..] => Some(port),
        _ => return None,
    };
    let good_port = port.is_none_or(|port| {
        let digits = port.iter().all(u8::is_ascii_digit);
        let significant: Vec<u8> = port.iter().copied().skip_while(|&b| b == b'0').collect();
        let number = String::from_utf8_lossy(&significant).into_owned();
        digits && (number.is_empty() || number.parse::<u16>().is_ok())
    });
    let good_host = match host {
        [b'[', inner @ .., b']'] => is_ip_literal(inner),
        _ => is_reg_name(host),
    };
    (good_port && good_host).then_some((host, port))
}

/// `IPv6address / IPvFuture` (RFC 3986 section 3.2.2).
fn is_ip_literal(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let Some(future) = text.strip_prefix(['v', 'V']) else {
        return text.parse::<Ipv6Addr>().is_ok();
    };
    future.split_once('.').is_some_and(|(version, address)| {
        let hexadecimal = |c: char| c.is_ascii_hexdigit();
        let allowed = |b: u8| b == b':' || is_unreserved_or_sub_delim(b);
        !version.is_empty()
            && version.chars().all(hexadecimal)
            && !address.is_empty()
            && address.bytes().all(allowed)
    })
}

/// `reg-name = *( unreserved / pct-encoded / sub-delims )` (RFC 3986 section 3.2.2).
fn is_reg_name(mut text: &[u8]) -> bool {
    while let [first, rest @ ..] = text {
        text = match rest {
            [high, low, after @ ..] if *first == b'%' => {
                if !high.is_ascii_hexdigit() || !low.is_ascii_hexdigit() {
                    return false;
                }
                after
            }
            _ if is_unreserved_or_sub_delim(*first) => rest,
            _ => return false,
        };
    }
    true
}

fn is_unreserved_or_sub_delim(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

/// How long the content of a request is (RFC 9112 section 6.3), or the status that refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    None,
    Bytes(u64),
    Chunked,
    Refused(u16),
}

/// Follows RFC 9112 sections 6.1 to 6.3, and the stricter choice where they leave one.
pub(crate) fn length(minor: u8, content_length: &[&[u8]], codings: &[&[u8]]) -> Length {
    if !codings.is_empty() {
        // Section 6.3 (3): both fields are an attempt to smuggle. 6.1: HTTP/1.0 has no codings.
        if !content_length.is_empty() || minor == 0 {
            return Length::Refused(400);
        }
        // Several field lines are one list (RFC 9110 section 5.3).
        let list = codings.join(&b","[..]).to_ascii_lowercase();
        let list = members(&list);
        // "A sender MUST NOT apply the chunked transfer coding more than once", and it must be last.
        let chunked = list.iter().position(|&coding| coding == b"chunked");
        let misplaced = chunked.is_some_and(|place| place + 1 < list.len());
        return if misplaced || !list.iter().all(|coding| is_token(coding)) {
            Length::Refused(400)
        } else if list.len() > 1 || chunked.is_none() {
            Length::Refused(501)
        } else {
            Length::Chunked
        };
    }
    match content_length {
        [] => Length::None,
        [value] if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
            let digits = String::from_utf8_lossy(value);
            let significant = match digits.trim_start_matches('0') {
                "" => "0",
                significant => significant,
            };
            let length = significant.parse();
            length.map_or(Length::Refused(413), Length::Bytes)
        }
        _ => Length::Refused(400),
    }
}

/// Whether the connection persists (RFC 9112 section 9.3).
pub(crate) fn persists(minor: u8, connection: &[&[u8]]) -> bool {
    let options = connection.join(&b","[..]).to_ascii_lowercase();
    let options = members(&options);
    if options.contains(&&b"close"[..]) {
        false
    } else {
        minor >= 1 || options.contains(&&b"keep-alive"[..])
    }
}

/// The limits on a chunked body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChunkSizes {
    pub(crate) content: u64,
    pub(crate) overhead: usize,
    pub(crate) line: usize,
    pub(crate) trailers: usize,
    pub(crate) trailer_fields: usize,
}

/// The result of decoding a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// Good so far, but not complete: the content and the trailers up to here.
    More(Vec<u8>, Vec<u8>),
    /// Complete: the content, the trailer lines, and the number of bytes that were read.
    Whole(Vec<u8>, Vec<u8>, usize),
    /// Refused with this status.
    Refused(u16),
}

/// `chunked-body = *chunk last-chunk trailer-section CRLF` (RFC 9112 section 7.1).
pub(crate) fn chunked(input: &[u8], sizes: ChunkSizes) -> Chunked {
    let (mut content, mut at) = (Vec::new(), 0);
    let (mut announced, mut excess) = (0_u128, 0_u128);
    loop {
        let line = chunk_line(&input[at..]);
        let length = match line {
            Err(Stop::End) => input.len() - at,
            Err(Stop::Bad(_)) => return Chunked::Refused(400),
            Ok((_, length)) => length,
        };
        if length > sizes.line {
            return Chunked::Refused(400);
        }
        let Ok((size, _)) = line else {
            return Chunked::More(content, Vec::new());
        };
        at += length;
        announced += u128::from(size);
        if announced > u128::from(sizes.content) {
            return Chunked::Refused(413);
        }
        // We document that 16 bytes and twice the data of each chunk are fair.
        excess = (excess + length as u128).saturating_sub(16 + 2 * u128::from(size));
        if excess > sizes.overhead as u128 {
            return Chunked::Refused(400);
        }
        if size == 0 {
            return trailers(&input[at..], content, at, sizes);
        }
        let rest = &input[at..];
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if rest.len() <= size {
            content.extend_from_slice(rest);
            return Chunked::More(content, Vec::new());
        }
        content.extend_from_slice(&rest[..size]);
        match &rest[size..] {
            [b'\r'] => return Chunked::More(content, Vec::new()),
            [b'\r', b'\n', ..] => at += size + 2,
            _ => return Chunked::Refused(400),
        }
    }
}

/// Reads the `trailer-section CRLF` that `input` starts with (RFC 9112 section 7.1.2).
fn trailers(input: &[u8], content: Vec<u8>, before: usize, sizes: ChunkSizes) -> Chunked {
    let (mut at, mut count) = (0, 0);
    loop {
        let rest = &input[at..];
        match rest {
            [] | [b'\r'] => return Chunked::More(content, input[..at].to_vec()),
            [b'\r', b'\n', ..] => {
                let end = before + at + 2;
                return Chunked::Whole(content, input[..at].to_vec(), end);
            }
            [first, ..] if is_tchar(*first) => count += 1,
            _ => return Chunked::Refused(400),
        }
        if count > sizes.trailer_fields {
            return Chunked::Refused(431);
        }
        let line = trailer_line(rest);
        let (seen, whole) = match line {
            Ok(length) => (length, true),
            Err(Stop::End) => (rest.len(), false),
            // If the limit comes before the defect, the limit is the reason.
            Err(Stop::Bad(place)) if at + place <= sizes.trailers => return Chunked::Refused(400),
            Err(Stop::Bad(place)) => (place, false),
        };
        if at + seen > sizes.trailers {
            return Chunked::Refused(431);
        }
        if !whole {
            return Chunked::More(content, input.to_vec());
        }
        at += seen;
    }
}

/// The length of a `field-line CRLF`.
fn trailer_line(input: &[u8]) -> Result<usize, Stop> {
    let mut cursor = Cursor { input, at: 0 };
    cursor.many(is_tchar);
    cursor.expect(b":")?;
    cursor.many(|byte| is_value(&[byte]));
    cursor.expect(b"\r\n")?;
    Ok(cursor.at)
}

/// Size and length of a chunk line: `chunk-size [ chunk-ext ] CRLF`.
fn chunk_line(input: &[u8]) -> Result<(u64, usize), Stop> {
    let mut cursor = Cursor { input, at: 0 };
    let digits = cursor.many(|byte| byte.is_ascii_hexdigit());
    // We document that a size has at most 64 bits.
    if digits.len() > 16 || (digits.is_empty() && cursor.peek().is_ok()) {
        return Err(Stop::Bad(0));
    }
    let digits = String::from_utf8_lossy(digits);
    // chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
    while cursor.peek()? != b'\r' {
        cursor.whitespace();
        cursor.expect(b";")?;
        cursor.whitespace();
        cursor.token()?;
        let after_name = cursor.at;
        cursor.whitespace();
        if cursor.peek()? != b'=' {
            cursor.at = after_name;
            continue;
        }
        cursor.expect(b"=")?;
        cursor.whitespace();
        if cursor.peek()? == b'"' {
            cursor.quoted_string()?;
        } else {
            cursor.token()?;
        }
    }
    cursor.expect(b"\r\n")?;
    let size = u64::from_str_radix(&digits, 16).map_err(|_| Stop::Bad(0))?;
    Ok((size, cursor.at))
}

/// Why reading stopped: at the end of the input, or at a byte that is not allowed.
#[derive(Debug, Clone, Copy)]
enum Stop {
    End,
    Bad(usize),
}

struct Cursor<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Result<u8, Stop> {
        self.input.get(self.at).copied().ok_or(Stop::End)
    }

    fn many(&mut self, allowed: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.input[self.at..];
        let count = rest.iter().take_while(|&&byte| allowed(byte)).count();
        self.at += count;
        &rest[..count]
    }

    fn whitespace(&mut self) {
        self.many(|byte| byte == b' ' || byte == b'\t');
    }

    fn expect(&mut self, text: &[u8]) -> Result<(), Stop> {
        for &byte in text {
            if self.peek()? != byte {
                return Err(Stop::Bad(self.at));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn token(&mut self) -> Result<(), Stop> {
        if !is_tchar(self.peek()?) {
            return Err(Stop::Bad(self.at));
        }
        self.many(is_tchar);
        Ok(())
    }

    /// `DQUOTE *( qdtext / quoted-pair ) DQUOTE` (RFC 9110 section 5.6.4).
    fn quoted_string(&mut self) -> Result<(), Stop> {
        self.expect(b"\"")?;
        loop {
            self.many(|byte| is_value(&[byte]) && byte != b'"' && byte != b'\\');
            match self.peek()? {
                b'"' => return self.expect(b"\""),
                b'\\' => {
                    self.at += 1;
                    if !is_value(&[self.peek()?]) {
                        return Err(Stop::Bad(self.at));
                    }
                    self.at += 1;
                }
                _ => return Err(Stop::Bad(self.at)),
            }
        }
    }
}

/// A response, as far as it has arrived.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    pub(crate) fields: Vec<Field<'a>>,
    pub(crate) content: Vec<u8>,
    /// Where it ends. `None` if it is incomplete, or ends with the connection.
    pub(crate) end: Option<usize>,
    /// Whether it announces that the connection closes.
    pub(crate) close: bool,
}

/// The parts of a request that decide how its response is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) head_only: bool,
    pub(crate) minor: u8,
}

/// The response that `input` starts with, read literally. `Ok(None)` if its head is incomplete.
pub(crate) fn response(input: &[u8], asked: Asked) -> Result<Option<Response<'_>>, &'static str> {
    let (lines, whole) = lines(input);
    if lines.iter().any(|line| !line.ends_with(b"\r")) {
        return Err("a bare LF");
    }
    let lines: Vec<&[u8]> = lines.iter().map(|line| &line[..line.len() - 1]).collect();
    if !whole {
        return Ok(None);
    }
    let start: usize = lines.iter().map(|line| line.len() + 2).sum();
    let [line, fields @ .., _] = &lines[..] else {
        return Err("an empty line for a status line");
    };
    // status-line = HTTP-version SP status-code SP [ reason-phrase ]
    let status = match line.split_at_checked(13) {
        Some((
            [
                b'H',
                b'T',
                b'T',
                b'P',
                b'/',
                b'1',
                b'.',
                b'1',
                b' ',
                code @ ..,
                b' ',
            ],
            reason,
        )) if is_value(reason) && code.iter().all(u8::is_ascii_digit) => code
            .iter()
            .fold(0, |sum, digit| 10 * sum + u16::from(digit - b'0')),
        _ => return Err("no status line"),
    };
    let fields: Option<Vec<Field<'_>>> = fields.iter().map(|line| field(line)).collect();
    let fields = fields.ok_or("no field line")?;
    let (lengths, codings) = (
        all(&fields, "Content-Length"),
        all(&fields, "Transfer-Encoding"),
    );
    let close = !persists(1, &all(&fields, "Connection"));
    let after = &input[start..];
    let silent = asked.head_only || matches!(status, 100..=199 | 204 | 304);
    let framing = length(1, &lengths, &codings);
    // RFC 9110 section 8.6, RFC 9112 section 6.1.
    match framing {
        Length::Refused(_) => return Err("no single framing"),
        Length::None => {}
        _ if matches!(status, 100..=199 | 204) => return Err("framing where there is no content"),
        Length::Chunked if asked.minor == 0 => return Err("chunked for HTTP/1.0"),
        _ => {}
    }
    let (content, end) = match framing {
        _ if silent => (Vec::new(), Some(start)),
        Length::Bytes(length) => match after.get(..usize::try_from(length).unwrap_or(usize::MAX)) {
            Some(content) => (content.to_vec(), Some(start + content.len())),
            None => (after.to_vec(), None),
        },
        Length::Chunked => match chunked(after, ChunkSizes::NONE) {
            Chunked::Whole(content, _, length) => (content, Some(start + length)),
            Chunked::More(content, _) => (content, None),
            Chunked::Refused(_) => return Err("bad chunks"),
        },
        _ if close => (after.to_vec(), None),
        _ => return Err("a response without an end"),
    };
    Ok(Some(Response {
        status,
        fields,
        content,
        end,
        close,
    }))
}

impl ChunkSizes {
    /// No limits.
    pub(crate) const NONE: ChunkSizes = ChunkSizes {
        content: u64::MAX,
        overhead: usize::MAX,
        line: usize::MAX,
        trailers: usize::MAX,
        trailer_fields: usize::MAX,
    };
}

/// Decodes each `pct-encoded` (RFC 3986 section 2.1). A percent sign without two digits stays.
pub(crate) fn percent_decoded(mut text: &[u8]) -> Vec<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let mut decoded = Vec::new();
    while let [first, rest @ ..] = text {
        let digits = rest
            .first_chunk()
            .map(|&[high, low]| (value(high), value(low)));
        let (byte, length) = match digits {
            Some((Some(high), Some(low))) if *first == b'%' => ((16 * high + low) as u8, 3),
            _ => (*first, 1),
        };
        decoded.push(byte);
        text = &text[length..];
    }
    decoded
}
