//! Taking files: opens each candidate, judges whether it is complete and readable, and reads it into a
//! message. Blocking; runs on the blocking pool.
//!
//! **Invariant:** a file is never half taken. What was read is compared with the file before and after;
//! a file that may still be written to is left for later.

use super::{
    config::{EmptyFiles, ReceiveSettings},
    folder,
    identity::FileIdentity,
    mask::IN_PROGRESS,
    rename,
    watch::Hints,
    writers::Writers,
};
use portolan_model::{Timestamp, Value, property::PROMOTED_TEXT_MAX, system::file as properties};
use portolan_sdk::{BodySource, InboundMessage};
use rustix::{fs::OFlags, io::Errno};
use std::{
    ffi::{OsStr, OsString},
    fs::{File, Metadata, OpenOptions, TryLockError},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// Larger files are not read into memory but by the engine, from the folder.
const IN_MEMORY: u64 = 1 << 20;
/// An empty file is deleted only when nobody touched it for so long.
const EMPTY_FOR: Duration = Duration::from_secs(30);

/// A file to look at.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its name in the folder.
    pub name: OsString,
    /// Its completion was seen: it was moved in.
    pub complete: bool,
    /// What it looked like before, and when that was.
    pub seen: Option<(Stamp, Instant)>,
}

/// What changes when somebody writes to a file: size and modification time.
pub type Stamp = (u64, i64, i64);

/// A file that was read.
#[derive(Debug)]
pub struct Taken {
    /// Its name in the folder, before it was renamed.
    pub name: OsString,
    /// Where it is now.
    pub path: PathBuf,
    /// Its identity there.
    pub identity: FileIdentity,
    /// What to submit.
    pub message: InboundMessage,
    /// Held open, and locked, while the file has another name: shows others that somebody works on it.
    pub claim: Option<File>,
}

/// Why a file was not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotTaken {
    /// It is gone, or no regular file: nothing to do.
    Ignored,
    /// It may still be written to; look again then.
    Unsettled(Stamp, Duration),
    /// A program writes to it or has locked it.
    Locked(String),
    /// It cannot be read.
    Unreadable(String),
    /// It is empty and was deleted.
    EmptyDeleted,
    /// The engine broke off over it.
    Poisonous(String),
}

/// What all takings of a location share.
pub struct Taker {
    /// Settings.
    pub settings: ReceiveSettings,
    /// The folder.
    pub folder: PathBuf,
    /// Notifications.
    pub hints: Arc<Hints>,
    /// Files open for writing.
    pub writers: Mutex<Writers>,
}

/// Result of [`Taker::take`].
#[derive(Debug, Default)]
pub struct Batch {
    /// Files read.
    pub taken: Vec<Taken>,
    /// Files not taken.
    pub not_taken: Vec<(OsString, NotTaken)>,
    /// Candidates not looked at, as the batch is full or the folder is lost.
    pub rest: Vec<Candidate>,
    /// The folder itself cannot be used any more.
    pub folder_lost: bool,
}

impl Taker {
    /// Takes candidates up to the batch size in bytes. `folder` is the folder's inode.
    pub fn take(&self, folder: u64, candidates: Vec<Candidate>) -> Batch {
        let mut batch = Batch::default();
        let mut bytes = 0;
        let mut candidates = candidates.into_iter();
        for candidate in candidates.by_ref() {
            match self.take_one(folder, &candidate) {
                Ok((taken, size)) => {
                    bytes += size;
                    batch.taken.push(taken);
                }
                // One trouble with the folder must not become a trouble with each file in it.
                Err(NotTaken::Unreadable(_)) if folder::usable(&self.folder).is_err() => {
                    batch.folder_lost = true;
                    batch.not_taken.push((candidate.name, NotTaken::Ignored));
                }
                Err(reason) => batch.not_taken.push((candidate.name, reason)),
            }
            if bytes >= self.settings.batch_bytes || batch.folder_lost {
                break;
            }
        }
        batch.rest = candidates.collect();
        batch
    }

