//! Random requests. They are made from what the model store holds, so that most of them hit something,
//! and some hit what is gone, claimed, or never was.

use super::{
    super::{harness::SCOPE, lost::retrying},
    observe::{BEGIN, read_whole},
    random::Random,
};
use crate::{
    ask,
    batch::{Action, Batch, Durability, NewInstance, Operation},
    error::{StoreError, StoreErrorKind},
    port::{Claim, MessageBox},
    query::{Answer, Event, Position, Query, Selection, Severity, StateFilter},
};
use bytes::Bytes;
use portolan_model::{
    BatchId, BodyId, BodyRef, Context, InstanceId, Kind, Message, MessageId, Part, PartContent, SmolStr, Timestamp, Value,
    instance::{Failure, Instance, InstanceState, MessageForm, Progress, Service, ServiceClass, TransportRole},
    property::Name,
    system::bts,
};
use std::sync::Arc;
use uuid::Uuid;

/// One request.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Commit(Batch),
    Claim(Claim),
    Put {
        body: BodyId,
        sequence: u32,
        bytes: Bytes,
    },
    Read {
        body: BodyRef,
        max: usize,
    },
    Ask(Query),
    /// A page of events between two places in the list of all.
    Events {
        before: Option<usize>,
        after: Option<usize>,
        limit: usize,
    },
    Reopen,
}

/// An answer that can be compared between stores.
#[derive(PartialEq, Debug)]
pub(super) enum Reply {
    Changed(Vec<u64>),
    Work(Vec<(Instance, Arc<Message>)>, Option<Timestamp>),
    Stored,
    Bytes(Vec<u8>),
    Answer(Answer),
    Events(Vec<Event>),
}

#[cfg(test)]
impl Step {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Commit(_) => "commit",
            Self::Claim(_) => "claim",
            Self::Put { .. } => "put",
            Self::Read { .. } => "read",
            Self::Ask(_) => "ask",
            Self::Events { .. } => "events",
            Self::Reopen => "reopen",
        }
    }
}

#[cfg(test)]
impl Reply {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Changed(changed) => changed.iter().all(|count| *count == 0),
            Self::Work(work, _) => work.is_empty(),
            Self::Stored => false,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Answer(Answer::Instances(instances)) => instances.is_empty(),
            Self::Answer(answer) => *answer == Answer::Count(0),
            Self::Events(events) => events.is_empty(),
        }
    }
}

/// Makes a request of a store.
pub(super) async fn take(store: &dyn MessageBox, step: &Step) -> Result<Reply, StoreErrorKind> {
    ask_of(store, step).await.map_err(|error| error.kind)
}

async fn ask_of(store: &dyn MessageBox, step: &Step) -> Result<Reply, StoreError> {
    Ok(match step.clone() {
        Step::Commit(batch) => Reply::Changed(retrying(store, batch).await?.changed),
        Step::Claim(claim) => {
            let claimed = store.claim(claim).await?;
            Reply::Work(claimed.work.into_iter().map(|work| (work.instance, work.message)).collect(), claimed.next_due)
        }
        Step::Put { body, sequence, bytes } => {
            store.put_chunk(body, sequence, bytes).await?;
            Reply::Stored
        }
        Step::Read { body, max } => match read_whole(store, body, max).await {
            Ok(bytes) => Reply::Bytes(bytes),
            Err(kind) => return Err(StoreError::new(kind, "")),
        },
        Step::Ask(query) => Reply::Answer(store.query(query).await?),
        Step::Events { before, after, limit } => {
            // Every store has its own sequence numbers.
            let all = ask::events(store, None, None, usize::MAX).await?;
            let number = |place: Option<usize>| place.and_then(|place| all.get(place)).map(|record| record.sequence);
            let page = ask::events(store, number(before), number(after), limit).await?;
            Reply::Events(page.into_iter().map(|record| record.event).collect())
        }
        Step::Reopen => Reply::Stored,
    })
}

/// What there is to look for, also when it is gone; the newest.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) messages: Vec<MessageId>,
    pub(super) bodies: Vec<BodyRef>,
}

/// Makes requests.
pub(super) struct Generator {
    pub(super) known: Known,
    random: Random,
    now: Timestamp,
    last_id: u128,
    instances: Vec<InstanceId>,
    batches: Vec<Batch>,
    /// Bodies that a publication referred to.
    referred: Vec<BodyId>,
    /// Known bodies that are there, with their true lengths.
    whole: Vec<BodyRef>,
}

const PORTS: [&str; 3] = ["A", "B", "ß'%_"];
const TYPES: [&str; 3] = ["urn:a#Order", "urn:a#order", "Invoice"];
const CODES: [&str; 3] = ["PTL0102", "PTL0202", "PTL0203"];
const TEXTS: [&str; 4] = ["Connection refused", "connection reset by %_'", "GRÖSSE größe", ""];
const KEYS: [&str; 4] = ["a.xml", "A.xml", "ä", ""];
const STATES: [&str; 5] = ["port/A", "port/B", "port%", "PORT/A", "p"];
const MANY: usize = 40;

