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

    /// Claims work of one service: ready instances (whatever their `due`) and scheduled ones that are
    /// due, by priority (1 first), then by `due`, then in the order in which they were published.
    /// Claimed instances are given to nobody else until completed, rescheduled, suspended or released;
    /// a restart releases all claims of the process that died. A claim does not change the instance: a
    /// scheduled one stays scheduled.
    ///
    /// A claim misses nothing that was answered before it, failures too. While an operator's action is
    /// being carried out it may leave out what that might touch; [`MessageBox::changes`] then tells
    /// when to ask again.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError>;

    /// Stores a piece of a large body. Pieces come in order of `sequence` from 0; a piece may be
    /// written again after an unknown outcome and replaces what it was. Pieces become durable with the
    /// commit that publishes their message, at the latest. A body that no message owns disappears when
    /// the store is next opened, or with [`crate::Operation::DiscardBody`].
    ///
    /// # Errors
    /// [`StoreError`]; the piece is then not stored. `Invalid` when a piece before it is missing, or a
    /// message owns the body already.
    async fn put_chunk(&self, body: BodyId, sequence: u32, bytes: Bytes) -> Result<(), StoreError>;

    /// Reads up to `max` bytes of a stored body from `offset`: at least one byte before its end (a read
    /// may stop at the end of a piece), none at or after it. Also reads a body that is still being
    /// written. The length in `body` is not looked at.
    ///
    /// # Errors
    /// `NotFound` when there is no such body (or no piece of it yet), `Corrupt` when a piece fails its checksum.
    async fn read_body(&self, body: BodyRef, offset: u64, max: usize) -> Result<Bytes, StoreError>;

    /// Answers a question.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    async fn query(&self, query: Query) -> Result<Answer, StoreError>;

    /// Health, and a number that grows when work may have become ready by other ways than the
    /// caller's own claimed publications: instances published ready or scheduled and not claimed, an
    /// operator's resume, another host instance. Never by repeating a batch, nor by a claim given back.
    fn changes(&self) -> watch::Receiver<Changes>;

    /// What this implementation can do.
    fn capabilities(&self) -> Capabilities;

    /// Makes everything durable and lets go of the storage. Later calls fail with `Closed`, but closing
    /// again is no error.
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
    /// When fewer than asked for: the moment the next unclaimed scheduled instance of the service
    /// becomes due.
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
