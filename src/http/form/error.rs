//! The reasons to refuse a form, and the status of each.

use std::error::Error;
use std::fmt;

/// Why a form is refused.
///
/// [`status`](Self::status) is the status for the client, and the text says what is wrong:
///
/// ```
/// use serve_forever::http::{HttpResult, Request, Response};
///
/// fn do_post(request: &Request<'_>, response: Response<'_>) -> HttpResult {
///     match request.form() {
///         Ok(fields) => response.send_response(200).body(format!("{} fields\n", fields.count())),
///         Err(error) => response.send_response(error.status()).body(error.to_string()),
///     }
/// }
/// # let _ = do_post;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormError {
    /// The `Content-Type` is missing, or is that of another format: 415.
    MediaType,
    /// The form has more fields than its limit: 413.
    TooManyFields,
}

impl FormError {
    /// Returns the status code of the response to this defect (RFC 9110 section 15).
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            FormError::MediaType => 415,
            FormError::TooManyFields => 413,
        }
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FormError::MediaType => "the content is not a form of the expected type",
            FormError::TooManyFields => "the form has too many fields",
        })
    }
}

impl Error for FormError {}
