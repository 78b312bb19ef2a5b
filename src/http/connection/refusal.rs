//! What is not served, or not to the end: refused, failed, broken off.

use super::exchange::Exchange;
use super::{HttpConnection, Phase, Step};
use crate::http::access::Subject;
use crate::http::deferred::Message;
use crate::http::h1::{self, Version};
use crate::http::response::{self, Terms};
use crate::http::{self, HttpRequestHandler};
use crate::reactor::Now;
use crate::socketserver::{Buffer, Failure, Next};

/// The terms of an answer to what is not served: the connection ends with it.
pub(super) fn refused(subject: Subject<'_>) -> Terms {
    Terms {
        head_only: subject.origin.is_head(),
        connect: false,
        version: Version::Http11,
        client_goes_on: true,
        keep_alive: false,
    }
}

impl<H: HttpRequestHandler> HttpConnection<H> {
    /// Answers 500 for a handler that failed (design law 10).
    #[cold]
    pub(super) fn fail(
        &mut self,
        failure: Failure,
        terms: Terms,
        subject: Subject<'_>,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        self.report(Some(failure));
        self.send_error(500, http::explanation(500), terms, subject, output, now);
        self.close(terms)
    }

    /// As [`fail`](Self::fail), or, if the answer has begun, breaks it off.
    #[cold]
    pub(super) fn fail_exchange(
        &mut self,
        exchange: Box<Exchange>,
        failure: Failure,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        if exchange.has_begun() {
            self.report(Some(failure));
            return Step::Break(self.break_off(&exchange, now));
        }
        let subject = exchange.subject();
        self.fail(failure, exchange.terms, subject, output, now)
    }

    /// Ends an answer whose head is out: only the end of the connection can tell (WSGI-19).
    #[cold]
    pub(super) fn break_off(&mut self, exchange: &Exchange, now: &Now) -> Next<Message> {
        self.phase = Phase::Closed;
        self.log_broken(exchange, now);
        match exchange.ends_with_the_connection() {
            true => Next::Abort,
            false => Next::Close,
        }
    }

    /// Answers what is malformed, or exceeds a limit.
    #[cold]
    pub(super) fn refuse_malformed(
        &mut self,
        error: h1::Error,
        subject: Subject<'_>,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        self.settings.counters.count(error.into());
        self.refuse(error.status(), &error.to_string(), subject, output, now)
    }

    /// Answers what cannot be a request, or not one that is served.
    #[cold]
    pub(super) fn refuse(
        &mut self,
        code: u16,
        why: &str,
        subject: Subject<'_>,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        self.send_error(code, why, refused(subject), subject, output, now);
        self.close(refused(subject))
    }

    /// The last answer of the connection.
    #[cold]
    pub(super) fn send_error(
        &mut self,
        code: u16,
        why: &str,
        terms: Terms,
        subject: Subject<'_>,
        output: &mut Buffer,
        now: &Now,
    ) {
        let phrase = http::phrase(code);
        let answered = response::answer(output, &self.context(terms, now), |response| {
            response.send_error_with(code, phrase, why)
        });
        self.phase = Phase::Closed;
        match answered {
            Ok(answered) => {
                let ending = answered.ending();
                if let Some(extras) = answered.extras {
                    self.note(*extras, subject, code, now);
                }
                self.log(subject, Some(code), &ending, now);
            }
            // An Intake may have named a code that is none.
            Err(failure) => self.report(Some(failure)),
        }
    }
}
