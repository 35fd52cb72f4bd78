//! The predicate index: finds the subscriptions a message matches without testing every filter.
//!
//! Each AND-group is filed under what a matching message must have: the *set of properties* it names
//! and the *values* its `==` statements demand. A message looks only at the property sets it can
//! satisfy, with one table lookup each; inside the place found, ranges are kept in interval lists that
//! give out the intervals around the message's value and no others. What comes out is a superset,
//! small in practice, and every group of it is checked exactly by [`crate::subscription`]'s rules. So
//! the structure can cost time, but never a wrong answer.
//!
//! Equal AND-groups of different subscriptions are stored once, as the reference product does
//! (`PredicateGroup`). Only promoted properties take part. The index never changes after it was built,
//! and answers in the order in which the subscriptions were given.
//!
//! Known limit: groups that agree in every `==` value and differ only in ranges over two or more
//! properties are found by one range, then checked one by one; groups that differ only in `!=` are
//! checked one by one (nearly all of them match anyway).

use crate::{
    interval::{Interval, Intervals},
    subscription::{Subscription, value_holds},
    table::{Table, hash_of},
};
use portolan_model::{
    Context, Kind, Name, Value,
    filter::{Operator, Statement},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{Hash, Hasher},
    ops::Range,
};

/// Number of a property in the index.
type Slot = u32;

/// A statement with its property's slot.
#[derive(Debug)]
struct Check {
    slot: Slot,
    operator: Operator,
    value: Option<Value>,
}

/// A distinct AND-group: where its statements are, and its subscriptions. Nearly every group has one
/// subscription; that one costs no further look into memory.
#[derive(Debug)]
struct Group {
    checks: Range<u32>,
    subscription: u32,
    others: Vec<u32>,
}

/// What groups have in common: the properties they name, and which of them an `==` fixes.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Debug)]
struct Signature {
    present: Vec<Slot>,
    equal: Vec<Slot>,
}

/// Groups with the same signature and the same `==` values.
#[derive(Debug)]
enum Place {
    /// The usual case, without a detour.
    One(u32),
    Many(Box<Crowd>),
}

/// Many groups in one place.
#[derive(Default, Debug)]
struct Crowd {
    plain: Vec<u32>,
    ranges: Vec<(Slot, Intervals)>,
}

/// The index. See the module.
#[derive(Debug, Default)]
pub struct SubscriptionIndex {
    slots: Table<Name, Slot>,
    signatures: Vec<Signature>,
    /// For each slot, the signatures filed under it: each signature under the property that the
    /// fewest signatures name.
    by_slot: Vec<Vec<u32>>,
    /// From a signature's number and the hash of its `==` values to the place.
    places: Table<(u32, u64), Place>,
    checks: Vec<Check>,
    groups: Vec<Group>,
}

/// Working memory of [`SubscriptionIndex::matches`], kept by the caller so that matching allocates
/// nothing once it has grown.
#[derive(Debug, Default)]
pub struct Scratch {
    /// For each slot, one more than the position of the property in the context; 0 = absent.
    at: Vec<u32>,
    present: Vec<Slot>,
    found: Vec<u32>,
}

impl Scratch {
    /// Undoes what the last match wrote, rather than clearing all: there may be very many slots.
    fn clear(&mut self, slots: usize) {
        for slot in self.present.drain(..) {
            self.at[slot as usize] = 0;
        }
        if self.at.len() < slots {
            self.at.resize(slots, 0);
        }
        self.found.clear();
    }
}

/// How much work a match was; for tests and benchmarks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Effort {
    /// Property sets looked at.
    pub signatures: usize,
    /// AND-groups checked.
    pub checked: usize,
}

impl SubscriptionIndex {
    /// Builds the index. Positions in `subscriptions` are the answers of [`Self::matches`].
    #[must_use]
    pub fn build(subscriptions: &[Subscription]) -> Self {
        let mut index = Self::default();
        let mut distinct: Table<u64, Vec<u32>> = Table::default();
        let mut filed: BTreeMap<(Signature, u64), Vec<u32>> = BTreeMap::new();
        for (number, subscription) in subscriptions.iter().enumerate() {
            for group in subscription.filter.groups.iter().filter(|group| !group.is_empty()) {
                index.add(as_u32(number), group, &mut distinct, &mut filed);
            }
        }
        let mut numbers: BTreeMap<Signature, u32> = BTreeMap::new();
        for ((signature, key), groups) in filed {
            let number = *numbers.entry(signature.clone()).or_insert_with(|| {
                index.signatures.push(signature);
                as_u32(index.signatures.len() - 1)
            });
            let place = index.place_of(groups);
            index.places.insert((number, key), place);
        }
        index.file_signatures();
        index
    }

