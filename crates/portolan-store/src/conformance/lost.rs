//! A store whose answers get lost, and the caller who copes: the batch is repeated under its id.

use crate::{
    batch::{Batch, Receipt},
    error::{StoreError, StoreErrorKind},
    port::{Capabilities, Changes, Claim, Claimed, MessageBox},
    query::{Answer, Query},
};
use async_trait::async_trait;
use bytes::Bytes;
use portolan_model::{BodyId, BodyRef};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::watch;

/// Applies every commit, but loses the answer to the first and every `every`-th after it.
pub struct LostAnswer {
    inner: Arc<dyn MessageBox>,
    every: u64,
    commits: AtomicU64,
}

impl LostAnswer {
    /// `every` must be at least 2, or no answer ever comes.
    #[must_use]
    pub fn new(inner: Arc<dyn MessageBox>, every: u64) -> Self {
        Self { inner, every, commits: AtomicU64::new(0) }
    }
}

/// Commits, repeating the batch while its answer is lost.
///
/// # Errors
/// [`StoreError`] of any other kind, or `AnswerLost` after 100 times.
pub async fn retrying(store: &dyn MessageBox, batch: Batch) -> Result<Receipt, StoreError> {
    for _ in 1..100 {
        match store.commit(batch.clone()).await {
            Err(error) if error.kind == StoreErrorKind::AnswerLost => {}
            answer => return answer,
        }
    }
    store.commit(batch).await
}

#[async_trait]
impl MessageBox for LostAnswer {
    async fn commit(&self, batch: Batch) -> Result<Receipt, StoreError> {
        let id = batch.id;
        let receipt = self.inner.commit(batch).await?;
        if self.commits.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.every) {
            return Err(StoreError::new(StoreErrorKind::AnswerLost, format!("the answer to batch {id} was lost on purpose")));
        }
        Ok(receipt)
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.inner.claim(claim).await
    }

    async fn put_chunk(&self, body: BodyId, sequence: u32, bytes: Bytes) -> Result<(), StoreError> {
        self.inner.put_chunk(body, sequence, bytes).await
    }

    async fn read_body(&self, body: BodyRef, offset: u64, max: usize) -> Result<Bytes, StoreError> {
        self.inner.read_body(body, offset, max).await
    }

    async fn query(&self, query: Query) -> Result<Answer, StoreError> {
        self.inner.query(query).await
    }

    fn changes(&self) -> watch::Receiver<Changes> {
        self.inner.changes()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
