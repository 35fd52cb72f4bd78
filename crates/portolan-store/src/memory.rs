//! The MessageBox in memory: the readable specification of the port, for tests and simulation.
//! It must never be clever: where it and another store disagree, this one is to be read and judged
//! first. Nothing in it survives the process.

mod answer;
mod apply;
mod tables;

use crate::{
    batch::{Batch, Receipt},
    error::{StoreError, StoreErrorKind},
    port::{Capabilities, Changes, Claim, Claimed, Health, MessageBox},
    query::{Answer, Query},
};
use async_trait::async_trait;
use bytes::Bytes;
use portolan_model::{BodyId, BodyRef};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tables::Tables;
use tokio::sync::watch;

/// A [`MessageBox`] in memory.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    changes: watch::Sender<Changes>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    tables: Tables,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::holding(Tables::default())
    }

    /// Takes everything into a new store, as a restart does: claims and remembered batches are dropped,
    /// and bodies that no message owns. This store is closed, if it was not.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let mut tables = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.tables)
        };
        self.changes.send_modify(|changes| changes.health = Health::Closed);
        tables.restart();
        Self::holding(tables)
    }

    fn holding(tables: Tables) -> Self {
        Self { state: Mutex::new(State { closed: false, tables }), changes: watch::Sender::new(Changes::default()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on the tables of an open store.
    fn with<T>(&self, work: impl FnOnce(&mut Tables) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut state = self.lock();
        if state.closed {
            return Err(StoreError::new(StoreErrorKind::Closed, "the memory store is closed"));
        }
        work(&mut state.tables)
    }
}

#[async_trait]
impl MessageBox for MemoryStore {
    async fn commit(&self, batch: Batch) -> Result<Receipt, StoreError> {
        let applied = self.with(|tables| tables.commit(batch))?;
        if applied.wake {
            self.changes.send_modify(|changes| changes.generation += 1);
        }
        Ok(applied.receipt)
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.with(|tables| Ok(tables.claim(&claim)))
    }

    async fn put_chunk(&self, body: BodyId, sequence: u32, bytes: Bytes) -> Result<(), StoreError> {
        self.with(|tables| tables.put_chunk(body, sequence, bytes))
    }

    async fn read_body(&self, body: BodyRef, offset: u64, max: usize) -> Result<Bytes, StoreError> {
        self.with(|tables| tables.read_body(body.id, offset, max))
    }

    async fn query(&self, query: Query) -> Result<Answer, StoreError> {
        self.with(|tables| Ok(tables.answer(query)))
    }

    fn changes(&self) -> watch::Receiver<Changes> {
        self.changes.subscribe()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "memory", durable: false, shared: false }
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.lock().closed = true;
        self.changes.send_modify(|changes| changes.health = Health::Closed);
        Ok(())
    }
}
