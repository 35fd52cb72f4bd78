//! Reading packed groups back: by the writer when an unclaimed instance is to change, by claims when
//! the group is no longer cached. Never holds the memory's lock while it reads.

use crate::{
    error::{Stop, corrupt},
    pack::{HeadInstance, Header},
    record,
    rows::LoadError,
    state::State,
};
use portolan_model::InstanceId;
use portolan_store::Work;
use rusqlite::{Connection, OptionalExtension};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

fn lock(memory: &Mutex<State>) -> MutexGuard<'_, State> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the header of a group.
pub(crate) fn header(connection: &Connection, group: u64) -> Result<Header, LoadError> {
    let mut find = connection.prepare_cached("SELECT header FROM spool WHERE g = ?1").map_err(LoadError::Database)?;
    let read = find.query_row([group.cast_signed()], |row| Ok(Header::decode(row.get_ref(0)?.as_blob()?))).optional();
    match read.map_err(LoadError::Database)? {
        None => Err(LoadError::Corrupt(format!("group {group} is not there"))),
        Some(header) => header.map_err(|why| LoadError::Corrupt(format!("group {group}: {why}"))),
    }
}

/// Reads a whole group.
pub(crate) fn group(connection: &Connection, group: u64) -> Result<(Header, Vec<u8>), LoadError> {
    let mut find = connection.prepare_cached("SELECT header, data FROM spool WHERE g = ?1").map_err(LoadError::Database)?;
    let read = find.query_row([group.cast_signed()], |row| Ok((Header::decode(row.get_ref(0)?.as_blob()?), row.get(1)?))).optional();
    match read.map_err(LoadError::Database)? {
        None => Err(LoadError::Corrupt(format!("group {group} is not there"))),
        Some((Ok(header), data)) => Ok((header, data)),
        Some((Err(why), _)) => Err(LoadError::Corrupt(format!("group {group}: {why}"))),
    }
}

/// Finds a live packed instance nobody holds: its sequence number and due.
pub(crate) fn find(connection: &Connection, memory: &Mutex<State>, id: InstanceId) -> Result<Option<(u64, i64)>, Stop> {
    let candidates = lock(memory).hot_candidates(&[id]);
    for (sequence, entry) in candidates {
        let header = match header(connection, entry.group) {
            Ok(header) => header,
            Err(LoadError::Database(error)) => return Err(Stop::Database(error)),
            Err(LoadError::Corrupt(_)) => continue,
        };
        if let Some(head) = head(&header, sequence)
            && head.id == id
        {
            return Ok(Some((sequence, head.due.0)));
        }
    }
    Ok(None)
}

/// The instance of a sequence number.
pub(crate) fn head(header: &Header, sequence: u64) -> Option<&HeadInstance> {
    let offset = u32::try_from(sequence.checked_sub(header.first)?).ok()?;
    let at = header.instances.binary_search_by_key(&offset, |head| head.offset).ok()?;
    header.instances.get(at)
}

/// Reads one packed instance with its message.
pub(crate) fn load(connection: &Connection, memory: &Mutex<State>, sequence: u64) -> Result<Work, Stop> {
    let gone = || Stop::Batch(corrupt(format!("packed instance {sequence} is not there")));
    let number = {
        let state = lock(memory);
        let entry = state.entries.get(sequence).ok_or_else(gone)?;
        if let Some(work) = state.cache.work(entry.group, sequence) {
            return Ok(work);
        }
        entry.group
    };
    let (header, data) = match group(connection, number) {
        Ok(group) => group,
        Err(LoadError::Database(error)) => return Err(Stop::Database(error)),
        Err(LoadError::Corrupt(why)) => return Err(Stop::Batch(corrupt(why))),
    };
    let head = head(&header, sequence).ok_or_else(gone)?;
    let slices = header.slices();
    let slice = slices.get(head.message as usize).ok_or_else(gone)?;
    let bytes = data.get(slice.range.clone()).ok_or_else(gone)?;
    let message =
        record::decode(bytes, slice.crc).map_err(|why| Stop::Batch(corrupt(format!("message {} is damaged: {why}", slice.id))))?;
    let service = lock(memory).services.get(head.service);
    Ok(Work { instance: header.instance(head, service), message: Arc::new(message) })
}
