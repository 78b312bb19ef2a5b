//! Unix-domain sockets: Python's `UnixStreamServer` and `UnixDatagramServer`.
//!
//! They differ from TCP and UDP only in their addresses ([UNIX-1]). The transports are called
//! [`UnixStreams`] and [`UnixDatagrams`], in the plural, because the standard library and mio call
//! a single one `UnixStream` and `UnixDatagram`.
//!
//! A path that exists cannot be bound, whatever it is and whatever options are set ([UNIX-2]). The
//! path also stays when the server is closed. A server that is to start again unattended therefore
//! unlinks its path when it closes. It may also have been killed, so it unlinks a stale path
//! before it binds.
//!
//! The permissions of the path and of its folder decide who may connect. The path gets the
//! permissions of a new file, unless [`mode`](UnixStreams::mode) sets others ([UNIX-5]).
//!
//! [UNIX-1]: crate::spec#unix-1
//! [UNIX-2]: crate::spec#unix-2
//! [UNIX-5]: crate::spec#unix-5

mod address;
mod binding;
mod datagrams;
mod streams;

pub use address::UnixAddress;
pub use datagrams::UnixDatagrams;
pub use streams::UnixStreams;
