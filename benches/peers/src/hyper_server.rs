//! hyper on tokio's runtime with one thread: what both programs on hyper share.

use std::error::Error;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, SERVER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::{LocalSet, spawn_local};

pub type Answer = Result<Response<Full<Bytes>>, Box<dyn Error + Send + Sync>>;

/// The page.
pub fn hello() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, World!")));
    let fields = response.headers_mut();
    fields.insert(SERVER, HeaderValue::from_static("hyper"));
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// Serves on the address that is the program's first argument.
pub fn serve<F: Future<Output = Answer> + 'static>(
    runtime: &Runtime,
    handler: impl Fn(Request<Incoming>) -> F + Copy + 'static,
) -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    LocalSet::new().block_on(runtime, async move {
        let listener = TcpListener::bind(address).await?;
        let mut http = http1::Builder::new();
        // Without it each response of a pipeline is a write of its own.
        http.pipeline_flush(true);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let connection = http.serve_connection(TokioIo::new(stream), service_fn(handler));
            spawn_local(async move {
                // An error concerns this connection alone.
                let _ = connection.await;
            });
        }
    })
}
