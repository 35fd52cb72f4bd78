//! A world for tests: a memory store, an adapter whose source is the test and whose destinations can
//! be told to fail, and an application put together in code.

#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use async_trait::async_trait;
use bytes::Bytes;
use portolan_model::{
    SmolStr, Value,
    artifact::{
        Application, PipelineRef, PortState, ReceiveLocation, ReceivePort, RetryPolicy, SendPort, SendPortGroup, SendTransport, Transport,
    },
    code,
    filter::{Filter, Operator, Statement},
    property::Name,
    schedule::Schedule,
    system::bts,
    time::TimeZone,
};
use portolan_runtime::{Blueprint, Server, Start, World};
use portolan_sdk::{
    Adapter, AdapterError, AdapterSpec, BatchOperation, BatchOutcome, BodySource, Checked, Direction, InboundMessage, OutboundMessage,
    Proxy, ReceiveAdapter, Registry, SendAdapter, Setup, Stop,
};
use portolan_store::{MessageBox, Selection, StateFilter, ask};
use std::{
    collections::BTreeMap,
    io::Read,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Notify;

/// What a destination does with the next message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    Accept,
    Fail,
    Refuse,
    Stall,
    Panic,
}

#[derive(Default)]
pub struct Shared {
    pub proxies: Mutex<BTreeMap<SmolStr, Proxy>>,
    pub sent: Mutex<Vec<(String, String, portolan_model::Context)>>,
    pub behaviour: Mutex<BTreeMap<String, Behaviour>>,
    pub changed: Notify,
}

/// The test's adapter: `{ "to": "A" }` names a destination.
#[derive(Clone, Default)]
pub struct TestAdapter(pub Arc<Shared>);

#[async_trait]
impl Adapter for TestAdapter {
    fn spec(&self) -> AdapterSpec {
        AdapterSpec { name: "test", transport_type: "TEST", summary: "test", receive: None, send: None, guarantee: "at least once" }
    }
    fn check(&self, _: Direction, _: &serde_json::Value, _: &Path) -> Checked {
        Checked::default()
    }
    fn receiver(&self, _: &serde_json::Value, setup: Setup) -> Result<Box<dyn ReceiveAdapter>, AdapterError> {
        Ok(Box::new(Receiver { shared: self.0.clone(), name: setup.artifact }))
    }
    fn sender(&self, settings: &serde_json::Value, _: Setup) -> Result<Arc<dyn SendAdapter>, AdapterError> {
        Ok(Arc::new(Sender { shared: self.0.clone(), to: settings["to"].as_str().unwrap_or("").to_owned() }))
    }
}

struct Receiver {
    shared: Arc<Shared>,
    name: SmolStr,
}

#[async_trait]
impl ReceiveAdapter for Receiver {
    async fn run(self: Box<Self>, proxy: Proxy, mut stop: Stop) -> Result<(), AdapterError> {
        self.shared.proxies.lock().unwrap().insert(self.name.clone(), proxy);
        self.shared.changed.notify_waiters();
        let _ = stop.wait_for(|s| *s).await;
        self.shared.proxies.lock().unwrap().remove(&self.name);
        Ok(())
    }
}

struct Sender {
    shared: Arc<Shared>,
    to: String,
}

#[async_trait]
impl SendAdapter for Sender {
    async fn send(&self, mut message: OutboundMessage) -> Result<(), AdapterError> {
        let behaviour = self.shared.behaviour.lock().unwrap().get(&self.to).copied().unwrap_or(Behaviour::Accept);
        match behaviour {
            Behaviour::Fail => return Err(AdapterError::temporary(code::SEND_FAILED, "connection refused")),
            Behaviour::Refuse => return Err(AdapterError::permanent(code::SEND_REFUSED, "410 gone")),
            Behaviour::Stall => std::future::pending().await,
            Behaviour::Panic => panic!("the adapter has a mistake"),
            Behaviour::Accept => {}
        }
        let body = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            message.body.read_to_string(&mut text).map(|_| (text, message.context))
        })
        .await
        .unwrap()
        .unwrap();
        self.shared.sent.lock().unwrap().push((self.to.clone(), body.0, body.1));
        self.shared.changed.notify_waiters();
        Ok(())
    }
}

/// A property own to the tests: `T.Country`.
pub fn country() -> Name {
    Name::new("urn:test", "Country")
}

pub fn equals(name: Name, value: &str) -> Statement {
    Statement { property: name, operator: Operator::Equal, value: Some(Value::string(value)) }
}

pub fn filter(statements: Vec<Statement>) -> Filter {
    Filter { groups: vec![statements] }
}

pub fn everything() -> Filter {
    filter(vec![equals(bts::RECEIVE_PORT_NAME, "In")])
}

