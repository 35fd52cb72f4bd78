//! Large bodies in pieces: `body_chunk` is keyed by the number of the body and of the piece, each
//! piece knows where it starts. Only one piece is in memory at a time.

use crate::error::{Stop, corrupt};
use bytes::Bytes;
use portolan_model::BodyId;
use portolan_store::{StoreError, StoreErrorKind};
use rusqlite::{Connection, OptionalExtension, params};

/// Pieces of one body have numbers below `1 << PIECE_BITS`.
const PIECE_BITS: u32 = 28;

/// A piece on its way in.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) body: BodyId,
    pub(crate) sequence: u32,
    pub(crate) bytes: Bytes,
    pub(crate) crc: u32,
}

fn key(body: i64, sequence: u32) -> i64 {
    body << PIECE_BITS | i64::from(sequence)
}

fn find(connection: &Connection, body: BodyId) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT n FROM body WHERE id = ?1")?.query_row([&body.0.as_bytes()[..]], |row| row.get(0)).optional()
}

/// Where a piece starts and how long it is.
fn extent(connection: &Connection, k: i64) -> rusqlite::Result<Option<(i64, i64)>> {
    let mut find = connection.prepare_cached("SELECT start, length(data) FROM body_chunk WHERE k = ?1")?;
    find.query_row([k], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// The key of the last piece.
fn last(connection: &Connection, body: i64) -> rusqlite::Result<Option<i64>> {
    let mut find = connection.prepare_cached("SELECT max(k) FROM body_chunk WHERE k BETWEEN ?1 AND ?2")?;
    find.query_row([key(body, 0), key(body + 1, 0) - 1], |row| row.get(0))
}

/// The row of a body and how long it is.
pub(crate) fn length(connection: &Connection, body: BodyId) -> rusqlite::Result<Option<(i64, u64)>> {
    let Some(n) = find(connection, body)? else { return Ok(None) };
    let Some(last) = last(connection, n)? else { return Ok(None) };
    Ok(extent(connection, last)?.map(|(start, length)| (n, (start + length).cast_unsigned())))
}

/// Whether a message owns a body.
fn owned(connection: &Connection, body: i64) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM body_owner WHERE body = ?1 LIMIT 1")?.exists([body])
}

/// Stores a piece.
pub(crate) fn put(connection: &Connection, piece: &Piece) -> Result<(), Stop> {
    let Piece { body, sequence, .. } = piece;
    let invalid =
        |why: String| Err(Stop::Batch(StoreError::new(StoreErrorKind::Invalid, format!("piece {sequence} of body {body}: {why}"))));
    if *sequence >= 1 << PIECE_BITS {
        return invalid("a body has at most 268,435,456 pieces".into());
    }
    let n = match find(connection, *body)? {
        Some(n) => n,
        None => {
            connection.prepare_cached("INSERT INTO body(id) VALUES (?1)")?.execute([&body.0.as_bytes()[..]])?;
            connection.last_insert_rowid()
        }
    };
    if owned(connection, n)? {
        return invalid("the body belongs to a message and cannot change".into());
    }
    let start = match sequence.checked_sub(1) {
        None => 0,
        Some(before) => match extent(connection, key(n, before))? {
            Some((start, length)) => start + length,
            None => {
                let known = last(connection, n)?.map_or(0, |last| last - key(n, 0) + 1);
                return invalid(format!("piece {known} must come first"));
            }
        },
    };
    let k = key(n, *sequence);
    let before = extent(connection, k)?.map_or(0, |(_, length)| length);
    let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO body_chunk(k, start, crc, data) VALUES (?1, ?2, ?3, ?4)")?;
    insert.execute(params![k, start, piece.crc, &piece.bytes[..]])?;
    let moved = i64::try_from(piece.bytes.len()).unwrap_or(i64::MAX) - before;
    if moved != 0 {
        // Only when a piece is written again with another length: the pieces after it move.
        let mut shift = connection.prepare_cached("UPDATE body_chunk SET start = start + ?1 WHERE k > ?2 AND k < ?3")?;
        shift.execute([moved, k, key(n + 1, 0)])?;
    }
    Ok(())
}

/// Reads from `offset` to the end of a piece, at most `max` bytes.
pub(crate) fn read(connection: &Connection, body: BodyId, offset: u64, max: usize) -> Result<Bytes, ReadError> {
    let missing = || StoreError::new(StoreErrorKind::NotFound, format!("there is no body {body}"));
    let n = find(connection, body)?.ok_or_else(missing)?;
    let last = last(connection, n)?.ok_or_else(missing)?;
    let Ok(offset) = i64::try_from(offset) else { return Ok(Bytes::new()) };
    let Some(k) = piece_at(connection, n, last, offset)? else { return Ok(Bytes::new()) };
    let mut find = connection.prepare_cached("SELECT start, crc, data FROM body_chunk WHERE k = ?1")?;
    let mut rows = find.query([k])?;
    let Some(row) = rows.next()? else { return Err(missing().into()) };
    let (start, crc): (i64, u32) = (row.get(0)?, row.get(1)?);
    let data = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
    if crc32fast::hash(data) != crc {
        return Err(corrupt(format!("piece {} of body {body} does not pass its checksum", k - key(n, 0))).into());
    }
    let from = usize::try_from(offset - start).unwrap_or(data.len()).min(data.len());
    let to = from.saturating_add(max).min(data.len());
    Ok(Bytes::copy_from_slice(&data[from..to]))
}

/// The piece that holds the byte at `offset`; `None` at or after the end.
fn piece_at(connection: &Connection, body: i64, last: i64, offset: i64) -> rusqlite::Result<Option<i64>> {
    let (mut low, mut high) = (key(body, 0), last);
    // Pieces usually have one length: the guess is right nearly always, else it halves the rest.
    let first_length = extent(connection, low)?.map_or(1, |(_, length)| length.max(1));
    let mut guess = (low + offset / first_length).min(high);
    while low <= high {
        let Some((start, length)) = extent(connection, guess)? else { return Ok(None) };
        if offset < start {
            high = guess - 1;
        } else if offset >= start + length {
            low = guess + 1;
        } else {
            return Ok(Some(guess));
        }
        guess = low + (high - low) / 2;
    }
    Ok(None)
}

/// Removes a body unless a message owns it; whether it did.
pub(crate) fn discard(connection: &Connection, body: BodyId, released: &[i64]) -> rusqlite::Result<bool> {
    match find(connection, body)? {
        // One that lost its last owner in this batch may find a new one in it.
        Some(n) if !released.contains(&n) => remove_unowned(connection, n),
        _ => Ok(false),
    }
}

/// Removes a body unless a message owns it; whether it did.
pub(crate) fn remove_unowned(connection: &Connection, n: i64) -> rusqlite::Result<bool> {
    if owned(connection, n)? {
        return Ok(false);
    }
    connection.prepare_cached("DELETE FROM body_chunk WHERE k BETWEEN ?1 AND ?2")?.execute([key(n, 0), key(n + 1, 0) - 1])?;
    Ok(connection.prepare_cached("DELETE FROM body WHERE n = ?1")?.execute([n])? > 0)
}

/// Removes every body that no message owns: what a crash left of bodies that were streamed in.
pub(crate) fn remove_orphans(connection: &Connection) -> rusqlite::Result<usize> {
    let mut find = connection.prepare("SELECT n FROM body WHERE n NOT IN (SELECT body FROM body_owner)")?;
    let orphans: Vec<i64> = find.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for orphan in &orphans {
        remove_unowned(connection, *orphan)?;
    }
    Ok(orphans.len())
}

/// Why a body could not be read.
pub(crate) enum ReadError {
    Database(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
