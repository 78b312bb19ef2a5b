//! temporary
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

pub mod reactor;
pub mod socketserver;
