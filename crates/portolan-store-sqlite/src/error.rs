//! How SQLite's failures are told to callers. Never decides what the store does about them.

use portolan_store::{StoreError, StoreErrorKind};
use rusqlite::{Error, ErrorCode};
use std::path::Path;

/// Why one step of a transaction did not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// This batch fails; the others of its transaction are not harmed.
    Batch(StoreError),
    /// This batch needs what earlier batches of the transaction did to be committed first.
    Barrier,
    /// The database failed: the whole transaction does.
    Database(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Batch(error)
    }
}

/// What a database error means to a caller.
pub(crate) fn kind_of(error: &Error) -> StoreErrorKind {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreErrorKind::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Failed,
    }
}

/// A database error in words, with the file it is about.
pub(crate) fn told(error: &Error, doing: &str, file: &Path) -> StoreError {
    let kind = kind_of(error);
    let message = match kind {
        StoreErrorKind::Full => format!("{doing} {}: the disk is full; free space, the store goes on by itself", file.display()),
        StoreErrorKind::Corrupt => format!("{doing} {}: the file is damaged ({error}); restore it from a backup", file.display()),
        _ => format!("{doing} {} failed: {error}", file.display()),
    };
    StoreError::new(kind, message)
}

/// The error of every call after closing.
pub(crate) fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Closed, "the MessageBox is closed")
}

/// A record that does not pass its checksum.
pub(crate) fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, what)
}
