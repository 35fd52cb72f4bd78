//! One transaction: what each step of its batches does to the database, and what it will do to memory
//! once it is committed. A batch that fails is taken back alone, by a savepoint and by undoing its
//! effects; a transaction that fails is taken back whole.

use crate::{
    bodies::{self, Piece},
    effects::{Effect, undo},
    error::Stop,
    pack::{Mark, Pack},
    prepare::Prepared,
    rows,
    state::State,
};
use portolan_model::InstanceId;
use portolan_store::{Receipt, StoreError, StoreErrorKind};
use rusqlite::Connection;
use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A transaction being filled.
pub(crate) struct Txn<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) memory: &'a Mutex<State>,
    pub(crate) packs: Vec<Pack>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) next_sequence: u64,
    pub(crate) epoch: u64,
    /// Rows completed lazily that this transaction removes.
    pub(crate) flushed: HashSet<InstanceId>,
    /// Something was written.
    pub(crate) wrote: bool,
    /// Work may have become ready that nobody claimed.
    pub(crate) wake: bool,
    /// Bodies that lost an owner in the current batch.
    pub(crate) released: Vec<i64>,
    /// The current batch has a savepoint.
    savepoint: bool,
}

/// A point to go back to.
struct Point {
    effects: usize,
    packs: usize,
    mark: Option<Mark>,
    sequence: u64,
    epoch: u64,
    wake: bool,
}

impl<'a> Txn<'a> {
    pub(crate) fn new(connection: &'a Connection, memory: &'a Mutex<State>, next_sequence: u64) -> Self {
        let epoch = memory.lock().unwrap_or_else(PoisonError::into_inner).epoch;
        Self {
            connection,
            memory,
            packs: Vec::new(),
            effects: Vec::new(),
            next_sequence,
            epoch,
            flushed: HashSet::new(),
            wrote: false,
            wake: false,
            released: Vec::new(),
            savepoint: false,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'a, State> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing happened in it yet that a new transaction would not repeat.
    pub(crate) fn is_fresh(&self) -> bool {
        self.packs.is_empty() && self.effects.is_empty() && self.epoch == self.state().epoch
    }

    /// Removes the rows that were completed lazily. First of all, outside any savepoint.
    pub(crate) fn flush_gone(&mut self) -> rusqlite::Result<()> {
        let gone = std::mem::take(&mut self.state().gone);
        self.flushed.extend(gone.iter().copied());
        for id in gone {
            if let Some(row) = rows::find(self.connection, id)? {
                rows::delete_instance(self.connection, row.n, row.message, &mut self.released)?;
                self.wrote = true;
            }
        }
        self.remove_released()
    }

    /// Applies a batch whole or not at all.
    pub(crate) fn batch(&mut self, batch: &Prepared) -> Result<Receipt, Stop> {
        if let Some(epoch) = batch.epoch
            && epoch != self.epoch
        {
            let why = format!("the store is in artifact epoch {}, the batch was made for {epoch}", self.epoch);
            return Err(StoreError::new(StoreErrorKind::Conflict, why).into());
        }
        self.guarded(|txn| {
            let mut receipt = Receipt::default();
            for step in &batch.steps {
                let changed = txn.step(step)?;
                receipt.changed.push(changed);
            }
            txn.remove_released()?;
            Ok(receipt)
        })
    }

    /// Stores a piece of a body.
    pub(crate) fn piece(&mut self, piece: &Piece) -> Result<(), Stop> {
        self.guarded(|txn| {
            txn.writing()?;
            bodies::put(txn.connection, piece)
        })
    }

    /// Runs `work` so that its failure leaves no trace.
    pub(crate) fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        let point = self.point();
        self.savepoint = false;
        let done = work(self);
        if done.is_err() {
            self.back_to(&point);
        }
        if self.savepoint {
            if done.is_err() {
                self.run("ROLLBACK TO batch")?;
            }
            self.run("RELEASE batch")?;
        }
        done
    }

    /// Called before the first statement of a batch that may change rows: a batch that only packs and
    /// completes what is packed needs no savepoint.
    pub(crate) fn writing(&mut self) -> rusqlite::Result<()> {
        if !self.savepoint {
            self.run("SAVEPOINT batch")?;
            self.savepoint = true;
            self.wrote = true;
        }
        Ok(())
    }

    fn run(&self, sql: &str) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute([])
    }

    fn point(&self) -> Point {
        Point {
            effects: self.effects.len(),
            packs: self.packs.len(),
            mark: self.packs.last().map(Pack::mark),
            sequence: self.next_sequence,
            epoch: self.epoch,
            wake: self.wake,
        }
    }

    fn back_to(&mut self, point: &Point) {
        let undone = self.effects.split_off(point.effects);
        undo(&mut self.state(), undone);
        self.packs.truncate(point.packs);
        if let (Some(pack), Some(mark)) = (self.packs.last_mut(), point.mark) {
            pack.cut(mark);
        }
        self.next_sequence = point.sequence;
        self.epoch = point.epoch;
        self.wake = point.wake;
        self.released.clear();
    }

    /// Bodies that lost their last owner disappear at the end of the batch.
    fn remove_released(&mut self) -> rusqlite::Result<()> {
        for body in std::mem::take(&mut self.released) {
            bodies::remove_unowned(self.connection, body)?;
        }
        Ok(())
    }
}
