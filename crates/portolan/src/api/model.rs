//! What the management API says, as data: written by the server, read by the command line and by other
//! programs. Moments are RFC 3339 text in UTC, ids are GUIDs, sizes are bytes.

#![allow(missing_docs)] // Field names are the words of the product; those that need more say it.

use portolan_model::{
    Message, Timestamp,
    instance::{Instance, InstanceState, MessageForm, ServiceClass},
    property::Kind,
};
use portolan_runtime::{GroupView, LocationStatus, LocationView, PortView};
use portolan_store::{EventRecord, Severity};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    pub application: String,
    pub version: String,
    pub pid: u32,
    pub started: String,
    /// `working`, or what is wrong with the MessageBox.
    pub messagebox: String,
    pub locations_running: usize,
    pub locations: usize,
    pub ports_started: usize,
    pub ports: usize,
    pub services: Vec<ServiceLine>,
}

/// Instances of one service by state.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServiceLine {
    pub class: String,
    pub service: String,
    pub ready: u64,
    pub scheduled: u64,
    pub suspended: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Location {
    pub name: String,
    pub port: String,
    pub adapter: String,
    pub address: String,
    pub pipeline: String,
    pub enabled: bool,
    /// `running`, `disabled`, `outside schedule`, `failing` or `broken`.
    pub status: String,
    /// Why it fails.
    pub reason: Option<String>,
}

