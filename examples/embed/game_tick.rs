//! A server in a loop with frames: it gets what is left of each frame.
//!
//! A simulation takes fifty steps a second, whatever its clients do. After a step the server serves
//! until the next frame is due. If it has nothing to do, the program sleeps in the server, so a client
//! does not wait for the next frame. The simulation is a bouncing ball, which clients can kick.
//!
//!     cargo run --release --example game_tick -- 127.0.0.1:8000
//!
//! From another terminal:
//!
//!     curl http://127.0.0.1:8000/
//!     curl -X POST http://127.0.0.1:8000/kick
//!
//! Ctrl-C stops it.

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serve_forever::http::{HttpRequestHandler, HttpResult, HttpServer, Request, Response};
use serve_forever::socketserver::Turn;

const FRAME: Duration = Duration::from_millis(20);

/// The state of the simulation.
#[derive(Debug, Clone, Copy, Default)]
struct World {
    frame: u64,
    height: f64,
    speed: f64,
}

impl World {
    fn step(mut self) -> World {
        let seconds = FRAME.as_secs_f64();
        self.frame += 1;
        self.speed -= 9.81 * seconds;
        self.height += self.speed * seconds;
        if self.height < 0.0 {
            (self.height, self.speed) = (0.0, self.speed.abs() * 0.8);
        }
        self
    }
}

/// The handler. It runs in the server's turn, never during a step, so the world needs no lock.
#[derive(Clone)]
struct Player {
    world: Rc<Cell<World>>,
}

impl HttpRequestHandler for Player {
    fn do_get(&mut self, _request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let World { frame, height, .. } = self.world.get();
        response
            .send_response(200)
            .send_header("Content-Type", "text/plain")
            .body(format!("frame {frame}: the ball is at {height:.2} m\n"))
    }

    fn do_post(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let mut world = self.world.get();
        world.speed = 10.0;
        self.world.set(world);
        self.do_get(request, response)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let world = Rc::new(Cell::new(World::default()));
    let player = Player {
        world: Rc::clone(&world),
    };
    let mut server = HttpServer::bind(address, player)?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());

    let mut next_frame = Instant::now();
    loop {
        world.set(world.get().step());
        next_frame += FRAME;
        // Serves everybody who is ready, sleeps if nobody is, and stops when the frame is over.
        if server.serve_frame(next_frame)? == Turn::Shutdown {
            return Ok(());
        }
    }
}
