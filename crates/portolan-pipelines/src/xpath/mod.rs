//! The part of XPath that can be answered while a document streams by: absolute paths of child steps,
//! by name or by `local-name()` and `namespace-uri()`, with an optional position, ending in an element or
//! an attribute. Schema editors write nothing else for promoted and distinguished fields and for the
//! body of an envelope.
//!
//! **Must never** keep a document, look back, or cost more for a larger one.

pub mod matcher;
pub mod parse;

pub use matcher::{Matcher, Trie};
pub use parse::{Path, Step, Test, parse};
