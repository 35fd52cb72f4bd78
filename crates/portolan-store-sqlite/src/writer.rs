//! The writer: one thread, one connection. It takes whatever waits, applies it in one transaction, has
//! it synced once, and answers all. The group grows with the load by itself; there is no timer but the
//! one that writes lazy completions when nothing else does.

use crate::{
    Core,
    bodies::Piece,
    error::{Stop, closed, kind_of, told},
    health::Recovery,
    lock::FolderLock,
    prepare::Prepared,
    txn::{self, Txn},
};
use portolan_model::{BatchId, InstanceId};
use portolan_store::{Health, Receipt, StoreError, StoreErrorKind};
use rusqlite::{Connection, params};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How long a lazy completion waits for a synchronous batch to ride on.
const LAZY: Duration = Duration::from_millis(20);
/// A transaction takes no more batches, or bytes, than this.
const GROUP_JOBS: usize = 1024;
const GROUP_BYTES: usize = 4 << 20;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// Something for the writer to do.
pub(crate) enum Job {
    Commit(Prepared, Reply<Receipt>),
    Piece(Piece, Reply<()>),
    /// Lazy completions wait to be written.
    Lazy,
    Broken(Broken),
    Close(Reply<()>),
}

/// A record that cannot be read: it is put aside for operators to see.
#[derive(Debug)]
pub(crate) enum Broken {
    Packed { group: u64, sequence: u64, why: String },
    Row { id: InstanceId, why: String },
}

pub(crate) struct Writer {
    pub(crate) core: Arc<Core>,
    pub(crate) connection: Connection,
    pub(crate) jobs: Receiver<Job>,
    pub(crate) queue: VecDeque<Job>,
    pub(crate) next_sequence: u64,
    pub(crate) next_pack: u64,
    /// The log is moved into the database file when it has this many pages.
    pub(crate) checkpoint_pages: i64,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) lazy_since: Option<Instant>,
    /// Released last of all.
    pub(crate) lock: FolderLock,
}

/// What became of a transaction's batches, to be told when it is committed.
#[derive(Default)]
struct Answers {
    receipts: Vec<(BatchId, Receipt, Vec<Reply<Receipt>>)>,
    by_id: HashMap<BatchId, usize>,
    pieces: Vec<Reply<()>>,
}

/// The changes of done-marks that a transaction writes.
#[derive(Default)]
struct Marks {
    dirty: BTreeSet<u64>,
    finished: Vec<u64>,
    partial: Vec<(u64, Vec<u8>)>,
}

impl Writer {
    /// Works until closed.
    pub(crate) fn run(mut self) {
        loop {
            if !self.collect() {
                return self.finish(None);
            }
            if let Some(close) = self.work() {
                return self.finish(Some(close));
            }
        }
    }

