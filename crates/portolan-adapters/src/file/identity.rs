//! Identity of a source file: what tells "the same file, unchanged" from "a new file of that name". It
//! is remembered by the engine as the receive key, so that a file is taken in once even when the server
//! stops between the commit and the deletion.
//!
//! **Invariant:** when in doubt two files are different. Taking a file twice can be repaired; deleting a
//! file that was never taken in cannot.

use std::{
    ffi::{OsStr, OsString},
    fs::Metadata,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::{Path, PathBuf},
    str::FromStr,
    time::SystemTime,
};

/// First field of a key, so that the format can change.
const FORMAT: &str = "file1";

/// A file at one moment. Its birth time is part of it because no program can set it: a copy with the old
/// modification time is a new file. File systems that keep no birth time give the change time instead,
/// which also changes with permissions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileIdentity {
    /// Inode of the folder: a folder with another one is another folder (not mounted, for example).
    pub folder: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    born: (u64, u32),
}

impl FileIdentity {
    /// The identity of a file in a folder.
    pub fn of(folder: u64, file: &Metadata) -> Self {
        let birth = file.created().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let born = birth.map_or((file.ctime().cast_unsigned(), file.ctime_nsec() as u32), |at| (at.as_secs(), at.subsec_nanos()));
        Self { folder, inode: file.ino(), size: file.size(), modified: (file.mtime(), file.mtime_nsec()), born }
    }

    /// Whether both are the same file, though its content or attributes may have changed.
    pub fn same_file(&self, other: &Self) -> bool {
        self.folder == other.folder && self.inode == other.inode
    }

    /// The receive key of this file at this path.
    pub fn key(&self, path: &Path) -> String {
        let Self { folder, inode, size, modified, born } = self;
        format!("{FORMAT}|{folder}|{inode}|{size}|{}.{}|{}.{}|{}", modified.0, modified.1, born.0, born.1, escape(path.as_os_str()))
    }

    /// Reads a receive key.
    pub fn parse(key: &str) -> Option<(Self, PathBuf)> {
        let mut fields = key.splitn(7, '|');
        if fields.next()? != FORMAT {
            return None;
        }
        let mut number = || fields.next()?.parse().ok();
        let (folder, inode, size) = (number()?, number()?, number()?);
        let modified = moment(fields.next()?)?;
        let born = moment(fields.next()?)?;
        Some((Self { folder, inode, size, modified, born }, unescape(fields.next()?)?.into()))
    }
}

fn moment<S: FromStr, N: FromStr>(text: &str) -> Option<(S, N)> {
    let (seconds, nanoseconds) = text.split_once('.')?;
    Some((seconds.parse().ok()?, nanoseconds.parse().ok()?))
}

/// Names are bytes, keys are text: bytes that are not UTF-8 and control characters become `%XX`.
fn escape(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '%' || c.is_control() {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| text += &format!("%{b:02X}"));
            } else {
                text.push(c);
            }
        }
        chunk.invalid().iter().for_each(|b| text += &format!("%{b:02X}"));
    }
    text
}

fn unescape(text: &str) -> Option<OsString> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
        }
    }
    Some(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_key_is_read_back_for_any_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in [&b"a.xml"[..], b"a|b %41.xml", b"\xff\xfe\n.xml", "äö.xml".as_bytes()] {
            let path = folder.path().join(OsStr::from_bytes(name));
            fs::write(&path, "x").unwrap();
            let identity = FileIdentity::of(7, &fs::metadata(&path).unwrap());
            let key = identity.key(&path);
            assert!(!key.chars().any(char::is_control), "{key}");
            assert_eq!(FileIdentity::parse(&key), Some((identity, path)));
        }
        for bad in ["", "file1|1|2", "file2|1|2|3|4.5|6.7|/a", "file1|1|2|3|4|6.7|/a", "file1|1|2|3|4.5|6.7|/a%Z"] {
            assert_eq!(FileIdentity::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_copy_with_the_old_size_and_modification_time_is_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.xml");
        fs::write(&path, "one").unwrap();
        let before = fs::metadata(&path).unwrap();
        fs::remove_file(&path).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(&path, "two").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(before.modified().unwrap()).unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!((after.size(), after.mtime_nsec()), (before.size(), before.mtime_nsec()));
        assert_ne!(FileIdentity::of(1, &before), FileIdentity::of(1, &after));
    }
}
