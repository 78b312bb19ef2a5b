//! Responses that come later, from any thread.

use super::message::{News, ReplyTo, Then};
use super::off_loop;
use super::response::{self, HttpResult, Reply, Response, ResponseHead};
use super::response_error::ResponseError;
use super::response_stream::ResponseStream;
use super::written::{Content, Outcome, Thread};
use crate::socketserver::SendError;

impl Response<'_> {
    /// Lets another part of the program send the response, on any thread. The connection waits for
    /// it.
    ///
    /// Return the [`Reply`] from your handler. If the [`Deferred`] is dropped without a response,
    /// the client gets a 500.
    pub fn defer(self) -> (Deferred, Reply) {
        let deferred = Deferred::new(self.context.reply_to());
        (deferred, self.leave(Outcome::Deferred))
    }
}

/// The right, and the duty, to respond to one request from anywhere.
///
/// If it is dropped without a response, the client gets a 500. A response that takes longer than
/// [`Deadlines::response`](super::Deadlines::response), or than
/// [`Response::respond_within`] allows, comes too late: the client has already got a 503.
///
/// A long poll, whose clients wait for news from another thread:
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use serve_forever::http::{Deferred, HttpResult, Request, Response};
///
/// #[derive(Clone, Default)]
/// struct Waiting(Arc<Mutex<Vec<Deferred>>>);
///
/// impl Waiting {
///     /// The handler.
///     fn poll(&self, _: &Request<'_>, response: Response<'_>) -> HttpResult {
///         let (deferred, reply) = response.respond_within(Duration::from_secs(300)).defer();
///         let mut waiting = self.0.lock().expect("nobody panics");
///         waiting.retain(|deferred| !deferred.is_gone());
///         waiting.push(deferred);
///         Ok(reply)
///     }
///
///     /// Called on any thread.
///     fn tell(&self, news: &str) {
///         for deferred in self.0.lock().expect("nobody panics").drain(..) {
///             // Ignore the error: the client has disconnected.
///             let _ = deferred.respond(|response| response.send_response(200).body(news));
///         }
///     }
/// }
/// # let _ = (Waiting::poll, Waiting::tell);
/// ```
#[derive(Debug)]
#[must_use = "a request needs a response"]
pub struct Deferred(Option<ReplyTo>);

impl Deferred {
    /// Creates the duty to respond; with `None` there is nobody to respond to.
    pub(super) fn new(reply_to: Option<ReplyTo>) -> Deferred {
        Deferred(reply_to)
    }

    /// Lets `respond` write the response, on this thread, and wakes the loop to send it.
    ///
    /// If `respond` fails or panics, the client gets a 500, and the server reports the failure.
    ///
    /// A closure that you keep in a variable first has to name the type of its argument:
    /// `let respond = |response: Response<'_>| response.send_response(204).body("");`
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Gone`] if the client has disconnected; `respond` may not have been
    /// called then.
    pub fn respond(
        self,
        respond: impl FnOnce(Response<'_>) -> HttpResult,
    ) -> Result<(), SendError<()>> {
        self.fulfil(|reply_to| {
            let news = off_loop::write(reply_to, Content::Elsewhere, None, Thread::Other, respond);
            reply_to.tell(news)
        })?
    }

    /// Sends the head that `begin` writes. Push the body through the [`ResponseStream`] that this
    /// returns.
    ///
    /// Without a `Content-Length` the body is chunked; for HTTP/1.0 it ends with the connection. If
    /// the head cannot be sent, the client gets a 500, the server reports the failure, and the
    /// stream [is gone](ResponseStream::is_gone). If the response has no body, as for HEAD, the
    /// stream drops the blocks that you push.
    ///
    /// Write the closure here, between the parentheses, or use an `fn`. A closure in a variable does not
    /// compile ("lifetime may not live long enough"), because Rust then does not know that the head
    /// borrows from the response:
    ///
    /// ```
    /// use serve_forever::http::{Deferred, Response, ResponseHead};
    ///
    /// fn begin(response: Response<'_>) -> ResponseHead<'_> {
    ///     response.send_response(200).send_header("Content-Type", "text/plain")
    /// }
    ///
    /// fn tell(deferred: Deferred) {
    ///     if let Ok(stream) = deferred.stream(begin) {
    ///         let _ = stream.send("news\n"); // an error: the client has disconnected
    ///     }
    /// }
    /// # let _ = tell;
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Gone`] if the client has disconnected.
    pub fn stream(
        self,
        begin: impl FnOnce(Response<'_>) -> ResponseHead<'_>,
    ) -> Result<ResponseStream, SendError<()>> {
        self.fulfil(|reply_to| ResponseStream::begin(reply_to, begin))?
    }

    /// Sends an interim response ahead of the final one, for example `103 Early Hints`
    /// (RFC 9110 §15.2).
    ///
    /// A client of HTTP/1.0 does not get it. Neither does a client that has not taken the last
    /// [`MAILBOX_CAPACITY`](crate::socketserver::MAILBOX_CAPACITY) of them.
    ///
    /// # Errors
    ///
    /// Returns an error if `code` is 101 or not from 100 to 199, or if a field cannot be sent or
    /// announces a body. It is not an error if the client has disconnected.
    pub fn send_interim(&self, code: u16, headers: &[(&str, &str)]) -> Result<(), ResponseError> {
        let bytes = response::interim(code, headers)?;
        if let Some(reply_to) = &self.0 {
            reply_to.suggest(bytes);
        }
        Ok(())
    }

    /// Returns whether the client is known to have disconnected, so that nobody waits for the
    /// response. A client that has only stopped sending may still read; see
    /// [`EventedSettings::half_close`](crate::socketserver::EventedSettings::half_close).
    pub fn is_gone(&self) -> bool {
        self.0.as_ref().is_none_or(ReplyTo::is_gone)
    }

    /// Lets `work` send the response. If `work` panics, or this is dropped before, the client gets
    /// a 500, or sees that the response breaks off.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Gone`] if there is nobody to respond to; `work` is not called then.
    pub(super) fn fulfil<R>(
        mut self,
        work: impl FnOnce(&ReplyTo) -> R,
    ) -> Result<R, SendError<()>> {
        let done = work(self.reply_to().ok_or(SendError::Gone(()))?);
        self.relieve();
        Ok(done)
    }

    /// Returns how to respond, unless nobody waits for it.
    pub(super) fn reply_to(&self) -> Option<&ReplyTo> {
        self.0.as_ref().filter(|reply_to| !reply_to.is_gone())
    }

    /// Ends the duty: nothing is left to send.
    pub(super) fn relieve(&mut self) {
        self.0 = None;
    }
}

impl Drop for Deferred {
    /// Sends a 500 for a request that the program forgot.
    fn drop(&mut self) {
        if let Some(reply_to) = self.0.take() {
            let forgotten = Then::Fail(ResponseError::Forgotten.into());
            // Ignore the error: the client has disconnected, so the duty has ended.
            let _ = reply_to.tell(News::of(forgotten));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A closure that nobody will see the response of is not called.
    #[test]
    fn nothing_is_written_for_a_client_that_left() {
        let nowhere = || Deferred(None);
        let responded = nowhere().respond(|_| panic!("it was called"));
        assert_eq!(responded, Err(SendError::Gone(())));
        let stream = nowhere().stream(|_| panic!("it was called"));
        assert!(matches!(stream, Err(SendError::Gone(()))));
    }
}
