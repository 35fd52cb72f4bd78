//! Random requests. They are made from what the model store holds, so that most of them hit something,
//! and some hit what is gone, claimed, or never was.

use super::{
    super::harness::SCOPE,
    observe::{BEGIN, read_whole},
    random::Random,
    steps::Step,
};
use crate::{
    ask,
    batch::{Action, Batch, Durability, Operation},
    port::{Claim, MessageBox},
    query::{Position, Query, Selection},
};
use portolan_model::{
    BatchId, BodyId, BodyRef, InstanceId, MessageId, Timestamp,
    instance::{Failure, Instance},
};
use uuid::Uuid;

/// What there is to look for, also when it is gone; the newest.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) messages: Vec<MessageId>,
    pub(super) bodies: Vec<BodyRef>,
}

/// Makes requests.
pub(super) struct Generator {
    pub(super) known: Known,
    pub(super) random: Random,
    pub(super) now: Timestamp,
    last_id: u128,
    pub(super) instances: Vec<InstanceId>,
    batches: Vec<Batch>,
    /// Bodies that a publication referred to.
    pub(super) referred: Vec<BodyId>,
    /// Known bodies that are there, with their true lengths.
    pub(super) whole: Vec<BodyRef>,
}

pub(super) const PORTS: [&str; 3] = ["A", "B", "ß'%_"];
pub(super) const TYPES: [&str; 3] = ["urn:a#Order", "urn:a#order", "Invoice"];
pub(super) const CODES: [&str; 3] = ["PTL0102", "PTL0202", "PTL0203"];
pub(super) const TEXTS: [&str; 4] = ["Connection refused", "connection reset by %_'", "GRÖSSE größe", ""];
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

    pub(super) fn id(&mut self) -> Uuid {
        self.last_id += 1;
        // Unique by its low half, in no order by its high half: the order of ids must not matter.
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
