//! Messages, instances and operations that cases use. Plain values, nothing hidden: what matters to a
//! case is written in the case.

use super::harness::{Harness, NOW};
use crate::{
    batch::{Action, NewInstance, Operation},
    query::Selection,
};
use bytes::Bytes;
use portolan_model::{
    BodyRef, Context, InstanceId, Message, MessageId, PartContent, SmolStr, Timestamp, Value,
    instance::{Failure, Instance, InstanceState, MessageForm, Service},
    system::bts,
};
use std::{sync::Arc, time::Duration};

impl Harness {
    /// A message with these bytes.
    pub(super) fn message(&mut self, body: impl Into<Bytes>) -> Message {
        Message::of_body(MessageId(self.id()), NOW, Context::new(), PartContent::Inline(body.into()))
    }

    /// A message with a stored body.
    pub(super) fn message_of(&mut self, body: BodyRef) -> Message {
        Message::of_body(MessageId(self.id()), NOW, Context::new(), PartContent::Stored(body))
    }

    /// A ready instance of a message for a send port.
    pub(super) fn ready(&mut self, message: &Message, port: &str) -> Instance {
        Instance::ready(self.instance_id(), Service::send_port(port), message.id, NOW, 5)
    }

    /// Publishes one small message to these send ports; the instances' ids.
    pub(super) async fn publish(&mut self, ports: &[&str]) -> Vec<InstanceId> {
        let message = self.message("<order/>");
        let instances: Vec<Instance> = ports.iter().map(|port| self.ready(&message, port)).collect();
        let ids = instances.iter().map(|instance| instance.id).collect();
        self.commit(vec![publish(message, instances)]).await;
        ids
    }

    /// Publishes one small message to one send port, suspended.
    pub(super) async fn publish_suspended(&mut self, port: &str, resumable: bool) -> InstanceId {
        let message = self.message("<order/>");
        let instance =
            self.ready(&message, port).suspended(resumable, MessageForm::Published, failure("PTL0203", "the destination is away"));
        let id = instance.id;
        self.commit(vec![publish(message, vec![instance])]).await;
        id
    }
}

/// A publication that claims nothing.
pub(super) fn publish(message: Message, instances: Vec<Instance>) -> Operation {
    let instances = instances.into_iter().map(|instance| NewInstance { instance, claim: false }).collect();
    Operation::Publish { message: Arc::new(message), instances }
}

/// A publication that claims all its instances.
pub(super) fn publish_claimed(message: Message, instances: Vec<Instance>) -> Operation {
    let instances = instances.into_iter().map(|instance| NewInstance { instance, claim: true }).collect();
    Operation::Publish { message: Arc::new(message), instances }
}

/// A scheduled instance.
pub(super) fn scheduled(instance: Instance, due: Timestamp) -> Instance {
    Instance { state: InstanceState::Scheduled, due, ..instance }
}

pub(super) fn failure(code: &str, description: &str) -> Failure {
    Failure { code: SmolStr::new(code), description: description.to_owned(), adapter: None, address: None, at: NOW }
}

pub(super) fn complete(instance: InstanceId) -> Operation {
    Operation::Complete { instance }
}

pub(super) fn release(instance: InstanceId) -> Operation {
    Operation::Release { instance }
}

pub(super) fn require(instance: InstanceId, suspended: bool) -> Operation {
    Operation::Require { instance, suspended }
}

pub(super) fn suspend(instance: InstanceId, resumable: bool, failure: Failure) -> Operation {
    Operation::Suspend { instance, resumable, form: MessageForm::Published, failure }
}

pub(super) fn act(selection: Selection, action: Action) -> Operation {
    Operation::Act { selection, action, at: NOW }
}

pub(super) fn set_state(key: &str, value: Option<&str>) -> Operation {
    Operation::SetState { key: key.to_owned(), value: value.map(str::to_owned) }
}

/// So many seconds after [`NOW`] (before, when negative).
pub(super) fn second(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 + seconds * 10_000_000)
}

/// How long to wait for what must not happen, or should.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A context with this message type.
pub(super) fn typed(message_type: &str) -> Context {
    let mut context = Context::new();
    context.promote(bts::MESSAGE_TYPE, Value::string(message_type)).unwrap();
    context
}
