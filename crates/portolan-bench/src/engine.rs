//! The engine in one process: hand-over with confirmation, durable publication, delivery to 1 or 3
//! destinations that only count.

use crate::{
    Problem, Settings, floor,
    measure::{as_f64, cpu, percentile},
    report::{Report, Rounds},
    rig::{Rig, lock, name, port},
    worker,
};
use portolan_model::artifact::PortState;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{path::Path, process::Command, sync::Arc, sync::atomic::Ordering, time::Duration};

/// One case.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Case {
    /// Bytes of a body.
    pub size: usize,
    /// Messages handed over at once.
    pub flight: u64,
    /// Send ports that want each message.
    pub subscribers: usize,
    /// Messages.
    pub count: u64,
}

impl Case {
    fn title(&self) -> String {
        format!("{} KiB, {} in flight, {} subscriber(s)", self.size / 1024, self.flight, self.subscribers)
    }
}

/// Interleaved rounds of all cases and their floors.
pub fn run(settings: &Settings, report: &mut Report) -> Result<(), Problem> {
    let mut rounds = Rounds::default();
    for _ in 0..settings.rounds {
        for size in [1024, 64 * 1024] {
            for flight in [1, 100] {
                for subscribers in [1, 3] {
                    let count = messages(size, flight, settings.quick);
                    let case = Case { size, flight, subscribers, count };
                    floor::settle();
                    let disk = floor::append(&settings.folder, size, usize::try_from(flight)?, usize::try_from(count)? / 2)?;
                    let mut ours = worker::run(settings, "engine", &serde_json::to_value(case)?)?;
                    for column in ["msgs_s", "confirm_p50_ms"] {
                        let ratio = ours[column].as_f64().unwrap_or(0.0) / disk[column].as_f64().unwrap_or(1.0);
                        ours[format!("{column}/floor")] = json!(ratio);
                    }
                    ours["floor_msgs_s"] = disk["msgs_s"].clone();
                    report.line("engine", &case.title(), &ours)?;
                    rounds.add(&case.title(), &ours);
                }
            }
        }
    }
    rounds.print(&["msgs_s", "floor_msgs_s", "msgs_s/floor", "confirm_p50_ms", "confirm_p50_ms/floor", "confirm_p99_ms"]);
    rounds.print(&["e2e_p50_ms", "e2e_p99_ms", "cpu_us_msg", "rss_peak_mb"]);
    Ok(())
}

fn messages(size: usize, flight: u64, quick: bool) -> u64 {
    let full = match (size, flight) {
        (_, 1) => 600,
        (1024, _) => 40_000,
        _ => 4_000,
    };
    if quick { full / 2 } else { full }
}

/// The worker's side of a case.
pub async fn work(case: &Case, folder: &Path) -> Result<Value, Problem> {
    let ports: Vec<_> = (0..case.subscribers).map(|n| port(&name("Port", n), "all", PortState::Started)).collect();
    let rig = Arc::new(Rig::start(folder, ports).await?);
    let counters: Vec<_> = (0..case.subscribers).map(|n| rig.counter(&name("Port", n))).collect();
    let warm = (case.count / 10).min(500);
    rig.publish("all", case.size, case.flight, warm).await?;
    for counter in &counters {
        rig.until(counter, warm).await?;
        *lock(&counter.took) = Some(Vec::new());
    }
    let (start, used) = (rig.now(), cpu("self"));
    let mut confirms = rig.publish("all", case.size, case.flight, case.count).await?;
    let published = rig.now() - start;
    for counter in &counters {
        rig.until(counter, warm + case.count).await?;
    }
    let used = cpu("self").saturating_sub(used);
    let last = counters.iter().map(|c| c.last.load(Ordering::Relaxed)).max().unwrap_or(0);
    let seconds = as_f64(last.saturating_sub(start)) / 1e9;
    let mut delays: Vec<u64> = counters.iter().flat_map(|c| lock(&c.took).take().unwrap_or_default()).collect();
    let (peak, now) = Rig::memory();
    if !rig.server.stop(Duration::from_secs(30)).await {
        return Err("the server did not stop in time".into());
    }
    let count = as_f64(case.count);
    Ok(json!({
        "msgs_s": count / seconds,
        "published_s": count / (as_f64(published) / 1e9),
        "confirm_p50_ms": percentile(&mut confirms, 0.5) / 1e6,
        "confirm_p99_ms": percentile(&mut confirms, 0.99) / 1e6,
        "e2e_p50_ms": percentile(&mut delays, 0.5) / 1e6,
        "e2e_p99_ms": percentile(&mut delays, 0.99) / 1e6,
        "cpu_us_msg": used.as_secs_f64() * 1e6 / count,
        "rss_peak_mb": peak,
        "rss_mb": now,
    }))
}

