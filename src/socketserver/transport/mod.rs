//! Axis 1: where requests come from.

mod bind_error;
mod datagram;
mod files;
mod inet;
mod life;
mod packets;
mod stream;
mod tcp;
mod traits;
mod udp;
#[cfg(unix)]
mod unix;

pub use datagram::Datagram;
pub use files::Files;
pub use inet::ServerAddress;
pub use tcp::Tcp;
pub use traits::{Accepted, Duplex, Stream, Transport};
pub use udp::Udp;
#[cfg(unix)]
pub use unix::{UnixAddress, UnixDatagrams, UnixStreams};
