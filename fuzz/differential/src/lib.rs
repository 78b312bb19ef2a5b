//! The codec beside other parsers: all of them read the same bytes, in the same pieces.
//!
//! The rule: ours may be stricter than another parser, but never looser, and it never frames differently.
//! Each difference must have a row in [`table`]. A difference without one is a defect, of ours or of the
//! table.

pub mod compare;
mod conditions;
mod cuts;
mod hyper;
pub mod inputs;
pub mod judge;
#[cfg(feature = "llhttp")]
mod llhttp;
pub mod mutate;
mod ours;
pub mod peers;
mod pico;
pub mod render;
pub mod row;
pub mod servers;
pub mod table;
pub mod verdict;
