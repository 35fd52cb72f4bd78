//! Folders: listing, permission, creation, and syncing their entries. A new, renamed or deleted file is
//! durable only when its folder is synced, too.

use rustix::fs::{Access, AtFlags, CWD, accessat};
use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::mask::{IN_PROGRESS, MaskSet};

/// What a look at a receive folder found.
#[derive(Debug)]
pub struct Listing {
    /// Inode of the folder.
    pub folder: u64,
    /// Device the folder is on.
    pub device: u64,
    /// Names the location takes, sorted.
    pub names: Vec<OsString>,
    /// Names that a receiver renamed for itself (ending `.PTL-WIP`).
    pub left_behind: Vec<OsString>,
}

/// Looks at a folder: that it can be read and written, and what is in it. Does not look at the files.
///
/// # Errors
/// In words, with the path, when the folder cannot be used.
pub fn list(folder: &Path, masks: &MaskSet) -> Result<Listing, String> {
    let metadata = usable(folder)?;
    let unreadable = |e: io::Error| format!("folder {} cannot be listed: {e}", folder.display());
    let mut listing = Listing { folder: metadata.ino(), device: metadata.dev(), names: Vec::new(), left_behind: Vec::new() };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let left_behind = name.as_bytes().ends_with(IN_PROGRESS.as_bytes()) && masks.left_behind(&name).is_some();
        if !left_behind && !masks.takes(&name) {
            continue;
        }
        // The kind comes with the listing on usual file systems, without looking at the file. A file
        // that went away meanwhile is no error.
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            if left_behind { &mut listing.left_behind } else { &mut listing.names }.push(name);
        }
    }
    listing.names.sort_unstable();
    Ok(listing)
}

/// Checks that files of a folder can be listed, read and deleted.
///
/// # Errors
/// In words, with the path.
pub fn usable(folder: &Path) -> Result<fs::Metadata, String> {
    let shown = folder.display();
    let metadata = fs::metadata(folder).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => format!("folder {shown} does not exist"),
        _ => format!("folder {shown} cannot be reached: {e}"),
    })?;
    if !metadata.is_dir() {
        return Err(format!("{shown} is not a folder"));
    }
    permitted(folder, Access::READ_OK | Access::EXEC_OK).map_err(|e| format!("folder {shown} cannot be read: {e}"))?;
    permitted(folder, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|e| format!("folder {shown} cannot be written to, so received files could not be deleted: {e}"))?;
    Ok(metadata)
}

/// Checks that files can be created in a folder.
///
/// # Errors
/// What the operating system says.
pub fn writable(folder: &Path) -> io::Result<()> {
    if !fs::metadata(folder)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    permitted(folder, Access::WRITE_OK | Access::EXEC_OK)
}

fn permitted(folder: &Path, access: Access) -> io::Result<()> {
    Ok(accessat(CWD, folder, access, AtFlags::EACCESS)?)
}

/// Makes a folder's entries durable.
///
/// # Errors
/// What the operating system says.
pub fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Creates a folder and those above it that are missing, durably.
///
/// # Errors
/// What the operating system says.
pub fn create(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    fs::create_dir_all(folder)?;
    for created in missing {
        if let Some(parent) = created.parent() {
            sync(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
        }
    }
    Ok(())
}

/// Syncs one folder for many writers at once: whoever comes while a sync runs shares the next one.
#[derive(Debug)]
pub struct SharedSync {
    folder: PathBuf,
    state: Mutex<SyncState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SyncState {
    running: bool,
    started: u64,
    done: u64,
    /// The last sync that failed, and why.
    failed: Option<(u64, io::ErrorKind, String)>,
}

impl SharedSync {
    /// For one folder.
    pub fn new(folder: PathBuf) -> Arc<Self> {
        Arc::new(Self { folder, state: Mutex::default(), changed: Condvar::new() })
    }

    /// Makes everything done to the folder before this call durable. Blocks.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn sync(&self) -> io::Result<()> {
        let mut state = self.lock();
        // A sync that runs now may have begun too early for us: we need the one after it.
        let mine = state.started + 1;
        loop {
            if state.done >= mine {
                return match &state.failed {
                    Some((number, kind, message)) if *number >= mine => Err(io::Error::new(*kind, message.clone())),
                    _ => Ok(()),
                };
            }
            if state.running {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.running = true;
            state.started += 1;
            let number = state.started;
            drop(state);
            let result = sync(&self.folder);
            state = self.lock();
            state.running = false;
            state.done = number;
            if let Err(e) = result {
                state.failed = Some((number, e.kind(), e.to_string()));
            }
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, SyncState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_listing_has_regular_files_of_the_mask_only() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.xml", "a.xml", "c.txt", "d.xml.PTL-WIP", ".e.xml"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        fs::create_dir(dir.path().join("sub.xml")).unwrap();
        std::os::unix::fs::symlink("a.xml", dir.path().join("link.xml")).unwrap();
        let masks = MaskSet::new(&serde_json::from_value(json!({ "folder": "x" })).unwrap()).unwrap();
        let listing = list(dir.path(), &masks).unwrap();
        assert_eq!(listing.names, ["a.xml", "b.xml"]);
        assert_eq!(listing.left_behind, ["d.xml.PTL-WIP"]);
        let error = list(&dir.path().join("a.xml"), &masks).unwrap_err();
        assert!(error.contains("is not a folder"), "{error}");
        let error = list(&dir.path().join("none"), &masks).unwrap_err();
        assert!(error.contains("does not exist"), "{error}");
    }

    #[test]
    fn missing_folders_are_created_to_any_depth() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        create(&deep).unwrap();
        create(&deep).unwrap();
        assert!(deep.is_dir());
    }

    #[test]
    fn many_writers_share_syncs_and_all_of_them_learn_of_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let shared = SharedSync::new(dir.path().join("f"));
        let threads = |shared: &Arc<SharedSync>| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    std::thread::spawn({
                        let s = shared.clone();
                        move || s.sync().is_ok()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).filter(|ok| *ok).count()
        };
        assert_eq!(threads(&shared), 0);
        fs::create_dir(dir.path().join("f")).unwrap();
        assert_eq!(threads(&shared), 8);
        let state = shared.lock();
        assert!(state.done <= 16 && state.started == state.done);
    }
}
