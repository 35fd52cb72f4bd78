//! What each operation of a batch does, in the database at once and in memory after the commit.
//! It means what the memory store of `portolan-store` says it means.

use crate::{
    bodies,
    effects::Effect,
    error::{Stop, corrupt},
    hot,
    pack::Pack,
    prepare::{Step, is_claimed},
    record::{self, Record},
    rows::{self, Row},
    state::{Held, Hold, Spot},
    txn::Txn,
};
use portolan_model::{
    InstanceId, Message, Timestamp,
    instance::{Instance, InstanceState},
};
use portolan_store::{EVENTS_KEPT, Event, NewInstance, Operation, StoreError, StoreErrorKind, Work};
use rusqlite::{Connection, params};
use std::sync::{Arc, PoisonError};

/// An instance that a step found.
pub(crate) enum Found {
    Hot { sequence: u64, work: Option<Box<Work>> },
    Cold { row: Box<Row>, claimed: bool },
}

impl Txn<'_> {
    pub(crate) fn step(&mut self, step: &Step) -> Result<u64, Stop> {
        match step {
            Step::Publish { message, record, instances, packed } => {
                self.wake |= instances.iter().any(|new| !new.instance.state.is_suspended() && !is_claimed(new));
                if *packed {
                    self.publish_packed(message, record, instances);
                } else {
                    self.publish_rows(message, record, instances)?;
                }
                Ok(instances.len() as u64)
            }
            Step::Other(operation) => self.operation(operation),
        }
    }

    fn operation(&mut self, operation: &Operation) -> Result<u64, Stop> {
        if !matches!(operation, Operation::Complete { .. } | Operation::Release { .. } | Operation::Require { .. }) {
            self.writing()?;
        }
        match operation {
            // Publications were split off when the batch was prepared.
            Operation::Publish { .. } => Ok(0),
            Operation::Require { instance, suspended } => self.require(*instance, *suspended),
            Operation::Complete { instance } => self.complete(*instance),
            Operation::Release { instance } => Ok(self.release(*instance)),
            Operation::Reschedule { instance, due, progress, failure } => self.change(*instance, |instance| {
                if instance.state.is_suspended() {
                    return None;
                }
                let failure = failure.clone().or(instance.failure);
                Some(Instance { state: InstanceState::Scheduled, due: *due, progress: *progress, failure, ..instance })
            }),
            Operation::Suspend { instance, resumable, form, failure } => {
                self.change(*instance, |instance| Some(instance.suspended(*resumable, *form, failure.clone())))
            }
            Operation::Act { selection, action, at } => self.act(selection, *action, *at),
            Operation::SetState { key, value } => Ok(self.set_state(key, value.as_deref())?),
            Operation::RememberKey { scope, key, at } => self.remember_key(scope, key, *at),
            Operation::ForgetKey { scope, key } => {
                let mut delete = self.connection.prepare_cached("DELETE FROM receive_key WHERE scope = ?1 AND key = ?2")?;
                Ok(delete.execute([scope.as_str(), key])? as u64)
            }
            Operation::DiscardBody(body) => Ok(u64::from(bodies::discard(self.connection, *body, &self.released)?)),
            Operation::Event(event) => Ok(add_event(self.connection, event)?),
            Operation::SetEpoch(epoch) => {
                let changed = self.epoch != *epoch;
                self.epoch = *epoch;
                self.connection.prepare_cached("UPDATE mark SET epoch = ?1")?.execute([epoch.cast_signed()])?;
                Ok(u64::from(changed))
            }
        }
    }

    fn publish_packed(&mut self, message: &Arc<Message>, record: &Record, instances: &[NewInstance]) {
        if self.packs.last().is_none_or(|pack| !pack.has_room(record)) {
            self.packs.push(Pack::default());
        }
        let Some(pack) = self.packs.last_mut() else { return };
        pack.message(message, record);
        let mut state = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        for new in instances {
            let service = state.services.number(&new.instance.service);
            pack.instance(new.instance.clone(), service, self.next_sequence, new.claim);
            self.next_sequence += 1;
        }
    }

    fn publish_rows(&mut self, message: &Arc<Message>, record: &Record, instances: &[NewInstance]) -> Result<(), Stop> {
        self.writing()?;
        let bodies = rows::wanted_bodies(self.connection, message)?;
        let n = rows::insert_message(self.connection, message, record, &bodies)?;
        for new in instances {
            let id = new.instance.id;
            let held = self.state().held.get(&id).map(|held| (held.hold, held.spot));
            match held {
                Some((Hold::Claimed | Hold::Freed, Spot::Hot { .. })) => {
                    return Err(StoreError::new(StoreErrorKind::Invalid, format!("an instance {id} is there already")).into());
                }
                Some((Hold::Gone, _)) if !self.flushed.contains(&id) => return Err(Stop::Barrier),
                _ => {}
            }
            let service = self.state().services.number(&new.instance.service);
            let row = rows::insert_instance(self.connection, &new.instance, n, service, self.next_sequence)?;
            self.next_sequence += 1;
            if is_claimed(new) {
                let held = Held { spot: Spot::Cold { service, key: row.key() }, hold: Hold::Claimed, work: None };
                let before = self.state().held.insert(id, held);
                self.effects.push(Effect::Claimed { id, before });
            } else if !new.instance.state.is_suspended() {
                self.effects.push(Effect::Waits { service, key: row.key() });
            }
        }
        Ok(())
    }

    fn require(&self, id: InstanceId, suspended: bool) -> Result<u64, Stop> {
        let conflict = |why: String| Err(StoreError::new(StoreErrorKind::Conflict, why).into());
        let state = match self.look(id)? {
            None => return conflict(format!("there is no instance {id} any more")),
            Some(state) => state,
        };
        if suspended && !state.is_suspended() {
            return conflict(format!("instance {id} is not suspended any more"));
        }
        Ok(0)
    }

    /// The state of an instance, without taking it.
    fn look(&self, id: InstanceId) -> Result<Option<InstanceState>, Stop> {
        let held = self.state().held.get(&id).map(|held| (held.hold, held.spot));
        match held {
            Some((Hold::Gone, _)) => return Ok(None),
            Some((Hold::Claimed | Hold::Freed, Spot::Hot { .. })) => return Ok(Some(InstanceState::Ready)),
            _ => {}
        }
        if let Some(row) = rows::find(self.connection, id)? {
            return Ok(Some(row.instance.state));
        }
        if held.is_some() {
            return Ok(None);
        }
        self.bar_pending(id)?;
        Ok(hot::find(self.connection, self.memory, id)?.map(|_| InstanceState::Ready))
    }

    /// Instances published by earlier batches of this transaction can only be found after its commit.
    fn bar_pending(&self, id: InstanceId) -> Result<(), Stop> {
        if self.packs.iter().any(|pack| pack.instances.iter().any(|instance| instance.id == id)) {
            return Err(Stop::Barrier);
        }
        Ok(())
    }

    /// Finds an instance and makes sure that nobody else changes it until the end of the transaction.
    fn take(&mut self, id: InstanceId) -> Result<Option<Found>, Stop> {
        let (held, work) = {
            let mut state = self.state();
            match state.held.get_mut(&id) {
                None => (None, None),
                Some(held) => {
                    let before = held.hold;
                    if before == Hold::Claimed {
                        self.effects.push(Effect::Marked { id });
                    }
                    if matches!(before, Hold::Claimed | Hold::Freed) {
                        held.hold = Hold::Busy;
                    }
                    (Some((before, held.spot)), held.work.clone())
                }
            }
        };
        match held {
            Some((Hold::Gone, _)) => return Ok(None),
            Some((Hold::Claimed | Hold::Freed, Spot::Hot { sequence, .. })) => return Ok(Some(Found::Hot { sequence, work })),
            _ => {}
        }
        if let Some(row) = rows::find(self.connection, id)? {
            if held.is_none() && !row.instance.state.is_suspended() {
                let spot = Spot::Cold { service: row.service, key: row.key() };
                let mut state = self.state();
                state.waiting(row.service).cold.drop_row(row.n);
                state.held.insert(id, Held { spot, hold: Hold::Busy, work: None });
                self.effects.push(Effect::Took { id, spot });
            }
            let claimed = matches!(held, Some((Hold::Claimed, _)));
            return Ok(Some(Found::Cold { row: Box::new(row), claimed }));
        }
        if held.is_some() {
            return Ok(None);
        }
        self.bar_pending(id)?;
        let Some((sequence, due)) = hot::find(self.connection, self.memory, id)? else { return Ok(None) };
        let mut state = self.state();
        if !state.take_hot(sequence, due) {
            // A claim is being handed out this very moment: its holder will say what becomes of it.
            return Ok(None);
        }
        let spot = Spot::Hot { sequence, due };
        state.held.insert(id, Held { spot, hold: Hold::Busy, work: None });
        self.effects.push(Effect::Took { id, spot });
        Ok(Some(Found::Hot { sequence, work: None }))
    }

    fn complete(&mut self, id: InstanceId) -> Result<u64, Stop> {
        match self.take(id)? {
            None => return Ok(0),
            Some(Found::Hot { sequence, .. }) => self.effects.push(Effect::HotFinished { id, sequence }),
            Some(Found::Cold { row, claimed }) => {
                self.writing()?;
                rows::delete_instance(self.connection, row.n, row.message, &mut self.released)?;
                self.finish_row(&row, claimed);
            }
        }
        Ok(1)
    }

    fn finish_row(&mut self, row: &Row, claimed: bool) {
        let id = row.instance.id;
        let waited = !claimed && row.instance.state == InstanceState::Scheduled;
        self.effects.push(Effect::ColdFinished { id, service: row.service, row: row.n, waited });
    }

    fn release(&mut self, id: InstanceId) -> u64 {
        let mut state = self.state();
        match state.held.get_mut(&id) {
            Some(held) if held.hold == Hold::Claimed => {
                held.hold = Hold::Freed;
                drop(state);
                self.effects.push(Effect::Marked { id });
                self.effects.push(Effect::Released { id });
                1
            }
            _ => 0,
        }
    }

    /// Changes an instance; what changes is kept as a row from then on.
    fn change(&mut self, id: InstanceId, change: impl FnOnce(Instance) -> Option<Instance>) -> Result<u64, Stop> {
        let (row, changed) = match self.take(id)? {
            None => return Ok(0),
            Some(Found::Hot { sequence, work }) => {
                let work = match work {
                    Some(work) => *work,
                    None => hot::load(self.connection, self.memory, sequence)?,
                };
                let Some(changed) = change(work.instance) else { return Ok(0) };
                let row = self.move_to_row(changed.clone(), &work.message, sequence)?;
                (row, changed)
            }
            Some(Found::Cold { row, claimed }) => {
                let service = self.state().services.get(row.service);
                let Some(changed) = change(Instance { service, ..row.instance.clone() }) else {
                    self.untouched(id);
                    return Ok(0);
                };
                rows::update_instance(self.connection, row.n, &changed)?;
                self.finish_row(&row, claimed);
                (*row, changed)
            }
        };
        if !changed.state.is_suspended() {
            let key = Row { instance: changed, ..row.clone() }.key();
            self.effects.push(Effect::Waits { service: row.service, key });
        }
        Ok(1)
    }

    /// What was taken by [`Self::take`] stays as it was.
    fn untouched(&mut self, id: InstanceId) {
        let mut state = self.state();
        match self.effects.last() {
            Some(Effect::Marked { id: last }) if *last == id => {
                self.effects.pop();
                if let Some(held) = state.held.get_mut(&id) {
                    held.hold = Hold::Claimed;
                }
            }
            _ => {}
        }
    }

    /// A packed instance becomes a row.
    pub(crate) fn move_to_row(&mut self, instance: Instance, message: &Message, sequence: u64) -> Result<Row, Stop> {
        let id = instance.id;
        let n = rows::adopt_message(self.connection, message, || record::encode(message).map_err(|why| Stop::Batch(corrupt(why))))?;
        let service = self.state().services.number(&instance.service);
        let row = rows::insert_instance(self.connection, &instance, n, service, sequence)?;
        self.effects.push(Effect::HotFinished { id, sequence });
        Ok(row)
    }

    fn set_state(&self, key: &str, value: Option<&str>) -> rusqlite::Result<u64> {
        let changed = match value {
            None => self.connection.prepare_cached("DELETE FROM state WHERE key = ?1")?.execute([key])?,
            Some(value) => self
                .connection
                .prepare_cached(
                    "INSERT INTO state(key, value) VALUES (?1, ?2) \
                     ON CONFLICT(key) DO UPDATE SET value = excluded.value WHERE value <> excluded.value",
                )?
                .execute([key, value])?,
        };
        Ok(changed as u64)
    }

    fn remember_key(&self, scope: &str, key: &str, at: Timestamp) -> Result<u64, Stop> {
        let mut insert = self.connection.prepare_cached("INSERT OR IGNORE INTO receive_key(scope, key, at) VALUES (?1, ?2, ?3)")?;
        if insert.execute(params![scope, key, at.0])? == 0 {
            let why = format!("the item with key \"{key}\" was taken in by {scope} before");
            return Err(StoreError::new(StoreErrorKind::Duplicate, why).into());
        }
        Ok(1)
    }
}

/// Adds a line to the event log and keeps it short.
pub(crate) fn add_event(connection: &Connection, event: &Event) -> rusqlite::Result<u64> {
    let mut insert = connection
        .prepare_cached("INSERT INTO event(at, severity, code, source, text, message, instance) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    insert.execute(params![
        event.at.0,
        event.severity as i64,
        event.code.as_str(),
        event.source.as_str(),
        event.text,
        event.message.map(|id| *id.0.as_bytes()),
        event.instance.map(|id| *id.0.as_bytes()),
    ])?;
    let sequence = connection.last_insert_rowid();
    // In chunks: questions pass over the few that are too many.
    if sequence % 1000 == 0 {
        let kept = i64::try_from(EVENTS_KEPT).unwrap_or(i64::MAX);
        connection.prepare_cached("DELETE FROM event WHERE sequence <= ?1")?.execute([sequence - kept])?;
    }
    Ok(1)
}
