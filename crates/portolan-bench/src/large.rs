//! One very large file from folder to folder, passed through and recognised as XML: rate and memory.
//! The output is compared byte by byte with what was sent.

use crate::{
    Problem, Settings, floor,
    measure::as_f64,
    report::{Report, Rounds},
    served::{Served, stage},
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Write},
    path::Path,
    time::{Duration, Instant},
};

/// What the XML disassembler leaves out: it gives out the root element.
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";
const HEAD: &str = "<ns0:Order xmlns:ns0=\"urn:bench:orders\"><Id>1</Id><Region>EU</Region><Lines>\n";
const TAIL: &str = "</Lines></ns0:Order>";
const LIMIT: Duration = Duration::from_secs(300);

/// Interleaved rounds of both pipelines and of the bare disk.
pub fn run(settings: &Settings, report: &mut Report) -> Result<(), Problem> {
    let bytes: u64 = if settings.quick { 256 << 20 } else { 1 << 30 };
    println!("one file of {} MB", bytes >> 20);
    let mut rounds = Rounds::default();
    for _ in 0..settings.rounds.min(3) {
        for (case, folder) in [("PassThruReceive", "passed"), ("XMLReceive", "recognised")] {
            floor::settle();
            let disk = floor::large(&settings.folder, bytes)?;
            let mut run = served(settings, folder, bytes)?;
            run["floor_mb_s"] = json!(disk);
            run["mb_s/floor"] = json!(run["mb_s"].as_f64().unwrap_or(0.0) / disk);
            report.line("large", case, &run)?;
            rounds.add(case, &run);
        }
    }
    rounds.print(&["mb_s", "floor_mb_s", "mb_s/floor", "cpu_s", "rss_peak_mb"]);
    Ok(())
}

fn served(settings: &Settings, folder: &str, bytes: u64) -> Result<Value, Problem> {
    let server = Served::start(settings, include_str!("../apps/large/application.yaml"), &["passed", "recognised"])?;
    let stage = stage(settings)?;
    let source = stage.join("large.xml");
    let (length, declared) = (write(&source, bytes)?, folder == "passed");
    let expected = if declared { length } else { length - DECLARATION.len() as u64 };
    floor::settle();
    let (used, start) = (server.cpu(), Instant::now());
    let taken = server.folder.join(folder).join("large.xml");
    fs::rename(&source, &taken)?;
    let out = server.folder.join("out").join("large.xml");
    while taken.exists() || fs::metadata(&out).map_or(0, |m| m.len()) < expected {
        if start.elapsed() > LIMIT {
            return Err("the large file did not come out; see server.log in the data folder".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let seconds = start.elapsed().as_secs_f64();
    let used = server.cpu().saturating_sub(used);
    let peak = server.peak_mb();
    if !same(&out, bytes, declared)? {
        return Err("the large file is not what was sent".into());
    }
    Ok(json!({ "mb_s": as_f64(length) / 1048576.0 / seconds, "cpu_s": used.as_secs_f64(), "rss_peak_mb": peak }))
}

fn line(number: u64) -> String {
    format!("<Line no=\"{number}\"><Sku>SKU-{:07}</Sku><Qty>{}</Qty></Line>\n", number * 104_729 % 1_000_003, number % 97)
}

/// Everything the file consists of, about `bytes` long.
fn pieces(bytes: u64, declared: bool) -> impl Iterator<Item = String> {
    let lines = bytes / line(10_000_000).len() as u64;
    let declaration = if declared { DECLARATION } else { "" };
    std::iter::once(format!("{declaration}{HEAD}")).chain((0..lines).map(line)).chain(std::iter::once(TAIL.to_owned()))
}

fn write(path: &Path, bytes: u64) -> Result<u64, Problem> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for piece in pieces(bytes, true) {
        file.write_all(piece.as_bytes())?;
    }
    let file = file.into_inner().map_err(|e| e.into_error())?;
    Ok(file.metadata()?.len())
}

fn same(path: &Path, bytes: u64, declared: bool) -> Result<bool, Problem> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut found = Vec::new();
    for piece in pieces(bytes, declared) {
        found.resize(piece.len(), 0);
        if file.read_exact(&mut found).is_err() || found != piece.as_bytes() {
            return Ok(false);
        }
    }
    Ok(file.read(&mut [0])? == 0)
}
