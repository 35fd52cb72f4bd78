//! Tests with real files in temporary folders.

mod engine;
mod receiving;
