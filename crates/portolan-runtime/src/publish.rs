//! Publication: from documents and the routing table to one commit, and the hand-over of its instances
//! to the queues of their send ports.

use crate::{
    clock::World,
    core::Core,
    deployment::{Deployment, Location},
    journal::About,
};
use portolan_engine::{
    index::Scratch,
    routing::{Delivery, DeliveryState, route},
};
use portolan_model::{
    BodyId, Code, Context, InstanceId, Message, MessageId, SmolStr, Timestamp, Value, code,
    instance::{Failure, Instance, MessageForm, Service},
    system::{bts, error_report},
};
use portolan_store::{Durability, NewInstance, Operation, Severity, StoreError, Work};
use std::sync::Arc;

/// An event to be logged when the commit has succeeded.
type PendingEvent = (Severity, Code, SmolStr, Option<MessageId>, Option<InstanceId>, String);

/// One commit being put together.
pub struct Publication {
    epoch: u64,
    /// Further operations of the commit.
    pub operations: Vec<Operation>,
    /// Events of the commit.
    pub events: Vec<PendingEvent>,
    claimed: Vec<(SmolStr, Work)>,
    waiting: Vec<SmolStr>,
    scratch: Scratch,
}

impl Publication {
    /// An empty publication, decided in this epoch.
    #[must_use]
    pub fn new(epoch: u64) -> Self {
        Self { epoch, operations: Vec::new(), events: Vec::new(), claimed: Vec::new(), waiting: Vec::new(), scratch: Scratch::default() }
    }

    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Adds a document with an instance for each subscriber. A document without subscribers is
    /// suspended if it asks for that (`BTS.SuspendMessageOnRoutingFailure`).
    ///
    /// # Errors
    /// The routing failure in words.
    pub fn add(
        &mut self,
        core: &Core,
        deployment: &Deployment,
        location: &Location,
        document: &Arc<Message>,
        now: Timestamp,
    ) -> Result<(), String> {
        match route(&deployment.table, &document.context, &mut self.scratch) {
            Ok(routing) => {
                self.deliver(core, document, &routing.deliveries, now);
                Ok(())
            }
            Err(none) if document.context.get(&bts::SUSPEND_ON_ROUTING_FAILURE) == Some(&Value::Boolean(true)) => {
                self.suspend_document(core, location, document, &none.explanation, now);
                Ok(())
            }
            Err(none) => Err(none.explanation),
        }
    }

    /// Adds a document with these deliveries.
    pub fn deliver(&mut self, core: &Core, document: &Arc<Message>, deliveries: &[Delivery], now: Timestamp) {
        let mut instances = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let instance = delivery.instance(core.world.instance_id(), document.id, now);
            let ready = delivery.state == DeliveryState::Ready;
            let claim = ready && core.queue(&delivery.send_port).is_some_and(|queue| queue.accepts());
            if claim {
                let work = Work { instance: instance.clone(), message: document.clone() };
                self.claimed.push((delivery.send_port.clone(), work));
            } else if ready {
                self.waiting.push(delivery.send_port.clone());
            }
            instances.push(NewInstance { instance, claim });
        }
        self.operations.push(Operation::Publish { message: document.clone(), instances });
    }

    fn suspend_document(&mut self, core: &Core, location: &Location, document: &Arc<Message>, none: &str, now: Timestamp) {
        let failure = Failure {
            code: SmolStr::new_static(code::NO_SUBSCRIPTION.id),
            description: none.to_owned(),
            adapter: Some(location.transport_type.clone()),
            address: Some(location.artifact.transport.address.clone()),
            at: now,
        };
        let instance = Instance::ready(core.world.instance_id(), Service::receive_port(location.port.clone()), document.id, now, 5)
            .suspended(true, MessageForm::PostPipeline, failure.clone());
        let report = report(&core.world, document, &instance, &failure, now);
        self.events.push((
            Severity::Warning,
            code::NO_SUBSCRIPTION,
            location.artifact.name.clone(),
            Some(document.id),
            Some(instance.id),
            format!("message suspended: {none}"),
        ));
        self.operations.push(Operation::Publish { message: document.clone(), instances: vec![NewInstance { instance, claim: false }] });
        self.operations.push(report);
    }

    /// Commits and hands the claimed instances over.
    ///
    /// # Errors
    /// The failure of the store; nothing was done then.
    pub async fn commit(mut self, core: &Core) -> Result<(), StoreError> {
        for (severity, code, source, message, instance, text) in self.events.drain(..) {
            self.operations.push(core.journal.event(severity, code, About { source: &source, message, instance }, text));
        }
        core.commit(core.batch(Some(self.epoch), Durability::Sync, self.operations)).await?;
        for (port, work) in self.claimed {
            match core.queue(&port) {
                Some(queue) => queue.push([work]),
                None => tracing::error!(port = port.as_str(), "a claimed instance has no queue"),
            }
        }
        for port in self.waiting {
            if let Some(queue) = core.queue(&port) {
                queue.set_behind();
            }
        }
        Ok(())
    }
}

/// The routing failure report: a message without body that carries the context of the failed one,
/// suspended (not resumable) and tied to the suspended instance (manual page "Error Handling").
#[must_use]
pub fn report(world: &World, failed: &Message, instance: &Instance, failure: &Failure, now: Timestamp) -> Operation {
    let id = world.message_id();
    let mut context = Context::new();
    for property in failed.context.iter() {
        context.write(property.name.clone(), property.value.clone());
    }
    context.write(error_report::FAILURE_MESSAGE_ID, Value::string(failed.id.braced()));
    context.write(error_report::FAILURE_INSTANCE_ID, Value::string(instance.id.braced()));
    context.write(error_report::FAILURE_TIME, Value::DateTime(failure.at));
    context.write(error_report::FAILURE_CODE, Value::string(code::NO_SUBSCRIPTION.failure_code()));
    context.write(error_report::DESCRIPTION, Value::string(failure.description.as_str()));
    let message = Message { id, created: now, context, parts: Vec::new(), body_index: 0 };
    let mut report = Instance::ready(world.instance_id(), Service::report(), id, now, 5).suspended(false, instance.form, failure.clone());
    report.about = Some(instance.id);
    Operation::Publish { message: Arc::new(message), instances: vec![NewInstance { instance: report, claim: false }] }
}

/// Removes bodies that were streamed in for nothing.
pub async fn discard(core: &Core, bodies: Vec<BodyId>) {
    if bodies.is_empty() {
        return;
    }
    let operations = bodies.into_iter().map(Operation::DiscardBody).collect();
    if let Err(error) = core.commit(core.batch(None, Durability::Lazy, operations)).await {
        tracing::debug!("bodies streamed in for nothing stay until the next start: {error}");
    }
}

/// As [`discard`], in the middle of synchronous work.
pub fn discard_blocking(core: &Core, bodies: Vec<BodyId>) {
    if !bodies.is_empty() {
        crate::body::wait(discard(core, bodies));
    }
}
