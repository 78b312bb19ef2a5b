//! Forms as browsers send them: `application/x-www-form-urlencoded` and `multipart/form-data`.

mod disposition;
mod error;
mod media_type;
mod multipart;
mod urlencoded;

pub use error::FormError;
pub use multipart::{Multipart, MultipartEvent, MultipartLimits, Part};
pub(super) use urlencoded::fields;
pub use urlencoded::parse_qsl;
