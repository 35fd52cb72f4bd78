//! What is fuzzed. Each target states its promises as assertions.

mod configuration;
mod disassembler;
mod filter;
mod schema;
mod xml;

use crate::campaign::Target;

/// Every target.
pub const ALL: &[Target] = &[configuration::TARGET, disassembler::TARGET, filter::TARGET, schema::TARGET, xml::TARGET];

/// The target of a name.
#[must_use]
pub fn find(name: &str) -> Option<Target> {
    ALL.iter().copied().find(|target| target.name == name)
}
