use std::io::Read;
use std::sync::Arc;

use super::*;

#[test]
fn bytes_come_out_as_they_went_in() {
    let mut buffer = Buffer::new();
    assert_eq!(buffer.capacity(), 0);
    for round in 0..50_u8 {
        buffer.extend_from_slice(&[round; 37]);
        assert_eq!(buffer[..20], [round; 20]);
        buffer.consume(37);
    }
    assert!(buffer.is_empty());
    assert_eq!(buffer.capacity(), LEAST);
    buffer.consume(1);
    assert!(buffer.is_empty());
}

// Law 6: an idle connection has a buffer.
#[test]
fn a_buffer_is_small() {
    assert!(size_of::<Buffer>() <= 40, "{} bytes", size_of::<Buffer>());
}

#[test]
fn the_front_is_reused_before_memory_grows() {
    let mut buffer = Buffer::with_capacity(300);
    buffer.extend_from_slice(&[b'a'; 200]);
    buffer.consume(150);
    buffer.extend_from_slice(&[b'b'; 200]);
    assert_eq!(buffer.capacity(), 300);
    assert_eq!(buffer.len(), 250);
    assert_eq!((buffer[49], buffer[50]), (b'a', b'b'));
}

/// Law 7: in whatever steps it is filled, a buffer takes little more memory than it holds.
#[test]
fn memory_follows_what_arrives() {
    for step in [1, 100, 255, 1023, 5000, 40_000] {
        let mut buffer = Buffer::new();
        while buffer.len() < 300_000 {
            buffer.extend_from_slice(&vec![b'a'; step]);
            let most = buffer.len() + buffer.len() / 4 + FAST + LEAST;
            let held = buffer.capacity();
            assert!(
                held <= most,
                "{held} for {} in steps of {step}",
                buffer.len()
            );
        }
    }
}

/// Numbers whose order looks random, and is always the same.
struct Dice(u32);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % sides
    }
}

/// Takes a few bytes of what it is given, as a socket does.
struct Sip {
    taken: Vec<u8>,
    most: usize,
}

impl Write for Sip {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(self.most)];
        self.taken.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let all: Vec<u8> = pieces
            .iter()
            .flat_map(|piece| piece.iter().copied())
            .collect();
        self.write(&all)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whatever is done to a buffer that keeps blocks, the same bytes leave it as leave one that
/// copies them.
#[test]
fn kept_blocks_leave_in_their_places() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let (mut keeps, mut copies) = (Buffer::new(), Buffer::new());
        keeps.keep_blocks(true);
        let (mut sip, mut expected) = (
            Sip {
                taken: Vec::new(),
                most: 0,
            },
            Vec::new(),
        );
        for step in 0..40_u8 {
            match dice.below(8) {
                0..3 => {
                    let most = [300, 2 * LARGE][dice.below(2)];
                    let own = vec![step; dice.below(most)];
                    keeps.extend_from_slice(&own);
                    copies.extend_from_slice(&own);
                }
                3 | 4 => {
                    let block = Block::lend(vec![step; LARGE - 1 + dice.below(3000)]);
                    keeps.append(block.clone());
                    copies.append(block);
                }
                5 => {
                    let length = copies.len().saturating_sub(dice.below(2 * LARGE));
                    keeps.truncate(length);
                    copies.truncate(length);
                }
                6 => {
                    let mut other = Buffer::new();
                    other.keep_blocks(dice.below(2) == 0);
                    other.append_buffer(mem::take(&mut keeps));
                    keeps = other;
                    keeps.keep_blocks(true);
                    let mut fits = keeps.split_off_to_fit();
                    fits.keep_blocks(true);
                    assert!(keeps.is_empty());
                    keeps = fits;
                }
                _ => {
                    sip.most = dice.below(3 * LARGE);
                    if let Ok(count) = keeps.write_to(&mut sip) {
                        expected.extend_from_slice(&copies[..count]);
                        copies.consume(count);
                    }
                }
            }
            assert_eq!(keeps.len(), copies.len(), "seed {seed}, step {step}");
        }
        assert!(sip.taken == expected, "seed {seed}");
        assert!(keeps.make_contiguous() == &*copies, "seed {seed}");
    }
}

