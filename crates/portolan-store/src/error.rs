//! What a store can fail with.

use portolan_model::{Code, code};
use std::fmt;

/// Kinds of failure, by what the caller can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum StoreErrorKind {
    /// The artifact epoch or a [`crate::Operation::Require`] did not hold: read again and decide again.
    Conflict,
    /// A receive key is known already: the item was taken in before.
    Duplicate,
    /// The disk is full. Nothing was done. The store recovers by itself when there is room.
    Full,
    /// Writing or syncing failed. Nothing is promised about this batch but that it is not half done.
    Failed,
    /// It is not known whether the batch was applied: repeat it with the same id.
    AnswerLost,
    /// A stored record does not pass its checksum.
    Corrupt,
    /// No such message, body or instance.
    NotFound,
    /// The store is closed, or another process has it.
    Closed,
    /// The batch itself is wrong: a bug in the caller.
    Invalid,
    /// The storage was written by a newer version of the program.
    Newer,
}

/// A failure of the store.
#[derive(Clone, Debug, thiserror::Error)]
pub struct StoreError {
    /// What kind.
    pub kind: StoreErrorKind,
    /// What happened, in words, with the file or id concerned.
    pub message: String,
}

impl StoreError {
    /// A failure of `kind`.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The error code operators see.
    #[must_use]
    pub fn code(&self) -> Code {
        match self.kind {
            StoreErrorKind::Full => code::STORE_FULL,
            StoreErrorKind::Corrupt => code::STORE_CORRUPT,
            StoreErrorKind::NotFound => code::NOT_FOUND,
            StoreErrorKind::Closed => code::STORE_LOCKED,
            StoreErrorKind::Newer => code::STORE_VERSION,
            _ => code::STORE_FAILED,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code())
    }
}
