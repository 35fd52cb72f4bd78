//! The database file: its tables, its settings, its version. Every connection is opened here.

use crate::error::told;
use portolan_store::{StoreError, StoreErrorKind};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};

/// Name of the database file in the data folder.
pub(crate) const FILE: &str = "messagebox.db";
/// The version this program writes. An older file is migrated on opening, a newer one refused.
pub(crate) const VERSION: i64 = 1;
/// `Port` in ASCII: tells that an SQLite file is a MessageBox.
const APPLICATION: i64 = 0x506F_7274;
/// Bytes in a page: with 8 KiB a group's header usually fits one.
pub(crate) const PAGE: i64 = 8192;

/// How long a connection waits for another one's short locks.
pub(crate) const BUSY: std::time::Duration = std::time::Duration::from_secs(10);

/// How connections are opened.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    /// The SQLite VFS, when not the default one.
    pub(crate) vfs: Option<String>,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Writer,
    Reader,
}

const TABLES: &str = "
CREATE TABLE mark(one INTEGER PRIMARY KEY CHECK (one = 1), lsn INTEGER NOT NULL, sequence INTEGER NOT NULL,
  pack INTEGER NOT NULL, epoch INTEGER NOT NULL);
INSERT INTO mark VALUES (1, 0, 1, 1, 0);
CREATE TABLE service(n INTEGER PRIMARY KEY, class INTEGER NOT NULL, name TEXT NOT NULL);
CREATE TABLE spool(g INTEGER PRIMARY KEY, header BLOB NOT NULL, data BLOB NOT NULL);
CREATE TABLE done(g INTEGER PRIMARY KEY, bits BLOB NOT NULL);
CREATE TABLE damaged(g INTEGER PRIMARY KEY, header BLOB, data BLOB, why TEXT NOT NULL);
CREATE TABLE message(n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, type TEXT, crc INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX message_type ON message(type) WHERE type IS NOT NULL;
CREATE TABLE instance(n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, message INTEGER NOT NULL, service INTEGER NOT NULL,
  state INTEGER NOT NULL, priority INTEGER NOT NULL, due INTEGER NOT NULL, sequence INTEGER NOT NULL, created INTEGER NOT NULL,
  form INTEGER NOT NULL, transport INTEGER NOT NULL, attempts INTEGER NOT NULL, code TEXT, description TEXT, adapter TEXT,
  address TEXT, failed INTEGER, family TEXT, about BLOB);
CREATE INDEX instance_message ON instance(message);
CREATE INDEX instance_ready ON instance(service, priority, due, sequence) WHERE state = 0;
CREATE INDEX instance_due ON instance(service, due) WHERE state = 1;
CREATE INDEX instance_created ON instance(created, id);
CREATE INDEX instance_service ON instance(service, state, created, id);
CREATE INDEX instance_code ON instance(code, created, id) WHERE code IS NOT NULL;
CREATE INDEX instance_about ON instance(about) WHERE about IS NOT NULL;
CREATE TABLE body(n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE);
CREATE TABLE body_chunk(k INTEGER PRIMARY KEY, start INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE body_owner(body INTEGER NOT NULL, message INTEGER NOT NULL, PRIMARY KEY (body, message)) WITHOUT ROWID;
CREATE INDEX body_owner_message ON body_owner(message);
CREATE TABLE state(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE receive_key(scope TEXT NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (scope, key)) WITHOUT ROWID;
CREATE TABLE event(sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, severity INTEGER NOT NULL, code TEXT NOT NULL,
  source TEXT NOT NULL, text TEXT NOT NULL, message BLOB, instance BLOB);
";

/// Opens a connection with the settings of its role.
pub(crate) fn connect(place: &Place, role: Role) -> Result<Connection, StoreError> {
    connect_raw(place, role).map_err(|error| told(&error, "opening", &place.file))
}

/// As [`connect`], with SQLite's own error.
pub(crate) fn connect_raw(place: &Place, role: Role) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match &place.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(&place.file, flags, vfs.as_str())?,
        None => Connection::open_with_flags(&place.file, flags)?,
    };
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    match role {
        Role::Writer => {
            connection.pragma_update(None, "page_size", PAGE)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            // Every transaction is synced: what recovery from a failed sync relies on (see `health`).
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "wal_autocheckpoint", 0)?;
            connection.pragma_update(None, "cache_size", -8_000)?;
        }
        Role::Reader => {
            connection.pragma_update(None, "query_only", true)?;
            connection.pragma_update(None, "cache_size", -1_000)?;
        }
    }
    Ok(connection)
}

/// Creates the tables in a new file, or checks that an existing one is ours and not newer than we are.
pub(crate) fn prepare(connection: &mut Connection, place: &Place) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| told(&error, "preparing", &place.file);
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(failed)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    if version > VERSION {
        let why = format!(
            "{} has version {version}, this program writes version {VERSION}: start the newer program that wrote it, or restore a backup made before",
            place.file.display()
        );
        return Err(StoreError::new(StoreErrorKind::Newer, why));
    }
    if version == VERSION && application == APPLICATION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if tables > 0 {
        let why = format!("{} is an SQLite file, but not a MessageBox: choose another data folder", place.file.display());
        return Err(StoreError::new(StoreErrorKind::Failed, why));
    }
    transaction.execute_batch(TABLES).map_err(failed)?;
    transaction.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
    transaction.pragma_update(None, "user_version", VERSION).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    sync_folder(&place.file);
    Ok(())
}

/// Makes the file's name durable; a file system that cannot sync folders does not need it.
fn sync_folder(file: &Path) {
    if let Some(folder) = file.parent()
        && let Ok(folder) = std::fs::File::open(folder)
    {
        let _ = folder.sync_all();
    }
}
