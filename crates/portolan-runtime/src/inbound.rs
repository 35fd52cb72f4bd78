//! The receive side: carries out the batches of receive adapters. One batch is one durable
//! transaction; its answer comes after the commit.

use crate::{
    core::{Core, shutting_down, store_refused},
    deployment::{Deployment, Location},
    interchange::{self, Interchange, InterchangeError},
    journal::About,
    publish::{self, Publication},
};
use async_trait::async_trait;
use portolan_model::{
    BodyId, Code, InterchangeId, Message, SmolStr, Timestamp, Value, code,
    instance::{Failure, Instance, MessageForm, Service},
    system::bts,
};
use portolan_sdk::{AdapterError, BatchOperation, BatchOutcome, BodySource, InboundMessage, OperationStatus, SourceNotice, TransportProxy};
use portolan_store::{NewInstance, Operation, Severity, StoreErrorKind, ask};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// Bodies in memory up to this size are worked on without leaving the async worker.
const DIRECT_MAX: usize = 64 * 1024;

/// One operation, worked through and ready to be committed.
enum Prepared {
    Documents { interchange: Interchange, key: Option<String> },
    Suspended { suspension: Box<Suspension>, key: Option<String> },
    Refused { code: Code, message: String },
    Forget(String),
    Duplicate,
}

/// A message about to be suspended, with its instance and what goes with it.
struct Suspension {
    message: Arc<Message>,
    instance: Instance,
    failure: Failure,
    report: bool,
    streamed: Vec<BodyId>,
}

/// The engine as one receive location sees it.
pub struct LocationProxy {
    core: Arc<Core>,
    location: SmolStr,
    failing: Mutex<Option<SmolStr>>,
    open: AtomicBool,
}

impl LocationProxy {
    /// A proxy for a location of the current deployment.
    pub fn new(core: Arc<Core>, location: SmolStr) -> Arc<Self> {
        Arc::new(Self { core, location, failing: Mutex::new(None), open: AtomicBool::new(true) })
    }

    /// Refuses everything from now on: the location has been removed.
    pub fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
    }

    /// What the source is failing with, if it is.
    #[must_use]
    pub fn failing(&self) -> Option<SmolStr> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets that the source was failing: the receiver has ended.
    pub fn forget_failure(&self) {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn current(&self) -> Result<(Arc<Deployment>, Arc<Location>), AdapterError> {
        if *self.core.stopping.borrow() {
            return Err(shutting_down());
        }
        let deployment = self.core.deployment();
        match deployment.locations.get(&self.location) {
            Some(location) if self.open.load(Ordering::SeqCst) => {
                let location = location.clone();
                Ok((deployment, location))
            }
            _ => Err(AdapterError::permanent(code::URL_DISALLOWED, format!("the receive location {} is not open", self.location))),
        }
    }

    /// Marks the operations whose source item was taken in before; true when there were any.
    async fn mark_duplicates(&self, prepared: &mut [Prepared]) -> Result<bool, AdapterError> {
        let known = self.remembered().await?;
        let mut found = false;
        for item in prepared.iter_mut() {
            if let Prepared::Documents { key: Some(key), .. } | Prepared::Suspended { key: Some(key), .. } = item
                && known.contains(key)
            {
                let old = std::mem::replace(item, Prepared::Duplicate);
                self.discard(streamed(&[old])).await;
                found = true;
            }
        }
        Ok(found)
    }

    async fn discard(&self, bodies: Vec<BodyId>) {
        publish::discard(&self.core, bodies).await;
    }

    async fn commit(&self, prepared: &mut [Prepared]) -> Result<BatchOutcome, AdapterError> {
        loop {
            let (deployment, location) = self.current()?;
            if let Some(away) = prepared.iter().find_map(store_is_away) {
                return Err(away);
            }
            let mut publication = Publication::new(deployment.epoch);
            let mut statuses = Vec::with_capacity(prepared.len());
            for item in prepared.iter() {
                statuses.push(self.stage(&deployment, &location, item, &mut publication));
            }
            if statuses.iter().any(|s| matches!(s, OperationStatus::Refused { .. })) {
                for status in &mut statuses {
                    if !matches!(status, OperationStatus::Refused { .. }) {
                        *status = OperationStatus::NotDone;
                    }
                }
                return Ok(BatchOutcome { committed: false, statuses });
            }
            if publication.is_empty() {
                return Ok(BatchOutcome { committed: true, statuses });
            }
            match publication.commit(&self.core).await {
                Ok(()) => {
                    count(&location, &statuses);
                    return Ok(BatchOutcome { committed: true, statuses });
                }
                Err(error) if error.kind == StoreErrorKind::Conflict => tokio::task::yield_now().await,
                Err(error) if error.kind == StoreErrorKind::Duplicate && self.mark_duplicates(prepared).await? => {}
                Err(error) => return Err(store_refused(&error)),
            }
        }
    }

    /// Adds one operation to the publication.
    fn stage(&self, deployment: &Deployment, location: &Location, item: &Prepared, publication: &mut Publication) -> OperationStatus {
        let now = self.core.world.now();
        match item {
            Prepared::Refused { code, message } => OperationStatus::Refused { code: *code, message: message.clone() },
            Prepared::Duplicate => OperationStatus::Duplicate,
            Prepared::Forget(key) => {
                publication.operations.push(Operation::ForgetKey { scope: self.location.clone(), key: key.clone() });
                OperationStatus::Done { documents: 0 }
            }
            Prepared::Documents { interchange, key } => {
                for document in &interchange.documents {
                    if let Err(refusal) = publication.add(&self.core, deployment, location, document, now) {
                        return OperationStatus::Refused { code: code::NO_SUBSCRIPTION, message: refusal };
                    }
                }
                self.remember(key.as_ref(), now, publication);
                OperationStatus::Done { documents: interchange.documents.len() }
            }
            Prepared::Suspended { suspension, key } => {
                self.stage_suspension(location, suspension, publication, now);
                self.remember(key.as_ref(), now, publication);
                OperationStatus::Suspended { instance: suspension.instance.id, failure: suspension.failure.clone() }
            }
        }
    }

    fn remember(&self, key: Option<&String>, at: Timestamp, publication: &mut Publication) {
        if let Some(key) = key {
            publication.operations.push(Operation::RememberKey { scope: self.location.clone(), key: key.clone(), at });
        }
    }

    fn stage_suspension(&self, location: &Location, suspension: &Suspension, publication: &mut Publication, now: Timestamp) {
        publication.operations.push(Operation::Publish {
            message: suspension.message.clone(),
            instances: vec![NewInstance { instance: suspension.instance.clone(), claim: false }],
        });
        if suspension.report {
            publication.operations.push(publish::report(
                &self.core.world,
                &suspension.message,
                &suspension.instance,
                &suspension.failure,
                now,
            ));
        }
        let about = About { source: &location.artifact.name, message: Some(suspension.message.id), instance: Some(suspension.instance.id) };
        let code = Code::find(&suspension.failure.code).copied().unwrap_or(code::PIPELINE_FAILED);
        publication.events.push((
            Severity::Warning,
            code,
            about.source.into(),
            about.message,
            about.instance,
            format!("message suspended: {}", suspension.failure.description),
        ));
    }
}