impl From<LocationView> for Location {
    fn from(view: LocationView) -> Self {
        let (status, reason) = match view.status {
            LocationStatus::Disabled => ("disabled", None),
            LocationStatus::OutsideSchedule => ("outside schedule", None),
            LocationStatus::Running => ("running", None),
            LocationStatus::Failing(reason) => ("failing", Some(reason.to_string())),
            LocationStatus::Broken(reason) => ("broken", Some(reason.to_string())),
        };
        Self {
            name: view.name.into(),
            port: view.port.into(),
            adapter: view.adapter.into(),
            address: view.address,
            pipeline: view.pipeline.into(),
            enabled: view.enabled,
            status: status.to_owned(),
            reason,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Port {
    pub name: String,
    /// `unenlisted`, `stopped` or `started`.
    pub state: String,
    pub adapter: String,
    pub address: String,
    pub backup: Option<String>,
    pub filter: String,
    /// Messages in transmission now.
    pub sending: u32,
    pub ready: u64,
    pub scheduled: u64,
    pub suspended: u64,
}

impl Port {
    pub fn new(view: PortView, counts: Option<&ServiceLine>) -> Self {
        let of = |f: fn(&ServiceLine) -> u64| counts.map_or(0, f);
        Self {
            name: view.name.into(),
            state: portolan_runtime::server::state_text(view.state).to_owned(),
            adapter: view.adapter.into(),
            address: view.address,
            backup: view.backup,
            filter: view.filter,
            sending: view.active,
            ready: of(|c| c.ready),
            scheduled: of(|c| c.scheduled),
            suspended: of(|c| c.suspended),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Group {
    pub name: String,
    pub state: String,
    pub members: Vec<String>,
    pub filter: String,
}

impl From<GroupView> for Group {
    fn from(view: GroupView) -> Self {
        Self {
            name: view.name.into(),
            state: portolan_runtime::server::state_text(view.state).to_owned(),
            members: view.members.into_iter().map(Into::into).collect(),
            filter: view.filter,
        }
    }
}

/// A suspended instance in a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Suspended {
    pub id: String,
    pub message: String,
    /// `send_port`, `receive_port` or `routing_failure_report`.
    pub class: String,
    pub service: String,
    pub resumable: bool,
    /// Form the message is kept in: `wire`, `post_pipeline` or `published`.
    pub form: String,
    pub created: String,
    pub code: Option<String>,
    pub failed: Option<String>,
    pub description: Option<String>,
    pub adapter: Option<String>,
    pub address: Option<String>,
    /// Failed attempts on the last transport.
    pub attempts: u32,
    /// Send port group whose subscription matched.
    pub group: Option<String>,
    /// The instance this one tells about or was edited from.
    pub about: Option<String>,
}

impl From<&Instance> for Suspended {
    fn from(instance: &Instance) -> Self {
        let failure = instance.failure.as_ref();
        Self {
            id: instance.id.to_string(),
            message: instance.message.to_string(),
            class: class(instance.service.class).to_owned(),
            service: instance.service.name.to_string(),
            resumable: instance.state == InstanceState::SuspendedResumable,
            form: form(instance.form).to_owned(),
            created: instance.created.short(),
            code: failure.map(|f| f.code.to_string()),
            failed: failure.map(|f| f.at.short()),
            description: failure.map(|f| f.description.clone()),
            adapter: failure.and_then(|f| f.adapter.as_ref().map(ToString::to_string)),
            address: failure.and_then(|f| f.address.clone()),
            attempts: instance.progress.attempts,
            group: instance.group.as_ref().map(ToString::to_string),
            about: instance.about.map(|i| i.to_string()),
        }
    }
}

/// A page of suspended instances, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SuspendedPage {
    pub items: Vec<Suspended>,
    /// All that match, on all pages.
    pub total: u64,
    /// What to give as `after` for the next page.
    pub next: Option<String>,
}

/// A suspended instance with its message.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SuspendedDetail {
    #[serde(flatten)]
    pub instance: Suspended,
    pub context: Vec<Property>,
    pub parts: Vec<Part>,
    /// Beginning of the body, if it is text.
    pub preview: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Property {
    pub name: String,
    pub namespace: String,
    pub value: String,
    /// `written`, `promoted` or `distinguished`.
    pub kind: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Part {
    pub name: String,
    pub body: bool,
    pub content_type: Option<String>,
    pub charset: Option<String>,
    pub size: u64,
}

/// Context of a message. `hidden` says whether a property's value is sensitive.
pub fn context(message: &Message, hidden: impl Fn(&portolan_model::Name) -> bool) -> Vec<Property> {
    let show = |p: &portolan_model::Property| Property {
        name: p.name.to_string(),
        namespace: p.name.namespace.to_string(),
        value: if hidden(&p.name) { "***".to_owned() } else { p.value.to_string() },
        kind: match p.kind {
            Kind::Written => "written",
            Kind::Promoted => "promoted",
            Kind::Distinguished => "distinguished",
        }
        .to_owned(),
    };
    message.context.iter().map(show).collect()
}

/// Parts of a message.
pub fn parts(message: &Message) -> Vec<Part> {
    let show = |(at, part): (usize, &portolan_model::Part)| Part {
        name: part.name.to_string(),
        body: at == usize::from(message.body_index),
        content_type: part.content_type.as_ref().map(ToString::to_string),
        charset: part.charset.as_ref().map(ToString::to_string),
        size: part.content.len(),
    };
    message.parts.iter().enumerate().map(show).collect()
}

/// Which suspended instances are meant; every condition given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SuspendedFilter {
    /// These instances only, separated by commas.
    pub ids: Option<String>,
    /// Name of the send port or receive port.
    pub service: Option<String>,
    /// `send_port`, `receive_port` or `routing_failure_report`.
    pub class: Option<String>,
    /// Error code, for example `PTL0102`.
    pub code: Option<String>,
    /// `BTS.MessageType`.
    pub message_type: Option<String>,
    /// Text inside the error description, any case.
    pub text: Option<String>,
    /// Suspended at or after this moment (RFC 3339).
    pub since: Option<String>,
    /// Suspended before this moment (RFC 3339).
    pub until: Option<String>,
    /// `true`: resumable only; `false`: not resumable only.
    pub resumable: Option<bool>,
    /// Actions only: `true` means every suspended instance. An action needs this or a condition.
    pub all: Option<bool>,
    /// `next` of the page before.
    pub after: Option<String>,
    /// Length of the page; default 50, at most 1000.
    pub limit: Option<usize>,
}

/// How many instances an action changed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    pub changed: u64,
}

/// The state something has now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NewState {
    pub state: String,
}

/// The messages an edited message was published as.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Resubmitted {
    pub messages: Vec<String>,
}

/// Which events.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventFilter {
    /// Only events with a smaller sequence number.
    pub before: Option<u64>,
    /// Only events with a greater sequence number.
    pub after: Option<u64>,
    /// At most so many; default 50, at most 1000.
    pub limit: Option<usize>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Event {
    pub sequence: u64,
    pub at: String,
    /// `information`, `warning` or `error`.
    pub severity: String,
    pub code: String,
    pub source: String,
    pub text: String,
    pub message: Option<String>,
    pub instance: Option<String>,
}

impl From<EventRecord> for Event {
    fn from(record: EventRecord) -> Self {
        let event = record.event;
        Self {
            sequence: record.sequence,
            at: event.at.short(),
            severity: match event.severity {
                Severity::Information => "information",
                Severity::Warning => "warning",
                Severity::Error => "error",
            }
            .to_owned(),
            code: event.code.into(),
            source: event.source.into(),
            text: event.text,
            message: event.message.map(|m| m.to_string()),
            instance: event.instance.map(|i| i.to_string()),
        }
    }
}

/// The word for a service class.
pub fn class(class: ServiceClass) -> &'static str {
    match class {
        ServiceClass::SendPort => "send_port",
        ServiceClass::ReceivePort => "receive_port",
        ServiceClass::RoutingFailureReport => "routing_failure_report",
    }
}

fn form(form: MessageForm) -> &'static str {
    match form {
        MessageForm::Wire => "wire",
        MessageForm::PostPipeline => "post_pipeline",
        MessageForm::Published => "published",
    }
}

/// Reads a moment of a filter.
///
/// # Errors
/// What is wrong with it.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text, &portolan_model::time::TimeZone::UTC)
        .map_err(|error| format!("\"{text}\" is not a moment such as 2026-05-01T08:00:00Z: {error}"))
}
