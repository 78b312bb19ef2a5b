//! A request on its way to another thread, which responds to it.

use super::message::{News, ReplyTo};
use super::off_loop;
use super::owned::OwnedRequest;
use super::request::Request;
use super::response::{HttpResult, Response};
use super::written::{Content, Reading, Thread};

/// A copy of a request, with the body that is still to come.
#[derive(Debug)]
pub(super) struct KeptRequest {
    /// The copy.
    request: OwnedRequest,
    /// How the other thread reads the body, if the copy does not have it.
    reading: Option<Box<Reading>>,
}

impl Response<'_> {
    /// Copies the request for another thread. Returns `None` if there is no room for its body
    /// beside those of other clients.
    pub(super) fn keep(&mut self, request: &Request<'_>) -> Option<KeptRequest> {
        if !self.keep_body() {
            return None;
        }
        let reading = match self.context.content {
            Content::Whole(..) | Content::Owned(_) => None, // it goes along with the request
            _ => Some(Box::new(Reading::Reader(self.body_reader()))),
        };
        let request = OwnedRequest::with_share(request, self.state.share.take());
        Some(KeptRequest { request, reading })
    }
}

impl KeptRequest {
    /// Returns the request itself.
    pub(super) fn request(&self) -> &OwnedRequest {
        &self.request
    }

    /// Lets `respond` write the response on this thread, and returns it as news for the loop.
    pub(super) fn write(
        self,
        reply_to: &ReplyTo,
        thread: Thread,
        respond: impl FnOnce(&Request<'_>, Response<'_>) -> HttpResult,
    ) -> News {
        let KeptRequest { request, reading } = self;
        let content = match reading {
            Some(_) => Content::Elsewhere,
            None => Content::Owned(&request),
        };
        off_loop::write(reply_to, content, reading, thread, |response| {
            request.with(|request| respond(request, response))
        })
    }
}
