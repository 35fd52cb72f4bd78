//! A quick look at the store's speed: publishes with a number in flight, delivers lazily, and tells
//! rate, processor time, and memory. `cargo run --release -p portolan-store-sqlite --example rate --
//! FOLDER [MESSAGES] [IN FLIGHT] [SUBSCRIBERS] [BYTES] [backlog|body]`. The measured benchmarks are elsewhere.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

use bytes::Bytes;
use portolan_model::{
    BatchId, BodyId, BodyRef, Context, InstanceId, Message, MessageId, PartContent, Timestamp, Value,
    instance::{Instance, Service},
    system::bts,
};
use portolan_store::{Batch, Claim, Durability, MessageBox, NewInstance, Operation, ask};
use portolan_store_sqlite::{Options, SqliteStore};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use uuid::Uuid;

static NEXT: AtomicU64 = AtomicU64::new(1);

fn id() -> Uuid {
    Uuid::from_u64_pair(NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15), 7)
}

fn batch(durability: Durability, operations: Vec<Operation>) -> Batch {
    Batch { id: BatchId(id()), epoch: None, durability, operations }
}

fn publication(bytes: usize, subscribers: usize) -> Operation {
    let now = Timestamp(17_800_000_000_000_000 + i64::try_from(NEXT.load(Ordering::Relaxed)).unwrap());
    let mut context = Context::new();
    context.promote(bts::MESSAGE_TYPE, Value::string("http://example.org/orders#PurchaseOrder")).unwrap();
    context.promote(bts::RECEIVE_PORT_NAME, Value::string("Orders in")).unwrap();
    context.promote(bts::INBOUND_TRANSPORT_LOCATION, Value::string("/var/spool/orders/in/*.xml")).unwrap();
    context.promote(bts::INBOUND_TRANSPORT_TYPE, Value::string("FILE")).unwrap();
    let message = Message::of_body(MessageId(id()), now, context, PartContent::Inline(Bytes::from(vec![b'x'; bytes])));
    let instances = (0..subscribers)
        .map(|n| NewInstance {
            instance: Instance::ready(InstanceId(id()), Service::send_port(format!("Port {n}")), message.id, now, 5),
            claim: false,
        })
        .collect();
    Operation::Publish { message: Arc::new(message), instances }
}

/// User and system time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn report(what: &str, count: u64, since: Instant, used: Duration) {
    let (wall, used) = (since.elapsed(), cpu() - used);
    println!(
        "{what:<24}{:>9.0}/s {:>7.1} µs CPU each   RSS {} MB (peak {})",
        count as f64 / wall.as_secs_f64(),
        used.as_micros() as f64 / count as f64,
        memory("VmRSS"),
        memory("VmHWM")
    );
}

async fn publish(store: &Arc<SqliteStore>, messages: u64, flight: u64, subscribers: usize, bytes: usize) -> Vec<Duration> {
    let tasks = (0..flight).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut took = Vec::new();
            for n in 0..messages / flight {
                let operation = publication(bytes, subscribers);
                let start = Instant::now();
                store.commit(batch(Durability::Sync, vec![operation])).await.unwrap();
                if n % 16 == 0 {
                    took.push(start.elapsed());
                }
            }
            took
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.unwrap());
    }
    took.sort();
    took
}

async fn deliver(store: &Arc<SqliteStore>, port: usize, count: u64) {
    let mut done = 0;
    let mut changes = store.changes();
    while done < count {
        changes.mark_unchanged();
        let claim = Claim { service: Service::send_port(format!("Port {port}")), now: Timestamp(i64::MAX / 2), max: 20 };
        let work = store.claim(claim).await.unwrap().work;
        if work.is_empty() {
            let _ = tokio::time::timeout(Duration::from_millis(100), changes.changed()).await;
        }
        done += work.len() as u64;
        for work in work {
            store.commit(batch(Durability::Lazy, vec![Operation::Complete { instance: work.instance.id }])).await.unwrap();
        }
    }
}

