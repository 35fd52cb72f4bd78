//! What all loops of a host share: the store, the clock, the journal, the current deployment and the
//! queues of its send ports.

use crate::{clock::World, deployment::Deployment, gate::Gate, journal::Journal, queue::PortQueue};
use portolan_model::{SmolStr, code};
use portolan_sdk::AdapterError;
use portolan_store::{Batch, Durability, MessageBox, Operation, Receipt, StoreError, StoreErrorKind};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, atomic::AtomicUsize},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// Messages the whole host transmits at once, at most. Far above what a busy host has under way: only a
/// host with hundreds of stalled destinations comes near, and then priority decides.
const SENDS_MAX: usize = 4096;

/// Shared state of a host.
pub struct Core {
    /// The MessageBox.
    pub store: Arc<dyn MessageBox>,
    /// Clock and identifiers.
    pub world: World,
    /// Event log.
    pub journal: Journal,
    /// Limit on messages in transmission.
    pub gate: Arc<Gate>,
    /// Wakes the loop that takes resumed messages in again.
    pub resubmit: Notify,
    /// True once the host is stopping: nothing new is taken in.
    pub stopping: watch::Sender<bool>,
    deployment: RwLock<Arc<Deployment>>,
    queues: RwLock<BTreeMap<SmolStr, Arc<PortQueue>>>,
    hot_bytes: Arc<AtomicUsize>,
}

impl Core {
    /// A core around a store and a first deployment.
    pub fn new(store: Arc<dyn MessageBox>, world: World, deployment: Arc<Deployment>) -> Arc<Self> {
        Arc::new(Self {
            journal: Journal::new(store.clone(), world.clone()),
            store,
            world,
            gate: Gate::new(SENDS_MAX),
            resubmit: Notify::new(),
            stopping: watch::Sender::new(false),
            deployment: RwLock::new(deployment),
            queues: RwLock::default(),
            hot_bytes: Arc::default(),
        })
    }

    /// The current deployment.
    #[must_use]
    pub fn deployment(&self) -> Arc<Deployment> {
        self.deployment.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the deployment. The store must already be in its epoch.
    pub fn set_deployment(&self, deployment: Arc<Deployment>) {
        *self.deployment.write().unwrap_or_else(PoisonError::into_inner) = deployment;
    }

    /// The queue of a send port, if it has one yet.
    #[must_use]
    pub fn queue(&self, port: &str) -> Option<Arc<PortQueue>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).get(port).cloned()
    }

    /// All queues, by port name.
    #[must_use]
    pub fn queues(&self) -> Vec<Arc<PortQueue>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The queue of a send port, made if there is none; true when it was made.
    pub fn make_queue(&self, port: &SmolStr) -> (Arc<PortQueue>, bool) {
        if let Some(queue) = self.queue(port) {
            return (queue, false);
        }
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        let mut made = false;
        let queue = queues.entry(port.clone()).or_insert_with(|| {
            made = true;
            Arc::new(PortQueue::new(port.clone(), self.hot_bytes.clone()))
        });
        (queue.clone(), made)
    }

    /// A batch of these operations.
    #[must_use]
    pub fn batch(&self, epoch: Option<u64>, durability: Durability, operations: Vec<Operation>) -> Batch {
        Batch { id: self.world.batch_id(), epoch, durability, operations }
    }

    /// Commits; repeats the same batch while its answer is lost.
    ///
    /// # Errors
    /// Any other failure of the store.
    pub async fn commit(&self, batch: Batch) -> Result<Receipt, StoreError> {
        loop {
            match self.store.commit(batch.clone()).await {
                Err(error) if error.kind == StoreErrorKind::AnswerLost => tokio::time::sleep(Duration::from_millis(50)).await,
                other => return other,
            }
        }
    }

    /// Commits what must be stored in the end, such as the outcome of a send: waits for a store that
    /// takes no writes. Gives up only when the store is closed, which releases all claims.
    pub async fn commit_surely(&self, durability: Durability, operations: Vec<Operation>) -> Option<Receipt> {
        let batch = self.batch(None, durability, operations);
        let mut pause = Duration::from_millis(50);
        loop {
            match self.commit(batch.clone()).await {
                Ok(receipt) => return Some(receipt),
                Err(error) if matches!(error.kind, StoreErrorKind::Full | StoreErrorKind::Failed) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                Err(error) => {
                    if error.kind != StoreErrorKind::Closed {
                        tracing::error!(code = error.code().id, "the outcome of work could not be stored: {error}");
                    }
                    return None;
                }
            }
        }
    }
}

/// The failure an adapter sees when the store refuses a batch.
#[must_use]
pub fn store_refused(error: &StoreError) -> AdapterError {
    AdapterError::temporary(error.code(), format!("the MessageBox takes no messages now: {error}"))
}

/// The failure an adapter sees when the host is stopping.
#[must_use]
pub fn shutting_down() -> AdapterError {
    AdapterError::temporary(code::SHUTTING_DOWN, "the host is shutting down; nothing was taken in")
}
