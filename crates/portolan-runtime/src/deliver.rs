//! The send side: takes an instance through outbound map, send pipeline and adapter, and stores the
//! outcome. What a failure leads to is decided by the engine; here it is carried out.

use crate::{
    body,
    core::Core,
    deployment::Port,
    interchange::map,
    journal::About,
    pipeline::{broken_off, guarded},
    queue::PortQueue,
};
use futures_util::FutureExt;
use portolan_engine::delivery::{Attempt, Decision, FailureKind, Ladder, after_failure, after_processing_failure, before_attempt};
use portolan_model::{
    Code, Context, SmolStr, Timestamp, Value, code,
    instance::{Failure, Instance, MessageForm, Progress, TransportRole},
    system::bts,
};
use portolan_sdk::{AdapterError, OutboundMessage, Retry};
use portolan_store::{Durability, Operation, Severity, Work};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

/// Why a message could not be sent.
struct SendFailure {
    code: Code,
    description: String,
    /// `None`: map and pipeline failures, which are not tried again.
    retry: Option<Retry>,
}

/// Delivers one claimed instance.
pub async fn deliver(core: Arc<Core>, queue: Arc<PortQueue>, work: Work) {
    let started = Instant::now();
    let deployment = core.deployment();
    let Some(port) = deployment.ports.get(&queue.name).cloned() else {
        let failure = SendFailure {
            code: code::PORT_MISSING,
            description: format!(
                "the send port {} is no longer deployed: deploy it again and resume the message, or terminate it",
                queue.name
            ),
            retry: None,
        };
        conclude(&core, &queue, None, &work.instance, failure).await;
        return;
    };
    let work = match before_attempt(work.instance.progress, &Ladder::from(&port.artifact), core.world.now()) {
        Attempt::Now(progress) => Work { instance: Instance { progress, ..work.instance }, ..work },
        Attempt::Wait { due, progress } => return wait_for_window(&core, &queue, &work.instance, due, progress).await,
        Attempt::Suspend { code } => {
            let description = "no transport of the send port will ever be open again: its stop date has passed".to_owned();
            return conclude(&core, &queue, Some(&port), &work.instance, SendFailure { code, description, retry: None }).await;
        }
    };
    match send(&core, &port, &work).await {
        Ok(()) => {
            let operations = vec![Operation::Complete { instance: work.instance.id }];
            core.commit_surely(Durability::Lazy, operations).await;
            tracing::debug!(target: "messages", message_id = %work.instance.message, port = queue.name.as_str(), "sent");
            metrics::counter!("portolan_messages_sent_total", "port" => queue.name.to_string()).increment(1);
        }
        Err(failure) => conclude(&core, &queue, Some(&port), &work.instance, failure).await,
    }
    metrics::histogram!("portolan_send_seconds", "port" => queue.name.to_string()).record(started.elapsed().as_secs_f64());
}

async fn send(core: &Arc<Core>, port: &Arc<Port>, work: &Work) -> Result<(), SendFailure> {
    let now = core.world.now();
    let outbound = if body::is_small(&work.message) {
        prepare_guarded(core, port, work, now)?
    } else {
        let (core, port, work) = (core.clone(), port.clone(), work.clone());
        tokio::task::spawn_blocking(move || prepare_guarded(&core, &port, &work, now))
            .await
            .unwrap_or_else(|ended| Err(pipeline_failure(code::SEND_PIPELINE_FAILED, ended.to_string())))?
    };
    // A component consumed the message: there is nothing to send, and that is success.
    let Some(outbound) = outbound else { return Ok(()) };
    let (_, sender) = port.transport(work.instance.progress.transport);
    match AssertUnwindSafe(sender.send(outbound)).catch_unwind().await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(AdapterError { code, retry, message })) => Err(SendFailure { code, description: message, retry: Some(retry) }),
        Err(panic) => Err(SendFailure { code: code::SEND_FAILED, description: broken_off(panic.as_ref()), retry: Some(Retry::Temporary) }),
    }
}

fn prepare_guarded(core: &Core, port: &Port, work: &Work, now: Timestamp) -> Result<Option<OutboundMessage>, SendFailure> {
    guarded(|| prepare(core, port, work, now)).unwrap_or_else(|description| Err(pipeline_failure(code::SEND_PIPELINE_FAILED, description)))
}

fn prepare(core: &Core, port: &Port, work: &Work, now: Timestamp) -> Result<Option<OutboundMessage>, SendFailure> {
    let mut message = body::pipeline_message(&core.store, &work.message);
    message.context.demote_all();
    let (transport, _) = port.transport(work.instance.progress.transport);
    stamp(&mut message.context, port, work, transport.retry.count);
    let mapped =
        map(&port.maps, message).map_err(|error| pipeline_failure(code::MAP_FAILED, format!("the outbound map failed: {}", error.0)))?;
    let sent = port.pipeline.send(mapped).map_err(|error| pipeline_failure(error.code, error.to_string()))?;
    let Some(mut message) = sent else { return Ok(None) };
    let at = message.body_index.min(message.parts.len().saturating_sub(1));
    if message.parts.is_empty() {
        return Err(pipeline_failure(code::SEND_PIPELINE_FAILED, "the message has no body to send".to_owned()));
    }
    let part = message.parts.swap_remove(at);
    Ok(Some(OutboundMessage {
        message: work.message.id,
        instance: work.instance.id,
        context: message.context,
        body: part.body,
        content_type: part.content_type,
        charset: part.charset,
        attempt: work.instance.progress.attempts,
        now,
    }))
}

