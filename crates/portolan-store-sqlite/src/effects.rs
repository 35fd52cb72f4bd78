//! What a transaction does to memory: some ahead of its commit, to be undone when it fails, the rest
//! after it. Never touches the database.

use crate::{
    queue::ColdKey,
    state::{Held, Hold, Spot, State},
};
use portolan_model::InstanceId;

/// What is to happen in memory after the commit, or was done ahead and must be undone without it.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A packed instance is done, or has become a row.
    HotFinished { id: InstanceId, sequence: u64 },
    /// A row is gone or changed: no claim on it is left. `waited`: it was scheduled and unclaimed.
    ColdFinished { id: InstanceId, service: u32, row: i64, waited: bool },
    /// A row waits that may be claimed, at once or when it is due.
    Waits { service: u32, key: ColdKey },
    /// A claim was given back.
    Released { id: InstanceId },
    /// Done ahead: something unclaimed was taken from its queue.
    Took { id: InstanceId, spot: Spot },
    /// Done ahead: a claim was marked as being changed.
    Marked { id: InstanceId },
    /// Done ahead: a new row was claimed for its publisher; what was held under the id before.
    Claimed { id: InstanceId, before: Option<Held> },
    /// Rows of every service may have changed.
    Everything,
    /// A group that cannot be read was put aside.
    GroupLost { group: u64 },
}

/// Takes back what was done ahead, the latest first.
pub(crate) fn undo(state: &mut State, effects: Vec<Effect>) {
    for effect in effects.into_iter().rev() {
        match effect {
            Effect::Took { id, spot } => {
                state.held.remove(&id);
                match spot {
                    Spot::Hot { .. } => state.put_back(spot),
                    // The row may have been taken as an earlier step of the batch had made it.
                    Spot::Cold { service, .. } => state.waiting(service).cold.forget(),
                }
            }
            Effect::Marked { id } => {
                if let Some(held) = state.held.get_mut(&id) {
                    held.hold = Hold::Claimed;
                }
            }
            Effect::Claimed { id, before } => {
                state.held.remove(&id);
                if let Some(before) = before {
                    state.held.insert(id, before);
                }
            }
            Effect::HotFinished { .. }
            | Effect::ColdFinished { .. }
            | Effect::Waits { .. }
            | Effect::Released { .. }
            | Effect::Everything
            | Effect::GroupLost { .. } => {}
        }
    }
}

/// Makes memory follow a commit.
pub(crate) fn apply(state: &mut State, effects: Vec<Effect>) {
    for effect in effects {
        match effect {
            Effect::HotFinished { id, sequence } => {
                if state.held.get(&id).is_some_and(|held| matches!(held.spot, Spot::Hot { sequence: s, .. } if s == sequence)) {
                    state.held.remove(&id);
                }
                state.finish_hot(sequence);
            }
            Effect::ColdFinished { id, service, row, waited } => {
                if state.held.get(&id).is_some_and(|held| matches!(held.spot, Spot::Cold { key, .. } if key.row == row)) {
                    state.held.remove(&id);
                }
                let cold = &mut state.waiting(service).cold;
                cold.drop_row(row);
                if waited {
                    cold.forget_due();
                }
            }
            // A claim may have read and taken the row between the commit and now.
            Effect::Waits { service, key } if !state.held.contains_key(&key.id) => state.put_back(Spot::Cold { service, key }),
            Effect::Released { id } => {
                if state.held.get(&id).is_some_and(|held| held.hold == Hold::Freed)
                    && let Some(held) = state.held.remove(&id)
                {
                    state.put_back(held.spot);
                }
            }
            Effect::Everything => state.forget_rows(),
            Effect::GroupLost { group } => state.lose_group(group),
            Effect::Waits { .. } | Effect::Took { .. } | Effect::Marked { .. } | Effect::Claimed { .. } => {}
        }
    }
}
