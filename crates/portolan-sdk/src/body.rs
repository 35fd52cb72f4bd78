//! Bodies: seekable byte streams. Small ones are in memory; large ones come from a file, a spool or
//! the store, and are never whole in memory. Components pull from them synchronously on the runtime's
//! blocking pool; adapters that need `async` read them there too.

use bytes::Bytes;
use std::{
    fmt, fs, io,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::{SpooledTempFile, TempPath, spooled_tempfile};

/// Bytes a spool keeps in memory before it overflows to a temporary file.
pub const SPOOL_MEMORY: usize = 1 << 20;

/// Reading and seeking, on any thread.
pub trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

/// A seekable body.
pub enum Body {
    /// In memory; cloning is free.
    Bytes(io::Cursor<Bytes>),
    /// From elsewhere, with its length if known.
    Stream {
        /// The bytes.
        stream: Box<dyn ReadSeek>,
        /// Length in bytes, if known.
        length: Option<u64>,
    },
}

impl Body {
    /// A body in memory.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self::Bytes(io::Cursor::new(bytes.into()))
    }

    /// A body from a stream.
    pub fn from_stream(stream: impl ReadSeek + 'static, length: Option<u64>) -> Self {
        Self::Stream { stream: Box::new(stream), length }
    }

    /// What was written to a spool, from its start.
    ///
    /// # Errors
    /// When the spool cannot be rewound.
    pub fn from_spool(mut spool: Spool) -> io::Result<Self> {
        let length = spool.0.stream_position()?;
        spool.0.rewind()?;
        Ok(Self::from_stream(spool.0, Some(length)))
    }

    /// The bytes, when they are in memory, whatever was read already.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(cursor) => Some(cursor.get_ref()),
            Self::Stream { .. } => None,
        }
    }

    /// Length in bytes, if known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Bytes(cursor) => Some(cursor.get_ref().len() as u64),
            Self::Stream { length, .. } => *length,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({:?} bytes)", self.length())
    }
}

impl Read for Body {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bytes(cursor) => cursor.read(buf),
            Self::Stream { stream, .. } => stream.read(buf),
        }
    }
}

impl Seek for Body {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Bytes(cursor) => cursor.seek(to),
            Self::Stream { stream, .. } => stream.seek(to),
        }
    }
}

/// A place to write a body of unknown size: in memory up to a threshold, then in a temporary file
/// that disappears when the body is dropped.
#[derive(Debug)]
pub struct Spool(SpooledTempFile);

impl Spool {
    /// An empty spool that keeps up to [`SPOOL_MEMORY`] bytes in memory.
    #[must_use]
    pub fn new() -> Self {
        Self(spooled_tempfile(SPOOL_MEMORY))
    }
}

impl Default for Spool {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for Spool {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A body that can be opened again from its start as often as needed: what adapters submit, so that a
/// message whose pipeline failed can still be suspended as it came.
#[derive(Clone, Debug)]
pub enum BodySource {
    /// In memory.
    Bytes(Bytes),
    /// A file that stays until the batch is done.
    File(PathBuf),
    /// A temporary file, removed when the last clone is dropped.
    Temporary(Arc<TempPath>),
}

impl BodySource {
    /// Opens the body at its start.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(&self) -> io::Result<Body> {
        match self {
            Self::Bytes(bytes) => Ok(Body::from_bytes(bytes.clone())),
            Self::File(path) => open_file(path),
            Self::Temporary(path) => open_file(path),
        }
    }
}

fn open_file(path: &Path) -> io::Result<Body> {
    let file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    Ok(Body::from_stream(file, Some(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_gives_back_what_was_written_small_or_large() {
        for size in [0, 10, SPOOL_MEMORY + 10] {
            let mut spool = Spool::new();
            spool.write_all(&vec![7; size]).unwrap();
            let mut body = Body::from_spool(spool).unwrap();
            assert_eq!(body.length(), Some(size as u64));
            let mut back = Vec::new();
            body.read_to_end(&mut back).unwrap();
            assert_eq!(back.len(), size);
            body.rewind().unwrap();
            assert_eq!(body.read(&mut [0; 4]).unwrap(), size.min(4));
        }
    }
}
