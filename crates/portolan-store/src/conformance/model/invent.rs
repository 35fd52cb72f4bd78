//! Random messages, instances and selections: few different values, so that they meet.

use super::{
    super::harness::SCOPE,
    generate::{CODES, Generator, PORTS, TEXTS, TYPES},
    observe::BEGIN,
};
use crate::{
    batch::{NewInstance, Operation},
    query::{Event, Selection, Severity, StateFilter},
};
use bytes::Bytes;
use portolan_model::{
    BodyRef, Context, InstanceId, Kind, Message, MessageId, Part, PartContent, SmolStr, Timestamp, Value,
    instance::{Failure, Instance, InstanceState, MessageForm, Progress, Service, ServiceClass, TransportRole},
    property::Name,
    system::bts,
};
use std::sync::Arc;

impl Generator {
    pub(super) fn bytes(&mut self) -> Bytes {
        let length = self.random.one(&[0, 1, 20, 20, 300, 5_000, 70_000]);
        let seed = self.random.next();
        Bytes::from((0..length).map(|at: u64| (seed.wrapping_mul(at | 1) >> 32) as u8).collect::<Vec<_>>())
    }

    pub(super) fn service(&mut self) -> Service {
        match self.random.below(8) {
            0 => Service::receive_port("A"),
            1 => Service::report(),
            _ => Service::send_port(self.random.one(&PORTS)),
        }
    }

    pub(super) fn publish(&mut self, there: &[Instance]) -> Operation {
        let message = Arc::new(self.message());
        let count = self.random.one(&[1, 1, 1, 2, 3]);
        let instances =
            (0..count).map(|_| NewInstance { instance: self.instance(&message, there), claim: self.random.percent(30) }).collect();
        Operation::Publish { message, instances }
    }

    fn message(&mut self) -> Message {
        let id = MessageId(self.id());
        self.known.messages.push(id);
        if self.known.messages.len() > 30 {
            self.known.messages.remove(0);
        }
        let mut context = Context::new();
        if self.random.percent(70) {
            let message_type = Value::string(self.random.one(&TYPES));
            if self.random.percent(50) {
                context.promote(bts::MESSAGE_TYPE, message_type).unwrap()
            } else {
                context.write(bts::MESSAGE_TYPE, message_type)
            }
        }
        for at in 0..self.random.below(4) {
            let value = self.random.one(&[
                Value::Int32(-5),
                Value::string("x".repeat(100)),
                Value::Double(0.5),
                Value::DateTime(BEGIN),
                Value::Boolean(true),
            ]);
            match self.random.one(&[Kind::Written, Kind::Promoted, Kind::Distinguished]) {
                Kind::Written => context.write(Name::new("urn:größe", format!("p{at}")), value),
                Kind::Promoted => context.promote(bts::RECEIVE_PORT_NAME, value).unwrap(),
                Kind::Distinguished => context.distinguish(&format!("/a[{at}]"), "d"),
            }
        }
        let parts: Vec<Part> = (0..self.random.one(&[0, 1, 1, 1, 1, 2, 3])).map(|at: usize| self.part(at)).collect();
        let body_index = if parts.is_empty() { 0 } else { self.random.below(parts.len()) as u8 };
        Message { id, created: self.now, context, parts, body_index }
    }

    fn part(&mut self, at: usize) -> Part {
        // Now and then one that is gone, or of a wrong length.
        let from = if self.random.percent(2) { &self.known.bodies } else { &self.whole };
        let content = match self.random.pick(from).copied() {
            Some(body) if self.random.percent(40) => {
                self.referred.push(body.id);
                let off = u64::from(self.random.percent(2));
                PartContent::Stored(BodyRef { length: body.length + off, ..body })
            }
            _ => PartContent::Inline(self.bytes()),
        };
        Part {
            name: SmolStr::new(format!("part {at}")),
            content_type: self.random.maybe(50, |_| "text/xml".into()),
            charset: None,
            content,
        }
    }

