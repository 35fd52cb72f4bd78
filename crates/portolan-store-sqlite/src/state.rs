//! What the store keeps in memory: where every packed instance is, which are claimed, what is done but
//! not yet written, and the newest groups in decoded form. It follows the database: the writer changes
//! it after each commit; only claims and lazy completions go ahead.

use crate::{
    cache::Cache,
    pack::{Header, Pack},
    queue::{ColdKey, ColdQueue, HotQueue},
    remembered::Remembered,
    segments::{Segments, Slot},
    services::Services,
};
use portolan_model::{InstanceId, Message, MessageId, instance::Service};
use portolan_store::{Health, Work};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// A packed group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// Sequence number of its first instance.
    pub(crate) first: u64,
    /// When its newest instance was created: where to look for the newest instances first.
    pub(crate) newest: i64,
    /// How many sequence numbers it spans; some may belong to rows.
    pub(crate) span: u32,
    /// Instances not done.
    pub(crate) live: u32,
}

impl Slot for Group {
    const FREE: Self = Self { first: 0, newest: 0, span: 0, live: 0 };
    fn is_free(&self) -> bool {
        self.span == 0
    }
}

/// A packed instance, by sequence number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) group: u64,
    pub(crate) fingerprint: u32,
    /// Service (24 bits), priority (4 bits), status (4 bits).
    tag: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    Free = 0,
    /// Waits in its queue.
    Queued = 1,
    /// Claimed, or taken by the writer.
    Taken = 2,
    /// Done; the group still has others.
    Done = 3,
}

impl Entry {
    pub(crate) fn service(self) -> u32 {
        self.tag >> 8
    }
    pub(crate) fn priority(self) -> u8 {
        u8::try_from(self.tag >> 4 & 15).unwrap_or_default()
    }
    pub(crate) fn status(self) -> Status {
        match self.tag & 15 {
            1 => Status::Queued,
            2 => Status::Taken,
            3 => Status::Done,
            _ => Status::Free,
        }
    }
    fn with(self, status: Status) -> Self {
        Self { tag: self.tag & !15 | status as u32, ..self }
    }
    pub(crate) fn is_live(self) -> bool {
        matches!(self.status(), Status::Queued | Status::Taken)
    }
}

impl Slot for Entry {
    const FREE: Self = Self { group: 0, fingerprint: 0, tag: 0 };
    fn is_free(&self) -> bool {
        self.tag & 15 == 0
    }
}

/// Where an instance is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spot {
    /// In a group, under this sequence number, due at this moment.
    Hot { sequence: u64, due: i64 },
    /// In a row.
    Cold { service: u32, key: ColdKey },
}

/// How far an instance is in its holder's hands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hold {
    /// Claimed.
    Claimed,
    /// The writer is changing it.
    Busy,
    /// The writer is giving it back.
    Freed,
    /// Completed lazily: the row is still there, but must not be seen.
    Gone,
}

/// An instance that is not to be given to anybody.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) spot: Spot,
    pub(crate) hold: Hold,
    /// The claimed work of a packed instance: needed when it moves to a row.
    pub(crate) work: Option<Box<Work>>,
}

/// One service's queues.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) hot: HotQueue,
    pub(crate) cold: ColdQueue,
    /// Packed instances not done.
    pub(crate) hot_live: u64,
}

/// The memory of an open store.
pub(crate) struct State {
    pub(crate) services: Services,
    pub(crate) groups: Segments<Group>,
    pub(crate) entries: Segments<Entry>,
    /// By number of the service.
    waiting: Vec<Waiting>,
    pub(crate) held: HashMap<InstanceId, Held>,
    /// Groups with instances that are done here but not yet in the database.
    pub(crate) dirty: BTreeSet<u64>,
    /// Rows completed lazily, not yet removed from the database.
    pub(crate) gone: Vec<InstanceId>,
    pub(crate) cache: Cache,
    pub(crate) remembered: Remembered,
    pub(crate) epoch: u64,
    /// Number of the last transaction this memory shows.
    pub(crate) lsn: u64,
    pub(crate) health: Health,
    /// An operator's action is changing rows: no row may be claimed.
    pub(crate) frozen: bool,
    /// A claim was given less than there may be because of that: tell when it is over.
    pub(crate) missed: bool,
    /// The writer was told that lazy completions wait.
    pub(crate) lazy_told: bool,
}

