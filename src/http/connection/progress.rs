//! A request whose answer takes more than one call goes on: content arrives, blocks are pulled,
//! other threads have something to say.

use super::exchange::{Arrived, Exchange, Inbound, Inlet, Outbound, Receiving, Untaken};
use super::{HttpConnection, Phase, Step};
use crate::http::body::Ending;
use crate::http::deferred::{Home, News, Pulled, Pushing};
use crate::http::h1::{self, Fields, Version};
use crate::http::incoming::Incoming;
use crate::http::intake::BodySink;
use crate::http::response::{self, Answered, Content, Outcome, Upgrade};
use crate::http::stats::Hit;
use crate::http::{self, HttpRequestHandler, ResponseError};
use crate::reactor::Now;
use crate::socketserver::{Buffer, Next, contain};

impl<H: HttpRequestHandler> HttpConnection<H> {
    /// Connects the content with who wants it, and follows the reply.
    pub(super) fn begin(
        &mut self,
        mut exchange: Box<Exchange>,
        content: Content<'_>,
        incoming: Option<Incoming>,
        mut answered: Answered,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        let extras = answered.extras.as_mut();
        let inflow = extras.and_then(|extras| extras.inflow.take());
        let inlet = match (&mut answered.outcome, inflow) {
            (Outcome::Receive(_), _) => {
                let outcome = std::mem::replace(&mut answered.outcome, Outcome::Deferred);
                let Outcome::Receive(sink) = outcome else {
                    return Step::Break(Next::Close);
                };
                Some(Inlet::Sink(sink))
            }
            (_, Some(inflow)) => Some(Inlet::Reader(inflow)),
            (_, None) => None,
        };
        match (inlet, incoming, content) {
            (Some(inlet), Some(incoming), Content::Coming { ask }) => {
                let receiving = Receiving::new(incoming, inlet, ask, output, now);
                exchange.inbound = Inbound::Receiving(Box::new(receiving));
            }
            (Some(Inlet::Sink(mut sink)), None, Content::Whole(body, trailers)) => {
                let taken = match body {
                    b"" => Ok(()),
                    _ => contain(|| sink.block(body).map(|_| ())),
                };
                return match taken {
                    Ok(()) => self.finish(exchange, sink, trailers, output, now),
                    Err(failure) => self.fail_exchange(exchange, failure, output, now),
                };
            }
            _ => {}
        }
        self.settle(exchange, answered, now)
    }

    /// Lets a sink answer that has got all it wants.
    pub(super) fn finish(
        &mut self,
        exchange: Box<Exchange>,
        sink: Box<dyn BodySink>,
        trailers: Fields<'_>,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        let mut context = self.context(self.terms(&exchange), now);
        if matches!(exchange.inbound, Inbound::Unwanted) {
            context.content = Content::Unwanted;
        }
        let answered =
            response::answer(output, &context, |response| sink.finish(trailers, response));
        match answered {
            Ok(answered) => self.settle(exchange, answered, now),
            Err(failure) => self.fail_exchange(exchange, failure, output, now),
        }
    }

    /// Follows a reply.
    pub(super) fn settle(
        &mut self,
        mut exchange: Box<Exchange>,
        answered: Answered,
        now: &Now,
    ) -> Step {
        let ending = answered.ending();
        if let Some(extras) = answered.extras {
            exchange.patience = extras.patience.unwrap_or(exchange.patience);
            let subject = exchange.subject();
            self.note(*extras, subject, answered.code, now);
        }
        if !matches!(answered.outcome, Outcome::Deferred) {
            exchange.code = Some(answered.code);
        }
        match answered.outcome {
            Outcome::Done => return self.end(&exchange, ending, now),
            Outcome::Upgrade(Upgrade(protocol)) => {
                let subject = exchange.subject();
                self.log(subject, exchange.code, &ending, now);
                return Step::Break(Next::Upgrade(protocol));
            }
            Outcome::Stream(streaming) => exchange.outbound = Outbound::Pulled(streaming),
            Outcome::Deferred => {}
            Outcome::Push(_) | Outcome::Receive(_) | Outcome::Unanswered => {
                debug_assert!(false, "who asks for these sees to them");
            }
        }
        self.go_on(exchange, now)
    }

