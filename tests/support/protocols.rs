//! Protocols that more than one test program serves.

use std::convert::Infallible;

use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Next, Protocol};

/// Sends each line back.
pub struct Echo;

impl Protocol for Echo {
    type Message = Infallible;

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next {
        if let Some(end) = input.iter().rposition(|&byte| byte == b'\n') {
            output.extend_from_slice(&input[..=end]);
            input.consume(end + 1);
        }
        Next::Read
    }
}
