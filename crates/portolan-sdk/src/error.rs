//! Errors of adapters and components: a code with a page, words for the operator, and whether
//! trying again can help.

use portolan_model::Code;
use std::fmt;

/// Whether trying again can help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// Yes: the destination is away, busy, full...
    Temporary,
    /// No: the same message will fail the same way. No retry is spent on it; the backup transport is.
    Permanent,
}

/// A failure to send or to receive.
#[derive(Clone, Debug, thiserror::Error)]
pub struct AdapterError {
    /// Code with a page.
    pub code: Code,
    /// Whether trying again can help.
    pub retry: Retry,
    /// What happened and with what (file, URL, status), in words.
    pub message: String,
}

impl AdapterError {
    /// A failure that may pass.
    pub fn temporary(code: Code, message: impl Into<String>) -> Self {
        Self { code, retry: Retry::Temporary, message: message.into() }
    }
    /// A failure that will not pass.
    pub fn permanent(code: Code, message: impl Into<String>) -> Self {
        Self { code, retry: Retry::Permanent, message: message.into() }
    }
}

impl fmt::Display for AdapterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A failure of a pipeline component or map.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ComponentError {
    /// Code with a page.
    pub code: Code,
    /// What happened and where in the message (line, column, element), in words.
    pub message: String,
}

impl ComponentError {
    /// A failure with its code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for ComponentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