/// Properties the engine sets for the send adapter.
fn stamp(context: &mut Context, port: &Port, work: &Work, retries: u32) {
    let left = i64::from(retries) - i64::from(work.instance.progress.attempts);
    let (transport, _) = port.transport(work.instance.progress.transport);
    context.write(bts::RETRY_COUNT, Value::Int32(i32::try_from(left).unwrap_or(i32::MAX)));
    context.write(bts::RETRY_INTERVAL, Value::Int32(i32::try_from(transport.retry.interval.as_secs() / 60).unwrap_or(i32::MAX)));
    context.write(bts::OUTBOUND_TRANSPORT_LOCATION, Value::string(transport.transport.address.as_str()));
    context.write(bts::SP_NAME, Value::String(port.artifact.name.clone()));
}

fn pipeline_failure(code: Code, description: String) -> SendFailure {
    SendFailure { code, description, retry: None }
}

/// Stores what a failure leads to.
async fn conclude(core: &Core, queue: &PortQueue, port: Option<&Arc<Port>>, instance: &Instance, failure: SendFailure) {
    let now = core.world.now();
    let transport = port.map(|p| &p.transport(instance.progress.transport).0.transport);
    let decision = match (failure.retry, port) {
        (Some(retry), Some(port)) => {
            let kind = if retry == Retry::Permanent { FailureKind::Permanent } else { FailureKind::Temporary };
            after_failure(instance.progress, &Ladder::from(&port.artifact), kind, now)
        }
        _ => after_processing_failure(failure.code),
    };
    let kept = |code: Code| Failure {
        code: SmolStr::new_static(code.id),
        description: describe(transport.map(|t| t.address.as_str()), instance, &failure.description),
        adapter: transport.map(|t| t.adapter.clone()),
        address: transport.map(|t| t.address.clone()),
        at: now,
    };
    match decision {
        Decision::RetryAt { due, progress, code } => {
            let kept = kept(code);
            let text = format!("{} Next try at {}.", sentence(&kept.description), due.short());
            reschedule(core, queue, instance, due, progress, kept, code, text).await;
        }
        Decision::FailOver { due, progress, code } => {
            let kept = kept(code);
            let text = format!("{} The backup transport takes over.", sentence(&kept.description));
            reschedule(core, queue, instance, due, progress, kept, code, text).await;
        }
        Decision::Complete => {
            core.commit_surely(Durability::Lazy, vec![Operation::Complete { instance: instance.id }]).await;
        }
        Decision::Suspend { resumable, code } => suspend(core, queue, instance, resumable, kept(code), code).await,
    }
}

#[allow(clippy::too_many_arguments)] // One call site per decision; a struct would only rename the list.
async fn reschedule(
    core: &Core,
    queue: &PortQueue,
    instance: &Instance,
    due: Timestamp,
    progress: Progress,
    kept: Failure,
    code: Code,
    text: String,
) {
    let about = About { source: &queue.name, message: Some(instance.message), instance: Some(instance.id) };
    let event = core.journal.event(Severity::Warning, code, about, text);
    let change = Operation::Reschedule { instance: instance.id, due, progress, failure: Some(kept) };
    core.commit_surely(Durability::Lazy, vec![change, event]).await;
    queue.due_at(Some(due));
    metrics::counter!("portolan_send_retries_total", "port" => queue.name.to_string()).increment(1);
}

async fn suspend(core: &Core, queue: &PortQueue, instance: &Instance, resumable: bool, failure: Failure, code: Code) {
    let about = About { source: &queue.name, message: Some(instance.message), instance: Some(instance.id) };
    let event = core.journal.event(Severity::Error, code, about, format!("message suspended: {}", failure.description));
    let change = Operation::Suspend { instance: instance.id, resumable, form: MessageForm::Published, failure };
    core.commit_surely(Durability::Sync, vec![change, event]).await;
    metrics::counter!("portolan_messages_suspended_total", "service" => queue.name.to_string()).increment(1);
}

/// The service window of the next transport is closed: the instance waits for it, nothing has failed.
async fn wait_for_window(core: &Core, queue: &PortQueue, instance: &Instance, due: Timestamp, progress: Progress) {
    let change = Operation::Reschedule { instance: instance.id, due, progress, failure: instance.failure.clone() };
    core.commit_surely(Durability::Lazy, vec![change]).await;
    queue.due_at(Some(due));
}

fn sentence(text: &str) -> String {
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}

fn describe(address: Option<&str>, instance: &Instance, reason: &str) -> String {
    let attempt = instance.progress.attempts + 1;
    let role = if instance.progress.transport == TransportRole::Backup { "backup transport, " } else { "" };
    match address {
        Some(address) => format!("{reason} ({role}attempt {attempt}, destination {address})"),
        None => reason.to_owned(),
    }
}
