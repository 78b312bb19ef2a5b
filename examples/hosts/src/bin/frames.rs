//! A loop with sixty frames a second, as in a game. The server gets what is left of each frame.
//!
//! The program sleeps in the server, so a client does not wait for the next frame. And a client never
//! delays a frame by more than one handler.

use std::time::{Duration, Instant};

use hosts::{Outcome, Page};
use serve_forever::HttpServer;
use serve_forever::socketserver::{ServeError, Turn};

const FRAME: Duration = Duration::from_micros(16_667);

fn main() -> Outcome {
    let mut server = hosts::bind()?;
    let mut next_frame = Instant::now();
    loop {
        // Draw the frame here.
        next_frame += FRAME;
        if serve_until(next_frame, &mut server)? == Turn::Shutdown {
            return Ok(());
        }
    }
}

/// Serves and sleeps until the frame is over.
fn serve_until(next_frame: Instant, server: &mut HttpServer<Page>) -> Result<Turn, ServeError> {
    loop {
        let rest = next_frame.saturating_duration_since(Instant::now());
        server.wait(rest)?;
        let turn = server.turn_until(next_frame)?;
        if turn == Turn::Shutdown || rest.is_zero() {
            return Ok(turn);
        }
    }
}
