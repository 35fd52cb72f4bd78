//! Settings of the FILE adapter. The doc comments are the reference pages; this file must never do
//! anything with a setting but hold it (`check.rs` judges them).

use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// Default mask (manual page "File Adapter Configuration Properties").
pub const DEFAULT_MASK: &str = "*.xml";
/// Default file name of a send port.
pub const DEFAULT_FILE_NAME: &str = "%MessageID%.xml";

/// A FILE receive location: takes in the files of one folder and deletes each of them after it is
/// stored in the MessageBox (manual pages "File Adapter", "Configure the File adapter").
///
/// Only regular files directly in the folder are taken: no sub-folders, symbolic links, pipes or
/// devices, no names that begin with a dot (unless the mask does), no read-only files and no names that
/// end in `.BTS-WIP` or `.PTL-WIP`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiveSettings {
    /// The folder. A relative path starts at the application folder.
    pub folder: String,
    /// Which names to take: `*` stands for any characters, `?` for one, `[a-z]` for one of a range,
    /// `{xml,json}` for alternatives. Several masks may be given as a list. A mask is a name, not a path.
    #[serde(default = "default_mask")]
    pub mask: Masks,
    /// Whether masks distinguish upper and lower case. They do not by default, as in the reference
    /// product: `*.xml` takes `ORDER.XML`.
    #[serde(default)]
    pub mask_case_sensitive: bool,
    /// Most files in a batch. A batch is stored whole or not at all.
    #[serde(default = "default_batch_count")]
    #[schemars(range(min = 1, max = 256))]
    pub batch_count: u32,
    /// Most bytes in a batch; one larger file makes a batch of its own.
    #[serde(default = "default_batch_bytes")]
    #[schemars(range(min = 1_024, max = 104_857_600))]
    pub batch_bytes: u64,
    /// Batches under way at once. Files are taken in the order of their names; with more than one batch
    /// under way, neighbouring batches may be published in any order. 1 keeps the order.
    #[serde(default = "default_in_flight")]
    #[schemars(range(min = 1, max = 64))]
    pub max_batches_in_flight: u32,
    /// Pause, in milliseconds, between two looks at the folder. Between them the operating system tells
    /// the location of new files at once, except in a network folder.
    #[serde(default = "default_polling")]
    #[schemars(range(min = 100, max = 3_600_000))]
    pub polling_interval_ms: u64,
    /// Whether the folder is on another machine (NFS, SMB): changes are not announced then, so the
    /// location only polls, and clocks may differ, so a file counts as complete when it stays the same
    /// for the quiet period.
    #[serde(default)]
    pub network_folder: bool,
    /// How long, in milliseconds, a file must be unchanged before it is taken, unless it was moved into
    /// the folder: then it is taken at once. A file that a program still has open for writing is never
    /// taken, as far as the operating system shows it. Default 1000, in a network folder 5000.
    #[serde(default)]
    #[schemars(range(max = 3_600_000))]
    pub quiet_period_ms: Option<u64>,
    /// What to do with files of zero bytes.
    #[serde(default)]
    pub empty_files: EmptyFiles,
    /// Whether files are renamed to `NAME.PTL-WIP` while they are taken in, so that others see them, and
    /// so that a program which replaces files of the same name cannot get in the way. Required when
    /// several servers receive from one folder.
    #[serde(default)]
    pub rename_received_files: bool,
    /// How often the deletion of a received file is tried again before operators are told (PTL0303). It
    /// goes on being tried at every look at the folder; the file is not taken in twice.
    #[serde(default = "default_remove_retries")]
    #[schemars(range(max = 100))]
    pub remove_retry_count: u32,
    /// Pause, in milliseconds, before the first of these tries; it doubles with every try.
    #[serde(default = "default_remove_delay")]
    #[schemars(range(min = 1, max = 1_000))]
    pub remove_delay_ms: u64,
    /// Longest pause, in milliseconds, between two of these tries.
    #[serde(default = "default_remove_max")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub remove_max_interval_ms: u64,
    /// How often a folder that cannot be reached is tried again before the location is disabled. Without
    /// it the location never gives up and works again when the folder is back. (The reference product
    /// gives up at once for a local folder and after 5 tries for a network folder.)
    #[serde(default)]
    pub network_retry_count: Option<u32>,
    /// Pause, in seconds, between two of these tries. Default: the polling interval.
    #[serde(default)]
    #[schemars(range(min = 1, max = 86_400))]
    pub network_retry_interval_seconds: Option<u64>,
    /// Whether to create the folder when the location starts and it does not exist.
    #[serde(default)]
    pub create_folder: bool,
}