    /// Waits for what the exchange waits for.
    pub(super) fn go_on(&mut self, exchange: Box<Exchange>, now: &Now) -> Step {
        self.since = Some(now.instant());
        self.wait(exchange)
    }

    /// As [`go_on`](Self::go_on), where nothing has happened that a deadline would follow from.
    fn wait(&mut self, exchange: Box<Exchange>) -> Step {
        let next = exchange.verdict();
        self.phase = Phase::Exchange(exchange);
        match next {
            Next::Read => Step::Continue(()),
            next => Step::Break(next),
        }
    }

    /// The answer is written to its end.
    pub(super) fn end(&mut self, exchange: &Exchange, mut ending: Ending, now: &Now) -> Step {
        self.report_wrong(&ending);
        let subject = exchange.subject();
        self.log(subject, exchange.code, &ending, now);
        ending.close |= !matches!(exchange.inbound, Inbound::Done);
        self.next_request(&ending, exchange.terms, now)
    }

    /// Hands on what has arrived of the content.
    pub(super) fn receive_content(
        &mut self,
        input: &mut Buffer,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        let Phase::Exchange(exchange) = &mut self.phase else {
            return Step::Break(Next::Close);
        };
        let receiving = match &mut exchange.inbound {
            Inbound::Receiving(receiving) if !receiving.is_paused() => receiving,
            _ => return Step::Break(exchange.verdict()),
        };
        let arrived = match receiving.take_in(input, now) {
            Ok(Arrived::Part) => {
                self.since = Some(now.instant());
                return Step::Break(exchange.verdict());
            }
            arrived => arrived,
        };
        let Phase::Exchange(mut exchange) = std::mem::replace(&mut self.phase, Phase::Closed)
        else {
            return Step::Break(Next::Close);
        };
        let whole = match arrived {
            Ok(arrived) => arrived == Arrived::Whole,
            Err(Untaken::Failed(failure)) => {
                return self.fail_exchange(exchange, failure, output, now);
            }
            Err(Untaken::Malformed(error)) if exchange.has_begun() => {
                self.settings.counters.count(error.into());
                return Step::Break(self.break_off(&exchange, now));
            }
            Err(Untaken::Malformed(error)) => {
                let subject = exchange.subject();
                return self.refuse_malformed(error, subject, output, now);
            }
        };
        let Some(receiving) = exchange.end_inbound(whole) else {
            return self.go_on(exchange, now);
        };
        let Receiving {
            inlet, trailers, ..
        } = *receiving;
        match inlet {
            Inlet::Sink(sink) => {
                // The decoder has checked them.
                let trailers = h1::parse_fields(&trailers, usize::MAX).unwrap_or_default();
                let step = self.finish(exchange, sink, trailers, output, now);
                self.after(step, input)
            }
            Inlet::Reader(inflow) => {
                if whole {
                    inflow.end(trailers);
                }
                self.go_on(exchange, now)
            }
        }
    }

    /// Pulls a block of the answer, or has it pulled.
    pub(super) fn pull(
        &mut self,
        mut exchange: Box<Exchange>,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        let away = Outbound::Away {
            sent: exchange.sent(),
            ends_with_the_connection: exchange.ends_with_the_connection(),
        };
        match std::mem::replace(&mut exchange.outbound, away) {
            Outbound::Pulled(mut streaming) => {
                if let (Some(workers), Some(mailbox)) = (streaming.workers.take(), &self.mailbox) {
                    workers.pull(Home::new(mailbox.clone(), self.serial), streaming);
                    return self.go_on(exchange, now);
                }
                let pulled = contain(|| streaming.pull(output));
                exchange.outbound = Outbound::Pulled(streaming);
                match pulled {
                    Ok(None) => self.go_on(exchange, now),
                    Ok(Some(ending)) => self.end(&exchange, ending, now),
                    Err(failure) => self.fail_exchange(exchange, failure, output, now),
                }
            }
            outbound => {
                exchange.outbound = outbound;
                self.go_on(exchange, now)
            }
        }
    }

