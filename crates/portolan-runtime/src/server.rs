//! A host instance: starts the loops around a store and an application, applies what operators want,
//! exchanges the application for a changed one, and stops without losing work.

use crate::{
    clock::World,
    core::Core,
    deployment::{Blueprint, Choices, Deployment},
    journal::About,
    locations::LocationTask,
    resubmit, worker,
};
use portolan_engine::waiting::on_table_changed;
use portolan_model::{SmolStr, artifact::PortState, code, instance::ServiceClass};
use portolan_sdk::Registry;
use portolan_store::{Changes, Durability, Health, MessageBox, Operation, Severity, StoreError, ask};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle};

/// What a host instance is started with.
pub struct Start {
    /// The MessageBox.
    pub store: Arc<dyn MessageBox>,
    /// What the installation offers.
    pub registry: Arc<Registry>,
    /// The application.
    pub blueprint: Blueprint,
    /// Clock and identifiers.
    pub world: World,
}

/// Why a host instance cannot start or take a changed application.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The application cannot run: every reason.
    #[error("the application cannot run:\n{}", .0.join("\n"))]
    Application(Vec<String>),
    /// The store cannot be used.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// A running host instance.
pub struct Server {
    /// What its loops share.
    pub core: Arc<Core>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) locations: tokio::sync::Mutex<BTreeMap<SmolStr, LocationTask>>,
    workers: std::sync::Mutex<Vec<JoinHandle<()>>>,
    background: std::sync::Mutex<Vec<JoinHandle<()>>>,
    stop_workers: watch::Sender<bool>,
}

impl Server {
    /// Starts everything.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn start(start: Start) -> Result<Arc<Self>, StartError> {
        let choices = read_choices(&start.store).await?;
        let epoch = u64::try_from(start.world.now().0).unwrap_or(1);
        let deployment = Deployment::build(start.blueprint, &start.registry, choices, epoch).map_err(StartError::Application)?;
        let core = Core::new(start.store, start.world, Arc::new(deployment));
        let name = core.deployment().blueprint.application.name.clone();
        let event = core.journal.event(
            Severity::Information,
            code::SERVER_STARTED,
            About::default(),
            format!("the host has started application {name}"),
        );
        core.commit(core.batch(None, Durability::Sync, vec![Operation::SetEpoch(epoch), event])).await?;
        let server = Arc::new(Self {
            core: core.clone(),
            registry: start.registry,
            locations: tokio::sync::Mutex::default(),
            workers: std::sync::Mutex::default(),
            background: std::sync::Mutex::default(),
            stop_workers: watch::Sender::new(false),
        });
        server.spawn_background();
        server.make_workers().await?;
        server.release(on_table_changed(&server.core.deployment().table)).await?;
        server.apply_locations().await;
        Ok(server)
    }

    /// Exchanges the application for a changed one. Work in progress goes on; instances of artifacts
    /// that are gone become visible as suspended when their turn comes.
    ///
    /// # Errors
    /// [`StartError`]; the running application stays as it is then.
    pub async fn reload(&self, blueprint: Blueprint) -> Result<(), StartError> {
        let mut locations = self.locations.lock().await;
        let current = self.core.deployment();
        let epoch = current.epoch + 1;
        let deployment = Deployment::build(blueprint, &self.registry, current.choices.clone(), epoch).map_err(StartError::Application)?;
        let deployment = Arc::new(deployment);
        let event =
            self.core.journal.event(Severity::Information, code::APPLICATION_RELOADED, About::default(), "the application was reloaded");
        self.core.commit(self.core.batch(None, Durability::Sync, vec![Operation::SetEpoch(epoch), event])).await?;
        self.core.set_deployment(deployment);
        self.make_workers().await?;
        self.arrange(&mut locations).await;
        self.release(on_table_changed(&self.core.deployment().table)).await?;
        for queue in self.core.queues() {
            queue.set_behind();
        }
        Ok(())
    }

    /// Stops: first taking in, then sending, each message in transmission to its end, all within
    /// `limit`. True when everything ended in time; what did not is sent again after the next start.
    pub async fn stop(&self, limit: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + limit;
        self.core.stopping.send_replace(true);
        let mut in_time = tokio::time::timeout_at(deadline, async {
            let tasks = std::mem::take(&mut *self.locations.lock().await);
            for (_, task) in tasks {
                task.remove().await;
            }
        })
        .await
        .is_ok();
        self.stop_workers.send_replace(true);
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            in_time &= tokio::time::timeout_at(deadline, worker).await.is_ok();
        }
        while self.core.queues().iter().any(|q| q.active() > 0) {
            if tokio::time::Instant::now() >= deadline {
                in_time = false;
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let text = if in_time { "the host has stopped" } else { "the host has stopped; messages still in transmission will be sent again" };
        self.core.journal.record(Severity::Information, code::SERVER_STOPPED, About::default(), text);
        self.core.journal.flush().await;
        for task in std::mem::take(&mut *self.background.lock().unwrap_or_else(PoisonError::into_inner)) {
            task.abort();
        }
        if let Err(error) = self.core.store.close().await {
            tracing::error!(code = error.code().id, "{error}");
            in_time = false;
        }
        in_time
    }

    /// Makes the loops of all send ports: of the application, and of ports that are gone but have work.
    pub(crate) async fn make_workers(&self) -> Result<(), StoreError> {
        let mut names: Vec<SmolStr> = self.core.deployment().ports.keys().cloned().collect();
        let services = ask::services(self.core.store.as_ref()).await?;
        let with_work = services.into_iter().filter(|c| c.service.class == ServiceClass::SendPort && c.ready + c.scheduled > 0);
        names.extend(with_work.map(|c| c.service.name));
        for name in names {
            let (queue, made) = self.core.make_queue(&name);
            if made {
                let worker = tokio::spawn(worker::run(self.core.clone(), queue, self.stop_workers.subscribe()));
                self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
            }
        }
        Ok(())
    }

    /// Starts, stops and exchanges receivers until they are as the deployment says.
    pub(crate) async fn apply_locations(&self) {
        let mut locations = self.locations.lock().await;
        self.arrange(&mut locations).await;
    }

    pub(crate) async fn arrange(&self, tasks: &mut BTreeMap<SmolStr, LocationTask>) {
        let deployment = self.core.deployment();
        let obsolete: Vec<SmolStr> = tasks
            .iter()
            .filter(|(name, task)| deployment.locations.get(*name).is_none_or(|new| !same_source(task.location(), new)))
            .map(|(name, _)| name.clone())
            .collect();
        for name in obsolete {
            if let Some(task) = tasks.remove(&name) {
                task.remove().await;
            }
        }
        for (name, location) in &deployment.locations {
            let enabled = deployment.location_enabled(name).unwrap_or(false);
            match tasks.get(name) {
                Some(task) => task.enable(enabled),
                None => {
                    let task = LocationTask::start(&self.core, self.registry.clone(), location.clone(), enabled);
                    tasks.insert(name.clone(), task);
                }
            }
        }
    }

    fn spawn_background(&self) {
        let mut background = self.background.lock().unwrap_or_else(PoisonError::into_inner);
        let core = self.core.clone();
        background.push(tokio::spawn(async move { core.journal.run().await }));
        background.push(tokio::spawn(resubmit::run(self.core.clone(), self.stop_workers.subscribe())));
        background.push(tokio::spawn(watch_store(self.core.clone())));
    }
}

