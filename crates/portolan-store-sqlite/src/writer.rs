//! The writer: one thread, one connection. It takes whatever waits, applies it in one transaction, has
//! it synced once, and answers all. The group grows with the load by itself; there is no timer but the
//! one that writes lazy completions when nothing else does.

use crate::{
    Core,
    bodies::Piece,
    claim::Applied,
    effects,
    error::{closed, kind_of, told},
    group::{Answers, GROUP_JOBS, Marks, fill_from, save},
    health::Recovery,
    lock::FolderLock,
    prepare::Prepared,
    schema,
    txn::Txn,
};
use portolan_model::InstanceId;
use portolan_store::{Health, StoreError, StoreErrorKind};
use rusqlite::Connection;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How long a lazy completion waits for a synchronous batch to ride on.
const LAZY: Duration = Duration::from_millis(20);

pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// Something for the writer to do.
pub(crate) enum Job {
    Commit(Prepared, Reply<Applied>),
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
    /// As long as a question held the log: at so many.
    pub(crate) checkpoint_at: i64,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) lazy_since: Option<Instant>,
    /// Released last of all.
    pub(crate) lock: FolderLock,
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
            Ok(()) => answers.tell(&self.core),
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
        let filled = txn.flush_gone().and_then(|()| fill_from(core, &mut txn, queue, answers));
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
        let wake = wake | std::mem::take(&mut state.missed);
        match done {
            Err(error) => {
                effects::undo(&mut state, effects);
                state.dirty.append(&mut marks.dirty);
                state.gone.extend(flushed);
                Err(error)
            }
            Ok(wrote) => {
                state.lsn += u64::from(wrote);
                state.epoch = epoch;
                effects::apply(&mut state, effects);
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
                for answer in &answers.receipts {
                    state.remembered.keep(answer.id, &answer.receipt);
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

    /// Moves the log into the database file when it has grown long. By the writer itself: a checkpoint
    /// on another thread syncs the log while a transaction is being written, and when that sync fails,
    /// the transaction's pages may be lost although its own sync succeeds.
    fn checkpoint(&mut self) {
        let pages = self.connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get::<_, i64>(1)).unwrap_or_default();
        if pages >= self.checkpoint_at && self.recovery.is_none() {
            let done = self.restart_log();
            self.checkpointed(done);
        }
    }

    /// Moves the log; the next transaction starts it anew. Never waits for a question that still reads
    /// from the log: then the log grows a little more first.
    pub(crate) fn restart_log(&mut self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(Duration::ZERO)?;
        let done = self.connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| Ok((row.get(0)?, row.get(1)?)));
        self.connection.busy_timeout(schema::BUSY)?;
        let (busy, pages): (bool, i64) = done?;
        self.checkpoint_at = if busy { pages + self.checkpoint_pages / 4 + 1 } else { self.checkpoint_pages };
        Ok(())
    }

    fn checkpointed(&mut self, done: rusqlite::Result<()>) {
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
        // A last attempt: what was completed while the disk failed is not to be delivered again.
        let recovered = if self.recovery.is_some() { self.recover(false, 1) } else { Ok(()) };
        let mut done = recovered.and_then(|()| self.flush());
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
