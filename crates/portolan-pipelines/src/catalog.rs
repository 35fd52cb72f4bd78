//! The catalogue: one line per component.

use crate::{assembler::XmlAssemblerFactory, disassembler::XmlDisassemblerFactory};
use portolan_sdk::Registry;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Adds every built-in component to a registry.
pub fn register(registry: &mut Registry) {
    registry.add_component(Arc::new(XmlAssemblerFactory));
    registry.add_component(Arc::new(XmlDisassemblerFactory));
}

/// Reads the settings of a component; no settings are the default ones.
///
/// # Errors
/// Words that say which setting is wrong.
pub fn settings<T: DeserializeOwned + Default>(settings: &serde_json::Value) -> Result<T, String> {
    if settings.is_null() { Ok(T::default()) } else { T::deserialize(settings).map_err(|error| error.to_string()) }
}
