//! TCP whose requests pass through the test before they reach the server.

use std::io;
use std::net::SocketAddr;

use mio::event::Source;
use serve_forever::socketserver::{Request, Tcp, Transport};

type GetRequest<R> = Box<dyn FnMut(&mut Tcp) -> io::Result<(R, SocketAddr)> + Send>;

/// A [`Tcp`] whose `get_request` is the test's closure. The closure gets the `Tcp`.
pub struct Intercepted<R> {
    pub tcp: Tcp,
    get_request: GetRequest<R>,
}

impl<R> Intercepted<R> {
    pub fn new(
        tcp: Tcp,
        get_request: impl FnMut(&mut Tcp) -> io::Result<(R, SocketAddr)> + Send + 'static,
    ) -> Intercepted<R> {
        Intercepted {
            tcp,
            get_request: Box::new(get_request),
        }
    }
}

impl<R: Request> Transport for Intercepted<R> {
    type Request = R;
    type Address = SocketAddr;

    fn server_bind(&mut self) -> io::Result<()> {
        self.tcp.server_bind()
    }

    fn server_activate(&mut self) -> io::Result<()> {
        self.tcp.server_activate()
    }

    fn server_close(&mut self) {
        self.tcp.server_close();
    }

    fn server_address(&self) -> SocketAddr {
        self.tcp.server_address()
    }

    fn source(&mut self) -> io::Result<&mut dyn Source> {
        self.tcp.source()
    }

    fn get_request(&mut self) -> io::Result<(R, SocketAddr)> {
        (self.get_request)(&mut self.tcp)
    }
}
