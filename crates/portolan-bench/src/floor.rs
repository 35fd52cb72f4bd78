//! What the disk allows: the same bytes appended to a file and synced, as many records to a sync as
//! messages are in flight.

use crate::measure::percentile;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    time::Instant,
};

/// Appends `count` records of `size` bytes, `flight` of them to a sync.
pub fn append(folder: &Path, size: usize, flight: usize, count: usize) -> io::Result<Value> {
    let path = folder.join("floor.dat");
    let mut file = File::create(&path)?;
    let records = vec![0x5A_u8; size * flight];
    let syncs = (count / flight).max(1);
    let mut took = Vec::with_capacity(syncs);
    let start = Instant::now();
    for _ in 0..syncs {
        let begun = Instant::now();
        file.write_all(&records)?;
        file.sync_data()?;
        took.push(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    let seconds = start.elapsed().as_secs_f64();
    drop(file);
    fs::remove_file(&path)?;
    #[allow(clippy::cast_precision_loss)]
    let rate = (syncs * flight) as f64 / seconds;
    Ok(json!({
        "msgs_s": rate,
        "confirm_p50_ms": percentile(&mut took, 0.5) / 1e6,
        "confirm_p99_ms": percentile(&mut took, 0.99) / 1e6,
    }))
}

/// Writes one large file and syncs it; MB/s.
pub fn large(folder: &Path, bytes: u64) -> io::Result<f64> {
    let path = folder.join("floor.dat");
    let mut file = File::create(&path)?;
    let piece = vec![0x5A_u8; 1 << 20];
    let start = Instant::now();
    for _ in 0..bytes >> 20 {
        file.write_all(&piece)?;
    }
    file.sync_data()?;
    let seconds = start.elapsed().as_secs_f64();
    fs::remove_file(&path)?;
    Ok(crate::measure::as_f64(bytes >> 20) / seconds)
}

/// Lets the disk come to rest, so that nobody pays for what was written before.
pub fn settle() {
    let _ = std::process::Command::new("sync").status();
    std::thread::sleep(std::time::Duration::from_millis(300));
}
