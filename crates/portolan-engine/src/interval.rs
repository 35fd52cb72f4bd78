//! Intervals over property values: which of many ranges contain a value, without looking at all.
//!
//! Keys are approximate (numbers as floating point, texts by their first bytes) and bounds count as
//! inside: the answer is a superset that the caller checks exactly. It must never miss an interval.

use portolan_model::{Value, filter::Operator};
use std::collections::BTreeMap;

/// A range of keys of one class of values, both ends inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Interval {
    class: Class,
    low: u64,
    high: u64,
}

/// Values that can be compared with one another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Class {
    Text,
    Flag,
    Moment,
    Number,
}

impl Interval {
    /// For each property that a group restricts by `<`, `<=`, `>`, `>=`, the interval of values.
    /// Bounds of different classes exclude one another; the first class decides, the rest is left to
    /// the exact check.
    pub(crate) fn of_each_slot<'a>(checks: impl Iterator<Item = (u32, Operator, Option<&'a Value>)>) -> BTreeMap<u32, Self> {
        let mut intervals: BTreeMap<u32, Self> = BTreeMap::new();
        for (slot, operator, value) in checks {
            let Some((class, low, high)) = value.and_then(keys) else { continue };
            let one = match operator {
                Operator::Less | Operator::LessOrEqual => Self { class, low: 0, high },
                Operator::Greater | Operator::GreaterOrEqual => Self { class, low, high: u64::MAX },
                Operator::Equal | Operator::NotEqual | Operator::Exists => continue,
            };
            let all = intervals.entry(slot).or_insert(one);
            if all.class == class {
                *all = Self { class, low: all.low.max(one.low), high: all.high.min(one.high) };
            }
        }
        intervals
    }

    /// The interval as numbers, to tell different ones apart.
    pub(crate) fn bits(&self) -> (u64, u64) {
        (self.low, self.high)
    }
}

/// The class of a value and the smallest and largest key that an equal value may have. `None` for
/// NaN, which no range contains.
fn keys(value: &Value) -> Option<(Class, u64, u64)> {
    Some(match value {
        Value::String(text) => {
            let key = text_key(text);
            (Class::Text, key, key)
        }
        Value::Boolean(flag) => (Class::Flag, u64::from(*flag), u64::from(*flag)),
        Value::DateTime(moment) => {
            let key = moment.0.cast_unsigned() ^ (1 << 63);
            (Class::Moment, key, key)
        }
        number => {
            let key = number_key(number.as_f64()?)?;
            // Conversion to floating point may round either way: leave room for a few steps.
            (Class::Number, key.saturating_sub(8), key.saturating_add(8))
        }
    })
}

/// Order-preserving: the first eight bytes.
fn text_key(text: &str) -> u64 {
    let mut first = [0_u8; 8];
    let length = text.len().min(8);
    first[..length].copy_from_slice(&text.as_bytes()[..length]);
    u64::from_be_bytes(first)
}

/// Order-preserving bits of a floating-point number; 0 and -0 are one.
fn number_key(number: f64) -> Option<u64> {
    if number.is_nan() {
        return None;
    }
    let bits = (number + 0.0).to_bits();
    Some(if bits >> 63 == 0 { bits | 1 << 63 } else { !bits })
}

/// Many intervals, each with a number. Sorted by lower end; over the upper ends lies an implicit
/// binary tree of maxima, so that intervals that end too early are passed over in whole runs.
#[derive(Debug)]
pub(crate) struct Intervals {
    classes: BTreeMap<Class, Sorted>,
}

#[derive(Debug, Default)]
struct Sorted {
    low: Vec<u64>,
    high: Vec<u64>,
    number: Vec<u32>,
    /// Largest upper end under each node; node 1 is the root, leaves start at `leaves`.
    max: Vec<u64>,
    leaves: usize,
}

impl Intervals {
    pub(crate) fn new(mut list: Vec<(Interval, u32)>) -> Self {
        list.sort_unstable_by_key(|(interval, number)| (interval.class, interval.low, *number));
        let mut classes: BTreeMap<Class, Sorted> = BTreeMap::new();
        for (interval, number) in list {
            let sorted = classes.entry(interval.class).or_default();
            sorted.low.push(interval.low);
            sorted.high.push(interval.high);
            sorted.number.push(number);
        }
        classes.values_mut().for_each(Sorted::grow_tree);
        Self { classes }
    }

    /// Gives out the number of every interval that may contain `value`.
    pub(crate) fn around(&self, value: &Value, found: &mut impl FnMut(u32)) {
        let Some((class, low, high)) = keys(value) else { return };
        if let Some(sorted) = self.classes.get(&class) {
            let before = sorted.low.partition_point(|start| *start <= high);
            sorted.reaching(1, 0..sorted.leaves, before, low, found);
        }
    }
}

impl Sorted {
    fn grow_tree(&mut self) {
        self.leaves = self.high.len().next_power_of_two();
        self.max = vec![0; 2 * self.leaves];
        self.max[self.leaves..self.leaves + self.high.len()].copy_from_slice(&self.high);
        for node in (1..self.leaves).rev() {
            self.max[node] = self.max[2 * node].max(self.max[2 * node + 1]);
        }
    }

    /// Of the first `before` intervals, those that reach up to `low`.
    fn reaching(&self, node: usize, span: std::ops::Range<usize>, before: usize, low: u64, found: &mut impl FnMut(u32)) {
        if span.start >= before || self.max[node] < low {
            return;
        }
        if span.len() == 1 {
            found(self.number[span.start]);
            return;
        }
        let middle = span.start + span.len() / 2;
        self.reaching(2 * node, span.start..middle, before, low, found);
        self.reaching(2 * node + 1, middle..span.end, before, low, found);
    }
}
