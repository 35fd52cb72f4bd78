//! Changing inputs: bytes, pieces, numbers, and words of the target's language. The same seed gives the
//! same inputs.

/// A small random generator (xorshift64*): reproducible and fast; nothing more is needed here.
pub struct Random(u64);

impl Random {
    /// A generator for a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`, or 0 when there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.number() >> 16) as usize % bound }
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}

/// Numbers at the edges of types and limits.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "1",
    "127",
    "128",
    "255",
    "256",
    "257",
    "32768",
    "65536",
    "2147483648",
    "4294967296",
    "18446744073709551616",
    "1e400",
    "0.1",
    "NaN",
];

/// Changes an input in one to four places. `others` are inputs to take pieces from.
pub fn mutate(random: &mut Random, input: &mut Vec<u8>, others: &[Vec<u8>], words: &[&str], longest: usize) {
    for _ in 0..=random.below(4) {
        once(random, input, others, words);
    }
    input.truncate(longest);
}

fn once(random: &mut Random, input: &mut Vec<u8>, others: &[Vec<u8>], words: &[&str]) {
    let at = random.below(input.len() + 1);
    let to = at + random.below((input.len() - at).min(64) + 1);
    match random.below(12) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            let byte = random.number() as u8;
            if let Some(old) = input.get_mut(at) {
                *old = byte;
            }
        }
        2 => drop(input.drain(at..to)),
        3 => {
            let piece = input[at..to].to_vec();
            insert(input, to, &piece);
        }
        4 => {
            let piece = input[at..to].to_vec();
            let place = random.below(input.len() + 1);
            insert(input, place, &piece);
        }
        5 => {
            if let Some(other) = random.pick(others) {
                let from = random.below(other.len());
                let until = from + random.below((other.len() - from).min(512) + 1);
                let piece = other[from..until].to_vec();
                insert(input, at, &piece);
            }
        }
        6..=8 => {
            if let Some(word) = random.pick(words) {
                insert(input, at, word.as_bytes());
            }
        }
        // Deep nesting and long names are found by repetition.
        9 => {
            if let Some(word) = random.pick(words) {
                let many = 1 << random.below(12);
                insert(input, at, &word.as_bytes().repeat(many));
            }
        }
        10 => {
            if let Some(number) = random.pick(NUMBERS) {
                let end = input[at..].iter().position(|b| !b.is_ascii_digit()).map_or(input.len(), |n| at + n);
                input.splice(at..end, number.bytes());
            }
        }
        _ => {
            let swap = random.below(input.len());
            if at < input.len() {
                input.swap(at, swap);
            }
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_inputs_and_never_longer_ones() {
        let make = |seed| {
            let mut random = Random::new(seed);
            let mut input = b"<a>12</a>".to_vec();
            let mut all = Vec::new();
            for _ in 0..500 {
                mutate(&mut random, &mut input, &[b"<b/>".to_vec()], &["<x>", "&amp;"], 3000);
                assert!(input.len() <= 3000);
                all.push(input.clone());
            }
            all
        };
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
    }
}
