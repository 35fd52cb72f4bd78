//! A server on the embedded store whose source is the benchmark and whose destinations only count.

use crate::{Problem, measure};
use async_trait::async_trait;
use bytes::Bytes;
use portolan_model::{
    SmolStr, Value,
    artifact::{Application, PipelineRef, PortState, ReceiveLocation, ReceivePort, RetryPolicy, SendPort, SendTransport, Transport},
    filter::{Filter, Operator, Statement},
    property::Name,
    schedule::Schedule,
    time::TimeZone,
};
use portolan_runtime::{Blueprint, Server, Start, World};
use portolan_sdk::{
    Adapter, AdapterError, AdapterSpec, BatchOperation, BodySource, Checked, Direction, InboundMessage, OutboundMessage, Proxy,
    ReceiveAdapter, Registry, SendAdapter, Setup, Stop,
};
use portolan_store_sqlite::{Options, SqliteStore};
use std::{
    collections::BTreeMap,
    io::Read,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// What a destination has got.
pub struct Counter {
    start: Instant,
    /// Deliveries.
    pub count: AtomicU64,
    /// Moment of the last one, in nanoseconds since the rig's start.
    pub last: AtomicU64,
    /// For each delivery, the nanoseconds since its message was handed over; `None`: not kept.
    pub took: Mutex<Option<Vec<u64>>>,
    /// For each sequence number how often it came; `None`: not kept.
    pub seen: Mutex<Option<Vec<u8>>>,
    /// While false, deliveries wait.
    pub open: watch::Sender<bool>,
}

struct Shared {
    start: Instant,
    proxy: watch::Sender<Option<Proxy>>,
    counters: Mutex<BTreeMap<String, Arc<Counter>>>,
}

/// The benchmark's adapter.
#[derive(Clone)]
struct Counting(Arc<Shared>);

#[async_trait]
impl Adapter for Counting {
    fn spec(&self) -> AdapterSpec {
        AdapterSpec { name: "count", transport_type: "COUNT", summary: "counts", receive: None, send: None, guarantee: "none" }
    }
    fn check(&self, _: Direction, _: &serde_json::Value, _: &Path) -> Checked {
        Checked::default()
    }
    fn receiver(&self, _: &serde_json::Value, _: Setup) -> Result<Box<dyn ReceiveAdapter>, AdapterError> {
        Ok(Box::new(self.clone()))
    }
    fn sender(&self, _: &serde_json::Value, setup: Setup) -> Result<Arc<dyn SendAdapter>, AdapterError> {
        Ok(self.0.counter(&setup.artifact))
    }
}

#[async_trait]
impl ReceiveAdapter for Counting {
    async fn run(self: Box<Self>, proxy: Proxy, mut stop: Stop) -> Result<(), AdapterError> {
        self.0.proxy.send_replace(Some(proxy));
        let _ = stop.wait_for(|stopped| *stopped).await;
        Ok(())
    }
}

#[async_trait]
impl SendAdapter for Counter {
    async fn send(&self, mut message: OutboundMessage) -> Result<(), AdapterError> {
        if !*self.open.borrow() {
            let _ = self.open.subscribe().wait_for(|open| *open).await;
        }
        let mut head = [0_u8; 16];
        if message.body.as_bytes().is_some() {
            let _ = message.body.read_exact(&mut head);
        } else {
            let read = tokio::task::spawn_blocking(move || message.body.read_exact(&mut head).map(|()| head)).await;
            head = read.ok().and_then(Result::ok).unwrap_or(head);
        }
        let (sent, number) = (u64::from_le_bytes(head[..8].try_into().unwrap_or_default()), &head[8..]);
        let number = u64::from_le_bytes(number.try_into().unwrap_or_default());
        let now = nanos(self.start);
        if let Some(took) = lock(&self.took).as_mut() {
            took.push(now.saturating_sub(sent));
        }
        if let Some(seen) = lock(&self.seen).as_mut() {
            let at = usize::try_from(number).unwrap_or(usize::MAX);
            if let Some(times) = seen.get_mut(at) {
                *times = times.saturating_add(1);
            }
        }
        self.last.fetch_max(now, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Shared {
    fn counter(&self, port: &str) -> Arc<Counter> {
        let new = || {
            let (count, last) = (AtomicU64::new(0), AtomicU64::new(0));
            Arc::new(Counter {
                start: self.start,
                count,
                last,
                took: Mutex::default(),
                seen: Mutex::default(),
                open: watch::Sender::new(true),
            })
        };
        lock(&self.counters).entry(port.to_owned()).or_insert_with(new).clone()
    }
}

/// A running server.
pub struct Rig {
    /// The server.
    pub server: Arc<Server>,
    shared: Arc<Shared>,
}

/// The property that filters look at.
fn region() -> Name {
    Name::new("urn:portolan:bench", "Region")
}

/// A send port that wants what is for `region`.
pub fn port(name: &str, wanted: &str, state: PortState) -> SendPort {
    let statement = Statement { property: region(), operator: Operator::Equal, value: Some(Value::string(wanted)) };
    let transport = Transport { adapter: "count".into(), address: format!("count://{name}"), settings: serde_json::Value::Null };
    let retry = RetryPolicy { count: 3, interval: Duration::from_secs(300) };
    SendPort {
        name: name.into(),
        description: None,
        state,
        filter: Filter { groups: vec![vec![statement]] },
        maps: Vec::new(),
        pipeline: PipelineRef { name: "PassThruTransmit".into(), components: Vec::new() },
        primary: SendTransport { transport, retry, schedule: Schedule::default() },
        backup: None,
        priority: 5,
        concurrency: 16,
    }
}

fn application(ports: Vec<SendPort>) -> Application {
    let location = ReceiveLocation {
        name: "in".into(),
        description: None,
        primary: true,
        enabled: true,
        transport: Transport { adapter: "count".into(), address: "count://in".into(), settings: serde_json::Value::Null },
        pipeline: PipelineRef { name: "PassThruReceive".into(), components: Vec::new() },
        schedule: Schedule::default(),
    };
    let receive_port = ReceivePort { name: "In".into(), description: None, maps: Vec::new(), locations: vec![location] };
    Application { name: "bench".into(), receive_ports: vec![receive_port], send_ports: ports, send_port_groups: Vec::new() }
}

impl Rig {
    /// Opens the store in a folder and starts a server with these send ports.
    pub async fn start(folder: &Path, ports: Vec<SendPort>) -> Result<Self, Problem> {
        Self::start_closed(folder, ports, &[]).await
    }

    /// As [`Rig::start`]; deliveries to these ports wait until their counters are opened.
    pub async fn start_closed(folder: &Path, ports: Vec<SendPort>, closed: &[&str]) -> Result<Self, Problem> {
        let store = Arc::new(SqliteStore::open(Options::new(folder))?);
        let shared = Arc::new(Shared { start: Instant::now(), proxy: watch::Sender::new(None), counters: Mutex::default() });
        for name in closed {
            shared.counter(name).open.send_replace(false);
        }
        let mut registry = Registry::default();
        registry.add_adapter(Arc::new(Counting(shared.clone())));
        let blueprint =
            Blueprint { application: application(ports), schemas: Arc::default(), base: folder.to_owned(), time_zone: TimeZone::UTC };
        let start = Start { store, registry: Arc::new(registry), blueprint, world: World::default() };
        let server = Server::start(start).await?;
        shared.proxy.subscribe().wait_for(Option::is_some).await?;
        Ok(Self { server, shared })
    }

    /// What a port's destination has got.
    pub fn counter(&self, port: &str) -> Arc<Counter> {
        self.shared.counter(port)
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> u64 {
        nanos(self.shared.start)
    }

    /// The way in.
    pub fn proxy(&self) -> Result<Proxy, Problem> {
        self.shared.proxy.borrow().clone().ok_or_else(|| "the location does not receive".into())
    }

    /// One message for `wanted`, stamped with the moment and its sequence number.
    pub fn message(&self, wanted: &str, number: u64, size: usize) -> Result<BatchOperation, Problem> {
        let mut body = vec![b'x'; size.max(16)];
        body[..8].copy_from_slice(&self.now().to_le_bytes());
        body[8..16].copy_from_slice(&number.to_le_bytes());
        let mut message = InboundMessage::new(BodySource::Bytes(Bytes::from(body)));
        message.context.promote(region(), Value::string(wanted))?;
        Ok(BatchOperation::Submit(message))
    }

    /// Hands over `count` messages, `flight` at once, each alone in its batch; the nanoseconds until each was confirmed.
    pub async fn publish(self: &Arc<Self>, wanted: &'static str, size: usize, flight: u64, count: u64) -> Result<Vec<u64>, Problem> {
        let tasks: Vec<_> = (0..flight)
            .map(|lane| {
                let rig = self.clone();
                tokio::spawn(async move {
                    let proxy = rig.proxy()?;
                    let mut took = Vec::new();
                    for number in (lane..count).step_by(usize::try_from(flight)?) {
                        let message = rig.message(wanted, number, size)?;
                        let start = Instant::now();
                        let outcome = proxy.execute(vec![message]).await.map_err(|e| e.to_string())?;
                        took.push(nanos(start));
                        if !outcome.committed {
                            return Err(Problem::from(format!("refused: {:?}", outcome.statuses)));
                        }
                    }
                    Ok(took)
                })
            })
            .collect();
        let mut took = Vec::new();
        for task in tasks {
            took.extend(task.await??);
        }
        Ok(took)
    }

    /// Hands over `count` messages in large batches, for a backlog.
    pub async fn fill(self: &Arc<Self>, wanted: &str, size: usize, count: u64) -> Result<(), Problem> {
        const BATCH: u64 = 500;
        let proxy = self.proxy()?;
        for first in (0..count).step_by(BATCH as usize) {
            let batch: Result<Vec<_>, _> = (first..count.min(first + BATCH)).map(|n| self.message(wanted, n, size)).collect();
            let outcome = proxy.execute(batch?).await.map_err(|e| e.to_string())?;
            if !outcome.committed {
                return Err(format!("refused: {:?}", outcome.statuses.first()).into());
            }
        }
        Ok(())
    }

    /// Waits until a destination has got so many messages; an error when none comes for a minute.
    pub async fn until(&self, counter: &Counter, count: u64) -> Result<(), Problem> {
        let (mut before, mut since) = (0, Instant::now());
        loop {
            let now = counter.count.load(Ordering::SeqCst);
            if now >= count {
                return Ok(());
            }
            if now != before {
                (before, since) = (now, Instant::now());
            } else if since.elapsed() > Duration::from_secs(60) {
                return Err(format!("nothing was delivered for a minute; {now} of {count} were").into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Peak and present memory in MB.
    pub fn memory() -> (f64, f64) {
        (measure::memory_mb("self", "VmHWM"), measure::memory_mb("self", "VmRSS"))
    }
}

/// Locks without caring about a panic elsewhere.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nanoseconds since a moment.
pub fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The name of a port as the application knows it.
pub fn name(prefix: &str, number: usize) -> SmolStr {
    SmolStr::from(format!("{prefix}{number}"))
}
