//! The work of one send port that this host has claimed or may claim: a short queue in memory in front
//! of the store. A publication hands its instances over directly while the queue is short; otherwise
//! they stay in the store and are claimed later, so that a backlog costs no memory.

use portolan_model::{Message, SmolStr, Timestamp};
use portolan_store::Work;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
};
use tokio::sync::Notify;

/// Instances a port's queue takes directly from publications.
const QUEUE_MAX: usize = 2_000;

/// Bytes of message bodies that all queues of the host hold together.
pub const HOT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The queue of one send port.
pub struct PortQueue {
    /// Name of the send port.
    pub name: SmolStr,
    hot_bytes: Arc<AtomicUsize>,
    state: Mutex<State>,
    /// Wakes the worker.
    pub wake: Notify,
    /// The store may have ready work that is not in memory.
    behind: AtomicBool,
    /// The service window is closed: nothing is handed over directly.
    closed: AtomicBool,
    /// Messages in transmission.
    active: AtomicU32,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Work>,
    next_due: Option<Timestamp>,
}

impl PortQueue {
    /// An empty queue. The store may have work from before: it starts out behind.
    pub fn new(name: SmolStr, hot_bytes: Arc<AtomicUsize>) -> Self {
        Self {
            name,
            hot_bytes,
            state: Mutex::default(),
            wake: Notify::new(),
            behind: AtomicBool::new(true),
            closed: AtomicBool::new(false),
            active: AtomicU32::new(0),
        }
    }

    /// Whether a publication may claim instances for this queue.
    #[must_use]
    pub fn accepts(&self) -> bool {
        !self.behind.load(Ordering::Relaxed)
            && !self.closed.load(Ordering::Relaxed)
            && self.hot_bytes.load(Ordering::Relaxed) < HOT_BYTES_MAX
            && self.lock().ready.len() < QUEUE_MAX
    }

    /// Takes over claimed work.
    pub fn push(&self, work: impl IntoIterator<Item = Work>) {
        let mut state = self.lock();
        for item in work {
            self.hot_bytes.fetch_add(weight(&item.message), Ordering::Relaxed);
            state.ready.push_back(item);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Says that the store has ready work which is not in memory. To be called after the commit that
    /// made it ready.
    pub fn set_behind(&self) {
        self.behind.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    /// Whether the store may have work; clears the mark, which must happen before the claim.
    pub fn take_behind(&self) -> bool {
        self.behind.swap(false, Ordering::SeqCst)
    }

    /// Opens or closes the service window.
    pub fn set_closed(&self, closed: bool) {
        self.closed.store(closed, Ordering::Relaxed);
    }

    /// The next claimed work.
    pub fn pop(&self) -> Option<Work> {
        let work = self.lock().ready.pop_front()?;
        self.hot_bytes.fetch_sub(weight(&work.message), Ordering::Relaxed);
        Some(work)
    }

    /// Remembers the moment the next scheduled instance becomes due.
    pub fn due_at(&self, due: Option<Timestamp>) {
        let mut state = self.lock();
        state.next_due = match (state.next_due, due) {
            (Some(known), Some(new)) => Some(known.min(new)),
            (known, new) => known.or(new),
        };
        drop(state);
        self.wake.notify_one();
    }

    /// The moment the next scheduled instance becomes due, if one is known.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.lock().next_due
    }

    /// Forgets the due moment: it has come.
    pub fn clear_due(&self) {
        self.lock().next_due = None;
    }

    /// Messages waiting in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().ready.len()
    }

    /// Whether nothing waits in memory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Messages in transmission.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::SeqCst)
    }

    /// Counts one transmission until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> Active {
        self.active.fetch_add(1, Ordering::SeqCst);
        Active(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One transmission under way.
pub struct Active(Arc<PortQueue>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
        self.0.wake.notify_one();
    }
}

/// Memory a waiting message costs, roughly.
fn weight(message: &Message) -> usize {
    1024 + message.parts.iter().map(|p| if let portolan_model::PartContent::Inline(b) = &p.content { b.len() } else { 0 }).sum::<usize>()
}
