//! Proof that the model test sees: stores with one planted mistake each, which it must find.

use super::{super::harness::Site, compare};
use crate::{
    batch::{Action, Batch, Operation, Receipt},
    error::StoreError,
    memory::MemoryStore,
    port::{Capabilities, Changes, Claim, Claimed, MessageBox},
    query::{Answer, Query, Selection},
};
use async_trait::async_trait;
use bytes::Bytes;
use portolan_model::{BatchId, BodyId, BodyRef, InstanceId};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::watch;
use uuid::Uuid;

/// A mistake a store could make.
#[derive(Clone, Copy, Debug)]
enum Mistake {
    /// What stood before the failing operation of a batch stays.
    HalfBatches,
    /// A batch repeated is applied again.
    ForgetsBatches,
    /// What was claimed stays claimed when the store is opened again.
    ClaimsOutliveReopening,
    /// What is claimed comes in the wrong order.
    ClaimsBackwards,
    /// A claim that finds too little does not say what comes next.
    ForgetsNextDue,
    /// A resume does nothing.
    ResumesNothing,
    /// A release is lost.
    LosesReleases,
    /// Paging gives the last of the page before again.
    PagesOverlap,
    /// Texts are counted in their exact case only.
    TextByCase,
    /// A body read in small steps lacks its last byte.
    ReadsShort,
}

struct Wrong {
    inner: Arc<MemoryStore>,
    mistake: Mistake,
    commits: AtomicU64,
    /// Ids claimed, by this store and those before it at the same site.
    claimed: Arc<Mutex<BTreeSet<InstanceId>>>,
    claimed_before: BTreeSet<InstanceId>,
}

/// A site whose stores make a mistake.
struct WrongSite {
    mistake: Mistake,
    last: Mutex<Option<Arc<MemoryStore>>>,
    claimed: Arc<Mutex<BTreeSet<InstanceId>>>,
}

impl WrongSite {
    fn new(mistake: Mistake) -> Arc<Self> {
        Arc::new(Self { mistake, last: Mutex::default(), claimed: Arc::default() })
    }
}

#[async_trait]
impl Site for WrongSite {
    async fn open(&self) -> Arc<dyn MessageBox> {
        let mut last = self.last.lock().unwrap();
        let inner = Arc::new(last.as_ref().map_or_else(MemoryStore::new, |store| store.reopen()));
        *last = Some(inner.clone());
        let claimed_before = self.claimed.lock().unwrap().clone();
        Arc::new(Wrong { inner, mistake: self.mistake, commits: AtomicU64::new(0), claimed: self.claimed.clone(), claimed_before })
    }
}

#[async_trait]
impl MessageBox for Wrong {
    async fn commit(&self, mut batch: Batch) -> Result<Receipt, StoreError> {
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        match self.mistake {
            Mistake::ForgetsBatches => batch.id = BatchId(Uuid::from_u128(u128::from(number))),
            Mistake::LosesReleases => batch.operations.retain(|operation| !matches!(operation, Operation::Release { .. })),
            Mistake::ResumesNothing => {
                for operation in &mut batch.operations {
                    if let Operation::Act { action: Action::Resume, .. } = operation {
                        *operation = Operation::ForgetKey { scope: "none".into(), key: String::new() };
                    }
                }
            }
            _ => {}
        }
        let answer = self.inner.commit(batch.clone()).await;
        if answer.is_err() && matches!(self.mistake, Mistake::HalfBatches) && !batch.operations.is_empty() {
            batch.operations.pop();
            batch.epoch = None;
            drop(self.inner.commit(batch).await);
        }
        answer
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        let mut claimed = self.inner.claim(claim).await?;
        match self.mistake {
            Mistake::ClaimsBackwards => claimed.work.reverse(),
            Mistake::ForgetsNextDue => claimed.next_due = None,
            Mistake::ClaimsOutliveReopening => claimed.work.retain(|work| !self.claimed_before.contains(&work.instance.id)),
            _ => {}
        }
        self.claimed.lock().unwrap().extend(claimed.work.iter().map(|work| work.instance.id));
        Ok(claimed)
    }

    async fn put_chunk(&self, body: BodyId, sequence: u32, bytes: Bytes) -> Result<(), StoreError> {
        self.inner.put_chunk(body, sequence, bytes).await
    }

    async fn read_body(&self, body: BodyRef, offset: u64, max: usize) -> Result<Bytes, StoreError> {
        let read = self.inner.read_body(body, offset, max).await?;
        let short = matches!(self.mistake, Mistake::ReadsShort) && max < 100 && read.len() == 1;
        Ok(if short { Bytes::new() } else { read })
    }

    async fn query(&self, query: Query) -> Result<Answer, StoreError> {
        match (self.mistake, query) {
            (Mistake::PagesOverlap, Query::Instances { selection, after: Some(mut after), limit }) => {
                after.id.0 = Uuid::from_u128(after.id.0.as_u128().wrapping_add(1));
                self.inner.query(Query::Instances { selection, after: Some(after), limit }).await
            }
            (Mistake::TextByCase, Query::Count(Selection { text: Some(text), .. })) if text == "REFUSED" => Ok(Answer::Count(0)),
            (_, query) => self.inner.query(query).await,
        }
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

#[tokio::test]
async fn the_model_test_finds_planted_mistakes() {
    use Mistake::*;
    for mistake in [
        HalfBatches,
        ForgetsBatches,
        ClaimsOutliveReopening,
        ClaimsBackwards,
        ForgetsNextDue,
        ResumesNothing,
        LosesReleases,
        PagesOverlap,
        TextByCase,
        ReadsShort,
    ] {
        let mut found = None;
        for seed in 0..10 {
            if let Err(divergence) = compare(seed, 300, WrongSite::new(mistake)).await {
                found = Some(divergence);
                break;
            }
        }
        let found = found.unwrap_or_else(|| panic!("{mistake:?} is not found"));
        let text = found.to_string();
        assert!(text.starts_with(&format!("seed {}, step {}: ", found.seed, found.step)), "{text}");
        // The same seed fails at the same step.
        let again = compare(found.seed, 300, WrongSite::new(mistake)).await.unwrap_err();
        assert_eq!((again.step, again.request), (found.step, found.request), "{mistake:?}");
    }
}
