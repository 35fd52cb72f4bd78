//! Tests with real files in temporary folders.

mod checking;
mod engine;
mod receiving;
mod sending;
mod throughput;
mod trouble;
