//! What each operation of a batch means. Whole or not at all: the first operation that fails undoes
//! those before it.

use super::tables::{Row, Stored, Tables};
use crate::{
    batch::{Action, Batch, NewInstance, Operation, Receipt},
    error::{StoreError, StoreErrorKind},
    query::{Event, Selection},
};
use portolan_model::{
    InstanceId, Message, Timestamp,
    instance::{Instance, InstanceState, Progress, ServiceClass},
};
use std::{collections::BTreeSet, sync::Arc};

/// An applied batch.
#[derive(Default)]
pub(super) struct Applied {
    pub(super) receipt: Receipt,
    /// Whether work may have become ready that nobody has claimed.
    pub(super) wake: bool,
}

impl Tables {
    pub(super) fn commit(&mut self, batch: Batch) -> Result<Applied, StoreError> {
        batch.check()?;
        if let Some(receipt) = self.remembered(batch.id) {
            return Ok(Applied { receipt: receipt.clone(), wake: false });
        }
        if let Some(epoch) = batch.epoch
            && epoch != self.epoch
        {
            return Err(conflict(format!("the store is in artifact epoch {}, the batch was made for {epoch}", self.epoch)));
        }
        let mut applied = Applied::default();
        let mut events = Vec::new();
        for operation in batch.operations {
            match self.apply(operation, &mut applied.wake, &mut events) {
                Ok(changed) => applied.receipt.changed.push(changed),
                Err(error) => {
                    self.undo();
                    return Err(error);
                }
            }
        }
        self.keep(batch.id, &applied.receipt, events);
        Ok(applied)
    }

    fn apply(&mut self, operation: Operation, wake: &mut bool, events: &mut Vec<Event>) -> Result<u64, StoreError> {
        Ok(match operation {
            Operation::Publish { message, instances } => {
                *wake |= instances.iter().any(|new| !new.instance.state.is_suspended() && !claims(new));
                self.publish(&message, instances)?
            }
            Operation::Require { instance, suspended } => self.require(instance, suspended)?,
            Operation::Complete { instance } => {
                let there = self.instances.contains_key(&instance);
                self.remove_instance(instance);
                u64::from(there)
            }
            Operation::Release { instance } => self.change(instance, |row| std::mem::take(&mut row.claimed)),
            Operation::Reschedule { instance, due, progress, failure } => self.change(instance, |Row { instance, claimed, .. }| {
                if instance.state.is_suspended() {
                    return false;
                }
                *claimed = false;
                let failure = failure.or_else(|| instance.failure.take());
                *instance = Instance { state: InstanceState::Scheduled, due, progress, failure, ..instance.clone() };
                true
            }),
            Operation::Suspend { instance, resumable, form, failure } => self.change(instance, |Row { instance, claimed, .. }| {
                *claimed = false;
                *instance = instance.clone().suspended(resumable, form, failure);
                true
            }),
            Operation::Act { selection, action, at } => {
                let changed = self.act(&selection, action, at);
                *wake |= action == Action::Resume && changed > 0;
                changed
            }
            Operation::SetState { key, value } => u64::from(self.set_state(key, value)),
            Operation::RememberKey { scope, key, .. } => {
                if self.keys.contains(&(scope.clone(), key.clone())) {
                    let why = format!("the item with key \"{key}\" was taken in by {scope} before");
                    return Err(StoreError::new(StoreErrorKind::Duplicate, why));
                }
                u64::from(!self.set_key((scope, key), true))
            }
            Operation::ForgetKey { scope, key } => u64::from(self.set_key((scope, key), false)),
            Operation::Event(event) => {
                events.push(event);
                1
            }
            Operation::SetEpoch(epoch) => u64::from(self.set_epoch(epoch)),
            Operation::DiscardBody(body) => u64::from(self.discard_body(body)),
        })
    }

    fn publish(&mut self, message: &Arc<Message>, instances: Vec<NewInstance>) -> Result<u64, StoreError> {
        let invalid = |why: String| Err(StoreError::new(StoreErrorKind::Invalid, format!("message {}: {why}", message.id)));
        if self.messages.contains_key(&message.id) {
            return invalid("a message of this id is there already".into());
        }
        for body in message.stored_bodies() {
            match self.body_length(body.id) {
                None => return invalid(format!("its body {} was not stored", body.id)),
                Some(length) if length != body.length => {
                    return invalid(format!("its body {} has {length} bytes, not {}", body.id, body.length));
                }
                Some(_) => self.own_body(body.id, true),
            }
        }
        let owners = instances.len();
        self.set_message(message.id, Some(Stored { content: message.clone(), owners }));
        for new in instances {
            let claimed = claims(&new);
            let instance = new.instance;
            if self.instances.contains_key(&instance.id) {
                return invalid(format!("an instance {} is there already", instance.id));
            }
            self.published += 1;
            self.set_instance(instance.id, Some(Row { published: self.published, claimed, instance }));
        }
        Ok(owners as u64)
    }

    fn require(&self, id: InstanceId, suspended: bool) -> Result<u64, StoreError> {
        let Some(row) = self.instances.get(&id) else {
            return Err(conflict(format!("there is no instance {id} any more")));
        };
        if suspended && !row.instance.state.is_suspended() {
            return Err(conflict(format!("instance {id} is not suspended any more")));
        }
        Ok(0)
    }

    /// Changes a row if it is there and `change` says that it did.
    fn change(&mut self, id: InstanceId, change: impl FnOnce(&mut Row) -> bool) -> u64 {
        let Some(mut row) = self.instances.get(&id).cloned() else { return 0 };
        let changed = change(&mut row);
        if changed {
            self.set_instance(id, Some(row));
        }
        u64::from(changed)
    }

    fn act(&mut self, selection: &Selection, action: Action, at: Timestamp) -> u64 {
        let chosen: Vec<InstanceId> =
            self.selected(selection).filter(|row| !row.claimed && allows(action, row.instance.state)).map(|row| row.instance.id).collect();
        if action == Action::Terminate {
            let gone: BTreeSet<InstanceId> = chosen.iter().copied().collect();
            let reports = self.instances.values().filter(|row| {
                let report = &row.instance;
                report.service.class == ServiceClass::RoutingFailureReport
                    && !row.claimed
                    && report.about.is_some_and(|about| gone.contains(&about))
            });
            let reports: Vec<InstanceId> = reports.map(|row| row.instance.id).collect();
            for id in chosen.iter().copied().chain(reports) {
                self.remove_instance(id);
            }
            return chosen.len() as u64;
        }
        for id in &chosen {
            self.change(*id, |Row { instance, .. }| {
                match action {
                    Action::Resume => {
                        *instance = Instance { state: InstanceState::Ready, due: at, progress: Progress::default(), ..instance.clone() };
                    }
                    _ => instance.state = InstanceState::SuspendedResumable,
                }
                true
            });
        }
        chosen.len() as u64
    }
}

/// Whether an instance is claimed as it is published.
fn claims(new: &NewInstance) -> bool {
    new.claim && new.instance.state == InstanceState::Ready
}

/// Whether a state allows an action.
fn allows(action: Action, state: InstanceState) -> bool {
    match action {
        Action::Resume => state == InstanceState::SuspendedResumable,
        Action::Terminate => true,
        Action::Suspend => !state.is_suspended(),
    }
}

fn conflict(why: String) -> StoreError {
    StoreError::new(StoreErrorKind::Conflict, why)
}