impl Generator {
    pub(super) fn new(random: Random) -> Self {
        Self {
            known: Known::default(),
            random,
            now: BEGIN,
            last_id: 0,
            instances: Vec::new(),
            batches: Vec::new(),
            referred: Vec::new(),
            whole: Vec::new(),
        }
    }

    /// The next request, made with a look at the model.
    pub(super) async fn next(&mut self, model: &dyn MessageBox) -> Step {
        self.now = self.now.plus(std::time::Duration::from_millis(self.random.below(20_000) as u64));
        let there = ask::instances(model, Selection::default(), None, usize::MAX).await.unwrap();
        self.whole.clear();
        for body in &self.known.bodies {
            if let Ok(bytes) = read_whole(model, *body, usize::MAX).await {
                self.whole.push(BodyRef { length: bytes.len() as u64, ..*body });
            }
        }
        match self.random.below(100) {
            0..50 => {
                let epoch = ask::epoch(model).await.unwrap();
                Step::Commit(self.batch(&there, epoch))
            }
            50..70 => self.claim(),
            70..82 => self.put(),
            82..86 => match self.random.pick(&self.known.bodies).copied() {
                Some(body) => Step::Read { body, max: self.random.one(&[1 << 20, 1000, 64]) },
                None => Step::Read { body: BodyRef { id: BodyId(self.id()), length: 1 }, max: 10 },
            },
            86..92 => match self.random.pick(&self.batches) {
                Some(batch) => Step::Commit(batch.clone()),
                None => Step::Reopen,
            },
            92..96 => Step::Events {
                before: self.random.maybe(50, |r| r.below(20)),
                after: self.random.maybe(50, |r| r.below(20)),
                limit: self.random.below(8),
            },
            _ => {
                // Batches are remembered only while the store is open.
                self.batches.clear();
                Step::Reopen
            }
        }
    }

    /// A question, which changes nothing.
    pub(super) async fn question(&mut self, model: &dyn MessageBox) -> Step {
        let there = ask::instances(model, Selection::default(), None, usize::MAX).await.unwrap();
        Step::Ask(self.query(&there))
    }

    fn id(&mut self) -> Uuid {
        self.last_id += 1;
        // The order of ids must not matter: the low half is scrambled, the high half tells runs' ids apart.
        Uuid::from_u128(u128::from(self.random.next()) << 64 | self.last_id)
    }

    fn claim(&mut self) -> Step {
        let late = self.random.one(&[0, 0, 0, 3600, -60]);
        let service = self.service();
        let max = self.random.one(&[0, 1, 1, 2, 3, 5, 100]);
        Step::Claim(Claim { service, now: Timestamp(self.now.0 + late * 10_000_000), max })
    }

    fn put(&mut self) -> Step {
        let bytes = self.bytes();
        if self.known.bodies.is_empty() || self.random.percent(40) {
            let body = BodyId(self.id());
            self.known.bodies.push(BodyRef { id: body, length: 0 });
            if self.known.bodies.len() > 15 {
                self.known.bodies.remove(0);
            }
            return Step::Put { body, sequence: 0, bytes };
        }
        let body = self.random.one(&self.known.bodies).id;
        Step::Put { body, sequence: self.random.below(4) as u32, bytes }
    }

    fn bytes(&mut self) -> Bytes {
        let length = self.random.one(&[0, 1, 20, 20, 300, 5_000, 70_000]);
        let seed = self.random.next();
        Bytes::from((0..length).map(|at: u64| (seed.wrapping_mul(at | 1) >> 32) as u8).collect::<Vec<_>>())
    }

    fn service(&mut self) -> Service {
        match self.random.below(8) {
            0 => Service::receive_port("A"),
            1 => Service::report(),
            _ => Service::send_port(self.random.one(&PORTS)),
        }
    }

    fn batch(&mut self, there: &[Instance], epoch: u64) -> Batch {
        let mut operations = Vec::new();
        for _ in 0..self.random.one(&[0, 1, 1, 1, 2, 2, 3, 6]) {
            let operation = self.operation(there, operations.is_empty());
            operations.push(operation);
        }
        if there.len() > MANY {
            for _ in 0..MANY / 3 {
                operations.push(Operation::Complete { instance: self.random.one(there).id });
            }
        }
        let epoch = match self.random.below(20) {
            0 => Some(epoch + 1),
            1..6 => Some(epoch),
            _ => None,
        };
        let durability = if self.random.percent(30) { Durability::Lazy } else { Durability::Sync };
        let batch = Batch { id: BatchId(self.id()), epoch, durability, operations };
        self.batches.push(batch.clone());
        if self.batches.len() > 30 {
            self.batches.remove(0);
        }
        batch
    }

