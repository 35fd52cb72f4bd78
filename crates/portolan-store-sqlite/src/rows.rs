//! Instances and messages that are not packed, as ordinary rows: suspended, scheduled, resumed, and
//! all whose message has a stored body. Every statement that touches single rows is here. Never
//! touches memory: that follows after the commit.

use crate::{
    error::{Stop, corrupt},
    queue::ColdKey,
    record::{self, Record},
};
use portolan_model::{
    BodyRef, InstanceId, Message, MessageId, SmolStr, Timestamp,
    instance::{Failure, Instance, InstanceState, MessageForm, Progress, Service, TransportRole},
    system::bts,
};
use portolan_store::{StoreError, StoreErrorKind};
use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension, Row as SqlRow, params};

/// An instance as it is stored in a row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) n: i64,
    /// Row of its message.
    pub(crate) message: i64,
    pub(crate) sequence: u64,
    pub(crate) service: u32,
    pub(crate) instance: Instance,
}

impl Row {
    pub(crate) fn key(&self) -> ColdKey {
        ColdKey {
            priority: self.instance.priority,
            due: self.instance.due.0,
            sequence: self.sequence,
            row: self.n,
            id: self.instance.id,
            scheduled: self.instance.state == InstanceState::Scheduled,
        }
    }
}

/// The columns [`read`] expects; `i` is the instance, `m` its message.
pub(crate) const COLUMNS: &str = "i.n, i.message, i.sequence, i.service, i.id, m.id, i.state, i.due, i.priority, i.form, \
  i.transport, i.attempts, i.created, i.code, i.description, i.adapter, i.address, i.failed, i.family, i.about";
/// The tables they come from.
pub(crate) const TABLES: &str = "instance i JOIN message m ON m.n = i.message";

/// Reads a row of [`COLUMNS`]. The service is filled in by the caller, who knows the numbers.
pub(crate) fn read(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let code: Option<String> = row.get(13)?;
    let failure = match code {
        None => None,
        Some(code) => Some(Failure {
            code: SmolStr::new(code),
            description: row.get::<_, Option<String>>(14)?.unwrap_or_default(),
            adapter: row.get::<_, Option<String>>(15)?.map(SmolStr::new),
            address: row.get(16)?,
            at: Timestamp(row.get::<_, Option<i64>>(17)?.unwrap_or_default()),
        }),
    };
    let transport = if row.get::<_, i64>(10)? == 0 { TransportRole::Primary } else { TransportRole::Backup };
    let instance = Instance {
        id: InstanceId(uuid(row, 4)?),
        service: Service::report(),
        message: MessageId(uuid(row, 5)?),
        state: state_of(row.get(6)?).ok_or(rusqlite::Error::IntegralValueOutOfRange(6, row.get(6)?))?,
        due: Timestamp(row.get(7)?),
        priority: row.get(8)?,
        form: form_of(row.get(9)?).ok_or(rusqlite::Error::IntegralValueOutOfRange(9, row.get(9)?))?,
        progress: Progress { transport, attempts: row.get(11)? },
        created: Timestamp(row.get(12)?),
        failure,
        group: row.get::<_, Option<String>>(18)?.map(SmolStr::new),
        about: row.get::<_, Option<[u8; 16]>>(19)?.map(|bytes| InstanceId(uuid::Uuid::from_bytes(bytes))),
    };
    Ok(Row { n: row.get(0)?, message: row.get(1)?, sequence: row.get::<_, i64>(2)?.cast_unsigned(), service: row.get(3)?, instance })
}

