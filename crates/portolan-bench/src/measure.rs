//! What the system says about processes: processor time, memory; and percentiles.

use std::{fs, time::Duration};

/// Length of a tick of `/proc/PID/stat`: 100 a second on every Linux that we build for.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of a process (`self` or a number) with all its threads.
pub fn cpu(process: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<u32> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
    TICK * fields.iter().sum::<u32>()
}

/// A memory figure of a process in MB, for example `VmHWM`, its greatest resident size so far.
pub fn memory_mb(process: &str, field: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// The value below which a share of the values lies, in the unit of the values; sorts them.
pub fn percentile(values: &mut [u64], share: f64) -> f64 {
    values.sort_unstable();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let at = (values.len() as f64 * share) as usize;
    values.get(at.min(values.len().saturating_sub(1))).map_or(0.0, |v| as_f64(*v))
}

/// A count as a number to calculate with.
#[allow(clippy::cast_precision_loss)]
pub fn as_f64(count: u64) -> f64 {
    count as f64
}

/// How busy the machine was and what it is, for the head of the report.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ")).map_or("unknown processor", |(_, m)| m);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = read("/proc/meminfo").split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) >> 20;
    let load = read("/proc/loadavg").split_whitespace().next().unwrap_or("?").to_owned();
    format!("{count} x {model}, {memory} GiB, load average {load}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_of_the_list() {
        let mut values: Vec<u64> = (1..=100).rev().collect();
        assert!((percentile(&mut values, 0.5) - 51.0).abs() < 0.1);
        assert!((percentile(&mut values, 0.99) - 100.0).abs() < 0.1);
        assert!(percentile(&mut [], 0.5).abs() < 0.1);
    }

    #[test]
    fn this_process_has_memory_and_has_used_time() {
        let mut sum = 0_u64;
        while cpu("self") < Duration::from_millis(20) {
            sum = (0..1_000_000_u64).fold(sum, |a, b| a.wrapping_mul(31).wrapping_add(b));
        }
        assert!(memory_mb("self", "VmHWM") > 1.0, "{sum}");
    }
}
