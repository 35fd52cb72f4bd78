//! What a case holds: a store that can be closed and opened again, ids, and short words for common
//! requests. Knows nothing of what a case tests.

use super::lost::{LostAnswer, retrying};
use crate::{
    ask,
    batch::{Batch, Durability, Operation, Receipt},
    error::{StoreError, StoreErrorKind},
    memory::MemoryStore,
    port::{Claim, Claimed, MessageBox},
    query::{EventRecord, Selection, ServiceCount},
};
use async_trait::async_trait;
use portolan_model::{
    BatchId, BodyId, BodyRef, InstanceId, MessageId, Timestamp,
    instance::{Instance, Service},
};
use std::sync::{Arc, Mutex};

/// A place where one store lives, for example a folder; its content goes with the site.
#[async_trait]
pub trait Site: Send + Sync + 'static {
    /// Opens the store: empty at first, later with what it held when the one opened before was closed.
    async fn open(&self) -> Arc<dyn MessageBox>;
}

/// A site in memory.
#[derive(Default)]
pub struct MemorySite(Mutex<Option<Arc<MemoryStore>>>);

#[async_trait]
impl Site for MemorySite {
    async fn open(&self) -> Arc<dyn MessageBox> {
        let mut last = self.0.lock().unwrap();
        let store = Arc::new(last.as_ref().map_or_else(MemoryStore::new, |store| store.reopen()));
        *last = Some(store.clone());
        store
    }
}

/// How a case is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// In one go.
    Fresh,
    /// Closing and opening the store wherever the case allows it.
    Reopened,
    /// With every second answer to a commit lost, and the batch repeated.
    LostAnswers,
}

impl Mode {
    /// Every way.
    pub const ALL: &'static [Self] = &[Self::Fresh, Self::Reopened, Self::LostAnswers];
    /// For cases that take long and gain nothing from the others.
    pub const FRESH: &'static [Self] = &[Self::Fresh];
}

/// All that can be asked of a store in general, to compare before and after.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Snapshot {
    pub(super) instances: Vec<Instance>,
    pub(super) states: Vec<(String, String)>,
    pub(super) keys: Vec<String>,
    pub(super) events: Vec<EventRecord>,
    pub(super) services: Vec<ServiceCount>,
    pub(super) epoch: u64,
}

/// The scope of receive keys in the cases.
pub(super) const SCOPE: &str = "Orders in";
/// The moment at which cases take place.
pub(super) const NOW: Timestamp = Timestamp(17_800_000_000_000_000);

/// A store under test.
pub struct Harness {
    site: Arc<dyn Site>,
    mode: Mode,
    store: Arc<dyn MessageBox>,
    last_id: u128,
}

impl Harness {
    /// Opens the store of a site.
    pub async fn open(site: Arc<dyn Site>, mode: Mode) -> Self {
        let store = wrapped(site.open().await, mode);
        Self { site, mode, store, last_id: 0 }
    }

    /// The store.
    pub(super) fn store(&self) -> &dyn MessageBox {
        &*self.store
    }

    /// The store, to be used by another task.
    pub(super) fn shared(&self) -> Arc<dyn MessageBox> {
        self.store.clone()
    }

    /// Closes the store and opens it again: claims are lost.
    pub(super) async fn reopen(&mut self) {
        self.store.close().await.unwrap();
        self.store = wrapped(self.site.open().await, self.mode);
    }

    /// A moment at which nothing depends on claims or remembered batches: in that mode, reopens.
    pub(super) async fn step(&mut self) {
        if self.mode == Mode::Reopened {
            self.reopen().await;
        }
    }

    /// A fresh id, greater than those before.
    pub(super) fn id(&mut self) -> uuid::Uuid {
        self.last_id += 1;
        // The fixed upper half makes them look like ids of one process and moment.
        uuid::Uuid::from_u128(0x0190_a000_7000_0000_0000_0000_0000_0000 + self.last_id)
    }

