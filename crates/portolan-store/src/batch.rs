//! What a commit changes.

use crate::query::{Event, Selection};
use portolan_model::{
    BatchId, BodyId, InstanceId, Message, SmolStr, Timestamp,
    instance::{Failure, Instance, MessageForm, Progress},
};
use std::sync::Arc;

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
#[derive(Clone, Debug)]
pub struct Batch {
    /// Identity. A batch whose id was applied before is answered as then and changes nothing: so a
    /// caller whose answer was lost repeats the same batch. Stores remember ids at least as long as
    /// the caller's process lives, or ten minutes.
    pub id: BatchId,
    /// The artifact epoch the routing decisions were made in. A commit fails with
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind) when the store is in another one.
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
    /// Only meaningful for ready instances.
    pub claim: bool,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Stores a message once, with one instance for each subscriber (at least one).
    Publish {
        /// The message. Stored bodies it refers to were written with `put_chunk` before; from now on
        /// they belong to it.
        message: Arc<Message>,
        /// Its instances.
        instances: Vec<NewInstance>,
    },
    /// Fails the whole batch with a conflict unless the instance exists and, if given, is suspended.
    /// Makes "take this away and publish that" happen exactly once.
    Require {
        /// The instance.
        instance: InstanceId,
        /// Whether it must be suspended (it may then not be claimed).
        suspended: bool,
    },
    /// The instance is done: it disappears, and with the last instance its message and bodies.
    Complete {
        /// The instance.
        instance: InstanceId,
    },
    /// Gives a claim back unchanged.
    Release {
        /// The instance.
        instance: InstanceId,
    },
    /// The instance is tried again at a moment (retry, service window); gives the claim back.
    Reschedule {
        /// The instance.
        instance: InstanceId,
        /// When it becomes ready.
        due: Timestamp,
        /// How far delivery has come.
        progress: Progress,
        /// What failed, if anything did.
        failure: Option<Failure>,
    },
    /// The instance is suspended; gives the claim back.
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
    /// state does not allow the action, are passed over.
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
    /// Suspended (resumable) → ready. Attempts start again at zero on the primary transport.
    Resume,
    /// Any unclaimed instance → gone. Terminating an instance also removes the routing failure report
    /// about it.
    Terminate,
    /// Ready or scheduled, unclaimed → suspended (resumable).
    Suspend,
}

/// Answer to a commit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// For each operation, how many instances (or states, keys, events) it changed. 0 means that there
    /// was nothing to change: the instance was gone, or in a state that the change does not apply to.
    pub changed: Vec<u64>,
}
