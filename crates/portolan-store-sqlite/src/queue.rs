//! What a claim may take of one service: packed instances by priority, due and publication; and the
//! next of the rows, with the moment at which more become due. Never reads the database itself.

use portolan_model::{InstanceId, Timestamp};
use std::collections::{BTreeMap, VecDeque};

const CHUNK: usize = 512;

/// Due, then sequence number of publication.
pub(crate) type Age = (i64, u64);

/// A sorted queue in chunks: adding at the end and taking from the front cost nothing, inserting costs
/// one chunk, and memory follows the content.
#[derive(Default)]
pub(crate) struct AgeQueue {
    chunks: VecDeque<VecDeque<Age>>,
    length: usize,
}

impl AgeQueue {
    pub(crate) fn first(&self) -> Option<Age> {
        self.chunks.front().and_then(VecDeque::front).copied()
    }

    pub(crate) fn pop(&mut self) -> Option<Age> {
        let front = self.chunks.front_mut()?;
        let age = front.pop_front();
        if front.is_empty() {
            self.chunks.pop_front();
        }
        self.length -= usize::from(age.is_some());
        age
    }

    pub(crate) fn insert(&mut self, age: Age) {
        self.length += 1;
        let after_all = self.chunks.back().and_then(VecDeque::back).is_none_or(|last| *last < age);
        if after_all {
            if self.chunks.back().is_none_or(|chunk| chunk.len() >= CHUNK) {
                self.chunks.push_back(VecDeque::new());
            }
            if let Some(chunk) = self.chunks.back_mut() {
                chunk.push_back(age);
            }
            return;
        }
        let at = self.chunk_of(age);
        let chunk = &mut self.chunks[at];
        let place = chunk.partition_point(|other| *other < age);
        chunk.insert(place, age);
        if chunk.len() > 2 * CHUNK {
            let rest = chunk.split_off(CHUNK);
            self.chunks.insert(at + 1, rest);
        }
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, age: Age) -> bool {
        if self.chunks.is_empty() {
            return false;
        }
        let at = self.chunk_of(age);
        let chunk = &mut self.chunks[at];
        let Ok(place) = chunk.binary_search(&age) else { return false };
        chunk.remove(place);
        if chunk.is_empty() {
            self.chunks.remove(at);
        }
        self.length -= 1;
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The last chunk that starts at or before `age`, or the first.
    fn chunk_of(&self, age: Age) -> usize {
        self.chunks.partition_point(|chunk| chunk.front().is_some_and(|first| *first <= age)).saturating_sub(1)
    }
}

/// Packed instances of one service that wait for a claim.
#[derive(Default)]
pub(crate) struct HotQueue(BTreeMap<u8, AgeQueue>);

impl HotQueue {
    pub(crate) fn insert(&mut self, priority: u8, age: Age) {
        self.0.entry(priority).or_default().insert(age);
    }

    pub(crate) fn remove(&mut self, priority: u8, age: Age) -> bool {
        let Some(queue) = self.0.get_mut(&priority) else { return false };
        let there = queue.remove(age);
        if queue.is_empty() {
            self.0.remove(&priority);
        }
        there
    }

    pub(crate) fn due_of(&self, priority: u8, sequence: u64) -> Option<i64> {
        self.0.get(&priority)?.chunks.iter().flatten().find(|age| age.1 == sequence).map(|age| age.0)
    }

    pub(crate) fn first(&self) -> Option<(u8, Age)> {
        self.0.iter().find_map(|(priority, queue)| Some((*priority, queue.first()?)))
    }

    pub(crate) fn pop(&mut self) -> Option<(u8, Age)> {
        let mut entry = self.0.first_entry()?;
        let priority = *entry.key();
        let age = entry.get_mut().pop();
        if entry.get().is_empty() {
            entry.remove();
        }
        age.map(|age| (priority, age))
    }
}

/// A row that waits for a claim.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct ColdKey {
    pub(crate) priority: u8,
    pub(crate) due: i64,
    pub(crate) sequence: u64,
    pub(crate) row: i64,
    pub(crate) id: InstanceId,
    /// Its state is scheduled: claimable from `due` on.
    pub(crate) scheduled: bool,
}

