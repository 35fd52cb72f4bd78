//! Errors of the XML reader: a code with a page, words, and where in the message.

use portolan_model::{Code, code};
use portolan_sdk::ComponentError;
use std::{fmt, io};

/// Why a message cannot be read as XML, and where.
#[derive(Clone, Debug)]
pub struct XmlError {
    /// Code with a page.
    pub code: Code,
    /// In words.
    pub message: String,
    /// Line, counted from 1; 0 when no place is known.
    pub line: u64,
    /// Column in characters, counted from 1.
    pub column: u64,
}

impl XmlError {
    /// An error that has no place in the text.
    pub fn placeless(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), line: 0, column: 0 }
    }

    /// The body could not be read at all.
    #[must_use]
    pub fn unreadable(error: &io::Error) -> Self {
        Self::placeless(code::PIPELINE_FAILED, format!("the message body cannot be read: {error}"))
    }
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.line > 0 {
            write!(f, " (line {}, column {})", self.line, self.column)?;
        }
        Ok(())
    }
}

impl std::error::Error for XmlError {}

impl From<XmlError> for ComponentError {
    fn from(error: XmlError) -> Self {
        Self::new(error.code, error.to_string())
    }
}
