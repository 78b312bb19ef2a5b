//! What the benches share, one concept a file.

#![allow(dead_code)] // each bench uses its own part of this

pub mod floor;
pub mod load;
pub mod process;
pub mod requests;
pub mod rounds;
pub mod table;
