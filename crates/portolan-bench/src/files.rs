//! File to file: XML orders made beside the folder and renamed into it, routed by the value of an
//! element to three folders. The clock runs from the first rename until every output is there and the
//! source folder is empty; then every output is compared with what was sent.

use crate::{
    Problem, Settings, floor,
    measure::as_f64,
    report::{Report, Rounds},
    served::{Served, entries, stage},
};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

const REGIONS: [&str; 3] = ["EU", "US", "AS"];
const SIZE: usize = 2048;
const LIMIT: Duration = Duration::from_secs(240);

/// Interleaved rounds of the server and of the bare file system.
pub fn run(settings: &Settings, report: &mut Report) -> Result<(), Problem> {
    let count = if settings.quick { 3_000 } else { 10_000 };
    let mut rounds = Rounds::default();
    for _ in 0..settings.rounds {
        let bare = bare(settings, count)?;
        report.line("files", &format!("floor, {count} files"), &bare)?;
        rounds.add("bare file system, 8 threads, synced", &bare);
        let mut ours = served(settings, count)?;
        ours["files_s/floor"] = json!(ours["files_s"].as_f64().unwrap_or(0.0) / bare["files_s"].as_f64().unwrap_or(1.0));
        report.line("files", &format!("{count} files"), &ours)?;
        rounds.add("portolan run, XMLReceive", &ours);
    }
    rounds.print(&["files_s", "files_s/floor", "first_s", "cpu_us_file", "rss_peak_mb", "wrong"]);
    Ok(())
}

/// An order of about [`SIZE`] bytes.
fn order(number: usize) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<ns0:Order xmlns:ns0=\"urn:bench:orders\">\n  <Id>{number}</Id>\n  <Region>{}</Region>\n  <Lines>\n",
        REGIONS[number % 3]
    );
    let tail = "  </Lines>\n</ns0:Order>\n";
    for at in 0.. {
        let mut line = String::new();
        let sku = (number * 7919 + at * 104_729) % 1_000_003;
        let _ = writeln!(line, "    <Line no=\"{at}\"><Sku>SKU-{sku:07}</Sku><Qty>{}</Qty></Line>", (number + at) % 97);
        if text.len() + line.len() + tail.len() > SIZE {
            break;
        }
        text += &line;
    }
    text + tail
}

fn make(stage: &Path, count: usize) -> Result<Vec<String>, Problem> {
    let names: Vec<String> = (0..count).map(|n| format!("order{n:06}.xml")).collect();
    for (number, name) in names.iter().enumerate() {
        fs::write(stage.join(name), order(number))?;
    }
    floor::settle();
    Ok(names)
}

fn served(settings: &Settings, count: usize) -> Result<Value, Problem> {
    let server = Served::start(settings, include_str!("../apps/regions/application.yaml"), &["in"])?;
    let (stage, inbox, out) = (stage(settings)?, server.folder.join("in"), server.folder.join("out"));
    let names = make(&stage, count)?;
    let (used, start) = (server.cpu(), Instant::now());
    for name in &names {
        fs::rename(stage.join(name), inbox.join(name))?;
    }
    let mut first = None;
    let seconds = loop {
        let done: usize = REGIONS.iter().map(|region| entries(&out.join(region))).sum();
        if done > 0 && first.is_none() {
            first = Some(start.elapsed().as_secs_f64());
        }
        if done >= count && entries(&inbox) == 0 {
            break start.elapsed().as_secs_f64();
        }
        if start.elapsed() > LIMIT {
            return Err(format!("only {done} of {count} files came out; see server.log in the data folder").into());
        }
        std::thread::sleep(Duration::from_millis(if first.is_some() { 50 } else { 5 }));
    };
    let (used, peak) = (server.cpu().saturating_sub(used), server.peak_mb());
    std::thread::sleep(Duration::from_millis(500));
    let wrong = names.iter().enumerate().filter(|(n, name)| !same(&out.join(REGIONS[n % 3]).join(name), *n)).count();
    let files = as_f64(u64::try_from(count)?);
    Ok(json!({
        "files_s": files / seconds,
        "first_s": first,
        "cpu_us_file": used.as_secs_f64() * 1e6 / files,
        "rss_peak_mb": peak,
        "wrong": wrong,
    }))
}

/// The XML disassembler gives out the root element; the declaration before it and the end of line after it go.
fn same(path: &Path, number: usize) -> bool {
    let order = order(number);
    let document = order.split_once("?>\n").map_or(&*order, |(_, root)| root).trim_end();
    fs::read(path).is_ok_and(|bytes| bytes == document.as_bytes())
}

/// What the file system allows without a server: read, write under another name, sync, rename, delete
/// the source; the folder is synced once in 20 files. Nothing is kept between source and destination.
fn bare(settings: &Settings, count: usize) -> Result<Value, Problem> {
    let (stage, out) = (stage(settings)?, settings.folder.join("bare"));
    for region in REGIONS {
        fs::create_dir_all(out.join(region))?;
    }
    let names = make(&stage, count)?;
    let (next, start) = (AtomicUsize::new(0), Instant::now());
    let move_all = || -> std::io::Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(name) = names.get(number) else { return Ok(()) };
            let (source, folder) = (stage.join(name), out.join(REGIONS[number % 3]));
            let bytes = fs::read(&source)?;
            let temporary = folder.join(format!(".{name}.tmp"));
            let mut file = File::create(&temporary)?;
            file.write_all(&bytes)?;
            file.sync_data()?;
            fs::rename(&temporary, folder.join(name))?;
            if number % 20 == 19 {
                File::open(&folder)?.sync_all()?;
            }
            fs::remove_file(&source)?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(move_all)).collect();
        threads.into_iter().try_for_each(|t| t.join().unwrap_or_else(|_| Err(std::io::Error::other("a thread panicked"))))
    })?;
    let seconds = start.elapsed().as_secs_f64();
    fs::remove_dir_all(&out)?;
    Ok(json!({ "files_s": as_f64(u64::try_from(count)?) / seconds }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_as_large_as_said_and_names_its_region() {
        let text = order(4);
        assert!((SIZE - 100..=SIZE).contains(&text.len()), "{}", text.len());
        assert!(text.contains("<Region>US</Region>"));
    }
}
