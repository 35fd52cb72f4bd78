//! Runs a case in a process of its own, so that processor time and peak memory are that case's alone.

use crate::{Problem, Settings, backlog, engine};
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// First argument of a worker process.
pub const WORD: &str = "worker";

/// Runs a case in a new process with an empty data folder; its answer.
pub fn run(settings: &Settings, benchmark: &str, case: &Value) -> Result<Value, Problem> {
    run_under(Command::new(std::env::current_exe()?), settings, benchmark, case)
}

/// As [`run`], with a command that takes the worker's arguments (a tracer, for example).
pub fn run_under(mut command: Command, settings: &Settings, benchmark: &str, case: &Value) -> Result<Value, Problem> {
    let folder = settings.folder.join("messagebox");
    empty(&folder)?;
    let output =
        command.arg(WORD).arg(benchmark).arg(case.to_string()).arg(&folder).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    empty(&folder)?;
    if !output.status.success() {
        return Err(format!("{benchmark} {case} ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The worker's side: runs the case and prints its answer.
pub fn answer(arguments: &[String]) -> Result<(), Problem> {
    let [benchmark, case, folder] = arguments else { return Err("a worker is started by the benchmarks".into()) };
    let folder = Path::new(folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let answer = match benchmark.as_str() {
        "engine" => runtime.block_on(engine::work(&serde_json::from_str(case)?, folder))?,
        "backlog" => runtime.block_on(backlog::work(&serde_json::from_str(case)?, folder))?,
        other => return Err(format!("there is no worker for {other}").into()),
    };
    println!("{answer}");
    Ok(())
}

fn empty(folder: &Path) -> Result<(), Problem> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    Ok(())
}