#[async_trait]
impl TransportProxy for LocationProxy {
    async fn execute(&self, operations: Vec<BatchOperation>) -> Result<BatchOutcome, AdapterError> {
        let (_, location) = self.current()?;
        let started = std::time::Instant::now();
        let direct = operations.iter().all(is_direct);
        let (core, now) = (self.core.clone(), self.core.world.now());
        let work = move || operations.into_iter().map(|o| prepare_one(&core, &location, o, now)).collect::<Vec<_>>();
        let mut prepared = if direct { work() } else { blocking(work).await? };
        let outcome = self.commit(&mut prepared).await;
        if !matches!(&outcome, Ok(o) if o.committed) {
            self.discard(streamed(&prepared)).await;
        }
        metrics::histogram!("portolan_receive_seconds", "location" => self.location.to_string()).record(started.elapsed().as_secs_f64());
        outcome
    }

    fn notice(&self, notice: SourceNotice) {
        let about = About::artifact(&self.location);
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match notice {
            SourceNotice::Failing { code, message } => {
                let key = SmolStr::from(format!("{code}: {message}"));
                if failing.as_ref() != Some(&key) {
                    self.core.journal.record(Severity::Error, code, about, message);
                    *failing = Some(key);
                }
            }
            SourceNotice::Item { code, message } => self.core.journal.record(Severity::Warning, code, about, message),
            SourceNotice::Recovered => {
                if failing.take().is_some() {
                    self.core.journal.record(Severity::Information, code::LOCATION_RECOVERED, about, "the source works again");
                }
            }
        }
    }

    async fn remembered(&self) -> Result<Vec<String>, AdapterError> {
        ask::keys(self.core.store.as_ref(), self.location.clone()).await.map_err(|error| store_refused(&error))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, AdapterError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|panic| AdapterError::temporary(code::PIPELINE_FAILED, format!("the receive pipeline broke off: {panic}")))
}

fn is_direct(operation: &BatchOperation) -> bool {
    match operation {
        BatchOperation::Submit(message) | BatchOperation::Suspend { message, .. } => {
            matches!(&message.body, BodySource::Bytes(bytes) if bytes.len() <= DIRECT_MAX)
        }
        BatchOperation::Forget(_) => true,
    }
}

/// The store refused a body: nothing is wrong with the message, and it must not be suspended.
fn store_is_away(prepared: &Prepared) -> Option<AdapterError> {
    match prepared {
        Prepared::Refused { code, message } if [code::STORE_FULL, code::STORE_FAILED, code::STORE_LOCKED].contains(code) => {
            Some(AdapterError::temporary(*code, format!("the MessageBox takes no messages now: {message}")))
        }
        _ => None,
    }
}

