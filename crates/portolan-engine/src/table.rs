//! A hash table that behaves the same in every run: a fixed hash function, and no iteration.
//!
//! The keys stored are configuration, fixed when the table is built; messages only look up. So nobody
//! who sends messages can make the table slow by choosing keys that collide. Never store keys that
//! come from messages.

use std::hash::{BuildHasherDefault, Hasher};

/// Multiplier of the fixed hash: odd, with well-mixed bits (the golden ratio in 64 bits).
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// A multiply-and-fold hash over 8-byte words: fast for the short names and values of filters.
#[derive(Clone, Copy, Default)]
pub(crate) struct FixedHasher(u64);

impl FixedHasher {
    fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(MULTIPLIER);
        // Both halves of the product: the low one mixes upwards only.
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of the product")]
        let folded = (product as u64) ^ ((product >> 64) as u64);
        self.0 = folded.wrapping_add(MULTIPLIER);
    }
}

impl Hasher for FixedHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        let mut last = [0_u8; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.add(u64::from_le_bytes(last) ^ (bytes.len() as u64).rotate_left(56));
    }
    fn write_u8(&mut self, number: u8) {
        self.add(u64::from(number));
    }
    fn write_u32(&mut self, number: u32) {
        self.add(u64::from(number));
    }
    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }
    fn write_i64(&mut self, number: i64) {
        self.add(number.cast_unsigned());
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// A hash table with the fixed hash. Deliberately used without ever iterating over it.
#[expect(clippy::disallowed_types, reason = "the hash is fixed and nothing iterates over the table")]
pub(crate) type Table<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<FixedHasher>>;

/// The fixed hash of whatever `feed` writes.
pub(crate) fn hash_of(feed: impl FnOnce(&mut FixedHasher)) -> u64 {
    let mut hasher = FixedHasher::default();
    feed(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, hash::Hash};

    fn hash(value: &impl Hash) -> u64 {
        hash_of(|h| value.hash(h))
    }

    #[test]
    fn the_hash_is_the_same_in_every_run_and_spreads_small_keys() {
        assert_eq!(hash(&"BTS.MessageType"), hash(&"BTS.MessageType"));
        let texts: BTreeSet<u64> = (0..100_000).map(|n| hash(&format!("C{n:06}"))).collect();
        let numbers: BTreeSet<u64> = (0..100_000_u64).map(|n| hash(&n)).collect();
        let high: BTreeSet<u64> = (0..4_096_u64).map(|n| hash(&n) >> 57).collect();
        assert_eq!((texts.len(), numbers.len(), high.len()), (100_000, 100_000, 128));
    }

    #[test]
    fn trailing_zero_bytes_count() {
        assert_ne!(hash(&[0_u8; 3].as_slice()), hash(&[0_u8; 4].as_slice()));
        assert_ne!(hash(&"a"), hash(&"a\0"));
    }
}
