//! The terms of a response, which follow from the head of its request.

use super::error_format::ErrorFormat;
use super::h1::Version;

/// The terms of a response, which follow from the head of its request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// HEAD: the fields of the response to a GET, and no body.
    pub(super) head_only: bool,
    /// CONNECT: a response of success would make the connection a tunnel (RFC 9110 §9.3.6).
    pub(super) connect: bool,
    /// The version that the client speaks.
    pub(super) version: Version,
    /// The client may be sending something already that nobody will read, so a close lingers.
    pub(super) linger: bool,
    /// The connection can go on after the response.
    pub(super) keep_alive: bool,
    /// The format of an error page, once it was asked for.
    pub(super) error_format: ErrorFormat,
}

impl Terms {
    /// Returns the terms of a request that is refused: the connection ends with the response.
    pub(super) fn refused(head_only: bool) -> Terms {
        Terms {
            head_only,
            connect: false,
            version: Version::Http11,
            linger: true,
            keep_alive: false,
            error_format: ErrorFormat::default(),
        }
    }

    /// Returns whether the client knows interim responses. To a client of HTTP/1.0, the first
    /// response is the final one (RFC 9110 §15.2).
    pub(super) fn knows_interim_responses(&self) -> bool {
        self.version >= Version::Http11
    }
}
