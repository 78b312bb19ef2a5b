//! Transports whose requests pass through the test before they reach the server.

use std::io;

use mio::event::Source;
use serve_forever::socketserver::{Accepted, Tcp, Transport};

type GetRequest<R, T> = Box<dyn FnMut(&mut T) -> io::Result<(R, <T as Transport>::Address)> + Send>;

/// A transport whose `get_request` is the test's closure. The closure gets the transport below.
pub struct Intercepted<R, T: Transport = Tcp> {
    pub inner: T,
    get_request: GetRequest<R, T>,
}

impl<R, T: Transport> Intercepted<R, T> {
    pub fn new(
        inner: T,
        get_request: impl FnMut(&mut T) -> io::Result<(R, T::Address)> + Send + 'static,
    ) -> Intercepted<R, T> {
        Intercepted {
            inner,
            get_request: Box::new(get_request),
        }
    }
}

impl<R: Accepted, T: Transport> Transport for Intercepted<R, T> {
    type Request = R;
    type Address = T::Address;

    fn server_bind(&mut self) -> io::Result<()> {
        self.inner.server_bind()
    }

    fn server_activate(&mut self) -> io::Result<()> {
        self.inner.server_activate()
    }

    fn server_close(&mut self) {
        self.inner.server_close();
    }

    fn server_address(&self) -> T::Address {
        self.inner.server_address()
    }

    fn source(&mut self) -> io::Result<&mut dyn Source> {
        self.inner.source()
    }

    fn drain(&mut self) -> usize {
        self.inner.drain()
    }

    fn get_request(&mut self) -> io::Result<(R, T::Address)> {
        (self.get_request)(&mut self.inner)
    }
}
