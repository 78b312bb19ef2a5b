//! The oracles: one function for each fuzz target, which checks what must hold for any bytes.
//!
//! Each function takes the bytes of one input and panics if the library breaks a promise. They
//! run under libFuzzer (`targets/`) and, for the inputs in `corpus/` and `findings/`, under a plain
//! `cargo test` (`tests/fuzz_corpus.rs` of the library).
//!
//! The judge is [`literal`]: RFC 9112 read literally and slowly. [`literal_form`] is the same for RFC
//! 7578. They share no code with the library. The PROXY protocol and WebSocket each have a literal reading
//! of their own.

mod chunked;
mod connection;
mod encode;
mod exchange;
mod forwarded;
mod framing;
mod head;
mod literal;
mod literal_form;
mod multipart;
mod pieces;
mod proxy_protocol;
mod response_head;
mod target_to_path;
#[cfg(feature = "websocket")]
mod websocket;

pub use chunked::chunked;
pub use connection::connection;
pub use encode::encode_then_parse;
pub use exchange::exchange;
pub use forwarded::forwarded;
pub use framing::framing;
pub use head::head;
pub use multipart::multipart;
pub use proxy_protocol::proxy_protocol;
pub use response_head::response_head;
pub use target_to_path::target_to_path;
#[cfg(feature = "websocket")]
pub use websocket::websocket;
