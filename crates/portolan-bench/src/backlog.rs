//! What a large backlog and very many suspended messages cost the messages that have nothing to do with
//! them, how fast the backlog is worked off, and how long resuming 100,000 in one operation takes.

use crate::{
    Problem, Settings, floor,
    measure::as_f64,
    report::{Report, Rounds, spread},
    rig::{Rig, lock, port},
    worker,
};
use portolan_engine::states::Command;
use portolan_model::artifact::PortState;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{path::Path, sync::Arc, sync::atomic::Ordering, time::Duration, time::Instant};

const SIZE: usize = 1024;
const FLIGHT: u64 = 100;

/// How much.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Case {
    /// Messages in the backlog, and suspended.
    pub rows: u64,
    /// Messages resumed in one operation.
    pub resumed: u64,
    /// Messages of a measurement.
    pub count: u64,
    /// Measurements in each condition.
    pub rounds: usize,
}

/// One long run: the conditions follow one another, each measured against the floor of the same moment.
pub fn run(settings: &Settings, report: &mut Report) -> Result<(), Problem> {
    let rows = if settings.quick { 100_000 } else { 1_000_000 };
    let case = Case { rows, resumed: 100_000, count: 20_000, rounds: settings.rounds };
    println!("{rows} messages of 1 KiB suspended, then {rows} in a backlog; {} resumed", case.resumed);
    let run = worker::run(settings, "backlog", &serde_json::to_value(case)?)?;
    report.line("backlog", &format!("{rows} rows"), &run)?;
    let mut rounds = Rounds::default();
    for line in run["lines"].as_array().into_iter().flatten() {
        rounds.add(line["condition"].as_str().unwrap_or_default(), line);
    }
    rounds.print(&["msgs_s", "floor_msgs_s", "msgs_s/floor", "rss_mb"]);
    for (key, value) in run.as_object().into_iter().flatten().filter(|(_, value)| value.is_number()) {
        println!("{key}: {}", spread(&[value.as_f64().unwrap_or(0.0)]));
    }
    Ok(())
}

/// The worker's side.
pub async fn work(case: &Case, folder: &Path) -> Result<Value, Problem> {
    let ports = || {
        let started = [("Fast", "fast"), ("Slow", "slow")].map(|(name, wanted)| port(name, wanted, PortState::Started));
        let stopped = [("Held", "held"), ("Resumed", "resumed")].map(|(name, wanted)| port(name, wanted, PortState::Stopped));
        started.into_iter().chain(stopped).collect::<Vec<_>>()
    };
    let rig = Arc::new(Rig::start_closed(folder, ports(), &["Slow"]).await?);
    let mut lines = Vec::new();
    measure(&rig, case, folder, "empty", &mut lines).await?;
    let suspending = timed(rig.fill("held", SIZE, case.rows)).await?;
    measure(&rig, case, folder, "suspended", &mut lines).await?;
    let resume = resume(&rig, case).await?;
    let filling = timed(rig.fill("slow", SIZE, case.rows)).await?;
    measure(&rig, case, folder, "suspended and backlog", &mut lines).await?;
    stop(&rig).await?;
    drop(rig);
    let starting = Instant::now();
    let rig = Arc::new(Rig::start_closed(folder, ports(), &["Slow"]).await?);
    let restart = starting.elapsed().as_secs_f64();
    let slow = rig.counter("Slow");
    *lock(&slow.seen) = Some(vec![0; usize::try_from(case.rows)?]);
    // The backlog is worked off while messages for another port come in.
    let start = Instant::now();
    slow.open.send_replace(true);
    measure(&rig, case, folder, "working off", &mut lines).await?;
    rig.until(&slow, case.rows).await?;
    let drained = start.elapsed().as_secs_f64();
    let seen = lock(&slow.seen).take().unwrap_or_default();
    let (peak, _) = Rig::memory();
    stop(&rig).await?;
    let rows = as_f64(case.rows);
    Ok(json!({
        "lines": lines,
        "suspending_msgs_s": rows / suspending,
        "filling_msgs_s": rows / filling,
        "resume_operation_s": resume.0,
        "resume_until_delivered_s": resume.1,
        "resumed_not_exactly_once": resume.2,
        "restart_s": restart,
        "drain_msgs_s": rows / drained,
        "backlog_missing": seen.iter().filter(|n| **n == 0).count(),
        "backlog_twice": seen.iter().filter(|n| **n > 1).count(),
        "rss_peak_mb": peak,
    }))
}

async fn timed(work: impl Future<Output = Result<(), Problem>>) -> Result<f64, Problem> {
    let start = Instant::now();
    work.await?;
    Ok(start.elapsed().as_secs_f64())
}

async fn stop(rig: &Rig) -> Result<(), Problem> {
    // What waits at the closed destination cannot end; it is sent again after the next start.
    let _ = rig.server.stop(Duration::from_secs(2)).await;
    Ok(())
}

async fn measure(rig: &Arc<Rig>, case: &Case, folder: &Path, condition: &str, lines: &mut Vec<Value>) -> Result<(), Problem> {
    let fast = rig.counter("Fast");
    for _ in 0..case.rounds {
        let disk = {
            let folder = folder.to_owned();
            let count = usize::try_from(case.count)? / 2;
            tokio::task::spawn_blocking(move || floor::append(&folder, SIZE, 100, count)).await??
        };
        let (before, start) = (fast.count.load(Ordering::SeqCst), rig.now());
        rig.publish("fast", SIZE, FLIGHT, case.count).await?;
        rig.until(&fast, before + case.count).await?;
        let seconds = as_f64(fast.last.load(Ordering::Relaxed).saturating_sub(start)) / 1e9;
        let (rate, floor) = (as_f64(case.count) / seconds, disk["msgs_s"].as_f64().unwrap_or(1.0));
        let (_, rss) = Rig::memory();
        lines.push(json!({ "condition": condition, "msgs_s": rate, "floor_msgs_s": floor, "msgs_s/floor": rate / floor, "rss_mb": rss }));
    }
    Ok(())
}

/// Starts a stopped port with suspended messages: one operation resumes them all. Seconds of the
/// operation, seconds until all were delivered, and how many did not come exactly once.
async fn resume(rig: &Arc<Rig>, case: &Case) -> Result<(f64, f64, usize), Problem> {
    rig.fill("resumed", SIZE, case.resumed).await?;
    let counter = rig.counter("Resumed");
    *lock(&counter.seen) = Some(vec![0; usize::try_from(case.resumed)?]);
    let start = Instant::now();
    rig.server.port_action("Resumed", Command::Start).await.map_err(|refusal| format!("{refusal:?}"))?;
    let operation = start.elapsed().as_secs_f64();
    rig.until(&counter, case.resumed).await?;
    let delivered = start.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let seen = lock(&counter.seen).take().unwrap_or_default();
    Ok((operation, delivered, seen.iter().filter(|n| **n != 1).count()))
}
