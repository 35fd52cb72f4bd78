//! Builds the fuzzer with coverage counters and runs it. Needs no nightly compiler and no installed
//! tool: the options are stable, and the crate brings its own engine (`fuzz/`).

use crate::step;

/// LLVM's coverage counters on every edge; dependencies too, so that their parsers are explored.
const COUNTERS: &str =
    "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters";

/// `cargo xtask fuzz [TARGET…] [--seconds N] [--seed N]` or `cargo xtask fuzz replay TARGET FILE`.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    // Naming the platform keeps the counters out of build scripts, which could not link them.
    let mut all = vec!["run", "--quiet", "--locked", "--package", "portolan-fuzz", "--profile", "fuzz", "--target-dir", "target/fuzz"];
    let host = host()?;
    all.extend(["--target", &host, "--"]);
    if arguments.first() != Some(&"replay") {
        all.push("run");
    }
    all.extend(arguments);
    step::program_with(&step::cargo_path(), &all, &[("RUSTFLAGS", COUNTERS)])
}

fn host() -> Result<String, String> {
    let output = std::process::Command::new("rustc").arg("-vV").output().map_err(|e| format!("cannot run rustc: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned).ok_or_else(|| "rustc does not name its host".to_owned())
}
