//! Takes messages that failed on their way in through the receive port again: after a resume, in the
//! form they were kept in and with the port's current configuration; or edited by an operator. The old
//! instance goes and the new message is published in one transaction, so nothing is lost or doubled.

use crate::{
    body,
    core::Core,
    deployment::{Deployment, Location},
    interchange::{self, Interchange, InterchangeError},
    journal::About,
    publish::{self, Publication},
};
use portolan_engine::resume::{ResumePoint, resume_point};
use portolan_model::{
    Code, InstanceId, Message, SmolStr, Timestamp, Value, code,
    instance::{Failure, Instance, MessageForm, ServiceClass},
    system::bts,
};
use portolan_sdk::PipelineMessage;
use portolan_store::{Action, Claim, Durability, Operation, Selection, Severity, StoreErrorKind, Work, ask};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};

const CLAIM_MAX: usize = 64;

/// Why a message could not be taken in again.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Code with a page.
    pub code: Code,
    /// In words.
    pub description: String,
    /// The message may be fine: the store or the host is at fault.
    pub passing: bool,
}

impl From<InterchangeError> for Refusal {
    fn from(error: InterchangeError) -> Self {
        match error {
            InterchangeError::Message { code, description } => refuse(code, description, false),
            InterchangeError::Environment { code, description } => refuse(code, description, true),
        }
    }
}

/// Runs the loop until the host stops.
pub async fn run(core: Arc<Core>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let worked = round(&core).await;
        if !worked {
            tokio::select! {
                () = core.resubmit.notified() => {}
                () = tokio::time::sleep(Duration::from_secs(30)) => {}
                _ = stop.changed() => {}
            }
        }
    }
}

/// Works on what is ready; true when there was something.
async fn round(core: &Arc<Core>) -> bool {
    let Ok(services) = ask::services(core.store.as_ref()).await else { return false };
    let mut worked = false;
    for count in services.into_iter().filter(|c| c.service.class == ServiceClass::ReceivePort && c.ready > 0) {
        let claim = Claim { service: count.service, now: core.world.now(), max: CLAIM_MAX };
        let Ok(claimed) = core.store.claim(claim).await else { continue };
        worked |= !claimed.work.is_empty();
        // Together, so that their commits share a sync.
        let mut tasks = JoinSet::new();
        for work in claimed.work {
            let core = core.clone();
            tasks.spawn(async move { again(&core, work).await });
        }
        tasks.join_all().await;
    }
    worked
}

