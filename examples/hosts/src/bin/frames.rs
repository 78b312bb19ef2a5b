//! A loop with sixty frames a second, as in a game. The server gets what is left of each frame.
//!
//! The program sleeps in the server, so a client does not wait for the next frame. And a client never
//! delays a frame by more than one handler.

use std::time::{Duration, Instant};

use hosts::Outcome;
use serve_forever::socketserver::Turn;

const FRAME: Duration = Duration::from_micros(16_667);

fn main() -> Outcome {
    let mut server = hosts::bind()?;
    let mut next_frame = Instant::now();
    loop {
        // Draw the frame here.
        next_frame += FRAME;
        if server.serve_frame(next_frame)? == Turn::Shutdown {
            return Ok(());
        }
    }
}
