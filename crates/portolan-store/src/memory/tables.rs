//! The tables of the memory store, with a journal that can undo a batch, and the two rules that tie
//! them: a message lives as long as an instance carries it, a body as long as a message owns it.
//! Never decides whether a change is allowed: that is `apply`'s work.

use crate::{
    batch::{BATCHES_REMEMBERED, Receipt},
    error::{StoreError, StoreErrorKind},
    query::{EVENTS_KEPT, Event, EventRecord, Position},
};
use bytes::Bytes;
use portolan_model::{
    BatchId, BodyId, InstanceId, Message, MessageId, SmolStr, Timestamp,
    instance::{Instance, Service},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) instances: BTreeMap<InstanceId, Row>,
    pub(super) messages: BTreeMap<MessageId, Stored<Arc<Message>>>,
    pub(super) bodies: BTreeMap<BodyId, Stored<Vec<Bytes>>>,
    pub(super) states: BTreeMap<String, String>,
    pub(super) keys: BTreeSet<(SmolStr, String)>,
    pub(super) epoch: u64,
    pub(super) events: VecDeque<EventRecord>,
    /// Every instance by its place in the order of creation.
    pub(super) order: BTreeSet<Position>,
    /// What a claim may take, in the order in which it does.
    pub(super) queues: BTreeMap<Service, BTreeSet<QueueKey>>,
    /// Counts publications of instances: the last tie-breaker of the queue.
    pub(super) published: u64,
    last_event: u64,
    batches: BTreeMap<BatchId, Receipt>,
    batch_order: VecDeque<BatchId>,
    journal: Vec<Undo>,
    /// Bodies that lost an owner in this batch.
    released: BTreeSet<BodyId>,
}

/// Priority, due, order of publication.
pub(super) type QueueKey = (u8, Timestamp, u64, InstanceId);

/// An instance with what only the store knows of it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) instance: Instance,
    pub(super) published: u64,
    pub(super) claimed: bool,
}

/// Something with the number of its owners.
#[derive(Clone, Debug)]
pub(super) struct Stored<T> {
    pub(super) content: T,
    pub(super) owners: usize,
}

/// What a table held before a change.
#[derive(Debug)]
enum Undo {
    Instance(InstanceId, Option<Box<Row>>),
    Message(MessageId, Option<Stored<Arc<Message>>>),
    Body(BodyId, Option<Stored<Vec<Bytes>>>),
    State(String, Option<String>),
    Key((SmolStr, String), bool),
    Epoch(u64),
}

impl Tables {
    /// What a restart leaves.
    pub(super) fn restart(&mut self) {
        let claimed: Vec<InstanceId> = self.instances.iter().filter(|(_, row)| row.claimed).map(|(id, _)| *id).collect();
        for id in claimed {
            self.set_claimed(id, false);
        }
        self.bodies.retain(|_, body| body.owners > 0);
        self.batches.clear();
        self.batch_order.clear();
    }

    pub(super) fn remembered(&self, batch: BatchId) -> Option<&Receipt> {
        self.batches.get(&batch)
    }

    /// Ends a batch for good.
    pub(super) fn keep(&mut self, batch: BatchId, receipt: &Receipt, events: Vec<Event>) {
        for body in std::mem::take(&mut self.released) {
            if self.bodies.get(&body).is_some_and(|row| row.owners == 0) {
                self.bodies.remove(&body);
            }
        }
        for event in events {
            self.last_event += 1;
            self.events.push_back(EventRecord { sequence: self.last_event, event });
            if self.events.len() > EVENTS_KEPT {
                self.events.pop_front();
            }
        }
        self.batches.insert(batch, receipt.clone());
        self.batch_order.push_back(batch);
        if self.batch_order.len() > BATCHES_REMEMBERED
            && let Some(oldest) = self.batch_order.pop_front()
        {
            self.batches.remove(&oldest);
        }
        self.journal.clear();
    }

    /// Takes back everything since the last `keep`.
    pub(super) fn undo(&mut self) {
        self.released.clear();
        while let Some(undo) = self.journal.pop() {
            match undo {
                Undo::Instance(id, row) => drop(self.write_instance(id, row.map(|row| *row))),
                Undo::Message(id, row) => drop(put(&mut self.messages, id, row)),
                Undo::Body(id, row) => drop(put(&mut self.bodies, id, row)),
                Undo::State(key, value) => drop(put(&mut self.states, key, value)),
                Undo::Key(key, true) => drop(self.keys.insert(key)),
                Undo::Key(key, false) => drop(self.keys.remove(&key)),
                Undo::Epoch(epoch) => self.epoch = epoch,
            }
        }
    }

    pub(super) fn set_instance(&mut self, id: InstanceId, row: Option<Row>) {
        let before = self.write_instance(id, row);
        self.journal.push(Undo::Instance(id, before.map(Box::new)));
    }

