//! What differs from CPython's `http.server`, and why: clause by clause.
//!
//! The clauses are those of the specification that the tests cite; *http.server* is that of CPython
//! 3.13, whose behaviour was measured. Most differences have one of three reasons:
//!
//! * **RFC**: RFC 9110 or RFC 9112 says otherwise. `http.server` began as a server for HTTP/0.9 and
//!   1.0, and reads leniently; what two parsers could read in two ways is how requests are smuggled
//!   (RFC 9112 §11.2), so here it is refused.
//! * **Bounds**: there is no wait without an end and no memory that a client decides on.
//! * **Loop**: one thread serves everybody, so nothing may block.
//!
//! No setting brings the old behaviour back.
//!
//! # The server
//!
//! | clause | | here | because |
//! | --- | --- | --- | --- |
//! | HTTP-1 | differs | the address can be bound again at once; there is no `server_name`, and nothing is looked up (WSGI's `SERVER_NAME` is the address) | a reverse look-up can stall the start |
//! | HTTP-2 | same | [`ThreadingHttpServer`](super::ThreadingHttpServer) waits for no thread when it closes | |
//! | HTTP-3 | differs | HTTP/1.1, no default version, `Server: serve_forever/<version>`; the type of the error page is the same | RFC 9112 §2.3; no client speaks 0.9 |
//! | HTTP-4 | same | request after request, until one leaves the connection to be closed; decided before the answer, which says so | |
//! | HTTP-5 | differs | [`Request`](super::Request): `method()` (`command`), `target()` as it came and `path()` without the query, `version()`, `headers()`, `body()`, `client_address()`, and more. The request line is in [`LogEntry`](super::LogEntry). There is no writer and no close flag: a [`Response`](super::Response) is consumed, and `Connection: close` closes | an answer is whole, or it is 500 |
//!
//! # The request line
//!
//! | clause | | here | because |
//! | --- | --- | --- | --- |
//! | HTTP-6 | differs | 8 KiB without the line end, a [limit](super::h1::HeadLimits); then 414, closed, and logged with an empty request line as there | RFC 9112 §3 recommends 8000 bytes; bounds |
//! | HTTP-7 | differs | the end before the first byte closes silently, too; a few empty lines are skipped, then 400; a line of blanks is 400 | RFC 9112 §2.2 |
//! | HTTP-8 | differs | only CRLF ends a line, one SP stands between words, no byte but printable ASCII is in a target; else 400 | RFC 9112 §2.2, §3; the Better note would allow TAB |
//! | HTTP-9 | differs | one word, two, and more than three are 400; what was wrong is in the explanation of the error page, and the reason stays `Bad Request` | RFC 9112 §3; what a client sent is not quoted in a status line |
//! | HTTP-10 | differs | `HTTP/`, one digit, a dot, one digit; else 400 | RFC 9112 §2.3 |
//! | HTTP-11 | differs | any major version but 1 is 505, 0 too; 1.2 to 1.9 count as 1.1 | RFC 9110 §2.5, §15.6.6 |
//! | HTTP-12 | differs | every answer has a status line, and is HTTP/1.1 | Better note |
//! | HTTP-13 | differs | `HTTP/0.9` in words is 505, implied it is 400 | most of what looks like 0.9 is HTTP/1.1 gone wrong (RFC 9112 appendix C.1) |
//! | HTTP-14 | differs | a line of two words is answered at its end, by 400, without waiting for fields | Better note, but that it is not served |
//! | HTTP-15 | differs | `path()` has one leading slash, also that of an absolute target; `target()` and the log are as it came | also `http://h//x` must not become `Location: //x` (gh-87389) |
//!
//! # The fields
//!
//! | clause | | here | because |
//! | --- | --- | --- | --- |
//! | HTTP-16 | differs | 32 KiB for the whole head and 100 fields, [limits](super::h1::HeadLimits); then 431, with the request line in the log | bounds: 100 lines of 64 KiB would be 6 MiB |
//! | HTTP-17 | differs | the same, but that values are bytes, without blanks on either side | RFC 9110 §5.5 |
//! | HTTP-18 | differs | only an empty line ends the fields; a client that leaves before is not served | Better note, RFC 9112 §8 |
//! | HTTP-19 | differs | every malformed line is 400; a bare CR is no line end; folded values are refused | Better note, RFC 9112 §5 |
//! | HTTP-20 | differs | exactly one valid `Host` in HTTP/1.1; one `Content-Length` of digits, and not with `Transfer-Encoding`; else 400 | Better note, RFC 9112 §3.2, §6.3 |
//!
//! # Persistence and content
//!
//! | clause | | here | because |
//! | --- | --- | --- | --- |
//! | HTTP-21 | differs | HTTP/1.1 is kept unless it says `close`, 1.0 closed unless it says `keep-alive`; all `Connection` fields count, as lists | RFC 9112 §9.3 |
//! | HTTP-22 | differs | a handler closes with `Connection: close`; it cannot keep open what the client closes. Errors, the end and deadlines close | RFC 9112 §9.6 |
//! | HTTP-23 | same | what the Better note says | |
//! | HTTP-24 | same | pipelined requests are answered in order; above 64 KiB of answers the next one waits | |
//! | HTTP-25 | differs | content is decoded and handed to the handler, whole or as it arrives, within a limit; what nobody read never becomes a request | Better note: request smuggling |
//! | HTTP-26 | differs | `100 Continue` is sent when the content is first wanted, so never if it is refused or already there; anything else expected is 417. [`intake`](super::HttpRequestHandler::intake) is `handle_expect_100` | RFC 9110 §10.1.1 |
//! | HTTP-27 | differs | [deadlines](super::Deadlines) in every phase; 408 if a request had begun, else closed silently | Better note; bounds |
//!
//! # Answers
//!
//! | clause | | here | because |
//! | --- | --- | --- | --- |
//! | HTTP-28 | same | 501 `Unsupported method ('X')` for a method without a function; a closure gets them all | |
//! | HTTP-29 | differs | status line, `Server`, `Date`, in that order; the log is written later (LOG-5) | |
//! | HTTP-30 | same | the server's version, which is 1.1; an unknown code has an empty reason, and the space stays | |
//! | HTTP-31 | differs | the same order and duplicates; a value is bytes, and one with a control character fails the answer: 500, and nothing of it is sent. `Transfer-Encoding` is refused, `Content-Length` kept to | Better note: response splitting |
//! | HTTP-32 | differs | head and content, or its first block, are one write | a second write waits for the client's acknowledgement |
//! | HTTP-33 | differs | `Server` names no language version, and can be another or none; `Date` is the same, formatted once a second | nobody's business |
//! | HTTP-34 | differs | the same lines and page; `Connection: close` comes after `Content-Type` and `Content-Length`, all in one write | |
//! | HTTP-35 | differs | no content for 204, 205, 304 and HEAD, also where a HEAD request is refused before its handler; 205 says so by a `Content-Length` of 0; 1xx is no answer (500) | RFC 9110 §15.2: an interim status ends no request; §15.3.6: nothing else says that 205 has none |
//! | HTTP-36 | differs | the same page, to the byte; reason and explanation can be others ([`send_error_with`](super::Response::send_error_with)). There is no template to replace: a handler writes a page of its own with [`send_response`](super::Response::send_response) | |
//! | HTTP-37 | same | `???` | |
//! | HTTP-38 | same | the phrases and explanations of 3.13 | |
//! | HTTP-39 | differs | of what a client sent only its method is quoted, a token, in which there is nothing to escape; a reason with a control character is refused | |
//!
//! # The log
//!
//! Nothing is logged unless the handler does, or an [`AccessLog`](super::AccessLog) around it.
//!
//! | clause | | here | because |
//! | --- | --- | --- | --- |
//! | LOG-1 | differs | [`LogFormat::Python`](super::LogFormat) is that line, in UTC unless an [offset](super::AccessLog::utc_offset) is set; `Common`, `Combined` and `Json` say which zone it is. To standard error if that is the [sink](super::LogSink) | std knows no time zones |
//! | LOG-2 | differs | the size is always known and written, as `wsgiref` does, also 0; `- -` for a client that left before there was an answer | LOG-5 |
//! | LOG-3 | same | in the format of Python; the others escape quotation marks, too, and are ASCII | fields in quotation marks must be told apart |
//! | LOG-4 | same | in the formats of Python and JSON; in the two others only if [asked](super::AccessLog::errors) | who reads those expects a request in each line |
//! | LOG-5 | differs | written when the answer *ends*: its size, its duration and whether it is whole are known then. For an answer that is there at once that is before any byte is sent, as in Python; it proves no delivery either | a line that is written first cannot know |
//! | LOG-6 | same | the address, never a name; each line is one call of the sink, and one write | |
//!
//! # Files
//!
//! [`SimpleHttpRequestHandler`](super::SimpleHttpRequestHandler), and `examples/http_server`.
//!
//! | clause | | here | because |
//! | --- | --- | --- | --- |
//! | STATIC-1 | differs | the same methods; the `Server` field is the server's own, without `SimpleHTTP/0.6`; the directory is made absolute when the handler is made | |
//! | STATIC-2 | differs | the same steps, on bytes; a target with `#` or with a byte that is not ASCII is 400 before that, and an absolute target is one, not a name that begins with `http:` | RFC 9112 §3.2 |
//! | STATIC-3 | differs | the same, but that a target without a leading slash is 400 | RFC 9112 §3.2 |
//! | STATIC-4 | differs | a link that leads out of the directory is 404, unless [followed](super::SimpleHttpRequestHandler::follow_symlinks) | who can make a link below the root must not thereby publish what is not |
//! | STATIC-5 | differs | 404 | Better note |
//! | STATIC-6 | differs | the same; what no URI may hold is escaped in `Location` | browsers read `/\h/` as `//h/` |
//! | STATIC-7 | same | a page that is there but cannot be opened is 404, not listed | |
//! | STATIC-8 | differs | the same; but 503 while descriptors are short | the file is there |
//! | STATIC-9 | differs | also `ETag` and `Accept-Ranges`; `Content-Length` comes last. Only regular files are opened, and as much as announced is sent, or the connection is cut. `Last-Modified` is never in the future, and is left out for a time before 1970 | Better note; RFC 9110 §8.8.2.1 |
//! | STATIC-10 | differs | all conditional fields, with entity tags, and ranges; a 304 has the `ETag`. Dates are those of RFC 9110 with UTC said in any way or not at all; one with a wrong weekday or without one is ignored | RFC 9110 §13, §14, §15.4.5 |
//! | STATIC-11 | differs | a table of our own, to which can be [added](super::SimpleHttpRequestHandler::content_type). `.br` and `.svgz` are `application/octet-stream`, since they are sent as they are, compressed | Better note |
//! | STATIC-12 | differs | the same page. Names are sorted by themselves where they differ in case alone; a name that is no UTF-8 is shown with U+FFFD | the page says that it is UTF-8 |
//! | STATIC-13 | differs | links and paths are the bytes of the names | Better note |
//! | STATIC-14 | same | also if listing is [switched off](super::SimpleHttpRequestHandler::list_directories) | |
//! | CLI-1 | differs | the same arguments without `-p` and `--cgi`; on loopback alone by default; `ADDRESS:PORT` is understood, too. All connections are on the loop, `--threads` reads files elsewhere. HTTP/1.1 | a directory is not published to a network by accident |
//! | CLI-2 | same | no name is loopback, see CLI-1 | |
//! | CLI-3 | differs | the same line; Ctrl-C lets downloads end, for ten seconds or until it is pressed again, and SIGTERM does the same | |
