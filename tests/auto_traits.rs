//! Which types of the public API may go to another thread, or be used by several: a change must not
//! take that away. It is checked when this file is compiled.
#![cfg(feature = "server")]

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;

use serve_forever::http::testing::{Client, TestRequest, TestResponse, TestServer};
use serve_forever::http::{
    AllowedHosts, AnyHandler, BodyPolicy, BodyReader, Deferred, HttpConnection, HttpEngine,
    HttpServer, HttpSettings, HttpStats, OwnedRequest, Pooled, ResponseError, ResponseStream,
    Shared,
};
use serve_forever::reactor::{Doorbell, EventLoop, Now, Reactor, Readiness, Sender, Slot};
use serve_forever::socketserver::{
    Buffer, Defaults, Drained, Driver, EventedSettings, Failure, HandlerResult, Inbox, Mailbox,
    NotStopped, Outgoing, Overload, Overloaded, Panic, Place, Pool, Protocol, Rfile, Run,
    RunningServer, SendError, ServeError, ServerHandle, ShutdownHandle, Stats, Tcp, TcpServer,
    Turn, Udp, Worker,
};
use serve_forever::wsgi::{Body, FileWrapper, Headers, WsgiHandler, WsgiServer};

fn send<T: Send + 'static>() {}
fn sync<T: Send + Sync + 'static>() {}

type Handler =
    fn(&serve_forever::Request<'_>, serve_forever::Response<'_>) -> serve_forever::HttpResult;
type Blocking = fn(&mut dyn Rfile, &mut dyn Write) -> HandlerResult;
type App = fn(
    &mut serve_forever::Environ<'_>,
    &mut dyn serve_forever::StartResponse,
) -> serve_forever::AppResult;

#[test]
fn what_other_threads_may_have() {
    // A server may be made on one thread and run on another.
    send::<HttpServer<Handler>>();
    send::<HttpServer<AnyHandler>>();
    send::<HttpServer<Shared>>();
    send::<HttpEngine<Handler>>();
    send::<Outgoing<Box<dyn Protocol<Message = Infallible> + Send>>>();
    send::<HttpConnection<Handler>>();
    send::<WsgiServer<App>>();
    send::<TcpServer<fn(&SocketAddr) -> Blocking>>();
    send::<EventLoop>();
    send::<Reactor>();
    send::<Driver<HttpConnection<Handler>>>();
    send::<Tcp>();
    send::<Udp>();
    send::<Body>();
    send::<FileWrapper<std::fs::File>>();
    send::<BodyReader>();
    send::<Deferred>();
    send::<Place>();
    send::<Worker>();
    send::<Run>();
    send::<TestServer>();

    // Handles, settings, values and errors may be used by several threads.
    sync::<ServerHandle>();
    sync::<ShutdownHandle>();
    sync::<RunningServer<SocketAddr>>();
    sync::<Mailbox<String>>();
    sync::<Pool>();
    sync::<AllowedHosts<Handler>>();
    sync::<Pooled<Handler>>();
    sync::<ResponseStream>();
    sync::<OwnedRequest>();
    sync::<Doorbell>();
    sync::<Sender<String>>();
    sync::<Inbox<String>>();
    sync::<WsgiHandler<App>>();
    sync::<Client<Handler>>();
    sync::<TestRequest<Handler>>();
    sync::<TestResponse>();
    sync::<HttpSettings>();
    sync::<HttpStats>();
    sync::<EventedSettings>();
    sync::<BodyPolicy>();
    sync::<Headers>();
    sync::<Buffer>();
    sync::<Now>();
    sync::<Readiness>();
    sync::<Slot>();
    sync::<Stats>();
    sync::<Turn>();
    sync::<Drained>();
    sync::<Overload>();
    sync::<Defaults>();
    sync::<Failure>();
    sync::<ServeError>();
    sync::<NotStopped>();
    sync::<Overloaded>();
    sync::<Panic>();
    sync::<ResponseError>();
    sync::<SendError<String>>();
}