    /// Claims last as long as the process: no journal.
    pub(super) fn set_claimed(&mut self, id: InstanceId, claimed: bool) {
        if let Some(row) = self.instances.get(&id).cloned() {
            self.write_instance(id, Some(Row { claimed, ..row }));
        }
    }

    /// Replaces a row and keeps the two orders in step.
    fn write_instance(&mut self, id: InstanceId, row: Option<Row>) -> Option<Row> {
        if let Some(new) = &row {
            self.order.insert(Position::from(&new.instance));
        }
        let before = put(&mut self.instances, id, row);
        if let Some(old) = &before {
            if let Some(queue) = self.queues.get_mut(&old.instance.service) {
                queue.remove(&old.queue_key());
            }
            if !self.instances.contains_key(&id) {
                self.order.remove(&Position::from(&old.instance));
            }
        }
        if let Some(new) = self.instances.get(&id)
            && new.claimable()
        {
            self.queues.entry(new.instance.service.clone()).or_default().insert(new.queue_key());
        }
        before
    }

    /// Removes an instance, and its message with the last one.
    pub(super) fn remove_instance(&mut self, id: InstanceId) {
        let Some(row) = self.instances.get(&id) else { return };
        let message = row.instance.message;
        self.set_instance(id, None);
        let Some(stored) = self.messages.get(&message) else { return };
        let left = stored.owners - 1;
        let content = stored.content.clone();
        if left == 0 {
            for body in content.stored_bodies() {
                self.own_body(body.id, false);
                self.released.insert(body.id);
            }
        }
        self.set_message(message, (left > 0).then_some(Stored { content, owners: left }));
    }

    pub(super) fn set_message(&mut self, id: MessageId, row: Option<Stored<Arc<Message>>>) {
        let before = put(&mut self.messages, id, row);
        self.journal.push(Undo::Message(id, before));
    }

    /// Adds an owner to a body, or takes one away.
    pub(super) fn own_body(&mut self, id: BodyId, more: bool) {
        if let Some(row) = self.bodies.get_mut(&id) {
            let before = row.clone();
            row.owners = if more { row.owners + 1 } else { row.owners - 1 };
            self.journal.push(Undo::Body(id, Some(before)));
        }
    }

    /// Removes a body that nobody owns.
    pub(super) fn discard_body(&mut self, id: BodyId) -> bool {
        // One that lost its last owner in this batch may find a new one in it; `keep` decides.
        if self.released.contains(&id) || self.bodies.get(&id).is_none_or(|row| row.owners > 0) {
            return false;
        }
        let before = self.bodies.remove(&id);
        self.journal.push(Undo::Body(id, before));
        true
    }

    pub(super) fn set_state(&mut self, key: String, value: Option<String>) -> bool {
        let changed = self.states.get(&key) != value.as_ref();
        let before = put(&mut self.states, key.clone(), value);
        self.journal.push(Undo::State(key, before));
        changed
    }

    /// Whether the key was there before.
    pub(super) fn set_key(&mut self, key: (SmolStr, String), there: bool) -> bool {
        let before = if there { !self.keys.insert(key.clone()) } else { self.keys.remove(&key) };
        self.journal.push(Undo::Key(key, before));
        before
    }

    pub(super) fn set_epoch(&mut self, epoch: u64) -> bool {
        let before = std::mem::replace(&mut self.epoch, epoch);
        self.journal.push(Undo::Epoch(before));
        before != epoch
    }

    pub(super) fn put_chunk(&mut self, body: BodyId, sequence: u32, bytes: Bytes) -> Result<(), StoreError> {
        let invalid = |why: String| Err(StoreError::new(StoreErrorKind::Invalid, format!("piece {sequence} of body {body}: {why}")));
        let known = self.bodies.get(&body).map_or(0, |row| row.content.len());
        let at = sequence as usize;
        if self.bodies.get(&body).is_some_and(|row| row.owners > 0) {
            return invalid("the body belongs to a message and cannot change".into());
        }
        if at > known {
            return invalid(format!("piece {known} must come first"));
        }
        let pieces = &mut self.bodies.entry(body).or_insert(Stored { content: Vec::new(), owners: 0 }).content;
        if at == known {
            pieces.push(bytes);
        } else {
            pieces[at] = bytes;
        }
        Ok(())
    }

    pub(super) fn body_length(&self, body: BodyId) -> Option<u64> {
        self.bodies.get(&body).map(|row| row.content.iter().map(|piece| piece.len() as u64).sum())
    }
}

impl Row {
    pub(super) fn queue_key(&self) -> QueueKey {
        (self.instance.priority, self.instance.due, self.published, self.instance.id)
    }

    fn claimable(&self) -> bool {
        !self.claimed && !self.instance.state.is_suspended()
    }
}

/// Sets or removes an entry; returns what was there.
fn put<K: Ord, V>(table: &mut BTreeMap<K, V>, key: K, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => table.insert(key, value),
        None => table.remove(&key),
    }
}
