//! Writing one file: completely and durably, or not at all. Blocking; runs on the blocking pool.
//!
//! **Invariants:** nothing outside the folder is touched; no file is replaced unless the copy mode says
//! so; a failure leaves the folder as it was.

use super::{
    config::CopyMode,
    folder::{self, SharedSync},
    mask::TEMPORARY,
    rename,
};
use portolan_sdk::Body;
use rustix::fs::OFlags;
use std::{
    collections::HashMap,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};
use uuid::Uuid;

/// Bytes copied at once.
const CHUNK: usize = 256 * 1024;

/// How to write a file.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// What to do when the file exists.
    pub copy_mode: CopyMode,
    /// Whether to go through a temporary file.
    pub temporary: bool,
    /// Whether to sync.
    pub durable: bool,
    /// No other message has this file name: an equal file is this message, delivered before a crash.
    pub unique_name: bool,
    /// Whether to create a missing folder.
    pub create_folder: bool,
}

/// A file could not be written.
#[derive(Debug)]
pub struct WriteError {
    /// What was being done, with the path.
    what: String,
    cause: io::Error,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause.kind() {
            io::ErrorKind::StorageFull => write!(f, "{}: the disk is full", self.what),
            _ => write!(f, "{}: {}", self.what, self.cause),
        }
    }
}

/// The folders written to by this process, so that concurrent writers share folder syncs.
#[derive(Default)]
pub struct Folders(Mutex<HashMap<PathBuf, Weak<SharedSync>>>);

impl Folders {
    /// The shared sync of a folder.
    pub fn get(&self, folder: &Path) -> Arc<SharedSync> {
        let mut folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        folders.retain(|_, sync| sync.strong_count() > 0);
        if let Some(sync) = folders.get(folder).and_then(Weak::upgrade) {
            return sync;
        }
        let sync = SharedSync::new(folder.to_owned());
        folders.insert(folder.to_owned(), Arc::downgrade(&sync));
        sync
    }
}

/// A folder to write to.
#[derive(Clone)]
pub struct Target {
    /// Where.
    pub folder: PathBuf,
    /// Its sync.
    pub sync: Arc<SharedSync>,
}

impl Target {
    /// Writes a body to a file of this name.
    ///
    /// # Errors
    /// With the path and the cause; the folder is as it was.
    pub fn write(&self, name: &str, body: &mut Body, manner: Manner) -> Result<(), WriteError> {
        if manner.create_folder && !self.folder.exists() {
            folder::create(&self.folder).map_err(|cause| failed(format!("folder {} cannot be created", self.folder.display()), cause))?;
        }
        let path = self.folder.join(name);
        match manner.copy_mode {
            CopyMode::Append => self.append(&path, body, manner),
            CopyMode::CreateNew | CopyMode::Overwrite if manner.temporary => self.through_temporary(&path, body, manner),
            CopyMode::CreateNew => self.create(&path, body, manner),
            CopyMode::Overwrite => self.overwrite(&path, body, manner),
        }
    }

    fn through_temporary(&self, path: &Path, body: &mut Body, manner: Manner) -> Result<(), WriteError> {
        // Told before the work is done; the rename makes sure.
        if manner.copy_mode == CopyMode::CreateNew && fs::symlink_metadata(path).is_ok() {
            return self.exists(path, body, manner);
        }
        let mut temporary = self.temporary()?;
        copy(body, &mut temporary.file, &temporary.path)?;
        if manner.durable {
            temporary.file.sync_data().map_err(|e| failed(format!("{} cannot be synced", temporary.path.display()), e))?;
        }
        let renamed = match manner.copy_mode {
            CopyMode::Overwrite => fs::rename(&temporary.path, path),
            _ => rename::no_replace(&temporary.path, path),
        };
        match renamed {
            Ok(()) => temporary.keep(),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return self.exists(path, body, manner),
            Err(e) => return Err(failed(format!("{} cannot be renamed to {}", temporary.path.display(), path.display()), e)),
        }
        self.sync(manner)
    }

