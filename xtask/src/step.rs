//! Running programs as named, timed steps with a summary at the end.

use crate::repo;
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// What became of one step.
struct Outcome {
    name: String,
    took: Duration,
    verdict: Verdict,
}

enum Verdict {
    Passed,
    Failed,
    Skipped(String),
}

/// Steps in a row; after a failure the rest is left out unless told to keep going.
pub struct Steps {
    keep_going: bool,
    outcomes: Vec<Outcome>,
}

impl Steps {
    /// No steps yet.
    pub fn new(keep_going: bool) -> Self {
        Self { keep_going, outcomes: Vec::new() }
    }

    /// Runs a step.
    pub fn run(&mut self, name: &str, work: impl FnOnce() -> Result<(), String>) {
        if self.failed() && !self.keep_going {
            return;
        }
        println!("\n=== {name}");
        let start = Instant::now();
        let verdict = match work() {
            Ok(()) => Verdict::Passed,
            Err(message) => {
                eprintln!("{}", message.trim_end());
                Verdict::Failed
            }
        };
        self.outcomes.push(Outcome { name: name.to_owned(), took: start.elapsed(), verdict });
    }

    /// Notes a step that cannot run here.
    pub fn skip(&mut self, name: &str, why: &str) {
        self.outcomes.push(Outcome { name: name.to_owned(), took: Duration::ZERO, verdict: Verdict::Skipped(why.to_owned()) });
    }

    fn failed(&self) -> bool {
        self.outcomes.iter().any(|outcome| matches!(outcome.verdict, Verdict::Failed))
    }

    /// Prints the summary; an error if any step failed.
    pub fn finish(self) -> Result<(), String> {
        println!("\n=== summary");
        for outcome in &self.outcomes {
            let verdict = match &outcome.verdict {
                Verdict::Passed => "ok".to_owned(),
                Verdict::Failed => "FAILED".to_owned(),
                Verdict::Skipped(why) => format!("skipped: {why}"),
            };
            println!("{:>7.1} s  {:<28} {verdict}", outcome.took.as_secs_f64(), outcome.name);
        }
        if self.failed() { Err("not everything holds".to_owned()) } else { Ok(()) }
    }
}

/// Runs a program in the root folder, showing its output.
pub fn program(name: &str, arguments: &[&str]) -> Result<(), String> {
    program_with(name, arguments, &[])
}

/// Runs a program in the root folder with additional environment variables.
pub fn program_with(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), String> {
    let shown = format!("{name} {}", arguments.join(" "));
    println!("$ {shown}");
    let status = Command::new(name)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(repo::root())
        .status()
        .map_err(|e| format!("cannot run `{shown}`: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed ({status})")) }
}

/// Runs cargo, the same one that runs this task.
pub fn cargo(arguments: &[&str]) -> Result<(), String> {
    program(&cargo_path(), arguments)
}

/// Path of the cargo that runs this task.
pub fn cargo_path() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Whether a program can be found.
pub fn exists(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}
