//! TLS around any protocol, by rustls.

mod config;
mod connection;
mod factory;
mod records;
mod scratch;
mod session;
mod stats;

pub use config::TlsConfig;
pub use connection::TlsConnection;
pub use factory::Tls;
pub use session::TlsSession;
pub use stats::TlsStats;