    /// Acts on what another thread has to say.
    pub(super) fn hear(
        &mut self,
        mut exchange: Box<Exchange>,
        news: News,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        match (news, &mut exchange.outbound) {
            (News::Answer(answer), Outbound::Awaited) => {
                let context = self.context(self.terms(&exchange), now);
                let answered = response::answer(output, &context, |response| {
                    let answer = answer.ok_or(ResponseError::Forgotten)?;
                    answer.begin(response).body(&answer.body)
                });
                match answered {
                    Ok(answered) => self.settle(exchange, answered, now),
                    Err(failure) => self.fail_exchange(exchange, failure, output, now),
                }
            }
            (News::Interim(bytes), Outbound::Awaited) => {
                if exchange.terms.version >= Version::Http11 {
                    output.extend_from_slice(&bytes);
                }
                self.wait(exchange)
            }
            (News::Begin(answer, gauge, room), Outbound::Awaited) => {
                let context = self.context(self.terms(&exchange), now);
                let answered =
                    response::answer(output, &context, |response| answer.begin(response).push());
                match answered {
                    Ok(Answered {
                        outcome: Outcome::Push(framer),
                        code,
                        ..
                    }) => {
                        exchange.code = Some(code);
                        exchange.outbound = Outbound::Pushed(Pushing {
                            framer: *framer,
                            gauge,
                            room,
                        });
                        self.wait(exchange)
                    }
                    Ok(answered) => self.settle(exchange, answered, now),
                    Err(failure) => self.fail_exchange(exchange, failure, output, now),
                }
            }
            (News::Block(block), Outbound::Pushed(pushing)) => {
                match pushing.block(&block, output) {
                    Some(ending) => self.end(&exchange, ending, now),
                    None => self.wait(exchange),
                }
            }
            (News::End(trailers), Outbound::Pushed(pushing)) => {
                match pushing.framer.end(&trailers, output) {
                    Ok(ending) => self.end(&exchange, ending, now),
                    Err(failure) => self.fail_exchange(exchange, failure, output, now),
                }
            }
            (News::Broken(failure), Outbound::Pushed(_)) => {
                self.fail_exchange(exchange, failure, output, now)
            }
            (News::GoOn, outbound) => {
                let begun = !matches!(outbound, Outbound::Awaited);
                if let Inbound::Receiving(receiving) = &mut exchange.inbound {
                    receiving.go_on((!begun).then_some(output), now);
                }
                self.go_on(exchange, now)
            }
            (News::Worked(bytes, Ok(answered)), Outbound::Awaited) => {
                output.extend_from_slice(&bytes);
                let incoming = None;
                self.begin(
                    exchange,
                    Content::Elsewhere,
                    incoming,
                    *answered,
                    output,
                    now,
                )
            }
            (News::Worked(_, Err(failure)), Outbound::Awaited) => {
                self.fail_exchange(exchange, failure, output, now)
            }
            (News::Pulled(bytes, pulled), Outbound::Away { sent, .. }) => {
                output.extend_from_slice(&bytes);
                match pulled {
                    Ok(Pulled::Part(pulled)) => {
                        *sent = pulled;
                        match exchange.awaits_client() {
                            true => self.wait(exchange), // whose time goes on
                            false => self.go_on(exchange, now),
                        }
                    }
                    Ok(Pulled::More(streaming)) => {
                        exchange.outbound = Outbound::Pulled(streaming);
                        self.go_on(exchange, now)
                    }
                    Ok(Pulled::End(ending)) => self.end(&exchange, ending, now),
                    Err(failure) => self.fail_exchange(exchange, failure, output, now),
                }
            }
            // It comes too late, and changes nothing.
            _ => self.wait(exchange),
        }
    }

    /// The program has owed an answer, or the rest of one, for too long.
    #[cold]
    pub(super) fn overdue(
        &mut self,
        exchange: Box<Exchange>,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        self.settings.counters.count(Hit::AnswerTimeout);
        self.report(Some(ResponseError::Overdue.into()));
        if exchange.has_begun() {
            return Step::Break(self.break_off(&exchange, now));
        }
        let (subject, why) = (exchange.subject(), http::explanation(503));
        self.send_error(503, why, exchange.terms, subject, output, now);
        self.close(exchange.terms)
    }
}
