//! The reasons to refuse a message, and the status of each.

/// A defect of a request or a response: one variant for each that the parser tells apart (RFC 9112).
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Error {
    /// There are too many empty lines before the request line (RFC 9112 section 2.2).
    EmptyLines,
    /// A line of the head or of a trailer section ends in LF without CR (RFC 9112 section 2.2).
    BareLf,
    /// The request line is a single word (RFC 9112 section 3).
    RequestLine,
    /// The request line has no version: it is an HTTP/0.9 simple request (RFC 1945 section 5).
    SimpleRequest,
    /// The method is empty or not a token (RFC 9110 section 9.1).
    Method,
    /// The method alone is as long as the limit of the request line (RFC 9112 section 3).
    MethodTooLong,
    /// The target is empty or has a byte that is not allowed in a URI (RFC 9112 section 3.2).
    Target,
    /// The target has none of the four forms, or not the form that its method needs (RFC 9112 section 3.2).
    TargetForm,
    /// The request line exceeds its limit (RFC 9112 section 3).
    RequestLineTooLong,
    /// The last word of the request line, or the first of the status line, is not `HTTP/` digit `.` digit
    /// (RFC 9112 section 2.3).
    Version,
    /// The major version is not 1 (RFC 9110 section 15.6.6).
    VersionNotSupported,
    /// The status line ends before its status does (RFC 9112 section 4).
    StatusLine,
    /// The status is not a number from 100 to 999 of three digits, between two spaces (RFC 9112 section 4).
    Status,
    /// The reason phrase has a control byte (RFC 9112 section 4).
    Reason,
    /// The status line exceeds its limit (RFC 9112 section 4).
    StatusLineTooLong,
    /// A response that has no content announces some: an interim response or a 204 with
    /// Transfer-Encoding, or with a Content-Length other than 0 (RFC 9110 section 8.6, RFC 9112 section
    /// 6.1).
    UnexpectedContent,
    /// A response arrives on a connection without a request (RFC 9112 section 9.2).
    UnexpectedResponse,
    /// The server switches to a protocol that the request has not proposed (RFC 9110 section 15.2.2).
    UnexpectedUpgrade,
    /// The peer has closed in the middle of a message (RFC 9112 section 8).
    Truncated,
    /// The head exceeds its limit (RFC 6585 section 5).
    HeadTooLarge,
    /// The head has more fields than its limit (RFC 6585 section 5).
    TooManyFields,
    /// The bytes given as a head do not end in an empty line (RFC 9112 section 2.1).
    Unterminated,
    /// A field line starts with whitespace: obs-fold, or whitespace before the first field (RFC 9112
    /// sections 2.2, 5.2).
    FieldFold,
    /// A field line has no colon (RFC 9112 section 5).
    FieldColon,
    /// A field name is empty, not a token, or followed by whitespace (RFC 9112 section 5.1).
    FieldName,
    /// A field value has a control byte, for example a bare CR (RFC 9110 section 5.5).
    FieldValue,
    /// An HTTP/1.1 request has no Host (RFC 9112 section 3.2).
    MissingHost,
    /// There is more than one Host (RFC 9112 section 3.2).
    RepeatedHost,
    /// Host is not `uri-host [":" port]` (RFC 9110 section 7.2).
    Host,
    /// Content-Length is not a plain number (RFC 9110 section 8.6).
    ContentLength,
    /// There is more than one Content-Length, perhaps of equal value (RFC 9112 section 6.3).
    RepeatedContentLength,
    /// Content-Length does not fit into 64 bits (RFC 9110 section 8.6).
    ContentLengthOverflow,
    /// The message has both Content-Length and Transfer-Encoding (RFC 9112 section 6.3).
    LengthWithCoding,
    /// An HTTP/1.0 message has Transfer-Encoding (RFC 9112 section 6.1).
    CodingInHttp10,
    /// Transfer-Encoding is malformed, or `chunked` is not its last coding or stands twice (RFC 9112
    /// section 6.3).
    TransferEncoding,
    /// The message uses a transfer coding other than `chunked` (RFC 9112 section 6.1).
    UnknownCoding,
    /// A chunk size is not 1 to 16 hexadecimal digits (RFC 9112 section 7.1).
    ChunkSize,
    /// A chunk extension violates its grammar (RFC 9112 section 7.1.1).
    ChunkExtension,
    /// A chunk line exceeds its limit (RFC 9112 section 7.1.1).
    ChunkLineTooLong,
    /// A chunk line does not end in CRLF (RFC 9112 section 7.1).
    ChunkLineEnd,
    /// Chunk data is not followed by CRLF (RFC 9112 section 7.1).
    ChunkDataEnd,
    /// The body has much more chunk framing than content (RFC 9112 section 7.1.1).
    ChunkOverhead,
    /// The content exceeds its limit (RFC 9110 section 15.5.14).
    BodyTooLarge,
    /// The trailer section exceeds its limit (RFC 9112 section 7.1.2).
    TrailersTooLarge,
    /// The trailer section has more fields than its limit (RFC 9112 section 7.1.2).
    TooManyTrailers,
}

