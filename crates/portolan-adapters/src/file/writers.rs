//! Which files of a folder are open for writing by some program: the operating system has no mandatory
//! locks, but it shows what is open. Programs of other users are seen only by the superuser, programs on
//! other machines never: this is a help beside the quiet period, not a promise.
//!
//! Reads the links under `/proc/*/fd` without following them, so that a dead network file system cannot
//! block it.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The files of one folder that were open for writing at one moment.
#[derive(Debug)]
pub struct Writers {
    folder: PathBuf,
    looked: Option<SystemTime>,
    open: HashSet<OsString>,
}

impl Writers {
    /// Nothing known yet of this folder.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), looked: None, open: HashSet::new() }
    }

    /// Whether a program has the file open for writing. `modified` is its modification time: an earlier
    /// look still holds for a file that nobody wrote to since and that was not open then.
    pub fn has_open(&mut self, name: &OsStr, modified: SystemTime) -> bool {
        if self.looked.is_none_or(|looked| modified >= looked) || self.open.contains(name) {
            self.look();
        }
        self.open.contains(name)
    }

    fn look(&mut self) {
        self.looked = Some(SystemTime::now());
        self.open.clear();
        let Ok(folder) = self.folder.canonicalize() else { return };
        let Ok(processes) = fs::read_dir("/proc") else { return };
        for process in processes.flatten() {
            if !process.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit) {
                continue;
            }
            let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
            for descriptor in descriptors.flatten() {
                // The permission bits of the link are the mode the file was opened with.
                let writes = descriptor.metadata().is_ok_and(|m| m.permissions().mode() & 0o200 != 0);
                if !writes {
                    continue;
                }
                if let Ok(path) = fs::read_link(descriptor.path())
                    && path.parent() == Some(&folder)
                    && let Some(name) = path.file_name()
                {
                    self.open.insert(name.to_owned());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_open_for_writing_until_it_is_closed_and_readers_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.xml");
        let file = fs::File::create(&path).unwrap();
        fs::write(dir.path().join("b.xml"), "x").unwrap();
        let reader = fs::File::open(dir.path().join("b.xml")).unwrap();
        let mut writers = Writers::new(dir.path());
        let long_ago = SystemTime::UNIX_EPOCH;
        assert!(writers.has_open(OsStr::new("a.xml"), long_ago));
        assert!(!writers.has_open(OsStr::new("b.xml"), long_ago));
        drop(file);
        assert!(!writers.has_open(OsStr::new("a.xml"), long_ago));
        drop(reader);
    }
}
