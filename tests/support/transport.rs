//! Transports whose requests pass through the test before they reach the server.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use serve_forever::socketserver::{Accepted, Duplex, HandlerResult, Rfile, Tcp, Transport, Waiter};

use super::server::listen;

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

    fn ip_address(client_address: &T::Address) -> Option<IpAddr> {
        T::ip_address(client_address)
    }
}

/// A socket that takes only as many bytes as the test allows.
pub struct ThrottledStream {
    stream: TcpStream,
    credit: Arc<AtomicUsize>,
}

/// A transport whose streams take as many bytes as the credit says; at first it is zero.
pub fn throttled() -> (Intercepted<ThrottledStream>, Arc<AtomicUsize>) {
    let credit = Arc::new(AtomicUsize::new(0));
    let shared = Arc::clone(&credit);
    let tcp = Intercepted::new(listen(), move |tcp| {
        let (stream, address) = tcp.get_request()?;
        let credit = Arc::clone(&shared);
        Ok((ThrottledStream { stream, credit }, address))
    });
    (tcp, credit)
}

impl Read for ThrottledStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.read(bytes)
    }
}

impl Write for ThrottledStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let credit = self.credit.load(Ordering::SeqCst);
        if credit == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.stream.write(&bytes[..bytes.len().min(credit)])?;
        self.credit.fetch_sub(count, Ordering::SeqCst);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for ThrottledStream {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.stream.register(registry, token, interest)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.stream.reregister(registry, token, interest)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.stream.deregister(registry)
    }
}

impl Accepted for ThrottledStream {
    fn serve(
        &mut self,
        waiter: &Waiter,
        handle: impl FnOnce(&mut dyn Rfile, &mut dyn Write) -> HandlerResult,
    ) -> HandlerResult {
        self.stream.serve(waiter, handle)
    }
}

impl Duplex for ThrottledStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream.shutdown_write()
    }
}
