//! Built-in adapters.