impl State {
    pub(crate) fn new(cache_bytes: usize) -> Self {
        Self {
            services: Services::default(),
            groups: Segments::new(),
            entries: Segments::new(),
            waiting: Vec::new(),
            held: HashMap::new(),
            dirty: BTreeSet::new(),
            gone: Vec::new(),
            cache: Cache::new(cache_bytes),
            remembered: Remembered::default(),
            epoch: 0,
            lsn: 0,
            health: Health::Working,
            frozen: false,
            missed: false,
            lazy_told: false,
        }
    }

    pub(crate) fn waiting(&mut self, service: u32) -> &mut Waiting {
        let at = service as usize;
        if self.waiting.len() <= at {
            self.waiting.resize_with(at + 1, Waiting::default);
        }
        &mut self.waiting[at]
    }

    /// Rows of any service may have changed in any way.
    pub(crate) fn forget_rows(&mut self) {
        for (number, _) in (0..).zip(0..self.services.len()) {
            self.waiting(number).cold.forget();
        }
    }

    /// Takes in a group that is in the database. `is_done` tells of an instance by its offset.
    pub(crate) fn add_group(&mut self, number: u64, header: &Header, is_done: impl Fn(u32) -> bool) {
        let mut live = 0;
        for instance in &header.instances {
            let sequence = header.first + u64::from(instance.offset);
            let done = is_done(instance.offset);
            let status = if done { Status::Done } else { Status::Queued };
            let tag = instance.service << 8 | u32::from(instance.priority & 15) << 4 | status as u32;
            self.entries.set(sequence, Entry { group: number, fingerprint: fingerprint(instance.id), tag });
            if !done {
                live += 1;
                let waiting = self.waiting(instance.service);
                waiting.hot_live += 1;
                waiting.hot.insert(instance.priority, (instance.due.0, sequence));
            }
        }
        let group = Group { first: header.first, newest: header.newest().0, span: header.span(), live };
        self.groups.set(number, group);
    }

    /// Takes in a group that was just committed, with the claims of its publishers.
    pub(crate) fn add_pack(&mut self, number: u64, pack: Pack) {
        self.add_group(number, &pack.header, |_| false);
        for ((head, instance), claimed) in pack.header.instances.iter().zip(&pack.instances).zip(&pack.claimed) {
            if !claimed {
                continue;
            }
            let sequence = pack.header.first + u64::from(head.offset);
            if let Some(message) = pack.messages.get(head.message as usize) {
                let work = Work { instance: instance.clone(), message: message.clone() };
                self.waiting(head.service).hot.remove(head.priority, (head.due.0, sequence));
                self.set_status(sequence, Status::Taken);
                let spot = Spot::Hot { sequence, due: head.due.0 };
                self.held.insert(head.id, Held { spot, hold: Hold::Claimed, work: Some(Box::new(work)) });
            }
        }
        self.cache.add(number, pack);
    }

    pub(crate) fn set_status(&mut self, sequence: u64, status: Status) {
        if let Some(entry) = self.entries.get(sequence) {
            self.entries.set(sequence, entry.with(status));
        }
    }

    /// A packed instance is done or moved to a row.
    pub(crate) fn finish_hot(&mut self, sequence: u64) {
        let Some(entry) = self.entries.get(sequence).filter(|entry| entry.is_live()) else { return };
        self.set_status(sequence, Status::Done);
        self.waiting(entry.service()).hot_live -= 1;
        if let Some(mut group) = self.groups.get(entry.group) {
            group.live -= 1;
            self.groups.set(entry.group, group);
        }
    }

    /// A packed instance waits again.
    pub(crate) fn requeue_hot(&mut self, sequence: u64, due: i64) {
        if let Some(entry) = self.entries.get(sequence)
            && entry.status() == Status::Taken
        {
            self.set_status(sequence, Status::Queued);
            self.waiting(entry.service()).hot.insert(entry.priority(), (due, sequence));
        }
    }

    /// Takes a packed instance out of its queue; `false` when somebody else has it.
    pub(crate) fn take_hot(&mut self, sequence: u64, due: i64) -> bool {
        let Some(entry) = self.entries.get(sequence) else { return false };
        let there = entry.status() == Status::Queued && self.waiting(entry.service()).hot.remove(entry.priority(), (due, sequence));
        if there {
            self.set_status(sequence, Status::Taken);
        }
        there
    }

    /// A group whose instances are all done is gone from the database.
    pub(crate) fn remove_group(&mut self, number: u64) {
        let Some(group) = self.groups.get(number) else { return };
        for sequence in group.first..group.first + u64::from(group.span) {
            if self.entries.get(sequence).is_some_and(|entry| entry.group == number) {
                self.entries.remove(sequence);
            }
        }
        self.groups.remove(number);
        self.cache.remove(number);
    }

