//! Service instances: one message on its way to one subscriber, or kept because something failed
//! (manual pages "Service Instance States", "Types of Message Failures").

use crate::{
    id::{InstanceId, MessageId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// What kind of service an instance belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceClass {
    /// A message to be delivered by a send port.
    SendPort,
    /// A message a receive port could not take in.
    ReceivePort,
    /// A routing failure report: context snapshot of a message nobody subscribed to.
    RoutingFailureReport,
}

/// The service an instance belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Service {
    /// Kind of service.
    pub class: ServiceClass,
    /// Name of the send port or receive port; empty for reports.
    pub name: SmolStr,
}

impl Service {
    /// The service of a send port.
    pub fn send_port(name: impl Into<SmolStr>) -> Self {
        Self { class: ServiceClass::SendPort, name: name.into() }
    }
    /// The service of a receive port.
    pub fn receive_port(name: impl Into<SmolStr>) -> Self {
        Self { class: ServiceClass::ReceivePort, name: name.into() }
    }
    /// The service of routing failure reports.
    #[must_use]
    pub fn report() -> Self {
        Self { class: ServiceClass::RoutingFailureReport, name: SmolStr::new_static("") }
    }
}

/// State of an instance. *Active* is not stored: it means that a host instance has claimed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// To be worked on as soon as possible.
    Ready,
    /// Waiting for a moment: a retry or a service window. The moment is [`Instance::due`].
    Scheduled,
    /// Suspended; an operator may resume it.
    SuspendedResumable,
    /// Suspended; it can only be saved and terminated.
    SuspendedNotResumable,
}

impl InstanceState {
    /// Whether an operator sees it in the suspended list.
    #[must_use]
    pub fn is_suspended(self) -> bool {
        matches!(self, Self::SuspendedResumable | Self::SuspendedNotResumable)
    }
}

/// The form in which the message is kept, which decides where a resume starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageForm {
    /// As it came over the wire; a resume runs the receive pipeline again.
    Wire,
    /// After the receive pipeline and inbound map; a resume publishes it directly.
    PostPipeline,
    /// As published; a resume runs the outbound map and send pipeline.
    #[default]
    Published,
}

/// Which transport of the send port comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransportRole {
    /// The port's own transport.
    #[default]
    Primary,
    /// The transport used when the primary's retries are exhausted.
    Backup,
}

/// How far delivery has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Which transport comes next.
    pub transport: TransportRole,
    /// Failed attempts on that transport so far.
    pub attempts: u32,
}

/// Why an instance failed last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// Error code, for example `PTL0102`.
    pub code: SmolStr,
    /// What happened, in words; also the suspended message's description.
    pub description: String,
    /// Adapter involved, if any.
    pub adapter: Option<SmolStr>,
    /// Address involved: receive location URI or destination.
    pub address: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// One service instance, as stored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// Identity.
    pub id: InstanceId,
    /// The service it belongs to.
    pub service: Service,
    /// The message it carries.
    pub message: MessageId,
    /// State.
    pub state: InstanceState,
    /// When a scheduled instance becomes ready; when a ready one did.
    pub due: Timestamp,
    /// 1 (highest) to 10.
    pub priority: u8,
    /// Form of the kept message.
    pub form: MessageForm,
    /// How far delivery has come.
    pub progress: Progress,
    /// When the instance came to be.
    pub created: Timestamp,
    /// The last failure.
    pub failure: Option<Failure>,
    /// The group whose subscription matched, if it was a group's.
    pub group: Option<SmolStr>,
    /// The instance this one tells about (a report tells about a suspended message), or the suspended
    /// instance this message was edited from.
    pub about: Option<InstanceId>,
}

impl Instance {
    /// A ready instance of a published message.
    #[must_use]
    pub fn ready(id: InstanceId, service: Service, message: MessageId, now: Timestamp, priority: u8) -> Self {
        Self {
            id,
            service,
            message,
            state: InstanceState::Ready,
            due: now,
            priority,
            form: MessageForm::Published,
            progress: Progress::default(),
            created: now,
            failure: None,
            group: None,
            about: None,
        }
    }

    /// A suspended instance.
    #[must_use]
    pub fn suspended(self, resumable: bool, form: MessageForm, failure: Failure) -> Self {
        let state = if resumable { InstanceState::SuspendedResumable } else { InstanceState::SuspendedNotResumable };
        Self { state, form, failure: Some(failure), ..self }
    }
}
