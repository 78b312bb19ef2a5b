//! Messages as bytes: first line, fields and chunks, written into any sink.

use alloc::vec::Vec;

use super::grammar::{is_target_byte, is_token, is_value_byte};
use super::request_line::TargetForm;

/// The destination of encoded bytes. The encoder itself allocates nothing.
pub trait Sink {
    /// Appends all of `bytes`.
    fn put(&mut self, bytes: &[u8]);

    /// Appends all of `parts`, in order. A sink can override it to make room for all of them in one step.
    #[inline]
    fn put_all(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.put(part);
        }
    }
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        (**self).put(bytes);
    }

    #[inline]
    fn put_all(&mut self, parts: &[&[u8]]) {
        (**self).put_all(parts);
    }
}

/// Why something is not written: a recipient would read something else (RFC 9112 section 11.1).
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EncodeError {
    /// The method is not a token (RFC 9110 section 9.1).
    InvalidMethod,
    /// The target has a byte that is not allowed in one, has none of the four forms, or not the form that
    /// its method needs (RFC 9112 section 3.2).
    InvalidTarget,
    /// The status is not between 100 and 999 (RFC 9110 section 15).
    InvalidStatus,
    /// The reason phrase has a control byte (RFC 9112 section 4).
    InvalidReason,
    /// The field name is not a token (RFC 9110 section 5.1).
    InvalidName,
    /// The field value has CR, LF, NUL or another control byte (RFC 9110 section 5.5).
    InvalidValue,
    /// A request has no Host, more than one, or an invalid one (RFC 9112 section 3.2).
    InvalidHost,
    /// Nobody could tell where the message ends, or the fields announce content that it cannot have (RFC
    /// 9112 section 6).
    InvalidFraming,
    /// Upgrade or TE is sent without the option of that name in Connection (RFC 9110 sections 7.8 and
    /// 10.1.4).
    MissingOption,
    /// The content is longer or shorter than its Content-Length (RFC 9112 section 6.2).
    WrongLength,
    /// This cannot come now: see the tables of [`Connection`](super::Connection).
    WrongState,
    /// The field has to come before the content, so it must not be sent as a trailer (RFC 9110 section
    /// 6.5.1). It frames or routes the message, authenticates, changes what the request or the response
    /// means, or describes the content.
    ForbiddenTrailer,
}

texts!(EncodeError {
    InvalidMethod => "method is not a token",
    InvalidTarget => "request target does not fit the method",
    InvalidStatus => "status is not a number of three digits",
    InvalidReason => "control byte in the reason phrase",
    InvalidName => "field name is not a token",
    InvalidValue => "control byte in a field value",
    InvalidHost => "a request needs one valid Host",
    InvalidFraming => "the fields do not say where the content ends",
    MissingOption => "Upgrade or TE without its option in Connection",
    WrongLength => "the content does not have its Content-Length",
    WrongState => "this cannot be sent now",
    ForbiddenTrailer => "a field that must come before the content cannot be a trailer",
});

/// The interim response that asks for the content (RFC 9110 section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

