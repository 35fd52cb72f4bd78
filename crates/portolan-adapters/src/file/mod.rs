//! The FILE adapter: messages from the files of a folder, and messages to files (manual page
//! "File Adapter"). `notes.md` has the facts, decisions and deviations.

mod check;
mod config;
mod folder;
mod identity;
mod macros;
mod mask;
mod receive;
mod remove;
mod rename;
mod send;
mod state;
mod take;
#[cfg(test)]
mod tests;
mod watch;
mod write;
mod writers;

pub use config::{CopyMode, EmptyFiles, Masks, ReceiveSettings, SendSettings};

use mask::MaskSet;
use portolan_model::code;
use portolan_sdk::{Adapter, AdapterError, AdapterSpec, Checked, Direction, ReceiveAdapter, SendAdapter, Setup};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{path::Path, sync::Arc};

/// The FILE adapter.
#[derive(Default)]
pub struct FileAdapter {
    watches: Arc<watch::Watches>,
    folders: Arc<write::Folders>,
}

impl Adapter for FileAdapter {
    fn spec(&self) -> AdapterSpec {
        AdapterSpec {
            name: "file",
            transport_type: "FILE",
            summary: "Takes in the files of a folder; writes messages to files.",
            receive: Some(schemars::schema_for!(ReceiveSettings).into()),
            send: Some(schemars::schema_for!(SendSettings).into()),
            guarantee: "Receive: each file is taken in once, also after a crash; it is deleted after the message is stored durably. \
                        Send: at least once; a message counts as delivered when its file is on disk.",
        }
    }

    fn check(&self, direction: Direction, settings: &Value, base: &Path) -> Checked {
        match direction {
            Direction::Receive => check::receive(settings, base),
            Direction::Send => check::send(settings, base),
        }
    }

    fn receiver(&self, settings: &Value, setup: Setup) -> Result<Box<dyn ReceiveAdapter>, AdapterError> {
        let settings: ReceiveSettings = read(settings, &setup)?;
        let masks = MaskSet::new(&settings).map_err(|(_, what)| unusable(&setup, &what))?;
        let folder = std::path::absolute(setup.base.join(&settings.folder)).map_err(|e| unusable(&setup, &e.to_string()))?;
        Ok(Box::new(receive::FileReceiver::new(settings, masks, folder, self.watches.clone())))
    }

    fn sender(&self, settings: &Value, setup: Setup) -> Result<Arc<dyn SendAdapter>, AdapterError> {
        let settings: SendSettings = read(settings, &setup)?;
        let sender = send::FileSender::new(settings, &setup.base, &self.folders).map_err(|what| unusable(&setup, &what))?;
        Ok(Arc::new(sender))
    }
}

fn read<T: DeserializeOwned>(settings: &Value, setup: &Setup) -> Result<T, AdapterError> {
    T::deserialize(settings).map_err(|e| unusable(setup, &e.to_string()))
}

fn unusable(setup: &Setup, what: &str) -> AdapterError {
    AdapterError::permanent(code::CONFIG_VALUE, format!("the file settings of {} cannot be used: {what}", setup.artifact))
}
