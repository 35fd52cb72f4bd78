//! What can be asked of a store. Queries never wait for the writer and never slow it.

use portolan_model::{
    InstanceId, Message, MessageId, SmolStr, Timestamp,
    instance::{Instance, Service, ServiceClass},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

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
    /// `BTS.MessageType` of the message.
    pub message_type: Option<SmolStr>,
    /// Text inside the failure description, any case (ASCII).
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

/// A question.
#[derive(Clone, PartialEq, Debug)]
pub enum Query {
    /// Instances in order of creation, newest first.
    Instances {
        /// Which.
        selection: Selection,
        /// Only instances after this one in the same order (the last of the page before).
        after: Option<InstanceId>,
        /// At most so many.
        limit: usize,
    },
    /// How many instances match.
    Count(Selection),
    /// One message.
    Message(MessageId),
    /// Event log, newest first.
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
    /// Counts by service and state.
    Services,
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
    /// Sequence number, growing.
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
    /// Ready or claimed.
    pub ready: u64,
    /// Scheduled.
    pub scheduled: u64,
    /// Suspended (resumable).
    pub suspended_resumable: u64,
    /// Suspended (not resumable).
    pub suspended_not_resumable: u64,
}
