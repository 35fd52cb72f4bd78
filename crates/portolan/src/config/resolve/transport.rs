//! Transports: the one key of a location, port or backup that names an adapter, with its settings:
//! checked for shape, secrets resolved, then judged by the adapter itself.

use super::Resolver;
use crate::config::{
    check_shape,
    diagnostic::{Diagnostic, Severity},
    secrets,
    source::Span,
    yaml::{Node, Yaml},
};
use portolan_model::{SmolStr, artifact::Transport, code};
use portolan_sdk::{Direction, Registry};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};

/// A transport and where its adapter is named.
pub struct Placed {
    /// The transport.
    pub transport: Transport,
    /// The key that names the adapter.
    pub span: Span,
}

impl Resolver<'_> {
    /// The transport of `owner`. `None` when it has none that can be used; that is reported.
    pub(super) fn transport(&mut self, owner: &Node, direction: Direction) -> Option<Placed> {
        // A value of the wrong type is reported already and was emptied.
        let named = owner.entries().iter().filter(|entry| !matches!(entry.value.value, Yaml::Broken));
        let (entry, schema) =
            named.into_iter().find_map(|entry| Some((entry, self.settings.get(&(entry.key.clone(), direction))?.clone())))?;
        let adapter = self.registry.adapter(&entry.key)?;
        let before = self.report.count(Severity::Error);
        let what = format!("`{}`", entry.key);
        let mut settings = check_shape(self.report, &schema, entry.value.clone(), &what)?;
        secrets::resolve(self.report, &mut settings, self.folder);
        if self.report.count(Severity::Error) > before || !settings.is_sound() {
            return None;
        }
        let json = settings.json();
        let checked = adapter.check(direction, &json, self.folder);
        for problem in checked.problems {
            let place = settings.nearest(problem.path.iter().map(String::as_str));
            let span = if std::ptr::eq(place, &settings) { entry.key_span } else { place.span };
            let mut found = Diagnostic::error(code::CONFIG_VALUE, span, problem.message).maybe_help(problem.help);
            if problem.warning {
                found.severity = Severity::Warning;
            }
            self.report.push(found);
        }
        let transport = Transport { adapter: SmolStr::new(&entry.key), address: checked.address, settings: json };
        Some(Placed { transport, span: entry.key_span })
    }
}

/// The schemas of settings by adapter and direction: making one is costly.
pub type SettingsSchemas = HashMap<(String, Direction), Arc<Value>>;

/// All of a registry's.
pub fn settings_schemas(registry: &Registry) -> SettingsSchemas {
    let specs = registry.adapters().map(|adapter| adapter.spec());
    let both = specs.flat_map(|spec| [(spec.name, Direction::Receive, spec.receive), (spec.name, Direction::Send, spec.send)]);
    both.filter_map(|(name, direction, schema)| Some(((name.to_owned(), direction), Arc::new(schema?)))).collect()
}
