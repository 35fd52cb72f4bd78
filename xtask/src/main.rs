//! Developer tasks, run as `cargo xtask <task>`. Nothing here is part of the product, and nothing here
//! may change a file that a person wrote, except between the markers of generated sections.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod ci;
mod demo;
mod deps;
mod docs;
mod fuzz;
mod licences;
mod repo;
mod setup;
mod step;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <task>

  demo [--once]      build Portolan, run the example on real orders, leave it running until Ctrl-C
  crash [KILLS] [SEED]
                     the crash campaign, long: kill -9 under load (200 kills unless told otherwise)
  test [ARGS]        set up what the tests need, then run every test (ARGS go to cargo test)
  setup              install what the tests need, or say what to install
  ci [--keep-going] [--without-tests]
                     everything that must hold before a change is merged
  tidy               house rules the compiler does not check
  deps               crate directions, purity, licences, banned crates
  docs [--check]     write the generated reference pages, or fail when they are stale
  fuzz [TARGET...] [--seconds N] [--seed N] | fuzz replay TARGET FILE
                     coverage-guided fuzzing; 60 seconds over all targets unless told otherwise
  bench [NAME...] [--quick] [--rounds N]
                     benchmarks against the disk floor: engine syncs routing files large backlog
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let done = match arguments.first().map(String::as_str) {
        Some("demo") => {
            only(&rest, &["--once"]).and_then(|()| demo::run(&repo::root(), rest.contains(&"--once")).map_err(|e| e.to_string()))
        }
        Some("crash") => ci::crash(&rest),
        Some("test") => ci::test(&rest),
        Some("setup") => only(&rest, &[]).and_then(|()| setup::run()),
        Some("ci") => only(&rest, &["--keep-going", "--without-tests"]).and_then(|()| ci::run(&rest)),
        Some("tidy") => only(&rest, &[]).and_then(|()| tidy::run()),
        Some("deps") => only(&rest, &[]).and_then(|()| deps::run()),
        Some("docs") => only(&rest, &["--check"]).and_then(|()| docs::run(rest.contains(&"--check"))),
        Some("fuzz") => fuzz::run(&rest),
        Some("bench") => bench::run(&rest),
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(())
        }
        Some(other) => Err(format!("there is no task \"{other}\"\n\n{USAGE}")),
        None => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// Refuses arguments a task does not know: a mistyped `--chek` must not pass for a check.
fn only(given: &[&str], known: &[&str]) -> Result<(), String> {
    match given.iter().find(|argument| !known.contains(argument)) {
        Some(unknown) => Err(format!("this task does not know \"{unknown}\"\n\n{USAGE}")),
        None => Ok(()),
    }
}