// request-line = method SP request-target SP HTTP-version
/// Writes the request line. It always says HTTP/1.1 (RFC 9112 section 3).
///
/// Nothing is encoded: a space or a byte beyond ASCII in the target is an error. A request also needs a
/// [`field`] called Host.
///
/// ```
/// let mut output = Vec::new();
/// serve_forever::http::h1::request_line(&mut output, "GET", "/search?q=rust")?;
/// assert_eq!(output, b"GET /search?q=rust HTTP/1.1\r\n");
/// # Ok::<(), serve_forever::http::h1::EncodeError>(())
/// ```
///
/// # Errors
///
/// Returns [`EncodeError::InvalidMethod`] or [`EncodeError::InvalidTarget`], and writes nothing.
pub fn request_line(sink: &mut impl Sink, method: &str, target: &str) -> Result<(), EncodeError> {
    if !is_token(method.as_bytes()) {
        return Err(EncodeError::InvalidMethod);
    }
    let printable = target.bytes().all(is_target_byte);
    if !printable || TargetForm::of(method, target).is_err() {
        return Err(EncodeError::InvalidTarget);
    }
    sink.put_all(&[method.as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"]);
    Ok(())
}

// status-line = HTTP-version SP status-code SP [ reason-phrase ]
/// Writes the status line. It always says HTTP/1.1, also in response to HTTP/1.0 (RFC 9112 section 4, RFC
/// 9110 section 6.2).
///
/// ```
/// let mut output = Vec::new();
/// serve_forever::http::h1::status_line(&mut output, 200, "OK")?;
/// assert_eq!(output, b"HTTP/1.1 200 OK\r\n");
/// # Ok::<(), serve_forever::http::h1::EncodeError>(())
/// ```
///
/// # Errors
///
/// Returns [`EncodeError::InvalidStatus`] or [`EncodeError::InvalidReason`], and writes nothing.
#[inline]
pub fn status_line(sink: &mut impl Sink, status: u16, reason: &str) -> Result<(), EncodeError> {
    if !(100..=999).contains(&status) {
        return Err(EncodeError::InvalidStatus);
    }
    if !is_value(reason.as_bytes()) {
        return Err(EncodeError::InvalidReason);
    }
    sink.put(b"HTTP/1.1 ");
    decimal(sink, u64::from(status));
    // The space is required even if the reason is empty (RFC 9112 section 4).
    sink.put(b" ");
    sink.put(reason.as_bytes());
    sink.put(b"\r\n");
    Ok(())
}

// field-line = field-name ":" OWS field-value OWS
/// Writes one field line (RFC 9112 section 5).
///
/// Whitespace around the value is written as it is; recipients remove it.
///
/// # Errors
///
/// Returns [`EncodeError::InvalidName`] or [`EncodeError::InvalidValue`], and writes nothing. So CR, LF
/// and NUL never get into the output.
#[inline(always)]
pub fn field(sink: &mut impl Sink, name: &str, value: &[u8]) -> Result<(), EncodeError> {
    check_field(name, value)?;
    put_field(sink, name, value);
    Ok(())
}

/// Writes a Content-Length field line (RFC 9110 section 8.6).
#[inline]
pub fn content_length(sink: &mut impl Sink, length: u64) {
    const NAME: &[u8] = b"Content-Length: ";
    if length >= 100_000_000 {
        sink.put(NAME);
        decimal(sink, length);
        return sink.put(b"\r\n");
    }
    // Nearly every response has this field. Up to eight digits fit into a register. Bytes that are
    // written one by one and then copied together would stall the processor.
    let (mut digits, mut count, mut left) = (0_u64, 0, length);
    loop {
        digits = (digits << 8) | (u64::from(b'0') + left % 10);
        count += 1;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    let digits = digits.to_le_bytes();
    let digits = digits.get(..count).unwrap_or(&digits);
    sink.put_all(&[NAME, digits, b"\r\n"]);
}

/// Writes the empty line that ends the fields (RFC 9112 section 2.1).
pub fn end_of_fields(sink: &mut impl Sink) {
    sink.put(b"\r\n");
}

/// Writes a number in decimal digits.
#[inline]
pub fn decimal(sink: &mut impl Sink, number: u64) {
    // 2^64 has 20 digits.
    digits::<20>(sink, number, 10);
}

/// Writes one chunk (RFC 9112 section 7.1).
///
/// If `data` is empty, nothing is written, because an empty chunk would end the body.
///
/// ```
/// let mut output = Vec::new();
/// serve_forever::http::h1::chunk(&mut output, b"hello, world");
/// serve_forever::http::h1::last_chunk(&mut output, [("Sum", &b"1"[..])])?;
/// assert_eq!(output, b"c\r\nhello, world\r\n0\r\nSum: 1\r\n\r\n");
/// # Ok::<(), serve_forever::http::h1::EncodeError>(())
/// ```
pub fn chunk(sink: &mut impl Sink, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    // All at once, because a buffer that has no room yet then grows once.
    let mut size = [0; 16];
    let size = render(&mut size, data.len() as u64, 16);
    sink.put_all(&[size, b"\r\n", data, b"\r\n"]);
}

/// Writes the beginning of a chunk, for data that you send from elsewhere: `size` bytes, and then a
/// CRLF (RFC 9112 section 7.1). A chunk of no bytes would end the body.
pub fn chunk_size(sink: &mut impl Sink, size: u64) {
    digits::<16>(sink, size, 16);
    sink.put(b"\r\n");
}

/// Writes the last chunk and the trailer section, which ends the body (RFC 9112 section 7.1.2).
///
/// # Errors
///
/// Returns the [`EncodeError`] of the first bad trailer, and writes nothing.
pub fn last_chunk<'t, I>(sink: &mut impl Sink, trailers: I) -> Result<(), EncodeError>
where
    I: IntoIterator<Item = (&'t str, &'t [u8]), IntoIter: Clone>,
{
    let trailers = trailers.into_iter();
    for (name, value) in trailers.clone() {
        check_field(name, value)?;
        if is_forbidden_trailer(name) {
            return Err(EncodeError::ForbiddenTrailer);
        }
    }
    sink.put(b"0\r\n");
    for (name, value) in trailers {
        put_field(sink, name, value);
    }
    sink.put(b"\r\n");
    Ok(())
}

/// Returns whether the field must come before the content (RFC 9110 section 6.5.1). The groups are those
/// of that section. Conditions, which change what a request means, all begin with `If-`.
fn is_forbidden_trailer(name: &str) -> bool {
    const FRAMING: &[&str] = &["content-length", "te", "trailer", "transfer-encoding"];
    const ROUTING: &[&str] = &[
        "connection",
        "host",
        "keep-alive",
        "proxy-connection",
        "upgrade",
    ];
    const AUTHENTICATION: &[&str] = &[
        "authorization",
        "cookie",
        "proxy-authenticate",
        "proxy-authorization",
        "set-cookie",
        "www-authenticate",
    ];
    const REQUEST_MODIFIERS: &[&str] = &["expect", "max-forwards", "pragma", "range"];
    const RESPONSE_CONTROLS: &[&str] = &[
        "age",
        "cache-control",
        "date",
        "expires",
        "location",
        "retry-after",
        "vary",
        "warning",
    ];
    const CONTENT_FORMAT: &[&str] = &["content-encoding", "content-range", "content-type"];
    let groups = [
        FRAMING,
        ROUTING,
        AUTHENTICATION,
        REQUEST_MODIFIERS,
        RESPONSE_CONTROLS,
        CONTENT_FORMAT,
    ];
    let is_condition = name
        .get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case("if-"));
    let mut forbidden = groups.into_iter().flatten();
    is_condition || forbidden.any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}

#[inline(always)]
pub(super) fn check_field(name: &str, value: &[u8]) -> Result<(), EncodeError> {
    if !is_token(name.as_bytes()) {
        return Err(EncodeError::InvalidName);
    }
    if !is_value(value) {
        return Err(EncodeError::InvalidValue);
    }
    Ok(())
}

#[inline(always)]
fn is_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| is_value_byte(byte))
}

