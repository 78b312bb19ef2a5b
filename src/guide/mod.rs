//! The guide: what an event loop does, in eight steps. Each step is a program that you can run.
//!
//! The steps go from `select` to a WSGI application. Each program differs little from the one before.
//! Its page shows the program and explains the difference. *See it* has commands that you can type, and
//! what you will see. *Break it* shows what is still wrong; the next step mends that. At the end there
//! are exercises. Most have a test that tells you when you are done. `examples/guide/solved` has each
//! program once more, whole, with these exercises solved: you can run it, and compare it with the program
//! that you began with (`diff -u examples/guide/1_select.rs examples/guide/solved/1_select.rs`).
//!
//! | step | program | what it adds |
//! | --- | --- | --- |
//! | [1. `select` by hand](step_1_select) | `guide_1_select` | many clients on one thread, and what an edge is |
//! | [2. Level out of edges](step_2_reactor) | `guide_2_reactor` | a queue, so that nothing is forgotten |
//! | [3. The loop](step_3_loop) | `guide_3_loop` | the interval, signals, errors, `service_actions` |
//! | [4. Stopping](step_4_stopping) | `guide_4_stopping` | a request that wakes the loop, and an event that tells of its end |
//! | [5. Handlers](step_5_handlers) | `guide_5_handlers` | one client after the other, and then threads |
//! | [6. A protocol](step_6_protocol) | `guide_6_protocol` | a conversation as a state machine, with a deadline |
//! | [7. HTTP by hand](step_7_http) | `guide_7_http` | heads, bodies, keep-alive, and how smuggling works |
//! | [8. WSGI](step_8_wsgi) | `guide_8_wsgi` | an application, and blocks that are pulled |
//!
//! More pages:
//!
//! * [`from_python`] has Python's lines beside ours, from `make_server` down to `select`.
//! * [`from_wsgiref`] serves an application in Python, of Flask or of Django, on the crate's loop.
//! * [`porting`] has every name of Python's modules, and where it is here.
//! * [`differences`] says what behaves differently from Python.
//! * [`why`] answers questions about the design: threads, turns, hooks, panics, shortages, deadlines.
//! * [`other_parsers`] has what other parsers read in another way, and why ours does not.
//! * [`proof`] says how the parser is tested, with figures, and with the commands that repeat them.
//! * [`how_far`] says how many requests and connections a machine serves, with figures, and what a million
//!   connections need.
//! * [`tiny_http`] has each call of that crate, ours beside it, and what differs.
//! * [`choosing`] helps to choose a trait and a server, and says what the words mean.
//!
//! And below are [servers inside another program](#inside-another-program) and
//! [servers on more than one core](#more-than-one-core).
//!
//! # How to type along
//!
//! The programs are in the folder `examples/guide` of the source. Open a terminal in the folder with
//! `Cargo.toml`, start `bash`, and type the lines that begin with `$`, without the `$`. A program starts with
//! `cargo run -q --example guide_1_select &`. The `&` puts it into the background, so that you can talk
//! to it from the same terminal. The first time, wait for Cargo until the program says that it serves.
//! Steps 7 and 8 also need `curl`.
//!
//! You will also see lines such as `[1] 4242` and `[1]+  Exit 1`. They are from `bash`, about programs
//! in the background; the pages leave them out. `kill %1` ends the program, and `exec 3>&- 4>&-` closes
//! the connections 3 and 4. Do that after each *See it* and each *Break it*, because the next program
//! wants the same port.
//!
//! A test types the same commands and compares what it sees with the pages. It runs on Linux. On other
//! systems the error numbers differ.
//!
//! # Inside another program
//!
//! Each of these can run inside a loop that you already have:
//!
//! * An [`Engine`](crate::socketserver::Engine) is a server that does not wait, and runs as a guest in
//!   any `mio` poll. [`HttpEngine::bind`](crate::http::HttpEngine::bind) makes one for HTTP.
//! * A [`Server`](crate::socketserver::Server) is one descriptor for any other poller. Each time the
//!   poller wakes, give the server [one turn](crate::socketserver::Server::turn). The poller waits no
//!   longer than [`timeout`](crate::socketserver::Server::timeout) says. If the poller wants to own a
//!   descriptor, give it a duplicate: `server.as_fd().try_clone_to_owned()`. The package
//!   `examples/hosts` does this in the loops of calloop, GLib, tokio and others.
//! * A loop with frames gives the server the rest of each frame, by
//!   [`serve_frame`](crate::socketserver::Server::serve_frame). If it must not sleep, it calls
//!   [`turn_until`](crate::socketserver::Server::turn_until).
//! * A loop without descriptors, such as the one of a windowing library, leaves the server on
//!   [a thread of its own](crate::socketserver::Server::spawn). The handler sends an
//!   [`OwnedRequest`](crate::http::OwnedRequest) and a [`Deferred`](crate::http::Deferred) to the loop
//!   as an event, and the loop responds.
//!
//! If other threads wait for the end of your loop, hold a
//! [`Run`](crate::socketserver::Server::begin_run) around it.
//!
//! Conversely, your own sockets, timers and threads can get turns on the server's loop, through
//! [`Hooks::ready`](crate::socketserver::Hooks::ready). Other threads and handlers send their messages
//! there through a [`channel`](crate::reactor::channel). A handler that asks another server, such as a
//! database, does so on the same loop, with [`Outgoing`](crate::socketserver::Outgoing).
//!
//! The examples `embed_in_your_poll`, `embed_as_one_fd`, `game_tick`, `two_servers_one_loop`, `hooks` and
//! `upstream` show each on one page.
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
//!
//! With paths in place of ports nothing needs to be taken out of a list: a successor binds a path of its
//! own and renames it to that of the old loop, whose queue then gets nothing more. The example
//! `behind_nginx` does it behind nginx, and a test replaces its processes under load.

