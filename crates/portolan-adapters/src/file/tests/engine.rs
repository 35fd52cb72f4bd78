//! A small engine behind a `TransportProxy`: it keeps what it took in, remembers receive keys, and can
//! be told to refuse, to be down, to be slow, or to "crash" after a commit.

use async_trait::async_trait;
use portolan_model::{InstanceId, code, instance::Failure};
use portolan_sdk::{
    Adapter, AdapterError, BatchOperation, BatchOutcome, Direction, InboundMessage, OperationStatus, Proxy, Setup, SourceNotice,
    TransportProxy,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::{sync::watch, task::JoinHandle};

use super::super::FileAdapter;

/// One message the engine owns.
#[derive(Clone, Debug)]
pub struct Owned {
    pub message: InboundMessage,
    pub body: Vec<u8>,
    pub suspended: Option<Failure>,
}

impl Owned {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The engine.
#[derive(Default)]
pub struct Engine {
    pub owned: Mutex<Vec<Owned>>,
    pub keys: Mutex<BTreeSet<String>>,
    pub notices: Mutex<Vec<String>>,
    pub batch_sizes: Mutex<Vec<usize>>,
    pub running: AtomicUsize,
    pub most_running: AtomicUsize,
    /// No batch is taken.
    pub down: AtomicBool,
    /// Batches are committed and the answer never comes: as when the process dies then.
    pub crash: AtomicBool,
    /// Every batch takes this long.
    pub delay: Mutex<Duration>,
    /// Fails reads of whole bodies larger than this into `Owned` (they are counted only).
    pub sizes: Mutex<Vec<u64>>,
}

#[async_trait]
impl TransportProxy for Engine {
    async fn execute(&self, operations: Vec<BatchOperation>) -> Result<BatchOutcome, AdapterError> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(running, Ordering::SeqCst);
        let delay = *self.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        let result = self.commit(operations);
        self.running.fetch_sub(1, Ordering::SeqCst);
        if self.crash.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        result
    }

    fn notice(&self, notice: SourceNotice) {
        self.notices.lock().unwrap().push(match notice {
            SourceNotice::Failing { code, message } => format!("failing {code} {message}"),
            SourceNotice::Recovered => "recovered".to_owned(),
            SourceNotice::Item { code, message } => format!("item {code} {message}"),
        });
    }

    async fn remembered(&self) -> Result<Vec<String>, AdapterError> {
        Ok(self.keys.lock().unwrap().iter().cloned().collect())
    }
}

impl Engine {
    fn commit(&self, operations: Vec<BatchOperation>) -> Result<BatchOutcome, AdapterError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(AdapterError::temporary(code::STORE_FAILED, "the store is down"));
        }
        let breaks = |operation: &BatchOperation| matches!(operation, BatchOperation::Submit(m) if read(m).0 == b"poison");
        if operations.iter().any(breaks) {
            return Err(AdapterError::temporary(code::PIPELINE_FAILED, "the receive pipeline broke off"));
        }
        let (mut owned, mut keys) = (self.owned.lock().unwrap(), self.keys.lock().unwrap());
        let (mut new, mut new_keys, mut statuses) = (Vec::new(), keys.clone(), Vec::new());
        let mut committed = true;
        for operation in &operations {
            let (message, failure) = match operation {
                BatchOperation::Forget(key) => {
                    assert!(new_keys.remove(key), "forgets what it does not know: {key}");
                    statuses.push(OperationStatus::Done { documents: 0 });
                    continue;
                }
                BatchOperation::Submit(message) => (message, None),
                BatchOperation::Suspend { message, failure } => (message, Some(failure.clone())),
            };
            if let Some(key) = &message.receive_key
                && !new_keys.insert(key.clone())
            {
                statuses.push(OperationStatus::Duplicate);
                continue;
            }
            let (body, size) = read(message);
            self.sizes.lock().unwrap().push(size);
            if failure.is_none() && body.starts_with(b"refuse") {
                committed = false;
                statuses.push(OperationStatus::Refused { code: code::NO_SUBSCRIPTION, message: "nobody wants it".to_owned() });
                continue;
            }
            statuses.push(match &failure {
                None => OperationStatus::Done { documents: 1 },
                Some(failure) => OperationStatus::Suspended { instance: InstanceId(uuid::Uuid::nil()), failure: failure.clone() },
            });
            new.push(Owned { message: message.clone(), body, suspended: failure });
        }
        if committed {
            if !new.is_empty() {
                self.batch_sizes.lock().unwrap().push(new.len());
            }
            owned.extend(new);
            *keys = new_keys;
        } else {
            for status in &mut statuses {
                if !matches!(status, OperationStatus::Refused { .. }) {
                    *status = OperationStatus::NotDone;
                }
            }
        }
        Ok(BatchOutcome { committed, statuses })
    }

    pub fn texts(&self) -> Vec<String> {
        let mut texts: Vec<String> = self.owned.lock().unwrap().iter().map(Owned::text).collect();
        texts.sort();
        texts
    }

    pub fn count(&self) -> usize {
        self.owned.lock().unwrap().len()
    }

    pub fn notices(&self) -> Vec<String> {
        self.notices.lock().unwrap().clone()
    }
}

