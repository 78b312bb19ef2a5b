//! may_minihttp on one thread of may's scheduler: `hello_may ADDRESS`.

use std::env;
use std::io::{self, Read};

use may_minihttp::{HttpService, HttpServiceFactory, Request, Response};

struct Hello;

impl HttpService for Hello {
    fn call(&mut self, request: Request<'_, '_, '_>, response: &mut Response) -> io::Result<()> {
        if request.method() == "POST" {
            request.body().read_to_end(&mut Vec::new())?;
        }
        response
            .header("Content-Type: text/plain")
            .body("Hello, World!");
        Ok(())
    }
}

struct Each;

impl HttpServiceFactory for Each {
    type Service = Hello;

    fn new_service(&self, _connection: usize) -> Hello {
        Hello
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    may::config().set_workers(1).set_worker_pin(false);
    let server = Each.start(address)?;
    server.wait();
    Ok(())
}
