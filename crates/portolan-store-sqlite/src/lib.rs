//! The MessageBox on SQLite: the embedded store.
//!
//! What is published ready goes into packed groups, one row for each commit group (`pack`); what is
//! suspended, scheduled or resumed, and what has a stored body, is kept in ordinary rows (`rows`).
//! One thread writes (`writer`), in one synced transaction for whatever waits. Claims live in memory
//! (`state`) and die with the process. The decision record is `docs/decisions/0001-embedded-store.md`.
//!
//! **It must never** answer a synchronous commit before its transaction is synced, trust a sync that
//! failed, or drop a record it cannot read.

mod act;
mod aside;
mod bodies;
mod cache;
mod claim;
mod effects;
mod error;
mod group;
mod health;
mod hot;
mod load;
mod lock;
mod pack;
mod pool;
mod prepare;
mod query;
mod queue;
mod readers;
mod record;
mod remembered;
mod rows;
mod schema;
mod segments;
mod select;
mod services;
mod state;
mod steps;
mod txn;
mod writer;

use crate::{
    bodies::{Piece, ReadError},
    error::{closed, told},
    lock::FolderLock,
    pool::Pool,
    readers::Readers,
    schema::{Place, Role},
    state::State,
    writer::{Broken, Job, Writer},
};
use async_trait::async_trait;
use bytes::Bytes;
use portolan_model::{BodyId, BodyRef, InstanceId};
use portolan_store::{
    Answer, Batch, Capabilities, Changes, Claim, Claimed, Durability, Health, MessageBox, Operation, Query, Receipt, StoreError,
    StoreErrorKind,
};
use rusqlite::Connection;
use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
};
use tokio::sync::{oneshot, watch};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data folder; created when it is missing. One process at a time may use it.
    pub folder: PathBuf,
    /// Bytes of recently published messages kept in memory, so that their delivery reads nothing.
    pub cache_bytes: usize,
    /// The write-ahead log is moved into the database file when it is this long, in bytes.
    pub checkpoint_bytes: u64,
    /// Name of a registered SQLite VFS instead of the default one; for tests that let the disk fail.
    pub vfs: Option<String>,
}

impl Options {
    /// The usual settings for a data folder.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), cache_bytes: 8 << 20, checkpoint_bytes: 64 << 20, vfs: None }
    }
}

/// What all parts of an open store share.
struct Core {
    place: Place,
    cache_bytes: usize,
    memory: Mutex<State>,
    readers: Readers,
    recent: claim::Recent,
    changes: watch::Sender<Changes>,
    jobs: mpsc::Sender<Job>,
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_health(&self, health: Health) {
        self.lock().health = health.clone();
        self.changes.send_if_modified(|changes| {
            let changed = changes.health != health;
            changes.health = health;
            changed
        });
    }

    /// Why nothing can be written now.
    fn unhealthy(&self) -> StoreError {
        match &self.lock().health {
            Health::Full(why) => StoreError::new(StoreErrorKind::Full, why.clone()),
            Health::Failed(why) => StoreError::new(StoreErrorKind::Failed, why.clone()),
            Health::Closed => closed(),
            Health::Working => StoreError::new(StoreErrorKind::Failed, "the MessageBox is recovering"),
        }
    }

    /// Tells the writer of a record that cannot be read.
    fn report(&self, broken: Broken) {
        let _ = self.jobs.send(Job::Broken(broken));
    }

    /// Gives back what was claimed for a caller who went away, and tells that there is work.
    fn give_back(&self, claimed: impl Iterator<Item = InstanceId>) {
        let mut state = self.lock();
        let given = claimed.fold(false, |given, id| state.release(id) | given);
        drop(state);
        if given {
            self.changes.send_modify(|changes| changes.generation += 1);
        }
    }

    /// Completions and returned claims, applied to memory alone; `None` when a batch needs the writer.
    fn commit_lazily(&self, batch: &Batch) -> Option<Receipt> {
        let instances = batch.operations.iter().map(|operation| match operation {
            Operation::Complete { instance } => Some((*instance, true)),
            Operation::Release { instance } => Some((*instance, false)),
            _ => None,
        });
        let instances: Vec<_> = instances.collect::<Option<_>>()?;
        let mut state = self.lock();
        if let Some(receipt) = state.remembered.get(batch.id) {
            return Some(receipt);
        }
        let unique: std::collections::BTreeSet<_> = instances.iter().map(|(id, _)| *id).collect();
        let claimed = |id| state.held.get(id).is_some_and(|held| held.hold == state::Hold::Claimed);
        let possible = state.health != Health::Closed
            && batch.epoch.is_none_or(|epoch| epoch == state.epoch)
            && unique.len() == instances.len()
            && unique.iter().all(claimed);
        if !possible {
            return None;
        }
        let mut wake_writer = false;
        for (id, done) in instances {
            if done {
                state.complete_lazily(id);
                wake_writer |= !std::mem::replace(&mut state.lazy_told, true);
            } else {
                state.release(id);
            }
        }
        let receipt = Receipt { changed: vec![1; batch.operations.len()] };
        state.remembered.keep(batch.id, &receipt);
        drop(state);
        if wake_writer {
            let _ = self.jobs.send(Job::Lazy);
        }
        Some(receipt)
    }
}

