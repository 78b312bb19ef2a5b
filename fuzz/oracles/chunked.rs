//! Compares the incremental decoder with one for a whole buffer, at any split.

use serve_forever::http::h1::{ChunkLimits, ChunkedDecoder, Error, parse_fields};

use super::literal::{self, ChunkSizes, Chunked};
use super::pieces::cuts;

/// The input is a chunked body and the bytes after it.
pub fn chunked(data: &[u8]) {
    let mut small = ChunkLimits::default();
    (small.content, small.overhead, small.line) = (40, 24, 20);
    (small.trailers, small.trailer_fields) = (24, 2);
    for limits in [ChunkLimits::default(), small] {
        judge(data, &limits);
    }
}

fn judge(input: &[u8], limits: &ChunkLimits) {
    let found = decode(input, &[input.len()], limits);
    for cuts in cuts(input) {
        let split = decode(input, &cuts, limits);
        assert_eq!(found, split, "{cuts:?}");
    }
    let sizes = ChunkSizes {
        content: limits.content,
        overhead: limits.overhead,
        line: limits.line,
        trailers: limits.trailers,
        trailer_fields: limits.trailer_fields,
    };
    let found = found.unwrap_or_else(|error| Chunked::Refused(error.status()));
    assert_eq!(found, literal::chunked(input, sizes));
    if let Chunked::Whole(_, trailers, _) = found {
        let fields = parse_fields(&trailers, limits.trailer_fields);
        assert!(fields.is_ok(), "trailers that are no fields: {fields:?}");
    }
}

/// Decodes `input` in pieces that end at `cuts`.
fn decode(input: &[u8], cuts: &[usize], limits: &ChunkLimits) -> Result<Chunked, Error> {
    let mut decoder = ChunkedDecoder::default();
    let (mut content, mut trailers) = (Vec::new(), Vec::new());
    let mut bytes = input.to_vec();
    let mut start = 0;
    for &cut in cuts {
        let piece = &mut bytes[start..cut];
        let progress = decoder.decode(piece, limits).inspect_err(|error| {
            let again = decoder.decode(&mut [b'0'], limits);
            assert_eq!(again, Err(*error), "a refused body stays refused");
        })?;
        let kept = progress.content + progress.trailers;
        assert!(kept <= progress.consumed && progress.consumed <= piece.len());
        let (front, rest) = piece.split_at(progress.consumed);
        assert_eq!(rest, &input[start + progress.consumed..cut], "touched");
        content.extend_from_slice(&front[..progress.content]);
        trailers.extend_from_slice(&front[progress.content..kept]);
        if progress.complete {
            let end = start + progress.consumed;
            return Ok(Chunked::Whole(content, trailers, end));
        }
        assert!(rest.is_empty(), "bytes were left though the body goes on");
        start = cut;
    }
    Ok(Chunked::More(content, trailers))
}
