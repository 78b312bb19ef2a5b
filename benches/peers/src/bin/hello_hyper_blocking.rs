//! hyper with a handler that may block, on two threads of tokio: `hello_hyper_blocking ADDRESS`.

#[path = "../hyper_server.rs"]
mod hyper_server;

use std::error::Error;

use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper_server::{Answer, hello, serve};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;

/// How many threads run the handlers: as many as `workers` in `benches/macro.rs`.
const THREADS: usize = 2;

async fn handle(request: Request<Incoming>) -> Answer {
    let content = request.into_body().collect().await?.to_bytes();
    let answer = spawn_blocking(move || {
        drop(content);
        hello()
    });
    Ok(answer.await?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut builder = Builder::new_current_thread();
    let builder = builder.enable_io().max_blocking_threads(THREADS);
    serve(&builder.build()?, handle)
}