/// Whether a receiver may go on under the new configuration.
fn same_source(old: &crate::deployment::Location, new: &crate::deployment::Location) -> bool {
    old.artifact.transport == new.artifact.transport && old.artifact.schedule == new.artifact.schedule && old.port == new.port
}

/// Wakes the loops when work may have become ready, and tells operators about the store's health.
async fn watch_store(core: Arc<Core>) {
    let mut changes = core.store.changes();
    let mut last = Changes::default();
    loop {
        let now = changes.borrow_and_update().clone();
        if now.health != last.health {
            report_health(&core, &now.health);
        }
        if now.generation != last.generation || (now.health == Health::Working && last.health != Health::Working) {
            for queue in core.queues() {
                queue.set_behind();
            }
            core.resubmit.notify_one();
        }
        last = now;
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn report_health(core: &Core, health: &Health) {
    let about = About::default();
    match health {
        Health::Working => core.journal.record(Severity::Information, code::STORE_RECOVERED, about, "the MessageBox takes messages again"),
        Health::Full(why) => core.journal.record(Severity::Error, code::STORE_FULL, about, why.clone()),
        Health::Failed(why) => core.journal.record(Severity::Error, code::STORE_FAILED, about, why.clone()),
        Health::Closed => {}
    }
    metrics::gauge!("portolan_messagebox_working").set(if *health == Health::Working { 1.0 } else { 0.0 });
}

async fn read_choices(store: &Arc<dyn MessageBox>) -> Result<Choices, StoreError> {
    let mut choices = Choices::default();
    for (key, value) in ask::states(store.as_ref(), "").await? {
        match (key.split_once('/'), parse_state(&value)) {
            (Some(("send_port", name)), Some(state)) => drop(choices.send_ports.insert(name.into(), state)),
            (Some(("send_port_group", name)), Some(state)) => drop(choices.groups.insert(name.into(), state)),
            (Some(("receive_location", name)), None) => drop(choices.locations.insert(name.into(), value == "enabled")),
            _ => {}
        }
    }
    Ok(choices)
}

/// The stored text of a port state.
#[must_use]
pub fn state_text(state: PortState) -> &'static str {
    match state {
        PortState::Unenlisted => "unenlisted",
        PortState::Stopped => "stopped",
        PortState::Started => "started",
    }
}

fn parse_state(text: &str) -> Option<PortState> {
    [PortState::Unenlisted, PortState::Stopped, PortState::Started].into_iter().find(|s| state_text(*s) == text)
}
