//! The MessageBox as the rest of Portolan sees it: a small port ([`MessageBox`]), the words spoken
//! over it ([`Batch`], [`Claim`], [`Query`]), a memory implementation that is the readable
//! specification ([`memory`]), and the conformance suite every implementation passes.
//!
//! **Invariants:** a batch is applied whole or not at all; a batch answered `Ok` with
//! [`Durability::Sync`] survives the loss of power; a body is stored once however many subscribers
//! it has; repeating a batch id changes nothing; nothing here decides policy.

pub mod ask;
pub mod batch;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod error;
pub mod memory;
pub mod port;
pub mod query;

pub use batch::{Action, BATCHES_REMEMBERED, Batch, Durability, NewInstance, Operation, Receipt};
pub use error::{StoreError, StoreErrorKind};
pub use memory::MemoryStore;
pub use port::{Capabilities, Changes, Claim, Claimed, Health, MessageBox, Work};
pub use query::{Answer, EVENTS_KEPT, Event, EventRecord, Position, Query, Selection, ServiceCount, Severity, StateFilter};
