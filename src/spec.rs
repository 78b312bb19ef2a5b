//! The specification: what the crate does, clause by clause, and why.
//!
//! Comments, tests and examples cite clauses such as `LOOP-12`. This page has the text of each.
//! Type the name of a clause into the search field to find this page. In the documentation of an
//! item, a citation is a link to its clause.
//!
//! # How to read it
//!
//! A clause has a name and a number. The name says what it is about, the number never changes:
//!
//! | names | about |
//! | --- | --- |
//! | LOOP, SHUT, SRV, REQ | the loop, stopping it, the server, one request |
//! | RT | the reactor under the loop |
//! | TCP, UDP, UNIX, TLS | the sockets, and TLS on them |
//! | THREAD, HND, STREAM, DGRAM | threads, and the handlers of requests |
//! | HTTP, PATH, FORM, LOG, STATIC, CLI | HTTP, its paths, forms, log and files, and the programs |
//! | GUARD | guards in front of a handler |
//! | PROXY | servers behind a proxy |
//! | SSE, WS | server-sent events, WebSocket |
//! | WSGI, ENV, HDR, UTIL, VALID | WSGI: applications, environ, header fields, utilities, the validator |
//!
//! A clause first says what *this crate* does, and then the reason if it is not obvious. The
//! clauses describe Python's `socketserver`, `http.server` and `wsgiref`, and the reference is
//! CPython 3.13. A paragraph that begins with **CPython** is evidence: what CPython does, with the
//! number of a bug report (`gh-`, `bpo-`, Issue) if there is one. *Measured* means that it was seen
//! by running CPython. A paragraph that begins with **CPython differs** says where the crate
//! deliberately does something else. If there is no such paragraph, both do the same. `guide::differences`
//! is a summary of these, and `http::differences` has a table for HTTP.
//!
//! A sentence that begins with *Not kept yet* says that the crate does not do this part so far. Some
//! comments have *Better* after the name of a clause: they are about the part in which the crate
//! differs from CPython.
//!
//! Comments also cite laws, such as `design law 7`. They are the first chapter.
//!
//! # Two kinds of failure
//!
//! Many clauses say what happens if a handler or a hook fails. There are two kinds of failure, as
//! in Python:
//!
//! | here | Python | meaning |
//! | --- | --- | --- |
//! | `Failure::Request` | `Exception` | this request has failed, and the server goes on |
//! | `Failure::Stop` | `SystemExit`, `KeyboardInterrupt` | the server stops |
//!
//! Any error of a handler or a hook becomes a `Failure::Request`, and so does a panic. A "failure
//! of the request" is always the first kind.
//!
//! # How it is tested
//!
//! Each test cites the clauses that it tests, in its comment. One test checks that every clause is
//! cited, unless `guide::differences` lists it or the clause itself says *Not kept yet*. It
//! also checks that every clause that the code cites exists. This prints which file covers which
//! clause:
//!
//! ```text
//! cargo test --test clauses -- --nocapture
//! ```
#![doc = include_str!("spec/laws.md")]
#![doc = include_str!("spec/loop.md")]
#![doc = include_str!("spec/sockets.md")]
#![doc = include_str!("spec/http.md")]
#![doc = include_str!("spec/guards.md")]
#![doc = include_str!("spec/proxy.md")]
#![doc = include_str!("spec/live.md")]
#![doc = include_str!("spec/wsgi.md")]
// A search for a clause finds this page. `tests/clauses.rs` compares this list with the headings.
#![doc(alias("Law 1", "Law 2", "Law 3", "Law 4", "Law 5", "Law 6"))]
#![doc(alias("Law 7", "Law 8", "Law 9", "Law 10", "Law 11", "Law 12"))]
#![doc(alias("Law 13", "Law 14"))]
#![doc(alias("LOOP-1", "LOOP-2", "LOOP-3", "LOOP-4", "LOOP-5", "LOOP-6"))]
#![doc(alias("LOOP-7", "LOOP-8", "LOOP-9", "LOOP-10", "LOOP-11"))]
#![doc(alias("LOOP-12", "LOOP-13", "LOOP-14", "LOOP-15", "LOOP-16"))]
#![doc(alias("LOOP-17"))]
#![doc(alias("SHUT-1", "SHUT-2", "SHUT-3", "SHUT-4", "SHUT-5", "SHUT-6"))]
#![doc(alias("SHUT-7", "SHUT-8", "SHUT-9", "SHUT-10", "SHUT-11"))]
#![doc(alias("SHUT-12", "SHUT-13", "SHUT-14", "SHUT-15", "SHUT-16"))]
#![doc(alias("SRV-1", "SRV-2", "SRV-3", "SRV-4", "SRV-5", "SRV-6"))]
#![doc(alias("REQ-1", "REQ-2", "REQ-3", "REQ-4", "REQ-5", "REQ-6"))]
#![doc(alias("REQ-7", "REQ-8", "REQ-9", "REQ-10", "REQ-11", "REQ-12"))]
#![doc(alias("REQ-13", "REQ-14", "REQ-15", "REQ-16", "REQ-17"))]
#![doc(alias("RT-1", "RT-2", "RT-3", "RT-4", "RT-5", "RT-6", "RT-7"))]
#![doc(alias("RT-8", "RT-9", "RT-10", "RT-11", "RT-12", "RT-13"))]
#![doc(alias("RT-14"))]
#![doc(alias("RT-15"))]
#![doc(alias("TCP-1", "TCP-2", "TCP-3", "TCP-4", "TCP-5", "TCP-6"))]
#![doc(alias("TCP-7", "TCP-8", "TCP-9", "TCP-10", "TCP-11", "TCP-12"))]
#![doc(alias("UDP-1", "UDP-2", "UDP-3", "UDP-4", "UDP-5"))]
#![doc(alias("UNIX-1", "UNIX-2", "UNIX-3", "UNIX-4", "UNIX-5"))]
#![doc(alias("TLS-1", "TLS-2", "TLS-3", "TLS-4", "TLS-5", "TLS-6"))]
#![doc(alias("THREAD-1", "THREAD-2", "THREAD-3", "THREAD-4", "THREAD-5"))]
#![doc(alias("THREAD-6", "THREAD-7", "THREAD-8", "THREAD-9"))]
#![doc(alias("THREAD-10"))]
#![doc(alias("THREAD-11"))]
#![doc(alias("THREAD-12"))]
#![doc(alias("THREAD-13"))]
#![doc(alias("HND-1", "HND-2", "HND-3"))]
#![doc(alias("STREAM-1", "STREAM-2", "STREAM-3", "STREAM-4", "STREAM-5"))]
#![doc(alias("STREAM-6", "STREAM-7", "STREAM-8", "STREAM-9"))]
#![doc(alias("DGRAM-1", "DGRAM-2", "DGRAM-3"))]
#![doc(alias("HTTP-1", "HTTP-2", "HTTP-3", "HTTP-4", "HTTP-5", "HTTP-6"))]
#![doc(alias("HTTP-7", "HTTP-8", "HTTP-9", "HTTP-10", "HTTP-11"))]
#![doc(alias("HTTP-12", "HTTP-13", "HTTP-14", "HTTP-15", "HTTP-16"))]
#![doc(alias("HTTP-17", "HTTP-18", "HTTP-19", "HTTP-20", "HTTP-21"))]
#![doc(alias("HTTP-22", "HTTP-23", "HTTP-24", "HTTP-25", "HTTP-26"))]
#![doc(alias("HTTP-27", "HTTP-28", "HTTP-29", "HTTP-30", "HTTP-31"))]
#![doc(alias("HTTP-32", "HTTP-33", "HTTP-34", "HTTP-35", "HTTP-36"))]
#![doc(alias("HTTP-37", "HTTP-38", "HTTP-39"))]
#![doc(alias("PATH-1"))]
#![doc(alias("FORM-1", "FORM-2", "FORM-3", "FORM-4", "FORM-5", "FORM-6"))]
#![doc(alias("LOG-1", "LOG-2", "LOG-3", "LOG-4", "LOG-5", "LOG-6"))]
#![doc(alias("STATIC-1", "STATIC-2", "STATIC-3", "STATIC-4", "STATIC-5"))]
#![doc(alias("STATIC-6", "STATIC-7", "STATIC-8", "STATIC-9"))]
#![doc(alias("STATIC-10", "STATIC-11", "STATIC-12", "STATIC-13"))]
#![doc(alias("STATIC-14"))]
#![doc(alias("STATIC-15"))]
#![doc(alias("CLI-1", "CLI-2", "CLI-3", "CLI-4", "CLI-5"))]
#![doc(alias("CLI-6", "CLI-7", "CLI-8", "CLI-9"))]
#![doc(alias("GUARD-1", "GUARD-2", "GUARD-3", "GUARD-4"))]
#![doc(alias("PROXY-1", "PROXY-2", "PROXY-3", "PROXY-4", "PROXY-5"))]
#![doc(alias("SSE-1", "SSE-2", "SSE-3", "SSE-4", "SSE-5"))]
#![doc(alias("WS-1", "WS-2", "WS-3", "WS-4", "WS-5", "WS-6", "WS-7"))]
#![doc(alias("WSGI-1", "WSGI-2", "WSGI-3", "WSGI-4", "WSGI-5", "WSGI-6"))]
#![doc(alias("WSGI-7", "WSGI-8", "WSGI-9", "WSGI-10", "WSGI-11"))]
#![doc(alias("WSGI-12", "WSGI-13", "WSGI-14", "WSGI-15", "WSGI-16"))]
#![doc(alias("WSGI-17", "WSGI-18", "WSGI-19", "WSGI-20", "WSGI-21"))]
#![doc(alias("WSGI-22", "WSGI-23", "WSGI-24", "WSGI-25", "WSGI-26"))]
#![doc(alias("WSGI-27", "WSGI-28", "WSGI-29", "WSGI-30"))]
#![doc(alias("ENV-1", "ENV-2", "ENV-3", "ENV-4", "ENV-5", "ENV-6"))]
#![doc(alias("ENV-7", "ENV-8", "ENV-9", "ENV-10", "ENV-11", "ENV-12"))]
#![doc(alias("ENV-13", "ENV-14", "ENV-15", "ENV-16", "ENV-17", "ENV-18"))]
#![doc(alias("ENV-19", "ENV-20", "ENV-21", "ENV-22", "ENV-23"))]
#![doc(alias("ENV-24"))]
#![doc(alias("HDR-1", "HDR-2", "HDR-3", "HDR-4", "HDR-5"))]
#![doc(alias("UTIL-1", "UTIL-2", "UTIL-3", "UTIL-4", "UTIL-5", "UTIL-6"))]
#![doc(alias("UTIL-7", "UTIL-8"))]
#![doc(alias("VALID-1", "VALID-2", "VALID-3", "VALID-4", "VALID-5"))]
#![doc(alias("VALID-6", "VALID-7", "VALID-8", "VALID-9", "VALID-10"))]
#![doc(alias("VALID-11", "VALID-12", "VALID-13", "VALID-14", "VALID-15"))]
#![doc(alias("VALID-16", "VALID-17", "VALID-18", "VALID-19", "VALID-20"))]
#![doc(alias("VALID-21", "VALID-22"))]