impl Error {
    /// Returns the status code of the response to this defect (RFC 9110 section 15).
    ///
    /// It is meant for a defect of a request. A client has nobody to respond to when it refuses a
    /// response, and a proxy responds to its own client with 502. That is what the defects return which
    /// only a response can have.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Error::ContentLengthOverflow | Error::BodyTooLarge => 413,
            Error::RequestLineTooLong => 414,
            Error::HeadTooLarge
            | Error::TooManyFields
            | Error::TrailersTooLarge
            | Error::TooManyTrailers => 431,
            Error::MethodTooLong | Error::UnknownCoding => 501,
            Error::StatusLine
            | Error::Status
            | Error::Reason
            | Error::StatusLineTooLong
            | Error::UnexpectedContent
            | Error::UnexpectedResponse
            | Error::UnexpectedUpgrade => 502,
            Error::VersionNotSupported => 505,
            _ => 400,
        }
    }
}

texts!(Error {
    EmptyLines => "too many empty lines before the request line",
    BareLf => "line ends in LF without CR",
    RequestLine => "request line without target",
    SimpleRequest => "request line without version (HTTP/0.9)",
    Method => "method is not a token",
    MethodTooLong => "method too long",
    Target => "invalid byte in the request target",
    TargetForm => "request target does not fit the method",
    RequestLineTooLong => "request line too long",
    Version => "malformed HTTP version",
    VersionNotSupported => "HTTP version not supported",
    StatusLine => "status line without status",
    Status => "invalid status",
    Reason => "control byte in the reason phrase",
    StatusLineTooLong => "status line too long",
    UnexpectedContent => "content where a response has none",
    UnexpectedResponse => "response without a request",
    UnexpectedUpgrade => "switch to a protocol that was not proposed",
    Truncated => "closed in the middle of a message",
    HeadTooLarge => "head too large",
    TooManyFields => "too many header fields",
    Unterminated => "head is not complete",
    FieldFold => "field line starts with whitespace",
    FieldColon => "field line without colon",
    FieldName => "invalid field name",
    FieldValue => "control byte in a field value",
    MissingHost => "Host is missing",
    RepeatedHost => "more than one Host",
    Host => "invalid Host",
    ContentLength => "Content-Length is not a number",
    RepeatedContentLength => "more than one Content-Length",
    ContentLengthOverflow => "Content-Length exceeds 64 bits",
    LengthWithCoding => "Content-Length with Transfer-Encoding",
    CodingInHttp10 => "Transfer-Encoding in HTTP/1.0",
    TransferEncoding => "invalid Transfer-Encoding",
    UnknownCoding => "transfer coding not implemented",
    ChunkSize => "invalid chunk size",
    ChunkExtension => "invalid chunk extension",
    ChunkLineTooLong => "chunk line too long",
    ChunkLineEnd => "chunk line does not end in CRLF",
    ChunkDataEnd => "chunk data is not followed by CRLF",
    ChunkOverhead => "too much chunk framing for the content",
    BodyTooLarge => "content too large",
    TrailersTooLarge => "trailer section too large",
    TooManyTrailers => "too many trailer fields",
});
