//! Every short input, cut in every way there is: the verdict is the same.

use super::*;

/// Calls `judge` with each text over `alphabet` of at most `longest` bytes.
fn all(alphabet: &[u8], longest: u32, mut judge: impl FnMut(&[u8])) {
    for length in 0..=longest {
        for number in 0..alphabet.len().pow(length) {
            let digit = |place: u32| number / alphabet.len().pow(place) % alphabet.len();
            let text: Vec<u8> = (0..length).map(|place| alphabet[digit(place)]).collect();
            judge(&text);
        }
    }
}

/// Each set of places to cut between `from` and `to`.
fn all_cuts(from: usize, to: usize) -> impl Iterator<Item = Vec<usize>> {
    let places = to - from;
    (0..1_usize << places).map(move |set| {
        let chosen = (0..places).filter(|place| set >> place & 1 == 1);
        chosen.map(|place| from + place).collect()
    })
}

fn scanners_agree(before: &[u8], alphabet: &[u8], longest: u32, is_response: bool) {
    let limits = HeadLimits::default();
    all(alphabet, longest, |text| {
        let input = [before, text].concat();
        let judge = |cuts: &[usize]| match is_response {
            false => verdict(&input, cuts, &limits),
            true => response_verdict(&input, cuts, &limits, "GET"),
        };
        let whole = judge(&[]);
        for cuts in all_cuts(before.len(), input.len()) {
            assert_eq!(judge(&cuts), whole, "{cuts:?}: {}", input.escape_ascii());
        }
    });
}

#[test]
fn the_scanner_resumes_anywhere() {
    scanners_agree(b"", b"G \r\n\0", 5, false);
    scanners_agree(b"GET / HTTP/1.1", b"\r\nA:", 5, false);
    scanners_agree(b"GET / HTTP/1.1\r\nHost: h", b"\r\nA", 6, false);
    scanners_agree(b"", b"H \r\nT", 5, true);
    scanners_agree(b"HTTP/1.1 20", b"0 \r\n\x80", 5, true);
    scanners_agree(b"HTTP/1.1 200 OK", b"\r\nA", 6, true);
}

/// Content, trailers, how many bytes were used, and whether it is complete.
type Decoded = Result<(Vec<u8>, Vec<u8>, usize, bool), Error>;

fn decoded(input: &[u8], cuts: &[usize]) -> Decoded {
    let (mut decoder, limits) = (ChunkedDecoder::default(), ChunkLimits::default());
    let (mut content, mut trailers, mut used, mut complete) = (vec![], vec![], 0, false);
    let mut from = 0;
    for &to in cuts.iter().chain([&input.len()]) {
        let mut piece = input[from..to].to_vec();
        let progress = decoder.decode(&mut piece, &limits)?;
        content.extend_from_slice(&piece[..progress.content]);
        trailers.extend_from_slice(&piece[progress.content..][..progress.trailers]);
        used += progress.consumed;
        complete = progress.complete;
        from = to;
    }
    Ok((content, trailers, used, complete))
}

#[test]
fn the_chunk_reader_resumes_anywhere() {
    for (before, alphabet) in [
        (&b""[..], &b"0a;\r\nx"[..]),
        (b"1;a", b"= \"\\\r\n"),
        (b"1\r\n", b"x\r\n0"),
        (b"0\r\n", b"A:\r\n"),
    ] {
        all(alphabet, 5, |text| {
            let input = [before, text].concat();
            let whole = decoded(&input, &[]);
            for cuts in all_cuts(before.len(), input.len()) {
                assert_eq!(
                    decoded(&input, &cuts),
                    whole,
                    "{cuts:?}: {}",
                    input.escape_ascii()
                );
            }
        });
    }
}
