//! Limits that protect the server from hostile or broken XML.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits of one interchange. Exceeding one is error PTL0114.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Deepest nesting of elements.
    pub depth: u32,
    /// Attributes of one element, namespace declarations included.
    pub attributes: u32,
    /// Namespace declarations in scope at one place, those of all open elements together.
    pub namespaces: u32,
    /// Bytes of one element or attribute name (UTF-8).
    pub name_bytes: u32,
    /// Bytes of one start tag with all its attributes (UTF-8).
    pub tag_bytes: u32,
    /// Bytes of the text of one element, its CDATA included; no limit by default.
    pub text_bytes: Option<u64>,
    /// Bytes of one field that is promoted or distinguished.
    pub field_bytes: u32,
    /// Bytes of the whole interchange after conversion to UTF-8, and of the namespace declarations that
    /// envelopes pass on to their documents. The reference product stops at 4 GB.
    pub total_bytes: u64,
    /// Documents of one interchange.
    pub documents: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 4096,
            attributes: 1024,
            namespaces: 512,
            name_bytes: 1024,
            tag_bytes: 4 << 20,
            text_bytes: None,
            field_bytes: 1 << 20,
            total_bytes: 4 << 30,
            documents: 1_000_000,
        }
    }
}
