//! The catalogue: one line per built-in adapter. Nothing registers itself.

use portolan_sdk::Registry;

/// Adds every built-in adapter.
pub fn register(registry: &mut Registry) {
    let _ = registry;
}
