//! The loop of one send port: claims work, keeps to the port's concurrency and service window, and
//! hands each message to [`crate::deliver`]. One port's loop never waits for another's.

use crate::{core::Core, deliver::deliver, queue::PortQueue};
use portolan_engine::schedule;
use portolan_model::{Timestamp, instance::Service};
use portolan_store::{Claim, Durability, Operation};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Instances claimed from the store at once.
const CLAIM_MAX: usize = 64;

/// Runs the loop until the host stops.
pub async fn run(core: Arc<Core>, queue: Arc<PortQueue>, mut stop: watch::Receiver<bool>) {
    // Scheduled work from before the start is only known after a first claim.
    claim(&core, &queue).await;
    while !*stop.borrow() {
        let closed = closed_until(&core, &queue);
        queue.set_closed(closed.is_some());
        if let Some(opens) = closed
            && queue.is_empty()
            && queue.next_due().is_none_or(|due| due > core.world.now())
        {
            let until = queue.next_due().map_or(opens, |due| due.min(opens));
            wait(&queue, Some(until), &core, &mut stop).await;
            continue;
        }
        let (concurrency, priority) = limits(&core, &queue);
        if queue.active() >= concurrency {
            wait(&queue, None, &core, &mut stop).await;
            continue;
        }
        if let Some(work) = queue.pop() {
            let pass = core.gate.pass(priority).await;
            let (core, queue, active) = (core.clone(), queue.clone(), queue.begin());
            tokio::spawn(async move {
                deliver(core, queue, work).await;
                drop((active, pass));
            });
            continue;
        }
        if !claim(&core, &queue).await {
            wait(&queue, queue.next_due(), &core, &mut stop).await;
        }
    }
    release(&core, &queue).await;
}

/// Claims from the store if it may have work; true when the loop should look again.
async fn claim(core: &Core, queue: &PortQueue) -> bool {
    let now = core.world.now();
    if queue.next_due().is_some_and(|due| due <= now) {
        queue.clear_due();
        queue.set_behind();
    }
    if !queue.take_behind() {
        return false;
    }
    let claim = Claim { service: Service::send_port(queue.name.clone()), now, max: CLAIM_MAX };
    match core.store.claim(claim).await {
        Ok(claimed) => {
            let full = claimed.work.len() >= CLAIM_MAX;
            if full {
                queue.set_behind();
            } else {
                queue.due_at(claimed.next_due);
            }
            let some = !claimed.work.is_empty();
            queue.push(claimed.work);
            some
        }
        Err(error) => {
            tracing::warn!(code = error.code().id, port = queue.name.as_str(), "work cannot be claimed: {error}");
            tokio::time::sleep(Duration::from_secs(1)).await;
            queue.set_behind();
            true
        }
    }
}

/// Concurrency and priority of the port as now deployed. A port that is no longer deployed still has
/// its messages looked at, so that they become visible as suspended.
fn limits(core: &Core, queue: &PortQueue) -> (u32, u8) {
    core.deployment().ports.get(&queue.name).map_or((8, 10), |p| (p.artifact.concurrency.max(1), p.artifact.priority))
}

/// When the primary transport's service window is closed: the moment to look again. Meanwhile messages
/// stay in the store, but for those whose moment has come (retries on a backup transport).
fn closed_until(core: &Core, queue: &PortQueue) -> Option<Timestamp> {
    let deployment = core.deployment();
    let schedule = &deployment.ports.get(&queue.name)?.artifact.primary.schedule;
    let now = core.world.now();
    if schedule::is_open(schedule, now) {
        return None;
    }
    // Nothing ever opens again: look once an hour, in case the port is configured anew.
    Some(schedule::next_change(schedule, now).map_or_else(|| now.plus(Duration::from_secs(3600)), |(at, _)| at))
}

/// Gives work in memory back to the store.
async fn release(core: &Core, queue: &PortQueue) {
    let mut operations = Vec::new();
    while let Some(work) = queue.pop() {
        operations.push(Operation::Release { instance: work.instance.id });
    }
    if !operations.is_empty() {
        core.commit_surely(Durability::Lazy, operations).await;
        queue.set_behind();
    }
}

/// Waits for a wake-up, a moment or the stop.
async fn wait(queue: &PortQueue, until: Option<Timestamp>, core: &Core, stop: &mut watch::Receiver<bool>) {
    // Never longer than a minute: the machine's clock may be set forward meanwhile.
    let longest = Duration::from_secs(60);
    let pause = until.map_or(longest, |at| at.since(core.world.now()).min(longest)).max(Duration::from_millis(1));
    tokio::select! {
        () = queue.wake.notified() => {}
        () = tokio::time::sleep(pause) => {}
        _ = stop.changed() => {}
    }
}
