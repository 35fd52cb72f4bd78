//! Built-in pipeline components.