async fn again(core: &Arc<Core>, work: Work) {
    let message = work.message.clone();
    let Err(refusal) = take_in(core, &work.instance, message, false).await else { return };
    if refusal.passing {
        core.commit_surely(Durability::Lazy, vec![Operation::Release { instance: work.instance.id }]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        return;
    }
    let failure = Failure {
        code: SmolStr::new_static(refusal.code.id),
        description: refusal.description.clone(),
        adapter: work.instance.failure.as_ref().and_then(|f| f.adapter.clone()),
        address: work.instance.failure.as_ref().and_then(|f| f.address.clone()),
        at: core.world.now(),
    };
    let about = About { source: &work.instance.service.name, message: Some(work.message.id), instance: Some(work.instance.id) };
    let event = core.journal.event(Severity::Warning, refusal.code, about, format!("resumed and suspended again: {}", refusal.description));
    let suspend = Operation::Suspend { instance: work.instance.id, resumable: true, form: work.instance.form, failure };
    core.commit_surely(Durability::Sync, vec![suspend, event]).await;
}

/// Takes a message in through its receive port again and removes `old`, the instance it was kept in.
/// Returns the ids of the published messages. `suspended`: the old instance must be suspended (an
/// operator's edit), else it is claimed by the caller (a resume).
///
/// # Errors
/// [`Refusal`]; nothing was changed then.
pub async fn take_in(core: &Arc<Core>, old: &Instance, message: Arc<Message>, suspended: bool) -> Result<Vec<Arc<Message>>, Refusal> {
    let deployment = core.deployment();
    let location = location_of(&deployment, old, &message)?;
    let now = core.world.now();
    let (core_, location_, form) = (core.clone(), location.clone(), old.form);
    let interchange = tokio::task::spawn_blocking(move || work_through(&core_, &location_, &message, form, now))
        .await
        .unwrap_or_else(|panic| Err(refuse(code::PIPELINE_FAILED, format!("the receive pipeline broke off: {panic}"), false)))?;
    let outcome = publish_instead(core, old, &location, &interchange, suspended, now).await;
    if outcome.is_err() {
        publish::discard(core, interchange.streamed).await;
    }
    outcome.map(|()| interchange.documents)
}

fn location_of(deployment: &Deployment, old: &Instance, message: &Message) -> Result<Arc<Location>, Refusal> {
    let name = message.context.text(&bts::RECEIVE_LOCATION_NAME).unwrap_or_default();
    let by_name = deployment.locations.get(name).filter(|l| l.port == old.service.name);
    by_name.or_else(|| deployment.locations.values().find(|l| l.port == old.service.name)).cloned().ok_or_else(|| {
        let text =
            format!("the receive port {} is no longer deployed: deploy it again and resume the message, or terminate it", old.service.name);
        refuse(code::PORT_MISSING, text, false)
    })
}

fn work_through(core: &Core, location: &Location, message: &Message, form: MessageForm, now: Timestamp) -> Result<Interchange, Refusal> {
    let opened: PipelineMessage = body::pipeline_message(&core.store, message);
    if resume_point(form) == ResumePoint::Publish {
        return republish(core, message, opened, now);
    }
    interchange::process_guarded(core, location, opened, now).map_err(|(error, streamed)| {
        publish::discard_blocking(core, streamed);
        error.into()
    })
}

/// A message kept after its pipeline is published directly, as a new message.
fn republish(core: &Core, message: &Message, opened: PipelineMessage, now: Timestamp) -> Result<Interchange, Refusal> {
    let mut keeper = body::BodyKeeper::new(core.store.clone(), core.world.clone(), body::INLINE_MAX);
    let parts = keeper.keep(opened.parts).map_err(|error| refuse(code::STORE_FAILED, error.to_string(), true))?;
    let document =
        Message { id: core.world.message_id(), created: now, context: message.context.clone(), parts, body_index: message.body_index };
    Ok(Interchange { documents: vec![Arc::new(document)], streamed: keeper.streamed() })
}

async fn publish_instead(
    core: &Core,
    old: &Instance,
    location: &Location,
    interchange: &Interchange,
    suspended: bool,
    now: Timestamp,
) -> Result<(), Refusal> {
    loop {
        let deployment = core.deployment();
        let mut publication = Publication::new(deployment.epoch);
        publication.operations.push(Operation::Require { instance: old.id, suspended });
        for document in &interchange.documents {
            publication
                .add(core, &deployment, location, document, now)
                .map_err(|description| refuse(code::NO_SUBSCRIPTION, description, false))?;
        }
        if interchange.documents.is_empty() {
            return Err(refuse(code::XML_NO_DATA, "the pipeline made no document of the message".to_owned(), false));
        }
        remove(&mut publication.operations, old.id, now);
        match publication.commit(core).await {
            Ok(()) => return Ok(()),
            Err(error) if error.kind == StoreErrorKind::Conflict => {
                if !exists(core, old.id, suspended).await {
                    return Err(refuse(
                        code::NOT_ALLOWED,
                        "the suspended message was resumed or terminated by somebody else".to_owned(),
                        false,
                    ));
                }
                tokio::task::yield_now().await;
            }
            Err(error) => return Err(refuse(error.code(), error.to_string(), true)),
        }
    }
}

/// The operations that remove an instance and the reports about it.
pub fn remove(operations: &mut Vec<Operation>, instance: InstanceId, at: Timestamp) {
    operations.push(Operation::Complete { instance });
    let reports = Selection { about: Some(instance), class: Some(ServiceClass::RoutingFailureReport), ..Selection::default() };
    operations.push(Operation::Act { selection: reports, action: Action::Terminate, at });
}

async fn exists(core: &Core, instance: InstanceId, suspended: bool) -> bool {
    let selection = Selection { ids: vec![instance], ..Selection::default() };
    let found = ask::instances(core.store.as_ref(), selection, None, 1).await.unwrap_or_default();
    found.iter().any(|i| !suspended || i.state.is_suspended())
}

fn refuse(code: Code, description: String, passing: bool) -> Refusal {
    Refusal { code, description, passing }
}

/// An edited copy of a suspended message: new identity, link to the original, new body.
///
/// # Errors
/// When the link cannot be promoted, which its fixed length rules out.
pub fn edited(core: &Core, original: &Message, parts: Vec<portolan_model::Part>) -> Result<Message, Refusal> {
    let mut context = original.context.clone();
    context
        .promote(portolan_model::system::ptl::ORIGINAL_MESSAGE_ID, Value::string(original.id.braced()))
        .map_err(|error| refuse(code::PROPERTY_INVALID, error.to_string(), false))?;
    Ok(Message { id: core.world.message_id(), created: core.world.now(), context, parts, body_index: original.body_index })
}