    /// The positions of the subscriptions a message matches, ascending, each once. `scratch` may be
    /// new or come from an earlier call on any index.
    pub fn matches<'s>(&self, context: &Context, scratch: &'s mut Scratch) -> &'s [u32] {
        self.matches_counted(context, scratch).0
    }

    /// [`Self::matches`], telling how much work it was.
    pub fn matches_counted<'s>(&self, context: &Context, scratch: &'s mut Scratch) -> (&'s [u32], Effort) {
        let properties = context.as_slice();
        let mut effort = Effort::default();
        scratch.clear(self.by_slot.len());
        for (position, property) in properties.iter().enumerate() {
            if property.kind != Kind::Promoted {
                continue;
            }
            if let Some(slot) = self.slots.get(&property.name) {
                scratch.at[*slot as usize] = as_u32(position + 1);
                scratch.present.push(*slot);
            }
        }
        let message = Message { properties, at: &scratch.at };
        for slot in &scratch.present {
            for number in &self.by_slot[*slot as usize] {
                effort.signatures += 1;
                if let Some(place) = self.lookup(*number, &message) {
                    self.collect(place, &message, &mut scratch.found, &mut effort);
                }
            }
        }
        scratch.found.sort_unstable();
        scratch.found.dedup();
        (&scratch.found, effort)
    }

    /// How many distinct AND-groups there are.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    fn add(
        &mut self,
        subscription: u32,
        statements: &[Statement],
        distinct: &mut Table<u64, Vec<u32>>,
        filed: &mut BTreeMap<(Signature, u64), Vec<u32>>,
    ) {
        let checks: Vec<Check> =
            statements.iter().map(|s| Check { slot: self.slot_of(&s.property), operator: s.operator, value: s.value.clone() }).collect();
        let same = distinct.entry(hash_of(|h| checks.iter().for_each(|c| hash_check(c, h)))).or_default();
        if let Some(group) = same.iter().find(|g| same_checks(&self.checks[range(&self.groups[**g as usize].checks)], &checks)) {
            self.groups[*group as usize].others.push(subscription);
            return;
        }
        let number = as_u32(self.groups.len());
        same.push(number);
        let (signature, key) = filing(&checks);
        filed.entry((signature, key)).or_default().push(number);
        let from = as_u32(self.checks.len());
        self.checks.extend(checks);
        self.groups.push(Group { checks: from..as_u32(self.checks.len()), subscription, others: Vec::new() });
    }

    fn slot_of(&mut self, name: &Name) -> Slot {
        if let Some(slot) = self.slots.get(name) {
            return *slot;
        }
        let slot = as_u32(self.by_slot.len());
        self.slots.insert(name.clone(), slot);
        self.by_slot.push(Vec::new());
        slot
    }

    /// Arranges groups of one place: those with a range over a property go into the interval list of
    /// the property over which the groups' ranges differ most, the others are simply listed.
    fn place_of(&self, groups: Vec<u32>) -> Place {
        if let [group] = groups[..] {
            return Place::One(group);
        }
        let ranges_of = |group: u32| Interval::of_each_slot(self.checks_of(group).iter().map(|c| (c.slot, c.operator, c.value.as_ref())));
        let mut variety: BTreeMap<Slot, BTreeSet<(u64, u64)>> = BTreeMap::new();
        for group in &groups {
            for (slot, interval) in ranges_of(*group) {
                variety.entry(slot).or_default().insert(interval.bits());
            }
        }
        let mut place = Crowd::default();
        let mut lists: BTreeMap<Slot, Vec<(Interval, u32)>> = BTreeMap::new();
        for group in groups {
            let best = ranges_of(group).into_iter().max_by_key(|(slot, _)| (variety.get(slot).map_or(0, BTreeSet::len), u32::MAX - slot));
            match best {
                Some((slot, interval)) => lists.entry(slot).or_default().push((interval, group)),
                None => place.plain.push(group),
            }
        }
        place.ranges = lists.into_iter().map(|(slot, list)| (slot, Intervals::new(list))).collect();
        Place::Many(Box::new(place))
    }

    /// Files each signature under the one of its properties that the fewest signatures name, so that
    /// a message meets few signatures it cannot satisfy.
    fn file_signatures(&mut self) {
        let mut uses = vec![0_u32; self.by_slot.len()];
        for slot in self.signatures.iter().flat_map(|s| &s.present) {
            uses[*slot as usize] += 1;
        }
        for (number, signature) in self.signatures.iter().enumerate() {
            if let Some(rarest) = signature.present.iter().min_by_key(|slot| (uses[**slot as usize], **slot)) {
                self.by_slot[*rarest as usize].push(as_u32(number));
            }
        }
    }

    fn lookup(&self, number: u32, message: &Message<'_>) -> Option<&Place> {
        let signature = &self.signatures[number as usize];
        if !signature.present.iter().all(|slot| message.at[*slot as usize] != 0) {
            return None;
        }
        let key = hash_of(|h| signature.equal.iter().for_each(|slot| hash_value(message.value(*slot), h)));
        self.places.get(&(number, key))
    }

    fn collect(&self, place: &Place, message: &Message<'_>, found: &mut Vec<u32>, effort: &mut Effort) {
        let mut check = |group: u32| {
            effort.checked += 1;
            let holds = |c: &Check| message.value(c.slot).is_some_and(|value| value_holds(c.operator, c.value.as_ref(), value));
            if self.checks_of(group).iter().all(holds) {
                let group = &self.groups[group as usize];
                found.push(group.subscription);
                found.extend_from_slice(&group.others);
            }
        };
        match place {
            Place::One(group) => check(*group),
            Place::Many(crowd) => {
                crowd.plain.iter().copied().for_each(&mut check);
                for (slot, intervals) in &crowd.ranges {
                    if let Some(value) = message.value(*slot) {
                        intervals.around(value, &mut check);
                    }
                }
            }
        }
    }

    fn checks_of(&self, group: u32) -> &[Check] {
        &self.checks[range(&self.groups[group as usize].checks)]
    }
}