    fn take_one(&self, folder: u64, candidate: &Candidate) -> Result<(Taken, u64), NotTaken> {
        let path = self.folder.join(&candidate.name);
        let (file, metadata) = open(&path)?;
        self.judge(candidate, &metadata)?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => return Err(NotTaken::Locked("another program has locked it".to_owned())),
            // A file system without locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        if metadata.size() == 0 && self.settings.empty_files != EmptyFiles::Receive {
            return Err(self.empty(&path, &metadata));
        }
        self.read(folder, candidate.name.clone(), path, file, &metadata)
    }

    /// Takes a file that this location renamed and then left behind, or whose batch failed.
    pub fn take_left_behind(&self, folder: u64, name: &OsStr) -> Result<Taken, NotTaken> {
        let path = self.folder.join(name);
        let (file, _) = open(&path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(NotTaken::Locked("another server receives it".to_owned())),
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let metadata = file.metadata().map_err(|e| unreadable(&e))?;
        let original = OsStr::new(name).as_encoded_bytes().strip_suffix(IN_PROGRESS.as_bytes()).unwrap_or_default();
        let original = <OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(original).to_owned();
        let (message, identity) = self.message(folder, &original, &path, &file, &metadata)?;
        Ok(Taken { name: original, path, identity, message, claim: Some(file) })
    }

    /// Whether the file is complete, as far as can be seen, and one that is taken at all.
    fn judge(&self, candidate: &Candidate, metadata: &Metadata) -> Result<(), NotTaken> {
        if metadata.mode() & 0o222 == 0 {
            return Err(NotTaken::Unreadable("it is read-only: make it writable or delete it".to_owned()));
        }
        let stamp = stamp(metadata);
        if self.hints.is_being_written(&candidate.name) {
            return Err(NotTaken::Locked("a program writes to it".to_owned()));
        }
        if candidate.complete {
            return Ok(());
        }
        let quiet = self.settings.quiet_period();
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let unchanged = match candidate.seen {
            Some((before, at)) if before == stamp => at.elapsed(),
            _ => Duration::ZERO,
        };
        // The clock of another machine says nothing about how long ago a file was changed.
        let age = if self.settings.network_folder { Duration::ZERO } else { modified.elapsed().unwrap_or_default() };
        let known = unchanged.max(age);
        if known < quiet {
            return Err(NotTaken::Unsettled(stamp, quiet - known));
        }
        if self.writers.lock().unwrap_or_else(PoisonError::into_inner).has_open(&candidate.name, modified) {
            return Err(NotTaken::Locked("a program has it open for writing".to_owned()));
        }
        Ok(())
    }

    fn empty(&self, path: &Path, metadata: &Metadata) -> NotTaken {
        let age = metadata.modified().ok().and_then(|m| m.elapsed().ok()).unwrap_or_default();
        match self.settings.empty_files {
            EmptyFiles::Leave | EmptyFiles::Receive => NotTaken::Ignored,
            EmptyFiles::Delete if age < EMPTY_FOR => NotTaken::Unsettled(stamp(metadata), EMPTY_FOR - age),
            EmptyFiles::Delete => match std::fs::remove_file(path) {
                Ok(()) => NotTaken::EmptyDeleted,
                Err(e) => NotTaken::Unreadable(format!("it is empty and cannot be deleted: {e}")),
            },
        }
    }

    fn read(&self, folder: u64, name: OsString, path: PathBuf, file: File, metadata: &Metadata) -> Result<(Taken, u64), NotTaken> {
        let before = stamp(metadata);
        if !self.settings.rename_received_files {
            let (message, identity) = self.message(folder, &name, &path, &file, metadata)?;
            return Ok((Taken { name, path, identity, message, claim: None }, before.0));
        }
        let renamed = in_progress(&path);
        rename::no_replace(&path, &renamed).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => NotTaken::Ignored,
            _ => NotTaken::Unreadable(format!("it cannot be renamed to {}: {e}", renamed.display())),
        })?;
        let read = file.metadata().map_err(|e| unreadable(&e)).and_then(|now| {
            if stamp(&now) == before { self.message(folder, &name, &renamed, &file, &now) } else { Err(unsettled(&now, self)) }
        });
        match read {
            Ok((message, identity)) => Ok((Taken { name, path: renamed, identity, message, claim: Some(file) }, before.0)),
            Err(reason) => {
                give_back(&renamed, &path);
                Err(reason)
            }
        }
    }

    fn message(
        &self,
        folder: u64,
        name: &OsStr,
        path: &Path,
        file: &File,
        metadata: &Metadata,
    ) -> Result<(InboundMessage, FileIdentity), NotTaken> {
        let body = if metadata.size() > IN_MEMORY {
            BodySource::File(path.to_owned())
        } else {
            let mut bytes = Vec::with_capacity(usize::try_from(metadata.size()).unwrap_or_default() + 1);
            file.take(IN_MEMORY + 1).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
            if bytes.len() as u64 != metadata.size() {
                return Err(unsettled(metadata, self));
            }
            BodySource::Bytes(bytes.into())
        };
        let after = file.metadata().map_err(|e| unreadable(&e))?;
        if stamp(&after) != stamp(metadata) {
            return Err(unsettled(&after, self));
        }
        let identity = FileIdentity::of(folder, &after);
        let mut message = InboundMessage::new(body);
        message.receive_key = Some(identity.key(path));
        describe(&mut message, &self.folder.join(name), &after);
        Ok((message, identity))
    }
}