    /// Waits for something to do; `false` when nobody can ask for anything any more.
    fn collect(&mut self) -> bool {
        while self.queue.is_empty() {
            let patience = match (&self.recovery, self.lazy_since) {
                (Some(recovery), _) => recovery.wait(),
                (None, Some(since)) => LAZY.saturating_sub(since.elapsed()),
                (None, None) => Duration::from_secs(3600),
            };
            match self.jobs.recv_timeout(patience) {
                // Completions wait a little for a batch to ride on.
                Ok(Job::Lazy) => drop(self.lazy_since.get_or_insert_with(Instant::now)),
                Ok(job) => self.queue.push_back(job),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        while self.queue.len() < 2 * GROUP_JOBS {
            let Ok(job) = self.jobs.try_recv() else { break };
            self.queue.push_back(job);
        }
        true
    }

    /// Does what is queued; returns whom to tell when it is time to close.
    fn work(&mut self) -> Option<Reply<()>> {
        if self.recovery.is_some() {
            self.recover_if_due();
        }
        if self.recovery.is_some() {
            return self.refuse_all();
        }
        loop {
            if let Some(Job::Close(_)) = self.queue.front() {
                let Some(Job::Close(reply)) = self.queue.pop_front() else { return None };
                return Some(reply);
            }
            self.transaction();
            if self.recovery.is_some() {
                return self.refuse_all();
            }
            if self.queue.is_empty() {
                return None;
            }
        }
    }

    /// Answers everything queued while the store cannot write.
    fn refuse_all(&mut self) -> Option<Reply<()>> {
        let error = self.core.unhealthy();
        while let Some(job) = self.queue.pop_front() {
            match job {
                Job::Commit(_, reply) => drop(reply.send(Err(error.clone()))),
                Job::Piece(_, reply) => drop(reply.send(Err(error.clone()))),
                Job::Lazy => self.lazy_since = Some(Instant::now()),
                // It shows again when it is claimed again after the recovery.
                Job::Broken(_) => {}
                Job::Close(reply) => return Some(reply),
            }
        }
        None
    }

    /// One transaction of what waits at the front of the queue.
    fn transaction(&mut self) {
        let mut answers = Answers::default();
        match self.fill(&mut answers) {
            Ok(()) => answers.tell(),
            Err(error) => {
                let failure = told(&error, "writing", &self.core.place.file);
                if !self.connection.is_autocommit() {
                    let _ = self.connection.execute_batch("ROLLBACK");
                }
                self.failed(&error, &failure);
                answers.fail(&failure);
            }
        }
        self.checkpoint();
    }

    fn fill(&mut self, answers: &mut Answers) -> rusqlite::Result<()> {
        let Self { connection, queue, core, .. } = self;
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        core.lock().lazy_told = false;
        let mut txn = Txn::new(connection, &core.memory, self.next_sequence);
        let filled = txn.flush_gone().and_then(|()| fill_from(&mut txn, queue, answers));
        let mut marks = Marks::default();
        let done = filled.and_then(|()| {
            marks = Marks::take(&txn);
            let number = self.next_pack;
            let wrote = save(&mut txn, &marks, number)?;
            connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(wrote)
        });
        let Txn { effects, packs, flushed, epoch, wake, next_sequence, .. } = txn;
        let mut state = core.lock();
        state.frozen = false;
        match done {
            Err(error) => {
                txn::undo(&mut state, effects);
                state.dirty.append(&mut marks.dirty);
                state.gone.extend(flushed);
                Err(error)
            }
            Ok(wrote) => {
                state.lsn += u64::from(wrote);
                state.epoch = epoch;
                txn::apply(&mut state, effects);
                for id in flushed {
                    if state.held.get(&id).is_some_and(|held| held.hold == crate::state::Hold::Gone) {
                        state.held.remove(&id);
                    }
                }
                for group in marks.finished {
                    state.remove_group(group);
                }
                for pack in packs {
                    if !pack.instances.is_empty() {
                        state.add_pack(self.next_pack, pack);
                        self.next_pack += 1;
                    }
                }
                for (id, receipt, _) in &answers.receipts {
                    state.remembered.keep(*id, receipt);
                }
                let saved = state.services.len();
                if wrote {
                    state.services.saved(saved);
                }
                let lazy = state.lazy_told;
                drop(state);
                self.lazy_since = lazy.then(Instant::now);
                self.next_sequence = next_sequence;
                if wake {
                    core.changes.send_modify(|changes| changes.generation += 1);
                }
                Ok(())
            }
        }
    }

    /// Moves the log into the database file when it has grown long.
    fn checkpoint(&mut self) {
        let pages = self.connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get::<_, i64>(1));
        if !pages.is_ok_and(|pages| pages >= self.checkpoint_pages) {
            return;
        }
        let done = self.connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
        if let Err(error) = done {
            let failure = told(&error, "moving the log into", &self.core.place.file);
            self.failed(&error, &failure);
        }
    }

    /// A failure that is more than one statement's: nothing is accepted until it is overcome.
    fn failed(&mut self, error: &rusqlite::Error, failure: &StoreError) {
        tracing::error!(%failure, "the MessageBox cannot write");
        if Recovery::is_needed(error) {
            let health = match kind_of(error) {
                StoreErrorKind::Full => Health::Full(failure.message.clone()),
                _ => Health::Failed(failure.message.clone()),
            };
            self.recovery = Some(Recovery::new(kind_of(error) != StoreErrorKind::Full));
            self.core.set_health(health);
        }
    }

    /// Writes what is left, closes everything, lets go of the folder.
    fn finish(mut self, reply: Option<Reply<()>>) {
        self.core.set_health(Health::Closed);
        // What was queued behind the close, or comes now, is refused.
        while let Ok(job) = self.jobs.try_recv() {
            self.queue.push_back(job);
        }
        let queue = std::mem::take(&mut self.queue);
        let mut done = if self.recovery.is_some() { Err(self.core.unhealthy()) } else { self.flush() };
        self.core.readers.close(true);
        let Self { connection, lock, core, .. } = self;
        if let Err((_, error)) = connection.close()
            && done.is_ok()
        {
            done = Err(told(&error, "closing", &core.place.file));
        }
        drop(lock);
        for job in queue {
            match job {
                Job::Commit(_, reply) => drop(reply.send(Err(closed()))),
                Job::Piece(_, reply) => drop(reply.send(Err(closed()))),
                Job::Close(reply) => drop(reply.send(Ok(()))),
                Job::Lazy | Job::Broken(_) => {}
            }
        }
        if let Some(reply) = reply {
            let _ = reply.send(done);
        }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let mut answers = Answers::default();
        self.fill(&mut answers).map_err(|error| told(&error, "writing", &self.core.place.file))
    }
}

/// Applies queued jobs until the transaction is full, or the next needs another one.
fn fill_from(txn: &mut Txn<'_>, queue: &mut VecDeque<Job>, answers: &mut Answers) -> rusqlite::Result<()> {
    let (mut jobs, mut bytes) = (0, 0);
    while jobs < GROUP_JOBS && bytes < GROUP_BYTES {
        let Some(job) = queue.pop_front() else { break };
        jobs += 1;
        match job {
            Job::Commit(batch, reply) => {
                bytes += batch.bytes;
                let known = txn.state().remembered.get(batch.id);
                if let Some(receipt) = known {
                    let _ = reply.send(Ok(receipt));
                    continue;
                }
                if let Some(at) = answers.by_id.get(&batch.id) {
                    answers.receipts[*at].2.push(reply);
                    continue;
                }
                let (id, alone) = (batch.id, batch.alone);
                if alone && !txn.is_fresh() {
                    queue.push_front(Job::Commit(batch, reply));
                    break;
                }
                match txn.batch(batch) {
                    Ok(receipt) => {
                        answers.by_id.insert(id, answers.receipts.len());
                        answers.receipts.push((id, receipt, vec![reply]));
                    }
                    Err((Stop::Batch(error), _)) => drop(reply.send(Err(error))),
                    Err((Stop::Barrier, batch)) => {
                        queue.push_front(Job::Commit(batch, reply));
                        break;
                    }
                    Err((Stop::Database(error), _)) => {
                        answers.receipts.push((id, Receipt::default(), vec![reply]));
                        return Err(error);
                    }
                }
                if alone {
                    break;
                }
            }
            Job::Piece(piece, reply) => {
                bytes += piece.bytes.len();
                match txn.piece(&piece) {
                    Ok(()) => answers.pieces.push(reply),
                    Err(Stop::Batch(error)) => drop(reply.send(Err(error))),
                    Err(Stop::Barrier) => {}
                    Err(Stop::Database(error)) => {
                        answers.pieces.push(reply);
                        return Err(error);
                    }
                }
            }
            Job::Lazy => {}
            Job::Broken(broken) => txn.put_aside(&broken)?,
            Job::Close(reply) => {
                queue.push_front(Job::Close(reply));
                break;
            }
        }
    }
    Ok(())
}

impl Marks {
    /// Works out which groups change: those with completions of this transaction or lazy ones.
    fn take(txn: &Txn<'_>) -> Self {
        let mut state = txn.state();
        let mut touched: HashMap<u64, Vec<u64>> = HashMap::new();
        for effect in &txn.effects {
            if let txn::Effect::HotFinished { sequence, .. } = effect
                && let Some(entry) = state.entries.get(*sequence)
            {
                touched.entry(entry.group).or_default().push(*sequence);
            }
        }
        let dirty = std::mem::take(&mut state.dirty);
        let mut marks = Self::default();
        for group in dirty.iter().chain(touched.keys().filter(|group| !dirty.contains(group))) {
            let also = touched.get(group).map_or(&[][..], Vec::as_slice);
            let Some(there) = state.groups.get(*group) else { continue };
            if there.live as usize <= also.len() {
                marks.finished.push(*group);
            } else {
                marks.partial.push((*group, state.done_bits(*group, also)));
            }
        }
        marks.dirty = dirty;
        marks
    }
}

/// Writes what the transaction packed and marked; whether there was anything to write at all.
fn save(txn: &mut Txn<'_>, marks: &Marks, mut number: u64) -> rusqlite::Result<bool> {
    let connection = txn.connection;
    let services = txn.state().services.unsaved();
    let packed = txn.packs.iter().any(|pack| !pack.instances.is_empty());
    if !(txn.wrote || packed || !marks.finished.is_empty() || !marks.partial.is_empty()) {
        return Ok(false);
    }
    for (n, service) in services {
        let mut insert = connection.prepare_cached("INSERT INTO service(n, class, name) VALUES (?1, ?2, ?3)")?;
        insert.execute(params![n, crate::services::class_number(service.class), service.name.as_str()])?;
    }
    let mut insert = connection.prepare_cached("INSERT INTO spool(g, header, data) VALUES (?1, ?2, ?3)")?;
    for pack in txn.packs.iter().filter(|pack| !pack.instances.is_empty()) {
        let header = pack.header.encode().map_err(|why| rusqlite::Error::ToSqlConversionFailure(why.into()))?;
        insert.execute(params![number.cast_signed(), header, pack.data])?;
        number += 1;
    }
    let mut delete = connection.prepare_cached("DELETE FROM spool WHERE g = ?1")?;
    let mut unmark = connection.prepare_cached("DELETE FROM done WHERE g = ?1")?;
    for group in &marks.finished {
        delete.execute([group.cast_signed()])?;
        unmark.execute([group.cast_signed()])?;
    }
    let mut mark = connection.prepare_cached("INSERT OR REPLACE INTO done(g, bits) VALUES (?1, ?2)")?;
    for (group, bits) in &marks.partial {
        mark.execute(params![group.cast_signed(), bits])?;
    }
    let mut advance = connection.prepare_cached("UPDATE mark SET lsn = lsn + 1, sequence = ?1, pack = ?2")?;
    advance.execute([txn.next_sequence.cast_signed(), number.cast_signed()])?;
    Ok(true)
}

impl Answers {
    fn tell(self) {
        for (_, receipt, replies) in self.receipts {
            for reply in replies {
                let _ = reply.send(Ok(receipt.clone()));
            }
        }
        for reply in self.pieces {
            let _ = reply.send(Ok(()));
        }
    }

    fn fail(self, error: &StoreError) {
        for reply in self.receipts.into_iter().flat_map(|(_, _, replies)| replies) {
            let _ = reply.send(Err(error.clone()));
        }
        for reply in self.pieces {
            let _ = reply.send(Err(error.clone()));
        }
    }
}
