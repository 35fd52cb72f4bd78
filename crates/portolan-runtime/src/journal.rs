//! The event log of what operators must know. An event is logged at once and stored with the work it
//! tells about; events that stand alone are stored by the journal, which keeps them while the store
//! takes no writes.

use crate::clock::World;
use portolan_model::{Code, InstanceId, MessageId, SmolStr};
use portolan_store::{Batch, Durability, Event, MessageBox, Operation, Severity};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;

/// Events that wait for the store, at most.
const WAITING_MAX: usize = 1_000;

/// Writes the event log.
pub struct Journal {
    store: Arc<dyn MessageBox>,
    world: World,
    waiting: Mutex<VecDeque<Event>>,
    /// Held while events are being stored, so that each is stored once.
    storing: tokio::sync::Mutex<()>,
    wake: Notify,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// Artifact: location, port; empty for the host.
    pub source: &'a str,
    /// Message concerned.
    pub message: Option<MessageId>,
    /// Instance concerned.
    pub instance: Option<InstanceId>,
}

impl<'a> About<'a> {
    /// About an artifact.
    #[must_use]
    pub fn artifact(source: &'a str) -> Self {
        Self { source, message: None, instance: None }
    }
}

impl Journal {
    /// A journal on this store.
    pub fn new(store: Arc<dyn MessageBox>, world: World) -> Self {
        Self { store, world, waiting: Mutex::new(VecDeque::new()), storing: tokio::sync::Mutex::new(()), wake: Notify::new() }
    }

    /// Logs an event and returns the operation that stores it with the work it tells about.
    pub fn event(&self, severity: Severity, code: Code, about: About<'_>, text: impl Into<String>) -> Operation {
        let event = Event {
            at: self.world.now(),
            severity,
            code: SmolStr::new_static(code.id),
            source: about.source.into(),
            text: text.into(),
            message: about.message,
            instance: about.instance,
        };
        log(&event);
        Operation::Event(event)
    }

    /// Logs an event that stands alone and has it stored soon.
    pub fn record(&self, severity: Severity, code: Code, about: About<'_>, text: impl Into<String>) {
        if let Operation::Event(event) = self.event(severity, code, about, text) {
            let mut waiting = self.lock();
            if waiting.len() == WAITING_MAX {
                waiting.pop_front();
            }
            waiting.push_back(event);
            drop(waiting);
            self.wake.notify_one();
        }
    }

    /// Stores what was recorded, for as long as the host runs.
    pub async fn run(&self) {
        loop {
            self.wake.notified().await;
            while !self.flush().await {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }

    /// Stores what is waiting; false when the store does not take it now.
    pub async fn flush(&self) -> bool {
        let _storing = self.storing.lock().await;
        let events: Vec<Event> = self.lock().iter().cloned().collect();
        if events.is_empty() {
            return true;
        }
        let count = events.len();
        let operations = events.into_iter().map(Operation::Event).collect();
        let batch = Batch { id: self.world.batch_id(), epoch: None, durability: Durability::Sync, operations };
        if self.store.commit(batch).await.is_err() {
            return false;
        }
        let mut waiting = self.lock();
        let count = count.min(waiting.len());
        waiting.drain(..count);
        waiting.is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Event>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(event: &Event) {
    let (code, source, text) = (event.code.as_str(), event.source.as_str(), event.text.as_str());
    let message = event.message.map(|m| m.to_string()).unwrap_or_default();
    match event.severity {
        Severity::Information => tracing::info!(code, source, message_id = message, "{text}"),
        Severity::Warning => tracing::warn!(code, source, message_id = message, "{text}"),
        Severity::Error => tracing::error!(code, source, message_id = message, "{text}"),
    }
}
