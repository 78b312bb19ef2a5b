//! The table of differences: each kind that is known, who differs, and why ours reads what it reads.
//!
//! A difference that no row explains fails the run. A row that no example shows fails a test.

use crate::compare::Part;
use crate::conditions;
use crate::peers::Peer::{Go, H11, Hyper, Llhttp, Nginx, Node, Pico};
use crate::row::{Reason, Row, Seen, When};

/// The place of the row that explains a difference.
pub fn explain(seen: &Seen<'_>) -> Option<usize> {
    ROWS.iter().position(|row| row.explains(seen))
}

/// A request with these chunks.
macro_rules! chunked {
    ($chunks:literal) => {
        concat!(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
            $chunks
        )
        .as_bytes()
    };
}

/// Ten times the same text.
macro_rules! ten {
    ($text:literal) => {
        concat!(
            $text, $text, $text, $text, $text, $text, $text, $text, $text, $text
        )
    };
}

const MANY_FIELDS: &str = concat!(
    "GET / HTTP/1.1\r\nHost: h\r\n",
    ten!("A:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n"),
    "\r\n",
);

pub const ROWS: &[Row] = &[
    Row {
        name: "bare LF",
        peers: &[Hyper, Llhttp, Pico, H11, Go, Node, Nginx],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 2.2",
        about: "A line of a head or of trailers ends in LF alone. Who reads it and who does not see \
            different lines.",
        when: When::WeRefuse(&["BareLf"]),
        examples: &[
            b"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET / HTTP/1.1\nHost: h\r\n\r\n",
            b"HTTP/1.1 200 OK\n\r\n",
            b"\n",
            b"GET / HTTP/1.1\r\nHost: h\r\n\n",
        ],
    },
    Row {
        name: "many empty lines",
        peers: &[Hyper, Llhttp, Node, Nginx],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 2.2",
        about: "More than four empty lines come before a request.",
        when: When::WeRefuse(&["EmptyLines"]),
        examples: &[b"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"],
    },
    Row {
        name: "no version",
        peers: &[Llhttp, Node],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 3",
        about: "The request line has no version, as in HTTP/0.9.",
        when: When::WeRefuse(&["SimpleRequest", "RequestLine"]),
        examples: &[b"GET /\r\nHost: h\r\n\r\n", b"GET\r\nHost: h\r\n\r\n"],
    },
    Row {
        name: "method",
        peers: &[Llhttp, Pico, Node, Nginx],
        reason: Reason::OursStricter,
        clause: "RFC 9110 section 9.1",
        about: "The method is empty or not a token.",
        when: When::WeRefuse(&["Method"]),
        examples: &[
            b"\rGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
            b" / HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    },
    Row {
        name: "target byte",
        peers: &[Hyper, Llhttp, Pico, H11, Go, Node, Nginx],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 3.2",
        about: "The target is empty, or has a `#` or a byte beyond printable ASCII.",
        when: When::WeRefuse(&["Target"]),
        examples: &[
            b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET /#f HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    },
    Row {
        name: "target form",
        peers: &[Hyper, Llhttp, Pico, H11, Go, Node],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 3.2",
        about: "The target is neither a path, a URI, `*` nor an authority, or does not fit the method.",
        when: When::WeRefuse(&["TargetForm"]),
        examples: &[
            b"GET a HTTP/1.1\r\nHost: h\r\n\r\n",
            b"CONNECT h:0 HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
            b"POST * HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    },
    Row {
        name: "version",
        peers: &[Llhttp, Pico, Node, Nginx],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 2.3",
        about: "The version is not `HTTP/`, a digit, a point and a digit.",
        when: When::WeRefuse(&["Version"]),
        examples: &[
            b"GET /  HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET / HTTP/1.01\r\nHost: h\r\n\r\n",
            b"GET / HTTP/1.10\r\nHost: h\r\n\r\n",
        ],
    },
    Row {
        name: "major version",
        peers: &[Llhttp, H11, Go, Node],
        reason: Reason::OursStricter,
        clause: "RFC 9110 section 15.6.6",
        about: "The major version is not 1.",
        when: When::WeRefuse(&["VersionNotSupported"]),
        examples: &[
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/0.9\r\nHost: h\r\n\r\n",
            b"GET / HTTP/2.0\r\nHost: h\r\n\r\n",
            b"HTTP/0.9 200 OK\r\n\r\n",
        ],
    },
    Row {
        name: "status",
        peers: &[Llhttp, Pico],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 4",
        about: "The status is not a number from 100 to 999.",
        when: When::WeRefuse(&["Status"]),
        examples: &[b"HTTP/1.1 040 x\r\n\r\n", b"HTTP/1.1 20 x\r\n\r\n"],
    },
    Row {
        name: "status line",
        peers: &[Hyper, Llhttp],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 4",
        about: "The status line is empty, or ends before the status does. Ours skips no empty lines \
            before a response.",
        when: When::WeRefuse(&["StatusLine"]),
        examples: &[b"\r\nHTTP/1.1 200 OK\r\n\r\n"],
    },
    Row {
        name: "reason",
        peers: &[Llhttp],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 4",
        about: "The reason phrase has a control character.",
        when: When::WeRefuse(&["Reason"]),
        examples: &[b"HTTP/1.1 200 a\x01b\r\n\r\n"],
    },
    Row {
        name: "folded line",
        peers: &[Pico, H11, Go, Nginx],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 5.2",
        about: "A field line begins with whitespace.",
        when: When::WeRefuse(&["FieldFold"]),
        examples: &[
            b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
            chunked!("0\r\nA: b\r\n c\r\n\r\n"),
            b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        ],
    },
    Row {
        name: "no colon",
        peers: &[Pico, Nginx],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 5",
        about: "A field line has no colon.",
        when: When::WeRefuse(&["FieldColon"]),
        examples: &[b"GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n", chunked!("0\r\nA\r\n\r\n")],
    },
    Row {
        name: "field name",
        peers: &[Pico, Go, Nginx],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 5.1",
        about: "A field name is empty, not a token, or followed by whitespace.",
        when: When::WeRefuse(&["FieldName"]),
        examples: &[
            b"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n",
            chunked!("0\r\nA : b\r\n\r\n"),
            chunked!("0\r\n:"),
            b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        ],
    },
    Row {
        name: "field value",
        peers: &[Pico, H11, Go, Nginx],
        reason: Reason::OursStricter,
        clause: "RFC 9110 section 5.5",
        about: "A field value has a control character.",
        when: When::WeRefuse(&["FieldValue"]),
        examples: &[
            b"GET / HTTP/1.1\r\nHost: h\r\nA: \x01\r\n\r\n",
            chunked!("0\r\nA: \x01\r\n\r\n"),
            chunked!("0\r\nA: b\rc"),
        ],
    },
    Row {
        name: "no Host",
        peers: &[Hyper, Llhttp, Pico, H11, Go, Node],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 3.2",
        about: "An HTTP/1.1 request has no Host.",
        when: When::WeRefuse(&["MissingHost"]),
        examples: &[
            b"CONNECT h:1 HTTP/1.2\r\n\r\n",
            b"CONNECT h:1 HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
        ],
    },
    Row {
        name: "several Hosts",
        peers: &[Hyper, Llhttp, Pico, Node],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 3.2",
        about: "A request has more than one Host.",
        when: When::WeRefuse(&["RepeatedHost"]),
        examples: &[b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n"],
    },
    Row {
        name: "Host",
        peers: &[Hyper, Llhttp, Pico, H11, Go, Node, Nginx],
        reason: Reason::OursStricter,
        clause: "RFC 9110 section 7.2",
        about: "Host is not a host with an optional port.",
        when: When::WeRefuse(&["Host"]),
        examples: &[
            b"GET / HTTP/1.1\r\nHost: [h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: {\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n",
        ],
    },
    Row {
        name: "length",
        peers: &[Hyper, Pico, H11, Go],
        reason: Reason::OursStricter,
        clause: "RFC 9110 section 8.6",
        about: "Content-Length is not a plain number.",
        when: When::WeRefuse(&["ContentLength"]),
        examples: &[
            b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0,0\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0,0\r\n\r\n",
            b"HTTP/1.1 304 x\r\nContent-Length: \r\n\r\n",
        ],
    },
    Row {
        name: "long length",
        peers: &[Hyper, Pico],
        reason: Reason::OursStricter,
        clause: "RFC 9110 section 8.6",
        about: "Content-Length does not fit into 64 bits.",
        when: When::WeRefuse(&["ContentLengthOverflow"]),
        examples: &[b"HTTP/1.1 304 x\r\nContent-Length: 18446744073709551616\r\n\r\n"],
    },
    Row {
        name: "several lengths",
        peers: &[Hyper, Pico, H11, Go],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 6.3",
        about: "There is more than one Content-Length, also if they are equal.",
        when: When::WeRefuse(&["RepeatedContentLength"]),
        examples: &[
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        ],
    },
    Row {
        name: "length and coding",
        peers: &[Hyper, Llhttp, Pico, H11, Go, Node],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 6.3",
        about: "The message has both Content-Length and Transfer-Encoding.",
        when: When::WeRefuse(&["LengthWithCoding"]),
        examples: &[
            b"HTTP/1.1 304 x\r\nTransfer-Encoding:\r\nContent-Length: 4\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\nContent-Length: 1\r\n\r\nx",
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ],
    },
    Row {
        name: "coding in HTTP/1.0",
        peers: &[Hyper, Llhttp, Pico, H11, Go, Node],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 6.1",
        about: "An HTTP/1.0 message has a transfer coding.",
        when: When::WeRefuse(&["CodingInHttp10"]),
        examples: &[
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ],
    },
    Row {
        name: "coding",
        peers: &[Hyper, Llhttp, Pico, Node],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 6.3",
        about: "Transfer-Encoding is no list of tokens, or `chunked` is not the last one, or stands \
            twice.",
        when: When::WeRefuse(&["TransferEncoding"]),
        examples: &[
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
        ],
    },
    Row {
        name: "other coding",
        peers: &[Hyper, Llhttp, Pico, Node],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 6.1",
        about: "The message has a transfer coding other than `chunked`.",
        when: When::WeRefuse(&["UnknownCoding"]),
        examples: &[
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        ],
    },
    Row {
        name: "chunk size",
        peers: &[Hyper, Llhttp, Pico, H11, Go, Node, Nginx],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 7.1",
        about: "A chunk size is not 1 to 16 hexadecimal digits. Zeros in front count: others limit the \
            value.",
        when: When::WeRefuse(&["ChunkSize"]),
        examples: &[
            chunked!("1\r\nx\r\n\r\n\r\n"),
            chunked!("00000000000000001\r\nx\r\n0\r\n\r\n"),
            chunked!("0x1\r\nx\r\n0\r\n\r\n"),
        ],
    },
    Row {
        name: "chunk extension",
        peers: &[Hyper, Llhttp, Pico, H11, Go, Node, Nginx],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 7.1.1",
        about: "A chunk extension is not one of the grammar.",
        when: When::WeRefuse(&["ChunkExtension"]),
        examples: &[
            chunked!("1;=\r\nx\r\n0\r\n\r\n"),
            chunked!("1;a=:\r\nx\r\n0\r\n\r\n"),
            chunked!("1;;a\r\nx\r\n0\r\n\r\n"),
        ],
    },
    Row {
        name: "chunk line end",
        peers: &[Hyper, Llhttp, Pico, H11, Go, Node, Nginx],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 7.1",
        about: "A chunk line does not end in CRLF, or in the middle of an extension.",
        when: When::WeRefuse(&["ChunkLineEnd"]),
        examples: &[
            chunked!("1\nx\r\n0\r\n\r\n"),
            chunked!("1;a=\r\nx\r\n0\r\n\r\n"),
            chunked!("1 \r\nx\r\n0\r\n\r\n"),
        ],
    },
    Row {
        name: "chunk data end",
        peers: &[Pico, Nginx],
        reason: Reason::OursStricter,
        clause: "RFC 9112 section 7.1",
        about: "Chunk data is not followed by CRLF.",
        when: When::WeRefuse(&["ChunkDataEnd"]),
        examples: &[chunked!("1\r\nx\n0\r\n\r\n")],
    },
    Row {
        name: "many fields",
        peers: &[Llhttp, Pico, H11, Go, Node, Nginx],
        reason: Reason::OursStricter,
        clause: "RFC 6585 section 5",
        about: "There are more fields than the limit of ours.",
        when: When::WeRefuse(&["TooManyFields", "TooManyTrailers"]),
        examples: &[MANY_FIELDS.as_bytes()],
    },
    Row {
        name: "content where there is none",
        peers: &[Hyper, Llhttp, Pico],
        reason: Reason::OursStricter,
        clause: "RFC 9110 section 8.6, RFC 9112 section 6.1",
        about: "An interim response or a 204 announces content.",
        when: When::WeRefuse(&["UnexpectedContent"]),
        examples: &[
            b"HTTP/1.1 204 x\r\nContent-Length: 1\r\n\r\nx",
            b"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ],
    },
    Row {
        name: "protocol that nobody asked for",
        peers: &[Hyper, Llhttp, Pico],
        reason: Reason::OursStricter,
        clause: "RFC 9110 section 15.2.2",
        about: "The response is a 101, and the request had no Upgrade.",
        when: When::WeRefuse(&["UnexpectedUpgrade"]),
        examples: &[b"HTTP/1.1 101 x\r\n\r\n"],
    },
    Row {
        name: "minor version",
        peers: &[Hyper, Llhttp, Node],
        reason: Reason::TheirFault,
        clause: "RFC 9110 section 2.5",
        about: "They refuse HTTP/1.2 to 1.9. Ours reads these like 1.1.",
        when: When::TheyRefuse(
            &[
                "status 400",
                "closed",
                "invalid HTTP version",
                "HPE_INVALID_VERSION Invalid HTTP version",
            ],
            conditions::has_later_version,
        ),
        examples: &[b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", b"HTTP/1.9 200 OK\r\n\r\n"],
    },
    Row {
        name: "known methods",
        peers: &[Llhttp, Node],
        reason: Reason::Open,
        clause: "RFC 9110 section 9.1",
        about: "They know a list of methods. Ours reads any token.",
        when: When::TheyRefuse(&["status 400", "closed", "HPE_INVALID_METHOD"], conditions::has_unknown_method),
        examples: &[
            b"FOO / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"get / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GETa / HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    },
    Row {
        name: "bytes of a URI",
        peers: &[Hyper, Go, Nginx],
        reason: Reason::Open,
        clause: "RFC 3986 section 2, RFC 9112 section 3.2",
        about: "They refuse printable bytes that no URI has, such as `<`, and `%` without digits. \
            Clients send some of them, so ours passes them on.",
        when: When::TheyRefuse(&["status 400", "invalid URI"], conditions::has_more_than_uri),
        examples: &[
            b"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET /<x> HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    },
    Row {
        name: "normal form of a URI",
        peers: &[Hyper],
        reason: Reason::Same,
        clause: "RFC 9110 section 4.2.3",
        about: "It tells the target `HTTP://h` as `http://h/`, which means the same.",
        when: When::Parts(&[Part::Target], conditions::has_normal_form),
        examples: &[
            b"GET http://h HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET HTTP://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    },
    Row {
        name: "whitespace in chunk extensions",
        peers: &[Llhttp, H11, Go, Node],
        reason: Reason::TheirFault,
        clause: "RFC 9112 section 7.1.1",
        about: "They refuse whitespace around `;` and `=`, which a recipient must read.",
        when: When::TheyRefuse(
            &[
                "status 400",
                "closed",
                "HPE_INVALID_CHUNK_SIZE",
                "HPE_STRICT Invalid character in chunk ext",
            ],
            conditions::has_whitespace_in_chunk_line,
        ),
        examples: &[chunked!("1 ;a\r\nx\r\n0\r\n\r\n"), chunked!("1; a\r\nx\r\n0\r\n\r\n")],
    },
    Row {
        name: "tab around a value",
        peers: &[Llhttp, Node, Nginx],
        reason: Reason::TheirFault,
        clause: "RFC 9110 section 5.5",
        about: "They refuse a tab before or after a value: of Content-Length, and nginx also of \
            Transfer-Encoding and Host.",
        when: When::TheyRefuse(
            &[
                "status 501",
                "status 400",
                "closed",
                "HPE_INVALID_CONTENT_LENGTH Invalid character",
                "HPE_INVALID_TRANSFER_ENCODING Request has invalid",
            ],
            conditions::has_tab_and_framing,
        ),
        examples: &[
            b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\t\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\t\r\n\r\nx",
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\t1\r\n\r\nx",
        ],
    },
    Row {
        name: "framing field in trailers",
        peers: &[Llhttp, H11, Node],
        reason: Reason::Open,
        clause: "RFC 9110 section 6.5.1",
        about: "They refuse a trailer that would frame a message. Ours never merges trailers, so it \
            frames nothing.",
        when: When::TheyRefuse(
            &[
                "status 501",
                "status 400",
                "closed",
                "HPE_INVALID_TRANSFER_ENCODING",
                "HPE_INVALID_CONTENT_LENGTH",
                "HPE_UNEXPECTED_CONTENT_LENGTH",
            ],
            conditions::has_framing_trailer,
        ),
        examples: &[
            chunked!("0\r\nTransfer-Encoding: gzip\r\n\r\n"),
            chunked!("0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ],
    },
    Row {
        name: "Proxy-Connection",
        peers: &[Llhttp, Node],
        reason: Reason::TheirFault,
        clause: "RFC 9112 appendix C.2.2",
        about: "They read Proxy-Connection as if it were Connection.",
        when: When::Parts(&[Part::End], |seen| seen.has_any_case(b"proxy-connection")),
        examples: &[
            b"GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nProxy-Connection: close\r\n\r\n",
        ],
    },
    Row {
        name: "close beside keep-alive",
        peers: &[Llhttp, Go, Node, Nginx],
        reason: Reason::TheirFault,
        clause: "RFC 9112 section 9.3",
        about: "They keep a connection whose client has sent both `close` and `keep-alive`: nginx if \
            `keep-alive` comes in another field, and the others in HTTP/1.0.",
        when: When::Parts(&[Part::End], conditions::closes_in_spite),
        examples: &[
            b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET / HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n",
        ],
    },
    Row {
        name: "Connection in trailers",
        peers: &[Llhttp],
        reason: Reason::TheirFault,
        clause: "RFC 9110 section 6.5.1",
        about: "It obeys a Connection field in trailers, which must not be merged into the head.",
        when: When::Parts(&[Part::End], conditions::has_connection_trailer),
        examples: &[chunked!("0\r\nConnection: close\r\n\r\n")],
    },
    Row {
        name: "options beyond ASCII",
        peers: &[Hyper],
        reason: Reason::TheirFault,
        clause: "RFC 9112 section 9.3",
        about: "It reads no option of a Connection that has a byte beyond ASCII, neither `close` nor \
            `keep-alive`.",
        when: When::Parts(&[Part::End], conditions::has_option_beyond_ascii),
        examples: &[
            b"GET / HTTP/1.1\r\nHost: h\r\nConnection: \xff, close\r\n\r\n",
            b"GET / HTTP/1.0\r\nConnection: \xff, keep-alive\r\n\r\n",
        ],
    },
    Row {
        name: "scheme",
        peers: &[Llhttp, Node],
        reason: Reason::TheirFault,
        clause: "RFC 3986 section 3.1",
        about: "They refuse a digit or a sign in a scheme.",
        when: When::TheyRefuse(
            &["status 400", "HPE_INVALID_URL Unexpected char in url schema"],
            |seen| !seen.our_target().starts_with(b"/"),
        ),
        examples: &[b"GET h2+a://h HTTP/1.1\r\nHost: h\r\n\r\n"],
    },
    Row {
        name: "close in an interim response",
        peers: &[Llhttp],
        reason: Reason::Open,
        clause: "RFC 9112 section 9.3",
        about: "It takes a `close` in an interim response for the end of the connection. Ours waits for \
            the response.",
        when: When::Parts(&[Part::End], conditions::closes_after_interim),
        examples: &[b"HTTP/1.1 103 x\r\nConnection: close\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"],
    },
    Row {
        name: "expectation",
        peers: &[Go, Node],
        reason: Reason::Open,
        clause: "RFC 9110 section 10.1.1",
        about: "They respond with 417 to an expectation that they do not know. The codec of ours leaves \
            it to the server, which does the same.",
        when: When::TheyRefuse(&["status 417"], |seen| seen.our_has(b"expect")),
        examples: &[b"GET / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n"],
    },
    Row {
        name: "keep-alive in HTTP/1.0",
        peers: &[H11],
        reason: Reason::Open,
        clause: "RFC 9112 section 9.3",
        about: "It never keeps a connection of HTTP/1.0. Ours does if the client asks for it.",
        when: When::TheyRefuse(&["closed"], |seen| seen.our_before(|before| before.minor == 0)),
        examples: &[b"GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n"],
    },
    Row {
        name: "what follows an Upgrade",
        peers: &[Node],
        reason: Reason::TheirFault,
        clause: "RFC 9110 section 7.8",
        about: "It does not switch, and yet drops the requests that follow in the same piece, and never \
            refuses bad content.",
        when: When::TheyRefuse(&["closed", "no answer"], conditions::has_upgrade),
        examples: &[
            b"GET /1 HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    },
    Row {
        name: "close in a part of an option",
        peers: &[Go, Nginx],
        reason: Reason::TheirFault,
        clause: "RFC 9112 section 9.3",
        about: "They find `close` in a part of an option: nginx in `closed`, and both in `close me`.",
        when: When::TheyRefuse(
            &["closed"],
            conditions::follows_part_of_close,
        ),
        examples: &[
            b"GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close me\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET /1 HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    },
    Row {
        name: "path of a URI",
        peers: &[Nginx],
        reason: Reason::Same,
        clause: "RFC 9112 section 3.2.1",
        about: "As a proxy, it forwards the path of `http://h/a`, and puts the host into Host.",
        when: When::Parts(&[Part::Target], conditions::has_path_of_uri),
        examples: &[b"GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n"],
    },
    Row {
        name: "names of methods",
        peers: &[Nginx],
        reason: Reason::Open,
        clause: "RFC 9110 section 9.1",
        about: "It reads a method of capital letters, `_` and `-` alone. Ours reads any token.",
        when: When::TheyRefuse(&["status 400"], conditions::has_unusual_method),
        examples: &[b"get / HTTP/1.1\r\nHost: h\r\n\r\n"],
    },
    Row {
        name: "OPTIONS *",
        peers: &[Go],
        reason: Reason::Open,
        clause: "RFC 9110 section 9.3.7",
        about: "Its server responds to `OPTIONS *` before the program sees it.",
        when: When::TheyRefuse(&["status 200"], |seen| seen.our_target() == b"*"),
        examples: &[b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"],
    },
    Row {
        name: "methods for proxies",
        peers: &[Nginx],
        reason: Reason::Open,
        clause: "RFC 9110 section 15.5.6",
        about: "It responds with 405 to TRACE and CONNECT.",
        when: When::TheyRefuse(&["status 400", "status 405"], conditions::has_method_of_proxies),
        examples: &[b"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n"],
    },
    Row {
        name: "asterisk",
        peers: &[Nginx],
        reason: Reason::TheirFault,
        clause: "RFC 9112 section 3.2.4",
        about: "It refuses the target `*`.",
        when: When::TheyRefuse(&["status 400"], |seen| seen.our_target() == b"*"),
        examples: &[b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"],
    },
    Row {
        name: "refusal first",
        peers: &[Node],
        reason: Reason::Same,
        clause: "RFC 9112 section 9.3.2",
        about: "It refuses a request before its program has responded to those that came before it in \
            the same piece.",
        when: When::TheyRefuse(&["status 400"], conditions::is_before_refusal),
        examples: &[b"GET / HTTP/1.1\r\nHost: h\r\n\r\nG(T"],
    },
    Row {
        name: "repeated fields",
        peers: &[Nginx],
        reason: Reason::Open,
        clause: "RFC 9110 section 5.2",
        about: "It refuses two fields of some names that are no lists. Ours does so for those that frame \
            and route.",
        when: When::TheyRefuse(&["status 400"], conditions::has_repeated_field),
        examples: &[
            b"GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n\r\n",
        ],
    },
    Row {
        name: "digits of a length",
        peers: &[H11],
        reason: Reason::Open,
        clause: "RFC 9110 section 8.6",
        about: "It refuses a Content-Length of more than 20 digits. Ours counts no zeros in front.",
        when: When::TheyRefuse(
            &["status 400"],
            |seen| seen.our_value(b"content-length").len() > 20,
        ),
        examples: &[b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 000000000000000000000\r\n\r\n"],
    },
    Row {
        name: "content of CONNECT",
        peers: &[H11, Go],
        reason: Reason::Open,
        clause: "RFC 9110 section 9.3.6",
        about: "They read content after CONNECT, and refuse what is not good content. Ours leaves it to \
            the program.",
        when: When::TheyRefuse(&["status", "closed"], conditions::is_connect_with_content),
        examples: &[
            b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nx",
            b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        ],
    },
    Row {
        name: "empty Host",
        peers: &[Nginx],
        reason: Reason::Open,
        clause: "RFC 9110 section 7.2",
        about: "It refuses an empty Host, which a client sends if its target has no authority.",
        when: When::TheyRefuse(&["status 400"], conditions::has_empty_host),
        examples: &[b"GET / HTTP/1.1\r\nHost:\r\n\r\n"],
    },
    Row {
        name: "path that leads out",
        peers: &[Nginx],
        reason: Reason::Open,
        clause: "RFC 3986 section 5.2.4",
        about: "It refuses `%00` and a path above the root. The codec of ours takes no path apart.",
        when: When::TheyRefuse(&["status 400"], conditions::has_path_that_leads_out),
        examples: &[
            b"GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET /../ HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    },
    Row {
        name: "tab after close",
        peers: &[Llhttp, Node],
        reason: Reason::TheirFault,
        clause: "RFC 9110 section 5.5",
        about: "They do not find `close` in Connection if a tab follows, and keep the connection.",
        when: When::Parts(&[Part::End], conditions::closes_with_tab),
        examples: &[b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\t\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\t\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"],
    },
    Row {
        name: "escape in a host",
        peers: &[Hyper, Go, Nginx],
        reason: Reason::TheirFault,
        clause: "RFC 3986 section 3.2.2",
        about: "They refuse an escape in the host of a target.",
        when: When::TheyRefuse(&["invalid URI", "status 400"], |seen| {
            seen.has(&[b"%"]) && !seen.our_target().starts_with(b"/")
        }),
        examples: &[b"CONNECT %41:1 HTTP/1.1\r\nHost: h\r\n\r\n", b"GET http://%41/ HTTP/1.1\r\nHost: h\r\n\r\n"],
    },
    Row {
        name: "length of a tunnel",
        peers: &[Llhttp],
        reason: Reason::TheirFault,
        clause: "RFC 9112 section 6.3",
        about: "It refuses a 2xx response to CONNECT for a length or coding that must be ignored.",
        when: When::TheyRefuse(
            &[
                "HPE_INVALID_CONTENT_LENGTH",
                "HPE_INVALID_TRANSFER_ENCODING",
                "HPE_UNEXPECTED_CONTENT_LENGTH",
            ],
            conditions::begins_tunnel,
        ),
        examples: &[b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"],
    },
    Row {
        name: "empty lines",
        peers: &[Pico, H11, Go],
        reason: Reason::Open,
        clause: "RFC 9112 section 2.2",
        about: "They skip one empty line before a request, or none. Ours skips four.",
        when: When::TheyRefuse(&["status 400", "-1"], conditions::follows_empty_line),
        examples: &[b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"],
    },
    Row {
        name: "no space after the status",
        peers: &[Pico],
        reason: Reason::Open,
        clause: "RFC 9112 section 4",
        about: "It needs the space before a reason phrase that is not there. Servers leave out that \
            space, and ours reads it.",
        when: When::TheyRefuse(&["-1"], conditions::ends_with_status),
        examples: &[b"HTTP/1.1 200\r\n\r\n"],
    },
    Row {
        name: "largest length",
        peers: &[Hyper],
        reason: Reason::Open,
        clause: "RFC 9110 section 8.6",
        about: "It refuses the largest two lengths of 64 bits, which it uses as marks.",
        when: When::TheyRefuse(&["message head is too large"], conditions::has_largest_length),
        examples: &[b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\r\n"],
    },
    Row {
        name: "line ends before the end",
        peers: &[Hyper, Llhttp, Pico, H11, Go],
        reason: Reason::Open,
        clause: "RFC 9112 section 2.2",
        about: "The stream ends after line ends that are not a message. One of the two passes over them, \
            and the other refuses them.",
        when: When::Parts(&[Part::End], conditions::rest_is_line_ends),
        examples: &[b"\n\r", b"\r\n\r", b"\n"],
    },
    Row {
        name: "earlier",
        peers: &[Hyper, Llhttp, Pico],
        reason: Reason::Same,
        clause: "RFC 9112 section 2.2",
        about: "Ours refuses what they have not seen enough of. No more bytes could make it legal.",
        when: When::WeRefuseFirst,
        examples: &[b"\n", b":"],
    },
    Row {
        name: "later",
        peers: &[Hyper, Llhttp, Pico],
        reason: Reason::Same,
        clause: "RFC 9112 section 2.2",
        about: "They refuse what ours waits for. Each run completes the message in several ways, and \
            judges these.",
        when: When::TheyRefuseFirst,
        examples: &[b"#", b"P;", b"1\r"],
    },
];
