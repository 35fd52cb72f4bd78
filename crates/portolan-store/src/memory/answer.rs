//! Questions, claims and reading of bodies. Changes nothing but claims.

use super::tables::{Row, Tables};
use crate::{
    error::{StoreError, StoreErrorKind},
    port::{Claim, Claimed, Work},
    query::{Answer, Position, Query, Selection, ServiceCount},
};
use bytes::Bytes;
use portolan_model::{
    BodyId, InstanceId,
    instance::{Instance, InstanceState, Service},
};
use std::collections::{BTreeMap, BTreeSet};

impl Tables {
    pub(super) fn answer(&self, query: Query) -> Answer {
        match query {
            Query::Instances { selection, after, limit } => Answer::Instances(self.page(&selection, after, limit)),
            Query::Count(selection) => Answer::Count(self.selected(&selection).count() as u64),
            Query::Message(id) => Answer::Message(self.messages.get(&id).map(|stored| stored.content.clone())),
            Query::Events { before, after, limit } => Answer::Events(
                self.events
                    .iter()
                    .rev()
                    .skip_while(|record| before.is_some_and(|before| record.sequence >= before))
                    .take_while(|record| after.is_none_or(|after| record.sequence > after))
                    .take(limit)
                    .cloned()
                    .collect(),
            ),
            Query::States { prefix } => Answer::States(
                self.states.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(key, value)| (key.clone(), value.clone())).collect(),
            ),
            Query::Keys { scope } => Answer::Keys(self.keys.iter().filter(|(s, _)| *s == scope).map(|(_, key)| key.clone()).collect()),
            Query::Services => Answer::Services(self.services()),
            Query::Epoch => Answer::Epoch(self.epoch),
        }
    }

    /// The instances a selection means, in no order that callers may rely on.
    pub(super) fn selected<'a>(&'a self, selection: &'a Selection) -> Box<dyn Iterator<Item = &'a Row> + 'a> {
        if selection.ids.is_empty() {
            return Box::new(self.instances.values().filter(|row| self.matches(selection, &row.instance)));
        }
        let ids: BTreeSet<InstanceId> = selection.ids.iter().copied().collect();
        let rest = Selection { ids: Vec::new(), ..selection.clone() };
        Box::new(ids.into_iter().filter_map(|id| self.instances.get(&id)).filter(move |row| self.matches(&rest, &row.instance)))
    }

    fn matches(&self, selection: &Selection, instance: &Instance) -> bool {
        selection.matches(instance, || self.messages.get(&instance.message).map(|stored| stored.content.clone()))
    }

    fn page(&self, selection: &Selection, after: Option<Position>, limit: usize) -> Vec<Instance> {
        let older = match after {
            Some(after) => self.order.range(..after),
            None => self.order.range::<Position, _>(..),
        };
        let rows = older.rev().filter_map(|position| self.instances.get(&position.id)).map(|row| &row.instance);
        rows.filter(|instance| self.matches(selection, instance)).take(limit).cloned().collect()
    }

    fn services(&self) -> Vec<ServiceCount> {
        let mut counts: BTreeMap<&Service, ServiceCount> = BTreeMap::new();
        for Row { instance, .. } in self.instances.values() {
            let count = counts.entry(&instance.service).or_insert_with(|| ServiceCount {
                service: instance.service.clone(),
                ready: 0,
                scheduled: 0,
                suspended_resumable: 0,
                suspended_not_resumable: 0,
            });
            *match instance.state {
                InstanceState::Ready => &mut count.ready,
                InstanceState::Scheduled => &mut count.scheduled,
                InstanceState::SuspendedResumable => &mut count.suspended_resumable,
                InstanceState::SuspendedNotResumable => &mut count.suspended_not_resumable,
            } += 1;
        }
        counts.into_values().collect()
    }

    pub(super) fn claim(&mut self, claim: &Claim) -> Claimed {
        let Some(queue) = self.queues.get(&claim.service) else { return Claimed::default() };
        let rows = || queue.iter().filter_map(|key| self.instances.get(&key.3)).map(|row| &row.instance);
        let due = |instance: &Instance| instance.state == InstanceState::Ready || instance.due <= claim.now;
        let work: Vec<Work> = rows()
            .filter(|instance| due(instance))
            .take(claim.max)
            .filter_map(|instance| {
                let message = self.messages.get(&instance.message)?.content.clone();
                Some(Work { instance: instance.clone(), message })
            })
            .collect();
        let next_due =
            if work.len() < claim.max { rows().filter(|instance| !due(instance)).map(|instance| instance.due).min() } else { None };
        for Work { instance, .. } in &work {
            self.set_claimed(instance.id, true);
        }
        Claimed { work, next_due }
    }

    pub(super) fn read_body(&self, body: BodyId, offset: u64, max: usize) -> Result<Bytes, StoreError> {
        let Some(stored) = self.bodies.get(&body) else {
            return Err(StoreError::new(StoreErrorKind::NotFound, format!("there is no body {body}")));
        };
        let mut skip = offset;
        for piece in &stored.content {
            let length = piece.len() as u64;
            if skip < length {
                let from = usize::try_from(skip).unwrap_or(piece.len());
                return Ok(piece.slice(from..piece.len().min(from.saturating_add(max))));
            }
            skip -= length;
        }
        Ok(Bytes::new())
    }
}
