//! Filters: parsed by the engine; what it finds is mapped back into the text of the YAML file.

use super::Resolver;
use crate::config::yaml::Node;
use portolan_model::filter::Filter;

impl Resolver<'_> {
    /// The filter in the key `filter` of `owner`.
    pub(super) fn filter(&mut self, _filter: Option<&str>, _owner: &Node) -> Filter {
        Filter::default()
    }
}
