//! Power cuts and failing disks: what was acknowledged is there whole, what was not is there whole or
//! not at all, whatever the disk kept of unsynced writes. Seeds are printed; `PORTOLAN_SEED` and
//! `PORTOLAN_SEEDS` choose others.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "test code; seeds are printed")]

mod disk;

use bytes::Bytes;
use disk::{Disk, Image, Random};
use portolan_model::{
    BatchId, BodyId, BodyRef, Context, InstanceId, Message, MessageId, PartContent, Timestamp,
    instance::{Failure, Instance, InstanceState, MessageForm, Progress, Service},
};
use portolan_store::{Batch, Claim, Durability, Health, MessageBox, NewInstance, Operation, Selection, StoreError, StoreErrorKind, ask};
use portolan_store_sqlite::{Options, SqliteStore};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use uuid::Uuid;

const NOW: Timestamp = Timestamp(17_800_000_000_000_000);

/// What the client knows of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Nothing,
    Done,
    Failed,
}

/// How an instance was ended.
#[derive(Clone, PartialEq, Debug)]
enum End {
    Open,
    CompletedLazily,
    By { batch: u64, state: Option<InstanceState> },
}

#[derive(Clone, Debug)]
struct Expected {
    batch: u64,
    message: MessageId,
    body: Vec<u8>,
    end: End,
}

/// Everything clients did and were told.
#[derive(Clone, Default)]
struct Oracle {
    batches: BTreeMap<u64, Told>,
    instances: BTreeMap<InstanceId, Expected>,
}

type Shared = Arc<Mutex<Oracle>>;

/// A client that publishes, claims and ends instances of its own port.
struct Client {
    number: u64,
    random: Random,
    store: Arc<SqliteStore>,
    oracle: Shared,
    last: u64,
    claimed: Vec<InstanceId>,
    open: BTreeSet<InstanceId>,
}

impl Client {
    fn id(&mut self) -> Uuid {
        self.last += 1;
        Uuid::from_u64_pair(0x0190_a000_7000_7000 + self.number, 0x8000_0000_0000_0000 | self.last << 16 | self.random.below(0xffff))
    }

    fn port(&self) -> Service {
        Service::send_port(format!("port {}", self.number))
    }

    async fn work(mut self, rounds: usize) {
        for _ in 0..rounds {
            match self.random.below(10) {
                0..5 => self.publish().await,
                5 => self.claim().await,
                6..8 => self.end(Durability::Lazy).await,
                _ => self.end(Durability::Sync).await,
            }
        }
    }

