//! Connections that only read. SQLite's readers neither wait for the writer nor stop it.

use crate::{
    error::{closed, told},
    schema::{Place, Role, connect},
};
use portolan_store::StoreError;
use rusqlite::Connection;
use std::{
    ops::Deref,
    sync::{Mutex, PoisonError},
};

/// Idle connections kept.
const IDLE: usize = 4;

/// The pool.
pub(crate) struct Readers {
    place: Place,
    /// `None` when closed.
    idle: Mutex<Option<Vec<Connection>>>,
}

impl Readers {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, idle: Mutex::new(Some(Vec::new())) }
    }

    /// A connection, given back when dropped.
    pub(crate) fn get(&self) -> Result<Reader<'_>, StoreError> {
        let idle = {
            let mut pool = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            pool.as_mut().ok_or_else(closed)?.pop()
        };
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.place, Role::Reader)?,
        };
        Ok(Reader { pool: self, connection: Some(connection) })
    }

    /// Runs `work` in one snapshot of the database.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let reader = self.get()?;
        let read = || {
            let snapshot = reader.unchecked_transaction()?;
            let done = work(&reader)?;
            snapshot.finish()?;
            Ok(done)
        };
        read().map_err(|error| self.told(&error))
    }

    pub(crate) fn told(&self, error: &rusqlite::Error) -> StoreError {
        told(error, "reading", &self.place.file)
    }

    /// Closes idle connections; those in use are closed when given back, if `for_good`.
    pub(crate) fn close(&self, for_good: bool) {
        let mut pool = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = pool.take();
        if !for_good && idle.is_some() {
            *pool = Some(Vec::new());
        }
    }
}

/// A connection in use.
pub(crate) struct Reader<'a> {
    pool: &'a Readers,
    connection: Option<Connection>,
}

impl Deref for Reader<'_> {
    type Target = Connection;
    #[allow(clippy::expect_used, reason = "taken only when dropped")]
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("in use")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut pool = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(idle) = pool.as_mut()
            && idle.len() < IDLE
        {
            idle.extend(self.connection.take());
        }
    }
}
