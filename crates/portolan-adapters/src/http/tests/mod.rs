//! Tests over real sockets: an engine that can be told what to do, locations on free ports, and a
//! destination that misbehaves on demand.

mod checking;
mod destination;
mod limits;
mod listeners;
mod receiving;
mod sending;
mod tls;

use super::HttpAdapter;
use async_trait::async_trait;
use portolan_model::{Code, InstanceId, SmolStr, code, instance::Failure};
use portolan_sdk::{
    Adapter, AdapterError, BatchOperation, BatchOutcome, BodySource, InboundMessage, OperationStatus, Proxy, Setup, SourceNotice,
    TransportProxy,
};
use serde_json::{Value as Json, json};
use std::{
    io::Read,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

/// What the engine does with a submit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Mood {
    /// Takes it in.
    #[default]
    Good,
    /// Refuses it with a code.
    Refuse(Code),
    /// Suspends it by itself.
    SuspendItself,
    /// Takes nothing at the moment.
    Away(Code),
    /// Takes it in after a while.
    Slow(Duration),
}

/// The engine.
#[derive(Default)]
struct Engine {
    mood: Mutex<Mood>,
    /// Batches that came, answered or not.
    begun: AtomicUsize,
    submitted: Mutex<Vec<InboundMessage>>,
    suspended: Mutex<Vec<(InboundMessage, Failure)>>,
    notices: Mutex<Vec<String>>,
}

impl Engine {
    fn mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
    fn count(&self) -> usize {
        self.submitted.lock().unwrap().len()
    }
    async fn begun(&self, count: usize) {
        eventually("a batch", || self.begun.load(Ordering::SeqCst) >= count).await;
    }
    fn last(&self) -> InboundMessage {
        self.submitted.lock().unwrap().last().expect("a submitted message").clone()
    }
    fn notices(&self) -> Vec<String> {
        self.notices.lock().unwrap().clone()
    }
}

fn bytes(message: &InboundMessage) -> Vec<u8> {
    let mut all = Vec::new();
    message.body.open().unwrap().read_to_end(&mut all).unwrap();
    all
}

#[async_trait]
impl TransportProxy for Engine {
    async fn execute(&self, operations: Vec<BatchOperation>) -> Result<BatchOutcome, AdapterError> {
        let mood = *self.mood.lock().unwrap();
        self.begun.fetch_add(1, Ordering::SeqCst);
        if let Mood::Slow(pause) = mood {
            sleep(pause).await;
        }
        let [operation] = &operations[..] else { panic!("one operation expected") };
        let instance = "00000000-0000-0000-0000-000000000007".parse::<InstanceId>().unwrap();
        let status = match (operation, mood) {
            (_, Mood::Away(code)) => return Err(AdapterError::temporary(code, "the disk /secret/place is full")),
            (BatchOperation::Submit(_), Mood::Refuse(code)) => OperationStatus::Refused { code, message: "it cannot be taken".into() },
            (BatchOperation::Submit(message), Mood::SuspendItself) => {
                let failure =
                    Failure { code: "PTL0101".into(), description: "bad XML".into(), adapter: None, address: None, at: Default::default() };
                self.suspended.lock().unwrap().push((message.clone(), failure.clone()));
                OperationStatus::Suspended { instance, failure }
            }
            (BatchOperation::Submit(message), _) => {
                // Opened here: a temporary body must still be there at the commit.
                message.body.open().unwrap();
                self.submitted.lock().unwrap().push(message.clone());
                OperationStatus::Done { documents: 1 }
            }
            (BatchOperation::Suspend { message, failure }, _) => {
                self.suspended.lock().unwrap().push((message.clone(), failure.clone()));
                OperationStatus::Suspended { instance, failure: failure.clone() }
            }
            (BatchOperation::Forget(_), _) => panic!("nothing to forget"),
        };
        let committed = !matches!(status, OperationStatus::Refused { .. });
        Ok(BatchOutcome { committed, statuses: vec![status] })
    }

    fn notice(&self, notice: SourceNotice) {
        self.notices.lock().unwrap().push(match notice {
            SourceNotice::Failing { code, message } => format!("{code} {message}"),
            SourceNotice::Recovered => "recovered".to_owned(),
            SourceNotice::Item { code, message } => format!("item {code} {message}"),
        });
    }

    async fn remembered(&self) -> Result<Vec<String>, AdapterError> {
        Ok(Vec::new())
    }
}

/// A running location.
struct Location {
    engine: Arc<Engine>,
    url: String,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), AdapterError>>,
}

impl Location {
    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap().unwrap();
    }
}

fn setup(name: &str) -> Setup {
    Setup { artifact: SmolStr::new(name), base: PathBuf::from("/") }
}

/// An address where nobody listens. Below the range that the system gives to clients, so that no
/// connection of another test takes it meanwhile.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add((std::process::id() % 97) as u16 * 101);
        let address = SocketAddr::from(([127, 0, 0, 1], 20_000 + offset % 10_000));
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Starts a location with these settings besides `listen`.
fn start(adapter: &HttpAdapter, address: SocketAddr, path: &str, more: Json) -> Location {
    let mut settings = json!({ "listen": address.to_string(), "path": path });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let scheme = if settings.get("tls").is_some() { "https" } else { "http" };
    let receiver = adapter.receiver(&settings, setup(&format!("location {path}"))).unwrap();
    let engine = Arc::new(Engine::default());
    let (stop, stopping) = watch::channel(false);
    let task = tokio::spawn(receiver.run(Proxy::new(engine.clone()), stopping));
    Location { engine, url: format!("{scheme}://{address}{path}"), address, stop, task }
}

/// A location alone on its listener, ready for requests.
async fn location(more: Json) -> Location {
    let location = start(&HttpAdapter::default(), free_address(), "/in", more);
    reachable(location.address).await;
    location
}

/// Waits until somebody listens.
async fn reachable(address: SocketAddr) {
    eventually("a listener", || std::net::TcpStream::connect(address).is_ok()).await;
}

/// Waits until a location on a listener shared with others takes messages.
async fn entered(location: &Location) {
    for _ in 0..200 {
        // Not a method that submits.
        if client().get(&location.url).send().await.is_ok_and(|r| r.status() == 405) {
            return;
        }
        sleep(Duration::from_millis(25)).await;
    }
    panic!("{} never came", location.url);
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..200 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(25)).await;
    }
    panic!("never came: {what}");
}

/// A client that knows nothing of the adapter's own one.
fn client() -> reqwest::Client {
    super::tls::install_provider();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn post(url: &str, body: impl Into<reqwest::Body>) -> reqwest::Response {
    client().post(url).body(body).send().await.unwrap()
}

async fn problem(response: reqwest::Response) -> Json {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let document: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(document["status"], status);
    assert!(document["type"].as_str().unwrap().starts_with("urn:portolan:http:"), "{text}");
    document
}

#[test]
fn the_spec_declares_both_directions_with_documented_settings() {
    let spec = HttpAdapter::default().spec();
    assert_eq!((spec.name, spec.transport_type), ("http", "HTTP"));
    for schema in [spec.receive.unwrap(), spec.send.unwrap()] {
        for (name, property) in schema["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name} has no description");
        }
    }
    assert!(code::Code::find("PTL0305").is_some());
}
