//! What goes into one transaction of the writer, what it writes besides rows, and what its batches are
//! told afterwards.

use crate::{
    Core,
    claim::Applied,
    effects::Effect,
    error::Stop,
    txn::Txn,
    writer::{Job, Reply},
};
use portolan_model::{BatchId, InstanceId};
use portolan_store::{Receipt, StoreError};
use rusqlite::params;
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

/// A transaction takes no more batches, or bytes, than this.
pub(crate) const GROUP_JOBS: usize = 1024;
const GROUP_BYTES: usize = 4 << 20;

/// What became of a transaction's batches, to be told when it is committed.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) receipts: Vec<Answer>,
    pub(crate) by_id: HashMap<BatchId, usize>,
    pub(crate) pieces: Vec<Reply<()>>,
    /// Those that failed alone; told at the end too, when what they took is given back.
    refused: Vec<(Refused, StoreError)>,
}

/// What became of one batch, and whom to tell: several when it was submitted twice at once.
pub(crate) struct Answer {
    pub(crate) id: BatchId,
    pub(crate) receipt: Receipt,
    claimed: Vec<InstanceId>,
    replies: Vec<Reply<Applied>>,
}

/// The changes of done-marks that a transaction writes.
#[derive(Default)]
pub(crate) struct Marks {
    pub(crate) dirty: BTreeSet<u64>,
    pub(crate) finished: Vec<u64>,
    pub(crate) partial: Vec<(u64, Vec<u8>)>,
}

/// Applies queued jobs until the transaction is full, or the next needs another one.
pub(crate) fn fill_from(core: &Arc<Core>, txn: &mut Txn<'_>, queue: &mut VecDeque<Job>, answers: &mut Answers) -> rusqlite::Result<()> {
    let (mut jobs, mut bytes) = (0, 0);
    while jobs < GROUP_JOBS && bytes < GROUP_BYTES {
        let Some(job) = queue.pop_front() else { break };
        jobs += 1;
        match job {
            Job::Commit(batch, reply) => {
                bytes += batch.bytes;
                let known = txn.state().remembered.get(batch.id);
                if let Some(receipt) = known {
                    let _ = reply.send(Ok(Applied::new(core.clone(), receipt, Vec::new())));
                    continue;
                }
                if let Some(at) = answers.by_id.get(&batch.id) {
                    answers.receipts[*at].replies.push(reply);
                    continue;
                }
                let (id, alone) = (batch.id, batch.alone);
                if alone && !txn.is_fresh() {
                    queue.push_front(Job::Commit(batch, reply));
                    break;
                }
                match txn.batch(&batch) {
                    Ok(receipt) => {
                        answers.by_id.insert(id, answers.receipts.len());
                        answers.receipts.push(Answer { id, receipt, claimed: batch.claimed(), replies: vec![reply] });
                    }
                    Err(Stop::Batch(error)) => answers.refused.push((Refused::Batch(reply), error)),
                    Err(Stop::Barrier) => {
                        queue.push_front(Job::Commit(batch, reply));
                        break;
                    }
                    Err(Stop::Database(error)) => {
                        answers.receipts.push(Answer { id, receipt: Receipt::default(), claimed: Vec::new(), replies: vec![reply] });
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
                    Err(Stop::Batch(error)) => answers.refused.push((Refused::Piece(reply), error)),
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
    pub(crate) fn take(txn: &Txn<'_>) -> Self {
        let mut state = txn.state();
        let mut touched: HashMap<u64, Vec<u64>> = HashMap::new();
        for effect in &txn.effects {
            if let Effect::HotFinished { sequence, .. } = effect
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
pub(crate) fn save(txn: &mut Txn<'_>, marks: &Marks, mut number: u64) -> rusqlite::Result<bool> {
    let connection = txn.connection;
    let services = txn.state().services.unsaved();
    let packed = txn.packs.iter().any(|pack| !pack.instances.is_empty());
    let marked = !marks.finished.is_empty() || !marks.partial.is_empty();
    if !txn.wrote && !packed && !marked {
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

/// Whom to tell of a failure.
enum Refused {
    Batch(Reply<Applied>),
    Piece(Reply<()>),
}

impl Answers {
    fn refuse(refused: Vec<(Refused, StoreError)>) {
        for (reply, error) in refused {
            match reply {
                Refused::Batch(reply) => drop(reply.send(Err(error))),
                Refused::Piece(reply) => drop(reply.send(Err(error))),
            }
        }
    }

    pub(crate) fn tell(self, core: &Arc<Core>) {
        Self::refuse(self.refused);
        for Answer { receipt, mut claimed, replies, .. } in self.receipts {
            for reply in replies {
                let _ = reply.send(Ok(Applied::new(core.clone(), receipt.clone(), std::mem::take(&mut claimed))));
            }
        }
        for reply in self.pieces {
            let _ = reply.send(Ok(()));
        }
    }

    pub(crate) fn fail(self, error: &StoreError) {
        Self::refuse(self.refused);
        for reply in self.receipts.into_iter().flat_map(|answer| answer.replies) {
            let _ = reply.send(Err(error.clone()));
        }
        for reply in self.pieces {
            let _ = reply.send(Err(error.clone()));
        }
    }
}
