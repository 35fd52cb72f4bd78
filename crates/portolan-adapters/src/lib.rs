//! The built-in adapters, one folder each, and the catalogue that names them.
//!
//! **Invariant:** an adapter knows the engine only through `portolan_sdk`; it decides nothing about
//! routing, retry or suspension, and no adapter knows another.

pub mod catalog;
pub mod file;
pub mod http;