    async fn commit(&mut self, durability: Durability, mut operations: Vec<Operation>) -> (u64, Result<(), StoreError>) {
        let id = self.id();
        let number = self.number << 32 | self.last;
        if durability == Durability::Sync {
            operations.push(Operation::SetState { key: format!("{number:020}"), value: Some("done".into()) });
            self.oracle.lock().unwrap().batches.insert(number, Told::Nothing);
        }
        let done = self.store.commit(Batch { id: BatchId(id), epoch: None, durability, operations }).await.map(drop);
        if let Err(error) = &done {
            assert!(matches!(error.kind, StoreErrorKind::Failed | StoreErrorKind::Full), "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (number, done)
    }

    fn tell(&self, batch: u64, done: bool) {
        self.oracle.lock().unwrap().batches.insert(batch, if done { Told::Done } else { Told::Failed });
    }

    async fn publish(&mut self) {
        let mut operations = Vec::new();
        let mut expected = BTreeMap::new();
        let mut claimed = Vec::new();
        for _ in 0..=self.random.below(3) {
            let length = if self.random.below(8) == 0 { 30_000 } else { 1_500 };
            let body: Vec<u8> = (0..self.random.below(length)).map(|_| self.random.next() as u8).collect();
            let Some(content) = self.content(&body).await else { return };
            let message = Message::of_body(MessageId(self.id()), NOW, Context::new(), content);
            let mut instances = Vec::new();
            for _ in 0..=self.random.below(2) {
                let instance = Instance::ready(InstanceId(self.id()), self.port(), message.id, NOW, 5);
                let claim = self.random.below(2) == 0;
                expected.insert(instance.id, (message.id, body.clone()));
                if claim {
                    claimed.push(instance.id);
                }
                instances.push(NewInstance { instance, claim });
            }
            operations.push(Operation::Publish { message: Arc::new(message), instances });
        }
        // Known to the oracle before the store can have it.
        let batch = self.number << 32 | (self.last + 1);
        for (id, (message, body)) in &expected {
            let expected = Expected { batch, message: *message, body: body.clone(), end: End::Open };
            self.oracle.lock().unwrap().instances.insert(*id, expected);
        }
        let (number, done) = self.commit(Durability::Sync, operations).await;
        assert_eq!(number, batch);
        self.tell(number, done.is_ok());
        if done.is_ok() {
            self.open.extend(expected.keys().filter(|id| !claimed.contains(id)));
            self.claimed.extend(claimed);
        }
    }

    /// Inline, or sometimes streamed in.
    async fn content(&mut self, body: &[u8]) -> Option<PartContent> {
        if self.random.below(5) > 0 {
            return Some(PartContent::Inline(Bytes::copy_from_slice(body)));
        }
        let id = BodyId(self.id());
        let pieces: Vec<&[u8]> = if body.is_empty() { vec![body] } else { body.chunks(700).collect() };
        for (sequence, piece) in (0..).zip(pieces) {
            if self.store.put_chunk(id, sequence, Bytes::copy_from_slice(piece)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                return None;
            }
        }
        Some(PartContent::Stored(BodyRef { id, length: body.len() as u64 }))
    }

    async fn claim(&mut self) {
        let claim = Claim { service: self.port(), now: NOW, max: 5 };
        for work in self.store.claim(claim).await.unwrap().work {
            assert!(self.open.remove(&work.instance.id), "{} was given twice, or is not ours", work.instance.id);
            self.claimed.push(work.instance.id);
        }
    }

    async fn end(&mut self, durability: Durability) {
        if self.claimed.is_empty() {
            return;
        }
        let at = usize::try_from(self.random.below(self.claimed.len() as u64)).unwrap();
        let instance = self.claimed.swap_remove(at);
        if durability == Durability::Lazy {
            self.oracle.lock().unwrap().instances.get_mut(&instance).unwrap().end = End::CompletedLazily;
            self.commit(Durability::Lazy, vec![Operation::Complete { instance }]).await.1.unwrap();
            return;
        }
        let failure = Failure { code: "PTL0203".into(), description: "away".into(), adapter: None, address: None, at: NOW };
        let (operation, state) = match self.random.below(3) {
            0 => (Operation::Complete { instance }, None),
            1 => {
                let form = MessageForm::Published;
                (Operation::Suspend { instance, resumable: true, form, failure }, Some(InstanceState::SuspendedResumable))
            }
            _ => {
                let due = Timestamp(NOW.0 * 2);
                let progress = Progress { attempts: 1, ..Progress::default() };
                (Operation::Reschedule { instance, due, progress, failure: Some(failure) }, Some(InstanceState::Scheduled))
            }
        };
        let batch = self.number << 32 | (self.last + 1);
        self.oracle.lock().unwrap().instances.get_mut(&instance).unwrap().end = End::By { batch, state };
        let (number, done) = self.commit(Durability::Sync, vec![operation]).await;
        self.tell(number, done.is_ok());
    }
}

fn options(folder: &Path, disk: Option<&Disk>) -> Options {
    let mut options = Options::new(folder);
    options.vfs = disk.map(|disk| disk.vfs().to_owned());
    // Small, so that the log is moved and claims read back often.
    options.checkpoint_bytes = 256 << 10;
    options.cache_bytes = 32 << 10;
    options
}

/// Compares a store with what clients were told. `strict`: what failed must be absent.
async fn check(store: &SqliteStore, oracle: &Oracle, strict: bool) {
    let applied: BTreeSet<u64> =
        ask::states(store, "").await.unwrap().into_iter().map(|(key, _)| key.trim_start_matches('0').parse().unwrap_or(0)).collect();
    for (batch, told) in &oracle.batches {
        match told {
            Told::Done => assert!(applied.contains(batch), "batch {batch} was acknowledged and is lost"),
            Told::Failed if strict => assert!(!applied.contains(batch), "batch {batch} failed and is there"),
            _ => {}
        }
    }
    let there: BTreeMap<InstanceId, Instance> =
        ask::instances(store, Selection::default(), None, usize::MAX).await.unwrap().into_iter().map(|i| (i.id, i)).collect();
    assert!(there.keys().all(|id| oracle.instances.contains_key(id)), "an instance nobody published");
    for (id, expected) in &oracle.instances {
        let found = there.get(id);
        let wanted = match (&expected.end, applied.contains(&expected.batch)) {
            (_, false) => None,
            (End::Open, true) => Some(InstanceState::Ready),
            (End::CompletedLazily, true) if found.is_none() => None,
            (End::CompletedLazily, true) => Some(InstanceState::Ready),
            (End::By { batch, state }, true) => {
                if applied.contains(batch) {
                    *state
                } else {
                    Some(InstanceState::Ready)
                }
            }
        };
        assert_eq!(found.map(|instance| instance.state), wanted, "{id}: {expected:?}");
        if found.is_some() {
            let message = ask::message(store, expected.message).await.unwrap().unwrap();
            assert_eq!(body_of(store, &message).await, expected.body, "{id}");
        }
    }
    let damage = ask::events(store, None, None, 10).await.unwrap();
    assert!(damage.is_empty(), "{damage:?}");
}

async fn body_of(store: &SqliteStore, message: &Message) -> Vec<u8> {
    match &message.body().unwrap().content {
        PartContent::Inline(bytes) => bytes.to_vec(),
        PartContent::Stored(body) => {
            let mut whole = Vec::new();
            loop {
                let read = store.read_body(*body, whole.len() as u64, 4096).await.unwrap();
                if read.is_empty() {
                    return whole;
                }
                whole.extend_from_slice(&read);
            }
        }
    }
}

/// Opens what a power cut left.
async fn check_image(image: &Image, oracle: &Oracle, what: &str) {
    let folder = TempDir::new().unwrap();
    image.restore(folder.path());
    let store = match SqliteStore::open(options(folder.path(), None)) {
        Ok(store) => store,
        Err(error) => panic!("{what}: {error}"),
    };
    check(&store, oracle, false).await;
    store.close().await.unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("messagebox.db")).unwrap();
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok", "{what}");
    let orphans: i64 =
        connection.query_row("SELECT count(*) FROM message WHERE n NOT IN (SELECT message FROM instance)", [], |row| row.get(0)).unwrap();
    assert_eq!(orphans, 0, "{what}: messages nobody carries");
}

/// Runs clients on a disk and takes images at random moments.
async fn run(seed: u64, rounds: usize, sync_chance: u64) -> usize {
    println!("seed {seed}, {rounds} rounds, syncs fail {sync_chance} in 1000");
    let disk = Disk::new(seed);
    let folder = TempDir::new().unwrap();
    let store = Arc::new(SqliteStore::open(options(folder.path(), Some(&disk))).unwrap());
    disk.lock().faults.sync_chance = sync_chance;
    let oracle = Shared::default();
    let images = Arc::new(Mutex::new(Vec::new()));
    {
        let (oracle, images) = (oracle.clone(), images.clone());
        disk.watch(move |disk| {
            if disk.random.below(150) == 0 {
                let image = disk.power_cut();
                images.lock().unwrap().push((disk.operations, image, oracle.lock().unwrap().clone()));
            }
        });
    }
    let clients = (0..4).map(|number| Client {
        number: number + 1,
        random: Random::new(seed * 100 + number + 1),
        store: store.clone(),
        oracle: oracle.clone(),
        last: 0,
        claimed: Vec::new(),
        open: BTreeSet::new(),
    });
    let tasks: Vec<_> = clients.map(|client| tokio::spawn(client.work(rounds))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    disk.lock().faults.sync_chance = 0;
    wait_until_working(&store).await;
    let told = oracle.lock().unwrap().clone();
    check(&store, &told, true).await;
    store.close().await.unwrap();
    drop(store);
    let store = SqliteStore::open(options(folder.path(), Some(&disk))).unwrap();
    check(&store, &told, true).await;
    store.close().await.unwrap();
    let images = std::mem::take(&mut *images.lock().unwrap());
    println!("seed {seed}: {} images, {} instances", images.len(), told.instances.len());
    let cuts = images.len();
    for (at, image, oracle) in images {
        check_image(&image, &oracle, &format!("seed {seed}, cut after disk operation {at}")).await;
    }
    cuts
}

async fn wait_until_working(store: &SqliteStore) {
    let mut changes = store.changes();
    let working = changes.wait_for(|changes| changes.health == Health::Working);
    tokio::time::timeout(Duration::from_secs(20), working).await.expect("the store recovers").unwrap();
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let first = number("PORTOLAN_SEED", 1);
    first..first + number("PORTOLAN_SEEDS", default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_nothing_acknowledged_and_halves_nothing() {
    let mut cuts = 0;
    for seed in seeds(6) {
        cuts += run(seed, 120, 0).await;
    }
    assert!(cuts > 0, "the power was never cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_syncs_lose_nothing_acknowledged_and_halve_nothing() {
    let mut cuts = 0;
    for seed in seeds(4) {
        cuts += run(1000 + seed, 60, 15).await;
    }
    assert!(cuts > 0, "the power was never cut");
}

/// A store on a disk, with one published and claimed instance.
async fn store_with_one(disk: &Disk, folder: &Path) -> (SqliteStore, InstanceId) {
    let store = SqliteStore::open(options(folder, Some(disk))).unwrap();
    let id = publish(&store, 1, true).await.unwrap();
    (store, id)
}

async fn publish(store: &SqliteStore, number: u64, claim: bool) -> Result<InstanceId, StoreError> {
    let id = Uuid::from_u64_pair(7, number);
    let message = Message::of_body(MessageId(id), NOW, Context::new(), PartContent::Inline(Bytes::from(vec![7; 9000])));
    let instance = Instance::ready(InstanceId(id), Service::send_port("P"), message.id, NOW, 5);
    let operations = vec![Operation::Publish { message: Arc::new(message), instances: vec![NewInstance { instance, claim }] }];
    store.commit(Batch { id: BatchId(id), epoch: None, durability: Durability::Sync, operations }).await?;
    Ok(InstanceId(id))
}

/// What every fault must do: refuse, say so, come back by itself, keep claims and completions.
async fn a_fault(inject: impl Fn(&mut disk::State), heal: impl Fn(&mut disk::State), kind: StoreErrorKind) {
    let disk = Disk::new(5);
    let folder = TempDir::new().unwrap();
    let (store, first) = store_with_one(&disk, folder.path()).await;
    let second = publish(&store, 2, true).await.unwrap();
    let third = publish(&store, 5, false).await.unwrap();
    inject(&mut disk.lock());
    let error = publish(&store, 3, false).await.unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    let health = store.changes().borrow().health.clone();
    match kind {
        StoreErrorKind::Full => assert!(matches!(health, Health::Full(_)), "{health:?}"),
        _ => assert!(matches!(health, Health::Failed(_)), "{health:?}"),
    }
    assert_eq!(publish(&store, 4, false).await.unwrap_err().kind, kind, "refused while it lasts");
    // What was delivered may be completed: in memory until the disk works again.
    let done = vec![Operation::Complete { instance: first }];
    let batch = Batch { id: BatchId(Uuid::from_u64_pair(8, 1)), epoch: None, durability: Durability::Lazy, operations: done };
    store.commit(batch).await.unwrap();
    let claim = || store.claim(Claim { service: Service::send_port("P"), now: NOW, max: 10 });
    let given = claim().await.unwrap().work.len();
    assert_eq!(given, usize::from(kind == StoreErrorKind::Full), "a full disk delivers what it has, a failing one nothing");
    heal(&mut disk.lock());
    wait_until_working(&store).await;
    publish(&store, 3, false).await.unwrap();
    let given: Vec<InstanceId> = claim().await.unwrap().work.into_iter().map(|work| work.instance.id).collect();
    let waiting = if kind == StoreErrorKind::Full { vec![3] } else { vec![5, 3] };
    let waiting: Vec<InstanceId> = waiting.into_iter().map(|number| InstanceId(Uuid::from_u64_pair(7, number))).collect();
    assert_eq!(given, waiting, "claims survive, and what was completed stays so");
    store.close().await.unwrap();
    drop(store);
    let store = SqliteStore::open(options(folder.path(), Some(&disk))).unwrap();
    let left: BTreeSet<InstanceId> =
        ask::instances(&store, Selection::default(), None, 10).await.unwrap().into_iter().map(|instance| instance.id).collect();
    assert_eq!(left, BTreeSet::from([second, third, InstanceId(Uuid::from_u64_pair(7, 3))]));
    store.close().await.unwrap();
    let image = disk.lock().power_cut();
    let restored = TempDir::new().unwrap();
    image.restore(restored.path());
    let store = SqliteStore::open(options(restored.path(), None)).unwrap();
    assert_eq!(ask::count(&store, Selection::default()).await.unwrap(), 3);
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    a_fault(|disk| disk.faults.full = true, |disk| disk.faults.full = false, StoreErrorKind::Full).await;
}

#[tokio::test]
async fn a_failing_write_refuses_and_recovers() {
    a_fault(|disk| disk.faults.writes = true, |disk| disk.faults.writes = false, StoreErrorKind::Failed).await;
}

#[tokio::test]
async fn a_failing_sync_refuses_and_recovers() {
    a_fault(|disk| disk.faults.syncs = 1_000_000, |disk| disk.faults.syncs = 0, StoreErrorKind::Failed).await;
}
