//! The parts of the `portolan` binary: configuration, command line, error pages, reference pages.
//!
//! **Invariant:** this crate wires and explains; how messages are routed, delivered and kept is decided
//! in the crates below it.

pub mod config;
