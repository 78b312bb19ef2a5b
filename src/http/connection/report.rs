//! Failures to report to the server, and lines to log.

use super::HttpConnection;
use super::exchange::Exchange;
use crate::http::access::{self, LogEntry, Peer, Record, Subject};
use crate::http::addresses::Addresses;
use crate::http::h1::Head;
use crate::http::handler::HttpRequestHandler;
use crate::http::message::Notes;
use crate::http::response_body::Ending;
use crate::http::response_error::ResponseError;
use crate::http::settings::HttpSettings;
use crate::reactor::Now;
use crate::socketserver::{Failure, contain};

impl<H: HttpRequestHandler> HttpConnection<H> {
    /// Keeps a failure to report. If several pipelined requests fail, the first is reported.
    #[inline(always)]
    pub(super) fn report(&mut self, failure: Option<Failure>) {
        if let Some(failure) = failure {
            self.failure.get_or_insert_with(|| Box::new(failure));
        }
    }

    /// Copies what the log needs of a request that is not finished when its handler returns.
    pub(super) fn record(&self, bytes: &[u8], head: &Head<'_>) -> Record {
        let peer = peer(&self.addresses, &self.settings);
        Record::new(bytes, head, &self.settings, peer)
    }

    /// Reports and logs the notes of a response.
    #[cold]
    pub(super) fn note(&mut self, notes: Notes, subject: Subject<'_>, code: u16, now: &Now) {
        self.report(notes.failure);
        if let Some(reason) = notes.reason {
            self.log_error(subject, code, &reason, now);
        }
    }

    /// Reports a body that was not as long as its `Content-Length` announced ([WSGI-17]).
    ///
    /// [WSGI-17]: crate::spec#wsgi-17
    #[inline]
    pub(super) fn report_wrong(&mut self, ending: &Ending) {
        if let Some(error) = ending.wrong {
            self.report(Some(error.into()));
        }
    }

    /// Counts and logs a response that was written to its end.
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
        self.completed = self.completed.saturating_add(1);
        self.log_request(subject, outcome, now);
    }

    /// Logs the response after which another protocol takes over. It has no body. The exchange goes
    /// on there, so it is not counted.
    pub(super) fn log_upgrade(&mut self, exchange: &Exchange, now: &Now) {
        let outcome = access::Outcome {
            code: exchange.code,
            sent: 0,
            complete: true,
        };
        self.log_request(exchange.subject(), outcome, now);
    }

    #[inline]
    fn log_request(&mut self, subject: Subject<'_>, outcome: access::Outcome, now: &Now) {
        let peer = peer(&self.addresses, &self.settings);
        let entry = LogEntry::new(subject, peer, outcome, now);
        // What if the hook panics? The client still gets its response, and the panic is reported.
        let handler = &mut self.handler;
        let logged = contain(|| {
            handler.log_request(&entry);
            Ok(())
        });
        self.report(logged.err());
    }

    /// Logs that a response is an error page; the line of the response comes after it ([LOG-4]).
    ///
    /// [LOG-4]: crate::spec#log-4
    #[cold]
    pub(super) fn log_error(&mut self, subject: Subject<'_>, code: u16, reason: &str, now: &Now) {
        let outcome = access::Outcome {
            code: Some(code),
            sent: 0,
            complete: false,
        };
        let peer = peer(&self.addresses, &self.settings);
        let entry = LogEntry::new(subject, peer, outcome, now);
        let handler = &mut self.handler;
        let logged = contain(|| {
            handler.log_error(&entry, &format!("code {code}, message {reason}"));
            Ok(())
        });
        self.report(logged.err());
    }

    /// Counts and logs a response that was broken off, or never came.
    pub(super) fn log_broken(&mut self, exchange: &Exchange, now: &Now) {
        let outcome = access::Outcome {
            code: exchange.code,
            sent: exchange.sent(),
            complete: false,
        };
        self.completed = self.completed.saturating_add(1);
        self.log_request(exchange.subject(), outcome, now);
    }
}

/// Returns the other end of a connection.
fn peer<'a>(addresses: &Addresses, settings: &'a HttpSettings) -> Peer<'a> {
    Peer {
        address: addresses.client(),
        proxies: settings.trusted_proxies.rule(),
    }
}
