//! The connection follows the verdict of an exchange.

use super::exchange::{Exchange, Verdict};
use super::io::Io;
use super::{HttpConnection, Phase, Step};
use crate::http::h1;
use crate::http::handler::HttpRequestHandler;
use crate::http::response_body::Ending;
use crate::http::response_error::ResponseError;
use crate::http::stats::Hit;
use crate::http::terms::Terms;
use crate::http::written::{Content, ContentSink, Context, Thread};
use crate::reactor::Now;
use crate::socketserver::Next;

impl<H: HttpRequestHandler> HttpConnection<H> {
    /// Does what the verdict says.
    pub(super) fn follow(
        &mut self,
        mut exchange: Box<Exchange>,
        verdict: Verdict,
        io: &mut Io<'_>,
    ) -> Step {
        // Before the response is logged, because an error page is logged first (LOG-4).
        if let Some(notes) = exchange.notes.take() {
            let code = exchange.code.unwrap_or_default();
            self.note(*notes, exchange.subject(), code, io.now);
        }
        match verdict {
            Verdict::Wait => self.wait(exchange),
            Verdict::GoOn => self.go_on(exchange, io.now),
            Verdict::Resume(halted) => {
                halted.resume();
                self.go_on(exchange, io.now)
            }
            Verdict::Ended(ending) => self.end(&exchange, ending, io.now),
            Verdict::Upgraded(upgrade) => {
                self.log_upgrade(&exchange, io.now); // to HTTP this is the last request
                Step::Break(Next::Upgrade(upgrade.0))
            }
            Verdict::Failed(failure) => self.fail_exchange(exchange, failure, io),
            Verdict::Finish(sink, trailers) => {
                let verdict = self.finish(&mut exchange, sink, &trailers, io);
                self.follow(exchange, verdict, io)
            }
            // What if a part of the response is out? Then a 400 would stand in the middle of it.
            Verdict::Malformed(error) if exchange.has_begun() => {
                self.settings.counters.count(error.into());
                Step::Break(self.break_off(&exchange, io.now))
            }
            Verdict::Malformed(error) => self.refuse_malformed(error, exchange.subject(), io),
        }
    }

    /// Lets a sink respond, when it has all it wants.
    fn finish(
        &mut self,
        exchange: &mut Exchange,
        sink: Box<dyn ContentSink>,
        trailers: &[u8],
        io: &mut Io<'_>,
    ) -> Verdict {
        // The decoder has checked these fields, so they can be parsed.
        let trailers = h1::parse_fields(trailers, usize::MAX).unwrap_or_default();
        // What if the sink has had enough? The rest of the body is not read, so the connection
        // closes.
        let content = match exchange.is_unwanted() {
            true => Content::Unwanted,
            false => Content::Elsewhere,
        };
        let context = Context {
            content: &content,
            ..self.context(self.terms(exchange), io.now)
        };
        match sink.finish(trailers, io.output, &context) {
            Ok(written) => exchange.settle(written),
            Err(failure) => Verdict::Failed(failure),
        }
    }

    /// Keeps the exchange, and waits for its next event. There was progress, so the deadline moves.
    fn go_on(&mut self, exchange: Box<Exchange>, now: &Now) -> Step {
        self.since = Some(now.instant());
        self.wait(exchange)
    }

    /// Like [`go_on`](Self::go_on), but the deadline stays.
    fn wait(&mut self, exchange: Box<Exchange>) -> Step {
        let next = exchange.next();
        self.phase = Phase::Exchange(exchange);
        Step::Break(next)
    }

    /// The response is written to its end.
    fn end(&mut self, exchange: &Exchange, mut ending: Ending, now: &Now) -> Step {
        self.report_wrong(&ending);
        self.log(exchange.subject(), exchange.code, &ending, now);
        // What if the response is complete before the request's body? Then the rest of the body
        // would become the next request.
        ending.close |= exchange.close || !exchange.is_received();
        self.next_request(&ending, exchange.terms, now)
    }

    /// The deadline of an exchange has passed.
    #[cold]
    pub(super) fn overdue(&mut self, mut exchange: Box<Exchange>, io: &mut Io<'_>) -> Step {
        if let Some(verdict) = exchange.beat(io) {
            return self.follow(exchange, verdict, io);
        }
        match (exchange.awaits_client(), exchange.has_begun()) {
            // The client has not sent the body in time, and can still be told so.
            (true, false) => self.too_slow(Hit::BodyTimeout, exchange.subject(), io),
            (true, true) => {
                self.settings.counters.count(Hit::BodyTimeout);
                Step::Break(self.break_off(&exchange, io.now))
            }
            // The client has done its part; the program has taken too long.
            (false, begun) => {
                self.settings.counters.count(Hit::ResponseTimeout);
                self.report(Some(ResponseError::Overdue.into()));
                if begun {
                    return Step::Break(self.break_off(&exchange, io.now));
                }
                self.send_unavailable(exchange.terms, exchange.subject(), io)
            }
        }
    }

    /// Returns the terms of a response that is written now: much may have changed since the head
    /// arrived.
    fn terms(&self, exchange: &Exchange) -> Terms {
        let goes_on = exchange.is_received() && !self.draining;
        Terms {
            keep_alive: exchange.terms.keep_alive && goes_on,
            ..exchange.terms
        }
    }

    /// Returns the context in which the loop writes a response.
    pub(super) fn context<'a>(&'a self, terms: Terms, now: &'a Now) -> Context<'a> {
        Context {
            settings: &self.settings,
            now,
            terms,
            head: None,
            address: self.context_address(),
            content: &Content::Elsewhere,
            thread: Thread::Loop,
        }
    }
}
