//! Benchmarks, run as `cargo xtask bench`. Every figure stands beside the disk floor measured in the
//! same round, because disks and shared machines differ from minute to minute. Not part of the product;
//! it must never read or write outside its own data folder.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for developers")]

mod backlog;
mod engine;
mod files;
mod floor;
mod large;
mod measure;
mod report;
mod rig;
mod routing;
mod served;
mod worker;

use report::Report;
use std::{path::PathBuf, process::ExitCode};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why a benchmark could not be run to its end.
type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Runs one benchmark and reports it.
type Run = fn(&Settings, &mut Report) -> Result<(), Problem>;

const NAMES: &[(&str, Run)] = &[
    ("engine", engine::run),
    ("syncs", engine::run_syncs),
    ("routing", routing::run),
    ("files", files::run),
    ("large", large::run),
    ("backlog", backlog::run),
];

/// What was asked for.
struct Settings {
    /// Fewer messages and smaller backlogs.
    quick: bool,
    /// Interleaved rounds.
    rounds: usize,
    /// Data folder, on the disk to be measured.
    folder: PathBuf,
    /// The `portolan` binary.
    server: PathBuf,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some(worker::WORD) => worker::answer(&arguments[1..]),
        _ => bench(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("portolan-bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &[String]) -> Result<(), Problem> {
    let beside = std::env::current_exe()?.with_file_name("portolan");
    let mut settings = Settings { quick: false, rounds: 0, folder: "target/bench".into(), server: beside };
    let mut names: Vec<&str> = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => settings.quick = true,
            "--rounds" => settings.rounds = value()?.parse()?,
            "--folder" => settings.folder = value()?.into(),
            "--server" => settings.server = value()?.into(),
            name if NAMES.iter().any(|(known, _)| *known == name) => names.push(name),
            other => {
                let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
                return Err(format!("there is no benchmark or option \"{other}\"; benchmarks: {}", known.join(" ")).into());
            }
        }
    }
    if settings.rounds == 0 {
        settings.rounds = if settings.quick { 3 } else { 5 };
    }
    std::fs::create_dir_all(&settings.folder)?;
    settings.folder = settings.folder.canonicalize()?;
    let mut report = Report::new(&settings.folder)?;
    println!("{}", measure::machine());
    for (name, run) in NAMES.iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        println!("\n## {name}");
        run(&settings, &mut report)?;
    }
    println!("\nEvery run as a line of JSON: {}", report.path().display());
    Ok(())
}
