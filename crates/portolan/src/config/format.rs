//! The configuration file as structs: their doc comments are the reference manual, their JSON Schema
//! is what editors and [`super::shape`] use. They hold what the file says; what it means is worked out
//! in [`super::resolve`].
//!
//! **Invariant:** reading never fails on a checked file: every key has a default here, and which keys
//! are required is said to the schema alone (`extend("required" = …)`).

use portolan_model::{
    artifact::{PortState, Stage},
    schedule::{Ordinal, Weekday},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Most retries of a transport (manual page "How to Configure Transport Advanced Options for a Send Port").
pub const RETRY_MAX: u32 = 1000;
/// How many messages a send port transmits at once unless told otherwise.
pub const CONCURRENCY: u32 = 16;
/// Where the management API listens unless told otherwise.
pub const MANAGEMENT_ADDRESS: &str = "127.0.0.1:4180";
/// What to say about a length of time that is not one.
pub const DURATION_HINT: &str = "write a number with its unit: `30s`, `5m`, `1h30m`, `1d`";
/// Where the MessageBox lives unless told otherwise, relative to the application folder.
pub const DATA_FOLDER: &str = ".portolan";

/// An application: everything that belongs to one integration, in one folder under version control.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "application", extend("required" = ["application"]))]
pub struct ApplicationFile {
    /// Name of the application.
    #[schemars(length(min = 1, max = 256))]
    pub application: String,
    /// What the application does, for people.
    pub description: Option<String>,
    /// Values for `${name}` in texts; `bindings/<environment>.yaml` may give others.
    pub variables: BTreeMap<String, Scalar>,
    /// Where messages come in.
    pub receive_ports: Vec<ReceivePort>,
    /// Where messages go.
    pub send_ports: Vec<SendPort>,
    /// Groups of send ports that share a filter.
    pub send_port_groups: Vec<SendPortGroup>,
    /// Pipelines besides the built-in `PassThruReceive`, `PassThruTransmit`, `XMLReceive`, `XMLTransmit`.
    pub pipelines: Vec<Pipeline>,
    /// Settings of the process that runs the application.
    pub server: Server,
}

/// `bindings/<environment>.yaml`: what differs in one environment. Keys given here replace those of
/// `application.yaml`, group by group; lists are replaced whole; `null` removes a key.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "bindings")]
pub struct BindingsFile {
    /// Values for `${name}` in texts.
    pub variables: BTreeMap<String, Scalar>,
    /// Receive locations by name, each with the keys to replace.
    pub receive_locations: BTreeMap<String, Map<String, Value>>,
    /// Send ports by name, each with the keys to replace.
    pub send_ports: BTreeMap<String, Map<String, Value>>,
    /// Send port groups by name, each with the keys to replace.
    pub send_port_groups: BTreeMap<String, Map<String, Value>>,
    /// Settings of the process that runs the application.
    pub server: Map<String, Value>,
}

/// A single value.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[allow(missing_docs)]
pub enum Scalar {
    Text(String),
    Number(f64),
    Flag(bool),
}

/// A receive port: the logical entry point that its locations share (manual page "Receive Ports and
/// Receive Locations").
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "receive port", extend("required" = ["name", "locations"]))]
pub struct ReceivePort {
    /// Unique name. Filters know it as `BTS.ReceivePortName`.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// What the port is for, for people.
    pub description: Option<String>,
    /// Inbound maps, each for its own source message type.
    pub maps: Vec<String>,
    /// Its receive locations. The first is the primary one unless another says `primary: true`.
    #[schemars(length(min = 1))]
    pub locations: Vec<ReceiveLocation>,
}

/// A receive location: one place messages come in, through one adapter and one pipeline. Exactly one
/// key names the adapter, for example `file`, with the adapter's settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "receive location", extend("required" = ["name"]))]
pub struct ReceiveLocation {
    /// Unique name among all locations of the application.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// What the location is for, for people.
    pub description: Option<String>,
    /// Whether this is the port's primary location.
    pub primary: Option<bool>,
    /// Whether it receives when the application is first deployed. An operator's later choice wins.
    #[serde(default = "yes")]
    #[schemars(default = "yes")]
    pub enabled: bool,
    /// Receive pipeline.
    #[schemars(default = "pass_thru_receive")]
    pub pipeline: Option<PipelineUse>,
    /// When it receives; outside, the source keeps its messages.
    pub schedule: Option<Schedule>,
}

