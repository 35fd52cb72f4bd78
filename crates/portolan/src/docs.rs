//! What to write, made from the JSON Schemas: the schema as a file for editors, and the settings of an
//! adapter as YAML to start from. The reference pages are made from the same schemas by `cargo xtask docs`.

use crate::config::schema::{self, deref, properties, strings};
use portolan_sdk::Registry;
use serde_json::Value;
use std::fmt::Write;

/// The JSON Schema of `application.yaml` as a file for editors.
#[must_use]
pub fn application_schema(registry: &Registry) -> String {
    format!("{:#}\n", schema::application(registry))
}

/// The settings of one adapter as YAML to start from: every setting with its explanation; those that
/// may stay out are commented out.
#[must_use]
pub fn example(registry: &Registry, adapter: &str, send: bool) -> Option<String> {
    let spec = registry.adapter(adapter)?.spec();
    let settings = if send { spec.send.as_ref() } else { spec.receive.as_ref() }?;
    let mut text = format!("{}:\n", spec.name);
    example_of(&mut text, settings, settings, 1);
    Some(text)
}

fn example_of(text: &mut String, root: &Value, schema: &Value, level: usize) {
    let required: Vec<&str> = strings(schema.get("required")).collect();
    let indent = "  ".repeat(level);
    for (name, property) in properties(schema).into_iter().flatten() {
        let about = description(root, property);
        for line in wrapped(&about, 90) {
            let _ = writeln!(text, "{indent}# {line}");
        }
        let value = match property.get("default") {
            Some(default) if !default.is_null() => default.to_string(),
            _ if is_secret(root, property) => "{ env: NAME }".to_owned(),
            _ => "…".to_owned(),
        };
        let mark = if required.contains(&name.as_str()) { "" } else { "# " };
        let _ = writeln!(text, "{indent}{mark}{name}: {value}");
    }
}

/// Follows references and drops "or nothing": an optional object is described as the object.
fn only_branch<'a>(root: &'a Value, property: &'a Value) -> &'a Value {
    let schema = deref(root, property);
    let branches = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
    let mut real = branches.into_iter().flatten().filter(|branch| branch.get("type").and_then(Value::as_str) != Some("null"));
    match (real.next(), real.next()) {
        (Some(only), None) => only_branch(root, only),
        _ => schema,
    }
}

fn is_secret(root: &Value, property: &Value) -> bool {
    only_branch(root, property).get("x-secret").is_some()
}

/// The description of a property or of what it refers to, on one line.
fn description(root: &Value, property: &Value) -> String {
    let own = property.get("description").or_else(|| deref(root, property).get("description"));
    own.and_then(Value::as_str).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_names_every_setting() {
        let registry = crate::registry();
        for adapter in registry.adapters() {
            let spec = adapter.spec();
            for (settings, send) in [(&spec.receive, false), (&spec.send, true)] {
                let example = example(&registry, spec.name, send);
                assert_eq!(example.is_some(), settings.is_some());
                for name in settings.iter().flat_map(|settings| properties(settings)).flatten().map(|(name, _)| name) {
                    assert!(example.as_ref().is_some_and(|text| text.contains(&format!("{name}:"))), "{name}");
                }
            }
        }
    }
}