    fn create(&self, path: &Path, body: &mut Body, manner: Manner) -> Result<(), WriteError> {
        let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return self.exists(path, body, manner),
            Err(e) => return Err(cannot_create(path, e)),
        };
        fill(path, &mut file, body, manner).inspect_err(|_| drop(fs::remove_file(path)))?;
        self.sync(manner)
    }

    fn overwrite(&self, path: &Path, body: &mut Body, manner: Manner) -> Result<(), WriteError> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(no_follow())
            .open(path)
            .map_err(|e| cannot_create(path, e))?;
        fill(path, &mut file, body, manner)?;
        self.sync(manner)
    }

    fn append(&self, path: &Path, body: &mut Body, manner: Manner) -> Result<(), WriteError> {
        let (mut file, start) = loop {
            let file =
                OpenOptions::new().append(true).create(true).custom_flags(no_follow()).open(path).map_err(|e| cannot_create(path, e))?;
            // One writer at a time, in this process and in others. A file system without locks has none.
            let _ = file.lock();
            let opened = file.metadata().map_err(|e| failed(format!("{} cannot be read", path.display()), e))?;
            // Somebody may have taken the file away while we waited.
            if fs::symlink_metadata(path).is_ok_and(|now| now.ino() == opened.ino() && now.dev() == opened.dev()) {
                break (file, opened.len());
            }
        };
        if let Err(mut e) = fill(path, &mut file, body, manner) {
            if let Err(rollback) = file.set_len(start) {
                e.what +=
                    &format!(" (and its first {start} bytes are followed by a part of the message, as it cannot be shortened: {rollback})");
            } else if start == 0 {
                let _ = fs::remove_file(path);
            }
            return Err(e);
        }
        if start == 0 { self.sync(manner) } else { Ok(()) }
    }

    /// `create_new` met a file of that name. If no other message can have it, it was written before a
    /// crash: completely, perhaps without reaching the disk, or, without a temporary file, in part.
    fn exists(&self, path: &Path, body: &mut Body, manner: Manner) -> Result<(), WriteError> {
        let found = if manner.unique_name { compare(path, body).unwrap_or(Compared::Other) } else { Compared::Other };
        match found {
            Compared::Same => {
                let synced = if manner.durable { File::open(path).and_then(|file| file.sync_all()) } else { Ok(()) };
                synced.map_err(|e| failed(format!("{} cannot be synced", path.display()), e))?;
                self.sync(manner)
            }
            Compared::Beginning if !manner.temporary || !manner.durable => self.overwrite(path, body, manner),
            _ => Err(failed(
                format!(
                    "{} exists, and the copy mode is create_new: move the file away, or choose another file_name or copy_mode",
                    path.display()
                ),
                io::ErrorKind::AlreadyExists.into(),
            )),
        }
    }

    fn temporary(&self) -> Result<Temporary, WriteError> {
        loop {
            let path = self.folder.join(format!("{TEMPORARY}{}.tmp", Uuid::new_v4().simple()));
            let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(|e| cannot_create(&path, e))?;
            let temporary = Temporary { file, path, kept: false };
            // The lock tells `clean` that this is no leftover. It may have come before the lock.
            let _ = temporary.file.lock();
            if temporary.file.metadata().is_ok_and(|m| m.nlink() > 0) {
                return Ok(temporary);
            }
        }
    }

    fn sync(&self, manner: Manner) -> Result<(), WriteError> {
        if manner.durable {
            self.sync.sync().map_err(|e| failed(format!("folder {} cannot be synced", self.folder.display()), e))
        } else {
            Ok(())
        }
    }

    /// Deletes temporary files that a crash left in the folder; returns how many.
    pub fn clean(&self) -> usize {
        let Ok(entries) = fs::read_dir(&self.folder) else { return 0 };
        let leftovers = entries.flatten().filter(|entry| {
            let name = entry.file_name();
            let id = name.to_str().and_then(|n| n.strip_prefix(TEMPORARY)?.strip_suffix(".tmp"));
            id.is_some_and(|id| Uuid::try_parse(id).is_ok()) && entry.file_type().is_ok_and(|kind| kind.is_file())
        });
        leftovers
            .filter(|entry| {
                let Ok(file) = OpenOptions::new().write(true).custom_flags(no_follow()).open(entry.path()) else { return false };
                file.try_lock().is_ok() && fs::remove_file(entry.path()).is_ok()
            })
            .count()
    }
}

/// A temporary file; deleted unless kept.
struct Temporary {
    file: File,
    path: PathBuf,
    kept: bool,
}

impl Temporary {
    fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            // What remains is deleted at the next start of the port.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn fill(path: &Path, file: &mut File, body: &mut Body, manner: Manner) -> Result<(), WriteError> {
    copy(body, file, path)?;
    if manner.durable { file.sync_data().map_err(|e| failed(format!("{} cannot be synced", path.display()), e)) } else { Ok(()) }
}

/// Copies the body; tells trouble with the message from trouble with the file.
fn copy(body: &mut Body, file: &mut File, path: &Path) -> Result<(), WriteError> {
    let unwritable = |e| failed(format!("{} cannot be written", path.display()), e);
    if let Some(bytes) = body.as_bytes() {
        return file.write_all(bytes).map_err(unwritable);
    }
    let unreadable = |e| failed("the body of the message cannot be read".to_owned(), e);
    body.rewind().map_err(unreadable)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => file.write_all(&buffer[..count]).map_err(unwritable)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(unreadable(e)),
        }
    }
}

/// What a file holds, compared with a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Compared {
    Same,
    /// Its beginning, and no more.
    Beginning,
    Other,
}

fn compare(path: &Path, body: &mut Body) -> io::Result<Compared> {
    let mut file = OpenOptions::new().read(true).custom_flags(no_follow() | OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(Compared::Other);
    }
    body.rewind()?;
    let (mut ours, mut theirs) = (vec![0; CHUNK], Vec::with_capacity(CHUNK));
    loop {
        let count = body.read(&mut ours)?;
        theirs.clear();
        (&mut file).take(count.max(1) as u64).read_to_end(&mut theirs)?;
        if count == 0 {
            return Ok(if theirs.is_empty() { Compared::Same } else { Compared::Other });
        }
        if !ours[..count].starts_with(&theirs) {
            return Ok(Compared::Other);
        }
        if theirs.len() < count {
            return Ok(Compared::Beginning);
        }
    }
}

fn no_follow() -> i32 {
    OFlags::NOFOLLOW.bits().cast_signed()
}

fn failed(what: String, cause: io::Error) -> WriteError {
    WriteError { what, cause }
}

fn cannot_create(path: &Path, cause: io::Error) -> WriteError {
    let folder = path.parent().unwrap_or(path);
    if cause.kind() == io::ErrorKind::NotFound {
        return failed(format!("folder {} does not exist", folder.display()), cause);
    }
    failed(format!("{} cannot be created", path.display()), cause)
}
