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

/// Calls `judge` with each text that is one byte away from `text`: one byte replaced, put in or left out.
/// It also gets the place.
fn all_changes(text: &[u8], mut judge: impl FnMut(&[u8], usize)) {
    for place in 0..text.len() {
        let (before, after) = (&text[..place], &text[place + 1..]);
        judge(&[before, after].concat(), place);
        for byte in 0..=u8::MAX {
            judge(&[before, &[byte], after].concat(), place);
            judge(&[before, &[byte], &text[place..]].concat(), place);
        }
    }
}

/// The cuts around `place`, and all at once.
fn cuts_around(place: usize, length: usize) -> impl Iterator<Item = Vec<usize>> {
    let near = place.saturating_sub(1)..(place + 3).min(length);
    let all = (0..length).collect();
    near.map(|cut| vec![cut]).chain([all])
}

#[test]
fn the_scanner_resumes_around_any_byte() {
    let limits = HeadLimits::default();
    let request = b"PUT /a?b HTTP/1.1\r\nHost: h\r\nA: \tb \r\n\r\n";
    all_changes(request, |input, place| {
        let whole = verdict(input, &[], &limits);
        for cuts in cuts_around(place, input.len()) {
            let parts = verdict(input, &cuts, &limits);
            assert_eq!(parts, whole, "{cuts:?}: {}", input.escape_ascii());
        }
    });
    let response = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    all_changes(response, |input, place| {
        let whole = response_verdict(input, &[], &limits, "GET");
        for cuts in cuts_around(place, input.len()) {
            let parts = response_verdict(input, &cuts, &limits, "GET");
            assert_eq!(parts, whole, "{cuts:?}: {}", input.escape_ascii());
        }
    });
}

/// Content, trailers, how many bytes were used, and whether it is complete.
type Decoded = Result<(Vec<u8>, Vec<u8>, usize, bool), Error>;

fn decoded(input: &[u8], cuts: &[usize], limits: &ChunkLimits) -> Decoded {
    let mut decoder = ChunkedDecoder::default();
    let (mut content, mut trailers, mut used, mut complete) = (vec![], vec![], 0, false);
    let mut from = 0;
    for &to in cuts.iter().chain([&input.len()]) {
        let mut piece = input[from..to].to_vec();
        let progress = decoder.decode(&mut piece, limits)?;
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
    let limits = ChunkLimits::default();
    for (before, alphabet) in [
        (&b""[..], &b"0a;\r\nx"[..]),
        (b"1;a", b"= \"\\\r\n"),
        (b"1\r\n", b"x\r\n0"),
        (b"0\r\n", b"A:\r\n"),
    ] {
        all(alphabet, 5, |text| {
            let input = [before, text].concat();
            let whole = decoded(&input, &[], &limits);
            for cuts in all_cuts(before.len(), input.len()) {
                let parts = decoded(&input, &cuts, &limits);
                assert_eq!(parts, whole, "{cuts:?}: {}", input.escape_ascii());
            }
        });
    }
}

/// Whether the line of a chunk passes, however it is cut, if the content may have so many bytes.
fn passes(line: &[u8], content: u64) -> bool {
    let limits = ChunkLimits {
        content,
        ..ChunkLimits::default()
    };
    let whole = decoded(line, &[], &limits);
    for cuts in all_cuts(0, line.len().min(6)) {
        let parts = decoded(line, &cuts, &limits);
        assert_eq!(parts, whole, "{cuts:?}: {}", line.escape_ascii());
    }
    assert!(
        matches!(whole, Ok(_) | Err(Error::BodyTooLarge)),
        "{whole:?}: {}",
        line.escape_ascii()
    );
    whole.is_ok()
}

/// The size is the number that stands there: it is within a limit of so many bytes, and beyond one less.
#[test]
fn every_chunk_size_is_its_number() {
    let near = |digits: u32| {
        let power = 1_u64 << (4 * digits);
        [power - 1, power, power + 1, power | (power - 1)]
    };
    let sizes = (0..0x420).chain((3..16).flat_map(near)).chain([u64::MAX]);
    for size in sizes {
        for text in [
            format!("{size:x}"),
            format!("{size:X}"),
            format!("{size:016x}"),
            format!("{size:X};a=\"b\""),
        ] {
            let line = format!("{text}\r\n");
            assert!(passes(line.as_bytes(), size), "{text}");
            let less = size.checked_sub(1);
            assert!(
                !less.is_some_and(|less| passes(line.as_bytes(), less)),
                "{text}"
            );
        }
    }
}
