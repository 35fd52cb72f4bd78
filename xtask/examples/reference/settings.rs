//! The configuration as a page: every group of keys of the JSON Schema becomes a section with a table.

use portolan_sdk::Registry;
use serde_json::{Map, Value};
use std::{
    collections::{BTreeSet, VecDeque},
    fmt::Write,
};

/// The page.
pub fn page(application: &Value, bindings: &Value, registry: &Registry) -> String {
    let mut text = format!(
        "# Configuration\n\n{}\n\nThe keys of `application.yaml` and of `bindings/<environment>.yaml`. An editor that knows JSON Schema completes and checks them with\n[application.schema.json](application.schema.json); `portolan check` reports every mistake with its place.\n",
        super::NOTE
    );
    let _ = write!(text, "\n## application.yaml\n");
    let mut writer = Writer { root: application, seen: BTreeSet::new(), waiting: VecDeque::new() };
    writer.section(&mut text, application);
    writer.rest(&mut text);
    text.push_str("\n## Adapters\n\nWhat each adapter promises for a message it has acknowledged.\n\n| adapter | directions | guarantee | in short |\n|---|---|---|---|\n");
    for spec in registry.adapters().map(|adapter| adapter.spec()) {
        let directions =
            [spec.receive.as_ref().map(|_| "receive"), spec.send.as_ref().map(|_| "send")].into_iter().flatten().collect::<Vec<_>>();
        let _ = writeln!(text, "| `{}` | {} | {} | {} |", spec.name, directions.join(", "), spec.guarantee, spec.summary);
    }
    text.push_str("\n## Pipeline components\n");
    for spec in registry.components().map(|component| component.spec()) {
        let stages: Vec<String> = spec.stages.iter().map(|stage| format!("{stage:?}")).collect();
        let _ = write!(text, "\n### {}\n\n{} Stages: {}.\n", spec.name, spec.summary, stages.join(", "));
        let mut writer = Writer { root: &spec.settings, seen: BTreeSet::new(), waiting: VecDeque::new() };
        writer.section(&mut text, &spec.settings);
        writer.rest(&mut text);
    }
    text.push_str("\n## bindings/ENVIRONMENT.yaml\n");
    let mut writer = Writer { root: bindings, seen: BTreeSet::new(), waiting: VecDeque::new() };
    writer.section(&mut text, bindings);
    writer.rest(&mut text);
    text
}

/// Writes sections and remembers the definitions they refer to.
struct Writer<'a> {
    root: &'a Value,
    seen: BTreeSet<String>,
    waiting: VecDeque<String>,
}

impl<'a> Writer<'a> {
    /// A section for each definition referred to so far, and for those these refer to.
    fn rest(&mut self, text: &mut String) {
        while let Some(name) = self.waiting.pop_front() {
            let Some(definition) = self.root.pointer(&format!("/$defs/{name}")) else { continue };
            let _ = write!(text, "\n### {}\n", title(&name));
            self.section(text, definition);
        }
    }

    /// Description, and a table of the keys.
    fn section(&mut self, text: &mut String, schema: &'a Value) {
        if let Some(description) = schema["description"].as_str() {
            let _ = write!(text, "\n{description}\n");
        }
        let values = self.alternatives(schema);
        if !values.is_empty() {
            let _ = write!(text, "\nOne of: {}\n", values.join(", "));
        }
        let Some(properties) = schema["properties"].as_object().filter(|keys| !keys.is_empty()) else { return };
        let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        text.push_str("\n| key | type | default | meaning |\n|---|---|---|---|\n");
        for (key, property) in properties {
            let needed = if required.contains(&key.as_str()) { "**required**".to_owned() } else { default(property) };
            let meaning = cell(property["description"].as_str().unwrap_or_default());
            let _ = writeln!(text, "| `{key}` | {} | {needed} | {meaning}{} |", cell(&self.kind(property)), limits(property));
        }
    }

