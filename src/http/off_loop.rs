//! A response that is written away from the loop: by a worker, or through a
//! [`Deferred`](super::Deferred).

use std::mem;

use super::message::{News, ReplyTo, Then};
use super::response::{self, HttpResult, Response};
use super::response_error::ResponseError;
use super::written::{Content, Context, Outcome, Reading, Thread, Written};
use crate::reactor::Now;
use crate::socketserver::Buffer;

/// Lets `respond` write a response to the request at `reply_to` into memory, and returns it as news
/// for the loop.
///
/// `content` is the body of the request, or else `reading` is how this thread reads it. `thread` is
/// what this thread is.
pub(super) fn write(
    reply_to: &ReplyTo,
    content: Content<'_>,
    reading: Option<Box<Reading>>,
    thread: Thread,
    respond: impl FnOnce(Response<'_>) -> HttpResult,
) -> News {
    let (mut output, now) = (Buffer::new(), Now::new());
    let context = Context {
        settings: &reply_to.settings,
        now: &now,
        terms: reply_to.terms,
        head: None,
        address: Some(reply_to.address()),
        content: &content,
        thread,
    };
    let mut written = Written {
        reading,
        ..Written::new(&context)
    };
    match response::write(&mut written, &mut output, &context, respond) {
        Ok(()) => news(written, output),
        Err(failure) => News::of(Then::Fail(failure)),
    }
}

/// Returns the news for the loop: what this thread has written, and what is left to do.
fn news(mut written: Written, bytes: Buffer) -> News {
    let head = written.open_head();
    let then = match mem::replace(&mut written.outcome, Outcome::Unanswered) {
        Outcome::Done => Then::End(written.ending()),
        Outcome::Stream(streaming) => Then::Pull(streaming),
        Outcome::Upgrade(upgrade) => Then::Upgrade(upgrade),
        Outcome::Deferred => Then::Await,
        Outcome::Unanswered => Then::Fail(ResponseError::Unanswered.into()),
    };
    News {
        bytes,
        head,
        notes: written.notes,
        then,
    }
}
