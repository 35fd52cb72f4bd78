//! What the store does when the disk is full or fails, and how it comes back.
//!
//! **The rule:** a sync that failed is never trusted, and never just repeated: the kernel may have
//! dropped the pages it could not write. Every transaction is synced, so the log's index only knows
//! transactions whose sync succeeded. Recovery moves exactly those into the database file, has that
//! synced, cuts the log to nothing (and with it the transaction that failed), opens the file anew,
//! builds memory anew from it, and tries a write, all before anything is accepted again.

use crate::{error::told, load, open_connection, writer::Writer};
use portolan_store::{Health, StoreError, StoreErrorKind};
use rusqlite::{Connection, Error, ErrorCode};
use std::time::{Duration, Instant};

/// Between attempts.
const PATIENCE: Duration = Duration::from_secs(1);

/// A failure that is not overcome yet.
pub(crate) struct Recovery {
    /// The file is opened anew.
    reopen: bool,
    attempts: u32,
    next: Instant,
}

impl Recovery {
    pub(crate) fn new(reopen: bool) -> Self {
        Self { reopen, attempts: 0, next: Instant::now() + if reopen { Duration::from_millis(50) } else { PATIENCE } }
    }

    /// How long until the next attempt.
    pub(crate) fn wait(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Whether an error tells of the disk or file, and not of one statement.
    pub(crate) fn is_needed(error: &Error) -> bool {
        !matches!(
            error.sqlite_error_code(),
            None | Some(
                ErrorCode::ConstraintViolation
                    | ErrorCode::TypeMismatch
                    | ErrorCode::TooBig
                    | ErrorCode::ApiMisuse
                    | ErrorCode::ParameterOutOfRange
                    | ErrorCode::Unknown
                    | ErrorCode::OutOfMemory
            )
        )
    }
}

impl Writer {
    /// Tries to overcome a failure, if it is time to.
    pub(crate) fn recover_if_due(&mut self) {
        let Some(recovery) = self.recovery.as_mut().filter(|recovery| recovery.wait().is_zero()) else { return };
        recovery.attempts += 1;
        let (reopen, attempts) = (recovery.reopen, recovery.attempts);
        match self.recover(reopen, attempts) {
            Ok(()) => {
                tracing::info!("the MessageBox works again");
                self.recovery = None;
                self.core.set_health(Health::Working);
                self.core.changes.send_modify(|changes| changes.generation += 1);
            }
            Err(error) => {
                let full = error.kind == StoreErrorKind::Full;
                self.recovery = Some(Recovery { reopen: reopen || !full, attempts, next: Instant::now() + PATIENCE });
                self.core.set_health(if full && !reopen { Health::Full(error.message) } else { Health::Failed(error.message) });
            }
        }
    }

    pub(crate) fn recover(&mut self, reopen: bool, attempts: u32) -> Result<(), StoreError> {
        let file = self.core.place.file.clone();
        let failed = |error: Error| told(&error, "recovering", &file);
        if !reopen {
            // The log keeps its place on the disk: completions can be written into it before there is room.
            self.restart_log().map_err(failed)?;
            return self.probe().map_err(failed);
        }
        // Readers hold the log; new ones find the recovered file.
        self.core.readers.close(false);
        self.core.recent.clear();
        match empty_log(&self.connection) {
            Ok(()) => {}
            // The connection itself may be beyond help: every third time, do without it.
            Err(_) if attempts.is_multiple_of(3) => {}
            Err(error) => return Err(failed(error)),
        }
        self.connection = open_connection(&self.core.place)?;
        empty_log(&self.connection).map_err(failed)?;
        self.rebuild().map_err(failed)?;
        self.probe().map_err(failed)
    }

    /// A small transaction, synced.
    fn probe(&self) -> rusqlite::Result<()> {
        self.connection.execute("UPDATE mark SET lsn = lsn + 1", [])?;
        self.core.lock().lsn += 1;
        Ok(())
    }

    /// Memory as the database has it, and what only memory knew.
    fn rebuild(&mut self) -> rusqlite::Result<()> {
        let (mut state, counters, _) = load::load(&self.connection, self.core.cache_bytes)?;
        let mut memory = self.core.lock();
        let lost = state.lsn < memory.lsn;
        state.health = memory.health.clone();
        let old = std::mem::replace(&mut *memory, state);
        load::carry_over(old, &mut memory);
        drop(memory);
        self.next_sequence = counters.sequence;
        self.next_pack = counters.pack;
        if lost {
            tracing::error!(file = %self.core.place.file.display(), "the MessageBox file lost transactions that were synced: the storage device does not keep its promises");
        }
        Ok(())
    }
}

/// Moves the whole log into the database file and cuts it to nothing.
fn empty_log(connection: &Connection) -> rusqlite::Result<()> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy != 0 {
        let why = Some("a reader holds the log".to_owned());
        return Err(Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), why));
    }
    Ok(())
}
