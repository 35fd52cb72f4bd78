//! The port every MessageBox implements.

use crate::{
    batch::{Batch, Receipt},
    error::StoreError,
    query::{Answer, Query},
};
use async_trait::async_trait;
use bytes::Bytes;
use portolan_model::{
    BodyId, BodyRef, Message, Timestamp,
    instance::{Instance, Service},
};
use std::sync::Arc;
use tokio::sync::watch;

/// Durable publish/subscribe storage. Implementations are shared between tasks; every method may be
/// called at any time from any of them.
#[async_trait]
pub trait MessageBox: Send + Sync + 'static {
    /// Applies a batch whole or not at all.
    ///
    /// # Errors
    /// [`StoreError`]; unless its kind is `AnswerLost`, nothing was applied.
    async fn commit(&self, batch: Batch) -> Result<Receipt, StoreError>;

    /// Claims work of one service: ready instances and scheduled ones that are due, by priority, then
    /// by age. Claimed instances are given to nobody else until completed, rescheduled, suspended or
    /// released; a restart releases all claims of the process that died.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError>;

    /// Stores a piece of a large body. Pieces come in order of `sequence` from 0; a piece may be
    /// written again after an unknown outcome. A body that no message owns disappears when the store
    /// is next opened.
    ///
    /// # Errors
    /// [`StoreError`]; the piece is then not stored.
    async fn put_chunk(&self, body: BodyId, sequence: u32, bytes: Bytes) -> Result<(), StoreError>;

    /// Reads up to `max` bytes of a stored body from `offset`; empty at its end.
    ///
    /// # Errors
    /// `NotFound` when there is no such body, `Corrupt` when a piece fails its checksum.
    async fn read_body(&self, body: BodyRef, offset: u64, max: usize) -> Result<Bytes, StoreError>;

    /// Answers a question.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    async fn query(&self, query: Query) -> Result<Answer, StoreError>;

    /// Health, and a number that grows when work may have become ready by other ways than the
    /// caller's own publications (an operator's resume, another host instance).
    fn changes(&self) -> watch::Receiver<Changes>;

    /// What this implementation can do.
    fn capabilities(&self) -> Capabilities;

    /// Makes everything durable and lets go of the storage. Later calls fail with `Closed`.
    ///
    /// # Errors
    /// [`StoreError`] when the last write fails.
    async fn close(&self) -> Result<(), StoreError>;
}

/// What to claim.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Of which service.
    pub service: Service,
    /// Now.
    pub now: Timestamp,
    /// At most so many instances.
    pub max: usize,
}

/// A claimed instance with its message.
#[derive(Clone, Debug)]
pub struct Work {
    /// The instance.
    pub instance: Instance,
    /// Its message.
    pub message: Arc<Message>,
}

/// Answer to a claim.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    /// The work.
    pub work: Vec<Work>,
    /// When fewer than asked for: the moment the next scheduled instance becomes due.
    pub next_due: Option<Timestamp>,
}

/// Whether the store takes writes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Health {
    /// Yes.
    #[default]
    Working,
    /// No: the disk is full. It tries by itself whether there is room again.
    Full(String),
    /// No: writing or syncing failed. It tries by itself to recover.
    Failed(String),
    /// Closed for good.
    Closed,
}

/// What [`MessageBox::changes`] tells.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// Whether the store takes writes.
    pub health: Health,
    /// Grows when work may have become ready.
    pub generation: u64,
}

/// What an implementation can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// Name for people.
    pub name: &'static str,
    /// Whether committed work survives a restart.
    pub durable: bool,
    /// Whether several processes may use it at once.
    pub shared: bool,
}