pub fn transport(to: &str) -> Transport {
    Transport { adapter: "test".into(), address: format!("test://{to}"), settings: serde_json::json!({ "to": to }) }
}

pub fn pass(name: &str) -> PipelineRef {
    PipelineRef { name: name.into(), components: Vec::new() }
}

pub fn send_transport(to: &str, retries: u32, interval: Duration) -> SendTransport {
    SendTransport { transport: transport(to), retry: RetryPolicy { count: retries, interval }, schedule: Schedule::default() }
}

pub fn port(name: &str, filter: Filter) -> SendPort {
    SendPort {
        name: name.into(),
        description: None,
        state: PortState::Started,
        filter,
        maps: Vec::new(),
        pipeline: pass("PassThruTransmit"),
        primary: send_transport(name, 2, Duration::from_millis(30)),
        backup: None,
        priority: 5,
        concurrency: 8,
    }
}

pub fn application(ports: Vec<SendPort>, groups: Vec<SendPortGroup>) -> Application {
    let location = ReceiveLocation {
        name: "in".into(),
        description: None,
        primary: true,
        enabled: true,
        transport: transport("in"),
        pipeline: pass("PassThruReceive"),
        schedule: Schedule::default(),
    };
    let receive_port = ReceivePort { name: "In".into(), description: None, maps: Vec::new(), locations: vec![location] };
    Application { name: "test".into(), receive_ports: vec![receive_port], send_ports: ports, send_port_groups: groups }
}

pub fn blueprint(application: Application) -> Blueprint {
    Blueprint { application, schemas: Arc::default(), base: "/".into(), time_zone: TimeZone::UTC }
}

/// A running server with its test adapter.
pub struct Bench {
    pub server: Arc<Server>,
    pub shared: Arc<Shared>,
    pub store: Arc<dyn MessageBox>,
}

impl Bench {
    pub async fn start(application: Application) -> Self {
        Self::on(Arc::new(portolan_store::MemoryStore::new()), application).await
    }

    pub async fn on(store: Arc<dyn MessageBox>, application: Application) -> Self {
        let adapter = TestAdapter::default();
        let shared = adapter.0.clone();
        let mut registry = Registry::default();
        registry.add_adapter(Arc::new(adapter));
        let start =
            Start { store: store.clone(), registry: Arc::new(registry), blueprint: blueprint(application), world: World::default() };
        let server = Server::start(start).await.unwrap();
        Self { server, shared, store }
    }

    pub async fn proxy(&self) -> Proxy {
        self.until("the location receives", || self.shared.proxies.lock().unwrap().get("in").cloned()).await
    }

    /// Submits one message; waits for the outcome.
    pub async fn submit(&self, body: &str, country_value: Option<&str>) -> BatchOutcome {
        self.proxy().await.execute(vec![BatchOperation::Submit(message(body, country_value))]).await.unwrap()
    }

    /// What a destination got so far, sorted.
    pub fn got(&self, to: &str) -> Vec<String> {
        let mut got: Vec<_> = self.shared.sent.lock().unwrap().iter().filter(|(t, _, _)| t == to).map(|(_, b, _)| b.clone()).collect();
        got.sort();
        got
    }

    pub async fn until<T>(&self, what: &str, mut check: impl FnMut() -> Option<T>) -> T {
        for _ in 0..1000 {
            if let Some(value) = check() {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("waited too long until {what}");
    }

    pub async fn until_sent(&self, to: &str, count: usize) -> Vec<String> {
        self.until(&format!("{to} has {count} messages"), || Some(self.got(to)).filter(|g| g.len() >= count)).await
    }

    pub async fn suspended(&self) -> Vec<portolan_model::instance::Instance> {
        let selection = Selection { state: Some(StateFilter::Suspended), ..Selection::default() };
        ask::instances(self.store.as_ref(), selection, None, 1000).await.unwrap()
    }

    pub async fn until_suspended(&self, count: usize) -> Vec<portolan_model::instance::Instance> {
        for _ in 0..1000 {
            let found = self.suspended().await;
            if found.len() >= count {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("waited too long for {count} suspended instances");
    }

    /// Instances in any state.
    pub async fn all(&self) -> Vec<portolan_model::instance::Instance> {
        ask::instances(self.store.as_ref(), Selection::default(), None, 1000).await.unwrap()
    }

    pub fn behave(&self, to: &str, behaviour: Behaviour) {
        self.shared.behaviour.lock().unwrap().insert(to.to_owned(), behaviour);
    }
}

pub fn message(body: &str, country_value: Option<&str>) -> InboundMessage {
    let mut message = InboundMessage::new(BodySource::Bytes(Bytes::copy_from_slice(body.as_bytes())));
    if let Some(value) = country_value {
        message.context.promote(country(), Value::string(value)).unwrap();
    }
    message
}
