//! The tour, from a bare poll to an application: one echo server, five times.
//!
//! Each step is a program that the tests compile and run, and each replaces something that the
//! previous one did by hand. If you only want to serve something, start at the end.
//!
//! If you know Python's `socketserver`, or have read how `wsgiref` works, read [`from_python`] first;
//! [`porting`] has every name of those modules. If you want to know which trait and which server you
//! need, [`choosing`] has two tables, and the meaning of the words.
//!
//! # 1. A bare poll
//!
//! [`mio`] tells you which of a program's sockets are ready. It is Python's `selectors`, with one
//! difference: it reports *edges* (something has changed) where `select` reports *levels* (something
//! can be done).
//!
//! ```
//! use std::io::{ErrorKind, Read, Write};
//!
//! use mio::net::{TcpListener, TcpStream};
//! use mio::{Events, Interest, Poll, Token};
//!
//! const LISTENER: Token = Token(0);
//! const CLIENT: Token = Token(1);
//!
//! let mut poll = Poll::new()?;
//! let mut events = Events::with_capacity(64);
//! let mut listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
//! poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
//! let mut client: Option<TcpStream> = None;
//! # let address = listener.local_addr()?;
//! # let visitor = std::thread::spawn(move || -> std::io::Result<String> {
//! #     let mut client = std::net::TcpStream::connect(address)?;
//! #     std::io::Write::write_all(&mut client, b"hello\n")?;
//! #     client.shutdown(std::net::Shutdown::Write)?;
//! #     let mut echo = String::new();
//! #     std::io::Read::read_to_string(&mut client, &mut echo)?;
//! #     Ok(echo)
//! # });
//! 'serving: loop {
//!     poll.poll(&mut events, None)?;
//!     for event in &events {
//!         if event.token() == LISTENER {
//!             let (mut stream, _) = listener.accept()?;
//!             poll.registry().register(&mut stream, CLIENT, Interest::READABLE)?;
//!             client = Some(stream);
//!         } else if let Some(stream) = &mut client {
//!             let mut bytes = [0; 1024];
//!             loop {
//!                 match stream.read(&mut bytes) {
//!                     Ok(0) => break 'serving, // the client is done, and so are we
//!                     Ok(count) => stream.write_all(&bytes[..count])?,
//!                     Err(error) if error.kind() == ErrorKind::WouldBlock => break,
//!                     Err(error) => return Err(error.into()),
//!                 }
//!             }
//!         }
//!     }
//! }
//! # drop(client);
//! # assert_eq!(visitor.join().map_err(|_| "a panic")??, "hello\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It works, for one client. If two clients connect at the same moment, only one is accepted: one edge
//! announced both. The other is accepted when a third connects, and then replaces the first in
//! `client`. A signal ends the program, because the wait fails with `Interrupted`. So does a client
//! that does not read, as soon as a write would block. While one client keeps sending, all others wait.
//! There is also no way to stop the program.
//!
//! # 2. The reactor
//!
//! The [`reactor`](crate::reactor) turns edges into levels. An event is only *recorded*. Then each
//! source gets one turn, and a source with work left puts itself back into the queue. While the queue
//! is not empty, the next wait returns immediately. A [`Slot`](crate::reactor::Slot) names a source, so
//! there can be many.
//!
//! ```
//! use std::collections::HashMap;
//! use std::io::{ErrorKind, Read, Write};
//! use std::time::Instant;
//!
//! use mio::Interest;
//! use mio::net::{TcpListener, TcpStream};
//! use serve_forever::reactor::{EventLoop, Reactor, Slot};
//!
//! let mut event_loop = EventLoop::new()?;
//! let mut reactor = Reactor::new(event_loop.registry(), event_loop.waker(), 0..100)?;
//! let mut listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
//! let listening = reactor.open().ok_or("no slot")?;
//! reactor.register(listening, &mut listener, Interest::READABLE)?;
//! let mut clients: HashMap<Slot, TcpStream> = HashMap::new();
//! # let address = listener.local_addr()?;
//! # let visitor = std::thread::spawn(move || -> std::io::Result<String> {
//! #     let mut client = std::net::TcpStream::connect(address)?;
//! #     std::io::Write::write_all(&mut client, b"hello\n")?;
//! #     client.shutdown(std::net::Shutdown::Write)?;
//! #     let mut echo = String::new();
//! #     std::io::Read::read_to_string(&mut client, &mut echo)?;
//! #     Ok(echo)
//! # });
//! 'serving: loop {
//!     let timeout = reactor.timeout(Instant::now()); // zero while somebody is queued
//!     event_loop.wait(timeout, |event| {
//!         reactor.feed(event);
//!     })?;
//!     for _ in 0..reactor.queued() {
//!         let Some(slot) = reactor.next_ready() else {
//!             break;
//!         };
//!         if slot == listening {
//!             let Ok((mut stream, _)) = listener.accept() else {
//!                 continue;
//!             };
//!             if let Some(slot) = reactor.open() {
//!                 reactor.register(slot, &mut stream, Interest::READABLE)?;
//!                 clients.insert(slot, stream);
//!             }
//!             reactor.enqueue(listening); // there may be another
//!         } else if let Some(mut stream) = clients.remove(&slot) {
//!             let mut bytes = [0; 1024];
//!             match stream.read(&mut bytes) {
//!                 Ok(0) => {
//!                     reactor.close(slot, &mut stream);
//!                     if clients.is_empty() {
//!                         break 'serving; // nobody is left
//!                     }
//!                     continue;
//!                 }
//!                 Ok(count) => {
//!                     stream.write_all(&bytes[..count])?;
//!                     reactor.enqueue(slot);
//!                 }
//!                 Err(error) if error.kind() == ErrorKind::WouldBlock => {}
//!                 Err(error) => return Err(error.into()),
//!             }
//!             clients.insert(slot, stream);
//!         }
//!     }
//! }
//! # assert_eq!(visitor.join().map_err(|_| "a panic")??, "hello\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Signals no longer disturb [`EventLoop::wait`](crate::reactor::EventLoop::wait), and no client
//! starves. But one client can still bring down the server for everybody: any I/O error ends the loop.
//!
//! # 3. The server
//!
//! [`socketserver`](crate::socketserver) has the loop and everything around it: how it starts and
//! stops, and what happens to a request that fails. A
//! [`RequestHandler`](crate::socketserver::RequestHandler) decides what happens with a client. It
//! reads and writes as if there were no other client. This is Python's `TCPServer`, and
//! `serve_forever` is its loop, line by line.
//!
//! ```
//! use std::io::Write;
//!
//! use serve_forever::socketserver::{Rfile, TcpServer};
//!
//! let handle = |rfile: &mut dyn Rfile, wfile: &mut dyn Write| {
//!     std::io::copy(rfile, wfile)?;
//!     Ok(())
//! };
//! let mut server = TcpServer::bind("127.0.0.1:0", move |_client_address: &_| handle)?;
//! let stop = server.shutdown_handle(); // for any thread, a handler, a signal
//! # let address = server.server_address();
//! # let visitor = std::thread::spawn(move || -> std::io::Result<String> {
//! #     let mut client = std::net::TcpStream::connect(address)?;
//! #     std::io::Write::write_all(&mut client, b"hello\n")?;
//! #     client.shutdown(std::net::Shutdown::Write)?;
//! #     let mut echo = String::new();
//! #     std::io::Read::read_to_string(&mut client, &mut echo)?;
//! #     stop.request();
//! #     Ok(echo)
//! # });
//! server.serve_forever()?;
//! # assert_eq!(visitor.join().map_err(|_| "a panic")??, "hello\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! And there really is no other client: the next one waits until this one is finished, as in Python.
//!
//! # 4. The protocol
//!
//! So the handler is turned inside out. It is no longer a function that waits for bytes, but one that
//! is called when bytes have arrived. A [`Protocol`](crate::socketserver::Protocol) touches no socket
//! and no clock. [`Evented`](crate::socketserver::Evented) keeps all connections on one loop, each with
//! its own buffers, limits and deadlines. The loop stops reading from a client that does not read
//! what it is sent.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use serve_forever::reactor::Now;
//! use serve_forever::socketserver::{
//!     Buffer, Evented, Next, Protocol, Server, Tcp,
//! };
//!
//! struct Echo;
//!
//! impl Protocol for Echo {
//!     type Message = Infallible; // other threads have nothing to tell it
//!
//!     fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next {
//!         output.extend_from_slice(input);
//!         input.clear();
//!         Next::Read
//!     }
//! }
//!
//! let tcp = Tcp::new("127.0.0.1:0")?.bind_and_activate()?;
//! let mut server = Server::new(tcp, Evented::new(|_client_address: &_| Echo))?;
//! # let (address, stop) = (server.server_address(), server.shutdown_handle());
//! # let visitor = std::thread::spawn(move || -> std::io::Result<String> {
//! #     let mut client = std::net::TcpStream::connect(address)?;
//! #     std::io::Write::write_all(&mut client, b"hello\n")?;
//! #     client.shutdown(std::net::Shutdown::Write)?;
//! #     let mut echo = String::new();
//! #     std::io::Read::read_to_string(&mut client, &mut echo)?;
//! #     stop.request();
//! #     Ok(echo)
//! # });
//! server.serve_forever()?;
//! # assert_eq!(visitor.join().map_err(|_| "a panic")??, "hello\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The same `Echo` runs without a loop, in memory or on a blocking socket
//! ([`Driver`](crate::socketserver::Driver)), and in a test that has nothing but arrays.
//!
//! # 5. The application
//!
//! [`HttpConnection`](crate::http::HttpConnection) is such a protocol. It finds the end of a request,
//! and your [`HttpRequestHandler`](crate::http::HttpRequestHandler) produces the response.
//! [`wsgi`](crate::wsgi) has a handler that calls an application.
//!
//! ```
//! use serve_forever::wsgi::{AppResult, Environ, StartResponse, make_server};
//!
//! fn echo(environ: &mut Environ, start_response: &mut dyn StartResponse) -> AppResult {
//!     let mut text = Vec::new();
//!     std::io::Read::read_to_end(&mut environ.input(), &mut text)?;
//!     start_response.call("200 OK", &[("Content-type", "text/plain")])?;
//!     Ok(text.into())
//! }
//!
//! let mut server = make_server("127.0.0.1:0", echo)?;
//! # let (address, stop) = (server.server_address(), server.shutdown_handle());
//! # let visitor = std::thread::spawn(move || -> std::io::Result<String> {
//! #     let mut client = std::net::TcpStream::connect(address)?;
//! #     let request = b"POST / HTTP/1.0\r\nContent-Length: 6\r\n\r\nhello\n";
//! #     std::io::Write::write_all(&mut client, request)?;
//! #     let mut reply = String::new();
//! #     std::io::Read::read_to_string(&mut client, &mut reply)?;
//! #     stop.request();
//! #     Ok(reply.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
//! # });
//! server.serve_forever()?;
//! # assert_eq!(visitor.join().map_err(|_| "a panic")??, "hello\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Inside another program
//!
//! Each of these can run inside a loop that you already have:
//!
//! * An [`Engine`](crate::socketserver::Engine) is a server that does not wait, and runs as a guest in
//!   any `mio` poll. [`HttpEngine::bind`](crate::http::HttpEngine::bind) makes one for HTTP.
//! * A [`Server`](crate::socketserver::Server) is one descriptor for any other poller.
//! * A loop that never waits calls [`turn_until`](crate::socketserver::Server::turn_until) in each
//!   frame.
//!
//! Conversely, your own sockets, timers and threads can get turns on the server's loop, through
//! [`Hooks::ready`](crate::socketserver::Hooks::ready) and a [`Doorbell`](crate::reactor::Doorbell).
//! The examples `embed_in_your_poll`, `embed_as_one_fd`, `game_tick`, `two_servers_one_loop` and
//! `hooks` show each on one page.
//!
//! # More than one core
//!
//! One loop uses one core. To use more, run several loops that share nothing except the address. Each
//! has its own thread or process, and its own listener that
//! [allows the port to be reused](crate::socketserver::Tcp::allow_reuse_port) (the example
//! `reuse_port`). On Linux the kernel then distributes new connections by a hash of their addresses,
//! not by how busy a loop is. A connection stays with its loop. With many short connections the loops
//! get equal shares.
//!
//! A load balancer in front, however, keeps only a few connections and sends all requests through
//! them, and a hash of few is rarely even. There, give each loop its own port and list all ports as
//! backends; the balancer will see which loop is slow or gone. Before you stop a loop, take it out of
//! the balancer's list. A [drain](crate::socketserver::ShutdownHandle::drain) finishes what was
//! sent before it began. But a client that connects at the moment when the listener closes is reset,
//! even if another loop shares the port. (On Linux, `net.ipv4.tcp_migrate_req` prevents this.)

pub mod choosing {
    #![doc = include_str!("choosing.md")]
}

pub mod from_python {
    // A quotation need not be a whole item.
    #![allow(rustdoc::invalid_rust_codeblocks)]
    #![doc = include_str!("from_python.md")]
}

pub mod porting {
    #![doc = include_str!("porting.md")]
}
