//! The parsers that ours is compared with.

use crate::compare::Names;
#[cfg(feature = "llhttp")]
use crate::llhttp;
use crate::verdict::{Role, Verdict};
use crate::{hyper, pico};

/// Another parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    Hyper,
    Llhttp,
    Pico,
    /// The rest are servers, which are asked over a socket.
    H11,
    Go,
    Node,
    Nginx,
}

impl Peer {
    /// Those that are linked into this program.
    pub const LINKED: &[Peer] = &[
        Peer::Hyper,
        #[cfg(feature = "llhttp")]
        Peer::Llhttp,
        Peer::Pico,
    ];

    pub const SERVERS: &[Peer] = &[Peer::H11, Peer::Go, Peer::Node, Peer::Nginx];

    pub fn name(self) -> &'static str {
        match self {
            Peer::Hyper => "hyper",
            Peer::Llhttp => "llhttp",
            Peer::Pico => "picohttpparser",
            Peer::H11 => "h11",
            Peer::Go => "Go",
            Peer::Node => "Node",
            Peer::Nginx => "nginx",
        }
    }

    pub fn names(self) -> Names {
        match self {
            Peer::Hyper => Names::Mapped,
            _ => Names::AsSent,
        }
    }

    /// What a linked parser makes of `input` in the pieces that end at `cuts`.
    pub fn read(self, role: Role, input: &[u8], cuts: &[usize]) -> Verdict {
        match self {
            Peer::Hyper => hyper::read(role, input, cuts),
            #[cfg(feature = "llhttp")]
            Peer::Llhttp => llhttp::read(role, input, cuts),
            Peer::Pico => pico::read(role, input, cuts),
            peer => panic!("{peer:?} is not linked"),
        }
    }
}
