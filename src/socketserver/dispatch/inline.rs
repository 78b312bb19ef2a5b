//! One request at a time, on the loop thread: Python's plain `BaseServer`.

use std::fmt;

use super::{Dispatch, Refused};
use crate::reactor::{Now, Reactor};
use crate::socketserver::factory::{Ends, Factory};
use crate::socketserver::failure::{HandlerResult, contain};
use crate::socketserver::handler::{self, RequestHandler};
use crate::socketserver::transport::{Accepted, Transport};

/// Serves each request to its end before the next is accepted (LOOP-17).
///
/// Holds the [`Factory`] that makes a handler for each client: Python's `RequestHandlerClass`.
#[derive(Clone)]
pub struct Inline<F>(pub F);

impl<F> fmt::Debug for Inline<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Inline").finish_non_exhaustive()
    }
}

impl<T, F> Dispatch<T> for Inline<F>
where
    T: Transport,
    F: Factory<T::Address, Made: RequestHandler>,
{
    fn process_request(
        &mut self,
        mut request: T::Request,
        client_address: T::Address,
        _reactor: &mut Reactor,
        _now: &Now,
    ) -> Result<(), Refused<T::Request>> {
        let ends = Ends::new(&client_address);
        match contain(|| finish_request(self.0.make(&ends)?, &mut request)) {
            Ok(()) => {
                request.shutdown_request();
                Ok(())
            }
            Err(failure) => Err(Refused { request, failure }),
        }
    }
}

/// Runs a handler that was made for the request (HND-1).
pub(super) fn finish_request(
    mut handler: impl RequestHandler,
    request: &mut impl Accepted,
) -> HandlerResult {
    request.serve(|rfile, wfile| handler::run(&mut handler, rfile, wfile))
}
