//! What can be asked of a store. Queries never wait for the writer and never slow it.

use portolan_model::{
    InstanceId, Message, MessageId, SmolStr, Timestamp,
    instance::{Instance, InstanceState, Service, ServiceClass},
    system::bts,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How many events a store keeps at least; older ones make room, before there are a tenth more.
pub const EVENTS_KEPT: usize = 100_000;

/// Which instances are meant: every condition given must hold. The default selects all instances.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// These instances only (empty: no condition).
    pub ids: Vec<InstanceId>,
    /// State.
    pub state: Option<StateFilter>,
    /// Kind of service.
    pub class: Option<ServiceClass>,
    /// Name of the send port or receive port.
    pub service: Option<SmolStr>,
    /// Code of the last failure, for example `PTL0102`.
    pub code: Option<SmolStr>,
    /// `BTS.MessageType` of the message, promoted or not.
    pub message_type: Option<SmolStr>,
    /// Text inside the description of the last failure, any case (ASCII).
    pub text: Option<String>,
    /// Created at or after this moment.
    pub since: Option<Timestamp>,
    /// Created before this moment.
    pub until: Option<Timestamp>,
    /// The message carried.
    pub message: Option<MessageId>,
    /// Instances that are about this one (routing failure reports).
    pub about: Option<InstanceId>,
}

impl Selection {
    /// These instances.
    #[must_use]
    pub fn of(ids: impl IntoIterator<Item = InstanceId>) -> Self {
        Self { ids: ids.into_iter().collect(), ..Self::default() }
    }

    /// Whether an instance is meant. `message` is asked only when the message type matters. The one
    /// place that says what a selection means: stores may narrow down by other ways first, but must
    /// agree with it.
    pub fn matches(&self, instance: &Instance, message: impl FnOnce() -> Option<Arc<Message>>) -> bool {
        let failure = instance.failure.as_ref();
        (self.ids.is_empty() || self.ids.contains(&instance.id))
            && self.state.is_none_or(|state| state.matches(instance.state))
            && self.class.is_none_or(|class| class == instance.service.class)
            && self.service.as_ref().is_none_or(|name| *name == instance.service.name)
            && self.code.as_ref().is_none_or(|code| failure.is_some_and(|f| f.code == *code))
            && self.text.as_ref().is_none_or(|text| failure.is_some_and(|f| contains_any_case(&f.description, text)))
            && self.since.is_none_or(|since| instance.created >= since)
            && self.until.is_none_or(|until| instance.created < until)
            && self.message.is_none_or(|message| message == instance.message)
            && self.about.is_none_or(|about| instance.about == Some(about))
            && self.message_type.as_ref().is_none_or(|wanted| message().is_some_and(|m| m.context.text(&bts::MESSAGE_TYPE) == Some(wanted)))
    }
}

/// Whether `text` contains `part`, ASCII letters in any case.
fn contains_any_case(text: &str, part: &str) -> bool {
    part.is_empty() || text.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

/// Place of an instance in the order of creation: by moment, then by id. It stays a place when the
/// instance is gone, so that paging goes on while instances come and go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Position {
    /// [`Instance::created`].
    pub created: Timestamp,
    /// [`Instance::id`].
    pub id: InstanceId,
}

impl From<&Instance> for Position {
    fn from(instance: &Instance) -> Self {
        Self { created: instance.created, id: instance.id }
    }
}

/// A condition on the state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum StateFilter {
    Ready,
    Scheduled,
    /// Either suspended state.
    Suspended,
    SuspendedResumable,
    SuspendedNotResumable,
}

impl StateFilter {
    /// Whether a state is meant.
    #[must_use]
    pub fn matches(self, state: InstanceState) -> bool {
        match self {
            Self::Ready => state == InstanceState::Ready,
            Self::Scheduled => state == InstanceState::Scheduled,
            Self::Suspended => state.is_suspended(),
            Self::SuspendedResumable => state == InstanceState::SuspendedResumable,
            Self::SuspendedNotResumable => state == InstanceState::SuspendedNotResumable,
        }
    }
}

/// A question. [`crate::ask`] asks each with its own type of answer.
#[derive(Clone, PartialEq, Debug)]
pub enum Query {
    /// Instances in order of their [`Position`], newest first.
    Instances {
        /// Which.
        selection: Selection,
        /// Only instances after (older than) this place: the last of the page before.
        after: Option<Position>,
        /// At most so many.
        limit: usize,
    },
    /// How many instances match.
    Count(Selection),
    /// One message.
    Message(MessageId),
    /// Event log, newest first; the newest [`EVENTS_KEPT`] are there.
    Events {
        /// Only events with a smaller sequence number (paging).
        before: Option<u64>,
        /// Only events with a greater sequence number (following).
        after: Option<u64>,
        /// At most so many.
        limit: usize,
    },
    /// Named states with this prefix, in order of key.
    States {
        /// Prefix of the key.
        prefix: String,
    },
    /// Receive keys of a scope, in order of key: what to clean up after a crash.
    Keys {
        /// Scope.
        scope: SmolStr,
    },
    /// Counts by service and state, in order of service; services without instances are left out.
    Services,
    /// The artifact epoch the store is in.
    Epoch,
}

/// An answer, of the variant that fits the question.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)]
pub enum Answer {
    Instances(Vec<Instance>),
    Count(u64),
    Message(Option<Arc<Message>>),
    Events(Vec<EventRecord>),
    States(Vec<(String, String)>),
    Keys(Vec<String>),
    Services(Vec<ServiceCount>),
    Epoch(u64),
}

/// How serious an event is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Severity {
    Information,
    Warning,
    Error,
}

/// Something operators must know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// How serious.
    pub severity: Severity,
    /// Code, for example `PTL0301`.
    pub code: SmolStr,
    /// Artifact concerned: port, location; empty for the host itself.
    pub source: SmolStr,
    /// What happened, in words.
    pub text: String,
    /// Message concerned.
    pub message: Option<MessageId>,
    /// Instance concerned.
    pub instance: Option<InstanceId>,
}

/// An event with its place in the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EventRecord {
    /// Sequence number, growing; there may be gaps.
    pub sequence: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// Instances of one service by state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServiceCount {
    /// The service.
    pub service: Service,
    /// Ready, claimed or not.
    pub ready: u64,
    /// Scheduled, claimed or not.
    pub scheduled: u64,
    /// Suspended (resumable).
    pub suspended_resumable: u64,
    /// Suspended (not resumable).
    pub suspended_not_resumable: u64,
}