/// A pipeline at one place: its name, or its name with overrides for this place.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "pipeline", inline)]
pub enum PipelineUse {
    /// Name of a pipeline.
    Name(String),
    /// A pipeline with settings that differ at this place.
    Overridden(PipelineOverrides),
}

/// A pipeline with settings that differ at this place ("per-instance pipeline configuration").
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "pipeline", extend("required" = ["name"]))]
pub struct PipelineOverrides {
    /// Name of a pipeline.
    pub name: String,
    /// Settings by component (its `id`, or its name where the pipeline has it once); they replace the
    /// pipeline's own, setting by setting.
    pub overrides: BTreeMap<String, Map<String, Value>>,
}

/// A pipeline: components in stages.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "pipeline", extend("required" = ["name", "kind"]))]
pub struct Pipeline {
    /// Unique name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Whether receive locations or send ports use it.
    #[schemars(with = "PipelineKind")]
    pub kind: Option<PipelineKind>,
    /// What the pipeline does, for people.
    pub description: Option<String>,
    /// Its components. They run in the order of their stages, within a stage in the order given here.
    pub components: Vec<Component>,
}

/// Which way a pipeline works.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum PipelineKind {
    /// For receive locations: stages `decode`, `disassemble`, `validate`, `resolve_party`.
    Receive,
    /// For send ports: stages `pre_assemble`, `assemble`, `encode`.
    Send,
}

/// A component in a stage of a pipeline.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "component", extend("required" = ["stage", "component"]))]
pub struct Component {
    /// Name for overrides, when the pipeline has the same component twice.
    pub id: Option<String>,
    /// The stage it runs in.
    #[schemars(with = "Stage")]
    pub stage: Option<Stage>,
    /// Which component, for example `xml-disassembler`.
    pub component: String,
    /// Its settings.
    pub settings: Map<String, Value>,
}

/// A send port: what it subscribes to and where it delivers (manual page "Send Ports and Send Port
/// Groups"). Exactly one key names the adapter, for example `http`, with the adapter's settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "send port", extend("required" = ["name"]))]
pub struct SendPort {
    /// Unique name. Filters know it as `BTS.SPName`.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// What the port is for, for people.
    pub description: Option<String>,
    /// State when the application is first deployed. An operator's later choice wins.
    pub state: PortState,
    /// Which messages it subscribes to, for example `Orders.Country == "DE" and Orders.Amount < 10000`.
    /// Without a filter it gets only what its groups subscribe to.
    pub filter: Option<String>,
    /// Outbound maps, each for its own source message type.
    pub maps: Vec<String>,
    /// Send pipeline.
    #[schemars(default = "pass_thru_transmit")]
    pub pipeline: Option<PipelineUse>,
    /// 1 (first) to 10 (last). Strict: messages of priority 1 can make those of priority 10 wait for ever.
    #[serde(default = "five")]
    #[schemars(default = "five", range(min = 1, max = 10))]
    pub priority: u8,
    /// How many messages may be in transmission at once.
    #[serde(default = "sixteen")]
    #[schemars(default = "sixteen", range(min = 1, max = 1000))]
    pub concurrency: u32,
    /// How often and how far apart delivery is tried again.
    pub retry: Retry,
    /// When it sends; outside, messages wait.
    pub schedule: Option<Schedule>,
    /// Where to deliver when all retries are used up.
    pub backup: Option<Backup>,
}

/// The backup transport of a send port. Exactly one key names the adapter.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "backup transport")]
pub struct Backup {
    /// How often and how far apart delivery is tried again.
    pub retry: Retry,
    /// When it sends; outside, messages wait.
    pub schedule: Option<Schedule>,
}

/// How often and how far apart delivery is tried again.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "retry")]
pub struct Retry {
    /// Retries after the first attempt.
    #[schemars(default = "three", range(max = 1000))]
    pub count: Option<u32>,
    /// Pause before each retry, for example `30s`, `5m`, `1h`; at most a year.
    #[schemars(default = "five_minutes", extend("x-hint" = DURATION_HINT))]
    pub interval: Option<String>,
}

/// A group of send ports that share a filter.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "send port group", extend("required" = ["name"]))]
pub struct SendPortGroup {
    /// Unique name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// What the group is for, for people.
    pub description: Option<String>,
    /// State when the application is first deployed. An operator's later choice wins.
    pub state: PortState,
    /// Which messages the group subscribes to on behalf of its members.
    pub filter: Option<String>,
    /// Names of the member send ports.
    pub members: Vec<String>,
}

