//! The send side: the settings of the port and the properties of the message say which file to write
//! and how; `write.rs` writes it.

use super::{
    config::{CopyMode, SendSettings},
    macros::FileName,
    remove::blocking,
    write::{Folders, Manner, Target},
};
use async_trait::async_trait;
use jiff::tz::TimeZone;
use portolan_model::{Name, Value, code, system::file as properties};
use portolan_sdk::{AdapterError, OutboundMessage, SendAdapter};
use std::path::Path;
use tokio::sync::Semaphore;

/// A sender to one folder.
pub struct FileSender {
    settings: SendSettings,
    file_name: FileName,
    zone: TimeZone,
    target: Target,
    permits: Semaphore,
}

impl FileSender {
    /// A sender.
    ///
    /// # Errors
    /// In words, when the settings cannot be used.
    pub fn new(settings: SendSettings, base: &Path, folders: &Folders) -> Result<Self, String> {
        let file_name = FileName::parse(&settings.file_name)?;
        let zone = zone(settings.time_zone.as_deref())?;
        let folder =
            std::path::absolute(base.join(&settings.folder)).map_err(|e| format!("the folder {:?} is no path: {e}", settings.folder))?;
        let target = Target { sync: folders.get(&folder), folder };
        let permits = Semaphore::new(settings.max_concurrent_writes.max(1) as usize);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let target = target.clone();
            runtime.spawn_blocking(move || {
                let count = target.clean();
                if count > 0 {
                    tracing::info!(folder = %target.folder.display(), count, "temporary files of an earlier run were deleted");
                }
            });
        }
        Ok(Self { settings, file_name, zone, target, permits })
    }

    fn name(&self, message: &OutboundMessage) -> Result<(String, bool), String> {
        match message.context.get(&properties::TARGET_FILE_NAME).map(Value::to_string) {
            Some(text) => {
                let name = FileName::parse(&text).map_err(|e| format!("FILE.TargetFileName: {e}"))?;
                Ok((name.expand(message, &self.zone)?, name.is_unique()))
            }
            None => Ok((self.file_name.expand(message, &self.zone)?, self.file_name.is_unique())),
        }
    }

    fn manner(&self, message: &OutboundMessage, unique_name: bool) -> Result<Manner, String> {
        let copy_mode = match message.context.get(&properties::COPY_MODE) {
            None => self.settings.copy_mode,
            Some(value) => match value.to_string().trim() {
                "0" => CopyMode::Append,
                "1" => CopyMode::CreateNew,
                "2" => CopyMode::Overwrite,
                other => return Err(format!("FILE.CopyMode is {other:?}; it must be 0 (append), 1 (create new) or 2 (overwrite)")),
            },
        };
        let temporary = flag(message, &properties::USE_TEMP_FILE_ON_WRITE)?.unwrap_or(self.settings.use_temp_file);
        let cached = flag(message, &properties::ALLOW_CACHE_ON_WRITE)?.unwrap_or(self.settings.allow_cache_on_write);
        Ok(Manner { copy_mode, temporary, durable: !cached, unique_name, create_folder: self.settings.create_folder })
    }
}

#[async_trait]
impl SendAdapter for FileSender {
    async fn send(&self, message: OutboundMessage) -> Result<(), AdapterError> {
        let refuse = |what: String| {
            let folder = self.target.folder.display();
            AdapterError::permanent(code::SEND_REFUSED, format!("message {} cannot be written to folder {folder}: {what}", message.message))
        };
        let (name, unique_name) = self.name(&message).map_err(refuse)?;
        let manner = self.manner(&message, unique_name).map_err(refuse)?;
        let Ok(_permit) = self.permits.acquire().await else {
            return Err(AdapterError::temporary(code::SHUTTING_DOWN, "the send port is going away"));
        };
        let (target, mut body) = (self.target.clone(), message.body);
        blocking(move || target.write(&name, &mut body, manner))
            .await
            .map_err(|e| AdapterError::temporary(code::SEND_FAILED, e.to_string()))
    }
}

fn flag(message: &OutboundMessage, name: &Name) -> Result<Option<bool>, String> {
    match message.context.get(name) {
        None => Ok(None),
        Some(Value::Boolean(flag)) => Ok(Some(*flag)),
        Some(other) => match other.to_string().trim() {
            "true" | "True" | "1" => Ok(Some(true)),
            "false" | "False" | "0" => Ok(Some(false)),
            other => Err(format!("{name} is {other:?}; it must be true or false")),
        },
    }
}

/// The zone of local times.
///
/// # Errors
/// In words, when there is no such zone.
pub fn zone(name: Option<&str>) -> Result<TimeZone, String> {
    match name {
        None => Ok(TimeZone::system()),
        Some(name) => TimeZone::get(name).map_err(|_| format!("there is no time zone {name:?}; an example is Europe/Berlin")),
    }
}
