//! Ways to cut an input into pieces.

/// Four ways to cut `input`: not at all, at every byte unless it is long, and twice at random.
///
/// The random cuts depend only on the bytes. So an input that fails once fails always, and each change
/// that the fuzzer makes to an input also changes its cuts.
pub(crate) fn cuts(input: &[u8]) -> [Vec<usize>; 4] {
    let mut chance = Chance::of(input);
    let two = |chance: &mut Chance| {
        let cut = chance.below(input.len() + 1);
        vec![cut, input.len()]
    };
    let mut many = Vec::new();
    let mut at = 0;
    while at < input.len() {
        at = input.len().min(at + 1 + chance.below(24));
        many.push(at);
    }
    // For a long input this would be slow and find little.
    let every = match input.len() {
        0..=512 => (1..=input.len()).collect(),
        _ => two(&mut chance),
    };
    [vec![input.len()], every, two(&mut chance), many]
}

/// Xorshift, seeded with FNV-1a.
struct Chance(u64);

impl Chance {
    fn of(input: &[u8]) -> Chance {
        let hash = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        Chance(input.iter().fold(0xcbf2_9ce4_8422_2325, hash) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}
