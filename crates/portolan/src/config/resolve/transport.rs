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
use portolan_sdk::{Adapter, Direction};
use std::sync::Arc;

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
        let registry = self.registry;
        // A value of the wrong type is reported already and was emptied.
        let (entry, adapter) = owner.entries().iter().filter(|entry| !matches!(entry.value.value, Yaml::Broken)).find_map(|entry| {
            let adapter = registry.adapter(&entry.key)?;
            adapter_schema(adapter, direction).is_some().then_some((entry, adapter))
        })?;
        let schema = adapter_schema(adapter, direction)?;
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

fn adapter_schema(adapter: &Arc<dyn Adapter>, direction: Direction) -> Option<serde_json::Value> {
    let spec = adapter.spec();
    match direction {
        Direction::Receive => spec.receive,
        Direction::Send => spec.send,
    }
}