    /// The values of an enumeration, with their descriptions.
    fn alternatives(&mut self, schema: &'a Value) -> Vec<String> {
        let of = |value: &Value| Some(format!("`{}`", value.as_str()?));
        if let Some(values) = schema["enum"].as_array() {
            return values.iter().filter_map(of).collect();
        }
        let listed = schema["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
        let of_one = |alternative: &Value| {
            if let Some(values) = alternative["enum"].as_array() {
                return values.iter().filter_map(of).collect::<Vec<_>>();
            }
            let words = alternative["description"].as_str().map(|d| format!(" ({})", d.trim_end_matches('.'))).unwrap_or_default();
            of(&alternative["const"]).map(|value| value + &words).into_iter().collect()
        };
        listed.iter().flat_map(of_one).collect()
    }

    /// The type of a value in words; definitions it refers to get a section.
    fn kind(&mut self, schema: &'a Value) -> String {
        if let Some(name) = schema["$ref"].as_str().and_then(|target| target.strip_prefix("#/$defs/")) {
            // What needs no section of its own is said in place.
            let target = self.root.pointer(&format!("/$defs/{name}"));
            if let Some(target) = target.filter(|target| target["properties"].is_null() && target["description"].is_null()) {
                return self.kind(target);
            }
            if self.seen.insert(name.to_owned()) {
                self.waiting.push_back(name.to_owned());
            }
            return format!("[{0}](#{1})", title(name), anchor(&title(name)));
        }
        if schema["x-secret"] == true {
            return "text or secret (`{ env: NAME }`, `{ file: PATH }`)".to_owned();
        }
        if let Some(several) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
            let kinds: BTreeSet<String> = several.iter().filter(|one| one["type"] != "null").map(|one| self.kind(one)).collect();
            return kinds.into_iter().collect::<Vec<_>>().join(" or ");
        }
        if let Some(values) = schema["enum"].as_array() {
            return values.iter().map(|value| format!("`{}`", plain(value))).collect::<Vec<_>>().join(", ");
        }
        if !schema["const"].is_null() {
            return format!("`{}`", plain(&schema["const"]));
        }
        let names: Vec<&str> = match &schema["type"] {
            Value::String(name) => vec![name],
            Value::Array(names) => names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
            _ => Vec::new(),
        };
        let words: Vec<String> = names.into_iter().map(|name| self.word(name, schema)).collect();
        if words.is_empty() { "any".to_owned() } else { words.join(" or ") }
    }

    fn word(&mut self, name: &str, schema: &'a Value) -> String {
        match name {
            "string" => "text".to_owned(),
            "integer" => "whole number".to_owned(),
            "boolean" => "true or false".to_owned(),
            "array" => format!("list of {}", self.kind(&schema["items"])),
            "object" => match schema.get("additionalProperties") {
                Some(of) if of.is_object() => format!("keys with {}", self.kind(of)),
                _ => "group of keys".to_owned(),
            },
            other => other.to_owned(),
        }
    }
}

fn default(property: &Value) -> String {
    match property.get("default") {
        None | Some(Value::Null) => String::new(),
        Some(Value::Object(keys)) if !simple(keys) => String::new(),
        Some(value) => format!("`{}`", cell(&plain(value))),
    }
}

fn simple(keys: &Map<String, Value>) -> bool {
    keys.len() <= 2 && keys.values().all(|value| !value.is_object() && !value.is_array() && !value.is_null())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn limits(property: &Value) -> String {
    let number = |key: &str| property[key].as_f64().filter(|limit| *limit < 1e12);
    match (number("minimum").or(number("minLength")), number("maximum").or(number("maxLength"))) {
        (Some(least), Some(most)) => format!(" ({least}–{most})"),
        (Some(least), None) if least > 0.0 => format!(" (at least {least})"),
        (None, Some(most)) => format!(" (at most {most})"),
        _ => String::new(),
    }
}

/// Text for a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `file_Receive` → `file receive`, `SendPortGroup` → `send port group`.
fn title(name: &str) -> String {
    let mut title = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !title.is_empty() && !title.ends_with(' ') {
            title.push(' ');
        }
        match c {
            '_' => title.push(' '),
            c => title.extend(c.to_lowercase()),
        }
    }
    title.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn anchor(title: &str) -> String {
    title.replace(' ', "-")
}