fn uuid(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<uuid::Uuid> {
    Ok(uuid::Uuid::from_bytes(row.get::<_, [u8; 16]>(at)?))
}

pub(crate) fn state_number(state: InstanceState) -> i64 {
    match state {
        InstanceState::Ready => 0,
        InstanceState::Scheduled => 1,
        InstanceState::SuspendedResumable => 2,
        InstanceState::SuspendedNotResumable => 3,
    }
}

fn state_of(number: i64) -> Option<InstanceState> {
    Some(match number {
        0 => InstanceState::Ready,
        1 => InstanceState::Scheduled,
        2 => InstanceState::SuspendedResumable,
        3 => InstanceState::SuspendedNotResumable,
        _ => return None,
    })
}

fn form_number(form: MessageForm) -> i64 {
    match form {
        MessageForm::Wire => 0,
        MessageForm::PostPipeline => 1,
        MessageForm::Published => 2,
    }
}

fn form_of(number: i64) -> Option<MessageForm> {
    Some(match number {
        0 => MessageForm::Wire,
        1 => MessageForm::PostPipeline,
        2 => MessageForm::Published,
        _ => return None,
    })
}

/// Finds the row of an instance.
pub(crate) fn find(connection: &Connection, id: InstanceId) -> rusqlite::Result<Option<Row>> {
    let sql = format!("SELECT {COLUMNS} FROM {TABLES} WHERE i.id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_row([&id.0.as_bytes()[..]], read).optional()
}

/// Stores a new message; its stored bodies belong to it from now on.
pub(crate) fn insert_message(connection: &Connection, message: &Message, record: &Record, bodies: &[i64]) -> Result<i64, Stop> {
    let kind = message.context.text(&bts::MESSAGE_TYPE);
    let mut insert = connection.prepare_cached("INSERT INTO message(id, type, crc, data) VALUES (?1, ?2, ?3, ?4)")?;
    unique(insert.execute(params![&message.id.0.as_bytes()[..], kind, record.crc, record.bytes]), || {
        format!("a message {} is there already", message.id)
    })?;
    let n = connection.last_insert_rowid();
    let mut own = connection.prepare_cached("INSERT OR IGNORE INTO body_owner(body, message) VALUES (?1, ?2)")?;
    for body in bodies {
        own.execute([*body, n])?;
    }
    Ok(n)
}

/// The row of a message that leaves its group: one row however many of its instances do.
pub(crate) fn adopt_message(
    connection: &Connection,
    message: &Message,
    record: impl FnOnce() -> Result<Record, Stop>,
) -> Result<i64, Stop> {
    let mut find = connection.prepare_cached("SELECT n FROM message WHERE id = ?1")?;
    if let Some(n) = find.query_row([&message.id.0.as_bytes()[..]], |row| row.get(0)).optional()? {
        return Ok(n);
    }
    insert_message(connection, message, &record()?, &[])
}

/// Stores a new instance.
pub(crate) fn insert_instance(
    connection: &Connection,
    instance: &Instance,
    message: i64,
    service: u32,
    sequence: u64,
) -> Result<Row, Stop> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO instance(message, service, sequence, id, state, due, priority, form, transport, attempts, created, \
         code, description, adapter, address, failed, family, about) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?;
    let failure = instance.failure.as_ref();
    let done = insert.execute(params![
        message,
        service,
        sequence.cast_signed(),
        &instance.id.0.as_bytes()[..],
        state_number(instance.state),
        instance.due.0,
        instance.priority,
        form_number(instance.form),
        transport_number(instance.progress.transport),
        instance.progress.attempts,
        instance.created.0,
        failure.map(|f| f.code.as_str()),
        failure.map(|f| f.description.as_str()),
        failure.and_then(|f| f.adapter.as_deref()),
        failure.and_then(|f| f.address.as_deref()),
        failure.map(|f| f.at.0),
        instance.group.as_deref(),
        instance.about.map(|about| *about.0.as_bytes()),
    ]);
    unique(done, || format!("an instance {} is there already", instance.id))?;
    Ok(Row { n: connection.last_insert_rowid(), message, sequence, service, instance: instance.clone() })
}

/// Writes what may change of an instance.
pub(crate) fn update_instance(connection: &Connection, n: i64, instance: &Instance) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE instance SET state = ?2, due = ?3, form = ?4, transport = ?5, attempts = ?6, code = ?7, description = ?8, \
         adapter = ?9, address = ?10, failed = ?11 WHERE n = ?1",
    )?;
    let failure = instance.failure.as_ref();
    update.execute(params![
        n,
        state_number(instance.state),
        instance.due.0,
        form_number(instance.form),
        transport_number(instance.progress.transport),
        instance.progress.attempts,
        failure.map(|f| f.code.as_str()),
        failure.map(|f| f.description.as_str()),
        failure.and_then(|f| f.adapter.as_deref()),
        failure.and_then(|f| f.address.as_deref()),
        failure.map(|f| f.at.0),
    ])?;
    Ok(())
}