    /// A group that cannot be read is put aside: its instances are nobody's.
    pub(crate) fn lose_group(&mut self, number: u64) {
        let Some(group) = self.groups.get(number) else { return };
        for sequence in group.first..group.first + u64::from(group.span) {
            if self.entries.get(sequence).is_some_and(|entry| entry.group == number) {
                // What waits in a queue is passed over there: its entry is gone.
                self.finish_hot(sequence);
            }
        }
        self.remove_group(number);
    }

    /// Which instances of a group are done, as one bit each, those in `also` too.
    pub(crate) fn done_bits(&self, number: u64, also: &[u64]) -> Vec<u8> {
        let Some(group) = self.groups.get(number) else { return Vec::new() };
        let mut bits = vec![0_u8; (group.span as usize).div_ceil(8)];
        for offset in 0..u64::from(group.span) {
            let sequence = group.first + offset;
            let live = self.entries.get(sequence).is_some_and(|entry| entry.group == number && entry.is_live());
            if (!live || also.contains(&sequence))
                && let Some(byte) = bits.get_mut((offset / 8) as usize)
            {
                *byte |= 1 << (offset % 8);
            }
        }
        bits
    }

    /// Gives a claim back; `false` when there is none.
    pub(crate) fn release(&mut self, id: InstanceId) -> bool {
        if self.held.get(&id).is_none_or(|held| held.hold != Hold::Claimed) {
            return false;
        }
        if let Some(held) = self.held.remove(&id) {
            self.put_back(held.spot);
        }
        true
    }

    /// Something taken waits again.
    pub(crate) fn put_back(&mut self, spot: Spot) {
        match spot {
            Spot::Hot { sequence, due } => self.requeue_hot(sequence, due),
            Spot::Cold { service, key } if key.scheduled => self.waiting(service).cold.schedule(key.due),
            Spot::Cold { service, key } => self.waiting(service).cold.add(key),
        }
    }

    /// Completes a claimed instance ahead of the database; `false` when that needs the writer.
    pub(crate) fn complete_lazily(&mut self, id: InstanceId) -> bool {
        let Some(held) = self.held.get_mut(&id).filter(|held| held.hold == Hold::Claimed) else { return false };
        match held.spot {
            Spot::Hot { sequence, .. } => {
                self.held.remove(&id);
                if let Some(entry) = self.entries.get(sequence) {
                    self.dirty.insert(entry.group);
                }
                self.finish_hot(sequence);
            }
            Spot::Cold { .. } => {
                held.hold = Hold::Gone;
                self.gone.push(id);
            }
        }
        true
    }

    /// Live packed instances whose id may be `id`: by sequence number.
    pub(crate) fn hot_candidates(&self, ids: &[InstanceId]) -> Vec<(u64, Entry)> {
        let mut prints: Vec<u32> = ids.iter().map(|id| fingerprint(*id)).collect();
        prints.sort_unstable();
        let wanted = |print: u32| if let [one] = prints[..] { one == print } else { prints.binary_search(&print).is_ok() };
        self.entries.iter().filter(|(_, entry)| entry.is_live() && wanted(entry.fingerprint)).collect()
    }

    /// The due by which a queued packed instance is queued; searched for, so only for recovery.
    pub(crate) fn due_of(&mut self, sequence: u64) -> Option<i64> {
        let entry = self.entries.get(sequence)?;
        self.waiting(entry.service()).hot.due_of(entry.priority(), sequence)
    }

    /// A cached message that a live packed instance carries.
    pub(crate) fn cached_message(&self, id: MessageId) -> Option<Arc<Message>> {
        let (message, carriers) = self.cache.message(id)?;
        carriers.into_iter().any(|sequence| self.entries.get(sequence).is_some_and(Entry::is_live)).then_some(message)
    }

    /// Packed instances of a service that are not done.
    pub(crate) fn hot_live(&self, service: u32) -> u64 {
        self.waiting.get(service as usize).map_or(0, |waiting| waiting.hot_live)
    }

    pub(crate) fn service_named(&self, service: &Service) -> Option<u32> {
        self.services.find(service)
    }
}

/// 32 bits of an id: enough to know where not to look.
pub(crate) fn fingerprint(id: InstanceId) -> u32 {
    let bits = id.0.as_u128();
    #[allow(clippy::cast_possible_truncation, reason = "folding is the point")]
    let folded = (bits ^ bits >> 32 ^ bits >> 64 ^ bits >> 96) as u32;
    folded
}
