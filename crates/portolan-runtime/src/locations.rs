//! Runs receive locations: starts the receiver of a location when operators want it and its schedule
//! is open, stops it otherwise. Adapters never see schedules (manual page "Adapter Design Issues").

use crate::{core::Core, deployment::Location, inbound::LocationProxy, journal::About};
use portolan_engine::schedule;
use portolan_model::{SmolStr, Timestamp, code};
use portolan_sdk::{AdapterError, Proxy, Registry, Setup};
use portolan_store::Severity;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle};

/// What a location is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LocationStatus {
    /// An operator or the application disabled it.
    Disabled,
    /// Enabled, but outside its schedule.
    OutsideSchedule,
    /// Receiving.
    Running,
    /// Receiving, but the source cannot be reached: the reason.
    Failing(SmolStr),
    /// It cannot receive at all until an operator enables it again: the reason.
    Broken(SmolStr),
}

/// A running location.
pub struct LocationTask {
    location: Arc<Location>,
    wanted: watch::Sender<bool>,
    status: Arc<Mutex<LocationStatus>>,
    proxy: Arc<LocationProxy>,
    task: JoinHandle<()>,
}

impl LocationTask {
    /// Starts looking after a location.
    pub fn start(core: &Arc<Core>, registry: Arc<Registry>, location: Arc<Location>, enabled: bool) -> Self {
        let wanted = watch::Sender::new(enabled);
        let status = Arc::new(Mutex::new(LocationStatus::Disabled));
        let proxy = LocationProxy::new(core.clone(), location.artifact.name.clone());
        let keeper = Keeper { core: core.clone(), registry, location: location.clone(), status: status.clone(), proxy: proxy.clone() };
        let task = tokio::spawn(keeper.run(wanted.subscribe(), core.stopping.subscribe()));
        Self { location, wanted, status, proxy, task }
    }

    /// The location this task runs.
    #[must_use]
    pub fn location(&self) -> &Arc<Location> {
        &self.location
    }

    /// Enables or disables. Enabling a broken location tries it again.
    pub fn enable(&self, enabled: bool) {
        self.wanted.send_replace(enabled);
    }

    /// What it is doing.
    #[must_use]
    pub fn status(&self) -> LocationStatus {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (status, self.proxy.failing()) {
            (LocationStatus::Running, Some(reason)) => LocationStatus::Failing(reason),
            (status, _) => status,
        }
    }

    /// Stops receiving and waits for the receiver to finish its batches.
    pub async fn remove(self) {
        // Dropping the sender ends the loop even when the location is disabled or broken.
        drop(self.wanted);
        let _ = self.task.await;
        self.proxy.close();
    }
}

struct Keeper {
    core: Arc<Core>,
    registry: Arc<Registry>,
    location: Arc<Location>,
    status: Arc<Mutex<LocationStatus>>,
    proxy: Arc<LocationProxy>,
}

impl Keeper {
    async fn run(self, mut wanted: watch::Receiver<bool>, mut stopping: watch::Receiver<bool>) {
        loop {
            if *stopping.borrow() || wanted.has_changed().is_err() {
                return;
            }
            let schedule = &self.location.artifact.schedule;
            let now = self.core.world.now();
            if !*wanted.borrow_and_update() {
                self.set(LocationStatus::Disabled);
                if !changed(&mut wanted, &mut stopping, None).await {
                    return;
                }
            } else if !schedule::is_open(schedule, now) {
                self.set(LocationStatus::OutsideSchedule);
                if !changed(&mut wanted, &mut stopping, Some(self.until_change())).await {
                    return;
                }
            } else if let Err(error) = self.receive(&mut wanted, &mut stopping).await {
                self.broken(&error);
                if !changed(&mut wanted, &mut stopping, None).await {
                    return;
                }
            }
        }
    }

    /// Receives while wanted and open.
    async fn receive(&self, wanted: &mut watch::Receiver<bool>, stopping: &mut watch::Receiver<bool>) -> Result<(), AdapterError> {
        let artifact = &self.location.artifact;
        let adapter = self.registry.adapter(&artifact.transport.adapter).ok_or_else(|| {
            AdapterError::permanent(code::LOCATION_FAILED, format!("there is no adapter \"{}\"", artifact.transport.adapter))
        })?;
        let setup = Setup { artifact: artifact.name.clone(), base: self.core.deployment().blueprint.base.clone() };
        let receiver = adapter.receiver(&artifact.transport.settings, setup)?;
        let stop = watch::Sender::new(false);
        let mut running = tokio::spawn(receiver.run(Proxy::new(self.proxy.clone()), stop.subscribe()));
        self.set(LocationStatus::Running);
        metrics::gauge!("portolan_location_running", "location" => artifact.name.to_string()).set(1.0);
        let ended = loop {
            tokio::select! {
                ended = &mut running => break Some(ended),
                alive = changed(wanted, stopping, Some(self.until_change())) => {
                    if !alive || !*wanted.borrow() || !schedule::is_open(&artifact.schedule, self.core.world.now()) {
                        break None;
                    }
                }
            }
        };
        metrics::gauge!("portolan_location_running", "location" => artifact.name.to_string()).set(0.0);
        let ended = match ended {
            Some(ended) => ended,
            None => {
                stop.send_replace(true);
                running.await
            }
        };
        self.proxy.forget_failure();
        ended.unwrap_or_else(|panic| Err(AdapterError::permanent(code::LOCATION_FAILED, format!("the receiver broke off: {panic}"))))
    }

    fn broken(&self, error: &AdapterError) {
        let about = About::artifact(&self.location.artifact.name);
        self.core.journal.record(
            Severity::Error,
            error.code,
            about,
            format!("the receive location is disabled until it is enabled again: {error}"),
        );
        self.set(LocationStatus::Broken(SmolStr::from(format!("{}: {error}", error.code))));
    }

    fn until_change(&self) -> Duration {
        let now = self.core.world.now();
        let longest = Duration::from_secs(60);
        schedule::next_change(&self.location.artifact.schedule, now)
            .map_or(longest, |(at, _): (Timestamp, bool)| at.since(now).min(longest))
    }

    fn set(&self, status: LocationStatus) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

/// Waits until something may have changed; false when the location is removed or the host stops.
async fn changed(wanted: &mut watch::Receiver<bool>, stopping: &mut watch::Receiver<bool>, longest: Option<Duration>) -> bool {
    let pause = async {
        match longest {
            Some(pause) => tokio::time::sleep(pause.max(Duration::from_millis(1))).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        changed = wanted.changed() => changed.is_ok(),
        _ = stopping.changed() => false,
        () = pause => true,
    }
}