/// The embedded store. Closing it makes everything durable; dropping it does the same, but waits.
pub struct SqliteStore {
    core: Arc<Core>,
    pool: Pool,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the store of a data folder, creating it when it is new.
    ///
    /// # Errors
    /// `Closed` (`PTL0404`) when another process uses the folder, `Newer` (`PTL0406`) when a newer
    /// version wrote it, `Full`, `Failed` or `Corrupt` when it cannot be read or written.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        let Options { folder, cache_bytes, checkpoint_bytes, vfs } = options;
        std::fs::create_dir_all(&folder).map_err(|error| {
            StoreError::new(StoreErrorKind::Failed, format!("the data folder {} cannot be created: {error}", folder.display()))
        })?;
        let lock = FolderLock::take(&folder)?;
        let place = Place { file: folder.join(schema::FILE), vfs };
        let connection = open_connection(&place)?;
        let failed = |error: rusqlite::Error| told(&error, "opening", &place.file);
        bodies::remove_orphans(&connection).map_err(failed)?;
        let (state, counters, damaged) = load::load(&connection, cache_bytes).map_err(failed)?;
        put_damaged_aside(&connection, &damaged).map_err(failed)?;
        let checkpoint_pages = i64::try_from(checkpoint_bytes).unwrap_or(i64::MAX) / schema::PAGE;
        let (jobs, receiver) = mpsc::channel();
        let core = Arc::new(Core {
            readers: Readers::new(place.clone()),
            place,
            cache_bytes,
            memory: Mutex::new(state),
            recent: claim::Recent::default(),
            changes: watch::Sender::new(Changes::default()),
            jobs,
        });
        let writer = Writer {
            core: core.clone(),
            connection,
            jobs: receiver,
            queue: VecDeque::new(),
            next_sequence: counters.sequence,
            next_pack: counters.pack,
            checkpoint_pages,
            checkpoint_at: checkpoint_pages,
            recovery: None,
            lazy_since: None,
            lock,
        };
        let no_thread = |error| StoreError::new(StoreErrorKind::Failed, format!("no thread for the MessageBox: {error}"));
        let pool = Pool::start().map_err(no_thread)?;
        let thread = std::thread::Builder::new().name("messagebox".into()).spawn(move || writer.run()).map_err(no_thread)?;
        Ok(Self { core, pool, writer: Mutex::new(Some(thread)) })
    }

    /// Hands a job to the writer and waits for its answer.
    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.core.jobs.send(job(reply)).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    fn writer_thread(&self) -> Option<JoinHandle<()>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The writer's connection, with its tables.
fn open_connection(place: &Place) -> Result<Connection, StoreError> {
    let mut connection = schema::connect(place, Role::Writer)?;
    schema::prepare(&mut connection, place)?;
    connection.execute_batch(act::TEMPORARY).map_err(|error| told(&error, "opening", &place.file))?;
    Ok(connection)
}

/// Puts groups aside whose header cannot be read, and says so.
fn put_damaged_aside(connection: &Connection, damaged: &[load::Damaged]) -> rusqlite::Result<()> {
    for load::Damaged { group, why } in damaged {
        let known: bool = connection.prepare("SELECT 1 FROM damaged WHERE g = ?1")?.exists([group.cast_signed()])?;
        if !known {
            tracing::error!(group, why, "a record of the MessageBox is damaged");
            aside::move_group(connection, *group, why)?;
            let why = format!("group {group}: {why}; it is kept in the table \"damaged\"");
            steps::add_event(connection, &aside::damage_event(None, &why))?;
        }
    }
    Ok(())
}

#[async_trait]
impl MessageBox for SqliteStore {
    async fn commit(&self, batch: Batch) -> Result<Receipt, StoreError> {
        batch.check()?;
        if batch.durability == Durability::Lazy
            && let Some(receipt) = self.core.commit_lazily(&batch)
        {
            return Ok(receipt);
        }
        let batch = prepare::prepare(batch)?;
        self.ask(|reply| Job::Commit(batch, reply)).await.map(claim::Applied::keep)
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        if let Some(claimed) = claim::try_at_once(&self.core, &claim)? {
            return Ok(claimed);
        }
        let core = self.core.clone();
        self.pool.run(move || claim::read(&core, &claim)).await.map(claim::Delivery::keep)
    }

    async fn put_chunk(&self, body: BodyId, sequence: u32, bytes: Bytes) -> Result<(), StoreError> {
        let crc = crc32fast::hash(&bytes);
        self.ask(|reply| Job::Piece(Piece { body, sequence, bytes, crc }, reply)).await
    }

    async fn read_body(&self, body: BodyRef, offset: u64, max: usize) -> Result<Bytes, StoreError> {
        let core = self.core.clone();
        self.pool
            .run(move || {
                let reader = core.readers.get()?;
                bodies::read(&reader, body.id, offset, max).map_err(|error| match error {
                    ReadError::Store(error) => error,
                    ReadError::Database(error) => core.readers.told(&error),
                })
            })
            .await
    }

    async fn query(&self, query: Query) -> Result<Answer, StoreError> {
        let core = self.core.clone();
        self.pool.run(move || query::answer(&core, query)).await
    }

    fn changes(&self) -> watch::Receiver<Changes> {
        self.core.changes.subscribe()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "sqlite", durable: true, shared: false }
    }

    async fn close(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let done = match self.core.jobs.send(Job::Close(reply)) {
            Ok(()) => answer.await.unwrap_or(Ok(())),
            Err(_) => Ok(()),
        };
        drop(self.writer_thread());
        done
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Some(thread) = self.writer_thread() {
            let (reply, _) = oneshot::channel();
            let _ = self.core.jobs.send(Job::Close(reply));
            let _ = thread.join();
        }
    }
}
