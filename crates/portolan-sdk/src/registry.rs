//! The registry: what an installation offers, by name. A plain value, filled by explicit catalogue
//! lines; nothing registers itself.

use crate::{adapter::Adapter, component::ComponentFactory, map::Map};
use std::{collections::BTreeMap, sync::Arc};

/// Adapters, components and maps by name.
#[derive(Clone, Default)]
pub struct Registry {
    adapters: BTreeMap<&'static str, Arc<dyn Adapter>>,
    components: BTreeMap<&'static str, Arc<dyn ComponentFactory>>,
    maps: BTreeMap<String, Arc<dyn Map>>,
}

impl Registry {
    /// Adds an adapter under its own name; replaces one of the same name.
    pub fn add_adapter(&mut self, adapter: Arc<dyn Adapter>) {
        self.adapters.insert(adapter.spec().name, adapter);
    }
    /// Adds a component under its own name; replaces one of the same name.
    pub fn add_component(&mut self, component: Arc<dyn ComponentFactory>) {
        self.components.insert(component.spec().name, component);
    }
    /// Adds a map under a name.
    pub fn add_map(&mut self, name: impl Into<String>, map: Arc<dyn Map>) {
        self.maps.insert(name.into(), map);
    }
    /// The adapter of a name.
    #[must_use]
    pub fn adapter(&self, name: &str) -> Option<&Arc<dyn Adapter>> {
        self.adapters.get(name)
    }
    /// The component of a name.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<&Arc<dyn ComponentFactory>> {
        self.components.get(name)
    }
    /// The map of a name.
    #[must_use]
    pub fn map(&self, name: &str) -> Option<&Arc<dyn Map>> {
        self.maps.get(name)
    }
    /// All adapters by name.
    pub fn adapters(&self) -> impl Iterator<Item = &Arc<dyn Adapter>> {
        self.adapters.values()
    }
    /// All components by name.
    pub fn components(&self) -> impl Iterator<Item = &Arc<dyn ComponentFactory>> {
        self.components.values()
    }
}
