//! Built-in pipeline components and XML schemas: the XML disassembler and assembler, reading of
//! annotated XSD files, and the four default pipelines.
//!
//! **Invariant:** nothing here knows the engine, a store, a clock or the network. A component works on
//! streams and never needs a message whole in memory.

pub mod assembler;
pub mod catalog;
pub mod defaults;
pub mod disassembler;
pub mod stream;
pub mod xml;
pub mod xpath;
pub mod xsd;

pub use catalog::register;
pub use xsd::{SchemaProblem, load_schemas};
