//! What the test programs share, one concept a file.

#![allow(dead_code)] // each test program uses its own part of this

pub mod client;
pub mod driven;
pub mod driving;
pub mod missing;
pub mod patience;
pub mod protocols;
pub mod script;
pub mod server;
pub mod trace;
pub mod transport;
pub mod wire;
pub mod wsgi;