/// Gives a renamed file its name back, unless another file has taken the name: then it stays, and is
/// found as left behind.
pub fn give_back(renamed: &Path, original: &Path) {
    if let Err(e) = rename::no_replace(renamed, original) {
        tracing::warn!(file = %renamed.display(), error = %e, "a file that was not taken in keeps its in-progress name for now");
    }
}

fn in_progress(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(IN_PROGRESS);
    name.into()
}

fn describe(message: &mut InboundMessage, path: &Path, metadata: &Metadata) {
    // Control characters cannot stand in a property; such names are legal on Linux all the same.
    let shown: String = path.to_string_lossy().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let value = Value::string(shown.as_str());
    if shown.chars().count() > PROMOTED_TEXT_MAX || message.context.promote(properties::RECEIVED_FILE_NAME, value.clone()).is_err() {
        message.context.write(properties::RECEIVED_FILE_NAME, value);
    }
    // "The time that the file was written to the folder": its birth where the file system keeps it.
    let created = metadata.created().or_else(|_| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let created = Timestamp::default().plus(created.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    message.context.write(properties::FILE_CREATION_TIME, Value::DateTime(created));
}

/// Opens a regular file without following a link and without waiting for a pipe's other end.
fn open(path: &Path) -> Result<(File, Metadata), NotTaken> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let opened = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path);
    let file = opened.map_err(|e| match Errno::from_io_error(&e) {
        Some(Errno::NOENT | Errno::LOOP) => NotTaken::Ignored,
        // Nothing is wrong with the file.
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => NotTaken::Locked(e.to_string()),
        _ => unreadable(&e),
    })?;
    let metadata = file.metadata().map_err(|e| unreadable(&e))?;
    if !metadata.is_file() {
        return Err(NotTaken::Ignored);
    }
    Ok((file, metadata))
}

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.size(), metadata.mtime(), metadata.mtime_nsec())
}

fn unsettled(metadata: &Metadata, taker: &Taker) -> NotTaken {
    NotTaken::Unsettled(stamp(metadata), taker.settings.quiet_period())
}

fn unreadable(error: &io::Error) -> NotTaken {
    NotTaken::Unreadable(error.to_string())
}
