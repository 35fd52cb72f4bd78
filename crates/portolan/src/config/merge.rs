//! Bindings: what an environment changes is laid over the application before anything is checked, so
//! that one check judges what will run, and every mistake still points at the file that holds it.

use super::{
    diagnostic::{Diagnostic, Report},
    source::Span,
    suggest,
    yaml::{Entry, Node, Yaml},
};
use portolan_model::code;

/// Lays `bindings` over `application`. `adapters` are the names of all adapters: an override with
/// another adapter takes the place of the first one's settings.
pub fn merge(report: &mut Report, application: &mut Node, bindings: &Node, adapters: &[&str]) {
    for section in bindings.entries() {
        match section.key.as_str() {
            "receive_locations" => {
                let mut locations = Vec::new();
                for port in list_mut(application, "receive_ports") {
                    locations.extend(list_mut(port, "locations"));
                }
                by_name(report, locations, section, "receive location", adapters);
            }
            "send_ports" => by_name(report, list_mut(application, "send_ports").collect(), section, "send port", adapters),
            "send_port_groups" => by_name(report, list_mut(application, "send_port_groups").collect(), section, "send port group", &[]),
            "variables" | "server" => overlay_key(application, section),
            // Reported by the check of the bindings file itself.
            _ => {}
        }
    }
}

fn list_mut<'a>(node: &'a mut Node, key: &str) -> impl Iterator<Item = &'a mut Node> + use<'a> {
    let list = match &mut node.value {
        Yaml::Map(entries) => entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value.value),
        _ => None,
    };
    let items: Option<&'a mut Vec<Node>> = match list {
        Some(Yaml::List(items)) => Some(items),
        _ => None,
    };
    items.into_iter().flatten()
}

fn by_name(report: &mut Report, mut artifacts: Vec<&mut Node>, section: &Entry, kind: &str, adapters: &[&str]) {
    for change in section.value.entries() {
        let found = artifacts.iter_mut().find(|artifact| artifact.get("name").and_then(Node::text) == Some(&change.key));
        match found {
            Some(artifact) => {
                if let Some(name) = change.value.entry("name") {
                    let mistake = Diagnostic::error(
                        code::CONFIG_SHAPE,
                        name.key_span,
                        format!("the bindings of {kind} `{}` cannot change its name", change.key),
                    );
                    report.push(mistake.help("remove the key `name`"));
                    continue;
                }
                overlay_artifact(artifact, &change.value, adapters);
            }
            None => {
                let names: Vec<&str> = artifacts.iter().filter_map(|artifact| artifact.get("name").and_then(Node::text)).collect();
                let mistake = Diagnostic::error(
                    code::CONFIG_REFERENCE,
                    change.key_span,
                    format!("there is no {kind} `{}` in application.yaml", change.key),
                );
                report.push(mistake.help(suggest::unknown(&change.key, &format!("{kind}s"), &names)));
            }
        }
    }
}

/// Lays a change over an artifact; a change of adapter drops the settings of the old one.
fn overlay_artifact(artifact: &mut Node, change: &Node, adapters: &[&str]) {
    drop_replaced_adapters(artifact, change, adapters);
    overlay(artifact, change);
}

fn drop_replaced_adapters(artifact: &mut Node, change: &Node, adapters: &[&str]) {
    let is_adapter = |entry: &Entry| adapters.contains(&entry.key.as_str());
    if let (Yaml::Map(entries), true) = (&mut artifact.value, change.entries().iter().any(is_adapter)) {
        entries.retain(|entry| !is_adapter(entry) || change.entry(&entry.key).is_some());
    }
    if let (Yaml::Map(entries), Some(backup)) = (&mut artifact.value, change.get("backup"))
        && let Some(own) = entries.iter_mut().find(|entry| entry.key == "backup")
    {
        drop_replaced_adapters(&mut own.value, backup, adapters);
    }
}

/// Groups of keys are merged; anything else is replaced; `null` removes.
fn overlay(base: &mut Node, change: &Node) {
    if !matches!((&base.value, &change.value), (Yaml::Map(_), Yaml::Map(_))) {
        *base = change.clone();
        return;
    }
    for entry in change.entries() {
        overlay_key(base, entry);
    }
}

fn overlay_key(base: &mut Node, change: &Entry) {
    let Yaml::Map(entries) = &mut base.value else { return };
    let at = entries.iter().position(|entry| entry.key == change.key);
    match (at, &change.value.value) {
        (Some(at), Yaml::Null) => {
            entries.remove(at);
        }
        (Some(at), Yaml::Map(_)) => overlay(&mut entries[at].value, &change.value),
        (Some(at), _) => entries[at] = change.clone(),
        (None, Yaml::Null) => {}
        (None, _) => entries.push(change.clone()),
    }
}

/// Where to point at for an artifact's name.
#[must_use]
pub fn name_span(artifact: &Node) -> Span {
    artifact.get("name").map_or(artifact.span, |name| name.span)
}
