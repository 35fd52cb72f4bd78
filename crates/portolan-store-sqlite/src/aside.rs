//! Damaged records: each is put aside alone, where operators see it, with its bytes as they are, and
//! the rest goes on. Nothing is dropped silently.

use crate::{
    effects::Effect,
    error::Stop,
    hot,
    rows::{self, LoadError},
    state::Status,
    steps::add_event,
    txn::Txn,
    writer::Broken,
};
use portolan_model::{
    InstanceId, MessageId, Timestamp, code,
    instance::{Failure, Instance, MessageForm},
};
use portolan_store::{Event, Severity};
use rusqlite::{OptionalExtension, params};
use std::time::{SystemTime, UNIX_EPOCH};

impl Txn<'_> {
    /// Puts a damaged record aside.
    pub(crate) fn put_aside(&mut self, broken: &Broken) -> rusqlite::Result<()> {
        let done = self.guarded(|txn| {
            txn.writing()?;
            match broken {
                Broken::Row { id, why } => txn.put_aside_row(*id, why),
                Broken::Packed { group, sequence, why } => txn.put_aside_packed(*group, *sequence, why),
            }
        });
        match done {
            Err(Stop::Database(error)) => Err(error),
            Err(Stop::Batch(error)) => {
                tracing::error!(%error, "a damaged record cannot be put aside");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn put_aside_row(&mut self, id: InstanceId, why: &str) -> Result<(), Stop> {
        let Some(row) = rows::find(self.connection, id)? else { return Ok(()) };
        let service = self.state().services.get(row.service);
        let (n, number) = (row.n, row.service);
        let suspended = unreadable(Instance { service, ..row.instance }, why);
        rows::update_instance(self.connection, n, &suspended)?;
        self.tell(Some(&suspended), why)?;
        self.effects.push(Effect::ColdFinished { id, service: number, row: n, waited: false });
        Ok(())
    }

    fn put_aside_packed(&mut self, group: u64, sequence: u64, why: &str) -> Result<(), Stop> {
        if self.state().entries.get(sequence).is_none_or(|entry| entry.status() != Status::Taken) {
            return Ok(());
        }
        let header = match hot::header(self.connection, group) {
            Ok(header) => header,
            Err(LoadError::Database(error)) if crate::error::kind_of(&error) != portolan_store::StoreErrorKind::Corrupt => {
                return Err(error.into());
            }
            Err(_) => return self.put_aside_group(group, why),
        };
        let slices = header.slices();
        let Some((head, slice)) = hot::head(&header, sequence).and_then(|head| Some((head, slices.get(head.message as usize)?))) else {
            return self.put_aside_group(group, why);
        };
        let service = self.state().services.get(head.service);
        let suspended = unreadable(header.instance(head, service), why);
        // As much of the record as can be read, under the checksum it should have had.
        let mut data = self.connection.prepare_cached("SELECT substr(data, ?2, ?3) FROM spool WHERE g = ?1")?;
        let range = params![group.cast_signed(), slice.range.start as i64 + 1, slice.range.len() as i64];
        let bytes: Vec<u8> = data.query_row(range, |row| row.get(0)).unwrap_or_default();
        let message = self.adopt_damaged(slice.id, &bytes, slice.crc)?;
        let id = suspended.id;
        rows::insert_instance(self.connection, &suspended, message, head.service, sequence)?;
        self.tell(Some(&suspended), why)?;
        self.effects.push(Effect::HotFinished { id, sequence });
        Ok(())
    }

    fn adopt_damaged(&self, id: MessageId, bytes: &[u8], crc: u32) -> rusqlite::Result<i64> {
        let mut find = self.connection.prepare_cached("SELECT n FROM message WHERE id = ?1")?;
        if let Some(n) = find.query_row([&id.0.as_bytes()[..]], |row| row.get(0)).optional()? {
            return Ok(n);
        }
        self.connection.prepare_cached("INSERT INTO message(id, crc, data) VALUES (?1, ?2, ?3)")?.execute(params![
            &id.0.as_bytes()[..],
            crc,
            bytes
        ])?;
        Ok(self.connection.last_insert_rowid())
    }

    /// A group whose header cannot be read: which instances it held is not known.
    fn put_aside_group(&mut self, group: u64, why: &str) -> Result<(), Stop> {
        move_group(self.connection, group, why)?;
        self.tell(None, &format!("group {group}: {why}; it is kept in the table \"damaged\""))?;
        self.effects.push(Effect::GroupLost { group });
        Ok(())
    }

    fn tell(&self, instance: Option<&Instance>, why: &str) -> rusqlite::Result<()> {
        add_event(self.connection, &damage_event(instance, why)).map(drop)
    }
}

/// Moves a group out of the way, with its bytes if they can be read.
pub(crate) fn move_group(connection: &rusqlite::Connection, group: u64, why: &str) -> rusqlite::Result<()> {
    let g = group.cast_signed();
    let copied = connection.execute(
        "INSERT OR REPLACE INTO damaged(g, header, data, why) SELECT g, header, data, ?2 FROM spool WHERE g = ?1",
        params![g, why],
    );
    if copied.is_err() {
        connection.execute("INSERT OR REPLACE INTO damaged(g, why) VALUES (?1, ?2)", params![g, why])?;
        return Ok(());
    }
    connection.execute("DELETE FROM spool WHERE g = ?1", [g])?;
    connection.execute("DELETE FROM done WHERE g = ?1", [g])?;
    Ok(())
}

/// What operators are told about damage.
pub(crate) fn damage_event(instance: Option<&Instance>, why: &str) -> Event {
    Event {
        at: now(),
        severity: Severity::Error,
        code: code::STORE_CORRUPT.id.into(),
        source: instance.map(|instance| instance.service.name.clone()).unwrap_or_default(),
        text: format!("a record of the MessageBox is damaged: {why}"),
        message: instance.map(|instance| instance.message),
        instance: instance.map(|instance| instance.id),
    }
}

fn unreadable(instance: Instance, why: &str) -> Instance {
    let failure = Failure {
        code: code::STORE_CORRUPT.id.into(),
        description: format!("the stored message is damaged: {why}"),
        adapter: None,
        address: None,
        at: now(),
    };
    instance.suspended(false, MessageForm::Published, failure)
}

fn now() -> Timestamp {
    Timestamp(0).plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
