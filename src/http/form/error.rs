//! The reasons to refuse a form, and the status of each.

use std::error::Error;
use std::fmt;

use crate::http::h1;

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
    /// The form has more fields or parts than its limit: 413.
    TooManyFields,
    /// The `Content-Type` of a multipart form has no boundary, two, or a malformed one: 400.
    Boundary,
    /// Something else than a line end follows a delimiter: 400.
    Delimiter,
    /// A field in the head of a part is malformed, or there are too many: 400 or 431.
    Head(h1::Error),
    /// The head of a part, or the text outside of the parts, exceeds its limit: 431.
    HeadTooLarge,
    /// A part has no `Content-Disposition: form-data` with one `name`, or two of them: 400.
    Disposition,
    /// A part is in a `Content-Transfer-Encoding` that would have to be decoded: 415.
    Encoding,
    /// The content of a part, or of all parts, exceeds its limit: 413.
    TooLarge,
    /// The body ends before the form does: 400.
    Truncated,
}

impl FormError {
    /// Returns the status code of the response to this defect (RFC 9110 section 15).
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            FormError::Boundary
            | FormError::Delimiter
            | FormError::Disposition
            | FormError::Truncated => 400,
            FormError::TooManyFields | FormError::TooLarge => 413,
            FormError::MediaType | FormError::Encoding => 415,
            FormError::HeadTooLarge => 431,
            FormError::Head(error) => error.status(),
        }
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FormError::MediaType => "the content is not a form of the expected type",
            FormError::TooManyFields => "the form has too many fields",
            FormError::Boundary => "the form has no valid boundary",
            FormError::Delimiter => "a delimiter of the form does not end its line",
            FormError::Head(_) => "the head of a part is malformed",
            FormError::HeadTooLarge => "the head of a part is too large",
            FormError::Disposition => "a part of the form has no valid Content-Disposition",
            FormError::Encoding => "a part of the form has an unknown Content-Transfer-Encoding",
            FormError::TooLarge => "the form is too large",
            FormError::Truncated => "the form is not complete",
        })
    }
}

impl Error for FormError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            FormError::Head(error) => Some(error),
            _ => None,
        }
    }
}