#[inline(always)]
pub(super) fn put_field(sink: &mut impl Sink, name: &str, value: &[u8]) {
    sink.put_all(&[name.as_bytes(), b": ", value, b"\r\n"]);
}

/// Writes `number` in the given base, in at most `N` digits.
#[inline]
fn digits<const N: usize>(sink: &mut impl Sink, number: u64, base: u64) {
    sink.put(render(&mut [0; N], number, base));
}

/// Returns the digits of a number, which are written to the end of `text`.
fn render(text: &mut [u8], mut number: u64, base: u64) -> &[u8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut start = text.len();
    for (index, slot) in text.iter_mut().enumerate().rev() {
        *slot = DIGITS[(number % base) as usize % DIGITS.len()];
        start = index;
        number /= base;
        if number == 0 {
            break;
        }
    }
    text.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::fields::parse_fields;
    use alloc::string::{String, ToString};

    #[test]
    fn status_lines() {
        let cases: [(u16, &str, Result<&str, EncodeError>); 9] = [
            (200, "OK", Ok("HTTP/1.1 200 OK\r\n")),
            (200, "Fine", Ok("HTTP/1.1 200 Fine\r\n")),
            (404, "Not Found", Ok("HTTP/1.1 404 Not Found\r\n")),
            (999, "", Ok("HTTP/1.1 999 \r\n")),
            (99, "OK", Err(EncodeError::InvalidStatus)),
            (1000, "OK", Err(EncodeError::InvalidStatus)),
            (200, "OK\r\nX: y", Err(EncodeError::InvalidReason)),
            (200, "O\0K", Err(EncodeError::InvalidReason)),
            (200, "\u{7f}", Err(EncodeError::InvalidReason)),
        ];
        for (status, reason, expected) in cases {
            let mut output = Vec::new();
            let result = status_line(&mut output, status, reason);
            assert_eq!(result, expected.map(|_| ()), "{status} {reason:?}");
            assert_eq!(
                output,
                expected.unwrap_or_default().as_bytes(),
                "{status} {reason:?}"
            );
        }
    }

    #[test]
    fn request_lines() {
        let cases = [
            ("GET", "/", Ok(())),
            ("M-SEARCH", "/a?b=[c]", Ok(())),
            ("OPTIONS", "*", Ok(())),
            ("CONNECT", "h:443", Ok(())),
            ("GET", "http://h/", Ok(())),
            ("", "/", Err(EncodeError::InvalidMethod)),
            ("G T", "/", Err(EncodeError::InvalidMethod)),
            ("GET\r\n", "/", Err(EncodeError::InvalidMethod)),
            ("GET", "", Err(EncodeError::InvalidTarget)),
            ("GET", "a", Err(EncodeError::InvalidTarget)),
            ("GET", "/a b", Err(EncodeError::InvalidTarget)),
            ("GET", "/\r\nX: y", Err(EncodeError::InvalidTarget)),
            ("GET", "/\u{e9}", Err(EncodeError::InvalidTarget)),
            ("GET", "/#f", Err(EncodeError::InvalidTarget)),
            ("GET", "*", Err(EncodeError::InvalidTarget)),
            ("GET", "h:443", Err(EncodeError::InvalidTarget)),
            ("CONNECT", "/", Err(EncodeError::InvalidTarget)),
        ];
        for (method, target, expected) in cases {
            let mut output = Vec::new();
            let result = request_line(&mut output, method, target);
            assert_eq!(result, expected, "{method:?} {target:?}");
            let line = alloc::format!("{method} {target} HTTP/1.1\r\n");
            let written = if result.is_ok() { line } else { "".into() };
            assert_eq!(output, written.as_bytes());
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is_written() {
        for byte in 0..=255u8 {
            let value = [b'a', byte, b'b'];
            let mut output = Vec::new();
            let result = field(&mut output, "Name", &value);
            match parse_fields(&output, 1) {
                Ok(fields) if result.is_ok() => assert_eq!(fields.get("name"), Some(&value[..])),
                _ => assert!(
                    result == Err(EncodeError::InvalidValue) && output.is_empty(),
                    "{byte}"
                ),
            }
            assert_eq!(
                result.is_err(),
                byte.is_ascii_control() && byte != b'\t',
                "{byte}"
            );
        }
        for name in ["", " ", "a b", "a:", "a\r", "a\n", "\u{e9}", "a\0"] {
            let mut output = Vec::new();
            assert_eq!(
                field(&mut output, name, b"v"),
                Err(EncodeError::InvalidName),
                "{name:?}"
            );
            assert!(output.is_empty());
        }
    }

    #[test]
    fn numbers_and_chunks() {
        let large = [99_999_999, 100_000_000, 123_456_789, u64::MAX];
        for number in [0, 1, 9, 10, 99, 100, 12345].into_iter().chain(large) {
            let mut output = Vec::new();
            content_length(&mut output, number);
            assert_eq!(
                output,
                alloc::format!("Content-Length: {number}\r\n").as_bytes()
            );
        }
        let mut output = Vec::new();
        chunk(&mut output, b"");
        assert!(output.is_empty());
        chunk(&mut output, &[b'x'; 26]);
        assert_eq!(output, b"1a\r\nxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n");
        let mut begun = Vec::new();
        chunk_size(&mut begun, 26);
        assert_eq!(begun, b"1a\r\n");
    }

    /// A function that borrows a sink writes into it, in the steps that the sink chooses.
    #[test]
    fn a_borrowed_sink_is_the_sink() {
        struct Steps(Vec<String>);

        impl Sink for Steps {
            fn put(&mut self, bytes: &[u8]) {
                self.0.push(bytes.escape_ascii().to_string());
            }

            fn put_all(&mut self, parts: &[&[u8]]) {
                self.put(&parts.concat());
            }
        }

        let mut steps = Steps(Vec::new());
        end_of_fields(&mut &mut steps);
        chunk(&mut &mut steps, b"x");
        assert_eq!(steps.0, ["\\r\\n", "1\\r\\nx\\r\\n"]);
    }

    #[test]
    fn trailers_are_checked_before_the_first_byte() {
        type Trailers<'a> = &'a [(&'a str, &'a [u8])];
        let cases: [(Trailers<'_>, Result<&[u8], EncodeError>); 4] = [
            (&[], Ok(b"0\r\n\r\n")),
            (&[("A", b"b"), ("C", b"")], Ok(b"0\r\nA: b\r\nC: \r\n\r\n")),
            (&[("A", b"b"), ("C", b"\n")], Err(EncodeError::InvalidValue)),
            (
                &[("A", b"b"), ("Content-LENGTH", b"1")],
                Err(EncodeError::ForbiddenTrailer),
            ),
        ];
        for (trailers, expected) in cases {
            let mut output = Vec::new();
            let result = last_chunk(&mut output, trailers.iter().copied());
            assert_eq!(result, expected.map(|_| ()));
            assert_eq!(output, expected.unwrap_or_default());
        }
    }

    /// RFC 9110 section 6.5.1, and fields whose definition allows a trailer.
    #[test]
    fn fields_that_cannot_be_trailers() {
        let forbidden = "Transfer-Encoding Content-Length Host Connection Upgrade Keep-Alive TE Trailer \
                         Authorization WWW-Authenticate Proxy-Authorization Proxy-Authenticate \
                         Cookie Set-Cookie Expect Range If-Match IF-RANGE if-unmodified-since Max-Forwards \
                         Pragma Cache-Control Age Date Expires Location Retry-After Vary \
                         Content-Type Content-Encoding Content-Range";
        let allowed =
            "ETag Authentication-Info Accept-Ranges Server-Timing Content-Digest Sum Iffy If";
        for (names, expected) in [
            (forbidden, Err(EncodeError::ForbiddenTrailer)),
            (allowed, Ok(())),
        ] {
            for name in names.split_whitespace() {
                let mut output = Vec::new();
                let result = last_chunk(&mut output, [(name, &b"v"[..])]);
                assert_eq!(result, expected, "{name}");
                assert_eq!(output.is_empty(), expected.is_err(), "{name}");
            }
        }
    }
}
