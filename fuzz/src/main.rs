//! Long campaigns and replays: `portolan-fuzz run [TARGET…] --seconds N [--seed N]`,
//! `portolan-fuzz replay TARGET FILE`. Usually started by `cargo xtask fuzz`.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use portolan_fuzz::{
    campaign::{self, Budget, Target},
    coverage::Coverage,
    memory::Counting,
    targets,
};
use std::{fs, path::Path, process::ExitCode, time::Duration};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, rest)) if first == "run" => run(rest),
        Some((first, rest)) if first == "replay" => replay(rest),
        _ => Err(usage()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let names: Vec<&str> = targets::ALL.iter().map(|target| target.name).collect();
    format!("usage: run [TARGET...] [--seconds N] [--seed N] | replay TARGET FILE\ntargets: {}", names.join(", "))
}

fn run(arguments: &[String]) -> Result<(), String> {
    let (mut chosen, mut seconds, mut seed) = (Vec::new(), 60, 1);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut number = || rest.next().and_then(|n| n.parse::<u64>().ok()).ok_or_else(|| format!("{argument} needs a number"));
        match argument.as_str() {
            "--seconds" => seconds = number()?,
            "--seed" => seed = number()?,
            name => chosen.push(targets::find(name).ok_or_else(usage)?),
        }
    }
    if chosen.is_empty() {
        chosen = targets::ALL.to_vec();
    }
    if !Coverage::available() {
        println!("built without coverage counters: mutating blindly (`cargo xtask fuzz` builds with them)");
    }
    let each = Duration::from_secs(seconds) / u32::try_from(chosen.len()).unwrap_or(1);
    for target in chosen {
        campaign_of(target, seed, each)?;
    }
    Ok(())
}

fn campaign_of(target: Target, seed: u64, time: Duration) -> Result<(), String> {
    let report = campaign::run(target, seed, Budget::Time(time), Path::new("target/fuzz-findings"))?;
    println!(
        "{:<14} {:>9} executions, {:>6} edges, {:>5} inputs kept: nothing found",
        target.name, report.executions, report.edges, report.corpus
    );
    Ok(())
}

fn replay(arguments: &[String]) -> Result<(), String> {
    let [name, file] = arguments else { return Err(usage()) };
    let target = targets::find(name).ok_or_else(usage)?;
    let input = fs::read(file).map_err(|e| format!("{file}: {e}"))?;
    campaign::execute(target, &input)?;
    println!("{name}: nothing wrong with {file}");
    Ok(())
}
