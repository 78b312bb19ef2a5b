//! Tests of the decoder, with input that comes whole and input split at every byte.

use super::*;
use crate::http::h1::encode::{chunk, last_chunk};
use crate::http::h1::fields::parse_fields;
use alloc::vec::Vec;

#[derive(Debug, PartialEq, Eq, Default, Clone)]
struct Body {
    content: Vec<u8>,
    trailers: Vec<u8>,
    consumed: usize,
    complete: bool,
}

/// Decodes `input` in pieces that end at `stops` and at its end.
fn decode(input: &[u8], stops: &[usize], limits: &ChunkLimits) -> Result<Body, Error> {
    let (mut decoder, mut body, mut start) = (ChunkedDecoder::default(), Body::default(), 0);
    for &stop in stops.iter().chain([&input.len()]) {
        let mut piece = input[start..stop].to_vec();
        let progress = match decoder.decode(&mut piece, limits) {
            Ok(progress) => progress,
            Err(error) => {
                let again = decoder.decode(&mut piece, limits);
                assert_eq!(again, Err(error), "stays refused");
                let without = decoder.decode(&mut [], limits);
                assert_eq!(without, Err(error), "also without further bytes");
                return Err(error);
            }
        };
        let (content, rest) = piece.split_at(progress.content);
        body.content.extend_from_slice(content);
        body.trailers.extend_from_slice(&rest[..progress.trailers]);
        body.consumed += progress.consumed;
        body.complete = progress.complete;
        assert!(progress.complete || progress.consumed == piece.len());
        assert_eq!(
            &piece[progress.consumed..],
            &input[start + progress.consumed..stop]
        );
        start = stop;
    }
    Ok(body)
}

fn check_splits(input: &[u8], limits: &ChunkLimits) -> Result<Body, Error> {
    let whole = decode(input, &[], limits);
    for split in 0..input.len() {
        assert_eq!(
            whole,
            decode(input, &[split], limits),
            "{split}: {}",
            input.escape_ascii()
        );
    }
    let bytes: Vec<usize> = (0..input.len()).collect();
    assert_eq!(
        whole,
        decode(input, &bytes, limits),
        "{}",
        input.escape_ascii()
    );
    whole
}

