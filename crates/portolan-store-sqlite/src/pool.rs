//! Threads of the store's own for reading. A caller of the store may itself stand on a thread of the
//! async runtime's blocking pool and wait there for a piece of a body; were the piece read on that same
//! pool, enough such callers at once would wait for each other for ever.

use portolan_store::{StoreError, StoreErrorKind};
use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};
use tokio::sync::oneshot;

/// Reads at once. A read takes the processor and the page cache, seldom the disk.
const THREADS: usize = 6;

type Work = Box<dyn FnOnce() + Send>;

/// The threads. They end when the pool is dropped and their work is done.
pub(crate) struct Pool(Sender<Work>);

impl Pool {
    /// Starts the threads.
    pub(crate) fn start() -> io::Result<Self> {
        let (sender, receiver) = channel::<Work>();
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..THREADS {
            let receiver = receiver.clone();
            thread::Builder::new().name(format!("messagebox-r{number}")).spawn(move || {
                while let Some(work) = next(&receiver) {
                    // Work that breaks off is answered by its dropped channel; the thread goes on.
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                }
            })?;
        }
        Ok(Self(sender))
    }

    /// Runs work that reads.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        // Should the caller have gone, what was read is dropped, and a claim with it given back.
        let sent = self.0.send(Box::new(move || drop(reply.send(work()))));
        match (sent, answer.await) {
            (Ok(()), Ok(done)) => done,
            _ => Err(StoreError::new(StoreErrorKind::Failed, "reading the MessageBox broke off")),
        }
    }
}

fn next(receiver: &Mutex<Receiver<Work>>) -> Option<Work> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
