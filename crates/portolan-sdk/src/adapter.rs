//! Adapters: how messages come in and go out.

use crate::{batch::Proxy, body::Body, error::AdapterError};
use async_trait::async_trait;
use portolan_model::{Context, InstanceId, MessageId, SmolStr, Timestamp};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::watch;

/// Which way an adapter is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Direction {
    /// At a receive location.
    Receive,
    /// At a send port.
    Send,
}

/// What an adapter declares of itself; absence is declared, not discovered.
#[derive(Clone, Debug)]
pub struct AdapterSpec {
    /// Catalogue name and key in the configuration, for example `file`.
    pub name: &'static str,
    /// `BTS.InboundTransportType`, for example `FILE`.
    pub transport_type: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// JSON Schema of receive settings; `None` when it cannot receive.
    pub receive: Option<serde_json::Value>,
    /// JSON Schema of send settings; `None` when it cannot send.
    pub send: Option<serde_json::Value>,
    /// What an acknowledged message can rely on, for example "at least once".
    pub guarantee: &'static str,
}

/// Where an adapter lives: what it may need besides its settings.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Name of the receive location or send port, for messages.
    pub artifact: SmolStr,
    /// Folder that relative paths start from: the application folder.
    pub base: PathBuf,
}

/// A mistake in settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where, as keys from the settings' root, for example `["folder"]`.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Only a warning: the application may still run.
    pub warning: bool,
}

/// Result of checking settings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Checked {
    /// The transport address (URI) shown to people, unique per location; without secrets.
    pub address: String,
    /// Mistakes.
    pub problems: Vec<Problem>,
}

/// An adapter: one object per process, shared by all its locations and ports, so that it can share
/// listeners, connections and watchers.
#[async_trait]
pub trait Adapter: Send + Sync {
    /// What it declares of itself.
    fn spec(&self) -> AdapterSpec;

    /// Checks settings beyond their JSON Schema (folders that must exist, names that cannot be) and
    /// gives the address. `base` is the application folder.
    fn check(&self, direction: Direction, settings: &serde_json::Value, base: &Path) -> Checked;

    /// A receiver for one location.
    ///
    /// # Errors
    /// When the settings cannot be used.
    fn receiver(&self, settings: &serde_json::Value, setup: Setup) -> Result<Box<dyn ReceiveAdapter>, AdapterError>;

    /// A sender for one port.
    ///
    /// # Errors
    /// When the settings cannot be used.
    fn sender(&self, settings: &serde_json::Value, setup: Setup) -> Result<Arc<dyn SendAdapter>, AdapterError>;
}

/// Tells a receiver to stop: becomes true once and stays so.
pub type Stop = watch::Receiver<bool>;

/// Receives for one enabled location.
#[async_trait]
pub trait ReceiveAdapter: Send {
    /// Receives until told to stop; returns after the last batch is answered. A failing source is
    /// reported through [`Proxy::notice`] and tried again, not returned: an error returned here
    /// disables the location until an operator enables it.
    ///
    /// # Errors
    /// When receiving is impossible and trying again is pointless.
    async fn run(self: Box<Self>, proxy: Proxy, stop: Stop) -> Result<(), AdapterError>;
}

/// A message on its way out, after map and pipeline.
#[derive(Debug)]
pub struct OutboundMessage {
    /// Identity of the published message.
    pub message: MessageId,
    /// Identity of the service instance: the same at every retry.
    pub instance: InstanceId,
    /// Properties, demoted.
    pub context: Context,
    /// The body.
    pub body: Body,
    /// MIME content type of the body part, if known.
    pub content_type: Option<SmolStr>,
    /// Character set of the body part, if known; the content type does not repeat it.
    pub charset: Option<SmolStr>,
    /// Failed attempts on this transport before this one.
    pub attempt: u32,
    /// Now.
    pub now: Timestamp,
}

/// Sends for one port.
#[async_trait]
pub trait SendAdapter: Send + Sync {
    /// Sends one message; `Ok` means that the destination has it for good (a file is synced, an HTTP
    /// answer came).
    ///
    /// # Errors
    /// [`AdapterError`], which says whether trying again can help.
    async fn send(&self, message: OutboundMessage) -> Result<(), AdapterError>;
}
