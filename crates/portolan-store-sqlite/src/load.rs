//! Builds the memory from the database: when the store is opened, and when the database had to be
//! opened again after a failure. Reads headers only, never messages.

use crate::{
    pack::Header,
    services::class_of,
    state::{Spot, State, Status},
};
use portolan_model::instance::{Service, ServiceClass};
use rusqlite::Connection;

/// Where the writer goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    pub(crate) sequence: u64,
    pub(crate) pack: u64,
}

/// A group that cannot be read.
#[derive(Debug)]
pub(crate) struct Damaged {
    pub(crate) group: u64,
    pub(crate) why: String,
}

/// Reads everything memory holds.
pub(crate) fn load(connection: &Connection, cache_bytes: usize) -> rusqlite::Result<(State, Counters, Vec<Damaged>)> {
    let mut state = State::new(cache_bytes);
    let counters = connection.query_row("SELECT lsn, epoch, sequence, pack FROM mark", [], |row| {
        state.lsn = row.get::<_, i64>(0)?.cast_unsigned();
        state.epoch = row.get::<_, i64>(1)?.cast_unsigned();
        Ok(Counters { sequence: row.get::<_, i64>(2)?.cast_unsigned(), pack: row.get::<_, i64>(3)?.cast_unsigned() })
    })?;
    let mut services = connection.prepare("SELECT class, name FROM service ORDER BY n")?;
    let mut rows = services.query([])?;
    while let Some(row) = rows.next()? {
        let class = class_of(row.get(0)?).unwrap_or(ServiceClass::SendPort);
        state.services.load(Service { class, name: row.get::<_, String>(1)?.into() });
    }
    let damaged = load_groups(connection, &mut state)?;
    load_waiting(connection, &mut state)?;
    Ok((state, counters, damaged))
}

fn load_groups(connection: &Connection, state: &mut State) -> rusqlite::Result<Vec<Damaged>> {
    let mut damaged = Vec::new();
    let mut groups = connection.prepare("SELECT s.g, s.header, d.bits FROM spool s LEFT JOIN done d ON d.g = s.g ORDER BY s.g")?;
    let mut rows = groups.query([])?;
    while let Some(row) = rows.next()? {
        let number = row.get::<_, i64>(0)?.cast_unsigned();
        let bits: Option<Vec<u8>> = row.get(2)?;
        match Header::decode(row.get_ref(1)?.as_blob()?) {
            Ok(header) => state.add_group(number, &header, |offset| is_set(bits.as_deref(), offset)),
            Err(why) => damaged.push(Damaged { group: number, why }),
        }
    }
    Ok(damaged)
}

fn is_set(bits: Option<&[u8]>, offset: u32) -> bool {
    bits.and_then(|bits| bits.get((offset / 8) as usize)).is_some_and(|byte| byte >> (offset % 8) & 1 == 1)
}

/// Services with rows that may be claimed: their windows are read when somebody claims.
fn load_waiting(connection: &Connection, state: &mut State) -> rusqlite::Result<()> {
    let mut services = connection
        .prepare("SELECT DISTINCT service FROM instance WHERE state = 0 UNION SELECT DISTINCT service FROM instance WHERE state = 1")?;
    let mut rows = services.query([])?;
    while let Some(row) = rows.next()? {
        state.waiting(row.get(0)?).cold.forget();
    }
    Ok(())
}

/// Carries what only the old memory knows into a new one: claims, completions not yet written, and
/// remembered batches. What the old memory shows as done stays done; what it shows as claimed stays
/// claimed, if it is still there.
pub(crate) fn carry_over(old: State, new: &mut State) {
    new.remembered = old.remembered;
    new.gone = old.gone;
    for (sequence, entry) in old.entries.iter() {
        let there = new.entries.get(sequence).filter(|now| now.group == entry.group && now.is_live());
        if entry.status() == Status::Done && there.is_some() {
            if let Some(due) = new.due_of(sequence) {
                new.take_hot(sequence, due);
            }
            new.finish_hot(sequence);
            new.dirty.insert(entry.group);
        }
    }
    for (id, held) in old.held {
        let there = match held.spot {
            Spot::Hot { sequence, due } => new.take_hot(sequence, due),
            // Whether the row is still there shows when its holder says what becomes of it.
            Spot::Cold { .. } => true,
        };
        if there {
            new.held.insert(id, held);
        }
    }
}
