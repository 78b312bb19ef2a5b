//! temporary
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]
extern crate alloc;

pub mod http;
pub mod reactor;
pub mod socketserver;
