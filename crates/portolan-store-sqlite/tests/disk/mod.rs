//! A disk that loses power and fails, as a SQLite VFS over the default one. It remembers for each file
//! what has been synced and every write since, so that at any moment it can tell what a power cut
//! could leave: what was synced, and of the rest each write kept, torn at sector borders, or dropped,
//! independently. It can also be told to be full, to fail writes, or to fail a sync; a failed sync
//! loses writes for good, as kernels do, although reading still shows them.
//!
//! It must never decide what is right: tests do.

#![allow(unsafe_code, reason = "SQLite's VFS interface is C; this is test support")]
#![allow(dead_code, reason = "each test uses a part of it")]

mod random;
mod vfs;

pub use random::Random;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const SECTOR: usize = 512;

/// One change since the last sync of its file.
#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
    Delete,
}

/// What is known of one file.
#[derive(Clone, Debug, Default)]
struct Shadow {
    /// What is on the disk for sure; `None` when the file is not.
    synced: Option<Vec<u8>>,
    pending: Vec<Change>,
    /// Syncs that failed: Linux tells every open descriptor of each once.
    errors: u64,
}

/// Faults to inject.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Writes fail because the disk is full.
    pub full: bool,
    /// Writes fail with an I/O error.
    pub writes: bool,
    /// So many syncs fail from now on.
    pub syncs: u32,
    /// A sync fails with this chance in a thousand.
    pub sync_chance: u64,
}

/// What a power cut would leave: files with their content.
#[derive(Clone, Debug)]
pub struct Image {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

type Watch = Box<dyn FnMut(&mut State) + Send>;

/// The state of a disk.
pub struct State {
    files: BTreeMap<PathBuf, Shadow>,
    pub faults: Faults,
    pub random: Random,
    /// Writes and syncs so far.
    pub operations: u64,
    /// Successful syncs so far.
    pub syncs: u64,
    /// Called after each write and each sync.
    watch: Option<Watch>,
}

/// A disk.
pub struct Disk {
    state: Mutex<State>,
    name: String,
}

impl Disk {
    /// A new disk, registered as a VFS.
    pub fn new(seed: u64) -> Arc<Self> {
        let state =
            State { files: BTreeMap::new(), faults: Faults::default(), random: Random::new(seed), operations: 0, syncs: 0, watch: None };
        vfs::register(|name| Self { state: Mutex::new(state), name })
    }

    /// Name of the VFS.
    pub fn vfs(&self) -> &str {
        &self.name
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `watch` after each write and each sync, with the disk as it is then.
    pub fn watch(&self, watch: impl FnMut(&mut State) + Send + 'static) {
        self.lock().watch = Some(Box::new(watch));
    }

    fn changed(&self, path: &Path, change: Change) {
        let mut state = self.lock();
        state.files.entry(path.to_owned()).or_default().pending.push(change);
        state.after();
    }

    /// How many syncs of a file failed so far.
    fn errors(&self, path: &Path) -> u64 {
        self.lock().files.get(path).map_or(0, |shadow| shadow.errors)
    }

    /// Whether the sync succeeds, for a descriptor that was told of `seen` failures; how many there are.
    fn sync(&self, path: &Path, seen: u64) -> (bool, u64) {
        let mut state = self.lock();
        let chance = state.faults.sync_chance;
        let fails = state.faults.syncs > 0 || (chance > 0 && state.random.below(1000) < chance);
        state.faults.syncs = state.faults.syncs.saturating_sub(1);
        state.sync(path, fails);
        state.after();
        let errors = state.files.get(path).map_or(0, |shadow| shadow.errors);
        (!fails && errors == seen, errors)
    }
}

impl State {
    fn after(&mut self) {
        self.operations += 1;
        if let Some(mut watch) = self.watch.take() {
            watch(self);
            self.watch = Some(watch);
        }
    }

    fn sync(&mut self, path: &Path, fails: bool) {
        let Some(shadow) = self.files.get_mut(path) else { return };
        let pending = std::mem::take(&mut shadow.pending);
        let mut content = shadow.synced.take();
        let new = content.is_none();
        for change in pending {
            if fails {
                self.random.maybe(&mut content, change);
            } else {
                apply(&mut content, change);
            }
        }
        shadow.synced = Some(content.unwrap_or_default());
        if fails {
            shadow.errors += 1;
            return;
        }
        self.syncs += 1;
        // Syncing a new journal or log also syncs the folder: deletions are durable then.
        if new && path.extension().is_none_or(|extension| extension != "db") {
            for shadow in self.files.values_mut() {
                if let Some(deleted) = shadow.pending.iter().rposition(|change| matches!(change, Change::Delete)) {
                    shadow.pending.drain(..=deleted);
                    shadow.synced = None;
                }
            }
        }
    }

    /// What a power cut at this moment could leave.
    pub fn power_cut(&mut self) -> Image {
        let mut files = BTreeMap::new();
        for (path, shadow) in &self.files {
            let mut content = shadow.synced.clone();
            for change in &shadow.pending {
                self.random.maybe(&mut content, change.clone());
            }
            if let Some(content) = content {
                files.insert(path.clone(), content);
            }
        }
        Image { files }
    }
}

impl Random {
    /// A change that was not synced: kept, torn or dropped.
    fn maybe(&mut self, content: &mut Option<Vec<u8>>, change: Change) {
        match (self.below(3), change) {
            (0, _) => {}
            (1, change) => apply(content, change),
            (_, Change::Write { at, bytes }) => {
                let mut from = 0;
                while from < bytes.len() {
                    let to = ((at + from) / SECTOR * SECTOR + SECTOR - at).min(bytes.len());
                    if self.below(2) == 0 {
                        apply(content, Change::Write { at: at + from, bytes: bytes[from..to].to_vec() });
                    }
                    from = to;
                }
            }
            (_, change) => apply(content, change),
        }
    }
}

fn apply(content: &mut Option<Vec<u8>>, change: Change) {
    match change {
        Change::Delete => *content = None,
        Change::Truncate(length) => content.get_or_insert_default().truncate(length),
        Change::Write { at, bytes } => {
            let content = content.get_or_insert_default();
            if content.len() < at + bytes.len() {
                content.resize(at + bytes.len(), 0);
            }
            content[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }
}

impl Image {
    /// Writes the files of the image into a folder.
    pub fn restore(&self, folder: &Path) {
        for (path, content) in &self.files {
            std::fs::write(folder.join(path.file_name().unwrap()), content).unwrap();
        }
    }
}
