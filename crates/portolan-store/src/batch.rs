//! What a commit changes.

use crate::{
    error::{StoreError, StoreErrorKind},
    query::{Event, Selection},
};
use portolan_model::{
    BatchId, BodyId, InstanceId, Message, SmolStr, Timestamp,
    instance::{Failure, Instance, MessageForm, Progress},
};
use std::{collections::BTreeSet, sync::Arc};

/// How many applied batches a store remembers at least, newest first, while it is open.
pub const BATCHES_REMEMBERED: usize = 100_000;

/// When a commit is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// After the batch is on stable storage.
    #[default]
    Sync,
    /// At once; the batch becomes durable with the next synchronous one, at the latest after some
    /// tens of milliseconds. For acknowledgements of sends: losing one means sending again, which
    /// at-least-once delivery allows. Later commits and claims see it at once.
    Lazy,
}

/// A set of changes applied whole or not at all.
///
/// Checks happen in this order, and the first that fails is the answer: the batch's own shape
/// ([`Batch::check`]), a known [`Batch::id`] (answered as then), [`Batch::epoch`], then each
/// operation in turn, which sees what the operations before it did.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Identity. A batch whose id was applied before is answered as then and changes nothing: so a
    /// caller whose answer was lost repeats the same batch. Stores remember the newest
    /// [`BATCHES_REMEMBERED`] while they are open (an embedded store's callers die with it); a batch
    /// that failed was not applied and is tried anew.
    pub id: BatchId,
    /// The artifact epoch the routing decisions were made in. A commit fails with
    /// [`StoreErrorKind::Conflict`] when the store is in another one. A new store is in epoch 0.
    pub epoch: Option<u64>,
    /// When to answer.
    pub durability: Durability,
    /// The changes, applied in order.
    pub operations: Vec<Operation>,
}

/// An instance that a publication creates.
#[derive(Clone, Debug)]
pub struct NewInstance {
    /// The instance; its message is the published one.
    pub instance: Instance,
    /// Claimed by the committing caller at once, who delivers it without reading it back.
    /// Only meaningful for ready instances; ignored for others.
    pub claim: bool,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Stores a message once, with one instance for each subscriber (at least one).
    ///
    /// The ids are new. One that is in use is a bug in the caller; stores refuse it as `Invalid` where
    /// they notice (always inside one batch) and need not search for it. An id may be used again once
    /// its instance, or the last instance of its message, is gone, also in the same batch.
    Publish {
        /// The message. Stored bodies it refers to were written with `put_chunk` before, whole: a body
        /// that is missing or has another length fails the batch as `Invalid`. From now on they belong
        /// to this message too: a body may belong to several (a resumed message keeps the body of the
        /// one it replaces) and disappears at the end of the batch that removes the last of them.
        message: Arc<Message>,
        /// Its instances, in the order in which claims give them among equals.
        instances: Vec<NewInstance>,
    },
    /// Fails the whole batch with a conflict unless the instance exists and, if asked for, is suspended.
    /// Makes "take this away and publish that" happen exactly once.
    Require {
        /// The instance.
        instance: InstanceId,
        /// Whether it must be suspended (it is then not claimed either).
        suspended: bool,
    },
    /// The instance is done, in whatever state: it disappears, and with the last instance its message
    /// and the bodies no other message has.
    Complete {
        /// The instance.
        instance: InstanceId,
    },
    /// Gives a claim back unchanged. Changes nothing when there is no claim.
    Release {
        /// The instance.
        instance: InstanceId,
    },
    /// The instance is tried again at a moment (retry, service window): it becomes scheduled; gives the
    /// claim back. Changes nothing when it is suspended.
    Reschedule {
        /// The instance.
        instance: InstanceId,
        /// When it becomes ready.
        due: Timestamp,
        /// How far delivery has come.
        progress: Progress,
        /// What failed; `None` keeps the failure it has.
        failure: Option<Failure>,
    },
    /// The instance is suspended, with this failure in place of an earlier one; gives the claim back.
    /// Also for one that is suspended already: a resume that failed again says why.
    Suspend {
        /// The instance.
        instance: InstanceId,
        /// Whether an operator may resume it.
        resumable: bool,
        /// The form its message is kept in.
        form: MessageForm,
        /// Why.
        failure: Failure,
    },
    /// An operator's action on every instance that matches. Instances that are claimed, or whose
    /// state does not allow the action, are passed over and not counted.
    Act {
        /// Which instances.
        selection: Selection,
        /// What to do.
        action: Action,
        /// Now.
        at: Timestamp,
    },
    /// Sets a named piece of state, for example the operator's choice for a port.
    SetState {
        /// Key, for example `send_port/Billing`.
        key: String,
        /// Value; `None` removes it.
        value: Option<String>,
    },
    /// Remembers that a source item was taken in. If the key is there already the whole batch fails
    /// with [`StoreErrorKind::Duplicate`](crate::StoreErrorKind): the item must not be taken in again.
    RememberKey {
        /// Scope, for example a receive location.
        scope: SmolStr,
        /// Key of the item inside the scope.
        key: String,
        /// Now.
        at: Timestamp,
    },
    /// Forgets a key: the source item is gone and cannot come again.
    ForgetKey {
        /// Scope.
        scope: SmolStr,
        /// Key.
        key: String,
    },
    /// Removes a stored body that no message owns: what was streamed in for a message that was then
    /// not published. Changes nothing for a body that a message owns.
    DiscardBody(BodyId),
    /// Adds a line to the event log.
    Event(Event),
    /// Moves the store to a new artifact epoch.
    SetEpoch(u64),
}

/// An operator's action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Suspended (resumable) → ready, due at the moment of the action. Attempts start again at zero on
    /// the primary transport; the last failure and the form stay as they are.
    Resume,
    /// Any unclaimed instance → gone. Terminating an instance also removes the unclaimed routing
    /// failure reports about it, which are not counted unless they match themselves.
    Terminate,
    /// Ready or scheduled, unclaimed → suspended (resumable); nothing else changes.
    Suspend,
}

/// Answer to a commit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// For each operation, how many instances (or states, keys, events, epochs, bodies) it changed. 0
    /// means that there was nothing to change: the instance was gone, in a state that the change does
    /// not apply to, or the value was the same before. [`Operation::Require`] changes nothing.
    pub changed: Vec<u64>,
}

impl Batch {
    /// Checks what can be told without the store: every publication has an instance, every instance
    /// carries its message, messages keep their own rules, and no id is published twice. Every store
    /// calls this first.
    ///
    /// # Errors
    /// `Invalid`, naming the operation by its place.
    pub fn check(&self) -> Result<(), StoreError> {
        let mut messages = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for (at, operation) in self.operations.iter().enumerate() {
            let Operation::Publish { message, instances } = operation else { continue };
            let invalid =
                |why: String| Err(StoreError::new(StoreErrorKind::Invalid, format!("operation {at} of batch {}: {why}", self.id)));
            if let Err(broken) = message.validate() {
                return invalid(format!("message {}: {broken}", message.id));
            }
            if instances.is_empty() {
                return invalid(format!("message {} is published to nobody", message.id));
            }
            if !messages.insert(message.id) {
                return invalid(format!("message {} is published twice", message.id));
            }
            for NewInstance { instance, .. } in instances {
                if instance.message != message.id {
                    return invalid(format!("instance {} carries message {}, not {}", instance.id, instance.message, message.id));
                }
                if !ids.insert(instance.id) {
                    return invalid(format!("instance {} is published twice", instance.id));
                }
            }
        }
        Ok(())
    }
}
