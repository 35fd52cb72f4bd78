//! Deleting received files, and only them: a file is deleted only when it is still the one that was
//! taken in.

use super::{config::ReceiveSettings, folder, identity::FileIdentity};
use portolan_sdk::Stop;
use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// A file the engine owns, to be deleted.
#[derive(Debug)]
pub struct Received {
    /// Its name in the folder, before it was renamed.
    pub name: OsString,
    /// Where it is.
    pub path: PathBuf,
    /// Its identity there.
    pub identity: FileIdentity,
    /// The receive key.
    pub key: String,
    /// See [`super::take::Taken::claim`].
    #[expect(dead_code, reason = "held open until the file is deleted")]
    pub claim: Option<File>,
}

/// What became of a deletion.
#[derive(Debug)]
pub enum Removal {
    /// Deleted, or gone already.
    Gone,
    /// Another file has its place, which is a new file. `true`: it is the same file, written to since.
    Replaced(bool),
    /// Still there, and why; `None`: it went away with its folder, and may come back with it.
    Stays(Option<String>),
}

/// Tries once to delete a file. Blocking.
pub fn remove(location: &Path, file: &Received) -> Removal {
    let gone = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound if is_there(location, file.identity.folder) => Removal::Gone,
        io::ErrorKind::NotFound => Removal::Stays(None),
        _ => Removal::Stays(Some(e.to_string())),
    };
    let now = match fs::symlink_metadata(&file.path) {
        Ok(metadata) => FileIdentity::of(file.identity.folder, &metadata),
        Err(e) => return gone(e),
    };
    if now != file.identity {
        return Removal::Replaced(now.same_file(&file.identity));
    }
    match fs::remove_file(&file.path) {
        Ok(()) => Removal::Gone,
        Err(e) => gone(e),
    }
}

/// Whether the folder of this inode is there now.
fn is_there(location: &Path, folder: u64) -> bool {
    fs::metadata(location).is_ok_and(|m| m.ino() == folder)
}

/// The result of deleting the files of one batch.
#[derive(Debug, Default)]
pub struct Removed {
    /// Gone from the folder (not yet durably), or replaced: to be forgotten.
    pub forget: Vec<String>,
    /// Names that are free again, and where the files were.
    pub free: Vec<(OsString, PathBuf)>,
    /// Files that were written to after they were taken.
    pub changed: Vec<PathBuf>,
    /// Still there, and why; see [`Removal::Stays`].
    pub stays: Vec<(Received, Option<String>)>,
}

/// Deletes the files of a batch, trying again with a doubling pause, but not after `stop`.
pub async fn remove_all(settings: &ReceiveSettings, location: &Path, files: Vec<Received>, mut stop: Stop) -> Removed {
    let mut removed = Removed::default();
    let mut todo = files;
    let mut pause = Duration::from_millis(settings.remove_delay_ms);
    for attempt in 0..=settings.remove_retry_count {
        let stays;
        (removed, stays) = in_background(location, todo, removed).await;
        if stays.is_empty() {
            return removed;
        }
        let stopped = tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await.is_ok();
        if stopped || attempt == settings.remove_retry_count {
            removed.stays = stays;
            return removed;
        }
        todo = stays.into_iter().map(|(file, _)| file).collect();
        pause = (pause * 2).min(Duration::from_millis(settings.remove_max_interval_ms));
    }
    removed
}

async fn in_background(location: &Path, files: Vec<Received>, mut removed: Removed) -> (Removed, Vec<(Received, Option<String>)>) {
    let location = location.to_owned();
    let work = move || {
        let mut stays = Vec::new();
        for file in files {
            match remove(&location, &file) {
                Removal::Gone => {}
                Removal::Replaced(changed) => {
                    if changed {
                        removed.changed.push(file.path.clone());
                    }
                }
                Removal::Stays(why) => {
                    stays.push((file, why));
                    continue;
                }
            }
            removed.forget.push(file.key);
            removed.free.push((file.name, file.path));
        }
        (removed, stays)
    };
    blocking(work).await
}

/// Runs blocking work on the blocking pool; a panic there goes on here.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going away and cancels the task that waits here as well.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Deletes what was committed before a crash but not deleted, durably. Keys of another folder, or of
/// another one under this name (as when it is not mounted), are left alone: it may come back. Blocking.
///
/// # Errors
/// When the folder went away or cannot be synced.
pub fn recover(location: &Path, folder_inode: u64, keys: Vec<String>) -> io::Result<Removed> {
    if !is_there(location, folder_inode) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut removed = Removed::default();
    for key in keys {
        let Some((identity, path)) = FileIdentity::parse(&key) else { continue };
        let Some(name) = path.file_name().map(OsString::from) else { continue };
        if path.parent() != Some(location) || identity.folder != folder_inode {
            continue;
        }
        let file = Received { name, path, identity, key, claim: None };
        match remove(location, &file) {
            Removal::Gone | Removal::Replaced(_) => removed.forget.push(file.key),
            Removal::Stays(why) => removed.stays.push((file, why)),
        }
    }
    if !removed.forget.is_empty() {
        folder::sync(location)?;
    }
    Ok(removed)
}
