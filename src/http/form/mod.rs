//! Forms as browsers send them: `application/x-www-form-urlencoded`.

mod error;
mod media_type;
mod urlencoded;

pub use error::FormError;
pub(super) use urlencoded::fields;
pub use urlencoded::parse_qsl;