/// Small bodies are read whole; of large ones the beginning is kept and the rest counted.
fn read(message: &InboundMessage) -> (Vec<u8>, u64) {
    let mut body = message.body.open().unwrap();
    let mut kept = Vec::new();
    let mut size = (&mut body).take(4 << 20).read_to_end(&mut kept).unwrap() as u64;
    size += std::io::copy(&mut body, &mut std::io::sink()).unwrap();
    (kept, size)
}

/// A receive location at work in a temporary folder.
pub struct Running {
    pub folder: PathBuf,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), AdapterError>>,
}

impl Running {
    /// Starts a location on `folder`.
    pub fn start(engine: &Arc<Engine>, folder: &Path, settings: Value) -> Self {
        let mut all = json!({ "folder": folder, "polling_interval_ms": 200, "quiet_period_ms": 100 });
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let checked = FileAdapter::default().check(Direction::Receive, &all, Path::new("/"));
        assert!(checked.problems.iter().all(|p| p.path == ["folder"] || p.path == ["polling_interval_ms"]), "{checked:?}");
        let receiver = FileAdapter::default().receiver(&all, setup()).unwrap();
        let (stop, stopped) = watch::channel(false);
        let proxy = Proxy::new(engine.clone());
        let task = tokio::spawn(receiver.run(proxy, stopped));
        Self { folder: folder.to_owned(), stop, task }
    }

    /// Stops it in good order.
    pub async fn stop(self) -> Result<(), AdapterError> {
        self.stop.send_replace(true);
        tokio::time::timeout(Duration::from_secs(20), self.task).await.expect("stops").unwrap()
    }

    /// Ends it at once, as a crash does.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// What it returned by itself.
    pub async fn ended(self) -> Result<(), AdapterError> {
        tokio::time::timeout(Duration::from_secs(20), self.task).await.expect("ends").unwrap()
    }

    /// Puts a complete file into the folder by renaming.
    pub fn put(&self, name: &str, body: impl AsRef<[u8]>) {
        put(&self.folder, name, body);
    }

    /// Names in the folder.
    pub fn names(&self) -> Vec<String> {
        names(&self.folder)
    }
}

pub fn setup() -> Setup {
    Setup { artifact: "Test".into(), base: PathBuf::from("/") }
}

/// Puts a complete file into a folder by renaming; it was written ten seconds ago.
pub fn put(folder: &Path, name: &str, body: impl AsRef<[u8]>) {
    let temporary = folder.join(format!(".{name}.part"));
    fs::write(&temporary, body).unwrap();
    fs::File::options().write(true).open(&temporary).unwrap().set_modified(SystemTime::now() - Duration::from_secs(10)).unwrap();
    fs::rename(temporary, folder.join(name)).unwrap();
}

/// Names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Waits until something is true; fails after ten seconds.
pub async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < Duration::from_secs(10), "did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
