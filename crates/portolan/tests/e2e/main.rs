//! End to end: the real binary, real folders, real HTTP, the real command line.

#![allow(missing_docs, clippy::unwrap_used)]

mod basics;
mod disk;
mod failures;
mod harness;
mod operating;
mod states;
mod xml;