/// A message's values by slot.
struct Message<'a> {
    properties: &'a [portolan_model::Property],
    at: &'a [u32],
}

impl<'a> Message<'a> {
    fn value(&self, slot: Slot) -> Option<&'a Value> {
        let at = self.at[slot as usize] as usize;
        self.properties.get(at.wrapping_sub(1)).map(|property| &property.value)
    }
}

/// Where a group is filed. Of several `==` statements on one property the first is the key.
fn filing(checks: &[Check]) -> (Signature, u64) {
    let present: BTreeSet<Slot> = checks.iter().map(|c| c.slot).collect();
    let mut equal: BTreeMap<Slot, &Check> = BTreeMap::new();
    for check in checks.iter().filter(|c| c.operator == Operator::Equal) {
        equal.entry(check.slot).or_insert(check);
    }
    let key = hash_of(|h| equal.values().for_each(|c| hash_value(c.value.as_ref(), h)));
    (Signature { present: present.into_iter().collect(), equal: equal.into_keys().collect() }, key)
}

/// Hashes a value so that values that compare as equal hash equally, whatever their types.
fn hash_value(value: Option<&Value>, hasher: &mut impl Hasher) {
    match value {
        None => hasher.write_u8(0),
        Some(Value::String(text)) => text.hash(hasher),
        Some(Value::Boolean(flag)) => hasher.write_u8(1 + u8::from(*flag)),
        Some(Value::DateTime(moment)) => hasher.write_i64(moment.0),
        // Adding zero turns -0 into 0, its equal.
        Some(number) => hasher.write_u64((number.as_f64().unwrap_or(0.0) + 0.0).to_bits()),
    }
}

fn hash_check(check: &Check, hasher: &mut impl Hasher) {
    (check.slot, check.operator).hash(hasher);
    hash_value(check.value.as_ref(), hasher);
}

fn same_checks(a: &[Check], b: &[Check]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.slot == b.slot && a.operator == b.operator && a.value == b.value)
}

fn range(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// Indexes hold at most 2³² entries: filters are configuration, held in memory.
fn as_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
