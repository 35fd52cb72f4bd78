//! The newest applied batches by id, with their receipts. Two generations: when the younger is full,
//! the older is forgotten.

use portolan_model::BatchId;
use portolan_store::{BATCHES_REMEMBERED, Receipt};
use std::collections::HashMap;

/// Receipts in a form that takes little room: nearly all say "one of each".
enum Kept {
    Ones(u32),
    Other(Box<[u64]>),
}

/// The memory.
#[derive(Default)]
pub(crate) struct Remembered {
    young: HashMap<BatchId, Kept>,
    old: HashMap<BatchId, Kept>,
}

impl Remembered {
    pub(crate) fn get(&self, batch: BatchId) -> Option<Receipt> {
        let kept = self.young.get(&batch).or_else(|| self.old.get(&batch))?;
        let changed = match kept {
            Kept::Ones(count) => vec![1; *count as usize],
            Kept::Other(changed) => changed.to_vec(),
        };
        Some(Receipt { changed })
    }

    pub(crate) fn keep(&mut self, batch: BatchId, receipt: &Receipt) {
        if self.young.len() >= BATCHES_REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        let ones = receipt.changed.iter().all(|changed| *changed == 1);
        let kept = match u32::try_from(receipt.changed.len()) {
            Ok(count) if ones => Kept::Ones(count),
            _ => Kept::Other(receipt.changed.clone().into()),
        };
        self.young.insert(batch, kept);
    }
}