/// One mask or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Masks {
    /// One, for example `*.xml`.
    One(String),
    /// Several: a name that one of them matches is taken.
    Many(Vec<String>),
}

impl Masks {
    /// The masks.
    pub fn list(&self) -> &[String] {
        match self {
            Self::One(mask) => std::slice::from_ref(mask),
            Self::Many(masks) => masks,
        }
    }
}

/// What to do with files of zero bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmptyFiles {
    /// Delete them, with event PTL0306, once they are unchanged for 30 seconds (manual page "Known Issues
    /// with the File Adapter": "deletes zero byte files by design").
    #[default]
    Delete,
    /// Leave them alone.
    Leave,
    /// Take them in as messages with an empty body.
    Receive,
}

/// A FILE send port: writes the body of each message to a file (manual pages "File Adapter",
/// "Configure the File adapter"). A message counts as delivered when its file and the folder entry are
/// on disk.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendSettings {
    /// The folder. A relative path starts at the application folder.
    pub folder: String,
    /// The file name, with macros: `%MessageID%`, `%SourceFileName%`, `%datetime%`, `%datetime_bts2000%`,
    /// `%datetime.tz%`, `%time%`, `%time.tz%`, `%SourceParty%`, `%SourcePartyQualifier%`,
    /// `%DestinationParty%`, `%DestinationPartyQualifier%`, and `%{Prefix.Name}%` for any context
    /// property, for example `%{BTS.ReceivePortName}%`. A macro whose value is missing or cannot stand in
    /// a file name is left as it is (manual page "Restrictions when configuring the File adapter").
    /// `FILE.TargetFileName` in the message's context takes the place of this setting.
    #[serde(default = "default_file_name")]
    pub file_name: String,
    /// What to do when the file exists. `FILE.CopyMode` in the message's context (0 append, 1 create new,
    /// 2 overwrite) takes the place of this setting.
    #[serde(default)]
    pub copy_mode: CopyMode,
    /// Whether to write to a temporary file of another name in the same folder first and rename it when
    /// it is complete and synced, so that nobody ever sees half a file. Not used for `append`.
    /// `FILE.UseTempFileOnWrite` in the message's context takes the place of this setting. (On by
    /// default, other than in the reference product.)
    #[serde(default = "default_true")]
    pub use_temp_file: bool,
    /// `true` counts a message as delivered when the operating system has it, before it is on disk:
    /// faster, and **a power cut loses messages**. `FILE.AllowCacheOnWrite` in the message's context
    /// takes the place of this setting.
    #[serde(default)]
    pub allow_cache_on_write: bool,
    /// Files written at once by this port. Files written at the same time share syncs of the folder.
    #[serde(default = "default_writes")]
    #[schemars(range(min = 1, max = 128))]
    pub max_concurrent_writes: u32,
    /// Zone of `%datetime.tz%` and `%time.tz%`, for example `Europe/Berlin`. Default: the machine's.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Whether to create the folder when it does not exist.
    #[serde(default)]
    pub create_folder: bool,
}

/// What to do when the file exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CopyMode {
    /// Write the message at its end; create it if it does not exist.
    Append,
    /// The delivery fails and is tried again by the port's retry rules.
    #[default]
    CreateNew,
    /// Replace it.
    Overwrite,
}

impl ReceiveSettings {
    /// How long a file must be unchanged before it is taken.
    pub fn quiet_period(&self) -> Duration {
        Duration::from_millis(self.quiet_period_ms.unwrap_or(if self.network_folder { 5_000 } else { 1_000 }))
    }
    /// Pause between two looks at the folder.
    pub fn polling_interval(&self) -> Duration {
        Duration::from_millis(self.polling_interval_ms)
    }
    /// Pause between two tries to reach the folder.
    pub fn folder_retry_interval(&self) -> Duration {
        self.network_retry_interval_seconds.map_or(self.polling_interval(), Duration::from_secs)
    }
}

fn default_mask() -> Masks {
    Masks::One(DEFAULT_MASK.to_owned())
}
fn default_batch_count() -> u32 {
    20
}
fn default_batch_bytes() -> u64 {
    102_400
}
fn default_in_flight() -> u32 {
    4
}
fn default_polling() -> u64 {
    5_000
}
fn default_remove_retries() -> u32 {
    5
}
fn default_remove_delay() -> u64 {
    10
}
fn default_remove_max() -> u64 {
    300_000
}
fn default_file_name() -> String {
    DEFAULT_FILE_NAME.to_owned()
}
fn default_writes() -> u32 {
    32
}
fn default_true() -> bool {
    true
}