    pub(super) fn instance_id(&mut self) -> InstanceId {
        InstanceId(self.id())
    }

    /// A batch of these operations under a fresh id.
    pub(super) fn batch(&mut self, operations: Vec<Operation>) -> Batch {
        Batch { id: BatchId(self.id()), epoch: None, durability: Durability::Sync, operations }
    }

    /// Commits a batch, repeating it while its answer is lost.
    pub(super) async fn submit(&self, batch: Batch) -> Result<Receipt, StoreError> {
        retrying(self.store(), batch).await
    }

    /// Commits operations that must succeed; what each changed.
    pub(super) async fn commit(&mut self, operations: Vec<Operation>) -> Vec<u64> {
        let batch = self.batch(operations);
        self.submit(batch).await.unwrap().changed
    }

    /// Commits operations that must fail.
    pub(super) async fn refused(&mut self, operations: Vec<Operation>) -> StoreErrorKind {
        let batch = self.batch(operations);
        self.submit(batch).await.unwrap_err().kind
    }

    pub(super) async fn claim(&self, port: &str, now: Timestamp, max: usize) -> Claimed {
        self.claim_of(Service::send_port(port), now, max).await
    }

    pub(super) async fn claim_of(&self, service: Service, now: Timestamp, max: usize) -> Claimed {
        self.store.claim(Claim { service, now, max }).await.unwrap()
    }

    /// Claims all there is for a send port; the instances' ids.
    pub(super) async fn claimed(&self, port: &str, now: Timestamp) -> Vec<InstanceId> {
        self.claim(port, now, usize::MAX).await.work.into_iter().map(|work| work.instance.id).collect()
    }

    pub(super) async fn select(&self, selection: Selection) -> Vec<Instance> {
        ask::instances(self.store(), selection, None, usize::MAX).await.unwrap()
    }

    /// One instance, if it is there.
    pub(super) async fn instance(&self, id: InstanceId) -> Option<Instance> {
        self.select(Selection::of([id])).await.pop()
    }

    pub(super) async fn has_message(&self, id: MessageId) -> bool {
        ask::message(self.store(), id).await.unwrap().is_some()
    }

    pub(super) async fn snapshot(&self) -> Snapshot {
        Snapshot {
            instances: self.select(Selection::default()).await,
            states: ask::states(self.store(), "").await.unwrap(),
            keys: ask::keys(self.store(), SCOPE).await.unwrap(),
            events: ask::events(self.store(), None, None, usize::MAX).await.unwrap(),
            services: ask::services(self.store()).await.unwrap(),
            epoch: ask::epoch(self.store()).await.unwrap(),
        }
    }

    /// Streams a body in, in these pieces.
    pub(super) async fn put_body(&mut self, pieces: &[&[u8]]) -> BodyRef {
        let id = BodyId(self.id());
        for (sequence, piece) in pieces.iter().enumerate() {
            self.store.put_chunk(id, u32::try_from(sequence).unwrap(), bytes::Bytes::copy_from_slice(piece)).await.unwrap();
        }
        BodyRef { id, length: pieces.iter().map(|piece| piece.len() as u64).sum() }
    }

    /// The whole of a stored body, read `max` bytes at a time.
    pub(super) async fn body(&self, body: BodyRef, max: usize) -> Result<Vec<u8>, StoreErrorKind> {
        let mut whole = Vec::new();
        loop {
            let read = self.store.read_body(body, whole.len() as u64, max).await.map_err(|error| error.kind)?;
            assert!(read.len() <= max, "{} bytes where {max} were asked for", read.len());
            if read.is_empty() {
                return Ok(whole);
            }
            whole.extend_from_slice(&read);
        }
    }
}

fn wrapped(store: Arc<dyn MessageBox>, mode: Mode) -> Arc<dyn MessageBox> {
    if mode == Mode::LostAnswers { Arc::new(LostAnswer::new(store, 2)) } else { store }
}