/// One body of so many MiB in, published, read back, completed.
async fn stream(store: &Arc<SqliteStore>, pieces: u64) {
    let (start, used) = (Instant::now(), cpu());
    let body = BodyRef { id: BodyId(id()), length: pieces << 20 };
    for sequence in 0..pieces {
        store.put_chunk(body.id, u32::try_from(sequence).unwrap(), Bytes::from(vec![b'x'; 1 << 20])).await.unwrap();
    }
    let now = Timestamp(17_800_000_000_000_000);
    let message = Message::of_body(MessageId(id()), now, Context::new(), PartContent::Stored(body));
    let instance = Instance::ready(InstanceId(id()), Service::send_port("Port 0"), message.id, now, 5);
    let done = Operation::Complete { instance: instance.id };
    let operation = Operation::Publish { message: Arc::new(message), instances: vec![NewInstance { instance, claim: true }] };
    store.commit(batch(Durability::Sync, vec![operation])).await.unwrap();
    report("stream in (MiB)", pieces, start, used);
    let (start, used) = (Instant::now(), cpu());
    let mut read = 0;
    while read < body.length {
        read += store.read_body(body, read, 1 << 20).await.unwrap().len() as u64;
    }
    report("read back (MiB)", pieces, start, used);
    let start = Instant::now();
    store.commit(batch(Durability::Sync, vec![done])).await.unwrap();
    println!("removed in {:?}", start.elapsed());
    store.close().await.unwrap();
}

fn print_latency(took: &[Duration]) {
    if let (Some(median), Some(late)) = (took.get(took.len() / 2), took.get(took.len() * 99 / 100)) {
        println!("    commit p50 {median:?}, p99 {late:?}, max {:?}", took.last().unwrap());
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize, default: u64| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (messages, flight) = (number(2, 200_000), number(3, 100));
    let (subscribers, bytes) = (usize::try_from(number(4, 1)).unwrap(), usize::try_from(number(5, 1024)).unwrap());
    let backlog = arguments.get(6).is_some_and(|word| word == "backlog");
    let folder = &arguments[1];
    let opening = Instant::now();
    let store = Arc::new(SqliteStore::open(Options::new(folder)).unwrap());
    println!("opened in {:?}", opening.elapsed());
    let all = messages / flight * flight;
    let (start, used) = (Instant::now(), cpu());
    if arguments.get(6).is_some_and(|word| word == "body") {
        return stream(&store, messages).await;
    }
    if backlog {
        print_latency(&publish(&store, messages, flight, subscribers, bytes).await);
        report("publish", all, start, used);
        store.close().await.unwrap();
        drop(store);
        let opening = Instant::now();
        let store = Arc::new(SqliteStore::open(Options::new(folder)).unwrap());
        println!("opened in {:?}, RSS {} MB", opening.elapsed(), memory("VmRSS"));
        let (start, used) = (Instant::now(), cpu());
        let ports = (0..subscribers).map(|port| {
            tokio::spawn({
                let store = store.clone();
                async move { deliver(&store, port, all).await }
            })
        });
        for port in ports.collect::<Vec<_>>() {
            port.await.unwrap();
        }
        report("drain", all * subscribers as u64, start, used);
        store.close().await.unwrap();
        return;
    }
    let ports = (0..subscribers).map(|port| {
        tokio::spawn({
            let store = store.clone();
            async move { deliver(&store, port, all).await }
        })
    });
    let ports: Vec<_> = ports.collect();
    print_latency(&publish(&store, messages, flight, subscribers, bytes).await);
    report("publish (and deliver)", all, start, used);
    for port in ports {
        port.await.unwrap();
    }
    report("publish and deliver", all, start, used);
    println!("left: {}", ask::count(&*store, portolan_store::Selection::default()).await.unwrap());
    store.close().await.unwrap();
}
