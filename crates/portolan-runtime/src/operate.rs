//! What operators do to a running host: enable and disable receive locations, change the state of send
//! ports and groups, resume, terminate and edit suspended messages. Every action is stored, logged,
//! and may be repeated without harm.

use crate::{
    body::{self, BodyKeeper},
    deployment::Choices,
    interchange::InterchangeError,
    journal::About,
    locations::LocationStatus,
    resubmit::{self, Refusal},
    server::{Server, state_text},
};
use portolan_engine::states::{Illegal, Transition, send_port, send_port_group};
use portolan_engine::waiting::{Release, Which, may_go, on_group_started, on_port_started};
use portolan_model::{
    InstanceId, Message, MessageId, SmolStr,
    artifact::PortState,
    code,
    instance::{Instance, MessageForm, ServiceClass},
};
use portolan_sdk::BodySource;
use portolan_store::{Action, Durability, NewInstance, Operation, Position, Selection, Severity, StateFilter, StoreError, ask};
use std::sync::Arc;

/// What can be done to a send port or group.
pub use portolan_engine::states::Command as PortAction;

/// A receive location as operators see it.
#[derive(Clone, Debug)]
pub struct LocationView {
    /// Name.
    pub name: SmolStr,
    /// Its receive port.
    pub port: SmolStr,
    /// Adapter name.
    pub adapter: SmolStr,
    /// Address.
    pub address: String,
    /// Name of its pipeline.
    pub pipeline: SmolStr,
    /// Whether operators want it to receive.
    pub enabled: bool,
    /// What it is doing.
    pub status: LocationStatus,
}

/// A send port as operators see it.
#[derive(Clone, Debug)]
pub struct PortView {
    /// Name.
    pub name: SmolStr,
    /// State.
    pub state: PortState,
    /// Adapter of the primary transport.
    pub adapter: SmolStr,
    /// Address of the primary transport.
    pub address: String,
    /// Address of the backup transport.
    pub backup: Option<String>,
    /// What it subscribes to.
    pub filter: String,
    /// Messages in transmission now.
    pub active: u32,
}

/// A send port group as operators see it.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// Name.
    pub name: SmolStr,
    /// State.
    pub state: PortState,
    /// Members.
    pub members: Vec<SmolStr>,
    /// What it subscribes to.
    pub filter: String,
}

impl Server {
    /// All receive locations by name.
    pub async fn locations(&self) -> Vec<LocationView> {
        let deployment = self.core.deployment();
        let tasks = self.locations.lock().await;
        deployment
            .locations
            .values()
            .map(|location| LocationView {
                name: location.artifact.name.clone(),
                port: location.port.clone(),
                adapter: location.artifact.transport.adapter.clone(),
                address: location.artifact.transport.address.clone(),
                pipeline: location.artifact.pipeline.name.clone(),
                enabled: deployment.location_enabled(&location.artifact.name).unwrap_or(false),
                status: tasks.get(&location.artifact.name).map_or(LocationStatus::Disabled, crate::locations::LocationTask::status),
            })
            .collect()
    }

    /// All send ports by name.
    #[must_use]
    pub fn ports(&self) -> Vec<PortView> {
        let deployment = self.core.deployment();
        let view = |port: &Arc<crate::deployment::Port>| {
            let artifact = &port.artifact;
            PortView {
                name: artifact.name.clone(),
                state: deployment.port_state(&artifact.name).unwrap_or(artifact.state),
                adapter: artifact.primary.transport.adapter.clone(),
                address: artifact.primary.transport.address.clone(),
                backup: artifact.backup.as_ref().map(|b| b.transport.address.clone()),
                filter: artifact.filter.to_string(),
                active: self.core.queue(&artifact.name).map_or(0, |q| q.active()),
            }
        };
        deployment.ports.values().map(view).collect()
    }