/// Syncs and bytes written for each message: two runs of different length under a tracer, and the
/// difference between them, so that start and stop do not count.
pub fn run_syncs(settings: &Settings, report: &mut Report) -> Result<(), Problem> {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("left out: strace is not installed");
        return Ok(());
    }
    let mut rounds = Rounds::default();
    for (size, flight) in [(1024, 1), (1024, 100), (64 * 1024, 1), (64 * 1024, 100)] {
        for subscribers in [1, 3] {
            let few = match (size, flight) {
                (_, 1) => 100,
                (1024, _) => 10_000,
                _ => 1_000,
            };
            let case = |count| Case { size, flight, subscribers, count };
            let (short, long) = (traced(settings, case(few))?, traced(settings, case(few * 3))?);
            // The shorter run warms up with fewer messages too.
            let warm = |count: u64| count + (count / 10).min(500);
            let messages = as_f64(warm(few * 3) - warm(few));
            let per_message = |at: fn(&Trace) -> u64| as_f64(at(&long).saturating_sub(at(&short))) / messages;
            let run = json!({
                "syncs_msg": per_message(|t| t.syncs),
                "bytes_msg": per_message(|t| t.bytes),
                "bytes/body": per_message(|t| t.bytes) / as_f64(u64::try_from(size)?),
            });
            report.line("syncs", &case(few).title(), &run)?;
            rounds.add(&case(few).title(), &run);
        }
    }
    rounds.print(&["syncs_msg", "bytes_msg", "bytes/body"]);
    Ok(())
}

/// What a tracer saw.
struct Trace {
    syncs: u64,
    bytes: u64,
}

fn traced(settings: &Settings, case: Case) -> Result<Trace, Problem> {
    let log = settings.folder.join("trace.txt");
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        "trace=fdatasync,fsync,sync_file_range,pwrite64,pwritev,pwritev2",
        "-e",
        "signal=none",
        "-s",
        "0",
        "-o",
    ]);
    command.arg(&log).arg(std::env::current_exe()?);
    worker::run_under(command, settings, "engine", &serde_json::to_value(case)?)?;
    let text = std::fs::read_to_string(&log)?;
    std::fs::remove_file(&log)?;
    Ok(count_calls(&text))
}

fn count_calls(text: &str) -> Trace {
    let mut trace = Trace { syncs: 0, bytes: 0 };
    for line in text.lines() {
        let Some(result) = line.rsplit_once("= ").and_then(|(_, r)| r.split_whitespace().next()?.parse::<u64>().ok()) else { continue };
        if line.contains("sync") {
            trace.syncs += 1;
        } else if line.contains("pwrite") {
            trace.bytes += result;
        }
    }
    trace
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_were_interrupted_in_the_trace_count_once() {
        let text = "7 fdatasync(3 <unfinished ...>\n8 pwrite64(4, \"\"..., 4096, 0) = 4096\n7 <... fdatasync resumed>) = 0\n";
        let trace = count_calls(text);
        assert_eq!((trace.syncs, trace.bytes), (1, 4096));
    }
}