fn streamed(prepared: &[Prepared]) -> Vec<BodyId> {
    prepared
        .iter()
        .flat_map(|p| match p {
            Prepared::Documents { interchange, .. } => interchange.streamed.clone(),
            Prepared::Suspended { suspension, .. } => suspension.streamed.clone(),
            _ => Vec::new(),
        })
        .collect()
}

fn prepare_one(core: &Core, location: &Location, operation: BatchOperation, now: Timestamp) -> Prepared {
    match operation {
        BatchOperation::Forget(key) => Prepared::Forget(key),
        BatchOperation::Submit(message) => prepare_submit(core, location, message, now),
        BatchOperation::Suspend { message, failure } => {
            let interchange = core.world.interchange_id();
            prepare_suspension(core, location, &message, interchange, failure, now)
        }
    }
}

fn prepare_submit(core: &Core, location: &Location, message: InboundMessage, now: Timestamp) -> Prepared {
    let interchange_id = core.world.interchange_id();
    let context = interchange::wire_context(location, &message, interchange_id);
    let processed = interchange::open(context, &message)
        .map_err(|error| (error, Vec::new()))
        .and_then(|opened| interchange::process_guarded(core, location, opened, now));
    match processed {
        Ok(interchange) if interchange.documents.is_empty() => {
            let failure = failure(location, code::XML_NO_DATA, "the pipeline made no document of the message".into(), now);
            prepare_suspension(core, location, &message, interchange_id, failure, now)
        }
        Ok(interchange) => Prepared::Documents { interchange, key: message.receive_key },
        Err((error, streamed)) => {
            publish::discard_blocking(core, streamed);
            match error {
                InterchangeError::Environment { code, description } => Prepared::Refused { code, message: description },
                InterchangeError::Message { code, description } if keeps_failed(&message) => {
                    let failure = failure(location, code, describe(location, &description), now);
                    prepare_suspension(core, location, &message, interchange_id, failure, now)
                }
                InterchangeError::Message { code, description } => Prepared::Refused { code, message: description },
            }
        }
    }
}

/// Whether a message whose pipeline failed is suspended by the engine: unless the adapter set
/// `BTS.ActionOnFailure` to 0 because it tells the client itself.
fn keeps_failed(message: &InboundMessage) -> bool {
    message.context.get(&bts::ACTION_ON_FAILURE) != Some(&Value::Int32(0))
}

fn describe(location: &Location, reason: &str) -> String {
    format!("{reason}. Receive location: {}, address: {}", location.artifact.name, location.artifact.transport.address)
}

fn failure(location: &Location, code: Code, description: String, at: Timestamp) -> Failure {
    Failure {
        code: SmolStr::new_static(code.id),
        description,
        adapter: Some(location.transport_type.clone()),
        address: Some(location.artifact.transport.address.clone()),
        at,
    }
}

fn prepare_suspension(
    core: &Core,
    location: &Location,
    message: &InboundMessage,
    interchange: InterchangeId,
    failure: Failure,
    now: Timestamp,
) -> Prepared {
    let mut keeper = crate::body::BodyKeeper::new(core.store.clone(), core.world.clone(), DIRECT_MAX * 4);
    let context = interchange::wire_context(location, message, interchange);
    let kept = interchange::open(context, message).and_then(|opened| Ok((opened.context, keeper.keep(opened.parts)?)));
    let streamed = keeper.streamed();
    match kept {
        Ok((context, parts)) => {
            let message_id = core.world.message_id();
            let wire = Message { id: message_id, created: now, context, parts, body_index: 0 };
            let resumable = message.context.get(&bts::SUSPEND_AS_NON_RESUMABLE) != Some(&Value::Boolean(true));
            let instance = Instance::ready(core.world.instance_id(), Service::receive_port(location.port.clone()), message_id, now, 5)
                .suspended(resumable, MessageForm::Wire, failure.clone());
            let report = failure.code == code::NO_SUBSCRIPTION.id;
            let suspension = Suspension { message: Arc::new(wire), instance, failure, report, streamed };
            Prepared::Suspended { suspension: Box::new(suspension), key: message.receive_key.clone() }
        }
        Err(InterchangeError::Message { code, description } | InterchangeError::Environment { code, description }) => {
            publish::discard_blocking(core, streamed);
            Prepared::Refused { code, message: description }
        }
    }
}

fn count(location: &Location, statuses: &[OperationStatus]) {
    for status in statuses {
        if let OperationStatus::Done { documents: documents @ 1.. } = status {
            tracing::debug!(target: "messages", location = location.artifact.name.as_str(), documents, "received");
        }
    }
    let (mut received, mut suspended) = (0, 0);
    for status in statuses {
        match status {
            OperationStatus::Done { documents } => received += *documents as u64,
            OperationStatus::Suspended { .. } => suspended += 1,
            _ => {}
        }
    }
    metrics::counter!("portolan_documents_received_total", "location" => location.artifact.name.to_string()).increment(received);
    metrics::counter!("portolan_documents_suspended_total", "service" => location.port.to_string()).increment(suspended);
}
