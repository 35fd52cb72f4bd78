//! Fuzzing of everything that reads what others wrote: XML, filters, configuration. Feeds mutated inputs
//! to a target and watches for panics, hangs, memory out of proportion, and broken promises.
//!
//! Needs no tool and no nightly compiler. Built plainly (`cargo test -p portolan-fuzz`) it mutates
//! blindly, for a fixed number of executions from a fixed seed. Built by `cargo xtask fuzz` the compiler
//! adds coverage counters, and inputs that reach new code are kept and mutated further.
//!
//! Development only: nothing here may be linked into the product.
#![allow(clippy::print_stdout, clippy::print_stderr)]

pub mod campaign;
pub mod coverage;
pub mod memory;
pub mod mutate;
pub mod targets;
