//! The catalogue: one line per built-in adapter. Nothing registers itself.

use portolan_sdk::Registry;
use std::sync::Arc;

/// Adds every built-in adapter.
pub fn register(registry: &mut Registry) {
    registry.add_adapter(Arc::new(crate::file::FileAdapter::default()));
    registry.add_adapter(Arc::new(crate::http::HttpAdapter::default()));
}