/// Makes the page of a step: its title, its program, its picture, its text.
macro_rules! step {
    ($module:ident, $file:literal, $title:literal) => {
        #[doc = $title]
        ///
        /// ```no_run
        #[doc = include_str!(concat!("../../examples/guide/", $file, ".rs"))]
        /// ```
        ///
        #[doc = include_str!(concat!($file, ".svg"))]
        ///
        #[doc = include_str!(concat!($file, ".md"))]
        pub mod $module {}
    };
}

step!(
    step_1_select,
    "1_select",
    "Step 1: `select` by hand, and what an edge is."
);
step!(step_2_reactor, "2_reactor", "Step 2: level out of edges.");
step!(
    step_3_loop,
    "3_loop",
    "Step 3: the loop, its interval, its signals and its errors."
);
step!(step_4_stopping, "4_stopping", "Step 4: stopping.");
step!(
    step_5_handlers,
    "5_handlers",
    "Step 5: handlers that block, one at a time and on threads."
);
step!(
    step_6_protocol,
    "6_protocol",
    "Step 6: a conversation as a state machine, with a deadline."
);
step!(step_7_http, "7_http", "Step 7: HTTP by hand.");
step!(
    step_8_wsgi,
    "8_wsgi",
    "Step 8: an application, and blocks that are pulled."
);

pub mod choosing {
    #![doc = include_str!("choosing.md")]
}

pub mod differences {
    #![doc = include_str!("differences.md")]
}

pub mod from_python {
    // A quotation need not be a whole item.
    #![allow(rustdoc::invalid_rust_codeblocks)]
    #![doc = include_str!("from_python.md")]
}

pub mod from_wsgiref {
    #![doc = include_str!("from_wsgiref.md")]
}

pub mod other_parsers {
    #![doc = include_str!("other_parsers.md")]
}

pub mod porting {
    #![doc = include_str!("porting.md")]
}

pub mod how_far {
    #![doc = include_str!("how_far.md")]
}

pub mod proof {
    #![doc = include_str!("proof.md")]
}

pub mod tiny_http {
    #![doc = include_str!("tiny_http.md")]
}

pub mod why {
    #![doc = include_str!("why.md")]
}
