//! Everything that must hold before a change is merged, in the order that fails soonest.

use crate::{deps, docs, setup, step, tidy};
use step::Steps;

/// `cargo xtask ci`.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    let mut steps = Steps::new(arguments.contains(&"--keep-going"));
    steps.run("format", || step::cargo(&["fmt", "--all", "--check"]));
    steps.run("tidy", tidy::run);
    steps.run("dependencies", deps::run);
    steps.run("generated documentation", || docs::run(true));
    if step::exists("cargo-deny") {
        steps.run("cargo-deny", || step::cargo(&["deny", "check", "licenses", "bans", "sources"]));
    } else {
        steps.skip("cargo-deny", "not installed; `cargo xtask deps` checked licences and bans");
    }
    steps.run("lints", || step::cargo(&["clippy", "--quiet", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    steps.run("code documentation", || {
        step::program_with(
            &step::cargo_path(),
            &["doc", "--quiet", "--locked", "--workspace", "--no-deps", "--document-private-items"],
            &[("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links")],
        )
    });
    if !arguments.contains(&"--without-tests") {
        steps.run("tests", || test(&[]));
    }
    steps.finish()
}

/// `cargo xtask test`: sets up, then runs every test.
pub fn test(arguments: &[&str]) -> Result<(), String> {
    setup::run()?;
    let mut all = vec!["test", "--locked", "--workspace", "--no-fail-fast"];
    all.extend(arguments);
    step::cargo(&all)
}

/// `cargo xtask crash`: the crash campaign of the test suite, with more kills.
pub fn crash(arguments: &[&str]) -> Result<(), String> {
    let kills = arguments.first().copied().unwrap_or("200");
    kills.parse::<u64>().map_err(|_| format!("\"{kills}\" is not a number of kills"))?;
    let mut settings = vec![("PORTOLAN_CRASH_KILLS", kills)];
    settings.extend(arguments.get(1).map(|seed| ("PORTOLAN_CRASH_SEED", *seed)));
    let command = ["test", "--locked", "--package", "portolan", "--test", "crash", "--", "--nocapture"];
    step::program_with(&step::cargo_path(), &command, &settings)
}
