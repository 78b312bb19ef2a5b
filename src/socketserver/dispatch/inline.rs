//! One request at a time, on the loop thread: Python's plain `BaseServer`.

use std::fmt;

use super::{Dispatch, Refused};
use crate::reactor::{Now, Reactor};
use crate::socketserver::factory::{Ends, Factory};
use crate::socketserver::failure::{HandlerResult, contain};
use crate::socketserver::handler::{self, RequestHandler};
use crate::socketserver::server_handle::ServerHandle;
use crate::socketserver::transport::{Accepted, Transport};

/// Serves each request to its end before the next is accepted ([LOOP-17]).
///
/// Its [`Factory`] makes a handler for each client: Python's `RequestHandlerClass`.
///
/// [LOOP-17]: crate::spec#loop-17
#[derive(Clone)]
pub struct Inline<F> {
    /// Makes the handlers.
    factory: F,
    /// Reaches the server. `None` until the server is put together.
    server: Option<ServerHandle>,
}

impl<F> Inline<F> {
    /// Returns a dispatch that serves each request with a handler of `factory`.
    pub fn new(factory: F) -> Inline<F> {
        Inline {
            factory,
            server: None,
        }
    }

    /// Returns the factory, which makes the handlers.
    pub fn factory(&self) -> &F {
        &self.factory
    }
}

impl<F> fmt::Debug for Inline<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inline").finish_non_exhaustive()
    }
}

impl<T, F> Dispatch<T> for Inline<F>
where
    T: Transport,
    F: Factory<T::Address, Made: RequestHandler>,
{
    fn attach(&mut self, _reactor: &Reactor, _address: T::Address, server: &ServerHandle) {
        self.server = Some(server.clone());
    }

    fn process_request(
        &mut self,
        mut request: T::Request,
        client_address: T::Address,
        _reactor: &mut Reactor,
        _now: &Now,
    ) -> Result<(), Refused<T::Request>> {
        let ends = Ends::new(&client_address).with_server(self.server.as_ref());
        match contain(|| finish_request(self.factory.make(&ends)?, &mut request)) {
            Ok(()) => {
                request.shutdown_request();
                Ok(())
            }
            Err(failure) => Err(Refused { request, failure }),
        }
    }
}

/// Runs a handler that was made for the request ([HND-1]).
///
/// [HND-1]: crate::spec#hnd-1
pub(super) fn finish_request(
    mut handler: impl RequestHandler,
    request: &mut impl Accepted,
) -> HandlerResult {
    request.serve(|rfile, wfile| handler::run(&mut handler, rfile, wfile))
}
