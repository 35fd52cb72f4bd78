//! Claims. What is cached is given at once, without reading; the rest is read on a thread that may
//! block, and a claim whose caller went away meanwhile is given back.

use crate::{
    Core,
    error::{closed, kind_of},
    hot,
    pack::Header,
    queue::{ColdKey, WINDOW},
    record,
    rows::{self, LoadError},
    state::{Held, Hold, Spot, State, Status},
    writer::Broken,
};
use portolan_model::{InstanceId, Timestamp, instance::Instance};
use portolan_store::{Claim, Claimed, Health, Receipt, StoreError, StoreErrorKind, Work};
use rusqlite::{Connection, params};
use std::{
    collections::{VecDeque, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

/// Groups kept as they were read; at most a few MiB.
const RECENT: usize = 6;

/// A group as it was read, or why it could not be.
type ReadGroup = Result<(Header, Vec<u8>), String>;

/// The groups read last.
#[derive(Default)]
pub(crate) struct Recent(Mutex<VecDeque<(u64, Arc<ReadGroup>)>>);

impl Recent {
    fn get(&self, group: u64) -> Option<Arc<ReadGroup>> {
        let groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.iter().find(|(number, _)| *number == group).map(|(_, read)| read.clone())
    }

    fn keep(&self, group: u64, read: Arc<ReadGroup>) {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.len() >= RECENT {
            groups.pop_front();
        }
        groups.push_back((group, read));
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Something a claim took and must now read.
enum Picked {
    Hot { group: u64, sequence: u64, due: i64 },
    Cold { service: u32, key: ColdKey },
}

/// What a claim took in one go.
struct Picks {
    picked: Vec<Picked>,
    /// There is nothing left to take.
    exhausted: bool,
    next_due: Option<Timestamp>,
}

/// Claims what needs no reading. `None` when something does.
pub(crate) fn try_at_once(core: &Core, claim: &Claim) -> Result<Option<Claimed>, StoreError> {
    let mut state = core.lock();
    match state.health {
        Health::Closed => return Err(closed()),
        // What a failing disk may show wrongly is not delivered. A full one shows what it holds.
        Health::Failed(_) => return Ok(Some(Claimed::default())),
        Health::Working | Health::Full(_) => {}
    }
    let Some(service) = state.service_named(&claim.service) else { return Ok(Some(Claimed::default())) };
    let frozen = state.frozen;
    state.missed |= frozen;
    let waiting = state.waiting(service);
    let cold_first = waiting.cold.must_read(claim.now) || waiting.cold.first().is_some();
    if cold_first && !frozen {
        return Ok(None);
    }
    let next_due = waiting.cold.next_due.map(Timestamp);
    let mut taken = Vec::new();
    let mut claimed = Claimed::default();
    while claimed.work.len() < claim.max {
        let Some((priority, (due, sequence))) = state.waiting(service).hot.pop() else { break };
        let Some(entry) = state.entries.get(sequence).filter(|entry| entry.status() == Status::Queued) else { continue };
        let Some(work) = state.cache.work(entry.group, sequence) else {
            state.waiting(service).hot.insert(priority, (due, sequence));
            for (id, sequence, due) in taken {
                state.held.remove(&id);
                state.requeue_hot(sequence, due);
            }
            return Ok(None);
        };
        taken.push((work.instance.id, sequence, due));
        hold_hot(&mut state, &work, sequence, due);
        claimed.work.push(work);
    }
    if claimed.work.len() < claim.max {
        claimed.next_due = next_due;
    }
    Ok(Some(claimed))
}

fn hold_hot(state: &mut State, work: &Work, sequence: u64, due: i64) {
    state.set_status(sequence, Status::Taken);
    let spot = Spot::Hot { sequence, due };
    state.held.insert(work.instance.id, Held { spot, hold: Hold::Claimed, work: Some(Box::new(work.clone())) });
}

/// Claims, reading what is not in memory. Blocks.
pub(crate) fn read(core: &Arc<Core>, claim: &Claim) -> Result<Delivery, StoreError> {
    let mut delivery = Delivery { core: core.clone(), claimed: Claimed::default(), kept: false };
    let Some(service) = core.lock().service_named(&claim.service) else { return Ok(delivery) };
    loop {
        refill(core, service, claim.now)?;
        let wanted = claim.max - delivery.claimed.work.len();
        let Picks { picked, exhausted, next_due } = pick(core, service, claim.now, wanted)?;
        read_picked(core, picked, &mut delivery.claimed.work)?;
        if delivery.claimed.work.len() >= claim.max {
            return Ok(delivery);
        }
        if exhausted {
            delivery.claimed.next_due = next_due;
            return Ok(delivery);
        }
    }
}

/// Reads the window of a service's rows again if need be.
fn refill(core: &Core, service: u32, now: Timestamp) -> Result<(), StoreError> {
    loop {
        let (version, spare) = {
            let mut state = core.lock();
            let held = state.held.len();
            let frozen = state.frozen;
            let cold = &mut state.waiting(service).cold;
            if frozen || !cold.must_read(now) {
                return Ok(());
            }
            (cold.version, held)
        };
        let (mut keys, later) = core.readers.read(|connection| read_window(connection, service, now, spare))?;
        let more = keys.len() >= WINDOW + spare;
        let mut state = core.lock();
        keys.retain(|key| !state.held.contains_key(&key.id));
        let next_due = later.into_iter().find(|(_, id)| !state.held.contains_key(id)).map(|(due, _)| due);
        let cold = &mut state.waiting(service).cold;
        if cold.version == version {
            cold.fill(now, keys, more, next_due);
            return Ok(());
        }
    }
}

/// When a row becomes due, and which.
type Later = (i64, InstanceId);

/// The first claimable rows in order, and the first that become due later. `spare` of them may be held.
fn read_window(connection: &Connection, service: u32, now: Timestamp, spare: usize) -> rusqlite::Result<(Vec<ColdKey>, Vec<Later>)> {
    let limit = WINDOW + spare;
    let mut keys = Vec::new();
    let columns = "SELECT priority, due, sequence, n, id FROM instance WHERE service = ?1 AND";
    let order = "ORDER BY priority, due, sequence LIMIT ?3";
    for (scheduled, condition) in [(false, "state = 0 AND ?2 IS NOT NULL"), (true, "state = 1 AND due <= ?2")] {
        let mut find = connection.prepare_cached(&format!("{columns} {condition} {order}"))?;
        let rows = find.query_map(params![service, now.0, limit as i64], |row| {
            let id = InstanceId(uuid::Uuid::from_bytes(row.get(4)?));
            let sequence = row.get::<_, i64>(2)?.cast_unsigned();
            Ok(ColdKey { priority: row.get(0)?, due: row.get(1)?, sequence, row: row.get(3)?, id, scheduled })
        })?;
        for row in rows {
            keys.push(row?);
        }
    }
    keys.sort_unstable();
    keys.truncate(limit);
    let mut next =
        connection.prepare_cached("SELECT due, id FROM instance WHERE service = ?1 AND state = 1 AND due > ?2 ORDER BY due LIMIT ?3")?;
    let later = next
        .query_map(params![service, now.0, spare as i64 + 1], |row| Ok((row.get(0)?, InstanceId(uuid::Uuid::from_bytes(row.get(1)?)))))?;
    let later = later.collect::<rusqlite::Result<_>>()?;
    Ok((keys, later))
}

/// Takes the first of both queues. Rows are held at once; packed instances become held when read.
fn pick(core: &Core, service: u32, now: Timestamp, wanted: usize) -> Result<Picks, StoreError> {
    let mut state = core.lock();
    match state.health {
        Health::Closed => return Err(closed()),
        Health::Failed(_) => return Ok(Picks { picked: Vec::new(), exhausted: true, next_due: None }),
        Health::Working | Health::Full(_) => {}
    }
    let frozen = state.frozen;
    state.missed |= frozen;
    let mut picked = Vec::new();
    while picked.len() < wanted {
        let waiting = state.waiting(service);
        // Another claim, of a later moment, may have read the window meanwhile.
        if !frozen && waiting.cold.must_read(now) {
            break;
        }
        let hot = waiting.hot.first();
        let cold = if frozen { None } else { waiting.cold.first() };
        let cold_next = match (hot, cold) {
            (None, None) => break,
            (Some((priority, age)), Some(key)) => (key.priority, (key.due, key.sequence)) < (priority, age),
            (hot, _) => hot.is_none(),
        };
        if cold_next {
            let Some(key) = waiting.cold.pop() else { break };
            if let Entry::Vacant(free) = state.held.entry(key.id) {
                free.insert(Held { spot: Spot::Cold { service, key }, hold: Hold::Claimed, work: None });
                picked.push(Picked::Cold { service, key });
            }
        } else if let Some((_, (due, sequence))) = waiting.hot.pop()
            && let Some(entry) = state.entries.get(sequence)
            && entry.status() == Status::Queued
        {
            state.set_status(sequence, Status::Taken);
            picked.push(Picked::Hot { group: entry.group, sequence, due });
        }
    }
    let cold = &state.waiting(service).cold;
    let exhausted = picked.is_empty() && (frozen || !cold.must_read(now));
    Ok(Picks { picked, exhausted, next_due: cold.next_due.filter(|due| *due > now.0).map(Timestamp) })
}

/// Reads what was taken, in order. What cannot be read is put aside for operators to see.
fn read_picked(core: &Core, picked: Vec<Picked>, work: &mut Vec<Work>) -> Result<(), StoreError> {
    let reading = Reading { core, connection: core.readers.get() };
    let mut picked = picked.into_iter();
    while let Some(one) = picked.next() {
        match reading.one(&one) {
            Ok(Some(read)) => work.push(read),
            Ok(None) => {}
            Err(error) => {
                let mut state = core.lock();
                for unread in std::iter::once(one).chain(picked) {
                    match unread {
                        Picked::Hot { sequence, due, .. } => state.requeue_hot(sequence, due),
                        Picked::Cold { key, .. } => drop(state.release(key.id)),
                    }
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

struct Reading<'a> {
    core: &'a Core,
    connection: Result<crate::readers::Reader<'a>, StoreError>,
}

impl Reading<'_> {
    fn one(&self, picked: &Picked) -> Result<Option<Work>, StoreError> {
        match picked {
            Picked::Hot { group, sequence, due } => self.hot(*group, *sequence, *due),
            Picked::Cold { service, key } => self.cold(*service, key),
        }
    }

    fn connection(&self) -> Result<&Connection, StoreError> {
        self.connection.as_ref().map(|reader| &**reader).map_err(Clone::clone)
    }

    fn hot(&self, group: u64, sequence: u64, due: i64) -> Result<Option<Work>, StoreError> {
        {
            let mut state = self.core.lock();
            if let Some(work) = state.cache.work(group, sequence) {
                hold_hot(&mut state, &work, sequence, due);
                return Ok(Some(work));
            }
        }
        let broken = |why: String| {
            self.core.report(Broken::Packed { group, sequence, why });
            Ok(None)
        };
        let read = self.group(group)?;
        let (header, data) = match &*read {
            Ok(read) => read,
            Err(why) => return broken(why.clone()),
        };
        let Some(head) = hot::head(header, sequence) else { return broken("the header does not name the instance".into()) };
        let slices = header.slices();
        let record = slices.get(head.message as usize).and_then(|slice| Some((data.get(slice.range.clone())?, slice.crc)));
        let Some((bytes, crc)) = record else { return broken("the data is cut off".into()) };
        match record::decode(bytes, crc) {
            Err(why) => broken(why),
            Ok(message) => {
                let mut state = self.core.lock();
                let service = state.services.get(head.service);
                let work = Work { instance: header.instance(head, service), message: Arc::new(message) };
                hold_hot(&mut state, &work, sequence, due);
                Ok(Some(work))
            }
        }
    }

    /// A group, read unless it was among the last ones read: claims go through a group in small steps.
    fn group(&self, group: u64) -> Result<Arc<ReadGroup>, StoreError> {
        if let Some(read) = self.core.recent.get(group) {
            return Ok(read);
        }
        let read = match hot::group(self.connection()?, group) {
            Ok(read) => Ok(read),
            Err(LoadError::Database(error)) if kind_of(&error) != StoreErrorKind::Corrupt => return Err(self.core.readers.told(&error)),
            Err(LoadError::Database(error)) => Err(error.to_string()),
            Err(LoadError::Corrupt(why)) => Err(why),
        };
        let read = Arc::new(read);
        self.core.recent.keep(group, read.clone());
        Ok(read)
    }

    fn cold(&self, service: u32, key: &ColdKey) -> Result<Option<Work>, StoreError> {
        let connection = self.connection()?;
        let failed = |error: &rusqlite::Error| self.core.readers.told(error);
        let Some(row) = rows::find(connection, key.id).map_err(|error| failed(&error))? else {
            self.core.lock().held.remove(&key.id);
            return Ok(None);
        };
        match rows::load_message(connection, row.message) {
            Ok(message) => {
                let service = self.core.lock().services.get(service);
                Ok(Some(Work { instance: Instance { service, ..row.instance }, message: Arc::new(message) }))
            }
            Err(LoadError::Corrupt(why)) => {
                self.core.report(Broken::Row { id: key.id, why });
                Ok(None)
            }
            Err(LoadError::Database(error)) => Err(failed(&error)),
        }
    }
}

/// Claimed work on its way to its caller.
pub(crate) struct Delivery {
    core: Arc<Core>,
    claimed: Claimed,
    kept: bool,
}

impl Delivery {
    /// The caller has it.
    pub(crate) fn keep(mut self) -> Claimed {
        self.kept = true;
        std::mem::take(&mut self.claimed)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.kept {
            self.core.give_back(self.claimed.work.iter().map(|work| work.instance.id));
        }
    }
}

/// An answer to a commit on its way to its caller, with the instances that are the caller's from then
/// on. If the caller went away, they are given back: else nobody would ever deliver them.
pub(crate) struct Applied {
    core: Arc<Core>,
    receipt: Receipt,
    claimed: Vec<InstanceId>,
}

impl Applied {
    pub(crate) fn new(core: Arc<Core>, receipt: Receipt, claimed: Vec<InstanceId>) -> Self {
        Self { core, receipt, claimed }
    }

    /// The caller has it.
    pub(crate) fn keep(mut self) -> Receipt {
        self.claimed.clear();
        std::mem::take(&mut self.receipt)
    }
}

impl Drop for Applied {
    fn drop(&mut self) {
        self.core.give_back(self.claimed.drain(..));
    }
}
