//! A protocol without a loop, behind a server: each client is served to its end by a [`Driver`].

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serve_forever::reactor::{Now, Reactor};
use serve_forever::socketserver::{
    Dispatch, Driver, Ends, Factory, Failure, Protocol, Refused, Tcp, Transport,
};

/// Drives one conversation after the other, over blocking sockets.
pub struct Driving<F> {
    factory: F,
    failures: VecDeque<(Failure, SocketAddr)>,
}

impl<F> Driving<F> {
    pub fn new(factory: F) -> Driving<F> {
        Driving {
            factory,
            failures: VecDeque::new(),
        }
    }
}

impl<F: Factory<SocketAddr, Made: Protocol>> Dispatch<Tcp> for Driving<F> {
    fn process_request(
        &mut self,
        request: <Tcp as Transport>::Request,
        client_address: SocketAddr,
        _reactor: &mut Reactor,
        _now: &Now,
    ) -> Result<(), Refused<<Tcp as Transport>::Request>> {
        let stream = TcpStream::from(request);
        stream.set_nonblocking(false).expect("an option");
        // How late a deadline may be noticed.
        let timeout = Some(Duration::from_millis(1));
        stream.set_read_timeout(timeout).expect("a limit");
        let made = self.factory.make(&Ends::new(&client_address));
        let driven = made.and_then(|protocol| Driver::new(protocol).drive(stream));
        let failure = driven.err().map(|failure| (failure, client_address));
        self.failures.extend(failure);
        Ok(())
    }

    fn next_failure(&mut self) -> Option<(Failure, SocketAddr)> {
        self.failures.pop_front()
    }
}
