//! The reasons to refuse a message, and the status of each.

use core::fmt;

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

    fn reason(self) -> &'static str {
        match self {
            Error::EmptyLines => "too many empty lines before the request line",
            Error::BareLf => "line ends in LF without CR",
            Error::RequestLine => "request line without target",
            Error::SimpleRequest => "request line without version (HTTP/0.9)",
            Error::Method => "method is not a token",
            Error::MethodTooLong => "method too long",
            Error::Target => "invalid byte in the request target",
            Error::TargetForm => "request target does not fit the method",
            Error::RequestLineTooLong => "request line too long",
            Error::Version => "malformed HTTP version",
            Error::VersionNotSupported => "HTTP version not supported",
            Error::StatusLine => "status line without status",
            Error::Status => "invalid status",
            Error::Reason => "control byte in the reason phrase",
            Error::StatusLineTooLong => "status line too long",
            Error::UnexpectedContent => "content where a response has none",
            Error::UnexpectedResponse => "response without a request",
            Error::UnexpectedUpgrade => "switch to a protocol that was not proposed",
            Error::Truncated => "closed in the middle of a message",
            Error::HeadTooLarge => "head too large",
            Error::TooManyFields => "too many header fields",
            Error::Unterminated => "head is not complete",
            Error::FieldFold => "field line starts with whitespace",
            Error::FieldColon => "field line without colon",
            Error::FieldName => "invalid field name",
            Error::FieldValue => "control byte in a field value",
            Error::MissingHost => "Host is missing",
            Error::RepeatedHost => "more than one Host",
            Error::Host => "invalid Host",
            Error::ContentLength => "Content-Length is not a number",
            Error::RepeatedContentLength => "more than one Content-Length",
            Error::ContentLengthOverflow => "Content-Length exceeds 64 bits",
            Error::LengthWithCoding => "Content-Length with Transfer-Encoding",
            Error::CodingInHttp10 => "Transfer-Encoding in HTTP/1.0",
            Error::TransferEncoding => "invalid Transfer-Encoding",
            Error::UnknownCoding => "transfer coding not implemented",
            Error::ChunkSize => "invalid chunk size",
            Error::ChunkExtension => "invalid chunk extension",
            Error::ChunkLineTooLong => "chunk line too long",
            Error::ChunkLineEnd => "chunk line does not end in CRLF",
            Error::ChunkDataEnd => "chunk data is not followed by CRLF",
            Error::ChunkOverhead => "too much chunk framing for the content",
            Error::BodyTooLarge => "content too large",
            Error::TrailersTooLarge => "trailer section too large",
            Error::TooManyTrailers => "too many trailer fields",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::Error::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    /// A log or a test that prints the text knows which defect it was.
    #[test]
    fn each_defect_has_a_text_of_its_own() {
        let errors = [
            EmptyLines,
            BareLf,
            RequestLine,
            SimpleRequest,
            Method,
            MethodTooLong,
            Target,
            TargetForm,
            RequestLineTooLong,
            Version,
            VersionNotSupported,
            StatusLine,
            Status,
            Reason,
            StatusLineTooLong,
            UnexpectedContent,
            UnexpectedResponse,
            UnexpectedUpgrade,
            Truncated,
            HeadTooLarge,
            TooManyFields,
            Unterminated,
            FieldFold,
            FieldColon,
            FieldName,
            FieldValue,
            MissingHost,
            RepeatedHost,
            Host,
            ContentLength,
            RepeatedContentLength,
            ContentLengthOverflow,
            LengthWithCoding,
            CodingInHttp10,
            TransferEncoding,
            UnknownCoding,
            ChunkSize,
            ChunkExtension,
            ChunkLineTooLong,
            ChunkLineEnd,
            ChunkDataEnd,
            ChunkOverhead,
            BodyTooLarge,
            TrailersTooLarge,
            TooManyTrailers,
        ];
        let mut texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts[0], "too many empty lines before the request line");
        assert!(texts.iter().all(|text| !text.is_empty()));
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), errors.len());
    }
}
