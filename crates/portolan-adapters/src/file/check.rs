//! Checks of settings: everything that is wrong at once, each with what to do.

use super::{
    config::{ReceiveSettings, SendSettings},
    folder,
    macros::{FileName, suggestion},
    mask::MaskSet,
    send::zone,
};
use portolan_sdk::{Checked, Problem};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// Longest address the reference product allows; longer ones work, but not there.
const LONGEST_ADDRESS: usize = 256;

/// Checks the settings of a receive location.
pub fn receive(settings: &Value, base: &Path) -> Checked {
    let mut found = Found::default();
    let Some(settings) = found.read::<ReceiveSettings>(settings) else { return found.checked };
    if let Err((at, what)) = MaskSet::new(&settings) {
        let path = if settings.mask.list().len() > 1 { vec!["mask".to_owned(), at.to_string()] } else { vec!["mask".to_owned()] };
        found.problem(path, what, Some("a mask is a file name with wildcards, for example `*.xml`"));
    }
    found.range("batch_count", u64::from(settings.batch_count), 1..=256);
    found.range("batch_bytes", settings.batch_bytes, 1_024..=104_857_600);
    found.range("max_batches_in_flight", u64::from(settings.max_batches_in_flight), 1..=64);
    found.range("polling_interval_ms", settings.polling_interval_ms, 100..=3_600_000);
    found.range("quiet_period_ms", settings.quiet_period_ms.unwrap_or_default(), 0..=3_600_000);
    found.range("remove_retry_count", u64::from(settings.remove_retry_count), 0..=100);
    found.range("remove_delay_ms", settings.remove_delay_ms, 1..=1_000);
    found.range("remove_max_interval_ms", settings.remove_max_interval_ms, 1..=3_600_000);
    if let Some(seconds) = settings.network_retry_interval_seconds {
        found.range("network_retry_interval_seconds", seconds, 1..=86_400);
    }
    let Some(path) = found.folder(&settings.folder, base, settings.create_folder) else { return found.checked };
    if path.exists()
        && let Err(what) = folder::usable(&path)
    {
        found.problem(key("folder"), what, Some("give the account of the server the right to list the folder and to delete files in it"));
    }
    found.address(format!("file://{}/{}", path.display(), settings.mask.list().join(",")))
}

/// Checks the settings of a send port.
pub fn send(settings: &Value, base: &Path) -> Checked {
    let mut found = Found::default();
    let Some(settings) = found.read::<SendSettings>(settings) else { return found.checked };
    match FileName::parse(&settings.file_name) {
        Err(what) => found.problem(key("file_name"), what, Some("folders belong into `folder`")),
        Ok(name) => name.unknown.iter().for_each(|unknown| found.unknown_macro(unknown)),
    }
    found.range("max_concurrent_writes", u64::from(settings.max_concurrent_writes), 1..=128);
    if let Err(what) = zone(settings.time_zone.as_deref()) {
        found.problem(key("time_zone"), what, None);
    }
    let Some(path) = found.folder(&settings.folder, base, settings.create_folder) else { return found.checked };
    if path.exists()
        && let Err(e) = folder::writable(&path)
    {
        let what = format!("files cannot be created in folder {}: {e}", path.display());
        found.problem(key("folder"), what, Some("give the account of the server the right to create files in the folder"));
    }
    if settings.allow_cache_on_write {
        let what = "allow_cache_on_write is on: a power cut loses messages that count as delivered".to_owned();
        found.push(Problem { path: key("allow_cache_on_write"), message: what, help: Some("leave it out".to_owned()), warning: true });
    }
    found.address(format!("file://{}/{}", path.display(), settings.file_name))
}

#[derive(Default)]
struct Found {
    checked: Checked,
}

impl Found {
    fn read<T: DeserializeOwned>(&mut self, settings: &Value) -> Option<T> {
        T::deserialize(settings).map_err(|e| self.problem(Vec::new(), e.to_string(), None)).ok()
    }

    fn folder(&mut self, folder: &str, base: &Path, create: bool) -> Option<PathBuf> {
        if folder.trim().is_empty() || folder.chars().any(char::is_control) {
            self.problem(key("folder"), format!("{folder:?} is no folder"), Some("name a folder, for example `in`"));
            return None;
        }
        let path = match std::path::absolute(base.join(folder)) {
            Ok(path) => path,
            Err(e) => {
                self.problem(key("folder"), format!("{folder:?} is no folder: {e}"), None);
                return None;
            }
        };
        if !path.exists() && !create {
            // A warning: a share that is away for a while must not keep all other ports from starting.
            let message = format!("folder {} does not exist", path.display());
            let help = Some("create it, or set `create_folder: true`; until then nothing goes through it".to_owned());
            self.push(Problem { path: key("folder"), message, help, warning: true });
        } else if path.exists() && !path.is_dir() {
            self.problem(key("folder"), format!("{} is not a folder", path.display()), None);
            return None;
        }
        Some(path)
    }

    fn range(&mut self, setting: &str, value: u64, allowed: RangeInclusive<u64>) {
        if !allowed.contains(&value) {
            let what = format!("{setting} is {value}, but must be between {} and {}", allowed.start(), allowed.end());
            self.problem(key(setting), what, None);
        }
    }

    fn unknown_macro(&mut self, unknown: &str) {
        let (help, warning) = match suggestion(unknown) {
            Some(near) => (format!("did you mean `%{near}%`?"), false),
            None => ("if it is meant as it stands, ignore this; the macros are listed in the reference of `file_name`".to_owned(), true),
        };
        let message = format!("there is no macro `%{unknown}%`; it would be left in every file name as it is");
        self.push(Problem { path: key("file_name"), message, help: Some(help), warning });
    }

    fn problem(&mut self, path: Vec<String>, message: String, help: Option<&str>) {
        self.push(Problem { path, message, help: help.map(str::to_owned), warning: false });
    }

    fn push(&mut self, problem: Problem) {
        self.checked.problems.push(problem);
    }

    fn address(mut self, address: String) -> Checked {
        if address.chars().count() > LONGEST_ADDRESS {
            let message = format!("the address {address} is longer than {LONGEST_ADDRESS} characters and cannot be used in filters");
            self.push(Problem { path: key("folder"), message, help: Some("use a shorter path".to_owned()), warning: true });
        }
        self.checked.address = address;
        self.checked
    }
}

fn key(setting: &str) -> Vec<String> {
    vec![setting.to_owned()]
}
