//! The response to a client that is closed before it can send a request ([GUARD-3]).
//!
//! [GUARD-3]: crate::spec#guard-3

use std::sync::Arc;

use super::response;
use super::settings::HttpSettings;
use super::terms::Terms;
use super::written::{Content, Context, Thread, Written};
use crate::reactor::Now;
use crate::socketserver::Buffer;

/// Returns a 503 that says when to try again. It has no body, because the request may be a HEAD.
pub(super) fn turned_away(settings: &Arc<HttpSettings>, now: &Now) -> Vec<u8> {
    let context = Context {
        settings,
        now,
        terms: Terms::refused(false),
        head: None,
        address: None,
        content: &Content::Elsewhere,
        thread: Thread::Loop,
    };
    let (mut written, mut output) = (Written::new(&context), Buffer::new());
    let sent = response::write(&mut written, &mut output, &context, |response| {
        response.send_response(503).send_retry_after().body("")
    });
    match sent {
        Ok(()) => output.to_vec(),
        Err(_) => Vec::new(),
    }
}