fn transport_number(transport: TransportRole) -> i64 {
    i64::from(transport == TransportRole::Backup)
}

/// Removes an instance, and its message with the last row that carries it. Bodies the message gave up
/// are added to `released`.
pub(crate) fn delete_instance(connection: &Connection, n: i64, message: i64, released: &mut Vec<i64>) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM instance WHERE n = ?1")?.execute([n])?;
    let mut others: CachedStatement<'_> = connection.prepare_cached("SELECT 1 FROM instance WHERE message = ?1 LIMIT 1")?;
    if others.exists([message])? {
        return Ok(());
    }
    let mut owned = connection.prepare_cached("SELECT body FROM body_owner WHERE message = ?1")?;
    let before = released.len();
    for body in owned.query_map([message], |row| row.get(0))? {
        released.push(body?);
    }
    if released.len() > before {
        connection.prepare_cached("DELETE FROM body_owner WHERE message = ?1")?.execute([message])?;
    }
    connection.prepare_cached("DELETE FROM message WHERE n = ?1")?.execute([message])?;
    Ok(())
}

/// Reads and checks the message of a row.
pub(crate) fn load_message(connection: &Connection, message: i64) -> Result<Message, LoadError> {
    let mut find = connection.prepare_cached("SELECT crc, data, id FROM message WHERE n = ?1").map_err(LoadError::Database)?;
    let found = find.query_row([message], |row| Ok(decode_row(row))).map_err(LoadError::Database)?;
    found.map_err(LoadError::Database)?.map_err(|why| LoadError::Corrupt(why.message))
}

/// Reads and checks a message by its id.
pub(crate) fn find_message(connection: &Connection, id: MessageId) -> rusqlite::Result<Option<Result<Message, StoreError>>> {
    let mut find = connection.prepare_cached("SELECT crc, data, id FROM message WHERE id = ?1")?;
    find.query_row([&id.0.as_bytes()[..]], |row| Ok(decode_row(row))).optional()?.transpose()
}

fn decode_row(row: &SqlRow<'_>) -> rusqlite::Result<Result<Message, StoreError>> {
    let crc: u32 = row.get(0)?;
    let id = uuid(row, 2)?;
    let bytes = row.get_ref(1)?.as_blob()?;
    Ok(record::decode(bytes, crc).map_err(|why| corrupt(format!("message {id} is damaged: {why}"))))
}

/// Why a message could not be read.
#[derive(Debug)]
pub(crate) enum LoadError {
    Database(rusqlite::Error),
    Corrupt(String),
}

/// The rows of bodies a message wants to own; they must be there whole.
pub(crate) fn wanted_bodies(connection: &Connection, message: &Message) -> Result<Vec<i64>, Stop> {
    let invalid = |why: String| Stop::Batch(StoreError::new(StoreErrorKind::Invalid, format!("message {}: {why}", message.id)));
    message
        .stored_bodies()
        .map(|BodyRef { id, length }| match crate::bodies::length(connection, id)? {
            None => Err(invalid(format!("its body {id} was not stored"))),
            Some((_, stored)) if stored != length => Err(invalid(format!("its body {id} has {stored} bytes, not {length}"))),
            Some((n, _)) => Ok(n),
        })
        .collect()
}

/// Tells a key that is there already from a failing database.
fn unique(done: rusqlite::Result<usize>, why: impl FnOnce() -> String) -> Result<(), Stop> {
    match done {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(Stop::Batch(StoreError::new(StoreErrorKind::Invalid, why())))
        }
        Err(error) => Err(Stop::Database(error)),
    }
}