/// Rows kept in the window.
pub(crate) const WINDOW: usize = 4096;

/// The rows of one service that a claim may take: a window on the first of them, so that claims need
/// no search each, and what is known of the rest.
#[derive(Default)]
pub(crate) struct ColdQueue {
    /// The first claimable rows, in order.
    window: VecDeque<ColdKey>,
    /// There may be claimable rows after the window's last.
    more: bool,
    /// The window does not show what is there: read it again.
    stale: bool,
    /// The earliest moment at which a scheduled row becomes due (or one that is gone did).
    pub(crate) next_due: Option<i64>,
    /// The moment for which the window was read: at an earlier one, less is claimable.
    read_for: i64,
    /// Grows with every change, so that a reading that took place meanwhile is noticed.
    pub(crate) version: u64,
}

impl ColdQueue {
    /// Whether the window must be read again before a claim at `now`.
    pub(crate) fn must_read(&self, now: Timestamp) -> bool {
        self.stale || now.0 < self.read_for || (self.window.is_empty() && self.more) || self.next_due.is_some_and(|due| due <= now.0)
    }

    /// Takes in what was read: the first claimable rows, whether there may be more, and the next due.
    pub(crate) fn fill(&mut self, now: Timestamp, rows: Vec<ColdKey>, more: bool, next_due: Option<i64>) {
        self.read_for = now.0;
        self.window = rows.into();
        self.more = more;
        self.stale = false;
        self.next_due = next_due;
    }

    pub(crate) fn first(&self) -> Option<&ColdKey> {
        self.window.front()
    }

    pub(crate) fn pop(&mut self) -> Option<ColdKey> {
        self.window.pop_front()
    }

    /// A row became claimable.
    pub(crate) fn add(&mut self, key: ColdKey) {
        self.version += 1;
        let place = self.window.partition_point(|other| *other < key);
        if place == self.window.len() && self.more || self.window.get(place) == Some(&key) {
            return;
        }
        self.window.insert(place, key);
        if self.window.len() > 2 * WINDOW {
            self.window.truncate(WINDOW);
            self.more = true;
        }
    }

    /// A row was scheduled.
    pub(crate) fn schedule(&mut self, due: i64) {
        self.version += 1;
        self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
    }

    /// An unclaimed row is gone or no longer claimable.
    pub(crate) fn drop_row(&mut self, row: i64) {
        self.version += 1;
        self.window.retain(|key| key.row != row);
    }

    /// The row that becomes due next may be gone: look again.
    pub(crate) fn forget_due(&mut self) {
        self.stale = true;
    }

    /// Anything may have happened.
    pub(crate) fn forget(&mut self) {
        self.version += 1;
        self.window.clear();
        self.stale = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_queue_stays_sorted_whatever_comes() {
        let mut queue = AgeQueue::default();
        let mut expected = std::collections::BTreeSet::new();
        let mut x = 1_u64;
        for at in 0..20_000_u64 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let age = (i64::try_from((x >> 33) % 500).unwrap(), at);
            queue.insert(age);
            expected.insert(age);
            if x.is_multiple_of(3) {
                assert_eq!(queue.pop(), expected.pop_first());
            } else if x.is_multiple_of(7) {
                let victim = *expected.iter().nth(expected.len() / 2).unwrap();
                assert!(queue.remove(victim));
                assert!(!queue.remove(victim));
                expected.remove(&victim);
            }
        }
        while let Some(age) = queue.pop() {
            assert_eq!(Some(age), expected.pop_first());
        }
        assert!(queue.is_empty() && expected.is_empty());
    }
}
