//! A sparse array of small values by growing number: live values cost their own size, whole blocks of
//! dead ones cost nothing. It holds what the store must remember of every message in the backlog.

use std::collections::BTreeMap;

const BLOCK: u64 = 256;

/// A value that knows a free place.
pub(crate) trait Slot: Copy {
    const FREE: Self;
    fn is_free(&self) -> bool;
}

struct Block<T> {
    used: u16,
    slots: Box<[T]>,
}

/// The array.
pub(crate) struct Segments<T> {
    blocks: BTreeMap<u64, Block<T>>,
}

impl<T: Slot> Segments<T> {
    pub(crate) const fn new() -> Self {
        Self { blocks: BTreeMap::new() }
    }

    /// Sets a value; setting [`Slot::FREE`] removes it.
    pub(crate) fn set(&mut self, at: u64, value: T) {
        let (key, index) = place(at);
        let block = self.blocks.entry(key).or_insert_with(|| Block { used: 0, slots: vec![T::FREE; BLOCK as usize].into() });
        let before = std::mem::replace(&mut block.slots[index], value);
        match (before.is_free(), value.is_free()) {
            (true, false) => block.used += 1,
            (false, true) => block.used -= 1,
            _ => {}
        }
        if block.used == 0 {
            self.blocks.remove(&key);
        }
    }

    pub(crate) fn get(&self, at: u64) -> Option<T> {
        let (key, index) = place(at);
        self.blocks.get(&key).map(|block| block.slots[index]).filter(|value| !value.is_free())
    }

    pub(crate) fn remove(&mut self, at: u64) {
        if self.get(at).is_some() {
            self.set(at, T::FREE);
        }
    }

    /// Every value, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, T)> + '_ {
        self.blocks.iter().flat_map(|(key, block)| {
            (0..).zip(block.slots.iter()).filter(|(_, value)| !value.is_free()).map(move |(index, value)| (key * BLOCK + index, *value))
        })
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the remainder is below BLOCK")]
const fn place(at: u64) -> (u64, usize) {
    (at / BLOCK, (at % BLOCK) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Slot for u8 {
        const FREE: Self = 0;
        fn is_free(&self) -> bool {
            *self == 0
        }
    }

    #[test]
    fn dead_blocks_cost_nothing_and_live_values_stay() {
        let mut array = Segments::<u8>::new();
        for at in 0..10_000 {
            array.set(at, 1);
        }
        for at in (0..10_000).filter(|at| *at != 5_000) {
            array.remove(at);
        }
        array.remove(77_777);
        assert_eq!(array.blocks.len(), 1);
        assert_eq!(array.iter().collect::<Vec<_>>(), [(5_000, 1)]);
        assert_eq!(array.get(5_000), Some(1));
        assert_eq!(array.get(5_001), None);
    }
}
