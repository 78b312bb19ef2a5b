//! One request at a time, on the loop thread: Python's plain `BaseServer`.

use std::fmt;
use std::sync::Arc;

use super::{Dispatch, Refused};
use crate::reactor::{Now, Reactor};
use crate::socketserver::factory::{Ends, Factory};
use crate::socketserver::failure::{HandlerResult, contain};
use crate::socketserver::handler::{self, RequestHandler};
use crate::socketserver::server_handle::ServerHandle;
use crate::socketserver::transport::{Accepted, Transport};
use crate::socketserver::waiter::{Waiter, is_stopping};

/// Serves each request to its end before the next is accepted ([LOOP-17]).
///
/// While a handler waits for its client, nobody else is served. A silent client does not keep the
/// server from stopping ([SHUT-4]). [`Rfile::set_timeout`](crate::socketserver::Rfile::set_timeout)
/// limits how long it keeps the others waiting.
///
/// Its [`Factory`] makes a handler for each client: Python's `RequestHandlerClass`.
///
/// [LOOP-17]: crate::spec#loop-17
/// [SHUT-4]: crate::spec#shut-4
#[derive(Clone)]
pub struct Inline<F> {
    /// Makes the handlers.
    factory: F,
    /// Reaches the server. `None` until the server is put together.
    server: Option<ServerHandle>,
    /// Where a handler waits for its client.
    waiter: Arc<Waiter>,
}

impl<F> Inline<F> {
    /// Returns a dispatch that serves each request with a handler of `factory`.
    pub fn new(factory: F) -> Inline<F> {
        Inline {
            factory,
            server: None,
            waiter: Arc::default(),
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
        self.waiter = Arc::new(Waiter::on_loop(server));
    }

    fn process_request(
        &mut self,
        mut request: T::Request,
        client_address: T::Address,
        _reactor: &mut Reactor,
        _now: &Now,
    ) -> Result<(), Refused<T::Request>> {
        let waiter = &*self.waiter;
        let ends = Ends::new(&client_address).with_server(self.server.as_ref());
        match contain(|| finish_request(self.factory.make(&ends)?, &mut request, waiter)) {
            Ok(()) => {
                request.shutdown_request();
                Ok(())
            }
            Err(failure) => Err(Refused { request, failure }),
        }
    }
}

/// Runs a handler that was made for the request ([HND-1]). It does not fail if it ends because its
/// server stops while it waits for the client ([SHUT-4]).
///
/// [HND-1]: crate::spec#hnd-1
/// [SHUT-4]: crate::spec#shut-4
pub(super) fn finish_request(
    mut handler: impl RequestHandler,
    request: &mut impl Accepted,
    waiter: &Waiter,
) -> HandlerResult {
    let served = request.serve(waiter, |rfile, wfile| {
        handler::run(&mut handler, rfile, wfile)
    });
    served.or_else(|failure| match is_stopping(&failure) {
        true => Ok(()),
        false => Err(failure),
    })
}
