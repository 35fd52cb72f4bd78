//! The XML assembler.

/// Catalogue name.
pub const NAME: &str = "xml-assembler";
