//! Artifacts: what an application consists of. These are the checked, resolved forms the engine and
//! the runtime work with; the configuration files are read by the `portolan` crate.

use crate::{filter::Filter, schedule::Schedule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::{fmt, time::Duration};

/// How an adapter is to reach one place: its name and its settings. `Debug` leaves the settings out:
/// they may hold resolved secrets.
#[derive(Clone, PartialEq)]
pub struct Transport {
    /// Catalogue name of the adapter, for example `file`.
    pub adapter: SmolStr,
    /// Transport address (URI) shown to people and written to the context.
    pub address: String,
    /// The adapter's own settings, checked against its schema.
    pub settings: serde_json::Value,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("adapter", &self.adapter).field("address", &self.address).finish_non_exhaustive()
    }
}

/// A pipeline as it is used at one place: stages with their components.
#[derive(Clone, PartialEq, Debug)]
pub struct PipelineRef {
    /// Name of the pipeline, for example `XMLReceive`.
    pub name: SmolStr,
    /// The components in execution order.
    pub components: Vec<ComponentRef>,
}

/// A component inside a pipeline, with its settings at this place (per-instance overrides applied).
#[derive(Clone, PartialEq, Debug)]
pub struct ComponentRef {
    /// The stage it runs in.
    pub stage: Stage,
    /// Catalogue name of the component, for example `xml-disassembler`.
    pub component: SmolStr,
    /// The component's settings.
    pub settings: serde_json::Value,
}

/// Pipeline stages in execution order (manual page "Pipeline Stages").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Stage {
    Decode,
    Disassemble,
    Validate,
    ResolveParty,
    PreAssemble,
    Assemble,
    Encode,
}

impl Stage {
    /// Whether the stage belongs to receive pipelines; the others belong to send pipelines.
    #[must_use]
    pub fn is_receive(self) -> bool {
        self <= Self::ResolveParty
    }
}

/// A receive port: the logical entry point that its locations share.
#[derive(Clone, PartialEq, Debug)]
pub struct ReceivePort {
    /// Unique name, at most 256 characters.
    pub name: SmolStr,
    /// For people.
    pub description: Option<String>,
    /// Names of the inbound maps, each for its own source message type.
    pub maps: Vec<SmolStr>,
    /// Its locations.
    pub locations: Vec<ReceiveLocation>,
}

/// A receive location: one place messages come in, through one adapter and one pipeline.
#[derive(Clone, PartialEq, Debug)]
pub struct ReceiveLocation {
    /// Unique name, at most 128 characters.
    pub name: SmolStr,
    /// For people.
    pub description: Option<String>,
    /// Whether this is the port's primary location.
    pub primary: bool,
    /// Whether it is enabled when the application is first deployed. An operator's later choice wins.
    pub enabled: bool,
    /// Adapter, address, settings.
    pub transport: Transport,
    /// Receive pipeline.
    pub pipeline: PipelineRef,
    /// When it works.
    pub schedule: Schedule,
}

/// How often and how far apart a transport is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// Retries after the first attempt, 0–1000; default 3.
    pub count: u32,
    /// Pause before each retry; default 5 minutes.
    pub interval: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { count: 3, interval: Duration::from_secs(300) }
    }
}

/// One transport of a send port: primary or backup.
#[derive(Clone, PartialEq, Debug)]
pub struct SendTransport {
    /// Adapter, address, settings.
    pub transport: Transport,
    /// Retry count and interval.
    pub retry: RetryPolicy,
    /// When it may send; outside, messages wait.
    pub schedule: Schedule,
}

/// A send port: a filter, maps, a pipeline, and where to deliver.
#[derive(Clone, PartialEq, Debug)]
pub struct SendPort {
    /// Unique name, at most 256 characters.
    pub name: SmolStr,
    /// For people.
    pub description: Option<String>,
    /// State on first deployment. An operator's later choice wins.
    pub state: PortState,
    /// What it subscribes to, besides messages addressed to it.
    pub filter: Filter,
    /// Names of the outbound maps, each for its own source message type.
    pub maps: Vec<SmolStr>,
    /// Send pipeline.
    pub pipeline: PipelineRef,
    /// Where to deliver.
    pub primary: SendTransport,
    /// Where to deliver when the primary transport's retries are exhausted.
    pub backup: Option<SendTransport>,
    /// 1 (highest) to 10 (lowest); default 5. Strict: a lower priority can starve.
    pub priority: u8,
    /// How many messages may be in transmission at once.
    pub concurrency: u32,
}

/// A group of send ports that share a filter.
#[derive(Clone, PartialEq, Debug)]
pub struct SendPortGroup {
    /// Unique name.
    pub name: SmolStr,
    /// For people.
    pub description: Option<String>,
    /// State on first deployment.
    pub state: PortState,
    /// What the group subscribes to on behalf of its members.
    pub filter: Filter,
    /// Names of the member send ports.
    pub members: Vec<SmolStr>,
}

/// State of a send port or send port group (manual page "Send Ports and Send Port Groups").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PortState {
    /// *Bound*: no subscription; matching messages are not captured.
    Unenlisted,
    /// *Enlisted*: matching messages are captured and suspended.
    Stopped,
    /// Matching messages are delivered.
    #[default]
    Started,
}

/// A whole application, checked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Application {
    /// Name.
    pub name: SmolStr,
    /// Receive ports.
    pub receive_ports: Vec<ReceivePort>,
    /// Send ports.
    pub send_ports: Vec<SendPort>,
    /// Send port groups.
    pub send_port_groups: Vec<SendPortGroup>,
}
