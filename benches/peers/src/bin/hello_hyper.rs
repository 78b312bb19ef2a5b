//! hyper on tokio's runtime with one thread: `hello_hyper ADDRESS`.

#[path = "../hyper_server.rs"]
mod hyper_server;

use std::error::Error;

use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper_server::{Answer, hello, serve};
use tokio::runtime::Builder;

async fn handle(request: Request<Incoming>) -> Answer {
    request.into_body().collect().await?;
    Ok(hello())
}

fn main() -> Result<(), Box<dyn Error>> {
    serve(&Builder::new_current_thread().enable_io().build()?, handle)
}