    fn operation(&mut self, there: &[Instance], first: bool) -> Operation {
        let instance = self.target(there);
        match self.random.below(100) {
            0..32 => self.publish(there),
            32..38 => Operation::Complete { instance },
            38..44 => Operation::Release { instance },
            44..54 => Operation::Reschedule { instance, due: self.moment(), progress: self.progress(), failure: self.failure() },
            54..64 => {
                let failure = self.failure().unwrap_or(Failure {
                    code: "PTL0103".into(),
                    description: "x".into(),
                    adapter: None,
                    address: None,
                    at: BEGIN,
                });
                Operation::Suspend { instance, resumable: self.random.percent(70), form: self.form(), failure }
            }
            64..74 => Operation::Act {
                selection: self.selection(there),
                action: self.random.one(&[Action::Resume, Action::Resume, Action::Suspend, Action::Suspend, Action::Terminate]),
                at: self.now,
            },
            74..79 => Operation::Require { instance, suspended: self.random.percent(40) },
            79..85 => Operation::SetState {
                key: self.random.one(&STATES).into(),
                value: self.random.maybe(75, |r| r.one(&["1", "2", ""]).into()),
            },
            85..90 => Operation::RememberKey { scope: self.scope(), key: self.random.one(&KEYS).into(), at: self.now },
            90..93 => Operation::ForgetKey { scope: self.scope(), key: self.random.one(&KEYS).into() },
            93..96 => Operation::Event(self.event(instance)),
            96..97 => Operation::SetEpoch(self.random.below(4) as u64),
            // Whether a body is owned in the middle of a batch that lets it go is not promised.
            _ => match self.random.pick(&self.known.bodies) {
                Some(body) if first || !self.referred.contains(&body.id) => Operation::DiscardBody(body.id),
                _ => Operation::DiscardBody(BodyId(self.id())),
            },
        }
    }

    /// An instance: mostly one that is there.
    fn target(&mut self, there: &[Instance]) -> InstanceId {
        match self.random.pick(there) {
            Some(instance) if !self.random.percent(8) => instance.id,
            _ => match self.random.pick(&self.instances).copied() {
                Some(id) => id,
                None => InstanceId(self.id()),
            },
        }
    }

    fn publish(&mut self, there: &[Instance]) -> Operation {
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
        // Now and then the id of one that is gone is used again.
        let gone = self.random.pick(&self.instances).copied().filter(|id| there.iter().all(|instance| instance.id != *id));
        let id = match gone {
            Some(id) if self.random.percent(5) => id,
            _ => InstanceId(self.id()),
        };
        self.instances.push(id);
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
    fn moment(&mut self) -> Timestamp {
        let offset = self.random.one(&[0, 0, -5, 5, 30, 600]);
        let base = if self.random.percent(50) { self.now } else { BEGIN };
        Timestamp(base.0 + offset * 10_000_000)
    }

    fn progress(&mut self) -> Progress {
        Progress { transport: self.random.one(&[TransportRole::Primary, TransportRole::Backup]), attempts: self.random.below(5) as u32 }
    }

    fn form(&mut self) -> MessageForm {
        self.random.one(&[MessageForm::Wire, MessageForm::PostPipeline, MessageForm::Published])
    }

    fn failure(&mut self) -> Option<Failure> {
        let now = self.now;
        self.random.maybe(50, |r| Failure {
            code: r.one(&CODES).into(),
            description: r.one(&TEXTS).into(),
            adapter: r.maybe(50, |_| "FILE".into()),
            address: r.maybe(50, |_| "file:///out/größe".into()),
            at: now,
        })
    }

    fn scope(&mut self) -> SmolStr {
        self.random.one(&[SCOPE, "other"]).into()
    }

    fn event(&mut self, instance: InstanceId) -> Event {
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

    fn selection(&mut self, there: &[Instance]) -> Selection {
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

    fn query(&mut self, there: &[Instance]) -> Query {
        match self.random.below(10) {
            0..6 => {
                let selection = self.selection(there);
                let invented = Position { created: self.moment(), id: InstanceId(self.id()) };
                let real = self.random.pick(there).map(Position::from);
                let after = self.random.one(&[None, None, real, Some(invented)]);
                Query::Instances { selection, after, limit: self.random.one(&[0, 1, 2, 3, 7, usize::MAX]) }
            }
            6..8 => Query::Count(self.selection(there)),
            8 => Query::States { prefix: self.random.one(&["", "port", "port/", "port%", "P", "%"]).into() },
            _ => Query::Keys { scope: self.random.one(&[SCOPE, "other", "nobody"]).into() },
        }
    }
}