/// When a location or port works. Without any key: always. All dates and times are local to `time_zone`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "schedule")]
pub struct Schedule {
    /// IANA name of the time zone, for example `Europe/Berlin`.
    #[schemars(default = "utc")]
    pub time_zone: Option<String>,
    /// Nothing happens before this moment, for example `2026-01-05` or `2026-01-05T08:00`.
    pub start: Option<String>,
    /// Nothing happens after this moment.
    pub stop: Option<String>,
    /// Service window: hours of the day. A window whose `from` is after its `to` spans midnight.
    pub window: Option<Window>,
    /// Opens every so many days.
    pub daily: Option<Daily>,
    /// Opens on days of the week.
    pub weekly: Option<Weekly>,
    /// Opens on days of the month.
    pub monthly: Option<Monthly>,
}

/// Hours of the day.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "window", extend("required" = ["from", "to"]))]
pub struct Window {
    /// First moment, for example `08:00`.
    #[schemars(extend("x-hint" = "write hours and minutes: `08:00`"))]
    pub from: String,
    /// Last moment (inclusive to the second), for example `17:59:59`.
    #[schemars(extend("x-hint" = "write hours and minutes: `18:00`"))]
    pub to: String,
}

/// Every so many days.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "daily recurrence", extend("required" = ["from"]))]
pub struct Daily {
    /// First day, for example `2026-01-05`.
    pub from: String,
    /// Days from one opening to the next.
    #[serde(default = "one")]
    #[schemars(default = "one", range(min = 1, max = 3650))]
    pub interval: u32,
}

/// On days of every so many weeks.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "weekly recurrence", extend("required" = ["from", "days"]))]
pub struct Weekly {
    /// First day, for example `2026-01-05`; its week is the first.
    pub from: String,
    /// Weeks from one opening to the next.
    #[serde(default = "one")]
    #[schemars(default = "one", range(min = 1, max = 520))]
    pub interval: u32,
    /// Days of the week.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub days: Vec<Weekday>,
}

/// On days of a month: either `days` and `last_day`, or `ordinals` with `weekdays` ("the second and the
/// last Tuesday").
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "monthly recurrence")]
pub struct Monthly {
    /// Months 1–12; none given: every month.
    #[schemars(inner(range(min = 1, max = 12)), extend("uniqueItems" = true))]
    pub months: Vec<u8>,
    /// Days of the month, 1–31; a day that a month lacks is passed over.
    #[schemars(inner(range(min = 1, max = 31)), extend("uniqueItems" = true))]
    pub days: Vec<u8>,
    /// Whether the last day of the month counts too.
    pub last_day: bool,
    /// Which ones of the `weekdays`.
    #[schemars(extend("uniqueItems" = true))]
    pub ordinals: Vec<Ordinal>,
    /// Days of the week, counted within the month by `ordinals`.
    #[schemars(extend("uniqueItems" = true))]
    pub weekdays: Vec<Weekday>,
}

/// Settings of the process that runs the application. The command line beats them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "server")]
pub struct Server {
    /// Where the management API listens. Keep it on the loopback interface.
    #[schemars(default = "management_address")]
    pub management_address: Option<String>,
    /// Folder of the MessageBox, relative to the application folder.
    #[schemars(default = "data_folder")]
    pub data_folder: Option<String>,
    /// How long a stopping server lets work under way finish.
    #[schemars(default = "thirty_seconds", extend("x-hint" = DURATION_HINT))]
    pub stop_timeout: Option<String>,
}

fn yes() -> bool {
    true
}
fn one() -> u32 {
    1
}
fn three() -> u32 {
    3
}
fn five() -> u8 {
    5
}
fn sixteen() -> u32 {
    CONCURRENCY
}
fn utc() -> &'static str {
    "UTC"
}
fn five_minutes() -> &'static str {
    "5m"
}
fn thirty_seconds() -> &'static str {
    "30s"
}
fn pass_thru_receive() -> &'static str {
    "PassThruReceive"
}
fn pass_thru_transmit() -> &'static str {
    "PassThruTransmit"
}
fn management_address() -> &'static str {
    MANAGEMENT_ADDRESS
}
fn data_folder() -> &'static str {
    DATA_FOLDER
}
