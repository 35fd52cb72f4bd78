//! One process per data folder: an exclusive lock on a file in it, held as long as the store is open.
//! The operating system releases it when the process dies, however it dies.

use portolan_store::{StoreError, StoreErrorKind};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

const FILE: &str = "messagebox.lock";

/// The held lock.
#[derive(Debug)]
pub(crate) struct FolderLock(#[allow(dead_code, reason = "held, not used")] File);

impl FolderLock {
    /// Takes the lock of a folder, or says who has it.
    pub(crate) fn take(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let failed = |error: std::io::Error| {
            StoreError::new(StoreErrorKind::Failed, format!("the lock file {} cannot be used: {error}", path.display()))
        };
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(refused(folder, &mut file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Only told to people; the lock itself does not depend on it.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self(file))
    }
}

fn refused(folder: &Path, file: &mut File) -> StoreError {
    let mut owner = String::new();
    let known = file.read_to_string(&mut owner).is_ok() && owner.trim().parse::<u32>().is_ok();
    let who = if known { format!("process {}", owner.trim()) } else { "another process".to_owned() };
    StoreError::new(
        StoreErrorKind::Closed,
        format!("the data folder {} is in use by {who}: stop that one first, or give this one a data folder of its own", folder.display()),
    )
}
