//! The parts of the `portolan` binary: configuration, command line, error pages, reference pages.
//!
//! **Invariant:** this crate wires and explains; how messages are routed, delivered and kept is decided
//! in the crates below it.

pub mod api;
pub mod cli;
pub mod config;
pub mod docs;
pub mod explain;
pub mod run;

use portolan_sdk::Registry;

/// Everything this installation offers: the built-in adapters and pipeline components.
#[must_use]
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    portolan_adapters::catalog::register(&mut registry);
    portolan_pipelines::register(&mut registry);
    registry
}
