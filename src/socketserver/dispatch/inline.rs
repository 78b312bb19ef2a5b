//! One request at a time, on the loop thread: Python's plain `BaseServer`.

use std::fmt;

use super::{Dispatch, Refused};
use crate::reactor::{Now, Reactor};
use crate::socketserver::failure::contain;
use crate::socketserver::handler;
use crate::socketserver::{HandlerResult, Request, RequestHandler, Transport};

/// Serves each request to its end before the next is accepted (LOOP-17).
///
/// Holds what makes a handler for a client: Python's `RequestHandlerClass`.
#[derive(Clone)]
pub struct Inline<F>(pub F);

impl<F> fmt::Debug for Inline<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Inline").finish_non_exhaustive()
    }
}

impl<T, F, H> Dispatch<T> for Inline<F>
where
    T: Transport,
    F: FnMut(&T::Address) -> H,
    H: RequestHandler,
{
    fn process_request(
        &mut self,
        mut request: T::Request,
        client_address: T::Address,
        _reactor: &mut Reactor,
        _now: &Now,
    ) -> Result<(), Refused<T::Request>> {
        let make_handler = |_: &T::Request, address: &T::Address| (self.0)(address);
        match contain(|| finish_request(make_handler, &mut request, &client_address)) {
            Ok(()) => {
                request.shutdown_request();
                Ok(())
            }
            Err(failure) => Err(Refused { request, failure }),
        }
    }
}

/// Makes a handler and runs it (HND-1).
pub(super) fn finish_request<R: Request, A, H: RequestHandler>(
    make_handler: impl FnOnce(&R, &A) -> H,
    request: &mut R,
    client_address: &A,
) -> HandlerResult {
    let mut handler = make_handler(request, client_address);
    request.serve(|rfile, wfile| handler::run(&mut handler, rfile, wfile))
}
