//! Forms as browsers send them: `application/x-www-form-urlencoded` and `multipart/form-data`.

mod disposition;
mod error;
mod file;
mod media_type;
mod multipart;
mod receive;
mod urlencoded;

pub use error::FormError;
pub use file::FormFile;
pub use multipart::{Multipart, MultipartEvent, MultipartLimits, Part};
pub use receive::Form;
pub(super) use urlencoded::fields;
pub use urlencoded::parse_qsl;
