//! The differences from CPython's `http.server`, clause by clause, with their reasons.
//!
//! The clauses are those of the [specification](crate::spec). *http.server* is that of CPython 3.13,
//! whose behaviour was measured. Most differences have one of these reasons:
//!
//! * **RFC**: RFC 9110 or RFC 9112 says otherwise. `http.server` began as a server for HTTP/0.9 and
//!   1.0, and it reads leniently. But if two parsers can read the same bytes in two ways, requests can
//!   be smuggled (RFC 9112 §11.2), so such requests are refused here.
//! * **Bounds**: every wait has an end, and no client decides how much memory is used.
//! * **Loop**: one thread serves all clients, so nothing may block.
//! * **Defect**: CPython's own behaviour is a defect or a limit.
//!
//! No setting brings the old behaviour back.
//!
//! # The server
//!
//! | clause | | here | because |
//! | --- | --- | --- | --- |
//! | HTTP-1 | differs | the address can be bound again immediately; there is no `server_name`, and no name is looked up (WSGI's `SERVER_NAME` is the address) | defect: a reverse look-up can delay the start |
//! | HTTP-2 | differs | as in Python, a [`ThreadingHttpServer`](super::ThreadingHttpServer) that closes does not wait for its threads. But the loop has the sockets and closes them: a request in flight gets no response, unless the server is drained, or told to [wait](super::ThreadedHttp::block_on_close). 32 threads run the handlers of all connections, and each request has a clone of the handler | loop: an idle or slow client holds no thread |
//! | HTTP-3 | differs | the server speaks HTTP/1.1, there is no default version, and `Server` is `serve_forever/<version>`; the type of the error page is the same | RFC 9112 §2.3; no client speaks 0.9 |
//! | HTTP-4 | same | requests follow each other on a connection until one of them closes it; this is decided before the response, which announces it | |
//! | HTTP-5 | differs | [`Request`](super::Request) has `method()` (`command`), `target()` as it was sent and `path()` without the query, `version()`, `headers()`, `body()`, `client_address()`, and more. The request line is in [`LogEntry`](super::LogEntry). There is no writer and no close flag: a [`Response`](super::Response) is consumed, and `Connection: close` closes | a response is complete, or it is a 500 |
//!
//! # The request line
//!
//! | clause | | here | because |
//! | --- | --- | --- | --- |
//! | HTTP-6 | differs | a request line has at most 8 KiB without its line end, a [limit](super::h1::HeadLimits); a longer one gets 414, the connection is closed, and the log has an empty request line as in Python | RFC 9112 §3 recommends 8000 bytes; bounds |
//! | HTTP-7 | differs | as in Python, the connection is closed silently if the client closes it before the first byte; a few empty lines are skipped, more get 400; a line of blanks gets 400 | RFC 9112 §2.2 |
//! | HTTP-8 | differs | only CRLF ends a line, one SP separates words, and a target consists of printable ASCII; anything else gets 400 | RFC 9112 §2.2, §3 |
//! | HTTP-9 | differs | a line of one word, two words or more than three gets 400; the error page explains the defect, and the reason stays `Bad Request` | RFC 9112 §3; a status line never quotes what a client sent |
//! | HTTP-10 | differs | a version is `HTTP/`, one digit, a dot, one digit; anything else gets 400 | RFC 9112 §2.3 |
//! | HTTP-11 | differs | any major version except 1 gets 505, also 0; 1.2 to 1.9 count as 1.1 | RFC 9110 §2.5, §15.6.6 |
//! | HTTP-12 | differs | every response has a status line, and is HTTP/1.1 | defect |
//! | HTTP-13 | differs | an explicit `HTTP/0.9` gets 505, and a line without version gets 400 | what looks like 0.9 is mostly malformed HTTP/1.1 (RFC 9112 appendix C.1) |
//! | HTTP-14 | differs | a line of two words gets 400 as soon as it ends; no fields are awaited | defect: a client that sends one line and waits would hang |
//! | HTTP-15 | differs | `path()` has one leading slash, also for an absolute target; `target()` and the log have what was sent | `http://h//x` must not become `Location: //x` (gh-87389) |
//!
//! # The fields
//!
//! | clause | | here | because |
//! | --- | --- | --- | --- |
//! | HTTP-16 | differs | a head has at most 32 KiB and 100 fields, [limits](super::h1::HeadLimits); a larger one gets 431, and the log has its request line | bounds: 100 lines of 64 KiB would be 6 MiB |
//! | HTTP-17 | differs | the same, except that values are bytes, without blanks on either side | RFC 9110 §5.5 |
//! | HTTP-18 | differs | only an empty line ends the fields; if the client disconnects before, the request is not served | defect; RFC 9112 §8 |
//! | HTTP-19 | differs | every malformed line gets 400; a bare CR is not a line end; folded values are refused | defect; RFC 9112 §5 |
//! | HTTP-20 | differs | HTTP/1.1 needs exactly one valid `Host`; there may be one `Content-Length` of digits, and not together with `Transfer-Encoding`; anything else gets 400 | defect; RFC 9112 §3.2, §6.3 |
//!
//! # Persistence and bodies
//!
//! | clause | | here | because |
//! | --- | --- | --- | --- |
//! | HTTP-21 | differs | an HTTP/1.1 connection stays open unless a message has `close`, a 1.0 connection is closed unless the client sends `keep-alive`; all `Connection` fields count, as lists | RFC 9112 §9.3 |
//! | HTTP-22 | differs | a handler closes with `Connection: close`, but cannot keep a connection open that the client closes; a refused request, a handler that fails, deadlines and the end of the client's input also close | RFC 9112 §9.6 |
//! | HTTP-23 | same | `Connection` is read as a list, HTTP/1.1 is the default, and a response without framing closes | |
//! | HTTP-24 | same | pipelined requests are served in order; while more than 64 KiB of responses wait to be sent, the next request waits | |
//! | HTTP-25 | differs | a body is decoded and passed to the handler, whole or as it arrives, within a limit; a body that nobody reads never becomes a request | defect: request smuggling |
//! | HTTP-26 | differs | `100 Continue` is sent when the body is first needed, and never if it is refused or has arrived already, or if the response follows from the head; any other expectation gets 417. [`body_policy`](super::HttpRequestHandler::body_policy) is `handle_expect_100` | RFC 9110 §10.1.1 |
//! | HTTP-27 | differs | every phase has a [deadline](super::Deadlines); then the client gets 408 if a request had begun, and else the connection is closed silently | defect; bounds |
//!
//! # Responses
//!
//! | clause | | here | because |
//! | --- | --- | --- | --- |
//! | HTTP-28 | same | a method without a function gets 501 `Unsupported method ('X')`; a closure gets all methods | |
//! | HTTP-29 | differs | status line, `Server`, `Date`, in that order; the log line is written later (LOG-5) | |
//! | HTTP-30 | same | the version is the server's, 1.1; an unknown code has an empty reason, and the space before it stays | |
//! | HTTP-31 | differs | order and duplicates are the same; a value is bytes. A control character in a value fails the response: the client gets 500 and nothing of it. `Transfer-Encoding` is refused, and `Content-Length` must be kept to | defect: response splitting |
//! | HTTP-32 | differs | head and body, or head and first block, are one write | a second write would wait for the client's acknowledgement |
//! | HTTP-33 | differs | `Server` does not name a language version, and can be changed or left out; `Date` is the same, and is formatted once a second. A handler's own replaces the server's | the version helps only attackers |
//! | HTTP-34 | differs | the same lines and page, all in one write, and `Vary: Accept` if the client chooses the format. An error page of a handler does not close the connection. If the server refuses a request, `Connection: close` comes after `Content-Type` and `Content-Length` | the next request has nothing to do with this one: for an API, 404 is an answer like any other |
//! | HTTP-35 | differs | 204, 205, 304 and responses to HEAD have no body, also if a HEAD request is refused before its handler; if the handler makes no body for HEAD, there is no `Content-Length`; a 205 has `Content-Length: 0`; a handler that responds with 1xx gets 500 sent | RFC 9110 §8.6; §15.2: an interim response does not end a request; §15.3.6: a 205 has to say that it is empty |
//! | HTTP-36 | differs | the same page, byte for byte, unless the client prefers JSON (RFC 9457) or plain text in `Accept`; reason and explanation can be changed ([`send_error_with`](super::Response::send_error_with)). There is no template: a handler writes its own page with [`send_response`](super::Response::send_response) | |
//! | HTTP-37 | same | `???` | |
//! | HTTP-38 | same | the phrases and explanations of 3.13 | |
//! | HTTP-39 | differs | only the method of a request is quoted; it is a token, in which nothing needs escaping. A reason with a control character is refused | |
//!
//! # The log
//!
//! Nothing is logged unless the handler logs, or an [`AccessLog`](super::AccessLog) around it.
//!
//! | clause | | here | because |
//! | --- | --- | --- | --- |
//! | LOG-1 | differs | [`LogFormat::Python`](super::LogFormat) is that line, in UTC unless an [offset](super::AccessLog::utc_offset) is set, or `local_time` of the feature `local-time`; `Common`, `Combined` and `Json` name the zone. It goes to standard error if that is the [sink](super::LogSink) | std does not know time zones |
//! | LOG-2 | differs | the size is always known and written, as in `wsgiref`, also if it is 0; `- -` if the client disconnected before there was a response | LOG-5 |
//! | LOG-3 | same | in Python's format; the others also escape quotation marks, and are ASCII | fields in quotation marks must be told apart |
//! | LOG-4 | same | in the formats `Python` and `Json`; in the two others only if you [ask for it](super::AccessLog::errors) | readers of the others expect a request in each line |
//! | LOG-5 | differs | the line is written when the response *ends*: only then its size, its duration and whether it is complete are known. For a response that is complete when the handler returns, this is before any byte is sent, as in Python. As in Python, it does not prove delivery | an earlier line could not have these |
//! | LOG-6 | same | the address, never a name; each line is one call of the sink, and one write | |
//!
//! # Files
//!
//! `SimpleHttpRequestHandler`, which the feature `files` adds, and `examples/http_server`.
//!
//! | clause | | here | because |
//! | --- | --- | --- | --- |
//! | STATIC-1 | differs | the same methods, and OPTIONS gets 204 with `Allow` instead of 501; a body is not read, and nobody is asked for it; the `Server` field is the server's, without `SimpleHTTP/0.6`; the directory is made absolute when the handler is made | load balancers ask with OPTIONS whether a server is up |
//! | STATIC-2 | differs | the same steps as in 3.13.4, on bytes; before them, a target with `#` or a byte beyond ASCII gets 400, and an absolute target is read as a URL, not as a name that begins with `http:` | RFC 9112 §3.2 |
//! | STATIC-3 | differs | the same, except that a target without a leading slash gets 400, and that a directory whose path ends in `%2f` is redirected | RFC 9112 §3.2; the links of its page lead elsewhere |
//! | STATIC-4 | differs | a link that leads out of the directory gets 404, unless you follow such links (`follow_symlinks`). A name is looked up once, and what was found is served | a person who can make a link below the root must not be able to publish other files |
//! | STATIC-5 | differs | 404 | defect: `open` fails, and the client gets no response |
//! | STATIC-6 | differs | the same; bytes that are not allowed in a URI are escaped in `Location` | browsers read `/\h/` as `//h/` |
//! | STATIC-7 | same | an index page that exists but cannot be opened gets 404; the directory is not listed | |
//! | STATIC-8 | differs | the same, but 503 while descriptors are short, or while another program holds a lease on the file | the file may exist |
//! | STATIC-9 | differs | `ETag`, `Accept-Ranges` and `X-Content-Type-Options: nosniff` in addition; `Content-Length` comes last. Only regular files are opened. Exactly the announced length is sent, or the connection is cut. `Last-Modified` is never in the future, and is left out for a time before 1970 | defect; RFC 9110 §8.8.2.1; a browser that guesses the type may run an uploaded file |
//! | STATIC-10 | differs | all conditional fields, with entity tags, and ranges; a 304 has the `ETag`. A date may name UTC in any way or not at all; a date with a wrong weekday or without a weekday is ignored | RFC 9110 §13, §14, §15.4.5 |
//! | STATIC-11 | differs | our own table, to which you can add (`content_type`). `.br` and `.svgz` are `application/octet-stream`, because they are sent compressed as they are | defect |
//! | STATIC-12 | differs | the same page, and `X-Content-Type-Options: nosniff`. The exact names decide the order of names that differ only in case; a name that is not UTF-8 is shown with U+FFFD, and so is a control character. The page of more than 511 names has no `Content-Length`, and gets 503 if the names of such directories take too much memory | the page says that it is UTF-8; loop; bounds |
//! | STATIC-13 | differs | links and paths are the bytes of the names | defect: some names cannot be fetched |
//! | STATIC-14 | same | also if you switch listings off (`list_directories`) | |
//! | CLI-1 | differs | the same arguments except `-p` and `--cgi`; it listens only on loopback by default; it also understands `ADDRESS:PORT`. All connections are on the loop, and `--threads` reads files on other threads. HTTP/1.1 | a directory is not published to a network by accident |
//! | CLI-2 | same | without an address it listens on loopback, see CLI-1 | |
//! | CLI-3 | differs | the same line; Ctrl-C lets downloads end, for ten seconds or until it is pressed again, and SIGTERM does the same | |
