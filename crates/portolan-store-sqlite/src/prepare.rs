//! A batch on its way to the writer: checked, and its messages encoded, by the task that submits it.
//! Never looks at the store.

use crate::{
    pack::packable,
    record::{self, Record},
};
use portolan_model::{BatchId, InstanceId, Message, instance::InstanceState};
use portolan_store::{Batch, NewInstance, Operation, StoreError, StoreErrorKind};
use std::{collections::BTreeSet, sync::Arc};

/// Larger records must be streamed: SQLite keeps at most 1 GB in one value.
const RECORD_BYTES: usize = 512 << 20;

/// One step.
#[derive(Debug)]
pub(crate) enum Step {
    /// Stores a message. `packed`: all its instances go into the group; else all become rows.
    Publish { message: Arc<Message>, record: Record, instances: Vec<NewInstance>, packed: bool },
    /// Anything else.
    Other(Operation),
}

/// A prepared batch.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) id: BatchId,
    pub(crate) epoch: Option<u64>,
    pub(crate) steps: Vec<Step>,
    /// It contains an operator's action: it gets a transaction of its own.
    pub(crate) alone: bool,
    /// About how much it adds to a transaction.
    pub(crate) bytes: usize,
}

impl Prepared {
    /// The instances that are the caller's when it is applied.
    pub(crate) fn claimed(&self) -> Vec<InstanceId> {
        let instances =
            self.steps.iter().filter_map(|step| if let Step::Publish { instances, .. } = step { Some(instances) } else { None });
        instances.flatten().filter(|new| is_claimed(new)).map(|new| new.instance.id).collect()
    }
}

/// Whether an instance is claimed as it is published.
pub(crate) fn is_claimed(new: &NewInstance) -> bool {
    new.claim && new.instance.state == InstanceState::Ready
}

/// Prepares a batch that passed [`Batch::check`].
pub(crate) fn prepare(batch: Batch) -> Result<Prepared, StoreError> {
    let alone = batch.operations.iter().any(|operation| matches!(operation, Operation::Act { .. }));
    // Operations that see a publication of their own batch find it as rows.
    let rows_only = alone || refers_to_itself(&batch.operations);
    let mut bytes = 0;
    let mut steps = Vec::with_capacity(batch.operations.len());
    for (at, operation) in batch.operations.into_iter().enumerate() {
        bytes += 200;
        steps.push(match operation {
            Operation::Publish { message, instances } => {
                let invalid = |why: String| {
                    let why = format!("operation {at} of batch {}: message {}: {why}", batch.id, message.id);
                    StoreError::new(StoreErrorKind::Invalid, why)
                };
                let record = record::encode(&message).map_err(invalid)?;
                if record.bytes.len() > RECORD_BYTES {
                    return Err(invalid(format!("it has {} bytes in memory; stream bodies this large into the store", record.bytes.len())));
                }
                bytes += record.bytes.len() + 100 * instances.len();
                let packed = !rows_only && message.stored_bodies().next().is_none() && instances.iter().all(|new| packable(&new.instance));
                Step::Publish { message, record, instances, packed }
            }
            other => Step::Other(other),
        });
    }
    Ok(Prepared { id: batch.id, epoch: batch.epoch, steps, alone, bytes })
}

fn refers_to_itself(operations: &[Operation]) -> bool {
    let subjects = || operations.iter().filter_map(subject);
    if subjects().next().is_none() {
        return false;
    }
    let published: BTreeSet<InstanceId> = operations
        .iter()
        .filter_map(|operation| if let Operation::Publish { instances, .. } = operation { Some(instances) } else { None })
        .flatten()
        .map(|new| new.instance.id)
        .collect();
    !published.is_empty() && subjects().any(|id| published.contains(&id))
}

/// The instance an operation is about.
fn subject(operation: &Operation) -> Option<InstanceId> {
    match operation {
        Operation::Require { instance, .. }
        | Operation::Complete { instance }
        | Operation::Release { instance }
        | Operation::Reschedule { instance, .. }
        | Operation::Suspend { instance, .. } => Some(*instance),
        _ => None,
    }
}
