//! Requests that are not served, or not to the end: refused, failed, broken off.

use super::exchange::Exchange;
use super::io::Io;
use super::{HttpConnection, Phase, Step};
use crate::http::access::Subject;
use crate::http::h1;
use crate::http::handler::HttpRequestHandler;
use crate::http::message::Message;
use crate::http::response;
use crate::http::stats::Hit;
use crate::http::status::{explanation, phrase};
use crate::http::terms::Terms;
use crate::http::written::Written;
use crate::reactor::Now;
use crate::socketserver::{Failure, Next};

impl<H: HttpRequestHandler> HttpConnection<H> {
    /// Sends a 500 for a handler that failed ([design law 10]).
    ///
    /// [design law 10]: crate::spec#law-10
    #[cold]
    pub(super) fn fail(
        &mut self,
        failure: Failure,
        terms: Terms,
        subject: Subject<'_>,
        io: &mut Io<'_>,
    ) -> Step {
        // What if the handler has written a part of a response? `response::write` has taken it
        // back.
        self.report(Some(failure));
        self.send_error(500, explanation(500), &[], terms, subject, io);
        self.close(terms)
    }

    /// Like [`fail`](Self::fail), but breaks the response off if it has begun.
    #[cold]
    pub(super) fn fail_exchange(
        &mut self,
        exchange: Box<Exchange>,
        failure: Failure,
        io: &mut Io<'_>,
    ) -> Step {
        if exchange.has_begun() {
            self.report(Some(failure));
            return Step::Break(self.break_off(&exchange, io.now));
        }
        self.fail(failure, exchange.terms, exchange.subject(), io)
    }

    /// Ends a response whose head is out. Only the end of the connection can tell the client that
    /// it is not whole ([WSGI-19]).
    ///
    /// [WSGI-19]: crate::spec#wsgi-19
    #[cold]
    pub(super) fn break_off(&mut self, exchange: &Exchange, now: &Now) -> Next<Message> {
        self.phase = Phase::Closed;
        self.log_broken(exchange, now);
        // A body that ends with the connection looks whole, unless the connection is reset.
        match exchange.is_close_delimited() {
            true => Next::Abort,
            false => Next::Close,
        }
    }

    /// Refuses a request that is malformed, or exceeds a limit of the codec.
    #[cold]
    pub(super) fn refuse_malformed(
        &mut self,
        error: h1::Error,
        subject: Subject<'_>,
        io: &mut Io<'_>,
    ) -> Step {
        self.settings.counters.count(error.into());
        self.refuse(error.status(), &error.to_string(), subject, io)
    }

    /// Refuses a request: sends the error page, and closes.
    #[cold]
    pub(super) fn refuse(
        &mut self,
        code: u16,
        why: &str,
        subject: Subject<'_>,
        io: &mut Io<'_>,
    ) -> Step {
        // What if the head is not complete? Its first bytes tell whether it is a HEAD request,
        // whose response has no body.
        let terms = Terms::refused(subject.origin.is_head());
        self.send_error(code, why, &[], terms, subject, io);
        self.close(terms)
    }

    /// Refuses a request because there is no room for its body beside those of other clients. The
    /// client may try again soon, when some of them are done.
    #[cold]
    pub(super) fn shed(&mut self, subject: Subject<'_>, io: &mut Io<'_>) -> Step {
        self.settings.counters.count(Hit::BodyShed);
        let terms = Terms::refused(subject.origin.is_head());
        self.send_unavailable(terms, subject, io)
    }

    /// Sends a 503 that says when to try again ([GUARD-3]), and closes.
    ///
    /// [GUARD-3]: crate::spec#guard-3
    #[cold]
    pub(super) fn send_unavailable(
        &mut self,
        terms: Terms,
        subject: Subject<'_>,
        io: &mut Io<'_>,
    ) -> Step {
        let (name, value) = self.settings.retry_after_field();
        let more = &[(name, value.as_str())];
        self.send_error(503, explanation(503), more, terms, subject, io);
        self.close(terms)
    }

    /// Refuses a request from its head alone; its body stays unread.
    #[cold]
    pub(super) fn refuse_unread(
        &mut self,
        code: u16,
        subject: Subject<'_>,
        io: &mut Io<'_>,
    ) -> Step {
        match code {
            413 => self.settings.counters.count(Hit::BodyTooLarge),
            417 => self.settings.counters.count(Hit::ExpectationFailed),
            _ => {}
        }
        self.refuse(code, explanation(code), subject, io)
    }

    /// Refuses a request whose client has taken too long to send it.
    #[cold]
    pub(super) fn too_slow(&mut self, hit: Hit, subject: Subject<'_>, io: &mut Io<'_>) -> Step {
        self.settings.counters.count(hit);
        self.refuse(408, explanation(408), subject, io)
    }

    /// Writes the last response of the connection: an error page, with `more` fields.
    #[cold]
    pub(super) fn send_error(
        &mut self,
        code: u16,
        why: &str,
        more: &[(&str, &str)],
        terms: Terms,
        subject: Subject<'_>,
        io: &mut Io<'_>,
    ) {
        let terms = Terms {
            keep_alive: false,
            error_format: subject.origin.error_format(&self.settings),
            ..terms
        };
        let context = self.context(terms, io.now);
        let mut written = Written::new(&context);
        let sent = response::write(&mut written, io.output, &context, |response| {
            response.send_error_page(code, phrase(code), why, more)
        });
        self.phase = Phase::Closed;
        match sent {
            Ok(()) => {
                let ending = written.ending();
                if let Some(notes) = written.notes {
                    self.note(*notes, subject, code, io.now);
                }
                self.log(subject, Some(code), &ending, io.now);
            }
            // The code of a handler's body policy is not a status, so nothing can be sent.
            Err(failure) => self.report(Some(failure)),
        }
    }
}