/// A block is not copied, and is dropped when its last byte is sent.
#[test]
fn a_kept_block_is_where_it_was() {
    let page = Arc::<[u8]>::from(vec![b'x'; LARGE]);
    let mut buffer = Buffer::new();
    buffer.append(Arc::clone(&page));
    buffer.consume(LARGE);
    assert_eq!(Arc::strong_count(&page), 1, "it was copied");
    let held = buffer.capacity();
    buffer.keep_blocks(true);
    buffer.append(Arc::clone(&page));
    buffer.append("small");
    assert_eq!((buffer.len(), &*buffer), (LARGE + 5, &b"small"[..]));
    buffer.consume(LARGE - 1);
    assert_eq!(Arc::strong_count(&page), 2);
    buffer.consume(1);
    assert_eq!(Arc::strong_count(&page), 1);
    assert_eq!((&*buffer, buffer.capacity()), (&b"small"[..], held));
    buffer.append(page);
    buffer.keep_blocks(false);
    assert_eq!(buffer[5..], [b'x'; LARGE]);
}

#[test]
fn a_range_is_cut_out_and_writing_is_taken_back() {
    let mut buffer = Buffer::new();
    buffer.extend_from_slice(b"xxhead5\r\nbodyrest");
    buffer.consume(2);
    buffer.remove(4..7);
    assert_eq!(&*buffer, b"headbodyrest");
    buffer.truncate(8);
    assert_eq!(&*buffer, b"headbody");
    buffer.truncate(99);
    assert_eq!(&*buffer, b"headbody");
}

/// What is read stands right behind its prefix, whatever the lengths of both are.
#[test]
fn reading_behind_a_prefix() {
    let line = |buffer: &mut Buffer, count: usize| {
        buffer.extend_from_slice(format!("{count:x} ").as_bytes());
    };
    let mut buffer = Buffer::new();
    let mut expected = Vec::new();
    for (most, content) in [(300, 300), (300, 299), (4096, 1), (7, 9), (1000, 40)] {
        let content = vec![b'a' + (most % 26) as u8; content];
        let count = content.len().min(most);
        let read = buffer.read_behind(&mut &*content, most, line);
        assert_eq!(read.ok(), Some(count));
        expected.extend_from_slice(format!("{count:x} ").as_bytes());
        expected.extend_from_slice(&content[..count]);
        assert_eq!(
            buffer.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }
    assert_eq!(buffer.read_behind(&mut io::empty(), 10, line).ok(), Some(0));
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("scripted"))
        }
    }
    assert!(buffer.read_behind(&mut Broken, 10, line).is_err());
    assert!(
        *buffer == *expected,
        "nothing, or a failure, changes nothing"
    );
    buffer.consume(1300);
    expected.drain(..1300.min(expected.len()));
    let read = buffer.read_behind(&mut &b"xyz"[..], 3, |_, _| {});
    assert_eq!(read.ok(), Some(3));
    assert!(buffer.ends_with(b"xyz") && buffer.starts_with(&expected));
}

#[test]
fn a_sink_that_takes_nothing_is_an_error() {
    let mut buffer = Buffer::new();
    buffer.extend_from_slice(b"abc");
    let error = buffer
        .write_to(&mut [0_u8; 0].as_mut_slice())
        .map_err(|e| e.kind());
    assert_eq!(error, Err(io::ErrorKind::WriteZero));
    let mut room = [0_u8; 2];
    assert_eq!(buffer.write_to(&mut room.as_mut_slice()).ok(), Some(2));
    assert_eq!((&*buffer, &room), (&b"c"[..], b"ab"));
}
