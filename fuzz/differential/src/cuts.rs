//! The ways in which each input is cut into pieces.

#[path = "../../oracles/pieces.rs"]
mod pieces;

/// An input of up to this many bytes is cut at each of its places.
const SHORT: usize = 32;

/// The ways to cut `input`, each as the ends of its pieces. The first way is not to cut it.
///
/// A short input is cut in two at every place, and into single bytes. For a long one the bytes of the input
/// choose the places.
pub fn cuts(input: &[u8]) -> Vec<Vec<usize>> {
    let mut ways = pieces::cuts(input).to_vec();
    if input.len() <= SHORT {
        ways.extend((1..input.len()).map(|place| vec![place, input.len()]));
    }
    ways
}