    /// All send port groups.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupView> {
        let deployment = self.core.deployment();
        let groups = &deployment.blueprint.application.send_port_groups;
        groups
            .iter()
            .map(|group| GroupView {
                name: group.name.clone(),
                state: deployment.group_state(&group.name).unwrap_or(group.state),
                members: group.members.clone(),
                filter: group.filter.to_string(),
            })
            .collect()
    }

    /// Enables or disables a receive location. Enabling a broken one tries it again.
    ///
    /// # Errors
    /// [`Refusal`] when there is no such location or the store takes no writes.
    pub async fn enable_location(&self, name: &str, enabled: bool) -> Result<(), Refusal> {
        let tasks = self.locations.lock().await;
        let Some(task) = tasks.get(name) else { return Err(missing("receive location", name)) };
        let word = if enabled { "enabled" } else { "disabled" };
        let choose = |choices: &mut Choices| {
            choices.locations.insert(name.into(), enabled);
        };
        self.choose(format!("receive_location/{name}"), word, name, choose).await?;
        task.enable(enabled);
        Ok(())
    }

    /// Changes the state of a send port. Starting it also resumes the messages it captured while it
    /// was stopped.
    ///
    /// # Errors
    /// [`Refusal`] when there is no such port, the action is illegal now, or the store takes no writes.
    pub async fn port_action(&self, name: &str, action: PortAction) -> Result<PortState, Refusal> {
        let _change = self.locations.lock().await;
        let state = send_port::State::of(&self.core.deployment().table, name).ok_or_else(|| missing("send port", name))?;
        let next = allowed(name, send_port::step(&state, action))?;
        let choose = |choices: &mut Choices| {
            choices.send_ports.insert(name.into(), next);
        };
        self.choose(format!("send_port/{name}"), state_text(next), name, choose).await?;
        let releases = on_port_started(&self.core.deployment().table, name).into_iter().collect();
        self.release(releases).await.map_err(|error| refused(&error))?;
        Ok(next)
    }

    /// Changes the state of a send port group; never that of its members.
    ///
    /// # Errors
    /// [`Refusal`] as for ports.
    pub async fn group_action(&self, name: &str, action: PortAction) -> Result<PortState, Refusal> {
        let _change = self.locations.lock().await;
        let state = send_port_group::State::of(&self.core.deployment().table, name).ok_or_else(|| missing("send port group", name))?;
        let next = allowed(name, send_port_group::step(&state, action))?;
        let choose = |choices: &mut Choices| {
            choices.groups.insert(name.into(), next);
        };
        self.choose(format!("send_port_group/{name}"), state_text(next), name, choose).await?;
        let releases = on_group_started(&self.core.deployment().table, name);
        self.release(releases).await.map_err(|error| refused(&error))?;
        Ok(next)
    }

    /// Resumes, terminates or suspends every instance that matches; says how many changed. Repeating
    /// it changes nothing more.
    ///
    /// # Errors
    /// The failure of the store.
    pub async fn act(&self, selection: Selection, action: Action) -> Result<u64, StoreError> {
        let act = Operation::Act { selection, action, at: self.core.world.now() };
        let receipt = self.core.commit(self.core.batch(None, Durability::Sync, vec![act])).await?;
        let changed = receipt.changed.first().copied().unwrap_or(0);
        if changed > 0 {
            let verb = match action {
                Action::Resume => "resumed",
                Action::Terminate => "terminated",
                Action::Suspend => "suspended",
            };
            self.core.journal.record(
                Severity::Information,
                code::OPERATOR_ACTION,
                About::default(),
                format!("{changed} messages {verb} by an operator"),
            );
            self.core.resubmit.notify_one();
            // Ports whose work was resumed may no longer be deployed: they need a loop all the same.
            self.make_workers().await?;
        }
        Ok(changed)
    }

    /// Makes everything a send port has scheduled due at once; says how many messages. Their attempts
    /// start again at the primary transport.
    ///
    /// # Errors
    /// [`Refusal`] when there is no such port or the store takes no writes.
    pub async fn retry_now(&self, name: &str) -> Result<u64, Refusal> {
        self.core.deployment().port_state(name).ok_or_else(|| missing("send port", name))?;
        let scheduled = Selection {
            class: Some(ServiceClass::SendPort),
            service: Some(name.into()),
            state: Some(StateFilter::Scheduled),
            ..Selection::default()
        };
        let mut total = 0;
        loop {
            let page = ask::instances(self.core.store.as_ref(), scheduled.clone(), None, 1000).await.map_err(|e| refused(&e))?;
            if page.is_empty() {
                break;
            }
            let ids: Vec<InstanceId> = page.iter().map(|i| i.id).collect();
            let at = self.core.world.now();
            let suspend = Operation::Act { selection: Selection { ids: ids.clone(), ..scheduled.clone() }, action: Action::Suspend, at };
            let resume = Operation::Act { selection: Selection::of(ids), action: Action::Resume, at };
            let batch = self.core.batch(None, Durability::Sync, vec![suspend, resume]);
            let receipt = self.core.commit(batch).await.map_err(|error| refused(&error))?;
            let changed = receipt.changed.last().copied().unwrap_or(0);
            total += changed;
            if changed == 0 {
                break;
            }
        }
        let about = About::artifact(name);
        self.core.journal.record(Severity::Information, code::OPERATOR_ACTION, about, format!("{total} scheduled messages are tried now"));
        if let Some(queue) = self.core.queue(name) {
            queue.set_behind();
        }
        Ok(total)
    }

    /// Takes an edited copy of a suspended message in: through the receive port it failed in, or to the
    /// send port it was bound for. The original goes in the same transaction, if and only if the copy
    /// is taken. The copy carries `PTL.OriginalMessageID`. Returns the ids of the published messages.
    ///
    /// # Errors
    /// [`Refusal`]; the original stays as it was then.
    pub async fn edit(&self, instance: InstanceId, body: BodySource) -> Result<Vec<MessageId>, Refusal> {
        let (old, original) = self.suspended(instance).await?;
        let core = self.core.clone();
        let (edited, streamed) = tokio::task::spawn_blocking(move || {
            let mut keeper = BodyKeeper::new(core.store.clone(), core.world.clone(), body::INLINE_MAX);
            let opened = body.open().map_err(|e| InterchangeError::from(body::BodyError::Read(e)))?;
            let content = keeper.keep_body(opened).map_err(InterchangeError::from)?;
            let mut parts = original.parts.clone();
            let Some(part) = parts.get_mut(usize::from(original.body_index)) else {
                return Err(not_allowed("the message has no body to edit: terminate it, or submit a new one"));
            };
            part.content = content;
            Ok((resubmit::edited(&core, &original, parts)?, keeper.streamed()))
        })
        .await
        .unwrap_or_else(|panic| Err(not_allowed(&panic.to_string())))?;
        let outcome = self.take_edited(&old, edited).await;
        if outcome.is_err() || old.form == MessageForm::Wire {
            crate::publish::discard(&self.core, streamed).await;
        }
        let published = outcome?;
        let about = About { source: &old.service.name, message: Some(old.message), instance: Some(old.id) };
        let ids = published.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        self.core.journal.record(Severity::Information, code::OPERATOR_ACTION, about, format!("message edited and resubmitted as {ids}"));
        Ok(published)
    }

    async fn take_edited(&self, old: &Instance, edited: Message) -> Result<Vec<MessageId>, Refusal> {
        if old.service.class == ServiceClass::ReceivePort {
            let published = resubmit::take_in(&self.core, old, Arc::new(edited), true).await?;
            return Ok(published.iter().map(|m| m.id).collect());
        }
        let (now, id) = (self.core.world.now(), edited.id);
        let mut instance = Instance::ready(self.core.world.instance_id(), old.service.clone(), id, now, old.priority);
        instance.about = Some(old.id);
        instance.group.clone_from(&old.group);
        let mut operations = vec![Operation::Require { instance: old.id, suspended: true }];
        resubmit::remove(&mut operations, old.id, now);
        operations.push(Operation::Publish { message: Arc::new(edited), instances: vec![NewInstance { instance, claim: false }] });
        self.core.commit(self.core.batch(None, Durability::Sync, operations)).await.map_err(|error| refused(&error))?;
        self.make_workers().await.map_err(|error| refused(&error))?;
        if let Some(queue) = self.core.queue(&old.service.name) {
            queue.set_behind();
        }
        Ok(vec![id])
    }

    /// A suspended instance with its message.
    ///
    /// # Errors
    /// [`Refusal`] when there is none.
    pub async fn suspended(&self, instance: InstanceId) -> Result<(Instance, Arc<Message>), Refusal> {
        let selection = Selection { ids: vec![instance], state: Some(StateFilter::Suspended), ..Selection::default() };
        let store = self.core.store.as_ref();
        let mut found = ask::instances(store, selection, None, 1).await.map_err(|e| refused(&e))?;
        let found = found.pop().ok_or_else(|| missing("suspended message", &instance.to_string()))?;
        let message = ask::message(store, found.message).await.map_err(|e| refused(&e))?;
        let message = message.ok_or_else(|| missing("message", &found.message.to_string()))?;
        Ok((found, message))
    }

    /// Resumes messages that waited for a start which has happened. Harmless to repeat: done after each
    /// start of a port or group, after a reload, and at the host's start, for a start that was stored
    /// just before a crash.
    pub(crate) async fn release(&self, releases: Vec<Release>) -> Result<(), StoreError> {
        let counts = ask::services(self.core.store.as_ref()).await?;
        let waits = |release: &Release| {
            counts
                .iter()
                .any(|c| c.service.class == ServiceClass::SendPort && c.service.name == release.send_port && c.suspended_resumable > 0)
        };
        for release in releases.into_iter().filter(waits) {
            let waiting = Selection {
                class: Some(ServiceClass::SendPort),
                service: Some(release.send_port.clone()),
                state: Some(StateFilter::SuspendedResumable),
                code: Some(SmolStr::new_static(code::PORT_STOPPED.id)),
                ..Selection::default()
            };
            match release.which {
                Which::All => drop(self.act(waiting, Action::Resume).await?),
                Which::Checked => self.release_checked(waiting).await?,
            }
        }
        Ok(())
    }

    async fn release_checked(&self, waiting: Selection) -> Result<(), StoreError> {
        let deployment = self.core.deployment();
        let mut after = None;
        loop {
            let page = ask::instances(self.core.store.as_ref(), waiting.clone(), after, 1000).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(Position::from(last));
            let ids: Vec<InstanceId> = page.iter().filter(|i| may_go(&deployment.table, i)).map(|i| i.id).collect();
            if !ids.is_empty() {
                self.act(Selection { ids, ..waiting.clone() }, Action::Resume).await?;
            }
        }
    }

    /// Stores an operator's choice and moves to a new epoch with it.
    async fn choose(&self, key: String, value: &str, source: &str, change: impl FnOnce(&mut Choices)) -> Result<(), Refusal> {
        let current = self.core.deployment();
        let epoch = current.epoch + 1;
        let mut choices = current.choices.clone();
        change(&mut choices);
        let about = About::artifact(source);
        let event = self.core.journal.event(
            Severity::Information,
            code::OPERATOR_ACTION,
            about,
            format!("{} is now {value}", key.replace('/', " ")),
        );
        let operations = vec![Operation::SetState { key, value: Some(value.to_owned()) }, Operation::SetEpoch(epoch), event];
        self.core.commit(self.core.batch(None, Durability::Sync, operations)).await.map_err(|error| refused(&error))?;
        self.core.set_deployment(Arc::new(current.with_choices(choices, epoch)));
        Ok(())
    }
}

/// The state a command leads to. A command that was carried out before changes nothing and is no mistake.
fn allowed(name: &str, step: Result<Transition, Illegal>) -> Result<PortState, Refusal> {
    match step {
        Ok(transition) => Ok(transition.to),
        Err(Illegal::Already(state)) => Ok(state),
        Err(illegal) => Err(not_allowed(&format!("{name}: {illegal}"))),
    }
}

fn missing(kind: &str, name: &str) -> Refusal {
    Refusal { code: code::NOT_FOUND, description: format!("there is no {kind} \"{name}\""), passing: false }
}

fn not_allowed(reason: &str) -> Refusal {
    Refusal { code: code::NOT_ALLOWED, description: reason.to_owned(), passing: false }
}

fn refused(error: &StoreError) -> Refusal {
    Refusal { code: error.code(), description: error.to_string(), passing: true }
}