#[test]
fn good_bodies() {
    // Input up to the end of the body, content, trailers.
    let cases: [(&[u8], &[u8], &[u8]); 15] = [
        (b"0\r\n\r\n", b"", b""),
        (b"000\r\n\r\n", b"", b""),
        (
            b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
            b"hello world",
            b"",
        ),
        (
            b"A\r\n0123456789\r\n00a\r\nabcdefghij\r\n0\r\n\r\n",
            b"0123456789abcdefghij",
            b"",
        ),
        (b"0000000000000001\r\nx\r\n0\r\n\r\n", b"x", b""),
        (b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", b"\r\n0\r\n\r\n", b""),
        (b"1;a\r\nx\r\n0;a\r\n\r\n", b"x", b""),
        (b"1;a=b;c;d=\"x;y\\\"z\xff\t\"\r\nx\r\n0\r\n\r\n", b"x", b""),
        (b"1;!#$%&'*+-.^_`|~=1\r\nx\r\n0\r\n\r\n", b"x", b""),
        (
            b"1 \t;\ta\t=\t\"b\" ; c = d ;e\r\nx\r\n0\r\n\r\n",
            b"x",
            b"",
        ),
        (b"1;a=\"\"\r\nx\r\n0\r\n\r\n", b"x", b""),
        (b"1\r\nx\r\n0\r\nA: b\r\n\r\n", b"x", b"A: b\r\n"),
        (
            b"0\r\nA:\r\nX:POST /s HTTP/1.1\r\n\r\n",
            b"",
            b"A:\r\nX:POST /s HTTP/1.1\r\n",
        ),
        (
            b"1\r\nx\r\n0\r\nA: \xff\t b\r\n\r\n",
            b"x",
            b"A: \xff\t b\r\n",
        ),
        (b"0;a=\"b\"\r\nA:b\r\n\r\n", b"", b"A:b\r\n"),
    ];
    let limits = ChunkLimits::default();
    for (input, content, trailers) in cases {
        let mut input = input.to_vec();
        let consumed = input.len();
        for prefix in 0..consumed {
            let found = decode(&input[..prefix], &[], &limits);
            assert_eq!(
                found.map(|body| body.complete),
                Ok(false),
                "{}",
                input.escape_ascii()
            );
        }
        input.extend_from_slice(b"GET /next");
        let (content, trailers) = (content.to_vec(), trailers.to_vec());
        assert!(parse_fields(&trailers, limits.trailer_fields).is_ok());
        let body = Body {
            content,
            trailers,
            consumed,
            complete: true,
        };
        assert_eq!(
            check_splits(&input, &limits),
            Ok(body),
            "{}",
            input.escape_ascii()
        );
    }
}

#[test]
fn bad_bodies() {
    let cases: [(&[u8], Error); 52] = [
        (b"\r\n", Error::ChunkSize),
        (b"0x5\r\n", Error::ChunkSize),
        (b"+5\r\n", Error::ChunkSize),
        (b"-5\r\n", Error::ChunkSize),
        (b"0_5\r\n", Error::ChunkSize),
        (b"5.0\r\n", Error::ChunkSize),
        (b"5h\r\n", Error::ChunkSize),
        (b" 5\r\n", Error::ChunkSize),
        (b"\xb2\r\n", Error::ChunkSize),
        (b"5,5\r\n", Error::ChunkSize),
        (b";a\r\n", Error::ChunkSize),
        (b"10000000000000000\r\n", Error::ChunkSize),
        (b"00000000000000005\r\n", Error::ChunkSize),
        (b"FFFFFFFFFFFFFFFF0\r\n", Error::ChunkSize),
        (b"5\n", Error::ChunkLineEnd),
        (b"5\rX", Error::ChunkLineEnd),
        (b"5\r\r\n", Error::ChunkLineEnd),
        (b"5;\n", Error::ChunkLineEnd),
        (b"5;a\n", Error::ChunkLineEnd),
        (b"5;a\rX", Error::ChunkLineEnd),
        (b"5;a=\"\n\"", Error::ChunkLineEnd),
        (b"5;a=\"x\r\n", Error::ChunkLineEnd),
        (b"5;a=\"\\\r\n", Error::ChunkLineEnd),
        (b"5 \r\n", Error::ChunkLineEnd),
        (b"5;\r\n", Error::ChunkLineEnd),
        (b"5;a=\r\n", Error::ChunkLineEnd),
        (b"5;a \r\n", Error::ChunkLineEnd),
        (b"5;a=b \r\n", Error::ChunkLineEnd),
        (b"5 5\r\n", Error::ChunkExtension),
        (b"5;;a\r\n", Error::ChunkExtension),
        (b"5;bad[=x\r\n", Error::ChunkExtension),
        (b"5;a=\xff\r\n", Error::ChunkExtension),
        (b"5;a\x01\r\n", Error::ChunkExtension),
        (b"5;a=\"\x01\"\r\n", Error::ChunkExtension),
        (b"5;a=b\"c\"\r\n", Error::ChunkExtension),
        (b"5;a=\"b\"c\r\n", Error::ChunkExtension),
        (b"5;a b\r\n", Error::ChunkExtension),
        (b"1\r\nxy\r\n", Error::ChunkDataEnd),
        (b"1\r\nx\n", Error::ChunkDataEnd),
        (b"1\r\nx\rx", Error::ChunkDataEnd),
        (b"1\r\nx0\r\n", Error::ChunkDataEnd),
        (b"1\r\nx\r\n\r\n", Error::ChunkSize),
        (b"0\r\n\n", Error::BareLf),
        (b"0\r\n\rx", Error::FieldName),
        (b"0\r\nA: b\n", Error::BareLf),
        (b"0\r\nA: b\rc", Error::FieldValue),
        (b"0\r\nA: b\0", Error::FieldValue),
        (b"0\r\n A: b", Error::FieldFold),
        (b"0\r\nA : b", Error::FieldName),
        (b"0\r\nA\xff: b", Error::FieldName),
        (b"0\r\nA\r\n", Error::FieldColon),
        (b"0\r\n: b", Error::FieldName),
    ];
    for (input, error) in cases {
        let mut input = input.to_vec();
        input.extend_from_slice(b"hello\r\n0\r\n\r\n");
        let found = check_splits(&input, &ChunkLimits::default());
        assert_eq!(found, Err(error), "{}", input.escape_ascii());
    }
}

#[test]
fn limits() {
    let limits = ChunkLimits {
        content: 9,
        overhead: 20,
        line: 30,
        trailers: 20,
        trailer_fields: 2,
    };
    let cases: [(&[u8], Option<Error>); 9] = [
            (b"1;aaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n0\r\n\r\n", None),
            (b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", Some(Error::ChunkLineTooLong)),
            // Lines of 26 and 28 bytes, of which 18 are fair in each. The next one is too much.
            (b"1;aaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n1;aaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n0\r\n\r\n", None),
            (
                b"1;aaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n1;aaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n1;aaaaaaaaaaaaaaaaa\r\nx\r\n",
                Some(Error::ChunkOverhead),
            ),
            (b"0\r\nA: aaaaaaaaaaaaaaa\r\n\r\n", None),
            (b"0\r\nA: aaaaaaaaaaaaaaaa\r\n", Some(Error::TrailersTooLarge)),
            (b"0\r\nA:b\r\nA:b\r\n\r\n", None),
            (b"0\r\nA:b\r\nA:b\r\nA", Some(Error::TooManyTrailers)),
            (b"1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n0\r\n\r\n", None),
        ];
    for (input, error) in cases {
        let found = check_splits(input, &limits);
        assert_eq!(found.err(), error, "{}", input.escape_ascii());
    }
}

/// What almost every client sends is read in one step, and anything else is left to the states.
#[test]
fn plain_lines() {
    type SizeAndLength = Option<(u64, usize)>;
    let cases: [(&[u8], SizeAndLength); 10] = [
        (b"0\r\n", Some((0, 3))),
        (b"1aF\r\nx", Some((0x1af, 5))),
        (b"ffffffffffffffff\r\n", Some((u64::MAX, 18))),
        (b"00000000000000000\r\n", None),
        (b"\r\n", None),
        (b"", None),
        (b"1a", None),
        (b"1a\r", None),
        (b"1a\n", None),
        (b"1a;b\r\n", None),
    ];
    for (bytes, expected) in cases {
        assert_eq!(plain_line(bytes), expected, "{}", bytes.escape_ascii());
    }
}

/// A line of 26 bytes with one byte of data is 8 bytes beyond its fair share of 18.
#[test]
fn framing_up_to_its_limit_and_one_byte_beyond() {
    let input = b"1;aaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n0\r\n\r\n";
    for (overhead, error) in [(8, None), (7, Some(Error::ChunkOverhead))] {
        let limits = ChunkLimits {
            overhead,
            ..ChunkLimits::default()
        };
        assert_eq!(check_splits(input, &limits).err(), error, "{overhead}");
    }
}

/// The limit holds for a line without extensions, which is read in one step if it is all there.
#[test]
fn a_plain_line_over_its_limit() {
    let limits = ChunkLimits {
        line: 4,
        ..ChunkLimits::default()
    };
    let within = check_splits(b"01\r\nx\r\n00\r\n\r\n", &limits);
    assert_eq!(within.map(|body| body.content), Ok(b"x".to_vec()));
    for over in [&b"001\r\nx\r\n"[..], b"01\r\nx\r\n000\r\n\r\n"] {
        let found = check_splits(over, &limits);
        assert_eq!(found.err(), Some(Error::ChunkLineTooLong));
    }
}

/// A size that takes the content over its limit is refused where its line ends. Later bytes are not
/// looked at, so a second defect there does not change the reason.
#[test]
fn content_over_its_limit() {
    const MAX: u64 = u64::MAX;
    let cases: [(u64, &[u8], Option<Error>); 14] = [
        (0, b"0\r\n\r\n", None),
        (0, b"1\r\n", Some(Error::BodyTooLarge)),
        (5, b"5\r\nhello\r\n0\r\n\r\n", None),
        (4, b"5\r", None),
        (4, b"5\r\n", Some(Error::BodyTooLarge)),
        (4, b"5;a=b\r\nhello\r\n0\r\n\r\n", Some(Error::BodyTooLarge)),
        (4, b"5\r\nhello, not five\r\n", Some(Error::BodyTooLarge)),
        (4, b"5\r\nhello\r\nx\r\n", Some(Error::BodyTooLarge)),
        (4, b"5\n", Some(Error::ChunkLineEnd)),
        (4, b"2\r\nhe\r\n3\r\nllo\r\n", Some(Error::BodyTooLarge)),
        (4, b"2\r\nhe!3\r\nllo\r\n", Some(Error::ChunkDataEnd)),
        (MAX, b"ffffffffffffffff\r\nhello", None),
        (
            MAX - 1,
            b"ffffffffffffffff\r\nhello",
            Some(Error::BodyTooLarge),
        ),
        (
            MAX,
            b"1\r\nx\r\nffffffffffffffff\r\n\0",
            Some(Error::BodyTooLarge),
        ),
    ];
    for (content, input, error) in cases {
        let limits = ChunkLimits {
            content,
            ..ChunkLimits::default()
        };
        let found = check_splits(input, &limits);
        let input = input.escape_ascii();
        assert_eq!(found.err(), error, "at most {content}: {input}");
    }
}

#[test]
fn generated_bodies_are_split_alike() {
    const PIECES: [&[u8]; 16] = [
        b"0\r\n",
        b"1\r\nx\r\n",
        b"3\r\nabc\r\n",
        b"5;a=b\r\nhello\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"A: b\r\n",
        b";",
        b"=",
        b"\"",
        b" ",
        b"\\",
        b"f",
        b"\xff",
        b"0;x=\"y\"\r\n",
    ];
    let mut seed = 0x00c4_0c4e_d5ee_d000_u64;
    let limits = ChunkLimits {
        content: 12,
        overhead: 24,
        line: 12,
        trailers: 12,
        trailer_fields: 2,
    };
    for _ in 0..20_000 {
        let mut input = Vec::new();
        for _ in 0..seed % 9 + 1 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let index = (seed % PIECES.len() as u64) as usize;
            input.extend_from_slice(PIECES[index]);
        }
        let _ = check_splits(&input, &limits);
        let _ = check_splits(&input, &ChunkLimits::default());
    }
}

#[test]
fn decode_undoes_encode() {
    let content: Vec<u8> = (0..=255).cycle().take(5000).collect();
    for size in [1, 2, 15, 16, 17, 255, 4096, 5000] {
        let mut wire = Vec::new();
        content.chunks(size).for_each(|data| chunk(&mut wire, data));
        assert_eq!(last_chunk(&mut wire, [("Sum", &b"1 \xff"[..])]), Ok(()));
        let consumed = wire.len();
        let body = Body {
            content: content.clone(),
            trailers: b"Sum: 1 \xff\r\n".to_vec(),
            consumed,
            complete: true,
        };
        assert_eq!(decode(&wire, &[], &ChunkLimits::default()), Ok(body));
    }
}