    fn instance(&mut self, message: &Message, there: &[Instance]) -> Instance {
        // Now and then the id of one that is gone is used again, once: repeating a batch that failed must
        // not meet it in use.
        let gone = self.random.pick(&self.instances).copied().filter(|id| there.iter().all(|instance| instance.id != *id));
        let id = match gone {
            Some(id) if self.random.percent(5) => {
                self.instances.retain(|known| *known != id);
                id
            }
            _ => {
                let id = InstanceId(self.id());
                self.instances.push(id);
                id
            }
        };
        if self.instances.len() > 60 {
            self.instances.remove(0);
        }
        use InstanceState::{Ready, Scheduled, SuspendedNotResumable, SuspendedResumable};
        let service = self.service();
        Instance {
            id,
            message: message.id,
            state: self.random.one(&[Ready, Ready, Ready, Scheduled, SuspendedResumable, SuspendedNotResumable]),
            due: self.moment(),
            priority: self.random.one(&[1, 5, 5, 10]),
            form: self.form(),
            progress: self.progress(),
            created: self.moment(),
            failure: self.failure(),
            group: self.random.maybe(20, |_| "Group".into()),
            about: self
                .random
                .maybe(if service.class == ServiceClass::RoutingFailureReport { 90 } else { 10 }, |r| r.pick(there).map(|i| i.id))
                .flatten(),
            service,
        }
    }

    /// A moment near the present, often the same.
    pub(super) fn moment(&mut self) -> Timestamp {
        let offset = self.random.one(&[0, 0, -5, 5, 30, 600]);
        let base = if self.random.percent(50) { self.now } else { BEGIN };
        Timestamp(base.0 + offset * 10_000_000)
    }

    pub(super) fn progress(&mut self) -> Progress {
        Progress { transport: self.random.one(&[TransportRole::Primary, TransportRole::Backup]), attempts: self.random.below(5) as u32 }
    }

    pub(super) fn form(&mut self) -> MessageForm {
        self.random.one(&[MessageForm::Wire, MessageForm::PostPipeline, MessageForm::Published])
    }

    pub(super) fn failure(&mut self) -> Option<Failure> {
        let now = self.now;
        self.random.maybe(50, |r| Failure {
            code: r.one(&CODES).into(),
            description: r.one(&TEXTS).into(),
            adapter: r.maybe(50, |_| "FILE".into()),
            address: r.maybe(50, |_| "file:///out/größe".into()),
            at: now,
        })
    }

    pub(super) fn scope(&mut self) -> SmolStr {
        self.random.one(&[SCOPE, "other"]).into()
    }

    pub(super) fn event(&mut self, instance: InstanceId) -> Event {
        Event {
            at: self.now,
            severity: self.random.one(&[Severity::Information, Severity::Warning, Severity::Error]),
            code: self.random.one(&CODES).into(),
            source: self.random.one(&PORTS).into(),
            text: format!("event at {}", self.now),
            message: self.random.pick(&self.known.messages).copied(),
            instance: Some(instance),
        }
    }

    pub(super) fn selection(&mut self, there: &[Instance]) -> Selection {
        use StateFilter::{Ready, Scheduled, Suspended, SuspendedNotResumable, SuspendedResumable};
        let r = &mut self.random;
        // One or two conditions select something, many nothing: mostly few.
        let mut conditions = if r.percent(10) { r.next() } else { 1 << r.below(12) };
        conditions |= if r.percent(40) { 1 << r.below(12) } else { 0 };
        let has = |condition: u64| conditions >> condition & 1 == 1;
        let one = r.pick(there).cloned();
        let another = r.pick(there).cloned();
        let of_one = |has: bool| if has { one.as_ref() } else { None };
        Selection {
            ids: if has(0) { one.iter().chain(&another).map(|instance| instance.id).collect() } else { Vec::new() },
            state: has(1).then(|| r.one(&[Ready, Scheduled, Suspended, SuspendedResumable, SuspendedNotResumable])),
            class: has(2).then(|| r.one(&[ServiceClass::SendPort, ServiceClass::ReceivePort, ServiceClass::RoutingFailureReport])),
            service: has(3).then(|| r.one(&PORTS).into()),
            code: has(4).then(|| r.one(&CODES).into()),
            message_type: has(5).then(|| r.one(&TYPES).into()),
            text: has(6).then(|| r.one(&["REFUSED", "e", "%", "_", "'", "ö", "Ö", ""]).into()),
            since: of_one(has(7)).map(|instance| instance.created),
            until: of_one(has(8)).map(|instance| instance.created),
            message: of_one(has(9)).map(|instance| instance.message),
            about: of_one(has(10)).and_then(|instance| instance.about),
        }
    }
}
