//! What is said of a request: the failures that are reported, the lines that are logged.

use super::HttpConnection;
use super::exchange::Exchange;
use crate::http::access::{self, LogEntry, Subject};
use crate::http::body::Ending;
use crate::http::response::Extras;
use crate::http::{HttpRequestHandler, ResponseError};
use crate::reactor::Now;
use crate::socketserver::{Failure, contain};

impl<H: HttpRequestHandler> HttpConnection<H> {
    /// Of several pipelined requests the first that failed is reported.
    #[inline(always)]
    pub(super) fn report(&mut self, failure: Option<Failure>) {
        if let Some(failure) = failure {
            self.failure.get_or_insert_with(|| Box::new(failure));
        }
    }

    /// Takes note of what few answers come with.
    #[cold]
    pub(super) fn note(&mut self, extras: Extras, subject: Subject<'_>, code: u16, now: &Now) {
        self.report(extras.failure);
        if let Some(reason) = extras.reason {
            self.log_error(subject, code, &reason, now);
        }
    }

    /// Content that was not as long as announced is a failure, too (WSGI-17).
    pub(super) fn report_wrong(&mut self, ending: &Ending) {
        if let Some(error) = ending.wrong {
            self.report(Some(error.into()));
        }
    }

    /// Logs an answer that was written to its end.
    #[inline]
    pub(super) fn log(
        &mut self,
        subject: Subject<'_>,
        code: Option<u16>,
        ending: &Ending,
        now: &Now,
    ) {
        let outcome = access::Outcome {
            code,
            sent: ending.sent,
            complete: ending.wrong != Some(ResponseError::TooShort),
        };
        self.log_request(subject, outcome, now);
    }

    #[inline]
    fn log_request(&mut self, subject: Subject<'_>, outcome: access::Outcome, now: &Now) {
        let entry = LogEntry::new(subject, self.ends.client(), outcome, now);
        let handler = &mut self.handler;
        let logged = contain(|| {
            handler.log_request(&entry);
            Ok(())
        });
        self.report(logged.err());
    }

    /// Logs that an answer is an error page, before it is logged as an answer (LOG-4).
    #[cold]
    pub(super) fn log_error(&mut self, subject: Subject<'_>, code: u16, reason: &str, now: &Now) {
        let outcome = access::Outcome {
            code: Some(code),
            sent: 0,
            complete: false,
        };
        let entry = LogEntry::new(subject, self.ends.client(), outcome, now);
        let handler = &mut self.handler;
        let logged = contain(|| {
            handler.log_error(&entry, &format!("code {code}, message {reason}"));
            Ok(())
        });
        self.report(logged.err());
    }

    /// Logs an answer that was broken off, or never came.
    pub(super) fn log_broken(&mut self, exchange: &Exchange, now: &Now) {
        let outcome = access::Outcome {
            code: exchange.code,
            sent: exchange.sent(),
            complete: false,
        };
        self.log_request(exchange.subject(), outcome, now);
    }
}
