//! The PROXY protocol: a load balancer says, before the first byte of the client, who the client is.

mod factory;
mod header;
mod proxied;

pub use factory::ProxyProtocol;
pub use proxied::Proxied;
