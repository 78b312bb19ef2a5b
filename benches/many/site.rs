//! The server whose connections are counted: one loop, and a page for each state.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serve_forever::http::{
    EventSender, Http, HttpRequestHandler, HttpResult, HttpSettings, Request, Response, listen,
};
use serve_forever::reactor::EventLoop;
use serve_forever::socketserver::{Defaults, Engine, Evented, Pool, Turn};

/// How long a drain waits at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is sent to a client that does not read. It is more than all buffers take.
const DOWNLOAD: usize = 8 * 1024 * 1024;

/// How many connections the server takes.
const CONNECTIONS: usize = 20_000;

/// The time that no client uses up during a measurement.
const LONG: Duration = Duration::from_secs(600);

#[derive(Clone)]
pub struct Site {
    workers: Pool,
    /// The streams of events, so that they stay open.
    events: Arc<Mutex<Vec<EventSender>>>,
    /// What the workers wait for. It never comes.
    never: Arc<Mutex<Receiver<()>>>,
}

impl Site {
    fn new() -> Site {
        let (sender, never) = mpsc::channel();
        std::mem::forget(sender);
        Site {
            workers: Pool::new().threads(2).queue_length(usize::MAX),
            events: Arc::default(),
            never: Arc::new(Mutex::new(never)),
        }
    }
}

impl HttpRequestHandler for Site {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        match request.path() {
            "/worker" => {
                let never = Arc::clone(&self.never);
                response.offload(&self.workers, move |response| {
                    let _ = never.lock().map(|never| never.recv());
                    response.send_error(503)
                })
            }
            "/events" => {
                let (sender, reply) = response.send_events()?;
                self.events.lock().expect("nobody panics").push(sender);
                Ok(reply)
            }
            "/download" => {
                let blocks = std::iter::repeat_with(|| vec![b'x'; 16 * 1024]);
                let blocks = blocks.take(DOWNLOAD / (16 * 1024));
                response.send_response(200).stream(blocks)
            }
            #[cfg(feature = "websocket")]
            "/websocket" => {
                use serve_forever::http::websocket::{
                    WebSocket, WebSocketMessage, WebSocketSettings,
                };
                let echo = |socket: &mut WebSocket<'_>, message: WebSocketMessage<'_>| {
                    socket.send(message);
                    Ok(())
                };
                WebSocketSettings::default().accept(request, response, echo)
            }
            _ => response.send_response(200).body("hello"),
        }
    }
}

/// Serves until a drain is over. A client may be idle for so long.
///
/// A `Server` takes 10,000 connections. An `Engine` takes as many as it has tokens.
pub fn serve(address: SocketAddr, keep_alive: Duration) -> Result<(), Box<dyn Error>> {
    let mut event_loop = EventLoop::new()?;
    let dispatch = Evented::new(Http::new(Site::new(), settings(keep_alive)));
    let (registry, waker) = (event_loop.registry(), event_loop.waker());
    let (tcp, hooks, tokens) = (listen(address)?, Defaults::default(), 0..CONNECTIONS + 2);
    let mut engine = Engine::attach(tcp, dispatch, hooks, registry, waker, tokens)?;
    engine.drain_on_signals(PATIENCE)?;
    while engine.turn(Instant::now())? != Turn::Shutdown {
        event_loop.wait(engine.timeout(Instant::now()), |event| {
            engine.feed(event);
        })?;
    }
    Ok(())
}

/// Serves without limits of time, until a drain is over.
pub fn serve_patiently(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    serve(address, LONG)
}

#[cfg(feature = "tls-ring")]
pub fn serve_tls(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    use serve_forever::http::HttpsServer;
    use serve_forever::socketserver::TlsConfig;

    // The client of the bench believes every certificate.
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/tls/certificates/one_site.pem");
    let config = TlsConfig::from_pem_files(&file, &file)?;
    let settings = settings(LONG);
    let mut server = HttpsServer::with_settings(address, Site::new(), settings, config)?;
    Ok(server.serve_forever()?)
}

fn settings(keep_alive: Duration) -> HttpSettings {
    let mut settings = HttpSettings::default();
    settings.deadlines.keep_alive = keep_alive;
    settings.deadlines.head = LONG;
    settings.deadlines.body.idle = LONG;
    settings.deadlines.body.grace = LONG;
    settings.deadlines.response = Some(LONG);
    settings
}
