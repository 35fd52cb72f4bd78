//! The newest applied batches by id, with their receipts, in generations: when the youngest is full,
//! the oldest is forgotten.

use portolan_model::BatchId;
use portolan_store::{BATCHES_REMEMBERED, Receipt};
use std::collections::{HashMap, VecDeque};

const GENERATIONS: usize = 3;
/// All but the youngest are full, so that at least the promised number is there.
const GENERATION: usize = BATCHES_REMEMBERED / (GENERATIONS - 1);
/// A receipt that says "one of each" is only its length; others are kept aside, and this bit is set.
const ASIDE: u32 = 1 << 31;

/// The memory.
#[derive(Default)]
pub(crate) struct Remembered(VecDeque<Generation>);

#[derive(Default)]
struct Generation {
    batches: HashMap<BatchId, u32>,
    aside: Vec<Box<[u64]>>,
}

impl Remembered {
    pub(crate) fn get(&self, batch: BatchId) -> Option<Receipt> {
        self.0.iter().rev().find_map(|generation| {
            let kept = *generation.batches.get(&batch)?;
            let changed = match generation.aside.get((kept & !ASIDE) as usize) {
                Some(changed) if kept & ASIDE != 0 => changed.to_vec(),
                _ => vec![1; kept as usize],
            };
            Some(Receipt { changed })
        })
    }

    pub(crate) fn keep(&mut self, batch: BatchId, receipt: &Receipt) {
        if self.0.back().is_none_or(|youngest| youngest.batches.len() >= GENERATION) {
            self.0.push_back(Generation::default());
            if self.0.len() > GENERATIONS {
                self.0.pop_front();
            }
        }
        let Some(youngest) = self.0.back_mut() else { return };
        let ones = receipt.changed.iter().all(|changed| *changed == 1);
        let kept = match (ones, u32::try_from(receipt.changed.len()), u32::try_from(youngest.aside.len())) {
            (true, Ok(count), _) if count < ASIDE => count,
            (_, _, Ok(place)) if place < ASIDE => {
                youngest.aside.push(receipt.changed.clone().into());
                place | ASIDE
            }
            _ => return,
        };
        youngest.batches.insert(batch, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_newest_are_remembered_with_their_receipts_and_the_oldest_forgotten() {
        let mut remembered = Remembered::default();
        let receipt = |n: u128| Receipt { changed: if n.is_multiple_of(3) { vec![1, 1] } else { vec![0, u64::try_from(n).unwrap()] } };
        let total = 3 * BATCHES_REMEMBERED as u128;
        for n in 0..total {
            remembered.keep(BatchId(Uuid::from_u128(n)), &receipt(n));
        }
        for n in total - BATCHES_REMEMBERED as u128..total {
            assert_eq!(remembered.get(BatchId(Uuid::from_u128(n))), Some(receipt(n)), "{n}");
        }
        assert_eq!(remembered.get(BatchId(Uuid::from_u128(0))), None);
    }
}
