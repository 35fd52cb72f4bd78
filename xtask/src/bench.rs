//! Builds the server and the benchmarks as they are released and runs the benchmarks.

use crate::{repo, step};

/// `cargo xtask bench [NAME…] [--quick] [--rounds N]`.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    step::cargo(&["build", "--locked", "--release", "--package", "portolan", "--package", "portolan-bench"])?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repo::root().join("target"), |folder| repo::root().join(folder));
    let folder = target.join("bench").to_string_lossy().into_owned();
    let mut all = arguments.to_vec();
    all.extend(["--folder", &folder]);
    step::program(&target.join("release/portolan-bench").to_string_lossy(), &all)
}
