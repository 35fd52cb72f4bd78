//! The words of Portolan: identifiers, messages and their context, artifacts (ports, locations,
//! filters), states and error codes. Data and validation only.
//!
//! **Invariant:** this crate has no I/O, no clock, no randomness and no `async`; identifiers and
//! times are always arguments. Names follow the field's reference manual, so that an integration
//! developer finds the same word in code, configuration, command line and documentation.

pub mod artifact;
pub mod code;
pub mod filter;
pub mod id;
pub mod instance;
pub mod message;
pub mod property;
pub mod schedule;
pub mod secret;
pub mod system;
pub mod time;
pub mod value;

pub use code::Code;
pub use id::{BatchId, BodyId, InstanceId, InterchangeId, MessageId};
pub use message::{BodyRef, Message, Part, PartContent};
pub use property::{Context, Kind, Name, Property, PropertyError};
pub use smol_str::SmolStr;
pub use time::Timestamp;
pub use value::{Value, ValueType};
