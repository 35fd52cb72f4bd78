//! The pure core of Portolan: who subscribes to what, which subscribers a message goes to, what
//! happens after a failed attempt, when a schedule is open, which state an artifact goes to.
//!
//! **Invariant:** no `async`, no clock, no randomness, no files, no sockets, no threads, and nothing
//! that depends on a random order of iteration (this crate's `clippy.toml` bans them). Time, ids and
//! states are arguments; every decision is a value that the shell carries out. So the same input gives
//! the same decision in production, in a test and in a replayed simulation.

pub mod delivery;
mod explain;
pub mod filter;
pub mod index;
mod interval;
pub mod resume;
pub mod routing;
pub mod schedule;
pub mod states;
pub mod subscription;
mod table;
pub mod waiting;
